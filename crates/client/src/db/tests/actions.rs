//! Transactions that ask for an action.

use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::schema::{ActionDef, Schedule};
use landfall_protocol::server::Outcome;

use super::world::decision;
use super::*;
use crate::db::{EntryState, Failure, OutboxEntry, WriteTx};

const DAY: u64 = 24 * 3_600_000;

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

/// What an action's argument points to comes first, and what a row's key points to: a tag of a note, keyed by both.
#[test]
fn what_is_pointed_to_by_an_argument_or_a_key_comes_first() {
    let mut schema = schema();
    let refers = |name: &str| Column {
        references: Some(landfall_core::schema::Reference {
            table: "notes".into(),
            on_delete: landfall_core::schema::OnDelete::Cascade,
        }),
        ..column(name, ColumnType::Uuid)
    };
    schema.actions = vec![ActionDef {
        name: "publish".into(),
        sending: Sending::default(),
        schedule: None,
        args: vec![refers("what")],
    }];
    let mut labels = table("labels", vec![refers("note"), column("word", ColumnType::Text)]);
    labels.primary_key = vec!["note".into(), "word".into()];
    schema.tables.push(labels);
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let mut write = |f: &mut dyn FnMut(&mut WriteTx<'_>) -> Result<(), DbError>| {
        db.write(NOW, &mut |bytes| bytes.fill(7), |tx| f(tx)).expect("valid").rseq.expect("queued")
    };
    let note = write(&mut |tx| tx.insert("notes", &[("id", uuid(1)), ("title", text("x"))]));
    let label = write(&mut |tx| tx.insert("labels", &[("note", uuid(1)), ("word", text("red"))]));
    let action = write(&mut |tx| tx.action("publish", &[("what", uuid(1))]));
    let other = write(&mut |tx| tx.action("publish", &[("what", uuid(9))]));
    for (rseq, needs) in [(label, vec![note]), (action, vec![note]), (other, vec![])] {
        assert_eq!(entry(&db, rseq).transaction.requires, needs, "{rseq}");
    }
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
    assert_eq!(asked.failures, [Failure::new(NOW, late.clone())]);
    db.decide(&[decision(rseq, Outcome::Failed { problem: late.clone() })], NOW + 1).expect("decided");
    let failing = entry(&db, rseq);
    assert_eq!((failing.problem, failing.failures.len(), failing.attempts), (Some(late), 2, 2));
    assert!(failing.next_attempt_ms < Some(NOW + 20_000), "it waits for its next attempt, not for the answer");
}

/// What asks for an action is handed over as it was asked for: it takes nothing up, and nothing takes it up.
#[test]
fn an_action_is_not_joined_with_what_is_written_beside_it() {
    let mut schema = shop().schema().clone();
    schema.outbox.collapse_ms = 1_000;
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let mut set = |a: i64, asks: bool| {
        let change = |tx: &mut WriteTx<'_>| {
            tx.upsert("counters", &[("id", Value::Int(1)), ("a", Value::Int(a))])?;
            if asks { tx.action("count_up", &[("count", Value::Int(a))]) } else { Ok(()) }
        };
        db.write(NOW, &mut |bytes| bytes.fill(7), change).expect("writes").rseq.expect("an entry")
    };
    let made = set(0, false);
    assert_eq!(set(1, false), made + 1, "an insert and an update of the same cells are one entry");
    let (asked, again, plain) = (set(2, true), set(3, true), set(4, false));
    let taken_up = set(5, false);
    let waiting: Vec<u64> = db.outbox().expect("readable").iter().map(|e| e.rseq).collect();
    assert_eq!(waiting, [made + 1, asked, again, taken_up]);
    assert!(plain < taken_up && db.entry(plain).expect("readable").is_none());
}

/// What asks for an action stays what was asked for, under its number, so that it is done once whoever brings it: a change of
/// its rows follows it, and as long as it was never sent it can be withdrawn.
#[test]
fn what_asks_for_an_action_is_not_changed_and_is_withdrawn_while_it_is_here() {
    let mut db = shop();
    let asked = act(&mut db, &[("count", Value::Int(1))], Some(1)).expect("valid").expect("queued");
    let before = entry(&db, asked).transaction;
    let change = |tx: &mut WriteTx<'_>| tx.update("counters", &RowKey::single(Value::Int(1)), &[("a", Value::Int(2))]);
    let edited = db.edit(asked, NOW, &mut |bytes| bytes.fill(7), change).expect("writes");
    let follower = entry(&db, edited.rseq.expect("an entry"));
    assert!(!edited.value.in_place && follower.transaction.action.is_none() && follower.waits_for.is_empty());
    assert_eq!((entry(&db, asked).transaction, follower.transaction.requires), (before, vec![asked]));
    let other = act(&mut db, &[("count", Value::Int(1))], Some(2)).expect("valid").expect("queued");
    let withdrawn = db.withdraw(other, NOW, &mut |bytes| bytes.fill(7)).expect("withdraws").value;
    assert!(matches!(withdrawn, crate::db::Withdrawal::Withdrawn { with_it, .. } if with_it.is_empty()));
    assert_eq!(rows(&db, "SELECT id FROM counters"), [[Value::Int(1)]].map(Vec::from));
    db.mark_sent(&[asked]).expect("stored");
    match db.withdraw(asked, NOW, &mut |bytes| bytes.fill(7)) {
        Err(DbError::NotUndoable { rseq }) => assert_eq!(rseq, asked),
        other => panic!("{other:?}"),
    }
}

/// A transfer is asked for a day ahead, or with a connection.
#[test]
fn an_action_may_be_asked_for_ahead_of_time() {
    let mut schema = shop().schema().clone();
    let action = &mut schema.actions[0];
    action.args.push(column("due", ColumnType::Timestamp));
    action.schedule = Some(Schedule { by: "due".into(), lead_ms: DAY });
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let due = |at_ms: u64| [("count", Value::Int(1)), ("due", Value::Timestamp(at_ms as i64 * 1_000))];
    for args in [&due(NOW + DAY - 1)[..], &due(NOW)[..1]] {
        match act(&mut db, args, None) {
            Err(error @ DbError::TooSoon { .. }) => assert!(error.to_string().contains("count_up"), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(db.counts().pending, 0);
    let rseq = act(&mut db, &due(NOW + DAY), None).expect("far enough ahead").expect("queued");
    assert_eq!(entry(&db, rseq).transaction.expires_ms, Some(NOW + DAY), "nobody carries it out after it was due");
    db.set_online(true);
    act(&mut db, &due(NOW + 1), None).expect("there is a connection");
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
