//! Opening: a new file, an old one, a foreign one.

use super::*;
use crate::db::OpenError;
use crate::db::bookkeeping::FORMAT;

fn path() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("app.db");
    (dir, path)
}

fn try_open(path: &std::path::Path, schema: Schema) -> Result<Database, OpenError> {
    Database::open(&Location::Path(path.into()), schema, Options::default(), NOW, replica(5))
}

fn code(path: &std::path::Path) -> String {
    try_open(path, schema()).expect_err("refused").code().to_string()
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let (_dir, path) = path();
    std::fs::write(&path, "this is a letter to my aunt, not a database\n".repeat(40)).expect("writes");
    let before = std::fs::read(&path).expect("reads");
    assert_eq!(code(&path), "LF-5001");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    std::fs::remove_file(&path).expect("removes");

    rusqlite::Connection::open(&path).expect("opens").execute_batch("CREATE TABLE t (a)").expect("creates");
    let before = std::fs::read(&path).expect("reads");
    assert_eq!(code(&path), "LF-5007");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    std::fs::remove_file(&path).expect("removes");

    assert_eq!(code(std::path::Path::new("/nowhere/at/all/app.db")), "LF-5004");
}

#[test]
fn a_newer_database_and_another_apps_are_refused_with_their_outbox_untouched() {
    let (_dir, path) = path();
    write(&mut try_open(&path, schema()).expect("opens"), &["INSERT INTO counters VALUES (1, 1, 1)"]).expect("writes");
    let other = Schema { name: "ledger".into(), ..schema() };
    assert_eq!(try_open(&path, other).expect_err("refused").code().as_str(), "LF-5002");
    let raw = rusqlite::Connection::open(&path).expect("opens");
    raw.execute_batch("PRAGMA user_version = 99").expect("sets");
    drop(raw);
    let before = std::fs::read(&path).expect("reads");
    assert_eq!(code(&path), "LF-5003");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    rusqlite::Connection::open(&path)
        .expect("opens")
        .execute_batch(&format!("PRAGMA user_version = {FORMAT}"))
        .expect("sets");
    assert_eq!(try_open(&path, schema()).expect("opens again").counts().pending, 1);
}

/// A database of the format before this one is brought to it, with all that waits in it.
#[test]
fn a_database_of_an_older_build_is_brought_to_this_ones_form() {
    let (_dir, path) = path();
    let mut db = try_open(&path, schema()).expect("opens");
    write(&mut db, &["INSERT INTO counters VALUES (1, 1, 1)"]).expect("writes");
    let replica = db.replica();
    drop(db);
    let raw = rusqlite::Connection::open(&path).expect("opens");
    raw.execute_batch(
        "DROP TABLE _landfall_taken; DROP TABLE _landfall_released; DROP INDEX _landfall_outbox_tried;
                       PRAGMA user_version = 3",
    )
    .expect("sets");
    raw.execute("DELETE FROM _landfall_meta WHERE name = 'clock_doubt_ms'", []).expect("deletes");
    drop(raw);
    let mut db = try_open(&path, schema()).expect("opens");
    assert_eq!((db.replica(), db.counts().pending), (replica, 1));
    let change = |tx: &mut crate::db::WriteTx<'_>| tx.update("counters", &key(1), &[("a", Value::Int(2))]);
    let edited = db.edit(1, NOW, &mut |bytes| bytes.fill(0), change).expect("edits");
    assert!(edited.value.in_place);
    assert_eq!(db.current_rseq(1).expect("readable"), 2);
    drop(db);
    let version = "SELECT user_version FROM pragma_user_version";
    let raw = rusqlite::Connection::open(&path).expect("opens");
    assert_eq!(raw.query_row(version, [], |r| r.get::<_, i64>(0)).expect("readable"), FORMAT);
}

/// A flipped bit in the stored schema once left a database that no version could open, with its outbox in it.
#[test]
fn a_stored_schema_that_is_damaged_is_damage_and_one_not_understood_is_a_newer_builds() {
    let (_dir, path) = path();
    drop(try_open(&path, schema()).expect("opens"));
    let change = |sql: &str| {
        let conn = rusqlite::Connection::open(&path).expect("opens");
        assert_eq!(conn.execute(sql, []).expect("changes"), 1);
    };
    change("UPDATE _landfall_meta SET value = replace(value, '\"lww\"', '\"of next year\"') WHERE name = 'schema'");
    let error = try_open(&path, schema()).expect_err("refused");
    assert!(error.to_string().contains("upgrade this program"), "{error}");
    assert_eq!(error.code().to_string(), "LF-5006");
    change("UPDATE _landfall_meta SET value = substr(value, 1, 40) WHERE name = 'schema'");
    assert_eq!(code(&path), "LF-5009");
    change("UPDATE _landfall_meta SET value = X'FFFE00' WHERE name = 'schema'");
    assert_eq!(code(&path), "LF-5009");
    change("DELETE FROM _landfall_meta WHERE name = 'schema'");
    assert_eq!(code(&path), "LF-5009");
}

#[test]
fn a_schema_that_adds_is_taken_over_and_one_that_removes_is_refused() {
    let (_dir, path) = path();
    let mut db = try_open(&path, schema()).expect("opens");
    write(&mut db, &["INSERT INTO counters VALUES (1, 2, 3)"]).expect("writes");
    drop(db);
    let mut wider = Schema { version: 2, ..schema() };
    let counters = wider.tables.iter_mut().find(|t| t.name == "counters").expect("there");
    counters
        .columns
        .push(Column { default: Some(ColumnDefault::Value(Value::Int(7))), ..column("c", ColumnType::Integer) });
    wider.tables.push(table("places", vec![column("id", ColumnType::Integer), column("name", ColumnType::Text)]));
    let mut db = try_open(&path, wider).expect("upgrades");
    assert_eq!(rows(&db, "SELECT a, b, c FROM counters"), vec![vec![Value::Int(2), Value::Int(3), Value::Int(7)]]);
    assert_eq!((db.counts().pending, db.replica()), (1, replica(5)));
    write(&mut db, &["UPDATE counters SET c = 8", "INSERT INTO places VALUES (1, 'x')"]).expect("writes");
    drop(db);
    let other = rusqlite::Connection::open(&path).expect("opens");
    assert!(other.execute("DELETE FROM places", []).is_err(), "a new table is guarded too");
    drop(other);
    let error = try_open(&path, schema()).expect_err("refused");
    assert_eq!(error.code().as_str(), "LF-5006");
}

/// Preparing costs more than most statements do.
#[test]
fn statements_are_prepared_once_whatever_is_bound() {
    let mut db = memory();
    write(&mut db, &["INSERT INTO counters VALUES (1, 2, 3)"]).expect("writes");
    for sql in ["SELECT rseq FROM _landfall_outbox WHERE stack = ?", "SELECT id FROM tags WHERE name = ?"] {
        for bound in [0, 1, 7, 1] {
            let mut statement = db.conn.prepare_cached(sql).expect("valid");
            statement.exists([bound]).expect("readable");
            assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0, "{sql}");
        }
    }
}

#[test]
fn a_lost_database_is_rebuilt_from_its_mirrored_transactions() {
    let mut lost = memory();
    write(&mut lost, &["INSERT INTO counters VALUES (1, 1, 1)"]).expect("writes");
    write(&mut lost, &["UPDATE counters SET a = 2"]).expect("writes");
    let transactions: Vec<_> = lost.outbox().expect("readable").into_iter().map(|e| e.transaction).collect();
    let mut db = Database::open(&Location::Memory, schema(), Options::default(), NOW, replica(8)).expect("opens");
    let from = Recovered { older: transactions[..1].to_vec(), ..recovered(100, transactions) };
    db.recover(&from, &[], NOW).expect("recovers");
    assert_eq!(db.replica(), replica(1));
    assert_eq!(rows(&db, "SELECT a, b FROM counters"), vec![vec![Value::Int(2), Value::Int(1)]]);
    assert_eq!((db.undecided().expect("readable"), db.counts().dead), (vec![1, 2], 1));
    let next = write(&mut db, &["UPDATE counters SET b = 9"]).expect("writes").rseq;
    assert_eq!(next, Some(102), "beyond whatever was used before");
}

#[test]
fn a_database_in_memory_shows_pending_rows_whole_from_their_images() {
    let mut lost = memory();
    write(&mut lost, &["INSERT INTO counters VALUES (1, 10, 20), (2, 5, 5), (3, 7, 7)"]).expect("writes");
    write(&mut lost, &["UPDATE counters SET a = 11 WHERE id = 1", "DELETE FROM counters WHERE id = 2"])
        .expect("writes");
    write(&mut lost, &["UPDATE counters SET b = 21 WHERE id = 1"]).expect("writes");
    // The server has taken the first one: it is no longer in the mirror.
    let entry = |rseq: u64| lost.entry(rseq).expect("readable").expect("there").transaction;
    let images: Vec<_> = [2, 3].into_iter().flat_map(|rseq| lost.images_of(rseq).expect("readable")).collect();
    assert_eq!(images.iter().map(|i| i.key.clone()).collect::<Vec<_>>(), [key(1), key(1)]);
    let mut db = memory();
    db.recover(&recovered(100, vec![entry(2), entry(3)]), &images, NOW).expect("recovers");
    let expected = [[1, 11, 21]].map(|row| row.map(Value::Int).to_vec());
    assert_eq!(rows(&db, "SELECT * FROM counters"), expected);
    assert_eq!(db.undecided().expect("readable"), [2, 3]);
}
