//! The laws of merging, for the whole of it: a row whose two columns have any two rules, written by real devices whose clocks
//! differ and whose connections break at any moment, in every grouping, offered again after every lost answer. In the end the
//! server, the devices, and one that comes new hold the same rows and the same conflicts; and what adds up has added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_client::db::{DbError, Location, Options, WriteTx};
use landfall_client::engine::{Effect, Engine, Input, Moment};
use landfall_core::rules::{MergeFunctions, Three};
use landfall_core::{RowKey, Schema, Value};
use landfall_server::auth::Authenticator;
use landfall_server::core::{Memory, ServerCore};
use landfall_server::session::{Event, Moment as ServerMoment, Rules};
use landfall_server::store::{Fresh, Location as Place, SqliteOptions, SqliteStore};
use landfall_sim::dice::Dice;
use landfall_sim::disk::{Disk, DiskConfig};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

const START_MS: u64 = 1_800_000_000_000;
const DEVICES: usize = 3;

/// A rule and a type of column that it fits.
const RULES: [(&str, &str); 15] = [
    ("lww", "integer"),
    ("first", "integer"),
    ("server", "integer"),
    ("client", "integer"),
    ("max", "integer"),
    ("min", "integer"),
    ("manual", "integer"),
    ("counter", "integer"),
    ("set", "json"),
    ("map", "json"),
    ("list", "text"),
    ("text", "text"),
    ("ot", "text"),
    ("custom", "integer"),
    ("lww", "text"),
];

/// `manual` among them.
const MANUAL: usize = 6;

fn schema(rules: [usize; 2], deletes: &str) -> Schema {
    let column = |name: &str, at: usize| {
        let (rule, ty) = RULES[at];
        let function = if rule == "custom" { ", function = \"sum\"" } else { "" };
        format!("{name} = {{ type = \"{ty}\", merge = \"{rule}\"{function} }}\n")
    };
    let text = format!(
        "[app]\nname = \"laws\"\n[tables.t]\non_delete_conflict = \"{deletes}\"\n[tables.t.columns]\nid = \"integer\"\n{}{}\
         [shapes.t]\ntable = \"t\"\n",
        column("a", rules[0]),
        column("b", rules[1]),
    );
    let conflicts = format!("{text}[shapes.conflicts]\ntable = \"t_conflicts\"\n");
    // Not every table has conflicts.
    let schema = Schema::parse("laws.toml", &conflicts).or_else(|_| Schema::parse("laws.toml", &text));
    let sum = |three: &Three<'_>| match (three.base, three.ours, three.theirs) {
        (_, Value::Int(ours), Value::Int(theirs)) => {
            let base = if let Value::Int(base) = three.base { *base } else { 0 };
            Ok(Value::Int(ours + theirs - base))
        }
        _ => Err("one of both is gone".to_owned()),
    };
    schema.unwrap_or_else(|e| panic!("{e}")).with_functions(&MergeFunctions::new().on("sum", sum))
}

#[derive(Clone, Debug)]
enum Step {
    /// A device writes into one column, or both.
    Write {
        device: usize,
        columns: u8,
        n: u8,
    },
    Delete {
        device: usize,
    },
    /// What a device has to say reaches the server.
    Say {
        device: usize,
    },
    /// The server decides so many entries at most.
    Commit {
        entries: usize,
    },
    /// What the server has to say reaches a device.
    Hear {
        device: usize,
    },
    /// The connection breaks, with all that is on its way.
    Lose {
        device: usize,
    },
    Wait {
        ms: u64,
    },
    /// A device's clock is set.
    Clock {
        device: usize,
        by_ms: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = 0..DEVICES;
    let step = prop_oneof![
        8 => (device.clone(), 1u8..4, 0u8..6).prop_map(|(device, columns, n)| Step::Write { device, columns, n }),
        1 => device.clone().prop_map(|device| Step::Delete { device }),
        5 => device.clone().prop_map(|device| Step::Say { device }),
        4 => (1usize..4).prop_map(|entries| Step::Commit { entries }),
        4 => device.clone().prop_map(|device| Step::Hear { device }),
        2 => device.clone().prop_map(|device| Step::Lose { device }),
        2 => (1u64..3_000).prop_map(|ms| Step::Wait { ms }),
        1 => (device, -4_000i64..4_000).prop_map(|(device, by_ms)| Step::Clock { device, by_ms }),
    ];
    prop::collection::vec(step, 1..60)
}

struct Device {
    engine: Engine,
    clock_ms: i64,
    connection: Option<u64>,
    /// What is on its way to the server.
    said: Vec<landfall_protocol::ClientMessage>,
}

struct World {
    schema: Schema,
    core: ServerCore,
    devices: Vec<Device>,
    dice: Dice,
    now_ms: u64,
    /// What was added to a counter in each column.
    added: [i64; 2],
    deleted: bool,
}

/// What a write does to a column.
fn done(tx: &mut WriteTx<'_>, at: usize, name: &str, n: u8) -> Result<i64, DbError> {
    let row = RowKey::single(Value::Int(1));
    let number = i64::from(n);
    let (rule, ty) = RULES[at];
    let was = tx.row("t", &row)?.and_then(|row| row.get(name).cloned()).unwrap_or_default();
    let json = |value: serde_json::Value| Value::json(&value);
    match (rule, ty) {
        ("counter", _) => {
            tx.add("t", &row, name, &Value::Int(number - 2))?;
            return Ok(number - 2);
        }
        ("set", _) if n < 4 => tx.change("t", &row, name, &json(json!({ "add": [n % 3] })))?,
        ("set", _) => tx.change("t", &row, name, &json(json!({ "remove": [n % 3] })))?,
        ("map", _) if n < 5 => tx.change("t", &row, name, &json(json!({ "set": { (format!("/{}", n % 3)): n } })))?,
        ("map", _) => tx.change("t", &row, name, &json(json!({ "remove": ["/1"] })))?,
        ("list", _) => tx.update("t", &row, &[(name, Value::Text(format!("0000000{n}1")))])?,
        (_, "text") => {
            let was = was.as_text().unwrap_or_default().to_owned();
            let mark = ["fjord ", "näher\n", "❄", "x", "", "zwei Wörter "][usize::from(n)];
            let is = match n % 3 {
                0 => format!("{mark}{was}"),
                1 => format!("{was}{mark}"),
                _ => was.chars().skip(2).collect::<String>() + mark,
            };
            tx.update("t", &row, &[(name, Value::Text(is))])?
        }
        _ if n == 5 => tx.update("t", &row, &[(name, Value::Null)])?,
        _ => tx.update("t", &row, &[(name, Value::Int(number))])?,
    };
    Ok(0)
}

impl World {
    fn new(disk: &Disk, schema: Schema) -> Self {
        let mut dice = Dice::new(7, "laws");
        let location = Place::Vfs { name: "server.db".to_owned(), vfs: disk.vfs_name() };
        let options = SqliteOptions { location, exclusive: true, docs_together: 48 };
        let store = SqliteStore::open(options, schema.clone(), Fresh::from_bytes([7; 48]), START_MS).expect("opens");
        let rules = Arc::new(Rules::new(&schema, Authenticator::new().with_development(true)));
        let core = ServerCore::new(Box::new(store), rules, Memory::default(), Default::default(), dice.generator());
        let core = core.expect("starts");
        let mut world =
            Self { schema, core, devices: Vec::new(), dice, now_ms: START_MS, added: [0; 2], deleted: false };
        (0..DEVICES).for_each(|_| world.add_device());
        world
    }

    fn add_device(&mut self) {
        let now = Moment { wall_ms: self.now_ms, mono_ms: self.now_ms };
        let dice = &mut self.dice;
        let engine =
            Engine::open(&Location::Memory, self.schema.clone(), Options::default(), now, &mut |b| dice.fill(b));
        let engine = engine.expect("opens");
        self.devices.push(Device { engine, clock_ms: 0, connection: None, said: Vec::new() });
        let device = self.devices.len() - 1;
        self.input(device, Input::SetToken { token: Some("dev:ada".to_owned()) });
        self.input(device, Input::SetOnline { online: true });
        let shapes: Vec<String> = self.schema.shapes.iter().map(|shape| shape.name.clone()).collect();
        for shape in shapes {
            let now = self.moment(device);
            let (engine, dice) = (&mut self.devices[device].engine, &mut self.dice);
            engine.open_shape(&shape, BTreeMap::new(), now, &mut |b| dice.fill(b)).expect("opens");
        }
        self.settle();
    }

    fn moment(&self, device: usize) -> Moment {
        let wall_ms = self.now_ms.saturating_add_signed(self.devices[device].clock_ms);
        Moment { wall_ms, mono_ms: self.now_ms }
    }

    fn server_moment(&self) -> ServerMoment {
        ServerMoment { wall_ms: self.now_ms, mono_ms: self.now_ms }
    }

    fn input(&mut self, device: usize, input: Input) {
        let now = self.moment(device);
        let (engine, dice) = (&mut self.devices[device].engine, &mut self.dice);
        engine.handle(input, now, &mut |b| dice.fill(b));
        self.effects(device);
    }

    fn effects(&mut self, device: usize) {
        while let Some(effect) = self.devices[device].engine.poll_effect() {
            let now = self.server_moment();
            match effect {
                Effect::Connect { connection } => {
                    self.devices[device].connection = Some(connection);
                    self.core.connect(device as u64, now);
                    self.input(device, Input::Connected { connection });
                }
                Effect::Send { message, .. } => self.devices[device].said.push(message),
                Effect::FetchChunk { request, address } => match self.core.chunk(&address, now) {
                    Ok(chunk) => self.input(device, Input::ChunkLoaded { request, chunk }),
                    Err(error) => panic!("a chunk: {error:?}"),
                },
                Effect::Disconnect { .. } => self.hang_up(device),
                _ => {}
            }
        }
    }

    fn hang_up(&mut self, device: usize) {
        self.devices[device].said.clear();
        if self.devices[device].connection.take().is_some() {
            self.core.disconnect(device as u64);
        }
    }

    fn say(&mut self, device: usize) -> bool {
        self.effects(device);
        let said = std::mem::take(&mut self.devices[device].said);
        let any = !said.is_empty();
        for message in said {
            let now = self.server_moment();
            self.core.handle(device as u64, Event::Message(message), now, self.dice.generator());
        }
        any
    }

    fn hear(&mut self, device: usize) -> bool {
        let (now, mut any) = (self.server_moment(), false);
        while let Some(connection) = self.devices[device].connection
            && let Some(message) = self.core.poll(device as u64, now)
        {
            any = true;
            self.input(device, Input::Frame { connection, message });
        }
        any
    }

    fn lose(&mut self, device: usize) {
        let Some(connection) = self.devices[device].connection else { return };
        self.hang_up(device);
        let reason = "connection reset".to_owned();
        self.input(device, Input::Disconnected { connection, reason, retry_after_ms: None });
    }

    /// Everybody tells everything, until nobody has anything to say; whoever waits has waited long enough.
    fn settle(&mut self) {
        for _ in 0..400 {
            let mut quiet = true;
            for device in 0..self.devices.len() {
                quiet &= !self.say(device);
            }
            while self.core.commit(100, self.server_moment()).is_some() {
                quiet = false;
            }
            for device in 0..self.devices.len() {
                quiet &= !self.hear(device);
            }
            let is_done =
                |d: &Device| d.connection.is_some() && d.engine.is_caught_up() && d.engine.status().pending == 0;
            if quiet && self.devices.iter().all(is_done) {
                return;
            }
            if quiet {
                self.now_ms += 1_000;
                (0..self.devices.len()).for_each(|device| self.input(device, Input::Tick));
            }
        }
        let states: Vec<_> = self.devices.iter().map(|d| d.engine.status().clone()).collect();
        panic!("it never ends: {states:?}");
    }

    fn write(&mut self, rules: [usize; 2], device: usize, columns: u8, n: u8) {
        let now = self.moment(device);
        let (engine, dice) = (&mut self.devices[device].engine, &mut self.dice);
        let mut added = [0; 2];
        let written = engine.write(now, &mut |b| dice.fill(b), |tx| {
            let row = RowKey::single(Value::Int(1));
            if tx.row("t", &row)?.is_none() {
                tx.insert("t", &[("id", Value::Int(1))])?;
            }
            for (at, name) in ["a", "b"].into_iter().enumerate().filter(|(at, _)| columns & (1 << at) != 0) {
                added[at] = done(tx, rules[at], name, n)?;
            }
            Ok(())
        });
        // Some rules refuse on the device what they would not take: then nothing is written.
        if written.is_ok() {
            self.added.iter_mut().zip(added).for_each(|(all, one)| *all += one);
        }
        self.effects(device);
    }

    fn run(&mut self, rules: [usize; 2], steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Write { device, columns, n } => self.write(rules, device, columns, n),
                Step::Delete { device } => {
                    let now = self.moment(device);
                    let (engine, dice) = (&mut self.devices[device].engine, &mut self.dice);
                    let key = RowKey::single(Value::Int(1));
                    engine.write(now, &mut |b| dice.fill(b), |tx| tx.delete("t", &key)).expect("writes");
                    self.effects(device);
                    self.deleted = true;
                }
                Step::Say { device } => _ = self.say(device),
                Step::Commit { entries } => _ = self.core.commit(entries, self.server_moment()),
                Step::Hear { device } => _ = self.hear(device),
                Step::Lose { device } => self.lose(device),
                Step::Wait { ms } => {
                    self.now_ms += ms;
                    (0..self.devices.len()).for_each(|device| self.input(device, Input::Tick));
                }
                Step::Clock { device, by_ms } => self.devices[device].clock_ms += by_ms,
            }
        }
        self.settle();
    }

    fn shown(&self, device: usize) -> Vec<Vec<Vec<Value>>> {
        let engine = &self.devices[device].engine;
        let tables = self.schema.shapes.iter().map(|shape| {
            let sql = format!("SELECT * FROM {} ORDER BY 1", shape.table);
            engine.query(&sql, &[]).expect("readable").rows
        });
        tables.collect()
    }
}

/// The law would hold of histories in which nothing ever meets.
#[test]
fn what_is_written_does_meet() {
    let (mut runner, mut conflicts, mut rows) = (TestRunner::deterministic(), 0, 0);
    for _ in 0..100 {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let disk = Disk::new(1, DiskConfig::default());
        let rules = [MANUAL, MANUAL];
        let mut world = World::new(&disk, schema(rules, "update_wins"));
        world.run(rules, &steps);
        let shown = world.shown(0);
        rows += usize::from(!shown[0].is_empty());
        conflicts += usize::from(!shown[1].is_empty());
    }
    assert!(conflicts >= 30 && rows >= 60, "of 100 histories {rows} end with a row, {conflicts} with conflicts");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_replicas_end_in_the_same_row(
        rules in [0..RULES.len(), 0..RULES.len()],
        deletes in prop::sample::select(vec!["update_wins", "delete_wins", "manual"]),
        steps in steps(),
    ) {
        let disk = Disk::new(1, DiskConfig::default());
        let mut world = World::new(&disk, schema(rules, deletes));
        world.run(rules, &steps);
        world.add_device();
        let first = world.shown(0);
        for device in 1..world.devices.len() {
            let [one, other] = rules.map(|at| RULES[at].0);
            prop_assert_eq!(&world.shown(device), &first, "device {}, {} beside {}", device, one, other);
        }
        // Every increment once, whatever the other column's rule is.
        let dead = world.devices.iter().any(|d| d.engine.status().dead > 0);
        for (at, rule) in rules.into_iter().enumerate().filter(|(_, rule)| RULES[*rule].0 == "counter") {
            if world.deleted || dead {
                continue;
            }
            let shown = first[0].first().map_or(Value::Null, |row| row[1 + at].clone());
            let number = if let Value::Int(number) = shown { number } else { 0 };
            prop_assert_eq!(number, world.added[at], "{:?} beside {:?}", RULES[rule], RULES[rules[1 - at]]);
        }
    }
}
