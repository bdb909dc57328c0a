//! `history`: each change in a table that keeps its history has exactly one row there, written with it, which says what
//! happened, and by whom; and nothing is forgotten that a state within its time needs.

use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use landfall_core::schema::history::{change_row, image};
use landfall_core::{RowKey, Value};
use landfall_server::commit::{LogEntry, RowChange};

use super::{Violation, lost};
use crate::history::cell;
use crate::world::World;

fn broken<T>(text: String) -> Result<T, Violation> {
    Err(Violation::new("history", text))
}

fn histories(world: &World) -> impl Iterator<Item = (&Table, String)> {
    world.schema.tables.iter().filter(|table| table.history.is_some()).map(|table| (table, table.history_table()))
}

/// The rows of a history about one row, as they are, oldest first.
fn of_row<'a>(world: &'a World, history: &'a str, row: &Value) -> Vec<(&'a RowKey, &'a Cells)> {
    let mut rows: Vec<_> =
        world.history.rows_of(history).filter(|(_, cells)| cell(cells, "change_row") == row).collect();
    rows.sort_by_key(|(_, cells)| cell(cells, "change_seq").clone());
    rows
}

/// Looks at a transaction that is about to be added to the log.
///
/// # Errors
/// When what it changes is not in the history as it happened.
pub fn is_kept(world: &World, entry: &LogEntry) -> Result<(), Violation> {
    let pushed = world.pushed.get(&(entry.replica, entry.rseq, entry.hash));
    let action = pushed.map(|t| t.action.as_ref().map_or(Value::Null, |action| Value::Text(action.name.clone())));
    for (table, history) in histories(world) {
        let mut kept: Vec<&RowChange> = entry.changes.iter().filter(|c| c.table == history).collect();
        for change in entry.changes.iter().filter(|c| c.table == table.name && c.before != c.after) {
            let row = change_row(&table.name, &change.key);
            let is_new = of_row(world, &history, &row).is_empty();
            for (kind, shown) in expected(change, is_new) {
                let is_it = |c: &&RowChange| {
                    c.after.as_ref().is_some_and(|past| {
                        tells(table, past, &row, kind, shown) && is_by(past, kind, entry, action.as_ref())
                    })
                };
                let Some(at) = kept.iter().position(is_it) else {
                    let text =
                        format!("sequence {}: no {kind} of {} {:?} among {kept:?}", entry.seq, table.name, change.key);
                    return broken(text);
                };
                kept.remove(at);
            }
        }
        let of_lost = |past: &&Cells| lost::is_lost(past) && is_by(past, "lost", entry, action.as_ref());
        let gone: Vec<&Cells> = kept.iter().filter_map(|c| c.after.as_ref()).filter(of_lost).collect();
        kept.retain(|c| c.after.as_ref().is_none_or(|past| !of_lost(&past)));
        lost::is_told(world, entry, table, pushed, &gone)
            .or_else(|text| broken(format!("sequence {}, {history}: {text}", entry.seq)))?;
        for past in gone {
            let Some(now) = begun(world, entry, table, past) else { continue };
            let row = cell(past, "change_row");
            let begins = |c: &&RowChange| c.after.as_ref().is_some_and(|was| tells(table, was, row, "before", now));
            let Some(at) = kept.iter().position(begins) else {
                return broken(format!("sequence {}: the history of {row:?} begins with what was lost", entry.seq));
            };
            kept.remove(at);
        }
        if let Some(more) = kept.first() {
            return broken(format!("sequence {}: {more:?} is in {history}, and nothing happened", entry.seq));
        }
    }
    Ok(())
}

/// The row whose history begins with what was lost: its table kept none when it was made, and nothing has changed it since.
fn begun<'a>(world: &'a World, entry: &LogEntry, table: &Table, past: &Cells) -> Option<&'a Cells> {
    let key = table.key_of(past)?;
    let is_it = |c: &RowChange| c.table == table.name && c.key == key && c.before != c.after;
    let has_past = !of_row(world, &table.history_table(), cell(past, "change_row")).is_empty();
    let is_it = has_past || entry.changes.iter().any(is_it);
    world.history.row_at(&table.name, &key, entry.seq).filter(|_| !is_it)
}

/// What a history tells of a change: its kind, and the row as it is shown.
fn expected(change: &RowChange, is_new: bool) -> Vec<(&'static str, &Cells)> {
    let began = change.before.as_ref().filter(|_| is_new).map(|before| ("before", before));
    let now = match (&change.before, &change.after) {
        (None, Some(after)) => Some(("insert", after)),
        (Some(_), Some(after)) => Some(("update", after)),
        (Some(before), None) => Some(("delete", before)),
        (None, None) => None,
    };
    began.into_iter().chain(now).collect()
}

fn tells(table: &Table, past: &Cells, row: &Value, kind: &str, shown: &Cells) -> bool {
    let same = |(name, value): (&String, &Value)| cell(past, name) == value;
    cell(past, "change_row") == row
        && *cell(past, "change_kind") == Value::Text(kind.into())
        && image(table, shown).iter().all(same)
}

fn is_by(past: &Cells, kind: &str, entry: &LogEntry, action: Option<&Value>) -> bool {
    if kind == "before" {
        return *cell(past, "change_seq") == Value::Int(0) && cell(past, "change_at").is_null();
    }
    [
        ("change_seq", Value::Int(entry.seq as i64)),
        ("change_at", Value::Timestamp(entry.at_ms as i64 * 1_000)),
        ("change_written", Value::Timestamp(entry.stamp.wall_ms as i64 * 1_000)),
        ("change_by", Value::Text(entry.subject.clone())),
        ("change_device", Value::Uuid(entry.replica.0)),
    ]
    .iter()
    .all(|(name, value)| cell(past, name) == value)
        && action.is_none_or(|action| cell(past, "change_action") == action)
}

/// Whether an entry is the server's forgetting of histories.
///
/// # Errors
/// When it forgets what a state within its time needs.
pub fn is_forgetting(world: &World, entry: &LogEntry) -> Result<bool, Violation> {
    for change in &entry.changes {
        let Some((table, history)) = histories(world).find(|(_, history)| *history == change.table) else {
            return Ok(false);
        };
        let past = world.history.row_at(&change.table, &change.key, entry.seq);
        let (Some(past), None, None) = (past, &change.before, &change.after) else { return Ok(false) };
        let Some(keep_ms) = table.history.and_then(|history| history.keep_ms) else {
            return broken(format!("sequence {}: {history} is kept for good, and {past:?} is forgotten", entry.seq));
        };
        let is_old = |past: &Cells| match cell(past, "change_at") {
            Value::Timestamp(at_us) => (*at_us as u64) / 1_000 + keep_ms <= entry.at_ms,
            _ => true,
        };
        let later = |other: &Cells| {
            cell(other, "change_seq") > cell(past, "change_seq") && is_old(other) && !lost::is_lost(other)
        };
        let rows = of_row(world, &history, cell(past, "change_row"));
        let is_replaced = rows.iter().any(|(_, other)| later(other));
        // What it deleted would be there again, where the clock was ahead when that was made.
        let hides = |other: &Cells| {
            cell(other, "change_seq") < cell(past, "change_seq") && !is_old(other) && !lost::is_lost(other)
        };
        let is_delete = *cell(past, "change_kind") == Value::Text("delete".into());
        let is_over = is_delete && !rows.iter().any(|(_, other)| hides(other));
        if !is_old(past) || !(is_replaced || is_over || lost::is_lost(past)) {
            let text = format!("sequence {} at {} forgets {past:?}, which {rows:?} need", entry.seq, entry.at_ms);
            return broken(text);
        }
    }
    Ok(!entry.changes.is_empty())
}
