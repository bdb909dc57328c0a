//! What goes wrong in between: undo that meets a rule, writes over an undo, files that were edited, rules that became
//! stricter, entries that nobody takes.

use std::collections::BTreeMap;

use landfall_core::error::codes as core;
use landfall_core::flat::FlatSet;
use landfall_core::{Problem, Transaction};
use landfall_protocol::server::Outcome;

use super::world::decision;
use super::*;
use crate::db::{EntryState, Undone, WriteTx, codes};

fn zero(bytes: &mut [u8]) {
    bytes.fill(0);
}

fn set_a(db: &mut Database, at: u64, id: i64, a: i64) -> u64 {
    let cells = [("id", Value::Int(id)), ("a", Value::Int(a))];
    db.write(NOW + at, &mut zero, |tx| tx.upsert("counters", &cells)).expect("writes").rseq.expect("an entry")
}

fn a_of(db: &Database, id: i64) -> Value {
    rows(db, &format!("SELECT a FROM counters WHERE id = {id}"))[0][0].clone()
}

fn undo(db: &mut Database, at: u64) -> Undone {
    db.undo_last(NOW + at, &mut zero).expect("writes").expect("something to undo").value
}

fn collapsing() -> Database {
    let mut schema = schema();
    schema.outbox.collapse_ms = 1_000;
    Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens")
}

fn note(db: &mut Database, n: u8, title: &str) -> u64 {
    let cells = [("id", uuid(n)), ("title", text(title))];
    db.write(NOW, &mut zero, |tx| tx.insert("notes", &cells)).expect("writes").rseq.expect("an entry")
}

fn refuse(db: &mut Database, rseq: u64, at: u64) {
    let refused = Outcome::Refused { problem: Problem::new(core::REQUIRED, "rude"), because_of: None };
    db.decide(&[decision(rseq, refused)], NOW + at).expect("decides");
}

/// What a person writes right after an undo is theirs: it is undone by itself, and nothing does the undone over it.
#[test]
fn a_write_right_after_an_undo_is_not_part_of_it() {
    let mut db = collapsing();
    let first = set_a(&mut db, 0, 1, 1);
    db.mark_sent(&[first]).expect("writes");
    set_a(&mut db, 2_000, 1, 2);
    undo(&mut db, 2_100);
    set_a(&mut db, 2_200, 1, 3);
    assert_eq!(db.can_redo().expect("readable"), None, "something else was written since");
    undo(&mut db, 2_300);
    assert_eq!(a_of(&db, 1), Value::Int(1));
}

#[test]
fn an_end_is_not_handed_to_what_has_none() {
    let mut db = collapsing();
    let made = set_a(&mut db, 0, 1, 1);
    let brief = db.write(NOW + 10, &mut zero, |tx| {
        tx.expire_at(NOW + 500);
        tx.update("counters", &key(1), &[("a", Value::Int(2))])
    });
    let brief = brief.expect("writes").rseq.expect("an entry");
    let lasting = set_a(&mut db, 20, 1, 3);
    let entries: Vec<u64> = db.outbox().expect("readable").iter().map(|e| e.rseq).collect();
    assert_eq!(entries, [made, brief, lasting]);
    assert_eq!(db.expire(NOW + 600).expect("writes").refused, [brief]);
    assert_eq!(a_of(&db, 1), Value::Int(3));
}

/// One key press says why; the next one goes on.
#[test]
fn an_undo_that_a_rule_does_not_let_happen_is_passed_by() {
    let mut db = memory();
    set_a(&mut db, 0, 1, 1);
    let made = note(&mut db, 1, "pinned");
    let pin = |tx: &mut WriteTx<'_>| {
        tx.leave_out_of_undo();
        tx.insert("pins", &[("id", Value::Int(1)), ("note", uuid(1))])
    };
    db.write(NOW, &mut zero, pin).expect("writes");
    let asked = db.answering(Some("r"), NOW, |db| db.undo_last(NOW, &mut zero), |_| String::new());
    let error = asked.expect_err("a pin is on it");
    assert_eq!(error.code(), core::STILL_REFERENCED);
    assert_ne!(db.can_undo().expect("readable"), Some(made));
    undo(&mut db, 0);
    assert!(rows(&db, "SELECT * FROM counters").is_empty());
}

/// The row was mine; what hangs on it need not be.
#[test]
fn undoing_an_insert_takes_nothing_along() {
    let mut db = memory();
    let made = note(&mut db, 1, "a post");
    let comment = |tx: &mut WriteTx<'_>| tx.insert("tags", &[("id", Value::Int(1)), ("note", uuid(1))]);
    db.write(NOW, &mut zero, comment).expect("writes");
    let undone = db.undo(made, NOW, &mut zero).expect("writes");
    assert_eq!((undone.rseq, undone.value.left.len()), (None, 1));
    assert_eq!(rows(&db, "SELECT id FROM tags"), [[Value::Int(1)]]);
}

#[test]
fn a_deleted_row_comes_back_without_what_the_server_had_filled() {
    let mut schema = schema();
    let counters = schema.tables.iter_mut().find(|t| t.name == "counters").expect("counters");
    counters.columns[2].assigned = true;
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let made = set_a(&mut db, 0, 1, 7);
    db.conn.execute_batch("UPDATE counters SET b = 4711").expect("as the server's change would");
    db.decide(&[decision(made, Outcome::Accepted { seq: 1 })], NOW).expect("decides");
    db.write(NOW, &mut zero, |tx| tx.delete("counters", &key(1))).expect("writes");
    assert!(undo(&mut db, 0).left.is_empty());
    assert_eq!(a_of(&db, 1), Value::Int(7));
}

/// A part that is given up takes back what it said of the outbox, too.
#[test]
fn a_savepoint_gives_a_dead_letter_back() {
    let mut db = memory();
    let rseq = note(&mut db, 1, "rude");
    refuse(&mut db, rseq, 0);
    let written = db.write(NOW, &mut zero, |tx| {
        let part = tx.savepoint(|tx| {
            tx.retry(rseq)?;
            Err::<(), _>(DbError::Aborted("no".into()))
        });
        assert!(part.is_err());
        tx.upsert("counters", &[("id", Value::Int(1)), ("a", Value::Int(1))])
    });
    assert_eq!(written.expect("writes").gone, Vec::<u64>::new());
    assert_eq!(db.counts().dead, 1);
    assert_eq!(db.entry(rseq).expect("readable").map(|e| e.state), Some(EntryState::Dead));
}

#[test]
fn what_is_withdrawn_or_written_again_is_in_a_copy() {
    let mut db = memory();
    let (rude, open) = (note(&mut db, 1, "rude"), note(&mut db, 2, "open"));
    refuse(&mut db, rude, 0);
    db.withdraw(open, NOW, &mut zero).expect("withdraws");
    db.retry(rude, NOW, &mut zero).expect("retries");
    let backups = db.backups().expect("readable");
    assert_eq!(backups.len(), 1, "one copy holds both");
    assert_eq!(backups[0].file.matches("\"body\"").count(), 2);
    // A minute later it may be asked for again.
    let open = note(&mut db, 3, "open");
    db.withdraw(open, NOW + 60_000, &mut zero).expect("withdraws");
    assert_eq!(db.backups().expect("readable").len(), 2);
}

#[test]
fn what_is_left_out_of_undo_is_edited_without_a_copy() {
    let mut db = memory();
    let rseq = note(&mut db, 1, "typed");
    let edited = db.edit(rseq, NOW, &mut zero, |tx| {
        tx.leave_out_of_undo();
        tx.update("notes", &landfall_core::RowKey::single(uuid(1)), &[("title", text("typed on"))])
    });
    let edited = edited.expect("edits");
    assert!(edited.value.in_place);
    assert_eq!(db.backups().expect("readable").len(), 0);
    let changed = |tx: &mut WriteTx<'_>| {
        tx.update("notes", &landfall_core::RowKey::single(uuid(1)), &[("title", text("changed"))])
    };
    db.edit(edited.rseq.expect("an entry"), NOW, &mut zero, changed).expect("edits");
    assert_eq!(db.backups().expect("readable").len(), 1);
}

#[test]
fn a_dead_letter_knows_when_and_why_it_failed_each_time() {
    let mut db = memory();
    let rseq = note(&mut db, 1, "x");
    let failed = |db: &mut Database, n: u64| {
        let problem = Problem::new(core::ATTEMPTS_USED_UP, format!("fault {n}"));
        db.decide(&[decision(rseq, Outcome::Failed { problem })], NOW + n).expect("decides");
        let offered = [landfall_protocol::Entry::from(db.entry(rseq).expect("readable").expect("there").transaction)];
        let told = db.attempted(&offered).expect("readable");
        let told: Vec<_> = told.iter().map(|of| (of.rseq, u64::from(of.times))).collect();
        assert_eq!(told, [(rseq, n)], "a server that was started anew has forgotten");
    };
    (1..=9).for_each(|n| failed(&mut db, n));
    refuse(&mut db, rseq, 10);
    let letter = db.entry(rseq).expect("readable").expect("there");
    let told: Vec<_> = letter.failures.iter().map(|f| (f.at_ms - NOW, f.problem.message.as_str())).collect();
    assert_eq!(told.len(), 8, "the last eight");
    assert_eq!((told[0], told[7]), ((3, "fault 3"), (10, "rude")));
    assert!(db.export(Some(rseq), NOW).expect("exports").contains("fault 9"));
}

#[test]
fn a_row_says_how_it_stands_with_the_server() {
    use crate::db::RowState::{Failed, Pending, Sending, Synced};
    let mut db = memory();
    let state =
        |db: &Database, n: u8| db.row_state("notes", &landfall_core::RowKey::single(uuid(n))).expect("readable");
    let (one, two) = (note(&mut db, 1, "x"), note(&mut db, 2, "y"));
    assert_eq!((state(&db, 1), state(&db, 2), state(&db, 3)), (Pending, Pending, Synced));
    db.mark_sent(&[one, two]).expect("writes");
    assert_eq!(state(&db, 1), Sending);
    let failed = Outcome::Failed { problem: Problem::new(core::ATTEMPTS_USED_UP, "its disk was full") };
    db.decide(&[decision(one, failed)], NOW).expect("decides");
    assert_eq!((state(&db, 1), state(&db, 2)), (Pending, Sending), "parked");
    db.decide(&[decision(two, Outcome::Accepted { seq: 1 })], NOW).expect("decides");
    assert_eq!(state(&db, 2), Synced, "before it has come back, too");
    refuse(&mut db, one, 10);
    assert_eq!((state(&db, 1), state(&db, 2)), (Failed, Synced));
    assert!(db.row_state("nowhere", &landfall_core::RowKey::single(uuid(1))).is_err());
}

#[test]
fn a_retry_is_as_urgent_as_it_was() {
    let mut db = memory();
    let urgent = |tx: &mut WriteTx<'_>| {
        tx.set_priority(100);
        tx.insert("notes", &[("id", uuid(1)), ("title", text("a dose"))])
    };
    let rseq = db.write(NOW, &mut zero, urgent).expect("writes").rseq.expect("an entry");
    refuse(&mut db, rseq, 0);
    let again = db.retry(rseq, NOW, &mut zero).expect("retries").rseq.expect("an entry");
    assert_eq!(db.entry(again).expect("readable").expect("there").priority, 100);
}

/// Whatever a person did to a file, what is taken in is sound, and the rest says why not.
#[test]
fn an_edited_file_is_taken_in_as_far_as_it_is_sound() {
    let mut db = memory();
    note(&mut db, 1, "mine");
    let file = db.export(None, NOW).expect("exports");
    let fresh = |max_entries: u64| {
        let mut schema = schema();
        schema.outbox.max_entries = max_entries;
        Database::open(&Location::Memory, schema, Options::default(), NOW, replica(5)).expect("opens")
    };
    let field = |name: &str| {
        let from = file.find(&format!("\"{name}\":\"")).expect("there") + name.len() + 4;
        from..from + file[from..].find('"').expect("its end")
    };
    let with = |name: &str, value: &str| {
        let at = field(name);
        format!("{}{value}{}", &file[..at.start], &file[at.end..])
    };
    for (edited, why) in [
        (with("check", "AAAAAAAAAAAAAAAAAAAAAA=="), "changed"),
        (with("images", "gA"), "not readable"),
        (with("body", "no base64!"), "not readable"),
        (with("body", ""), "changed"),
    ] {
        let imported = fresh(100).import(&edited, NOW).expect("imports");
        assert!(imported.added.is_empty() && imported.refused[0].contains(why), "{why}: {imported:?}");
    }
    let late = file.replace(&format!("\"written_ms\":{NOW}"), "\"written_ms\":18446744073709551615");
    let mut other = fresh(100);
    let imported = other.import(&late, NOW).expect("imports");
    assert_eq!(other.entry(imported.added[0]).expect("readable").expect("there").created_ms, NOW);
    let full = fresh(0).import(&file, NOW).expect("imports");
    assert!(full.added.is_empty() && full.refused[0].contains("LF-5033"), "{full:?}");
}

/// A file carries how urgent an entry was, and all that it had failed of before.
#[test]
fn what_comes_from_a_file_keeps_its_urgency_and_its_failures() {
    let mut db = memory();
    let urgent = |tx: &mut WriteTx<'_>| {
        tx.set_priority(100);
        tx.insert("notes", &[("id", uuid(1)), ("title", text("a dose"))])
    };
    let rseq = db.write(NOW, &mut zero, urgent).expect("writes").rseq.expect("an entry");
    let failed = Outcome::Failed { problem: Problem::new(codes::BAD_FILE, "its disk was full") };
    db.mark_sent(&[rseq]).expect("writes");
    db.decide(&[decision(rseq, failed)], NOW + 1).expect("decides");
    refuse(&mut db, rseq, 2);
    let file = db.export(None, NOW + 3).expect("exports");

    let mut other = memory();
    let added = other.import(&file, NOW + 4).expect("imports").added;
    let letter = other.entry(added[0]).expect("readable").expect("there");
    assert_eq!(letter.priority, 100);
    let told: Vec<_> = letter.failures.iter().map(|f| (f.at_ms, f.problem.code.clone())).collect();
    let expected = [(NOW + 1, codes::BAD_FILE), (NOW + 2, core::REQUIRED), (NOW + 4, codes::IMPORTED)];
    assert_eq!(told, expected);
    // Whatever a person made of that part of it, the entry is taken in.
    for (from, to) in [("\"priority\":100", "\"priority\":\"high\""), ("\"failures\":[", "\"failures\":[7,{},")] {
        assert_eq!(memory().import(&file.replace(from, to), NOW).expect("imports").added.len(), 1, "{from}");
    }
}

/// A server that went back to a copy of itself may not know what was refused: the device says it.
#[test]
fn what_was_handed_over_names_what_it_required_and_was_refused() {
    let mut db = memory();
    let made = note(&mut db, 1, "x");
    let edit = |tx: &mut WriteTx<'_>| tx.update("notes", &RowKey::single(uuid(1)), &[("title", text("y"))]);
    let edited = db.write(NOW, &mut zero, edit).expect("writes").rseq.expect("an entry");
    let none = landfall_core::flat::FlatSet::new();
    let (entries, _) = db.sendable(10, 1 << 20, &none, NOW).expect("readable");
    assert_eq!(db.refused_predecessors(&entries).expect("readable"), [0; 0]);
    db.mark_sent(&[made, edited]).expect("writes");
    refuse(&mut db, made, 1);
    assert_eq!(db.refused_predecessors(&entries[1..]).expect("readable"), [made]);
    // As it is when both came back from a mirror, which does not keep what an entry waits for.
    let sql = "UPDATE _landfall_outbox SET problem = NULL WHERE rseq = ?";
    let problem: Vec<u8> = {
        let find = "SELECT problem FROM _landfall_outbox WHERE rseq = ?";
        db.conn.query_row(find, [edited as i64], |row| row.get(0)).expect("one")
    };
    db.conn.execute(sql, [edited as i64]).expect("writes");
    assert_eq!(db.refused_predecessors(&entries[1..]).expect("readable"), [made], "it is dead here");
    let again = "UPDATE _landfall_outbox SET problem = ?2 WHERE rseq = ?1";
    db.conn.execute(again, rusqlite::params![edited as i64, problem]).expect("writes");
    db.discard(made, NOW + 2).expect("discards");
    assert_eq!(db.refused_predecessors(&entries[1..]).expect("readable"), [made], "thrown away is not forgotten");
}

/// Whoever shares another's fate says whose.
#[test]
fn a_shared_fate_names_its_cause() {
    let mut db = memory();
    let made = note(&mut db, 1, "x");
    let edit = |tx: &mut WriteTx<'_>| tx.update("notes", &RowKey::single(uuid(1)), &[("title", text("y"))]);
    let edited = db.write(NOW, &mut zero, edit).expect("writes").rseq.expect("an entry");
    refuse(&mut db, made, 1);
    let because_of = |db: &Database, rseq: u64| db.entry(rseq).expect("readable").expect("there").because_of();
    assert_eq!((because_of(&db, made), because_of(&db, edited)), (None, Some(made)));
    // Of what was handed over the server says it.
    let (first, second) = (note(&mut db, 2, "x"), note(&mut db, 3, "x"));
    db.mark_sent(&[first, second]).expect("writes");
    let problem = Problem::new(core::DEPENDS_ON_REFUSED, "it depends on another");
    db.decide(&[decision(second, Outcome::Refused { problem, because_of: Some(first) })], NOW).expect("decides");
    assert_eq!(because_of(&db, second), Some(first));
}

/// What waits when the app is updated to stricter rules goes to the server as it was written: that one refuses it by
/// itself, what was typed is kept, and what keeps the rules goes on.
#[test]
fn what_waits_under_a_stricter_schema_is_sent_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::Path(dir.path().join("notes.db"));
    let open = |schema| Database::open(&location, schema, Options::default(), NOW, replica(1)).expect("opens");
    let mut db = open(schema());
    let (long, fine) = (note(&mut db, 1, "much too long"), note(&mut db, 2, "fine"));
    drop(db);
    let mut stricter = schema();
    stricter.version += 1;
    let notes = stricter.tables.iter_mut().find(|t| t.name == "notes").expect("notes");
    notes.columns.iter_mut().find(|c| c.name == "title").expect("title").max_length = Some(5);
    let mut db = open(stricter);
    assert_eq!(db.undecided().expect("readable"), [long, fine]);
    let shorten = |tx: &mut WriteTx<'_>| tx.update("notes", &RowKey::single(uuid(1)), &[("title", text("short"))]);
    let too_long = |tx: &mut WriteTx<'_>| tx.insert("notes", &[("id", uuid(3)), ("title", text("too long"))]);
    db.write(NOW, &mut zero, too_long).expect_err("the new rule holds for what is written now");
    let (batch, _) = db.sendable(10, 1 << 20, &FlatSet::new(), NOW).expect("readable");
    assert_eq!(batch.iter().map(|e| e.transaction.rseq).collect::<Vec<_>>(), [long, fine]);
    db.mark_sent(&[long, fine]).expect("writes");
    refuse(&mut db, long, 1);
    let letter = db.entry(long).expect("readable").expect("kept");
    assert!(letter.images.values().any(|row| row["title"] == text("much too long")));
    // It cannot be sent again as it is, but corrected it can.
    db.retry(long, NOW, &mut zero).expect_err("it is still too long");
    let corrected = db.write(NOW, &mut zero, |tx| {
        tx.retry(long)?;
        shorten(tx)
    });
    corrected.expect("writes");
    assert_eq!(rows(&db, "SELECT title FROM notes ORDER BY title"), [[text("fine")], [text("short")]].map(Vec::from));
}

/// An outbox from an older schema: what a stricter rule does not take is refused by itself, here as on the server.
#[test]
fn entries_of_an_older_schema_meet_stricter_rules_one_by_one() {
    let mut stricter = schema();
    stricter.version += 1;
    let notes = stricter.tables.iter_mut().find(|t| t.name == "notes").expect("notes");
    notes.columns.iter_mut().find(|c| c.name == "title").expect("title").max_length = Some(5);
    let mut lost = memory();
    let (long, fine) = (note(&mut lost, 1, "much too long"), note(&mut lost, 2, "fine"));
    let all: Vec<Transaction> = lost.outbox().expect("readable").into_iter().map(|e| e.transaction).collect();
    let mut db = Database::open(&Location::Memory, stricter, Options::default(), NOW, replica(8)).expect("opens");
    db.recover(&recovered(fine, all), &[], NOW).expect("recovers");
    let states: BTreeMap<u64, EntryState> =
        db.outbox().expect("readable").into_iter().map(|e| (e.rseq, e.state)).collect();
    assert_eq!(states, [(long, EntryState::Dead), (fine, EntryState::Sent)].into());
    let letter = db.entry(long).expect("readable").expect("there");
    assert_eq!(letter.problem.map(|p| p.code), Some(core::TOO_LONG));
}

/// What cannot be required any more is not taken for accepted.
#[test]
fn what_was_withdrawn_or_thrown_away_cannot_be_required_and_what_was_taken_up_is_where_it_is_now() {
    let mut db = collapsing();
    let first = note(&mut db, 1, "x");
    let taken_up = set_a(&mut db, 0, 1, 1);
    let into = set_a(&mut db, 1, 1, 2);
    let (withdrawn, thrown_away) = (note(&mut db, 2, "x"), note(&mut db, 3, "x"));
    db.withdraw(withdrawn, NOW + 2, &mut zero).expect("withdraws");
    refuse(&mut db, thrown_away, 3);
    db.discard(thrown_away, NOW + 4).expect("discards");
    let mut require = |rseq: u64| {
        let write = |tx: &mut WriteTx<'_>| {
            tx.require(rseq)?;
            tx.insert("tags", &[("id", Value::Int(rseq as i64)), ("name", text(&rseq.to_string()))])
        };
        let written = db.write(NOW + 10_000, &mut zero, write)?.rseq.expect("an entry");
        Ok::<_, DbError>(db.entry(written)?.expect("there").transaction.requires)
    };
    for gone in [withdrawn, thrown_away] {
        assert_eq!(require(gone).expect_err("it is gone").code(), codes::NO_SUCH_ENTRY, "{gone}");
    }
    assert_eq!((require(first).expect("there"), require(into).expect("there")), (vec![first], vec![into]));
    assert_eq!(require(taken_up).expect("it is part of another"), [into]);
    db.mark_sent(&[first]).expect("writes");
    db.decide(&[decision(first, Outcome::Accepted { seq: 1 })], NOW).expect("decides");
    let mut db_after = db;
    let write = |tx: &mut WriteTx<'_>| {
        tx.require(first)?;
        tx.insert("tags", &[("id", Value::Int(99)), ("name", text("99"))])
    };
    db_after.write(NOW + 20_000, &mut zero, write).expect("what is accepted is no obstacle");
}

/// Whatever an app names, no entry waits for itself or for one to come.
#[test]
fn nothing_follows_what_is_not_older() {
    let mut db = memory();
    let first = note(&mut db, 1, "x");
    for unknown in [0, first + 1, u64::MAX] {
        for require in [false, true] {
            let write = |tx: &mut WriteTx<'_>| if require { tx.require(unknown) } else { tx.follow(unknown) };
            let error = db.write(NOW, &mut zero, write).expect_err("it is not there");
            assert_eq!(error.code(), codes::NO_SUCH_ENTRY, "{unknown}");
        }
    }
}

#[test]
fn what_the_server_could_never_take_does_not_keep_the_rest_back() {
    let mut db = memory();
    let (large, next) = (note(&mut db, 1, "large"), note(&mut db, 2, "next"));
    let ended = db.end_too_large(large, NOW).expect("writes");
    assert_eq!(ended.refused, [large]);
    let letter = db.entry(large).expect("readable").expect("kept");
    assert_eq!((letter.state, letter.problem.map(|p| p.code)), (EntryState::Dead, Some(core::BAD_TRANSACTION)));
    let (sent, _) = db.sendable(10, 1 << 20, &landfall_core::flat::FlatSet::new(), NOW).expect("readable");
    assert_eq!(sent.iter().map(|e| e.transaction.rseq).collect::<Vec<_>>(), [next]);
}
