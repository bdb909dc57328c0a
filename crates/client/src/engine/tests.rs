//! What is pushed, and what becomes of what cannot be.

use std::sync::atomic::Ordering;

use landfall_core::error::codes;
use landfall_core::{Epoch, Problem, RowKey, Transaction, Value};
use landfall_protocol::ServerMessage;
use landfall_protocol::server::{Decision, Outcome, Resumption};

use super::Input;
use super::device::{Device, entropy};
use crate::db::{DbError, EntryState, OutboxEntry, WriteTx};
use crate::mirror::{self, Mirror};
use crate::session::{MAX_BACKOFF_MS, State};

const SCHEMA: &str = "[app]\nname = 'journal'\nversion = 1\n[outbox]\ncollapse = '0ms'\n\
                      [tables.notes.columns]\nid = { type = 'integer' }\nbody = { type = 'text' }\n\
                      [shapes.all]\ntable = 'notes'\n";

impl Device {
    fn write_with<R>(&mut self, f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>) -> u64 {
        let now = self.now();
        let written = self.engine.write(now, &mut entropy, f).expect("writes");
        self.drain();
        written.rseq.expect("an entry")
    }

    fn add(&mut self, id: i64, letters: usize) -> u64 {
        let body = Value::Text("x".repeat(letters));
        self.write_with(|tx| tx.insert("notes", &[("id", Value::Int(id)), ("body", body)]))
    }

    fn change(&mut self, id: i64, letters: usize) -> u64 {
        let body = Value::Text("y".repeat(letters));
        self.write_with(|tx| tx.update("notes", &RowKey::single(Value::Int(id)), &[("body", body)]))
    }

    fn entry(&self, rseq: u64) -> OutboxEntry {
        self.engine.db().entry(rseq).expect("readable").expect("there")
    }

    fn answer(&mut self, id: u32, rseqs: &[u64], outcome: &Outcome) {
        let decision = |rseq: &u64| Decision { rseq: *rseq, outcome: outcome.clone() };
        let decisions = rseqs.iter().map(decision).collect();
        self.hear(ServerMessage::Acknowledge { id, decisions, shift_ms: 0 });
    }

    /// Accepts every push, and those that come of it. Gives what was pushed.
    fn accept_all(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        while !self.pushes.is_empty() {
            for (id, rseqs) in std::mem::take(&mut self.pushes) {
                self.answer(id, &rseqs, &Outcome::Accepted { seq: 11 });
                all.extend(rseqs);
            }
        }
        all
    }
}

#[test]
fn what_is_larger_than_the_server_takes_ends_and_keeps_nothing_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    device.frame_bytes = 16 << 10;
    let (first, large, free) = (device.add(1, 10), device.add(2, 20_000), device.add(3, 10));
    let needs_it = device.change(2, 10);
    let (follows, large_too) = (device.change(1, 10), device.change(1, 30_000));
    let last = device.change(1, 20);
    device.connect(Resumption::Fresh);
    assert_eq!(device.accept_all(), [first, free, follows, last]);

    let why = |rseq: u64| device.entry(rseq).problem.expect("a reason");
    for rseq in [large, needs_it, large_too] {
        let entry = device.entry(rseq);
        assert_eq!((entry.state, entry.failures.len()), (EntryState::Dead, 1));
    }
    for rseq in [large, large_too] {
        assert_eq!(why(rseq).code, codes::BAD_TRANSACTION);
        assert!(why(rseq).message.contains("larger than what this server takes at once"), "{}", why(rseq));
    }
    assert_eq!(why(needs_it).code, codes::DEPENDS_ON_REFUSED);
    let counts = device.engine.db().counts();
    assert_eq!((counts.undecided(), counts.dead), (0, 3));

    // The session goes on: the same server takes what is written next, also on the rows of what ended.
    assert_eq!((device.engine.session().state(), device.hung_up), (&State::Online, 0));
    assert_eq!(device.engine.status().last_error, None);
    let (again, larger) = (device.add(2, 10), device.add(4, 20_000));
    assert_eq!(device.accept_all(), [again]);
    assert_eq!(device.entry(larger).state, EntryState::Dead, "it is told at once");
    assert_eq!(device.hung_up, 0);
}

/// What the mirror holds of what it was told.
fn mirrored(device: &Device) -> Vec<Transaction> {
    let mut mirror = Mirror::default();
    for record in &device.mirrored {
        mirror.append(record.clone());
    }
    mirror.recover("journal").expect("ours").expect("known").transactions
}

/// The mirror was told that it is decided; where the server has lost that, this device alone has it.
#[test]
fn what_is_offered_again_to_a_restored_server_is_in_the_mirror() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    let rseq = device.add(1, 10);
    device.connect(Resumption::Fresh);
    device.accept_all();
    assert!(mirrored(&device).is_empty(), "it is decided");
    device.disconnect();
    device.epoch = Epoch([5; 16]);
    device.connect(Resumption::NewEpoch);
    assert_eq!(device.pushed(), [rseq]);
    assert_eq!(mirrored(&device).iter().map(|transaction| transaction.rseq).collect::<Vec<_>>(), [rseq]);
}

/// It was offered once more when the mirror was written anew; the server has forgotten it, and the device knows.
#[test]
fn what_a_server_has_forgotten_to_have_accepted_leaves_the_mirror() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    let rseq = device.add(1, 10);
    device.connect(Resumption::Fresh);
    device.accept_all();
    device.disconnect();
    device.connect(Resumption::Continue);
    device.mirrored = mirror::read(&device.engine.mirror().expect("readable").compact()).0;
    assert_eq!(mirrored(&device).len(), 1);
    let (id, offered) = device.pushes.pop().expect("it is offered again");
    assert_eq!(offered, [rseq]);
    let problem = Problem::new(codes::DECIDED_LONG_AGO, "it has been forgotten");
    device.answer(id, &[rseq], &Outcome::Refused { problem, because_of: None });
    assert_ne!(device.entry(rseq).state, EntryState::Dead);
    assert!(mirrored(&device).is_empty());
}

/// What followed an entry that could not be sent follows what that followed: after the loss of the database, too.
#[test]
fn the_mirror_is_told_of_what_follows_others_than_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    let row = |id: i64| [("id", Value::Int(id)), ("body", Value::Text("x".into()))];
    let first = device.add(1, 10);
    let short_lived = device.write_with(|tx| {
        tx.follow(first)?;
        tx.expire_at(super::device::NOON + 1_000);
        tx.insert("notes", &row(2))
    });
    let last = device.write_with(|tx| {
        tx.follow(short_lived)?;
        tx.insert("notes", &row(3))
    });
    assert_eq!(mirrored(&device)[2].after, [short_lived]);
    device.seconds = 3_600;
    device.input(Input::Tick);
    assert_eq!(device.entry(short_lived).state, EntryState::Dead);
    assert_eq!(device.entry(last).transaction.after, [first]);
    let told = mirrored(&device);
    assert_eq!(told.iter().map(|transaction| &transaction.after[..]).collect::<Vec<_>>(), [&[][..], &[first]]);
}

/// What becomes of each entry is told to the mirror, whoever ended it: a database that is lost comes back with it.
#[test]
fn dead_letters_come_back_as_dead_letters_from_the_mirror() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    device.frame_bytes = 16 << 10;
    let (accepted, rude) = (device.add(1, 10), device.add(2, 10));
    let (with_it, large) = (device.change(2, 20), device.add(3, 20_000));
    let (thrown_away, sent) = (device.add(4, 10), device.add(5, 10));
    device.connect(Resumption::Fresh);
    let (id, _) = device.pushes[0];
    let refused = |why: &str| Outcome::Refused { problem: Problem::new(codes::UNIQUE, why), because_of: None };
    device.answer(id, &[accepted], &Outcome::Accepted { seq: 11 });
    device.answer(id, &[rude], &refused("taken"));
    device.answer(id, &[with_it, thrown_away], &refused("no"));
    device.disconnect();
    let (withdrawn, needs_it) = (device.add(6, 10), device.change(6, 20));
    let (held, open) = (device.add(7, 10), device.change(7, 20));
    let now = device.now();
    device.engine.withdraw(withdrawn, now, &mut entropy).expect("withdraws");
    device.engine.discard(thrown_away, now).expect("discards");
    device.drain();
    let dead = [rude, with_it, large, needs_it];

    let mut mirror = Mirror::default();
    let file: Vec<u8> = device.mirrored.drain(..).flat_map(|record| mirror.append(record)).collect();
    let written_anew = device.engine.mirror().expect("readable").compact();
    for file in [file, written_anew] {
        let recovered = Mirror::from_bytes(&file).recover("journal").expect("ours").expect("known");
        let mut again = Device::open(&dir.path().join("again.db"), SCHEMA, 60);
        again.engine.adopt(&recovered, &[], again.now()).expect("adopts");
        let outbox = again.engine.outbox().expect("readable");
        let of = |state: EntryState| outbox.iter().filter(|e| e.state == state).map(|e| e.rseq).collect::<Vec<_>>();
        assert_eq!((of(EntryState::Dead), of(EntryState::Sent)), (dead.to_vec(), vec![sent, held, open]));
        for rseq in dead {
            let (was, is) = (device.entry(rseq), again.entry(rseq));
            assert_eq!((&is.problem, &is.failures, &is.images), (&was.problem, &was.failures, &was.images));
            assert_eq!(is.transaction, was.transaction);
        }
        again.connect(Resumption::Fresh);
        assert_eq!(again.accept_all(), [sent, held, open], "what is dead is not offered");
        let now = again.now();
        again.engine.retry(rude, now, &mut entropy).expect("retries");
        drop(again);
        std::fs::remove_file(dir.path().join("again.db")).expect("is there");
    }
}

/// A server that is not there, or a proxy that says so, is no failure of what waits for it.
#[test]
fn trouble_with_the_connection_uses_up_no_attempts() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    let rseq = device.add(1, 10);
    device.input(Input::SetOnline { online: true });
    for retry_after_ms in [None, Some(45_000), None, Some(60_000), None] {
        let connection = device.connection;
        device.input(Input::Disconnected { connection, reason: "502 Bad Gateway".into(), retry_after_ms });
        let State::Waiting { until_ms } = *device.engine.session().state() else { panic!("it comes again") };
        let wait_ms = until_ms - device.now().mono_ms;
        assert!((retry_after_ms.unwrap_or(1)..=retry_after_ms.unwrap_or(MAX_BACKOFF_MS)).contains(&wait_ms));
        let entry = device.entry(rseq);
        assert_eq!((entry.state, entry.attempts, entry.next_attempt_ms), (EntryState::Queued, 0, None));
        assert!(entry.is_open && entry.problem.is_none() && entry.failures.is_empty());
        device.seconds += 1 + wait_ms / 1_000;
        device.input(Input::Tick);
    }
    // One that broke under a push may have arrived or not: it is offered again, and that is no attempt either.
    device.connect(Resumption::Fresh);
    let connection = device.connection;
    device.input(Input::Disconnected { connection, reason: "reset".into(), retry_after_ms: None });
    let entry = device.entry(rseq);
    assert_eq!((entry.state, entry.attempts, entry.next_attempt_ms), (EntryState::Sent, 0, None));
    device.seconds += 60;
    device.input(Input::Tick);
    device.connect(Resumption::Continue);
    assert_eq!(device.pushed(), [rseq, rseq]);
}

/// What SQLite does for a write, for the answer to one, and for an undo and a redo, while so many wait.
fn steps(waiting: i64) -> [u64; 4] {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    for id in 0..waiting {
        device.add(id, 10);
    }
    // Statements are prepared once.
    let now = device.now();
    device.engine.undo_last(now, &mut entropy).expect("undoes");
    device.engine.redo_last(now, &mut entropy).expect("redoes");
    device.connect(Resumption::Fresh);
    let (id, rseqs) = device.pushes[0].clone();
    device.answer(id, &rseqs[..1], &Outcome::Accepted { seq: 11 });

    let counted = device.engine.db.count_steps();
    let mut since = 0;
    let mut took = || {
        let before = std::mem::replace(&mut since, counted.load(Ordering::Relaxed));
        since - before
    };
    device.add(waiting, 10);
    let write = took();
    device.answer(id, &rseqs[1..2], &Outcome::Accepted { seq: 12 });
    let answer = took();
    device.engine.undo_last(now, &mut entropy).expect("undoes").expect("something");
    let undo = took();
    device.engine.redo_last(now, &mut entropy).expect("redoes").expect("something");
    [write, answer, undo, took()]
}

/// A server that was started anew has forgotten on what it failed: the device says so with each offer.
#[test]
fn a_push_says_how_often_its_entries_have_failed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::open(&dir.path().join("notes.db"), SCHEMA, 0);
    let failing = device.add(1, 10);
    device.connect(Resumption::Fresh);
    for times in 0..3 {
        let (id, offered) = device.pushes.pop().expect("it is offered");
        assert!(offered.contains(&failing));
        let told: Vec<_> = (times > 0).then_some((failing, times)).into_iter().collect();
        assert_eq!(device.attempted, told);
        let failed = Problem::new(codes::ATTEMPTS_USED_UP, "its disk was full");
        device.answer(id, &[failing], &Outcome::Failed { problem: failed });
        device.seconds += MAX_BACKOFF_MS / 1_000 + 1;
        device.input(Input::Tick);
        if device.pushes.is_empty() {
            device.connect(Resumption::Continue);
        }
    }
}

#[test]
fn what_waits_makes_nothing_dearer() {
    let (few, many) = (steps(20), steps(2_000));
    for (what, (few, many)) in ["a write", "an answer", "an undo", "a redo"].into_iter().zip(few.into_iter().zip(many))
    {
        assert!(few > 0 && many <= few * 2, "{what} takes {many} steps while 2,000 wait, and {few} while 20 do");
    }
}
