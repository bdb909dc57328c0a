//! `docs/actions.md`, run: its schema, its handler, a server that embeds it, and two devices; and webhooks.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;
use std::time::Duration;

use landfall_client::db::EntryState;
use landfall_client::driver::{Client, ClientOptions};
use landfall_core::{Schema, Value};
use landfall_server::actions::Actions;
use landfall_server::auth::Authenticator;
use landfall_server::http::{Options, serve};
use landfall_server::session::Rules;
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

mod checkout;
mod stage;
mod webhooks;

/// How long anything may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/actions.md")).unwrap()
}

fn block(document: &str, begin: &str) -> String {
    let (_, rest) = document.split_once(begin).unwrap_or_else(|| panic!("the document has no {begin}"));
    rest.split_once("```").unwrap().0.to_owned()
}

fn uuid(n: u8) -> Value {
    Value::Uuid([n; 16])
}

async fn device(dir: &Path, name: &str, address: &str, schema: &Schema) -> Client {
    let options = ClientOptions::new(dir.join(name), schema.clone());
    let client = Client::open(options.with_server(address, "dev:ada")).await.unwrap();
    client.open_shape("all_orders", Default::default()).await.unwrap();
    client
}

/// Orders so many, as the document says.
async fn order(client: &Client, id: u8, count: i64) -> u64 {
    let written = client.write(move |tx| {
        let args = [("order", uuid(id)), ("product", uuid(1)), ("count", Value::Int(count))];
        tx.insert("orders", &[("id", uuid(id)), ("product", uuid(1)), ("count", Value::Int(count))])?;
        tx.action("checkout", &args)
    });
    written.await.unwrap().rseq.unwrap()
}

/// Waits until the device sees exactly these orders: id, count, number.
async fn sees(client: &Client, wanted: &[(u8, i64, Option<i64>)]) {
    let wanted: Vec<Vec<Value>> = wanted
        .iter()
        .map(|(id, count, number)| vec![uuid(*id), Value::Int(*count), number.map_or(Value::Null, Value::Int)])
        .collect();
    let sql = "select id, count, number from orders order by id";
    let mut changes = client.watch(sql).await.unwrap();
    let watched = async {
        loop {
            if client.query(sql, vec![]).await.unwrap().rows == wanted {
                return;
            }
            changes.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap_or_else(|_| panic!("{wanted:?} never came"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_on_actions_is_true() {
    let document = document();
    assert_eq!(block(&document, "```rust,no_run\n"), include_str!("checkout.rs"));
    let schema = Schema::parse("landfall.toml", &block(&document, "```toml\n")).unwrap();
    let dir = tempfile::tempdir().unwrap();

    let fresh = Fresh::from_bytes([7; 48]);
    let options = SqliteOptions::path(dir.path().join("server.db"));
    let store = SqliteStore::open(options, schema.clone(), fresh, 1).unwrap();
    let store = store.with_actions(Actions::new().on("checkout", checkout::checkout));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let rules = Rules::new(&schema, Authenticator::new().with_development(true));
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(serve(listener, Box::new(store), rules, Options::default(), stopped));

    let stock = rusqlite::Connection::open(dir.path().join("server.db")).unwrap();
    let sql = "insert into products (id, name, stock) values (?, 'Lamp', 3)";
    stock.execute(sql, ["01010101-0101-0101-0101-010101010101"]).unwrap();

    let phone = device(dir.path(), "phone.db", &address, &schema).await;
    let laptop = device(dir.path(), "laptop.db", &address, &schema).await;
    order(&phone, 10, 2).await;
    sees(&phone, &[(10, 2, Some(1))]).await;
    sees(&laptop, &[(10, 2, Some(1))]).await;

    // What cannot be had is not there any more, and the person is told why.
    let refused = order(&laptop, 11, 2).await;
    sees(&laptop, &[(10, 2, Some(1))]).await;
    let outbox = laptop.outbox().await.unwrap();
    let entry = outbox.iter().find(|entry| entry.rseq == refused).unwrap();
    assert_eq!(entry.state, EntryState::Dead);
    let problem = entry.problem.as_ref().unwrap();
    assert_eq!((problem.code.as_str(), problem.message.as_str()), ("sold_out", "only 1 are left"));
    order(&laptop, 12, 1).await;
    sees(&phone, &[(10, 2, Some(1)), (12, 1, Some(2))]).await;

    phone.close().await;
    laptop.close().await;
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
