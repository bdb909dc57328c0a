//! `settled`: what merging breaks is settled as it is declared: no two rows have one name, whoever takes a name that is taken has one
//! that tells of it, and neither that nor an orphan is ever refused.

use landfall_client::db::EntryState;
use landfall_core::error::codes;
use landfall_core::{CellWrite, Operation, Transaction, Value};
use landfall_server::commit::LogEntry;

use super::Violation;
use crate::history::cell;
use crate::world::World;

/// The table and its column whose values are unique, and renamed.
const NAMES: (&str, &str) = ("parents", "label");

/// Looks at a transaction that is about to be added to the history.
///
/// # Errors
/// When a name is there twice, or is another one than its author's with a number behind it.
pub fn names(world: &World, entry: &LogEntry, transaction: &Transaction) -> Result<u64, Violation> {
    let (table, column) = NAMES;
    let mut renamed = 0;
    for change in entry.changes.iter().filter(|change| change.table == table) {
        let Some(name) = change.after.as_ref().map(|row| cell(row, column)).filter(|name| !name.is_null()) else {
            continue;
        };
        let wrong = |what: String| Err(Violation::new("settled", format!("{:?} at {}: {what}", change.key, entry.seq)));
        let is_in_entry =
            |key: &landfall_core::RowKey| entry.changes.iter().any(|other| other.table == table && other.key == *key);
        let mut others = world.history.rows_of(table).filter(|(key, _)| !is_in_entry(key));
        let beside = |other: &&landfall_server::commit::RowChange| {
            other.table == table
                && other.key != change.key
                && other.after.as_ref().is_some_and(|row| cell(row, column) == name)
        };
        if others.any(|(_, row)| cell(row, column) == name) || entry.changes.iter().any(|other| beside(&other)) {
            return wrong(format!("{name:?} is the name of another row, too"));
        }
        let of_row = |o: &&Operation| o.table() == table && o.key() == &change.key;
        let written = transaction.operations.iter().find(of_row).and_then(|operation| operation.value(column));
        let was = change.before.as_ref().map(|row| cell(row, column));
        match (written, name) {
            (Some(Value::Text(written)), Value::Text(name))
                if was != Some(&Value::Text(name.clone())) && written != name =>
            {
                if !name.starts_with(&format!("{written} (")) {
                    return wrong(format!("{written:?} was written, and it is {name:?}"));
                }
                renamed += 1;
            }
            _ => {}
        }
    }
    Ok(renamed)
}

/// Whether a write is one whose outcome may be another name.
pub fn may_be_renamed(operation: &Operation, write: &CellWrite) -> bool {
    (operation.table(), write.column.as_str()) == NAMES
}

/// No device has a dead letter for a name that was taken, or for a row that names what is not there.
///
/// # Errors
/// When one has.
pub fn none_refused(world: &World, device: usize) -> Result<(), Violation> {
    let Some(process) = &world.devices[device].process else { return Ok(()) };
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    let is_settled = |code: &landfall_core::Code, column: Option<&str>| {
        (*code == codes::UNIQUE && column == Some(NAMES.1)) || (*code == codes::REFERENCE && column == Some("friend"))
    };
    for dead in outbox.iter().filter(|entry| entry.state == EntryState::Dead) {
        if let Some(problem) = dead.problem.as_ref().filter(|p| is_settled(&p.code, p.column.as_deref())) {
            let text = format!("{} has a dead letter: {problem:?}", world.devices[device].name);
            return Err(Violation::new("settled", text));
        }
    }
    Ok(())
}
