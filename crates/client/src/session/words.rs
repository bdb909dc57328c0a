//! What happens to a session, and what it asks to be done.

use landfall_core::BucketId;
use landfall_protocol::server::{Address, Limits};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The transport is connected.
    Connected,
    /// The transport is gone.
    Disconnected {
        /// Why, for the status.
        reason: String,
        /// How long to wait, where that was said instead of a connection. Milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The server welcomed us.
    Welcome {
        /// Its limits.
        limits: Limits,
        /// The server has seen replica sequences that this device never used.
        copied: bool,
    },
    /// A push was answered, and the decisions are applied.
    Acknowledge {
        /// The push.
        id: u32,
        /// Entries were deferred.
        deferred: bool,
        /// Entries were not decided because another database uses the same replica id.
        copied: Vec<u64>,
    },
    /// A subscription was opened, and its buckets are recorded.
    Opened {
        /// The Open that it answers.
        id: u32,
        /// Buckets to be loaded: where to go on.
        load: Vec<(BucketId, Address)>,
    },
    /// Live changes were applied.
    Live {
        /// Their size in bytes, roughly.
        bytes: u64,
    },
    /// Catch-up changes were applied.
    CatchUp,
    /// A probe was answered.
    Pong,
    /// The server reports an error.
    Error {
        /// Its code.
        code: String,
        /// Its sentence.
        message: String,
        /// Whether the session ends.
        fatal: bool,
        /// How long to wait.
        retry_after_ms: Option<u64>,
        /// The push or Open it answers.
        about: Option<u32>,
    },
    /// A subscription is closed.
    Closed {
        /// The Open that it was.
        id: u32,
    },
    /// A chunk was applied.
    ChunkLoaded {
        /// The bucket.
        bucket: BucketId,
        /// The next chunk; absent: loaded, resume from `at`.
        next: Option<Address>,
        /// The log position for Resume.
        at: u64,
    },
    /// A chunk could not be fetched.
    ChunkFailed {
        /// The bucket.
        bucket: BucketId,
        /// The address is no longer valid: the shape must be opened again.
        gone: bool,
        /// Why, for the status.
        reason: String,
        /// How long the server says to wait, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// There is a new token, or none.
    SetToken,
    /// The app wants to be online or not.
    SetOnline {
        /// Whether it wants to be.
        online: bool,
    },
    /// Nothing is to be sent for now, or all of it again.
    SetPaused {
        /// Whether nothing is.
        paused: bool,
    },
    /// The network may have changed: look at once.
    Nudge,
    /// The outbox has something new.
    Written,
    /// Subscriptions changed: these are new.
    Subscribed {
        /// The new subscription.
        handle: u64,
    },
    /// A subscription is no longer wanted.
    Unsubscribed {
        /// The subscription.
        handle: u64,
    },
    /// The local database failed (a full disk, an I/O error).
    Fault {
        /// Its sentence.
        reason: String,
    },
    /// The server said something that it must not say in this state.
    Violation {
        /// What.
        reason: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Connect; the transport answers with `Connected` or `Disconnected` of this connection.
    Connect {
        /// Names the connection.
        connection: u64,
    },
    /// Close the transport.
    Disconnect {
        /// The connection.
        connection: u64,
    },
    /// Send Hello.
    Hello,
    /// Send Open for every subscription, then Applied, which starts the live stream.
    OpenAll,
    /// Send Open for one subscription.
    Open {
        /// The subscription.
        handle: u64,
    },
    /// Send Close.
    Close {
        /// The Open that it was.
        id: u32,
    },
    /// Send what can be sent, if anything, and report it with [`Session::pushed`].
    Push {
        /// Most entries.
        max_entries: usize,
        /// The database was copied, and this is the last chance under the old replica id: the other copy may have sent the
        /// very same entries, and only under their own number can the server tell.
        last_under_id: bool,
    },
    /// A bucket's addresses are no longer valid: close and open again the subscriptions that hold it.
    Reopen {
        /// The bucket.
        bucket: BucketId,
    },
    /// Send Resume.
    Resume {
        /// The bucket.
        bucket: BucketId,
        /// From where.
        at: u64,
    },
    /// Send Ping.
    Ping,
    /// Send Applied.
    Applied,
    /// Fetch a chunk.
    Fetch {
        /// Names the request.
        request: u64,
        /// The bucket.
        bucket: BucketId,
        /// Its address.
        address: Address,
    },
    /// Take a new replica id and queue what is undecided under it.
    NewReplica,
    /// Connections break whenever this entry is sent: let it, and what follows it, wait.
    SetAside {
        /// The entry.
        rseq: u64,
    },
}
