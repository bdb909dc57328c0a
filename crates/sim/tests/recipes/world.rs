//! A small world: devices and a server with the real engines on simulated disks, a network that comes and goes. Nothing
//! happens in it by chance: faults come where the story puts them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::{EncodingKey, Header};
use landfall_client::db::{DbError, EntryState, Location as DeviceLocation, Options, OutboxEntry, WriteTx, Written};
use landfall_client::engine::{Effect, Engine, Input, Moment};
use landfall_client::status::Connectivity;
use landfall_core::value::format_uuid;
use landfall_core::{Schema, Value};
use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_server::actions::Actions;
use landfall_server::auth::Authenticator;
use landfall_server::core::{Allowance, Memory, ServerCore};
use landfall_server::session::{Moment as ServerMoment, Rules};
use landfall_server::store::{Fresh, Location, SqliteOptions, SqliteStore};
use landfall_sim::clock::{MILLI, MachineClock, Micros, SECOND, START_MS};
use landfall_sim::dice::Dice;
use landfall_sim::disk::{Disk, DiskConfig};
use landfall_sim::queue::Queue;
use rusqlite::types::ValueRef;

use crate::page;

/// From one end of the network to the other.
const WAY: Micros = 20 * MILLI;
/// From a push to the commit of its group.
const GATHERING: Micros = 5 * MILLI;
/// A story that does not come to rest within this time never will.
const PATIENCE: Micros = 900 * SECOND;
const SECRET: &[u8] = b"the secret of the recipes, nobody else's";

/// A device of the world.
pub type Id = usize;

struct Device {
    person: &'static str,
    disk: Disk,
    clock: MachineClock,
    dice: Dice,
    app: Option<Engine>,
    /// Counts starts of the app; what was meant for an earlier one is dropped.
    life: u64,
    network: bool,
    tick_at: Option<Micros>,
}

struct Server {
    disk: Disk,
    dice: Dice,
    core: Option<ServerCore>,
    life: u64,
    commit_at: Option<Micros>,
    tick_at: Option<Micros>,
}

struct Connection {
    device: Id,
    /// As the engine calls it.
    name: u64,
}

enum Event {
    Tick { device: Id, life: u64 },
    Knock { conn: u64 },
    Answer { conn: u64, open: bool },
    Up { conn: u64, frame: Vec<u8> },
    Down { conn: u64, frame: Vec<u8> },
    HungUp { conn: u64 },
    Ask { device: Id, life: u64, request: u64, address: String },
    Chunk { device: Id, life: u64, request: u64, body: Option<Vec<u8>> },
    Commit { life: u64 },
    ServerTick { life: u64 },
}

/// See the module's documentation.
pub struct World {
    now: Micros,
    queue: Queue<Event>,
    schema: Schema,
    handlers: fn() -> Actions,
    devices: Vec<Device>,
    server: Server,
    connections: BTreeMap<u64, Connection>,
    last_conn: u64,
}

/// A uuid that a person can read.
pub fn id(n: u8) -> Value {
    Value::Uuid([n; 16])
}

/// An instant, so many seconds after the beginning.
pub fn at(seconds: i64) -> Value {
    Value::Timestamp(START_MS as i64 * 1_000 + seconds * 1_000_000)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Text(text) => text.clone(),
        Value::Uuid(bytes) => format_uuid(bytes),
        other => format!("{other:?}"),
    }
}

impl World {
    /// The world of a page, without handlers: its server is up.
    pub fn of(page: &str) -> Self {
        Self::with_handlers(page, Actions::new)
    }

    /// The world of a page, with the handlers of its actions.
    pub fn with_handlers(page: &str, handlers: fn() -> Actions) -> Self {
        landfall_sim::disk::seed_sqlite(1);
        let mut dice = Dice::new(1, page);
        let disk = Disk::new(dice.number(), DiskConfig::default());
        let server = Server { disk, dice: Dice::new(2, page), core: None, life: 0, commit_at: None, tick_at: None };
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            schema: page::schema(page),
            handlers,
            devices: Vec::new(),
            server,
            connections: BTreeMap::new(),
            last_conn: 0,
        };
        world.server_start();
        world
    }

    /// A new device of a person, with the app running, the network there, and these shapes open.
    pub fn device(&mut self, person: &'static str, shapes: &[(&str, &[(&str, Value)])]) -> Id {
        let device = self.devices.len();
        let mut dice = Dice::new(3, &format!("device {device}"));
        let disk = Disk::new(dice.number(), DiskConfig::default());
        let clock = MachineClock::default();
        self.devices.push(Device { person, disk, clock, dice, app: None, life: 0, network: true, tick_at: None });
        self.start(device);
        for (shape, params) in shapes {
            let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            self.app(device, |app, now, random| app.open_shape(shape, params, now, random)).expect("opens");
        }
        device
    }

    /// Starts the app.
    pub fn start(&mut self, device: Id) {
        let machine = &mut self.devices[device];
        let location = DeviceLocation::Vfs { name: "app.db".to_owned(), vfs: machine.disk.vfs_name() };
        let options = Options { exclusive: true, ..Options::default() };
        let (now, dice) = (moment(&machine.clock, self.now), &mut machine.dice);
        machine.disk.set_time_ms(now.wall_ms as i64);
        let app = Engine::open(&location, self.schema.clone(), options, now, &mut |bytes| dice.fill(bytes));
        machine.app = Some(app.expect("what lost power opens again"));
        machine.life += 1;
        machine.tick_at = None;
        let token = jsonwebtoken::encode(
            &Header::default(),
            &serde_json::json!({ "sub": machine.person }),
            &EncodingKey::from_secret(SECRET),
        );
        self.input(device, Input::SetToken { token: token.ok() });
        self.input(device, Input::SetOnline { online: true });
    }

    /// The process is killed; the machine goes on.
    pub fn kill(&mut self, device: Id) {
        self.end(device);
        self.devices[device].disk.kill();
    }

    /// The power goes: what was not synced is lost, torn, or kept.
    pub fn power_cut(&mut self, device: Id) {
        self.end(device);
        let machine = &mut self.devices[device];
        machine.disk.crash(machine.dice.generator());
    }

    /// The power goes in the middle of a write, after so many more operations of the disk; see [`World::has_power`].
    pub fn power_cut_within(&mut self, device: Id, operations: u64) {
        self.devices[device].disk.crash_after(Some(operations));
    }

    /// The power stays, after all.
    pub fn power_stays(&mut self, device: Id) {
        self.devices[device].disk.crash_after(None);
    }

    /// Whether the power is still there.
    pub fn has_power(&self, device: Id) -> bool {
        !self.devices[device].disk.power_lost()
    }

    fn end(&mut self, device: Id) {
        self.cut(device, false);
        self.devices[device].app = None;
        self.devices[device].life += 1;
    }

    /// The network goes: what is under way is lost, in both directions.
    pub fn no_network(&mut self, device: Id) {
        self.devices[device].network = false;
        self.cut(device, true);
    }

    /// The network is back, and the system says so.
    pub fn network(&mut self, device: Id) {
        self.devices[device].network = true;
        self.input(device, Input::Nudge);
    }

    /// The device's clock is set by so many seconds.
    pub fn set_clock(&mut self, device: Id, seconds: i64) {
        self.devices[device].clock.offset_ms += seconds * 1_000;
    }

    fn cut(&mut self, device: Id, tell: bool) {
        let of = |(conn, c): (&u64, &Connection)| (c.device == device).then_some((*conn, c.name));
        let gone: Vec<(u64, u64)> = self.connections.iter().filter_map(of).collect();
        for (conn, name) in gone {
            self.connections.remove(&conn);
            if let Some(core) = self.server.core.as_mut() {
                core.disconnect(conn);
            }
            if tell {
                let reason = "the network is gone".to_owned();
                self.input(device, Input::Disconnected { connection: name, reason, retry_after_ms: None });
            }
        }
    }

    /// The server's machine loses power, and starts again.
    pub fn server_power_cut(&mut self) {
        self.server.core = None;
        self.server.disk.crash(self.server.dice.generator());
        for device in 0..self.devices.len() {
            let runs = self.devices[device].app.is_some();
            self.cut(device, runs);
        }
        self.server_start();
    }

    fn server_start(&mut self) {
        let now = server_moment(self.now);
        let server = &mut self.server;
        let mut fresh = [0; 48];
        server.dice.fill(&mut fresh);
        let location = Location::Vfs { name: "server.db".to_owned(), vfs: server.disk.vfs_name() };
        let options = SqliteOptions { location, exclusive: false, docs_together: 48 };
        let store = SqliteStore::open(options, self.schema.clone(), Fresh::from_bytes(fresh), now.wall_ms);
        let store = store.expect("the server starts").with_actions((self.handlers)());
        let mut rules = Rules::new(&self.schema, Authenticator::new().with_secret(SECRET));
        // So that a group is some of what waits, not all of it.
        rules.limits.push_entries = 16;
        let core = ServerCore::new(
            Box::new(store),
            Arc::new(rules),
            Memory::default(),
            Allowance::default(),
            server.dice.generator(),
        );
        server.core = Some(core.expect("the server starts"));
        server.life += 1;
        (server.commit_at, server.tick_at) = (None, None);
    }

    /// What the server's tables hold, as text: columns with a space between them.
    pub fn on_server(&self, sql: &str) -> Vec<String> {
        let conn = self.server.disk.open("server.db").expect("opens");
        let mut statement = conn.prepare(sql).expect("SQL");
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cells = (0..columns).map(|at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Null => "-".to_owned(),
                    ValueRef::Integer(n) => n.to_string(),
                    ValueRef::Real(n) => n.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    ValueRef::Blob(bytes) => format!("{bytes:?}"),
                })
            });
            Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
        };
        let rows = statement.query_map([], row).expect("a query");
        rows.map(|row| row.expect("readable")).collect()
    }

    /// What another program writes into the server's tables. The server finds it, as it does by itself every now and then.
    pub fn operator(&mut self, sql: &str) {
        let conn = self.server.disk.open("server.db").expect("opens");
        conn.execute_batch(sql).expect("SQL");
        drop(conn);
        let core = self.server.core.as_mut().expect("the server is up");
        while !core.check_outside_writes(server_moment(self.now)).expect("readable") {}
        self.after_server();
    }

    /// The newest sequence that the server gave.
    pub fn head(&self) -> u64 {
        self.server.core.as_ref().map_or(0, |core| core.head().seq)
    }

    /// Calls into the app's engine, and carries out what comes of it.
    pub fn app<R>(&mut self, device: Id, call: impl FnOnce(&mut Engine, Moment, &mut dyn FnMut(&mut [u8])) -> R) -> R {
        let machine = &mut self.devices[device];
        let now = moment(&machine.clock, self.now);
        machine.disk.set_time_ms(now.wall_ms as i64);
        let (app, dice) = (machine.app.as_mut().expect("the app runs"), &mut machine.dice);
        let result = call(app, now, &mut |bytes| dice.fill(bytes));
        self.carry_out(device);
        result
    }

    /// Writes in one transaction.
    pub fn write<R>(
        &mut self,
        device: Id,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<Written<R>, DbError> {
        self.app(device, |app, now, random| app.write(now, random, f))
    }

    /// What the app sees, as text: columns with a space between them.
    pub fn rows(&self, device: Id, sql: &str) -> Vec<String> {
        self.rows_of(device, sql, &[])
    }

    /// As [`World::rows`], of a query with parameters.
    pub fn rows_of(&self, device: Id, sql: &str, params: &[Value]) -> Vec<String> {
        let rows = self.engine(device).query(sql, params).expect("a query").rows;
        rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" ")).collect()
    }

    /// The outbox.
    pub fn outbox(&self, device: Id) -> Vec<OutboxEntry> {
        self.engine(device).outbox().expect("readable")
    }

    /// The codes of what was refused for good, oldest first.
    pub fn refused(&self, device: Id) -> Vec<String> {
        let dead = self.outbox(device).into_iter().filter(|e| e.state == EntryState::Dead);
        dead.map(|e| e.problem.map(|p| p.code.to_string()).unwrap_or_default()).collect()
    }

    /// The running app, for looking at.
    pub fn engine(&self, device: Id) -> &Engine {
        self.devices[device].app.as_ref().expect("the app runs")
    }

    /// Time goes by.
    pub fn pass(&mut self, seconds: u64) {
        let until = self.now + seconds * SECOND;
        while self.queue.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.now = until;
    }

    /// Goes on, event by event, until it is so.
    #[track_caller]
    pub fn until(&mut self, mut so: impl FnMut(&Self) -> bool) {
        let end = self.now + PATIENCE;
        while !so(self) {
            assert!(self.now < end, "it never came to that; {}", self.told());
            self.step();
        }
    }

    /// Goes on until every device that runs and has a network shows what the server has, and has nothing left to send.
    #[track_caller]
    pub fn settle(&mut self) {
        self.until(|world| {
            let head = world.head();
            let rests = |app: &Engine| {
                let status = app.status();
                let waits = status.pending + status.acknowledged;
                status.connectivity == Connectivity::Online
                    && waits == 0
                    && app.is_caught_up()
                    && app.db().cursor().is_some_and(|cursor| cursor.seq == head)
            };
            world.devices.iter().filter(|d| d.network).filter_map(|d| d.app.as_ref()).all(rests)
        });
    }

    fn told(&self) -> String {
        let apps = self.devices.iter().filter_map(|d| d.app.as_ref());
        let told: Vec<String> = apps.map(|app| format!("{:?} {:?}", app.status(), app.db().counts())).collect();
        format!("the server stands at {}; {told:#?}", self.head())
    }

    fn input(&mut self, device: Id, input: Input) {
        if self.devices[device].app.is_some() {
            self.app(device, |app, now, random| app.handle(input, now, random));
        }
    }

    fn carry_out(&mut self, device: Id) {
        let life = self.devices[device].life;
        // A machine without power says nothing more.
        while !self.devices[device].disk.power_lost() {
            let Some(effect) = self.devices[device].app.as_mut().and_then(Engine::poll_effect) else { break };
            match effect {
                Effect::Connect { connection } => {
                    self.last_conn += 1;
                    let conn = self.last_conn;
                    self.connections.insert(conn, Connection { device, name: connection });
                    self.queue.at(self.now + WAY, Event::Knock { conn });
                }
                Effect::Disconnect { .. } => self.cut(device, false),
                Effect::Send { connection, message } => {
                    let open = self.connections.iter().find(|(_, c)| c.device == device && c.name == connection);
                    if let Some((conn, _)) = open {
                        let event = Event::Up { conn: *conn, frame: encode_binary(&message) };
                        self.queue.at(self.now + WAY, event);
                    }
                }
                Effect::FetchChunk { request, address } => {
                    let event = Event::Ask { device, life, request, address: address.to_string() };
                    self.queue.at(self.now + WAY, event);
                }
                _ => {}
            }
        }
        let machine = &mut self.devices[device];
        let Some(deadline) = machine.app.as_ref().and_then(Engine::deadline_ms) else { return };
        let at = machine.clock.virtual_at(deadline).max(self.now + 1);
        if machine.tick_at.is_none_or(|due| at < due || due <= self.now) {
            machine.tick_at = Some(at);
            self.queue.at(at, Event::Tick { device, life });
        }
    }

    fn step(&mut self) {
        let (time, event) = self.queue.pop().expect("something is always to come");
        self.now = time;
        match event {
            Event::Tick { device, life } => {
                let machine = &mut self.devices[device];
                if machine.life == life && machine.tick_at.is_none_or(|due| due <= time) {
                    machine.tick_at = None;
                    self.input(device, Input::Tick);
                }
            }
            Event::Knock { conn } => {
                let network = self.connections.get(&conn).is_some_and(|c| self.devices[c.device].network);
                let core = self.server.core.as_mut().filter(|_| network);
                let open = core.map(|core| core.connect(conn, server_moment(time))).is_some();
                self.queue.at(time + WAY, Event::Answer { conn, open });
                self.after_server();
            }
            Event::Answer { conn, open } => self.answered(conn, open),
            Event::Up { conn, frame } => self.hears(conn, &frame),
            Event::Down { conn, frame } => {
                let Some(Connection { device, name }) = self.connections.get(&conn) else { return };
                let message = decode_binary(&frame).expect("a message of the server");
                self.input(*device, Input::Frame { connection: *name, message });
            }
            Event::HungUp { conn } => self.answered(conn, false),
            Event::Ask { device, life, request, address } => {
                let core = self.server.core.as_ref().filter(|_| self.devices[device].network);
                let chunk = core.and_then(|core| core.chunk(&address, server_moment(time)).ok());
                let body = chunk.map(|chunk| encode_binary(&chunk));
                self.queue.at(time + WAY, Event::Chunk { device, life, request, body });
            }
            Event::Chunk { device, life, request, body } if self.devices[device].life == life => {
                let reason = "no network".to_owned();
                let failed = Input::ChunkFailed { request, gone: false, reason, retry_after_ms: None };
                let body = body.filter(|_| self.devices[device].network);
                let loaded = body.map(|body| decode_binary(&body).expect("a chunk"));
                self.input(device, loaded.map_or(failed, |chunk| Input::ChunkLoaded { request, chunk }));
            }
            Event::Chunk { .. } => {}
            Event::Commit { life } if self.server.life == life => {
                self.server.commit_at = None;
                if let Some(core) = self.server.core.as_mut() {
                    core.commit(16, server_moment(time));
                }
                self.after_server();
            }
            Event::ServerTick { life } if self.server.life == life => {
                self.server.tick_at = None;
                if let Some(core) = self.server.core.as_mut() {
                    core.tick(server_moment(time));
                }
                self.after_server();
            }
            Event::Commit { .. } | Event::ServerTick { .. } => {}
        }
    }

    fn answered(&mut self, conn: u64, open: bool) {
        let Some(Connection { device, name }) = self.connections.get(&conn) else { return };
        let (device, connection) = (*device, *name);
        if open {
            return self.input(device, Input::Connected { connection });
        }
        self.connections.remove(&conn);
        self.input(
            device,
            Input::Disconnected { connection, reason: "the server is not there".to_owned(), retry_after_ms: None },
        );
    }

    fn hears(&mut self, conn: u64, frame: &[u8]) {
        if let (true, Some(core)) = (self.connections.contains_key(&conn), self.server.core.as_mut()) {
            let message = decode_binary(frame).expect("a message of a device");
            core.receive(conn, message, server_moment(self.now), self.server.dice.generator());
            self.after_server();
        }
    }

    /// What the sessions have to say is put on its way.
    fn after_server(&mut self) {
        let now = server_moment(self.now);
        let Some(core) = self.server.core.as_mut() else { return };
        for conn in self.connections.keys() {
            while let Some(message) = core.poll(*conn, now) {
                self.queue.at(self.now + WAY, Event::Down { conn: *conn, frame: encode_binary(&message) });
            }
            if core.session(*conn).is_some() && core.is_closed(*conn) {
                core.disconnect(*conn);
                self.queue.at(self.now + WAY, Event::HungUp { conn: *conn });
            }
        }
        let life = self.server.life;
        if core.waiting() > 0 && self.server.commit_at.is_none() {
            self.server.commit_at = Some(self.now + GATHERING);
            self.queue.at(self.now + GATHERING, Event::Commit { life });
        }
        if let Some(deadline) = core.deadline_ms(now) {
            let at = MachineClock::default().virtual_at(deadline).max(self.now + MILLI);
            if self.server.tick_at.is_none_or(|due| at < due || due <= self.now) {
                self.server.tick_at = Some(at);
                self.queue.at(at, Event::ServerTick { life });
            }
        }
    }
}

fn moment(clock: &MachineClock, now: Micros) -> Moment {
    Moment { wall_ms: clock.wall_ms(now), mono_ms: clock.mono_ms(now) }
}

fn server_moment(now: Micros) -> ServerMoment {
    let clock = MachineClock::default();
    ServerMoment { wall_ms: clock.wall_ms(now), mono_ms: clock.mono_ms(now) }
}
