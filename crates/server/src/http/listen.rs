//! Connections: taken, served as HTTP/1.1, let go. A loop of our own, since axum's sets no timer: a peer that begins a
//! request and never ends it would hold its connection for ever.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Serves until `drain`; then takes nothing more and returns when the requests under way are answered. Only the head of a
/// request is timed, from the connection's beginning or the answer before: answers and WebSockets take as long as they take.
pub(super) async fn run(
    mut listener: impl Listener<Io = TcpStream, Addr = SocketAddr>,
    router: Router,
    head_at_most: Duration,
    drain: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_at_most);
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            taken = listener.accept() => taken,
            // Forgets those that have ended.
            Some(_) = connections.join_next() => continue,
            () = drain.cancelled() => break,
        };
        // A small message must not wait until the device has confirmed the one before: that takes it up to 40 ms.
        if let Err(problem) = stream.set_nodelay(true) {
            tracing::debug!("a connection collects small messages: {problem}");
        }
        let told = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        };
        let service = TowerToHyperService::new(router.clone().map_request(told));
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let drain = drain.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = drain.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(problem) = ended {
                tracing::debug!("a connection ended: {problem}");
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
