//! Dead letters corrected and replaced, and the outbox as a file.

use landfall_core::Problem;
use landfall_core::error::codes as core;
use landfall_protocol::server::Outcome;

use super::world::decision;
use super::*;
use crate::db::{EntryState, WriteTx, codes};

fn note(db: &mut Database, n: u8, title: &str) -> u64 {
    let cells = [("id", uuid(n)), ("title", text(title))];
    db.write(NOW, &mut |bytes| bytes.fill(0), |tx| tx.insert("notes", &cells)).expect("writes").rseq.expect("an entry")
}

fn refuse(db: &mut Database, rseq: u64) {
    let refused = Outcome::Refused { problem: Problem::new(core::REQUIRED, "too \"rude\""), because_of: None };
    db.decide(&[decision(rseq, refused)], NOW).expect("decides");
}

fn titles(db: &Database) -> Vec<Vec<Value>> {
    rows(db, "SELECT title FROM notes ORDER BY id")
}

#[test]
fn a_refused_note_is_corrected_in_one_transaction() {
    let mut db = memory();
    let rseq = note(&mut db, 1, "rude");
    refuse(&mut db, rseq);
    let kinder = |tx: &mut WriteTx<'_>| tx.update("notes", &RowKey::single(uuid(1)), &[("title", text("kind"))]);
    let fails =
        |tx: &mut WriteTx<'_>| tx.update("notes", &RowKey::single(uuid(1)), &[("title", text(&"x".repeat(201)))]);
    assert!(db.write(NOW, &mut |b| b.fill(0), |tx| tx.retry(rseq).and_then(|()| fails(tx))).is_err());
    assert_eq!(db.entry(rseq).expect("readable").map(|e| e.state), Some(EntryState::Dead), "it is still there");
    let again = db.write(NOW, &mut |b| b.fill(0), |tx| tx.retry(rseq).and_then(|()| kinder(tx))).expect("writes");
    assert_eq!(titles(&db), [[text("kind")]]);
    assert_eq!(db.outbox().expect("readable").len(), 1);
    assert_eq!(db.outbox().expect("readable")[0].rseq, again.rseq.expect("an entry"));
}

#[test]
fn something_else_takes_its_place() {
    let mut db = memory();
    let rseq = note(&mut db, 1, "rude");
    refuse(&mut db, rseq);
    let other = |tx: &mut WriteTx<'_>| tx.insert("notes", &[("id", uuid(2)), ("title", text("other"))]);
    db.write(NOW, &mut |b| b.fill(0), |tx| tx.supersede(rseq).and_then(|()| other(tx))).expect("writes");
    assert_eq!(titles(&db), [[text("other")]]);
    assert_eq!(db.counts().dead, 0);
    assert!(db.write(NOW, &mut |b| b.fill(0), |tx| tx.supersede(rseq)).is_err(), "it is gone");
}

#[test]
fn what_is_thrown_away_is_in_a_backup_and_comes_back_from_it() {
    let mut db = memory();
    let (first, second) = (note(&mut db, 1, "rude"), note(&mut db, 2, "fine"));
    refuse(&mut db, first);
    db.discard(first, NOW).expect("discards");
    let backups = db.backups().expect("readable");
    assert_eq!(backups.len(), 1);
    let imported = db.import(&backups[0].file, NOW).expect("imports");
    assert_eq!((imported.known, imported.refused), (1, Vec::new()), "the other one is still here");
    assert_eq!(imported.added, [second + 1]);
    let letter = db.entry(second + 1).expect("readable").expect("there");
    assert_eq!(letter.problem.as_ref().map(|p| p.code.clone()), Some(codes::IMPORTED));
    assert!(letter.problem.is_some_and(|p| p.message.contains("too \"rude\"")));
    assert_eq!(db.import(&backups[0].file, NOW).expect("imports").known, 2, "nothing comes twice");
    db.retry(second + 1, NOW, &mut |b| b.fill(0)).expect("retries");
    assert_eq!(titles(&db), [[text("rude")], [text("fine")]]);
    for n in 0..9 {
        let rseq = note(&mut db, 10 + n, "again");
        refuse(&mut db, rseq);
        db.discard(rseq, NOW).expect("discards");
    }
    assert_eq!(db.backups().expect("readable").len(), 5);
}

#[test]
fn another_device_takes_the_file_in_and_a_file_that_was_edited_is_refused_with_the_reason() {
    let mut db = memory();
    let rseq = note(&mut db, 1, "mine");
    note(&mut db, 2, "too");
    let file = db.export(None, NOW).expect("exports");
    assert!(db.export(Some(99), NOW).is_err());
    assert!(db.export(Some(rseq), NOW).expect("exports").len() < file.len());

    let fresh = || {
        let options = Options::default();
        Database::open(&Location::Memory, schema(), options, NOW, replica(5)).expect("opens")
    };
    let mut other = fresh();
    assert_eq!(other.import(&file, NOW).expect("imports").added.len(), 2);
    for entry in other.outbox().expect("readable") {
        other.retry(entry.rseq, NOW, &mut |b| b.fill(0)).expect("retries");
    }
    assert_eq!(titles(&other), [[text("mine")], [text("too")]]);

    // Only what counts is looked at; and one that was changed does not keep the other out.
    let relabelled = file.replace("\"state\":\"pending\"", "\"state\":\"failed\"");
    assert_eq!(fresh().import(&relabelled, NOW).expect("imports").added.len(), 2);
    let at = file.find("\"body\":\"").expect("a body") + 40;
    let swapped = if &file[at..=at] == "A" { "B" } else { "A" };
    let edited = format!("{}{swapped}{}", &file[..at], &file[at + 1..]);
    let imported = fresh().import(&edited, NOW).expect("imports");
    assert_eq!((imported.added.len(), imported.refused.len()), (1, 1));
    assert!(imported.refused[0].contains("entry 1") && imported.refused[0].contains("changed"), "{imported:?}");
    for (bad, why) in [
        ("", "not JSON"),
        ("[]", "not an outbox"),
        ("{\"kind\":\"landfall outbox\"}", "version"),
        ("{\"kind\":\"landfall outbox\",\"version\":2}", "newer"),
        ("{\"kind\":\"landfall outbox\",\"version\":1,\"app\":\"x\"}", "'x'"),
        ("{\"kind\":\"landfall outbox\",\"version\":1,\"app\":\"journal\"}", "no entries"),
    ] {
        let error = fresh().import(bad, NOW).expect_err("refused");
        assert_eq!(error.code(), codes::BAD_FILE);
        assert!(error.to_string().contains(why), "{error}");
    }
    for cut in (0..file.len()).step_by(37) {
        if file.is_char_boundary(cut) {
            assert!(fresh().import(&file[..cut], NOW).is_err());
        }
    }
}
