//! Properties of the local database.

use landfall_core::schema::{Column, Default as ColumnDefault, OnDelete, Reference, Schema, Sending, Shape, Table};
use landfall_core::value::ColumnType;
use landfall_core::wide::WideMap;
use landfall_core::{Problem, ReplicaId, RowKey, Transaction, Value};

use super::{Database, DbError, Location, Options, Written};
use crate::mirror::{Recovered, Situation};

mod actions;
mod cache;
mod capture;
mod counters;
mod history;
mod holding;
mod letters;
mod list;
mod loading;
mod opening;
mod operations;
mod overlay;
mod parts;
mod policy;
mod releases;
mod review;
mod revision;
mod rules;
mod scheduler;
mod succession;
mod trouble;
mod world;

/// A column without any rule.
pub(super) fn column(name: &str, ty: ColumnType) -> Column {
    Column::plain(name, ty)
}

pub(super) fn table(name: &str, columns: Vec<Column>) -> Table {
    Table::plain(name, columns)
}

fn refers(mut column: Column, table: &str, on_delete: OnDelete) -> Column {
    column.references = Some(Reference { table: table.into(), on_delete });
    column
}

/// Notes with a search table, tags that go with their note, pins that hold it, small counters without rowid, and a
/// local table.
pub(super) fn schema() -> Schema {
    let mut notes = table(
        "notes",
        vec![
            Column { default: Some(ColumnDefault::Uuid), ..column("id", ColumnType::Uuid) },
            Column { required: true, max_length: Some(200), ..column("title", ColumnType::Text) },
            column("body", ColumnType::Text),
            Column { default: Some(ColumnDefault::Value(Value::Int(0))), ..column("likes", ColumnType::Integer) },
            column("price", ColumnType::Decimal(2)),
            column("extra", ColumnType::Json),
            Column { default: Some(ColumnDefault::Now), ..column("made", ColumnType::Timestamp) },
        ],
    );
    notes.search = vec!["title".into(), "body".into()];
    let tags = table(
        "tags",
        vec![
            column("id", ColumnType::Integer),
            refers(column("note", ColumnType::Uuid), "notes", OnDelete::Cascade),
            Column { unique: true, ..column("name", ColumnType::Text) },
        ],
    );
    let pins = table(
        "pins",
        vec![column("id", ColumnType::Integer), refers(column("note", ColumnType::Uuid), "notes", OnDelete::Restrict)],
    );
    let counters = table(
        "counters",
        vec![column("id", ColumnType::Integer), column("a", ColumnType::Integer), column("b", ColumnType::Integer)],
    );
    let mut drafts = table("drafts", vec![column("id", ColumnType::Integer), column("text", ColumnType::Text)]);
    drafts.sync = false;
    let shape = |name: &str, table: &str| Shape {
        name: name.into(),
        table: table.into(),
        filter: None,
        params: Vec::new(),
        columns: None,
    };
    Schema {
        name: "journal".into(),
        version: 1,
        tables: vec![notes, tags, pins, counters, drafts],
        shapes: vec![shape("counters", "counters"), shape("big_a", "counters"), shape("big_b", "counters")],
        actions: Vec::new(),
        cache: landfall_core::schema::Caching::default(),
        outbox: landfall_core::schema::OutboxLimits { collapse_ms: 0, ..Default::default() },
        tombstones_ms: None,
    }
}

pub(super) const NOW: u64 = 1_795_000_000_000;

pub(super) fn replica(n: u8) -> ReplicaId {
    ReplicaId([n; 16])
}

pub(super) fn open(location: &Location) -> Database {
    let options = Options { durability: super::Durability::Normal, ..Options::default() };
    Database::open(location, schema(), options, NOW, replica(1)).expect("opens")
}

pub(super) fn memory() -> Database {
    open(&Location::Memory)
}

/// What a mirror has of the first replica.
pub(super) fn recovered(last_rseq: u64, transactions: Vec<Transaction>) -> Recovered {
    Recovered {
        replica: replica(1),
        last_rseq,
        transactions,
        older: Vec::new(),
        dead: Vec::new(),
        priorities: WideMap::new(),
        releases: WideMap::new(),
        situation: Situation::default(),
        damaged: 0,
    }
}

/// Runs statements in one write.
pub(super) fn write(db: &mut Database, statements: &[&str]) -> Result<Written<()>, DbError> {
    let entropy = db.last_rseq() as u8;
    db.write(NOW, &mut |bytes| bytes.fill(entropy), |tx| {
        for sql in statements {
            tx.execute(sql, &[])?;
        }
        Ok(())
    })
}

pub(super) fn uuid(n: u8) -> Value {
    Value::Uuid([n; 16])
}

pub(super) fn key(value: impl Into<i64>) -> RowKey {
    RowKey::single(Value::Int(value.into()))
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.into())
}

/// The answer's rows.
pub(super) fn rows(db: &Database, sql: &str) -> Vec<Vec<Value>> {
    db.query(sql, &[]).expect("a query").rows
}
