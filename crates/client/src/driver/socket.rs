//! Transports: one WebSocket per connection, one HTTP request per chunk, each on a task of its own.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use landfall_protocol::codec::{Form, Frame, MAX_FRAME_BYTES};
use landfall_protocol::{ClientMessage, decode_server, encode_client};
use tokio::sync::mpsc as tokio_mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::{Message as WsMessage, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Message, StartError, chunks};
use crate::engine::{Effect, Input};

/// The library clears this much for each read, so that the usual 128 KiB cost more than a small message does.
const READ_BUFFER_BYTES: usize = 16 << 10;
/// How long a health probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A server's address.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `http` or `https`, host and port, without a slash at the end.
    pub(super) base: String,
    socket: String,
}

impl Server {
    pub(super) fn parse(address: &str) -> Result<Self, StartError> {
        let wrong = || StartError::Address { address: address.to_owned() };
        let base = address.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        let uri: http::Uri = base.parse().map_err(|_| wrong())?;
        let scheme = match uri.scheme_str() {
            Some("http") => "ws",
            Some("https") => "wss",
            _ => return Err(wrong()),
        };
        let authority = uri.authority().filter(|a| is_host_and_port(a)).ok_or_else(wrong)?;
        let path = uri.path().trim_end_matches('/');
        Ok(Self { socket: format!("{scheme}://{authority}{path}/v1/sync"), base })
    }
}

/// The URI grammar lets more pass than a name server or a socket ever takes.
fn is_host_and_port(authority: &http::uri::Authority) -> bool {
    let host = authority.host();
    let letters = |c: char| c.is_alphanumeric() || "-._[]:%".contains(c);
    let rest = authority.as_str().strip_prefix(host);
    let port = rest.is_some_and(|r| r.is_empty() || authority.port_u16().is_some());
    !host.is_empty() && host.chars().all(letters) && port
}

struct Connection {
    id: u64,
    outgoing: tokio_mpsc::UnboundedSender<ClientMessage>,
    task: JoinHandle<()>,
}

/// Carries out network effects.
pub(super) struct Network {
    server: Server,
    inputs: mpsc::Sender<Message>,
    runtime: tokio::runtime::Handle,
    http: reqwest::Client,
    chunks: chunks::Loader,
    connection: Option<Connection>,
}

impl Network {
    pub(super) fn new(server: Server, inputs: mpsc::Sender<Message>, runtime: tokio::runtime::Handle) -> Self {
        // Both TLS users get the same provider; a second installation is refused, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::new();
        let chunks = chunks::Loader::new(http.clone(), &server.base);
        Self { server, inputs, runtime, http, chunks, connection: None }
    }

    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection } => {
                // What was fetched ahead may be of a history that the server has lost.
                self.chunks.stop();
                self.connect(connection);
            }
            Effect::Disconnect { connection } => {
                if let Some(open) = self.connection.take_if(|c| c.id == connection) {
                    // Dropping the sender lets the task send what is queued, close and end.
                    drop(open.outgoing);
                }
            }
            Effect::Send { connection, message } => {
                if let Some(open) = self.connection.as_ref().filter(|c| c.id == connection) {
                    // A task that ended has reported Disconnected, or is about to.
                    let _ = open.outgoing.send(message);
                }
            }
            Effect::FetchChunk { request, address } => {
                let fetch = self.chunks.clone().load(address);
                let inputs = self.inputs.clone();
                self.runtime.spawn(async move {
                    let input = match fetch.await {
                        Ok(chunk) => Input::ChunkLoaded { request, chunk },
                        Err(error) => Input::ChunkFailed {
                            request,
                            gone: error.is_gone(),
                            reason: error.to_string(),
                            retry_after_ms: error.retry_after_ms(),
                        },
                    };
                    let _ = inputs.send(Message::Input(input));
                });
            }
            Effect::Status(_)
            | Effect::Rows { .. }
            | Effect::QueryFailed { .. }
            | Effect::Mirror(_)
            | Effect::MirrorAnew => {}
        }
    }

    fn connect(&mut self, id: u64) {
        if let Some(stale) = self.connection.take() {
            stale.task.abort();
        }
        let (outgoing, messages) = tokio_mpsc::unbounded_channel();
        let (server, inputs, http) = (self.server.clone(), self.inputs.clone(), self.http.clone());
        let task = self.runtime.spawn(async move {
            let (reason, retry_after_ms) = match serve(&server, id, messages, &inputs).await {
                Ok(reason) => (reason, None),
                Err(error) => (explain(&http, &server, &error).await, retry_after_ms(&error)),
            };
            let _ = inputs.send(Message::Input(Input::Disconnected { connection: id, reason, retry_after_ms }));
        });
        self.connection = Some(Connection { id, outgoing, task });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(open) = self.connection.take() {
            open.task.abort();
        }
        self.chunks.stop();
    }
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;
type WsError = tokio_tungstenite::tungstenite::Error;

async fn serve(
    server: &Server,
    id: u64,
    mut messages: tokio_mpsc::UnboundedReceiver<ClientMessage>,
    inputs: &mpsc::Sender<Message>,
) -> Result<String, WsError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let (mut socket, _) =
        tokio_tungstenite::connect_async_with_config(server.socket.as_str(), Some(config), true).await?;
    let _ = inputs.send(Message::Input(Input::Connected { connection: id }));
    loop {
        tokio::select! {
            outgoing = messages.recv() => match outgoing {
                Some(message) => send(&mut socket, message, &mut messages).await?,
                None => {
                    socket.close(None).await?;
                    return Ok("closed".into());
                }
            },
            incoming = socket.next() => match incoming {
                Some(message) => match read(id, message?) {
                    Some(input) => { let _ = inputs.send(Message::Input(input)); }
                    None => continue,
                },
                None => return Ok("the server closed the connection".into()),
            },
        }
    }
}

/// Sends a message and all that are queued behind it, then flushes once.
async fn send(
    socket: &mut Socket,
    first: ClientMessage,
    queue: &mut tokio_mpsc::UnboundedReceiver<ClientMessage>,
) -> Result<(), WsError> {
    let mut next = Some(first);
    while let Some(message) = next {
        let frame = match encode_client(&message, Form::Binary) {
            Frame::Binary(bytes) => WsMessage::Binary(bytes.into()),
            Frame::Text(text) => WsMessage::Text(text.into()),
        };
        socket.feed(frame).await?;
        next = queue.try_recv().ok();
    }
    socket.flush().await
}

fn read(connection: u64, message: WsMessage) -> Option<Input> {
    let frame = match message {
        WsMessage::Binary(bytes) => Frame::Binary(bytes.into()),
        WsMessage::Text(text) => Frame::Text(text.to_string()),
        WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Close(_) | WsMessage::Frame(_) => return None,
    };
    Some(match decode_server(&frame) {
        Ok(message) => Input::Frame { connection, message },
        Err(error) => Input::BadFrame { connection, reason: error.to_string() },
    })
}

/// The status of an answer that was none to a WebSocket.
fn status(error: &WsError) -> Option<u16> {
    if let WsError::Http(answer) = error { Some(answer.status().as_u16()) } else { None }
}

/// How long a server that has no room for a connection asks to wait, or a proxy whose server is not there. Milliseconds.
fn retry_after_ms(error: &WsError) -> Option<u64> {
    let WsError::Http(answer) = error else { return None };
    if !matches!(status(error), Some(429 | 502..=504)) {
        return None;
    }
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(seconds.saturating_mul(1_000))
}

/// A sentence for the status: a refused WebSocket on a server that answers is another trouble than no server.
async fn explain(http: &reqwest::Client, server: &Server, error: &WsError) -> String {
    if let Some(429 | 503) = status(error) {
        return format!("{} takes no more connections now", server.base);
    }
    let probe = http.get(format!("{}/health", server.base)).timeout(PROBE_TIMEOUT).send().await;
    match probe {
        Ok(answer) if answer.status().is_success() => {
            format!("the server is there but the WebSocket failed ({error}); a proxy on the way may block it")
        }
        Ok(answer) => format!("{} answers with status {}; is it a Landfall server?", server.base, answer.status()),
        Err(_) => format!("{} cannot be reached ({error})", server.base),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Whatever a proxy answers whose server is not there: it is no connection, and its word on when to come again counts.
    #[tokio::test]
    async fn a_proxy_without_its_server_says_when_to_come_again() {
        for (answer, told) in [
            ("502 Bad Gateway\r\n", None),
            ("502 Bad Gateway\r\nRetry-After: 5\r\n", Some(5_000)),
            ("429 Too Many Requests\r\nRetry-After: 3\r\n", Some(3_000)),
            ("503 Service Unavailable\r\nRetry-After: 7\r\n", Some(7_000)),
            ("504 Gateway Timeout\r\nRetry-After: 9\r\n", Some(9_000)),
            ("504 Gateway Timeout\r\nRetry-After: tomorrow\r\n", None),
            ("404 Not Found\r\nRetry-After: 9\r\n", None),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("bound").to_string();
            let proxy = tokio::spawn(async move {
                let (mut socket, _) = listener.accept().await.expect("somebody comes");
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(socket.read_u8().await.expect("a request"));
                }
                let answer = format!("HTTP/1.1 {answer}Content-Length: 0\r\n\r\n");
                socket.write_all(answer.as_bytes()).await.expect("answers");
            });
            let (inputs, heard) = mpsc::channel();
            let (_messages, queue) = tokio_mpsc::unbounded_channel();
            let server = Server::parse(&address).expect("an address");
            let error = serve(&server, 1, queue, &inputs).await.expect_err("no connection");
            assert_eq!(retry_after_ms(&error), told, "{answer}");
            assert!(heard.try_recv().is_err(), "nothing is heard of a connection");
            proxy.await.expect("it has answered");
        }
    }
}
