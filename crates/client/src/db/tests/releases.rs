//! What was let go of is let go of first: of a row that is deleted next, of a value that is used again.

use landfall_core::flat::FlatSet;
use landfall_core::{Schema, Transaction};

use super::*;
use crate::db::EntryState;
use crate::mirror::Mirror;

const SCHEMA: &str = r#"
    [app]
    name = "notes"
    version = 1

    [tables.folder.columns]
    id = "integer"
    slug = { type = "text", unique = true }

    [tables.note.columns]
    id = "integer"
    folder = { type = "integer", references = "folder", on_delete = "cascade" }

    [tables.lock.columns]
    id = "integer"
    folder = { type = "integer", references = "folder", on_delete = "restrict" }

    [tables.member]
    primary_key = ["folder", "person"]
    [tables.member.columns]
    folder = { type = "integer", references = "folder" }
    person = "integer"
"#;

fn notes() -> Database {
    let schema = Schema::parse("landfall.toml", SCHEMA).expect("a schema");
    Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens")
}

/// Writes, and gives what the transaction follows and what it requires.
fn links(db: &mut Database, statements: &[&str]) -> (u64, Vec<u64>, Vec<u64>) {
    let rseq = write(db, statements).expect("writes").rseq.expect("an entry");
    let Transaction { after, requires, .. } = db.entry(rseq).expect("readable").expect("there").transaction;
    (rseq, after, requires)
}

/// As if all until now had been sent and accepted.
fn accept_all(db: &mut Database) {
    let all = db.undecided().expect("readable");
    db.mark_sent(&all).expect("freezes");
    let accepted = |rseq: &u64| super::world::decision(*rseq, landfall_protocol::Outcome::Accepted { seq: *rseq });
    db.decide(&all.iter().map(accepted).collect::<Vec<_>>(), NOW).expect("decides");
}

fn filled() -> Database {
    let mut db = notes();
    fill(&mut db);
    db
}

fn fill(db: &mut Database) {
    write(db, &["INSERT INTO folder VALUES (1, 'one')", "INSERT INTO folder VALUES (2, 'two')"]).expect("writes");
    write(db, &["INSERT INTO note VALUES (10, 1)", "INSERT INTO lock VALUES (20, 1)"]).expect("writes");
    accept_all(db);
}

#[test]
fn a_folder_is_deleted_after_the_note_that_was_moved_out_of_it_and_not_without_that() {
    let mut db = filled();
    let (moved, ..) = links(&mut db, &["UPDATE note SET folder = 2 WHERE id = 10"]);
    let (unlocked, ..) = links(&mut db, &["DELETE FROM lock WHERE id = 20"]);
    let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 1"]);
    assert_eq!((after, requires), (vec![moved, unlocked], vec![moved]), "else the note would go with the folder");
}

#[test]
fn a_row_that_refers_by_its_key_is_deleted_before_what_it_refers_to() {
    let mut db = notes();
    write(&mut db, &["INSERT INTO folder VALUES (1, 'one')", "INSERT INTO member VALUES (1, 7)"]).expect("writes");
    accept_all(&mut db);
    let (left, ..) = links(&mut db, &["DELETE FROM member WHERE folder = 1"]);
    let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 1"]);
    assert_eq!((after, requires), (vec![left], vec![]));
}

#[test]
fn an_urgent_delete_does_not_overtake_the_move() {
    let mut db = filled();
    let (moved, ..) = links(&mut db, &["UPDATE note SET folder = NULL WHERE id = 10", "DELETE FROM lock"]);
    let deleted = db.write(NOW, &mut |bytes| bytes.fill(0), |tx| {
        tx.set_priority(100);
        tx.delete("folder", &landfall_core::RowKey::single(Value::Int(1)))
    });
    let deleted = deleted.expect("writes").rseq.expect("an entry");
    let (batch, _) = db.sendable(9, usize::MAX, &FlatSet::new(), NOW).expect("readable");
    assert_eq!(batch.iter().map(|e| e.transaction.rseq).collect::<Vec<_>>(), [moved, deleted]);
    let refused = landfall_core::Problem::new(landfall_core::error::codes::UNIQUE, "no");
    let outcome = landfall_protocol::Outcome::Refused { problem: refused, because_of: None };
    db.decide(&[super::world::decision(moved, outcome)], NOW).expect("decides");
    let state = db.entry(deleted).expect("readable").expect("there").state;
    assert_eq!(state, EntryState::Dead, "the note is still in the folder: whoever deletes that has not seen it there");
}

#[test]
fn a_unique_value_is_taken_after_it_was_given_up() {
    let mut db = filled();
    let (renamed, ..) = links(&mut db, &["UPDATE folder SET slug = 'old' WHERE id = 1"]);
    let (taken, after, requires) = links(&mut db, &["INSERT INTO folder VALUES (3, 'one')"]);
    assert_eq!((after, requires), (vec![renamed], vec![]));
    let (gone, ..) = links(&mut db, &["DELETE FROM folder WHERE id = 3"]);
    let (_, after, _) = links(&mut db, &["UPDATE folder SET slug = 'one' WHERE id = 2"]);
    assert_eq!(after, [renamed, gone], "and again: {taken} follows the first");
}

#[test]
fn what_took_an_entry_up_lets_go_of_what_that_did() {
    let mut db = filled();
    let (moved, ..) = links(&mut db, &["UPDATE note SET folder = 2 WHERE id = 10", "DELETE FROM lock"]);
    let edited = db.edit(moved, NOW, &mut |bytes| bytes.fill(0), |tx| {
        tx.update("note", &landfall_core::RowKey::single(Value::Int(10)), &[("folder", Value::Null)])
    });
    let edited = edited.expect("edits").rseq.expect("an entry");
    let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 1"]);
    assert_eq!((after, requires), (vec![edited], vec![edited]));
}

/// What its mirror has, in another database.
fn recovered(db: &Database) -> Database {
    let kept = |entry: crate::db::OutboxEntry| (entry.rseq, db.kept(&entry).expect("readable"));
    let mut entries = db.outbox().expect("readable");
    entries.retain(|entry| !matches!(entry.state, EntryState::Acknowledged(_)));
    let entries: Vec<_> = entries.into_iter().map(kept).collect();
    let mut mirror = Mirror::new("notes", db.replica(), db.last_rseq(), db.situation(), entries);
    let mirror = Mirror::from_bytes(&mirror.compact()).recover("notes").expect("ours").expect("known");
    let mut again = notes();
    again.recover(&mirror, &[], NOW).expect("recovers");
    again
}

/// As if the database were of the build before entries took note of what they let go of, or of one before it kept what
/// rows were.
fn brought_from_format_4(path: &std::path::Path, keeps: bool) -> Database {
    let raw = rusqlite::Connection::open(path).expect("opens");
    if !keeps {
        raw.execute_batch("UPDATE _landfall_outbox SET before = NULL").expect("sets");
    }
    raw.execute_batch("DROP TABLE _landfall_released; DROP INDEX _landfall_outbox_tried; PRAGMA user_version = 4")
        .expect("sets");
    drop(raw);
    let schema = Schema::parse("landfall.toml", SCHEMA).expect("a schema");
    Database::open(&Location::Path(path.to_owned()), schema, Options::default(), NOW, replica(1)).expect("opens")
}

/// Neither a lost database nor an upgrade lets the delete of a folder overtake what was moved out of it.
#[test]
fn what_is_let_go_of_is_known_after_a_recovery_and_after_an_upgrade() {
    let moves = |db: &mut Database| {
        let (moved, ..) = links(db, &["UPDATE note SET folder = NULL WHERE id = 10", "DELETE FROM lock"]);
        let edited = db.edit(moved, NOW, &mut |bytes| bytes.fill(0), |tx| {
            tx.update("note", &landfall_core::RowKey::single(Value::Int(10)), &[("folder", Value::Int(2))])
        });
        let edited = edited.expect("edits").rseq.expect("an entry");
        let (renamed, ..) = links(db, &["UPDATE folder SET slug = 'old' WHERE id = 2"]);
        // Taken up by what was taken up: their numbers are no row.
        let again = db.edit(edited, NOW, &mut |bytes| bytes.fill(0), |tx| {
            tx.update("note", &landfall_core::RowKey::single(Value::Int(10)), &[("folder", Value::Null)])
        });
        (again.expect("edits").rseq.expect("an entry"), renamed)
    };
    let mut db = filled();
    let (moved, renamed) = moves(&mut db);
    let mut db = recovered(&db);
    // The server has brought the folders again.
    let (taken, after, requires) = links(&mut db, &["INSERT INTO folder VALUES (1, 'two')"]);
    assert_eq!((after, requires), (vec![renamed], vec![]));
    let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 1"]);
    assert_eq!((after, requires), (vec![moved, taken], vec![moved, taken]));

    for keeps in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notes.db");
        let schema = Schema::parse("landfall.toml", SCHEMA).expect("a schema");
        let location = Location::Path(path.clone());
        let mut db = Database::open(&location, schema, Options::default(), NOW, replica(1)).expect("opens");
        fill(&mut db);
        let (moved, renamed) = moves(&mut db);
        let (parted, ..) =
            links(&mut db, &["INSERT INTO folder VALUES (4, 'four')", "INSERT INTO lock VALUES (21, 4)"]);
        let (unlocked, ..) = links(&mut db, &["UPDATE lock SET folder = NULL WHERE id = 21"]);
        drop(db);
        let mut db = brought_from_format_4(&path, keeps);
        let (taken, after, requires) = links(&mut db, &["INSERT INTO folder VALUES (3, 'two')"]);
        assert_eq!((after, requires), (vec![renamed], vec![]));
        let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 1"]);
        assert_eq!((after, requires, taken > moved), (vec![moved], vec![moved], true));
        // Also of a row that waits itself.
        let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 4"]);
        assert_eq!((after, requires), (vec![parted, unlocked], vec![parted]));
    }
}

#[test]
fn nothing_is_kept_of_what_is_decided() {
    let mut db = filled();
    links(&mut db, &["UPDATE note SET folder = 2 WHERE id = 10", "DELETE FROM lock"]);
    accept_all(&mut db);
    assert!(rows(&db, "SELECT * FROM _landfall_released").is_empty());
    let (_, after, requires) = links(&mut db, &["DELETE FROM folder WHERE id = 1"]);
    assert_eq!((after, requires), (vec![], vec![]));
}
