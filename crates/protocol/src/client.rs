//! Messages from a device to the server.

use std::collections::BTreeMap;

use landfall_core::hash::{ContentHash, hash128};
use landfall_core::{BucketId, Epoch, ReplicaId, Transaction, Value};
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

/// Where a device stands: its cut, tied to the very history it was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Cursor {
    /// The server's history.
    #[n(0)]
    pub epoch: Epoch,
    /// The sequence: everything up to it is applied, durably.
    #[n(1)]
    pub seq: u64,
    /// The chain value of that sequence ([`landfall_core::hash::chain`]).
    #[n(2)]
    pub chain: u64,
}

/// A transaction as it is pushed, with the hash of exactly the bytes that travelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The transaction.
    pub transaction: Transaction,
    /// Its content hash.
    pub hash: ContentHash,
    /// How many bytes travelled, or would.
    pub bytes: usize,
}

impl From<Transaction> for Entry {
    fn from(transaction: Transaction) -> Self {
        let bytes = transaction.to_bytes();
        Self { hash: hash128(&bytes), bytes: bytes.len(), transaction }
    }
}

impl<C> Encode<C> for Entry {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.transaction.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Entry {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let start = d.position();
        let transaction = Transaction::decode(d, ctx)?;
        let bytes = d.input().get(start..d.position()).unwrap_or_default();
        Ok(Self { transaction, hash: hash128(bytes), bytes: bytes.len() })
    }
}

impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.transaction.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Transaction::deserialize(deserializer).map(Self::from)
    }
}

/// The first message of a session. Its fields 0 and 1 never change their place or meaning in any version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest protocol version that the device speaks.
    #[n(0)]
    pub min_version: u16,
    /// The newest protocol version that the device speaks.
    #[n(1)]
    pub max_version: u16,
    /// Who the person is. Absent: anonymous, where the server allows it.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Which database this is.
    #[n(3)]
    pub replica: ReplicaId,
    /// The application's name.
    #[n(4)]
    pub app: String,
    /// The version of the schema that the device works with.
    #[n(5)]
    pub schema_version: u32,
    /// The largest replica sequence that this device ever used; 0 for none. A server that has seen a larger one knows
    /// a copy of this database.
    #[n(6)]
    pub last_rseq: u64,
    /// All own transactions up to this one are decided and known to be: the server may forget their outcomes.
    #[n(7)]
    pub floor: u64,
    /// Where the device stands; absent when it holds nothing.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The device's present clock, milliseconds since the Unix epoch.
    #[n(9)]
    pub clock_ms: u64,
    /// Program and version, for the operator's eyes.
    #[n(10)]
    pub agent: String,
    /// Own transactions whose decision the device may have missed: runs of numbers, first and last of each. At
    /// most [`MOST_SENT_RUNS`].
    #[n(11)]
    #[cbor(default, skip_if = "Vec::is_empty")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<(u64, u64)>,
}

/// Most runs of [`Hello::sent`]; a server looks at no more.
pub const MOST_SENT_RUNS: usize = 1_000;

/// What an entry of a push follows that it does not name itself: its bytes are older than the need to say so.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Following {
    /// The entry.
    #[n(0)]
    pub rseq: u64,
    /// Earlier transactions of the same replica: it is decided after them (order).
    #[n(1)]
    pub after: Vec<u64>,
}

/// How often the server has failed on an entry of a push, as its device counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Attempted {
    /// The entry.
    #[n(0)]
    pub rseq: u64,
    /// How many of its attempts have failed.
    #[n(1)]
    pub times: u32,
}

/// A message from a device to the server.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Opens the session.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// Offers transactions. Answered by one Acknowledge with a decision for each.
    #[n(1)]
    Push {
        /// Names this push in the answer; increases within a session.
        #[n(0)]
        id: u32,
        /// The transactions.
        #[n(1)]
        entries: Vec<Entry>,
        /// The device's present clock, milliseconds since the Unix epoch.
        #[n(2)]
        clock_ms: u64,
        /// As in Hello.
        #[n(3)]
        floor: u64,
        /// Own transactions up to this one were written before the device knew of the present epoch: the sequences that
        /// they rest on are of a history that the server may have lost. 0 for none.
        #[n(4)]
        #[cbor(default, skip_if = "is_zero")]
        #[serde(default, skip_serializing_if = "is_zero")]
        prior: u64,
        /// Own transactions above the floor which entries of this push name as predecessors, and of which the device knows
        /// the decision: nothing waits for them. A restored server need not know it.
        #[n(5)]
        #[cbor(default, skip_if = "Vec::is_empty")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        settled: Vec<u64>,
        /// What entries of this push follow besides what they name: something that was settled when they were written, and
        /// that is offered again since.
        #[n(6)]
        #[cbor(default, skip_if = "Vec::is_empty")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        following: Vec<Following>,
        /// Own transactions which entries of this push require, and which were refused, as the device knows: those entries
        /// are refused, too. A restored server need not know it.
        #[n(7)]
        #[cbor(default, skip_if = "Vec::is_empty")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refused: Vec<u64>,
        /// Entries of this push on which the server has failed before. It counts by itself, but not over its restarts.
        #[n(8)]
        #[cbor(default, skip_if = "Vec::is_empty")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attempted: Vec<Attempted>,
    },
    /// Opens a shape. Answered by Opened or by an Error that names `id`.
    #[n(2)]
    Open {
        /// Names the subscription; chosen by the device, unique within a session.
        #[n(0)]
        id: u32,
        /// The shape.
        #[n(1)]
        shape: String,
        /// Its parameters.
        #[n(2)]
        #[serde(default)]
        params: BTreeMap<String, Value>,
        /// The buckets that the device holds of it, and up to which sequence.
        #[n(3)]
        #[serde(default)]
        held: Vec<Held>,
    },
    /// The device has applied all chunks of a bucket: send what happened since.
    #[n(3)]
    Resume {
        /// The bucket.
        #[n(0)]
        bucket: BucketId,
        /// The sequence from which changes are wanted (exclusive).
        #[n(1)]
        at: u64,
    },
    /// Closes a subscription.
    #[n(4)]
    Close {
        /// The subscription.
        #[n(0)]
        id: u32,
    },
    /// Keeps the connection alive and measures the clocks. Answered by Pong.
    #[n(5)]
    Ping {
        /// The device's present clock, milliseconds since the Unix epoch.
        #[n(0)]
        clock_ms: u64,
    },
    /// A new token for the same subject. Answered by Pong, or by an Error.
    #[n(6)]
    Authenticate {
        /// The token.
        #[n(0)]
        token: String,
    },
    /// Live changes up to here are applied durably. Lets the server bound what is in flight. The server sends no Live
    /// before the first Applied of a session: a device says it once it has opened again what it holds, so that buckets
    /// that stood at one cut go on from one cut.
    #[n(7)]
    Applied {
        /// The device's cut.
        #[n(0)]
        seq: u64,
    },
}

impl ClientMessage {
    /// A push of a device that knows no history but the present one, and offers nothing again. `clock_ms` is the device's
    /// clock in milliseconds since the Unix epoch; its own transactions up to `floor` are decided.
    ///
    /// ```
    /// use landfall_protocol::ClientMessage;
    ///
    /// let push = ClientMessage::push(1, Vec::new(), 1_790_000_000_000, 0);
    /// assert!(matches!(push, ClientMessage::Push { id: 1, prior: 0, .. }));
    /// ```
    pub fn push(id: u32, entries: Vec<Entry>, clock_ms: u64, floor: u64) -> Self {
        let (settled, following) = (Vec::new(), Vec::new());
        let (refused, attempted) = (Vec::new(), Vec::new());
        Self::Push { id, entries, clock_ms, floor, prior: 0, settled, following, refused, attempted }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde and minicbor pass references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A bucket that a device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Held {
    /// The bucket.
    #[n(0)]
    pub bucket: BucketId,
    /// Up to which sequence.
    #[n(1)]
    pub at: u64,
}
