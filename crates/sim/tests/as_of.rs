//! `Database::as_of` against a plain list of states: real devices write, a real server decides and keeps the history, and
//! what the table was after each commit is noted. For every moment at, before and after a change the past is that.
//!
//! The server's clock stands still, moves on, and is set back now and then: what counts at a moment is the newest change
//! that was made by then.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_client::db::{Location, Options, Rows};
use landfall_client::engine::{Effect, Engine, Input, Moment};
use landfall_core::{RowKey, Schema, Value};
use landfall_server::auth::Authenticator;
use landfall_server::core::{Memory, ServerCore};
use landfall_server::session::{Event, Moment as ServerMoment, Rules};
use landfall_server::store::{Fresh, Location as Place, SqliteOptions, SqliteStore};
use landfall_sim::dice::Dice;
use landfall_sim::disk::{Disk, DiskConfig};
use proptest::prelude::*;

const START_MS: u64 = 1_800_000_000_000;
/// What the history is kept for, where it is not kept for good.
const KEEP_MS: u64 = 3;
/// The device that only looks; the others write.
const READER: usize = 0;
const WRITERS: usize = 3;

const TABLE: &str = r#"
[app]
name = "past"
version = VERSION
[tables.notes]
HISTORY
[tables.notes.columns]
id    = { type = "integer" }
title = { type = "text" }
n     = { type = "integer", default = 0 }
[shapes.notes]
table = "notes"
"#;

fn schema(history: Option<&str>) -> Schema {
    let text = TABLE.replace("VERSION", if history.is_some() { "2" } else { "1" });
    let declared = history.map(|kept| format!("history = {kept}")).unwrap_or_default();
    let mut text = text.replace("HISTORY", &declared);
    if history.is_some() {
        text += "[shapes.past]\ntable = \"notes_history\"\n";
    }
    let mut schema = Schema::parse("as_of.toml", &text).expect("a valid schema");
    let kept = schema.tables.iter_mut().filter_map(|table| table.history.as_mut()?.keep_ms.as_mut());
    kept.for_each(|keep_ms| *keep_ms = KEEP_MS);
    schema
}

/// What happens; times are milliseconds.
#[derive(Clone, Debug)]
enum Step {
    /// A row is made, made again, or changed, by a device that may not know what the others did.
    Put {
        device: usize,
        id: i64,
        title: u8,
    },
    Delete {
        device: usize,
        id: i64,
    },
    /// What a device wrote reaches the server, and what others did reaches the device.
    Sync {
        device: usize,
    },
    Wait {
        ms: u64,
    },
    /// The server's clock is set back.
    Back {
        ms: u64,
    },
    /// The server forgets what it need not keep.
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (device, id) = (1..=WRITERS, 0i64..5);
    let step = prop_oneof![
        8 => (device.clone(), id.clone(), 0u8..4).prop_map(|(device, id, title)| Step::Put { device, id, title }),
        3 => (device.clone(), id).prop_map(|(device, id)| Step::Delete { device, id }),
        6 => device.prop_map(|device| Step::Sync { device }),
        4 => (1u64..4).prop_map(|ms| Step::Wait { ms }),
        1 => (1u64..20).prop_map(|ms| Step::Back { ms }),
        2 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..40)
}

/// A row's states in the order in which they came, each with the moment of the server's clock; the first is what was there
/// before there was a history.
type States = BTreeMap<Value, Vec<(i64, Option<Vec<Value>>)>>;

struct World {
    schema: Schema,
    core: ServerCore,
    devices: Vec<Engine>,
    dice: Dice,
    now_ms: u64,
    /// Clocks that are never set.
    mono_ms: u64,
    states: States,
    /// Moments before this one may be forgotten.
    kept_from_us: i64,
}

impl World {
    fn new(disk: &Disk, schema: &Schema, now_ms: u64) -> Self {
        let mut dice = Dice::new(7, "past");
        let location = Place::Vfs { name: "server.db".to_owned(), vfs: disk.vfs_name() };
        let options = SqliteOptions { location, exclusive: true, docs_together: 48 };
        let store = SqliteStore::open(options, schema.clone(), Fresh::from_bytes([7; 48]), now_ms).expect("opens");
        let mut rules = Rules::new(schema, Authenticator::new().with_development(true));
        // A push is committed whole: what a row was in the middle of it nobody would see.
        rules.limits.push_entries = 1;
        let core =
            ServerCore::new(Box::new(store), Arc::new(rules), Memory::default(), Default::default(), dice.generator())
                .expect("starts");
        let mut world = Self {
            schema: schema.clone(),
            core,
            devices: Vec::new(),
            dice,
            now_ms,
            mono_ms: 0,
            states: States::new(),
            kept_from_us: i64::MIN,
        };
        (READER..=WRITERS).for_each(|_| world.add_device());
        world
    }

    fn add_device(&mut self) {
        let now = self.moment();
        let dice = &mut self.dice;
        let engine =
            Engine::open(&Location::Memory, self.schema.clone(), Options::default(), now, &mut |b| dice.fill(b));
        self.devices.push(engine.expect("opens"));
        let device = self.devices.len() - 1;
        self.input(device, Input::SetToken { token: Some("dev:ada".to_owned()) });
        self.input(device, Input::SetOnline { online: true });
        let shapes: Vec<String> = self.schema.shapes.iter().map(|shape| shape.name.clone()).collect();
        for shape in shapes {
            let now = self.moment();
            let (engine, dice) = (&mut self.devices[device], &mut self.dice);
            engine.open_shape(&shape, BTreeMap::new(), now, &mut |b| dice.fill(b)).expect("opens");
        }
        self.sync(device);
        assert!(self.devices[device].all_complete(), "device {device} has not loaded everything");
    }

    fn moment(&self) -> Moment {
        Moment { wall_ms: self.now_ms, mono_ms: self.mono_ms }
    }

    fn server_moment(&self) -> ServerMoment {
        ServerMoment { wall_ms: self.now_ms, mono_ms: self.mono_ms }
    }

    fn input(&mut self, device: usize, input: Input) {
        let now = self.moment();
        let (engine, dice) = (&mut self.devices[device], &mut self.dice);
        engine.handle(input, now, &mut |b| dice.fill(b));
    }

    /// What one device and the server have to tell each other, until both have told it.
    fn sync(&mut self, device: usize) {
        while self.exchange(device) {}
        let status = self.devices[device].status();
        assert_eq!(status.pending, 0, "device {device} was not heard: {status:?}");
    }

    fn exchange(&mut self, device: usize) -> bool {
        self.mono_ms += 1;
        let now = self.server_moment();
        let mut told = false;
        while let Some(effect) = self.devices[device].poll_effect() {
            told = true;
            match effect {
                Effect::Connect { connection } => {
                    self.core.connect(device as u64, now);
                    self.input(device, Input::Connected { connection });
                }
                Effect::Send { message, .. } => {
                    let rng = self.dice.generator();
                    self.core.handle(device as u64, Event::Message(message), now, rng);
                }
                Effect::FetchChunk { request, address } => {
                    let chunk = self.core.chunk(&address, now).expect("a chunk");
                    self.input(device, Input::ChunkLoaded { request, chunk });
                }
                Effect::Disconnect { .. } => panic!("device {device} hangs up: {:?}", self.devices[device].status()),
                _ => {}
            }
        }
        // One transaction at a time: each is seen by itself.
        while self.core.commit(1, now).is_some() {
            told = true;
            self.look();
        }
        told | self.hear(device)
    }

    fn hear(&mut self, device: usize) -> bool {
        let (now, mut told) = (self.server_moment(), false);
        while let Some(message) = self.core.poll(device as u64, now) {
            told = true;
            let connection = self.devices[device].session().connection();
            self.input(device, Input::Frame { connection, message });
        }
        told
    }

    /// The reader hears of everything, and takes note of what it sees.
    fn look(&mut self) {
        if self.devices.len() <= WRITERS {
            return;
        }
        while self.hear(READER) {
            while let Some(effect) = self.devices[READER].poll_effect() {
                if let Effect::Send { message, .. } = effect {
                    let now = self.server_moment();
                    self.core.handle(READER as u64, Event::Message(message), now, self.dice.generator());
                }
            }
        }
        self.note(self.now_ms as i64 * 1_000);
    }

    fn note(&mut self, at_us: i64) {
        let now = rows(&self.devices[READER].query("SELECT * FROM notes", &[]).expect("readable"));
        for id in now.keys() {
            self.states.entry(id.clone()).or_default();
        }
        for (id, states) in &mut self.states {
            let now = now.get(id).cloned();
            if states.last().and_then(|(_, last)| last.clone()) != now {
                states.push((at_us, now));
            }
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Put { device, id, title } => self.put(device, id, title),
                Step::Delete { device, id } => {
                    let now = self.moment();
                    let (engine, dice) = (&mut self.devices[device], &mut self.dice);
                    let key = RowKey::single(Value::Int(id));
                    engine.write(now, &mut |b| dice.fill(b), |tx| tx.delete("notes", &key)).expect("writes");
                }
                Step::Sync { device } => self.sync(device),
                Step::Wait { ms } => self.now_ms += ms,
                Step::Back { ms } => self.now_ms -= ms,
                Step::Forget => self.forget(),
            }
        }
        for device in (READER..=WRITERS).chain(READER..=WRITERS) {
            self.sync(device);
        }
    }

    fn put(&mut self, device: usize, id: i64, title: u8) {
        let now = self.moment();
        let (engine, dice) = (&mut self.devices[device], &mut self.dice);
        // An insert where the device sees no row, else an update of one column or of both.
        let sql = if title.is_multiple_of(2) {
            "INSERT INTO notes (id, title) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title, n = n + 1"
        } else {
            "INSERT INTO notes (id, title) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title"
        };
        let values = [Value::Int(id), Value::Text(format!("t{title}"))];
        engine.write(now, &mut |b| dice.fill(b), |tx| tx.execute(sql, &values)).expect("writes");
    }

    fn forget(&mut self) {
        let keeps = self.schema.tables[0].history.and_then(|history| history.keep_ms);
        let Some(keep_ms) = keeps else { return };
        while !self.core.forget_history(self.server_moment()).expect("forgets") {}
        self.kept_from_us = self.kept_from_us.max((self.now_ms - keep_ms) as i64 * 1_000);
        self.look();
    }

    /// The rows at a moment: of each the newest state that it had by then.
    fn model(&self, at_us: i64) -> BTreeMap<Value, Vec<Value>> {
        let at = |states: &Vec<(i64, Option<Vec<Value>>)>| {
            states.iter().rev().find(|(at, _)| *at <= at_us).and_then(|(_, state)| state.clone())
        };
        self.states.iter().filter_map(|(id, states)| Some((id.clone(), at(states)?))).collect()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let changes = self.states.values().flatten().map(|(at, _)| *at).filter(|at| *at > i64::MIN);
        let moments = changes.flat_map(|at| [at - 1, at, at + 1, at + 500]);
        for at_us in moments.chain([0, i64::MAX]).filter(|at| *at >= self.kept_from_us) {
            let expected = self.model(at_us);
            for (device, engine) in self.devices.iter().enumerate() {
                let found = rows(&engine.db().as_of("notes", at_us).expect("readable"));
                prop_assert_eq!(&found, &expected, "device {} at {}, {:?}", device, at_us, self.states);
            }
        }
        Ok(())
    }
}

/// By key, each once.
fn rows(found: &Rows) -> BTreeMap<Value, Vec<Value>> {
    let by_key: BTreeMap<_, _> = found.rows.iter().map(|row| (row[0].clone(), row.clone())).collect();
    assert_eq!(by_key.len(), found.rows.len(), "a row is there twice: {found:?}");
    by_key
}

/// What is written before the history is declared, and what after; then every moment is asked for.
fn told_as_it_was(history: &str, before: &[Step], after: &[Step]) -> Result<(), TestCaseError> {
    let disk = Disk::new(1, DiskConfig::default());
    let mut old = World::new(&disk, &schema(None), START_MS);
    old.run(before);
    let now_ms = old.now_ms;
    drop(old);
    let mut world = World::new(&disk, &schema(Some(history)), now_ms);
    world.note(i64::MIN);
    world.run(after);
    world.check()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_past_is_what_it_was(before in steps(), after in steps()) {
        told_as_it_was("true", &before, &after)?;
    }

    #[test]
    fn what_is_kept_for_a_time_is_what_it_was_within_that_time(before in steps(), after in steps()) {
        told_as_it_was("\"1d\"", &before, &after)?;
    }
}

#[test]
fn a_row_that_was_made_while_the_clock_was_ahead_stays_deleted() {
    let (device, id) = (1, 0);
    let sync = || Step::Sync { device };
    let steps =
        [Step::Put { device, id, title: 0 }, sync(), Step::Back { ms: 10 }, Step::Delete { device, id }, sync()];
    let later = [Step::Wait { ms: 5 }, Step::Forget, Step::Wait { ms: 5 }];
    told_as_it_was("\"1d\"", &[], &[&steps[..], &later[..]].concat()).expect("the past as it was");
}
