//! Coming back: what leaves, what does not, and what the person is told.

use std::collections::BTreeMap;
use std::path::Path;

use landfall_core::{BucketId, ColumnType, Value};
use landfall_protocol::ServerMessage;
use landfall_protocol::server::{Opening, Resumption, Start, WireType};

use crate::engine::Input;
use crate::engine::device::{Device, NOON, entropy};
use crate::mirror::Mirror;
use crate::status::Review;

const SCHEMA: &str = "[app]\nname = 'journal'\nversion = 1\n[outbox]\nreview_after = '1h'\nreview_entries = 2\n\
                      collapse = '0ms'\n[tables.notes.columns]\nid = { type = 'integer' }\n\
                      [tables.calls]\noffline = 'deny'\n[tables.calls.columns]\nid = { type = 'integer' }\n\
                      [shapes.all]\ntable = 'notes'\n";
const HOUR: u64 = 3_600;

impl Device {
    fn at(path: &Path, seconds: u64) -> Self {
        Self::open(path, SCHEMA, seconds)
    }

    fn write(&mut self, table: &str) -> Result<u64, crate::db::DbError> {
        let id = Value::Int(1 + self.engine.db().last_rseq() as i64);
        let (now, table) = (self.now(), table.to_owned());
        let written = self.engine.write(now, &mut entropy, |tx| tx.insert(&table, &[("id", id)]));
        self.drain();
        Ok(written?.rseq.expect("an entry"))
    }

    fn replay(&mut self) {
        self.engine.replay(self.now(), &mut entropy).expect("writes");
        self.drain();
    }

    fn review(&self) -> Option<Review> {
        self.engine.status().review
    }

    /// It was connected at noon and has gone away, with so many entries.
    fn away(path: &Path, entries: u64) -> Self {
        let mut device = Self::at(path, 0);
        device.connect(Resumption::Fresh);
        device.disconnect();
        for _ in 0..entries {
            device.write("notes").expect("writes");
        }
        device
    }
}

#[test]
fn nothing_leaves_before_the_person_says_so_and_then_all_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notes.db");
    let mut device = Device::away(&path, 3);
    device.seconds = 2 * HOUR;
    device.connect(Resumption::Continue);
    let told =
        Review { entries: 3, conflicts: 0, away_ms: 2 * HOUR * 1_000, since_ms: NOON, complete: true, copied: true };
    assert_eq!((device.review(), &device.pushed()[..]), (Some(told), &[][..]));
    assert!(!device.engine.status().paused, "that is another thing");
    assert_eq!(device.engine.db().backups().expect("readable").len(), 1);

    // It is written and read as ever; what needs the server at once is told that it cannot be sent now.
    assert_eq!(device.write("notes").expect("writes"), 4);
    assert!(device.write("calls").is_err());
    let id = device.now();
    device.engine.set_paused(true, id, &mut entropy).expect("writes");
    device.engine.set_paused(false, id, &mut entropy).expect("writes");
    device.live(11);
    device.seconds += 30;
    device.input(Input::Tick);
    assert_eq!((device.review().map(|r| r.entries), &device.pushed()[..]), (Some(4), &[][..]));

    // Neither another session nor a restart forgets it, and nobody is asked twice.
    device.disconnect();
    device.connect(Resumption::Continue);
    drop(device);
    let mut device = Device::at(&path, 2 * HOUR + 100);
    assert_eq!(device.review().map(|r| r.entries), Some(4), "without a connection, too");
    device.connect(Resumption::Continue);
    assert_eq!((device.review().map(|r| r.away_ms), &device.pushed()[..]), (Some(2 * HOUR * 1_000), &[][..]));
    assert_eq!(device.engine.db().backups().expect("readable").len(), 1);
    device.replay();
    assert_eq!((device.review(), &device.pushed()[..]), (None, &[1, 2, 3, 4][..]));
    device.seconds += 30;
    device.disconnect();
    device.connect(Resumption::Continue);
    assert_eq!(device.review(), None);
}

/// What the person held back stays so when the database is lost, and the outbox comes from its mirror.
#[test]
fn a_recovered_database_sends_nothing_that_was_held_back_and_knows_whose_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::away(&dir.path().join("notes.db"), 3);
    device.seconds = 2 * HOUR;
    device.connect(Resumption::Continue);
    let held = device.review().expect("held back");
    device.engine.set_paused(true, device.now(), &mut entropy).expect("writes");
    device.drain();
    let told: Vec<u8> = device
        .mirrored
        .drain(..)
        .fold(Mirror::default(), |mut mirror, record| {
            mirror.append(record);
            mirror
        })
        .compact();
    let written_anew = device.engine.mirror().expect("readable").compact();
    for (file, name) in [(told, "told"), (written_anew, "anew")] {
        let recovered = Mirror::from_bytes(&file).recover("journal").expect("ours").expect("known");
        let mut again = Device::at(&dir.path().join(name), 2 * HOUR + 60);
        again.engine.adopt(&recovered, &[], again.now()).expect("adopts");
        again.drain();
        assert_eq!(again.engine.db().subject(), Some("ada"));
        let review = again.review().expect("held back still");
        assert_eq!((review.entries, review.away_ms, review.since_ms), (3, held.away_ms, held.since_ms), "{name}");
        again.connect(Resumption::Fresh);
        assert_eq!((again.pushed(), again.engine.status().paused), (vec![], true));
        again.replay();
        assert!(again.pushed().is_empty(), "the person has paused, too");
        again.engine.set_paused(false, again.now(), &mut entropy).expect("writes");
        again.drain();
        assert_eq!(again.pushed().len(), 3);
    }
}

/// One that was not held back when its database was lost knows since when it was away.
#[test]
fn a_recovered_database_knows_when_it_was_last_online() {
    let dir = tempfile::tempdir().expect("a directory");
    let device = Device::away(&dir.path().join("notes.db"), 3);
    let file = device.engine.mirror().expect("readable").compact();
    let recovered = Mirror::from_bytes(&file).recover("journal").expect("ours").expect("known");
    let mut again = Device::at(&dir.path().join("again"), 2 * HOUR);
    again.engine.adopt(&recovered, &[], again.now()).expect("adopts");
    again.drain();
    again.connect(Resumption::Fresh);
    assert_eq!((again.review().map(|review| review.away_ms / 3_600_000), again.pushed()), (Some(2), vec![]));
    let mut soon = Device::at(&dir.path().join("soon"), HOUR / 2);
    soon.engine.adopt(&recovered, &[], soon.now()).expect("adopts");
    soon.drain();
    soon.connect(Resumption::Fresh);
    assert_eq!((soon.review(), soon.pushed().len()), (None, 3));
}

#[test]
fn a_pause_of_the_person_outlasts_the_replay() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::away(&dir.path().join("notes.db"), 2);
    let now = device.now();
    device.engine.set_paused(true, now, &mut entropy).expect("writes");
    device.seconds = 2 * HOUR;
    device.connect(Resumption::Continue);
    device.replay();
    assert_eq!((device.review(), device.engine.status().paused, device.pushed().len()), (None, true, 0));
    let now = device.now();
    device.engine.set_paused(false, now, &mut entropy).expect("writes");
    device.drain();
    assert_eq!(device.pushed(), [1, 2]);
}

#[test]
fn when_everything_is_taken_back_nothing_is_held_any_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::away(&dir.path().join("notes.db"), 2);
    device.seconds = 2 * HOUR;
    device.connect(Resumption::Continue);
    for rseq in [1, 2] {
        let now = device.now();
        device.engine.withdraw(rseq, now, &mut entropy).expect("withdraws");
    }
    device.drain();
    assert_eq!(device.review(), None);
    device.write("notes").expect("writes");
    assert_eq!(device.pushed(), [3]);
}

#[test]
fn the_absence_is_measured_by_the_servers_clock() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::away(&dir.path().join("notes.db"), 2);
    device.seconds = HOUR / 2;
    device.off_ms = 400 * 24 * HOUR * 1_000;
    device.connect(Resumption::Continue);
    assert_eq!((device.review(), device.pushed().len()), (None, 2), "the device's clock was set");
}

#[test]
fn an_open_session_is_no_absence_and_what_was_asleep_with_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::at(&dir.path().join("notes.db"), 0);
    device.connect(Resumption::Fresh);
    for _ in 0..200 {
        device.seconds += 30;
        let clock_ms = NOON + 1_000 * device.seconds;
        device.hear(ServerMessage::Pong { clock_ms, token_expires_in_ms: None });
    }
    device.seconds += 20;
    device.live(11);
    device.disconnect();
    for _ in 0..2 {
        device.write("notes").expect("writes");
    }
    device.seconds += HOUR;
    device.connect(Resumption::Continue);
    assert_eq!((device.review(), device.pushed().len()), (None, 2), "not longer than an hour after the last word");

    // The machine sleeps; what was in its buffers is read when it wakes.
    device.pushes.clear();
    device.seconds += 2 * HOUR;
    device.live(11);
    device.input(Input::Disconnected { connection: device.connection, reason: "reset".into(), retry_after_ms: None });
    device.disconnect();
    device.connect(Resumption::Continue);
    assert_eq!(device.review().map(|r| r.away_ms / 1_000), Some(2 * HOUR));
    assert!(device.pushes.is_empty());
}

#[test]
fn it_says_whether_all_that_others_did_is_here() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut device = Device::at(&dir.path().join("notes.db"), 0);
    let now = device.now();
    device.engine.open_shape("all", BTreeMap::new(), now, &mut entropy).expect("opens");
    device.connect(Resumption::Fresh);
    let opening = |start| {
        let columns = vec![("id".to_owned(), WireType(ColumnType::Integer))];
        Opening { bucket: BucketId(1), table: "notes".into(), columns, start }
    };
    device.hear(ServerMessage::Opened { id: 1, buckets: vec![opening(Start::Live)] });
    device.disconnect();
    for _ in 0..2 {
        device.write("notes").expect("writes");
    }
    (device.seconds, device.head) = (2 * HOUR, 11);
    device.connect(Resumption::Continue);
    assert_eq!(device.review().map(|r| r.complete), Some(false), "something is outstanding");
    device.hear(ServerMessage::Opened { id: 2, buckets: vec![opening(Start::Live)] });
    assert_eq!(device.review().map(|r| r.complete), Some(false));
    device.live(11);
    assert_eq!(device.review().map(|r| r.complete), Some(true));
}
