//! One example of every message, variant by variant: the material of the golden vectors and of the fuzz corpus.

use std::collections::BTreeMap;

use landfall_core::error::codes as core_codes;
use landfall_core::value::ColumnType;
use landfall_core::{
    Action, BucketId, CellWrite, Change as CellChange, Decimal, Epoch, Operation, Origin, Problem, ReplicaId, RowKey,
    Stamp, Transaction, Value,
};
use landfall_protocol::client::Held;
use landfall_protocol::digest::{Digests, RunHash};
use landfall_protocol::server::{AcceptedEntry, BucketChanges, WireType};
use landfall_protocol::*;

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}

pub fn every_value() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Int(-42),
        Value::Int(i64::MAX),
        Value::Float(1.5),
        Value::Decimal(Decimal::new(-1250, 2)),
        Value::Text("Grüße, 世界".into()),
        Value::Bytes(vec![0, 255, 7]),
        Value::Uuid([0x11; 16]),
        Value::Timestamp(1_790_000_000_123_456),
        Value::Date(20_778),
        Value::Json(r#"{"a":[1,null,"x"]}"#.into()),
    ]
}

pub fn key() -> RowKey {
    RowKey::single(Value::Uuid([0x22; 16]))
}

pub fn transaction() -> Transaction {
    let write = |column: &str, value, base| CellWrite { base, ..CellWrite::new(column, value) };
    let every = every_value().into_iter().enumerate().map(|(i, v)| write(&format!("c{i}"), v, None));
    Transaction {
        replica: ReplicaId([0x33; 16]),
        rseq: 7,
        stamp: Stamp { wall_ms: 1_790_000_000_000, counter: 3, replica: ReplicaId([0x33; 16]) },
        operations: vec![
            Operation::Insert { table: "notes".into(), key: key(), base: 0, cells: every.collect() },
            Operation::Update {
                table: "notes".into(),
                key: RowKey(vec![Value::Text("a".into()), Value::Int(9)]),
                base: 41,
                cells: vec![write("title", Value::Text("t".into()), None), write("body", Value::Null, Some(40))],
            },
            Operation::Delete { table: "tags".into(), key: key(), base: 41 },
        ],
        after: vec![5, 6],
        requires: vec![6],
        origin: None,
        action: None,
        expires_ms: None,
    }
}

/// A transaction of a database that was copied.
pub fn queued_anew() -> Transaction {
    let first = transaction();
    let origin = Origin { replica: first.replica, rseq: first.rseq, hash: first.content_hash() };
    let replica = ReplicaId([0x66; 16]);
    Transaction {
        replica,
        rseq: 8,
        stamp: Stamp { replica, ..first.stamp },
        operations: vec![Operation::Delete {
            table: "notes".into(),
            key: RowKey::single(Value::Uuid([0x77; 16])),
            base: 40,
        }],
        after: vec![],
        requires: vec![],
        origin: Some(origin),
        action: None,
        expires_ms: Some(1_795_219_213_913),
    }
}

/// A transaction that asks for an action, with an argument of each type that has a form of its own.
pub fn acting() -> Transaction {
    let args = [
        ("order", Value::Uuid([0x77; 16])),
        ("count", Value::Int(3)),
        ("price", Value::Decimal(Decimal { units: 1250, scale: 2 })),
        ("note", Value::Null),
    ];
    let args = args.map(|(name, value)| (name.to_owned(), value)).into();
    let action = Some(Action { name: "checkout".into(), args });
    Transaction { rseq: 9, operations: vec![], after: vec![], requires: vec![], action, ..transaction() }
}

/// Adds to a counter.
fn counting() -> Transaction {
    let add = CellWrite { change: Some(CellChange::Add), base: Some(40), ..CellWrite::new("likes", Value::Int(-2)) };
    let (table, key) = ("posts".to_owned(), RowKey::single(Value::Int(1)));
    let operations = vec![Operation::Update { table, key, base: 41, cells: vec![add] }];
    Transaction { rseq: 10, operations, after: vec![], requires: vec![], ..transaction() }
}

pub fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        token: Some("token".into()),
        replica: ReplicaId([0x33; 16]),
        app: "journal".into(),
        schema_version: 1,
        last_rseq: 7,
        floor: 4,
        cursor: Some(Cursor { epoch: Epoch([0x44; 16]), seq: 41, chain: 0xdead_beef }),
        clock_ms: 1_790_000_000_000,
        agent: "landfall/0.1.0".into(),
        sent: Vec::new(),
    }
}

pub fn client_messages() -> Vec<(&'static str, ClientMessage)> {
    let params = BTreeMap::from([("list".to_owned(), Value::Uuid([0x55; 16]))]);
    let held = vec![Held { bucket: BucketId(3), at: 41 }];
    let plain = Hello { token: None, cursor: None, ..hello() };
    vec![
        ("hello", ClientMessage::Hello(hello())),
        ("hello-first", ClientMessage::Hello(plain)),
        ("hello-sent", ClientMessage::Hello(Hello { sent: vec![(5, 6), (9, 9)], ..hello() })),
        ("push-increment", ClientMessage::push(6, vec![counting().into()], 1_790_000_000_005, 7)),
        ("push", ClientMessage::push(1, vec![transaction().into()], 1_790_000_000_001, 4)),
        ("push-origin", ClientMessage::push(4, vec![queued_anew().into()], 1_790_000_000_003, 7)),
        ("push-action", ClientMessage::push(5, vec![acting().into()], 1_790_000_000_004, 7)),
        (
            "push-prior",
            ClientMessage::Push {
                id: 2,
                entries: vec![],
                clock_ms: 1_790_000_000_001,
                floor: 4,
                prior: 9,
                settled: vec![],
                following: vec![],
                refused: vec![],
                attempted: vec![],
            },
        ),
        (
            "push-settled",
            ClientMessage::Push {
                id: 3,
                entries: vec![],
                clock_ms: 1_790_000_000_002,
                floor: 0,
                prior: 9,
                settled: vec![6, 7],
                following: vec![],
                refused: vec![],
                attempted: vec![],
            },
        ),
        (
            "push-following",
            ClientMessage::Push {
                id: 6,
                entries: vec![transaction().into()],
                clock_ms: 1_790_000_000_005,
                floor: 1,
                prior: 9,
                settled: vec![],
                following: vec![Following { rseq: transaction().rseq, after: vec![2, 3] }],
                refused: vec![3],
                attempted: vec![Attempted { rseq: transaction().rseq, times: 2 }],
            },
        ),
        ("open", ClientMessage::Open { id: 2, shape: "notes".into(), params, held }),
        ("resume", ClientMessage::Resume { bucket: BucketId(3), at: 40 }),
        ("close", ClientMessage::Close { id: 2 }),
        ("ping", ClientMessage::Ping { clock_ms: 1_790_000_000_002 }),
        ("authenticate", ClientMessage::Authenticate { token: "newer".into() }),
        ("applied", ClientMessage::Applied { seq: 42 }),
    ]
}

pub fn changes() -> ChangeList {
    let cells = every_value().into_iter().enumerate().map(|(i, v)| (i as u16 + 1, v)).collect();
    ChangeList(vec![
        Change::Put { seq: 42, key: key(), whole: true, cells },
        Change::Put { seq: 43, key: key(), whole: false, cells: vec![(2, Value::Int(1))] },
        Change::Remove { seq: 44, key: key(), deleted: true },
    ])
}

pub fn chunk() -> Chunk {
    let columns = every_value().into_iter().skip(1).map(|v| {
        let ty = v.type_of().unwrap_or(ColumnType::Text);
        (ty, vec![v.clone(), Value::Null])
    });
    Chunk {
        bucket: BucketId(3),
        read_at: 44,
        rows: RowBlock { seqs: vec![12, 40], columns: columns.collect() },
        next: Some("/v1/chunks/abc".into()),
        digests: None,
    }
}

/// C6: two rows, and all that follows them, of which there are none.
pub fn digests() -> Chunk {
    let mut run = RunHash::default();
    run.push(&every_value());
    run.push(&[Value::Int(1), Value::Null]);
    let runs = vec![run.finish(Some(key())), RunHash::default().finish(None)];
    let digests = Digests { after: Some(RowKey(vec![Value::Int(-1)])), runs };
    Chunk { bucket: BucketId(3), read_at: 44, rows: RowBlock::default(), next: None, digests: Some(digests) }
}

fn limits() -> Limits {
    Limits { frame_bytes: 1 << 20, push_entries: 256, window_bytes: 1 << 20, subscriptions: 64 }
}

pub fn outcomes() -> Vec<Outcome> {
    let problem = Problem::new(core_codes::TOO_LONG, "7 characters, at most 5 are allowed; shorten it")
        .row("notes", &key())
        .column("title");
    vec![
        Outcome::Accepted { seq: 42 },
        Outcome::Refused { problem: problem.clone(), because_of: None },
        Outcome::Refused {
            problem: Problem::new(core_codes::DEPENDS_ON_REFUSED, "6 was refused"),
            because_of: Some(6),
        },
        Outcome::Deferred { missing: 5 },
        Outcome::Copied,
        Outcome::Failed { problem },
        Outcome::Asked { again_ms: 5_000 },
    ]
}

pub fn server_messages() -> Vec<(&'static str, ServerMessage)> {
    let welcome = Welcome {
        version: 1,
        epoch: Epoch([0x44; 16]),
        head: 44,
        start: 41,
        chain: 0xdead_beef,
        resumption: Resumption::Continue,
        last_rseq: 7,
        clock_ms: 1_790_000_000_003,
        token_expires_in_ms: Some(60_000),
        subject: "ada".into(),
        schema_version: 1,
        limits: limits(),
        accepted: Vec::new(),
    };
    let columns =
        vec![("id".to_owned(), WireType(ColumnType::Uuid)), ("price".to_owned(), WireType(ColumnType::Decimal(2)))];
    let opening =
        |bucket, start| Opening { bucket: BucketId(bucket), table: "notes".into(), columns: columns.clone(), start };
    let decisions = (1..).zip(outcomes()).map(|(rseq, outcome)| Decision { rseq, outcome }).collect();
    let load = Start::Load { at: 40, first: "/v1/chunks/first".into(), rows: 100_000 };
    let buckets = vec![opening(3, Start::Live), opening(4, Start::CatchUp), opening(5, load)];
    let stamp = transaction().stamp;
    let accepted = vec![AcceptedEntry { rseq: 5, seq: 43, hash: [0x66; 16] }];
    let resumed =
        |resumption| ServerMessage::Welcome(Welcome { resumption, token_expires_in_ms: None, ..welcome.clone() });
    vec![
        ("welcome", ServerMessage::Welcome(welcome.clone())),
        ("welcome-accepted", ServerMessage::Welcome(Welcome { accepted, ..welcome.clone() })),
        ("welcome-fresh", resumed(Resumption::Fresh)),
        ("welcome-too-old", resumed(Resumption::TooOld)),
        ("welcome-new-epoch", resumed(Resumption::NewEpoch)),
        ("acknowledge", ServerMessage::Acknowledge { id: 1, decisions, shift_ms: -250 }),
        ("opened", ServerMessage::Opened { id: 2, buckets }),
        (
            "live",
            ServerMessage::Live {
                to: 44,
                chain: 0xfeed,
                stamp,
                buckets: vec![BucketChanges { bucket: BucketId(3), changes: changes() }],
            },
        ),
        ("live-mark", ServerMessage::Live { to: 45, chain: 0xfeee, stamp, buckets: Vec::new() }),
        ("catch-up", ServerMessage::CatchUp { bucket: BucketId(4), to: 44, changes: changes(), done: true }),
        ("pong", ServerMessage::Pong { clock_ms: 1_790_000_000_004, token_expires_in_ms: None }),
        (
            "error",
            ServerMessage::Error {
                code: codes::OVERLOADED,
                message: "the server is busy; try again in 2 s".into(),
                fatal: false,
                retry_after_ms: Some(2_000),
                about: Some(1),
            },
        ),
        ("closed", ServerMessage::Closed { id: 2 }),
    ]
}
