//! The server without its transports: sessions, hub, commits and chunks, on one thread, with time and randomness as
//! arguments. The simulator drives this; the tokio driver runs the same parts on several threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use landfall_core::Epoch;
use landfall_protocol::{Chunk, ClientMessage, ServerMessage};
use rand::Rng;

use crate::actions::hooks::{Ask, Said};
use crate::hub::{Hub, RING_BYTES};
use crate::session::{Event, Moment, Next, Outgoing, Read, Refusal, Reply, Request, Rules, Session};
use crate::store::{Head, Store, StoreError, StoreReader};

pub mod admission;
pub mod chunks;
pub mod committer;
pub mod fair;
pub mod reads;

pub use admission::{Admission, Allowance, Limit, Refused};
pub use chunks::{AddressError, ChunkError, Chunks, StoredChunk};
pub use committer::{Committed, Committer, PendingPush, Retention, SessionId, SharedHooks};
pub use fair::FairQueue;

/// Most entries that wait for a commit. Beyond that pushes are refused with LF-4009: the device waits and tries again.
pub const MAX_WAITING_ENTRIES: usize = 20_000;

/// Bounds on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of recent commits kept for the live stream.
    pub ring_bytes: usize,
    /// Bytes of chunks kept for devices that load the same bucket.
    pub chunk_bytes: usize,
    /// How many rows are read at once for devices that load.
    pub chunk_sizes: chunks::Sizes,
    /// Entries that may wait for a commit.
    pub waiting_entries: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            ring_bytes: RING_BYTES,
            chunk_bytes: chunks::CACHE_BYTES,
            chunk_sizes: chunks::Sizes::default(),
            waiting_entries: MAX_WAITING_ENTRIES,
        }
    }
}

/// See the module's documentation.
pub struct ServerCore {
    rules: Arc<Rules>,
    hub: Arc<Hub>,
    chunks: Arc<Chunks>,
    committer: Committer,
    reader: Box<dyn StoreReader>,
    sessions: BTreeMap<SessionId, Session>,
    waiting: FairQueue<PendingPush>,
    admission: Admission,
    /// Sessions that count against what their subject may have.
    entered: BTreeMap<SessionId, Arc<str>>,
    coverage: Coverage,
    /// Drawn with the last push, for jitter.
    draw: u64,
}

/// How often each cell of the table of states × events was reached: (state, event), as `docs/protocol.md` names them.
pub type Coverage = BTreeMap<(&'static str, &'static str), u64>;

impl ServerCore {
    /// A server over `store`. `rng` is asked for a signing key when the store has none yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        mut store: Box<dyn Store>,
        rules: Arc<Rules>,
        memory: Memory,
        allowance: Allowance,
        rng: &mut dyn Rng,
    ) -> Result<Self, StoreError> {
        let key = chunks::signing_key(store.as_mut(), rng)?;
        let chunks = Arc::new(Chunks::new(key, memory.chunk_bytes, memory.chunk_sizes));
        let hub = Arc::new(Hub::new(store.head(), memory.ring_bytes));
        let reader = store.reader()?;
        let committer = Committer::new(store, Arc::clone(&hub))?;
        let sessions = BTreeMap::new();
        Ok(Self {
            rules,
            hub,
            chunks,
            committer,
            reader,
            sessions,
            waiting: FairQueue::default(),
            admission: Admission::new(allowance, memory.waiting_entries as u64),
            entered: BTreeMap::new(),
            coverage: Coverage::new(),
            draw: 0,
        })
    }

    /// Begins a session on a new connection.
    pub fn connect(&mut self, id: SessionId, now: Moment) {
        let nobody = self.hub.audience(Vec::new());
        self.sessions.insert(id, Session::new(Arc::clone(&self.rules), nobody, now));
    }

    /// The connection is gone. Pushes of it that wait are decided all the same.
    pub fn disconnect(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        if let Some(subject) = self.entered.remove(&id) {
            self.admission.left(&subject);
        }
    }

    /// A message arrived. Then call [`ServerCore::poll`] until it gives nothing.
    pub fn receive(&mut self, id: SessionId, message: ClientMessage, now: Moment, rng: &mut dyn Rng) {
        self.handle(id, Event::Message(message), now, rng);
    }

    /// Any event for a session: what cannot be read, drains, ticks.
    pub fn handle(&mut self, id: SessionId, event: Event, now: Moment, rng: &mut dyn Rng) {
        self.tell(id, event, now);
        while let Some(request) = self.sessions.get_mut(&id).and_then(Session::take_request) {
            if let Some(reply) = self.answer(id, request, now, rng) {
                self.tell(id, Event::Reply(reply), now);
            }
        }
    }

    /// Hands an event to a session, and counts it.
    fn tell(&mut self, id: SessionId, event: Event, now: Moment) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let early = matches!(event, Event::Tick) && session.deadline_ms().is_none_or(|at| now.mono_ms < at);
        if !early {
            *self.coverage.entry((session.state_name(), event.name())).or_default() += 1;
        }
        session.handle(event, now);
    }

    /// How often each cell of the table of states × events was reached.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Answers at once, but for pushes, which wait for [`ServerCore::commit`].
    fn answer(&mut self, session: SessionId, request: Request, now: Moment, rng: &mut dyn Rng) -> Option<Reply> {
        match request {
            Request::Hello { replica, subject, cursor, sent } => {
                let who: Arc<str> = Arc::from(subject.id.as_str());
                if let Err(refused) = self.admission.enters(&who, now.mono_ms, rng.next_u64()) {
                    return Some(Reply::Hello(Err(refused.refusal())));
                }
                self.entered.insert(session, who);
                Some(self.committer.hello(replica, &subject, cursor, &sent, fresh_epoch(rng)))
            }
            Request::Open { id, subject, shape, params, held } => {
                let bucket = self.committer.open_bucket(&subject, &shape, &params, now.wall_ms);
                let reader = self.reader.as_ref();
                let offer = bucket.and_then(|bucket| reads::offer(&bucket, &held, &self.chunks, reader, now.wall_ms));
                Some(Reply::Open { id, result: offer.map(|offer| vec![offer]) })
            }
            Request::Push { id, entries } => {
                let push = PendingPush::new(session, id, entries);
                self.draw = rng.next_u64();
                match self.admission.push(&push.subject, push.size(), push.bytes(), now.mono_ms, self.draw) {
                    Err(refused) => Some(Reply::Push { id, result: Err(refused.refusal()) }),
                    Ok(()) => {
                        self.waiting.push(push);
                        None
                    }
                }
            }
        }
    }

    /// Pushes that wait for a commit.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Their transactions.
    pub fn waiting_entries(&self) -> usize {
        self.waiting.entries()
    }

    /// Pushes that wait for a commit and were not decided in part by webhooks, and their entries: what admission bounds.
    pub fn admitted(&self) -> (usize, usize) {
        let new = self.waiting.iter().filter(|push| !push.answered && !push.entries.is_empty());
        new.fold((0, 0), |(pushes, entries), push| (pushes + 1, entries + push.entries.len()))
    }

    /// Decides the pushes whose turn it is ([`FairQueue::take`]), at most `max_entries` together, at least one push; one
    /// transaction and one fsync for all of them. `None` when none waits. When this returns, decisions and changes are
    /// ready for [`ServerCore::poll`]; a process that dies before that has committed and told nobody.
    pub fn commit(&mut self, max_entries: usize, now: Moment) -> Option<Committed> {
        let group = self.waiting.take(max_entries);
        if group.is_empty() {
            return None;
        }
        group.iter().for_each(|push| self.admission.decided(&push.subject, push.size()));
        let mut committed = self.committer.commit(group, now, self.draw);
        for (id, reply) in committed.replies.drain(..) {
            self.tell(id, Event::Reply(reply), now);
        }
        self.committer.publish(&committed);
        self.take_back(now);
        Some(committed)
    }

    /// A group of such a cost took so long, and its commit so much of that: who drives the core measures it.
    pub fn learn(&mut self, cost: usize, took: Duration, commit: Duration) {
        self.waiting.learn(cost, took, commit);
    }

    /// How much of one subject goes into a group that others take part in.
    pub fn share(&self) -> usize {
        self.waiting.share()
    }

    /// The next request to a webhook. Report what came of it with [`ServerCore::said`].
    pub fn next_ask(&mut self, now: Moment) -> Option<Ask> {
        let ask = self.committer.hooks().lock().next(now.mono_ms);
        self.take_back(now);
        ask
    }

    /// When to call [`ServerCore::next_ask`] again at the latest, on the monotonic clock.
    pub fn ask_due_ms(&self) -> Option<u64> {
        self.committer.hooks().lock().deadline_ms()
    }

    /// What came of a request to a webhook. When that settles it, its transaction waits for [`ServerCore::commit`].
    pub fn said(&mut self, ticket: u64, said: Said, now: Moment, random: u64) {
        self.committer.hooks().lock().said(ticket, said, now.mono_ms, random);
        self.take_back(now);
    }

    /// What can go on waits for a commit.
    fn take_back(&mut self, now: Moment) {
        let hooks = self.committer.hooks();
        loop {
            let Some(held) = hooks.lock().back() else { return };
            let push = PendingPush::of_held(held);
            self.admission.back(&push.subject, push.size(), now.mono_ms);
            self.waiting.push(push);
        }
    }

    /// How many transactions webhooks are asked about.
    pub fn asking(&self) -> usize {
        self.committer.hooks().lock().len()
    }

    /// Looks for writes behind the store's back; what is found travels like any other change. Returns whether the scan
    /// is through.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is applied then.
    pub fn check_outside_writes(&mut self, now: Moment) -> Result<bool, StoreError> {
        self.committer.check_outside_writes(now.wall_ms)
    }

    /// See [`crate::store::Store::forget_history`]; devices hear of what is forgotten. Whether the walk is through.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is forgotten then.
    pub fn forget_history(&mut self, now: Moment) -> Result<bool, StoreError> {
        self.committer.forget_history(now.wall_ms)
    }

    /// Forgets buckets that nobody has opened since a time (milliseconds since the Unix epoch) and nobody holds. How many.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is forgotten then.
    pub fn retire_buckets(&mut self, unused_since_ms: u64) -> Result<u64, StoreError> {
        self.committer.retire_buckets(unused_since_ms)
    }

    /// The next message for a session's connection. Call until `None`, after every call that may have changed
    /// something, and at [`ServerCore::deadline_ms`].
    pub fn poll(&mut self, id: SessionId, now: Moment) -> Option<ServerMessage> {
        loop {
            let next = self.sessions.get_mut(&id)?.next(&self.hub, now);
            match next {
                Next::Send(outgoing) => return Some(Outgoing::into_message(outgoing)),
                Next::Read(read) => {
                    let done = self.read(&read);
                    self.tell(id, Event::ReadDone(done), now);
                }
                Next::Wait { .. } | Next::Close => return None,
            }
        }
    }

    fn read(&self, read: &Read) -> Result<crate::session::ReadDone, Refusal> {
        reads::perform(read, self.reader.as_ref(), self.rules.message_bytes)
            .map_err(|problem| committer::fault(&problem))
    }

    /// Whether the server ended the session: after the messages that [`ServerCore::poll`] still gives, disconnect.
    pub fn is_closed(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_none_or(Session::is_closed)
    }

    /// When to call [`ServerCore::tick`] at the latest, on the monotonic clock.
    pub fn deadline_ms(&mut self, now: Moment) -> Option<u64> {
        let hub = &self.hub;
        let of =
            |session: &mut Session| [session.deadline_ms(), session.mark_due_ms(hub, now)].into_iter().flatten().min();
        self.sessions.values_mut().filter_map(of).min()
    }

    /// Time has passed: sessions whose deadline has come end.
    pub fn tick(&mut self, now: Moment) {
        self.tell_all(now, || Event::Tick);
    }

    /// Begins to shut down: sessions end as soon as their pushes are answered.
    pub fn drain(&mut self, now: Moment) {
        self.tell_all(now, || Event::Drain);
    }

    fn tell_all(&mut self, now: Moment, event: impl Fn() -> Event) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|id| self.tell(id, event(), now));
    }

    /// The body of a chunk's address.
    ///
    /// # Errors
    /// [`ChunkError`] when the address is not valid, or the store fails.
    pub fn chunk(&self, address: &str, now: Moment) -> Result<Chunk, ChunkError> {
        self.chunks.get(address, self.reader.as_ref(), now.wall_ms)?.chunk()
    }

    /// The end of the log as sessions see it.
    pub fn head(&self) -> Head {
        self.hub.head()
    }

    /// The session of a connection.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Bytes of recent commits in memory.
    pub fn ring_bytes(&self) -> usize {
        self.hub.ring_bytes()
    }
}

/// A history that never was.
pub fn fresh_epoch(rng: &mut dyn Rng) -> Epoch {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Epoch(bytes)
}

#[cfg(test)]
mod contention;
#[cfg(test)]
mod tests;
