//! Tables that another table needs beside itself: of its history, its conflicts, its documents, its versions.

use super::columns::DraftColumn;
use super::tables::DraftTable;
use super::{MAX_COLUMNS, MAX_TABLES, Report, Span, docs, names};
use crate::error::codes;
use crate::predicate::Predicate;
use crate::schema::conflicts::{CONFLICT_COLUMNS, CONFLICT_PREFIX};
use crate::schema::docs::{DOC_COLUMNS, DOC_PREFIX};
use crate::schema::history::{CHANGE_COLUMNS, CHANGE_PREFIX};
use crate::schema::versions::{VERSION_COLUMNS, VERSION_PREFIX};
use crate::schema::{Access, Table};

/// Appends the table of each history, of the conflicts of each table that may have some, of the documents of each that
/// declares some, and of the versions of each that keeps some. Where in `tables` each stands, and whose it is.
pub(super) fn derive(tables: &mut Vec<DraftTable<'_>>, report: &mut Report) -> Vec<(usize, usize)> {
    let mut made = Vec::new();
    for at in 0..tables.len() {
        if tables[at].table.history.is_some() && is_possible(tables, at, &HISTORY, report) {
            let history = tables[at].table.to_history();
            append(tables, (at, history, &HISTORY), &mut made);
        }
        if tables[at].table.may_conflict() && is_possible(tables, at, &CONFLICTS, report) {
            let conflicts = tables[at].table.to_conflicts();
            append(tables, (at, conflicts, &CONFLICTS), &mut made);
        }
        tables[at].table.docs = tables[at].docs.iter().map(|(name, _)| name.clone()).collect();
        if docs::is_possible(&tables[at], report)
            && is_possible(tables, at, &DOCS, report)
            && let Some(docs) = tables[at].table.to_docs()
        {
            append(tables, (at, docs, &DOCS), &mut made);
        }
        if tables[at].table.versions
            && has_one_key(&tables[at], &tables[at].versions_span, "version", report)
            && is_possible(tables, at, &VERSIONS, report)
            && let Some(versions) = tables[at].table.to_versions()
        {
            append(tables, (at, versions, &VERSIONS), &mut made);
        }
    }
    made
}

/// Puts what a table needs beside itself behind all tables.
fn append(
    tables: &mut Vec<DraftTable<'_>>,
    (at, table, kind): (usize, Table, &Second),
    made: &mut Vec<(usize, usize)>,
) {
    let draft = second(&tables[at], table, kind);
    made.push((tables.len(), at));
    tables.push(draft);
}

/// A table that another one needs beside itself.
struct Second {
    what: &'static str,
    why: &'static str,
    way_out: &'static str,
    name: fn(&Table) -> String,
    span: fn(&DraftTable<'_>) -> Span,
    prefix: &'static str,
    columns: usize,
}

const HISTORY: Second = Second {
    what: "history",
    why: "the table keeps its history",
    way_out: "remove `history`",
    name: Table::history_table,
    span: |draft| draft.history_span.clone(),
    prefix: CHANGE_PREFIX,
    columns: CHANGE_COLUMNS.len(),
};

const CONFLICTS: Second = Second {
    what: "table of conflicts",
    why: "a merge rule of this table may leave conflicts",
    way_out: "choose another merge rule than `manual` and `text`",
    name: Table::conflicts_table,
    span: |draft| draft.name_span.clone(),
    prefix: CONFLICT_PREFIX,
    columns: CONFLICT_COLUMNS.len(),
};

const DOCS: Second = Second {
    what: "table of documents",
    why: "the table has documents",
    way_out: "declare no column of type `doc`",
    name: Table::docs_table,
    span: |draft| draft.docs.first().map_or_else(|| draft.name_span.clone(), |(_, span)| span.clone()),
    prefix: DOC_PREFIX,
    columns: DOC_COLUMNS,
};

const VERSIONS: Second = Second {
    what: "table of versions",
    why: "the table keeps versions",
    way_out: "remove `versions`",
    name: Table::versions_table,
    span: |draft| draft.versions_span.clone(),
    prefix: VERSION_PREFIX,
    columns: VERSION_COLUMNS,
};

/// Where the rows of a table are not named by one column, says so.
pub(super) fn has_one_key(draft: &DraftTable<'_>, span: &Span, what: &str, report: &mut Report) -> bool {
    if draft.table.primary_key.len() == 1 {
        return true;
    }
    let message = format!("the key of `{}` has several columns: a {what}'s row is named by one", draft.table.name);
    report
        .add(codes::BAD_PRIMARY_KEY, span.clone(), message)
        .related(&draft.key_span, "the key")
        .help("give the table a key of one column, such as: id = \"uuid\"");
    false
}

fn is_possible(tables: &[DraftTable<'_>], at: usize, second: &Second, report: &mut Report) -> bool {
    let draft = &tables[at];
    let (name, span) = (&draft.table.name, &(second.span)(draft));
    let Second { what, why, way_out, prefix, columns, .. } = second;
    if !draft.table.sync {
        report
            .add(codes::LOCAL_TABLE, span.clone(), format!("table `{name}` is local: the server keeps the {what}"))
            .related(&draft.sync_span, "local by this")
            .help(format!("{way_out}, or remove `sync = false`"));
        return false;
    }
    let needed = (second.name)(&draft.table);
    if !names::check("table", &needed, span, report) {
        return false;
    }
    if let Some(other) = tables.iter().find(|t| t.table.name.eq_ignore_ascii_case(&needed)) {
        report
            .add(codes::DUPLICATE_NAME, span.clone(), format!("the {what} of `{name}` needs the name `{needed}`"))
            .related(&other.name_span, "this table has it")
            .help(format!("rename that table, or {way_out}"));
        return false;
    }
    let is_ours = |name: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if let Some(column) = draft.columns.iter().find(|c| is_ours(&c.column.name)) {
        report
            .add(
                codes::RESERVED_NAME,
                column.name_span.clone(),
                format!("names that begin with `{prefix}` are the {what}'s own"),
            )
            .related(span, *why)
            .help(format!("rename the column, or {way_out}"));
        return false;
    }
    if draft.columns.len() + columns > MAX_COLUMNS || tables.len() >= MAX_TABLES {
        let message = format!(
            "the {what} of `{name}` is a table of {columns} columns more; at most {MAX_COLUMNS} columns and {MAX_TABLES} \
             tables are allowed"
        );
        report.add(codes::SCHEMA_LIMIT, span.clone(), message).help(format!("split the table, or {way_out}"));
        return false;
    }
    true
}

fn second<'t>(of: &DraftTable<'t>, table: Table, second: &Second) -> DraftTable<'t> {
    let span = (second.span)(of);
    let column = |column: &crate::schema::Column| DraftColumn {
        column: column.clone(),
        name_span: span.clone(),
        type_span: span.clone(),
        required_span: None,
        assigned_span: None,
        reference: None,
    };
    DraftTable {
        columns: table.columns.iter().map(column).collect(),
        table,
        name_span: span.clone(),
        broken: of.broken.clone(),
        key: None,
        key_span: span.clone(),
        search: Vec::new(),
        search_span: 0..0,
        sync_span: span.clone(),
        schedule: None,
        history_span: span.clone(),
        versions_span: span,
        docs: Vec::new(),
        access: Vec::new(),
        access_span: 0..0,
    }
}

/// Who may read a row may read the history of what that row was then, and its conflicts; nobody but the server writes either.
/// Who may change the row resolves its conflicts, by deleting them, writes to its documents, and keeps and deletes versions.
pub(super) fn share_access(tables: &mut [DraftTable<'_>], seconds: Vec<(usize, usize)>, report: &mut Report) {
    for (second, of) in seconds {
        if tables[second].table.conflicts_of.is_some() {
            refuse_conflicting_access(&tables[of], report);
        }
        let Access { read, update: change, .. } = tables[of].table.access.clone();
        if tables[second].table.docs_of.is_some() {
            let of = tables[of].table.clone();
            let table = &mut tables[second].table;
            docs::copy_columns(table, &of);
            let never = Predicate::parse("FALSE", table, &[]).ok();
            table.access = Access { read, insert: change, update: never.clone(), delete: never };
            continue;
        }
        let table = &mut tables[second].table;
        let never = Predicate::parse("FALSE", table, &[]).ok();
        if table.versions_of.is_some() {
            table.access = Access { read, insert: change.clone(), update: never, delete: change };
            continue;
        }
        let delete = if table.conflicts_of.is_some() { change } else { never.clone() };
        table.access = Access { read, insert: never.clone(), update: never, delete };
    }
}

/// Who may see a conflict is told from the row with the value that gave way: a rule of access on such a column would show a
/// row to whoever was not given it.
fn refuse_conflicting_access(draft: &DraftTable<'_>, report: &mut Report) {
    let Access { read, update, .. } = &draft.table.access;
    let named = [read, update].into_iter().flatten().flat_map(Predicate::columns).collect::<Vec<_>>();
    for column in draft.columns.iter().filter(|c| c.column.merge.may_conflict() && named.contains(&c.column.name)) {
        let (name, rule) = (&column.column.name, column.column.merge.name());
        report
            .add(
                codes::CONTRADICTION,
                column.name_span.clone(),
                format!("who may read or change a row is told by `{name}`, whose merge rule is `{rule}`"),
            )
            .help("give it another merge rule, such as `lww`: a conflict would show the row to whoever lost it");
    }
}
