//! One entry: its operations are merged into the rows, under the subject's rights.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::error::codes;
use landfall_core::hash::{Cells, row_hash};
use landfall_core::merge::{Author, Merged, Sibling, StoredRow, merge};
use landfall_core::predicate::{Env, Predicate};
use landfall_core::schema::{DeleteRule, Table};
use landfall_core::{Operation, Problem, RowKey, Stamp, Value};

use super::lost::{GaveWay, Lost};
use super::outside::is_outside;
use super::record::{RowChange, Tombstone};
use super::tx::{Exists, Found, StoreTx};
use super::{Group, docs, follow, rename};
use crate::store::{PushEntry, StoreError, Subject};

/// Why an entry stops.
pub(super) enum Stop {
    /// It is refused.
    Refused(Box<Problem>),
    /// A row was written behind the store's back: that comes first.
    Outside(usize, RowKey),
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

/// What an entry did.
pub(super) struct Done {
    pub(super) changes: Vec<RowChange>,
    pub(super) stamp: Stamp,
    pub(super) gave_way: GaveWay,
    pub(super) lost: Vec<Lost>,
}

/// A row that the entry has looked at.
pub(super) struct Touched {
    /// The live row when the entry began.
    pub(super) before: Option<Cells>,
    /// The row or tombstone now.
    pub(super) now: Option<StoredRow>,
    /// What a tombstone remembers.
    pub(super) tombstone: Option<Tombstone>,
    exists: Exists,
}

impl Touched {
    /// What was deleted before `forgotten_before_ms` counts as never having been.
    fn of(table: &Table, found: Found, forgotten_before_ms: u64) -> Result<Self, StoreError> {
        let exists = Exists { row: found.cells.is_some(), book: found.book.is_some() };
        let (mut now, mut tombstone) = (None, None);
        if let Some(book) = found.book {
            tombstone = book.image.map(|bytes| Tombstone::read(table, &bytes)).transpose()?;
            // Whether the walk that forgets has come by is nobody's business.
            if tombstone.as_ref().is_some_and(|t| t.deleted_ms(&book.meta) < forgotten_before_ms) {
                return Ok(Self { before: found.cells, now: None, tombstone: None, exists });
            }
            let last = || tombstone.as_ref().map(|t| t.cells.clone());
            now = found.cells.clone().or_else(last).map(|cells| StoredRow { cells, meta: book.meta });
        }
        Ok(Self { before: found.cells, now, tombstone, exists })
    }

    /// The live row now.
    pub(super) fn live(&self) -> Option<&Cells> {
        self.now.as_ref().filter(|row| row.meta.deleted.is_none()).map(|row| &row.cells)
    }
}

/// The run of one entry. A savepoint is begun before the first write, unless nothing can be refused after it.
pub(super) struct EntryRun<'g, 'a, T: StoreTx> {
    pub(super) group: &'g mut Group<'a, T>,
    pub(super) author: Author,
    pub(super) subject: Arc<Subject>,
    env: Env,
    /// By table and key, so that everything that follows is in a fixed order.
    pub(super) touched: BTreeMap<(usize, RowKey), Touched>,
    /// Rows deleted by this entry whose referrers have not been looked at.
    pub(super) deleted: Vec<(usize, RowKey)>,
    pub(super) gave_way: GaveWay,
    /// Nothing can be refused any more: one row alone is written, and all checks are done.
    settled: bool,
}

impl<'g, 'a, T: StoreTx> EntryRun<'g, 'a, T> {
    /// A run that begins with rows that are read and as they were left.
    pub(super) fn new(
        group: &'g mut Group<'a, T>,
        push: &PushEntry,
        rows: Vec<((usize, RowKey), Found)>,
    ) -> Result<Self, StoreError> {
        let txn = &push.entry.transaction;
        // The author is who pushes, whatever the stamp says.
        let unshifted = landfall_core::mutant::active("stamp-not-shifted");
        let (shift_ms, now_ms) = if unshifted { (0, u64::MAX) } else { (push.shift_ms, group.now_ms) };
        let stamp = Stamp { replica: txn.replica, ..txn.stamp.shifted(shift_ms, now_ms) };
        let author = Author { stamp, seq: group.next_seq(), now_ms, is_fact: false };
        let env = push.subject.env();
        let forgotten_before_ms = group.forgotten_before_ms();
        let plan = group.plan;
        let read = |((at, key), found)| Ok(((at, key), Touched::of(plan.table(at), found, forgotten_before_ms)?));
        let touched = rows.into_iter().map(read).collect::<Result<_, StoreError>>()?;
        let subject = Arc::clone(&push.subject);
        let (deleted, gave_way) = (Vec::new(), GaveWay::default());
        Ok(Self { group, author, subject, env, touched, deleted, gave_way, settled: false })
    }

    /// Carries out the operations and what follows from them; `added` are the server's own, on which no access rule lies.
    pub(super) fn apply(mut self, operations: &[Operation], added: &[Operation]) -> Result<Done, Stop> {
        let alone = operations.len() + added.len() == 1;
        for operation in operations {
            self.operation(operation, alone, false)?;
        }
        for operation in added {
            self.operation(operation, alone, true)?;
        }
        if !self.settled {
            follow::deletes(&mut self)?;
            self.rename_taken()?;
            follow::checks(&mut self)?;
        }
        docs::follow_rows(&mut self)?;
        Ok(self.done())
    }

    fn done(mut self) -> Done {
        let (plan, seq) = (self.group.plan, self.author.seq);
        let lost = self.gave_way.lost(&self.touched);
        let mut changes = Vec::new();
        for ((table, key), touched) in self.touched {
            // A row that was written with the values it had is logged too: its bookkeeping names this sequence.
            let written = touched.now.as_ref().is_some_and(|row| row.meta.last_seq() == seq);
            let after = touched.now.filter(|row| row.meta.deleted.is_none()).map(|row| row.cells);
            if written || touched.before != after {
                changes.push(RowChange { table: plan.table(table).name.clone(), key, before: touched.before, after });
            }
        }
        Done { changes, stamp: self.author.stamp, gave_way: self.gave_way, lost }
    }

    /// Gives other names where the ones of this entry are taken, once all of it is carried out: it may have freed some.
    fn rename_taken(&mut self) -> Result<(), Stop> {
        let plan = self.group.plan;
        let renames = |row: &&(usize, RowKey)| plan.table(row.0).columns.iter().any(|column| column.renames);
        for (at, key) in self.touched.keys().filter(renames).cloned().collect::<Vec<_>>() {
            let touched = self.load(at, &key)?;
            let (before, now) = (touched.before.clone(), touched.now.clone());
            let Some(mut row) = now.filter(|row| row.meta.deleted.is_none()) else { continue };
            let renamed = rename::taken(self.group, (at, &key), before.as_ref(), &mut row.cells)?;
            if !renamed.is_empty() {
                self.gave_way.renamed(plan, (at, &key), renamed, &row.cells);
                self.put(at, &key, row)?;
            }
        }
        Ok(())
    }

    fn operation(&mut self, operation: &Operation, alone: bool, free: bool) -> Result<(), Stop> {
        let plan = self.group.plan;
        let Some(at) = plan.table_at(operation.table()) else {
            return Ok(());
        };
        let operation = if free { Cow::Borrowed(operation) } else { believed(operation, self.author.seq - 1) };
        let operation = &*operation;
        let (table, key, author) = (plan.table(at), operation.key(), self.author);
        let env = std::mem::take(&mut self.env);
        let access = Access { table, key, env: &env, free };
        let result = docs::prepare(self, at, operation, &access).and_then(|prepared| match prepared {
            docs::Prepared::Known => Ok(()),
            docs::Prepared::Write { operation, has_revived } => {
                if !free {
                    self.forgets(at, &operation)?;
                }
                let mut merged = access.merge(self.load(at, key)?, &operation, &author)?;
                if let Merged::Delete { .. } = merged
                    && !access.free
                    && let Some(stands) = docs::stand_against(self, at, &operation)?
                {
                    merged = stands;
                }
                // What its documents are to follow may yet stop it.
                let alone = alone && !has_revived && plan.docs_of(at).is_none();
                self.carry_out(at, &operation, merged, &access, alone)
            }
        });
        self.env = env;
        result
    }

    /// Where deletes win, nobody can say any more whether one stands against a row that was made so long ago. A key that
    /// is drawn where the row is made belongs to no other row: nobody else can have deleted it.
    fn forgets(&mut self, at: usize, operation: &Operation) -> Result<(), Stop> {
        let (table, author, before_ms) = (self.group.plan.table(at), self.author, self.group.forgotten_before_ms());
        let is_old = table.on_delete_conflict == DeleteRule::DeleteWins && author.stamp.wall_ms < before_ms;
        let Operation::Insert { key, .. } = operation else { return Ok(()) };
        if !is_old || matches!(key.0[..], [Value::Uuid(_)]) || self.load(at, key)?.now.is_some() {
            return Ok(());
        }
        let message = "it was written so long ago that nobody knows whether the row was deleted since; write it again";
        Err(Problem::new(codes::ROW_GONE, message).row(&table.name, key).into())
    }

    fn carry_out(
        &mut self,
        at: usize,
        operation: &Operation,
        merged: Merged,
        access: &Access<'_>,
        alone: bool,
    ) -> Result<(), Stop> {
        let key = access.key;
        match merged {
            Merged::Put { mut row, lost, siblings, .. } => {
                self.gave_way.conflict(at, key, &row.cells, &siblings);
                self.give_way(at, operation, &lost, &siblings)?;
                let touched = self.load(at, key)?;
                let was_live = touched.live().is_some();
                let is_new = !was_live && matches!(operation, Operation::Insert { .. });
                let rules = &access.table.access;
                match is_new {
                    true => access.allow(rules.insert.as_ref(), &row.cells, "insert")?,
                    false => access.allow(rules.update.as_ref(), &row.cells, "update")?,
                }
                if let Some(problem) = access.table.check_row(&row.cells).into_iter().next() {
                    return Err(problem.into());
                }
                let tombstone = touched.tombstone.take();
                if alone && tombstone.is_none() {
                    // The row's references and uniqueness are the same before it is written as after.
                    let before = self.touched.get(&(at, key.clone())).and_then(|t| t.before.as_ref());
                    let renamed = rename::taken(self.group, (at, key), before, &mut row.cells)?;
                    self.gave_way.renamed(self.group.plan, (at, key), renamed, &row.cells);
                    follow::check_row(self.group, (at, key), before, &row.cells)?;
                    self.settled = true;
                }
                self.put(at, key, row)?;
                match tombstone {
                    Some(tombstone) if !is_new => follow::revival(self, &tombstone),
                    _ => Ok(()),
                }
            }
            Merged::Delete { row } => self.delete(at, key, row),
            Merged::Nothing { lost, siblings } => {
                if !siblings.is_empty() {
                    let row = self.load(at, key)?.live().cloned().unwrap_or_default();
                    self.gave_way.conflict(at, key, &row, &siblings);
                }
                self.give_way(at, operation, &lost, &siblings)
            }
            Merged::Refused(problem) => Err(problem.into()),
        }
    }

    /// Notes what an operation has lost in a row that is still as it was before it.
    fn give_way(
        &mut self,
        at: usize,
        operation: &Operation,
        lost: &[String],
        siblings: &[Sibling],
    ) -> Result<(), Stop> {
        let plan = self.group.plan;
        let mut gave_way = std::mem::take(&mut self.gave_way);
        let stored = self.load(at, operation.key())?.now.as_ref();
        gave_way.note((plan, at), operation, stored, lost, siblings);
        self.gave_way = gave_way;
        Ok(())
    }

    /// The row, from this run or from the database.
    pub(super) fn load(&mut self, at: usize, key: &RowKey) -> Result<&mut Touched, Stop> {
        use std::collections::btree_map::Entry;
        match self.touched.entry((at, key.clone())) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let found = self.group.tx.row(at, key)?;
                if is_outside(self.group.plan.table(at), key, &found) {
                    return Err(Stop::Outside(at, key.clone()));
                }
                let table = self.group.plan.table(at);
                Ok(entry.insert(Touched::of(table, found, self.group.forgotten_before_ms())?))
            }
        }
    }

    fn guard(&mut self) -> Result<(), StoreError> {
        if self.settled { Ok(()) } else { self.group.guard() }
    }

    /// Writes a live row.
    pub(super) fn put(&mut self, at: usize, key: &RowKey, row: StoredRow) -> Result<(), Stop> {
        let hash = row_hash(&self.group.plan.table(at).name, key, &row.cells);
        let exists = self.load(at, key)?.exists;
        self.guard()?;
        self.group.tx.put_row(at, key, &row, hash, exists)?;
        let touched = self.load(at, key)?;
        (touched.now, touched.tombstone, touched.exists) = (Some(row), None, Exists { row: true, book: true });
        Ok(())
    }

    /// Deletes a row. What it takes along follows when all operations are carried out.
    pub(super) fn delete(&mut self, at: usize, key: &RowKey, row: StoredRow) -> Result<(), Stop> {
        let tombstone = Tombstone { cells: row.cells.clone(), ..Tombstone::default() };
        self.bury(at, key, row, tombstone)?;
        self.deleted.push((at, key.clone()));
        Ok(())
    }

    /// Writes a tombstone.
    pub(super) fn bury(&mut self, at: usize, key: &RowKey, row: StoredRow, what: Tombstone) -> Result<(), Stop> {
        let what = Tombstone { at_ms: Some(self.author.now_ms), ..what };
        // Writing to a Vec cannot fail.
        let image = minicbor::to_vec(&what).unwrap_or_default();
        let exists = self.load(at, key)?.exists;
        self.guard()?;
        self.group.tx.put_tombstone(at, key, &row.meta, &image, exists)?;
        let touched = self.load(at, key)?;
        (touched.now, touched.tombstone, touched.exists) = (Some(row), Some(what), Exists { row: false, book: true });
        Ok(())
    }
}

/// What an author can have seen: nothing, where that is said to be beyond what there is. Such a base is of no history of this
/// server's, and whoever could pretend to have seen everything would overwrite everybody.
fn believed(operation: &Operation, head: u64) -> Cow<'_, Operation> {
    if operation.newest_base() <= head {
        return Cow::Borrowed(operation);
    }
    let mut operation = operation.clone();
    operation.limit_base(0);
    Cow::Owned(operation)
}

/// A subject's rights on one row.
pub(super) struct Access<'a> {
    table: &'a Table,
    key: &'a RowKey,
    env: &'a Env,
    /// The server itself writes: it sees everything, and may do everything.
    pub(super) free: bool,
}

impl Access<'_> {
    /// Merges an operation into the row as far as the subject may know of it. A row that the subject cannot read is
    /// treated as if it were not there, so that an answer never tells that it is.
    fn merge(&self, held: &Touched, operation: &Operation, author: &Author) -> Result<Merged, Stop> {
        if self.free {
            return Ok(merge(self.table, held.now.as_ref(), operation, author));
        }
        let rules = &self.table.access;
        let seen = held.now.as_ref().is_none_or(|row| self.sees(self.table, &row.cells));
        match (operation, held.live()) {
            (Operation::Update { .. } | Operation::Delete { .. }, _) if !seen => {
                return Ok(merge(self.table, None, operation, author));
            }
            (Operation::Insert { .. }, Some(_)) if !seen => return Err(self.refused("insert").into()),
            (Operation::Delete { .. }, Some(row)) => self.allow(rules.delete.as_ref(), row, "delete")?,
            (Operation::Insert { .. } | Operation::Update { .. }, Some(row)) => {
                self.allow(rules.update.as_ref(), row, "update")?;
            }
            _ => {}
        }
        Ok(merge(self.table, held.now.as_ref(), operation, author))
    }

    /// Whether the subject may know of a row.
    pub(super) fn sees(&self, table: &Table, row: &Cells) -> bool {
        let rule = table.access.read.as_ref().filter(|_| !self.free);
        rule.is_none_or(|rule| rule.matches(row, self.env).unwrap_or(false))
    }

    fn allow(&self, rule: Option<&Predicate>, row: &Cells, verb: &str) -> Result<(), Stop> {
        match rule.filter(|_| !self.free).map_or(Ok(true), |rule| rule.matches(row, self.env)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.refused(verb).into()),
            Err(error) => Err(Problem::from(error).row(&self.table.name, self.key).into()),
        }
    }

    fn refused(&self, verb: &str) -> Problem {
        Problem::new(codes::NOT_ALLOWED, format!("you are not allowed to {verb} this row; ask whoever gives access"))
            .row(&self.table.name, self.key)
    }
}
