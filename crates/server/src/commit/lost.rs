//! What gave way to what others wrote meanwhile. Conflicts are for a person to decide about; of all else that somebody wrote and
//! that is nowhere in the row the table's history keeps a row of its own, so that nothing that was typed disappears.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::merge::{Sibling, StoredRow};
use landfall_core::schema::Table;
use landfall_core::{Operation, RowKey, Value};

use super::Plan;
use super::entry::Touched;

/// What gave way, of one entry.
#[derive(Default)]
pub(super) struct GaveWay {
    /// How many cells.
    pub(super) cells: u64,
    /// What a person decides about.
    pub(super) conflicts: Vec<Conflict>,
    /// By table and key, for the history of the row.
    values: BTreeMap<(usize, RowKey), Cells>,
}

/// A value that gave way, in a row as it is otherwise.
pub(super) struct Conflict {
    pub(super) table: usize,
    pub(super) key: RowKey,
    pub(super) row: Cells,
    pub(super) sibling: Sibling,
}

/// What somebody wrote of a row, and is not in it.
pub(super) struct Lost {
    pub(super) table: usize,
    pub(super) key: RowKey,
    /// The row before the entry, where there was one.
    pub(super) before: Option<Cells>,
    /// The row as it is, but for what was lost: that is as it was written.
    pub(super) row: Cells,
    /// The columns of what was lost, in order.
    pub(super) columns: Vec<String>,
}

impl GaveWay {
    /// Values that gave way become conflicts, if the entry is accepted.
    pub(super) fn conflict(&mut self, table: usize, key: &RowKey, row: &Cells, siblings: &[Sibling]) {
        let conflict =
            |sibling: &Sibling| Conflict { table, key: key.clone(), row: row.clone(), sibling: sibling.clone() };
        self.conflicts.extend(siblings.iter().map(conflict));
    }

    /// Remembers what an operation wrote into `lost` and into the siblings that it made, where the table keeps its history.
    /// `stored`: the row or tombstone before the operation.
    pub(super) fn note(
        &mut self,
        (plan, at): (&Plan, usize),
        operation: &Operation,
        stored: Option<&StoredRow>,
        lost: &[String],
        siblings: &[Sibling],
    ) {
        self.cells += lost.len() as u64;
        let table = plan.table(at);
        let (Operation::Insert { cells, key, .. } | Operation::Update { cells, key, .. }) = operation else { return };
        if plan.history(&table.name).is_none() || landfall_core::mutant::active("lost-not-kept") {
            return;
        }
        for write in cells {
            let of_it =
                |sibling: &&Sibling| sibling.was_stored.is_none() && sibling.column.as_ref() == Some(&write.column);
            let sibling = siblings.iter().find(of_it).map(|sibling| sibling.value.clone());
            if sibling.is_none() && !lost.contains(&write.column) {
                continue;
            }
            let Some(column) = table.column(&write.column).filter(|_| !decides_who_reads(table, &write.column)) else {
                continue;
            };
            let stored = stored.and_then(|row| row.cells.get(&write.column)).unwrap_or(&Value::Null);
            // What was made of it with what others wrote is not what was written.
            let alone = || column.merge.alone(write.change.map(|_| &write.value)?).map(|alone| alone.value);
            let value = sibling.or_else(alone).or_else(|| write.over(column, stored).ok());
            let Some(value) = value else { continue };
            if column.check(&value).is_none() {
                self.values.entry((at, key.clone())).or_default().insert(write.column.clone(), value);
            }
        }
    }

    /// Other names were given. One that was cut for it is nowhere in the row.
    pub(super) fn renamed(
        &mut self,
        plan: &Plan,
        (at, key): (usize, &RowKey),
        renamed: Vec<(String, String)>,
        row: &Cells,
    ) {
        let table = plan.table(at);
        self.cells += renamed.len() as u64;
        for (column, name) in renamed {
            let is_whole = row.get(&column).and_then(Value::as_text).is_some_and(|now| now.starts_with(&name));
            let is_kept = plan.history(&table.name).is_some() && !decides_who_reads(table, &column);
            if is_kept && !is_whole {
                self.values.entry((at, key.clone())).or_default().insert(column, Value::Text(name));
            }
        }
    }

    /// What is nowhere in the rows as the entry has left them.
    pub(super) fn lost(&mut self, touched: &BTreeMap<(usize, RowKey), Touched>) -> Vec<Lost> {
        let lost = std::mem::take(&mut self.values).into_iter().filter_map(|((table, key), mut cells)| {
            let touched = touched.get(&(table, key.clone()))?;
            let mut row = touched.now.as_ref()?.cells.clone();
            cells.retain(|name, value| row.get(name) != Some(value));
            let columns: Vec<String> = cells.keys().cloned().collect();
            row.extend(cells);
            (!columns.is_empty()).then(|| Lost { table, key, before: touched.before.clone(), row, columns })
        });
        lost.collect()
    }
}

/// Whether who may read a row depends on the column. What was lost there is not kept: the row of the history would be seen by
/// those who may read such a row, and this one never was.
fn decides_who_reads(table: &Table, column: &str) -> bool {
    table.access.read.as_ref().is_some_and(|rule| rule.columns().contains(column))
}
