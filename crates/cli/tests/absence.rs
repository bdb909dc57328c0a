//! Ten thousand changes after a month: the person is asked first, nothing is lost, nothing comes twice, and the app goes
//! on meanwhile.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;
use std::time::Duration;

use landfall_client::Status;
use landfall_client::db::{Durability, Options as DbOptions};
use landfall_client::driver::{Client, ClientOptions};
use landfall_client::status::Connectivity;
use landfall_core::{Schema, Value};
use landfall_server::auth::Authenticator;
use landfall_server::http::{Options, serve};
use landfall_server::session::Rules;
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;

const SCHEMA: &str = r#"
[app]
name = "diary"
version = 1

[tables.notes.columns]
id    = { type = "integer" }
title = { type = "text", required = true }

[shapes.all]
table = "notes"
"#;

/// How long any single step may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);
/// Notes that both devices know from the beginning.
const KNOWN: i64 = 50;
/// Those of them that the other one changes meanwhile.
const CHANGED: i64 = 12;
const ENTRIES: i64 = 10_000;
/// So many entries settle between most calls and their answers: a few pushes. Calls that waited for the drain would see
/// thousands go.
const MEANWHILE: u64 = 512;
const MONTH_MS: i64 = 31 * 24 * 3_600 * 1_000;

fn schema() -> Schema {
    Schema::parse("landfall.toml", SCHEMA).unwrap()
}

async fn device(dir: &Path, name: &str, address: &str) -> Client {
    let mut options = ClientOptions::new(dir.join(name), schema()).with_server(address, "dev:ada");
    options.options = DbOptions { durability: Durability::Normal, ..DbOptions::default() };
    let client = Client::open(options).await.unwrap();
    client.open_shape("all", Default::default()).await.unwrap();
    client
}

/// Waits until the status is as wanted.
async fn until(client: &Client, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut status = client.status();
    let found = tokio::time::timeout(PATIENCE, status.wait_for(|now| wanted(now))).await;
    found.unwrap_or_else(|_| panic!("{what}: {:?}", *client.status().borrow())).unwrap().clone()
}

/// Waits until it shows what the server has, and this many entries wait.
async fn caught_up(client: &Client, pending: u64) {
    let mut status = client.status();
    let wait = async {
        while !client
            .with(move |engine, _, _| engine.is_caught_up() && engine.status().pending == pending)
            .await
            .unwrap()
        {
            status.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in step in time");
}

/// One transaction each, all in one turn of the engine.
async fn write(client: &Client, statements: Vec<String>) {
    let all = client.with(move |engine, now, random| {
        statements.iter().try_for_each(|sql| engine.write(now, random, |tx| tx.execute(sql, &[])).map(|_| ()))
    });
    all.await.unwrap().unwrap();
}

fn insert(id: i64, title: &str) -> String {
    format!("INSERT INTO notes (id, title) VALUES ({id}, '{title}')")
}

fn set(id: i64, title: &str) -> String {
    format!("UPDATE notes SET title = '{title}' WHERE id = {id}")
}

fn number(file: &Path, sql: &str) -> i64 {
    rusqlite::Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// All of it goes, while the app reads and writes: each write is there at once, whatever is under way. Gives the number of
/// the last note.
async fn drain(phone: &Client) -> i64 {
    let mut status = phone.status();
    let (mut troubles, mut waited) = (Vec::new(), Vec::new());
    phone.replay().await.unwrap();
    let mut written = ENTRIES + 1;
    let drain = async {
        loop {
            let (pending, error) = {
                let now = status.borrow_and_update();
                (now.pending, now.last_error.clone())
            };
            troubles.extend(error);
            if pending == 0 {
                return;
            }
            if written < ENTRIES + 200 {
                written += 1;
                let id = written;
                let one = phone.with(move |engine, now, random| {
                    let left = engine.db().counts().undecided();
                    let cells = [("id", id.into()), ("title", "during".into())];
                    (left, engine.write(now, random, |tx| tx.insert("notes", &cells)))
                });
                let (left, one) = one.await.unwrap();
                assert!(one.unwrap().rseq.is_some());
                waited.push(pending.saturating_sub(left));
                let asked = left;
                let read = phone.with(move |engine, _, _| {
                    let rows = engine.query("SELECT title FROM notes WHERE id = ?", &[Value::Int(id)]);
                    (engine.db().counts().undecided(), rows)
                });
                let (left, rows) = read.await.unwrap();
                assert_eq!(rows.unwrap().rows, [[Value::Text("during".into())]]);
                waited.push(asked.saturating_sub(left));
            } else {
                status.changed().await.unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, drain).await.expect("drains");
    assert_eq!(troubles, Vec::<String>::new(), "no time-out, and no other trouble");
    // The test's own thread may be kept waiting now and then, and sees more go while it is.
    waited.sort_unstable();
    assert!(
        waited.len() >= 20 && waited[waited.len() / 2] <= MEANWHILE,
        "settled while a call was under way: {waited:?}"
    );
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_changes_after_a_month_are_asked_about_and_then_drain() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("server.db");
    let store = SqliteStore::open(SqliteOptions::path(&data), schema(), Fresh::from_bytes([7; 48]), 1).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let rules = Rules::new(&schema(), Authenticator::new().with_development(true));
    let server = serve(listener, Box::new(store), rules, Options::default(), std::future::pending());
    let server = tokio::spawn(server);

    let laptop = device(dir.path(), "laptop.db", &address).await;
    write(&laptop, (1..=KNOWN).map(|id| insert(id, "first")).collect()).await;
    caught_up(&laptop, 0).await;
    let phone = device(dir.path(), "phone.db", &address).await;
    caught_up(&phone, 0).await;
    phone.set_online(false).unwrap();
    until(&phone, "offline", |now| matches!(now.connectivity, Connectivity::Offline { .. })).await;
    write(&phone, (1..=KNOWN).map(|id| set(id, "phone")).collect()).await;
    write(&phone, (KNOWN + 1..=ENTRIES).map(|id| insert(id, "new")).collect()).await;
    phone.close().await;
    write(&laptop, (1..=CHANGED).map(|id| set(id, "laptop")).collect()).await;
    caught_up(&laptop, 0).await;

    // A month goes by.
    let file = rusqlite::Connection::open(dir.path().join("phone.db")).unwrap();
    let sql = "UPDATE _landfall_meta SET value = value - ? WHERE name = 'seen_ms'";
    assert_eq!(file.execute(sql, [MONTH_MS]).unwrap(), 1);
    drop(file);
    let before = number(&data, "SELECT max(seq) FROM _landfall_log");

    let phone = device(dir.path(), "phone.db", &address).await;
    let told = until(&phone, "held", |now| now.review.is_some_and(|r| r.complete && r.conflicts > 0)).await;
    let held = told.review.unwrap();
    assert_eq!((held.entries, held.conflicts), (ENTRIES as u64, CHANGED as u64));
    assert_eq!(held.away_ms / (24 * 3_600 * 1_000), 31);
    let backups = phone.with(|engine, _, _| engine.db().backups()).await.unwrap().unwrap();
    assert_eq!(backups.len(), 1);
    assert_eq!(backups[0].file.matches("\"rseq\":").count(), ENTRIES as usize, "all of it is in the copy");
    let reviewed = phone.review().await.unwrap();
    assert_eq!(reviewed.len(), ENTRIES as usize);
    let changed: Vec<_> = reviewed.iter().flat_map(|r| &r.changed).collect();
    let text = |text: &str| Some(Value::Text(text.into()));
    assert_eq!(changed.len(), CHANGED as usize);
    for one in changed {
        assert_eq!((&one.was, &one.now, &one.own), (&text("first"), &text("laptop"), &text("phone")));
    }

    // It is read, written and taken back as ever, and nothing has left.
    phone.withdraw(reviewed[0].entry.rseq).await.unwrap();
    write(&phone, vec![insert(ENTRIES + 1, "meanwhile")]).await;
    let rows = phone.query("SELECT title FROM notes WHERE id IN (1, 2, 10001) ORDER BY id", Vec::new()).await.unwrap();
    assert_eq!(rows.rows.concat(), ["laptop", "phone", "meanwhile"].map(|title| Value::Text(title.into())));
    assert_eq!(number(&data, "SELECT max(seq) FROM _landfall_log"), before);
    phone.close().await;
    let phone = device(dir.path(), "phone.db", &address).await;
    let again = until(&phone, "held still", |now| now.connectivity == Connectivity::Online).await.review.unwrap();
    assert_eq!((again.entries, again.away_ms), (ENTRIES as u64, held.away_ms));
    caught_up(&phone, ENTRIES as u64).await;
    assert_eq!(phone.status().borrow().review.unwrap().conflicts, CHANGED as u64 - 1, "one was taken back");

    let written = drain(&phone).await;
    let end = until(&phone, "settled", |now| now.acknowledged == 0 && now.sending.is_none()).await;
    assert_eq!((end.review, end.pending, end.dead), (None, 0, 0));

    // Each row once, each transaction once, and what was taken back is as the other one left it.
    assert_eq!(number(&data, "SELECT count(*) FROM notes"), written);
    let of_phone = "SELECT count(*) FROM _landfall_log WHERE replica =
                      (SELECT replica FROM _landfall_log ORDER BY seq DESC LIMIT 1)";
    let sent = number(&data, of_phone);
    assert_eq!(sent, written - 1, "all but the one that was taken back");
    // What the laptop wrote meanwhile is the later writing: sent nevertheless, the older words lose.
    assert_eq!(number(&data, "SELECT count(*) FROM notes WHERE title = 'phone'"), KNOWN - CHANGED);
    assert_eq!(number(&data, "SELECT count(*) FROM notes WHERE title = 'laptop'"), CHANGED);
    assert_eq!(number(&data, "SELECT count(*) FROM notes WHERE id = 1 AND title = 'laptop'"), 1);
    phone.close().await;
    laptop.close().await;
    server.abort();
}
