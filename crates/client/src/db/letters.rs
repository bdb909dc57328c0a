//! Dead letters: what a person can do about what was refused.

use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::wide::WideMap;
use landfall_core::{Operation, Problem, RowKey, Value, mutant};

use super::bookkeeping::DEAD;
use super::error::DbError;
use super::outbox::{EntryState, OutboxEntry};
use super::write::WriteTx;
use super::{Database, Written};

impl Database {
    /// Writes a dead letter's operations again, as a new transaction on the rows as they are now, validated again. The
    /// dead letter goes. A row that is gone and was only updated is created again from what was last seen of it.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when it is not a dead letter; [`DbError::LoadingAnew`] while rows of a history that the
    /// server has lost are here: what they hold already would not be written again. Otherwise as [`Database::write`].
    pub fn retry(&mut self, rseq: u64, now_ms: u64, random: &mut dyn FnMut(&mut [u8])) -> Result<Written<()>, DbError> {
        self.write(now_ms, random, |tx| tx.retry(rseq))
    }

    fn dead_letter(&self, rseq: u64) -> Result<OutboxEntry, DbError> {
        let entry = self.entry(rseq)?.filter(|e| e.state == EntryState::Dead);
        entry.ok_or(DbError::NoSuchEntry { rseq, state: "dead" })
    }

    /// Throws a dead letter away. A copy of the whole outbox is kept ([`Database::backups`]).
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when it is not a dead letter.
    pub fn discard(&mut self, rseq: u64, now_ms: u64) -> Result<(), DbError> {
        self.dead_letter(rseq)?;
        self.transact(|db| {
            db.back_up_before(&[rseq], "before a dead letter was discarded", now_ms)?;
            db.drop_dead(rseq)
        })
    }

    fn drop_dead(&mut self, rseq: u64) -> Result<(), DbError> {
        match self.state_of(rseq)? {
            Some(DEAD) => self.drop_entry(rseq, DEAD),
            _ => Err(DbError::NoSuchEntry { rseq, state: "dead" }),
        }
    }
}

impl WriteTx<'_> {
    /// Writes a dead letter's operations again, as part of this transaction; the dead letter goes. As [`Database::retry`]; what
    /// follows corrects it.
    ///
    /// # Errors
    /// As [`Database::retry`].
    pub fn retry(&mut self, rseq: u64) -> Result<(), DbError> {
        let entry = self.database().dead_letter(rseq)?;
        if self.database().holds_another_history() {
            return Err(DbError::LoadingAnew);
        }
        self.replaying(|tx| {
            entry.transaction.operations.iter().try_for_each(|operation| replay(tx, operation, &entry.images))
        })?;
        if let Some(action) = entry.transaction.action.clone() {
            self.ask(action)?;
        }
        // It is as urgent as its author said, unless that is said anew.
        self.keep_priority(entry.priority);
        self.supersede(rseq)
    }

    /// A dead letter goes: this transaction takes its place. A copy of the whole outbox is kept ([`Database::backups`]): what
    /// was refused is in it as it was.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when it is not a dead letter.
    pub fn supersede(&mut self, rseq: u64) -> Result<(), DbError> {
        let now_ms = self.now_ms();
        let database = self.database();
        database.dead_letter(rseq)?;
        database.back_up_before(&[rseq], "before a dead letter was written again", now_ms)?;
        if !mutant::active("letter-kept") {
            database.drop_dead(rseq)?;
        }
        self.gone(rseq);
        Ok(())
    }
}

fn replay(
    tx: &mut WriteTx<'_>,
    operation: &Operation,
    images: &WideMap<(String, RowKey), Cells>,
) -> Result<(), DbError> {
    let (table, key) = (operation.table(), operation.key());
    if matches!(operation, Operation::Delete { .. }) {
        return tx.delete(table, key).map(|_| ());
    }
    let mut cells: Vec<(&str, Value)> =
        operation.cells().iter().map(|w| (w.column.as_str(), w.value.clone())).collect();
    let changes = || operation.cells().iter().zip(0..).filter(|(write, _)| write.change.is_some());
    let now = if changes().next().is_some() { tx.row(table, key)? } else { None };
    if now.is_none() && matches!(operation, Operation::Insert { .. }) {
        // The row is made with what the changes make of nothing.
        for (write, at) in changes() {
            let app = tx.database().tables.get(table)?;
            let Some(column) = app.table.column(&write.column) else { continue };
            let value =
                write.over(column, &Value::Null).map_err(|problem| DbError::Invalid(problem.row(table, key)))?;
            cells[at] = (write.column.as_str(), value);
        }
    }
    if let Some(now) = now {
        // What is done to a value is done to the one that is there now.
        for (write, at) in changes() {
            let app = tx.database().tables.get(table)?;
            let (Some(column), Some(now)) = (app.table.column(&write.column), now.get(&write.column)) else { continue };
            let value = match operation {
                Operation::Insert { base, .. } => write.made_over(column, now, *base),
                _ => write.over(column, now),
            };
            cells[at] = (write.column.as_str(), value.map_err(|problem| DbError::Invalid(problem.row(table, key)))?);
        }
    }
    if tx.update(table, key, &cells)? {
        return Ok(());
    }
    if matches!(operation, Operation::Update { .. }) {
        // The copy of a row that is gone has what was done to it.
        let is_change = |name: &str| changes().any(|(write, _)| write.column == name);
        cells.retain(|(name, _)| !is_change(name));
    }
    let app = tx.database().tables.get(table)?;
    let mut row = match operation {
        Operation::Insert { .. } => app.table.key_cells(key),
        _ => images.get(&(table.to_owned(), key.clone())).cloned().ok_or_else(|| {
            let message = "the row no longer exists and no copy of it was kept; create it again";
            DbError::Invalid(Problem::new(codes::ROW_GONE, message).row(table, key))
        })?,
    };
    // What the server had filled is the server's to fill again.
    row.retain(|name, _| !app.table.column(name).is_some_and(|c| c.assigned));
    row.extend(cells.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let row: Vec<(&str, Value)> = row.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    tx.insert(table, &row)
}
