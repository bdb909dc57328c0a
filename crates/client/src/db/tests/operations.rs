//! Texts under `ot` on the device: what travels of a write, what is taken back of it, and what is shown of it after a recovery.

use landfall_core::Change;
use landfall_core::error::codes as core;
use landfall_protocol::server::{Decision, Outcome};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema() -> Schema {
    let text = r#"
        [app]
        name = "operations"
        version = 1
        [outbox]
        collapse = "0s"
        [tables.t.columns]
        id = "integer"
        body = { type = "text", merge = "ot" }
        "#;
    Schema::parse("landfall.toml", text).expect("a schema")
}

fn open(n: u8) -> Database {
    Database::open(&Location::Memory, schema(), Options::default(), NOW, replica(n)).expect("opens")
}

fn shown(db: &Database) -> Value {
    rows(db, "SELECT body FROM t WHERE id = 1").remove(0).remove(0)
}

fn writes(db: &mut Database, body: &str) -> u64 {
    let sql = format!("UPDATE t SET body = '{body}' WHERE id = 1");
    write(db, &[&sql]).expect("writes").rseq.expect("an entry")
}

fn sent(db: &Database, rseq: u64) -> Value {
    let entry = db.entry(rseq).expect("readable").expect("an entry");
    let cell = &entry.transaction.operations[0].cells()[0];
    assert_eq!(cell.change, Some(Change::Edit));
    cell.value.clone()
}

#[test]
fn what_travels_is_what_was_done_to_the_text() {
    let mut db = open(1);
    let made =
        write(&mut db, &["INSERT INTO t (id, body) VALUES (1, 'one two')"]).expect("writes").rseq.expect("an entry");
    assert_eq!(sent(&db, made), Value::json(&json!({"was": "", "steps": ["one two"]})));
    let edited = writes(&mut db, "one, 2 🌊");
    let steps = json!({"was": "one two", "steps": [3, ",", 1, "2 🌊", -3]});
    assert_eq!(sent(&db, edited), Value::json(&steps));
    let error = write(&mut db, &["UPDATE t SET body = NULL"]).expect_err("there is always a text");
    assert_eq!(error.code(), core::REQUIRED);
    // Two edits in one go are one.
    let both =
        write(&mut db, &["UPDATE t SET body = body || '!'", "UPDATE t SET body = '> ' || body"]).expect("writes");
    let steps = json!({"was": "one, 2 🌊", "steps": ["> ", 8, "!"]});
    assert_eq!(sent(&db, both.rseq.expect("an entry")), Value::json(&steps));
}

#[test]
fn an_undo_and_a_refusal_take_back_one_edit_and_leave_the_others() {
    let mut db = open(1);
    write(&mut db, &["INSERT INTO t (id, body) VALUES (1, 'The sea is blue.')"]).expect("writes");
    let first = writes(&mut db, "The deep sea is blue.");
    let second = writes(&mut db, "The deep sea is. Still.");
    writes(&mut db, "Look: The deep sea is. Still.");
    let undone = db.undo(first, NOW, &mut |b| b.fill(5)).expect("undoes");
    assert_eq!((undone.value.left, shown(&db)), (vec![], "Look: The sea is. Still.".into()));
    db.mark_sent(&[second]).expect("writes");
    let outcome = Outcome::Refused { problem: Problem::new(core::NOT_ALLOWED, "no"), because_of: None };
    db.decide(&[Decision { rseq: second, outcome }], NOW).expect("writes");
    assert_eq!(shown(&db), "Look: The sea is blue.".into());
    db.write(NOW, &mut |b| b.fill(6), |tx| tx.retry(second)).expect("writes");
    assert_eq!(shown(&db), "Look: The sea is. Still.".into());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A mirror has whole rows beside what waits: they have it already, and it is not done to them again.
    #[test]
    fn what_waits_is_in_a_row_once_after_a_recovery(bodies in prop::collection::vec("[ab]{0,5}", 1..6), accepted in 0usize..3) {
        let mut db = open(1);
        let made = write(&mut db, &["INSERT INTO t (id, body) VALUES (1, 'ab')"]).expect("writes").rseq.expect("an entry");
        let mut all = vec![made];
        for body in &bodies {
            let sql = format!("UPDATE t SET body = '{body}' WHERE id = 1");
            all.extend(write(&mut db, &[&sql]).expect("writes").rseq);
        }
        let images: Vec<_> = all.iter().flat_map(|rseq| db.images_of(*rseq).expect("readable")).collect();
        let entry = |rseq: &u64| db.entry(*rseq).expect("readable").expect("there").transaction;
        let waiting = all[accepted.min(all.len() - 1)..].iter().map(entry).collect();
        let mut again = open(8);
        again.recover(&recovered(100, waiting), &images, NOW).expect("recovers");
        prop_assert_eq!(shown(&again), shown(&db));
    }
}
