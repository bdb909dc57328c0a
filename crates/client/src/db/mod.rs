//! The local database: the app's tables, the outbox, what the server confirmed, and the rules that tie them.
//!
//! **Visible row = confirmed row ⊕ unsettled entries in order of replica sequence.** Each call that changes something
//! is one SQLite transaction, durable on return as [`Durability`] says, undone as a whole on error.
//!
//! | file | idea |
//! |---|---|
//! | `open` | opening and upgrading a file, refusing foreign ones |
//! | `bookkeeping` | the `_landfall_` tables and the state kept in memory |
//! | `tables` | one app row by key, in stored form |
//! | `hooks`, `authorizer`, `capture`, `functions` | what SQLite asks and tells while statements run |
//! | `query`, `write` | the app's reads and writes |
//! | `recover`, `images` | starting anew from the mirrored outbox |
//! | `cache` | fetched answers that are not synced |
//! | `requests` | writes that are asked for twice, and happen once |
//! | `record`, `rules` | from touched rows to operations; what the device can refuse by itself |
//! | `outbox`, `decide` | entries on their way; decisions, dead letters, settling |
//! | `scheduler`, `policy` | what is sent next; what may wait for the network, how long and how much of it |
//! | `letters`, `export` | dead letters; the outbox as a file |
//! | `history` | what the server keeps of what rows were |
//! | `compose`, `withdraw`, `undo` | entries edited, joined and withdrawn; transactions taken back |
//! | `overlay` | confirmed rows, memberships, and what they look like under pending work |
//! | `review` | what waited through a long absence, held back until the person has been told |
//! | `buckets`, `apply`, `chunk`, `session` | subscriptions, the live stream, first load, greeting a server |

use std::path::PathBuf;
use std::sync::Arc;

use landfall_core::{ReplicaId, Schema};
use landfall_protocol::Cursor;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

mod apply;
mod authorizer;
mod bookkeeping;
mod buckets;
mod bulk;
mod cache;
mod capture;
mod chunk;
mod compose;
mod conflicts;
mod decide;
mod engine_side;
mod error;
mod export;
mod functions;
mod history;
mod hooks;
mod images;
mod letters;
mod list;
mod open;
mod outbox;
mod overlay;
mod parts;
mod policy;
mod query;
mod reconcile;
mod record;
mod recover;
mod releases;
mod requests;
mod review;
mod rules;
mod scheduler;
mod session;
mod succession;
mod tables;
mod triggers;
mod undo;
mod versions;
mod withdraw;
mod write;

#[cfg(test)]
mod tests;

pub use apply::LiveChanges;
pub use bookkeeping::BucketState;
pub use buckets::{Completeness, HeldBucket, Subscription};
pub use cache::{Begun, Cached, Invalidated, Selection, Ticket};
pub use compose::Edited;
pub use conflicts::Resolution;
pub use decide::Decided;
pub use error::{DbError, OpenError, codes};
pub use export::{Backup, Imported};
pub use images::RowImage;
pub use list::Spot;
pub use outbox::{Counts, EntryState, Failure, Letter, OutboxEntry, RowState, StoredImages};
pub use query::Rows;
pub use reconcile::Reconciled;
pub use releases::Release;
pub use review::{Changed, Held, Reviewed};
pub use undo::{Left, Undone};
pub use withdraw::Withdrawal;
pub use write::{HeldWrite, WriteTx, Written};

use bookkeeping::Memory;
use hooks::{Mode, Shared};
use tables::AppTables;

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file.
    Path(PathBuf),
    /// Memory: gone when closed.
    Memory,
    /// A file in a registered file system of SQLite (the simulator's disk, the browser's storage).
    Vfs {
        /// The file's name there.
        name: String,
        /// The file system's name.
        vfs: String,
    },
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str("the database in memory"),
            Self::Vfs { name, vfs } => write!(f, "{name} ({vfs})"),
        }
    }
}

/// What a commit promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Survives a power cut (`synchronous = FULL`).
    #[default]
    Full,
    /// Survives a crash of the program; a power cut may take the last commits (`synchronous = NORMAL`).
    Normal,
    /// Gone when it is closed. What a database at [`Location::Memory`] always says.
    Memory,
}

impl Durability {
    fn pragma(self) -> &'static str {
        match self {
            Self::Full if landfall_core::mutant::active("device-not-durable") => "PRAGMA synchronous = OFF",
            Self::Full => "PRAGMA synchronous = FULL",
            Self::Normal => "PRAGMA synchronous = NORMAL",
            Self::Memory => "PRAGMA synchronous = OFF",
        }
    }
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Take the file for this connection alone, before write-ahead logging begins: the browser's storage and the
    /// simulator need it, and it saves the shared-memory file elsewhere.
    pub exclusive: bool,
    /// What a commit promises.
    pub durability: Durability,
    /// How long settled transactions are kept, to be offered again to a restored server. Milliseconds.
    pub acked_retention_ms: u64,
    /// SQLite's page cache, KiB.
    pub cache_kib: u32,
    /// At most so many rows of a first load are stored in one turn, where turns have to be short.
    pub chunk_rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            exclusive: false,
            durability: Durability::Full,
            acked_retention_ms: 7 * 24 * 3_600 * 1_000,
            cache_kib: 8 * 1024,
            chunk_rows: usize::MAX,
        }
    }
}

/// One local database. Synchronous; it reads no clock and draws no randomness: both are arguments.
pub struct Database {
    conn: Connection,
    schema: Arc<Schema>,
    tables: Arc<AppTables>,
    shared: Shared,
    memory: Memory,
    options: Options,
    /// Whether the app has made triggers, which may write local tables when the engine applies changes.
    has_triggers: bool,
    /// The next transaction need not be on disk when it ends: a load goes on where the disk has it.
    lazy: bool,
    /// What loads came to since it was opened.
    reconciled: Reconciled,
    /// Whether commits wait for the disk at present.
    flushes: bool,
    /// The next transaction needs no triggers: in a load only the guards are there.
    quiet: bool,
    /// Whether triggers run at present. Each change makes SQLite prepare every statement anew, so that it is made when
    /// a transaction wants the other, and not before and after each part of a load.
    triggers: bool,
    /// Counts the scheduler's choices.
    turn: u32,
    cache: cache::CacheMemory,
    /// What others changed of what is held back.
    watched: review::Watched,
    /// Whether there is a session with the server.
    online: bool,
    /// While a request is carried out, commits wait for its answer: what was before the one that waits, if one does.
    held_back: Option<Option<Memory>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("app", &self.schema.name).field("meta", &self.memory.meta).finish()
    }
}

impl Database {
    /// The schema that it was opened with.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Which database this is.
    pub fn replica(&self) -> ReplicaId {
        self.memory.meta.replica
    }

    /// Whose database this is; `None` before the first session. It never changes: pending work of one person is never
    /// sent under another's token.
    pub fn subject(&self) -> Option<&str> {
        self.memory.meta.subject.as_deref()
    }

    /// The cut, tied to the server's history; `None` before the first session.
    pub fn cursor(&self) -> Option<Cursor> {
        let meta = &self.memory.meta;
        meta.epoch.map(|epoch| Cursor { epoch, seq: meta.cut, chain: meta.chain })
    }

    /// The largest replica sequence used; 0 for none.
    pub fn last_rseq(&self) -> u64 {
        self.memory.meta.last_rseq
    }

    /// All own transactions up to this one are decided.
    pub fn floor(&self) -> u64 {
        let meta = &self.memory.meta;
        meta.first_undecided.map_or(meta.last_rseq, |first| first - 1)
    }

    /// Own transactions up to this one were written before the device knew of the present epoch; 0 for none.
    pub fn prior(&self) -> u64 {
        self.memory.meta.prior
    }

    /// The server's clock less the device's, as measured at the last greeting. Milliseconds.
    pub fn clock_offset_ms(&self) -> i64 {
        self.memory.meta.offset_ms
    }

    /// What a commit promises.
    pub fn durability(&self) -> Durability {
        self.options.durability
    }

    /// At most so many rows of a first load are stored in one turn.
    pub fn chunk_rows(&self) -> usize {
        self.options.chunk_rows
    }

    /// Runs `f` in one SQLite transaction of the engine's. On error everything is undone, in memory too.
    fn transact<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, DbError>) -> Result<R, DbError> {
        let before = self.begin()?;
        let result = f(self).and_then(|value| self.commit(&before).map(|()| value));
        if result.is_err() {
            self.abandon(before);
        }
        result
    }

    fn begin(&mut self) -> Result<Memory, DbError> {
        debug_assert!(!matches!(self.held_back, Some(Some(_))), "a request is one transaction");
        self.shared.set_mode(Mode::Engine);
        if !self.conn.is_autocommit() {
            // A rollback that failed earlier (the disk was full or failing) is tried again before anything new.
            self.conn.execute_batch("ROLLBACK")?;
        }
        self.flush_commits(!self.lazy)?;
        self.enable_triggers(!self.quiet)?;
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(self.memory.clone())
    }

    /// Lets commits wait for the disk, or not. A commit that waits takes all earlier ones along.
    fn flush_commits(&mut self, on: bool) -> Result<(), DbError> {
        if self.flushes != on {
            let level = if on { self.options.durability } else { Durability::Normal };
            self.conn.prepare_cached(level.pragma())?.execute([])?;
            self.flushes = on;
        }
        Ok(())
    }

    fn enable_triggers(&mut self, on: bool) -> Result<(), DbError> {
        if self.triggers != on {
            self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on)?;
            self.triggers = on;
        }
        Ok(())
    }

    fn commit(&mut self, before: &Memory) -> Result<(), DbError> {
        self.memory.meta.save(&self.conn, Some(&before.meta))?;
        if self.holds_back(before) {
            return Ok(());
        }
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn abandon(&mut self, before: Memory) {
        self.shared.set_mode(Mode::Engine);
        self.memory = before;
        if !self.conn.is_autocommit() {
            // When this fails the transaction stays open, unseen; `begin` tries again.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }
}

#[cfg(test)]
impl Database {
    /// Counts the steps of SQLite's machine from now on: what a query costs, whatever the machine does besides.
    pub(crate) fn count_steps(&mut self) -> Arc<std::sync::atomic::AtomicU64> {
        let steps = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let count = move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            false
        };
        self.conn.progress_handler(1, Some(count)).expect("takes a handler");
        steps
    }
}
