//! Visible = confirmed ⊕ unsettled, whatever happens in whatever order, and after every restart.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::flat::FlatSet;
use landfall_core::{BucketId, Operation, Origin, Transaction};
use landfall_protocol::server::{Outcome, Resumption, Start};
use proptest::prelude::*;

use super::world::*;
use super::*;
use crate::db::{Counts, EntryState};

#[derive(Clone, Debug)]
enum Step {
    /// The app writes: (kind, id, value) each.
    Write(Vec<(u8, i64, i64)>),
    /// Somebody else writes.
    Remote(u8, i64, i64),
    /// Push up to so many entries; the server refuses those whose bit is set; the answer may be lost.
    Push { count: usize, refuse: u8, lost: bool },
    /// The live stream moves by so many sequences.
    Live(u64),
    /// The device restarts.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0u8..5, 0i64..5, 0i64..100);
    prop_oneof![
        4 => prop::collection::vec(write, 1..4).prop_map(Step::Write),
        3 => (0u8..3, 0i64..5, 0i64..100).prop_map(|(k, i, v)| Step::Remote(k, i, v)),
        3 => (1usize..4, any::<u8>(), any::<bool>())
            .prop_map(|(count, refuse, lost)| Step::Push { count, refuse: refuse & (refuse >> 3), lost }),
        3 => (1u64..4).prop_map(Step::Live),
        1 => Just(Step::Restart),
    ]
}

/// What the model knows of an entry.
#[derive(Clone, Debug)]
struct Known {
    transaction: Transaction,
    /// Entries whose refusal must take this one along, by the model's own reading.
    requires: BTreeSet<u64>,
    sent: bool,
    accepted: Option<u64>,
    /// Out of sight: refused, or sharing a fate.
    hidden: bool,
    decided: bool,
}

struct World {
    _dir: tempfile::TempDir,
    location: Location,
    db: Database,
    server: Server,
    templates: Vec<Template>,
    cut: u64,
    entries: BTreeMap<u64, Known>,
    /// Changes as announced must lead from one visible state to the next.
    seen: State,
}

impl World {
    fn new(templates: &[Template]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::Path(dir.path().join("app.db"));
        let mut db = open(&location);
        let server = Server::new();
        db.welcome(&welcome(&server, 0, Resumption::Fresh, 1), NOW).expect("welcome");
        let handle = db.subscribe("counters", BTreeMap::new()).expect("subscribes");
        let openings: Vec<_> = templates.iter().map(|t| t.opening(Start::Live)).collect();
        db.opened(handle, &openings).expect("opens");
        let templates = templates.to_vec();
        Self { _dir: dir, location, db, server, templates, cut: 0, entries: BTreeMap::new(), seen: State::new() }
    }

    fn unsettled(&self) -> impl Iterator<Item = &Known> {
        let cut = self.cut;
        self.entries.values().filter(move |k| !k.hidden && k.accepted.is_none_or(|seq| seq > cut))
    }

    fn expected(&self) -> State {
        let mut state = confirmed(&self.server, self.cut, &self.templates);
        for known in self.unsettled() {
            for operation in &known.transaction.operations {
                carry_out(&mut state, operation);
            }
        }
        state
    }

    fn announce(&mut self, changes: crate::changes::ChangeSet) {
        let int = |value: Option<&Value>| match value {
            Some(Value::Int(v)) => Some(*v),
            _ => None,
        };
        for (key, change) in changes.rows.get("counters").into_iter().flatten() {
            let Value::Int(id) = key.0[0] else { panic!("an integer key") };
            let row = |cells: &landfall_core::hash::Cells| (int(cells.get("a")), int(cells.get("b")));
            assert_eq!(self.seen.get(&id).copied(), change.before.as_ref().map(row), "what was announced before");
            match &change.after {
                Some(cells) => self.seen.insert(id, row(cells)),
                None => self.seen.remove(&id),
            };
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Write(writes) => self.write(writes),
            Step::Remote(kind, id, value) => {
                let old = self.server.at(self.server.head()).get(id).copied().unwrap_or((None, None));
                let row = match kind {
                    0 => None,
                    1 => Some((Some(*value), old.1)),
                    _ => Some((old.0, Some(*value))),
                };
                self.server.remote(*id, row);
            }
            Step::Push { count, refuse, lost } => self.push(*count, *refuse, *lost),
            Step::Live(by) => {
                let to = (self.cut + by).min(self.server.head());
                let changes = live(&self.server, self.cut, to, &self.templates);
                let changes = self.db.apply_live(to, to, stamp(to), &changes, NOW).expect("live");
                self.cut = to;
                self.announce(changes);
            }
            Step::Restart => {
                let before = (self.db.cursor(), self.db.counts(), self.db.floor(), self.db.last_rseq());
                self.db = open(&self.location);
                assert_eq!(before, (self.db.cursor(), self.db.counts(), self.db.floor(), self.db.last_rseq()));
            }
        }
        assert_eq!(visible(&self.db), self.expected(), "after {step:?}");
        assert_eq!(self.seen, self.expected(), "as announced after {step:?}");
        let undecided: Vec<u64> = self.entries.iter().filter(|(_, k)| !k.decided).map(|(r, _)| *r).collect();
        assert_eq!(self.db.undecided().expect("readable"), undecided);
        let floor = undecided.first().map_or(self.db.last_rseq(), |first| first - 1);
        assert_eq!(self.db.floor(), floor);
    }

    fn write(&mut self, writes: &[(u8, i64, i64)]) {
        let entropy = self.db.last_rseq() as u8;
        let before = self.expected();
        let written = self.db.write(NOW, &mut |b| b.fill(entropy), |tx| {
            for (kind, id, value) in writes {
                let (id, value) = (Value::Int(*id), Value::Int(*value));
                match kind {
                    0 => tx.execute("DELETE FROM counters WHERE id = ?", &[id])?,
                    1 => tx.execute("UPDATE counters SET a = ? WHERE id = ?", &[value, id])?,
                    2 => tx.execute("UPDATE counters SET b = ?, a = a WHERE id = ?", &[value, id])?,
                    3 => tx.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, NULL)", &[id, value])?,
                    _ => {
                        let part = tx.savepoint(|tx| tx.execute("INSERT INTO counters VALUES (?, ?, 1)", &[id, value]));
                        part.unwrap_or(0)
                    }
                };
            }
            Ok(())
        });
        let written = written.expect("writes");
        self.announce(written.changes);
        let Some(rseq) = written.rseq else { return };
        let transaction = self.db.entry(rseq).expect("readable").expect("there").transaction;
        // The operations, replayed on what was visible before, give what is visible after.
        let mut after = before;
        transaction.operations.iter().for_each(|o| carry_out(&mut after, o));
        assert_eq!(visible(&self.db), after, "the operations are the difference: {:?}", transaction.operations);
        let inserts = |k: &Known, operation: &Operation| {
            let same = |o: &Operation| matches!(o, Operation::Insert { .. }) && o.key() == operation.key();
            k.transaction.operations.iter().any(same)
        };
        let needs = transaction.operations.iter().filter(|o| !matches!(o, Operation::Insert { .. }));
        let visible_undecided = |k: &&(&u64, &Known)| !k.1.decided && !k.1.hidden;
        let entries: Vec<_> = self.entries.iter().collect();
        let requires = needs.filter_map(|o| {
            entries.iter().copied().filter(|k| visible_undecided(&k) && inserts(k.1, o)).map(|(r, _)| *r).max()
        });
        let requires = requires.collect();
        let known = Known { transaction, requires, sent: false, accepted: None, hidden: false, decided: false };
        self.entries.insert(rseq, known);
    }

    fn push(&mut self, count: usize, refuse: u8, lost: bool) {
        let (batch, _) = self.db.sendable(count, usize::MAX, &FlatSet::new(), 0).expect("readable");
        let rseqs: Vec<u64> = batch.iter().map(|e| e.transaction.rseq).collect();
        self.db.mark_sent(&rseqs).expect("writes");
        let mut decisions = Vec::new();
        for (i, entry) in batch.iter().enumerate() {
            let known = self.entries.get_mut(&entry.transaction.rseq).expect("an entry of ours");
            if known.sent {
                assert_eq!(known.transaction, entry.transaction, "what was sent is frozen");
            }
            (known.sent, known.transaction) = (true, entry.transaction.clone());
            let outcome = self.server.decide(&entry.transaction, i < 8 && refuse & (1 << i) != 0);
            assert!(!matches!(outcome, Outcome::Deferred { .. }), "predecessors go first: {entry:?}");
            decisions.push(decision(entry.transaction.rseq, outcome));
        }
        if lost {
            return;
        }
        let decided = self.db.decide(&decisions, NOW).expect("decides");
        for d in &decisions {
            self.model_decision(d.rseq, &d.outcome);
        }
        self.announce(decided.changes);
    }

    fn model_decision(&mut self, rseq: u64, outcome: &Outcome) {
        let known = self.entries.get_mut(&rseq).expect("an entry of ours");
        if known.decided {
            return;
        }
        known.decided = true;
        match outcome {
            Outcome::Accepted { seq } => known.accepted = Some(*seq),
            _ => known.hidden = true,
        }
        if known.hidden {
            let mut gone = BTreeSet::from([rseq]);
            for (later, k) in self.entries.range_mut(rseq + 1..) {
                if !k.decided && !k.requires.is_disjoint(&gone) {
                    gone.insert(*later);
                    k.hidden = true;
                    k.decided = !k.sent;
                }
            }
        }
    }

    /// The network is good from here on: everything is decided, and everything arrives.
    fn drain(&mut self) {
        for _ in 0..100 {
            self.run(&Step::Push { count: 100, refuse: 0, lost: false });
            self.run(&Step::Live(1_000));
        }
        assert_eq!(self.db.undecided().expect("readable"), Vec::<u64>::new());
        assert_eq!(visible(&self.db), confirmed(&self.server, self.server.head(), &self.templates));
        let dead = self.db.outbox().expect("readable");
        assert!(dead.iter().all(|e| e.state == EntryState::Dead), "only dead letters are left: {dead:?}");
        for table in ["_landfall_touched", "_landfall_images"] {
            assert_eq!(rows(&self.db, &format!("SELECT count(*) FROM {table}")), vec![vec![Value::Int(0)]], "{table}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn visible_is_confirmed_and_what_is_unsettled(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new(&[ALL]);
        steps.iter().for_each(|step| world.run(step));
        world.drain();
    }

    #[test]
    fn so_it_is_with_overlapping_buckets_that_show_different_columns(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new(&[BIG_A, BIG_B]);
        steps.iter().for_each(|step| world.run(step));
        world.drain();
    }
}

/// L9.
#[test]
fn an_acknowledged_write_stays_until_the_cut_has_passed_it() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Write(vec![(3, 1, 10)]));
    world.run(&Step::Remote(1, 2, 5));
    world.run(&Step::Push { count: 1, refuse: 0, lost: false });
    assert_eq!(world.db.counts().acked, 1);
    world.run(&Step::Live(1));
    assert_eq!(world.db.counts().acked, 1, "the cut is before it");
    world.run(&Step::Live(1));
    assert_eq!(world.db.counts().acked, 0);
}

/// P5, P6.
#[test]
fn a_refused_insert_takes_along_what_was_done_to_its_row_and_nothing_else() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Write(vec![(3, 1, 10)]));
    world.run(&Step::Write(vec![(3, 2, 20)]));
    world.run(&Step::Write(vec![(1, 1, 11)]));
    world.run(&Step::Push { count: 1, refuse: 1, lost: false });
    assert_eq!(visible(&world.db), State::from([(2, (Some(20), None))]));
    let dead: Vec<_> =
        world.db.outbox().expect("readable").into_iter().filter(|e| e.state == EntryState::Dead).collect();
    assert_eq!(dead.iter().map(|e| e.rseq).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(dead[1].problem.as_ref().map(|p| p.code.as_str()), Some("LF-3005"));
    let written = world.db.retry(1, NOW, &mut |b| b.fill(3)).expect("retries");
    assert_eq!(visible(&world.db)[&1], (Some(10), None));
    assert_eq!(written.rseq, Some(4));
    world.db.discard(3, NOW).expect("discards");
    assert_eq!(world.db.counts().dead, 0);
    assert!(world.db.discard(4, NOW).is_err(), "only dead letters can be thrown away");
}

#[test]
fn an_edit_that_only_follows_a_refused_one_survives_it() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Remote(1, 1, 5));
    world.run(&Step::Live(1));
    world.run(&Step::Write(vec![(1, 1, 6)]));
    world.run(&Step::Write(vec![(2, 1, 7)]));
    world.run(&Step::Push { count: 1, refuse: 1, lost: false });
    assert_eq!(visible(&world.db)[&1], (Some(5), Some(7)), "the first edit is gone, the second is not");
    world.drain();
    assert_eq!(visible(&world.db)[&1], (Some(5), Some(7)));
}

/// A refused long title does not take the shortened one with it, although both are the same cell.
#[test]
fn an_edit_of_the_same_cell_survives_the_refused_one() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Remote(1, 1, 5));
    world.run(&Step::Live(1));
    world.run(&Step::Write(vec![(1, 1, 6)]));
    world.run(&Step::Write(vec![(1, 1, 7)]));
    world.run(&Step::Push { count: 1, refuse: 1, lost: false });
    assert_eq!(visible(&world.db)[&1].0, Some(7), "the first edit is gone, the second is not");
    let second = &world.db.outbox().expect("readable")[1];
    assert_eq!((&second.state, second.because_of()), (&EntryState::Queued, None));
    world.drain();
    assert_eq!(visible(&world.db)[&1].0, Some(7));
    assert_eq!(world.db.counts().dead, 1);
}

/// P8: a copy may have sent it as it was, and so may this device, when what it sends next comes from the mirror.
#[test]
fn an_edit_that_is_rewritten_names_what_it_was() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Remote(1, 1, 5));
    world.run(&Step::Live(1));
    world.run(&Step::Write(vec![(1, 1, 6)]));
    world.run(&Step::Write(vec![(2, 1, 7)]));
    let transaction = |db: &Database, rseq| db.entry(rseq).expect("readable").expect("there").transaction;
    let first = transaction(&world.db, 2);
    let origin = Origin { replica: replica(1), rseq: 2, hash: first.content_hash() };
    world.run(&Step::Push { count: 1, refuse: 1, lost: false });
    assert_eq!(transaction(&world.db, 2), Transaction { after: Vec::new(), origin: Some(origin), ..first });
    world.db.new_replica(replica(2)).expect("takes it");
    assert_eq!(transaction(&world.db, 3).origin, Some(origin));
}

/// P8: what the mirror of the outbox holds is under one identity, so that nothing of it is lost with the database.
#[test]
fn a_dead_letter_belongs_to_the_new_identity() {
    let mut world = World::new(&[ALL]);
    for write in [(3, 1, 10), (3, 2, 20), (1, 1, 11)] {
        world.run(&Step::Write(vec![write]));
    }
    world.run(&Step::Push { count: 1, refuse: 1, lost: false });
    let first = world.db.entry(3).expect("readable").expect("there");
    assert_eq!((first.state, first.transaction.requires.clone()), (EntryState::Dead, vec![1]));
    world.db.new_replica(replica(2)).expect("takes it");
    let entries = world.db.outbox().expect("readable");
    let numbers: Vec<_> = entries.iter().map(|e| (e.rseq, e.transaction.rseq, e.transaction.replica)).collect();
    assert_eq!(
        numbers,
        [(1, 1, replica(2)), (3, 3, replica(2)), (4, 4, replica(2))],
        "dead letters keep their numbers"
    );
    assert_eq!(entries[1].transaction.requires, [1]);
    let origin = Origin { replica: replica(1), rseq: 3, hash: first.transaction.content_hash() };
    assert_eq!(entries[1].transaction.origin, Some(origin));
    let Counts { bytes, undecided_bytes, .. } = world.db.counts();
    let counts = Counts { pending: 1, dead: 2, bytes, undecided_bytes, ..Counts::default() };
    assert_eq!(world.db.counts(), counts);
    world.db.retry(1, NOW, &mut |b| b.fill(3)).expect("retries");
}

/// P8.
#[test]
fn a_copied_database_takes_a_new_identity_and_keeps_its_work() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Write(vec![(3, 1, 10)]));
    world.run(&Step::Write(vec![(1, 1, 11)]));
    world.db.mark_sent(&[1]).expect("marks");
    let before = visible(&world.db);
    world.db.new_replica(replica(2)).expect("takes it");
    assert_eq!(visible(&world.db), before);
    assert_eq!(world.db.replica(), replica(2));
    let entries = world.db.outbox().expect("readable");
    let numbers: Vec<_> = entries.iter().map(|e| (e.rseq, e.transaction.rseq, e.transaction.replica)).collect();
    assert_eq!(numbers, [(3, 3, replica(2)), (4, 4, replica(2))]);
    assert_eq!(entries[1].transaction.requires, [3], "the second still depends on the first");
    assert_eq!(world.db.counts().pending, 2);
    assert_eq!(world.db.floor(), 2);
    let reopened = open(&world.location);
    assert_eq!((reopened.replica(), visible(&reopened)), (replica(2), before));
}

/// P9. What somebody else wrote is here, and not shown: one's own unsettled write is.
#[test]
fn what_ones_own_write_hides_was_not_seen() {
    let mut world = World::new(&[BIG_A]);
    world.server.remote(1, Some((Some(60), Some(60))));
    world.run(&Step::Live(1));
    world.run(&Step::Write(vec![(1, 1, 70)]));
    world.run(&Step::Remote(1, 1, 80));
    world.run(&Step::Live(1));
    world.run(&Step::Write(vec![(1, 1, 71)]));
    world.run(&Step::Restart);
    world.run(&Step::Write(vec![(2, 1, 61)]));
    world.run(&Step::Write(vec![(1, 1, 72)]));
    world.run(&Step::Write(vec![(0, 1, 0)]));
    let base = |rseq: u64| match &world.db.entry(rseq).expect("readable").expect("there").transaction.operations[..] {
        [Operation::Update { base, cells, .. }] => cells[0].base.unwrap_or(*base),
        [Operation::Delete { base, .. }] => *base,
        other => panic!("one change of one cell: {other:?}"),
    };
    assert_eq!(
        [1, 2, 3, 4, 5].map(base),
        [1, 1, 2, 1, 1],
        "of b all was seen; a delete has not seen what the row holds"
    );
    // Once nothing hides it, it is seen.
    world.run(&Step::Push { count: 4, refuse: 0, lost: false });
}

/// P9.
#[test]
fn bases_say_what_the_author_had_seen() {
    let mut world = World::new(&[BIG_A, BIG_B]);
    world.server.remote(1, Some((Some(1), Some(60))));
    world.server.remote(2, Some((Some(60), Some(1))));
    world.run(&Step::Live(2));
    // Row 1 is held through the bucket that does not show a.
    world.run(&Step::Write(vec![(1, 1, 2), (2, 1, 61), (1, 2, 62)]));
    let operations = world.db.entry(1).expect("readable").expect("there").transaction.operations;
    let [Operation::Update { base, cells, .. }, Operation::Update { base: known, cells: both, .. }] = &operations[..]
    else {
        panic!("two updates: {operations:?}")
    };
    let of = |name: &str| cells.iter().find(|c| c.column == name).and_then(|c| c.base).unwrap_or(*base);
    assert_eq!((of("a"), of("b")), (0, 2), "a column that is not held was not seen");
    assert_eq!((*known, both[0].base), (2, None));
    assert_eq!(BucketId(2), BucketId(BIG_A.id));
}

/// P10: nothing remembers the row any more, and what was last seen of it is enough to make it again, whole, under its own key.
/// Whether the device has heard of the delete first makes no difference.
#[test]
fn a_row_that_is_gone_for_good_is_made_again_whole() {
    for heard_first in [false, true] {
        let mut world = World::new(&[ALL]);
        world.run(&Step::Remote(1, 1, 10));
        world.run(&Step::Remote(2, 1, 20));
        world.run(&Step::Live(2));
        world.run(&Step::Write(vec![(1, 1, 11)]));
        if heard_first {
            world.run(&Step::Remote(0, 1, 0));
            world.run(&Step::Live(1));
        }
        world.run(&Step::Push { count: 1, refuse: 1, lost: false });
        if !heard_first {
            world.run(&Step::Remote(0, 1, 0));
            world.run(&Step::Live(1));
        }
        assert_eq!(visible(&world.db), State::new(), "it is gone");
        world.db.retry(1, NOW, &mut |b| b.fill(3)).expect("retries");
        assert_eq!(visible(&world.db), State::from([(1, (Some(11), Some(20)))]), "heard first: {heard_first}");
        let again = world.db.entry(2).expect("readable").expect("there").transaction;
        assert!(matches!(&again.operations[..], [Operation::Insert { base: 0, .. }]), "{:?}", again.operations);
    }
}

/// What one has deleted oneself since is no less one's own: the entry that was refused has the row as it was then.
#[test]
fn what_was_deleted_since_can_be_made_again_too() {
    let mut world = World::new(&[ALL]);
    world.run(&Step::Remote(1, 1, 10));
    world.run(&Step::Live(1));
    world.run(&Step::Write(vec![(2, 1, 11)]));
    world.run(&Step::Push { count: 1, refuse: 1, lost: true });
    world.run(&Step::Write(vec![(0, 1, 0)]));
    world.run(&Step::Restart);
    world.run(&Step::Push { count: 1, refuse: 1, lost: false });
    world.run(&Step::Push { count: 1, refuse: 0, lost: false });
    world.run(&Step::Live(1));
    assert_eq!(visible(&world.db), State::new(), "it is gone");
    world.db.retry(1, NOW, &mut |b| b.fill(3)).expect("retries");
    assert_eq!(visible(&world.db), State::from([(1, (Some(10), Some(11)))]));
}
