//! F: people who type in one document, and people who are at one row, over the protocol of `y-websocket`. What stands beside ours is
//! the server of that name, in this run, on this machine: it holds the document in memory, and writes it to LevelDB behind
//! the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use landfall_core::Value;
use landfall_core::value::format_uuid;
use landfall_doc::sync::{Frame, Present, decode};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use yrs::{Doc, Text as _, Transact as _};

use super::Context;
use super::load::{client, settled};
use crate::Fallible;
use crate::figures::{Figure, Latency};
use crate::process::{Peer, Server, cpu_of, scratch};

const PAPER: [u8; 16] = [7; 16];

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Sink = futures_util::stream::SplitSink<Socket, Message>;

/// A server with a row that has a document.
pub(super) async fn server(context: &Context) -> Fallible<Server> {
    let server = Server::start(&context.server)?;
    let (_folder, path) = scratch()?;
    let client = client(Some(&server), &path).await?;
    client.open_shape("papers", Default::default()).await?;
    client.write(|tx| tx.execute("INSERT INTO papers (id) VALUES (?)", &[Value::Uuid(PAPER)])).await?;
    settled(&client).await?;
    client.close().await;
    Ok(server)
}

/// Where its document is.
pub(super) fn document(server: &Server) -> String {
    format!("ws://{}/v1/docs/papers/{}/body?token=dev:bench", server.address, format_uuid(&PAPER))
}

pub(super) async fn connect(address: &str) -> Fallible<Socket> {
    Ok(connect_async(address).await?.0)
}

pub(super) async fn say(socket: &mut Socket, frame: &Frame) -> Fallible<()> {
    Ok(socket.send(Message::Binary(frame.encode().into())).await?)
}

pub(super) async fn hear(socket: &mut Socket) -> Fallible<Vec<Frame>> {
    loop {
        match socket.next().await.ok_or("the server ended the connection")?? {
            Message::Binary(bytes) => return Ok(decode(&bytes)?),
            Message::Close(_) => return Err("the server closed the connection".into()),
            _ => {}
        }
    }
}

/// What is told apart when it comes back.
type Said = Vec<u8>;
/// When each was said.
type Times = Arc<Mutex<HashMap<Said, Instant>>>;

/// Many at one place, each with a connection; what they hear is timed.
struct Crowd {
    sinks: Vec<Sink>,
    times: Times,
    heard: UnboundedReceiver<Duration>,
    /// The server's process.
    pid: u32,
}

impl Crowd {
    async fn gather(address: &str, pid: u32, people: usize, of: fn(Frame) -> Vec<Said>) -> Fallible<Self> {
        let (hears, heard) = unbounded_channel();
        let times = Times::default();
        let mut sinks = Vec::new();
        for _ in 0..people {
            let mut socket = connect(address).await?;
            say(&mut socket, &Frame::Have(vec![0])).await?;
            while !hear(&mut socket).await?.iter().any(|frame| matches!(frame, Frame::Rest(_))) {}
            let (sink, stream) = socket.split();
            sinks.push(sink);
            tokio::spawn(listen(stream, Arc::clone(&times), hears.clone(), of));
        }
        Ok(Self { sinks, times, heard, pid })
    }

    /// One after the other says something, at this rate; each is heard by all: how long that takes, and the server's processor time
    /// for one in milliseconds.
    async fn talk(
        mut self,
        many: usize,
        per_second: u32,
        what: impl Fn(usize) -> (Said, Frame),
    ) -> Fallible<(Latency, f64)> {
        let (mut all, before, began) = (Latency::new(), cpu_of(self.pid)?, Instant::now());
        let people = self.sinks.len();
        for write in 0..many {
            tokio::time::sleep_until((began + Duration::from_secs(1) * write as u32 / per_second).into()).await;
            let (said, frame) = what(write);
            self.times.lock().unwrap_or_else(PoisonError::into_inner).insert(said, Instant::now());
            self.sinks[write % people].send(Message::Binary(frame.encode().into())).await?;
        }
        for _ in 0..many * people {
            let came = tokio::time::timeout(Duration::from_secs(60), self.heard.recv()).await;
            all.record(came.map_err(|_| "something was not heard")?.ok_or("everybody has gone")?);
        }
        Ok((all, (cpu_of(self.pid)? - before) * 1e3 / many as f64))
    }
}

async fn listen(
    mut stream: futures_util::stream::SplitStream<Socket>,
    times: Times,
    hears: UnboundedSender<Duration>,
    of: fn(Frame) -> Vec<Said>,
) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Binary(bytes) = message else { continue };
        let now = Instant::now();
        let Ok(frames) = decode(&bytes) else { return };
        for said in frames.into_iter().flat_map(of) {
            let began = times.lock().unwrap_or_else(PoisonError::into_inner).get(&said).copied();
            if let Some(began) = began
                && hears.send(now.duration_since(began)).is_err()
            {
                return;
            }
        }
    }
}

/// People who type in one document at the same time.
pub async fn editors(context: Context, people: usize, per_second: u32) -> Fallible<Vec<Figure>> {
    let writes = (6 * per_second / context.scale).max(20) as usize;
    let own = {
        let server = server(&context).await?;
        type_at(&document(&server), server.pid(), (people, writes, per_second)).await?
    };
    let peer = match &context.peer {
        Some(program) => {
            let peer = Peer::start(program).await?;
            Some(type_at(&format!("ws://{}/papers", peer.address), peer.pid(), (people, writes, per_second)).await?)
        }
        None => None,
    };
    let name =
        format!("a key → each of {people} in one document, p50 (durable); beside: y-websocket's server (not durable)");
    Ok(beside(&name, "processor time of the server per key", &own, peer.as_ref()))
}

async fn type_at(
    address: &str,
    pid: u32,
    (people, writes, per_second): (usize, usize, u32),
) -> Fallible<(Latency, f64)> {
    let of = |frame| if let Frame::Update(update) = frame { vec![update] } else { vec![] };
    let crowd = Crowd::gather(address, pid, people, of).await?;
    let docs: Vec<Doc> = (0..people).map(|n| Doc::with_client_id(n as u64 + 10)).collect();
    let what = |write: usize| {
        let doc = &docs[write % people];
        let text = doc.get_or_insert_text("body");
        let mut transaction = doc.transact_mut();
        text.push(&mut transaction, "x");
        let update = transaction.encode_update_v1();
        (update.clone(), Frame::Update(update))
    };
    crowd.talk(writes, per_second, what).await
}

/// People who are at one row, of whom some move.
pub async fn room(context: Context, people: usize, per_second: u32) -> Fallible<Vec<Figure>> {
    let people = people / context.scale as usize;
    let moves = (6 * per_second / context.scale).max(20) as usize;
    let own = {
        let server = server(&context).await?;
        let address = format!("ws://{}/v1/rooms/papers/{}?token=dev:bench", server.address, format_uuid(&PAPER));
        move_at(&address, server.pid(), (people, moves, per_second)).await?
    };
    let peer = match &context.peer {
        Some(program) => {
            let peer = Peer::start(program).await?;
            Some(move_at(&format!("ws://{}/room", peer.address), peer.pid(), (people, moves, per_second)).await?)
        }
        None => None,
    };
    let name =
        format!("a move, {per_second} a second → each of {people} in one room, p50; beside: y-websocket's server");
    Ok(beside(&name, "processor time of the server per move", &own, peer.as_ref()))
}

async fn move_at(
    address: &str,
    pid: u32,
    (people, moves, per_second): (usize, usize, u32),
) -> Fallible<(Latency, f64)> {
    let name = |id: u64, clock: u32| [id.to_le_bytes().as_slice(), &clock.to_le_bytes()].concat();
    let of = |frame| match frame {
        Frame::Awareness(all) => {
            let name =
                |(id, present): (u64, Present)| [id.to_le_bytes().as_slice(), &present.clock.to_le_bytes()].concat();
            all.into_iter().map(name).collect()
        }
        _ => vec![],
    };
    let crowd = Crowd::gather(address, pid, people, of).await?;
    let what = |write: usize| {
        let (id, clock) = ((write % people) as u64 + 10, (write / people) as u32 + 1);
        let state = format!(r#"{{"user":{{"name":"Ada {id}"}},"cursor":{{"at":{write}}}}}"#).into();
        (name(id, clock), Frame::Awareness(vec![(id, Present { clock, state })]))
    };
    crowd.talk(moves, per_second, what).await
}

fn beside(name: &str, cost: &'static str, own: &(Latency, f64), peer: Option<&(Latency, f64)>) -> Vec<Figure> {
    let figure = |name: String, unit, of: &dyn Fn(&(Latency, f64)) -> f64| {
        let figure = Figure::new(name, of(own), unit);
        match peer {
            Some(peer) => figure.floor(of(peer)),
            None => figure,
        }
    };
    vec![
        figure(name.to_owned(), "ms", &|one| one.0.ms(0.5)),
        figure("the same, p99".to_owned(), "ms", &|one| one.0.ms(0.99)),
        figure(cost.to_owned(), "ms", &|one| one.1),
    ]
}
