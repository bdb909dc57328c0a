//! What waited through a long absence: when it is held back, and what others changed of it meanwhile.

use std::collections::BTreeMap;

use landfall_core::schema::OutboxLimits;
use landfall_protocol::server::{Outcome, Resumption, Start};
use proptest::prelude::*;

use super::world::*;
use super::*;
use crate::db::Changed;

const DAY: u64 = 24 * 3_600 * 1_000;

fn schema_with(outbox: OutboxLimits) -> Schema {
    Schema { outbox: OutboxLimits { collapse_ms: 0, ..outbox }, ..schema() }
}

/// A device that holds all counters, as of five rows that somebody wrote: (10, 100), (20, 200) and so on.
struct World {
    db: Database,
    server: Server,
    cut: u64,
}

impl World {
    fn new(outbox: OutboxLimits) -> Self {
        let options = Options { durability: crate::db::Durability::Normal, ..Options::default() };
        let db = Database::open(&Location::Memory, schema_with(outbox), options, NOW, replica(1)).expect("opens");
        let mut world = Self { db, server: Server::new(), cut: 0 };
        world.come(0);
        let handle = world.db.subscribe("counters", BTreeMap::new()).expect("subscribes");
        world.db.opened(handle, &[ALL.opening(Start::Live)]).expect("opens");
        for id in 1..=5 {
            world.server.remote(id, Some((Some(10 * id), Some(100 * id))));
        }
        world.catch_up();
        world
    }

    fn few() -> Self {
        Self::new(OutboxLimits { review_entries: 1, ..OutboxLimits::default() })
    }

    /// A session begins so many days after the first one.
    fn come(&mut self, days: u64) {
        let resumption = if self.db.cursor().is_some() { Resumption::Continue } else { Resumption::Fresh };
        let mut welcome = welcome(&self.server, self.cut, resumption, 1);
        welcome.clock_ms += days * DAY;
        self.db.welcome(&welcome, NOW + days * DAY).expect("welcome");
        if resumption == Resumption::Continue {
            self.db.opened(1, &[ALL.opening(Start::Live)]).expect("opens");
        }
    }

    fn catch_up(&mut self) {
        let (from, to) = (self.cut, self.server.head());
        let changes = live(&self.server, from, to, &[ALL]);
        self.db.apply_live(to, to, stamp(to), &changes, NOW).expect("live");
        self.cut = to;
    }

    /// What others have changed: the entry, the column, and what it was, is and is to be.
    fn changed(&mut self) -> Vec<(u64, Option<String>, [Option<i64>; 3])> {
        let int = |value: &Option<Value>| match value {
            Some(Value::Int(v)) => Some(*v),
            Some(Value::Null) | None => None,
            Some(other) => panic!("{other:?}"),
        };
        let reviewed = self.db.review().expect("readable");
        let concerned = reviewed.iter().filter(|r| !r.changed.is_empty()).count() as u64;
        assert_eq!(self.db.concerned().expect("readable"), concerned, "the count is that of the list");
        let one = |rseq: u64, c: Changed| (rseq, c.column, [&c.was, &c.now, &c.own].map(int));
        reviewed
            .into_iter()
            .flat_map(|r| r.changed.into_iter().map(move |c| (r.entry.rseq, c)))
            .map(|(rseq, changed)| one(rseq, changed))
            .collect()
    }
}

fn set(db: &mut Database, sql: &str) -> u64 {
    write(db, &[sql]).expect("writes").rseq.expect("an entry")
}

#[test]
fn what_waits_is_held_back_after_a_long_absence_and_a_copy_of_it_is_kept() {
    let mut world = World::few();
    let rseq = set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    world.come(30);
    assert_eq!(world.db.held(), None, "not longer than thirty days");
    world.come(60);
    assert_eq!(world.db.held(), None, "nor since that session");
    world.come(91);
    let held = world.db.held().expect("held back");
    assert_eq!((held.since_ms, held.away_ms), (NOW + 60 * DAY, 31 * DAY));
    let backups = world.db.backups().expect("readable");
    assert_eq!(backups.len(), 1);
    assert!(backups[0].why.contains("long absence"), "{}", backups[0].why);
    assert!(backups[0].file.contains("counters (1)") || backups[0].file.contains("\"rseq\":1"));
    let reviewed = world.db.review().expect("readable");
    assert_eq!(reviewed.iter().map(|r| (r.entry.rseq, r.changed.len())).collect::<Vec<_>>(), [(rseq, 0)]);

    // Nobody is asked twice, and what was said once holds until the next absence.
    world.come(95);
    assert_eq!(world.db.held(), Some(held));
    assert_eq!(world.db.backups().expect("readable").len(), 1);
    world.db.let_go_of_held().expect("writes");
    assert_eq!((world.db.held(), world.db.review().expect("readable").len()), (None, 0));
    world.come(100);
    assert_eq!(world.db.held(), None);
    world.come(131);
    assert!(world.db.held().is_some(), "another absence");
}

#[test]
fn a_few_entries_are_sent_without_a_question_and_so_are_all_where_the_schema_says_so() {
    let mut world = World::new(OutboxLimits { review_entries: 2, ..OutboxLimits::default() });
    set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    world.come(400);
    assert_eq!(world.db.held(), None);
    set(&mut world.db, "UPDATE counters SET a = 21 WHERE id = 2");
    world.come(431);
    assert!(world.db.held().is_some());

    let mut world = World::new(OutboxLimits { review_entries: 1, review_after_ms: 0, ..OutboxLimits::default() });
    set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    world.come(4_000);
    assert_eq!(world.db.held(), None);

    // A device that never had a session has nothing of others that could have changed.
    let mut db = open(&Location::Memory);
    for id in 0..200 {
        set(&mut db, &format!("INSERT INTO counters (id) VALUES ({id})"));
    }
    db.welcome(&welcome(&Server::new(), 0, Resumption::Fresh, 1), NOW + 400 * DAY).expect("welcome");
    assert_eq!(db.held(), None);
}

#[test]
fn a_database_of_an_older_build_goes_by_when_it_was_last_in_step() {
    let mut world = World::few();
    set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    world.db.keep_synced(NOW, 0).expect("writes");
    world.db.conn.execute("DELETE FROM _landfall_meta WHERE name = 'seen_ms'", []).expect("writes");
    world.db.memory.meta.seen_ms = None;
    world.come(31);
    assert_eq!(world.db.held().map(|held| held.away_ms), Some(31 * DAY));
}

#[test]
fn it_says_what_others_changed_of_what_waits() {
    let mut world = World::few();
    let title = set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    set(&mut world.db, "UPDATE counters SET a = 21 WHERE id = 2");
    let gone = set(&mut world.db, "UPDATE counters SET a = 31 WHERE id = 3");
    let deletes = set(&mut world.db, "DELETE FROM counters WHERE id = 4");
    set(&mut world.db, "DELETE FROM counters WHERE id = 5");
    let makes = set(&mut world.db, "INSERT INTO counters (id, a) VALUES (6, 61)");
    set(&mut world.db, "UPDATE counters SET b = 66 WHERE id = 6");
    world.come(31);
    assert_eq!(world.changed(), []);
    world.server.remote(1, Some((Some(12), Some(100))));
    world.server.remote(2, Some((Some(20), Some(222))));
    world.server.remote(3, None);
    world.server.remote(4, Some((Some(40), Some(444))));
    world.server.remote(5, None);
    world.server.remote(6, Some((Some(62), None)));
    world.catch_up();
    let a = || Some("a".to_owned());
    let expected = [
        (title, a(), [Some(10), Some(12), Some(11)]),
        // Another column of the second row: both are kept, and there is nothing to tell.
        (gone, None, [None, None, None]),
        (deletes, Some("b".to_owned()), [Some(400), Some(444), None]),
        (makes, a(), [None, Some(62), Some(61)]),
    ];
    assert_eq!(world.changed(), expected);

    // Whoever has seen it and writes again decides; what is taken back is not asked about.
    world
        .db
        .edit(title, NOW, &mut |b| b.fill(7), |tx| tx.execute("UPDATE counters SET a = 13 WHERE id = 1", &[]))
        .expect("edits");
    assert_eq!(world.changed(), expected[1..]);
    world.db.withdraw(deletes, NOW, &mut |b| b.fill(7)).expect("withdraws");
    world.db.withdraw(gone, NOW, &mut |b| b.fill(7)).expect("withdraws");
    assert_eq!(world.changed(), expected[3..]);
    world.server.remote(6, Some((Some(61), None)));
    world.catch_up();
    assert_eq!(world.changed(), [], "the other one came to the same");
}

#[test]
fn what_the_server_took_and_could_not_say_is_not_told_as_the_work_of_others() {
    let mut world = World::few();
    set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    set(&mut world.db, "UPDATE counters SET a = 12 WHERE id = 1");
    set(&mut world.db, "INSERT INTO counters (id, a) VALUES (6, 61)");
    set(&mut world.db, "DELETE FROM counters WHERE id = 6");
    world.come(31);
    // Of each the first was accepted.
    world.server.remote(1, Some((Some(11), Some(100))));
    world.server.remote(6, Some((Some(61), None)));
    world.catch_up();
    assert_eq!(world.changed(), []);
}

#[test]
fn of_several_entries_on_a_cell_the_first_says_what_was_there() {
    let mut world = World::few();
    let first = set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    let second = set(&mut world.db, "UPDATE counters SET a = 12 WHERE id = 1");
    world.come(31);
    world.server.remote(1, Some((Some(99), Some(100))));
    world.catch_up();
    let later = set(&mut world.db, "UPDATE counters SET a = 13 WHERE id = 1");
    let a = Some("a".to_owned());
    let told = |rseq, own| (rseq, a.clone(), [Some(10), Some(99), Some(own)]);
    // What it is written over is one's own: the other's was never shown.
    assert_eq!(world.changed(), [told(first, 11), told(second, 12), told(later, 13)]);
}

#[test]
fn what_the_server_took_without_the_device_knowing_is_no_change_of_others() {
    let mut world = World::few();
    let sent = set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    let known = set(&mut world.db, "UPDATE counters SET b = 22 WHERE id = 2");
    world.db.mark_sent(&[sent, known]).expect("writes");
    let taken = |world: &mut World, rseq| {
        let entry = world.db.entry(rseq).expect("readable").expect("there");
        world.server.decide(&entry.transaction, false)
    };
    taken(&mut world, sent);
    let Outcome::Accepted { seq } = taken(&mut world, known) else { panic!("accepted") };
    world.db.decide(&[decision(known, Outcome::Accepted { seq })], NOW).expect("decides");
    world.come(31);
    assert!(
        world.db.held().is_some(),
        "what was handed to the network is held back too: nobody knows what became of it"
    );
    world.server.remote(2, Some((Some(20), Some(223))));
    world.catch_up();
    assert_eq!(world.changed(), [], "one came as it was sent, of the other one the answer is known");
}

#[test]
fn the_copy_from_before_is_kept_however_much_is_thrown_away() {
    let mut world = World::few();
    set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
    world.come(31);
    for n in 0..8 {
        let rseq = set(&mut world.db, &format!("INSERT INTO counters (id) VALUES ({})", 50 + n));
        let problem = Problem::new(landfall_core::error::codes::NOT_ALLOWED, "no");
        let refused = Outcome::Refused { problem, because_of: None };
        world.db.decide(&[decision(rseq, refused)], NOW).expect("decides");
        world.db.discard(rseq, NOW).expect("discards");
    }
    let backups = world.db.backups().expect("readable");
    let whys: Vec<bool> = backups.iter().map(|b| b.why.contains("long absence")).collect();
    assert_eq!(whys, [false, false, false, false, false, true]);
}

#[derive(Clone, Debug)]
enum Step {
    /// The app sets a column of a row, made where it is not there; or deletes the row.
    Write(i64, Option<(bool, i64)>),
    /// Somebody else does.
    Remote(i64, Option<(bool, i64)>),
    CatchUp,
    /// One of the entries is taken back, or set to something else.
    Withdraw(prop::sample::Index),
    Edit(prop::sample::Index, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let change = || (1i64..7, prop::option::weighted(0.8, (any::<bool>(), 0i64..4)));
    prop_oneof![
        4 => change().prop_map(|(id, to)| Step::Write(id, to)),
        4 => change().prop_map(|(id, to)| Step::Remote(id, to)),
        3 => Just(Step::CatchUp),
        1 => any::<prop::sample::Index>().prop_map(Step::Withdraw),
        1 => (any::<prop::sample::Index>(), 0i64..4).prop_map(|(at, to)| Step::Edit(at, to)),
    ]
}

impl World {
    fn run(&mut self, step: &Step) {
        let random = &mut |bytes: &mut [u8]| bytes.fill(3);
        let undecided = self.db.undecided().expect("readable");
        let one = |at: &prop::sample::Index| (!undecided.is_empty()).then(|| undecided[at.index(undecided.len())]);
        match step {
            Step::Write(id, None) => {
                self.db.write(NOW, random, |tx| tx.delete("counters", &key(*id))).expect("writes");
            }
            Step::Write(id, Some((first, to))) => {
                let column = if *first { "a" } else { "b" };
                let cells = [("id", Value::Int(*id)), (column, Value::Int(*to))];
                self.db.write(NOW, random, |tx| tx.upsert("counters", &cells)).expect("writes");
            }
            Step::Remote(id, None) => self.server.remote(*id, None),
            Step::Remote(id, Some((first, to))) => {
                let (a, b) = self.server.at(self.server.head()).get(id).copied().unwrap_or_default();
                self.server.remote(*id, Some(if *first { (Some(*to), b) } else { (a, Some(*to)) }));
            }
            Step::CatchUp => self.catch_up(),
            Step::Withdraw(at) => {
                if let Some(rseq) = one(at) {
                    self.db.withdraw(rseq, NOW, random).expect("withdraws");
                }
            }
            Step::Edit(at, to) => {
                if let Some(rseq) = one(at) {
                    let sql = format!("UPDATE counters SET a = {to} WHERE id = (SELECT min(id) FROM counters)");
                    self.db.edit(rseq, NOW, random, |tx| tx.execute(&sql, &[])).expect("edits");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is kept up to date row by row is what a look at all of it finds.
    #[test]
    fn what_is_counted_is_what_is_there(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 1..30),
    ) {
        let mut world = World::few();
        set(&mut world.db, "UPDATE counters SET a = 11 WHERE id = 1");
        before.iter().for_each(|step| world.run(step));
        if world.db.counts().undecided() == 0 {
            return Ok(());
        }
        world.come(31);
        for step in &after {
            world.run(step);
            let told = world.changed();
            world.db.watch_held();
            prop_assert_eq!(world.changed(), told, "after {:?}", step);
        }
    }
}
