//! The client session: when to connect, what to say, what to wait for. A state machine without I/O.
//!
//! [`Session::handle`] takes an [`Event`], the monotonic time and randomness, and gives [`Command`]s. It never touches
//! the database: [`crate::Engine`] carries the commands out and reports facts back as events. The full table of states
//! × events is in `docs/protocol.md`; [`Session::coverage`] counts which of its cells were reached.

use batch::Batch;
use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::{BucketId, Transaction, mutant};
use landfall_protocol::codes;
use landfall_protocol::server::{Address, Limits};
use opens::Opens;

mod backoff;
mod batch;
mod lost;
mod opens;
mod pushes;
mod table;
mod words;

pub use backoff::{Backoff, MAX_BACKOFF_MS, MAX_TOLD_MS};
pub use table::{EventName, StateName};
pub use words::{Command, Event};

/// Fills a slice with random bytes. Passed in, so that a simulation repeats exactly.
pub type Entropy<'a> = dyn FnMut(&mut [u8]) + 'a;

/// A connection that has not opened, or a Hello that has no answer, is given up after this long.
pub const GREETING_TIMEOUT_MS: u64 = 15_000;
/// A quiet connection is probed this often.
pub const PING_INTERVAL_MS: u64 = 20_000;
/// A probe that has no answer by then shows that the connection is dead.
pub const PONG_TIMEOUT_MS: u64 = 10_000;
/// Applied changes are reported at the latest after this long.
pub const REPORT_AFTER_MS: u64 = 2_000;
/// Pushes in flight at once: the next one travels while the server commits the one before.
const MAX_PUSHES_IN_FLIGHT: usize = 2;
/// Chunks asked for at once; further loads wait for one of these to end. As many as a browser opens connections.
const MAX_FETCHES_IN_FLIGHT: usize = 6;
/// What a push has beside its transactions, at most, but for the numbers of what those follow.
const PUSH_OVERHEAD_BYTES: usize = 4 << 10;
/// How long deferred entries wait before they are offered again, unless a decision comes first.
const DEFERRED_PAUSE_MS: u64 = 250;
/// After this long a chunk that came before the answer to an Open is fetched again.
const POSTPONED_MS: u64 = 100;
/// A session that stopped for good looks again this often, in case the server was upgraded.
const STOPPED_RETRY_MS: u64 = 300_000;

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The app wants to be offline.
    Idle,
    /// Not connected; the next attempt is due at this monotonic time.
    Waiting {
        /// Monotonic milliseconds.
        until_ms: u64,
    },
    /// The transport is connecting.
    Connecting {
        /// Given up at this monotonic time.
        until_ms: u64,
    },
    /// Hello is sent.
    Greeting {
        /// Given up at this monotonic time.
        until_ms: u64,
    },
    /// The session is open.
    Online,
    /// The token is missing or expired; nothing is lost, sending waits for a new one.
    SignIn,
    /// The server cannot work with this device (other version, other schema, other subject).
    Stopped {
        /// It is tried again at this monotonic time.
        until_ms: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Loading {
    address: Address,
    request: Option<u64>,
    retry_at_ms: Option<u64>,
    /// It is to be asked for as soon as there is room.
    queued: bool,
    /// It was asked for before the session began.
    is_from_before: bool,
    backoff: Backoff,
}

/// A push that has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flight {
    rseqs: Vec<u64>,
    sent_ms: u64,
}

/// The client session.
#[derive(Clone, Debug)]
pub struct Session {
    state: State,
    connection: u64,
    backoff: Backoff,
    faults: Backoff,
    has_token: bool,
    last_error: Option<String>,
    limits: Limits,
    next_id: u32,
    next_request: u64,
    pushes: FlatMap<u32, Flight>,
    /// The entries of pushes that were answered, where the answer is not stored yet.
    unstored: FlatMap<u32, Vec<u64>>,
    opens: Opens,
    loading: FlatMap<BucketId, Loading>,
    batch: Batch,
    /// Connections in a row that broke while pushes were under way, and none was answered.
    breaks: u32,
    /// The server asks to wait: nothing that it answers to another push shortens that.
    told_until_ms: u64,
    /// When a push was last not taken, where none that was sent after that has been answered.
    not_taken_ms: Option<u64>,
    /// The server does not want to be connected to before.
    connect_from_ms: u64,
    /// What was offered waits for something else: soon, or as soon as something was decided.
    deferred_until_ms: u64,
    /// The person wants nothing to be sent for now.
    paused: bool,
    copied: bool,
    undecidable: FlatSet<u64>,
    more_to_send: bool,
    /// When entries that the server failed on are due.
    offer_again_at_ms: Option<u64>,
    unreported_bytes: u64,
    report_at_ms: Option<u64>,
    ping_at_ms: u64,
    pong_by_ms: Option<u64>,
    coverage: FlatMap<(StateName, EventName), u64>,
}

impl Session {
    /// A session that connects at the first tick, or stays idle.
    pub fn new(online: bool, has_token: bool) -> Self {
        let limits = Limits { frame_bytes: 1 << 20, push_entries: 256, window_bytes: 1 << 20, subscriptions: 64 };
        Self {
            state: if online { State::Waiting { until_ms: 0 } } else { State::Idle },
            connection: 0,
            backoff: Backoff::default(),
            faults: Backoff::default(),
            has_token,
            last_error: None,
            limits,
            next_id: 1,
            next_request: 1,
            pushes: FlatMap::new(),
            unstored: FlatMap::new(),
            opens: Opens::default(),
            loading: FlatMap::new(),
            batch: Batch::default(),
            breaks: 0,
            not_taken_ms: None,
            told_until_ms: 0,
            connect_from_ms: 0,
            deferred_until_ms: 0,
            paused: false,
            copied: false,
            undecidable: FlatSet::new(),
            more_to_send: true,
            offer_again_at_ms: None,
            unreported_bytes: 0,
            report_at_ms: None,
            ping_at_ms: 0,
            pong_by_ms: None,
            coverage: FlatMap::new(),
        }
    }

    /// Where the session stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The present connection; frames of any other are stale and must be dropped.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// What went wrong last, while it still matters.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Why a subscription could not be opened.
    pub fn failure(&self, handle: u64) -> Option<&str> {
        self.opens.failure(handle)
    }

    /// Limits of the server.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The entries that are in flight on this connection, or whose answer is not stored yet, or that are known not to be
    /// decidable under this replica id.
    pub fn in_flight(&self) -> FlatSet<u64> {
        let under_way = self.pushes.values().map(|flight| &flight.rseqs).chain(self.unstored.values()).flatten();
        under_way.chain(&self.undecidable).copied().collect()
    }

    /// Whether a push waits for its answer, or that for being stored.
    pub fn is_pushing(&self) -> bool {
        !self.pushes.is_empty() || !self.unstored.is_empty()
    }

    /// Whether nothing is sent until the person says so. Everything else goes on.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// As the database remembers it. Afterwards [`Event::SetPaused`] tells.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether the server takes a message with a transaction of so many bytes.
    pub fn takes(&self, bytes: usize) -> bool {
        bytes.saturating_add(PUSH_OVERHEAD_BYTES) <= self.limits.frame_bytes as usize
    }

    /// Most bytes of the next push.
    pub fn push_bytes(&self) -> usize {
        self.batch.bytes(self.limits.frame_bytes as usize)
    }

    /// How often each cell of the table of states × events was reached.
    pub fn coverage(&self) -> &FlatMap<(StateName, EventName), u64> {
        &self.coverage
    }

    /// The subscription that an Open was for.
    pub fn handle_of(&self, id: u32) -> Option<u64> {
        self.opens.handle_of(id)
    }

    /// The Open of a subscription, to be closed before it is opened again.
    pub fn reopening(&mut self, handle: u64) -> Option<u32> {
        let id = self.opens.id_of(handle)?;
        self.opens.retire(id);
        Some(id)
    }

    /// Whether an Open was given up before it was answered.
    pub fn is_retired(&self, id: u32) -> bool {
        self.opens.is_retired(id)
    }

    /// A new number for an Open of this subscription.
    pub fn opening(&mut self, handle: u64) -> u32 {
        let id = self.take_id();
        self.opens.sent(id, handle);
        id
    }

    /// Whether the replica id is about to change: what the server does not decide now is queued again under the new one.
    pub fn is_copied(&self) -> bool {
        self.copied
    }

    /// A chunk that arrives while an Open has no answer comes too early: the answer may say that its bucket is to be
    /// loaded, although this chunk would complete it. It is fetched again a little later. Whether it is too early.
    pub fn postpone(&mut self, bucket: BucketId, now_ms: u64) -> bool {
        if self.state != State::Online || !self.opens.any_unanswered() {
            return false;
        }
        self.hold(bucket, now_ms);
        true
    }

    /// The bucket's next chunk is asked for a little later; without a connection, when there is one.
    pub fn hold(&mut self, bucket: BucketId, now_ms: u64) {
        let online = self.state == State::Online;
        if let Some(loading) = self.loading.get_mut(&bucket) {
            loading.request = None;
            loading.retry_at_ms = online.then_some(now_ms + POSTPONED_MS);
        }
    }

    /// The cut has moved: what was held back may go on.
    pub fn release(&mut self, now_ms: u64, may_load: impl Fn(BucketId) -> bool) {
        for (bucket, loading) in &mut self.loading {
            if loading.request.is_none() && loading.backoff == Backoff::default() && may_load(*bucket) {
                loading.retry_at_ms = loading.retry_at_ms.map(|at| at.min(now_ms));
            }
        }
    }

    /// Whether a transaction follows one that cannot be decided under this replica id.
    pub fn follows_undecidable(&self, transaction: &Transaction) -> bool {
        transaction.after.iter().chain(&transaction.requires).any(|rseq| self.undecidable.contains(rseq))
    }

    /// These cannot be decided under this replica id: they come again under the next one.
    pub fn set_undecidable(&mut self, rseqs: impl IntoIterator<Item = u64>) {
        self.undecidable.extend(rseqs);
    }

    /// Records a push that is about to be sent and gives its number. An empty one is not sent: the outbox has no more.
    /// `now_ms` is monotonic.
    pub fn pushed(&mut self, rseqs: Vec<u64>, now_ms: u64) -> Option<u32> {
        if rseqs.is_empty() {
            self.more_to_send = false;
            return None;
        }
        let id = self.take_id();
        self.pushes.insert(id, Flight { rseqs, sent_ms: now_ms });
        Some(id)
    }

    /// Entries that the server failed on are due at this monotonic time; `None` when there are none.
    pub fn offer_again_at(&mut self, at_ms: Option<u64>) {
        self.offer_again_at_ms = at_ms;
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1).max(1);
        id
    }

    /// When [`Event::Tick`] is due, in monotonic milliseconds; `None` when only an event can go on.
    pub fn deadline_ms(&self) -> Option<u64> {
        let state = match self.state {
            State::Waiting { until_ms }
            | State::Connecting { until_ms }
            | State::Greeting { until_ms }
            | State::Stopped { until_ms } => Some(until_ms),
            State::Idle | State::SignIn => None,
            State::Online => Some(self.pong_by_ms.unwrap_or(self.ping_at_ms)),
        };
        let online = self.state == State::Online;
        // With no room for another push there is nothing to wake up for: an answer will.
        let waits = online && self.more_to_send && !self.paused && self.pushes.len() < self.room();
        let paused_until_ms = self.told_until_ms.max(self.deferred_until_ms);
        let paused = (waits && paused_until_ms > 0).then_some(paused_until_ms);
        let report = self.report_at_ms.filter(|_| online);
        let chunks = self.loading.values().filter_map(|l| l.retry_at_ms);
        let again = self.offer_again_at_ms.filter(|_| online);
        chunks.chain(state).chain(paused).chain(report).chain(again).chain(self.opens.deadline_ms()).min()
    }

    /// The request that this chunk answers, if it is still wanted.
    pub fn bucket_of_request(&self, request: u64) -> Option<BucketId> {
        self.loading.iter().find(|(_, l)| l.request == Some(request)).map(|(bucket, _)| *bucket)
    }

    /// The load goes on where its Open is answered.
    pub fn forget_load(&mut self, bucket: BucketId) {
        self.loading.remove(&bucket);
    }

    /// Whether the chunk that is under way was asked for before the session began.
    pub fn is_from_before(&self, bucket: BucketId) -> bool {
        self.loading.get(&bucket).is_some_and(|l| l.is_from_before)
    }

    /// Where the load of a bucket goes on; `None` when it is not being loaded.
    pub fn loading_at(&self, bucket: BucketId) -> Option<&Address> {
        self.loading.get(&bucket).map(|l| &l.address)
    }

    /// A chunk arrived and is about to be applied: asks for the next one at once, so that the network and the disk work
    /// at the same time.
    pub fn prefetch(&mut self, bucket: BucketId, next: Option<&Address>) -> Option<Command> {
        let loading = self.loading.get_mut(&bucket)?;
        loading.backoff = Backoff::default();
        let Some(address) = next else {
            loading.request = None;
            return None;
        };
        loading.address = address.clone();
        Some(Self::fetch(loading, bucket, &mut self.next_request))
    }

    fn fetch(loading: &mut Loading, bucket: BucketId, next_request: &mut u64) -> Command {
        let request = *next_request;
        *next_request += 1;
        loading.request = Some(request);
        loading.retry_at_ms = None;
        loading.queued = false;
        loading.is_from_before = false;
        Command::Fetch { request, bucket, address: loading.address.clone() }
    }

    /// Takes one event. `now_ms` is monotonic.
    pub fn handle(&mut self, event: &Event, now_ms: u64, random: &mut Entropy<'_>) -> Vec<Command> {
        *self.coverage.get_or_insert_with((StateName::of(&self.state), EventName::of(event)), Default::default) += 1;
        let mut out = Vec::new();
        match event {
            Event::Tick => self.tick(now_ms, random, &mut out),
            Event::SetOnline { online } => self.set_online(*online, now_ms, &mut out),
            Event::SetPaused { paused } => {
                self.paused = *paused;
                self.more_to_send = true;
            }
            Event::SetToken => self.set_token(now_ms, &mut out),
            Event::Nudge => self.nudge(now_ms, &mut out),
            Event::Disconnected { reason, retry_after_ms } => {
                out.extend(self.broke());
                self.lost(reason, now_ms, random);
                self.stay_away(*retry_after_ms, now_ms);
            }
            Event::Fault { reason } => self.fault(reason, now_ms, random, &mut out),
            Event::Violation { reason } => {
                self.disconnect(&mut out);
                self.lost(reason, now_ms, random);
            }
            Event::Connected => self.connected(now_ms, &mut out),
            Event::Welcome { limits, copied } => self.welcomed(*limits, *copied, now_ms, &mut out),
            Event::Error { .. } => self.error(event, now_ms, random, &mut out),
            Event::Written => self.more_to_send = true,
            Event::ChunkLoaded { bucket, next, at } => self.chunk_loaded(*bucket, next.is_some(), *at, &mut out),
            Event::ChunkFailed { .. } => self.chunk_failed(event, now_ms, random, &mut out),
            Event::Subscribed { handle } if self.state == State::Online => out.push(Command::Open { handle: *handle }),
            Event::Unsubscribed { handle } => self.unsubscribed(*handle, &mut out),
            Event::Subscribed { .. } => {}
            Event::Acknowledge { .. }
            | Event::Opened { .. }
            | Event::Live { .. }
            | Event::CatchUp
            | Event::Pong
            | Event::Closed { .. } => self.online_message(event, now_ms, &mut out),
        }
        self.fetch_queued(&mut out);
        if self.state == State::Online {
            self.fill(now_ms, &mut out);
        }
        out
    }

    /// Asks for chunks that wait for room.
    fn fetch_queued(&mut self, out: &mut Vec<Command>) {
        let under_way = self.loading.values().filter(|l| l.request.is_some()).count();
        let room = MAX_FETCHES_IN_FLIGHT.saturating_sub(under_way);
        for (bucket, loading) in self.loading.iter_mut().filter(|(_, l)| l.queued).take(room) {
            out.push(Self::fetch(loading, *bucket, &mut self.next_request));
        }
    }

    fn tick(&mut self, now_ms: u64, random: &mut Entropy<'_>, out: &mut Vec<Command>) {
        match self.state {
            State::Waiting { until_ms } | State::Stopped { until_ms } if now_ms >= until_ms => {
                self.connect(now_ms, out);
            }
            State::Connecting { until_ms } | State::Greeting { until_ms } if now_ms >= until_ms => {
                self.disconnect(out);
                self.lost("the server did not answer in time; trying again [LF-5921]", now_ms, random);
            }
            State::Online => self.tick_online(now_ms, random, out),
            _ => {}
        }
        for (_, loading) in &mut self.loading {
            if loading.retry_at_ms.take_if(|at| now_ms >= *at).is_some() {
                loading.queued = true;
            }
        }
    }

    fn tick_online(&mut self, now_ms: u64, random: &mut Entropy<'_>, out: &mut Vec<Command>) {
        if self.pong_by_ms.is_some_and(|by| now_ms >= by && !mutant::active("silence-not-noticed")) {
            let aside = self.broke();
            self.disconnect(out);
            out.extend(aside);
            return self.lost("the connection went silent; connecting anew [LF-5921]", now_ms, random);
        }
        if self.pong_by_ms.is_none() && now_ms >= self.ping_at_ms {
            let again = mutant::active("ping-without-end");
            self.pong_by_ms = (!again).then_some(now_ms + PONG_TIMEOUT_MS);
            out.push(Command::Ping);
        }
        if self.report_at_ms.is_some_and(|at| now_ms >= at) {
            self.report(out);
        }
        out.extend(self.opens.take_due(now_ms).into_iter().map(|handle| Command::Open { handle }));
        if self.offer_again_at_ms.is_some_and(|at| now_ms >= at) {
            self.offer_again_at_ms = None;
            self.more_to_send = true;
        }
    }

    fn report(&mut self, out: &mut Vec<Command>) {
        self.report_at_ms = None;
        self.unreported_bytes = 0;
        out.push(Command::Applied);
    }

    fn connect(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        self.connection += 1;
        self.state = State::Connecting { until_ms: now_ms + GREETING_TIMEOUT_MS };
        out.push(Command::Connect { connection: self.connection });
    }

    fn disconnect(&mut self, out: &mut Vec<Command>) {
        if matches!(self.state, State::Connecting { .. } | State::Greeting { .. } | State::Online) {
            out.push(Command::Disconnect { connection: self.connection });
            // Frames that are still under way belong to a connection that no longer exists.
            self.connection += 1;
        }
        self.forget_connection();
    }

    fn forget_connection(&mut self) {
        self.batch.reconnected();
        self.pushes.clear();
        self.unstored.clear();
        self.opens.disconnected();
        // Another session of the server has to be shown it again, before what follows it.
        self.undecidable.clear();
        self.more_to_send = true;
        (self.told_until_ms, self.deferred_until_ms) = (0, 0);
        self.pong_by_ms = None;
        self.report_at_ms = None;
        self.unreported_bytes = 0;
    }

    fn set_online(&mut self, online: bool, now_ms: u64, out: &mut Vec<Command>) {
        match (online, &self.state) {
            (true, State::Idle) => {
                self.backoff = Backoff::default();
                self.connect(now_ms, out);
            }
            (true, _) => {}
            (false, _) => {
                self.disconnect(out);
                // The database knows where each load goes on.
                self.loading.clear();
                self.state = State::Idle;
                self.last_error = None;
            }
        }
    }

    fn set_token(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if matches!(self.state, State::Idle) {
            return;
        }
        self.disconnect(out);
        self.backoff = Backoff::default();
        self.connect(now_ms, out);
    }

    fn nudge(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        match self.state {
            State::Waiting { .. } if now_ms >= self.connect_from_ms => {
                self.backoff = Backoff::default();
                self.connect(now_ms, out);
            }
            State::Online if self.pong_by_ms.is_none() => {
                self.pong_by_ms = Some(now_ms + PONG_TIMEOUT_MS);
                out.push(Command::Ping);
            }
            _ => {}
        }
    }

    fn connected(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if matches!(self.state, State::Connecting { .. }) {
            self.state = State::Greeting { until_ms: now_ms + GREETING_TIMEOUT_MS };
            out.push(Command::Hello);
        }
    }

    fn welcomed(&mut self, limits: Limits, copied: bool, now_ms: u64, out: &mut Vec<Command>) {
        self.state = State::Online;
        self.backoff = Backoff::default();
        self.last_error = None;
        self.limits = limits;
        self.copied |= copied;
        self.opens.welcomed();
        for loading in self.loading.values_mut() {
            loading.is_from_before = loading.request.is_some();
        }
        self.more_to_send = true;
        self.heard(now_ms);
        out.push(Command::OpenAll);
    }

    /// Any message shows that the connection lives.
    fn heard(&mut self, now_ms: u64) {
        self.ping_at_ms = now_ms + PING_INTERVAL_MS;
        self.pong_by_ms = None;
    }

    fn online_message(&mut self, event: &Event, now_ms: u64, out: &mut Vec<Command>) {
        if self.state != State::Online {
            return;
        }
        self.heard(now_ms);
        match event {
            Event::Acknowledge { id, deferred, copied } => self.acknowledged(*id, *deferred, copied, now_ms),
            Event::Opened { id, load } => {
                self.opens.answered(*id);
                load.iter().for_each(|(bucket, address)| self.load(*bucket, address));
            }
            Event::Live { bytes } => {
                self.faults = Backoff::default();
                self.unreported_bytes += bytes;
                self.report_at_ms.get_or_insert(now_ms + REPORT_AFTER_MS);
                if self.unreported_bytes >= u64::from(self.limits.window_bytes) / 4 {
                    self.report(out);
                }
            }
            Event::Closed { id } => self.opens.closed(*id),
            _ => {}
        }
    }

    fn load(&mut self, bucket: BucketId, address: &Address) {
        if self.loading.get(&bucket).is_some_and(|l| l.address == *address && (l.request.is_some() || l.queued)) {
            return;
        }
        let (address, backoff) = (address.clone(), Backoff::default());
        let (request, retry_at_ms, queued, is_from_before) = (None, None, true, false);
        self.loading.insert(bucket, Loading { address, request, retry_at_ms, queued, is_from_before, backoff });
    }

    fn fill(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if self.paused && !mutant::active("pause-ignored") {
            return;
        }
        let may_send = now_ms >= self.told_until_ms.max(self.deferred_until_ms);
        if self.more_to_send && self.pushes.len() < self.room() && may_send {
            (self.told_until_ms, self.deferred_until_ms) = (0, 0);
            let max_entries = match self.goes_alone() {
                true => 1,
                false => self.batch.entries(self.limits.push_entries as usize),
            };
            out.push(Command::Push { max_entries, last_under_id: self.copied });
        } else if self.copied && !self.more_to_send && !self.is_pushing() {
            // Everything under this id is decided or cannot be: now the id can change.
            self.copied = false;
            self.undecidable.clear();
            out.push(Command::NewReplica);
        }
    }

    /// To be called after a push was recorded: what follows when the outbox has no more, or room for another push.
    pub fn drained(&mut self, now_ms: u64) -> Vec<Command> {
        let mut out = Vec::new();
        if self.state == State::Online {
            self.fill(now_ms, &mut out);
        }
        out
    }

    /// The replica id has changed: connect anew under it.
    pub fn replaced(&mut self, now_ms: u64) -> Vec<Command> {
        let mut out = Vec::new();
        self.disconnect(&mut out);
        self.connect(now_ms, &mut out);
        out
    }

    fn chunk_loaded(&mut self, bucket: BucketId, more: bool, at: u64, out: &mut Vec<Command>) {
        self.faults = Backoff::default();
        if more {
            return;
        }
        self.loading.remove(&bucket);
        if self.state == State::Online {
            out.push(Command::Resume { bucket, at });
        }
    }

    fn chunk_failed(&mut self, event: &Event, now_ms: u64, random: &mut Entropy<'_>, out: &mut Vec<Command>) {
        let Event::ChunkFailed { bucket, gone, reason, retry_after_ms } = event else { return };
        let Some(loading) = self.loading.get_mut(bucket) else {
            return;
        };
        self.last_error = Some(reason.clone());
        (loading.request, loading.queued) = (None, false);
        if *gone {
            self.loading.remove(bucket);
            if self.state == State::Online {
                out.push(Command::Reopen { bucket: *bucket });
            }
        } else {
            // Those that were told the same time do not all come at that time.
            let told = retry_after_ms.unwrap_or(0).min(MAX_TOLD_MS);
            loading.retry_at_ms = Some(now_ms + told + loading.backoff.next_ms(random));
        }
    }

    fn unsubscribed(&mut self, handle: u64, out: &mut Vec<Command>) {
        self.opens.unsubscribed(handle);
        if self.state == State::Online
            && let Some(id) = self.opens.id_of(handle)
        {
            out.push(Command::Close { id });
        }
    }

    /// Buckets that are no longer held need no more chunks.
    pub fn retain_loading(&mut self, held: impl Fn(BucketId) -> bool) {
        self.loading.retain(|bucket, _| held(*bucket));
    }

    fn error(&mut self, event: &Event, now_ms: u64, random: &mut Entropy<'_>, out: &mut Vec<Command>) {
        let Event::Error { code, message, fatal, retry_after_ms, about } = event else {
            return;
        };
        if !matches!(self.state, State::Greeting { .. } | State::Online) {
            return;
        }
        self.heard(now_ms);
        self.last_error = Some(format!("{message} [{code}]"));
        if let Some(id) = about
            && !fatal
        {
            return self.refused_request(*id, code, message, *retry_after_ms, now_ms, random);
        }
        if !fatal {
            return;
        }
        let aside = self.broke();
        self.disconnect(out);
        out.extend(aside);
        let is = |known: landfall_core::Code| known.as_str() == code;
        self.state = if is(codes::NEEDS_SIGN_IN) {
            State::SignIn
        } else if is(codes::UPGRADE_NEEDED) || is(codes::SCHEMA_MISMATCH) || is(codes::OTHER_SUBJECT) {
            State::Stopped { until_ms: now_ms + STOPPED_RETRY_MS }
        } else {
            let own = self.backoff.next_ms(random);
            State::Waiting { until_ms: now_ms + own }
        };
        self.stay_away(*retry_after_ms, now_ms);
    }

    /// A push was not taken, or a shape could not be opened.
    fn refused_request(
        &mut self,
        id: u32,
        code: &str,
        message: &str,
        retry_after_ms: Option<u64>,
        now_ms: u64,
        random: &mut Entropy<'_>,
    ) {
        if self.pushes.remove(&id).is_some() {
            // The server asks for less.
            self.breaks = 0;
            self.batch.failed();
            self.not_taken_ms = Some(now_ms);
            self.more_to_send = true;
            let wait = retry_after_ms.unwrap_or_else(|| self.backoff.next_ms(random));
            self.told_until_ms = now_ms + wait.clamp(1, MAX_TOLD_MS);
        } else {
            self.opens.refused(id, format!("{message} [{code}]"), retry_after_ms, now_ms, random);
        }
    }

    /// Whether the app has given a token.
    pub fn set_has_token(&mut self, has_token: bool) {
        self.has_token = has_token;
    }
}

#[cfg(test)]
mod tests;
