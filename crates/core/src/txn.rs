//! Transactions: the atomic unit of writing, identified by (replica, replica sequence, content hash).

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::hash::{Cells, ContentHash, hash128};
use crate::id::ReplicaId;
use crate::key::RowKey;
use crate::schema::Table;
use crate::stamp::Stamp;
use crate::value::Value;

/// One changed column of a row.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct CellWrite {
    /// The column.
    #[n(0)]
    pub column: String,
    /// What it becomes.
    #[n(1)]
    pub value: Value,
    /// The base of this cell where it differs from the operation's (a column that came through another bucket).
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
}

/// One change to one row. Within a transaction each row occurs at most once: changes are net.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// A new row.
    #[n(0)]
    Insert {
        /// The table.
        #[n(0)]
        table: String,
        /// The new row's key.
        #[n(1)]
        key: RowKey,
        /// The base: 0 when the author held no confirmed copy of the row.
        #[n(2)]
        base: u64,
        /// All columns but the key's that have a value.
        #[n(3)]
        cells: Vec<CellWrite>,
    },
    /// Changed columns of a row that is there.
    #[n(1)]
    Update {
        /// The table.
        #[n(0)]
        table: String,
        /// The row.
        #[n(1)]
        key: RowKey,
        /// The server sequence up to which the author's confirmed copy was current.
        #[n(2)]
        base: u64,
        /// The changed columns only.
        #[n(3)]
        cells: Vec<CellWrite>,
    },
    /// The row goes. What the schema says follows it (cascades) is carried out by the server.
    #[n(2)]
    Delete {
        /// The table.
        #[n(0)]
        table: String,
        /// The row.
        #[n(1)]
        key: RowKey,
        /// The server sequence up to which the author's confirmed copy was current.
        #[n(2)]
        base: u64,
    },
}

impl Operation {
    /// Lowers its bases to at most `seq`: what the author saw after that is not known here.
    pub fn limit_base(&mut self, seq: u64) {
        let (base, cells) = match self {
            Self::Insert { base, cells, .. } | Self::Update { base, cells, .. } => (base, cells.as_mut_slice()),
            Self::Delete { base, .. } => (base, [].as_mut_slice()),
        };
        *base = seq.min(*base);
        for base in cells.iter_mut().filter_map(|cell| cell.base.as_mut()) {
            *base = seq.min(*base);
        }
    }

    /// The table that it changes.
    pub fn table(&self) -> &str {
        match self {
            Self::Insert { table, .. } | Self::Update { table, .. } | Self::Delete { table, .. } => table,
        }
    }

    /// The row that it changes.
    pub fn key(&self) -> &RowKey {
        match self {
            Self::Insert { key, .. } | Self::Update { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// The columns that it writes; none for a delete.
    pub fn cells(&self) -> &[CellWrite] {
        match self {
            Self::Insert { cells, .. } | Self::Update { cells, .. } => cells,
            Self::Delete { .. } => &[],
        }
    }

    /// What is written into a column.
    pub fn value(&self, column: &str) -> Option<&Value> {
        self.cells().iter().find(|cell| cell.column == column).map(|cell| &cell.value)
    }

    /// The row that it leaves behind when it lies over `row`, as a device shows it while it is pending: the columns' rules
    /// say what is shown of both. `None` when there is no row afterwards.
    pub fn preview(&self, row: Option<Cells>, table: &Table) -> Option<Cells> {
        let mut cells = match (self, row) {
            (Self::Delete { .. }, _) => return None,
            (Self::Update { .. }, None) => return None,
            (_, Some(row)) => row,
            (Self::Insert { .. }, None) => table.key_cells(self.key()),
        };
        for write in self.cells() {
            let cell = cells.entry(write.column.clone()).or_default();
            *cell = table.rule(&write.column).over(std::mem::take(cell), &write.value);
        }
        Some(cells)
    }
}

/// What a transaction was when it was queued first, when its database has taken another replica id since, or rewritten it.
/// Other copies of that database may bring the same transaction, as it was or under an identity of their own: it is decided
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Origin {
    /// The replica that wrote it.
    #[n(0)]
    pub replica: ReplicaId,
    /// Its number there.
    #[n(1)]
    pub rseq: u64,
    /// The hash of its content there ([`Transaction::content_hash`]).
    #[cbor(n(2), with = "minicbor::bytes")]
    #[serde(with = "hash_text")]
    pub hash: ContentHash,
}

/// In JSON a hash is text, as bytes are.
mod hash_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::hash::ContentHash;
    use crate::value::json::{base64, unbase64};

    pub(super) fn serialize<S: Serializer>(hash: &ContentHash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&base64(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ContentHash, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = unbase64(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| serde::de::Error::custom("a content hash is base64 of 16 bytes"))
    }
}

/// What a transaction asks of the app's handler on the server, beside what it writes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Action {
    /// Its name, one of the schema's.
    #[n(0)]
    pub name: String,
    /// The arguments. One that is absent is NULL.
    #[n(1)]
    pub args: Cells,
}

/// A transaction as it travels and as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Transaction {
    /// Who wrote.
    #[n(0)]
    pub replica: ReplicaId,
    /// The replica's own number for it: from 1, without reuse.
    #[n(1)]
    pub rseq: u64,
    /// When, by the replica's clock.
    #[n(2)]
    pub stamp: Stamp,
    /// The net changes, at most one per row.
    #[n(3)]
    pub operations: Vec<Operation>,
    /// Earlier transactions of this replica that must be decided first (order): the server holds or returns this one
    /// until they are.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u64>,
    /// Earlier transactions of this replica whose refusal takes this one along (fate). A subset of `after`.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<u64>,
    /// What it was before its database took another replica id, or rewrote it.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What it asks of the app's handler.
    #[n(7)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// It is refused when it is not decided by then, by the server's clock. Milliseconds since the Unix epoch.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

impl Action {
    /// Bytes of name and arguments, roughly; for limits.
    pub fn size(&self) -> usize {
        self.name.len() + self.args.iter().map(|(name, value)| name.len() + value.size()).sum::<usize>()
    }
}

impl Transaction {
    /// The canonical bytes, over which the content hash is taken.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing to a Vec cannot fail.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// The content hash: over exactly the bytes that travel ([`Transaction::to_bytes`]).
    pub fn content_hash(&self) -> ContentHash {
        hash128(&self.to_bytes())
    }

    /// Takes note of what it is, before it becomes anything else. What it was first stays.
    pub fn keep_origin(&mut self) {
        if self.origin.is_none() {
            self.origin = Some(Origin { replica: self.replica, rseq: self.rseq, hash: self.content_hash() });
        }
    }

    /// It goes on under another name, and remembers what it was first.
    pub fn go_on_as(&mut self, replica: ReplicaId, rseq: u64) {
        self.keep_origin();
        (self.replica, self.stamp.replica, self.rseq) = (replica, replica, rseq);
    }

    /// Bytes of all values, keys and arguments, roughly; for limits.
    pub fn size(&self) -> usize {
        let cell = |c: &CellWrite| c.column.len() + c.value.size();
        let key = |o: &Operation| o.key().0.iter().map(Value::size).sum::<usize>();
        let one = |o: &Operation| o.table().len() + 16 + key(o) + o.cells().iter().map(cell).sum::<usize>();
        self.operations.iter().map(one).sum::<usize>() + self.action.as_ref().map_or(0, Action::size)
    }
}

/// An opaque run of bytes on the wire.
pub type Bytes = ByteVec;
