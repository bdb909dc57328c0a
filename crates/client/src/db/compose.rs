//! Two transactions as one: an entry that was never handed to the network takes up what was written on top of it.
//!
//! This is how such an entry is edited ([`Database::edit`]), and how a thousand moves of one drag become one entry: whole
//! transactions, the newer of which says all that the older one said. The sum gets a number of its own, since a copy of
//! this database may send the older one.

use std::ops::RangeInclusive;

use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use landfall_core::{CellWrite, Change, Operation, RowKey, Transaction, mutant};
use rusqlite::params;

use super::bookkeeping::{QUEUED, decode};
use super::error::DbError;
use super::record::Net;
use super::undo::{Before, REDO, UNDO};
use super::write::{Wishes, WriteTx};
use super::{Database, Written};

/// An older entry, ready to be taken up.
pub(super) struct Older {
    pub transaction: Transaction,
    pub before: Before,
    pub priority: u8,
    pub stack: Option<i64>,
    /// It has no other end than its tables give it.
    pub is_plain: bool,
    /// What it and the new transaction do together.
    pub sum: Vec<Operation>,
}

/// What an edit of an entry came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited<R> {
    /// What the app's function returned.
    pub value: R,
    /// True: the entry itself was changed, under a new number; nobody will ever see what it was. False: it was handed to
    /// the network already, or something follows it, and the change is a transaction of its own.
    pub in_place: bool,
}

impl Database {
    /// Changes an entry of the outbox. `f` writes as in any transaction, on the rows as they are seen. When the entry was
    /// never handed to the network and nothing follows it, both become one; otherwise the change is a new transaction. The
    /// answer says which. What asks for an action stays as it is. An entry that another has taken up is changed there.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when it was never written, or is a dead letter; otherwise as [`Database::write`].
    pub fn edit<R>(
        &mut self,
        rseq: u64,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<Written<Edited<R>>, DbError> {
        let written = self.write(now_ms, random, |tx| {
            tx.edit(rseq)?;
            f(tx)
        })?;
        let in_place = written.gone.contains(&rseq);
        Ok(written.map(|value| Edited { value, in_place }))
    }

    /// The entry that a new transaction is to be joined with: the one that is edited, or the one right before it when that
    /// is superseded as a whole.
    pub(super) fn older(&self, net: &Net, wishes: &Wishes, now_ms: u64) -> Result<Option<Older>, DbError> {
        // A handler sees what was asked for, whole and once.
        if !net.preview.is_empty() || wishes.action.is_some() {
            return Ok(None);
        }
        if let Some(rseq) = wishes.edits {
            return self.open_entry(rseq, 0..=u64::MAX >> 1, net);
        }
        // Where a history is kept every step is to be in it.
        let in_history = |o: &Operation| self.schema.table(o.table()).is_some_and(|table| table.history.is_some());
        let plain = wishes.after.is_empty() && wishes.requires.is_empty();
        let plain = plain && wishes.stack.is_none() && wishes.expires_ms.is_none();
        let plain = plain && !net.operations.iter().any(in_history);
        let within = self.schema.outbox.collapse_ms;
        if !plain || within == 0 || self.memory.meta.counts.pending == 0 {
            return Ok(None);
        }
        let recent = (now_ms + 1).saturating_sub(within)..=now_ms;
        let older = self.open_entry(self.memory.meta.last_rseq, recent, net)?;
        // What has an end of its own, or is an undo, or none that can be undone, stays what it is.
        let fits = |o: &Older| {
            o.stack == Some(UNDO)
                && o.is_plain
                && supersedes(net, &o.transaction.operations)
                && wishes.urgency(o.priority)
        };
        Ok(older.filter(fits))
    }

    /// Whether a transaction has no other end than its tables give it.
    fn is_plain(&self, transaction: &Transaction, created_ms: u64) -> bool {
        let lasts = self.schema.sending(transaction).lasts_ms();
        let until = lasts.map(|lasts| self.server_ms(created_ms).saturating_add(lasts));
        transaction.expires_ms == until
    }

    /// An entry that may still be changed: never handed to the network, not queued anew, without previews, not an undo that
    /// may be done again, nothing follows it, and what it and `net` do together is a net change. It was written within these times.
    fn open_entry(&self, rseq: u64, written_ms: RangeInclusive<u64>, net: &Net) -> Result<Option<Older>, DbError> {
        let is_open =
            if mutant::active("sent-taken-up") { "?2 IS NOT NULL AND state < 2" } else { "state = ?2 AND handed = 0" };
        let sql = format!(
            "SELECT body, before, priority, stack, created_ms FROM _landfall_outbox
             WHERE rseq = ?1 AND {is_open} AND parked = 0 AND preview IS NULL
               AND stack IS NOT ?3 AND created_ms BETWEEN ?4 AND ?5"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let (from, to) = (*written_ms.start() as i64, *written_ms.end() as i64);
        let mut rows = statement.query(params![rseq as i64, QUEUED, REDO, from, to])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let transaction: Transaction = decode(&row.get::<_, Vec<u8>>(0)?)?;
        // A copy of the database, or its mirror, may have what asks for an action: under the same number it is done once.
        if transaction.origin.is_some() || transaction.action.is_some() || !self.followers(rseq)?.is_empty() {
            return Ok(None);
        }
        let Some(before) = row.get::<_, Option<Vec<u8>>>(1)? else { return Ok(None) };
        let before: Before = decode(&before)?;
        let older = if mutant::active("edit-forgets") { &[][..] } else { &transaction.operations };
        let Some(sum) = self.sum(older, net) else { return Ok(None) };
        let is_plain = self.is_plain(&transaction, row.get::<_, i64>(4)? as u64);
        let (priority, stack) = (row.get(2)?, row.get(3)?);
        Ok(Some(Older { transaction, before, priority, stack, is_plain, sum }))
    }

    /// Both as one; `None` where that is no net change of each row that a transaction can name.
    fn sum(&self, older: &[Operation], net: &Net) -> Option<Vec<Operation>> {
        let mut out: Vec<Operation> = older.to_vec();
        for new in &net.operations {
            match out.iter_mut().find(|old| is_on(old, new.table(), new.key())) {
                None => out.push(new.clone()),
                Some(old) => *old = both(old, new, self.schema.table(new.table())?)?,
            }
        }
        Some(out)
    }

    /// The older entry goes; the sum, under a new number, touches all that it touched, so that no row looks different for it.
    pub(super) fn take_up(&mut self, older: &Transaction, new: u64) -> Result<(), DbError> {
        let old = older.rseq as i64;
        self.conn.prepare_cached("DELETE FROM _landfall_touched WHERE rseq = ?")?.execute([old])?;
        self.conn.prepare_cached("DELETE FROM _landfall_waits WHERE rseq = ?")?.execute([old])?;
        self.succeed(older.rseq, new)?;
        self.drop_entry(older.rseq, QUEUED)
    }
}

/// Whether `net` says again all that `older` said: it writes every cell that `older` wrote, or deletes the row, or changes
/// a row that `older` made.
fn supersedes(net: &Net, older: &[Operation]) -> bool {
    older.iter().all(|old| {
        let newer = net.operations.iter().find(|new| is_on(new, old.table(), old.key()));
        match (old, newer) {
            (Operation::Insert { .. }, Some(Operation::Update { .. })) => true,
            (Operation::Update { cells, .. }, Some(Operation::Update { cells: newer, .. })) => {
                cells.iter().all(|cell| newer.iter().any(|n| n.column == cell.column))
            }
            (Operation::Update { .. }, Some(Operation::Delete { .. })) => true,
            _ => false,
        }
    })
}

fn is_on(operation: &Operation, table: &str, key: &RowKey) -> bool {
    operation.table() == table && operation.key() == key
}

fn both(old: &Operation, new: &Operation, table: &Table) -> Option<Operation> {
    match (old, new) {
        (Operation::Insert { table: name, key, base, cells }, Operation::Update { cells: newer, .. }) => {
            // What an insert leaves out is NULL.
            let mut cells = merged(cells, *base, newer, *base, table)?;
            cells.retain(|cell| !cell.value.is_null());
            Some(Operation::Insert { table: name.clone(), key: key.clone(), base: *base, cells })
        }
        (
            Operation::Update { table: name, key, base, cells },
            Operation::Update { base: newer_base, cells: newer, .. },
        ) => {
            let cells = merged(cells, *base, newer, *newer_base, table)?;
            Some(Operation::Update { table: name.clone(), key: key.clone(), base: *base, cells })
        }
        (Operation::Update { .. }, Operation::Delete { .. }) => Some(new.clone()),
        // Made and deleted: nothing would be left to send. Deleted and made anew: two changes of one row.
        _ => None,
    }
}

/// The newer cells over the older ones, with bases as they stand in an operation of base `base`; changes become one. `None`
/// where they cannot.
fn merged(
    older: &[CellWrite],
    base: u64,
    newer: &[CellWrite],
    newer_base: u64,
    table: &Table,
) -> Option<Vec<CellWrite>> {
    let mut cells = older.to_vec();
    for cell in newer {
        let own = cell.base.unwrap_or(newer_base);
        let mut cell = CellWrite { base: (own != base).then_some(own), ..cell.clone() };
        match cells.iter_mut().find(|c| c.column == cell.column) {
            Some(there) => {
                if cell.change.is_some() {
                    let rule = table.rule(&cell.column);
                    cell.value = match there.change {
                        // What was seen of its parts differs: one change has one base.
                        Some(Change::Edit) if there.base.unwrap_or(base) != own => return None,
                        Some(_) => rule.joined(&there.value, &cell.value)?,
                        None => rule.applied(&there.value, &cell.value)?,
                    };
                    cell.change = there.change;
                }
                *there = cell;
            }
            None => cells.push(cell),
        }
    }
    Some(cells)
}

/// What the rows were before both.
pub(super) fn before_both(older: Before, newer: Before) -> Before {
    let mut out = older;
    for (table, key, before) in newer {
        match out.iter_mut().find(|(t, k, _)| *t == table && *k == key) {
            None => out.push((table, key, before)),
            // Made by the older one: it was not there before both.
            Some((_, _, None)) => {}
            Some((_, _, Some(first))) => {
                let mut cells: Cells = before.unwrap_or_default();
                cells.append(first);
                *first = cells;
            }
        }
    }
    out
}
