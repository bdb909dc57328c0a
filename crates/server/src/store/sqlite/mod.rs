//! The embedded store: one SQLite file in WAL mode, one writer connection, any number of read-only connections.
//!
//! App tables are plain tables under their own names ([`landfall_core::schema::ddl`]) that other programs may read and
//! write. Bookkeeping lives in tables prefixed `_landfall_`; their layout is in `open.rs` and in
//! `docs/architecture.md`. A commit is durable (`synchronous=FULL`) before anything of it leaves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_core::hash::{ContentHash, is_chain_of};
use landfall_core::predicate::Env;
use landfall_core::schema::Schema;
use landfall_core::{BucketId, Epoch, ReplicaId};
use rusqlite::{Connection, params};

use super::{Fresh, GroupCommit, Head, PushEntry, ReplicaState, Store, StoreError, StoreReader, Sweep, Truncated};
use crate::actions::Actions;
use crate::buckets::{Bucket, BucketIndex, Template, encode_env};
use crate::commit::{Faults, Group, Known, Plan};

mod open;
mod outside;
mod past;
mod read;
mod retention;
mod tables;
#[cfg(test)]
mod tests;
mod tombstones;
mod tx;
mod values;

use read::{Shared, SqliteReader, lock, narrowing, read_head, replica_state};
use tables::TableSql;
use tx::{SqliteTx, signed};

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file. Beside it stand `-wal`, `-shm` and `.lock`.
    Path(PathBuf),
    /// A file of a registered SQLite VFS.
    Vfs {
        /// The file's name there.
        name: String,
        /// The VFS.
        vfs: String,
    },
}

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Where.
    pub location: Location,
    /// One connection for everything, and no shared memory: for file systems that have none (the simulator's). The
    /// readers share the writer's connection then.
    pub exclusive: bool,
    /// So many updates of a document at least become one, when they come to be that many: 2 to 1,000; usually 48.
    pub docs_together: usize,
}

impl SqliteOptions {
    /// A file, with readers of their own.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self { location: Location::Path(path.into()), exclusive: false, docs_together: 48 }
    }
}

/// The embedded store. Dropping it closes the database; readers live on.
pub struct SqliteStore {
    conn: Shared,
    options: SqliteOptions,
    plan: Plan,
    tables: Arc<Vec<TableSql>>,
    templates: BTreeMap<String, Arc<Template>>,
    by_id: Arc<BTreeMap<ContentHash, Arc<Template>>>,
    buckets: BucketIndex,
    /// When buckets were last opened, milliseconds since the Unix epoch.
    uses: BTreeMap<BucketId, u64>,
    head: Head,
    scan: outside::Scan,
    walk: past::Walk,
    /// Where the walk through deleted rows goes on, while it is under way.
    deletes_after: Option<u64>,
    next_bucket: u64,
    /// The app's own code.
    actions: Actions,
    /// Transactions on which it failed.
    faults: Faults,
    common_seq: u64,
    opened_at: u64,
    /// Keeps other servers away; the system lets go of it when this process ends, however it ends.
    _lock: Option<std::fs::File>,
}

/// A row that nobody could merge would be refused for ever, or overwritten: better not to begin.
fn check_functions(schema: &Schema) -> Result<(), StoreError> {
    let missing =
        schema.missing_functions().map(|(table, column, function)| format!("{table}.{column} ('{function}')"));
    let columns = missing.collect::<Vec<_>>().join(", ");
    if columns.is_empty() { Ok(()) } else { Err(StoreError::NoFunction { columns }) }
}

impl SqliteStore {
    /// Opens or creates the database of `schema`, follows additive changes of the schema, and gives a sequence to
    /// everything that other programs wrote since.
    ///
    /// # Errors
    /// A database that cannot be used is left as it was: another app's, a newer one, a damaged one, one in use.
    pub fn open(options: SqliteOptions, schema: Schema, fresh: Fresh, now_ms: u64) -> Result<Self, StoreError> {
        check_functions(&schema)?;
        let lock_file = open::lock_file(&options)?;
        let conn = open::connect(&options)?;
        let (schema, docs_together) = (Arc::new(schema), options.docs_together);
        open::prepare(&conn, &options, &schema, fresh.epoch)?;
        conn.execute_batch(tombstones::INDEX)?;
        let chain_key = open::chain_key(&conn, &fresh)?;
        let templates = crate::buckets::templates(&schema);
        let by_id: BTreeMap<_, _> = templates.values().map(|t| (t.id, Arc::clone(t))).collect();
        let buckets = open::load_buckets(&conn, &by_id)?;
        let uses = open::load_uses(&conn, &buckets, now_ms)?;
        let head = read_head(&conn)?;
        let common_seq = read::meta_number(&conn, "common_seq")?;
        let next_bucket = open::first_bucket(&conn, &fresh)?;
        let mut store = Self {
            conn: Arc::new(conn.into()),
            options,
            tables: Arc::new(TableSql::all(&schema)),
            plan: Plan::new(schema, chain_key).with_docs_together(docs_together),
            templates,
            by_id: Arc::new(by_id),
            buckets,
            uses,
            head,
            scan: outside::Scan::default(),
            walk: past::Walk::default(),
            deletes_after: None,
            actions: Actions::default(),
            faults: Faults::default(),
            next_bucket,
            common_seq,
            opened_at: head.seq,
            _lock: lock_file,
        };
        while !store.check_outside_writes(now_ms)?.done {}
        Ok(store)
    }

    /// Has the app's own code decide on transactions that ask for actions.
    #[must_use]
    pub fn with_actions(self, actions: Actions) -> Self {
        Self { actions, ..self }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        self.plan.schema()
    }

    /// Runs `f` in one durable transaction; on an error nothing of it is applied.
    fn transaction<R>(conn: &Shared, f: impl FnOnce(&Connection) -> Result<R, StoreError>) -> Result<R, StoreError> {
        Self::timed_transaction(conn, f).map(|(value, _)| value)
    }

    /// The same, and how long its COMMIT took.
    fn timed_transaction<R>(
        conn: &Shared,
        f: impl FnOnce(&Connection) -> Result<R, StoreError>,
    ) -> Result<(R, Duration), StoreError> {
        let conn = lock(conn);
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let result = f(&conn).and_then(|value| {
            let began = Instant::now();
            conn.prepare_cached("COMMIT")?.execute([])?;
            Ok((value, began.elapsed()))
        });
        // SQLite rolls back by itself after some errors.
        if result.is_err() && !conn.is_autocommit() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        result
    }

    /// Runs `f` on a group in one durable transaction, and moves the head when it is committed.
    fn group(
        &mut self,
        now_ms: u64,
        f: impl FnOnce(Group<'_, SqliteTx<'_>>) -> Result<GroupCommit, StoreError>,
    ) -> Result<GroupCommit, StoreError> {
        let (known, head) = (Known { plan: &self.plan, buckets: &self.buckets, actions: &self.actions }, self.head);
        let mut faults = self.faults.clone();
        let (commit, flushed_in) = Self::timed_transaction(&self.conn, |conn| {
            let mut tx = SqliteTx::new(conn, &self.tables);
            f(Group::new(&mut tx, known, &mut faults, head, now_ms))
        })?;
        self.head = commit.head;
        // What was counted in a transaction that was rolled back will be counted again.
        self.faults = faults;
        Ok(GroupCommit { flushed_in, ..commit })
    }
}

impl Store for SqliteStore {
    fn commit_group(&mut self, pushes: &[PushEntry], room: usize, now_ms: u64) -> Result<GroupCommit, StoreError> {
        let committed = self.group(now_ms, |group| {
            let mut group = group.with_room(room);
            let outcomes = group.decide(pushes)?;
            group.finish(outcomes)
        });
        if !committed.as_ref().is_err_and(StoreError::is_of_one_transaction) {
            return committed;
        }
        self.group(now_ms, |group| {
            let mut group = group.with_room(room).careful();
            let outcomes = group.decide(pushes)?;
            group.finish(outcomes)
        })
    }

    fn asks_webhook(&self, action: &str) -> bool {
        self.actions.is_webhook(action)
    }

    fn has_signed(&self, seq: u64, chain: u64) -> bool {
        is_chain_of(self.plan.chain_key(), seq, chain)
    }

    fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    fn open_bucket(&mut self, template: &Arc<Template>, env: &Env, now_ms: u64) -> Result<Bucket, StoreError> {
        if let Some(bucket) = self.buckets.find(template, env).cloned() {
            retention::note_use(&lock(&self.conn), &mut self.uses, bucket.id, now_ms)?;
            return Ok(bucket);
        }
        let since = self.head.seq;
        let mut bucket = Bucket { id: BucketId(0), template: Arc::clone(template), env: Arc::new(env.clone()), since };
        let (columns, _) = narrowing(&bucket);
        let table = self.tables.iter().find(|t| t.name == template.table);
        let index = table.filter(|_| template.has_values()).map(|t| t.bucket_index(&columns));
        let id = self.next_bucket;
        self.next_bucket += 1;
        bucket.id = Self::transaction(&self.conn, |conn| {
            const SQL: &str =
                "INSERT INTO _landfall_buckets (id, template, env, created_seq, retired) VALUES (?, ?, ?, ?, 0)";
            if let Some(index) = index {
                conn.execute_batch(&index)?;
            }
            conn.prepare_cached(SQL)?.execute(params![signed(id), template.id, encode_env(env), signed(since)])?;
            Ok(BucketId(id))
        })?;
        self.buckets.insert(bucket.clone());
        retention::note_use(&lock(&self.conn), &mut self.uses, bucket.id, now_ms)?;
        Ok(bucket)
    }

    fn retire_buckets(&mut self, unused_since_ms: u64, is_held: &dyn Fn(BucketId) -> bool) -> Result<u64, StoreError> {
        let due = self.uses.iter().filter(|(id, used)| **used < unused_since_ms && !is_held(**id));
        let due: Vec<BucketId> = due.map(|(id, _)| *id).take(retention::BUCKETS).collect();
        if due.is_empty() {
            return Ok(0);
        }
        Self::transaction(&self.conn, |conn| retention::forget_buckets(conn, &due))?;
        for id in &due {
            self.uses.remove(id);
            self.buckets.remove(*id);
        }
        Ok(due.len() as u64)
    }

    fn templates(&self) -> &BTreeMap<String, Arc<Template>> {
        &self.templates
    }

    fn head(&self) -> Head {
        self.head
    }

    fn start_epoch(&mut self, fresh: Epoch) -> Result<Head, StoreError> {
        // The copy was put in place before this process began.
        let common = if self.common_seq == 0 { self.opened_at } else { self.common_seq.min(self.opened_at) };
        Self::transaction(&self.conn, |conn| {
            open::put_meta(conn, "epoch", &fresh.0)?;
            open::put_meta(conn, "common_seq", &common.to_be_bytes())?;
            conn.execute("UPDATE _landfall_replicas SET floor = forgotten", [])?;
            Ok(())
        })?;
        self.head.epoch = fresh;
        self.common_seq = common;
        Ok(self.head)
    }

    fn common_seq(&self) -> u64 {
        self.common_seq
    }

    fn hello(&mut self, replica: ReplicaId, subject: &str) -> Result<ReplicaState, StoreError> {
        let state = replica_state(&lock(&self.conn), &replica)?.unwrap_or_default();
        if !state.subject.is_empty() && state.subject != subject {
            return Err(StoreError::OtherSubject { owner: state.subject });
        }
        Ok(state)
    }

    fn truncate_log(&mut self, before_seq: u64, decided_before_ms: u64) -> Result<Truncated, StoreError> {
        let before_seq = before_seq.min(self.head.seq);
        Self::transaction(&self.conn, |conn| {
            let changes = retention::forget_changes(conn, &self.buckets, before_seq)?;
            let decisions = retention::forget_decisions(conn, decided_before_ms)?;
            Ok(Truncated { sequences: changes.count, decisions: decisions.count, done: changes.done && decisions.done })
        })
    }

    fn forget_history(&mut self, now_ms: u64) -> Result<Sweep, StoreError> {
        if let (Some(after), Some(keep_ms)) = (self.deletes_after, self.plan.schema().tombstones_ms) {
            let before_ms = now_ms.saturating_sub(keep_ms);
            let next = Self::transaction(&self.conn, |conn| tombstones::forget(conn, after, before_ms, now_ms))?;
            self.deletes_after = next;
            return Ok(Sweep { commit: self.nothing(), done: next.is_none() });
        }
        let mut walk = self.walk.clone();
        let due = walk.step(&lock(&self.conn), &self.tables, &self.plan, now_ms)?;
        let done = due.is_none();
        let commit = match due.filter(|due| !due.keys.is_empty()) {
            None => self.nothing(),
            Some(due) => self.group(now_ms, |mut group| {
                group.forget_history(due.history, &due.keys)?;
                group.finish(Vec::new())
            })?,
        };
        self.walk = walk;
        // Histories are through: next are deleted rows.
        self.deletes_after = self.plan.schema().tombstones_ms.filter(|_| done).map(|_| 0);
        Ok(Sweep { commit, done: done && self.deletes_after.is_none() })
    }

    fn check_outside_writes(&mut self, now_ms: u64) -> Result<Sweep, StoreError> {
        let mut scan = self.scan.clone();
        scan.begin(&lock(&self.conn))?;
        if scan.is_done() {
            return Ok(Sweep { commit: self.nothing(), done: true });
        }
        let keys = scan.step(&lock(&self.conn), &self.tables, &self.plan)?;
        let commit = if keys.is_empty() {
            self.nothing()
        } else {
            self.group(now_ms, |mut group| {
                for (table, key) in &keys {
                    group.settled(*table, key)?;
                }
                group.finish(Vec::new())
            })?
        };
        let done = scan.is_done();
        self.scan = scan;
        Ok(Sweep { commit, done })
    }

    fn secret(&mut self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        Self::transaction(&self.conn, |conn| open::secret(conn, name, fresh))
    }

    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        let conn = match self.options.exclusive {
            true => Arc::clone(&self.conn),
            false => Arc::new(open::connect_reader(&self.options)?.into()),
        };
        Ok(Box::new(SqliteReader { conn, tables: Arc::clone(&self.tables), templates: Arc::clone(&self.by_id) }))
    }
}

impl SqliteStore {
    /// Makes the disk seem full beyond so many pages.
    #[cfg(test)]
    fn limit_pages(&self, pages: Option<i64>) {
        let pages = pages.unwrap_or(i64::from(i32::MAX));
        lock(&self.conn).pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    }

    fn nothing(&self) -> GroupCommit {
        GroupCommit { from: self.head.seq, head: self.head, ..GroupCommit::default() }
    }
}
