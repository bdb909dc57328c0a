//! From touched rows to an outbox entry: the net difference of a transaction as operations with bases.

use landfall_core::error::codes;
use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::hash::Cells;
use landfall_core::rules::Winner;
use landfall_core::schema::{Column, OnDelete, Reference, TransactionLimits};
use landfall_core::wide::WideSet;
use landfall_core::{Action, BucketId, CellWrite, Operation, Problem, RowKey, Transaction, Value, mutant};
use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::{QUEUED, SENT, encode, first_undecided};
use super::compose::before_both;
use super::error::DbError;
use super::hooks::{Mark, Marks};
use super::outbox::StoredImages;
use super::tables::AppTable;
use super::undo::{REDO, UNDO, before_of};
use super::write::{Wishes, app_tables};
use crate::changes::ChangeSet;

/// A synced row that the transaction changed, by itself or as a preview of what the server will do.
#[derive(Debug)]
pub(super) struct Touched {
    pub table: i64,
    pub key: RowKey,
    /// The visible row before the transaction.
    pub before: Option<Cells>,
}

/// The net changes of a transaction.
#[derive(Debug, Default)]
pub(super) struct Net {
    pub operations: Vec<Operation>,
    /// What the server will do as a consequence: shown here, not sent.
    pub preview: Vec<Operation>,
    pub touched: Vec<Touched>,
}

/// The entry that a transaction became.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub rseq: u64,
    /// The entry that it took up.
    pub replaced: Option<u64>,
}

/// Until when what takes up an older entry may be carried out. An edit never puts that off: the older one may need the
/// server, or be due then. What says again all that the older one said has its own end.
fn earlier_end(newer: Option<u64>, older: Option<u64>, wishes: &Wishes) -> Option<u64> {
    match (newer, older) {
        (Some(newer), Some(older)) if wishes.edits.is_some() && !mutant::active("edit-prolongs") => {
            Some(newer.min(older))
        }
        (newer, older) => newer.or(older),
    }
}

impl Database {
    /// Turns what the hook marked into an outbox entry, when a synced row changed or an action was asked for.
    pub(super) fn record(
        &mut self,
        marks: Marks,
        now_ms: u64,
        wishes: &Wishes,
        changes: &mut ChangeSet,
    ) -> Result<Option<Recorded>, DbError> {
        self.check_keys(&marks)?;
        let tables = app_tables(self);
        let mut net = Net::default();
        // Of what is held back a person is told what others did to it: who changes it then decides.
        let decides = wishes.edits.is_some() && self.held().is_some();
        for mark in marks.list {
            let Some(app) = tables.list.get(mark.table) else { continue };
            self.record_row(app, mark, decides, &mut net, changes)?;
        }
        self.check_rules(&net)?;
        self.preview_cascades(&mut net, changes)?;
        if net.operations.is_empty() && wishes.action.is_none() {
            return Ok(None);
        }
        self.append(net, wishes, now_ms).map(Some)
    }

    /// Refuses a transaction that leaves a row under another key, or under a key not in stored form.
    fn check_keys(&self, marks: &Marks) -> Result<(), DbError> {
        // A row may have been moved more than once: what counts is where it began and where it is now.
        let mut moved: FlatMap<(usize, &RowKey), &RowKey> = FlatMap::new();
        for (table, from, to) in &marks.rekeyed {
            let origin = moved.iter().find(|((t, _), now)| t == table && **now == from).map(|((_, origin), _)| *origin);
            moved.insert((*table, origin.unwrap_or(from)), to);
        }
        for ((table, from), to) in moved {
            let Some(app) = self.tables.list.get(table) else { continue };
            let there = |key: &RowKey| app.read_stored(&self.conn, key).map(|row| row.is_some());
            if from != to && marks.was_there(table, from) && !there(from)? && there(to)? {
                return Err(DbError::KeyChanged {
                    table: app.name().to_owned(),
                    from: from.to_string(),
                    to: to.to_string(),
                });
            }
        }
        for (table, key, problem) in &marks.bad_keys {
            let Some(app) = self.tables.list.get(*table) else { continue };
            if app.has_stored_key(&self.conn, key)? {
                return Err(DbError::StoredForm {
                    table: app.name().to_owned(),
                    column: problem.0.clone(),
                    cause: problem.1.clone(),
                });
            }
        }
        Ok(())
    }

    fn record_row(
        &mut self,
        app: &AppTable,
        mark: Mark,
        decides: bool,
        net: &mut Net,
        changes: &mut ChangeSet,
    ) -> Result<(), DbError> {
        let before = mark.before.map(|values| app.cells(values)).transpose()?;
        let after = self.read_canonical(app, &mark.key)?;
        let after = match (&before, after) {
            (Some(before), Some(after)) if app.table.sync => Some(self.settle_by_rules(app, &mark.key, before, after)?),
            (_, after) => after,
        };
        if before == after {
            return Ok(());
        }
        if app.table.sync {
            let operation = self.operation(app, &mark.key, before.as_ref(), after.as_ref(), decides)?;
            net.touched.push(Touched { table: app.id, key: mark.key.clone(), before: before.clone() });
            net.operations.push(operation);
        } else if let Some(cells) = &after {
            check_row(app, &mark.key, cells)?;
        }
        changes.record(app.name(), mark.key, before, after);
        Ok(())
    }

    /// What the columns' rules leave of a write to a row that is there. Who writes has seen the row, so that the server would
    /// settle it in the same way: the person sees at once what will be.
    fn settle_by_rules(
        &self,
        app: &AppTable,
        key: &RowKey,
        before: &Cells,
        mut after: Cells,
    ) -> Result<Cells, DbError> {
        let mut kept = Vec::new();
        for column in app.table.data_columns() {
            let (Some(was), Some(is)) = (before.get(&column.name), after.get(&column.name)) else { continue };
            if was == is || column.merge.after(was, is) == Winner::Written {
                continue;
            }
            if column.merge.is_written_once() {
                let text = format!("'{}' keeps its first value: leave it out, or make another row", column.name);
                let problem = Problem::new(codes::WRITTEN_ONCE, text).row(app.name(), key).column(&column.name);
                return Err(DbError::Invalid(problem));
            }
            kept.push((column.name.as_str(), was.clone()));
        }
        if !kept.is_empty() {
            app.set(&self.conn, key, &kept)?;
            after.extend(kept.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        Ok(after)
    }

    /// A row as it is now. A value that SQL stored in another form than the engine would (JSON with spaces) is written
    /// again in the engine's form, so that equal values are equal everywhere.
    fn read_canonical(&self, app: &AppTable, key: &RowKey) -> Result<Option<Cells>, DbError> {
        let Some(stored) = app.read_stored(&self.conn, key)? else { return Ok(None) };
        let mut cells = app.cells(stored.clone())?;
        for column in app.table.data_columns() {
            if let Some(value) = cells.get_mut(&column.name) {
                *value = column.merge.canonical(std::mem::take(value));
            }
        }
        let odd: Vec<(&str, Value)> = app
            .table
            .columns
            .iter()
            .zip(&stored)
            .filter_map(|(column, stored)| {
                let value = cells.get(&column.name)?;
                (value.to_sqlite() != *stored).then(|| (column.name.as_str(), value.clone()))
            })
            .collect();
        if !odd.is_empty() {
            app.set(&self.conn, key, &odd)?;
        }
        Ok(Some(cells))
    }

    fn operation(
        &self,
        app: &AppTable,
        key: &RowKey,
        before: Option<&Cells>,
        after: Option<&Cells>,
        decides: bool,
    ) -> Result<Operation, DbError> {
        let work = self.load_row(app.id, key, None)?;
        // What one's own unsettled write hides was not seen, although it is here.
        let written = app.table.data_columns().filter(|c| match (before, after) {
            _ if decides => false,
            (Some(before), Some(after)) => before.get(&c.name) != after.get(&c.name),
            _ => true,
        });
        let hidden = self.hidden_since(app.id, key, written)?;
        let base_of = |column: &str| {
            let current = self.cell_base(&work.held, work.seq, column);
            hidden.get(column).map_or(current, |since| current.min(*since))
        };
        let table = app.name().to_owned();
        let key = key.clone();
        let writes = |cells: Vec<(&Column, Value)>| -> Result<_, DbError> {
            let row = cells.first().map_or(0, |(column, _)| base_of(&column.name));
            let write = |(column, value): (&Column, Value)| {
                let own = base_of(&column.name);
                let change = column.merge.change();
                let value = match change {
                    None => value,
                    // What was done to it is what travels.
                    Some(_) => {
                        let was = before.and_then(|row| row.get(&column.name)).unwrap_or(&Value::Null);
                        column.merge.between(was, &value).ok_or_else(|| {
                            let text = "no change leads from what it was to what it is; change it in steps";
                            let problem = Problem::new(codes::OUT_OF_RANGE, text).row(app.name(), &key);
                            DbError::Invalid(problem.column(&column.name))
                        })?
                    }
                };
                Ok(CellWrite { base: (own != row).then_some(own), column: column.name.clone(), value, change })
            };
            Ok((row, cells.into_iter().map(write).collect::<Result<Vec<_>, DbError>>()?))
        };
        Ok(match (before, after) {
            (_, None) => {
                let base = app.table.data_columns().filter(|c| self.holds(&work.held, &c.name));
                let base = base.map(|c| base_of(&c.name)).min();
                let base = base.unwrap_or_else(|| self.row_base(&work.held));
                Operation::Delete { table, key, base }
            }
            (None, Some(after)) => {
                check_row(app, &key, after)?;
                let valued = app.table.data_columns().filter_map(|c| Some((c, after.get(&c.name)?.clone())));
                let (base, cells) = writes(valued.filter(|(_, v)| !v.is_null()).collect())?;
                Operation::Insert { table, key, base, cells }
            }
            (Some(before), Some(after)) => {
                let changed = app.table.data_columns().filter(|c| before.get(&c.name) != after.get(&c.name));
                let changed: Vec<_> = changed.filter_map(|c| Some((c, after.get(&c.name)?.clone()))).collect();
                // Of a sum of which only a part is here nothing can be said.
                let is_partial = |c: &Column| {
                    c.merge.change().is_some() && !work.held.is_empty() && !self.holds(&work.held, &c.name)
                };
                for (column, value) in changed.iter().filter(|(column, _)| !is_partial(column)) {
                    if let Some(problem) = column.check(value) {
                        return Err(DbError::Invalid(problem.row(app.name(), &key)));
                    }
                }
                let (base, cells) = writes(changed)?;
                Operation::Update { table, key, base, cells }
            }
        })
    }

    /// Appends the entry, sets images aside, and takes note of which rows it touches.
    fn append(&mut self, net: Net, wishes: &Wishes, now_ms: u64) -> Result<Recorded, DbError> {
        let mut expires_ms = self.check_policy(&net, wishes, now_ms)?;
        let mut older = self.older(&net, wishes, now_ms)?;
        let replaced = older.as_ref().map(|older| older.transaction.rseq);
        let rseq = self.memory.meta.last_rseq + 1;
        let mut clock = self.memory.meta.clock();
        let stamp = clock.tick(now_ms);
        self.memory.meta.set_clock(&clock);
        let (mut after, requires) = self.predecessors(&net, wishes, older.as_ref().map(|o| &o.transaction))?;
        if mutant::active("later-first") {
            after.retain(|rseq| requires.contains(rseq) || wishes.after.contains(rseq));
        }
        let mut before = before_of(&net, |id| self.tables.by_id(id).ok().map(|app| app.name().to_owned()));
        self.note_releases(&net, rseq)?;
        let mut operations = net.operations;
        if let Some(older) = &mut older {
            operations = std::mem::take(&mut older.sum);
            before = before_both(std::mem::take(&mut older.before), before);
            expires_ms = earlier_end(expires_ms, older.transaction.expires_ms, wishes);
        }
        let replica = self.memory.meta.replica;
        let action = wishes.action.clone();
        let transaction =
            Transaction { replica, rseq, stamp, operations, after, requires, origin: None, action, expires_ms };
        self.schema.check_transaction(&transaction, &TransactionLimits::default())?;
        let body = transaction.to_bytes();
        let mut seen = StoredImages::new();
        if let Some(older) = &older {
            seen = self.kept_images(older.transaction.rseq)?;
            // What is left out of undo is nothing that a person changed: typing would push out the copies of what they did.
            if wishes.edits.is_some() && wishes.stack != Some(None) {
                self.back_up_before_edit(older.transaction.rseq, now_ms)?;
            }
            self.take_up(&older.transaction, rseq)?;
        }
        self.check_room(body.len())?;
        let preview = (!net.preview.is_empty()).then(|| encode(&net.preview));
        let own = wishes.priority.unwrap_or_else(|| self.schema.sending(&transaction).priority);
        let priority = own.max(older.as_ref().map_or(0, |o| o.priority));
        let stack = match (&older, wishes.stack) {
            // What a handler did is not taken back by writing the old values.
            _ if transaction.action.is_some() => None,
            // An edit of what can be taken back is taken back with it.
            (Some(older), _) => older.stack,
            (None, Some(wished)) => wished,
            (None, None) => Some(UNDO),
        };
        match stack {
            Some(REDO) => self.memory.redo = true,
            _ if wishes.stack.is_none() => self.forget_redo()?,
            _ => {}
        }
        let sql = "INSERT INTO _landfall_outbox
                     (rseq, state, created_ms, body, preview, priority, before, stack, expires_ms)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let before = transaction.action.is_none().then(|| encode(&before));
        let expires = expires_ms.map(|at| at as i64);
        let row = params![rseq as i64, QUEUED, now_ms as i64, body, preview, priority, before, stack, expires];
        self.conn.prepare_cached(sql)?.execute(row)?;
        self.link(rseq, &transaction.after)?;
        self.keep_images(rseq, seen)?;
        self.touch(&net.touched, &transaction, &net.preview)?;
        if older.is_some() {
            for operation in &transaction.operations {
                let table = self.tables.get(operation.table())?.id;
                let inserts = matches!(operation, Operation::Insert { .. });
                self.touch_row(table, &operation.key().to_bytes(), rseq, inserts)?;
            }
        }
        let meta = &mut self.memory.meta;
        meta.last_rseq = rseq;
        meta.counts.added(QUEUED, body.len());
        if replaced.is_some() {
            meta.first_undecided = first_undecided(&self.conn)?;
        }
        self.memory.meta.first_undecided.get_or_insert(rseq);
        Ok(Recorded { rseq, replaced })
    }

    /// Takes note of the rows that a new entry touches. What waits on a row that it deletes keeps the row as it is seen now.
    fn touch(&mut self, touched: &[Touched], transaction: &Transaction, preview: &[Operation]) -> Result<(), DbError> {
        let row = |o: &'_ Operation| (o.table().to_owned(), o.key().clone());
        let inserts = transaction.operations.iter().filter(|o| matches!(o, Operation::Insert { .. }));
        let inserted: WideSet<_> = inserts.map(row).collect();
        let deletes = transaction.operations.iter().chain(preview).filter(|o| matches!(o, Operation::Delete { .. }));
        let deleted: WideSet<_> = deletes.map(row).collect();
        for touched in touched {
            let row = (self.tables.by_id(touched.table)?.name().to_owned(), touched.key.clone());
            let key = touched.key.to_bytes();
            if let Some(seen) = touched.before.as_ref().filter(|_| deleted.contains(&row)) {
                for rseq in self.pending_on(touched.table, &key)? {
                    self.keep_images(rseq, vec![(row.0.clone(), row.1.clone(), seen.clone())])?;
                }
            }
            let inserts = inserted.contains(&row);
            self.set_aside(touched)?;
            self.touch_row(touched.table, &key, transaction.rseq, inserts)?;
        }
        Ok(())
    }

    pub(super) fn touch_row(&mut self, table: i64, key: &[u8], rseq: u64, inserts: bool) -> Result<(), DbError> {
        self.watch_row(table, key);
        let sql = "INSERT INTO _landfall_touched (tbl, key, rseq, inserts) VALUES (?, ?, ?, ?)
                   ON CONFLICT (tbl, key, rseq) DO UPDATE SET inserts = max(inserts, excluded.inserts)";
        self.conn.prepare_cached(sql)?.execute(params![table, key, rseq as i64, inserts])?;
        Ok(())
    }

    /// The confirmed image of a row that gets its first unsettled entry: what was visible until now.
    fn set_aside(&self, touched: &Touched) -> Result<(), DbError> {
        let key = touched.key.to_bytes();
        let sql = "SELECT 1 FROM _landfall_images WHERE tbl = ? AND key = ?";
        if self.conn.prepare_cached(sql)?.exists(params![touched.table, key])? {
            return Ok(());
        }
        let work = self.load_row(touched.table, &touched.key, None)?;
        let held = !work.held.is_empty();
        let image = touched.before.clone().filter(|_| held);
        let image = image.map(|cells| self.only_held(touched.table, &work.held, cells));
        self.set_image(touched.table, &key, image.as_ref())
    }

    /// Undecided entries that this one must follow (order), and those whose refusal takes it along (fate).
    ///
    /// The latest entry on each row suffices for order: that one follows the one before it.
    ///
    /// What takes up an `older` entry follows what that one followed.
    fn predecessors(
        &self,
        net: &Net,
        wishes: &Wishes,
        older: Option<&Transaction>,
    ) -> Result<(Vec<u64>, Vec<u64>), DbError> {
        let (mut after, mut requires) = (FlatSet::new(), FlatSet::new());
        if let Some(older) = older {
            after.extend(older.after.iter().copied());
            requires.extend(older.requires.iter().copied());
        }
        for touched in &net.touched {
            after.extend(self.latest_undecided(touched.table, &touched.key.to_bytes(), false, u64::MAX)?);
        }
        requires.extend(self.needed(net.operations.iter().chain(&net.preview), u64::MAX)?);
        requires.extend(self.needed_by_action(wishes.action.as_ref(), u64::MAX)?);
        let (freed, saved) = self.releases(net)?;
        after.extend(freed);
        requires.extend(saved);
        for (wished, into) in [(&wishes.after, &mut after), (&wishes.requires, &mut requires)] {
            for rseq in wished {
                if matches!(self.state_of(*rseq)?, Some(QUEUED | SENT)) && !mutant::active("wish-forgotten") {
                    into.insert(*rseq);
                }
            }
        }
        after.extend(&requires);
        if let Some(older) = older {
            after.remove(&older.rseq);
            requires.remove(&older.rseq);
        }
        Ok((after.into_iter().collect(), requires.into_iter().collect()))
    }

    /// The undecided entries older than `before` that insert rows which these operations change or point to.
    fn needed<'a>(
        &self,
        operations: impl Iterator<Item = &'a Operation>,
        before: u64,
    ) -> Result<FlatSet<u64>, DbError> {
        let mut needed = FlatSet::new();
        if mutant::active("fate-forgotten") {
            return Ok(needed);
        }
        for operation in operations {
            let app = self.tables.get(operation.table())?;
            if !matches!(operation, Operation::Insert { .. }) {
                needed.extend(self.latest_undecided(app.id, &operation.key().to_bytes(), true, before)?);
            }
            // A row that is there refers by its key to what is there, too.
            let inserts = matches!(operation, Operation::Insert { .. });
            let by_key = app.table.primary_key.iter().zip(&operation.key().0).filter(|_| inserts);
            let by_cell = operation.cells().iter().map(|write| (&write.column, &write.value));
            for (column, value) in by_key.chain(by_cell) {
                let reference = app.table.column(column).and_then(|c| c.references.as_ref());
                needed.extend(self.made_here(reference, value, before)?);
            }
        }
        Ok(needed)
    }

    /// What an action points to by its arguments: as [`Database::needed`].
    fn needed_by_action(&self, action: Option<&Action>, before: u64) -> Result<FlatSet<u64>, DbError> {
        let mut needed = FlatSet::new();
        let declared = action.and_then(|action| Some((action, self.schema.action(&action.name)?)));
        let Some((action, declared)) = declared.filter(|_| !mutant::active("fate-forgotten")) else {
            return Ok(needed);
        };
        for arg in &declared.args {
            let value = action.args.get(&arg.name).unwrap_or(&Value::Null);
            needed.extend(self.made_here(arg.references.as_ref(), value, before)?);
        }
        Ok(needed)
    }

    /// The undecided entry that makes the row to which a value refers.
    fn made_here(&self, reference: Option<&Reference>, value: &Value, before: u64) -> Result<Option<u64>, DbError> {
        // What may name a row that is not there needs none.
        let needs = |reference: &&Reference| !value.is_null() && reference.on_delete != OnDelete::KeepOrphan;
        let Some(reference) = reference.filter(needs) else { return Ok(None) };
        let target = self.tables.get(&reference.table)?.id;
        self.latest_undecided(target, &RowKey::single(value.clone()).to_bytes(), true, before)
    }

    /// What an entry follows that it does not name: undecided entries that were settled when it was written, and are
    /// offered again since.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn unnamed_predecessors(&self, transaction: &Transaction) -> Result<Vec<u64>, DbError> {
        if transaction.rseq > self.memory.meta.offered_again || mutant::active("history-unordered") {
            return Ok(Vec::new());
        }
        let mut all = self.needed(transaction.operations.iter(), transaction.rseq)?;
        all.extend(self.needed_by_action(transaction.action.as_ref(), transaction.rseq)?);
        for operation in &transaction.operations {
            let (table, key) = (self.tables.get(operation.table())?.id, operation.key().to_bytes());
            all.extend(self.latest_undecided(table, &key, false, transaction.rseq)?);
        }
        Ok(all.into_iter().filter(|rseq| !transaction.after.contains(rseq)).collect())
    }

    fn latest_undecided(&self, table: i64, key: &[u8], inserts: bool, before: u64) -> Result<Option<u64>, DbError> {
        let sql = "SELECT t.rseq FROM _landfall_touched t JOIN _landfall_outbox o ON o.rseq = t.rseq
                   WHERE t.tbl = ? AND t.key = ? AND t.inserts >= ? AND t.rseq < ? AND o.state < 2
                   ORDER BY t.rseq DESC LIMIT 1";
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let row = params![table, key, inserts, before];
        let found = self.conn.prepare_cached(sql)?.query_row(row, |r| r.get::<_, i64>(0));
        Ok(found.optional()?.map(|v| v as u64))
    }

    fn holds(&self, held: &FlatSet<BucketId>, column: &str) -> bool {
        held.iter().filter_map(|id| self.memory.buckets.get(id)).any(|b| b.shows(column))
    }

    /// The base of a row of which only the key is held.
    fn row_base(&self, held: &FlatSet<BucketId>) -> u64 {
        let cut = self.memory.meta.cut;
        held.iter().filter_map(|id| self.memory.buckets.get(id)).map(|b| b.position(cut)).min().unwrap_or(0)
    }
}

fn check_row(app: &AppTable, key: &RowKey, cells: &Cells) -> Result<(), DbError> {
    let problem = app.table.check_key(key).or_else(|| app.table.check_row(cells).into_iter().next());
    problem.map_or(Ok(()), |p: Problem| Err(DbError::Invalid(p)))
}
