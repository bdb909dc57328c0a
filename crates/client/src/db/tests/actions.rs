//! Transactions that ask for an action.

use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::schema::ActionDef;
use landfall_protocol::server::Outcome;

use super::world::decision;
use super::*;
use crate::db::{EntryState, Failure, OutboxEntry};

/// The schema of the tests with an action, and a column that the server fills.
fn shop() -> Database {
    let mut schema = schema();
    let args =
        vec![Column { required: true, ..column("count", ColumnType::Integer) }, column("note", ColumnType::Text)];
    schema.actions = vec![ActionDef {
        name: "count_up".into(),
        sending: Sending { priority: 90, attempts: 2, ..Sending::default() },
        schedule: None,
        args,
    }];
    let counters = schema.tables.iter_mut().find(|t| t.name == "counters").expect("counters");
    counters.columns[2].assigned = true;
    let options = Options { durability: crate::db::Durability::Normal, ..Options::default() };
    Database::open(&Location::Memory, schema, options, NOW, replica(1)).expect("opens")
}

fn act(db: &mut Database, args: &[(&str, Value)], id: Option<i64>) -> Result<Option<u64>, DbError> {
    let written = db.write(NOW, &mut |bytes| bytes.fill(7), |tx| {
        if let Some(id) = id {
            tx.insert("counters", &[("id", Value::Int(id)), ("a", Value::Int(1))])?;
        }
        tx.action("count_up", args)
    });
    Ok(written?.rseq)
}

fn entry(db: &Database, rseq: u64) -> OutboxEntry {
    db.entry(rseq).expect("readable").expect("there")
}

fn code<T: std::fmt::Debug>(result: Result<T, DbError>) -> String {
    match result.expect_err("refused") {
        DbError::Invalid(problem) => problem.code.to_string(),
        other => panic!("{other}"),
    }
}

/// P16: it is queued with what the transaction writes, as urgently as the action says.
#[test]
fn an_action_travels_with_its_transaction() {
    let mut db = shop();
    let rseq = act(&mut db, &[("count", Value::Int(3))], Some(1)).expect("valid").expect("queued");
    let entry = entry(&db, rseq);
    let action = entry.transaction.action.expect("an action");
    assert_eq!((action.name.as_str(), action.args), ("count_up", Cells::from([("count".into(), Value::Int(3))])));
    assert_eq!((entry.priority, entry.transaction.operations.len()), (90, 1));
}

/// P16: without a row it is queued, decided and gone like any other; refused, it asks again when it is retried.
#[test]
fn an_action_without_rows_is_a_transaction() {
    let mut db = shop();
    let first = act(&mut db, &[("count", Value::Int(1))], None).expect("valid").expect("queued");
    let second = act(&mut db, &[("count", Value::Int(2))], None).expect("valid").expect("queued");
    assert_eq!(db.counts().pending, 2);
    db.mark_sent(&[first, second]).expect("stored");
    let no = Problem::new(codes::NOT_HANDLED, "no");
    let refused = Outcome::Refused { problem: no.clone(), because_of: None };
    db.decide(&[decision(first, Outcome::Accepted { seq: 1 }), decision(second, refused)], NOW).expect("decided");
    assert_eq!(entry(&db, second).problem, Some(no));
    let again = db.retry(second, NOW, &mut |bytes| bytes.fill(3)).expect("retried").rseq.expect("queued");
    assert_eq!(entry(&db, again).transaction.action.expect("an action").args["count"], Value::Int(2));
    assert_eq!(entry(&db, again).state, EntryState::Queued);
}

/// P19: what failed once, and is asked about now, waits for an answer. What failed is still told.
#[test]
fn what_is_asked_about_fails_no_longer() {
    let mut db = shop();
    let rseq = act(&mut db, &[("count", Value::Int(1))], Some(1)).expect("valid").expect("queued");
    db.mark_sent(&[rseq]).expect("stored");
    let late = Problem::new(codes::ATTEMPTS_USED_UP, "late");
    db.decide(&[decision(rseq, Outcome::Failed { problem: late.clone() })], NOW).expect("decided");
    assert_eq!(entry(&db, rseq).problem, Some(late.clone()));
    db.decide(&[decision(rseq, Outcome::Asked { again_ms: 20_000 })], NOW).expect("decided");
    let asked = entry(&db, rseq);
    assert_eq!((asked.problem, asked.next_attempt_ms, asked.attempts), (None, Some(NOW + 20_000), 1));
    assert_eq!(asked.failures, [Failure { at_ms: NOW, problem: late.clone() }]);
    db.decide(&[decision(rseq, Outcome::Failed { problem: late.clone() })], NOW + 1).expect("decided");
    let failing = entry(&db, rseq);
    assert_eq!((failing.problem, failing.failures.len(), failing.attempts), (Some(late), 2, 2));
}

/// P16, P17: what the server would refuse is refused here, and nothing of it is stored.
#[test]
fn what_is_not_as_declared_is_refused_at_once() {
    let mut db = shop();
    let count = ("count", Value::Int(1));
    assert_eq!(code(act(&mut db, &[], Some(1))), "LF-2002");
    assert_eq!(code(act(&mut db, &[("count", text("1"))], Some(1))), "LF-2001");
    assert_eq!(code(act(&mut db, &[count.clone(), ("much", Value::Int(1))], Some(1))), "LF-2007");
    let unknown = db.write(NOW, &mut |bytes| bytes.fill(7), |tx| tx.action("count_down", &[]));
    assert_eq!(code(unknown), "LF-2007");
    let twice = db.write(NOW, &mut |bytes| bytes.fill(7), |tx| {
        tx.action("count_up", std::slice::from_ref(&count))?;
        tx.action("count_up", std::slice::from_ref(&count))
    });
    assert_eq!(code(twice), "LF-3007");
    assert_eq!(code(write(&mut db, &["INSERT INTO counters (id, b) VALUES (1, 1)"])), "LF-2010");
    assert_eq!((db.counts().pending, rows(&db, "SELECT * FROM counters")), (0, Vec::new()));
}
