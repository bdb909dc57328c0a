//! Buckets that load, catch up, join the live stream, are loaded anew and let go: in the end the device holds exactly
//! what the server shows, and while it loads nothing that is confirmed elsewhere is disturbed.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::error::codes;
use landfall_core::flat::FlatSet;
use landfall_core::{BucketId, Operation, Origin, Problem};
use landfall_protocol::server::{Outcome, Resumption, Start};
use proptest::prelude::*;

use super::world::*;
use super::*;
use crate::db::{BucketState, Completeness, Undone, Withdrawal, WriteTx};

const TEMPLATES: [Template; 3] = [ALL, BIG_A, BIG_B];
const SHAPES: [&str; 3] = ["counters", "big_a", "big_b"];

#[derive(Clone, Debug)]
enum Step {
    /// Somebody writes: (kind, id, value).
    Remote(u8, i64, i64),
    /// The app writes, and the write stays pending.
    Write(i64, i64),
    /// The live stream moves.
    Live(u64),
    /// A shape is opened.
    Open(usize),
    /// A shape is closed.
    Close(usize),
    /// The next chunk of a bucket that loads.
    Chunk(usize),
    /// So many sequences of catching up.
    CatchUp(usize, u64),
    /// The connection comes back, with the log still there or not, with another history, or with this one as far as the
    /// device has followed it, and another one from there; the server's store fails for some of the shapes, which are
    /// opened later.
    Reconnect(u8, u8),
    /// A load's address has expired.
    Expired(usize),
    /// The device restarts.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..4, 0i64..8, 0i64..100).prop_map(|(k, i, v)| Step::Remote(k, i, v)),
        1 => (0i64..8, 0i64..100).prop_map(|(i, v)| Step::Write(i, v)),
        3 => (1u64..4).prop_map(Step::Live),
        2 => (0usize..3).prop_map(Step::Open),
        1 => (0usize..3).prop_map(Step::Close),
        4 => (0usize..3).prop_map(Step::Chunk),
        4 => (0usize..3, 0u64..5).prop_map(|(b, n)| Step::CatchUp(b, n)),
        1 => (0u8..4, 0u8..8).prop_map(|(kind, failing)| Step::Reconnect(kind, failing)),
        1 => (0usize..3).prop_map(Step::Expired),
        1 => Just(Step::Restart),
    ]
}

struct World {
    _dir: tempfile::TempDir,
    location: Location,
    db: Database,
    server: Server,
    cut: u64,
    epoch: u8,
    /// What the server has opened on this connection: nothing else is in its stream.
    opened: BTreeSet<usize>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::Path(dir.path().join("app.db"));
        let mut db = open(&location);
        let server = Server::new();
        db.welcome(&welcome(&server, 0, Resumption::Fresh, 1), NOW).expect("welcome");
        Self { _dir: dir, location, db, server, cut: 0, epoch: 1, opened: BTreeSet::new() }
    }

    fn handle(&self, shape: usize) -> Option<u64> {
        self.db.subscriptions().into_iter().find(|s| s.shape == SHAPES[shape]).map(|s| s.handle)
    }

    fn state(&self, shape: usize) -> Option<(BucketState, u64, bool)> {
        let subscription = self.db.subscriptions().into_iter().find(|s| s.shape == SHAPES[shape])?;
        subscription.buckets.first().map(|b| (b.state, b.at, b.next.is_some()))
    }

    /// What is to be fetched next of a bucket that loads.
    fn next(&self, shape: usize) -> Option<String> {
        let subscription = self.db.subscriptions().into_iter().find(|s| s.shape == SHAPES[shape])?;
        subscription.buckets.first().filter(|b| b.state == BucketState::Loading)?.next.clone()
    }

    /// What the server answers to Open, given what the device says that it holds.
    fn open(&mut self, shape: usize) {
        let handle = self.db.subscribe(SHAPES[shape], BTreeMap::new()).expect("subscribes");
        let template = TEMPLATES[shape];
        let start = match self.state(shape) {
            Some((BucketState::Live | BucketState::CatchingUp, at, _)) if at == self.cut => Start::Live,
            Some((BucketState::Live | BucketState::CatchingUp, _, _)) => Start::CatchUp,
            _ => Start::Load { at: self.server.head(), first: "/first".into(), rows: 3 },
        };
        self.db.opened(handle, &[template.opening(start)]).expect("opens");
        self.opened.insert(shape);
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Remote(kind, id, value) => {
                let old = self.server.at(self.server.head()).get(id).copied().unwrap_or((None, None));
                let row = match kind {
                    0 => None,
                    1 => Some((Some(*value), old.1)),
                    2 => Some((old.0, Some(*value))),
                    _ => Some((Some(*value), Some(*value))),
                };
                self.server.remote(*id, row);
            }
            Step::Write(id, value) => {
                self.db
                    .write(NOW, &mut |b| b.fill(1), |tx| {
                        tx.upsert("counters", &[("id", Value::Int(*id)), ("b", Value::Int(*value))])
                    })
                    .expect("writes");
            }
            Step::Live(by) => self.live(*by),
            Step::Open(shape) => self.open(*shape),
            Step::Close(shape) => {
                if let Some(handle) = self.handle(*shape) {
                    self.db.unsubscribe(handle).expect("unsubscribes");
                }
            }
            Step::Chunk(shape) => self.chunk(*shape),
            Step::CatchUp(shape, by) => self.catch_up(*shape, *by),
            Step::Reconnect(kind, failing) => self.reconnect(*kind, *failing),
            Step::Expired(shape) => self.db.restart_load(BucketId(TEMPLATES[*shape].id)).expect("writes"),
            Step::Restart => self.db = open(&self.location),
        }
    }

    fn live(&mut self, by: u64) {
        let to = (self.cut + by).min(self.server.head());
        let joined = |s: &usize| self.opened.contains(s) && matches!(self.state(*s), Some((BucketState::Live, ..)));
        let members: Vec<Template> = (0..3).filter(joined).map(|s| TEMPLATES[s]).collect();
        let changes = live(&self.server, self.cut, to, &members);
        self.db.apply_live(to, to, stamp(to), &changes, NOW).expect("live");
        self.cut = to;
    }

    fn chunk(&mut self, shape: usize) {
        let template = TEMPLATES[shape];
        let Some(address) = self.next(shape).filter(|_| self.db.may_load(BucketId(template.id))) else { return };
        let chunk = self.server.chunk(&template, &address, 2);
        // One that is read beyond the cut waits for it.
        if self.db.may_apply(&chunk) {
            self.db.apply_chunk(&chunk).expect("applies");
        }
    }

    fn catch_up(&mut self, shape: usize, by: u64) {
        let Some((BucketState::CatchingUp, at, _)) = self.state(shape) else { return };
        if !self.opened.contains(&shape) {
            return;
        }
        if at > self.cut {
            // The session is not there yet.
            return;
        }
        let to = (at + by).min(self.cut);
        let changes = self.server.changes(&TEMPLATES[shape], at, to);
        self.db.apply_catch_up(BucketId(TEMPLATES[shape].id), to, &changes, to == self.cut).expect("applies");
    }

    fn reconnect(&mut self, kind: u8, failing: u8) {
        let resumption = match kind {
            0 | 3 => Resumption::Continue,
            1 => Resumption::TooOld,
            _ => Resumption::NewEpoch,
        };
        if kind == 3 {
            self.server.history.truncate(self.cut as usize + 1);
        }
        if resumption == Resumption::NewEpoch {
            // An older copy of the server: its last two sequences are gone.
            let keep = self.server.history.len().saturating_sub(2).max(1);
            self.server.history.truncate(keep);
            self.epoch += 1;
        }
        if resumption != Resumption::Continue {
            self.cut = self.server.head();
        }
        let before = visible(&self.db);
        self.db.welcome(&welcome(&self.server, self.cut, resumption, self.epoch), NOW).expect("welcome");
        assert_eq!(visible(&self.db), before, "what is held stays visible until it is replaced");
        self.opened.clear();
        let open: Vec<usize> = (0..3).filter(|s| self.handle(*s).is_some() && failing & (1 << s) == 0).collect();
        for shape in open {
            self.open(shape);
        }
    }

    /// Everything arrives.
    fn drain(&mut self) {
        for _ in 0..4 {
            for shape in 0..3 {
                if self.handle(shape).is_some() {
                    let unopened = !self.opened.contains(&shape);
                    if unopened || matches!(self.state(shape), Some((BucketState::Loading, _, false)) | None) {
                        self.open(shape);
                    }
                    for _ in 0..20 {
                        self.chunk(shape);
                    }
                }
            }
            self.live(1_000);
            (0..3).for_each(|shape| self.catch_up(shape, 1_000));
        }
        self.live(1_000);
    }

    fn check(&self) {
        let open: Vec<Template> = (0..3).filter(|s| self.handle(*s).is_some()).map(|s| TEMPLATES[s]).collect();
        for subscription in self.db.subscriptions() {
            assert_eq!(self.db.completeness(subscription.handle), Some(Completeness::Complete));
        }
        let pending: Vec<i64> = rows(&self.db, "SELECT key FROM _landfall_touched")
            .into_iter()
            .map(|row| match &row[0] {
                Value::Bytes(bytes) => match RowKey::from_bytes(bytes).expect("a key").0[0] {
                    Value::Int(id) => id,
                    _ => panic!("an integer key"),
                },
                other => panic!("bytes, not {other:?}"),
            })
            .collect();
        let without = |state: State| -> State { state.into_iter().filter(|(id, _)| !pending.contains(id)).collect() };
        assert_eq!(without(visible(&self.db)), without(confirmed(&self.server, self.server.head(), &open)));
        // Bookkeeping has a row for each confirmed row, and no more.
        let mut held = BTreeMap::new();
        for row in
            rows(&self.db, "SELECT r.key, s.buckets FROM _landfall_rows r JOIN _landfall_sets s ON s.id = r.held")
        {
            let (Value::Bytes(key), Value::Text(set)) = (&row[0], &row[1]) else { panic!("{row:?}") };
            let RowKey(key) = RowKey::from_bytes(key).expect("a key");
            held.insert(key[0].clone(), set.clone());
        }
        for (id, row) in self.server.at(self.server.head()) {
            let set: Vec<_> = open.iter().filter(|t| (t.rows)(*row)).map(|t| t.id.to_string()).collect();
            let found = held.remove(&Value::Int(*id)).unwrap_or_default();
            let leftover = pending.contains(id) && found.contains(&i64::MAX.to_string());
            assert!(leftover || found == set.join(","), "{id}: {found} should be {set:?}");
        }
        held.retain(|id, _| !pending.iter().any(|p| Value::Int(*p) == *id));
        assert_eq!(held, BTreeMap::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// L2, L4, L5, L6, L7, C4, C7.
    #[test]
    fn whatever_loads_in_whatever_order_the_device_ends_with_what_the_server_shows(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.run(step));
        world.drain();
        world.check();
    }
}

/// L7.
#[test]
fn a_chunk_does_not_disturb_what_the_live_stream_keeps_at_the_cut() {
    let mut world = World::new();
    world.run(&Step::Open(0));
    world.drain();
    world.run(&Step::Remote(3, 1, 60));
    world.run(&Step::Live(1));
    world.run(&Step::Remote(3, 1, 70));
    // The chunk was read at 2, the device stands at 1.
    world.run(&Step::Open(1));
    world.run(&Step::Chunk(1));
    assert_eq!(visible(&world.db)[&1], (Some(60), Some(60)));
    world.drain();
    assert_eq!(visible(&world.db)[&1], (Some(70), Some(70)));
}

/// C7.
#[test]
fn what_was_read_beyond_the_cut_waits_for_it() {
    let mut world = World::new();
    (0..6).for_each(|id| world.run(&Step::Remote(3, id, 60)));
    world.run(&Step::Open(0));
    world.run(&Step::Live(6));
    world.run(&Step::Chunk(0));
    world.run(&Step::Remote(3, 2, 70));
    world.run(&Step::Chunk(0));
    assert_eq!(visible(&world.db).len(), 2, "as of 7, where the device stands at 6");
    // Nobody will ever know of 7.
    world.run(&Step::Reconnect(3, 0));
    world.run(&Step::Chunk(0));
    assert_eq!(visible(&world.db).len(), 4, "it goes on where it was");
    world.drain();
    world.check();
    assert_eq!(visible(&world.db)[&2], (Some(60), Some(60)));
}

/// H4.
#[test]
fn closing_a_shape_keeps_rows_with_pending_writes_until_they_settle() {
    let mut world = World::new();
    world.run(&Step::Remote(3, 1, 60));
    world.run(&Step::Remote(3, 2, 60));
    world.run(&Step::Open(0));
    world.run(&Step::Open(1));
    world.drain();
    world.run(&Step::Write(1, 61));
    world.run(&Step::Close(1));
    world.run(&Step::Close(0));
    assert_eq!(visible(&world.db), State::from([(1, (Some(60), Some(61)))]));
    world.run(&Step::Restart);
    assert_eq!(visible(&world.db), State::from([(1, (Some(60), Some(61)))]));
}

/// H3.
#[test]
fn a_load_goes_on_after_a_restart() {
    let mut world = World::new();
    (0..6).for_each(|id| world.run(&Step::Remote(3, id, 60)));
    world.run(&Step::Open(0));
    world.run(&Step::Chunk(0));
    assert_eq!(visible(&world.db).len(), 0, "not before the cut is as far as the load");
    world.run(&Step::Live(6));
    world.run(&Step::Chunk(0));
    world.run(&Step::Restart);
    let handle = world.handle(0).expect("still open");
    assert_eq!(world.db.completeness(handle), Some(Completeness::Incomplete { rows: 2, expected: 3 }));
    world.run(&Step::Reconnect(0, 0));
    assert_eq!(visible(&world.db).len(), 2);
    world.run(&Step::Chunk(0));
    assert_eq!(visible(&world.db).len(), 4, "where it was, not from the start");
    world.drain();
    world.check();
}

/// H5: what an Open that failed would have brought must not be passed over.
#[test]
fn a_shape_that_is_not_opened_yet_stays_behind() {
    let mut world = World::new();
    (0..2).for_each(|id| world.run(&Step::Remote(3, id, 60)));
    (0..2).for_each(|shape| world.run(&Step::Open(shape)));
    world.drain();
    world.run(&Step::Reconnect(0, 1));
    let handle = world.handle(0).expect("still open");
    assert_eq!(world.db.completeness(handle), Some(Completeness::Complete), "nothing has happened yet");
    world.run(&Step::Remote(1, 0, 61));
    world.run(&Step::Live(1));
    assert_ne!(world.db.completeness(handle), Some(Completeness::Complete));
    world.drain();
    world.check();
}

/// What is offered to the server.
fn offered(world: &mut World) -> Vec<Transaction> {
    let (entries, _) = world.db.sendable(10, 1 << 20, &FlatSet::new(), NOW).expect("readable");
    entries.into_iter().map(|e| e.transaction).collect()
}

/// A world in which one write is acknowledged, and the cut has not passed it.
fn acknowledged() -> (World, Transaction) {
    let mut world = World::new();
    world.run(&Step::Open(0));
    world.drain();
    world.run(&Step::Write(1, 5));
    let first = world.db.entry(1).expect("readable").expect("there").transaction;
    world.db.mark_sent(&[1]).expect("marks");
    let outcome = world.server.decide(&first, false);
    world.db.decide(&[decision(1, outcome)], NOW).expect("decides");
    (world, first)
}

/// S6.
#[test]
fn a_restored_server_is_offered_again_what_it_had_acknowledged() {
    let (mut world, first) = acknowledged();
    world.run(&Step::Live(5));
    assert_eq!(world.db.outbox().expect("readable"), [], "settled");
    world.run(&Step::Reconnect(2, 0));
    assert_eq!(offered(&mut world), [first], "same number, same bytes");
    world.drain();
    assert_eq!(visible(&world.db), State::from([(1, (None, Some(5)))]), "it never vanished");
}

/// S6: a log that does not reach back says nothing of what a restored server has lost.
#[test]
fn what_was_acknowledged_beyond_the_cut_is_offered_again_when_the_log_is_too_short() {
    let (mut world, first) = acknowledged();
    assert_eq!(offered(&mut world), []);
    // But not after so long that the server may have forgotten that it decided it.
    let mut late = welcome(&world.server, world.server.head(), Resumption::TooOld, 1);
    late.clock_ms = NOW + 8 * 24 * 3_600 * 1_000;
    world.db.welcome(&late, late.clock_ms).expect("welcome");
    assert_eq!(offered(&mut world), []);
    world.run(&Step::Reconnect(1, 0));
    assert_eq!(offered(&mut world), [first], "same number, same bytes");
}

/// What is offered to the server, with what it says it was first.
fn offered_anew(world: &mut World) -> Vec<(u64, Option<Origin>)> {
    offered(world).into_iter().map(|transaction| (transaction.rseq, transaction.origin)).collect()
}

/// P8, S6: under another replica id.
#[test]
fn a_copy_still_offers_a_restored_server_what_it_had_acknowledged() {
    let (mut world, first) = acknowledged();
    let origin = Origin { replica: first.replica, rseq: first.rseq, hash: first.content_hash() };
    world.run(&Step::Live(5));
    world.db.new_replica(replica(2)).expect("a copy");
    assert_eq!(world.db.outbox().expect("readable"), [], "settled");
    world.run(&Step::Reconnect(2, 0));
    assert_eq!(offered_anew(&mut world), [(2, Some(origin))]);
    // And once more under the first identity, should that be a copy as well.
    world.db.new_replica(replica(3)).expect("a copy");
    assert_eq!(offered_anew(&mut world), [(3, Some(origin))]);
    world.drain();
    assert_eq!(visible(&world.db), State::from([(1, (None, Some(5)))]), "it never vanished");
}

/// P8.
#[test]
fn an_acceptance_stands_though_the_server_has_forgotten_it() {
    let (mut world, _) = acknowledged();
    world.db.new_replica(replica(2)).expect("a copy");
    assert_eq!(offered_anew(&mut world), []);
    world.run(&Step::Reconnect(0, 0));
    assert_eq!(offered_anew(&mut world).len(), 1, "the cut has not passed it");
    let problem = Problem::new(codes::DECIDED_LONG_AGO, "forgotten");
    let decided = world.db.decide(&[decision(2, Outcome::Refused { problem, because_of: None })], NOW);
    assert_eq!(decided.expect("decides").refused, Vec::<u64>::new());
    assert_eq!(world.db.counts().dead, 0);
    world.drain();
    assert_eq!(world.db.outbox().expect("readable"), [], "settled");
    assert_eq!(visible(&world.db), State::from([(1, (None, Some(5)))]));
}

/// A world with so many rows, some of which changed again, and a shape that has them all.
fn loaded(rows: i64, changes: i64) -> World {
    let mut world = World::new();
    (0..rows).for_each(|id| world.run(&Step::Remote(3, id, id)));
    (0..changes).for_each(|by| world.run(&Step::Remote(3, rows - 1, 10 + by)));
    world.run(&Step::Open(0));
    world.run(&Step::Live(100));
    world.drain();
    world
}

/// The server loses what is newest of its history.
fn lose_history(world: &mut World) {
    world.server.history.truncate(8);
    (world.epoch, world.cut) = (world.epoch + 1, 7);
    world.db.welcome(&welcome(&world.server, 7, Resumption::NewEpoch, world.epoch), NOW).expect("welcome");
    world.opened.clear();
}

/// C6.
#[test]
fn what_is_as_it_was_is_not_fetched_again() {
    let mut world = loaded(12, 0);
    let first = world.db.reconciled();
    assert_eq!((first.kept, first.fetched), (0, 12));
    world.run(&Step::Write(3, 300));
    // While the device is away one row changes, one goes and one comes, and the log forgets all that.
    world.run(&Step::Remote(1, 5, 500));
    world.run(&Step::Remote(0, 8, 0));
    world.run(&Step::Remote(3, 12, 12));
    world.run(&Step::Reconnect(1, 0));
    assert_eq!(visible(&world.db)[&5], (Some(5), Some(5)), "shown until it is known better");
    world.drain();
    world.check();
    let then = world.db.reconciled();
    // Runs are of two rows, and one that differs is fetched as a whole.
    assert_eq!((then.kept, then.fetched - first.fetched, then.healed), (6, 6, 0));
    assert_eq!(visible(&world.db)[&3], (Some(3), Some(300)), "compared as confirmed, shown with what is pending");

    // A change after that is seen, whatever the sequence of what was kept.
    world.run(&Step::Reconnect(0, 0));
    world.run(&Step::Remote(1, 0, 77));
    world.drain();
    assert_eq!(visible(&world.db)[&0], (Some(77), Some(0)));
    world.check();
}

/// What a bucket that is behind brings is older than what the copy of another one has, which is loaded anew: neither is it
/// shown for a moment, nor does a write say that it has seen the newer value while the older one was there.
#[test]
fn an_older_state_does_not_replace_what_a_copy_of_the_same_history_has() {
    let mut world = World::new();
    world.run(&Step::Remote(3, 1, 60));
    world.run(&Step::Open(1));
    world.run(&Step::Live(1));
    world.run(&Step::Chunk(1));
    world.run(&Step::Remote(1, 1, 70));
    world.run(&Step::Remote(1, 1, 80));
    world.run(&Step::Open(0));
    world.run(&Step::Live(2));
    world.run(&Step::Chunk(0));
    assert_eq!(visible(&world.db)[&1], (Some(80), Some(60)), "as the bucket that is loaded has it");
    // After a reconnection the log of one of them is not there any more.
    world.run(&Step::Reconnect(0, 1));
    let start = Start::Load { at: 3, first: "/first".into(), rows: 1 };
    world.db.opened(world.handle(0).expect("open"), &[ALL.opening(start)]).expect("opens");
    world.run(&Step::CatchUp(1, 1));
    assert_eq!(visible(&world.db)[&1], (Some(80), Some(60)), "not what it was before");
    world.run(&Step::Chunk(0));
    world.drain();
    world.check();
    assert_eq!(world.db.reconciled().healed, 0, "nothing was other than the server had it");
}

/// C6: a row that is another here, although nothing changed it, is replaced and reported.
#[test]
fn what_diverged_is_healed_and_counted() {
    let mut world = loaded(4, 0);
    // A fault on the server: its state is another, and no sequence says so.
    world.server.history[4].insert(1, (Some(9), Some(9)));
    world.run(&Step::Reconnect(1, 0));
    world.drain();
    world.check();
    assert_eq!(world.db.reconciled().healed, 1);
}

/// C6: a bucket that nobody opened for long has another number.
#[test]
fn a_bucket_under_a_new_number_is_compared_with_the_copy_of_the_old_one() {
    let mut world = loaded(6, 0);
    let handle = world.handle(0).expect("open");
    let before = visible(&world.db);
    world.db.welcome(&welcome(&world.server, 6, Resumption::TooOld, 1), NOW).expect("welcome");
    world.db = open(&world.location);
    let renumbered = Template { id: 77, ..ALL };
    let start = Start::Load { at: 6, first: "/first".into(), rows: 6 };
    world.db.opened(handle, &[renumbered.opening(start)]).expect("opens");
    assert_eq!(visible(&world.db), before, "nothing goes while its successor loads");
    while let Some(address) = world.next(0) {
        let chunk = world.server.chunk(&renumbered, &address, 2);
        world.db.apply_chunk(&chunk).expect("applies");
    }
    world.db.apply_catch_up(BucketId(77), 6, &Default::default(), true).expect("applies");
    assert_eq!((world.db.reconciled().kept, world.db.reconciled().fetched), (6, 0));
    assert_eq!((visible(&world.db), world.db.is_complete(handle)), (before, true));
}

/// S6: sequences of a history that is lost say nothing of the new one.
#[test]
fn a_row_of_a_lost_history_does_not_hide_later_changes() {
    let mut world = loaded(6, 9);
    lose_history(&mut world);
    world.drain();
    world.check();
    assert!(world.db.reconciled().kept > 0, "a row of another history is as good as any");
    world.run(&Step::Remote(1, 5, 70));
    world.run(&Step::Reconnect(0, 0));
    // As a session that was opened while the change was under way: the bucket is behind the cut.
    world.drain();
    world.check();
}

/// S6: neither do copies that were being replaced when the history was lost. A write to one of their rows saw nothing of the
/// new history, so that what somebody else does there is concurrent to it.
#[test]
fn a_copy_of_a_lost_history_is_no_base_in_the_next_one() {
    let mut world = loaded(6, 9);
    world.run(&Step::Reconnect(1, 0));
    lose_history(&mut world);
    world.run(&Step::Write(5, 300));
    let written = offered(&mut world);
    let bases = written.iter().flat_map(|transaction| &transaction.operations).map(|o| match o {
        Operation::Insert { base, .. } | Operation::Update { base, .. } | Operation::Delete { base, .. } => *base,
    });
    assert_eq!(bases.collect::<Vec<_>>(), [0], "nothing of this history was seen there");
}

/// Online an entry is settled within moments: what is said of it then is a new transaction, and says so.
#[test]
fn what_has_settled_is_edited_and_withdrawn_by_a_new_transaction() {
    let (mut world, first) = acknowledged();
    world.run(&Step::Live(5));
    assert_eq!(world.db.outbox().expect("readable"), [], "settled");
    let mut zero = |bytes: &mut [u8]| bytes.fill(0);
    let change = |tx: &mut WriteTx<'_>| tx.update("counters", &key(1), &[("b", Value::Int(6))]);
    let edited = world.db.edit(first.rseq, NOW, &mut zero, change).expect("edits");
    assert!(!edited.value.in_place);
    let own = edited.rseq.expect("an entry");
    assert!(matches!(world.db.withdraw(own, NOW, &mut zero).expect("gone").value, Withdrawal::Withdrawn { .. }));
    let taken_back = world.db.withdraw(first.rseq, NOW, &mut zero).expect("taken back").value;
    assert_eq!(taken_back, Withdrawal::TakenBack(Undone { of: first.rseq, left: Vec::new() }));
    assert!(visible(&world.db).is_empty());
    let unknown = world.db.edit(99, NOW, &mut zero, |_| Ok(())).expect_err("it was never written");
    assert_eq!(unknown.code().as_str(), "LF-5025");
}
