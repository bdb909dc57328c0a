//! Messages from the server to a device, and the chunk, which travels over plain HTTP.

use landfall_core::hash::ContentHash;
use landfall_core::value::ColumnType;
use landfall_core::{BucketId, Code, Epoch, Problem, Stamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::batch::{ChangeList, RowBlock};
use crate::digest::Digests;

/// A chunk's address: a path on the server, unguessable, signed, expiring.
pub type Address = String;

/// What the server decided about a transaction. Remembered, and answered again to a resend.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Committed, durably, under this sequence.
    #[n(0)]
    Accepted {
        /// The server's sequence.
        #[n(0)]
        seq: u64,
    },
    /// Refused for good; nothing of it was applied.
    #[n(1)]
    Refused {
        /// Why, and about which row and column.
        #[n(0)]
        problem: Problem,
        /// The refused predecessor whose fate it shares, if that is why.
        #[n(1)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because_of: Option<u64>,
    },
    /// Not decided: a transaction that it must follow has not been decided. Offer it again, after that one.
    #[n(2)]
    Deferred {
        /// The undecided predecessor.
        #[n(0)]
        missing: u64,
    },
    /// Not decided: this replica sequence came before with other content. The database is a copy.
    #[n(3)]
    Copied,
    /// Not decided: the server failed on this transaction alone. Offer it again after a while; what does not follow it
    /// goes on. A server that fails on it too often refuses it.
    #[n(4)]
    Failed {
        /// What the server can say about it.
        #[n(0)]
        problem: Problem,
    },
    /// Not decided yet: the app's webhook is asked about it. While the session lasts another Acknowledge of the same push
    /// brings the decision. What does not follow it goes on.
    #[n(5)]
    Asked {
        /// When to offer it again, if that has not come: after so many milliseconds.
        #[n(0)]
        again_ms: u64,
    },
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Decision {
    /// The transaction.
    #[n(0)]
    pub rseq: u64,
    /// What became of it.
    #[n(1)]
    pub outcome: Outcome,
}

/// What becomes of the cursor that a device came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "resumption", rename_all = "snake_case")]
pub enum Resumption {
    /// The device had none, and begins at the head.
    #[n(0)]
    Fresh,
    /// The live stream continues after the cursor.
    #[n(1)]
    Continue,
    /// The log no longer reaches back to the cursor: every bucket is loaded anew. Pending work stays.
    #[n(2)]
    TooOld,
    /// The cursor is of another history (the server was restored): every bucket is loaded anew, and transactions that
    /// were acknowledged under the old history are offered again.
    #[n(3)]
    NewEpoch,
}

/// Limits that the device keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Limits {
    /// Most bytes of a frame, uncompressed.
    #[n(0)]
    pub frame_bytes: u32,
    /// Most entries of a push.
    #[n(1)]
    pub push_entries: u32,
    /// Most bytes of live changes in flight before the device must have said Applied.
    #[n(2)]
    pub window_bytes: u32,
    /// Most open subscriptions of a session.
    #[n(3)]
    pub subscriptions: u32,
}

/// The answer to Hello.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version of this session.
    #[n(0)]
    pub version: u16,
    /// The server's history.
    #[n(1)]
    pub epoch: Epoch,
    /// The server's newest sequence.
    #[n(2)]
    pub head: u64,
    /// Where the live stream of this session begins (exclusive): the device's cursor, or the head.
    #[n(3)]
    pub start: u64,
    /// The chain value at `start`.
    #[n(4)]
    pub chain: u64,
    /// What becomes of the device's cursor.
    #[n(5)]
    pub resumption: Resumption,
    /// The largest replica sequence that the server has seen of this replica; 0 for none.
    #[n(6)]
    pub last_rseq: u64,
    /// The server's clock, milliseconds since the Unix epoch.
    #[n(7)]
    pub clock_ms: u64,
    /// How long the token is still valid; absent when it does not expire.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_in_ms: Option<u64>,
    /// The subject that the token names.
    #[n(9)]
    pub subject: String,
    /// The version of the server's schema.
    #[n(10)]
    pub schema_version: u32,
    /// Limits.
    #[n(11)]
    pub limits: Limits,
    /// Of the transactions that the device asked about, those that were accepted, in order; of very many the first
    /// [`MOST_ACCEPTED`]. The device takes them for answered before it hears of anything that changed.
    #[n(12)]
    #[cbor(default, skip_if = "Vec::is_empty")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedEntry>,
}

/// Most transactions of [`Welcome::accepted`].
pub const MOST_ACCEPTED: usize = 4_000;

/// A transaction that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AcceptedEntry {
    /// Its number.
    #[n(0)]
    pub rseq: u64,
    /// Under which sequence.
    #[n(1)]
    pub seq: u64,
    /// What was accepted: another database may use the same number.
    #[cbor(n(2), with = "minicbor::bytes")]
    #[serde(with = "landfall_core::txn::hash_text")]
    pub hash: ContentHash,
}

/// How a bucket of an opened shape begins.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "start", rename_all = "snake_case")]
pub enum Start {
    /// What the device holds is current up to the session's position: the bucket is part of the live stream at once.
    #[n(0)]
    Live,
    /// What the device holds is older: CatchUp messages follow.
    #[n(1)]
    CatchUp,
    /// The device must load it: chunks from this address on, then Resume with `at`. Drop what is held of it.
    #[n(2)]
    Load {
        /// The position of the log from which changes must be replayed over the chunks.
        #[n(0)]
        at: u64,
        /// The first chunk.
        #[n(1)]
        first: Address,
        /// Rows, roughly; for progress bars.
        #[n(2)]
        rows: u64,
    },
}

/// A bucket of an opened shape.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Opening {
    /// The bucket.
    #[n(0)]
    pub bucket: BucketId,
    /// Its table.
    #[n(1)]
    pub table: String,
    /// Its columns, key columns first in key order. Changes and chunks refer to them by position.
    #[n(2)]
    pub columns: Vec<(String, WireType)>,
    /// How it begins.
    #[n(3)]
    pub start: Start,
}

/// A column type on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WireType(pub ColumnType);

/// The changes of one bucket within a Live message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct BucketChanges {
    /// The bucket.
    #[n(0)]
    pub bucket: BucketId,
    /// Its changes, in order of sequence.
    #[n(1)]
    pub changes: ChangeList,
}

/// A message from the server to a device.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The session is open.
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// Decisions on a push. Sent after the fsync of the group that holds them.
    #[n(1)]
    Acknowledge {
        /// The push.
        #[n(0)]
        id: u32,
        /// One for each entry.
        #[n(1)]
        decisions: Vec<Decision>,
        /// By how many milliseconds the stamps were moved: the server's clock less the device's.
        #[n(2)]
        shift_ms: i64,
    },
    /// A shape is open.
    #[n(2)]
    Opened {
        /// The subscription.
        #[n(0)]
        id: u32,
        /// Its buckets.
        #[n(1)]
        buckets: Vec<Opening>,
    },
    /// Everything that happened in the live buckets of this session after the previous Live up to `to`; a mere
    /// progress mark when `buckets` is empty. Applied as one: the device's cut moves to `to`.
    #[n(3)]
    Live {
        /// The new cut.
        #[n(0)]
        to: u64,
        /// The chain value at `to`.
        #[n(1)]
        chain: u64,
        /// The largest stamp of these transactions, for the device's clock.
        #[n(2)]
        stamp: Stamp,
        /// Changes by bucket, only of buckets that have any.
        #[n(3)]
        buckets: Vec<BucketChanges>,
    },
    /// What happened in one bucket that is behind the session's position. When `done`, the bucket stands at the
    /// session's position (the `to` of the Live message before) and is part of the live stream from here on.
    #[n(4)]
    CatchUp {
        /// The bucket.
        #[n(0)]
        bucket: BucketId,
        /// Up to which sequence.
        #[n(1)]
        to: u64,
        /// The changes.
        #[n(2)]
        changes: ChangeList,
        /// Whether the bucket is live now.
        #[n(3)]
        done: bool,
    },
    /// The answer to Ping and Authenticate.
    #[n(5)]
    Pong {
        /// The server's clock, milliseconds since the Unix epoch.
        #[n(0)]
        clock_ms: u64,
        /// How long the token is still valid.
        #[n(1)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_expires_in_ms: Option<u64>,
    },
    /// Something is wrong. Field numbers 0 to 4 never change in any version.
    #[n(6)]
    Error {
        /// The stable code.
        #[n(0)]
        code: Code,
        /// One sentence: cause and way out.
        #[n(1)]
        message: String,
        /// Whether the server closes the session after this.
        #[n(2)]
        fatal: bool,
        /// How long to wait before trying again.
        #[n(3)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// The subscription or the push that it answers.
        #[n(4)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<u32>,
    },
    /// A subscription is closed; answers Close.
    #[n(7)]
    Closed {
        /// The subscription.
        #[n(0)]
        id: u32,
    },
}

/// A run of rows of a bucket in key order, or the digests of many; the body of a chunk's address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Chunk {
    /// The bucket.
    #[n(0)]
    pub bucket: BucketId,
    /// The sequence at which the rows were read; at or after the `at` of [`Start::Load`].
    #[n(1)]
    pub read_at: u64,
    /// The rows, in key order.
    #[n(2)]
    pub rows: RowBlock,
    /// The next chunk; absent on the last one.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Address>,
    /// Digests instead of rows, when those were asked for; `rows` is empty then.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<Digests>,
}

impl<C> Encode<C> for WireType {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(match self.0 {
            ColumnType::Uuid => 0,
            ColumnType::Text => 1,
            ColumnType::Integer => 2,
            ColumnType::Float => 3,
            ColumnType::Boolean => 4,
            ColumnType::Timestamp => 5,
            ColumnType::Date => 6,
            ColumnType::Json => 7,
            ColumnType::Bytes => 8,
            ColumnType::Decimal(scale) => 32 + scale,
        })?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for WireType {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(match d.u8()? {
            0 => ColumnType::Uuid,
            1 => ColumnType::Text,
            2 => ColumnType::Integer,
            3 => ColumnType::Float,
            4 => ColumnType::Boolean,
            5 => ColumnType::Timestamp,
            6 => ColumnType::Date,
            7 => ColumnType::Json,
            8 => ColumnType::Bytes,
            code @ 32..=50 => ColumnType::Decimal(code - 32),
            _ => return Err(minicbor::decode::Error::message("unknown column type")),
        }))
    }
}
