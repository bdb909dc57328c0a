//! The whole client without a network: a database and a session, driven by inputs, giving effects.
//!
//! One owner, one thread. Every call is synchronous and short; nothing waits. After every call that takes `&mut self`
//! drain [`Engine::poll_effect`] until it gives `None`, and call again with [`Input::Tick`] at [`Engine::deadline_ms`].

use std::collections::{BTreeMap, VecDeque};

use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::{BucketId, Code, ReplicaId, Schema, Value, mutant};
use landfall_protocol::client::Held;
use landfall_protocol::server::{Address, Chunk, Opening, Welcome};
use landfall_protocol::{ClientMessage, Hello, OLDEST_VERSION, ServerMessage, VERSION, codes};

use crate::changes::ChangeSet;
use crate::db::{
    BucketState, Completeness, Counts, Database, DbError, Decided, HeldBucket, Location, OpenError, Options,
    OutboxEntry, Rows,
};
use crate::live::{LiveError, LiveQueries, LiveQuery, QueryId, ReadSet, RowsDiff, Watched};
use crate::mirror::{MirrorRecord, Situation};
use crate::session::{Command, Entropy, Event, EventName, Session, StateName};
use crate::status::{self, Status};

mod answers;
mod away;
mod cache;
mod clock;
#[cfg(test)]
mod device;
mod loading;
mod mirrored;
mod pace;
mod synced;
mod telling;
mod writes;

pub use cache::Cache;

/// The two clocks of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the Unix epoch, by a clock that may be wrong and may jump.
    pub wall_ms: u64,
    /// Milliseconds since some start, by a clock that only goes forward.
    pub mono_ms: u64,
}

/// What a driver reports.
#[derive(Clone, Debug)]
pub enum Input {
    /// The deadline has come.
    Tick,
    /// The transport of this connection is open.
    Connected {
        /// The connection, as [`Effect::Connect`] named it.
        connection: u64,
    },
    /// The transport of this connection is gone, or never opened.
    Disconnected {
        /// The connection.
        connection: u64,
        /// Why, in a sentence.
        reason: String,
        /// How long to wait, where that was said instead of a connection. Milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// A message arrived.
    Frame {
        /// The connection.
        connection: u64,
        /// The message.
        message: ServerMessage,
    },
    /// A frame arrived that cannot be read.
    BadFrame {
        /// The connection.
        connection: u64,
        /// Why.
        reason: String,
    },
    /// A chunk arrived.
    ChunkLoaded {
        /// The request, as [`Effect::FetchChunk`] named it.
        request: u64,
        /// The chunk.
        chunk: Chunk,
    },
    /// A chunk could not be fetched.
    ChunkFailed {
        /// The request.
        request: u64,
        /// The server says that the address is not valid (any more).
        gone: bool,
        /// Why.
        reason: String,
        /// How long the server says to wait, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The person signed in, or out.
    SetToken {
        /// The new token.
        token: Option<String>,
    },
    /// The app wants to be online or not.
    SetOnline {
        /// Whether.
        online: bool,
    },
    /// The network may have changed, or the app came to the foreground: look at once.
    Nudge,
}

/// What a driver carries out.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open a transport.
    Connect {
        /// Names it.
        connection: u64,
    },
    /// Close a transport; nothing more is heard of it.
    Disconnect {
        /// Which.
        connection: u64,
    },
    /// Send a message, in order.
    Send {
        /// Over which transport.
        connection: u64,
        /// What.
        message: ClientMessage,
    },
    /// Fetch a chunk over HTTP.
    FetchChunk {
        /// Names the request.
        request: u64,
        /// The address, a path on the server.
        address: Address,
    },
    /// The status changed.
    Status(Box<Status>),
    /// The answer to a live query changed.
    Rows {
        /// The query.
        query: QueryId,
        /// The differences.
        diff: RowsDiff,
    },
    /// Append to the mirror of the outbox, off the critical path.
    Mirror(MirrorRecord),
    /// Write the mirror anew from [`Engine::mirror`]: the database has a new identity, or offers again what was accepted in a
    /// history that the server has lost.
    MirrorAnew,
    /// A live query could not be run; it keeps its old answer and is tried again at the next change.
    QueryFailed {
        /// The query.
        query: QueryId,
        /// Why.
        reason: String,
    },
}

/// Names an open shape.
pub type ShapeHandle = u64;

/// The client.
pub struct Engine {
    db: Database,
    session: Session,
    live: LiveQueries,
    token: Option<String>,
    agent: String,
    effects: VecDeque<Effect>,
    status: Status,
    /// The status that the driver was told last.
    told: Status,
    /// When, by the monotonic clock.
    told_ms: u64,
    complete_tables: FlatSet<String>,
    /// The server's head at the last Welcome.
    head: u64,
    /// The chunk that is being stored, part by part.
    import: Option<loading::Import>,
    /// Chunks that came meanwhile.
    arrived: VecDeque<(u64, Chunk)>,
    /// The cut when the session began.
    began_at: u64,
    /// Answers to pushes that wait for the changes behind them.
    answers: Option<answers::Answers>,
    fresh_replica: ReplicaId,
    /// Whether there may be something else to undo or redo than the status says.
    undo_changed: bool,
    /// When an entry expires that was never handed to the network, in monotonic milliseconds.
    expires_at_ms: Option<u64>,
    pace: pace::Pace,
    /// The server's clock when it was heard of last, and the monotonic one then.
    heard: Option<away::Heard>,
    anchor: clock::Anchor,
    /// What the mirror knows of the database besides its entries.
    mirrored: Situation,
}

fn fill_id(random: &mut Entropy<'_>) -> ReplicaId {
    let mut bytes = [0; 16];
    random(&mut bytes);
    ReplicaId(bytes)
}

impl Engine {
    /// Opens or creates the local database.
    ///
    /// # Errors
    /// [`OpenError`] names the cause and the way out; a database that is not ours is left untouched.
    pub fn open(
        location: &Location,
        schema: Schema,
        options: Options,
        now: Moment,
        random: &mut Entropy<'_>,
    ) -> Result<Self, OpenError> {
        let db = Database::open(location, schema, options, now.wall_ms, fill_id(random))?;
        let live = LiveQueries::new(db.recorder());
        let status = Status { last_synced_ms: db.synced_ms(), ..Status::default() };
        let mut session = Session::new(false, false);
        session.set_paused(away::sends_nothing(&db));
        let mut engine = Self {
            db,
            session,
            live,
            token: None,
            agent: concat!("landfall/", env!("CARGO_PKG_VERSION")).to_owned(),
            effects: VecDeque::new(),
            status,
            told: Status::default(),
            told_ms: 0,
            complete_tables: FlatSet::new(),
            head: 0,
            import: None,
            arrived: VecDeque::new(),
            began_at: 0,
            answers: None,
            fresh_replica: ReplicaId::default(),
            undo_changed: true,
            expires_at_ms: None,
            pace: pace::Pace::default(),
            heard: None,
            anchor: clock::Anchor::at(now),
            mirrored: Situation::default(),
        };
        // Whoever keeps a mirror writes it anew from the database at first.
        engine.mirrored = engine.db.situation();
        engine.db.watch_held();
        engine.refresh_status(now);
        Ok(engine)
    }

    /// The local database, for reading.
    pub fn db(&self) -> &Database {
        &self.db
    }

    /// The session, for looking at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How often each cell of the session's table was reached.
    pub fn coverage(&self) -> &FlatMap<(StateName, EventName), u64> {
        self.session.coverage()
    }

    /// The next thing to carry out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Tick`] is due, in monotonic milliseconds.
    pub fn deadline_ms(&self) -> Option<u64> {
        if self.import_is_due() {
            return Some(0);
        }
        let answer = self.answers.as_ref().map(|answers| answers.until_ms);
        self.session.deadline_ms().into_iter().chain(self.expires_at_ms).chain(answer).min()
    }

    /// The present status.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Reads with SQL; sees everything written so far, sent or not.
    ///
    /// # Errors
    /// When the SQL is wrong or is not a pure read.
    pub fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        self.db.query(sql, params)
    }

    /// The outbox, dead letters included, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outbox(&self) -> Result<Vec<OutboxEntry>, DbError> {
        self.db.outbox()
    }

    /// Opens a shape; it stays open, across restarts, until it is closed. Opening it twice gives the same handle.
    ///
    /// # Errors
    /// When the schema has no such shape or the parameters are not its own.
    pub fn open_shape(
        &mut self,
        shape: &str,
        params: BTreeMap<String, Value>,
        now: Moment,
        random: &mut Entropy<'_>,
    ) -> Result<ShapeHandle, DbError> {
        let known: FlatSet<_> = self.db.subscriptions().iter().map(|s| s.handle).collect();
        let handle = self.db.subscribe(shape, params)?;
        if !known.contains(&handle) {
            self.step(&Event::Subscribed { handle }, now, random);
        }
        Ok(handle)
    }

    /// Closes a shape. Its rows leave the device unless another shape holds them or they have pending writes.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn close_shape(&mut self, handle: ShapeHandle, now: Moment, random: &mut Entropy<'_>) -> Result<(), DbError> {
        let changes = self.db.unsubscribe(handle)?;
        self.announce(&changes);
        self.forget_gone_buckets();
        self.step(&Event::Unsubscribed { handle }, now, random);
        Ok(())
    }

    fn forget_gone_buckets(&mut self) {
        let held: FlatSet<BucketId> =
            self.db.subscriptions().iter().flat_map(|s| s.buckets.iter().map(|b| b.bucket)).collect();
        self.session.retain_loading(|bucket| held.contains(&bucket));
    }

    /// Whether everything that an open shape names is here.
    pub fn is_complete(&self, handle: ShapeHandle) -> bool {
        self.db.completeness(handle) == Some(Completeness::Complete)
    }

    /// Whether everything that all open shapes name is here.
    pub fn all_complete(&self) -> bool {
        self.db.subscriptions().iter().all(|s| self.is_complete(s.handle))
    }

    /// Whether everything that the open shapes name is here as the server had it when it welcomed this device last.
    /// Complete alone may be as of an earlier visit.
    pub fn is_caught_up(&self) -> bool {
        let reached = || self.db.cursor().is_some_and(|cursor| cursor.seq >= self.head);
        self.db.subscriptions().is_empty() || (self.all_complete() && reached())
    }

    /// Watches a query: gives its rows now and [`Effect::Rows`] whenever they change.
    ///
    /// # Errors
    /// When the query is wrong.
    pub fn watch(&mut self, query: LiveQuery) -> Result<Watched, LiveError> {
        let tables = self.complete_tables();
        let complete = |reads: &ReadSet| reads.tables.keys().all(|table| tables.contains(table));
        self.live.watch(self.db.connection(), self.db.schema(), query, &complete)
    }

    /// The tables of which everything that the open shapes name is here; local tables always.
    fn complete_tables(&self) -> FlatSet<String> {
        let subscriptions = self.db.subscriptions();
        let schema = self.db.schema();
        let is_complete = |table: &landfall_core::schema::Table| {
            let mut shapes = subscriptions
                .iter()
                .filter(|s| schema.shape(&s.shape).is_some_and(|shape| shape.table == table.name))
                .peekable();
            !table.sync || (shapes.peek().is_some() && shapes.all(|s| self.is_complete(s.handle)))
        };
        let mut names: FlatSet<String> = FlatSet::new();
        for table in schema.tables.iter().filter(|t| is_complete(t)) {
            names.insert(table.name.clone());
            if !table.search.is_empty() {
                names.insert(format!("{}_search", table.name));
            }
        }
        names
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, query: QueryId) {
        self.live.unwatch(query);
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Moment, random: &mut Entropy<'_>) {
        self.mind_clock(now);
        let Some(input) = self.with_answers(input, now, random) else { return };
        let current = self.session.connection();
        let event = match input {
            Input::Tick if self.import_is_due() => return self.import_more(now, random),
            Input::Tick => Event::Tick,
            Input::Nudge => Event::Nudge,
            Input::SetOnline { online } => Event::SetOnline { online },
            Input::SetToken { token } => {
                self.token = token;
                Event::SetToken
            }
            Input::Connected { connection } if connection == current => Event::Connected,
            Input::Disconnected { connection, reason, retry_after_ms } if connection == current => {
                Event::Disconnected { reason, retry_after_ms }
            }
            Input::BadFrame { connection, reason } if connection == current => Event::Violation {
                reason: format!(
                    "a message of the server cannot be read ({reason}); something on the way may change messages: \
                     connect directly, or through TLS [{}]",
                    codes::BAD_MESSAGE
                ),
            },
            Input::Frame { connection, message } if connection == current => match self.message(message, now) {
                Ok(event) => event,
                Err(error) => Event::Fault { reason: error.to_string() },
            },
            Input::ChunkLoaded { request, chunk } => match self.chunk(request, chunk, now) {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => Event::Fault { reason: error.to_string() },
            },
            Input::ChunkFailed { request, gone, reason, retry_after_ms } => {
                match self.session.bucket_of_request(request) {
                    Some(bucket) => Event::ChunkFailed { bucket, gone, reason, retry_after_ms },
                    None => return,
                }
            }
            // Of a connection that is no longer ours: what it carried is in the log and comes again.
            Input::Connected { .. } | Input::Disconnected { .. } | Input::BadFrame { .. } | Input::Frame { .. } => {
                return;
            }
        };
        self.step(&event, now, random);
    }

    /// Applies a message of the server and says what it was for the session.
    fn message(&mut self, message: ServerMessage, now: Moment) -> Result<Event, DbError> {
        let state = StateName::of(self.session.state());
        let name = event_name(&message);
        if !state.can_hear(name) {
            return Ok(out_of_turn(format!("{name:?} in state {state:?}")));
        }
        Ok(match message {
            ServerMessage::Welcome(welcome) => self.welcome(&welcome, now)?,
            ServerMessage::Acknowledge { id, decisions, shift_ms: _ } => {
                self.acknowledge(&decisions, None, now)?.event(id)
            }
            ServerMessage::Opened { id, buckets } => self.opened(id, &buckets)?,
            ServerMessage::Live { to, chain, stamp, buckets } => {
                if mutant::active("live-message-split") {
                    for one in &buckets {
                        let first = self.db.apply_live(to, chain, stamp, std::slice::from_ref(one), now.wall_ms)?;
                        self.announce(&first);
                    }
                }
                let changes = self.db.apply_live(to, chain, stamp, &buckets, now.wall_ms)?;
                self.announce(&changes);
                self.applied(&buckets, now)
            }
            ServerMessage::CatchUp { bucket, to, changes, done } => {
                let changes = self.db.apply_catch_up(bucket, to, &changes, done)?;
                self.announce(&changes);
                Event::CatchUp
            }
            ServerMessage::Pong { clock_ms, token_expires_in_ms } => {
                self.db.set_clock_offset((clock_ms as i64).saturating_sub(now.wall_ms as i64))?;
                self.status.clock_off_by_ms = status::worth_a_word(self.db.clock_offset_ms());
                self.status.token_expires_in_ms = token_expires_in_ms;
                self.heard_clock(clock_ms, now);
                Event::Pong
            }
            ServerMessage::Error { code, message, fatal, retry_after_ms, about } => {
                Event::Error { code: code.to_string(), message, fatal, retry_after_ms, about }
            }
            ServerMessage::Closed { id } => Event::Closed { id },
        })
    }

    fn welcome(&mut self, welcome: &Welcome, now: Moment) -> Result<Event, DbError> {
        let stops = |code: Code, message: String| {
            Ok(Event::Error { code: code.to_string(), message, fatal: true, retry_after_ms: None, about: None })
        };
        // Nothing else of it means anything when it is in a version that we do not speak.
        let (spoken, offered) = (welcome.version, OLDEST_VERSION..=VERSION);
        if !offered.contains(&spoken) {
            let (oldest, newest) = offered.into_inner();
            let text = format!(
                "the server speaks version {spoken} of the protocol, this device offered {oldest} to {newest}; \
                 upgrade the older of the two"
            );
            return stops(codes::UPGRADE_NEEDED, text);
        }
        if let Some(owner) = self.db.subject().filter(|owner| *owner != welcome.subject) {
            let text = format!("this local database belongs to '{owner}'; sign in as '{owner}', or open another one");
            return stops(codes::OTHER_SUBJECT, text);
        }
        let copied = welcome.last_rseq > self.db.last_rseq() && !mutant::active("clone-not-recognised");
        self.begin_loads();
        let waited = self.db.those_here(&welcome.accepted)?.len();
        let is_other = self.db.cursor().is_some_and(|cursor| cursor.epoch != welcome.epoch);
        let changes = self.db.welcome(welcome, now.wall_ms)?;
        self.came_back(welcome.clock_ms, now);
        // First: what is shown of a history that the server has lost is not complete any more.
        self.refresh_completeness();
        self.announce(&changes);
        let accepted = self.db.those_here(&welcome.accepted)?;
        self.catch_up_on(&accepted, waited, now)?;
        if is_other {
            // It was told that these are decided, and they are offered again.
            self.effects.push_back(Effect::MirrorAnew);
        }
        self.forget_gone_buckets();
        self.head = welcome.head;
        self.status.subject = Some(welcome.subject.clone());
        self.status.clock_off_by_ms = status::worth_a_word(self.db.clock_offset_ms());
        self.status.token_expires_in_ms = welcome.token_expires_in_ms;
        Ok(Event::Welcome { limits: welcome.limits, copied })
    }

    fn opened(&mut self, id: u32, buckets: &[Opening]) -> Result<Event, DbError> {
        if self.session.is_retired(id) {
            return Ok(Event::Opened { id, load: Vec::new() });
        }
        let Some(handle) = self.session.handle_of(id) else {
            return Ok(out_of_turn("a shape that nobody asked for".to_owned()));
        };
        let changes = self.db.opened(handle, buckets)?;
        self.announce(&changes);
        self.forget_gone_buckets();
        let loading = self.held_of(handle).into_iter().filter(|b| b.state == BucketState::Loading);
        let load = loading.filter_map(|b| Some((b.bucket, b.next?))).collect();
        Ok(Event::Opened { id, load })
    }

    fn held_of(&self, handle: u64) -> Vec<HeldBucket> {
        let subscription = self.db.subscriptions().into_iter().find(|s| s.handle == handle);
        subscription.map(|s| s.buckets).unwrap_or_default()
    }

    /// Lets the session take an event, and carries out what it commands.
    fn step(&mut self, event: &Event, now: Moment, random: &mut Entropy<'_>) {
        self.fresh_replica = fill_id(random);
        self.mind_clock(now);
        self.expire(now);
        let commands = self.session.handle(event, now.mono_ms, random);
        self.carry_out(commands, now, random);
        self.note_synced(event, now);
        self.end_empty_hold();
        self.refresh_status(now);
    }

    /// Carries out what the session commands.
    fn carry_out(&mut self, commands: Vec<Command>, now: Moment, random: &mut Entropy<'_>) {
        let mut commands = VecDeque::from(commands);
        while let Some(command) = commands.pop_front() {
            match self.run(command, now) {
                Ok(more) => commands.extend(more),
                Err(error) => {
                    let fault = Event::Fault { reason: error.to_string() };
                    commands = self.session.handle(&fault, now.mono_ms, random).into();
                }
            }
        }
    }

    /// Ends what could not be sent in time.
    fn expire(&mut self, now: Moment) {
        let before = self.db.counts();
        let expired = self.db.expire(now.wall_ms);
        // Whatever comes next meets the same fault, and tells of it.
        let _ = expired.and_then(|ended| if ended.refused.is_empty() { Ok(()) } else { self.ended(before, &ended) });
    }

    /// Entries became dead letters without a word of the server's.
    fn ended(&mut self, before: Counts, decided: &Decided) -> Result<(), DbError> {
        self.pace.ended(before, self.db.counts());
        self.undo_changed = true;
        self.announce(&decided.changes);
        self.mirror_changed()
    }

    fn send(&mut self, message: ClientMessage) {
        self.effects.push_back(Effect::Send { connection: self.session.connection(), message });
    }

    fn run(&mut self, command: Command, now: Moment) -> Result<Vec<Command>, DbError> {
        match command {
            Command::Connect { connection } => self.effects.push_back(Effect::Connect { connection }),
            Command::Disconnect { connection } => self.effects.push_back(Effect::Disconnect { connection }),
            Command::Hello => {
                let hello = self.hello(now)?;
                self.send(ClientMessage::Hello(hello));
            }
            Command::OpenAll => {
                for subscription in self.db.subscriptions() {
                    self.send_open(subscription.handle);
                }
                self.send_applied();
            }
            Command::Open { handle } => self.send_open(handle),
            Command::Reopen { bucket } => self.reopen(bucket)?,
            Command::Close { id } => self.send(ClientMessage::Close { id }),
            Command::Push { max_entries, last_under_id } => return self.push(max_entries, last_under_id, now),
            Command::Resume { bucket, at } => self.send(ClientMessage::Resume { bucket, at }),
            Command::Ping => self.send(ClientMessage::Ping { clock_ms: now.wall_ms }),
            Command::Applied => self.send_applied(),
            Command::Fetch { bucket, .. } if !self.db.may_load(bucket) => self.session.hold(bucket, now.mono_ms),
            Command::Fetch { request, address, .. } => {
                self.effects.push_back(Effect::FetchChunk { request, address });
            }
            Command::NewReplica => {
                let before = self.db.counts().dead;
                let changes = self.db.new_replica(self.fresh_replica)?;
                self.pace.failed(self.db.counts().dead.saturating_sub(before));
                self.undo_changed = true;
                self.announce(&changes);
                self.effects.push_back(Effect::MirrorAnew);
                return Ok(self.session.replaced(now.mono_ms));
            }
            Command::SetAside { rseq } => self.db.park_breaking(rseq, now.wall_ms)?,
        }
        Ok(Vec::new())
    }

    fn reopen(&mut self, bucket: BucketId) -> Result<(), DbError> {
        self.db.restart_load(bucket)?;
        for subscription in self.db.subscriptions() {
            if subscription.buckets.iter().any(|b| b.bucket == bucket) {
                if let Some(id) = self.session.reopening(subscription.handle) {
                    self.send(ClientMessage::Close { id });
                }
                self.send_open(subscription.handle);
            }
        }
        Ok(())
    }

    fn send_applied(&mut self) {
        let seq = self.db.cursor().map_or(0, |c| c.seq);
        self.send(ClientMessage::Applied { seq });
    }

    fn hello(&self, now: Moment) -> Result<Hello, DbError> {
        Ok(Hello {
            min_version: OLDEST_VERSION,
            max_version: VERSION,
            token: self.token.clone(),
            replica: self.db.replica(),
            app: self.db.schema().name.clone(),
            schema_version: self.db.schema().version,
            last_rseq: self.db.last_rseq(),
            floor: self.db.floor(),
            cursor: self.db.cursor(),
            clock_ms: now.wall_ms,
            agent: self.agent.clone(),
            sent: self.db.unheard()?,
        })
    }

    fn send_open(&mut self, handle: u64) {
        let Some(subscription) = self.db.subscriptions().into_iter().find(|s| s.handle == handle) else { return };
        let current = |b: &&HeldBucket| matches!(b.state, BucketState::CatchingUp | BucketState::Live);
        let held = subscription.buckets.iter().filter(current).map(|b| Held { bucket: b.bucket, at: b.at }).collect();
        let id = self.session.opening(handle);
        self.send(ClientMessage::Open { id, shape: subscription.shape, params: subscription.params, held });
    }

    /// Sends a push if there is something to send. Entries are frozen, durably, before their bytes leave.
    fn push(&mut self, max_entries: usize, last_under_id: bool, now: Moment) -> Result<Vec<Command>, DbError> {
        let budget = self.session.push_bytes();
        let entries = loop {
            let in_flight = self.session.in_flight();
            let (entries, bytes) = self.db.sendable(max_entries, budget, &in_flight, now.wall_ms)?;
            if let [entry] = &entries[..]
                && !self.session.takes(bytes)
            {
                // It would end the session, and the next one, and keep back whatever comes after it.
                let before = self.db.counts();
                let ended = self.db.end_too_large(entry.transaction.rseq, now.wall_ms)?;
                self.ended(before, &ended)?;
                continue;
            }
            if !last_under_id {
                break entries;
            }
            // Behind an entry that cannot be decided under this id, none can: what follows it comes under the new one.
            // But for what was sent before that was known: it may be accepted already, and must not come twice.
            let mut sent = FlatSet::new();
            for entry in &entries {
                if self.db.is_sent(entry.transaction.rseq)? {
                    sent.insert(entry.transaction.rseq);
                }
            }
            let (blocked, free): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|e| self.session.follows_undecidable(&e.transaction) && !sent.contains(&e.transaction.rseq));
            self.session.set_undecidable(blocked.iter().map(|e| e.transaction.rseq));
            if blocked.is_empty() || !free.is_empty() {
                break free;
            }
        };
        let rseqs: Vec<u64> = entries.iter().map(|e| e.transaction.rseq).collect();
        self.db.mark_sent(&rseqs)?;
        let parked_for = self.db.next_attempt_in_ms(now.wall_ms)?;
        self.session.offer_again_at(parked_for.map(|wait| now.mono_ms + wait));
        let Some(id) = self.session.pushed(rseqs, now.mono_ms) else {
            return Ok(self.session.drained(now.mono_ms));
        };
        let (floor, prior) = (self.db.floor(), self.db.prior());
        let settled = self.db.settled_predecessors(&entries)?;
        let following = self.db.following(&entries)?;
        let refused = self.db.refused_predecessors(&entries)?;
        let (attempted, clock_ms) = (self.db.attempted(&entries)?, now.wall_ms);
        self.send(ClientMessage::Push { id, entries, clock_ms, floor, prior, settled, following, refused, attempted });
        Ok(self.session.drained(now.mono_ms))
    }

    /// Tells live queries, after the commit.
    fn announce(&mut self, changes: &ChangeSet) {
        if changes.is_empty() || self.live.is_empty() {
            return;
        }
        let tables = &self.complete_tables;
        let complete = |reads: &ReadSet| reads.tables.keys().all(|table| tables.contains(table));
        let notified = self.live.notify(self.db.connection(), changes, &complete);
        self.effects.extend(notified.diffs.into_iter().map(|(query, diff)| Effect::Rows { query, diff }));
        let failed = notified.failed.into_iter();
        self.effects.extend(failed.map(|(query, error)| Effect::QueryFailed { query, reason: error.to_string() }));
    }

    /// Tells live queries when a table has become complete, or is no longer.
    fn refresh_completeness(&mut self) {
        let tables = self.complete_tables();
        if tables == self.complete_tables {
            return;
        }
        self.complete_tables = tables;
        let tables = &self.complete_tables;
        let complete = |reads: &ReadSet| reads.tables.keys().all(|table| tables.contains(table));
        let diffs = self.live.recheck(&complete).into_iter();
        self.effects.extend(diffs.map(|(query, diff)| Effect::Rows { query, diff }));
    }
}

fn out_of_turn(what: String) -> Event {
    let code = codes::OUT_OF_ORDER;
    Event::Violation { reason: format!("the server sent {what}; report it if it happens again [{code}]") }
}

fn event_name(message: &ServerMessage) -> EventName {
    match message {
        ServerMessage::Welcome(_) => EventName::Welcome,
        ServerMessage::Acknowledge { .. } => EventName::Acknowledge,
        ServerMessage::Opened { .. } => EventName::Opened,
        ServerMessage::Live { .. } => EventName::Live,
        ServerMessage::CatchUp { .. } => EventName::CatchUp,
        ServerMessage::Pong { .. } => EventName::Pong,
        ServerMessage::Error { .. } => EventName::Error,
        ServerMessage::Closed { .. } => EventName::Closed,
    }
}

#[cfg(test)]
mod tests;
