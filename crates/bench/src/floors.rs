//! Floors: the least that the same work can cost on this machine, measured in the same run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use rusqlite::Connection;
use tokio::io::AsyncBufReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::Fallible;
use crate::figures::Latency;
use crate::process::scratch;

mod relay;

pub use relay::Relay;

/// Median of an fsync after a small append, milliseconds.
pub fn fsync_ms() -> Fallible<f64> {
    let folder = tempfile::tempdir()?;
    let mut file = std::fs::File::create(folder.path().join("fsync"))?;
    let mut times = Latency::new();
    for _ in 0..101 {
        file.write_all(&[7; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.record(start.elapsed());
    }
    Ok(times.ms(0.5))
}

/// A bare database with the table of the benchmarks.
pub fn bare(path: &Path) -> Fallible<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch(
        "PRAGMA journal_mode=wal; PRAGMA synchronous=full;
         CREATE TABLE items (id TEXT PRIMARY KEY, list_id TEXT, title TEXT, done INTEGER, position INTEGER,
           updated_at INTEGER) STRICT, WITHOUT ROWID;",
    )?;
    Ok(conn)
}

/// Inserts rows `from..to` in one transaction.
pub fn insert(conn: &mut Connection, keys: &[String], list: &str) -> Fallible<()> {
    let tx = conn.transaction()?;
    {
        let mut statement = tx.prepare_cached("INSERT INTO items VALUES (?1, ?2, ?3, 0, ?4, ?5)")?;
        for (i, key) in keys.iter().enumerate() {
            let title = crate::wire::title(i as u64);
            statement.execute((key, list, title, i as i64, 1_790_000_000_000_000i64))?;
        }
    }
    tx.commit()?;
    Ok(())
}

/// Durable rows per second in bare transactions of `group` rows, over about `budget`; and what one transaction takes.
pub fn transactions(group: usize, budget: Duration) -> Fallible<(f64, Latency)> {
    let (_folder, path) = scratch()?;
    let mut conn = bare(&path)?;
    let list = crate::wire::uuid_text(0);
    let (start, mut rows, mut latency) = (Instant::now(), 0usize, Latency::new());
    while start.elapsed() < budget {
        let keys: Vec<String> = (0..group).map(|_| crate::wire::random_uuid()).collect();
        let began = Instant::now();
        insert(&mut conn, &keys, &list)?;
        latency.record(began.elapsed());
        rows += group;
    }
    Ok((rows as f64 / start.elapsed().as_secs_f64(), latency))
}

/// As [`transactions`], the rate alone.
pub fn rows_per_second(group: usize, budget: Duration) -> Fallible<f64> {
    Ok(transactions(group, budget)?.0)
}

/// What a bare broadcast took.
pub struct Broadcast {
    /// Until the last has it.
    pub latency: Latency,
    /// Processor seconds of the sending process for one message.
    pub sender_s: f64,
    /// Processor seconds of this process for one message.
    pub receivers_s: f64,
}

/// A bare WebSocket broadcast: a process that sends `size` bytes to `receivers` sockets of this one, at the pace of the
/// measurement beside it.
pub async fn broadcast(receivers: usize, size: usize, messages: usize, pause: Duration) -> Fallible<Broadcast> {
    let mut sender = Command::new(std::env::current_exe()?)
        .args(["--broadcast", &format!("{receivers}x{size}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = sender.id();
    let mut address = String::new();
    BufReader::new(sender.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let mut bell = sender.stdin.take().ok_or("no input")?;
    let (done, mut dones) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..receivers {
        let stream = TcpStream::connect(address.trim()).await?;
        let config = Some(crate::wire::small_buffers());
        let (mut socket, _) = tokio_tungstenite::client_async_with_config("ws://bench/", stream, config).await?;
        let done = done.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_binary() {
                    let _ = done.send(());
                }
            }
        });
    }
    let spent = || Fallible::Ok([crate::process::cpu_of(pid)?, crate::process::cpu_of(std::process::id())?]);
    let mut latency = Latency::new();
    let before = spent()?;
    for _ in 0..messages {
        let start = Instant::now();
        bell.write_all(b"\n")?;
        for _ in 0..receivers {
            dones.recv().await.ok_or("a receiver ended")?;
        }
        latency.record(start.elapsed());
        tokio::time::sleep(pause.saturating_sub(start.elapsed())).await;
    }
    let spent = spent()?;
    let [sender_s, receivers_s] = [0, 1].map(|at| (spent[at] - before[at]) / messages as f64);
    drop(bell);
    sender.wait()?;
    Ok(Broadcast { latency, sender_s, receivers_s })
}

/// The sending process of [`broadcast`]: says its address, takes so many sockets, then sends at each line it reads. That
/// of [`Relay`] when `size` is 0.
pub async fn send_broadcasts(receivers: usize, size: usize) -> Fallible<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mut sinks = Vec::new();
    for _ in 0..receivers {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let config = Some(crate::wire::small_buffers());
        sinks.push(tokio_tungstenite::accept_async_with_config(stream, config).await?);
    }
    if size == 0 {
        return relay::pass_on(sinks).await;
    }
    let payload = Message::Binary(vec![7u8; size].into());
    let mut bell = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while bell.next_line().await?.is_some() {
        for sink in &mut sinks {
            sink.send(payload.clone()).await?;
        }
    }
    Ok(())
}
