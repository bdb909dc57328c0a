//! Actions.

use super::columns::{self, DraftColumn};
use super::links::{self, Targets};
use super::reader::{Entry, Section};
use super::sending::{self, DraftSchedule};
use super::{MAX_COLUMNS, Report, names};
use crate::error::codes;
use crate::schema::{ActionDef, Sending};

/// Rules of a column that say nothing of an argument, which nobody stores.
const OF_ROWS: &[&str] = &["unique", "merge", "on_delete", "default", "assigned"];

/// An action as far as it could be read by itself.
#[derive(Debug)]
pub(super) struct DraftAction<'t> {
    name: &'t str,
    sending: Sending,
    schedule: Option<DraftSchedule<'t>>,
    args: Vec<DraftColumn<'t>>,
}

/// Reads `[actions]`.
pub(super) fn read<'t>(top: &mut Section<'t>, report: &mut Report) -> Vec<DraftAction<'t>> {
    let Some(entry) = top.take("actions") else {
        return Vec::new();
    };
    let Some(section) = Section::of(&entry, "[actions]".into(), report) else {
        return Vec::new();
    };
    let entries = section.into_entries();
    names::check_unique("action", entries.iter().map(|e| (e.key, &e.key_span)), report);
    entries.iter().filter_map(|e| read_one(e, report)).collect()
}

fn read_one<'t>(entry: &Entry<'t>, report: &mut Report) -> Option<DraftAction<'t>> {
    let named = names::check("action", entry.key, &entry.key_span, report);
    let mut section = Section::of(entry, format!("action `{}`", entry.key), report)?;
    let (sending, schedule) = sending::read(&mut section, report);
    let args = section.take("args").map_or_else(Vec::new, |e| read_args(&e, entry.key, report));
    section.finish(report);
    named.then_some(DraftAction { name: entry.key, sending, schedule, args })
}

fn read_args<'t>(entry: &Entry<'t>, action: &str, report: &mut Report) -> Vec<DraftColumn<'t>> {
    let Some(section) = Section::of(entry, format!("`args` of action `{action}`"), report) else {
        return Vec::new();
    };
    let entries = section.into_entries();
    if let Some(beyond) = entries.get(MAX_COLUMNS) {
        let message = format!("action `{action}` has {} arguments, at most {MAX_COLUMNS} are allowed", entries.len());
        report.add(codes::SCHEMA_LIMIT, beyond.key_span.clone(), message).help("put them into one of type json");
    }
    names::check_unique("argument", entries.iter().map(|e| (e.key, &e.key_span)), report);
    entries.iter().take(MAX_COLUMNS).filter_map(|e| read_arg(e, report)).collect()
}

fn read_arg<'t>(entry: &Entry<'t>, report: &mut Report) -> Option<DraftColumn<'t>> {
    if let Some(table) = entry.value.as_table() {
        for (key, _) in table.iter().filter(|(key, _)| OF_ROWS.contains(&key.get_ref().as_ref())) {
            let key_name: &str = key.get_ref().as_ref();
            report
                .add(codes::NOT_APPLICABLE, key.span(), format!("`{key_name}` means nothing for an argument"))
                .help("remove it; an argument has a type, bounds, and may be `required`");
        }
    }
    columns::read(entry, report)
}

/// Resolves what the arguments refer to.
pub(super) fn resolve(mut draft: DraftAction<'_>, targets: &Targets, report: &mut Report) -> ActionDef {
    for arg in &mut draft.args {
        links::resolve_reference(arg, (true, draft.name), targets, report);
    }
    let args: Vec<_> = draft.args.into_iter().map(|arg| arg.column).collect();
    let schedule = draft.schedule.and_then(|schedule| {
        let (name, span) = schedule.by().clone();
        let Some(arg) = args.iter().find(|arg| arg.name == name) else {
            let message = format!("action `{}` has no argument {}", draft.name, names::show(name));
            report
                .add(codes::UNKNOWN_COLUMN, span, message)
                .help(names::suggest(name, args.iter().map(|arg| arg.name.as_str())));
            return None;
        };
        schedule.of(arg, report)
    });
    ActionDef { name: draft.name.to_owned(), sending: draft.sending, schedule, args }
}
