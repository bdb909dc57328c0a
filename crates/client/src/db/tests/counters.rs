//! `counter` on the device: what is sent of a write, what is shown over what others did, and how often each increment
//! counts.

use std::collections::BTreeMap;

use landfall_core::error::codes as core;
use landfall_core::rules::MergeRule;
use landfall_core::{CellWrite, Change};
use landfall_protocol::server::{AcceptedEntry, Decision, Outcome, Resumption, Start};
use proptest::prelude::*;

use super::world::*;
use super::*;

/// A device that holds all counters, whose `a` counts, from 0 to 100.
struct World {
    db: Database,
    server: Server,
    cut: u64,
}

impl World {
    fn new() -> Self {
        let mut schema = schema();
        (schema.outbox.collapse_ms, schema.outbox.review_entries) = (0, 1);
        let counters = schema.tables.iter_mut().find(|t| t.name == "counters").expect("the table");
        let a = &mut counters.columns[1];
        (a.merge, a.required) = (MergeRule::named("counter").expect("a rule"), true);
        (a.default, a.min, a.max) =
            (Some(landfall_core::schema::Default::Value(Value::Int(0))), Some(Value::Int(0)), Some(Value::Int(100)));
        let db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
        let mut world = Self { db, server: Server::new(), cut: 0 };
        world.db.welcome(&welcome(&world.server, 0, Resumption::Fresh, 1), NOW).expect("welcome");
        let handle = world.db.subscribe("counters", BTreeMap::new()).expect("subscribes");
        world.db.opened(handle, &[ALL.opening(Start::Live)]).expect("opens");
        world.server.remote(1, Some((Some(10), None)));
        world.catch_up();
        world
    }

    fn catch_up(&mut self) {
        let (from, to) = (self.cut, self.server.head());
        let changes = live(&self.server, from, to, &[ALL]);
        self.db.apply_live(to, to, stamp(to), &changes, NOW).expect("live");
        self.cut = to;
    }

    /// Somebody, here or elsewhere, adds to the server's count.
    fn counted(&mut self, by: i64) -> u64 {
        let now = self.server.at(self.server.head())[&1].0.unwrap_or(0);
        self.server.remote(1, Some((Some(now + by), None)));
        self.server.head()
    }

    fn add(&mut self, by: i64) -> u64 {
        let sql = format!("UPDATE counters SET a = a + {by} WHERE id = 1");
        write(&mut self.db, &[&sql]).expect("writes").rseq.expect("an entry")
    }

    fn accepted(&mut self, rseq: u64, seq: u64) {
        let decision = Decision { rseq, outcome: Outcome::Accepted { seq } };
        self.db.mark_sent(&[rseq]).expect("writes");
        self.db.decide(&[decision], NOW).expect("writes");
    }

    fn shown(&self) -> Value {
        rows(&self.db, "SELECT a FROM counters WHERE id = 1").remove(0).remove(0)
    }

    fn sent(&self, rseq: u64) -> Vec<CellWrite> {
        let entry = self.db.entry(rseq).expect("readable").expect("an entry");
        entry.transaction.operations.iter().flat_map(|o| o.cells().to_vec()).collect()
    }
}

fn added(by: i64) -> Vec<CellWrite> {
    vec![CellWrite { change: Some(Change::Add), base: None, ..CellWrite::new("a", Value::Int(by)) }]
}

fn without_base(mut cells: Vec<CellWrite>) -> Vec<CellWrite> {
    cells.iter_mut().for_each(|cell| cell.base = None);
    cells
}

#[test]
fn what_travels_is_what_was_added_however_it_was_written() {
    let mut world = World::new();
    let by_sql = world.add(3);
    let set = write(&mut world.db, &["UPDATE counters SET a = 20 WHERE id = 1"]).expect("writes").rseq.unwrap();
    let typed = world
        .db
        .write(NOW, &mut |b| b.fill(3), |tx| tx.add("counters", &key(1), "a", &Value::Int(-5)))
        .expect("writes");
    assert!(typed.value);
    for (rseq, by) in [(by_sql, 3), (set, 7), (typed.rseq.unwrap(), -5)] {
        assert_eq!(without_base(world.sent(rseq)), added(by));
    }
    assert_eq!(world.shown(), Value::Int(15));
    let made = write(&mut world.db, &["INSERT INTO counters (id, b) VALUES (2, 1)"]).expect("writes").rseq.unwrap();
    assert!(world.sent(made).contains(&added(0)[0]), "a new one begins at 0");
}

#[test]
fn what_others_add_and_what_waits_here_are_shown_together() {
    let mut world = World::new();
    world.add(1);
    world.counted(5);
    world.catch_up();
    world.add(2);
    assert_eq!(world.shown(), Value::Int(18));
}

#[test]
fn an_increment_that_the_server_has_counted_is_not_shown_again_while_it_waits_to_settle() {
    let mut world = World::new();
    let first = world.add(1);
    let second = world.add(10);
    let seq = world.counted(1);
    world.accepted(first, seq);
    assert_eq!(world.shown(), Value::Int(21), "accepted, and what it made of the row is not here yet");
    world.catch_up();
    assert_eq!(world.shown(), Value::Int(21), "here, beside what waits");
    // Another bucket that still loads keeps it from settling.
    let other = world.db.subscribe("big_a", BTreeMap::new()).expect("subscribes");
    let third = world.add(4);
    let seq = world.counted(10);
    world.accepted(second, seq);
    world.catch_up();
    assert_eq!(world.db.counts().acked, 1, "it cannot settle while a shape has no answer");
    assert_eq!(world.shown(), Value::Int(25));
    world.db.opened(other, &[BIG_A.opening(Start::Live)]).expect("opens");
    let seq = world.counted(4);
    world.accepted(third, seq);
    world.catch_up();
    assert_eq!((world.shown(), world.db.counts().acked), (Value::Int(25), 0));
}

#[test]
fn a_new_session_says_what_was_accepted_over_the_last_one() {
    let mut world = World::new();
    let (sent, other) = (world.add(1), world.add(2));
    world.db.mark_sent(&[sent, other]).expect("writes");
    let seq = world.counted(1);
    assert_eq!(world.db.unheard().expect("readable"), [(sent, other)]);
    let hash = world.db.entry(sent).expect("readable").expect("an entry").transaction.content_hash();
    let known = |rseq| AcceptedEntry { rseq, seq, hash };
    // Under the number of the second one a copy of this database has sent something else.
    let here = world.db.those_here(&[known(sent), known(other), known(99)]).expect("readable");
    assert_eq!(here, [Decision { rseq: sent, outcome: Outcome::Accepted { seq } }]);
    world.db.decide(&here, NOW).expect("writes");
    world.catch_up();
    assert_eq!(world.shown(), Value::Int(13));
}

#[test]
fn a_count_stays_within_its_column_and_what_can_be_stored() {
    let mut world = World::new();
    for (sql, code) in [
        ("UPDATE counters SET a = a - 11 WHERE id = 1", core::OUT_OF_RANGE),
        ("UPDATE counters SET a = a + 91 WHERE id = 1", core::OUT_OF_RANGE),
        ("UPDATE counters SET a = NULL WHERE id = 1", core::REQUIRED),
    ] {
        assert_eq!(write(&mut world.db, &[sql]).expect_err(sql).code(), code, "{sql}");
    }
    let mut add = |column: &str, by: Value| {
        let done = world.db.write(NOW, &mut |b| b.fill(3), |tx| tx.add("counters", &key(1), column, &by));
        done.map(|written| written.value).map_err(|error| error.code())
    };
    assert_eq!(add("a", Value::Int(i64::MAX)), Err(core::OUT_OF_RANGE));
    assert_eq!(add("a", Value::Text("1".into())), Err(core::OUT_OF_RANGE));
    assert_eq!(add("b", Value::Int(1)), Err(core::WRONG_TYPE));
    assert_eq!(add("a", Value::Int(90)), Ok(true));
    assert_eq!(world.shown(), Value::Int(100));
}

#[test]
fn an_undo_takes_off_what_was_added_whatever_others_added_since() {
    let mut world = World::new();
    world.add(7);
    world.counted(5);
    world.catch_up();
    let undone = world.db.undo_last(NOW, &mut |b| b.fill(4)).expect("undoes").expect("there is something");
    assert_eq!((undone.value.left, world.shown()), (Vec::new(), Value::Int(15)));
    world.db.redo_last(NOW, &mut |b| b.fill(5)).expect("does").expect("there is something");
    assert_eq!(world.shown(), Value::Int(22));
}

#[test]
fn a_dead_letter_that_is_tried_again_adds_to_what_is_there_then() {
    let mut world = World::new();
    let rseq = world.add(7);
    world.db.mark_sent(&[rseq]).expect("writes");
    let problem = Problem::new(core::NOT_ALLOWED, "no");
    let refused = Decision { rseq, outcome: Outcome::Refused { problem, because_of: None } };
    world.db.decide(&[refused], NOW).expect("writes");
    assert_eq!(world.shown(), Value::Int(10));
    world.counted(30);
    world.catch_up();
    let again = world.db.write(NOW, &mut |b| b.fill(6), |tx| tx.retry(rseq)).expect("writes");
    assert_eq!(world.shown(), Value::Int(47));
    assert_eq!(without_base(world.sent(again.rseq.unwrap())), added(7));
}

#[test]
fn a_review_does_not_tell_of_increments_beside_ones_own() {
    let mut world = World::new();
    world.add(1);
    let mut back = welcome(&world.server, world.cut, Resumption::Continue, 1);
    back.clock_ms += 400 * 24 * 3_600_000;
    world.db.welcome(&back, NOW).expect("welcome");
    world.db.opened(1, &[ALL.opening(Start::Live)]).expect("opens");
    world.counted(9);
    world.catch_up();
    let reviewed = world.db.review().expect("readable");
    assert_eq!(reviewed.iter().map(|one| one.changed.len()).collect::<Vec<_>>(), [0]);
}

/// A database in memory keeps whole rows beside its entries: they have what waits, which is not added once more.
#[test]
fn what_waits_counts_once_in_a_row_that_is_shown_from_its_image() {
    let mut world = World::new();
    let (first, second) = (world.add(2), world.add(3));
    let made = write(&mut world.db, &["INSERT INTO counters (id, a) VALUES (2, 7)"]).expect("writes").rseq;
    let more = write(&mut world.db, &["UPDATE counters SET a = a + 1 WHERE id = 2"]).expect("writes").rseq;
    let all = [first, second, made.expect("an entry"), more.expect("an entry")];
    let images: Vec<_> = all.iter().flat_map(|rseq| world.db.images_of(*rseq).expect("readable")).collect();
    // The server has taken the first one: it is no longer in the mirror.
    let entry = |rseq: &u64| world.db.entry(*rseq).expect("readable").expect("there").transaction;
    let waiting = all[1..].iter().map(entry).collect();
    let schema = world.db.schema().clone();
    let mut again = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(8)).expect("opens");
    again.recover(&recovered(100, waiting), &images, NOW).expect("recovers");
    let expected = [[1, 15], [2, 8]].map(|row| row.map(Value::Int).to_vec());
    assert_eq!(rows(&again, "SELECT id, a FROM counters ORDER BY id"), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order: what is shown is what the server has counted as far as it is here, and what is not
    /// among that.
    #[test]
    fn every_increment_is_shown_once(events in prop::collection::vec((0u8..4, 1i64..4), 1..30)) {
        let mut world = World::new();
        // Own increments: how much, and under which sequence the server has counted it.
        let mut own: Vec<(u64, i64, Option<u64>)> = Vec::new();
        for (what, by) in events {
            match what {
                0 if own.len() < 8 => {
                    let rseq = world.add(by);
                    own.push((rseq, by, None));
                }
                1 => _ = world.counted(by),
                2 => {
                    if let Some(at) = own.iter().position(|(_, _, seq)| seq.is_none()) {
                        let seq = world.counted(own[at].1);
                        own[at].2 = Some(seq);
                        world.accepted(own[at].0, seq);
                    }
                }
                _ => world.catch_up(),
            }
            let counted = world.server.at(world.cut)[&1].0.unwrap_or(0);
            let waits = own.iter().filter(|(_, _, seq)| seq.is_none_or(|seq| seq > world.cut));
            let expected = counted + waits.map(|(_, by, _)| by).sum::<i64>();
            prop_assert_eq!(world.shown(), Value::Int(expected));
        }
    }
}
