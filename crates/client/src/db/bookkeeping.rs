//! What the engine remembers beside the app's tables: statements that make the `_landfall_` tables, and the small state
//! that is kept in memory as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::value::ColumnType;
use landfall_core::{BucketId, Clock, Epoch, ReplicaId, Stamp, Value};
use landfall_protocol::server::{Address, WireType};
use rusqlite::{Connection, OptionalExtension, params};

use super::buckets::OF_OTHER_HISTORY;
use super::error::DbError;
use super::outbox::Counts;
use super::review::Held;

/// The format of the bookkeeping, stored as `user_version`.
pub(super) const FORMAT: i64 = 6;
/// Marks a file as a Landfall device database ("LFdb"), stored as `application_id`.
pub(super) const APPLICATION_ID: i64 = 0x4c46_6462;

/// Entry states as stored.
pub(super) const QUEUED: i64 = 0;
pub(super) const SENT: i64 = 1;
pub(super) const ACKED: i64 = 2;
pub(super) const DEAD: i64 = 3;
/// What `handed` is of an entry that had settled in a history that the server has lost.
pub(super) const SETTLED: i64 = 2;

/// Statements that make an empty bookkeeping.
///
/// `_landfall_touched` *is* the overlay: an entry that is not in it does not show. `_landfall_rows.versions` is NULL
/// unless buckets that are behind hold the row at different sequences. `handed`: the entry was handed to the network at
/// least once, under whatever number, or had settled ([`SETTLED`]); `expires_ms` is by the server's clock; `before` is what
/// its rows were (see `undo`).
pub(super) const CREATE: &str = "
CREATE TABLE _landfall_meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE _landfall_rows (
  tbl INT NOT NULL, key BLOB NOT NULL, seq INT NOT NULL, held INT NOT NULL, versions BLOB,
  PRIMARY KEY (tbl, key)) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_sets (id INTEGER PRIMARY KEY AUTOINCREMENT, buckets TEXT NOT NULL) STRICT;
CREATE TABLE _landfall_subscriptions (handle INTEGER PRIMARY KEY AUTOINCREMENT, shape TEXT NOT NULL,
  params BLOB NOT NULL, opened INT NOT NULL) STRICT;
CREATE TABLE _landfall_uses (handle INT NOT NULL, bucket INT NOT NULL, PRIMARY KEY (handle, bucket)) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_buckets (bucket INTEGER PRIMARY KEY, tbl INT NOT NULL, columns BLOB NOT NULL,
  state INT NOT NULL, at INT NOT NULL, next TEXT, need INT NOT NULL, rows INT NOT NULL, expected INT NOT NULL,
  stale_of INT) STRICT;
CREATE TABLE _landfall_outbox (rseq INTEGER PRIMARY KEY, state INT NOT NULL, seq INT, attempts INT NOT NULL DEFAULT 0,
  next_attempt_ms INT NOT NULL DEFAULT 0, created_ms INT NOT NULL, body BLOB NOT NULL, preview BLOB, problem BLOB,
  images BLOB, priority INT NOT NULL DEFAULT 50, parked INT NOT NULL DEFAULT 0, acked_ms INT,
  handed INT NOT NULL DEFAULT 0, expires_ms INT, before BLOB, stack INT, failures BLOB) STRICT;
CREATE INDEX _landfall_outbox_states ON _landfall_outbox (state, rseq);
CREATE TABLE _landfall_touched (tbl INT NOT NULL, key BLOB NOT NULL, rseq INT NOT NULL, inserts INT NOT NULL,
  PRIMARY KEY (tbl, key, rseq)) STRICT, WITHOUT ROWID;
CREATE INDEX _landfall_touched_entries ON _landfall_touched (rseq);
CREATE TABLE _landfall_images (tbl INT NOT NULL, key BLOB NOT NULL, image BLOB, PRIMARY KEY (tbl, key)) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_acked (rseq INTEGER PRIMARY KEY, seq INT NOT NULL, at_ms INT NOT NULL, body BLOB NOT NULL,
  preview BLOB, before BLOB, stack INT) STRICT;
";

/// Statements that make what the scheduler looks things up in: undecided entries that are not parked, by priority and
/// by age; parked ones, by when they are due; those that were never sent, by when they expire; and which undecided entry
/// waits for which; and copies of the outbox.
pub(super) const CREATE_SCHEDULE: &str = "
CREATE INDEX _landfall_outbox_next ON _landfall_outbox (priority DESC, rseq) WHERE state < 2 AND parked = 0;
CREATE INDEX _landfall_outbox_age ON _landfall_outbox (rseq) WHERE state < 2 AND parked = 0;
CREATE INDEX _landfall_outbox_due ON _landfall_outbox (next_attempt_ms) WHERE state < 2 AND parked = 1;
CREATE INDEX _landfall_outbox_expiry ON _landfall_outbox (expires_ms)
  WHERE state < 2 AND handed = 0 AND expires_ms IS NOT NULL;
CREATE TABLE _landfall_waits (predecessor INT NOT NULL, rseq INT NOT NULL, PRIMARY KEY (predecessor, rseq))
  STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_backups (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INT NOT NULL, why TEXT NOT NULL,
  file TEXT NOT NULL) STRICT;
";

/// Statements that make what undo and redo look things up in: without it each write would look through the outbox for the
/// newest that can be undone.
pub(super) const CREATE_STACKS: &str = "
CREATE INDEX _landfall_outbox_stack ON _landfall_outbox (stack) WHERE stack IS NOT NULL AND state < 3;
CREATE INDEX _landfall_acked_stack ON _landfall_acked (stack) WHERE stack IS NOT NULL;
";

/// Statements that make what tells under which number an entry is now: the work of all from `first` to `last` is that of
/// `successor`.
pub(super) const CREATE_SUCCESSION: &str = "
CREATE TABLE _landfall_taken (first INTEGER PRIMARY KEY, last INT NOT NULL, successor INT NOT NULL) STRICT;
CREATE INDEX _landfall_taken_successors ON _landfall_taken (successor);
";

/// Statements that make what tells which entries let go of a row or of a unique value (`releases`). `saves`: a row that
/// would be deleted with that row is not any more.
pub(super) const CREATE_RELEASES: &str = "
CREATE TABLE _landfall_released (tbl INT NOT NULL, what BLOB NOT NULL, rseq INT NOT NULL, saves INT NOT NULL,
  PRIMARY KEY (tbl, what, rseq)) STRICT, WITHOUT ROWID;
";

/// Statements that make what finds the releases of an entry, and the undecided entries on which the server has failed.
pub(super) const CREATE_TRIED: &str = "
CREATE INDEX _landfall_released_entries ON _landfall_released (rseq);
CREATE INDEX _landfall_outbox_tried ON _landfall_outbox (rseq) WHERE state < 2 AND attempts > 0;
";

/// Statements that bring a database of format 1 to format 2. Its entries stay in order of age.
pub(super) const FROM_FORMAT_1: &str = "
ALTER TABLE _landfall_outbox ADD COLUMN priority INT NOT NULL DEFAULT 50;
ALTER TABLE _landfall_outbox ADD COLUMN parked INT NOT NULL DEFAULT 0;
ALTER TABLE _landfall_outbox ADD COLUMN acked_ms INT;
ALTER TABLE _landfall_outbox ADD COLUMN handed INT NOT NULL DEFAULT 0;
ALTER TABLE _landfall_outbox ADD COLUMN expires_ms INT;
ALTER TABLE _landfall_outbox ADD COLUMN before BLOB;
ALTER TABLE _landfall_outbox ADD COLUMN stack INT;
ALTER TABLE _landfall_outbox ADD COLUMN failures BLOB;
ALTER TABLE _landfall_acked ADD COLUMN before BLOB;
ALTER TABLE _landfall_acked ADD COLUMN stack INT;
UPDATE _landfall_outbox SET handed = 1;
UPDATE _landfall_outbox SET acked_ms = next_attempt_ms, next_attempt_ms = 0 WHERE state = 2;
";

/// The small state: kept in memory, and stored with every transaction that changes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    pub replica: ReplicaId,
    pub epoch: Option<Epoch>,
    /// The cut: everything up to here is applied in live buckets. Meaningless without an epoch.
    pub cut: u64,
    pub chain: u64,
    pub last_rseq: u64,
    /// Transactions up to this one were written before the present epoch was known.
    pub prior: u64,
    /// Transactions up to this one may follow something that they do not name: it was settled when they were written, and
    /// was offered again since.
    pub offered_again: u64,
    /// The hybrid clock's last reading, in device time.
    pub clock: (u64, u32),
    /// The server's clock less the device's, milliseconds.
    pub offset_ms: i64,
    /// The device's clock was set ahead by so much since the server was heard of, or the device slept so long.
    pub doubt_ms: u64,
    /// The smallest undecided replica sequence.
    pub first_undecided: Option<u64>,
    pub counts: Counts,
    /// The largest number given to a stale copy of a bucket.
    pub last_stale: u64,
    /// Whose database this is: the subject of the first session.
    pub subject: Option<String>,
    /// When the device last knew that it shows the server's state, by its own clock, as it was stored last.
    pub synced_ms: Option<u64>,
    /// Whether nothing is to be sent until the person says so.
    pub paused: bool,
    /// When it last had a session, by the server's clock, as it was stored last.
    pub seen_ms: Option<u64>,
    /// Sending is held back after a long absence.
    pub held: Option<Held>,
}

impl Meta {
    pub fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            epoch: None,
            cut: 0,
            chain: 0,
            last_rseq: 0,
            prior: 0,
            offered_again: 0,
            clock: (0, 0),
            offset_ms: 0,
            doubt_ms: 0,
            first_undecided: None,
            counts: Counts::default(),
            last_stale: 0,
            subject: None,
            synced_ms: None,
            paused: false,
            seen_ms: None,
            held: None,
        }
    }

    pub fn clock(&self) -> Clock {
        let last = Stamp { wall_ms: self.clock.0, counter: self.clock.1, replica: self.replica };
        Clock::after(self.replica, last)
    }

    pub fn set_clock(&mut self, clock: &Clock) {
        let last = clock.last();
        self.clock = (last.wall_ms, last.counter);
    }

    /// Takes note of a stamp in the server's time.
    pub fn observe(&mut self, stamp: Stamp) {
        let mut clock = self.clock();
        clock.observe(stamp.shifted(self.offset_ms.saturating_neg(), u64::MAX));
        self.set_clock(&clock);
    }

    /// Name and value of everything that is stored. Counts are counted at open.
    fn fields(&self) -> [(&'static str, rusqlite::types::Value); 19] {
        use rusqlite::types::Value::{Blob, Integer, Null, Text};
        let epoch = self.epoch.map_or(Null, |e| Blob(e.0.to_vec()));
        let time = |ms: Option<u64>| ms.map_or(Null, |ms| Integer(ms as i64));
        [
            ("replica", Blob(self.replica.0.to_vec())),
            ("epoch", epoch),
            ("cut", Integer(self.cut as i64)),
            ("chain", Integer(self.chain as i64)),
            ("last_rseq", Integer(self.last_rseq as i64)),
            ("prior", Integer(self.prior as i64)),
            ("offered_again", Integer(self.offered_again as i64)),
            ("clock_wall_ms", Integer(self.clock.0 as i64)),
            ("clock_counter", Integer(i64::from(self.clock.1))),
            ("clock_offset_ms", Integer(self.offset_ms)),
            ("clock_doubt_ms", Integer(self.doubt_ms as i64)),
            ("last_stale", Integer(self.last_stale as i64)),
            ("subject", self.subject.clone().map_or(Null, Text)),
            ("synced_ms", time(self.synced_ms)),
            ("paused", Integer(self.paused.into())),
            ("seen_ms", time(self.seen_ms)),
            ("held_since_ms", time(self.held.map(|held| held.since_ms))),
            ("held_away_ms", time(self.held.map(|held| held.away_ms))),
            ("held_copied", time(self.held.map(|held| u64::from(held.is_copied)))),
        ]
    }

    /// Stores what differs from `before` (everything when there is none).
    pub fn save(&self, conn: &Connection, before: Option<&Self>) -> Result<(), DbError> {
        let old = before.map(Self::fields);
        for (i, (name, value)) in self.fields().into_iter().enumerate() {
            if old.as_ref().is_none_or(|old| old[i].1 != value) {
                set_meta(conn, name, value)?;
            }
        }
        Ok(())
    }

    pub fn load(conn: &Connection) -> Result<Self, DbError> {
        let number = |name: &str| -> Result<i64, DbError> {
            get_meta::<i64>(conn, name)?.ok_or_else(|| DbError::bookkeeping(format!("'{name}' is missing")))
        };
        let id = |name: &str| -> Result<Option<[u8; 16]>, DbError> {
            let bytes = get_meta::<Option<Vec<u8>>>(conn, name)?.flatten();
            let id = bytes.map(|b| <[u8; 16]>::try_from(b).map_err(|_| DbError::bookkeeping(name)));
            id.transpose()
        };
        // A database of an older build has none of these.
        let time = |name: &str| -> Result<Option<u64>, DbError> {
            Ok(get_meta::<Option<i64>>(conn, name)?.flatten().map(|ms| ms as u64))
        };
        let held = time("held_since_ms")?.zip(time("held_away_ms")?);
        // Older builds held nothing back without a copy.
        let is_copied = time("held_copied")?.is_none_or(|copied| copied != 0);
        let replica = id("replica")?.ok_or_else(|| DbError::bookkeeping("'replica' is missing"))?;
        Ok(Self {
            replica: ReplicaId(replica),
            epoch: id("epoch")?.map(Epoch),
            cut: number("cut")? as u64,
            chain: number("chain")? as u64,
            last_rseq: number("last_rseq")? as u64,
            prior: number("prior")? as u64,
            offered_again: get_meta::<i64>(conn, "offered_again")?.unwrap_or(0) as u64,
            clock: (number("clock_wall_ms")? as u64, number("clock_counter")? as u32),
            offset_ms: number("clock_offset_ms")?,
            doubt_ms: get_meta::<i64>(conn, "clock_doubt_ms")?.unwrap_or(0) as u64,
            first_undecided: first_undecided(conn)?,
            counts: count(conn)?,
            last_stale: number("last_stale")? as u64,
            subject: get_meta::<Option<String>>(conn, "subject")?.flatten(),
            synced_ms: time("synced_ms")?,
            paused: get_meta::<i64>(conn, "paused")?.is_some_and(|paused| paused != 0),
            seen_ms: time("seen_ms")?,
            held: held.map(|(since_ms, away_ms)| Held { since_ms, away_ms, is_copied }),
        })
    }
}

/// The smallest undecided replica sequence.
pub(super) fn first_undecided(conn: &Connection) -> Result<Option<u64>, DbError> {
    let sql = "SELECT min(rseq) FROM _landfall_outbox WHERE state IN (0, 1)";
    Ok(conn.prepare_cached(sql)?.query_row([], |r| r.get::<_, Option<i64>>(0))?.map(|v| v as u64))
}

/// Entries by state.
pub(super) fn count(conn: &Connection) -> Result<Counts, DbError> {
    let mut counts = Counts::default();
    let sql = "SELECT state, count(*), sum(length(body)) FROM _landfall_outbox GROUP BY state";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (state, bytes) = (row.get(0)?, row.get::<_, i64>(2)? as u64);
        *counts.of(state) = row.get::<_, i64>(1)? as u64;
        counts.bytes += bytes;
        if state < ACKED {
            counts.undecided_bytes += bytes;
        }
        if state == ACKED {
            counts.acked_bytes += bytes;
        }
    }
    Ok(counts)
}

pub(super) fn get_meta<T: rusqlite::types::FromSql>(conn: &Connection, name: &str) -> Result<Option<T>, DbError> {
    let mut statement = conn.prepare_cached("SELECT value FROM _landfall_meta WHERE name = ?")?;
    Ok(statement.query_row([name], |r| r.get(0)).optional()?)
}

pub(super) fn set_meta(conn: &Connection, name: &str, value: impl rusqlite::ToSql) -> Result<(), DbError> {
    let sql = "INSERT INTO _landfall_meta (name, value) VALUES (?, ?) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.prepare_cached(sql)?.execute(params![name, value])?;
    Ok(())
}

/// How far a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketState {
    /// Chunks are being loaded.
    Loading,
    /// All chunks are here; changes since are being caught up with.
    CatchingUp,
    /// Part of the live stream: stands at the cut.
    Live,
    /// A former copy, shown until its successor is loaded. Never announced to the server.
    Stale,
}

/// A bucket that the device holds.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Number of its table in bookkeeping.
    pub table: i64,
    /// Key columns first. Changes and chunks refer to them by position.
    pub columns: Vec<(String, ColumnType)>,
    pub state: BucketState,
    /// The position while it is not live.
    pub at: u64,
    /// What is still to be fetched of a load, in this order. Empty while loading: the load was given up.
    pub todo: Vec<Address>,
    /// The bucket is complete when it is live and the cut has reached this.
    pub need: u64,
    /// Rows loaded so far.
    pub rows: u64,
    /// Rows that the server announced, roughly.
    pub expected: u64,
    /// What it is a former copy of; `Some(0)`: evicted rows that wait for their pending writes.
    pub stale_of: Option<u64>,
}

/// Keeps rows with pending writes whose buckets were evicted, until those writes settle.
pub(super) const LEFTOVER: BucketId = BucketId(i64::MAX as u64);
/// Stale copies are numbered from here. The server counts its buckets from 1.
pub(super) const FIRST_STALE: u64 = 1 << 62;

impl Bucket {
    /// The position up to which the bucket's rows are current.
    pub fn position(&self, cut: u64) -> u64 {
        if self.state == BucketState::Live { cut } else { self.at }
    }

    /// Whether it is a copy from a history that the server has lost: its sequences mean nothing in this one.
    pub fn is_of_other_history(&self) -> bool {
        self.state == BucketState::Stale && self.stale_of == Some(OF_OTHER_HISTORY)
    }

    /// Whether no change can come any more that its rows already contain.
    pub fn is_complete(&self, cut: u64) -> bool {
        self.state == BucketState::Live && self.need <= cut
    }

    /// Whether everything up to the cut is here: also when the present session has not opened it yet, and nothing of a
    /// load is open.
    pub fn stands_at(&self, cut: u64) -> bool {
        let unopened = self.state == BucketState::CatchingUp && self.at == cut && self.need == 0;
        unopened || self.is_complete(cut)
    }

    pub fn shows(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == column)
    }

    pub fn save(&self, conn: &Connection, id: BucketId) -> Result<(), DbError> {
        let columns: Vec<(String, WireType)> = self.columns.iter().map(|(n, t)| (n.clone(), WireType(*t))).collect();
        let sql =
            "INSERT INTO _landfall_buckets (bucket, tbl, columns, state, at, next, need, rows, expected, stale_of)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                   ON CONFLICT (bucket) DO UPDATE SET tbl = ?2, columns = ?3, state = ?4, at = ?5, next = ?6, need = ?7,
                     rows = ?8, expected = ?9, stale_of = ?10";
        conn.prepare_cached(sql)?.execute(params![
            id.0 as i64,
            self.table,
            encode(&columns),
            self.state as i64,
            self.at as i64,
            (!self.todo.is_empty()).then(|| self.todo.join(BETWEEN)),
            self.need as i64,
            self.rows as i64,
            self.expected as i64,
            self.stale_of.map(|v| v as i64),
        ])?;
        Ok(())
    }
}

/// Between addresses, as stored.
const BETWEEN: &str = "\n";

fn addresses(text: Option<&str>) -> Vec<Address> {
    text.into_iter().flat_map(|text| text.split(BETWEEN)).map(str::to_owned).collect()
}

/// A shape that the app has opened.
#[derive(Clone, Debug)]
pub(super) struct OpenShape {
    pub shape: String,
    pub params: BTreeMap<String, Value>,
    /// Whether the server has named its buckets since they last had to be loaded anew.
    pub opened: bool,
    pub buckets: FlatSet<BucketId>,
    /// Stale copies of the buckets that it had, until it is opened again: the server may have given them new numbers.
    pub copies: FlatSet<BucketId>,
}

/// Membership sets, interned.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    pub by_id: FlatMap<i64, Arc<FlatSet<BucketId>>>,
    pub by_set: FlatMap<Arc<FlatSet<BucketId>>, i64>,
}

impl Sets {
    pub fn insert(&mut self, id: i64, set: FlatSet<BucketId>) {
        let set = Arc::new(set);
        self.by_id.insert(id, Arc::clone(&set));
        self.by_set.insert(set, id);
    }

    pub fn of(&self, id: i64) -> Arc<FlatSet<BucketId>> {
        self.by_id.get(&id).cloned().unwrap_or_default()
    }
}

/// Everything kept in memory beside the tables. Cloning is cheap, so that a transaction that fails is undone here too.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub meta: Meta,
    pub buckets: Arc<FlatMap<BucketId, Bucket>>,
    pub shapes: Arc<FlatMap<u64, OpenShape>>,
    pub sets: Arc<Sets>,
    /// Whether anything may be done again (`undo`).
    pub redo: bool,
    /// How many entries became dead letters since the database was opened.
    pub buried: u64,
    /// Above this number nothing that was accepted is forgotten yet.
    pub known_from: u64,
    /// Whether entries let go of something that a later one may take or delete (`releases`).
    pub has_releases: bool,
    /// When it was last looked for acknowledged entries that need not be kept any more.
    pub forgot_ms: Option<u64>,
    /// Those of which nobody has heard yet ([`super::Database::take_changed`]).
    pub untold: Vec<u64>,
    /// The last copy of the outbox that was made since then.
    pub backed_up: Option<BackedUp>,
}

/// What a copy of the outbox holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackedUp {
    pub at_ms: u64,
    /// It holds the entries up to this number, as they still are unless more became dead letters since.
    pub last_rseq: u64,
    pub buried: u64,
}

impl Memory {
    pub fn load(conn: &Connection) -> Result<Self, DbError> {
        let meta = Meta::load(conn)?;
        Ok(Self {
            buckets: Arc::new(load_buckets(conn)?),
            shapes: Arc::new(load_shapes(conn)?),
            sets: Arc::new(load_sets(conn)?),
            redo: has_redo(conn)?,
            has_releases: super::releases::has_releases(conn)?,
            buried: 0,
            known_from: meta.last_rseq,
            meta,
            forgot_ms: None,
            untold: Vec::new(),
            backed_up: None,
        })
    }
}

fn has_redo(conn: &Connection) -> Result<bool, DbError> {
    let any = |table: &str| conn.prepare(&format!("SELECT 1 FROM {table} AND stack = ?"))?.exists([super::undo::REDO]);
    Ok(any("_landfall_outbox WHERE state < 3")? || any("_landfall_acked WHERE 1")?)
}

/// All that are held.
pub(super) fn load_buckets(conn: &Connection) -> Result<FlatMap<BucketId, Bucket>, DbError> {
    let mut statement = conn.prepare("SELECT * FROM _landfall_buckets")?;
    let mut rows = statement.query([])?;
    let mut buckets = FlatMap::new();
    while let Some(row) = rows.next()? {
        let number = |name: &str| row.get::<_, i64>(name).map(|v| v as u64);
        let columns: Vec<(String, WireType)> = decode(&row.get::<_, Vec<u8>>("columns")?)?;
        let state = match row.get::<_, i64>("state")? {
            0 => BucketState::Loading,
            1 => BucketState::CatchingUp,
            2 => BucketState::Live,
            3 => BucketState::Stale,
            other => return Err(DbError::bookkeeping(format!("bucket state {other}"))),
        };
        let bucket = Bucket {
            table: row.get("tbl")?,
            columns: columns.into_iter().map(|(n, t)| (n, t.0)).collect(),
            state,
            at: number("at")?,
            todo: addresses(row.get::<_, Option<String>>("next")?.as_deref()),
            need: number("need")?,
            rows: number("rows")?,
            expected: number("expected")?,
            stale_of: row.get::<_, Option<i64>>("stale_of")?.map(|v| v as u64),
        };
        buckets.insert(BucketId(number("bucket")?), bucket);
    }
    Ok(buckets)
}

fn load_shapes(conn: &Connection) -> Result<FlatMap<u64, OpenShape>, DbError> {
    let mut shapes = FlatMap::new();
    let mut statement = conn.prepare("SELECT handle, shape, params, opened FROM _landfall_subscriptions")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let shape = OpenShape {
            shape: row.get(1)?,
            params: decode(&row.get::<_, Vec<u8>>(2)?)?,
            opened: row.get(3)?,
            buckets: FlatSet::new(),
            copies: FlatSet::new(),
        };
        shapes.insert(row.get::<_, i64>(0)? as u64, shape);
    }
    let mut statement = conn.prepare("SELECT handle, bucket FROM _landfall_uses")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(shape) = shapes.get_mut(&(row.get::<_, i64>(0)? as u64)) {
            let bucket = BucketId(row.get::<_, i64>(1)? as u64);
            if bucket.0 > FIRST_STALE { &mut shape.copies } else { &mut shape.buckets }.insert(bucket);
        }
    }
    Ok(shapes)
}

fn load_sets(conn: &Connection) -> Result<Sets, DbError> {
    let mut sets = Sets::default();
    let mut statement = conn.prepare("SELECT id, buckets FROM _landfall_sets ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        sets.insert(row.get(0)?, parse_set(&row.get::<_, String>(1)?)?);
    }
    Ok(sets)
}

/// A set as text, for eyes: `1,5`.
pub(super) fn print_set(set: &FlatSet<BucketId>) -> String {
    set.iter().map(|b| b.0.to_string()).collect::<Vec<_>>().join(",")
}

fn parse_set(text: &str) -> Result<FlatSet<BucketId>, DbError> {
    let parts = text.split(',').filter(|p| !p.is_empty());
    parts.map(|p| p.parse().map(BucketId).map_err(|_| DbError::bookkeeping("a membership set"))).collect()
}

/// CBOR of a value that always encodes.
pub(super) fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    // Writing to a Vec cannot fail.
    minicbor::to_vec(value).unwrap_or_default()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode<T: for<'b> minicbor::Decode<'b, ()>>(bytes: &[u8]) -> Result<T, DbError> {
    minicbor::decode(bytes).map_err(DbError::bookkeeping)
}
