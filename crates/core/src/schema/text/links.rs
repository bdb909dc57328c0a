//! What concerns several parts of the schema: keys, references, search tables, local tables.

use std::collections::BTreeMap;

use super::columns::refused_in_key;
use super::sending;
use super::tables::DraftTable;
use super::{Report, Span, names};
use crate::error::codes;
use crate::schema::{OnDelete, Reference};
use crate::value::ColumnType;

const LOCAL_REFERENCE_HELP: &str = "keep the other row's key in a plain column; a row leaves a device without being \
                                    deleted, so that nothing could hold the reference";

/// What a reference needs to know of each table, by name.
pub(super) type Targets = BTreeMap<String, Target>;

/// Checks what the drafts say about each other, and completes the tables (all but access).
pub(super) fn check(tables: &mut [DraftTable<'_>], report: &mut Report) -> Targets {
    for table in &mut *tables {
        resolve_key(table, report);
        resolve_search(table, report);
        sending::link(table, report);
        check_local(table, report);
    }
    check_search_names(tables, report);
    let targets: Targets = tables.iter().map(|t| (t.table.name.clone(), Target::of(t))).collect();
    for table in tables {
        resolve_references(table, &targets, report);
        check_assigned(table, report);
        table.table.columns = table.columns.iter().map(|c| c.column.clone()).collect();
    }
    targets
}

fn resolve_key(draft: &mut DraftTable<'_>, report: &mut Report) {
    let Some(words) = draft.key.clone() else {
        if draft.column("id").is_some() {
            use_key(draft, &[("id", draft.name_span.clone())], report);
        } else if !draft.broken.contains(&"id") && (!draft.columns.is_empty() || !draft.broken.is_empty()) {
            report
                .add(
                    codes::BAD_PRIMARY_KEY,
                    draft.name_span.clone(),
                    format!("table `{}` has no primary key", draft.table.name),
                )
                .help("add a column: id = \"uuid\", or name the key: primary_key = [\"…\"]");
        }
        return;
    };
    if words.is_empty() {
        report
            .add(
                codes::BAD_PRIMARY_KEY,
                draft.key_span.clone(),
                format!("the primary key of table `{}` is empty", draft.table.name),
            )
            .help("name its columns, or remove it to use `id`");
    }
    use_key(draft, &words, report);
}

fn use_key(draft: &mut DraftTable<'_>, words: &[(&str, Span)], report: &mut Report) {
    for (name, span) in words {
        if draft.table.is_key(name) {
            report
                .add(codes::BAD_PRIMARY_KEY, span.clone(), format!("`{name}` is in the key twice"))
                .help("remove one");
            continue;
        }
        let Some(column) = draft.columns.iter_mut().find(|c| c.column.name == *name) else {
            draft.unknown_column(name, span, report);
            continue;
        };
        if let Some((code, help)) = refused_in_key(column.column.ty) {
            let message = format!("a column of type {} cannot be part of a key", column.column.ty);
            report.add(code, column.type_span.clone(), message).help(help);
        }
        // No row is without its key.
        column.column.required = true;
        draft.table.primary_key.push((*name).to_owned());
    }
}

fn resolve_search(draft: &mut DraftTable<'_>, report: &mut Report) {
    let mut chosen: Vec<String> = Vec::new();
    for (name, span) in &draft.search {
        let Some(column) = draft.column(name) else {
            draft.unknown_column(name, span, report);
            continue;
        };
        let mut refuse = |message: String, help: &str| {
            report.add(codes::BAD_SEARCH, span.clone(), message).help(help);
        };
        if column.column.ty != ColumnType::Text {
            refuse(format!("`{name}` is of type {}, search is for text", column.column.ty), "remove it from `search`");
        } else if matches!(name.to_ascii_lowercase().as_str(), "rank") {
            refuse(
                format!("a search table has a column `{name}` of its own"),
                "rename the column, or remove it from `search`",
            );
        } else if chosen.iter().any(|c| c == name) {
            refuse(format!("`{name}` is in `search` twice"), "remove one");
        } else {
            chosen.push((*name).to_owned());
        }
    }
    draft.table.search = chosen;
}

/// The search table and the tables in which FTS5 keeps its index must not meet the app's.
fn check_search_names(tables: &[DraftTable<'_>], report: &mut Report) {
    let own: BTreeMap<String, &DraftTable<'_>> =
        tables.iter().map(|t| (t.table.name.to_ascii_lowercase(), t)).collect();
    for draft in tables.iter().filter(|t| !t.search.is_empty()) {
        let search = draft.table.search_table();
        let shadows = ["", "_data", "_idx", "_content", "_docsize", "_config"].map(|s| format!("{search}{s}"));
        for taken in shadows.iter().filter_map(|name| own.get(&name.to_ascii_lowercase())) {
            report
                .add(
                    codes::BAD_SEARCH,
                    draft.search_span.clone(),
                    format!("the search table `{search}` needs the name `{}`", taken.table.name),
                )
                .related(&taken.name_span, "this table has it")
                .help("rename that table, or remove `search`");
        }
        if let Some(column) = draft.columns.iter().find(|c| c.column.name.eq_ignore_ascii_case(&search)) {
            report
                .add(
                    codes::BAD_SEARCH,
                    column.name_span.clone(),
                    format!("the search table has a column `{search}` of its own"),
                )
                .help("rename this column, or remove `search`");
        }
    }
}

fn check_local(draft: &mut DraftTable<'_>, report: &mut Report) {
    if draft.table.sync || draft.access.is_empty() {
        return;
    }
    report
        .add(
            codes::LOCAL_TABLE,
            draft.access_span.clone(),
            format!("table `{}` is local: access rules are for the server", draft.table.name),
        )
        .related(&draft.sync_span, "local by this")
        .help("remove the rules, or remove `sync = false`");
    draft.access.clear();
}

/// Only a column that may be NULL, of a table that the server has, can wait for the server to fill it.
fn check_assigned(draft: &DraftTable<'_>, report: &mut Report) {
    for column in &draft.columns {
        let Some(span) = &column.assigned_span else { continue };
        let name = &column.column.name;
        if !draft.table.sync {
            report
                .add(
                    codes::LOCAL_TABLE,
                    span.clone(),
                    format!("table `{}` is local: no server fills it", draft.table.name),
                )
                .related(&draft.sync_span, "local by this")
                .help("remove `assigned`, or remove `sync = false`");
        } else if column.column.required {
            let finding = report.add(
                codes::CONTRADICTION,
                span.clone(),
                format!("`{name}` is NULL until the server fills it, but a value is required"),
            );
            match &column.required_span {
                Some(span) => finding.related(span, "required by this"),
                None => finding.label("it is part of the key"),
            };
            finding.help("let the column be NULL: the interface shows it as pending until then");
        } else if column.column.default.is_some() {
            report
                .add(codes::CONTRADICTION, span.clone(), format!("`{name}` is filled by the server, and has a default"))
                .help("remove one of the two");
        }
    }
}

/// What a reference needs to know of its target.
pub(super) struct Target {
    sync: bool,
    /// Type of the key's only column; `None`: several.
    key: Option<ColumnType>,
    name_span: Span,
    /// The key could not be read.
    broken: bool,
}

impl Target {
    fn of(draft: &DraftTable<'_>) -> Self {
        let key = &draft.table.primary_key;
        let single = key.first().filter(|_| key.len() == 1).and_then(|k| draft.column(k)).map(|c| c.column.ty);
        let written = draft.key.as_ref().map_or(1, Vec::len);
        Self { sync: draft.table.sync, key: single, name_span: draft.name_span.clone(), broken: key.len() != written }
    }
}

fn resolve_references(draft: &mut DraftTable<'_>, targets: &BTreeMap<String, Target>, report: &mut Report) {
    let (sync, name) = (draft.table.sync, draft.table.name.clone());
    for column in &mut draft.columns {
        resolve_reference(column, (sync, &name), targets, report);
    }
}

/// Resolves the reference of a column of a table (synced or not, name), or of an argument of an action.
pub(super) fn resolve_reference(
    column: &mut super::columns::DraftColumn<'_>,
    (sync, name): (bool, &str),
    targets: &Targets,
    report: &mut Report,
) {
    let Some(reference) = &column.reference else {
        return;
    };
    let Some(target) = targets.get(reference.table) else {
        report
            .add(
                codes::UNKNOWN_TABLE,
                reference.span.clone(),
                format!("there is no table {}", names::show(reference.table)),
            )
            .help(names::suggest(reference.table, targets.keys().map(String::as_str)));
        return;
    };
    if !sync || !target.sync {
        let local = if sync { reference.table } else { name };
        let message = format!("table `{local}` is local: it takes no part in references");
        report.add(codes::LOCAL_TABLE, reference.span.clone(), message).help(LOCAL_REFERENCE_HELP);
        return;
    }
    if !target.broken {
        check_target(column, reference.table, target, &reference.span, report);
    }
    if reference.on_delete == OnDelete::SetNull && column.column.required {
        let finding = report.add(
            codes::SET_NULL_REQUIRED,
            reference.on_delete_span.clone(),
            format!("`{}` cannot be set to NULL: it is required", column.column.name),
        );
        match &column.required_span {
            Some(span) => finding.related(span, "required by this"),
            None => finding.label("it is part of the key"),
        };
        finding.help("use on_delete = \"cascade\" or \"restrict\", or let the column be NULL");
    }
    let (table, on_delete) = (reference.table.to_owned(), reference.on_delete);
    column.column.references = Some(Reference { table, on_delete });
}

fn check_target(
    column: &super::columns::DraftColumn<'_>,
    name: &str,
    target: &Target,
    span: &Span,
    report: &mut Report,
) {
    let own = column.column.ty;
    match target.key {
        None => {
            report
                .add(codes::BAD_REFERENCE, span.clone(), format!("the key of table `{name}` has several columns"))
                .related(&target.name_span, "this table")
                .help("a reference is to a key of one column; give that table an `id`");
        }
        Some(key) if key != own => {
            report
                .add(
                    codes::BAD_REFERENCE,
                    span.clone(),
                    format!("the key of table `{name}` is of type {key}, this column is of type {own}"),
                )
                .related(&column.type_span, "this column's type")
                .help(format!("use type {key}"));
        }
        Some(_) => {}
    }
}
