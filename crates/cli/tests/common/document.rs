//! Documents whose code is run, and the server that they talk of.

use std::path::Path;
use std::time::Duration;

use landfall_core::Schema;
use landfall_server::auth::Authenticator;
use landfall_server::http::{Options, ServeError, serve};
use landfall_server::session::Rules;
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take before the test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A document, by its path from the root of the project.
pub fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

/// The block of code that begins with this.
pub fn block(document: &str, begin: &str) -> String {
    let (_, rest) = document.split_once(begin).unwrap_or_else(|| panic!("the document has no {begin}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// The store of a server that embeds Landfall.
pub fn store(dir: &Path, schema: &Schema) -> SqliteStore {
    let fresh = Fresh::from_bytes([7; 48]);
    SqliteStore::open(SqliteOptions::path(dir.join("server.db")), schema.clone(), fresh, 1).unwrap()
}

/// A server that runs.
pub struct Running {
    pub address: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub async fn start(store: SqliteStore, schema: &Schema) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let rules = Rules::new(schema, Authenticator::new().with_development(true));
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(serve(listener, Box::new(store), rules, Options::default(), stopped));
        Self { address, stop, server }
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}
