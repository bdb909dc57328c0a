//! `docs/actions.md`, run: its schema, its handler, a server that embeds it, and two devices; and webhooks.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;

use landfall_client::db::EntryState;
use landfall_client::driver::{Client, ClientOptions};
use landfall_core::{Schema, Value};
use landfall_server::actions::Actions;

mod checkout;
#[path = "../common/document.rs"]
mod document;
mod stage;
mod webhooks;

use document::{PATIENCE, Running, block, document, store};

const DOCUMENT: &str = "docs/actions.md";

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
    let document = document(DOCUMENT);
    assert_eq!(block(&document, "```rust,no_run\n"), include_str!("checkout.rs"));
    let schema = Schema::parse("landfall.toml", &block(&document, "```toml\n")).unwrap();
    let dir = tempfile::tempdir().unwrap();

    let store = store(dir.path(), &schema).with_actions(Actions::new().on("checkout", checkout::checkout));
    let server = Running::start(store, &schema).await;

    let stock = rusqlite::Connection::open(dir.path().join("server.db")).unwrap();
    let sql = "insert into products (id, name, stock) values (?, 'Lamp', 3)";
    stock.execute(sql, ["01010101-0101-0101-0101-010101010101"]).unwrap();

    let phone = device(dir.path(), "phone.db", &server.address, &schema).await;
    let laptop = device(dir.path(), "laptop.db", &server.address, &schema).await;
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
    server.stop().await;
}
