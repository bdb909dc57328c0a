//! The server on a network: WebSocket sessions, chunks, health and metrics. Thin: what is decided is decided in
//! [`crate::session`] and [`crate::core`].

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::core::{Allowance, Memory, Retention};
use crate::session::Rules;
use crate::store::{Store, StoreError};

mod app;
mod chunks;
mod docs;
mod door;
mod listen;
mod origin;
mod readers;
mod rooms;
mod sessions;
mod shared;
mod socket;
mod turns;
mod webhooks;
mod writer;

use shared::Shared;
pub use webhooks::{TIMEOUT, Webhooks};

/// Read buffer of a connection, bytes: most messages are small, and thousands of connections are idle. It grows to the
/// length of a longer message while that comes in.
const READ_BUFFER_BYTES: usize = 1 << 10;
/// How long the answers of a shutdown may take before connections are cut.
pub const DRAIN: Duration = Duration::from_secs(10);
/// How long a peer may take for the head of a request, and be idle between two.
pub const REQUEST_HEAD: Duration = Duration::from_secs(30);

/// How a server runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bounds on memory.
    pub memory: Memory,
    /// What a subject, and all of them, may use.
    pub allowance: Allowance,
    /// Connections to the store that read; each serves one request at a time.
    pub readers: usize,
    /// How long a shutdown may take before connections are cut.
    pub drain: Duration,
    /// How long a peer may take for the head of a request, and be idle between two; the connection is closed then.
    pub request_head: Duration,
    /// How long what has happened is kept.
    pub retention: Retention,
    /// A directory of an app's files, served beside the server's own paths.
    pub app: Option<PathBuf>,
    /// Other origins whose pages may open sessions and read chunks, such as `https://app.example`.
    pub origins: Vec<HeaderValue>,
    /// The app's webhooks. The store has to know their actions too ([`crate::actions::Actions::on_webhook`]).
    pub webhooks: Webhooks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: Memory::default(),
            allowance: Allowance::default(),
            readers: 4,
            drain: DRAIN,
            request_head: REQUEST_HEAD,
            retention: Retention::default(),
            app: None,
            origins: Vec::new(),
            webhooks: Webhooks::default(),
        }
    }
}

/// Why a server stopped, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread cannot be started, or the socket cannot be served.
    #[error("the server cannot run ({0}); see the system's limits for threads and open files")]
    Io(#[from] std::io::Error),
}

/// Serves until `stop` resolves: then accepts nothing more, commits what is queued, answers, says LF-4010 to all
/// sessions and returns, after [`Options::drain`] at the latest.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub async fn serve(
    listener: TcpListener,
    store: Box<dyn Store>,
    rules: Rules,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (drain_at_most, head_at_most) = (options.drain, options.request_head);
    let (app, webhooks) = (options.app.clone(), options.webhooks.clone());
    let (shared, writer) = Shared::start(store, Arc::new(rules), options)?;
    let shared = Arc::new(shared);
    let (draining, sessions) = (shared.drain.clone(), Arc::clone(&shared.sessions));
    let router = router(Arc::clone(&shared), app.as_deref());
    let drain = async {
        stop.await;
        tracing::info!("shutting down: no new connections, answering what was taken");
        draining.cancel();
        sessions.wake_all();
        tokio::time::sleep(drain_at_most).await;
    };
    let asking = tokio::spawn(webhooks::run(Arc::clone(&shared), webhooks));
    let served = listen::run(listener, router, head_at_most, shared.drain.clone());
    tokio::select! {
        () = served => {}
        () = drain => tracing::warn!("some connections did not end in time; cutting them"),
    }
    shared.sessions.ended(drain_at_most).await;
    asking.abort();
    shared.stop_writer();
    // The writer commits what is queued before it ends, and closes the store.
    let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    Ok(())
}

fn router(shared: Arc<Shared>, app: Option<&Path>) -> Router {
    let cors = origin::layer(&shared.origins);
    let own = Router::new()
        .route("/v1/sync", get(sync))
        .route("/v1/chunks/{token}", get(chunks::get))
        .route("/v1/docs/{table}/{key}/{column}", get(docs::get))
        .route("/v1/rooms/{table}/{key}", get(docs::get_room))
        .route("/health", get(health))
        .layer(cors)
        .route("/metrics", get(metrics))
        .with_state(shared);
    let own = own.method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, NOT_HERE));
    match app {
        Some(directory) => own.merge(app::router(directory)),
        None => own.fallback(async || (StatusCode::NOT_FOUND, NOT_HERE)),
    }
}

/// For paths and methods that no route has.
const NOT_HERE: &str = "the server has nothing here; it answers GET on /v1/sync, /v1/chunks/…, /v1/docs/…, /v1/rooms/…, /health \
                        and /metrics [LF-6106]";

async fn sync(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !origin::admits(&headers, &shared.origins) {
        let text =
            "this server lets no pages of that origin in; start it with --allow-origin and the page's origin [LF-6105]";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    // Also where no session is asked for: a page is not told why its WebSocket was refused, and asks in this way.
    if let Err(refused) = shared.door.connects(shared.sessions.len()) {
        let text = format!("{} [{}]", refused.refusal().message, refused.refusal().code);
        let after = [(header::RETRY_AFTER, HeaderValue::from(refused.retry_after_s()))];
        return (StatusCode::SERVICE_UNAVAILABLE, after, text).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let text = format!("{}; this address is for WebSocket clients [LF-6107]", rejection.body_text());
            return (rejection.status(), text).into_response();
        }
    };
    let limit = shared.rules.limits.frame_bytes as usize;
    upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| socket::run(socket, shared, peer))
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let draining = shared.drain.is_cancelled();
    let head = shared.hub.head();
    // Reads go on, and so do pushes by themselves once the cause is gone: no reason to send anybody elsewhere.
    let problem = shared
        .trouble
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .map(|trouble| serde_json::json!({ "code": trouble.code, "message": trouble.message }));
    let status = match (draining, &problem) {
        (true, _) => "draining",
        (false, Some(_)) => "degraded",
        (false, None) => "ok",
    };
    let body = serde_json::json!({
        "status": status,
        "problem": problem,
        "app": shared.rules.app,
        "schema_version": shared.rules.schema_version,
        "epoch": head.epoch,
        "head": head.seq,
        "protocol": landfall_protocol::VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "sign_in": if shared.rules.auth.is_development() { "name" } else { "token" },
    });
    let code = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (code, headers, body.to_string()).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.render(shared.readings())).into_response()
}

/// Whether the request would rather have JSON.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json")
}
