//! What a transaction changed is its net difference, however it came about.

use landfall_core::{CellWrite, Operation};

use super::*;

/// The operations of an entry.
fn operations(db: &Database, rseq: Option<u64>) -> Vec<Operation> {
    let rseq = rseq.expect("an entry");
    db.entry(rseq).expect("readable").expect("there").transaction.operations
}

fn writes(pairs: &[(&str, Value)]) -> Vec<CellWrite> {
    pairs.iter().map(|(c, v)| CellWrite::new(*c, v.clone())).collect()
}

fn update(id: i64, cells: &[(&str, Value)]) -> Operation {
    Operation::Update { table: "counters".into(), key: key(id), base: 0, cells: writes(cells) }
}

fn insert(id: i64, cells: &[(&str, Value)]) -> Operation {
    Operation::Insert { table: "counters".into(), key: key(id), base: 0, cells: writes(cells) }
}

/// A database with counters 1 and 2.
fn counters() -> Database {
    let mut db = memory();
    write(&mut db, &["INSERT INTO counters VALUES (1, 10, 20), (2, 11, 21)"]).expect("writes");
    db
}

#[test]
fn an_insert_is_recorded_with_its_values_and_survives_reading_back() {
    let db = counters();
    let (a, b) = (Value::Int(10), Value::Int(20));
    let first = insert(1, &[("a", a), ("b", b)]);
    let second = insert(2, &[("a", Value::Int(11)), ("b", Value::Int(21))]);
    assert_eq!(operations(&db, Some(1)), vec![first, second]);
    assert_eq!(db.counts().pending, 1);
    assert_eq!(db.last_rseq(), 1);
}

#[test]
fn delete_and_insert_of_one_key_is_an_update_of_what_differs() {
    let mut db = counters();
    let done = write(&mut db, &["DELETE FROM counters WHERE id = 1", "INSERT INTO counters VALUES (1, 10, 99)"]);
    assert_eq!(operations(&db, done.expect("writes").rseq), vec![update(1, &[("b", Value::Int(99))])]);
    let done = write(&mut db, &["INSERT OR REPLACE INTO counters VALUES (2, 5, 21)"]).expect("writes");
    assert_eq!(operations(&db, done.rseq), vec![update(2, &[("a", Value::Int(5))])]);
}

#[test]
fn what_ends_as_it_began_is_no_operation() {
    let mut db = counters();
    let done = write(
        &mut db,
        &[
            "UPDATE counters SET a = a + 1",
            "UPDATE counters SET a = a - 1",
            "INSERT INTO counters VALUES (3, 1, 1)",
            "DELETE FROM counters WHERE id = 3",
        ],
    );
    let done = done.expect("writes");
    assert_eq!((done.rseq, done.changes.is_empty()), (None, true));
    assert_eq!(db.counts().pending, 1);
}

#[test]
fn parts_that_were_rolled_back_and_statements_that_failed_leave_no_phantoms() {
    let mut db = counters();
    let done = db.write(NOW, &mut |b| b.fill(1), |tx| {
        let part: Result<(), DbError> = tx.savepoint(|tx| {
            tx.execute("DELETE FROM counters", &[])?;
            tx.execute("INSERT INTO counters VALUES (7, 7, 7)", &[])?;
            Err(DbError::Aborted("changed my mind".into()))
        });
        assert!(part.is_err());
        // The second row of the statement collides: the first one is undone with it.
        assert!(tx.execute("INSERT INTO counters VALUES (8, 8, 8), (1, 0, 0)", &[]).is_err());
        tx.execute("UPDATE counters SET b = 0 WHERE id = 2", &[])
    });
    assert_eq!(operations(&db, done.expect("writes").rseq), vec![update(2, &[("b", Value::Int(0))])]);
    assert_eq!(rows(&db, "SELECT count(*) FROM counters"), vec![vec![Value::Int(2)]]);
}

#[test]
fn an_upsert_records_what_it_did() {
    let mut db = counters();
    let sql = "INSERT INTO counters VALUES (1, 1, 1), (4, 4, 4) ON CONFLICT (id) DO UPDATE SET a = excluded.a";
    let done = write(&mut db, &[sql]).expect("writes");
    let expected = vec![update(1, &[("a", Value::Int(1))]), insert(4, &[("a", Value::Int(4)), ("b", Value::Int(4))])];
    assert_eq!(operations(&db, done.rseq), expected);
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let mut db = counters();
    let before = rows(&db, "SELECT * FROM counters");
    let failed = db.write(NOW, &mut |b| b.fill(1), |tx| {
        tx.execute("DELETE FROM counters", &[])?;
        Err::<(), _>(DbError::Aborted("no".into()))
    });
    assert!(failed.is_err());
    assert_eq!(rows(&db, "SELECT * FROM counters"), before);
    assert_eq!((db.last_rseq(), db.counts().pending), (1, 1));
    write(&mut db, &["UPDATE counters SET a = 0 WHERE id = 1"]).expect("the next one works");
}

#[test]
fn a_changed_key_is_refused_and_says_what_to_do() {
    let mut db = counters();
    for table in ["counters", "tags"] {
        write(&mut db, &[&format!("INSERT INTO {table} (id) VALUES (30)")]).expect("writes");
        let error = write(&mut db, &[&format!("UPDATE {table} SET id = 31 WHERE id = 30")]).expect_err("refused");
        assert_eq!(error.code().as_str(), "LF-5022");
        assert!(error.to_string().contains("insert a new row and delete the old one"), "{error}");
    }
    // There and back again changes nothing, and is therefore fine.
    let back =
        write(&mut db, &["UPDATE counters SET id = 31 WHERE id = 30", "UPDATE counters SET id = 30 WHERE id = 31"]);
    assert_eq!(back.expect("writes").rseq, None);
    let renamed = write(&mut db, &["DELETE FROM counters WHERE id = 30", "INSERT INTO counters VALUES (31, 0, 0)"]);
    assert_eq!(operations(&db, renamed.expect("the way out works").rseq).len(), 2);
}

#[test]
fn a_delete_shows_what_it_cascades_to_and_sends_only_itself() {
    let mut db = memory();
    let id = "01010101-0101-0101-0101-010101010101";
    write(
        &mut db,
        &[
            &format!("INSERT INTO notes (id, title) VALUES ('{id}', 'x')"),
            &format!("INSERT INTO tags VALUES (1, '{id}', 'red'), (2, NULL, 'blue')"),
        ],
    )
    .expect("writes");
    let done = write(&mut db, &[&format!("DELETE FROM notes WHERE id = '{id}'")]).expect("writes");
    assert_eq!(rows(&db, "SELECT id FROM tags"), vec![vec![Value::Int(2)]]);
    assert_eq!(
        operations(&db, done.rseq),
        vec![Operation::Delete { table: "notes".into(), key: RowKey::single(uuid(1)), base: 0 }]
    );
    assert_eq!(done.changes.rows.get("tags").map_or(0, |rows| rows.len()), 1);
}

#[test]
fn a_delete_that_restrict_forbids_is_refused_when_the_row_is_here() {
    let mut db = memory();
    let id = "01010101-0101-0101-0101-010101010101";
    write(
        &mut db,
        &[
            &format!("INSERT INTO notes (id, title) VALUES ('{id}', 'x')"),
            &format!("INSERT INTO pins VALUES (1, '{id}')"),
        ],
    )
    .expect("writes");
    let error = write(&mut db, &["DELETE FROM notes"]).expect_err("refused");
    assert_eq!(error.code().as_str(), "LF-3008");
    write(&mut db, &["DELETE FROM pins", "DELETE FROM notes"]).expect("both together is fine");
}

#[test]
fn a_value_that_another_row_has_in_a_unique_column_is_refused() {
    let mut db = memory();
    write(&mut db, &["INSERT INTO tags VALUES (1, NULL, 'red')"]).expect("writes");
    let error = write(&mut db, &["INSERT INTO tags VALUES (2, NULL, 'red')"]).expect_err("refused");
    assert_eq!(error.code().as_str(), "LF-3004");
    write(&mut db, &["UPDATE tags SET name = 'x'", "INSERT INTO tags VALUES (2, NULL, 'red')"]).expect("free again");
}

#[test]
fn defaults_come_from_the_engine_and_rules_are_checked() {
    let mut db = memory();
    let done = write(&mut db, &["INSERT INTO notes (title) VALUES ('x')"]).expect("writes");
    let row = rows(&db, "SELECT id, likes, made FROM notes").remove(0);
    assert!(matches!(row[0], Value::Uuid(_)), "{row:?}");
    assert_eq!(row[1..], [Value::Int(0), Value::Timestamp(NOW as i64 * 1_000)]);
    assert_eq!(operations(&db, done.rseq)[0].cells().len(), 3);
    let error = write(&mut db, &["INSERT INTO notes (body) VALUES ('x')"]).expect_err("a title is required");
    assert_eq!(error.code().as_str(), "LF-2002");
}

#[test]
fn json_is_stored_in_one_form_whatever_sql_writes() {
    let mut db = memory();
    write(&mut db, &["INSERT INTO notes (title, extra) VALUES ('x', '{ \"b\": 1,  \"a\": [1, 2] }')"]).expect("writes");
    assert_eq!(rows(&db, "SELECT extra FROM notes"), vec![vec![Value::Json(r#"{"a":[1,2],"b":1}"#.into())]]);
    assert_eq!(rows(&db, "SELECT extra || '' FROM notes"), vec![vec![text(r#"{"a":[1,2],"b":1}"#)]]);
    let error = write(&mut db, &["UPDATE notes SET extra = '{nope'"]).expect_err("refused");
    assert_eq!(error.code().as_str(), "LF-5023");
}

#[test]
fn a_fraction_in_a_decimal_column_is_refused_and_the_way_out_works() {
    let mut db = memory();
    let error = write(&mut db, &["INSERT INTO notes (title, price) VALUES ('x', 1.55)"]).expect_err("refused");
    assert_eq!(error.code().as_str(), "LF-5023");
    assert!(error.to_string().contains("to_decimal('1.50', 2)"), "{error}");
    write(&mut db, &["INSERT INTO notes (title, price) VALUES ('x', to_decimal('1.55', 2))"]).expect("writes");
    write(&mut db, &["UPDATE notes SET price = price + to_decimal('0.10', 2)"]).expect("exact in plain SQL");
    assert_eq!(rows(&db, "SELECT from_decimal(price, 2) FROM notes"), vec![vec![text("1.65")]]);
}

#[test]
fn search_follows_every_kind_of_write() {
    let mut db = memory();
    let found = |db: &Database, word: &str| {
        db.query("SELECT count(*) FROM notes_search WHERE notes_search MATCH ?", &[text(word)]).expect("search").rows
            == vec![vec![Value::Int(1)]]
    };
    write(&mut db, &["INSERT INTO notes (id, title) VALUES ('01010101-0101-0101-0101-010101010101', 'apple')"])
        .expect("writes");
    assert!(found(&db, "apple"));
    write(
        &mut db,
        &["INSERT OR REPLACE INTO notes (id, title) VALUES ('01010101-0101-0101-0101-010101010101', 'pear')"],
    )
    .expect("writes");
    assert!(found(&db, "pear") && !found(&db, "apple"));
    write(&mut db, &["UPDATE notes SET body = 'plum'"]).expect("writes");
    assert!(found(&db, "plum"));
    write(&mut db, &["DELETE FROM notes"]).expect("writes");
    assert!(!found(&db, "pear"));
    let error = write(&mut db, &["DELETE FROM notes_search_data"]).expect_err("shadow tables are not the app's");
    assert!(matches!(error, DbError::Sql(_) | DbError::NotPermitted(_)), "{error}");
}

#[test]
fn local_tables_are_written_alike_and_never_sent() {
    let mut db = memory();
    let done = write(&mut db, &["INSERT INTO drafts VALUES (1, 'x')"]).expect("writes");
    assert_eq!(done.rseq, None);
    assert_eq!(done.changes.rows.get("drafts").map_or(0, |rows| rows.len()), 1);
    let done = write(&mut db, &["DELETE FROM drafts"]).expect("writes");
    assert_eq!(done.changes.rows.get("drafts").and_then(|rows| rows.get(&key(1))).expect("changed").after, None);
}

#[test]
fn an_apps_trigger_may_write_local_tables_only() {
    let mut db = memory();
    let log = "CREATE TEMP TRIGGER log AFTER INSERT ON counters BEGIN INSERT INTO drafts VALUES (new.id, 'seen'); END";
    db.create_local_trigger(log).expect("allowed");
    let done = write(&mut db, &["INSERT INTO counters VALUES (1, 1, 1)"]).expect("writes");
    assert_eq!(done.changes.tables().into_iter().collect::<Vec<_>>(), ["counters", "drafts"]);
    assert_eq!(operations(&db, done.rseq).len(), 1);
    let bad = "CREATE TEMP TRIGGER bad AFTER INSERT ON drafts BEGIN DELETE FROM counters; END";
    let error = db.create_local_trigger(bad).expect_err("refused");
    assert!(error.to_string().contains("may write only local tables"), "{error}");
    write(&mut db, &["INSERT INTO drafts VALUES (9, 'x')"]).expect("the trigger is gone");
    assert_eq!(rows(&db, "SELECT count(*) FROM counters"), vec![vec![Value::Int(1)]]);
    assert!(db.create_local_trigger("DROP TABLE counters").is_err());
}

#[test]
fn an_app_may_not_meddle_with_the_engines_affairs() {
    let mut db = counters();
    for sql in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT x",
        "ATTACH ':memory:' AS other",
        "DETACH other",
        "CREATE TABLE t (a)",
        "DROP TABLE counters",
        "ALTER TABLE counters ADD COLUMN c",
        "CREATE INDEX i ON counters (a)",
        "CREATE TRIGGER t AFTER INSERT ON counters BEGIN SELECT 1; END",
        "CREATE TEMP TABLE t (a)",
        "PRAGMA foreign_keys = ON",
        "PRAGMA journal_mode = OFF",
        "PRAGMA recursive_triggers = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA user_version = 7",
        "DELETE FROM _landfall_outbox",
        "UPDATE _landfall_meta SET value = 0",
        "UPDATE sqlite_sequence SET seq = 0",
        "REINDEX",
        "ANALYZE",
    ] {
        let error = write(&mut db, &[sql]).expect_err(sql);
        assert!(matches!(error, DbError::NotPermitted(_)), "{sql}: {error}");
        assert!(db.query(sql, &[]).is_err(), "{sql}");
    }
    for sql in ["DELETE FROM counters", "INSERT INTO counters VALUES (9, 9, 9)", "UPDATE counters SET a = 0"] {
        assert!(matches!(db.query(sql, &[]), Err(DbError::NotPermitted(_))), "{sql}");
    }
    assert!(write(&mut db, &["VACUUM"]).is_err() && db.query("VACUUM", &[]).is_err());
    assert!(db.query("SELECT 1; SELECT 2", &[]).is_err(), "one statement at a time");
    assert!(write(&mut db, &["INSERT OR ROLLBACK INTO counters VALUES (1, 1, 1)"]).is_err());
    assert_eq!(rows(&db, "SELECT a FROM counters ORDER BY id"), vec![vec![Value::Int(10)], vec![Value::Int(11)]]);
    write(&mut db, &["UPDATE counters SET a = 0 WHERE id = 1"]).expect("and the database still works");
}

#[test]
fn a_write_through_another_connection_fails_loudly() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("app.db");
    let mut db = open(&Location::Path(path.clone()));
    write(&mut db, &["INSERT INTO counters VALUES (1, 1, 1)"]).expect("writes");
    let other = rusqlite::Connection::open(&path).expect("opens");
    for sql in [
        "INSERT INTO counters VALUES (2, 2, 2)",
        "UPDATE counters SET a = 5",
        "DELETE FROM counters",
        "DELETE FROM tags",
    ] {
        let error = other.execute(sql, []).expect_err(sql);
        assert!(error.to_string().contains("landfall_write_through_the_engine"), "{sql}: {error}");
    }
    other.execute("INSERT INTO drafts VALUES (1, 'x')", []).expect("local tables are free");
    assert_eq!(other.query_row("SELECT count(*) FROM counters", [], |r| r.get::<_, i64>(0)).expect("reads"), 1);
}
