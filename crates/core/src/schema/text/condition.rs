//! Conditions in SQL: access rules and `where`.

use super::Report;
use super::reader::Entry;
use super::strings::locate;
use super::tables::DraftTable;
use crate::error::codes;
use crate::predicate::{Predicate, PredicateError};
use crate::schema::{Param, Table};

/// Compiles the access rules of all tables.
pub(super) fn compile_access(source: &str, tables: &mut [DraftTable<'_>], report: &mut Report) {
    for draft in tables {
        for entry in std::mem::take(&mut draft.access) {
            let Some(rule) = compile(&entry, source, &draft.table, &draft.broken, &[], report) else {
                continue;
            };
            let access = &mut draft.table.access;
            match entry.key {
                "read" => access.read = Some(rule),
                "write" => {
                    (access.insert, access.update, access.delete) =
                        (Some(rule.clone()), Some(rule.clone()), Some(rule));
                }
                "insert" => access.insert = Some(rule),
                "update" => access.update = Some(rule),
                _ => access.delete = Some(rule),
            }
        }
    }
}

/// Compiles one condition over rows of `table`.
pub(super) fn compile(
    entry: &Entry<'_>,
    source: &str,
    table: &Table,
    broken: &[&str],
    params: &[Param],
    report: &mut Report,
) -> Option<Predicate> {
    let text = match entry.value.as_bool() {
        Some(true) => "TRUE",
        Some(false) => "FALSE",
        None => entry.text(report)?,
    };
    match Predicate::parse(text, table, params) {
        Ok(predicate) => Some(predicate),
        Err(errors) => {
            // A column that could not be read is not unknown.
            if !words(text).any(|w| broken.iter().any(|b| b.eq_ignore_ascii_case(w))) {
                errors.into_iter().for_each(|error| refuse(error, text, entry, source, report));
            }
            None
        }
    }
}

fn refuse(error: PredicateError, text: &str, entry: &Entry<'_>, source: &str, report: &mut Report) {
    let place = locate(source, &entry.span, text, &error.range);
    let finding = report.add(codes::BAD_PREDICATE, place, error.message);
    if let Some(help) = error.help {
        finding.help(help);
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Whether `text`, which is not a valid condition, seems to use the parameter `:name` (outside of quotes).
pub(super) fn uses_param(text: &str, name: &str) -> bool {
    let mut quote = None;
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        match (quote, *byte) {
            (Some(open), b) if b == open => quote = None,
            (None, b @ (b'\'' | b'"')) => quote = Some(b),
            (None, b':') => {
                let rest = &text[at + 1..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                return &rest[..end] == name;
            }
            _ => {}
        }
        false
    })
}
