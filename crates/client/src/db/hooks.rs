//! What SQLite tells the engine while statements are prepared and run: the authorizer, the pre-update hook and the
//! engine's SQL functions. They share one small state behind a lock, since SQLite calls them from inside a statement.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_core::RowKey;
use landfall_core::value::SqliteValue;
use landfall_core::wide::WideSet;

use super::tables::AppTables;
use crate::live::Recorder;

/// Who is preparing or running statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The engine itself: everything goes.
    Engine,
    /// The app reads.
    Read,
    /// The app writes, inside the engine's transaction.
    Write,
    /// The app makes a trigger of its own.
    Trigger,
}

/// A row that a transaction touched, with what it was before the transaction.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Position of the table.
    pub table: usize,
    pub key: RowKey,
    pub before: Option<Vec<SqliteValue>>,
}

/// What the pre-update hook noted.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// In order of first touch.
    pub list: Vec<Mark>,
    seen: WideSet<(i64, Vec<u8>)>,
    /// (Table, key before, key after) of updates that changed a key.
    pub rekeyed: Vec<(usize, RowKey, RowKey)>,
    /// (Table, column, stored key) of rows whose key is not in stored form.
    pub bad_keys: Vec<(usize, Vec<SqliteValue>, (String, String))>,
}

impl Marks {
    /// Whether the row was there when the transaction began.
    pub fn was_there(&self, table: usize, key: &RowKey) -> bool {
        self.list.iter().any(|mark| mark.table == table && mark.key == *key && mark.before.is_some())
    }

    pub fn add(&mut self, table: usize, key: &RowKey, before: impl FnOnce() -> Option<Vec<SqliteValue>>) {
        if self.seen.insert((table as i64, key.to_bytes())) {
            self.list.push(Mark { table, key: key.clone(), before: before() });
        }
    }
}

/// The shared state.
#[derive(Debug)]
pub(super) struct Inner {
    pub mode: Mode,
    pub tables: Arc<AppTables>,
    /// Some while changes are to be noted. Synced tables are noted only when `Marks` are for an app's transaction.
    pub marks: Option<Marks>,
    /// Whether only local tables are noted (the engine's own transactions).
    pub local_only: bool,
    /// Listens for live queries.
    pub recorder: Recorder,
    /// Why the authorizer said no.
    pub denied: Option<String>,
    /// The engine's clock for SQL functions, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Randomness for SQL functions: a seed of this transaction and a counter.
    pub seed: [u8; 32],
    pub drawn: u64,
}

/// The shared state behind its lock.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Inner>>);

impl Shared {
    pub fn new(tables: Arc<AppTables>, now_ms: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            mode: Mode::Engine,
            tables,
            marks: None,
            local_only: false,
            recorder: Recorder::default(),
            denied: None,
            now_ms,
            seed: [0; 32],
            drawn: 0,
        })))
    }

    /// Nothing that holds the lock panics half way, so a poisoned one is still consistent.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_mode(&self, mode: Mode) {
        let mut inner = self.lock();
        inner.mode = mode;
        inner.denied = None;
    }
}
