//! `history`, of what was lost: what a device wrote of a row whose table keeps its history is in the row, or the history says that
//! it was lost; and what it says so of was written, and is nowhere in the row.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use landfall_core::schema::history::{ChangeKind, image};
use landfall_core::{Operation, RowKey, Transaction, Value};
use landfall_server::commit::LogEntry;

use crate::history::cell;
use crate::world::World;

/// Whether a row of a history tells of what was lost.
pub fn is_lost(past: &Cells) -> bool {
    *cell(past, "change_kind") == ChangeKind::Lost.value()
}

/// A row as a transaction has left it.
enum Row<'a> {
    Live(&'a Cells),
    /// It was gone before, as it was last.
    Gone(&'a Cells),
    /// It was deleted by the transaction, or nobody ever saw it.
    Other,
}

fn left<'a>(world: &'a World, entry: &'a LogEntry, table: &Table, key: &RowKey) -> Row<'a> {
    if let Some(change) = entry.changes.iter().find(|c| c.table == table.name && c.key == *key) {
        return change.after.as_ref().map_or(Row::Other, Row::Live);
    }
    if let Some(now) = world.history.row_at(&table.name, key, entry.seq) {
        return Row::Live(now);
    }
    let last = world.history.states(&table.name, key).iter().rev().find_map(|(_, row)| row.as_ref());
    last.map_or(Row::Other, Row::Gone)
}

/// What a transaction wrote of a row.
fn written(transaction: Option<&Transaction>, table: &Table) -> BTreeMap<RowKey, BTreeMap<String, Value>> {
    let operations = transaction.into_iter().flat_map(|t| &t.operations).filter(|o| o.table() == table.name);
    let cells = operations.filter_map(|operation| match operation {
        Operation::Insert { key, cells, .. } | Operation::Update { key, cells, .. } => {
            Some((key.clone(), cells.iter().map(|c| (c.column.clone(), c.value.clone())).collect()))
        }
        Operation::Delete { .. } => None,
    });
    cells.collect()
}

/// Which of what the transaction wrote is neither in its row nor in `told`, by row.
///
/// # Errors
/// What is told wrongly, or not told.
pub fn is_told(
    world: &World,
    entry: &LogEntry,
    table: &Table,
    transaction: Option<&Transaction>,
    told: &[&Cells],
) -> Result<(), String> {
    let secret = table.access.read.as_ref().map(|rule| rule.columns()).unwrap_or_default();
    let written = written(transaction, table);
    for past in told {
        let Some(key) = table.key_of(past) else { return Err(format!("{past:?} is about no row")) };
        let columns = cell(past, "change_columns").to_json();
        let columns: Vec<&str> = columns.as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
        let wrote = |name: &&str| {
            written.get(&key).is_none_or(|row| row.get(*name) == Some(cell(past, name)))
                && !secret.iter().any(|column| column == name)
        };
        let is_other = |row: &Cells| {
            let same = |(name, value): (&String, &Value)| cell(past, name) == value;
            columns.iter().all(|name| cell(row, name) != cell(past, name))
                && image(table, row).iter().filter(|(name, _)| !columns.contains(&name.as_str())).all(same)
        };
        let fits = match left(world, entry, table, &key) {
            Row::Live(row) | Row::Gone(row) => is_other(row),
            Row::Other => true,
        };
        if columns.is_empty() || !columns.iter().all(wrote) || !fits {
            return Err(format!("{past:?} is told to be lost, and was not"));
        }
    }
    // A handler may write over what was asked for.
    if transaction.is_none_or(|t| t.action.is_some()) {
        return Ok(());
    }
    for (key, cells) in written {
        let (Row::Live(row) | Row::Gone(row)) = left(world, entry, table, &key) else { continue };
        let is_there = |(name, value): &(String, Value)| {
            let is_told = |past: &&Cells| table.key_of(past).as_ref() == Some(&key) && cell(past, name) == value;
            cell(row, name) == value || secret.iter().any(|column| column == name) || told.iter().any(is_told)
        };
        if let Some((name, value)) = cells.into_iter().find(|cell| !is_there(cell)) {
            return Err(format!(
                "{value:?} was written into {name} of {key:?}, and is neither there nor in the history"
            ));
        }
    }
    Ok(())
}
