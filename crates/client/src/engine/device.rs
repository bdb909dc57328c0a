//! An engine without a network or a clock, for the tests of the engine: they say what it hears, and see what it does.

use std::path::Path;

use landfall_core::{Epoch, ReplicaId, Schema, Stamp};
use landfall_protocol::server::{Limits, Resumption, Welcome};
use landfall_protocol::{ClientMessage, ServerMessage};

use super::{Effect, Engine, Input, Moment};
use crate::db::{Location, Options};
use crate::mirror::MirrorRecord;

pub(super) const NOON: u64 = 1_795_000_000_000;

/// An engine on a file, the seconds that have passed since noon, and how far its clock is off.
pub(super) struct Device {
    pub(super) engine: Engine,
    pub(super) seconds: u64,
    pub(super) off_ms: u64,
    /// How long it has slept: its monotonic clock slept, too.
    pub(super) slept_ms: u64,
    pub(super) connection: u64,
    /// Where the server stands, and where it goes on.
    pub(super) head: u64,
    pub(super) start: u64,
    /// The largest message that the server takes.
    pub(super) frame_bytes: u32,
    /// The pushes: their numbers, and what was offered.
    pub(super) pushes: Vec<(u32, Vec<u64>)>,
    /// How often the last push said that its entries have failed.
    pub(super) attempted: Vec<(u64, u32)>,
    pub(super) fetch: Option<u64>,
    pub(super) mirrored: Vec<MirrorRecord>,
    /// The server's history.
    pub(super) epoch: Epoch,
    /// How often it hung up.
    pub(super) hung_up: usize,
}

pub(super) fn entropy(bytes: &mut [u8]) {
    bytes.fill(5);
}

impl Device {
    pub(super) fn open(path: &Path, schema: &str, seconds: u64) -> Self {
        let schema = Schema::parse("journal.toml", schema).expect("a schema");
        let location = Location::Path(path.to_owned());
        let now = Moment { wall_ms: NOON + 1_000 * seconds, mono_ms: 1_000 * seconds };
        let engine = Engine::open(&location, schema, Options::default(), now, &mut entropy).expect("opens");
        Self {
            engine,
            seconds,
            off_ms: 0,
            slept_ms: 0,
            connection: 0,
            head: 10,
            start: 10,
            frame_bytes: 1 << 20,
            pushes: Vec::new(),
            attempted: Vec::new(),
            fetch: None,
            mirrored: Vec::new(),
            epoch: Epoch([4; 16]),
            hung_up: 0,
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment { wall_ms: NOON + 1_000 * self.seconds + self.off_ms, mono_ms: 1_000 * self.seconds }
    }

    pub(super) fn drain(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Connect { connection } => self.connection = connection,
                Effect::Disconnect { .. } => self.hung_up += 1,
                Effect::Send { message: ClientMessage::Push { id, entries, attempted, .. }, .. } => {
                    self.attempted = attempted.iter().map(|of| (of.rseq, of.times)).collect();
                    self.pushes.push((id, entries.iter().map(|e| e.transaction.rseq).collect()));
                }
                Effect::FetchChunk { request, .. } => self.fetch = Some(request),
                Effect::Mirror(record) => self.mirrored.push(record),
                Effect::MirrorAnew => {
                    let anew = self.engine.mirror().expect("readable").compact();
                    self.mirrored = crate::mirror::read(&anew).0;
                }
                _ => {}
            }
        }
    }

    /// The entries that were offered.
    pub(super) fn pushed(&self) -> Vec<u64> {
        self.pushes.iter().flat_map(|(_, rseqs)| rseqs).copied().collect()
    }

    pub(super) fn input(&mut self, input: Input) {
        self.engine.handle(input, self.now(), &mut entropy);
        self.drain();
    }

    pub(super) fn hear(&mut self, message: ServerMessage) {
        self.input(Input::Frame { connection: self.connection, message });
    }

    pub(super) fn connect(&mut self, resumption: Resumption) {
        self.input(Input::SetOnline { online: true });
        self.input(Input::Connected { connection: self.connection });
        let (frame_bytes, push_entries) = (self.frame_bytes, 100);
        self.hear(ServerMessage::Welcome(Welcome {
            version: 1,
            epoch: self.epoch,
            head: self.head,
            start: self.start,
            chain: self.start,
            resumption,
            last_rseq: 0,
            clock_ms: NOON + 1_000 * self.seconds + self.slept_ms,
            token_expires_in_ms: None,
            subject: "ada".into(),
            schema_version: 1,
            limits: Limits { frame_bytes, push_entries, window_bytes: 1 << 20, subscriptions: 10 },
            accepted: Vec::new(),
        }));
    }

    pub(super) fn disconnect(&mut self) {
        self.input(Input::SetOnline { online: false });
    }

    /// A progress mark.
    pub(super) fn live(&mut self, to: u64) {
        let stamp = Stamp { wall_ms: NOON, counter: 0, replica: ReplicaId([9; 16]) };
        self.hear(ServerMessage::Live { to, chain: to, stamp, buckets: Vec::new() });
    }
}
