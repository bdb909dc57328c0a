//! A real server on a real socket, and devices that speak the protocol by hand.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use landfall_core::{CellWrite, Epoch, Operation, ReplicaId, RowKey, Schema, Stamp, Transaction, Value};
use landfall_protocol::client::Cursor;
use landfall_protocol::{
    Chunk, ClientMessage, Entry, Form, Frame, Hello, Opening, ServerMessage, Start, Welcome, decode_server,
    encode_client,
};
use landfall_server::auth::Authenticator;
use landfall_server::http::{Options, ServeError, serve};
use landfall_server::session::Rules;
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub const SCHEMA: &str = r#"
[app]
name = "test"
version = 1

[tables.notes.columns]
id    = { type = "uuid", default = "uuid" }
topic = { type = "text", required = true }
body  = { type = "text" }

[shapes.all]
table = "notes"

[shapes.topic]
table = "notes"
where = "topic = :topic"
[shapes.topic.params]
topic = "text"
"#;

/// How long any single step may take before the test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Running {
    pub address: std::net::SocketAddr,
    pub dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    done: tokio::task::JoinHandle<Result<(), ServeError>>,
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl Running {
    pub async fn start() -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), |_| {}).await
    }

    pub async fn start_with(dir: tempfile::TempDir, adjust: impl FnOnce(&mut Rules)) -> Self {
        Self::start_as(dir, adjust, Options::default()).await
    }

    pub async fn start_as(dir: tempfile::TempDir, adjust: impl FnOnce(&mut Rules), how: Options) -> Self {
        let schema = Schema::parse("landfall.toml", SCHEMA).unwrap_or_else(|e| panic!("{}", e.render(SCHEMA, false)));
        let mut rules = Rules::new(&schema, Authenticator::new().with_development(true));
        adjust(&mut rules);
        let options = SqliteOptions::path(dir.path().join("landfall.db"));
        let store =
            SqliteStore::open(options, schema, Fresh { epoch: Epoch(*b"a first history!"), seed: [7; 32] }, now_ms())
                .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async move {
            let _ = stopped.await;
        };
        let done = tokio::spawn(serve(listener, Box::new(store), rules, how, until));
        Self { address, dir, stop: Some(stop), done }
    }

    pub fn tell_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn ended(self) -> tempfile::TempDir {
        tokio::time::timeout(PATIENCE, self.done).await.expect("stops in time").unwrap().unwrap();
        self.dir
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn device(&self, number: u8) -> Device {
        Device::connect(self.address, number, Form::Binary).await
    }
}

/// A device that keeps nothing but its position.
pub struct Device {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub replica: ReplicaId,
    pub form: Form,
    rseq: u64,
}

impl Device {
    pub async fn connect(address: std::net::SocketAddr, number: u8, form: Form) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/v1/sync")).await.unwrap();
        Self { socket, replica: ReplicaId([number; 16]), form, rseq: 0 }
    }

    pub fn hello(&self) -> Hello {
        Hello {
            min_version: 1,
            max_version: 1,
            token: Some("dev:ada".into()),
            replica: self.replica,
            app: "test".into(),
            schema_version: 1,
            last_rseq: 0,
            floor: 0,
            cursor: None,
            clock_ms: now_ms(),
            agent: "test".into(),
            sent: Vec::new(),
        }
    }

    pub async fn send(&mut self, message: &ClientMessage) {
        let message = match encode_client(message, self.form) {
            Frame::Binary(bytes) => Message::Binary(bytes.into()),
            Frame::Text(text) => Message::Text(text.into()),
        };
        self.socket.send(message).await.unwrap();
    }

    /// The next message; `None` when the server has closed the connection.
    pub async fn receive(&mut self) -> Option<ServerMessage> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("an answer in time");
            let frame = match message {
                Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes.to_vec()),
                Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => continue,
            };
            assert_eq!(
                matches!(frame, Frame::Text(_)),
                self.form == Form::Json,
                "answers come in the form of the question"
            );
            return Some(decode_server(&frame).unwrap());
        }
    }

    /// Waits for the first message that `wanted` takes; others are passed over.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(ServerMessage) -> Option<T>) -> T {
        loop {
            let message = self.receive().await.expect("the session goes on");
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }

    pub async fn greet(&mut self, cursor: Option<Cursor>) -> Welcome {
        let hello = Hello { cursor, ..self.hello() };
        self.send(&ClientMessage::Hello(hello)).await;
        match self.receive().await {
            Some(ServerMessage::Welcome(welcome)) => welcome,
            other => panic!("no welcome: {other:?}"),
        }
    }

    /// The error that ends the session.
    pub async fn fatal(&mut self) -> String {
        let code = self
            .until(|message| match message {
                ServerMessage::Error { code, fatal: true, .. } => Some(code.to_string()),
                _ => None,
            })
            .await;
        assert!(self.receive().await.is_none(), "a fatal error is the last message");
        code
    }

    pub fn note(&mut self, topic: &str, body: &str) -> Transaction {
        self.rseq += 1;
        let mut id = self.replica.0;
        id[8..].copy_from_slice(&self.rseq.to_be_bytes());
        let cell = |column: &str, text: &str| CellWrite::new(column, Value::Text(text.into()));
        Transaction {
            replica: self.replica,
            rseq: self.rseq,
            stamp: Stamp { wall_ms: now_ms(), counter: 0, replica: self.replica },
            operations: vec![Operation::Insert {
                table: "notes".into(),
                key: RowKey(vec![Value::Uuid(id)]),
                base: 0,
                cells: vec![cell("topic", topic), cell("body", body)],
            }],
            after: vec![],
            requires: vec![],
            origin: None,
            action: None,
            expires_ms: None,
        }
    }

    pub async fn push(&mut self, id: u32, transactions: Vec<Transaction>) {
        let entries = transactions.into_iter().map(Entry::from).collect();
        self.send(&ClientMessage::push(id, entries, now_ms(), 0)).await;
    }

    /// The sequences under which a push was accepted.
    pub async fn accepted(&mut self, push: u32) -> Vec<u64> {
        let decisions = self
            .until(|message| match message {
                ServerMessage::Acknowledge { id, decisions, .. } if id == push => Some(decisions),
                _ => None,
            })
            .await;
        let seq = |outcome| match outcome {
            landfall_protocol::Outcome::Accepted { seq } => seq,
            other => panic!("not accepted: {other:?}"),
        };
        decisions.into_iter().map(|decision| seq(decision.outcome)).collect()
    }

    pub async fn open(&mut self, id: u32, shape: &str, params: &[(&str, &str)]) -> Opening {
        let params: BTreeMap<_, _> =
            params.iter().map(|(k, v)| ((*k).to_owned(), Value::Text((*v).to_owned()))).collect();
        self.send(&ClientMessage::Open { id, shape: shape.into(), params, held: vec![] }).await;
        self.until(|message| match message {
            ServerMessage::Opened { id: of, mut buckets } if of == id => buckets.pop(),
            ServerMessage::Error { message, .. } => panic!("not opened: {message}"),
            _ => None,
        })
        .await
    }

    /// Loads a bucket's chunks, resumes, and says Applied; the number of rows.
    pub async fn load(&mut self, address: std::net::SocketAddr, opening: &Opening) -> usize {
        let Start::Load { at, first, .. } = &opening.start else { panic!("not to be loaded: {opening:?}") };
        let (mut next, mut rows) = (Some(first.clone()), 0);
        while let Some(path) = next {
            let body = reqwest::get(format!("http://{address}{path}")).await.unwrap().bytes().await.unwrap();
            let chunk: Chunk = landfall_protocol::codec::decode_binary(&body).unwrap();
            rows += chunk.rows.len();
            next = chunk.next;
        }
        self.send(&ClientMessage::Resume { bucket: opening.bucket, at: *at }).await;
        self.until(|message| matches!(message, ServerMessage::CatchUp { done: true, .. }).then_some(())).await;
        rows
    }

    /// Reads the live stream up to `seq`; the changes on the way, and the cursor reached.
    pub async fn live_until(&mut self, epoch: Epoch, seq: u64) -> (usize, Cursor) {
        let mut changes = 0;
        loop {
            let (to, chain, count) = self
                .until(|message| match message {
                    ServerMessage::Live { to, chain, buckets, .. } => {
                        Some((to, chain, buckets.iter().map(|b| b.changes.0.len()).sum::<usize>()))
                    }
                    _ => None,
                })
                .await;
            changes += count;
            if to >= seq {
                return (changes, Cursor { epoch, seq: to, chain });
            }
        }
    }

    pub async fn applied(&mut self, seq: u64) {
        self.send(&ClientMessage::Applied { seq }).await;
    }
}
