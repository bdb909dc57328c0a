//! Changing one's mind: edits and withdrawals of what was never sent, entries that take up those before them, undo and
//! redo.

use std::collections::BTreeMap;

use landfall_core::error::codes;
use landfall_core::{Operation, Problem};
use landfall_protocol::server::Outcome;
use proptest::prelude::*;

use super::world::decision;
use super::*;
use crate::db::{EntryState, Undone, Withdrawal, WriteTx};

fn upsert(db: &mut Database, id: i64, a: i64) -> u64 {
    let written = db.write(NOW, &mut |bytes| bytes.fill(0), |tx| {
        tx.upsert("counters", &[("id", Value::Int(id)), ("a", Value::Int(a))])
    });
    written.expect("writes").rseq.expect("an entry")
}

fn counters(db: &Database) -> BTreeMap<i64, Value> {
    let rows = rows(db, "SELECT id, a FROM counters ORDER BY id");
    let one = |row: &Vec<Value>| match &row[..] {
        [Value::Int(id), value] => (*id, value.clone()),
        other => panic!("{other:?}"),
    };
    rows.iter().map(one).collect()
}

fn undo(db: &mut Database) -> Undone {
    db.undo_last(NOW, &mut |bytes| bytes.fill(0)).expect("writes").expect("something to undo").value
}

fn redo(db: &mut Database) -> Undone {
    db.redo_last(NOW, &mut |bytes| bytes.fill(0)).expect("writes").expect("something to do again").value
}

fn withdraw(db: &mut Database, rseq: u64) -> Withdrawal {
    db.withdraw(rseq, NOW, &mut |bytes| bytes.fill(0)).expect("withdraws").value
}

fn entries(db: &Database) -> Vec<(u64, EntryState)> {
    db.outbox().expect("readable").into_iter().map(|e| (e.rseq, e.state)).collect()
}

#[test]
fn what_was_never_sent_is_withdrawn_as_if_it_had_never_been_written() {
    let mut db = memory();
    let first = upsert(&mut db, 1, 10);
    let second = upsert(&mut db, 1, 11);
    let Withdrawal::Withdrawn { entry, with_it } = withdraw(&mut db, second) else { panic!("it was never sent") };
    assert_eq!((entry.rseq, with_it), (second, Vec::new()));
    assert_eq!(counters(&db), [(1, Value::Int(10))].into());
    assert_eq!(entries(&db), [(first, EntryState::Queued)]);
    assert_eq!(db.counts().bytes, db.entry_body(first).expect("readable").expect("there").len() as u64);
}

/// The row's insert goes, and a change of the row cannot be without it: it is kept as a dead letter, with what was typed.
#[test]
fn what_cannot_be_without_it_is_kept_as_a_dead_letter() {
    let mut db = memory();
    let (first, second) = (upsert(&mut db, 1, 10), upsert(&mut db, 1, 11));
    let Withdrawal::Withdrawn { with_it, .. } = withdraw(&mut db, first) else { panic!("it was never sent") };
    assert_eq!(with_it, [second]);
    assert!(counters(&db).is_empty());
    let dead = db.entry(second).expect("readable").expect("kept");
    assert_eq!(dead.state, EntryState::Dead);
    assert!(dead.problem.is_some_and(|p| p.message.contains("withdrawn")));
    assert!(!dead.images.is_empty());
}

#[test]
fn what_was_handed_to_the_network_is_taken_back_by_a_new_transaction() {
    let mut db = memory();
    let first = upsert(&mut db, 1, 10);
    db.mark_sent(&[first]).expect("writes");
    let Withdrawal::TakenBack(undone) = withdraw(&mut db, first) else { panic!("it was sent") };
    assert_eq!(undone, Undone { of: first, left: Vec::new() });
    assert!(counters(&db).is_empty());
    assert_eq!(entries(&db), [(first, EntryState::Sent), (first + 1, EntryState::Queued)]);
}

/// Under whatever number: the server may know it by the number that it had when it was sent.
#[test]
fn what_was_sent_stays_frozen_when_it_is_queued_anew() {
    let mut db = memory();
    let first = upsert(&mut db, 1, 10);
    db.mark_sent(&[first]).expect("writes");
    db.new_replica(replica(9)).expect("renames");
    let (now, state) = entries(&db)[0].clone();
    assert_eq!(state, EntryState::Queued);
    assert!(matches!(withdraw(&mut db, now), Withdrawal::TakenBack(_)));
}

#[test]
fn an_edit_says_whether_it_changed_the_entry_or_follows_it() {
    let mut db = memory();
    let first = upsert(&mut db, 1, 10);
    let edit = |db: &mut Database, rseq: u64, a: i64| {
        let f = |tx: &mut WriteTx<'_>| tx.update("counters", &key(1), &[("a", Value::Int(a)), ("b", Value::Null)]);
        db.edit(rseq, NOW, &mut |bytes| bytes.fill(0), f).expect("edits")
    };
    let edited = edit(&mut db, first, 20);
    assert!(edited.value.in_place && edited.gone == [first]);
    let backups = db.backups().expect("readable");
    assert!(backups.len() == 1 && backups[0].file.contains(&format!("\"rseq\":{first},")), "{backups:?}");
    let second = edited.rseq.expect("an entry");
    assert_eq!(entries(&db), [(second, EntryState::Queued)]);
    let transaction = db.entry(second).expect("readable").expect("there").transaction;
    assert!(
        matches!(&transaction.operations[..], [Operation::Insert { cells, .. }] if cells[0].value == Value::Int(20))
    );
    assert!(transaction.after.is_empty() && transaction.requires.is_empty());

    // Whoever edits often loses no copy of the whole outbox to it.
    let backups = |db: &Database| db.backups().expect("readable").into_iter().map(|b| b.why).collect::<Vec<_>>();
    let other = upsert(&mut db, 2, 1);
    db.withdraw(other, NOW, &mut |bytes| bytes.fill(0)).expect("withdraws");
    let second = (0..25).fold(second, |entry, n| edit(&mut db, entry, 100 + n).rseq.expect("an entry"));
    let of = |why: &str| backups(&db).iter().filter(|one| one.contains(why)).count();
    assert_eq!((of("edited"), of("withdrawn")), (20, 1));

    db.mark_sent(&[second]).expect("writes");
    let edited = edit(&mut db, second, 30);
    assert!(!edited.value.in_place);
    assert_eq!(entries(&db), [(second, EntryState::Sent), (second + 1, EntryState::Queued)]);
    assert_eq!(counters(&db), [(1, Value::Int(30))].into());
    // One undo takes back what was edited, whole.
    undo(&mut db);
    undo(&mut db);
    assert!(counters(&db).is_empty());
}

#[test]
fn an_entry_that_another_follows_is_not_changed_under_it() {
    let mut db = memory();
    let (first, second) = (upsert(&mut db, 1, 10), upsert(&mut db, 1, 11));
    let f = |tx: &mut WriteTx<'_>| tx.update("counters", &key(1), &[("b", Value::Int(1))]);
    let edited = db.edit(first, NOW, &mut |bytes| bytes.fill(0), f).expect("edits");
    assert!(!edited.value.in_place);
    assert_eq!(entries(&db).len(), 3);
    assert_eq!(db.entry(second + 1).expect("readable").expect("there").transaction.after, [first, second]);
}

fn dragging() -> Database {
    let mut schema = schema();
    schema.outbox.collapse_ms = 1_000;
    Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens")
}

fn drag(db: &mut Database, at: u64, cells: &[(&str, Value)]) -> Option<u64> {
    let written = db.write(NOW + at, &mut |bytes| bytes.fill(0), |tx| tx.update("counters", &key(1), cells));
    written.expect("writes").rseq
}

/// A thousand moves become one, and none is lost that somebody might have seen.
#[test]
fn the_moves_of_a_drag_are_one_entry() {
    let mut db = dragging();
    let made = upsert(&mut db, 1, 0);
    db.mark_sent(&[made]).expect("writes");
    for step in 1..=1_000 {
        drag(&mut db, step, &[("a", Value::Int(step as i64))]);
    }
    let waiting: Vec<_> = entries(&db).into_iter().filter(|(_, state)| *state == EntryState::Queued).collect();
    assert_eq!(waiting.len(), 1);
    let entry = db.entry(waiting[0].0).expect("readable").expect("there");
    assert_eq!(entry.transaction.after, [made]);
    assert_eq!(counters(&db), [(1, Value::Int(1_000))].into());
    undo(&mut db);
    assert_eq!(counters(&db), [(1, Value::Int(0))].into());
}

#[test]
fn what_is_not_superseded_or_was_sent_or_is_long_ago_stays_an_entry_of_its_own() {
    let mut db = dragging();
    let made = upsert(&mut db, 1, 0);
    db.mark_sent(&[made]).expect("writes");
    drag(&mut db, 0, &[("a", Value::Int(1))]);
    drag(&mut db, 1, &[("b", Value::Int(1))]);
    assert_eq!(entries(&db).len(), 3, "another column");
    drag(&mut db, 1_001, &[("b", Value::Int(2))]);
    assert_eq!(entries(&db).len(), 4, "a second later");
    let last = drag(&mut db, 1_002, &[("b", Value::Int(3))]).expect("an entry");
    assert_eq!(entries(&db).len(), 4);
    db.mark_sent(&[last]).expect("writes");
    drag(&mut db, 1_003, &[("b", Value::Int(4))]);
    assert_eq!(entries(&db).len(), 5, "it was sent");
    let after = |tx: &mut WriteTx<'_>| {
        tx.follow(made)?;
        tx.update("counters", &key(1), &[("b", Value::Int(5))])
    };
    db.write(NOW + 1_004, &mut |bytes| bytes.fill(0), after).expect("writes");
    assert_eq!(entries(&db).len(), 6, "it asks for something of its own");
}

#[test]
fn what_others_changed_since_is_left_and_told() {
    let mut db = memory();
    let write = |db: &mut Database, a: i64, b: i64| {
        let cells = [("id", Value::Int(1)), ("a", Value::Int(a)), ("b", Value::Int(b))];
        db.write(NOW, &mut |bytes| bytes.fill(0), |tx| tx.upsert("counters", &cells)).expect("writes").rseq
    };
    write(&mut db, 1, 1);
    let mine = write(&mut db, 2, 2).expect("an entry");
    // As another device's change would come: not on this database's undo stack.
    let theirs = |tx: &mut WriteTx<'_>| {
        tx.leave_out_of_undo();
        tx.update("counters", &key(1), &[("b", Value::Int(9))])
    };
    db.write(NOW, &mut |bytes| bytes.fill(0), theirs).expect("writes");
    let undone = undo(&mut db);
    assert_eq!(undone.of, mine);
    let left: Vec<_> = undone.left.iter().map(|l| l.column.as_deref()).collect();
    assert_eq!(left, [Some("b")]);
    assert_eq!(rows(&db, "SELECT a, b FROM counters"), [[Value::Int(1), Value::Int(9)]]);
    redo(&mut db);
    assert_eq!(rows(&db, "SELECT a, b FROM counters"), [[Value::Int(2), Value::Int(9)]]);
    // The insert: the row has somebody else's work in it now.
    undo(&mut db);
    let undone = undo(&mut db);
    assert_eq!(undone.left.iter().map(|l| l.column.clone()).collect::<Vec<_>>(), [None]);
    assert_eq!(counters(&db).len(), 1);
}

#[test]
fn a_deleted_note_comes_back_with_its_tags() {
    let mut db = memory();
    let note = RowKey::single(uuid(7));
    let made = |tx: &mut WriteTx<'_>| {
        tx.insert("notes", &[("id", uuid(7)), ("title", text("a note")), ("price", Value::Null)])?;
        tx.insert("tags", &[("id", Value::Int(1)), ("note", uuid(7)), ("name", text("x"))])
    };
    db.write(NOW, &mut |bytes| bytes.fill(0), made).expect("writes");
    let before = (rows(&db, "SELECT * FROM notes"), rows(&db, "SELECT * FROM tags"));
    db.write(NOW, &mut |bytes| bytes.fill(0), |tx| tx.delete("notes", &note)).expect("writes");
    assert!(rows(&db, "SELECT * FROM tags").is_empty());
    assert!(undo(&mut db).left.is_empty());
    assert_eq!((rows(&db, "SELECT * FROM notes"), rows(&db, "SELECT * FROM tags")), before);
    redo(&mut db);
    assert!(rows(&db, "SELECT * FROM notes").is_empty() && rows(&db, "SELECT * FROM tags").is_empty());
}

#[test]
fn a_refused_transaction_is_not_taken_back_and_a_new_one_ends_what_could_be_done_again() {
    let mut db = memory();
    let (first, second) = (upsert(&mut db, 1, 10), upsert(&mut db, 2, 20));
    let refused = Outcome::Refused { problem: Problem::new(codes::REQUIRED, "no"), because_of: None };
    db.decide(&[decision(second, refused)], NOW).expect("decides");
    assert_eq!(db.can_undo().expect("readable"), Some(first));
    undo(&mut db);
    assert!(db.can_redo().expect("readable").is_some());
    upsert(&mut db, 3, 30);
    assert_eq!(db.can_redo().expect("readable"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Alone on a device, undo goes back step by step to where everything began, and redo to where it ended: also when
    /// entries settle, are queued anew, or the app starts again in between.
    #[test]
    fn undo_and_redo_walk_the_whole_way(
        steps in prop::collection::vec((0i64..4, prop::option::of(0i64..5), 0u8..6), 1..14)
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::Path(dir.path().join("app.db"));
        let mut db = open(&location);
        let mut states = vec![counters(&db)];
        for (id, value, event) in &steps {
            let wrote = db.write(NOW, &mut |bytes| bytes.fill(0), |tx| match value {
                Some(a) => tx.upsert("counters", &[("id", Value::Int(*id)), ("a", Value::Int(*a))]),
                None => tx.delete("counters", &key(*id)).map(|_| ()),
            });
            if wrote.expect("writes").rseq.is_some() {
                states.push(counters(&db));
            }
            match event {
                0 => db = open(&location),
                1 => {
                    let all = db.undecided().expect("readable");
                    db.mark_sent(&all).expect("writes");
                }
                2 => { db.new_replica(replica(*id as u8 + 2)).expect("renames"); }
                _ => {}
            }
        }
        for state in states.iter().rev().skip(1) {
            prop_assert!(undo(&mut db).left.is_empty());
            prop_assert_eq!(&counters(&db), state);
        }
        prop_assert_eq!(db.can_undo().expect("readable"), None);
        for state in states.iter().skip(1) {
            prop_assert!(redo(&mut db).left.is_empty());
            prop_assert_eq!(&counters(&db), state);
        }
        prop_assert_eq!(db.can_redo().expect("readable"), None);
    }
}
