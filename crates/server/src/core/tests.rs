use landfall_core::{BucketId, CellWrite, Operation, ReplicaId, RowKey, Schema, Stamp, Transaction, Value};
use landfall_protocol::digest::{Narrowed, RunHash};
use landfall_protocol::{Cursor, Entry, Hello, Outcome, Resumption, Start};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::*;
use crate::auth::Authenticator;
use crate::store::{Fresh, SqliteOptions, SqliteStore};

const SCHEMA: &str = "[app]\nname = \"test\"\nversion = 1\n[tables.notes.columns]\nid = { type = \"uuid\" }\n\
                      body = { type = \"text\" }\n[shapes.all]\ntable = \"notes\"\n";
const NOW: Moment = Moment { wall_ms: 1_800_000_000_000, mono_ms: 0 };

fn store(dir: &tempfile::TempDir) -> SqliteStore {
    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    SqliteStore::open(
        SqliteOptions::path(dir.path().join("db")),
        schema,
        Fresh { epoch: Epoch([3; 16]), seed: [7; 32] },
        NOW.wall_ms,
    )
    .unwrap()
}

fn server(store: SqliteStore, memory: Memory) -> (ServerCore, ChaCha20Rng) {
    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    let rules = Rules::new(&schema, Authenticator::new().with_development(true));
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    (ServerCore::new(Box::new(store), Arc::new(rules), memory, Allowance::NONE, &mut rng).unwrap(), rng)
}

fn replica(n: u64) -> ReplicaId {
    ReplicaId([n as u8; 16])
}

fn hello(n: u64, cursor: Option<Cursor>) -> ClientMessage {
    ClientMessage::Hello(Hello {
        min_version: 1,
        max_version: 1,
        token: Some("dev:ada".into()),
        replica: replica(n),
        app: "test".into(),
        schema_version: 1,
        last_rseq: 0,
        floor: 0,
        cursor,
        clock_ms: NOW.wall_ms,
        agent: "test".into(),
        sent: Vec::new(),
    })
}

fn push(n: u64, rseq: u64) -> ClientMessage {
    let replica = replica(n);
    let key = RowKey(vec![Value::Uuid([[n as u8; 8], rseq.to_be_bytes()].concat().try_into().unwrap())]);
    let cells = vec![CellWrite::new("body", Value::Text(format!("{rseq}")))];
    let operations = vec![Operation::Insert { table: "notes".into(), key, base: 0, cells }];
    let stamp = Stamp { wall_ms: NOW.wall_ms, counter: 0, replica };
    let entry = Entry::from(Transaction {
        replica,
        rseq,
        stamp,
        operations,
        after: vec![],
        requires: vec![],
        origin: None,
        action: None,
        expires_ms: None,
    });
    ClientMessage::push(rseq as u32, vec![entry], NOW.wall_ms, 0)
}

/// Everything for a session now.
fn drain(core: &mut ServerCore, id: SessionId) -> Vec<ServerMessage> {
    std::iter::from_fn(|| core.poll(id, NOW)).collect()
}

fn greet(
    core: &mut ServerCore,
    rng: &mut ChaCha20Rng,
    id: SessionId,
    cursor: Option<Cursor>,
) -> landfall_protocol::Welcome {
    core.connect(id, NOW);
    core.receive(id, hello(id, cursor), NOW, rng);
    match drain(core, id).as_slice() {
        [ServerMessage::Welcome(welcome)] => welcome.clone(),
        other => panic!("{other:?}"),
    }
}

fn outcomes(sent: &[ServerMessage]) -> Vec<Outcome> {
    let of = |message: &ServerMessage| match message {
        ServerMessage::Acknowledge { decisions, .. } => decisions.iter().map(|d| d.outcome.clone()).collect(),
        _ => vec![],
    };
    sent.iter().flat_map(of).collect()
}

fn live(sent: &[ServerMessage]) -> (Option<Cursor>, usize) {
    let mut found = (None, 0);
    for message in sent {
        if let ServerMessage::Live { to, chain, buckets, .. } = message {
            found.0 = Some(Cursor { epoch: Epoch([3; 16]), seq: *to, chain: *chain });
            found.1 += buckets.iter().map(|b| b.changes.0.len()).sum::<usize>();
        }
    }
    found
}

#[test]
fn a_reader_behind_the_ring_gets_everything_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory { ring_bytes: 400, ..Memory::default() });
    for id in [1, 2] {
        greet(&mut core, &mut rng, id, None);
    }
    core.receive(
        2,
        ClientMessage::Open { id: 1, shape: "all".into(), params: BTreeMap::new(), held: vec![] },
        NOW,
        &mut rng,
    );
    let sent = drain(&mut core, 2);
    let [ServerMessage::Opened { buckets, .. }] = sent.as_slice() else { panic!("{sent:?}") };
    let Start::Load { at, first, .. } = &buckets[0].start else { panic!("to be loaded") };
    assert!(core.chunk(first, NOW).unwrap().rows.is_empty());
    let expired = Moment { wall_ms: NOW.wall_ms + chunks::VALID_MS, ..NOW };
    assert!(matches!(core.chunk(first, expired), Err(ChunkError::Address(AddressError::Expired))));
    core.receive(2, ClientMessage::Resume { bucket: buckets[0].bucket, at: *at }, NOW, &mut rng);
    core.receive(2, ClientMessage::Applied { seq: 0 }, NOW, &mut rng);
    drain(&mut core, 2);
    for rseq in 1..=30 {
        core.receive(1, push(1, rseq), NOW, &mut rng);
        core.commit(1, NOW).unwrap();
        assert!(core.ring_bytes() <= 400);
    }
    let (cursor, changes) = live(&drain(&mut core, 2));
    assert_eq!((cursor.map(|c| c.seq), changes), (Some(30), 30));

    // The cursor that came from the store's side of the log is as good as any, also after a restart.
    drop(core);
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    assert_eq!(greet(&mut core, &mut rng, 2, cursor).resumption, Resumption::Continue);
}

/// Opens the only shape. Nothing is asked of the session yet.
fn open_shape(core: &mut ServerCore, rng: &mut ChaCha20Rng, id: SessionId) {
    let open = ClientMessage::Open { id: 1, shape: "all".into(), params: BTreeMap::new(), held: vec![] };
    core.receive(id, open, NOW, rng);
}

/// Which bucket is to be loaded, and from which position on.
fn loading(sent: &[ServerMessage]) -> (BucketId, u64) {
    let [ServerMessage::Opened { buckets, .. }] = sent else { panic!("{sent:?}") };
    let Start::Load { at, .. } = &buckets[0].start else { panic!("to be loaded") };
    (buckets[0].bucket, *at)
}

/// C6.
#[test]
fn digests_are_of_the_rows_that_the_narrowed_address_gives() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = chunks::Sizes { rows: 10, run_rows: 3 };
    let (mut core, mut rng) = server(store(&dir), Memory { chunk_sizes: sizes, ..Memory::default() });
    greet(&mut core, &mut rng, 2, None);
    for rseq in 1..=25 {
        core.receive(2, push(2, rseq), NOW, &mut rng);
        core.commit(1, NOW).unwrap();
    }
    drain(&mut core, 2);
    open_shape(&mut core, &mut rng, 2);
    let sent = drain(&mut core, 2);
    let opened = sent.iter().find_map(|m| match m {
        ServerMessage::Opened { buckets, .. } => Some(buckets[0].clone()),
        _ => None,
    });
    let Some(Start::Load { first, .. }) = opened.map(|o| o.start) else { panic!("to be loaded") };
    let asks = |after: Option<&RowKey>, until: Option<&RowKey>, digests| Narrowed {
        after: after.cloned(),
        until: until.cloned(),
        digests,
    };
    let mut address = Some(asks(None, None, true).of(&first));
    let (mut rows, mut pages, mut keys) = (0, 0, Vec::new());
    while let Some(page) = address {
        let chunk = core.chunk(&page, NOW).unwrap();
        let digests = chunk.digests.unwrap();
        assert!(chunk.rows.is_empty());
        let mut after = digests.after.clone();
        for run in digests.runs {
            // What differs is asked for in the same way: beside the address of the page.
            let part = core.chunk(&asks(after.as_ref(), run.to.as_ref(), false).of(&page), NOW).unwrap();
            assert!(part.next.is_none() && run.rows <= 3);
            let mut hash = RunHash::default();
            for at in 0..part.rows.len() {
                hash.push(part.rows.columns.iter().map(|(_, values)| &values[at]));
                keys.push(RowKey(vec![part.rows.columns[0].1[at].clone()]));
            }
            assert_eq!(hash.finish(run.to.clone()), run);
            rows += run.rows;
            after = run.to;
        }
        pages += 1;
        address = chunk.next;
    }
    assert_eq!((rows, pages), (25, 2));

    // A part that is longer than a chunk comes in several.
    let part = core.chunk(&asks(Some(&keys[1]), Some(&keys[20]), false).of(&first), NOW).unwrap();
    assert_eq!(part.rows.len(), 10);
    let rest = core.chunk(&part.next.unwrap(), NOW).unwrap();
    assert_eq!((rest.rows.len(), rest.next), (9, None));

    // An address gives nothing that stands before its own key, and takes no key of another table.
    let second = core.chunk(&first, NOW).unwrap().next.unwrap();
    let other = RowKey(vec![Value::Int(1)]);
    for forged in [
        asks(Some(&keys[0]), None, false).of(&second),
        asks(Some(&other), None, false).of(&first),
        asks(None, Some(&other), true).of(&first),
        format!("{first}?digest"),
    ] {
        let found = core.chunk(&forged, NOW);
        assert!(matches!(found, Err(ChunkError::Address(AddressError::Forged))), "{forged}: {found:?}");
    }
}

/// A device that was long in loading a bucket was told that nothing had happened in it, once nobody else used it (the
/// simulator's seed 7532).
#[test]
fn a_bucket_that_was_forgotten_while_it_loaded_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 2, None);
    open_shape(&mut core, &mut rng, 2);
    assert_eq!(core.retire_buckets(u64::MAX).unwrap(), 1);
    let (bucket, at) = loading(&drain(&mut core, 2));
    core.receive(2, ClientMessage::Applied { seq: 0 }, NOW, &mut rng);
    core.receive(2, push(2, 1), NOW, &mut rng);
    core.commit(1, NOW).unwrap();
    drain(&mut core, 2);
    core.receive(2, ClientMessage::Resume { bucket, at }, NOW, &mut rng);
    let sent = drain(&mut core, 2);
    let ended = |m: &ServerMessage| matches!(m, ServerMessage::Error { code, .. } if code.as_str() == "LF-4010");
    assert!(sent.iter().any(ended), "{sent:?}");
}

#[test]
fn a_bucket_that_loads_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    for id in [1, 2] {
        greet(&mut core, &mut rng, id, None);
        open_shape(&mut core, &mut rng, id);
        loading(&drain(&mut core, id));
    }
    assert_eq!(core.retire_buckets(u64::MAX).unwrap(), 0);
    core.receive(1, ClientMessage::Close { id: 1 }, NOW, &mut rng);
    drain(&mut core, 1);
    assert_eq!(core.retire_buckets(u64::MAX).unwrap(), 0, "the other one loads it still");
    core.disconnect(2);
    assert_eq!(core.retire_buckets(u64::MAX).unwrap(), 1);
}

#[test]
fn a_process_that_dies_after_the_commit_answers_a_resend_with_the_same_decision() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 1, None);
    core.receive(1, push(1, 1), NOW, &mut rng);
    assert!(drain(&mut core, 1).is_empty(), "rule P2: nothing leaves before the commit");
    assert_eq!(core.commit(10, NOW).unwrap().entries, 1);
    drop(core);
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    assert_eq!(greet(&mut core, &mut rng, 1, None).last_rseq, 1);
    core.receive(1, push(1, 1), NOW, &mut rng);
    core.commit(10, NOW).unwrap();
    assert_eq!(outcomes(&drain(&mut core, 1)), [Outcome::Accepted { seq: 1 }], "rule P3");
    assert_eq!(core.head().seq, 1);
}

#[test]
fn a_group_takes_whole_pushes_and_more_than_there_is_room_for_is_refused_for_now() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory { waiting_entries: 5, ..Memory::default() });
    greet(&mut core, &mut rng, 1, None);
    for rseq in 1..=4 {
        core.receive(1, push(1, rseq), NOW, &mut rng);
    }
    let sent = drain(&mut core, 1);
    let [ServerMessage::Error { code, fatal: false, retry_after_ms: Some(_), about: Some(4), .. }] = sent.as_slice()
    else {
        panic!("{sent:?}")
    };
    assert_eq!(code.as_str(), "LF-4009", "rule P13");
    assert_eq!(core.commit(2, NOW).unwrap().entries, 2);
    assert_eq!(core.waiting(), 1);
    core.commit(2, NOW).unwrap();
    assert!(core.commit(2, NOW).is_none());
    assert_eq!(outcomes(&drain(&mut core, 1)).len(), 3);
}

/// Another device of the person has much to send, and this one's line breaks before each commit: what it pushed first keeps
/// its place. Were it dropped when the device connects again, the device would never get anything done.
#[test]
fn what_an_ended_session_pushed_is_decided_in_its_turn_however_often_its_device_connects_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 1, None);
    (1..=20).for_each(|rseq| core.receive(1, push(1, rseq), NOW, &mut rng));
    let mut attempts = 0;
    for id in 100..200 {
        core.connect(id, NOW);
        core.receive(id, hello(2, None), NOW, &mut rng);
        let [ServerMessage::Welcome(welcome)] = &drain(&mut core, id)[..] else { panic!("no welcome") };
        if welcome.last_rseq == 1 {
            break;
        }
        attempts += 1;
        core.receive(id, push(2, 1), NOW, &mut rng);
        core.disconnect(id);
        core.receive(1, push(1, 20 + attempts), NOW, &mut rng);
        core.commit(1, NOW).unwrap();
    }
    assert_eq!(attempts, 21, "twenty were before it");
    while core.commit(100, NOW).is_some() {}
    assert_eq!(core.head().seq, 20 + attempts + 1, "rule P3: each is applied once");
}

/// Everybody would have to load everything anew if anybody could pretend that the server had been restored.
#[test]
fn an_invented_cursor_costs_nobody_but_its_inventor() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 1, None);
    core.receive(1, ClientMessage::Applied { seq: 0 }, NOW, &mut rng);
    core.receive(1, push(1, 1), NOW, &mut rng);
    core.commit(1, NOW).unwrap();
    let real = live(&drain(&mut core, 1)).0.unwrap();
    let invented = [
        Cursor { seq: 1_000, ..real },
        Cursor { seq: 1_000, chain: 7, ..real },
        Cursor { chain: real.chain ^ 1, ..real },
        Cursor { chain: real.chain ^ (1 << 63), ..real },
    ];
    for (cursor, id) in invented.into_iter().zip(11..) {
        assert_eq!(greet(&mut core, &mut rng, id, Some(cursor)).resumption, Resumption::TooOld, "rule S5");
        assert_eq!(core.head().epoch, real.epoch);
    }
    assert_eq!(greet(&mut core, &mut rng, 21, Some(real)).resumption, Resumption::Continue);
}

/// An operator may copy the file alone after the server has stopped.
#[test]
fn a_store_that_was_closed_is_whole_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 1, None);
    core.receive(1, push(1, 1), NOW, &mut rng);
    core.commit(1, NOW).unwrap();
    drop(core);
    assert!(!dir.path().join("db-wal").exists());

    let store = store(&dir);
    let hub = Arc::new(Hub::new(store.head(), 1 << 20));
    let mut committer = Committer::new(Box::new(store), hub).unwrap();
    // The reader beside the writer has been used.
    committer.forget(&Retention::default(), NOW.wall_ms).unwrap();
    drop(committer);
    assert!(!dir.path().join("db-wal").exists());
}

#[test]
fn a_cursor_older_than_the_log_is_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 1, None);
    core.receive(1, ClientMessage::Applied { seq: 0 }, NOW, &mut rng);
    let mut cursors = Vec::new();
    for rseq in 1..=5 {
        core.receive(1, push(1, rseq), NOW, &mut rng);
        core.commit(1, NOW).unwrap();
        cursors.extend(live(&drain(&mut core, 1)).0);
    }
    drop(core);
    let mut store = store(&dir);
    store.truncate_log(4, 0).unwrap();
    let (mut core, mut rng) = server(store, Memory::default());
    let found: Vec<_> =
        cursors.iter().zip(11..).map(|(cursor, id)| greet(&mut core, &mut rng, id, Some(*cursor)).resumption).collect();
    assert_eq!(found[..2], [Resumption::TooOld; 2], "rule S4");
    assert_eq!(found[3..], [Resumption::Continue; 2]);
    assert_eq!(core.head().epoch, Epoch([3; 16]), "an old cursor is no sign of a restored server");
}

/// One subject's pushes hold nobody else's up.
#[test]
fn whoever_pushes_little_is_in_the_next_group() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, mut rng) = server(store(&dir), Memory::default());
    greet(&mut core, &mut rng, 1, None);
    (1..=20).for_each(|rseq| core.receive(1, push(1, rseq), NOW, &mut rng));
    core.connect(2, NOW);
    let ClientMessage::Hello(bob) = hello(2, None) else { unreachable!() };
    core.receive(2, ClientMessage::Hello(Hello { token: Some("dev:bob".into()), ..bob }), NOW, &mut rng);
    drain(&mut core, 2);
    core.receive(2, push(2, 1), NOW, &mut rng);
    let committed = core.commit(2, NOW).unwrap();
    assert_eq!(committed.pushes, [(1, 1), (2, 1)]);
    let committed = core.commit(2, NOW).unwrap();
    assert_eq!(committed.pushes, [(1, 2), (1, 3)]);
}
