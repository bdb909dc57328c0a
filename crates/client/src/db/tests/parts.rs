//! Columns that are changed in parts, on the device: what travels of a write, what is taken back of it, what is written again
//! of one that was refused.

use landfall_core::error::codes as core;
use landfall_core::{CellWrite, Change};
use landfall_protocol::server::{Decision, Outcome};
use serde_json::json;

use super::*;
use crate::db::Resolution;

fn open() -> Database {
    let text = r#"
        [app]
        name = "parts"
        version = 1
        [outbox]
        collapse = "0s"
        [tables.t.columns]
        id = "integer"
        tags = { type = "json", merge = "set" }
        look = { type = "json", merge = "map" }
        body = { type = "text", merge = "text" }
        pick = { type = "text", merge = "manual" }
        "#;
    let schema = Schema::parse("landfall.toml", text).expect("a schema");
    Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens")
}

fn key() -> RowKey {
    RowKey::single(Value::Int(1))
}

fn json_of(value: serde_json::Value) -> Value {
    Value::json(&value)
}

fn shown(db: &Database) -> Vec<Value> {
    rows(db, "SELECT tags, look, body FROM t WHERE id = 1").into_iter().next().unwrap_or_default()
}

fn sent(db: &Database, rseq: u64) -> Vec<(String, Option<Change>, Value)> {
    let entry = db.entry(rseq).expect("readable").expect("an entry");
    let cells = entry.transaction.operations.iter().flat_map(|o| o.cells().to_vec());
    cells.map(|CellWrite { column, change, value, .. }| (column, change, value)).collect()
}

fn made(db: &mut Database) -> u64 {
    let sql =
        r#"INSERT INTO t (id, tags, look, body) VALUES (1, '["b", "a", "b"]', '{"form": {"size": 1}}', 'one two')"#;
    write(db, &[sql]).expect("writes").rseq.expect("an entry")
}

fn refused(db: &mut Database, rseq: u64) {
    db.mark_sent(&[rseq]).expect("writes");
    let outcome = Outcome::Refused { problem: Problem::new(core::NOT_ALLOWED, "no"), because_of: None };
    db.decide(&[Decision { rseq, outcome }], NOW).expect("writes");
}

fn edit(column: &str, change: serde_json::Value) -> (String, Option<Change>, Value) {
    (column.to_owned(), Some(Change::Edit), json_of(change))
}

#[test]
fn what_travels_is_what_was_done_by_typed_calls_and_by_sql_alike() {
    let mut db = open();
    let first = made(&mut db);
    assert_eq!(shown(&db), [json_of(json!(["a", "b"])), json_of(json!({"form": {"size": 1}})), "one two".into()]);
    let expected = [
        edit("tags", json!({"add": ["a", "b"]})),
        edit("look", json!({"set": {"/form/size": 1}})),
        edit("body", json!({"was": "", "is": "one two"})),
    ];
    assert_eq!(sent(&db, first), expected);
    let typed = db.write(NOW, &mut |b| b.fill(2), |tx| {
        assert!(tx.add_to("t", &key(), "tags", &["c".into(), Value::Int(7)])?);
        assert!(tx.remove_from("t", &key(), "tags", &["a".into(), "never".into()])?);
        assert!(tx.put_at("t", &key(), "look", &["form", "a/b"], &json!([1]))?);
        assert!(tx.cut_at("t", &key(), "look", &["form", "size"])?);
        tx.change("t", &RowKey::single(Value::Int(2)), "tags", &json_of(json!({"add": [1]})))
    });
    let typed = typed.expect("writes");
    assert!(!typed.value, "there is no such row");
    let expected = [
        edit("tags", json!({"add": ["c", 7], "remove": ["a"]})),
        edit("look", json!({"set": {"/form/a~1b": [1]}, "remove": ["/form/size"]})),
    ];
    assert_eq!(sent(&db, typed.rseq.expect("an entry")), expected);
    let sql = "UPDATE t SET tags = json_insert(tags, '$[#]', 'd'), look = json_set(look, '$.x', 2), body = body || '!' WHERE id = 1";
    let by_sql = write(&mut db, &[sql]).expect("writes").rseq.expect("an entry");
    let expected = [
        edit("tags", json!({"add": ["d"]})),
        edit("look", json!({"set": {"/x": 2}})),
        edit("body", json!({"was": "one two", "is": "one two!"})),
    ];
    assert_eq!(sent(&db, by_sql), expected);
}

#[test]
fn what_is_no_set_map_or_change_is_refused_before_anything_is_written() {
    let mut db = open();
    made(&mut db);
    let before = shown(&db);
    for (sql, code) in [
        ("UPDATE t SET tags = '{}'", core::WRONG_TYPE),
        ("UPDATE t SET tags = '[[]]'", core::WRONG_TYPE),
        ("UPDATE t SET look = '[]'", core::WRONG_TYPE),
        ("UPDATE t SET tags = NULL", core::REQUIRED),
        ("UPDATE t SET body = NULL", core::REQUIRED),
    ] {
        assert_eq!(write(&mut db, &[sql]).expect_err(sql).code(), code, "{sql}");
    }
    for (column, change) in [("tags", json!({"plus": [1]})), ("look", json!({"set": {"a": 1}})), ("pick", json!({}))] {
        let done = db.write(NOW, &mut |b| b.fill(2), |tx| tx.change("t", &key(), column, &json_of(change.clone())));
        assert_eq!(done.expect_err("no change").code(), core::WRONG_TYPE, "{column}");
    }
    assert_eq!(shown(&db), before);
}

#[test]
fn a_row_that_was_refused_is_made_again_as_it_was() {
    let mut db = open();
    let first = made(&mut db);
    let was = shown(&db);
    refused(&mut db, first);
    assert!(shown(&db).is_empty());
    let again = db.write(NOW, &mut |b| b.fill(3), |tx| tx.retry(first)).expect("writes").rseq.expect("an entry");
    assert_eq!(shown(&db), was);
    assert_eq!(sent(&db, again)[0], edit("tags", json!({"add": ["a", "b"]})));
    let more =
        write(&mut db, &[r#"UPDATE t SET tags = '["z"]', body = '1 two' WHERE id = 1"#]).expect("writes").rseq.unwrap();
    write(&mut db, &["UPDATE t SET body = body || ', three' WHERE id = 1"]).expect("writes");
    refused(&mut db, more);
    assert_eq!(
        shown(&db),
        [json_of(json!(["a", "b"])), json_of(json!({"form": {"size": 1}})), "one two, three".into()]
    );
    db.write(NOW, &mut |b| b.fill(4), |tx| tx.retry(more)).expect("writes");
    assert_eq!(shown(&db), [json_of(json!(["z"])), json_of(json!({"form": {"size": 1}})), "1 two, three".into()]);
}

#[test]
fn an_undo_takes_back_what_was_done_and_leaves_the_rest() {
    let mut db = open();
    made(&mut db);
    let sql = r#"UPDATE t SET tags = '["b", "c"]', look = '{"form": {"size": 2}}', body = 'ONE two' WHERE id = 1"#;
    let first = write(&mut db, &[sql]).expect("writes").rseq.expect("an entry");
    let sql = r#"UPDATE t SET tags = json_insert(tags, '$[#]', 'd'), look = json_set(look, '$.x', 1), body = 'ONE two.' WHERE id = 1"#;
    write(&mut db, &[sql]).expect("writes");
    let undone = db.undo(first, NOW, &mut |b| b.fill(5)).expect("undoes");
    assert_eq!(undone.value.left, []);
    let expected = [json_of(json!(["a", "b", "d"])), json_of(json!({"form": {"size": 1}, "x": 1})), "one two.".into()];
    assert_eq!(shown(&db), expected);
}

#[test]
fn a_conflict_is_only_made_by_the_server_and_one_that_is_gone_is_resolved() {
    let mut db = open();
    made(&mut db);
    let sql = "INSERT INTO t_conflicts (conflict_id, conflict_row, conflict_column, conflict_seq)
               VALUES ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', 'body', 1)";
    assert_eq!(write(&mut db, &[sql]).expect_err("nobody does").code(), core::SERVER_ASSIGNED);
    let resolve = |db: &mut Database, table: &str| {
        db.write(NOW, &mut |b| b.fill(6), |tx| tx.resolve(table, &Value::Uuid([1; 16]), &Resolution::Take))
    };
    assert!(!resolve(&mut db, "t").expect("no mistake").value);
}
