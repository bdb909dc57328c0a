//! After a long absence: what waits is held back until the person has been told, and what others did meanwhile to the
//! rows that it touches.
//!
//! Whether something was changed is judged by values: what a cell was when the first waiting entry on it was written,
//! what the server has of it now, and what the entry gives it. Sequences only say where there is nothing to look at. Which
//! rows others have changed is worked out once when the hold begins, and from then on for rows that an event touches.

use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::hash::Cells;
use landfall_core::{Operation, RowKey, Transaction, Value, mutant};
use rusqlite::params;

use super::Database;
use super::bookkeeping::{ACKED, decode};
use super::error::DbError;

use super::outbox::{EntryState, OutboxEntry};
use super::overlay::parse_key;
use super::tables::AppTable;
use super::undo::Before;

/// The entries that show on a row, as far as the server has not passed them. An entry with a sequence is the server's
/// already.
const ON_ROW: &str = "SELECT o.rseq, o.body, o.preview, o.before, o.seq FROM _landfall_touched t
    JOIN _landfall_outbox o ON o.rseq = t.rseq WHERE t.tbl = ? AND t.key = ? AND o.state <= ? ORDER BY o.rseq";

/// Sending is held back since the device came back from a long absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it last had a session, by the server's clock. Milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// How long it had none when it came back. Milliseconds.
    pub away_ms: u64,
    /// Whether a copy of the outbox was kept. There may have been no room for one, and of very much none is made.
    pub is_copied: bool,
}

/// What others did to a row that a waiting entry touches.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The table.
    pub table: String,
    /// The row.
    pub key: RowKey,
    /// The column; `None`: the row as a whole.
    pub column: Option<String>,
    /// What it was when the entry was written, as far as that is known.
    pub was: Option<Value>,
    /// What it is now, without anything that waits here; `None`: the row is gone.
    pub now: Option<Value>,
    /// What the entry gives it; `None`: it deletes the row, or writes more than one column of it.
    pub own: Option<Value>,
}

/// An entry that is held back.
#[derive(Clone, Debug, PartialEq)]
pub struct Reviewed {
    /// The entry.
    pub entry: OutboxEntry,
    /// What others have changed of what it writes, since it was written. What is merged without a loss (another column,
    /// the same value) is not among it.
    pub changed: Vec<Changed>,
}

/// What each cell of a row was before anything that waits, where that is known.
type Roots = FlatMap<String, Option<Value>>;
/// A row: its table's number, and its key.
type RowId = (i64, Vec<u8>);

/// What is known of the rows with waiting entries, while sending is held back.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// To be looked at again.
    dirty: FlatSet<RowId>,
    /// All of them are.
    all: bool,
    /// Rows that others have changed, with the entries that this concerns.
    changed: FlatMap<RowId, Vec<u64>>,
}

/// A waiting entry on one row.
struct Waiting {
    rseq: u64,
    operations: Vec<Operation>,
    /// What the row was before it, where that is known.
    before: Option<Option<Cells>>,
}

impl Database {
    /// Whether sending is held back until the person says so, since the device was away for long.
    pub fn held(&self) -> Option<Held> {
        self.memory.meta.held
    }

    /// When the device last had a session, by the server's clock.
    pub(crate) fn seen_ms(&self) -> Option<u64> {
        let meta = &self.memory.meta;
        // An older build has not noted it.
        meta.seen_ms.or_else(|| meta.synced_ms.map(|at| at.saturating_add_signed(meta.offset_ms)))
    }

    /// Since when the device was away, and how long, where that is longer than the schema says and much waits.
    pub(super) fn long_absence(&self, server_ms: u64) -> Option<(u64, u64)> {
        let limits = self.schema.outbox;
        let since_ms = self.seen_ms().filter(|_| limits.review_after_ms > 0 && self.held().is_none())?;
        let away_ms = server_ms.saturating_sub(since_ms);
        let is_long = away_ms > limits.review_after_ms && self.memory.meta.counts.undecided() >= limits.review_entries;
        (is_long && !mutant::active("absence-not-noticed")).then_some((since_ms, away_ms))
    }

    /// A session begins at this time of the server's clock. After a long absence what waits is held back. Part of the
    /// welcome: nothing is sent before this is on disk.
    pub(super) fn come_back(&mut self, server_ms: u64, absence: Option<(u64, u64)>, is_copied: bool) {
        self.memory.meta.seen_ms = Some(server_ms);
        if let Some((since_ms, away_ms)) = absence {
            self.memory.meta.held = Some(Held { since_ms, away_ms, is_copied });
            self.watched.all = true;
        }
    }

    /// What waits may be sent again. Durable on return.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub fn let_go_of_held(&mut self) -> Result<(), DbError> {
        if self.held().is_some() {
            self.transact(|db| {
                db.memory.meta.held = None;
                Ok(())
            })?;
            self.watched = Watched::default();
        }
        Ok(())
    }

    /// Takes note that a row with waiting entries may look different.
    pub(super) fn watch_row(&mut self, table: i64, key: &[u8]) {
        if self.held().is_some() && !self.watched.all {
            self.watched.dirty.insert((table, key.to_vec()));
        }
    }

    /// As [`Database::watch_row`], for a row on which nothing waits any more, perhaps.
    pub(super) fn watch_flushed(&mut self, table: i64, key: &[u8], waits: bool) {
        if waits || (self.held().is_some() && self.watched.changed.contains_key(&(table, key.to_vec()))) {
            self.watch_row(table, key);
        }
    }

    /// Takes note that many rows may look different, without a look at each.
    pub(super) fn watch_all(&mut self) {
        self.watched.all |= self.held().is_some();
    }

    /// Begins to watch: in a database that was opened while sending is held back.
    pub(crate) fn watch_held(&mut self) {
        self.watched.all = self.held().is_some();
    }

    /// How many waiting entries touch what others have changed since. Looks at the rows that events have touched.
    pub(crate) fn concerned(&mut self) -> Result<u64, DbError> {
        if self.watched.all {
            let sql = "SELECT DISTINCT t.tbl, t.key FROM _landfall_touched t
                       JOIN _landfall_outbox o ON o.rseq = t.rseq WHERE o.state < 2";
            let mut statement = self.conn.prepare_cached(sql)?;
            let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            let rows = rows.collect::<rusqlite::Result<FlatSet<RowId>>>()?;
            (self.watched.dirty, self.watched.all) = (rows, false);
            self.watched.changed = FlatMap::new();
        }
        let dirty = std::mem::take(&mut self.watched.dirty);
        if let Err(error) = self.look_at(&dirty) {
            self.watched.dirty = dirty;
            return Err(error);
        }
        Ok(self.watched.changed.values().flatten().copied().collect::<FlatSet<u64>>().len() as u64)
    }

    fn look_at(&mut self, rows: &FlatSet<RowId>) -> Result<(), DbError> {
        for row in rows {
            let mut concerned: Vec<u64> = self.changed_on(row)?.into_iter().map(|(rseq, _)| rseq).collect();
            concerned.dedup();
            if concerned.is_empty() {
                self.watched.changed.remove(row);
            } else {
                self.watched.changed.insert(row.clone(), concerned);
            }
        }
        Ok(())
    }

    /// The entries that are held back, oldest first, each with what others have changed since of what it writes. Empty
    /// while nothing is held back.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn review(&mut self) -> Result<Vec<Reviewed>, DbError> {
        if self.held().is_none() {
            return Ok(Vec::new());
        }
        self.concerned()?;
        let mut by_entry: FlatMap<u64, Vec<Changed>> = FlatMap::new();
        for row in self.watched.changed.keys() {
            for (rseq, changed) in self.changed_on(row)? {
                by_entry.get_or_insert_with(rseq, Vec::new).push(changed);
            }
        }
        let mut entries = self.outbox()?;
        entries.retain(|e| matches!(e.state, EntryState::Queued | EntryState::Sent));
        let one = |entry: OutboxEntry| {
            let changed = by_entry.remove(&entry.rseq).unwrap_or_default();
            Reviewed { entry, changed }
        };
        Ok(entries.into_iter().map(one).collect())
    }

    /// What others have changed of one row, entry by entry.
    fn changed_on(&self, (table, key): &RowId) -> Result<Vec<(u64, Changed)>, DbError> {
        let app = self.tables.by_id(*table)?;
        let row = parse_key(key)?;
        let work = self.load_row(*table, &row, None)?;
        let (mut now, mut waiting) = (work.confirmed, Vec::new());
        let mut statement = self.conn.prepare_cached(ON_ROW)?;
        let mut rows = statement.query(params![table, key, ACKED])?;
        let here = |o: &Operation| o.table() == app.name() && *o.key() == row;
        while let Some(found) = rows.next()? {
            let transaction: Transaction = decode(&found.get::<_, Vec<u8>>(1)?)?;
            let mut operations = transaction.operations;
            operations.retain(here);
            if let Some(seq) = found.get::<_, Option<i64>>(4)? {
                // The server has it, and what it brings may be still on its way.
                if seq as u64 > self.memory.meta.cut || work.held.is_empty() {
                    let previews = found.get::<_, Option<Vec<u8>>>(2)?;
                    let previews: Vec<Operation> = previews.as_deref().map(decode).transpose()?.unwrap_or_default();
                    let all = operations.iter().chain(previews.iter().filter(|o| here(o)));
                    now = all.fold(now, |now, o| o.preview(now, &app.table));
                }
                continue;
            }
            let before: Option<Before> = found.get::<_, Option<Vec<u8>>>(3)?.as_deref().map(decode).transpose()?;
            let of_row = |before: Before| before.into_iter().find(|(t, k, _)| t == app.name() && *k == row);
            let before = before.and_then(of_row).map(|(_, _, cells)| cells);
            waiting.push(Waiting { rseq: found.get::<_, i64>(0)? as u64, operations, before });
        }
        let seq = work.versions.values().copied().fold(work.seq, u64::max);
        let mut told = Teller { app, row: &row, now, seq, prior: self.memory.meta.prior, out: Vec::new() };
        told.all(&waiting);
        Ok(told.out)
    }
}

/// Compares one row with what waits on it.
struct Teller<'a> {
    app: &'a AppTable,
    row: &'a RowKey,
    now: Option<Cells>,
    /// Nobody changed the row after this sequence.
    seq: u64,
    /// Bases of entries up to this one are of another history.
    prior: u64,
    out: Vec<(u64, Changed)>,
}

impl Teller<'_> {
    fn all(&mut self, waiting: &[Waiting]) {
        // What cells were before anything that waits: an entry's own `before` may be the value of one that waits, too.
        let mut first = Roots::new();
        let mut made_here = false;
        for Waiting { rseq, operations, before } in waiting {
            for operation in operations {
                let was = |column: &str| match before {
                    Some(Some(cells)) => cells.get(column).cloned(),
                    Some(None) => Some(Value::Null),
                    None => None,
                };
                let root = |first: &mut Roots, column: &str| {
                    first.get_or_insert_with(column.to_owned(), || was(column)).clone()
                };
                match operation {
                    Operation::Update { .. } if self.now.is_none() => {
                        if !made_here {
                            self.tell(*rseq, None, None, None, None);
                        }
                    }
                    Operation::Insert { base, cells, .. } | Operation::Update { base, cells, .. } => {
                        made_here |= matches!(operation, Operation::Insert { .. });
                        // Beside a change that is none of them is lost.
                        for write in cells.iter().filter(|write| write.change.is_none()) {
                            let was = root(&mut first, &write.column);
                            self.cell(*rseq, write.base.unwrap_or(*base), &write.column, was, Some(&write.value));
                            if self.holds(&write.column, &write.value) {
                                // The server may have taken this one, and the word of that was lost: then what waits behind
                                // it has seen what is there.
                                first.insert(write.column.clone(), Some(write.value.clone()));
                            }
                        }
                    }
                    Operation::Delete { base, .. } => {
                        let columns: Vec<String> = self.app.table.data_columns().map(|c| c.name.clone()).collect();
                        for column in columns {
                            let was = root(&mut first, &column);
                            // Of a column that the device does not hold nothing is known.
                            if was.is_some() || before.is_none() {
                                self.cell(*rseq, *base, &column, was, None);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Whether the server's row has this value.
    fn holds(&self, column: &str, value: &Value) -> bool {
        self.now.as_ref().and_then(|cells| cells.get(column)) == Some(value)
    }

    fn cell(&mut self, rseq: u64, base: u64, column: &str, was: Option<Value>, own: Option<&Value>) {
        let seen = rseq > self.prior && base >= self.seq;
        let Some(now) = self.now.as_ref().and_then(|cells| cells.get(column)) else { return };
        if seen || Some(now) == own || Some(now) == was.as_ref() {
            return;
        }
        let now = Some(now.clone());
        self.tell(rseq, Some(column), was, now, own.cloned());
    }

    fn tell(&mut self, rseq: u64, column: Option<&str>, was: Option<Value>, now: Option<Value>, own: Option<Value>) {
        let (table, key) = (self.app.name().to_owned(), self.row.clone());
        self.out.push((rseq, Changed { table, key, column: column.map(str::to_owned), was, now, own }));
    }
}
