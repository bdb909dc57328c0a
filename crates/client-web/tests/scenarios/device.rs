//! The native device: the engine on real SQLite, with what a driver and the browser's surface do around it. What it does
//! and shows is told in the JSON of `landfall_client_web`, so that the other device can be held against the same words.

use std::collections::{BTreeMap, VecDeque};

use landfall_client::db::{Location, Options};
use landfall_client::live::{LiveQuery, QueryId};
use landfall_client::{Effect, Engine, Input, Moment};
use landfall_client_web::failure::Failure;
use landfall_client_web::json::{self, Types};
use landfall_client_web::ops;
use landfall_core::Schema;
use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_protocol::{Chunk, ClientMessage, ServerMessage};
use serde_json::{Map, Value as Json, json};

/// When every scenario begins, by the device's clock.
const WALL_MS: u64 = 1_795_000_000_000;
const MONO_MS: u64 = 1_000;
/// More turns of the timer than any scenario needs: a device that wants more spins.
const MOST_TURNS: usize = 200;

/// Randomness that both runners draw alike: xorshift, 32 bits, the lowest byte of each.
struct Dice(u32);

impl Dice {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            *byte = self.0.to_le_bytes()[0];
        }
    }
}

/// A device, its clocks and its network.
pub struct Device {
    engine: Engine,
    dice: Dice,
    now: Moment,
    /// The connection that was asked for last, and the one before that.
    connection: u64,
    before: u64,
    fetches: VecDeque<(u64, String)>,
    types: BTreeMap<QueryId, Types>,
    /// What it did since it was asked last.
    did: Vec<Json>,
    /// What was offered under each number, for P1.
    offered: BTreeMap<String, Json>,
}

fn parse(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON of our own")
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json} should be a text"))
}

fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("{json} should be a number"))
}

/// Entries of the outbox, without what scenarios do not speak of.
fn told_of(entries: &str) -> Json {
    let mut entries = parse(entries);
    for entry in entries.as_array_mut().into_iter().flatten().filter_map(Json::as_object_mut) {
        entry.retain(|name, _| !["attempts", "created"].contains(&name.as_str()));
    }
    entries
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(byte).collect()
}

impl Device {
    pub fn new(schema: &str) -> Self {
        let schema = Schema::from_json(schema).expect("the compiled schema");
        let mut dice = Dice(0x1234_5678);
        let now = Moment { wall_ms: WALL_MS, mono_ms: MONO_MS };
        let options = Options { exclusive: true, cache_kib: 1_024, chunk_rows: 2, ..Options::default() };
        let mut fill = |bytes: &mut [u8]| dice.fill(bytes);
        let mut engine = Engine::open(&Location::Memory, schema, options, now, &mut fill).expect("opens");
        // As the surface does when it opens.
        engine.handle(Input::SetToken { token: Some("token".into()) }, now, &mut fill);
        engine.handle(Input::SetOnline { online: false }, now, &mut fill);
        let mut device = Self {
            engine,
            dice,
            now,
            connection: 0,
            before: 0,
            fetches: VecDeque::new(),
            types: BTreeMap::new(),
            did: Vec::new(),
            offered: BTreeMap::new(),
        };
        device.drain();
        assert_eq!(device.did, Vec::<Json>::new(), "a device that is offline does nothing by itself");
        device
    }

    /// Takes a step, and tells what the device did.
    pub fn take(&mut self, step: &Map<String, Json>, messages: &Json) -> Vec<Json> {
        for (verb, what) in step {
            match verb.as_str() {
                "app" => self.app(what),
                "net" => self.net(what),
                "server" => {
                    let frame = self.frame(what, messages, step);
                    self.hear(self.connection, &frame);
                }
                "late" => {
                    let frame = self.frame(what, messages, step);
                    self.hear(self.before, &frame);
                }
                "frame" => self.hear(self.connection, &unhex(text(what))),
                "chunk" => self.chunk(what),
                "after" => self.wait(number(what)),
                "clock" => self.now.wall_ms = self.now.wall_ms.saturating_add_signed(what.as_i64().expect("a number")),
                "cut" | "packed" | "turned" | "see" | "then" | "why" => {}
                other => panic!("no step is called '{other}'"),
            }
        }
        self.turn(self.now.mono_ms);
        // Answers wait a millisecond for the changes behind them. Here every step takes longer than that.
        if self.engine.deadline_ms() == Some(self.now.mono_ms + 1) {
            self.input(Input::Tick);
        }
        std::mem::take(&mut self.did)
    }

    fn input(&mut self, input: Input) {
        let (now, dice) = (self.now, &mut self.dice);
        self.engine.handle(input, now, &mut |bytes| dice.fill(bytes));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            let did = match effect {
                Effect::Connect { connection } => {
                    (self.before, self.connection) = (self.connection, connection);
                    json!({"connect": connection})
                }
                Effect::Disconnect { connection } => json!({"disconnect": connection}),
                Effect::Send { connection, message } => {
                    assert_eq!(connection, self.connection, "it speaks over a connection that is not the present one");
                    let message: ClientMessage = decode_binary(&encode_binary(&message)).expect("its own message");
                    self.sent(serde_json::to_value(&message).expect("plain data"))
                }
                Effect::FetchChunk { request, address } => {
                    self.fetches.push_back((request, address.to_string()));
                    json!({"fetch": address})
                }
                Effect::Rows { query, diff } => {
                    let types = &self.types[&query];
                    json!({"rows": parse(&json::diff(&diff, types))})
                }
                Effect::QueryFailed { reason, .. } => json!({"query_failed": reason}),
                Effect::Status(_) | Effect::Mirror(_) | Effect::MirrorAnew => continue,
            };
            self.did.push(did);
        }
    }

    /// P1: whatever is offered again under a number is the same, to the byte.
    fn sent(&mut self, mut message: Json) -> Json {
        for entry in message.get("entries").and_then(Json::as_array).into_iter().flatten() {
            let name = format!("{} {}", entry["replica"], entry["rseq"]);
            let before = self.offered.entry(name).or_insert_with(|| entry.clone());
            assert_eq!(before, entry, "P1: another content under a number that was offered before");
        }
        if let Some(agent) = message.get_mut("agent") {
            // It holds the version of the build.
            *agent = json!("landfall");
        }
        json!({"send": message})
    }

    /// Runs what is due up to a time.
    fn turn(&mut self, until_ms: u64) {
        for _ in 0..MOST_TURNS {
            let Some(due) = self.engine.deadline_ms().filter(|at| *at <= until_ms) else { return };
            self.pass(due.saturating_sub(self.now.mono_ms));
            self.input(Input::Tick);
        }
        panic!("the device spins");
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now.mono_ms + ms;
        self.turn(until);
        self.pass(until - self.now.mono_ms);
    }

    fn net(&mut self, what: &Json) {
        let connection = self.connection;
        self.input(match what.get("down") {
            None => Input::Connected { connection },
            Some(reason) => Input::Disconnected { connection, reason: text(reason).to_owned(), retry_after_ms: None },
        });
    }

    /// The bytes of a message, with what it leaves out, cut or damaged as the step says.
    fn frame(&self, message: &Json, messages: &Json, step: &Map<String, Json>) -> Vec<u8> {
        let mut whole = messages[text(&message["type"])].as_object().cloned().unwrap_or_default();
        whole.extend(message.as_object().cloned().expect("a message"));
        for value in whole.values_mut().filter(|value| **value == json!("now")) {
            *value = json!(self.now.wall_ms);
        }
        let message: ServerMessage = serde_json::from_value(Json::Object(whole)).expect("a message of the server");
        let mut frame = encode_binary(&message);
        if let Some(cut) = step.get("cut") {
            frame.truncate(frame.len() - number(cut) as usize);
        }
        if let Some(bit) = step.get("turned") {
            let bit = number(bit) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        if let Some(packed) = step.get("packed") {
            assert_eq!(Json::Bool(frame[0] == 1), *packed, "whether the frame is compressed");
        }
        frame
    }

    fn hear(&mut self, connection: u64, frame: &[u8]) {
        self.input(match decode_binary(frame) {
            Ok(message) => Input::Frame { connection, message },
            Err(error) => Input::BadFrame { connection, reason: error.to_string() },
        });
    }

    fn chunk(&mut self, what: &Json) {
        let (address, what) = what.as_object().and_then(|o| o.iter().next()).expect("an address and its answer");
        let at = self.fetches.iter().position(|(_, asked)| asked == address);
        let (request, _) =
            at.and_then(|at| self.fetches.remove(at)).unwrap_or_else(|| panic!("nobody asked for {address}"));
        let retry_after_ms = what.get("wait").and_then(Json::as_u64);
        let failed = |gone, reason| Input::ChunkFailed { request, gone, reason, retry_after_ms };
        self.input(match (what.get("gone"), what.get("later"), what.get("frame")) {
            (Some(reason), _, _) => failed(true, text(reason).to_owned()),
            (_, Some(reason), _) => failed(false, text(reason).to_owned()),
            (_, _, Some(hex)) => match decode_binary::<Chunk>(&unhex(text(hex))) {
                Ok(chunk) => Input::ChunkLoaded { request, chunk },
                Err(error) => failed(false, error.to_string()),
            },
            _ => {
                let chunk: Chunk = serde_json::from_value(what.clone()).expect("a chunk");
                let chunk = decode_binary(&encode_binary(&chunk)).expect("its own chunk");
                Input::ChunkLoaded { request, chunk }
            }
        });
    }

    fn app(&mut self, what: &Json) {
        let (call, given) = what.as_object().and_then(|o| o.iter().next()).expect("a call");
        let result = self.call(call, given, what);
        self.drain();
        match result {
            Ok(Json::Null) => {}
            Ok(value) => self.did.push(value),
            Err(failure) => self.did.push(json!({"failed": failure.code})),
        }
    }

    fn call(&mut self, call: &str, given: &Json, what: &Json) -> Result<Json, Failure> {
        let (now, engine, dice) = (self.now, &mut self.engine, &mut self.dice);
        let mut fill = |bytes: &mut [u8]| dice.fill(bytes);
        let schema = engine.db().schema().clone();
        match call {
            "online" => engine.handle(Input::SetOnline { online: *given == json!(true) }, now, &mut fill),
            "token" => engine.handle(Input::SetToken { token: given.as_str().map(str::to_owned) }, now, &mut fill),
            "pause" => engine.set_paused(*given == json!(true), now, &mut fill)?,
            "replay" => engine.replay(now, &mut fill)?,
            "review" => return Ok(json!({"review": told_of(&json::review(&engine.review()?))})),
            "nudge" => engine.handle(Input::Nudge, now, &mut fill),
            "write" => {
                let operations = ops::operations(&schema, &given.to_string())?;
                let written = engine.write(now, &mut fill, |tx| ops::run(tx, &operations))?;
                return Ok(json!({"wrote": written.rseq}));
            }
            "watch" => {
                let query = LiveQuery::Sql { sql: text(given).to_owned(), params: Vec::new(), key: None };
                let watched = engine.watch(query)?;
                let answer = json::watched(&watched.columns, &watched.rows, &watched.types, watched.complete);
                self.types.insert(watched.id, watched.types);
                return Ok(json!({"watched": parse(&answer)}));
            }
            "open" => {
                let params = what.get("params").map_or_else(|| "{}".to_owned(), Json::to_string);
                let params = ops::shape_parameters(&schema, text(given), &params)?;
                return Ok(json!({"opened": engine.open_shape(text(given), params, now, &mut fill)?}));
            }
            "close" => engine.close_shape(number(given), now, &mut fill)?,
            "retry" => return Ok(json!({"wrote": engine.retry(number(given), now, &mut fill)?})),
            "discard" => engine.discard(number(given), now)?,
            other => panic!("no call of the app is named '{other}'"),
        }
        Ok(Json::Null)
    }

    /// What the app sees, of what is asked for.
    pub fn see(&self, asked: &Json) -> Json {
        let mut seen = Map::new();
        for (what, wanted) in asked.as_object().expect("what is to be seen") {
            let found = match what.as_str() {
                "status" => {
                    let status = parse(&json::status(self.engine.status()));
                    let part = |(name, _): (&String, &Json)| (name.clone(), status[name].clone());
                    wanted.as_object().expect("parts of the status").iter().map(part).collect::<Map<_, _>>().into()
                }
                "outbox" => told_of(&json::outbox(&self.engine.outbox().expect("readable"))),
                "shapes" => {
                    let state = |(handle, _): (&String, &Json)| {
                        let number: u64 = handle.parse().expect("a handle");
                        let failure = self.engine.session().failure(number);
                        let state = json!({"complete": self.engine.is_complete(number), "failure": failure});
                        (handle.clone(), state)
                    };
                    wanted.as_object().expect("handles").iter().map(state).collect::<Map<_, _>>().into()
                }
                sql => match self.engine.query(sql, &[]) {
                    Ok(rows) => parse(&json::rows(&rows))["rows"].clone(),
                    Err(error) => json!({"failed": Failure::from(error).code}),
                },
            };
            seen.insert(what.clone(), found);
        }
        Json::Object(seen)
    }
}
