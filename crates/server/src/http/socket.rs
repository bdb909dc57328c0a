//! One WebSocket: carries events into the session and messages out of it.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::sessions::Handle;
use super::shared::Shared;
use crate::hub::{Audience, EncodedFrame};
use crate::session::{Event, Next, Outgoing, Session};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use landfall_protocol::codec::decode_binary;
use landfall_protocol::{Form, Frame, ServerMessage, decode_client, encode_server};
use tracing::Instrument as _;
use tracing::field::Empty;

/// How long a device may take to take one message before the connection is given up. It resumes from its cursor.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

type Received = Option<Result<Message, axum::Error>>;

struct Connection {
    shared: Arc<Shared>,
    session: Session,
    /// Not split into halves: while it sends it does not read, and the other way round.
    socket: WebSocket,
    form: Option<Form>,
    handle: Arc<Handle>,
    /// Whose changes wake this connection.
    audience: Audience,
    subscriptions: usize,
    /// Whether the log has been told who speaks.
    named: bool,
}

/// One span for each session: whatever the log says of it names the peer, and the device once that is known.
pub(super) async fn run(socket: WebSocket, shared: Arc<Shared>, peer: SocketAddr) {
    let span = tracing::info_span!("session", %peer, replica = Empty, subject = Empty);
    converse(socket, shared, peer.ip()).instrument(span).await;
}

async fn converse(socket: WebSocket, shared: Arc<Shared>, from: IpAddr) {
    let handle = shared.sessions.enter(from);
    shared.metrics.sessions.inc();
    let nobody = shared.hub.audience(Vec::new());
    let session = Session::new(Arc::clone(&shared.rules), nobody.clone(), shared.now());
    let subscriptions = 0;
    let mut connection =
        Connection { shared, session, socket, form: None, handle, audience: nobody, subscriptions, named: false };
    connection.converse().await;
    tracing::info!("the session has ended");
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.audience.leave(self.handle.id);
        self.shared.metrics.subscriptions.inc_by(-(self.subscriptions as i64));
        self.shared.metrics.sessions.dec();
        self.shared.sessions.leave(self.handle.id);
        if let Some(subject) = self.handle.subject.get() {
            self.shared.door.left(subject);
        }
    }
}

impl Connection {
    async fn converse(&mut self) {
        let wake = Arc::clone(&self.handle.wake);
        let mut timer = pin!(tokio::time::sleep_until(self.shared.instant(u64::MAX)));
        let (mut draining, mut enlisted) = (false, false);
        loop {
            if !draining && self.shared.drain.is_cancelled() {
                draining = true;
                self.handle(Event::Drain);
            }
            // The head first, then the answers: those about the groups up to here have come.
            let seen = self.shared.hub.head().seq;
            for answer in self.handle.answers() {
                self.handle(answer);
            }
            while let Some(request) = self.session.take_request() {
                self.shared.ask(&self.handle, request);
            }
            let next = self.session.next_up_to(seen, &self.shared.hub, self.shared.now());
            self.note();
            let until_ms = match next {
                Next::Send(outgoing) => {
                    if !self.send(outgoing).await {
                        return;
                    }
                    // Between two messages, hear what has come meanwhile.
                    if self.session.wants_input()
                        && let Some(received) = self.socket.next().now_or_never()
                        && !self.receive(received)
                    {
                        return;
                    }
                    continue;
                }
                Next::Read(read) => {
                    // Boxed: few sessions read the log, and all would have to hold room for it.
                    let done = Box::pin(self.shared.read(&self.handle, read)).await;
                    self.handle(Event::ReadDone(done));
                    continue;
                }
                Next::Close => {
                    let _ = tokio::time::timeout(Duration::from_secs(1), self.socket.close()).await;
                    return;
                }
                Next::Wait { until_ms } => until_ms,
            };
            // Whoever begins to listen looks once more: the head may have moved in between.
            if self.follow_audience() {
                continue;
            }
            if self.session.owes_mark() && !std::mem::replace(&mut enlisted, true) {
                self.shared.hub.tell_next(Arc::clone(&wake));
                continue;
            }
            // A deadline that moved away is looked at when the timer fires.
            let deadline = [until_ms, self.session.deadline_ms()].into_iter().flatten().min();
            let deadline = self.shared.instant(deadline.unwrap_or(u64::MAX));
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                () = wake.notified() => enlisted = false,
                received = self.socket.next(), if self.session.wants_input() => {
                    if !self.receive(received) {
                        return;
                    }
                }
                () = timer.as_mut() => self.handle(Event::Tick),
            }
        }
    }

    /// Passes on what others may know.
    fn note(&mut self) {
        if !self.named
            && let Some((replica, subject)) = self.session.device()
        {
            let replica = replica.to_string();
            let span = tracing::Span::current();
            // Its first part is enough to tell the devices of a server apart.
            span.record("replica", replica.split('-').next()).record("subject", subject);
            self.named = true;
        }
        self.handle.stands_at(self.session.position());
        let subscriptions = self.session.subscriptions();
        let before = std::mem::replace(&mut self.subscriptions, subscriptions);
        if before != subscriptions {
            self.shared.metrics.subscriptions.inc_by(subscriptions as i64 - before as i64);
        }
    }

    /// Listens to the session's audience; whether it is another one than before.
    fn follow_audience(&mut self) -> bool {
        if self.audience == *self.session.audience() {
            return false;
        }
        self.audience.leave(self.handle.id);
        self.audience = self.session.audience().clone();
        self.audience.join(self.handle.id, Arc::clone(&self.handle.wake));
        true
    }

    fn handle(&mut self, event: Event) {
        self.session.handle(event, self.shared.now());
    }

    /// Takes what came from the socket; false when it is over.
    fn receive(&mut self, received: Received) -> bool {
        let event = match received {
            Some(Ok(Message::Binary(bytes))) => {
                self.form.get_or_insert(Form::Binary);
                decoded(decode_binary(&bytes))
            }
            Some(Ok(Message::Text(text))) => {
                self.form.get_or_insert(Form::Json);
                decoded(decode_client(&Frame::Text(text.as_str().to_owned())))
            }
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return true,
            // The library has no typed way to tell this apart from other errors.
            Some(Err(problem)) if problem.to_string().contains("too long") => Event::TooLarge,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
        };
        self.handle(event);
        true
    }

    /// What of a message is worth a word in the log.
    fn tell(&self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => {
                tracing::info!(head = welcome.head, start = welcome.start, "the session has begun");
            }
            ServerMessage::Acknowledge { decisions, .. } => {
                tracing::debug!(transactions = decisions.len(), "a push is decided");
            }
            ServerMessage::Opened { id, .. } => tracing::debug!(id, "a shape is open"),
            ServerMessage::Error { code, fatal, .. } => {
                self.shared.metrics.error(code);
                if *fatal {
                    tracing::info!(%code, "the server ends the session");
                } else {
                    tracing::debug!(%code, "an error to the device");
                }
            }
            _ => {}
        }
    }

    /// Sends; false when the device does not take it.
    async fn send(&mut self, outgoing: Outgoing) -> bool {
        let form = self.form.unwrap_or(Form::Binary);
        let frame = match outgoing {
            Outgoing::Live(span) => self.shared.hub.frame(&span, form),
            Outgoing::Message(message) => {
                self.tell(&message);
                EncodedFrame::from(encode_server(&message, form))
            }
        };
        let message = match frame {
            EncodedFrame::Binary(bytes) => Message::Binary(bytes),
            EncodedFrame::Text(bytes) => Message::Text(text(bytes)),
        };
        let mut sending = SinkExt::send(&mut self.socket, message);
        match FutureExt::now_or_never(&mut sending) {
            Some(sent) => sent.is_ok(),
            // The device is slow: only then a clock runs.
            None => matches!(Box::pin(tokio::time::timeout(SEND_TIMEOUT, sending)).await, Ok(Ok(()))),
        }
    }
}

fn text(bytes: Bytes) -> Utf8Bytes {
    // Encoded as a String before: always UTF-8.
    Utf8Bytes::try_from(bytes).unwrap_or_default()
}

fn decoded(message: Result<landfall_protocol::ClientMessage, landfall_protocol::CodecError>) -> Event {
    match message {
        Ok(message) => Event::Message(message),
        Err(landfall_protocol::CodecError::TooLarge) => Event::TooLarge,
        Err(landfall_protocol::CodecError::Damaged) => Event::Damaged,
        Err(problem) => Event::Unreadable { reason: problem.to_string() },
    }
}
