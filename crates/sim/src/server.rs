//! The server's process: the real `ServerCore` over the real store on a simulated disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_core::predicate::Env;
use landfall_core::{BucketId, Epoch, ReplicaId, Schema};
use landfall_server::auth::Authenticator;
use landfall_server::buckets::{Bucket, Template};
use landfall_server::core::chunks::Sizes;
use landfall_server::core::{Memory, ServerCore};
use landfall_server::session::{Moment, Rules};
use landfall_server::store::{
    Fresh, GroupCommit, Head, Location, PushEntry, ReplicaState, SqliteOptions, SqliteStore, Store, StoreError,
    StoreReader, Sweep, Truncated,
};

use rusqlite::{Connection, OpenFlags};

use crate::dice::Dice;
use crate::disk::Disk;
use crate::invariants::fairness::Waiting;
use crate::plan::Plan;

/// Updates of a document that become one at least: there are few in a run.
const DOCS_TOGETHER: usize = 4;

/// The secret that signs tokens.
pub const SECRET: &[u8] = b"the simulator's own secret, nobody else's";
/// Bytes after which a message of changes is not extended any more.
pub const MESSAGE_BYTES: usize = 4 << 10;
/// The server's database on its disk.
pub const DATABASE: &str = "server.db";

/// What an operator does in the database while the server is down: lays down a rule of their own, or lifts it.
///
/// # Errors
/// When there is no such database yet, or the disk fails.
pub fn house_rule(disk: &Disk, stands: bool) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(DATABASE, flags, disk.vfs_name().as_str())?;
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    conn.execute_batch("DROP TRIGGER IF EXISTS house_insert; DROP TRIGGER IF EXISTS house_update")?;
    let rule =
        "WHEN new.name LIKE '%ö%' OR new.name LIKE '%fjord%' BEGIN SELECT raise(ABORT, 'a rule of the house'); END";
    if stands {
        conn.execute_batch(&format!("CREATE TRIGGER house_insert BEFORE INSERT ON parents {rule}"))?;
        conn.execute_batch(&format!("CREATE TRIGGER house_update BEFORE UPDATE ON parents {rule}"))?;
    }
    Ok(())
}

/// A running server.
pub struct ServerProcess {
    /// The machine that the tests are about.
    pub core: ServerCore,
    /// Reads what is committed, for the invariants.
    pub reader: Box<dyn StoreReader>,
    /// Pushes that wait, for the invariants.
    pub waiting: Waiting,
    store: SharedStore,
}

impl ServerProcess {
    /// Opens the store and starts.
    ///
    /// # Errors
    /// When the disk fails or the store is damaged.
    pub fn start(disk: &Disk, schema: &Schema, plan: &Plan, now: Moment, dice: &mut Dice) -> Result<Self, StoreError> {
        let mut fresh = [0; 48];
        dice.fill(&mut fresh);
        let location = Location::Vfs { name: DATABASE.to_owned(), vfs: disk.vfs_name() };
        let options = SqliteOptions { location, exclusive: true, docs_together: DOCS_TOGETHER };
        let store = SqliteStore::open(options, schema.clone(), Fresh::from_bytes(fresh), now.wall_ms)?;
        let store = SharedStore::new(store.with_actions(crate::shop::actions(plan.webhook)));
        let reader = store.reader()?;
        let mut rules = Rules::new(schema, Authenticator::new().with_secret(SECRET));
        rules.limits.window_bytes = plan.window_bytes;
        rules.limits.push_entries = plan.push_entries;
        rules.message_bytes = MESSAGE_BYTES;
        let (rows, run_rows) = plan.server_rows;
        let memory = Memory {
            ring_bytes: plan.ring_bytes,
            waiting_entries: plan.waiting_entries,
            chunk_sizes: Sizes { rows, run_rows },
            ..Memory::default()
        };
        let core = ServerCore::new(Box::new(store.clone()), Arc::new(rules), memory, plan.allowance, dice.generator())?;
        Ok(Self { core, reader, waiting: Waiting::default(), store })
    }

    /// See [`Store::common_seq`].
    pub fn common_seq(&self) -> u64 {
        self.store.common_seq()
    }

    /// Forgets the older part of the log, and the decisions from before a time.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn truncate_log(&mut self, before: u64, decided_before_ms: u64) -> Result<Truncated, StoreError> {
        self.store.truncate_log(before, decided_before_ms)
    }
}

/// The store, shared between the core, which owns it, and the simulator, which also forgets its log.
#[derive(Clone)]
struct SharedStore {
    store: Arc<Mutex<SqliteStore>>,
    templates: Arc<BTreeMap<String, Arc<Template>>>,
}

impl SharedStore {
    fn new(store: SqliteStore) -> Self {
        let templates = Arc::new(store.templates().clone());
        Self { store: Arc::new(Mutex::new(store)), templates }
    }

    fn lock(&self) -> MutexGuard<'_, SqliteStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SharedStore {
    fn commit_group(&mut self, pushes: &[PushEntry], room: usize, now_ms: u64) -> Result<GroupCommit, StoreError> {
        self.lock().commit_group(pushes, room, now_ms)
    }

    fn asks_webhook(&self, action: &str) -> bool {
        self.lock().asks_webhook(action)
    }

    fn bucket_count(&self) -> usize {
        self.lock().bucket_count()
    }

    fn open_bucket(&mut self, template: &Arc<Template>, env: &Env, now_ms: u64) -> Result<Bucket, StoreError> {
        self.lock().open_bucket(template, env, now_ms)
    }

    fn retire_buckets(&mut self, unused_since_ms: u64, is_held: &dyn Fn(BucketId) -> bool) -> Result<u64, StoreError> {
        self.lock().retire_buckets(unused_since_ms, is_held)
    }

    fn templates(&self) -> &BTreeMap<String, Arc<Template>> {
        &self.templates
    }

    fn head(&self) -> Head {
        self.lock().head()
    }

    fn start_epoch(&mut self, fresh: Epoch) -> Result<Head, StoreError> {
        self.lock().start_epoch(fresh)
    }

    fn hello(&mut self, replica: ReplicaId, subject: &str) -> Result<ReplicaState, StoreError> {
        self.lock().hello(replica, subject)
    }

    fn common_seq(&self) -> u64 {
        self.lock().common_seq()
    }

    fn has_signed(&self, seq: u64, chain: u64) -> bool {
        self.lock().has_signed(seq, chain)
    }

    fn truncate_log(&mut self, before_seq: u64, decided_before_ms: u64) -> Result<Truncated, StoreError> {
        self.lock().truncate_log(before_seq, decided_before_ms)
    }

    fn forget_history(&mut self, now_ms: u64) -> Result<Sweep, StoreError> {
        self.lock().forget_history(now_ms)
    }

    fn check_outside_writes(&mut self, now_ms: u64) -> Result<Sweep, StoreError> {
        self.lock().check_outside_writes(now_ms)
    }

    fn secret(&mut self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.lock().secret(name, fresh)
    }

    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        self.lock().reader()
    }
}
