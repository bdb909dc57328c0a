//! The floor of the highest rate: a process that sends on to all sockets, in one frame, whatever has come in meanwhile.
//! Nothing is decided, stored or addressed.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::Fallible;
use crate::process::Usage;
use crate::rate::{HOPELESS, Offered, System, Watcher};

/// Most bytes of a frame.
const FRAME_BYTES: usize = 256 << 10;

/// The process, and its subscribers here.
pub struct Relay {
    /// Ended when dropped.
    _child: Child,
    pid: u32,
    input: ChildStdin,
    _followers: JoinSet<()>,
    watchers: Vec<Arc<Watcher>>,
    /// Bytes of a write.
    size: usize,
    /// Writes so far: the next one's place in the stream.
    written: u64,
}

impl Relay {
    /// Starts the process and connects the subscribers.
    pub async fn start(receivers: usize, size: usize) -> Fallible<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--broadcast", &format!("{receivers}x0")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or("the floor's process has ended")?;
        let input = child.stdin.take().ok_or("no input")?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address).await?;
        let (mut watchers, mut followers) = (Vec::new(), JoinSet::new());
        for _ in 0..receivers {
            let stream = TcpStream::connect(address.trim()).await?;
            let config = Some(crate::wire::small_buffers());
            let (socket, _) = tokio_tungstenite::client_async_with_config("ws://bench/", stream, config).await?;
            let watcher = Arc::new(Watcher::default());
            watchers.push(Arc::clone(&watcher));
            followers.spawn(follow(socket, watcher, size as u64));
        }
        Ok(Self { _child: child, pid, input, _followers: followers, watchers, size, written: 0 })
    }
}

async fn follow(mut socket: WebSocketStream<TcpStream>, watcher: Arc<Watcher>, size: u64) {
    let (mut bytes, mut had) = (0u64, 0);
    while let Some(Ok(message)) = socket.next().await {
        bytes += message.len() as u64;
        watcher.sees(bytes / size, bytes / size - had, message.len());
        had = bytes / size;
    }
}

impl System for Relay {
    async fn offer(&mut self, per_second: f64, during: Duration) -> Fallible<Offered> {
        let (first, writes) = (Instant::now(), (per_second * during.as_secs_f64()).ceil() as u32);
        let due = |write: u32| first + Duration::from_secs_f64(f64::from(write) / per_second);
        let mut offered = Offered::default();
        let mut made = 0;
        while made < writes {
            let now = Instant::now();
            if now.saturating_duration_since(due(made)) > HOPELESS {
                offered.given_up = (writes - made) as usize;
                break;
            }
            let from = made;
            while made < writes && due(made) <= now {
                self.written += 1;
                offered.accepted.push((self.written, due(made)));
                made += 1;
            }
            // Nobody else waits for the pipe: who waits for room in it has a queue, as a device has its outbox.
            self.input.write_all(&vec![7; self.size * (made - from) as usize]).await?;
            if made < writes {
                tokio::time::sleep_until(due(made).into()).await;
            }
        }
        Ok(offered)
    }

    fn watchers(&self) -> &[Arc<Watcher>] {
        &self.watchers
    }

    fn usage(&self) -> Fallible<Usage> {
        Usage::so_far(self.pid)
    }
}

/// The process: reads what waits, sends it to all, one after the other, until its input ends.
pub async fn pass_on(mut sinks: Vec<WebSocketStream<TcpStream>>) -> Fallible<()> {
    let (mut input, mut buffer) = (tokio::io::stdin(), vec![0; FRAME_BYTES]);
    loop {
        let read = input.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let payload = Message::Binary(Bytes::copy_from_slice(&buffer[..read]));
        for sink in &mut sinks {
            sink.send(payload.clone()).await?;
        }
    }
}
