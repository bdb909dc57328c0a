//! `docs/history.md`, run: its schema, its Rust, a server and two devices of one person, and somebody else.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;

use landfall_client::db::Rows;
use landfall_client::driver::{Client, ClientOptions};
use landfall_core::{RowKey, Schema, Value};

#[path = "../common/document.rs"]
mod document;
mod going_back;

use document::{PATIENCE, Running, block, document, store};

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

const NOTE: Value = Value::Uuid([1; 16]);

async fn device(dir: &Path, name: &str, address: &str, schema: &Schema) -> Client {
    let (person, _) = name.split_once('-').unwrap();
    let options = ClientOptions::new(dir.join(name), schema.clone());
    let client = Client::open(options.with_server(address, format!("dev:{person}"))).await.unwrap();
    client.open_shape("my_notes", Default::default()).await.unwrap();
    client.open_shape("note_history", [("note".to_owned(), NOTE)].into()).await.unwrap();
    client
}

/// Two devices of one person write the same without a network: of what loses, nothing disappears, and it is brought back.
#[tokio::test(flavor = "multi_thread")]
async fn what_gives_way_to_another_change_is_brought_back() {
    // Whoever comes first wins, whatever the clocks say.
    let text_of =
        block(&document("docs/history.md"), "```toml\n").replace("title = { ", "title = { merge = \"server\", ");
    let schema = Schema::parse("landfall.toml", &text_of).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(store(dir.path(), &schema), &schema).await;
    let phone = device(dir.path(), "ada-phone.db", &server.address, &schema).await;
    let laptop = device(dir.path(), "ada-laptop.db", &server.address, &schema).await;
    let row = [("id", NOTE), ("owner", text("ada")), ("title", text("Sea")), ("body", text("grey"))];
    phone.write(move |tx| tx.insert("notes", &row)).await.unwrap();
    sees(&laptop, &[("insert", "Sea", "ada")]).await;
    has(&laptop, "grey").await;

    // What the phone writes comes later.
    let key = || RowKey::single(NOTE);
    phone.set_online(false).unwrap();
    phone.write(move |tx| tx.update("notes", &key(), &[("title", text("Shore"))])).await.unwrap();
    laptop.write(move |tx| tx.update("notes", &key(), &[("title", text("Lake"))])).await.unwrap();
    sees(&laptop, &[("update", "Lake", "ada"), ("insert", "Sea", "ada")]).await;
    laptop.write(move |tx| tx.update("notes", &key(), &[("body", text("blue"))])).await.unwrap();
    phone.set_online(true).unwrap();
    let blue =
        [("lost", "Shore", "ada"), ("update", "Lake", "ada"), ("update", "Lake", "ada"), ("insert", "Sea", "ada")];
    let all = sees(&laptop, &blue).await;
    sees(&phone, &blue).await;

    // It never was a state of the row; it is one when somebody wants it, and takes nothing else along.
    assert_eq!(titles_of(&laptop, accepted_at(&laptop, &all[0]).await).await, [text("Lake")]);
    assert!(going_back::back(&laptop, all[0].clone()).await.unwrap());
    sees(&phone, &[&[("update", "Shore", "ada")], &blue[..]].concat()).await;
    has(&phone, "blue").await;
    let now = phone.query("select title, body from notes", vec![]).await.unwrap();
    assert_eq!(now.rows, [[text("Shore"), text("blue")]]);
    assert!(!going_back::back(&phone, all[0].clone()).await.unwrap(), "that is how it is");

    phone.close().await;
    laptop.close().await;
    server.stop().await;
}

/// Waits until the device sees exactly these changes: kind, title, author; newest first. Gives what names them.
async fn sees(client: &Client, wanted: &[(&str, &str, &str)]) -> Vec<Value> {
    let wanted: Vec<Vec<Value>> =
        wanted.iter().map(|(kind, title, by)| vec![text(kind), text(title), text(by)]).collect();
    let mut watch = client.watch("select * from notes_history").await.unwrap();
    let watched = async {
        loop {
            let rows = going_back::changes(client, NOTE).await.unwrap();
            if columns(&rows, &["change_kind", "title", "change_by"]) == wanted {
                return columns(&rows, &["change_id"]).concat();
            }
            watch.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap_or_else(|_| panic!("{wanted:?} never came"))
}

/// Waits until the device has the note, with this text.
async fn has(client: &Client, body: &str) {
    let mut watch = client.watch("select coalesce(body, '') from notes").await.unwrap();
    let watched = async {
        while client.query("select coalesce(body, '') from notes", vec![]).await.unwrap().rows != [[text(body)]] {
            watch.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap_or_else(|_| panic!("the note never came"));
}

fn columns(rows: &Rows, names: &[&str]) -> Vec<Vec<Value>> {
    let at: Vec<_> = names.iter().map(|name| rows.columns.iter().position(|column| column == name).unwrap()).collect();
    rows.rows.iter().map(|row| at.iter().map(|at| row[*at].clone()).collect()).collect()
}

async fn titles_of(client: &Client, at_us: i64) -> Vec<Value> {
    let rows = going_back::notes_of(client, at_us).await.unwrap();
    columns(&rows, &["title"]).concat()
}

async fn accepted_at(client: &Client, change: &Value) -> i64 {
    let sql = "select change_at from notes_history where change_id = ?";
    match client.query(sql, vec![change.clone()]).await.unwrap().rows[..] {
        [ref row] => match row[0] {
            Value::Timestamp(at_us) => at_us,
            ref other => panic!("{other:?}"),
        },
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_on_history_is_true() {
    let document = document("docs/history.md");
    assert_eq!(block(&document, "```rust,no_run\n"), include_str!("going_back.rs"));
    let schema = Schema::parse("landfall.toml", &block(&document, "```toml\n")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(store(dir.path(), &schema), &schema).await;

    let phone = device(dir.path(), "ada-phone.db", &server.address, &schema).await;
    let laptop = device(dir.path(), "ada-laptop.db", &server.address, &schema).await;
    let eve = device(dir.path(), "eve-phone.db", &server.address, &schema).await;
    let row = [("id", NOTE), ("owner", text("ada")), ("title", text("Sea"))];
    phone.write(move |tx| tx.insert("notes", &row)).await.unwrap();
    let first = sees(&laptop, &[("insert", "Sea", "ada")]).await;
    // The row comes with another shape.
    has(&laptop, "").await;
    let key = || RowKey::single(NOTE);
    for title in ["Se", "Shore"] {
        laptop.write(move |tx| tx.update("notes", &key(), &[("title", text(title))])).await.unwrap();
    }
    // Every step is kept, however fast they came.
    let steps = [("update", "Shore", "ada"), ("update", "Se", "ada"), ("insert", "Sea", "ada")];
    sees(&phone, &steps).await;
    laptop.write(move |tx| tx.delete("notes", &key())).await.unwrap();
    let all = sees(&phone, &[&[("delete", "Shore", "ada")], &steps[..]].concat()).await;
    let devices = phone.query("select count(distinct change_device) from notes_history", vec![]).await.unwrap();
    assert_eq!(devices.rows, [[Value::Int(2)]]);

    // As it was at each moment; before the first there was nothing, after the last nothing is left.
    let made = accepted_at(&phone, &first[0]).await;
    let deleted = accepted_at(&phone, &all[0]).await;
    assert_eq!(titles_of(&phone, made - 1).await, []);
    assert_eq!(titles_of(&phone, deleted).await, []);
    if made < accepted_at(&phone, &all[2]).await {
        assert_eq!(titles_of(&phone, made).await, [text("Sea")]);
    }

    // What was deleted comes back as it was after the first change.
    assert!(going_back::back(&phone, all[3].clone()).await.unwrap());
    let back = [("insert", "Sea", "ada"), ("delete", "Shore", "ada")];
    sees(&laptop, &[&back[..], &steps[..]].concat()).await;
    assert!(!going_back::back(&phone, all[3].clone()).await.unwrap(), "that is how it is");
    assert!(going_back::back(&phone, all[1].clone()).await.unwrap());
    sees(&laptop, &[&[("update", "Shore", "ada")], &back[..], &steps[..]].concat()).await;

    // Nobody else sees any of it, and nobody writes it.
    assert_eq!(eve.query("select * from notes_history", vec![]).await.unwrap().rows, Vec::<Vec<Value>>::new());
    let change = first[0].clone();
    let written = phone.write(move |tx| tx.delete("notes_history", &RowKey::single(change))).await;
    assert!(written.unwrap_err().to_string().contains("[LF-2010]"));

    for client in [phone, laptop, eve] {
        client.close().await;
    }
    server.stop().await;
}
