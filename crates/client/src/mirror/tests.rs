//! A mirror gives back what is undecided, whatever happened to its bytes.

use landfall_core::error::codes;
use landfall_core::key::RowKey;
use landfall_core::{Operation, Problem, Stamp, Value};
use proptest::prelude::*;

use super::*;
use crate::db::Failure;

const REPLICA: ReplicaId = ReplicaId([0xff; 16]);

fn transaction(rseq: u64) -> Transaction {
    let key = RowKey::single(Value::Int(i64::try_from(rseq).expect("small")));
    Transaction {
        replica: REPLICA,
        rseq,
        stamp: Stamp { wall_ms: 1, counter: 0, replica: REPLICA },
        operations: vec![Operation::Delete { table: "notes".into(), key, base: 0 }],
        after: Vec::new(),
        requires: Vec::new(),
        origin: None,
        action: None,
        expires_ms: None,
    }
}

fn appended(rseq: u64) -> MirrorRecord {
    MirrorRecord::Appended {
        replica: REPLICA,
        rseq,
        body: transaction(rseq).to_bytes(),
        letter: None,
        priority: None,
        releases: Vec::new(),
    }
}

fn letter(rseq: u64) -> Letter {
    let problem = Problem::new(codes::UNIQUE, format!("no {rseq}"));
    let key = RowKey::single(Value::Int(7));
    let images = vec![("notes".to_owned(), key, [("title".to_owned(), Value::Text("x".into()))].into())];
    Letter { failures: vec![Failure::new(rseq, problem)], images }
}

fn dead(rseq: u64) -> MirrorRecord {
    MirrorRecord::Appended {
        replica: REPLICA,
        rseq,
        body: transaction(rseq).to_bytes(),
        letter: Some(letter(rseq)),
        priority: None,
        releases: Vec::new(),
    }
}

fn decided(rseq: u64) -> MirrorRecord {
    MirrorRecord::Decided { replica: REPLICA, rseq }
}

fn header() -> MirrorRecord {
    MirrorRecord::Header { format: FORMAT, app: "journal".into(), replica: REPLICA, last_rseq: 0, situation: None }
}

fn undecided(mirror: &Mirror) -> Vec<u64> {
    undecided_and_dead(mirror).0
}

fn undecided_and_dead(mirror: &Mirror) -> (Vec<u64>, Vec<u64>) {
    let recovered = mirror.recover("journal").expect("our own mirror").expect("a replica is known");
    assert!(recovered.transactions.iter().all(|t| *t == transaction(t.rseq)));
    assert!(recovered.dead.iter().all(|(t, of)| *t == transaction(t.rseq) && *of == letter(t.rseq)));
    let rseqs = |list: Vec<&Transaction>| list.iter().map(|t| t.rseq).collect();
    (rseqs(recovered.transactions.iter().collect()), rseqs(recovered.dead.iter().map(|(t, _)| t).collect()))
}

/// Records of a life: each rseq is appended once, and perhaps decided or refused later; what was refused may be thrown
/// away.
fn life() -> impl Strategy<Value = Vec<MirrorRecord>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..30).prop_map(|picks| {
        let (mut out, mut open) = (vec![header()], Vec::new());
        for (rseq, pick) in (1u64..).zip(picks) {
            out.push(appended(rseq));
            open.push(rseq);
            match pick.index(4) {
                0 => out.push(decided(open.remove(pick.index(open.len())))),
                1 => out.push(dead(open[pick.index(open.len())])),
                _ => {}
            }
        }
        out
    })
}

fn frames(records: &[MirrorRecord]) -> Vec<Vec<u8>> {
    records.iter().map(MirrorRecord::to_frame).collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read(records in life()) {
        prop_assert_eq!(read(&frames(&records).concat()), (records, 0));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(prop_oneof![Just(0xffu8), 0u8..4, any::<u8>()], 0..400)) {
        let mirror = Mirror::from_bytes(&bytes);
        prop_assert!(mirror.recover("journal").is_ok() || mirror.app.is_some());
    }

    #[test]
    fn a_torn_tail_loses_only_the_torn_record(records in life(), cut: prop::sample::Index) {
        let frames = frames(&records);
        let bytes = frames.concat();
        let cut = cut.index(bytes.len() + 1);
        let mut whole = 0;
        let intact = frames.iter().take_while(|f| { whole += f.len(); whole <= cut }).count();
        prop_assert_eq!(read(&bytes[..cut]).0, &records[..intact]);
    }

    #[test]
    fn flipped_bits_lose_only_the_records_that_they_hit(
        records in life(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6),
    ) {
        let frames = frames(&records);
        let mut bytes = frames.concat();
        let mut hit = std::collections::BTreeSet::new();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let mut end = 0;
            hit.insert(frames.iter().take_while(|f| { end += f.len(); end <= place }).count());
        }
        let mut expected = records.iter().enumerate().filter(|(i, _)| !hit.contains(i)).map(|(_, r)| r).peekable();
        let (found, _) = read(&bytes);
        // Two flips may undo each other, so a hit record may be there; an unhit one must be, and nothing foreign.
        for record in &found {
            prop_assert!(records.contains(record));
            expected.next_if(|e| *e == record);
        }
        prop_assert_eq!(expected.next(), None);
    }

    #[test]
    fn doubled_and_reordered_records_change_nothing(
        records in life(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let expected = undecided_and_dead(&Mirror::from_bytes(&frames(&records).concat()));
        let mut shuffled = records.clone();
        for index in again {
            let record = index.get(&records).clone();
            shuffled.insert(index.index(shuffled.len() + 1), record);
        }
        prop_assert_eq!(undecided_and_dead(&Mirror::from_bytes(&frames(&shuffled).concat())), expected);
    }

    #[test]
    fn dead_stays_dead_and_undecided_stays_undecided(records in life(), compacts: bool) {
        let mut expected = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for record in &records {
            match record {
                MirrorRecord::Header { .. } => {}
                MirrorRecord::Appended { rseq, letter: None, .. } => drop(expected.0.insert(*rseq)),
                MirrorRecord::Appended { rseq, letter: Some(_), .. } => {
                    expected.0.remove(rseq);
                    expected.1.insert(*rseq);
                }
                MirrorRecord::Decided { rseq, .. } => {
                    expected.0.remove(rseq);
                    expected.1.remove(rseq);
                }
            }
        }
        let mut mirror = Mirror::from_bytes(&frames(&records).concat());
        if compacts {
            mirror = Mirror::from_bytes(&mirror.compact());
        }
        let (undecided, dead) = undecided_and_dead(&mirror);
        prop_assert_eq!((undecided.into_iter().collect(), dead.into_iter().collect()), expected);
        prop_assert_eq!(mirror.open_bytes, mirror.open.values().map(Kept::bytes).sum::<usize>());
    }

    #[test]
    fn compaction_at_any_time_keeps_what_is_undecided(records in life(), at: prop::sample::Index) {
        let mut plain = Mirror::default();
        let mut file = Vec::new();
        let mut compacted = Mirror::default();
        let at = at.index(records.len());
        for (i, record) in records.into_iter().enumerate() {
            plain.append(record.clone());
            file.extend(compacted.append(record));
            if i == at {
                file = compacted.compact();
            }
        }
        let (read, plain) = (Mirror::from_bytes(&file), plain);
        prop_assert_eq!(read.recover("journal").expect("ours"), plain.recover("journal").expect("ours"));
        prop_assert!(file.len() < 100 || !read.is_empty() || read.damaged() == 0);
    }
}

#[test]
fn a_body_that_holds_a_mirror_file_is_not_taken_for_one() {
    let inner = [header(), appended(7)].iter().flat_map(MirrorRecord::to_frame).collect::<Vec<u8>>();
    let outer = MirrorRecord::Appended {
        replica: REPLICA,
        rseq: 1,
        body: inner,
        letter: None,
        priority: None,
        releases: Vec::new(),
    };
    let mut bytes = [header().to_frame(), outer.to_frame(), appended(2).to_frame()].concat();
    let place = header().to_frame().len() + 4;
    bytes[place] ^= 1;
    assert_eq!(read(&bytes), (vec![header(), appended(2)], 1));
}

#[test]
fn the_database_is_the_truth_and_identity_survives_its_loss() {
    let bytes = frames(&[header(), appended(1), appended(2), decided(1)]).concat();
    let mirror = Mirror::from_bytes(&bytes);
    assert_eq!(plan(true, &mirror, "journal").expect("ours"), Plan::FollowDatabase);
    let Plan::Recover(recovered) = plan(false, &mirror, "journal").expect("ours") else {
        panic!("there is something to recover");
    };
    assert_eq!((recovered.replica, recovered.transactions), (REPLICA, vec![transaction(2)]));
    assert!(recovered.last_rseq > 2, "a sequence would be given out twice");
    assert_eq!(plan(false, &Mirror::default(), "journal").expect("empty"), Plan::StartEmpty);
}

#[test]
fn mirrors_of_others_are_left_alone() {
    let other =
        MirrorRecord::Header { format: FORMAT, app: "other".into(), replica: REPLICA, last_rseq: 0, situation: None };
    let newer = MirrorRecord::Header {
        format: FORMAT + 1,
        app: "journal".into(),
        replica: REPLICA,
        last_rseq: 0,
        situation: None,
    };
    let plan_of = |record: MirrorRecord| plan(true, &Mirror::from_bytes(&record.to_frame()), "journal");
    assert!(matches!(plan_of(other), Err(MirrorError::OtherApp { .. })));
    assert!(matches!(plan_of(newer), Err(MirrorError::Newer { found: 2 })));
}

#[test]
fn entries_of_an_earlier_identity_are_not_sent_by_themselves() {
    let now = ReplicaId([1; 16]);
    let mut mirror = Mirror::from_bytes(&frames(&[header(), appended(1)]).concat());
    let body = Transaction { replica: now, ..transaction(1) }.to_bytes();
    mirror.append(MirrorRecord::Appended {
        replica: now,
        rseq: 1,
        body,
        letter: None,
        priority: None,
        releases: Vec::new(),
    });
    for mirror in [mirror.clone(), Mirror::from_bytes(&mirror.compact())] {
        let recovered = mirror.recover("journal").expect("ours").expect("known");
        assert_eq!((recovered.replica, recovered.transactions.len(), recovered.older.len()), (now, 1, 1));
    }
}

/// The records of builds before dead letters were told.
#[derive(Debug, PartialEq, Encode, Decode)]
enum OldRecord {
    #[n(1)]
    Appended {
        #[n(0)]
        replica: ReplicaId,
        #[n(1)]
        rseq: u64,
        #[cbor(n(2), with = "minicbor::bytes")]
        body: Vec<u8>,
    },
}

#[test]
fn older_builds_and_this_one_read_each_others_frames() {
    let old = OldRecord::Appended { replica: REPLICA, rseq: 1, body: transaction(1).to_bytes() };
    let bytes = minicbor::to_vec(&old).expect("encodes");
    assert_eq!(bytes, minicbor::to_vec(appended(1)).expect("encodes"));
    assert_eq!(minicbor::decode::<MirrorRecord>(&bytes).expect("this one reads the old"), appended(1));
    let new = minicbor::to_vec(dead(1)).expect("encodes");
    assert_eq!(minicbor::decode::<OldRecord>(&new).expect("the old one reads this one's"), old);
}

/// Else each further record would write the whole file anew.
#[test]
fn what_was_just_written_anew_is_not_written_anew_again() {
    let release = |n: u16| crate::db::Release { table: "notes".into(), what: vec![n as u8; 200], saves: false };
    let kept = |rseq: u64| {
        let releases = (0..50).map(release).collect();
        (rseq, Kept { body: transaction(rseq).to_bytes(), letter: None, priority: None, releases })
    };
    let mut mirror = Mirror::new("journal", REPLICA, 100, Situation::default(), (1..100).map(kept));
    assert!(mirror.compact().len() > COMPACT_FROM_BYTES && !mirror.wants_compaction());
}

/// A place that cannot be read does not send what a person held back.
#[test]
fn a_pause_outlasts_the_loss_of_any_one_frame() {
    let kept = |rseq: u64| {
        (rseq, Kept { body: transaction(rseq).to_bytes(), letter: None, priority: None, releases: Vec::new() })
    };
    let situation = Situation { paused: true, subject: Some("ada".into()), ..Situation::default() };
    let file = Mirror::new("journal", REPLICA, 3, situation.clone(), (1..3).map(kept)).compact();
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        let recovered = Mirror::from_bytes(&damaged).recover("journal").expect("ours").expect("known");
        assert_eq!(recovered.situation, situation, "byte {at}");
    }
}

#[test]
fn a_dead_letter_of_another_name_is_kept_under_its_number() {
    let body = transaction(1).to_bytes();
    let kept = Kept { body, letter: Some(letter(1)), priority: None, releases: Vec::new() };
    let mirror = Mirror::new("journal", ReplicaId([2; 16]), 9, Situation::default(), [(5, kept)]);
    let recovered = mirror.recover("journal").expect("ours").expect("known");
    let (transaction, of) = &recovered.dead[0];
    assert_eq!((transaction.replica, transaction.rseq, of), (ReplicaId([2; 16]), 5, &letter(1)));
    assert_eq!((transaction.origin.expect("kept").rseq, recovered.damaged), (1, 0));
}

mod file {
    use super::*;

    fn path(directory: &tempfile::TempDir) -> std::path::PathBuf {
        directory.path().join("app.db.outbox")
    }

    fn empty() -> Mirror {
        Mirror::new("journal", REPLICA, 0, Situation::default(), [])
    }

    #[test]
    fn records_are_on_disk_after_a_flush_and_compaction_keeps_the_file_small() {
        let directory = tempfile::tempdir().expect("a directory");
        let mirror = FileMirror::open(path(&directory), "journal", empty(), Box::new(|_| {})).expect("it opens");
        for rseq in 1..=5_000 {
            mirror.append(appended(rseq));
            if rseq > 3 {
                mirror.append(decided(rseq));
            }
            if rseq % 500 == 0 {
                mirror.flush();
            }
        }
        mirror.flush();
        assert_eq!(mirror.status(), MirrorStatus::default());
        let found = load(&path(&directory)).expect("it is there");
        assert_eq!((undecided(&found), found.damaged()), (vec![1, 2, 3], 0));
        let size = std::fs::metadata(path(&directory)).expect("it is there").len();
        assert!(size < 200_000, "the file has {size} bytes");
    }

    #[test]
    fn a_failing_disk_shows_in_the_status_and_is_made_good() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("missing").join("app.db.outbox");
        let (tell, told) = std::sync::mpsc::channel();
        let on_problem = Box::new(move |problem| tell.send(problem).unwrap_or_default());
        let mirror =
            FileMirror::open(&path, "journal", empty(), on_problem).expect("opening does not wait for the disk");
        mirror.append(appended(1));
        mirror.flush();
        assert!(mirror.status().problem.is_some_and(|p| p.contains("LF-5303")));
        assert!(told.recv().expect("told").is_some_and(|p| p.contains("LF-5303")));
        std::fs::create_dir(path.parent().expect("it has one")).expect("it can be made");
        mirror.append(appended(2));
        mirror.flush();
        assert_eq!(told.recv(), Ok(None));
        assert_eq!(mirror.status(), MirrorStatus::default());
        assert_eq!(undecided(&load(&path).expect("it is there")), [1, 2]);
    }

    #[test]
    fn a_new_database_does_not_overwrite_what_it_does_not_know() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(path(&directory), frames(&[header(), appended(1)]).concat()).expect("written");
        let fresh = Mirror::new("journal", ReplicaId([3; 16]), 0, Situation::default(), []);
        FileMirror::open(path(&directory), "journal", fresh, Box::new(|_| {})).expect("it opens").flush();
        let kept = directory.path().join(format!("app.db.outbox.kept-{REPLICA}"));
        assert_eq!(undecided(&load(&kept).expect("kept")), [1]);
        assert!(load(&path(&directory)).expect("new").is_empty());
    }
}
