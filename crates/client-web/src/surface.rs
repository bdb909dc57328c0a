//! What JavaScript calls. Every call is one short turn: it drives the engine, then hands its effects to the sink.

use js_sys::{Array, JSON, JsString, Uint8Array};
use landfall_client::cache::Body;
use landfall_client::changes::ChangeSet;
use landfall_client::db::{Database, DbError, HeldWrite, Location, Options, RowImage, Written};
use landfall_client::live::{LiveQuery, QueryId};
use landfall_client::mirror::{self, Mirror, MirrorError, MirrorRecord, Plan};
use landfall_client::session::Entropy;
use landfall_client::{Effect, Engine, Input, Moment};
use landfall_core::flat::FlatMap;
use landfall_core::json::{Fields, Misread};
use landfall_core::rules::{MergeFunctions, Three};
use landfall_core::{ReplicaId, Schema};
// The binary form only: the other one would bring a reader and a writer of JSON for every message.
use landfall_protocol::codec::{decode_binary, encode_binary};
use sqlite_wasm_rs::vfs::VfsFilesManager as _;
use sqlite_wasm_vfs::sahpool::{self, OpfsSAHError, OpfsSAHPoolCfgBuilder};
use wasm_bindgen::prelude::*;

use crate::cache;
use crate::failure::Failure;
use crate::functions;
use crate::json::{self, Types};
use crate::ops;
use crate::sink::{Sink, ask_function, entropy, function_failed, performance_now};

/// The database's name in its pool of files.
const FILE: &str = "landfall.db";
/// The database, its log, one more of each that SQLite may make meanwhile, and some room.
const SLOTS: usize = 6;
/// Requests are remembered for a day.
const REQUEST_LIFE_MS: u64 = 86_400_000;

struct Config {
    schema: String,
    /// The folder on the origin private file system; none: in memory.
    directory: Option<String>,
    /// What SQLite calls the folder's file system: one that was given up keeps its name for the life of the module.
    vfs: String,
    token: Option<String>,
    online: bool,
    cache_kib: u32,
    /// At most so many rows of a first load in one turn.
    chunk_rows: usize,
    /// The merge functions that the app's module has; none: it named no module.
    functions: Option<Vec<String>>,
}

impl Config {
    fn read(text: &str) -> std::result::Result<Self, Misread> {
        let json = serde_json::from_str(text).map_err(|e: serde_json::Error| e.to_string())?;
        let fields = Fields::of(&json, "the configuration")?;
        let maybe = |name| fields.maybe(name).map(landfall_core::json::text).transpose();
        let maybe_list = |name| fields.maybe(name).map(|_| fields.list(name, landfall_core::json::text)).transpose();
        Ok(Self {
            schema: fields.text("schema")?,
            directory: maybe("directory")?,
            vfs: fields.text("vfs")?,
            token: maybe("token")?,
            online: fields.flag("online")?,
            cache_kib: fields.number("cache_kib")?,
            chunk_rows: fields.number("chunk_rows")? as usize,
            functions: maybe_list("functions")?,
        })
    }
}

type Result<T> = std::result::Result<T, JsValue>;

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        Self::from_str(&failure.to_json())
    }
}

fn failed(error: impl Into<Failure>) -> JsValue {
    error.into().into()
}

/// Text that came as JavaScript's own: taken over here, it needs no code for it around every call.
fn text(value: &JsValue) -> String {
    value.as_string().unwrap_or_default()
}

/// An answer as JavaScript's own value.
fn told(answer: std::result::Result<String, DbError>) -> Result<JsValue> {
    JSON::parse(&answer.map_err(failed)?)
}

fn now() -> Moment {
    let whole = |ms: f64| if ms.is_finite() && ms > 0.0 { ms as u64 } else { 0 };
    Moment { wall_ms: whole(js_sys::Date::now()), mono_ms: whole(performance_now()) }
}

/// The pool's refusal, with the browser's own word for it: the worker tells "in use" and "not there" apart by that.
fn pool_failure(error: &OpfsSAHError) -> Failure {
    let exception = match error {
        OpfsSAHError::Opfs { value, .. } => {
            js_sys::Reflect::get(value, &"name".into()).ok().and_then(|n| n.as_string())
        }
        OpfsSAHError::NotSupported => Some("NotSupportedError".to_owned()),
        OpfsSAHError::InvalidHeader { .. } | OpfsSAHError::DuplicateFilename(_) => Some("DamagedPool".to_owned()),
        _ => None,
    };
    Failure { exception, ..Failure::new("LF-5004", format!("the browser's storage cannot be opened: {error}")) }
}

/// The engine with what belongs to it.
#[wasm_bindgen]
pub struct Client {
    engine: Engine,
    sink: Sink,
    held: Option<HeldWrite>,
    types: FlatMap<QueryId, Types>,
    /// The shapes that the page has open, as it was told last.
    shapes: FlatMap<u64, (bool, Option<String>)>,
    /// The mirror is the only copy: it keeps whole rows too.
    in_memory: bool,
}

/// Opens or creates the database. `mirror` is the content of the outbox's mirror, frame after frame; `images` the whole
/// rows beside it, list after list.
#[wasm_bindgen]
pub async fn open(config: JsString, mirror: Uint8Array, images: Uint8Array, sink: Sink) -> Result<Client> {
    std::panic::set_hook(Box::new(|panic| {
        let _ = js_sys::Reflect::set(&js_sys::global(), &"landfallPanic".into(), &panic.to_string().into());
    }));
    let wrong = |what: &str| failed(Failure::new("LF-5006", format!("the compiled schema cannot be read: {what}")));
    let config = Config::read(&text(&config)).map_err(|e| wrong(&e))?;
    let schema = Schema::from_json(&config.schema).map_err(|e| wrong(&e.to_string()))?;
    let schema = match &config.functions {
        Some(names) => with_functions(schema, names),
        None => schema,
    };
    let (location, existed) = match &config.directory {
        None => (Location::Memory, false),
        Some(directory) => {
            let pool =
                OpfsSAHPoolCfgBuilder::new().vfs_name(&config.vfs).directory(directory).initial_capacity(SLOTS).build();
            let pool = sahpool::install::<sqlite_wasm_rs::WasmOsCallback>(&pool, true).await;
            let pool = pool.map_err(|e| failed(pool_failure(&e)))?;
            let existed = pool.contains(FILE).map_err(|e| failed(pool_failure(&e)))?;
            (Location::Vfs { name: FILE.to_owned(), vfs: config.vfs.clone() }, existed)
        }
    };
    let found = Mirror::from_bytes(&mirror.to_vec());
    let plan = mirror::plan(existed, &found, &schema.name).map_err(failed)?;
    let (cache_kib, chunk_rows, app) = (config.cache_kib, config.chunk_rows, schema.name.clone());
    let options = Options { exclusive: true, cache_kib, chunk_rows, ..Options::default() };
    let mut engine = Engine::open(&location, schema, options, now(), &mut entropy).map_err(failed)?;
    // One that was being made anew when the worker ended is made anew.
    let plan = if engine.is_new_beside(&found) { mirror::plan(false, &found, &app).map_err(failed)? } else { plan };
    // Before anything is taken over: from then on the mirror follows the new database.
    let problem = plan.damage(&found).map(|(places, found)| {
        let kept = format!("damaged-{}", now().wall_ms);
        sink.mirror_damaged(&kept);
        MirrorError::Damaged { places, found, kept: format!("`{kept}` in IndexedDB") }.to_string()
    });
    if let Plan::Recover(recovered) = plan {
        engine.adopt(&recovered, &read_images(&images.to_vec()), now()).map_err(failed)?;
    }
    if let Some(problem) = problem {
        engine.set_recovery_problem(problem, now());
    }
    engine.handle(Input::SetToken { token: config.token }, now(), &mut entropy);
    engine.handle(Input::SetOnline { online: config.online }, now(), &mut entropy);
    // A tab that lost its answer asks again within seconds.
    engine.forget_requests(now().wall_ms.saturating_sub(REQUEST_LIFE_MS)).map_err(failed)?;
    let in_memory = config.directory.is_none();
    let (types, shapes) = (FlatMap::new(), FlatMap::new());
    let mut client = Client { engine, sink, held: None, types, shapes, in_memory };
    client.mirror_anew()?;
    client.carry_out();
    Ok(client)
}

/// The schema with the functions of the app's module. They are called by name, out of the worker's global scope: what merges must
/// be able to go to another thread, which nothing of JavaScript's may.
fn with_functions(schema: Schema, names: &[String]) -> Schema {
    let bind = |bound: MergeFunctions, name: &String| {
        let own = name.clone();
        bound.on(name.as_str(), move |three: &Three<'_>| {
            let ty = three.ty.to_string();
            // A decimal's digits are not a part of what it is there.
            let ty = ty.split('(').next().unwrap_or(&ty);
            let answer = functions::answer(&text(&ask_function(&own, ty, &functions::question(three))), three.ty);
            answer.inspect_err(|why| function_failed(&own, why))
        })
    };
    let schema = schema.with_functions(&names.iter().fold(MergeFunctions::new(), bind));
    for (table, column, function) in schema.missing_functions() {
        function_failed(function, &format!("the module has none of this name, which {table}.{column} is merged by"));
    }
    schema
}

/// Lists of images, one after the other; what cannot be read is passed over, with what follows it.
fn read_images(bytes: &[u8]) -> Vec<RowImage> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let mut images = Vec::new();
    while let Ok(more) = decoder.decode::<Vec<RowImage>>() {
        images.extend(more);
    }
    images
}

fn name_of(replica: ReplicaId, rseq: u64) -> String {
    // Padded, so that names sort as sequences do.
    format!("{replica}:{rseq:020}")
}

#[wasm_bindgen]
impl Client {
    fn mirror_anew(&mut self) -> Result<()> {
        let (records, _) = mirror::read(&self.engine.mirror().map_err(failed)?.compact());
        let (names, frames, images) = (Array::new(), Array::new(), Array::new());
        for record in records {
            let name = match &record {
                MirrorRecord::Header { replica, .. } => format!("{replica}:"),
                MirrorRecord::Appended { replica, rseq, .. } | MirrorRecord::Decided { replica, rseq } => {
                    name_of(*replica, *rseq)
                }
            };
            names.push(&name.into());
            frames.push(&Uint8Array::from(record.to_frame().as_slice()));
            images.push(&self.images(&record).into());
        }
        self.sink.mirror_anew(names, frames, images);
        Ok(())
    }

    /// The whole rows that belong to a record, for a mirror that is the only copy.
    fn images(&self, record: &MirrorRecord) -> Option<Uint8Array> {
        let MirrorRecord::Appended { rseq, .. } = record else { return None };
        if !self.in_memory {
            return None;
        }
        let images = self.engine.db().images_of(*rseq).unwrap_or_default();
        // Writing to a Vec cannot fail.
        Some(Uint8Array::from(minicbor::to_vec(&images).unwrap_or_default().as_slice()))
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Connect { connection } => self.sink.connect(connection as f64),
                Effect::Disconnect { connection } => self.sink.disconnect(connection as f64),
                Effect::Send { connection, message } => {
                    self.sink.send(connection as f64, Uint8Array::from(encode_binary(&message).as_slice()));
                }
                Effect::FetchChunk { request, address } => self.sink.fetch(request as f64, &address),
                Effect::Status(status) => self.sink.status(&json::status(&status)),
                Effect::Rows { query, diff } => {
                    if let Some(types) = self.types.get(&query) {
                        self.sink.rows(query.0 as f64, &json::diff(&diff, types));
                    }
                }
                Effect::Mirror(record) => match &record {
                    MirrorRecord::Appended { replica, rseq, .. } => {
                        let frame = Uint8Array::from(record.to_frame().as_slice());
                        self.sink.mirror_put(&name_of(*replica, *rseq), frame, self.images(&record));
                    }
                    MirrorRecord::Decided { replica, rseq } => self.sink.mirror_delete(&name_of(*replica, *rseq)),
                    MirrorRecord::Header { replica, .. } => {
                        let frame = Uint8Array::from(record.to_frame().as_slice());
                        self.sink.mirror_put(&format!("{replica}:"), frame, None);
                    }
                },
                Effect::MirrorAnew => {
                    // The mirror stays as it was; the database is the truth, and each start writes the mirror anew.
                    let _ = self.mirror_anew();
                }
                Effect::QueryFailed { query, reason } => self.sink.query_failed(query.0 as f64, &reason),
            }
        }
        for (handle, told) in &mut self.shapes {
            let failure = self.engine.session().failure(*handle).map(str::to_owned);
            let state = (self.engine.is_complete(*handle), failure);
            if *told != state {
                told.clone_from(&state);
                self.sink.shape(*handle as f64, state.0, &told.1.as_deref().into());
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.engine.handle(input, now(), &mut entropy);
        self.carry_out();
    }

    /// When [`Client::tick`] is due, by `performance.now()`; nothing when it need not be called.
    pub fn deadline(&self) -> Option<f64> {
        self.engine.deadline_ms().map(|ms| ms as f64)
    }

    /// The deadline has come.
    pub fn tick(&mut self) {
        self.input(Input::Tick);
    }

    /// The network may have changed, or the app came to the foreground.
    pub fn nudge(&mut self) {
        self.input(Input::Nudge);
    }

    /// A socket is open.
    pub fn connected(&mut self, connection: f64) {
        self.input(Input::Connected { connection: connection as u64 });
    }

    /// A socket is gone, or never opened; perhaps with when to come back, in milliseconds from now, as the server says.
    pub fn disconnected(&mut self, connection: f64, reason: JsString, retry_after_ms: Option<f64>) {
        let (connection, retry_after_ms) = (connection as u64, retry_after_ms.map(|ms| ms as u64));
        self.input(Input::Disconnected { connection, reason: text(&reason), retry_after_ms });
    }

    /// A message came over a socket.
    pub fn frame(&mut self, connection: f64, bytes: Uint8Array) {
        let connection = connection as u64;
        self.input(match decode_binary(&bytes.to_vec()) {
            Ok(message) => Input::Frame { connection, message },
            Err(error) => Input::BadFrame { connection, reason: error.to_string() },
        });
    }

    /// A chunk was fetched.
    #[wasm_bindgen(js_name = chunkLoaded)]
    pub fn chunk_loaded(&mut self, request: f64, bytes: Uint8Array) {
        let request = request as u64;
        self.input(match decode_binary(&bytes.to_vec()) {
            Ok(chunk) => Input::ChunkLoaded { request, chunk },
            Err(error) => Input::ChunkFailed { request, gone: false, reason: error.to_string(), retry_after_ms: None },
        });
    }

    /// A chunk could not be fetched; `retry_after` is what the server says, milliseconds.
    #[wasm_bindgen(js_name = chunkFailed)]
    pub fn chunk_failed(&mut self, request: f64, gone: bool, reason: JsString, retry_after: Option<f64>) {
        let retry_after_ms = retry_after.map(|ms| ms as u64);
        self.input(Input::ChunkFailed { request: request as u64, gone, reason: text(&reason), retry_after_ms });
    }

    /// The person signed in with a token, or out with null.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(&mut self, token: &JsValue) {
        self.input(Input::SetToken { token: token.as_string() });
    }

    /// The app wants to be online or not.
    #[wasm_bindgen(js_name = setOnline)]
    pub fn set_online(&mut self, online: bool) {
        self.input(Input::SetOnline { online });
    }

    /// Reads with SQL.
    pub fn query(&self, sql: JsString, params: JsString) -> Result<JsString> {
        let params = ops::parameters(&text(&params)).map_err(failed)?;
        self.engine.query(&text(&sql), &params).map(|rows| json::rows(&rows).into()).map_err(failed)
    }

    /// Writes in one transaction; durable on return. Gives the entry of the outbox, if one was made. `request` names
    /// what must not be carried out twice; null, where nothing will be asked again.
    pub fn write(&mut self, operations: JsString, request: &JsValue) -> Result<JsValue> {
        let operations = ops::operations(self.engine.db().schema(), &text(&operations)).map_err(failed)?;
        let write = |db: &mut Database, now_ms, random: &mut Entropy<'_>| {
            db.write(now_ms, random, |tx| ops::run(tx, &operations)).map(Some)
        };
        let answer = self.once(request, write, json::written);
        self.carry_out();
        told(answer)
    }

    /// What was answered to a request that may have been carried out already, as JSON; undefined when it was not.
    pub fn answered(&self, request: JsString) -> Result<JsValue> {
        let found = self.engine.db().answered(&text(&request)).map_err(failed)?;
        Ok(found.map_or(JsValue::UNDEFINED, Into::into))
    }

    /// Begins a transaction that stays open between calls. Until it ends nothing but its own calls may be made.
    pub fn begin(&mut self) -> Result<()> {
        self.held = Some(self.engine.hold(now(), &mut entropy).map_err(failed)?);
        Ok(())
    }

    /// Operations of the open transaction. On error all of it is undone and it has ended.
    pub fn step(&mut self, operations: JsString) -> Result<()> {
        let held = self.held()?;
        let operations = match ops::operations(self.engine.db().schema(), &text(&operations)) {
            Ok(operations) => operations,
            Err(error) => {
                self.engine.let_go(held);
                return Err(failed(error));
            }
        };
        let stepped = self.engine.step_held(held, |tx| ops::run(tx, &operations));
        let (held, ()) = stepped.map_err(failed)?;
        self.held = Some(held);
        Ok(())
    }

    /// Reads within the open transaction. An error leaves it open, unless the statement itself ended it.
    pub fn peek(&mut self, sql: JsString, params: JsString) -> Result<JsString> {
        let (sql, params) = (text(&sql), ops::parameters(&text(&params)).map_err(failed)?);
        let held = self.held()?;
        let stepped = self.engine.step_held(held, |tx| Ok(tx.query(&sql, &params)));
        let (held, rows) = stepped.map_err(failed)?;
        self.held = Some(held);
        rows.map(|rows| json::rows(&rows).into()).map_err(failed)
    }

    /// Whether a transaction is open.
    #[wasm_bindgen(js_name = isHeld)]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Ends the open transaction; durable on return.
    pub fn commit(&mut self, request: &JsValue) -> Result<JsValue> {
        let held = self.held()?;
        let answer = self.once(request, |db, now_ms, _| db.finish_held(held, now_ms).map(Some), json::written);
        self.carry_out();
        told(answer)
    }

    /// Undoes the open transaction, if there is one.
    pub fn rollback(&mut self) {
        if let Some(held) = self.held.take() {
            self.engine.let_go(held);
        }
    }

    fn held(&mut self) -> Result<HeldWrite> {
        let ended = || failed(Failure::new("LF-5024", "the transaction has ended; begin another one"));
        self.held.take().ok_or_else(ended)
    }

    /// Watches a query. The first element is its handle, the second its answer as JSON.
    pub fn watch(&mut self, sql: JsString, params: JsString) -> Result<Array> {
        let (sql, params) = (text(&sql), ops::parameters(&text(&params)).map_err(failed)?);
        let watched = self.engine.watch(LiveQuery::Sql { sql, params, key: None }).map_err(failed)?;
        let answer = json::watched(&watched.columns, &watched.rows, &watched.types, watched.complete);
        self.types.insert(watched.id, watched.types);
        Ok(Array::of2(&(watched.id.0 as f64).into(), &answer.into()))
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, query: f64) {
        let id = QueryId(query as u64);
        self.types.remove(&id);
        self.engine.unwatch(id);
    }

    /// Opens a shape; the sink hears how it stands, now and when that changes.
    #[wasm_bindgen(js_name = openShape)]
    pub fn open_shape(&mut self, shape: JsString, params: JsString) -> Result<f64> {
        let (shape, params) = (text(&shape), text(&params));
        let params = ops::shape_parameters(self.engine.db().schema(), &shape, &params).map_err(failed)?;
        let handle = self.engine.open_shape(&shape, params, now(), &mut entropy).map_err(failed)?;
        let failure = self.engine.session().failure(handle).map(str::to_owned);
        let state = (self.engine.is_complete(handle), failure);
        self.sink.shape(handle as f64, state.0, &state.1.as_deref().into());
        self.shapes.insert(handle, state);
        self.carry_out();
        Ok(handle as f64)
    }

    /// Closes a shape: its rows leave the device unless another one holds them.
    #[wasm_bindgen(js_name = closeShape)]
    pub fn close_shape(&mut self, handle: f64) -> Result<()> {
        self.shapes.remove(&(handle as u64));
        let closed = self.engine.close_shape(handle as u64, now(), &mut entropy);
        self.carry_out();
        closed.map_err(failed)
    }

    /// A call of the cache, as JSON, and the value that it brings: text or bytes. Gives the answer's JSON and its value.
    pub fn cache(&mut self, call: JsString, value: &JsValue) -> Result<Array> {
        let body = match value.as_string() {
            Some(text) => Some(Body::Json(text)),
            None if value.is_undefined() => None,
            None => Some(Body::Bytes(value.unchecked_ref::<Uint8Array>().to_vec())),
        };
        let (head, body) = cache::call(&mut self.engine.cache(now()), &text(&call), body).map_err(failed)?;
        Ok(Array::of2(
            &head.into(),
            &match body {
                Some(Body::Json(text)) => text.into(),
                Some(Body::Bytes(bytes)) => Uint8Array::from(bytes.as_slice()).into(),
                None => JsValue::UNDEFINED,
            },
        ))
    }

    /// The outbox as JSON.
    pub fn outbox(&self) -> Result<JsString> {
        self.engine.outbox().map(|entries| json::outbox(&entries).into()).map_err(failed)
    }

    /// Offers a dead letter again; gives the number of the new entry.
    pub fn retry(&mut self, rseq: f64, request: &JsValue) -> Result<JsValue> {
        let rseq = rseq as u64;
        let again = |written: Option<&Written<()>>| written.and_then(|w| w.rseq).unwrap_or(rseq).to_string();
        let answer = self.once(request, |db, now_ms, random| db.retry(rseq, now_ms, random).map(Some), again);
        self.carry_out();
        told(answer)
    }

    /// What is done to the outbox beside writing: `undo` and `redo` (nothing, or the number of an entry to take back),
    /// `withdraw` (a number), `export` (nothing or a number), `import` (a file), `backups`, `pause` and `resume`, `try`,
    /// `review` and `replay`. The answer is JSON.
    pub fn manage(&mut self, verb: JsString, argument: JsString, request: &JsValue) -> Result<JsString> {
        let (verb, argument) = (text(&verb), text(&argument));
        let answer = self.managed(&verb, &argument, request);
        self.carry_out();
        answer.map(Into::into).map_err(failed)
    }

    /// Throws a dead letter away.
    pub fn discard(&mut self, rseq: f64, request: &JsValue) -> Result<JsValue> {
        let rseq = rseq as u64;
        let discard = |db: &mut Database, now_ms, _: &mut Entropy<'_>| {
            db.discard(rseq, now_ms)?;
            Ok(Some(Written { value: (), rseq: None, gone: vec![rseq], changes: ChangeSet::default() }))
        };
        let answer = self.once(request, discard, |_| "null".to_owned());
        self.carry_out();
        told(answer)
    }
}

impl Client {
    /// Carries out what makes one transaction at most; under the name of a request once, with the answer kept.
    fn once<R>(
        &mut self,
        request: &JsValue,
        f: impl FnOnce(&mut Database, u64, &mut Entropy<'_>) -> std::result::Result<Option<Written<R>>, DbError>,
        tell: impl FnOnce(Option<&Written<R>>) -> String,
    ) -> std::result::Result<String, DbError> {
        let (request, at) = (request.as_string(), now());
        let f = |db: &mut Database, random: &mut Entropy<'_>| f(db, at.wall_ms, random);
        self.engine.answering(request.as_deref(), at, &mut entropy, f, tell)
    }

    fn managed(&mut self, verb: &str, argument: &str, request: &JsValue) -> std::result::Result<String, DbError> {
        let (rseq, at) = (argument.parse::<u64>().ok(), now());
        match (verb, rseq) {
            ("undo", None) => return self.once(request, |db, at, random| db.undo_last(at, random), json::undone),
            ("undo", Some(rseq)) => {
                return self.once(request, |db, at, random| db.undo(rseq, at, random).map(Some), json::undone);
            }
            ("redo", _) => return self.once(request, |db, at, random| db.redo_last(at, random), json::undone),
            ("withdraw", Some(rseq)) => {
                return self.once(request, |db, at, random| db.withdraw(rseq, at, random).map(Some), json::withdrawn);
            }
            _ => {}
        }
        let engine = &mut self.engine;
        Ok(match (verb, rseq) {
            ("export", only) => engine.db().export(only, at.wall_ms)?,
            // What a file brings is known the second time.
            ("import", _) => json::imported(&engine.import(argument, at)?),
            ("pause" | "resume", _) => {
                engine.set_paused(verb == "pause", at, &mut entropy)?;
                "null".to_owned()
            }
            ("try", _) => engine.try_now(at, &mut entropy)?.to_string(),
            ("review", _) => json::review(&engine.review()?),
            ("replay", _) => {
                engine.replay(at, &mut entropy)?;
                "null".to_owned()
            }
            ("backups", _) => json::backups(&engine.db().backups()?),
            _ => return Err(DbError::NoSuchEntry { rseq: rseq.unwrap_or(0), state: "known" }),
        })
    }
}
