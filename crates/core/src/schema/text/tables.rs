//! One table by itself.

use super::columns::{self, DraftColumn};
use super::names;
use super::reader::{Entry, Section, Word};
use super::sending::{self, DraftSchedule};
use super::{MAX_COLUMNS, Report, Span, docs, history};
use crate::error::codes;
use crate::schema::{DeleteRule, Table};

/// A table as far as it could be read by itself.
#[derive(Debug)]
pub(super) struct DraftTable<'t> {
    /// The table; its columns, key and access are filled in by later passes.
    pub(super) table: Table,
    pub(super) name_span: Span,
    pub(super) columns: Vec<DraftColumn<'t>>,
    /// Columns that are there and could not be read: whatever mentions them gives no further mistake.
    pub(super) broken: Vec<&'t str>,
    /// The key as written; `None`: not written.
    pub(super) key: Option<Vec<Word<'t>>>,
    pub(super) key_span: Span,
    pub(super) search: Vec<Word<'t>>,
    pub(super) search_span: Span,
    pub(super) sync_span: Span,
    pub(super) schedule: Option<DraftSchedule<'t>>,
    pub(super) history_span: Span,
    /// The documents of its rows.
    pub(super) versions_span: Span,
    pub(super) docs: Vec<(String, Span)>,
    pub(super) access: Vec<Entry<'t>>,
    pub(super) access_span: Span,
}

impl<'t> DraftTable<'t> {
    /// The column of this name.
    pub(super) fn column(&self, name: &str) -> Option<&DraftColumn<'t>> {
        self.columns.iter().find(|c| c.column.name == name)
    }

    /// Reports that a column is not there, unless it could not be read.
    pub(super) fn unknown_column(&self, name: &str, span: &Span, report: &mut Report) {
        if self.broken.contains(&name) {
            return;
        }
        if let Some((_, declared)) = self.docs.iter().find(|(doc, _)| doc == name) {
            let message = format!("`{name}` is a document of `{}`, and no cell of its rows", self.table.name);
            report
                .add(codes::UNKNOWN_COLUMN, span.clone(), message)
                .related(declared, "declared here")
                .help(format!("its updates are rows of `{}`", self.table.docs_table()));
            return;
        }
        let columns = self.columns.iter().map(|c| c.column.name.as_str());
        report
            .add(
                codes::UNKNOWN_COLUMN,
                span.clone(),
                format!("table `{}` has no column {}", self.table.name, names::show(name)),
            )
            .help(names::suggest(name, columns));
    }
}

const DELETE_RULES: &[(&str, DeleteRule)] =
    &[("update_wins", DeleteRule::UpdateWins), ("delete_wins", DeleteRule::DeleteWins), ("manual", DeleteRule::Manual)];

/// Reads a table; `None` when it has no usable name or is not a table.
pub(super) fn read<'t>(entry: &Entry<'t>, report: &mut Report) -> Option<DraftTable<'t>> {
    let named = names::check("table", entry.key, &entry.key_span, report);
    let mut section = Section::of(entry, format!("table `{}`", entry.key), report)?;
    let mut draft = DraftTable {
        table: Table::plain(entry.key, Vec::new()),
        name_span: entry.key_span.clone(),
        columns: Vec::new(),
        broken: Vec::new(),
        key: None,
        key_span: entry.key_span.clone(),
        search: Vec::new(),
        search_span: 0..0,
        sync_span: entry.key_span.clone(),
        schedule: None,
        history_span: 0..0,
        versions_span: 0..0,
        docs: Vec::new(),
        access: Vec::new(),
        access_span: 0..0,
    };
    if let Some(entry) = section.take("primary_key") {
        draft.key = entry.words(report);
        draft.key_span = entry.span;
    }
    if let Some(rule) = section.take("on_delete_conflict").and_then(|e| e.choice(DELETE_RULES, &[], report)) {
        draft.table.on_delete_conflict = rule;
    }
    (draft.table.sending, draft.schedule) = sending::read(&mut section, report);
    if let Some(entry) = section.take("search") {
        draft.search = entry.words(report).unwrap_or_default();
        draft.search_span = entry.span;
    }
    if let Some(entry) = section.take("history") {
        draft.table.history = history::read(&entry, report);
        draft.history_span = entry.span;
    }
    if let Some(entry) = section.take("versions") {
        draft.table.versions = entry.boolean(report).unwrap_or(false);
        draft.versions_span = entry.span;
    }
    if let Some(entry) = section.take("sync") {
        draft.table.sync = entry.boolean(report).unwrap_or(true);
        draft.sync_span = entry.span;
    }
    read_access(&mut section, &mut draft, report);
    read_columns(&mut section, &mut draft, report);
    section.finish(report);
    named.then_some(draft)
}

fn read_access<'t>(section: &mut Section<'t>, draft: &mut DraftTable<'t>, report: &mut Report) {
    let Some(entry) = section.take("access") else {
        return;
    };
    let what = format!("`access` of table `{}`", draft.table.name);
    let Some(mut access) = Section::of(&entry, what, report) else {
        return;
    };
    // In the order in which the special ones override `write`.
    draft.access = ["read", "write", "insert", "update", "delete"].into_iter().filter_map(|k| access.take(k)).collect();
    draft.access_span = entry.key_span;
    access.finish(report);
}

fn read_columns<'t>(section: &mut Section<'t>, draft: &mut DraftTable<'t>, report: &mut Report) {
    let name = &draft.table.name;
    let entries = match section.take("columns") {
        Some(entry) => match Section::of(&entry, format!("`columns` of table `{name}`"), report) {
            Some(columns) => columns.into_entries(),
            None => return,
        },
        None => Vec::new(),
    };
    if entries.is_empty() {
        report
            .add(codes::MISSING_KEY, draft.name_span.clone(), format!("table `{name}` has no columns"))
            .help(format!("add: [tables.{name}.columns]\nid = \"uuid\""));
    }
    if let Some(beyond) = entries.get(MAX_COLUMNS) {
        let message = format!("table `{name}` has {} columns, at most {MAX_COLUMNS} are allowed", entries.len());
        report
            .add(codes::SCHEMA_LIMIT, beyond.key_span.clone(), message)
            .help("put what is read together into a column of type json, or split the table");
    }
    names::check_unique("column", entries.iter().map(|e| (e.key, &e.key_span)), report);
    for entry in entries.iter().take(MAX_COLUMNS) {
        if docs::is_doc(entry) {
            draft.docs.extend(docs::read(entry, report));
            continue;
        }
        match columns::read(entry, report) {
            Some(column) => draft.columns.push(column),
            None => draft.broken.push(entry.key),
        }
    }
}
