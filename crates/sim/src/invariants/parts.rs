//! `merge`, of columns that are changed in parts: what the server makes of a set or a map, told from what was pushed.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::hash::Cells;
use landfall_core::{CellWrite, Change, Operation, Value};
use landfall_server::commit::LogEntry;
use serde_json::{Map, Value as Json};

use super::Violation;
use crate::history::cell;
use crate::world::World;

fn read(value: &Value) -> Json {
    match value {
        Value::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        _ => Json::Null,
    }
}

/// The elements of a set.
fn elements(value: &Json) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(Json::to_string).collect()
}

/// The paths of a map to what is no object, or has nothing in it.
fn leaves(value: &Json) -> BTreeMap<String, Json> {
    fn walk(at: &str, value: &Json, into: &mut BTreeMap<String, Json>) {
        match value.as_object().filter(|object| !object.is_empty()) {
            Some(object) => object.iter().for_each(|(name, part)| walk(&format!("{at}/{name}"), part, into)),
            None if at.is_empty() => {}
            None => _ = into.insert(at.to_owned(), value.clone()),
        }
    }
    let mut found = BTreeMap::new();
    walk("", value, &mut found);
    found
}

/// What a device shows of a value over which its own changes lie.
pub fn over(rule: &str, value: &Value, changes: &[Value]) -> Value {
    let mut now = read(value);
    for change in changes.iter().map(read) {
        if rule == "set" {
            let mut set = elements(&now);
            set.retain(|element| !elements(&change["remove"]).contains(element));
            set.extend(elements(&change["add"]));
            now = set.iter().filter_map(|text| serde_json::from_str::<Json>(text).ok()).collect();
            continue;
        }
        let mut map = leaves(&now);
        for path in change["remove"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            map.remove(path);
        }
        for (path, leaf) in change["set"].as_object().unwrap_or(&Map::new()) {
            let apart =
                |other: &str| !other.starts_with(&format!("{path}/")) && !path.starts_with(&format!("{other}/"));
            map.retain(|other, _| apart(other));
            map.insert(path.clone(), leaf.clone());
        }
        now = Json::Object(Map::new());
        for (path, leaf) in map {
            let mut at = &mut now;
            for name in path.split('/').skip(1) {
                at = &mut at[name];
            }
            *at = leaf;
        }
    }
    Value::Json(now.to_string())
}

/// Looks at one change of a set or a map.
///
/// # Errors
/// When the server made something else of it than its rule says.
pub fn merged(
    world: &World,
    entry: &LogEntry,
    operation: &Operation,
    write: &CellWrite,
    base: u64,
) -> Result<(), Violation> {
    let (table, key) = (operation.table(), operation.key());
    let change = entry.changes.iter().find(|c| c.table == table && c.key == *key);
    let value = |row: Option<&Cells>| row.map(|row| read(cell(row, &write.column)));
    // Nothing was written, or the row came back as it was last.
    let Some((Some(before), Some(after))) = change.map(|c| (value(c.before.as_ref()), value(c.after.as_ref()))) else {
        return Ok(());
    };
    if matches!(operation, Operation::Insert { .. }) {
        // Who makes a row that is there adds to it, or nothing.
        return Ok(());
    }
    let rule = world.schema.table(table).map_or("", |t| t.rule(&write.column).name());
    let wrong = |what: String| {
        let text = format!(
            "{table} {key:?} {}: {before} and {:?} of {} with base {base} came to {after} at {}: {what}",
            write.column, write.value, entry.replica, entry.seq
        );
        Err(Violation::new("merge", text))
    };
    let edit = read(&write.value);
    let others: Vec<u64> = world.history.changes_after(table, key, base).collect();
    let is_other = |seq: &&u64| world.history.log.get(*seq).is_none_or(|logged| logged.replica != entry.replica);
    let others: Vec<u64> = others.iter().filter(is_other).copied().collect();
    if rule == "set" {
        let (was, is) = (elements(&before), elements(&after));
        let (add, remove) = (elements(&edit["add"]), elements(&edit["remove"]));
        if let Some(missing) = add.difference(&is).next() {
            return wrong(format!("{missing} was added, and is not there"));
        }
        let named: BTreeSet<String> = add.union(&remove).cloned().collect();
        if !was.difference(&named).eq(is.difference(&named)) {
            return wrong("something else changed, too".to_owned());
        }
        for element in &remove {
            let touches = |seq: &u64, name: &str| touched(world, *seq, operation, write, name, element);
            let added = others.iter().any(|seq| touches(seq, "add"));
            let removed = others.iter().any(|seq| touches(seq, "remove"));
            if is.contains(element) && !added {
                return wrong(format!("{element} was removed, and is there"));
            }
            // What was added before the element was last gone, as with its row, is not what is removed now.
            let gone = world.history.changes_after(table, key, base).filter(|seq| {
                *seq < entry.seq
                    && !value(world.history.row_at(table, key, *seq)).is_some_and(|v| elements(&v).contains(element))
            });
            let gone = gone.max().unwrap_or(0);
            let added = others.iter().any(|seq| *seq > gone && touches(seq, "add"));
            if was.contains(element) && !is.contains(element) && added && !removed {
                return wrong(format!("{element} was added by somebody else, and is not there"));
            }
        }
        return Ok(());
    }
    let is = leaves(&after);
    if !others.is_empty() {
        return match by_stamp(world, entry, (operation, write), &others, (&leaves(&before), &is)) {
            Some(path) => wrong(format!("{path} was written with a larger stamp by somebody else, and is replaced")),
            None => Ok(()),
        };
    }
    let set = edit["set"].as_object().cloned().unwrap_or_default();
    if let Some((path, _)) = set.iter().find(|(path, leaf)| is.get(*path) != Some(*leaf)) {
        return wrong(format!("{path} is not what was written, which nobody else changed since"));
    }
    let mut gone = edit["remove"].as_array().into_iter().flatten().filter_map(Json::as_str);
    match gone.find(|path| is.contains_key(*path)) {
        Some(path) => wrong(format!("{path} was removed, and is there")),
        None => Ok(()),
    }
}

/// A path that somebody else has set with a larger stamp, which the author had not seen, and that is another now.
fn by_stamp(
    world: &World,
    entry: &LogEntry,
    (operation, write): (&Operation, &CellWrite),
    others: &[u64],
    (before, after): (&BTreeMap<String, Json>, &BTreeMap<String, Json>),
) -> Option<String> {
    let (table, key) = (operation.table(), operation.key());
    let edit = read(&write.value);
    let set = edit["set"].as_object().cloned().unwrap_or_default();
    let own = |seq: &u64| world.history.log.get(seq).is_some_and(|logged| logged.replica == entry.replica);
    let is_newer = |seq: &&u64, path: &str| {
        let Some(logged) = world.history.log.get(*seq).filter(|logged| logged.stamp > entry.stamp) else {
            return false;
        };
        let Some(transaction) = world.pushed.get(&(logged.replica, logged.rseq, logged.hash)) else { return false };
        // Who makes a row that is there says nothing new with what the column begins with.
        let is_update = |o: &&Operation| matches!(o, Operation::Update { .. }) && o.table() == table && o.key() == key;
        let cells = transaction.operations.iter().filter(is_update).flat_map(Operation::cells);
        let sets = cells.filter(|c| c.column == write.column && c.change == Some(Change::Edit));
        // Nobody of the author's has written there since.
        sets.into_iter().any(|cell| read(&cell.value)["set"].get(path).is_some())
            && !world.history.changes_after(table, key, **seq).any(|seq| own(&seq))
    };
    let path =
        set.keys().find(|path| others.iter().any(|seq| is_newer(&seq, path)) && before.get(*path) != after.get(*path));
    path.cloned()
}

/// Whether a transaction of the log named an element of this cell.
fn touched(world: &World, seq: u64, operation: &Operation, write: &CellWrite, name: &str, element: &str) -> bool {
    let Some(logged) = world.history.log.get(&seq) else { return true };
    let Some(transaction) = world.pushed.get(&(logged.replica, logged.rseq, logged.hash)) else { return true };
    let of_row = |o: &&Operation| o.table() == operation.table() && o.key() == operation.key();
    let cells = transaction.operations.iter().filter(of_row).flat_map(Operation::cells);
    cells.filter(|c| c.column == write.column).any(|cell| match cell.change {
        Some(Change::Edit) => elements(&read(&cell.value)[name]).contains(element),
        _ => true,
    })
}
