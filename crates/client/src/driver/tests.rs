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
