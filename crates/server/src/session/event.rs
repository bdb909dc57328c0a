//! What goes into a session and what it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::{BucketId, Code, ReplicaId, Stamp, Value};
use landfall_protocol::client::Held;
use landfall_protocol::server::WireType;
use landfall_protocol::{Address, ClientMessage, Cursor, Decision, Outcome, ServerMessage};

use super::HelloAnswer;
use crate::store::{PushEntry, Subject};

/// What happens to a session.
#[derive(Debug)]
pub enum Event {
    /// A message from the device.
    Message(ClientMessage),
    /// Bytes from the device that are no message.
    Unreadable {
        /// What is wrong with them.
        reason: String,
    },
    /// Bytes from the device that were changed on their way.
    Damaged,
    /// A message beyond the limit.
    TooLarge,
    /// The store's answer to a [`Request`].
    Reply(Reply),
    /// What a [`Read`] found. The refusal is the server's fault, and ends the session.
    ReadDone(Result<ReadDone, Refusal>),
    /// The server is shutting down.
    Drain,
    /// The deadline has come.
    Tick,
}

impl Event {
    /// Its name in the table of states × events of `docs/protocol.md`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Message(ClientMessage::Hello(_)) => "hello",
            Self::Message(ClientMessage::Push { .. }) => "push",
            Self::Message(ClientMessage::Open { .. }) => "open",
            Self::Message(ClientMessage::Resume { .. }) => "resume",
            Self::Message(ClientMessage::Close { .. }) => "close",
            Self::Message(ClientMessage::Ping { .. }) => "ping",
            Self::Message(ClientMessage::Authenticate { .. }) => "authenticate",
            Self::Message(ClientMessage::Applied { .. }) => "applied",
            Self::Unreadable { .. } => "unreadable",
            Self::Damaged => "damaged",
            Self::TooLarge => "too large",
            Self::Reply(Reply::Hello(_)) => "reply hello",
            Self::Reply(Reply::Push { .. }) => "reply push",
            Self::Reply(Reply::Part { .. }) => "reply part",
            Self::Reply(Reply::Decided { .. }) => "reply decided",
            Self::Reply(Reply::Open { .. }) => "reply open",
            Self::ReadDone(_) => "read done",
            Self::Drain => "drain",
            Self::Tick => "deadline",
        }
    }
}

/// A question to the store's writer. Answered by exactly one [`Reply`], but for [`Reply::Decided`].
#[derive(Debug)]
pub enum Request {
    /// A replica says hello.
    Hello {
        /// The replica.
        replica: ReplicaId,
        /// Who.
        subject: Arc<Subject>,
        /// Where the device stands.
        cursor: Option<Cursor>,
        /// Which transactions it asks about.
        sent: Vec<(u64, u64)>,
    },
    /// Transactions to decide.
    Push {
        /// The push.
        id: u32,
        /// The transactions.
        entries: Vec<PushEntry>,
    },
    /// A shape to open.
    Open {
        /// The subscription.
        id: u32,
        /// Who.
        subject: Arc<Subject>,
        /// The shape.
        shape: String,
        /// Its parameters.
        params: BTreeMap<String, Value>,
        /// The buckets that the device holds.
        held: Vec<Held>,
    },
}

/// An answer of the store.
#[derive(Debug)]
pub enum Reply {
    /// To a Hello.
    Hello(Result<Box<HelloAnswer>, Refusal>),
    /// To a Push, when its group is durable.
    Push {
        /// The push.
        id: u32,
        /// One outcome for each entry, in order. The refusal concerns the push as a whole: nothing is decided.
        result: Result<Vec<Outcome>, Refusal>,
    },
    /// A part of a push is durable; it is answered with the last part, and what it changed is told after that.
    Part {
        /// The push.
        id: u32,
        /// The head before the group with this part.
        from: u64,
    },
    /// What was answered as asked about is decided now.
    Decided {
        /// The push that brought it.
        id: u32,
        /// The decisions.
        decisions: Vec<Decision>,
        /// The server's clock less the device's when it was pushed, milliseconds.
        shift_ms: i64,
    },
    /// To an Open.
    Open {
        /// The subscription.
        id: u32,
        /// Its buckets, and how each can begin.
        result: Result<Vec<Offer>, Refusal>,
    },
}

/// A bucket of a shape, and all that is needed to decide how it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The bucket.
    pub bucket: BucketId,
    /// Its table.
    pub table: String,
    /// Its columns, key columns first.
    pub columns: Vec<(String, WireType)>,
    /// What the device holds of it, when the log reaches back to that and the position is one of this history.
    pub held: Option<u64>,
    /// The position from which changes must be replayed over the chunks.
    pub at: u64,
    /// The first chunk.
    pub first: Address,
    /// Rows, roughly.
    pub rows: u64,
}

/// A part of the log that a session needs from a reader of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// The changes of a bucket that is behind.
    CatchUp {
        /// The bucket.
        bucket: BucketId,
        /// After this sequence.
        after: u64,
        /// Up to this one.
        up_to: u64,
    },
    /// The changes of all live buckets, for a session that is further behind than the ring reaches.
    Live {
        /// The buckets.
        buckets: Vec<BucketId>,
        /// After this sequence.
        after: u64,
        /// Up to this one.
        up_to: u64,
    },
}

/// What a [`Read`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadDone {
    /// The log no longer reaches back to where the read was to begin: the device has to load anew.
    Shortened,
    /// For [`Read::CatchUp`].
    CatchUp {
        /// The bucket.
        bucket: BucketId,
        /// Complete up to here.
        to: u64,
        /// The encoded changes, one after the other.
        run: Vec<u8>,
    },
    /// For [`Read::Live`].
    Live {
        /// Complete up to here.
        to: u64,
        /// The chain value there; `None` when the log was shortened meanwhile.
        chain: Option<u64>,
        /// The largest stamp.
        stamp: Stamp,
        /// The encoded changes by bucket.
        runs: Vec<(BucketId, Vec<u8>)>,
    },
}

/// Why something is not done: a stable code, one sentence, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// Cause and way out.
    pub message: String,
    /// How long to wait before trying again.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal that trying again does not help.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    pub(super) fn message(self, fatal: bool, about: Option<u32>) -> ServerMessage {
        let Self { code, message, retry_after_ms } = self;
        ServerMessage::Error { code, message, fatal, retry_after_ms, about }
    }
}
