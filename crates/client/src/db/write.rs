//! The app's writes: plain SQL or typed calls, inside one transaction that the engine begins and ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use landfall_core::error::codes;
use landfall_core::schema::Sending;
use landfall_core::schema::ddl::quote;
use landfall_core::{Action, Problem, RowKey, Value};

use super::bookkeeping::{DEAD, Memory};
use super::error::DbError;
use super::hooks::{Marks, Mode};
use super::query::{Rows, WRITE_MARK, explain, run_query};
use super::tables::{AppTable, Bind};
use super::{Database, capture};
use crate::changes::ChangeSet;

/// What a write transaction did. It is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<R> {
    /// What the app's function returned.
    pub value: R,
    /// The outbox entry; `None` when no synced row changed and no action was asked for.
    pub rseq: Option<u64>,
    /// Entries that are no more: taken up by this one, withdrawn, or dead letters that it took the place of.
    pub gone: Vec<u64>,
    /// What changed visibly, local tables included.
    pub changes: ChangeSet,
}

impl<R> Written<R> {
    /// The same with another value.
    pub fn map<T>(self, f: impl FnOnce(R) -> T) -> Written<T> {
        Written { value: f(self.value), rseq: self.rseq, gone: self.gone, changes: self.changes }
    }
}

/// A write transaction in progress.
#[derive(Debug)]
pub struct WriteTx<'a> {
    db: &'a mut Database,
    depth: u32,
    /// The state to go back to; taken when the transaction ends in order.
    undo: Option<Memory>,
    wishes: Wishes,
    /// What is written is as it was in a dead letter: it is checked when the transaction ends, since what follows may correct it.
    replays: bool,
}

/// What the app asks of a transaction beside what it writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// How urgent it is; `None`: as its tables say.
    pub priority: Option<u8>,
    /// Entries that must be decided first.
    pub after: BTreeSet<u64>,
    /// Entries whose refusal takes it along.
    pub requires: BTreeSet<u64>,
    /// What it asks of the app's handler on the server.
    pub action: Option<Action>,
    /// Where it stands for undo and redo; `None`: it can be undone, and ends what could be done again.
    pub stack: Option<Option<i64>>,
    /// The entry that it changes, and the number by which the app named it.
    pub edits: Option<u64>,
    pub edits_named: Option<u64>,
    /// Not to be sent after this, by the device's clock.
    pub expires_ms: Option<u64>,
    /// Dead letters that went with it.
    pub gone: Vec<u64>,
}

impl Wishes {
    /// Whether it asks for no other priority than this.
    pub fn urgency(&self, priority: u8) -> bool {
        self.priority.is_none_or(|own| own == priority)
    }
}

/// A write transaction that stays open between calls. Until it is finished or let go, nothing else may be called on the
/// database: reads would see what is not committed.
#[derive(Debug)]
#[must_use = "the transaction stays open until it is finished or let go"]
pub struct HeldWrite {
    undo: Memory,
    wishes: Wishes,
}

impl Drop for WriteTx<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.undo.take() {
            self.db.stop_capture();
            self.db.abandon(before);
        }
    }
}

impl Database {
    /// Runs `f` in one transaction and records what it changed, net, as one outbox entry. Durable on return, as
    /// [`super::Durability`] says. When `f` or a rule refuses, everything is rolled back.
    ///
    /// # Errors
    /// What `f` returns; [`DbError::Invalid`] with the rule that a row breaks; [`DbError::KeyChanged`].
    pub fn write<R>(
        &mut self,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<Written<R>, DbError> {
        let held = self.hold(now_ms, random)?;
        let mut tx = WriteTx::resume(self, held);
        let value = f(&mut tx)?;
        tx.still_open("a statement of this transaction")?;
        tx.finish(value, now_ms)
    }

    /// Begins a write transaction that stays open between calls.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn hold(&mut self, now_ms: u64, random: &mut dyn FnMut(&mut [u8])) -> Result<HeldWrite, DbError> {
        let undo = self.begin()?;
        let mut seed = [0; 32];
        random(&mut seed);
        self.start_capture(now_ms, seed, false)?;
        Ok(HeldWrite { undo, wishes: Wishes::default() })
    }

    /// Does a part of a held transaction. On error all of it is undone, and it has ended.
    ///
    /// # Errors
    /// What `f` returned.
    pub fn step_held<R>(
        &mut self,
        held: HeldWrite,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<(HeldWrite, R), DbError> {
        let mut tx = WriteTx::resume(self, held);
        let value = f(&mut tx)?;
        tx.still_open("a statement of this transaction")?;
        let wishes = std::mem::take(&mut tx.wishes);
        match tx.undo.take() {
            Some(undo) => Ok((HeldWrite { undo, wishes }, value)),
            None => Err(DbError::RolledBack("the transaction has ended".into())),
        }
    }

    /// Commits a held transaction, as [`Database::write`] does.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub fn finish_held(&mut self, held: HeldWrite, now_ms: u64) -> Result<Written<()>, DbError> {
        WriteTx::resume(self, held).finish((), now_ms)
    }

    /// Undoes a held transaction.
    pub fn let_go(&mut self, held: HeldWrite) {
        drop(WriteTx::resume(self, held));
    }

    pub(super) fn start_capture(&mut self, now_ms: u64, seed: [u8; 32], local_only: bool) -> Result<(), DbError> {
        capture::install(&mut self.conn, &self.shared, true)?;
        let mut inner = self.shared.lock();
        inner.marks = Some(Marks::default());
        inner.local_only = local_only;
        inner.now_ms = now_ms;
        (inner.seed, inner.drawn) = (seed, 0);
        Ok(())
    }

    pub(super) fn stop_capture(&mut self) -> Marks {
        // Taking the hook away cannot fail: nothing is allocated for it.
        let _ = capture::install(&mut self.conn, &self.shared, false);
        self.shared.lock().marks.take().unwrap_or_default()
    }
}

impl<'a> WriteTx<'a> {
    fn resume(db: &'a mut Database, held: HeldWrite) -> Self {
        Self { db, depth: 0, undo: Some(held.undo), wishes: held.wishes, replays: false }
    }
}

impl WriteTx<'_> {
    fn finish<R>(mut self, value: R, now_ms: u64) -> Result<Written<R>, DbError> {
        let marks = self.db.stop_capture();
        self.db.shared.set_mode(Mode::Engine);
        let mut changes = ChangeSet::default();
        let recorded = self.db.record(marks, now_ms, &self.wishes, &mut changes)?;
        let rseq = recorded.map(|r| r.rseq);
        let mut gone = std::mem::take(&mut self.wishes.gone);
        if let Some(replaced) = recorded.and_then(|r| r.replaced) {
            gone.push(replaced);
            let by_name = self.wishes.edits_named.filter(|_| self.wishes.edits == Some(replaced));
            gone.extend(by_name.filter(|named| *named != replaced));
        }
        if let Some(before) = &self.undo {
            self.db.commit(before)?;
        }
        self.undo = None;
        Ok(Written { value, rseq, gone, changes })
    }

    /// How urgent this transaction is, 0 to 100 (more is taken as 100), whatever its tables say. What it follows becomes
    /// as urgent.
    pub fn set_priority(&mut self, priority: u8) {
        self.wishes.priority = Some(priority.min(Sending::MAX_PRIORITY));
    }

    /// This transaction must be decided after an earlier one of this database, whatever becomes of that one. What
    /// touches the same row follows by itself. One that is decided already is not waited for; where another has taken it
    /// up ([`Database::current_rseq`]) that one is meant.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when the number was never given out.
    pub fn follow(&mut self, rseq: u64) -> Result<(), DbError> {
        let rseq = self.named(rseq)?;
        self.wishes.after.insert(rseq);
        Ok(())
    }

    /// As [`WriteTx::follow`], and when the earlier one is refused so is this one.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when the number was never given out, or is that of a dead letter, or of what was withdrawn
    /// or thrown away.
    pub fn require(&mut self, rseq: u64) -> Result<(), DbError> {
        let rseq = self.named(rseq)?;
        if self.db.state_of(rseq)? == Some(DEAD) || self.db.is_gone(rseq)? {
            return Err(DbError::NoSuchEntry { rseq, state: "undecided or accepted" });
        }
        self.wishes.requires.insert(rseq);
        Ok(())
    }

    /// Asks for an action: the server runs the app's handler of this name, which sees what this transaction writes and may
    /// refuse it, change it and add to it. What is written here shows until then. An argument that is not given is NULL.
    ///
    /// A transaction with an action is sent even when it changes no row.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when the schema has no such action, the arguments are not as it declares, or this transaction
    /// asks for one already.
    pub fn action(&mut self, name: &str, args: &[(&str, Value)]) -> Result<(), DbError> {
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.ask(Action { name: name.to_owned(), args })
    }

    /// As [`WriteTx::action`].
    ///
    /// # Errors
    /// As [`WriteTx::action`].
    pub fn ask(&mut self, action: Action) -> Result<(), DbError> {
        if let Some(asked) = &self.wishes.action {
            let message = format!("it asks for the action '{}' already; use a transaction for each", asked.name);
            return Err(DbError::Invalid(Problem::new(codes::BAD_TRANSACTION, message)));
        }
        self.db.schema.check_action(&action).map_err(DbError::Invalid)?;
        self.wishes.action = Some(action);
        Ok(())
    }

    /// This transaction is not one that [`Database::undo_last`] takes back: it is not what the person did.
    pub fn leave_out_of_undo(&mut self) {
        self.wishes.stack = Some(None);
    }

    pub(super) fn set_stack(&mut self, stack: Option<i64>) {
        self.wishes.stack = Some(stack);
    }

    pub(super) fn keep_priority(&mut self, priority: u8) {
        self.wishes.priority.get_or_insert(priority);
    }

    /// When the transaction began, by the device's clock.
    pub(super) fn now_ms(&self) -> u64 {
        self.db.shared.lock().now_ms
    }

    pub(super) fn gone(&mut self, rseq: u64) {
        self.wishes.gone.push(rseq);
    }

    /// This transaction changes an entry of the outbox: as [`Database::edit`].
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when it was never written, or is a dead letter.
    pub fn edit(&mut self, rseq: u64) -> Result<(), DbError> {
        self.wishes.edits_named = Some(rseq);
        let rseq = self.named(rseq)?;
        match self.db.state_of(rseq)? {
            Some(DEAD) => return Err(DbError::NoSuchEntry { rseq, state: "undecided" }),
            // It has settled meanwhile: this transaction is one of its own.
            None => {}
            Some(_) => self.wishes.edits = Some(rseq),
        }
        Ok(())
    }

    /// This transaction is not carried out later than this, by the device's clock: milliseconds since the Unix epoch. One
    /// that could not be sent by then is a dead letter.
    pub fn expire_at(&mut self, at_ms: u64) {
        self.wishes.expires_ms = Some(at_ms);
    }

    /// The row as this transaction sees it.
    ///
    /// # Errors
    /// [`DbError::UnknownName`], or when the database cannot be read.
    pub fn row(&self, table: &str, key: &RowKey) -> Result<Option<landfall_core::hash::Cells>, DbError> {
        self.db.tables.get(table)?.read(&self.db.conn, key)
    }

    /// The entry that a number names now.
    fn named(&self, rseq: u64) -> Result<u64, DbError> {
        let known = (1..=self.db.last_rseq()).contains(&rseq);
        if known { self.db.current_rseq(rseq) } else { Err(DbError::NoSuchEntry { rseq, state: "known" }) }
    }

    /// Runs one statement; how many rows it changed. Parameters are bound by position.
    ///
    /// # Errors
    /// [`DbError::NotPermitted`] for transaction control, changes of the schema and the like; [`DbError::Sql`];
    /// [`DbError::StoredForm`] when a value is not of the column's storage class.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<usize, DbError> {
        self.run(&format!("{WRITE_MARK}{sql}"), params)
    }

    /// Runs a query inside the transaction, also a statement with RETURNING.
    ///
    /// # Errors
    /// As [`WriteTx::execute`].
    pub fn query(&mut self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        self.db.shared.set_mode(Mode::Write);
        let result = run_query(&self.db.conn, &self.db.tables, &format!("{WRITE_MARK}{sql}"), params);
        let result = result.map_err(|error| explain(&self.db.shared, &self.db.tables, error));
        self.db.shared.set_mode(Mode::Engine);
        self.still_open(sql)?;
        result
    }

    fn run(&mut self, sql: &str, params: &[Value]) -> Result<usize, DbError> {
        let db = &*self.db;
        db.shared.set_mode(Mode::Write);
        let result = db.conn.prepare_cached(sql).and_then(|mut statement| {
            let values = rusqlite::params_from_iter(params.iter().map(Bind));
            if statement.column_count() == 0 {
                return statement.execute(values);
            }
            // A statement with RETURNING, or a query: run it to its end.
            let mut rows = statement.query(values)?;
            let mut count = 0;
            while rows.next()?.is_some() {
                count += 1;
            }
            Ok(count)
        });
        let result = result.map_err(|error| explain(&db.shared, &db.tables, error));
        db.shared.set_mode(Mode::Engine);
        if let Err(error) = &result
            && db.conn.is_autocommit()
        {
            return Err(DbError::RolledBack(error.to_string()));
        }
        self.still_open(sql)?;
        result
    }

    /// Some errors, and `OR ROLLBACK`, end the whole transaction: nothing may be written after that.
    fn still_open(&self, sql: &str) -> Result<(), DbError> {
        if self.db.conn.is_autocommit() {
            return Err(DbError::RolledBack(sql.trim_start_matches(WRITE_MARK).to_owned()));
        }
        Ok(())
    }

    /// Runs `f` as a part that succeeds or is undone by itself; the transaction goes on either way.
    ///
    /// # Errors
    /// What `f` returns.
    pub fn savepoint<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, DbError>) -> Result<R, DbError> {
        let name = format!("landfall_{}", self.depth);
        let before = (self.db.memory.clone(), self.wishes.clone());
        self.db.conn.prepare_cached(&format!("SAVEPOINT {name}"))?.execute([])?;
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        self.still_open("a statement of this savepoint")?;
        if result.is_err() {
            self.db.conn.prepare_cached(&format!("ROLLBACK TO {name}"))?.execute([])?;
            // What the part said of the outbox, and wished for, goes with it.
            (self.db.memory, self.wishes) = before;
        }
        self.db.conn.prepare_cached(&format!("RELEASE {name}"))?.execute([])?;
        result
    }

    /// Inserts a row. Columns that are not named get their default.
    ///
    /// # Errors
    /// As [`WriteTx::execute`]; [`DbError::UnknownName`].
    pub fn insert(&mut self, table: &str, cells: &[(&str, Value)]) -> Result<(), DbError> {
        let sql = self.insert_sql(table, cells)?;
        self.run(&sql, &values(cells)).map(|_| ())
    }

    /// Sets columns of a row; whether there was such a row.
    ///
    /// # Errors
    /// As [`WriteTx::execute`]; [`DbError::UnknownName`].
    pub fn update(&mut self, table: &str, key: &RowKey, cells: &[(&str, Value)]) -> Result<bool, DbError> {
        let app = self.check(table, cells)?;
        if cells.is_empty() {
            return Ok(app.read_stored(&self.db.conn, key)?.is_some());
        }
        let sql = format!("{WRITE_MARK}{}", app.update_sql(cells.iter().map(|(name, _)| *name)));
        let params: Vec<Value> = values(cells).into_iter().chain(key.0.iter().cloned()).collect();
        Ok(self.run(&sql, &params)? > 0)
    }

    /// Deletes a row; whether there was one.
    ///
    /// # Errors
    /// As [`WriteTx::execute`].
    pub fn delete(&mut self, table: &str, key: &RowKey) -> Result<bool, DbError> {
        let sql = format!("{WRITE_MARK}{}", self.check(table, &[])?.delete_sql());
        Ok(self.run(&sql, &key.0)? > 0)
    }

    /// Inserts a row, or sets these columns of the row that has the same key.
    ///
    /// # Errors
    /// As [`WriteTx::execute`]; the key must be among `cells`.
    pub fn upsert(&mut self, table: &str, cells: &[(&str, Value)]) -> Result<(), DbError> {
        let app = self.check(table, cells)?;
        let part = |name: &String| cells.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let key: Option<Vec<Value>> = app.table.primary_key.iter().map(part).collect();
        let key = key.map(RowKey).ok_or_else(|| DbError::UnknownName(format!("key among the cells for '{table}'")))?;
        let data: Vec<_> = cells.iter().filter(|(name, _)| !app.table.is_key(name)).cloned().collect();
        if self.update(table, &key, &data)? { Ok(()) } else { self.insert(table, cells) }
    }

    /// As [`WriteTx::upsert`], the row being found by a unique column: `unique` names it, `cells` hold its value.
    ///
    /// # Errors
    /// As [`WriteTx::execute`]; [`DbError::UnknownName`] when the column is not declared unique.
    pub fn upsert_by(&mut self, table: &str, unique: &str, cells: &[(&str, Value)]) -> Result<(), DbError> {
        let db = &*self.db;
        let app = self.check(table, cells)?;
        let value = cells.iter().find(|(name, _)| *name == unique).map(|(_, v)| v);
        let declared = app.table.column(unique).is_some_and(|c| c.unique);
        let (Some(value), true) = (value, declared) else {
            return Err(DbError::UnknownName(format!("unique column '{table}.{unique}' among the cells")));
        };
        let found = app.keys_where(&db.conn, unique, value, 1)?;
        let data: Vec<_> = cells.iter().filter(|(name, _)| !app.table.is_key(name)).cloned().collect();
        match found.into_iter().next() {
            Some(key) => self.update(table, &key, &data).map(|_| ()),
            None => self.insert(table, cells),
        }
    }

    fn insert_sql(&self, table: &str, cells: &[(&str, Value)]) -> Result<String, DbError> {
        self.check(table, cells)?;
        if cells.is_empty() {
            return Ok(format!("{WRITE_MARK}INSERT INTO {} DEFAULT VALUES", quote(table)));
        }
        let names = cells.iter().map(|(name, _)| quote(name)).collect::<Vec<_>>().join(", ");
        let holes = vec!["?"; cells.len()].join(", ");
        Ok(format!("{WRITE_MARK}INSERT INTO {} ({names}) VALUES ({holes})", quote(table)))
    }

    /// Typed values keep their type: a wrong one is refused here, before SQLite would convert it.
    pub(super) fn check(&self, table: &str, cells: &[(&str, Value)]) -> Result<&AppTable, DbError> {
        let app = self.db.tables.get(table)?;
        for (name, value) in cells {
            let column = app.table.column(name);
            let column = column.ok_or_else(|| DbError::UnknownName(format!("column '{table}.{name}'")))?;
            if !(value.is_null() || self.replays)
                && let Some(problem) = column.check(value)
            {
                return Err(DbError::Invalid(landfall_core::Problem { table: Some(table.to_owned()), ..problem }));
            }
        }
        Ok(app)
    }

    /// Writes what a dead letter said.
    pub(super) fn replaying<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, DbError>) -> Result<R, DbError> {
        let before = std::mem::replace(&mut self.replays, true);
        let done = f(self);
        self.replays = before;
        done
    }

    /// The engine itself, for calls that are part of this transaction.
    pub(super) fn database(&mut self) -> &mut Database {
        self.db
    }
}

fn values(cells: &[(&str, Value)]) -> Vec<Value> {
    cells.iter().map(|(_, value)| value.clone()).collect()
}

/// Positions and tables are shared with the hooks.
pub(super) fn app_tables(db: &Database) -> Arc<super::tables::AppTables> {
    Arc::clone(&db.tables)
}
