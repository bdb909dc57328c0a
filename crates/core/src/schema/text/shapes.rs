//! Shapes.

use super::reader::{Entry, Section, Word};
use super::tables::DraftTable;
use super::{Report, Span, columns, condition, names};
use crate::error::codes;
use crate::predicate::Predicate;
use crate::schema::{Param, Shape, Table};

/// Keys that the design has and this version has not.
const LATER: &[&str] = &["include", "order", "limit", "offline", "priority"];

/// A shape as far as it could be read by itself.
#[derive(Debug)]
pub(super) struct DraftShape<'t> {
    name: &'t str,
    table: Word<'t>,
    filter: Option<Entry<'t>>,
    params: Vec<(Param, Span)>,
    /// A parameter could not be read: `where` is not compiled.
    params_broken: bool,
    columns: Option<Vec<Word<'t>>>,
}

/// Reads `[shapes]`.
pub(super) fn read<'t>(top: &mut Section<'t>, report: &mut Report) -> Vec<DraftShape<'t>> {
    let Some(entry) = top.take("shapes") else {
        return Vec::new();
    };
    let Some(section) = Section::of(&entry, "[shapes]".into(), report) else {
        return Vec::new();
    };
    let entries = section.into_entries();
    names::check_unique("shape", entries.iter().map(|e| (e.key, &e.key_span)), report);
    entries.iter().filter_map(|e| read_one(e, report)).collect()
}

fn read_one<'t>(entry: &Entry<'t>, report: &mut Report) -> Option<DraftShape<'t>> {
    let named = names::check("shape", entry.key, &entry.key_span, report);
    let mut section = Section::of(entry, format!("shape `{}`", entry.key), report)?;
    section.later(LATER, report);
    let table = section.take("table");
    if table.is_none() {
        report
            .add(codes::MISSING_KEY, entry.key_span.clone(), format!("shape `{}` names no table", entry.key))
            .label("`table` is missing here")
            .help("such as: table = \"notes\"");
    }
    let table = table.and_then(|e| Some((e.text(report)?, e.span)));
    let filter = section.take("where");
    let (params, params_broken) = section.take("params").map_or((Vec::new(), false), |e| read_params(&e, report));
    let columns = section.take("columns").and_then(|e| e.words(report));
    section.finish(report);
    let table = table.filter(|_| named)?;
    Some(DraftShape { name: entry.key, table, filter, params, params_broken, columns })
}

fn read_params(entry: &Entry<'_>, report: &mut Report) -> (Vec<(Param, Span)>, bool) {
    let Some(section) = Section::of(entry, "`params`".into(), report) else {
        return (Vec::new(), true);
    };
    let entries = section.into_entries();
    names::check_unique("parameter", entries.iter().map(|e| (e.key, &e.key_span)), report);
    let params: Vec<_> = entries.iter().filter_map(|e| read_param(e, report)).collect();
    let broken = params.len() != entries.len();
    (params, broken)
}

fn read_param(entry: &Entry<'_>, report: &mut Report) -> Option<(Param, Span)> {
    let named = names::check("parameter", entry.key, &entry.key_span, report);
    let word = entry.text(report)?;
    let ty = columns::named_type(word, &entry.span, report)?;
    let ty = columns::complete(ty, None, &entry.span, report)?;
    named.then(|| (Param { name: entry.key.to_owned(), ty }, entry.key_span.clone()))
}

/// Checks a shape against its table.
pub(super) fn compile(
    draft: DraftShape<'_>,
    source: &str,
    tables: &[DraftTable<'_>],
    report: &mut Report,
) -> Option<Shape> {
    let (name, span) = &draft.table;
    let Some(table) = tables.iter().find(|t| t.table.name == *name) else {
        report
            .add(codes::UNKNOWN_TABLE, span.clone(), format!("there is no table {}", names::show(name)))
            .help(names::suggest(name, tables.iter().map(|t| t.table.name.as_str())));
        return None;
    };
    if !table.table.sync {
        report
            .add(codes::LOCAL_TABLE, span.clone(), format!("table `{name}` is local: the server does not have it"))
            .related(&table.sync_span, "local by this")
            .help("query it directly, without a shape; or remove `sync = false`");
        return None;
    }
    let Table { history_of, conflicts_of, docs_of, versions_of, .. } = &table.table;
    let is_second = history_of.is_some() || conflicts_of.is_some() || docs_of.is_some() || versions_of.is_some();
    if let Some((_, span)) = draft.columns.iter().flatten().next().filter(|_| is_second) {
        report.add(codes::NOT_APPLICABLE, span.clone(), format!("a shape of `{name}` cannot leave columns out")).help(
            "remove `columns`: what is restored from a history or a version, taken from a conflict, or part of a document \
             must be there whole",
        );
    }
    for (i, (column, span)) in draft.columns.iter().flatten().enumerate() {
        let earlier = draft.columns.iter().flatten().take(i);
        if table.column(column).is_none() {
            table.unknown_column(column, span, report);
        } else if earlier.into_iter().any(|(c, _)| c == column) {
            report.add(codes::DUPLICATE_NAME, span.clone(), format!("`{column}` is listed twice")).help("remove one");
        }
    }
    let params: Vec<Param> = draft.params.iter().map(|(p, _)| p.clone()).collect();
    let filter = match &draft.filter {
        Some(entry) if !draft.params_broken => {
            condition::compile(entry, source, &table.table, &table.broken, &params, report)
        }
        _ => None,
    };
    check_params(&draft, filter.as_ref(), report);
    let columns = draft.columns.map(|list| list.iter().map(|(c, _)| (*c).to_owned()).collect());
    Some(Shape { name: draft.name.to_owned(), table: (*name).to_owned(), filter, params, columns })
}

fn check_params(draft: &DraftShape<'_>, filter: Option<&Predicate>, report: &mut Report) {
    let used = filter.map(Predicate::params).unwrap_or_default();
    // A condition that was refused still shows which parameters it was meant to use.
    let text = draft.filter.as_ref().filter(|_| filter.is_none()).and_then(|e| e.value.as_str()).unwrap_or("");
    let unused = |name: &str| !used.contains(name) && !condition::uses_param(text, name);
    for (param, span) in draft.params.iter().filter(|(p, _)| unused(&p.name)) {
        report
            .add(codes::UNUSED_PARAMETER, span.clone(), format!("the parameter `{}` is not used", param.name))
            .help(format!("use it in `where`, as :{}, or remove it", param.name));
    }
}
