//! Where the server keeps its data: one writer, many readers.
//!
//! [`Store`] and [`StoreReader`] are the contract; [`sqlite`] implements it on an embedded SQLite file. What an entry
//! means is decided by [`crate::commit`], which knows no database: a back end gives it the small
//! [`crate::commit::StoreTx`]. Every back end passes the same contract suite (`store/contract.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landfall_core::hash::Cells;
use landfall_core::predicate::Env;
use landfall_core::{BucketId, Epoch, ReplicaId, RowKey, Stamp, Value};
use landfall_protocol::server::AcceptedEntry;
use landfall_protocol::{Entry, Outcome, RowBlock};

use crate::actions::hooks::{Heard, Name, Next};
use crate::buckets::{Bucket, Template};
use crate::commit::LogEntry;

#[cfg(test)]
mod contract;
mod error;
pub mod sqlite;

pub use error::{StoreError, codes};
pub use sqlite::{Location, SqliteOptions, SqliteStore};

/// Who pushes or subscribes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The stable name; the claim `sub`.
    pub id: String,
    /// The token's claims, JSON scalars as values. `sub` is added where it is absent.
    pub claims: BTreeMap<String, Value>,
}

impl Subject {
    /// A subject without further claims.
    pub fn named(id: impl Into<String>) -> Self {
        Self { id: id.into(), claims: BTreeMap::new() }
    }

    /// The claim, `sub` among them.
    pub fn claim(&self, name: &str) -> Option<Value> {
        let own = || (name == "sub").then(|| Value::Text(self.id.clone()));
        self.claims.get(name).cloned().or_else(own)
    }

    /// What access rules see: all claims and no parameters.
    pub fn env(&self) -> Env {
        let mut claims = self.claims.clone();
        claims.entry("sub".to_owned()).or_insert_with(|| Value::Text(self.id.clone()));
        Env { params: BTreeMap::new(), claims }
    }
}

/// One pushed transaction with what the session knows about it.
#[derive(Clone, Debug, PartialEq)]
pub struct PushEntry {
    /// The transaction and the hash of the bytes that travelled.
    pub entry: Entry,
    /// Who pushes it. The same for all entries of a replica.
    pub subject: Arc<Subject>,
    /// The server's clock less the device's, milliseconds.
    pub shift_ms: i64,
    /// The replica knows the decision on everything up to this rseq.
    pub floor: u64,
    /// It was written before its device knew of the present epoch: its bases may be of a history that is lost.
    pub prior: bool,
    /// Those of its predecessors above the floor on which the replica knows the decision.
    pub settled: Vec<u64>,
    /// Those that it requires and that were refused, as the replica knows.
    pub refused: Vec<u64>,
    /// Undecided predecessors that it does not name, since they were settled when it was written.
    pub follows: Vec<u64>,
    /// How often the server has failed on it before, as its device says.
    pub attempted: u32,
    /// What its session knows of other databases that use the same replica id.
    pub copied: CopiedFrom,
    /// What is known of it where its action has a webhook.
    pub heard: Heard,
}

impl PushEntry {
    /// A transaction of which its session knows nothing else.
    pub fn new(entry: Entry, subject: Arc<Subject>) -> Self {
        Self {
            entry,
            subject,
            shift_ms: 0,
            floor: 0,
            prior: false,
            settled: Vec::new(),
            refused: Vec::new(),
            follows: Vec::new(),
            attempted: 0,
            copied: CopiedFrom::default(),
            heard: Heard::Nothing,
        }
    }
}

/// From which number on a replica's transactions are another database's, as far as one session has shown. Shared by the
/// entries of a session, so that an entry that was under way when an earlier one was found to be copied is not decided
/// by what the other database did under the same numbers.
#[derive(Clone, Debug)]
pub struct CopiedFrom(Arc<AtomicU64>);

impl Default for CopiedFrom {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl PartialEq for CopiedFrom {
    fn eq(&self, other: &Self) -> bool {
        self.from() == other.from()
    }
}

impl CopiedFrom {
    /// The first number; `u64::MAX` when none is known.
    pub fn from(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// This number is another database's.
    pub fn found(&self, rseq: u64) {
        self.0.fetch_min(rseq, Ordering::Relaxed);
    }
}

impl PushEntry {
    /// Takes back what the entry claims to have seen of a lost history: beyond `since` nothing is known to be the same.
    pub fn rest_on(&mut self, since: u64) {
        self.entry.transaction.operations.iter_mut().for_each(|operation| operation.limit_base(since));
    }
}

/// The end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The history.
    pub epoch: Epoch,
    /// The newest sequence; 0 when there is none.
    pub seq: u64,
    /// The chain value of that sequence; 0 when there is none.
    pub chain: u64,
}

/// Randomness that a store needs when it is opened.
#[derive(Clone, Copy)]
pub struct Fresh {
    /// The epoch of a new database.
    pub epoch: Epoch,
    /// What the secrets of a new database, and the numbers of the buckets made from now on, are taken from.
    pub seed: [u8; 32],
}

impl Fresh {
    /// From random bytes of good quality.
    pub fn from_bytes(bytes: [u8; 48]) -> Self {
        let (mut epoch, mut seed) = ([0; 16], [0; 32]);
        epoch.copy_from_slice(&bytes[..16]);
        seed.copy_from_slice(&bytes[16..]);
        Self { epoch: Epoch(epoch), seed }
    }
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fresh").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// What [`Store::truncate_log`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// Sequences whose changes were forgotten.
    pub sequences: u64,
    /// Decisions that were forgotten.
    pub decisions: u64,
    /// Whether nothing is left to forget. If not, call again: each call forgets a bounded number.
    pub done: bool,
}

/// A bucket's encoded changes of one sequence ([`landfall_protocol::ChangeList::to_run`]).
pub type Run = (u64, Arc<[u8]>);

/// What a group did. It may leave the server: everything in it is durable.
#[derive(Clone, Debug, Default)]
pub struct GroupCommit {
    /// The decision on each entry, in the order in which they were given.
    pub outcomes: Vec<Outcome>,
    /// The head before the group.
    pub from: u64,
    /// The head after the group.
    pub head: Head,
    /// The largest stamp of the transactions of this group; the zero stamp when there are none.
    pub stamp: Stamp,
    /// The changes by bucket, each in order of sequence; only of buckets that have any.
    pub bucket_runs: Vec<(BucketId, Vec<Run>)>,
    /// What happened, for metrics.
    pub counters: Counters,
    /// What went wrong with single entries, for the operator's log: whose, which, and the cause.
    pub faults: Vec<(ReplicaId, u64, String)>,
    /// What the app's merge functions made nothing of, for the operator's log, too: what was written is a conflict.
    pub unmerged: Vec<(ReplicaId, u64, String)>,
    /// What webhooks are to be asked about entries that were not decided for that.
    pub asks: Vec<(Name, Next)>,
    /// Updates of documents that were accepted, in order: for who has one open at this server.
    pub docs: Vec<DocNews>,
    /// How long the transaction took to reach the disk, once everything was decided: the write of the log and its fsync.
    pub flushed_in: Duration,
}

/// An update of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocNews {
    /// The table of the row whose document it is.
    pub table: String,
    /// The row's key.
    pub key: RowKey,
    /// The column.
    pub column: String,
    /// The update; `None`: who may read or write the document may have changed.
    pub update: Option<Arc<[u8]>>,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The row whose document it is.
    pub row: Cells,
    /// Its updates, in no order that means anything: together they are the document. None where only the row was asked for.
    pub updates: Vec<Vec<u8>>,
}

/// What a group did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries accepted now.
    pub accepted: u64,
    /// Entries refused now.
    pub refused: u64,
    /// Entries that were decided before.
    pub repeated: u64,
    /// Entries returned undecided.
    pub deferred: u64,
    /// Entries of copied databases.
    pub copied: u64,
    /// Entries that the server failed on and did not decide.
    pub failed: u64,
    /// Rows changed, cascades among them.
    pub rows: u64,
    /// Writes behind the store's back that were given a sequence.
    pub outside: u64,
    /// Cells in which a concurrent write won over an accepted one.
    pub lost_cells: u64,
}

/// What is known of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaState {
    /// Whose it is; empty when the replica is new.
    pub subject: String,
    /// The largest rseq that was decided; 0 for none. Larger than what the device claims: the database is a copy.
    pub last_rseq: u64,
    /// The replica knows the decision on everything up to this rseq.
    pub floor: u64,
    /// Decisions up to this rseq may have been forgotten by [`Store::truncate_log`].
    pub forgotten: u64,
}

/// A part of a bucket's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSlice {
    /// Sequence and encoded changes, in order.
    pub runs: Vec<(u64, Vec<u8>)>,
    /// The slice is complete up to this sequence.
    pub to: u64,
}

/// The keys after one, up to another, in the order of their stored form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySpan<'a> {
    /// It begins after this key; `None`: with the first.
    pub after: Option<&'a RowKey>,
    /// It ends with this key; `None`: with the last.
    pub until: Option<&'a RowKey>,
}

impl<'a> KeySpan<'a> {
    /// All that follow a key.
    pub fn after(after: Option<&'a RowKey>) -> Self {
        Self { after, until: None }
    }
}

/// Rows of a bucket in key order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The head when the rows were read.
    pub read_at: u64,
    /// The rows; columns in the order of the bucket's columns.
    pub rows: RowBlock,
    /// The key to continue after; it need not be one of the rows. Absent when nothing was looked at.
    pub last_key: Option<RowKey>,
    /// Whether rows may follow.
    pub more: bool,
}

/// What one step through the store's tables did.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// What was found or done, under sequences, durably; `outcomes` is empty.
    pub commit: GroupCommit,
    /// Whether it is through. If not, call again: each call looks at a bounded number of rows.
    pub done: bool,
}

/// The single writer.
pub trait Store: Send {
    /// Decides all entries in one transaction and one fsync, each by itself: a refusal leaves nothing and never undoes
    /// its neighbours. Entries of one replica may stand in any order. `now_ms` is the server's clock, milliseconds since
    /// the Unix epoch; stamps never pass it. Questions to webhooks are put until they have `room` bytes, and the one more
    /// that goes beyond; what would have to be asked after that is to come again.
    ///
    /// # Errors
    /// Nothing of the group is applied then, and the store can be used again.
    fn commit_group(&mut self, pushes: &[PushEntry], room: usize, now_ms: u64) -> Result<GroupCommit, StoreError>;

    /// Whether a webhook decides on this action.
    fn asks_webhook(&self, action: &str) -> bool;

    /// How many buckets there are.
    fn bucket_count(&self) -> usize;

    /// Whether a chain value of the present epoch was given out by this store, in this history or in one that a restored
    /// copy has lost.
    fn has_signed(&self, seq: u64, chain: u64) -> bool;

    /// Opens the bucket of a template and its values: the one that exists, or a new one, made durably. A number is never
    /// used for two buckets, nor by two copies of one store: what a device holds under it would be taken for the other.
    /// `now_ms`, milliseconds since the Unix epoch, is remembered as its last use.
    ///
    /// # Errors
    /// [`StoreError`]; no bucket is made then.
    fn open_bucket(&mut self, template: &Arc<Template>, env: &Env, now_ms: u64) -> Result<Bucket, StoreError>;

    /// Forgets buckets that nobody has opened since `unused_since_ms` (milliseconds since the Unix epoch) and nobody holds
    /// now, with their logs: a bounded number, which is returned. Whoever comes back for one loads it anew.
    ///
    /// # Errors
    /// Nothing is forgotten by this call then.
    fn retire_buckets(&mut self, unused_since_ms: u64, is_held: &dyn Fn(BucketId) -> bool) -> Result<u64, StoreError>;

    /// The templates of the schema's shapes, by shape name.
    fn templates(&self) -> &BTreeMap<String, Arc<Template>>;

    /// The end of the log.
    fn head(&self) -> Head;

    /// The sequence up to which all histories of this store are the same, as far as it can know: where it stood when the
    /// process began that noticed that it was restored. 0 when it never began a new history.
    fn common_seq(&self) -> u64;

    /// Begins a new history after the server was restored from a copy. Sequences go on from the head; floors go back,
    /// since devices offer again what they had been told was accepted.
    ///
    /// # Errors
    /// The old history stays then.
    fn start_epoch(&mut self, fresh: Epoch) -> Result<Head, StoreError>;

    /// What is known of a replica that says hello.
    ///
    /// # Errors
    /// [`StoreError::OtherSubject`] when it is somebody else's.
    fn hello(&mut self, replica: ReplicaId, subject: &str) -> Result<ReplicaState, StoreError>;

    /// Forgets changes before `before_seq` (never the head): cursors before it are too old from then on. The decisions on
    /// those transactions stay for devices that ask again; what was decided before `decided_before_ms` (milliseconds since
    /// the Unix epoch) and is known to its replica is forgotten too. That must be longer ago than devices keep
    /// acknowledged transactions, or a resend is taken for another database's.
    ///
    /// # Errors
    /// Nothing is forgotten by this call then.
    fn truncate_log(&mut self, before_seq: u64, decided_before_ms: u64) -> Result<Truncated, StoreError>;

    /// Looks at a bounded number of rows for writes behind the store's back, and gives each a sequence. Cheap when no
    /// other connection has written since the last scan was done.
    ///
    /// # Errors
    /// Nothing is applied then; call again.
    fn check_outside_writes(&mut self, now_ms: u64) -> Result<Sweep, StoreError>;

    /// Forgets a bounded number of rows of histories that no state within their time needs, under a sequence of their own;
    /// then deleted rows whose time is over ([`landfall_core::Schema::tombstones_ms`]), of which nobody hears. Each call
    /// looks at a bounded number of rows; after the last one it begins anew.
    ///
    /// # Errors
    /// Nothing is forgotten by this call then.
    fn forget_history(&mut self, now_ms: u64) -> Result<Sweep, StoreError>;

    /// A secret kept with the data (a signing key); `fresh` becomes it when there is none of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn secret(&mut self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// Another reader.
    ///
    /// # Errors
    /// When no further connection can be opened.
    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError>;
}

/// Reads what is committed. Each call is one snapshot.
pub trait StoreReader: Send {
    /// The end of the log.
    ///
    /// # Errors
    /// [`StoreError`], as in every call of this trait: the database cannot be read.
    fn head(&self) -> Result<Head, StoreError>;

    /// The chain value of a sequence, for as long as the decision on it is kept; `None` when it was forgotten with that, or
    /// never given.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn chain_at(&self, seq: u64) -> Result<Option<u64>, StoreError>;

    /// Of these runs of a replica's numbers (first and last), the transactions that were accepted, in order; at most so many.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn accepted(&self, replica: ReplicaId, runs: &[(u64, u64)], limit: usize)
    -> Result<Vec<AcceptedEntry>, StoreError>;

    /// The first sequence that was committed at or after this time (milliseconds since the Unix epoch); the one after the
    /// head when there is none. A clock that was set back makes it a little too small or too large.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn seq_at(&self, at_ms: u64) -> Result<u64, StoreError>;

    /// The oldest sequence after which the log is whole: older cursors cannot be continued.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn oldest_seq(&self) -> Result<u64, StoreError>;

    /// The bucket of this id, when the present schema still has its template.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn bucket(&self, id: BucketId) -> Result<Option<Bucket>, StoreError>;

    /// The bucket's changes after `after`, up to `up_to` or until about `max_bytes` (at least one run if there is one).
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn bucket_log(&self, bucket: BucketId, after: u64, up_to: u64, max_bytes: usize) -> Result<LogSlice, StoreError>;

    /// The largest stamp of the transactions after `after` up to `up_to`; the zero stamp when there are none.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn stamp_max(&self, after: u64, up_to: u64) -> Result<Stamp, StoreError>;

    /// Rows of a bucket in key order, from one snapshot. A page may have fewer rows than allowed, even none, and `more`
    /// all the same: the number of rows looked at is bounded too.
    ///
    /// The rows are the app's rows as they are. What another program wrote shows before it has a sequence; once
    /// [`Store::check_outside_writes`] has seen it, the log makes it good. Only a write that was taken back in between
    /// leaves no trace there: run that check before the first page of a bucket.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn page(&self, bucket: &Bucket, keys: KeySpan<'_>, max_rows: usize, max_bytes: usize) -> Result<Page, StoreError>;

    /// Rows of a bucket, roughly: for progress bars.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn count_rows(&self, bucket: &Bucket) -> Result<u64, StoreError>;

    /// A document, from one snapshot, or only the row whose it is (`whole`: not); `None` when there is no such row.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn document(&self, table: &str, key: &RowKey, column: &str, whole: bool) -> Result<Option<Document>, StoreError>;

    /// The log entry of a sequence, with the rows before and after; `None` when it is not in the log.
    ///
    /// # Errors
    /// See [`StoreReader::head`].
    fn log_entry(&self, seq: u64) -> Result<Option<LogEntry>, StoreError>;
}
