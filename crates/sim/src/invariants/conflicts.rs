//! `conflicts`: what a person chose or wrote, and what neither is in the row nor was replaced by somebody who had seen it, is a
//! conflict.

use landfall_core::hash::Cells;
use landfall_core::schema::{DeleteRule, Table};
use landfall_core::{CellWrite, Change, Operation, Transaction, Value};
use landfall_server::commit::{LogEntry, RowChange};

use super::Violation;
use crate::history::cell;
use crate::world::World;
use crate::{LEAST_SCORE, number};

/// How the marks begin that the workload leaves in texts, each once.
pub const MARK: &str = "mark";

/// Looks at a transaction that is about to be added to the history; how many conflicts it led to.
///
/// # Errors
/// When something that somebody wrote is nowhere any more.
pub fn are_kept(world: &World, entry: &LogEntry, transaction: &Transaction) -> Result<u64, Violation> {
    let mut kept = 0;
    for operation in &transaction.operations {
        kept += u64::from(delete(world, entry, operation)?);
        let base = match operation {
            Operation::Insert { base, .. } | Operation::Update { base, .. } => *base,
            Operation::Delete { .. } => continue,
        };
        let Some(table) = world.schema.table(operation.table()).filter(|table| table.may_conflict()) else { continue };
        let (name, conflicts) = (table.name.clone(), table.conflicts_table());
        let change = entry.changes.iter().find(|c| c.table == name && c.key == *operation.key());
        for write in operation.cells() {
            let rule = world.schema.table(&name).map_or("", |table| table.rule(&write.column).name());
            let missing = match (rule, write.change) {
                ("manual", None) => choice(world, entry, operation, write, write.base.unwrap_or(base), change),
                ("text", Some(Change::Edit)) => text(write, change),
                ("custom", Some(Change::Edit)) if matches!(operation, Operation::Update { .. }) => {
                    score(write, change)?
                }
                _ => continue,
            };
            let Some(missing) = missing else { continue };
            let is_it = |c: &&RowChange| {
                c.table == conflicts && c.after.as_ref().is_some_and(|row| shows(row, &write.column, &missing))
            };
            if entry.changes.iter().any(|c| is_it(&c)) {
                kept += 1;
                continue;
            }
            let text = format!(
                "{missing:?} of {} {:?} {} is neither there nor a conflict after sequence {}",
                name,
                operation.key(),
                write.column,
                entry.seq
            );
            return Err(Violation::new("conflicts", text));
        }
    }
    Ok(kept)
}

/// A delete against what somebody else wrote at the same time, where a person is to say what becomes of the row. Whether it was one.
fn delete(world: &World, entry: &LogEntry, operation: &Operation) -> Result<bool, Violation> {
    let (table, key) = (operation.table(), operation.key());
    let asks = |table: &&Table| table.on_delete_conflict == DeleteRule::Manual;
    let Some(conflicts) = world.schema.table(table).filter(asks).map(Table::conflicts_table) else { return Ok(false) };
    let change = entry.changes.iter().find(|c| c.table == table && c.key == *key);
    let now = world.history.row_at(table, key, entry.seq);
    let (before, after) = change.map_or((now, now), |change| (change.before.as_ref(), change.after.as_ref()));
    let is_told = entry.changes.iter().any(|c| {
        c.table == conflicts
            && c.after
                .as_ref()
                .is_some_and(|row| cell(row, "conflict_column").is_null() && key.0.first() == row.get("id"))
    });
    let wrong = |what: &str| {
        let text = format!("{table} {key:?} at {}: {what}", entry.seq);
        Err(Violation::new("conflicts", text))
    };
    match (operation, before, after) {
        (Operation::Delete { .. }, Some(_), Some(_)) if !is_told => {
            wrong("a delete came to nothing, and nobody is told")
        }
        (Operation::Update { .. }, None, Some(_)) if !is_told => wrong("it came back, and nobody is asked"),
        (Operation::Delete { base, .. }, Some(_), None) => {
            let by = |seq: &u64| world.history.log.get(seq).map(|logged| logged.replica);
            let since: Vec<_> = world.history.changes_after(table, key, *base).map(|seq| by(&seq)).collect();
            // Where the author has written since, it is not told by rows whose cells are whose.
            let unseen = !since.is_empty() && !since.contains(&Some(entry.replica));
            if unseen { wrong("a delete took what somebody else had written meanwhile") } else { Ok(false) }
        }
        (Operation::Delete { .. }, Some(_), Some(_)) | (Operation::Update { .. }, None, Some(_)) => Ok(true),
        _ => Ok(false),
    }
}

fn shows(row: &Cells, column: &str, missing: &Value) -> bool {
    let is_about = cell(row, "conflict_column") == &Value::Text(column.to_owned());
    is_about
        && match (cell(row, column), missing) {
            (Value::Text(text), Value::Text(missing)) => {
                text == missing || (missing.starts_with(MARK) && text.contains(missing))
            }
            (value, missing) => value == missing,
        }
}

/// Of two concurrent choices the one that is not shown.
fn choice(
    world: &World,
    entry: &LogEntry,
    operation: &Operation,
    write: &CellWrite,
    base: u64,
    change: Option<&RowChange>,
) -> Option<Value> {
    let (table, key) = (operation.table(), operation.key());
    let now = world.history.row_at(table, key, entry.seq)?;
    let before = change.map_or(Some(now), |change| change.before.as_ref())?;
    let after = change.map_or(Some(now), |change| change.after.as_ref())?;
    let (was, is) = (cell(before, &write.column), cell(after, &write.column));
    // Who changed it last, as far as that is seen: and nobody of the author's has touched the row since.
    let states = world.history.states(table, key);
    // A row that comes back has its cells as they were: that is no change of them.
    let values: Vec<(u64, &Value)> =
        states.iter().filter_map(|(seq, row)| Some((*seq, cell(row.as_ref()?, &write.column)))).collect();
    let last = values.windows(2).rev().find(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1].0)?;
    let by = |seq: u64| world.history.log.get(&seq).map(|logged| logged.replica);
    let is_concurrent = last > base && by(last) != Some(entry.replica);
    let own_since = states.iter().any(|(seq, _)| *seq > last && by(*seq) == Some(entry.replica));
    if !is_concurrent || own_since || *was == write.value {
        return None;
    }
    Some(if is == was { write.value.clone() } else { was.clone() })
}

/// What an app's own function decides is what it says of the three values, once more; what it does not decide is kept.
fn score(write: &CellWrite, change: Option<&RowChange>) -> Result<Option<Value>, Violation> {
    let (Value::Json(edit), Some(change)) = (&write.value, change) else { return Ok(None) };
    let edit: serde_json::Value = serde_json::from_str(edit).unwrap_or_default();
    let value = |json: &serde_json::Value| json.as_i64().map_or(Value::Null, Value::Int);
    let (was, is) = (value(&edit["was"]), value(&edit["is"]));
    let Some((before, after)) = change.before.as_ref().zip(change.after.as_ref()) else { return Ok(None) };
    let (before, after) = (cell(before, &write.column), cell(after, &write.column));
    let sum = number(before) + number(&is) - number(&was);
    // The column has the other bound.
    let (expected, missing) = match *before == was {
        true => (is, None),
        false if (LEAST_SCORE..=30).contains(&sum) => (Value::Int(sum), None),
        false => (before.clone(), Some(is)),
    };
    if *after == expected {
        return Ok(missing);
    }
    let text = format!("{before:?} and {:?} came to {after:?} instead of {expected:?}", write.value);
    Err(Violation::new("conflicts", text))
}

/// The mark of a text that is not in it.
fn text(write: &CellWrite, change: Option<&RowChange>) -> Option<Value> {
    let Value::Json(edit) = &write.value else { return None };
    let edit: serde_json::Value = serde_json::from_str(edit).ok()?;
    let (was, is) = (edit["was"].as_str()?, edit["is"].as_str()?);
    let change = change?;
    let marks = |text: &str| {
        text.split_whitespace().filter(|word| word.starts_with(MARK)).map(str::to_owned).collect::<Vec<_>>()
    };
    let text = |row: Option<&Cells>| row.and_then(|row| cell(row, &write.column).as_text().map(str::to_owned));
    let (before, after) = (text(change.before.as_ref()).unwrap_or_default(), text(change.after.as_ref())?);
    // What the author wrote, and what others did that the author had not seen.
    let own = marks(is).into_iter().filter(|mark| !was.contains(mark));
    let others = marks(&before).into_iter().filter(|mark| !was.contains(mark) && change.before.is_some());
    own.chain(others).find(|mark| !after.contains(mark)).map(Value::Text)
}
