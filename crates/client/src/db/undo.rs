//! Taking back one's own transactions, and doing them again.
//!
//! Each entry keeps what its rows were before it, and undoing is an ordinary transaction that puts that back: it is queued,
//! merged and validated like any other. It respects what others did since: a cell that no longer has the value that the
//! undone transaction gave it, a row that was changed or deleted since, is left as it is, and told ([`Left`]). An undo is
//! undone in turn, which is a redo. Entries are kept for it as long as for a restored server.

use landfall_core::hash::Cells;
use landfall_core::rules::Winner;
use landfall_core::wide::WideSet;
use landfall_core::{CellWrite, Operation, RowKey, Transaction, Value, mutant};
use rusqlite::{OptionalExtension, params};

use super::bookkeeping::{DEAD, decode};
use super::error::DbError;
use super::record::Net;
use super::write::WriteTx;
use super::{Database, Written};

/// What an entry's rows were before it, by table and key: the cells that it changed, all cells of a row that it deleted,
/// nothing of a row that it made.
pub(super) type Before = Vec<(String, RowKey, Option<Cells>)>;

/// Where an entry stands for [`Database::undo_last`].
pub(super) const UNDO: i64 = 1;
/// Where an entry stands for [`Database::redo_last`].
pub(super) const REDO: i64 = 2;

/// What was not put back, since somebody has changed it since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The table.
    pub table: String,
    /// The row.
    pub key: RowKey,
    /// The column; `None`: the row as a whole.
    pub column: Option<String>,
}

/// What an undo or redo did.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone {
    /// The transaction that was taken back, or done again.
    pub of: u64,
    /// What was left as it is.
    pub left: Vec<Left>,
}

/// What the rows of a transaction were before it.
pub(super) fn before_of(net: &Net, table_name: impl Fn(i64) -> Option<String>) -> Before {
    let changed = |table: &str, key: &RowKey| -> Option<Vec<String>> {
        let mut operations = net.operations.iter().chain(&net.preview).filter(|o| o.table() == table && o.key() == key);
        operations.try_fold(Vec::new(), |mut columns, operation| match operation {
            Operation::Update { cells, .. } => {
                columns.extend(cells.iter().map(|c| c.column.clone()));
                Some(columns)
            }
            _ => None,
        })
    };
    let one = |touched: &super::record::Touched| {
        let table = table_name(touched.table)?;
        let mut before = touched.before.clone();
        if let (Some(cells), Some(columns)) = (&mut before, changed(&table, &touched.key)) {
            cells.retain(|name, _| columns.contains(name));
        }
        Some((table, touched.key.clone(), before))
    };
    net.touched.iter().filter_map(one).collect()
}

impl Database {
    /// The transaction that [`Database::undo_last`] would take back.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn can_undo(&self) -> Result<Option<u64>, DbError> {
        self.newest(UNDO)
    }

    /// The transaction that [`Database::redo_last`] would do again.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn can_redo(&self) -> Result<Option<u64>, DbError> {
        if self.memory.redo { self.newest(REDO) } else { Ok(None) }
    }

    /// Takes back the newest transaction of this database that was not taken back, and is not an undo itself; `None` when
    /// there is none.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub fn undo_last(
        &mut self,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Option<Written<Undone>>, DbError> {
        match self.newest(UNDO)? {
            Some(rseq) => self.take_back_or_pass(rseq, REDO, now_ms, random).map(Some),
            None => Ok(None),
        }
    }

    /// Does again what was taken back last, unless something else was written since; `None` when there is nothing.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub fn redo_last(
        &mut self,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Option<Written<Undone>>, DbError> {
        match self.can_redo()? {
            Some(rseq) => self.take_back_or_pass(rseq, UNDO, now_ms, random).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Database::undo`]. What a rule does not let happen is passed by: the next call goes on to the one before it.
    fn take_back_or_pass(
        &mut self,
        rseq: u64,
        stack: i64,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Written<Undone>, DbError> {
        let taken = self.take_back(rseq, stack, now_ms, random);
        if let Err(DbError::Invalid(_) | DbError::NeedsServer { .. } | DbError::TooSoon { .. }) = &taken {
            // Nothing was written that an answer would have to be stored with.
            let held_back = self.held_back.take();
            let marked = self.transact(|db| db.mark(rseq, None));
            self.held_back = held_back;
            marked?;
        }
        taken
    }

    /// Takes back one transaction of this database, whatever was written since; where another has taken it up, that one.
    ///
    /// # Errors
    /// [`DbError::NotUndoable`] when it asked for an action, or is too old; [`DbError::NoSuchEntry`] when it is a dead letter,
    /// or was never written; otherwise as [`Database::write`].
    pub fn undo(
        &mut self,
        rseq: u64,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Written<Undone>, DbError> {
        let rseq = self.current_rseq(rseq)?;
        self.take_back(rseq, REDO, now_ms, random)
    }

    pub(super) fn take_back(
        &mut self,
        rseq: u64,
        stack: i64,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Written<Undone>, DbError> {
        let Some((operations, before)) = self.kept_for_undo(rseq)? else {
            let written = (1..=self.last_rseq()).contains(&rseq) && self.state_of(rseq)? != Some(DEAD);
            return Err(match written {
                true => DbError::NotUndoable { rseq },
                false => DbError::NoSuchEntry { rseq, state: "undoable" },
            });
        };
        self.write(now_ms, random, |tx| {
            let mut left = Vec::new();
            let made = before.iter().filter(|(_, _, before)| before.is_none());
            let made = made.map(|(table, key, _)| (table.as_str(), key)).collect();
            // What was made last goes first.
            for (table, key, before) in before.iter().rev() {
                // What was resolved stays so: only the server makes conflicts. A document is taken back by its editor; a version
                // is not what the person does, but keeps.
                let of = &tx.database().tables.get(table)?.table;
                if of.conflicts_of.is_some() || of.docs_of.is_some() || of.versions_of.is_some() {
                    left.push(Left { table: table.clone(), key: key.clone(), column: None });
                    continue;
                }
                let written = operations.iter().filter(|o| o.table() == table && o.key() == key);
                put_back(tx, (table, key), before.as_ref(), &made, written, &mut left)?;
            }
            tx.set_stack(Some(stack));
            tx.database().mark(rseq, None)?;
            Ok(Undone { of: rseq, left })
        })
    }

    /// The operations of a transaction that is in effect, with what they only previewed, and what its rows were.
    fn kept_for_undo(&self, rseq: u64) -> Result<Option<(Vec<Operation>, Before)>, DbError> {
        let sql = "SELECT body, preview, before FROM _landfall_outbox WHERE rseq = ?1 AND state < ?2
                   UNION ALL SELECT body, preview, before FROM _landfall_acked WHERE rseq = ?1";
        let row = self.conn.prepare_cached(sql)?.query_row(params![rseq as i64, DEAD], |r| {
            Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Option<Vec<u8>>>(1)?, r.get::<_, Option<Vec<u8>>>(2)?))
        });
        let Some((body, preview, Some(before))) = row.optional()? else { return Ok(None) };
        let mut operations = decode::<Transaction>(&body)?.operations;
        operations.extend(preview.as_deref().map(decode::<Vec<Operation>>).transpose()?.unwrap_or_default());
        Ok(Some((operations, decode(&before)?)))
    }

    /// The newest transaction of a stack. It is among the newest there are, but where much was written that is on none.
    fn newest(&self, stack: i64) -> Result<Option<u64>, DbError> {
        let newest = |sql: &str| -> Result<Option<i64>, DbError> {
            Ok(self.conn.prepare_cached(sql)?.query_row([stack], |r| r.get(0)).optional()?)
        };
        let waiting =
            newest("SELECT rseq FROM _landfall_outbox WHERE stack = ? AND state < 3 ORDER BY rseq DESC LIMIT 1")?;
        let kept = newest("SELECT rseq FROM _landfall_acked WHERE stack = ? ORDER BY rseq DESC LIMIT 1")?;
        Ok(waiting.max(kept).map(|rseq| rseq as u64))
    }

    fn mark(&mut self, rseq: u64, stack: Option<i64>) -> Result<(), DbError> {
        for table in ["_landfall_outbox", "_landfall_acked"] {
            let sql = format!("UPDATE {table} SET stack = ? WHERE rseq = ?");
            self.conn.prepare_cached(&sql)?.execute(params![stack, rseq as i64])?;
        }
        Ok(())
    }

    /// After something else was written there is nothing to do again.
    pub(super) fn forget_redo(&mut self) -> Result<(), DbError> {
        if self.memory.redo {
            // What is dead is on no stack, whatever it says; its index leaves it out.
            for table in
                ["_landfall_outbox SET stack = NULL WHERE state < 3", "_landfall_acked SET stack = NULL WHERE 1"]
            {
                let sql = format!("UPDATE {table} AND stack = {REDO}");
                self.conn.prepare_cached(&sql)?.execute([])?;
            }
            self.memory.redo = false;
        }
        Ok(())
    }
}

/// The cells of a row as a transaction made it: what was set, and what its changes made of nothing.
fn as_made(tx: &mut WriteTx<'_>, table: &str, mut cells: Cells, changes: &[&CellWrite]) -> Result<Cells, DbError> {
    let app = tx.database().tables.get(table)?;
    for write in changes {
        if let Some(made) = app.table.rule(&write.column).applied(&Value::Null, &write.value) {
            cells.insert(write.column.clone(), made);
        }
    }
    Ok(cells)
}

/// Puts one row back as it was, as far as it still is what `written` made of it.
fn put_back<'o>(
    tx: &mut WriteTx<'_>,
    (table, key): (&str, &RowKey),
    before: Option<&Cells>,
    made_with_it: &WideSet<(&str, &RowKey)>,
    written: impl Iterator<Item = &'o Operation>,
    left: &mut Vec<Left>,
) -> Result<(), DbError> {
    let mut leave = |column: Option<&str>| {
        left.push(Left { table: table.to_owned(), key: key.clone(), column: column.map(str::to_owned) });
    };
    let now = tx.row(table, key)?;
    let (mut cells, mut changes, mut made, mut deleted) = (Cells::new(), Vec::new(), false, false);
    for operation in written {
        match operation {
            Operation::Delete { .. } => deleted = true,
            Operation::Insert { .. } => (made, deleted) = (true, false),
            Operation::Update { .. } => {}
        }
        for write in operation.cells() {
            match write.change {
                Some(_) => changes.push(write),
                None => _ = cells.insert(write.column.clone(), write.value.clone()),
            }
        }
    }
    let Some(before) = before else {
        // It was made: it goes, unless there is somebody else's work in it by now.
        let Some(now) = now else { return Ok(()) };
        let cells = as_made(tx, table, cells, &changes)?;
        let others = now.iter().any(|(name, value)| match cells.get(name) {
            Some(written) => written != value,
            None => !value.is_null() && !key.0.contains(value),
        });
        // Nor is anything taken along that hangs on the row, but for what was made with it.
        if others || tx.database().has_cascading(table, key, made_with_it)? {
            leave(None);
            return Ok(());
        }
        return tx.delete(table, key).map(|_| ());
    };
    if deleted || (made && now.is_none()) {
        if now.is_some() {
            leave(None);
            return Ok(());
        }
        // What the server had filled is the server's to fill again.
        let app = tx.database().tables.get(table)?;
        let assigned = |name: &str| app.table.column(name).is_some_and(|column| column.assigned);
        let row = before.iter().filter(|(name, _)| !assigned(name));
        let row: Vec<(&str, Value)> = row.map(|(name, value)| (name.as_str(), value.clone())).collect();
        return tx.insert(table, &row);
    }
    let Some(now) = now else {
        leave(None);
        return Ok(());
    };
    let mut back = Vec::new();
    let app = tx.database().tables.get(table)?;
    let rule = |name: &str| app.table.rule(name);
    for (name, was) in before.iter() {
        if let Some(write) = changes.iter().find(|write| write.column == *name) {
            let taken = now.get(name).and_then(|value| rule(name).taken_back(value, was, &write.value));
            if taken.as_ref().is_none_or(|taken| !taken.is_whole) {
                leave(Some(name));
            }
            back.extend(taken.map(|taken| (name.as_str(), taken.value)));
            continue;
        }
        match (now.get(name), cells.get(name)) {
            // It was a plain value once, and counts since.
            (_, Some(_)) if rule(name).change().is_some() => leave(Some(name)),
            // Its rule lets it go forward only.
            (Some(value), _) if value != was && rule(name).after(value, was) == Winner::Stored => leave(Some(name)),
            (Some(value), Some(written)) if value == written || mutant::active("undo-overwrites") => {
                back.push((name.as_str(), was.clone()))
            }
            (_, Some(_)) => leave(Some(name)),
            (_, None) => {}
        }
    }
    if !back.is_empty() {
        tx.update(table, key, &back)?;
    }
    Ok(())
}
