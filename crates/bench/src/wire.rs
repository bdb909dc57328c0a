//! A device reduced to its wire: enough to load a server from one process with a thousand sessions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use landfall_core::{CellWrite, Operation, ReplicaId, RowKey, Stamp, Transaction, Value};
use landfall_protocol::codec::decode_binary;
use landfall_protocol::{ClientMessage, Form, Frame, Hello, Outcome, ServerMessage, Start, VERSION, encode_client};
use rand::TryRng as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::Fallible;

pub mod open;

/// 16 random bytes.
pub fn random16() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness of the system the benchmark still runs; keys then repeat and it says so by failing.
    let _ = rand::rngs::SysRng.try_fill_bytes(&mut bytes);
    bytes
}

/// A random uuid as text.
pub fn random_uuid() -> String {
    landfall_core::value::format_uuid(&random16())
}

/// The `n`-th list's id as text.
pub fn uuid_text(n: u8) -> String {
    landfall_core::value::format_uuid(&[n; 16])
}

/// A title of 40 characters that differs from row to row.
pub fn title(n: u64) -> String {
    format!("{:<40}", format!("row {n:08} {:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Of sockets in benchmarks: the library sets aside, and clears, 128 KiB for each read otherwise.
pub fn small_buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4 << 10)
}

/// What becomes of a flood.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    refusals: AtomicU64,
    /// It was told to wait.
    pub refused: Notify,
}

impl Tally {
    /// How many transactions were accepted so far, and how often it was told to wait.
    pub fn so_far(&self) -> [u64; 2] {
        [&self.accepted, &self.refusals].map(|count| count.load(Ordering::Relaxed))
    }
}

/// A session.
pub struct Device {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    replica: ReplicaId,
    rseq: u64,
    list: u8,
    /// Titles count from here: those of several devices should not be the same.
    titles: u64,
}

impl Device {
    /// Connects and is welcomed.
    pub async fn connect(address: &str, list: u8) -> Fallible<Self> {
        Self::connect_as(address, list, "bench").await
    }

    /// The same, in the name of somebody.
    pub async fn connect_as(address: &str, list: u8, subject: &str) -> Fallible<Self> {
        let (socket, _) = tokio_tungstenite::connect_async_with_config(
            format!("ws://{address}/v1/sync"),
            Some(small_buffers()),
            true,
        )
        .await?;
        let replica = ReplicaId(random16());
        let mut device = Self { socket, replica, rseq: 0, list, titles: 0 };
        let hello = Hello {
            min_version: VERSION,
            max_version: VERSION,
            token: Some(format!("dev:{subject}")),
            replica,
            app: "bench".into(),
            schema_version: 1,
            last_rseq: 0,
            floor: 0,
            cursor: None,
            clock_ms: now_ms(),
            agent: "landfall-bench".into(),
            sent: Vec::new(),
        };
        device.send(&ClientMessage::Hello(hello)).await?;
        match device.next().await? {
            ServerMessage::Welcome(_) => Ok(device),
            other => Err(format!("no welcome: {other:?}").into()),
        }
    }

    async fn send(&mut self, message: &ClientMessage) -> Fallible<()> {
        let Frame::Binary(bytes) = encode_client(message, Form::Binary) else { return Err("not binary".into()) };
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }

    async fn next_bytes(&mut self) -> Fallible<Bytes> {
        loop {
            match self.socket.next().await.ok_or("the server closed the session")?? {
                Message::Binary(bytes) => return Ok(bytes),
                Message::Close(reason) => return Err(format!("closed: {reason:?}").into()),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Fallible<ServerMessage> {
        Ok(decode_binary(&self.next_bytes().await?)?)
    }

    /// Opens its list, loads its chunks, and waits until it is live.
    pub async fn subscribe(&mut self, http: &reqwest::Client, address: &str) -> Fallible<()> {
        let params = [("list".to_owned(), Value::Uuid([self.list; 16]))].into();
        self.send(&ClientMessage::Open { id: 1, shape: "list".into(), params, held: Vec::new() }).await?;
        self.send(&ClientMessage::Applied { seq: 0 }).await?;
        loop {
            match self.next().await? {
                ServerMessage::Opened { buckets, .. } => {
                    for opening in buckets {
                        let Start::Load { at, first, .. } = opening.start else { continue };
                        let mut next = Some(first);
                        while let Some(path) = next {
                            let body = http.get(format!("http://{address}{path}")).send().await?.bytes().await?;
                            let chunk: landfall_protocol::Chunk = landfall_protocol::codec::decode_binary(&body)?;
                            next = chunk.next;
                        }
                        self.send(&ClientMessage::Resume { bucket: opening.bucket, at }).await?;
                    }
                }
                ServerMessage::CatchUp { done: true, .. } => return Ok(()),
                ServerMessage::Error { message, .. } => return Err(message.into()),
                _ => {}
            }
        }
    }

    /// Waits for a message that carries changes; gives its size on the wire. Acknowledges by Applied now and then.
    pub async fn next_change(&mut self) -> Fallible<usize> {
        loop {
            let bytes = self.next_bytes().await?;
            let size = bytes.len();
            if let ServerMessage::Live { to, buckets, .. } = decode_binary(&bytes)?
                && !buckets.is_empty()
            {
                if to.is_multiple_of(64) {
                    self.send(&ClientMessage::Applied { seq: to }).await?;
                }
                return Ok(size);
            }
        }
    }

    /// A transaction that inserts one row into its list.
    pub fn insert(&mut self) -> Transaction {
        self.rseq += 1;
        let write = |column: &str, value| CellWrite::new(column, value);
        let position = self.rseq as i64;
        let cells = vec![
            write("list_id", Value::Uuid([self.list; 16])),
            write("title", Value::Text(title(self.titles + self.rseq))),
            write("done", Value::Bool(false)),
            write("position", Value::Int(position)),
            write("updated_at", Value::Timestamp(now_ms() as i64 * 1_000)),
        ];
        let key = RowKey::single(Value::Uuid(random16()));
        Transaction {
            replica: self.replica,
            rseq: self.rseq,
            stamp: Stamp { wall_ms: now_ms(), counter: 0, replica: self.replica },
            operations: vec![Operation::Insert { table: "items".into(), key, base: 0, cells }],
            after: Vec::new(),
            requires: Vec::new(),
            origin: None,
            action: None,
            expires_ms: None,
        }
    }

    /// Pushes transactions and waits until all are durable.
    pub async fn push(&mut self, transactions: Vec<Transaction>) -> Fallible<()> {
        let id = self.rseq as u32;
        let entries = transactions.into_iter().map(Into::into).collect();
        let floor = self.rseq.saturating_sub(1_000);
        self.send(&ClientMessage::push(id, entries, now_ms(), floor)).await?;
        loop {
            match self.next().await? {
                ServerMessage::Acknowledge { decisions, .. } => {
                    let refused = decisions.iter().find(|d| !matches!(d.outcome, Outcome::Accepted { .. }));
                    return refused.map_or(Ok(()), |d| Err(format!("not accepted: {d:?}").into()));
                }
                ServerMessage::Error { message, .. } => return Err(message.into()),
                _ => {}
            }
        }
    }
}

impl Device {
    /// Pushes as much as the server takes, until it is told to end: two pushes of `size` transactions under way, and as
    /// soon as one is answered the next.
    pub async fn flood(&mut self, size: usize, until: &watch::Receiver<Instant>, tally: &Tally) -> Fallible<()> {
        let mut id = 0;
        let mut under_way = std::collections::BTreeMap::new();
        while Instant::now() < *until.borrow() || !under_way.is_empty() {
            while under_way.len() < 2 && Instant::now() < *until.borrow() {
                let batch: Vec<Transaction> = (0..size).map(|_| self.insert()).collect();
                id += 1;
                self.offer(id, &batch).await?;
                under_way.insert(id, batch);
            }
            match self.next().await? {
                ServerMessage::Acknowledge { id, decisions, .. } => {
                    under_way.remove(&id);
                    let accepted = decisions.iter().filter(|d| matches!(d.outcome, Outcome::Accepted { .. })).count();
                    tally.accepted.fetch_add(accepted as u64, Ordering::Relaxed);
                }
                ServerMessage::Error { about: Some(about), fatal: false, retry_after_ms, .. } => {
                    tally.refusals.fetch_add(1, Ordering::Relaxed);
                    tally.refused.notify_waiters();
                    tokio::time::sleep(Duration::from_millis(retry_after_ms.unwrap_or(100))).await;
                    if let Some(batch) = under_way.remove(&about).filter(|_| Instant::now() < *until.borrow()) {
                        id += 1;
                        self.offer(id, &batch).await?;
                        under_way.insert(id, batch);
                    }
                }
                ServerMessage::Error { message, .. } => return Err(message.into()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn offer(&mut self, id: u32, batch: &[Transaction]) -> Fallible<()> {
        let entries = batch.iter().cloned().map(Into::into).collect();
        let (clock_ms, floor) = (now_ms(), batch.first().map_or(0, |first| first.rseq - 1));
        self.send(&ClientMessage::push(id, entries, clock_ms, floor.saturating_sub(4_000))).await
    }

    async fn open(&mut self, id: u32, list: [u8; 16]) -> Fallible<Vec<landfall_protocol::Opening>> {
        let params = [("list".to_owned(), Value::Uuid(list))].into();
        self.send(&ClientMessage::Open { id, shape: "list".into(), params, held: Vec::new() }).await?;
        loop {
            match self.next().await? {
                ServerMessage::Opened { buckets, .. } => return Ok(buckets),
                ServerMessage::Error { message, .. } => return Err(message.into()),
                _ => {}
            }
        }
    }

    /// Opens its list, and leaves it at that.
    pub async fn open_list(&mut self) -> Fallible<()> {
        self.open(1, [self.list; 16]).await.map(drop)
    }

    /// The bytes of all chunks of its list as they travel.
    pub async fn chunk_bytes(&mut self, http: &reqwest::Client, address: &str) -> Fallible<usize> {
        let mut total = 0;
        for opening in self.open(1, [self.list; 16]).await? {
            let Start::Load { first, .. } = opening.start else { continue };
            let mut next = Some(first);
            while let Some(path) = next {
                let body = http.get(format!("http://{address}{path}")).send().await?.bytes().await?;
                total += body.len();
                next = landfall_protocol::codec::decode_binary::<landfall_protocol::Chunk>(&body)?.next;
            }
        }
        Ok(total)
    }

    /// Opens as many different buckets, one after the other.
    pub async fn open_and_close(&mut self, buckets: usize) -> Fallible<()> {
        for n in 0..buckets {
            let id = n as u32 + 1;
            self.open(id, random16()).await?;
            self.send(&ClientMessage::Close { id }).await?;
        }
        Ok(())
    }
}
