//! What is sent when: what waits goes after what it waits for, what is independent overtakes what is stuck, what is urgent
//! goes first, and nothing waits for ever.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::Transaction;
use landfall_core::error::codes;
use landfall_core::flat::FlatSet;
use landfall_protocol::server::Outcome;
use proptest::prelude::*;

use super::world::decision;
use super::*;
use crate::db::{EntryState, OutboxEntry};

#[derive(Clone, Debug)]
enum Step {
    /// Writes a row, perhaps with a priority, perhaps after or bound to an earlier entry so many back.
    Write { row: i64, priority: Option<u8>, back: Option<u64>, bound: bool },
    /// Takes so many entries to be sent.
    Send(usize),
    /// What becomes of one that is in flight.
    Answer { which: usize, kind: u8 },
    /// What the app had to be asked about is decided after all.
    Owed { which: usize, kind: u8 },
    /// A person throws a dead letter away.
    Discard(usize),
    /// The connection is lost: nothing is in flight any more.
    Lost,
    /// Time goes by, or the clock is set back.
    Time(i64),
    /// The app is started again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0i64..5, prop::option::of(0u8..=100), prop::option::of(1u64..6), any::<bool>());
    prop_oneof![
        5 => write.prop_map(|(row, priority, back, bound)| Step::Write { row, priority, back, bound }),
        3 => (1usize..5).prop_map(Step::Send),
        5 => (0usize..8, 0u8..7).prop_map(|(which, kind)| Step::Answer { which, kind }),
        2 => (0usize..4, 1u8..4).prop_map(|(which, kind)| Step::Owed { which, kind }),
        1 => (0usize..3).prop_map(Step::Discard),
        1 => Just(Step::Lost),
        2 => (-40_000i64..40_000).prop_map(Step::Time),
        1 => Just(Step::Restart),
    ]
}

struct World {
    _dir: tempfile::TempDir,
    location: Location,
    db: Database,
    now: u64,
    in_flight: BTreeSet<u64>,
    /// Entries on which the server failed, and when they are due.
    failed: BTreeMap<u64, u64>,
    /// Undecided entries: what they follow.
    open: BTreeMap<u64, Vec<u64>>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::Path(dir.path().join("app.db"));
        let db = open(&location);
        let (in_flight, failed, open) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { _dir: dir, location, db, now: NOW, in_flight, failed, open }
    }

    fn write(&mut self, row: i64, priority: Option<u8>, back: Option<(u64, bool)>) -> u64 {
        let value = self.db.last_rseq() as i64 + 1;
        let written = self.db.write(self.now, &mut |bytes| bytes.fill(0), |tx| {
            if let Some(priority) = priority {
                tx.set_priority(priority);
            }
            match back {
                Some((rseq, true)) => tx.require(rseq)?,
                Some((rseq, false)) => tx.follow(rseq)?,
                None => {}
            }
            tx.upsert("counters", &[("id", Value::Int(row)), ("a", Value::Int(value))])
        });
        let rseq = written.expect("writes").rseq.expect("something was written");
        let after = self.entry(rseq).transaction.after;
        self.open.insert(rseq, after);
        rseq
    }

    fn entry(&self, rseq: u64) -> OutboxEntry {
        let entries = self.db.outbox().expect("readable");
        entries.into_iter().find(|e| e.rseq == rseq).expect("in the outbox")
    }

    fn send(&mut self, count: usize) -> Vec<u64> {
        let in_flight: FlatSet<u64> = self.in_flight.iter().copied().collect();
        let (batch, _) = self.db.sendable(count, usize::MAX, &in_flight, self.now).expect("readable");
        let batch: Vec<Transaction> = batch.into_iter().map(|e| e.transaction).collect();
        let mut sent = Vec::new();
        for txn in &batch {
            assert!(self.open.contains_key(&txn.rseq) && !self.in_flight.contains(&txn.rseq), "offered twice");
            for predecessor in &txn.after {
                let waits = self.open.contains_key(predecessor) && !self.in_flight.contains(predecessor);
                assert!(!waits || sent.contains(predecessor), "{} before {predecessor}", txn.rseq);
            }
            sent.push(txn.rseq);
        }
        self.db.mark_sent(&sent).expect("writes");
        self.in_flight.extend(&sent);
        sent
    }

    /// Whether an entry, or something that it follows, waits for its next attempt.
    fn is_stuck(&self, rseq: u64) -> bool {
        let due = self.failed.get(&rseq).is_none_or(|due| *due <= self.now);
        !due || self.open.get(&rseq).is_some_and(|after| after.iter().any(|p| self.is_stuck(*p)))
    }

    fn answer(&mut self, rseq: u64, kind: u8) {
        let outcome = match kind {
            // It follows one that is not decided: it is offered again.
            _ if self.open[&rseq].iter().any(|p| self.open.contains_key(p)) => Outcome::Deferred { missing: 0 },
            0 => {
                let problem = Problem::new(codes::REQUIRED, "the server failed on it");
                Outcome::Failed { problem }
            }
            6 => Outcome::Asked { again_ms: 7_000 },
            1 => Outcome::Refused { problem: Problem::new(codes::REQUIRED, "no"), because_of: None },
            _ => Outcome::Accepted { seq: rseq },
        };
        self.in_flight.remove(&rseq);
        let attempts = self.entry(rseq).attempts;
        self.db.decide(&[decision(rseq, outcome.clone())], self.now).expect("decides");
        match outcome {
            Outcome::Asked { .. } => {
                let entry = self.entry(rseq);
                assert_eq!((entry.next_attempt_ms, entry.attempts), (Some(self.now + 7_000), attempts));
                self.failed.insert(rseq, self.now + 7_000);
            }
            Outcome::Failed { .. } => {
                let due = self.entry(rseq).next_attempt_ms.expect("waits for its next attempt");
                assert!(due > self.now && due <= self.now + 30_000);
                self.failed.insert(rseq, due);
            }
            Outcome::Accepted { .. } | Outcome::Refused { .. } => {
                self.open.remove(&rseq);
                self.failed.remove(&rseq);
                // What shares its fate went with it.
                let entries = self.db.outbox().expect("readable");
                let alive = |e: &&OutboxEntry| matches!(e.state, EntryState::Queued | EntryState::Sent);
                let alive: BTreeSet<u64> = entries.iter().filter(alive).map(|e| e.rseq).collect();
                self.open.retain(|rseq, _| alive.contains(rseq));
                self.in_flight.retain(|rseq| alive.contains(rseq));
                self.failed.retain(|rseq, _| alive.contains(rseq));
            }
            _ => {}
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Write { row, priority, back, bound } => {
                let back =
                    back.and_then(|by| self.db.last_rseq().checked_sub(by)).filter(|r| self.open.contains_key(r));
                self.write(*row, *priority, back.map(|rseq| (rseq, *bound)));
            }
            Step::Send(count) => {
                self.send(*count);
            }
            Step::Answer { which, kind } => {
                let rseq = self.in_flight.iter().nth(*which).copied();
                if let Some(rseq) = rseq {
                    self.answer(rseq, *kind);
                }
            }
            Step::Owed { which, kind } => {
                let waits = |rseq: &&u64| !self.in_flight.contains(*rseq) && self.open.contains_key(*rseq);
                let rseq = self.failed.keys().filter(waits).nth(*which).copied();
                if let Some(rseq) = rseq {
                    self.answer(rseq, *kind);
                }
            }
            Step::Discard(which) => {
                let entries = self.db.outbox().expect("readable");
                let dead = entries.iter().filter(|e| e.state == EntryState::Dead).nth(*which);
                if let Some(entry) = dead {
                    self.db.discard(entry.rseq, self.now).expect("discards");
                }
            }
            Step::Lost => self.in_flight.clear(),
            Step::Time(by) => {
                self.now = self.now.saturating_add_signed(*by);
                // A wait that is longer than any can be was noted before the clock was set back, and is over.
                let waits = self.now + 1..=self.now + 30_000;
                self.failed.retain(|_, due| waits.contains(due));
            }
            Step::Restart => {
                self.in_flight.clear();
                self.db = open(&self.location);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_independent_overtakes_what_is_stuck_and_nothing_else(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            // All that could be sent, and nothing that waits.
            let in_flight: FlatSet<u64> = world.in_flight.iter().copied().collect();
            let (batch, _) = world.db.sendable(usize::MAX, usize::MAX, &in_flight, world.now).expect("readable");
            let offered: BTreeSet<u64> = batch.iter().map(|e| e.transaction.rseq).collect();
            let free = |rseq: &&u64| !world.in_flight.contains(rseq) && !world.is_stuck(**rseq);
            let due: BTreeSet<u64> = world.open.keys().filter(free).copied().collect();
            prop_assert_eq!(&offered, &due);
            // Whoever is urgent makes what it waits for urgent.
            for entry in world.db.outbox().expect("readable") {
                for predecessor in world.open.get(&entry.rseq).into_iter().flatten() {
                    if world.open.contains_key(predecessor) {
                        prop_assert!(world.entry(*predecessor).priority >= entry.priority);
                    }
                }
            }
        }
        // And all of it is decided in the end.
        for _ in 0..=world.open.len() {
            world.now += 60_000;
            world.failed.clear();
            world.in_flight.clear();
            for rseq in world.send(usize::MAX) {
                if world.open.contains_key(&rseq) {
                    world.answer(rseq, 2);
                }
            }
        }
        prop_assert!(world.open.is_empty(), "left: {:?}", world.open);
        prop_assert_eq!(world.db.next_attempt_in_ms(world.now).expect("readable"), None);
    }
}

/// One that died of another predecessor, and was thrown away, is not looked for when this one is refused.
#[test]
fn who_follows_two_dies_once() {
    let mut world = World::new();
    let (first, second) = (world.write(1, None, None), world.write(2, None, None));
    let follower = world.write(1, None, Some((second, true)));
    assert_eq!(world.send(2), [first, second]);
    world.answer(second, 1);
    assert_eq!(world.entry(follower).state, EntryState::Dead);
    let why = world.entry(follower).problem;
    world.run(&Step::Discard(0));
    world.run(&Step::Discard(0));
    world.answer(first, 1);
    assert!(why.is_some() && world.open.is_empty());
}

/// Medication before likes, and a comment never before its post.
#[test]
fn what_is_urgent_goes_first_and_takes_along_what_it_follows() {
    let mut world = World::new();
    let likes: Vec<u64> = (10..14).map(|row| world.write(row, Some(10), None)).collect();
    let post = world.write(1, Some(20), None);
    let comment = world.write(2, Some(90), Some((post, true)));
    let medication = world.write(3, Some(100), None);
    assert_eq!(world.send(3), [medication, post, comment]);
    assert_eq!(world.send(usize::MAX), likes);
}

/// However much comes that is more urgent.
#[test]
fn nothing_waits_for_ever() {
    let mut world = World::new();
    let patient = world.write(0, Some(0), None);
    for n in 1.. {
        world.write(n, Some(100), None);
        world.write(n + 1_000, Some(100), None);
        for rseq in world.send(1) {
            world.answer(rseq, 2);
        }
        if !world.open.contains_key(&patient) {
            return;
        }
        assert!(n < 10, "still waiting");
    }
}

/// The wait survives a restart, and a clock that is set back does not prolong it.
/// Where the bytes of seven entries fill a batch, the eighth choice, that of the oldest, is the first of the next one.
#[test]
fn what_is_urgent_and_large_does_not_use_up_the_turn_of_the_oldest() {
    let mut world = World::new();
    let old = world.write(0, Some(0), None);
    let mut in_flight = FlatSet::new();
    for row in 1..60 {
        world.write(row, Some(90), None);
    }
    let bytes = world.db.entry_body(old).expect("readable").expect("there").len();
    for _ in 0..2 {
        let (batch, _) = world.db.sendable(64, 7 * (bytes + 2), &in_flight, world.now).expect("readable");
        assert!((5..=8).contains(&batch.len()), "a batch of {} entries shows nothing", batch.len());
        for entry in batch {
            in_flight.insert(entry.transaction.rseq);
        }
    }
    assert!(in_flight.contains(&old), "{in_flight:?}");
}

#[test]
fn a_failed_entry_waits_and_is_counted() {
    let mut world = World::new();
    let poison = world.write(1, None, None);
    let after_it = world.write(1, None, None);
    let free = world.write(2, None, None);
    assert_eq!(world.send(usize::MAX), [poison, after_it, free]);
    world.answer(poison, 0);
    world.answer(after_it, 3);
    world.answer(free, 2);
    assert_eq!(world.entry(poison).attempts, 1);
    assert!(world.entry(poison).problem.is_some(), "it is told why");
    world.run(&Step::Restart);
    assert_eq!(world.send(usize::MAX), [0; 0]);
    let wait = world.db.next_attempt_in_ms(world.now).expect("readable").expect("one waits");
    world.now += wait;
    world.failed.clear();
    assert_eq!(world.send(usize::MAX), [poison, after_it]);
    world.answer(poison, 0);
    world.now -= 3_600_000;
    assert_eq!(world.send(usize::MAX), [poison], "its successor is still in flight");
    assert_eq!(world.entry(poison).attempts, 2);
}

#[test]
fn what_waits_for_its_next_attempt_is_tried_when_the_person_says_so() {
    let mut world = World::new();
    let poison = world.write(1, None, None);
    let after_it = world.write(1, None, None);
    assert_eq!(world.send(usize::MAX), [poison, after_it]);
    world.answer(poison, 0);
    world.answer(after_it, 3);
    assert_eq!(world.send(usize::MAX), [0; 0]);
    assert_eq!(world.db.try_now().expect("writes"), 2);
    world.failed.clear();
    assert_eq!(world.send(usize::MAX), [poison, after_it]);
    assert_eq!(world.entry(poison).attempts, 1, "what was counted stays counted");
    assert_eq!(world.db.try_now().expect("writes"), 0);
}

/// Steps of SQLite's machine that one choice takes, with so many entries queued.
fn steps_of_a_choice(queued: i64) -> usize {
    let mut world = World::new();
    for row in 0..queued {
        let cells = [("id", Value::Int(row)), ("a", Value::Int(row))];
        let written = world.db.write(NOW, &mut |bytes| bytes.fill(0), |tx| {
            tx.set_priority((row % 3) as u8 * 10);
            tx.insert("counters", &cells)
        });
        written.expect("writes");
    }
    let (first, _) = world.db.sendable(8, usize::MAX, &FlatSet::new(), NOW).expect("readable");
    let in_flight: FlatSet<u64> = first.iter().map(|entry| entry.transaction.rseq).collect();
    let steps = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        false
    };
    world.db.conn.progress_handler(1, Some(count)).expect("is set");
    assert_eq!(world.db.sendable(8, usize::MAX, &in_flight, NOW).expect("readable").0.len(), 8);
    world.db.next_attempt_in_ms(NOW).expect("readable");
    world.db.next_expiry_in_ms(NOW).expect("readable");
    steps.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn a_choice_costs_the_same_however_long_the_queue_is() {
    let (few, many) = (steps_of_a_choice(40), steps_of_a_choice(400));
    assert!(many < few + few / 4, "{few} steps with 40 entries queued, {many} with 400");
}

/// What breaks every connection waits alone, without an attempt being used up, and says why.
#[test]
fn what_breaks_connections_waits_and_nothing_waits_for_it() {
    let mut db = memory();
    let rseqs = [1, 2].map(|id| {
        let insert = format!("INSERT INTO counters (id) VALUES ({id})");
        write(&mut db, &[&insert]).expect("writes").rseq.expect("an entry")
    });
    let follower = write(&mut db, &["UPDATE counters SET a = 1 WHERE id = 1"]).expect("writes").rseq.expect("an entry");
    let sendable = |db: &mut Database, now_ms: u64| -> Vec<u64> {
        let (batch, _) = db.sendable(9, usize::MAX, &FlatSet::new(), now_ms).expect("readable");
        batch.iter().map(|entry| entry.transaction.rseq).collect()
    };
    db.park_breaking(rseqs[0], NOW).expect("writes");
    assert_eq!(sendable(&mut db, NOW), [rseqs[0], rseqs[1], follower], "it was never sent: it broke nothing");
    db.mark_sent(&rseqs).expect("freezes");
    db.park_breaking(rseqs[0], NOW).expect("writes");
    assert_eq!(sendable(&mut db, NOW + 1), [rseqs[1]]);
    let entry = db.entry(rseqs[0]).expect("readable").expect("there");
    assert_eq!(entry.problem.expect("it says why").code, crate::db::codes::BREAKS);
    assert_eq!((entry.attempts, entry.failures.len()), (0, 0), "nobody has failed on it, as far as is known");
    assert_eq!(sendable(&mut db, NOW + 30_001), [rseqs[0], rseqs[1], follower], "it is tried again");
}
