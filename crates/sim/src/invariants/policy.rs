//! `policy`: nothing that a read rule hides reaches a device, and what reaches it is what the log says.
//!
//! Every change and every chunk row that is sent is compared with the row as it was at its sequence, by read rules that
//! are written here a second time, in plain Rust.

use landfall_core::hash::Cells;
use landfall_core::{RowKey, Value};
use landfall_protocol::{Change, Chunk, ServerMessage};

use super::Violation;
use crate::history::cell;
use crate::network::ConnId;
use crate::world::World;

/// The read rules of the schema, once more.
pub fn may_read(table: &str, row: &Cells, subject: &str) -> bool {
    match table {
        "things" | "things_history" => {
            *cell(row, "owner") == Value::Text(subject.to_owned()) || *cell(row, "shown") == Value::Bool(true)
        }
        _ => true,
    }
}

/// Looks at a message that leaves the server.
///
/// # Errors
/// When it shows what the subject may not see, or what is not so.
pub fn message(world: &mut World, conn: ConnId, message: &ServerMessage) -> Result<(), Violation> {
    match message {
        ServerMessage::Opened { buckets, .. } => {
            for opening in buckets {
                let columns = opening.columns.iter().map(|(name, _)| name.clone()).collect();
                world.buckets.insert(opening.bucket, (opening.table.clone(), columns));
            }
            Ok(())
        }
        ServerMessage::Live { buckets, .. } => {
            for bucket in buckets {
                changes(world, conn, bucket.bucket, &bucket.changes.0)?;
            }
            Ok(())
        }
        ServerMessage::CatchUp { bucket, changes: list, .. } => changes(world, conn, *bucket, &list.0),
        ServerMessage::Acknowledge { decisions, .. } => super::actions::told(decisions),
        _ => Ok(()),
    }
}

fn changes(world: &mut World, conn: ConnId, bucket: landfall_core::BucketId, list: &[Change]) -> Result<(), Violation> {
    let Some(subject) = subject_of(world, conn) else { return Ok(()) };
    let Some((table, columns)) = world.buckets.get(&bucket) else {
        return Err(Violation::new("policy", format!("changes of bucket {bucket}, which was never opened")));
    };
    let keys = world.schema.table(table).map_or(1, |t| t.primary_key.len());
    let mut last = 0;
    for change in list {
        if change.seq() < last {
            return Err(Violation::new("policy", format!("changes of {table} are not in order of sequence")));
        }
        last = change.seq();
        let Change::Put { seq, key, cells, .. } = change else { continue };
        let row = visible(world, &subject, table, key, *seq)?;
        for (at, value) in cells {
            let Some(column) = columns.get(*at as usize).filter(|_| *at as usize >= keys) else {
                return Err(Violation::new("policy", format!("a change of {table} names column {at}")));
            };
            if cell(row, column) != value {
                let text = format!("{table} {key:?} at {seq}: {column} = {value:?} was sent, the log has {row:?}");
                return Err(Violation::new("policy", text));
            }
        }
    }
    world.coverage.add("check policy.change", list.len() as u64);
    Ok(())
}

/// Looks at a chunk.
///
/// # Errors
/// When it shows what the owner of the device may not see, or what is not so.
pub fn chunk(world: &mut World, device: usize, chunk: &Chunk) -> Result<(), Violation> {
    let subject = world.devices[device].subject();
    let Some((table, columns)) = world.buckets.get(&chunk.bucket) else { return Ok(()) };
    let keys = world.schema.table(table).map_or(1, |t| t.primary_key.len());
    for at in 0..chunk.rows.len() {
        let value = |column: &usize| chunk.rows.columns[*column].1[at].clone();
        let key = RowKey((0..keys).map(|c| value(&c)).collect());
        let row = visible(world, &subject, table, &key, chunk.read_at)?;
        for (column, name) in columns.iter().enumerate().skip(keys) {
            if *cell(row, name) != value(&column) {
                let text = format!(
                    "{table} {key:?} read at {}: {name} = {:?} was sent, the log has {row:?}",
                    chunk.read_at,
                    value(&column)
                );
                return Err(Violation::new("policy", text));
            }
        }
    }
    world.coverage.add("check policy.chunk_row", chunk.rows.len() as u64);
    Ok(())
}

fn visible<'a>(world: &'a World, subject: &str, table: &str, key: &RowKey, seq: u64) -> Result<&'a Cells, Violation> {
    let Some(row) = world.history.row_at(table, key, seq) else {
        let text = format!("{table} {key:?} was sent as of {seq}, when there was no such row");
        return Err(Violation::new("policy", text));
    };
    if may_read(table, row, subject) {
        return Ok(row);
    }
    Err(Violation::new("policy", format!("{subject} was sent {table} {key:?} as of {seq}, which is hidden: {row:?}")))
}

fn subject_of(world: &World, conn: ConnId) -> Option<String> {
    let device = world.network.connections.get(&conn)?.device;
    Some(world.devices[device].subject())
}
