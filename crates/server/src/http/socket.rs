//! One WebSocket: carries events into the session and messages out of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use landfall_protocol::codec::decode_binary;
use landfall_protocol::{Form, Frame, ServerMessage, decode_client, encode_server};
use tokio::sync::mpsc;

use super::shared::Shared;
use crate::hub::EncodedFrame;
use crate::session::{Event, Next, Outgoing, Session};

/// How long a device may take to take one message before the connection is given up. It resumes from its cursor.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

type Received = Option<Result<Message, axum::Error>>;

struct Connection {
    shared: Arc<Shared>,
    session: Session,
    sink: SplitSink<WebSocket, Message>,
    form: Option<Form>,
}

pub(super) async fn run(socket: WebSocket, shared: Arc<Shared>) {
    let (id, position) = shared.enter();
    let nobody = shared.hub.audience(Vec::new());
    let session = Session::new(Arc::clone(&shared.rules), nobody, shared.now());
    let (sink, stream) = socket.split();
    let mut connection = Connection { shared: Arc::clone(&shared), session, sink, form: None };
    let mut subscriptions = 0;
    let note = |session: &Session| {
        position.store(session.position().unwrap_or(u64::MAX), Ordering::Relaxed);
        shared.metrics.subscriptions.inc_by(session.subscriptions() as i64 - subscriptions);
        subscriptions = session.subscriptions() as i64;
    };
    connection.converse(id, stream, note).await;
    shared.metrics.subscriptions.inc_by(-(connection.session.subscriptions() as i64));
    shared.leave(id);
}

impl Connection {
    async fn converse(&mut self, id: u64, mut stream: SplitStream<WebSocket>, mut note: impl FnMut(&Session)) {
        let (answers, mut events) = mpsc::unbounded_channel();
        let mut head = self.shared.head.subscribe();
        let drain = self.shared.drain.clone();
        let mut draining = false;
        loop {
            while let Some(request) = self.session.take_request() {
                self.shared.ask(id, request, &answers);
            }
            // Before looking: a head that moves while we look wakes us up again.
            head.mark_unchanged();
            let next = self.session.next(&self.shared.hub, self.shared.now());
            note(&self.session);
            let until_ms = match next {
                Next::Send(outgoing) => {
                    if !self.send(outgoing).await {
                        return;
                    }
                    // Between two messages, hear what has come meanwhile.
                    while let Ok(event) = events.try_recv() {
                        self.handle(event);
                    }
                    if self.session.wants_input()
                        && let Some(received) = stream.next().now_or_never()
                        && !self.receive(received)
                    {
                        return;
                    }
                    continue;
                }
                Next::Read(read) => {
                    let done = self.shared.read(read).await;
                    self.handle(Event::ReadDone(done));
                    continue;
                }
                Next::Close => {
                    let _ = tokio::time::timeout(Duration::from_secs(1), self.sink.close()).await;
                    return;
                }
                Next::Wait { until_ms } => until_ms,
            };
            let deadline = [until_ms, self.session.deadline_ms()].into_iter().flatten().min();
            let timer = self.shared.instant(deadline.unwrap_or(u64::MAX));
            tokio::select! {
                Some(event) = events.recv() => self.handle(event),
                Ok(()) = head.changed() => {}
                received = stream.next(), if self.session.wants_input() => {
                    if !self.receive(received) {
                        return;
                    }
                }
                () = drain.cancelled(), if !draining => {
                    draining = true;
                    self.handle(Event::Drain);
                }
                () = tokio::time::sleep_until(timer) => self.handle(Event::Tick),
            }
        }
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

    /// Sends; false when the device does not take it.
    async fn send(&mut self, outgoing: Outgoing) -> bool {
        let form = self.form.unwrap_or(Form::Binary);
        let frame = match outgoing {
            Outgoing::Live(span) => self.shared.hub.frame(&span, form),
            Outgoing::Message(message) => {
                if let ServerMessage::Error { code, fatal, .. } = &message {
                    tracing::debug!(%code, fatal, "error to a device");
                    self.shared.metrics.error(code);
                }
                EncodedFrame::from(encode_server(&message, form))
            }
        };
        let message = match frame {
            EncodedFrame::Binary(bytes) => Message::Binary(bytes),
            EncodedFrame::Text(bytes) => Message::Text(text(bytes)),
        };
        matches!(tokio::time::timeout(SEND_TIMEOUT, self.sink.send(message)).await, Ok(Ok(())))
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
        Err(problem) => Event::Unreadable { reason: problem.to_string() },
    }
}
