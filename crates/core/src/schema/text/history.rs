//! `history`: tables that keep who changed what, and the tables in which they do.

use super::columns::DraftColumn;
use super::reader::{DAY_MS, Entry, LONGEST_MS};
use super::tables::DraftTable;
use super::{MAX_COLUMNS, MAX_TABLES, Report, names};
use crate::error::codes;
use crate::predicate::Predicate;
use crate::schema::history::{CHANGE_COLUMNS, CHANGE_PREFIX};
use crate::schema::{Access, History};

/// Reads `history = true` or `history = "90d"`.
pub(super) fn read(entry: &Entry<'_>, report: &mut Report) -> Option<History> {
    match entry.value.as_bool() {
        Some(kept) => kept.then_some(History { keep_ms: None }),
        None => {
            let keep_ms = entry.duration(DAY_MS..=LONGEST_MS, "90d", report)?;
            Some(History { keep_ms: Some(keep_ms) })
        }
    }
}

/// Appends the table of each history. Where in `tables` each stands, and whose it is.
pub(super) fn derive(tables: &mut Vec<DraftTable<'_>>, report: &mut Report) -> Vec<(usize, usize)> {
    let mut made = Vec::new();
    for at in 0..tables.len() {
        if tables[at].table.history.is_none() || !is_possible(tables, at, report) {
            continue;
        }
        let draft = history_of(&tables[at]);
        made.push((tables.len(), at));
        tables.push(draft);
    }
    made
}

fn is_possible(tables: &[DraftTable<'_>], at: usize, report: &mut Report) -> bool {
    let draft = &tables[at];
    let (name, span) = (&draft.table.name, &draft.history_span);
    if !draft.table.sync {
        report
            .add(codes::LOCAL_TABLE, span.clone(), format!("table `{name}` is local: the server keeps its history"))
            .related(&draft.sync_span, "local by this")
            .help("remove `history`, or remove `sync = false`");
        return false;
    }
    let history = draft.table.history_table();
    if !names::check("table", &history, span, report) {
        return false;
    }
    if let Some(other) = tables.iter().find(|t| t.table.name.eq_ignore_ascii_case(&history)) {
        report
            .add(codes::DUPLICATE_NAME, span.clone(), format!("the history of `{name}` needs the name `{history}`"))
            .related(&other.name_span, "this table has it")
            .help("rename that table, or remove `history`");
        return false;
    }
    let is_ours =
        |name: &str| name.get(..CHANGE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(CHANGE_PREFIX));
    if let Some(column) = draft.columns.iter().find(|c| is_ours(&c.column.name)) {
        report
            .add(
                codes::RESERVED_NAME,
                column.name_span.clone(),
                format!("names that begin with `{CHANGE_PREFIX}` are the history's own"),
            )
            .related(span, "the table keeps its history")
            .help("rename the column, or remove `history`");
        return false;
    }
    if draft.columns.len() + CHANGE_COLUMNS.len() > MAX_COLUMNS || tables.len() >= MAX_TABLES {
        let message = format!(
            "the history of `{name}` is a table of {} columns more; at most {MAX_COLUMNS} columns and {MAX_TABLES} tables \
             are allowed",
            CHANGE_COLUMNS.len()
        );
        report.add(codes::SCHEMA_LIMIT, span.clone(), message).help("split the table, or remove `history`");
        return false;
    }
    true
}

fn history_of<'t>(of: &DraftTable<'t>) -> DraftTable<'t> {
    let table = of.table.to_history();
    let column = |column: &crate::schema::Column| DraftColumn {
        column: column.clone(),
        name_span: of.history_span.clone(),
        type_span: of.history_span.clone(),
        required_span: None,
        assigned_span: None,
        reference: None,
    };
    DraftTable {
        columns: table.columns.iter().map(column).collect(),
        table,
        name_span: of.history_span.clone(),
        broken: of.broken.clone(),
        key: None,
        key_span: of.history_span.clone(),
        search: Vec::new(),
        search_span: 0..0,
        sync_span: of.history_span.clone(),
        schedule: None,
        history_span: of.history_span.clone(),
        access: Vec::new(),
        access_span: 0..0,
    }
}

/// Who may read a row may read the history of what that row was then; nobody but the server writes it.
pub(super) fn share_access(tables: &mut [DraftTable<'_>], histories: Vec<(usize, usize)>) {
    for (history, of) in histories {
        let read = tables[of].table.access.read.clone();
        let table = &mut tables[history].table;
        let never = Predicate::parse("FALSE", table, &[]).ok();
        table.access = Access { read, insert: never.clone(), update: never.clone(), delete: never };
    }
}
