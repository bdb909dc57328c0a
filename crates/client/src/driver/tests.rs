//! What the native client's handle tells, without a server.

use super::*;

const SCHEMA: &str = r#"
    [app]
    name = "notes"
    version = 1
    [tables.notes.columns]
    id = "integer"
    title = "text"
"#;

async fn client(path: PathBuf) -> Client {
    let options = ClientOptions {
        location: Location::Path(path),
        schema: Schema::parse("landfall.toml", SCHEMA).expect("a schema"),
        server: None,
        token: None,
        online: false,
        mirror: None,
        options: Options::default(),
    };
    Client::open(options).await.expect("opens")
}

#[test]
fn whoever_shows_the_outbox_is_told_of_each_change() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let client = client(dir.path().join("notes.db")).await;
        let mut changes = client.outbox_changes();
        changes.mark_unchanged();
        let insert = |tx: &mut WriteTx<'_>| tx.insert("notes", &[("id", Value::Int(1))]);
        let rseq = client.write(insert).await.expect("writes").rseq.expect("an entry");
        changes.changed().await.expect("told of the write");
        client.query("SELECT * FROM notes", Vec::new()).await.expect("reads");
        assert!(!changes.has_changed().expect("open"), "reading changes nothing");
        client.withdraw(rseq).await.expect("withdraws");
        changes.changed().await.expect("told of the withdrawal");
        assert!(client.outbox().await.expect("readable").is_empty());
        client.close().await;
        assert!(changes.changed().await.is_err(), "there is nothing more to be told");
    });
}

/// The process may end between making the database anew and taking over what the mirror holds.
#[test]
fn a_recovery_that_was_interrupted_is_taken_up() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notes.db");
        let schema = Schema::parse("landfall.toml", SCHEMA).expect("a schema");
        let options = || ClientOptions { online: false, ..ClientOptions::new(&path, schema.clone()) };
        let first = Client::open(options()).await.expect("opens");
        let insert = |tx: &mut WriteTx<'_>| tx.insert("notes", &[("id", Value::Int(1))]);
        first.write(insert).await.expect("writes");
        first.close().await;
        for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
            // The log and its memory go with a database that is closed.
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        let alone = ClientOptions { mirror: None, ..options() };
        Client::open(alone).await.expect("makes it anew").close().await;
        let again = Client::open(options()).await.expect("opens");
        let outbox = again.outbox().await.expect("readable");
        assert_eq!(outbox.iter().map(|entry| entry.rseq).collect::<Vec<_>>(), [1]);
        again.close().await;
    });
}
