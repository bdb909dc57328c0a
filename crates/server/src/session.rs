//! One device's session: a state machine without I/O. Events and the moment go in; messages, questions to the store and
//! the next deadline come out. The tokio driver and the simulator run this very code.
//!
//! The table of states × events stands in `docs/protocol.md`, section 10; a test holds this code to it.
//!
//! `Closed` still hands out what is queued; then the driver ends the connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use landfall_core::{BucketId, Code, Epoch, ReplicaId};
use landfall_protocol::server::AcceptedEntry;
use landfall_protocol::{Decision, Hello, Limits, Outcome, Resumption, ServerMessage, Welcome, codes};

use crate::auth::{Authenticator, Identity};
use crate::hub::Audience;
use crate::store::{CopiedFrom, Head, PushEntry, ReplicaState, Subject};

mod event;
mod live;
mod messages;
mod shapes;

pub use event::{Event, Offer, Read, ReadDone, Refusal, Reply, Request};
pub use live::{Next, Outgoing};
use shapes::BucketState;

/// Most pushes of one session that wait for the store. More are refused with LF-4009.
pub const MAX_OUTSTANDING_PUSHES: usize = 32;
/// Most answers that wait for the socket before the driver stops reading from it.
const MAX_QUEUED: usize = 64;

/// What a device hears of bytes whose check sum is not right. It connects again by itself.
const DAMAGED: &str = "a message was changed on its way (the check sum does not match), and nothing of it was taken; \
                       connect directly, or through TLS";

/// The server's present time, as drivers give it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// A clock that never goes back, milliseconds since any fixed point.
    pub mono_ms: u64,
}

/// How patient a session is, milliseconds. No time-out takes part in correctness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may stay without a Hello.
    pub hello_ms: u64,
    /// How long a session may stay without a word from the device (which sends Ping).
    pub idle_ms: u64,
    /// How far apart progress marks are that nobody waits for.
    pub mark_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { hello_ms: 10_000, idle_ms: 60_000, mark_ms: 200 }
    }
}

/// What all sessions of a server go by.
pub struct Rules {
    /// Who is let in.
    pub auth: Authenticator,
    /// The application.
    pub app: String,
    /// The version of the server's schema.
    pub schema_version: u32,
    /// What devices keep to.
    pub limits: Limits,
    /// What is declared.
    pub schema: Arc<landfall_core::Schema>,
    /// Time-outs.
    pub patience: Patience,
    /// Bytes after which a Live or CatchUp message is not extended any more.
    pub message_bytes: usize,
}

impl Rules {
    /// The usual limits, for a schema and an authenticator.
    pub fn new(schema: &landfall_core::Schema, auth: Authenticator) -> Self {
        let limits = Limits { frame_bytes: 20 << 20, push_entries: 1_000, window_bytes: 4 << 20, subscriptions: 256 };
        let (app, schema_version) = (schema.name.clone(), schema.version);
        let schema = Arc::new(schema.clone());
        Self { auth, app, schema_version, limits, schema, patience: Patience::default(), message_bytes: 256 << 10 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Opening,
    Open,
    Closed,
}

/// See the module's documentation.
pub struct Session {
    rules: Arc<Rules>,
    state: State,
    draining: bool,
    heard_ms: u64,
    /// Wall clock; `None`: the token does not expire.
    expires_ms: Option<u64>,
    expires_mono_ms: Option<u64>,
    subject: Arc<Subject>,
    copied: CopiedFrom,
    replica: ReplicaId,
    epoch: Epoch,
    /// The device's cut once it has applied all that was sent.
    at: u64,
    /// Whether the device has said Applied: before that it opens what it holds, and no Live is sent (rule L1).
    follows: bool,
    /// The session must soon pass this sequence: the device waits for it.
    owes: u64,
    marked_ms: u64,
    /// (position, bytes) of Live messages that the device has not said Applied to.
    in_flight: VecDeque<(u64, usize)>,
    in_flight_bytes: usize,
    outstanding: BTreeMap<u32, Vec<u64>>,
    /// Of pushes that are decided in parts: the head before the first of these.
    decided_from: BTreeMap<u32, u64>,
    /// Opens that the store has not answered. A device that has more than it may have shapes opens and closes without end.
    opening: usize,
    shifts: BTreeMap<u32, i64>,
    queue: VecDeque<ServerMessage>,
    requests: VecDeque<Request>,
    /// The buckets of each subscription; none while the store has not answered yet.
    subscriptions: BTreeMap<u32, BTreeSet<BucketId>>,
    buckets: BTreeMap<BucketId, BucketState>,
    audience: Audience,
    /// The buckets that load or catch up. Nobody is told of their changes; they are held, so that they are not forgotten.
    not_live: Audience,
    audience_changed: bool,
    reading: bool,
    catch_up_first: bool,
}

impl Session {
    /// A session on a fresh connection. `nobody` is the hub's audience of no buckets.
    pub fn new(rules: Arc<Rules>, nobody: Audience, now: Moment) -> Self {
        Self {
            rules,
            state: State::Greeting,
            draining: false,
            heard_ms: now.mono_ms,
            expires_ms: None,
            expires_mono_ms: None,
            subject: Arc::default(),
            copied: CopiedFrom::default(),
            replica: ReplicaId::default(),
            epoch: Epoch::default(),
            at: 0,
            follows: false,
            owes: 0,
            marked_ms: now.mono_ms,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            outstanding: BTreeMap::new(),
            decided_from: BTreeMap::new(),
            opening: 0,
            shifts: BTreeMap::new(),
            queue: VecDeque::new(),
            requests: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            buckets: BTreeMap::new(),
            audience: nobody.clone(),
            not_live: nobody,
            audience_changed: false,
            reading: false,
            catch_up_first: true,
        }
    }

    /// Takes an event. Afterwards call [`Session::take_request`] until `None`, then [`Session::next`].
    pub fn handle(&mut self, event: Event, now: Moment) {
        if self.state == State::Closed {
            return;
        }
        match event {
            Event::Message(message) => {
                self.heard_ms = now.mono_ms;
                self.message(message, now);
            }
            Event::Unreadable { reason } => self.unreadable(&reason),
            Event::Damaged => self.fail(codes::BAD_MESSAGE, DAMAGED),
            Event::TooLarge => self.fail(codes::TOO_LARGE, self.too_large()),
            Event::Reply(reply) => self.reply(reply, now),
            Event::ReadDone(done) => self.read_done(done),
            Event::Drain => {
                self.draining = true;
                self.drain_if_done();
            }
            Event::Tick => self.tick(now),
        }
    }

    /// The next question for the store, if there is one. Each is answered by [`Event::Reply`].
    pub fn take_request(&mut self) -> Option<Request> {
        let request = self.requests.pop_front();
        if self.requests.is_empty() {
            // Most sessions are idle most of the time: they hold no room.
            self.requests = VecDeque::new();
        }
        request
    }

    /// Whether the driver should read from the connection; if not, only after some answers were sent.
    pub fn wants_input(&self) -> bool {
        self.state != State::Closed
            && self.state != State::Opening
            && self.queue.len() < MAX_QUEUED
            && self.outstanding.len() < MAX_OUTSTANDING_PUSHES
            && self.opening <= self.rules.limits.subscriptions as usize
    }

    /// Whether the session is over, once what is queued has been sent.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Who speaks: known once the token was checked.
    pub fn device(&self) -> Option<(ReplicaId, &str)> {
        (self.replica != ReplicaId::default()).then_some((self.replica, self.subject.id.as_str()))
    }

    /// Where the device stands once it has applied all that was sent to it; `None` before the session is open.
    pub fn position(&self) -> Option<u64> {
        (self.state == State::Open).then_some(self.at)
    }

    /// The name of the state, as the table above has it.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Greeting => "Greeting",
            State::Opening => "Opening",
            State::Open => "Open",
            State::Closed => "Closed",
        }
    }

    /// Bytes of live changes that the device has not said Applied to.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// The live buckets, whose changes are worth asking [`Session::next`] again.
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Whether the device waits to pass a sequence, so that any step of the head is worth asking again. Other progress
    /// marks have time.
    pub fn owes_mark(&self) -> bool {
        self.follows && self.owes > self.at
    }

    /// Open subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// When to send [`Event::Tick`] at the latest, on the monotonic clock, whatever [`Session::next`] says besides.
    pub fn deadline_ms(&self) -> Option<u64> {
        match self.state {
            State::Greeting => Some(self.heard_ms.saturating_add(self.rules.patience.hello_ms)),
            State::Opening | State::Closed => None,
            State::Open => {
                let idle = self.heard_ms.saturating_add(self.rules.patience.idle_ms);
                Some(self.expires_mono_ms.map_or(idle, |at| at.min(idle)))
            }
        }
    }

    fn too_large(&self) -> String {
        format!(
            "the message is larger than {} bytes; send fewer or smaller transactions",
            self.rules.limits.frame_bytes
        )
    }

    /// Says what is wrong and ends the session.
    fn fail(&mut self, code: Code, message: impl Into<String>) {
        self.fail_with(Refusal::new(code, message));
    }

    fn fail_with(&mut self, refusal: Refusal) {
        self.queue.push_back(refusal.message(true, None));
        self.requests.clear();
        self.state = State::Closed;
    }

    fn unreadable(&mut self, reason: &str) {
        match self.state {
            State::Greeting => self.fail(
                codes::UPGRADE_NEEDED,
                format!(
                    "the first message is not a Hello that this server can read ({reason}); upgrade the older side"
                ),
            ),
            _ => self.fail(codes::BAD_MESSAGE, format!("a message cannot be read ({reason}); connect again")),
        }
    }

    fn tick(&mut self, now: Moment) {
        if self.deadline_ms().is_none_or(|at| now.mono_ms < at) {
            return;
        }
        match self.state {
            State::Greeting => self.fail(codes::OUT_OF_ORDER, "no Hello came in time; connect again"),
            State::Open if self.expires_mono_ms.is_some_and(|at| at <= now.mono_ms) => {
                self.fail(codes::NEEDS_SIGN_IN, crate::auth::AuthError::Expired.to_string());
            }
            State::Open => self.fail(codes::GOING_AWAY, "nothing was heard for too long; connect again"),
            State::Opening | State::Closed => {}
        }
    }

    /// Ends a draining session as soon as every push of it is decided and answered.
    fn drain_if_done(&mut self) {
        if self.draining && self.state != State::Closed && self.outstanding.is_empty() {
            self.fail(codes::GOING_AWAY, "the server is shutting down; connect again, nothing is lost");
        }
    }

    fn reply(&mut self, reply: Reply, now: Moment) {
        match (self.state, reply) {
            (State::Opening, Reply::Hello(Ok(answer))) => self.welcome(*answer, now),
            (State::Opening, Reply::Hello(Err(refusal))) => self.fail_with(refusal),
            (State::Open, Reply::Push { id, result }) => self.pushed(id, result),
            (State::Open, Reply::Part { id, from }) if self.outstanding.contains_key(&id) => {
                self.decided_from.entry(id).or_insert(from);
            }
            (State::Open, Reply::Decided { id, decisions, shift_ms }) => self.decided(id, decisions, shift_ms),
            (State::Open, Reply::Open { id, result }) => {
                self.opening = self.opening.saturating_sub(1);
                self.opened(id, result);
            }
            // An answer that nobody waits for any more, or an impossible one.
            _ => {}
        }
        self.drain_if_done();
    }

    fn welcome(&mut self, answer: HelloAnswer, now: Moment) {
        let HelloAnswer { head, start, chain, resumption, replica, accepted } = answer;
        self.state = State::Open;
        (self.epoch, self.at) = (head.epoch, start);
        self.marked_ms = now.mono_ms;
        self.queue.push_back(ServerMessage::Welcome(Welcome {
            version: landfall_protocol::VERSION,
            epoch: head.epoch,
            head: head.seq,
            start,
            chain,
            resumption,
            last_rseq: replica.last_rseq,
            clock_ms: now.wall_ms,
            token_expires_in_ms: self.token_expires_in_ms(now),
            subject: self.subject.id.clone(),
            schema_version: self.rules.schema_version,
            limits: self.rules.limits,
            accepted,
        }));
    }

    fn pushed(&mut self, id: u32, result: Result<Vec<Outcome>, Refusal>) {
        self.decided_from.remove(&id);
        let (Some(rseqs), Some(shift_ms)) = (self.outstanding.remove(&id), self.shifts.remove(&id)) else { return };
        match result {
            Ok(outcomes) => {
                let decisions = rseqs.into_iter().zip(outcomes).map(|(rseq, outcome)| Decision { rseq, outcome });
                self.decided(id, decisions.collect(), shift_ms);
            }
            Err(refusal) => self.queue.push_back(refusal.message(false, Some(id))),
        }
    }

    fn decided(&mut self, id: u32, decisions: Vec<Decision>, shift_ms: i64) {
        let seqs = decisions.iter().filter_map(|decision| match decision.outcome {
            Outcome::Accepted { seq } => Some(seq),
            _ => None,
        });
        self.owes = self.owes.max(seqs.max().unwrap_or(0));
        self.queue.push_back(ServerMessage::Acknowledge { id, decisions, shift_ms });
    }
}

/// What the store answers to a Hello.
#[derive(Clone, Debug, PartialEq)]
pub struct HelloAnswer {
    /// The end of the log.
    pub head: Head,
    /// Where the live stream of the session begins, exclusive.
    pub start: u64,
    /// The chain value there.
    pub chain: u64,
    /// What becomes of the device's cursor.
    pub resumption: Resumption,
    /// What is known of the replica.
    pub replica: ReplicaState,
    /// What was accepted of the transactions that the device asked about.
    pub accepted: Vec<AcceptedEntry>,
}

#[cfg(test)]
mod tests;
