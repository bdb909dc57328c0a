//! Documents for editors that speak the protocol of `y-websocket`: `/v1/docs/<table>/<key>/<column>`. And who is at a row, a chat's
//! for instance, without any document: `/v1/rooms/<table>/<key>`, in which nothing is written.
//!
//! The public provider needs no change: the token is a parameter of the address. What is written becomes transactions of the
//! person like any other (rows of `<table>_docs`), checked by the same rules, and is passed on to the others when it is
//! durable. Nothing is answered before the document is loaded, and no document stays in memory: what somebody lacks is told
//! from the rows.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{ConnectInfo, Path, Query, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use landfall_core::error::codes as core_codes;
use landfall_core::hash::hash128;
use landfall_core::schema::Table;
use landfall_core::schema::docs::{DOC_COLUMN, DOC_UPDATE};
use landfall_core::{CellWrite, ColumnType, Operation, ReplicaId, RowKey, Schema, Stamp, Transaction, Value};
use landfall_doc::sync::{Frame, decode};
use landfall_protocol::{Entry, Outcome, codes};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::rooms::{Member, Name, News};
use super::sessions::Handle;
use super::shared::Shared;
use super::{READ_BUFFER_BYTES, origin};
use crate::auth::Identity;
use crate::session::{Event, Reply, Request};
use crate::store::{Document, PushEntry, Subject};

/// What waits to be committed, bytes: beyond that nothing more is read from the connection.
const MOST_WAITING: usize = 8 << 20;
/// What waits to be committed, updates.
const MOST_FRAMES: usize = 4_096;
/// What becomes one transaction: updates, and bytes of them, unless a single one has more.
const MOST_AT_ONCE: usize = 64;
const MOST_TOGETHER: usize = 1 << 20;
/// How long a member may take to take one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait before what could not be taken is offered again, unless the server says otherwise.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the person may still see it, and who is still there.
const LOOK: Duration = Duration::from_secs(15);

/// Whose transactions what comes in here is: one replica for each subject, that counts as long as the process runs, and from
/// where the store stands when it begins.
pub(super) struct Authors {
    last: Mutex<BTreeMap<String, u64>>,
    /// Nobody else can tell what the replicas are called, and take a name first.
    secret: [u8; 32],
}

impl Authors {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { last: Mutex::default(), secret }
    }

    fn replica(&self, subject: &str) -> ReplicaId {
        ReplicaId(hash128(&[b"landfall documents ", &self.secret[..], subject.as_bytes()].concat()))
    }

    /// The next number, above what the store has decided.
    fn next(&self, subject: &str, last: u64) -> u64 {
        let mut authors = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let next = authors.entry(subject.to_owned()).or_default();
        *next = (*next).max(last) + 1;
        *next
    }
}

fn refused(status: StatusCode, code: &str, text: &str) -> Response {
    (status, format!("{text} [{code}]")).into_response()
}

/// What comes with a request to enter.
type Asked = (Query<BTreeMap<String, String>>, HeaderMap, Result<WebSocketUpgrade, WebSocketUpgradeRejection>);

/// Opens a document.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((table, key, column)): Path<(String, String, String)>,
    parameters: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let name = named(&shared.rules.schema, table, &key, Some(column));
    let text = "there is no such document; the address is /v1/docs/<table>/<key>/<column>, of a column of type doc";
    enter(&shared, peer, (parameters, headers, upgrade), name.ok_or(text))
}

/// Goes to a row.
pub(super) async fn get_room(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((table, key)): Path<(String, String)>,
    parameters: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let name = named(&shared.rules.schema, table, &key, None);
    let text =
        "there is no such row; the address is /v1/rooms/<table>/<key>, of a synced table with a key of one column";
    enter(&shared, peer, (parameters, headers, upgrade), name.ok_or(text))
}

fn enter(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    (Query(parameters), headers, upgrade): Asked,
    name: Result<Name, &str>,
) -> Response {
    if !origin::admits(&headers, &shared.origins) {
        let text = "this server lets no pages of that origin in; start it with --allow-origin and the page's origin";
        return refused(StatusCode::FORBIDDEN, "LF-6105", text);
    }
    if let Err(busy) = shared.door.connects(shared.sessions.len()) {
        let refusal = busy.refusal();
        return refused(StatusCode::SERVICE_UNAVAILABLE, refusal.code.as_str(), &refusal.message);
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = parameters.get("token").map(String::as_str).or(bearer);
    let who = match shared.rules.auth.check(token, shared.now().wall_ms) {
        Ok(who) => who,
        Err(problem) => {
            return refused(StatusCode::UNAUTHORIZED, codes::NEEDS_SIGN_IN.as_str(), &problem.to_string());
        }
    };
    let name = match name {
        Ok(name) => name,
        Err(text) => return refused(StatusCode::NOT_FOUND, core_codes::UNKNOWN_NAME.as_str(), text),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let text = format!("{}; this address is for WebSocket clients", rejection.body_text());
            return refused(rejection.status(), "LF-6107", &text);
        }
    };
    let (limit, shared) = (shared.rules.limits.frame_bytes as usize, Arc::clone(shared));
    upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| run(socket, shared, peer, who, name))
}

fn named(schema: &Schema, table: String, key: &str, column: Option<String>) -> Option<Name> {
    let is_there = |of: &&Table| column.as_ref().map_or(of.sync, |column| of.docs.contains(column));
    let of = schema.table(&table).filter(is_there)?;
    let [key_column] = &of.primary_key[..] else { return None };
    let key = match of.column(key_column)?.ty {
        ColumnType::Uuid => Value::Uuid(landfall_core::value::parse_uuid(key)?),
        ColumnType::Text => Value::Text(key.to_owned()),
        ColumnType::Integer => Value::Int(key.parse().ok()?),
        _ => return None,
    };
    Some(Name { table, key: RowKey::single(key), column })
}

struct Connection {
    shared: Arc<Shared>,
    socket: WebSocket,
    handle: Arc<Handle>,
    member: Member,
    subject: Arc<Subject>,
    name: Name,
    /// The last number that the store had decided of this author's when the connection began.
    last_rseq: u64,
    may_write: bool,
    was_denied: bool,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// What is being committed.
    under_way: Option<PushEntry>,
    /// The store has been asked about that.
    is_asked: bool,
    /// When what could not be taken is offered again.
    again: Option<tokio::time::Instant>,
}

async fn run(socket: WebSocket, shared: Arc<Shared>, peer: SocketAddr, who: Identity, name: Name) {
    let handle = shared.sessions.enter(peer.ip());
    let left = who.expires_in_ms(shared.now().wall_ms).map_or(Duration::from_secs(86_400 * 365), Duration::from_millis);
    let subject = Arc::new(Subject { id: who.subject, claims: who.claims });
    let (member, news) = shared.rooms.enter(name.clone(), handle.id, Arc::from(subject.id.as_str()));
    let mut connection = Connection {
        shared: Arc::clone(&shared),
        socket,
        handle: Arc::clone(&handle),
        member,
        subject,
        name,
        last_rseq: 0,
        may_write: false,
        was_denied: false,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        under_way: None,
        is_asked: false,
        again: None,
    };
    // A token that has expired ends it; the provider comes back with a new one.
    let _ = tokio::time::timeout(left, connection.converse(news)).await;
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.socket.close()).await;
    drop(connection);
    shared.sessions.leave(handle.id);
    if let Some(payer) = handle.subject.get() {
        shared.door.left(payer);
    }
}

impl Connection {
    /// Until one side goes. What is under way then is committed all the same; what waits is the provider's to bring again.
    async fn converse(&mut self, mut news: broadcast::Receiver<News>) -> Option<()> {
        self.greet().await?;
        self.look(false).await?;
        let drain = self.shared.drain.clone();
        let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
        loop {
            self.offer();
            let again = self.again.unwrap_or_else(|| tokio::time::Instant::now() + LOOK);
            let wake = Arc::clone(&self.handle.wake);
            tokio::select! {
                () = drain.cancelled() => return None,
                () = wake.notified() => self.hear_answers().await?,
                said = news.recv() => match said {
                    Ok(News::Message(message)) => self.send(Message::Binary(message)).await?,
                    Ok(News::LookAgain) => self.look(false).await.map(drop)?,
                    // Too far behind, or the room is gone: whoever connects again has everything.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                message = self.socket.next(), if self.waiting_bytes < MOST_WAITING && self.waiting.len() < MOST_FRAMES => {
                    self.hear(message?.ok()?).await?;
                }
                () = tokio::time::sleep_until(again), if self.again.is_some() => self.again = None,
                _ = looks.tick() => {
                    self.shared.rooms.tidy();
                    self.look(false).await.map(drop)?;
                }
            }
        }
    }

    /// Counts as a session of the person, and learns where the author stands.
    async fn greet(&mut self) -> Option<()> {
        let (replica, subject) = (self.shared.authors.replica(&self.subject.id), Arc::clone(&self.subject));
        self.shared.ask(&self.handle, Request::Hello { replica, subject, cursor: None, sent: Vec::new() });
        loop {
            self.handle.wake.notified().await;
            for event in self.handle.answers() {
                match event {
                    Event::Reply(Reply::Hello(Ok(answer))) => {
                        self.last_rseq = answer.replica.last_rseq;
                        return Some(());
                    }
                    Event::Reply(Reply::Hello(Err(refusal))) => {
                        let reason = format!("{} [{}]", refusal.message, refusal.code);
                        self.deny(reason).await?;
                        return None;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Reads the document, or only whose it is, as far as the person may; ends the connection where they may not.
    async fn look(&mut self, whole: bool) -> Option<Document> {
        let (payer, name) = (self.handle.payer(), self.name.clone());
        let read = move |reader: &dyn crate::store::StoreReader| {
            let column = name.column.as_deref();
            reader.document(&name.table, &name.key, column.unwrap_or_default(), whole && column.is_some())
        };
        let found = match self.shared.with_reader(&payer, read).await? {
            Ok(found) => found,
            Err(problem) => {
                tracing::error!(code = %problem.code(), "reading a document failed: {problem}");
                return None;
            }
        };
        let env = self.subject.env();
        let access = &self.shared.rules.schema.table(&self.name.table)?.access;
        let allows = |rule: &Option<landfall_core::predicate::Predicate>, document: &Document| {
            rule.as_ref().is_none_or(|rule| rule.matches(&document.row, &env).unwrap_or(false))
        };
        let Some(document) = found.filter(|document| allows(&access.read, document)) else {
            // The row may be on its way still, from the device on which it was made.
            self.deny(format!("there is no such document that you may read [{}]", core_codes::REFERENCE)).await?;
            return None;
        };
        self.may_write = self.name.column.is_some() && allows(&access.update, &document);
        // What was written meanwhile was not taken: the provider brings all of it when it connects again.
        if self.may_write && self.was_denied { None } else { Some(document) }
    }

    async fn hear(&mut self, message: Message) -> Option<()> {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return None,
            // The library answers pings.
            _ => return Some(()),
        };
        // Whoever does not speak the protocol is not listened to any longer.
        let frames =
            decode(&bytes).inspect_err(|problem| tracing::info!("a document's connection ends: {problem}")).ok()?;
        for frame in frames {
            match frame {
                Frame::Have(vector) => self.tell_rest(vector).await?,
                Frame::Rest(update) | Frame::Update(update) => self.take(update).await?,
                Frame::Awareness(entries) => self.member.says(entries),
                Frame::WhoIsThere => self.tell_who().await?,
                Frame::Denied(_) | Frame::Other(_) => {}
            }
        }
        Some(())
    }

    /// What the other side lacks, what it may know that is not here, and who is there.
    async fn tell_rest(&mut self, vector: Vec<u8>) -> Option<()> {
        let document = self.look(true).await?;
        let told = tokio::task::spawn_blocking(move || landfall_doc::answer(&document.updates, &vector));
        let (rest, have) = match told.await.ok()? {
            Ok(told) => told,
            Err(problem) => {
                tracing::warn!(table = self.name.table, key = %self.name.key, "a document cannot be told: {problem}");
                return None;
            }
        };
        self.say(&Frame::Rest(rest)).await?;
        if self.may_write {
            self.say(&Frame::Have(have)).await?;
        }
        self.tell_who().await
    }

    async fn tell_who(&mut self) -> Option<()> {
        match self.member.room.who_is_there() {
            Some(frame) => self.say(&frame).await,
            None => Some(()),
        }
    }

    async fn take(&mut self, update: Vec<u8>) -> Option<()> {
        if update == landfall_doc::NOTHING {
            return Some(());
        }
        if !self.may_write {
            if !std::mem::replace(&mut self.was_denied, true) {
                let what = match self.name.column {
                    Some(_) => "you may read this document, and not write to it",
                    None => "a row is no document: who is there is all that is told here",
                };
                self.deny(format!("{what} [{}]", core_codes::NOT_ALLOWED)).await?;
            }
            return Some(());
        }
        self.waiting_bytes += update.len();
        self.waiting.push_back(update);
        Some(())
    }

    /// Offers what waits, all of it as one update, unless something is under way.
    fn offer(&mut self) {
        if self.again.is_some() {
            return;
        }
        if self.under_way.is_none() {
            let Some(update) = self.together() else { return };
            self.under_way = Some(self.transaction(update));
            self.is_asked = false;
        }
        // What was asked waits for its answer.
        if let Some(entry) = self.under_way.as_ref().filter(|_| !std::mem::replace(&mut self.is_asked, true)) {
            self.shared.ask(&self.handle, Request::Push { id: 1, entries: vec![entry.clone()] });
        }
    }

    /// As much of it as fits an update, and is put together quickly.
    fn together(&mut self) -> Option<Vec<u8>> {
        let mut bytes = 0;
        let fits = |update: &&Vec<u8>| {
            bytes += update.len();
            bytes <= MOST_TOGETHER
        };
        let many = self.waiting.iter().take(MOST_AT_ONCE).take_while(fits).count().max(1);
        let all: Vec<Vec<u8>> = self.waiting.drain(..many.min(self.waiting.len())).collect();
        self.waiting_bytes -= all.iter().map(Vec::len).sum::<usize>();
        match &all[..] {
            [] => None,
            [only] => Some(only.clone()),
            // One that is none is refused by itself.
            many => Some(landfall_doc::merge(many).unwrap_or_else(|_| {
                for update in many[1..].iter().rev() {
                    self.waiting_bytes += update.len();
                    self.waiting.push_front(update.clone());
                }
                many[0].clone()
            })),
        }
    }

    fn transaction(&self, update: Vec<u8>) -> PushEntry {
        let replica = self.shared.authors.replica(&self.subject.id);
        let rseq = self.shared.authors.next(&self.subject.id, self.last_rseq);
        let stamp = Stamp { wall_ms: self.shared.now().wall_ms, counter: 0, replica };
        let mut id = hash128(&[&replica.0[..], &rseq.to_le_bytes(), &update].concat());
        // A uuid of version 8 (RFC 9562).
        (id[6], id[8]) = (id[6] & 0x0f | 0x80, id[8] & 0x3f | 0x80);
        let schema = &self.shared.rules.schema;
        let of_key = schema.table(&self.name.table).and_then(|t| t.primary_key.first().cloned()).unwrap_or_default();
        let key = self.name.key.0.first().cloned().unwrap_or_default();
        let cells = vec![
            CellWrite::new(of_key, key),
            CellWrite::new(DOC_COLUMN, Value::Text(self.name.column.clone().unwrap_or_default())),
            CellWrite::new(DOC_UPDATE, Value::Bytes(update)),
        ];
        let operation = Operation::Insert {
            table: format!("{}_docs", self.name.table),
            key: RowKey::single(Value::Uuid(id)),
            // Who is connected sees everything.
            base: self.shared.hub.head().seq,
            cells,
        };
        let transaction = Transaction {
            replica,
            rseq,
            stamp,
            operations: vec![operation],
            after: Vec::new(),
            requires: Vec::new(),
            origin: None,
            action: None,
            expires_ms: None,
        };
        PushEntry::new(Entry::from(transaction), Arc::clone(&self.subject))
    }

    async fn hear_answers(&mut self) -> Option<()> {
        for event in self.handle.answers() {
            let Event::Reply(Reply::Push { result, .. }) = event else { continue };
            let again = match result.map(|mut outcomes| outcomes.pop()) {
                Ok(Some(Outcome::Accepted { .. })) => None,
                Ok(Some(Outcome::Refused { problem, .. })) => {
                    self.deny(format!("{} [{}]", problem.message, problem.code)).await?;
                    return None;
                }
                // The number is taken: by a server that was restored from a copy, or by a copy of it.
                Ok(Some(Outcome::Copied)) => return None,
                Ok(_) => Some(AGAIN),
                Err(refusal) => Some(refusal.retry_after_ms.map_or(AGAIN, Duration::from_millis)),
            };
            match again {
                None => self.under_way = None,
                Some(wait) => {
                    self.again = Some(tokio::time::Instant::now() + wait);
                    self.is_asked = false;
                }
            }
        }
        Some(())
    }

    async fn deny(&mut self, reason: String) -> Option<()> {
        self.say(&Frame::Denied(reason)).await
    }

    async fn say(&mut self, frame: &Frame) -> Option<()> {
        self.send(Message::Binary(frame.encode().into())).await
    }

    async fn send(&mut self, message: Message) -> Option<()> {
        tokio::time::timeout(SEND_TIMEOUT, self.socket.send(message)).await.ok()?.ok()
    }
}
