//! What the commit path needs of a database transaction. Small, so that another back end is little work.

use landfall_core::hash::{Cells, ContentHash};
use landfall_core::merge::{RowMeta, StoredRow};
use landfall_core::txn::Origin;
use landfall_core::{BucketId, ReplicaId, RowKey, Value};
use landfall_protocol::Outcome;

use super::record::LogEntry;
use crate::store::{ReplicaState, StoreError};

/// A row as found: the app's row beside what was recorded of it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The app's row, all columns.
    pub cells: Option<Cells>,
    /// What was recorded when the store last wrote it, or found it written.
    pub book: Option<Book>,
}

/// The bookkeeping of a row.
#[derive(Clone, Debug)]
pub struct Book {
    /// The hash of the row as it was then ([`landfall_core::hash::row_hash`]); absent for a tombstone.
    pub hash: Option<u64>,
    /// Versions.
    pub meta: RowMeta,
    /// A tombstone's last image.
    pub image: Option<Vec<u8>>,
}

/// Which halves of a row exist already, so that a back end knows whether to insert or to update.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exists {
    /// The app's row.
    pub row: bool,
    /// Its bookkeeping.
    pub book: bool,
}

/// How long an update of a document is.
#[derive(Clone, Debug)]
pub struct DocSize {
    /// Its key.
    pub key: RowKey,
    /// Its bytes.
    pub bytes: usize,
}

/// A remembered decision.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The content that it was made on.
    pub hash: ContentHash,
    /// Accepted or refused.
    pub outcome: Outcome,
}

/// One database transaction. Tables are positions in the schema's list.
///
/// A back end that other programs write too must lock what [`StoreTx::row`] reads until the end of the transaction
/// (`SELECT … FOR UPDATE`; SQLite holds the write lock anyway), so that nothing can come between read and commit.
/// Sequences are given by the commit path, one after the other; a back end with several writers must make that
/// exclusive, so that they become readable in order and without holes.
pub trait StoreTx {
    /// What is known of a replica.
    fn replica(&mut self, replica: &ReplicaId) -> Result<Option<ReplicaState>, StoreError>;
    /// Records it.
    fn put_replica(&mut self, replica: &ReplicaId, state: &ReplicaState, now_ms: u64) -> Result<(), StoreError>;
    /// The remembered decision on a transaction.
    fn decided(&mut self, replica: &ReplicaId, rseq: u64) -> Result<Option<Decided>, StoreError>;
    /// The decision on a transaction of a subject's under whatever identity it was brought, when it was first queued under
    /// this one.
    fn origin(&mut self, subject: &str, origin: &Origin) -> Result<Option<Outcome>, StoreError>;
    /// Remembers it. The same origin of a subject's is decided once.
    fn put_origin(&mut self, subject: &str, origin: &Origin, outcome: &Outcome, now_ms: u64) -> Result<(), StoreError>;
    /// Whether any such decision is remembered: databases are seldom copied.
    fn has_origins(&mut self) -> Result<bool, StoreError>;
    /// Remembers a decision that the log does not: a refusal, or that of another identity of the transaction.
    fn put_decision(
        &mut self,
        replica: &ReplicaId,
        rseq: u64,
        hash: &ContentHash,
        outcome: &Outcome,
    ) -> Result<(), StoreError>;
    /// A row and what was recorded of it.
    fn row(&mut self, table: usize, key: &RowKey) -> Result<Found, StoreError>;
    /// Writes a live row and its bookkeeping.
    fn put_row(
        &mut self,
        table: usize,
        key: &RowKey,
        row: &StoredRow,
        hash: u64,
        exists: Exists,
    ) -> Result<(), StoreError>;
    /// Records a live row that is already as it should be: somebody else wrote it.
    fn put_book(
        &mut self,
        table: usize,
        key: &RowKey,
        meta: &RowMeta,
        hash: u64,
        exists: Exists,
    ) -> Result<(), StoreError>;
    /// Removes the app's row and leaves a tombstone.
    fn put_tombstone(
        &mut self,
        table: usize,
        key: &RowKey,
        meta: &RowMeta,
        image: &[u8],
        exists: Exists,
    ) -> Result<(), StoreError>;
    /// Removes a live row and its bookkeeping, as if it had never been.
    fn forget_row(&mut self, table: usize, key: &RowKey) -> Result<(), StoreError>;
    /// Keys of live rows whose `column` has this value, at most `limit`, in key order.
    fn referrers(&mut self, table: usize, column: &str, value: &Value, limit: usize)
    -> Result<Vec<RowKey>, StoreError>;
    /// The updates of a row's documents in a table of them, or of one of its columns, in the order in which they were taken.
    fn doc_sizes(&mut self, docs: usize, row: &Value, column: Option<&Value>) -> Result<Vec<DocSize>, StoreError>;
    /// Whether the row is there.
    fn exists(&mut self, table: usize, key: &RowKey) -> Result<bool, StoreError>;
    /// Whether another row has this value in a column.
    fn is_taken(&mut self, table: usize, column: &str, value: &Value, except: &RowKey) -> Result<bool, StoreError>;
    /// Appends to the log.
    fn append(&mut self, entry: &LogEntry) -> Result<(), StoreError>;
    /// The log entry of a sequence, if it is still there.
    fn log_entry(&mut self, seq: u64) -> Result<Option<LogEntry>, StoreError>;
    /// Appends to a bucket's log.
    fn append_run(&mut self, bucket: BucketId, seq: u64, run: &[u8]) -> Result<(), StoreError>;
    /// Begins a savepoint. They are not nested.
    fn savepoint(&mut self) -> Result<(), StoreError>;
    /// Ends the savepoint and keeps what was written since.
    fn release(&mut self) -> Result<(), StoreError>;
    /// Ends the savepoint and undoes what was written since.
    fn rollback(&mut self) -> Result<(), StoreError>;
}
