//! Numbers that an app remembers: each names the entry that has its work now, as long as anything does.

use std::collections::BTreeMap;

use landfall_protocol::server::{Outcome, Resumption, Start};

use super::world::*;
use super::*;
use crate::db::{DbError, EntryState, Withdrawal, WriteTx};

fn zero(bytes: &mut [u8]) {
    bytes.fill(0);
}

fn put(db: &mut Database, at_ms: u64, id: i64, a: i64) -> u64 {
    let written =
        db.write(NOW + at_ms, &mut zero, |tx| tx.upsert("counters", &[("id", Value::Int(id)), ("a", Value::Int(a))]));
    written.expect("writes").rseq.expect("an entry")
}

/// Its new number, and whether it was changed in place.
fn edit(db: &mut Database, rseq: u64, id: i64, a: i64) -> (u64, bool) {
    let f = |tx: &mut WriteTx<'_>| tx.update("counters", &key(id), &[("a", Value::Int(a))]);
    let edited = db.edit(rseq, NOW, &mut zero, f).expect("edits");
    (edited.rseq.expect("an entry"), edited.value.in_place)
}

fn requires(db: &mut Database, rseq: u64, id: i64) -> Result<Vec<u64>, DbError> {
    let written = db.write(NOW, &mut zero, |tx| {
        tx.require(rseq)?;
        tx.insert("counters", &[("id", Value::Int(id))])
    });
    let written = written?.rseq.expect("an entry");
    Ok(db.entry(written)?.expect("there").transaction.requires)
}

fn current(db: &Database, rseq: u64) -> u64 {
    db.current_rseq(rseq).expect("readable")
}

fn ranges(db: &Database) -> usize {
    rows(db, "SELECT first FROM _landfall_taken").len()
}

#[test]
fn an_old_number_edits_requires_and_withdraws_the_entry_that_took_it_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::Path(dir.path().join("app.db"));
    let mut db = open(&location);
    let first = put(&mut db, 0, 1, 10);
    let other = put(&mut db, 0, 2, 10);
    let (second, in_place) = edit(&mut db, first, 1, 11);
    assert!(in_place);
    put(&mut db, 0, 3, 10);
    let (third, in_place) = edit(&mut db, first, 1, 12);
    assert!(in_place, "the old number is good for another edit");
    let once_more = db.edit(first, NOW, &mut zero, |tx| tx.update("counters", &key(1), &[("a", Value::Int(13))]));
    let (once_more, latest) = (once_more.expect("edits"), third);
    assert_eq!(once_more.gone, [latest, first], "whoever goes by the old number sees that it was changed in place");
    let third = once_more.rseq.expect("an entry");
    assert_eq!([first, second, third, other].map(|rseq| current(&db, rseq)), [third, third, third, other]);
    drop(db);

    let mut db = open(&location);
    assert_eq!(requires(&mut db, first, 10).expect("it is there"), [third]);
    let withdrawn = db.withdraw(second, NOW, &mut zero).expect("withdraws").value;
    let Withdrawal::Withdrawn { entry, with_it } = withdrawn else { panic!("it was never sent") };
    assert_eq!((entry.rseq, with_it.len()), (third, 1));
    let now = rows(&db, "SELECT id, a FROM counters WHERE id < 10 ORDER BY id");
    assert_eq!(now, [[2, 10], [3, 10]].map(|row| row.map(Value::Int).to_vec()));
    let fourth = put(&mut db, 0, 4, 1);
    db.withdraw(fourth, NOW, &mut zero).expect("withdraws");
    assert_eq!(requires(&mut db, fourth, 11).expect_err("it is gone").code(), crate::db::error::codes::NO_SUCH_ENTRY);
}

#[test]
fn undo_of_an_old_number_takes_back_what_took_it_up() {
    let mut db = memory();
    let first = put(&mut db, 0, 1, 10);
    edit(&mut db, first, 1, 11);
    db.undo(first, NOW, &mut zero).expect("undoes");
    assert!(rows(&db, "SELECT id FROM counters").is_empty());
}

#[test]
fn a_thousand_moves_of_a_drag_are_one_range() {
    let mut schema = schema();
    schema.outbox.collapse_ms = 1_000;
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let made = put(&mut db, 0, 1, 0);
    db.mark_sent(&[made]).expect("writes");
    let moves: Vec<u64> = (1..=1_000).map(|step| put(&mut db, step, 1, step as i64)).collect();
    let last = *moves.last().expect("some");
    assert_eq!(db.outbox().expect("readable").len(), 2);
    assert_eq!(
        [moves[0], moves[500], moves[998], last, made].map(|rseq| current(&db, rseq)),
        [last, last, last, last, made]
    );
    assert_eq!(ranges(&db), 1);
    // Another drag, later, has a range of its own.
    let apart = put(&mut db, 5_000, 1, 7);
    let on = put(&mut db, 5_001, 1, 8);
    assert_eq!([moves[3], apart].map(|rseq| current(&db, rseq)), [last, on]);
    assert_eq!(ranges(&db), 2);
}

#[test]
fn a_copy_of_the_database_that_gets_an_id_of_its_own_knows_its_old_numbers() {
    let mut db = memory();
    let first = put(&mut db, 0, 1, 10);
    let (second, _) = edit(&mut db, first, 1, 11);
    let other = put(&mut db, 0, 2, 10);
    db.new_replica(replica(2)).expect("writes");
    let renamed: Vec<u64> = db.outbox().expect("readable").iter().map(|e| e.rseq).collect();
    assert_eq!([current(&db, first), current(&db, second), current(&db, other)], [renamed[0], renamed[0], renamed[1]]);
    assert_eq!(requires(&mut db, first, 10).expect("it is there"), [renamed[0]]);
}

/// What is kept of what was accepted goes by the server's clock: one that is far off here makes nothing old, and keeps
/// nothing for ever.
#[test]
fn a_clock_that_is_far_off_neither_forgets_at_once_nor_keeps_for_ever() {
    const DAY_MS: u64 = 24 * 3_600_000;
    for (ahead_by, name) in [(-30, "behind"), (0, "right"), (30, "ahead")] {
        let here = |day: i64| NOW.saturating_add_signed((day + ahead_by) * DAY_MS as i64);
        let mut db =
            Database::open(&Location::Memory, schema(), Options::default(), here(0), replica(1)).expect("opens");
        let mut server = Server::new();
        db.welcome(&welcome(&server, 0, Resumption::Fresh, 1), here(0)).expect("welcome");
        let handle = db.subscribe("counters", BTreeMap::new()).expect("subscribes");
        db.opened(handle, &[ALL.opening(Start::Live)]).expect("opens");
        let mut accepted = |day: i64, id: i64| {
            let insert = |tx: &mut WriteTx<'_>| tx.insert("counters", &[("id", Value::Int(id))]);
            let rseq = db.write(here(day), &mut zero, insert).expect("writes").rseq.expect("an entry");
            let transaction = db.entry(rseq).expect("readable").expect("there").transaction;
            db.mark_sent(&[rseq]).expect("writes");
            let from = server.head();
            let outcome = server.decide(&transaction, false);
            db.decide(&[decision(rseq, outcome)], here(day)).expect("decides");
            let to = server.head();
            db.apply_live(to, to, stamp(to), &live(&server, from, to, &[ALL]), here(day)).expect("applies");
            rows(&db, "SELECT rseq FROM _landfall_acked").len()
        };
        assert_eq!([(0, 1), (1, 2), (6, 3)].map(|(day, id)| accepted(day, id)), [1, 2, 3], "the clock is {name}");
        assert_eq!(accepted(9, 4), 2, "the clock is {name}: a week is over for the first two");
    }
}

/// It is known as long as what took it up is kept, to be taken back; then there is nothing left to know.
#[test]
fn what_was_accepted_is_no_obstacle_and_what_is_forgotten_leaves_nothing_behind() {
    let options = Options { acked_retention_ms: 1_000, ..Options::default() };
    let mut db = Database::open(&Location::Memory, schema(), options, NOW, replica(1)).expect("opens");
    let mut server = Server::new();
    db.welcome(&welcome(&server, 0, Resumption::Fresh, 1), NOW).expect("welcome");
    let handle = db.subscribe("counters", BTreeMap::new()).expect("subscribes");
    db.opened(handle, &[ALL.opening(Start::Live)]).expect("opens");
    let mut settle = |db: &mut Database, rseq: u64, at_ms: u64| {
        let transaction = db.entry(rseq).expect("readable").expect("there").transaction;
        db.mark_sent(&[rseq]).expect("writes");
        let from = server.head();
        let outcome = server.decide(&transaction, false);
        assert!(matches!(outcome, Outcome::Accepted { .. }));
        db.decide(&[decision(rseq, outcome)], NOW + at_ms).expect("decides");
        let to = server.head();
        db.apply_live(to, to, stamp(to), &live(&server, from, to, &[ALL]), NOW + at_ms).expect("applies");
        assert!(db.entry(rseq).expect("readable").is_none_or(|e| e.state != EntryState::Queued));
    };
    let first = put(&mut db, 0, 1, 10);
    let (second, _) = edit(&mut db, first, 1, 11);
    settle(&mut db, second, 0);
    assert!(requires(&mut db, first, 10).expect("it was accepted").is_empty());
    let (third, in_place) = edit(&mut db, first, 1, 12);
    assert!(!in_place, "what has settled is changed by a transaction of its own");
    assert_eq!(ranges(&db), 1);
    settle(&mut db, third, 5_000);
    assert_eq!(ranges(&db), 0);
    let error = db.undo(first, NOW + 5_000, &mut zero).expect_err("it was forgotten");
    assert!(matches!(error, DbError::NotUndoable { .. }), "{error}");
}
