//! `counters`: a device shows every increment once: those that the server has counted, and its own that it has not.

use std::collections::BTreeMap;

use landfall_client::db::{EntryState, OutboxEntry};
use landfall_core::{ColumnType, Operation, ReplicaId, RowKey, Value};

use super::typed::NOTES;
use super::{Violation, parts, typed};
use crate::history::cell;
use crate::world::World;

const TABLE: &str = "ranks";
const COLUMN: &str = "tally";
/// Columns that are changed in parts, with their rules.
const PARTS: [(&str, &str); 2] = [("words", "set"), ("traits", "map")];
/// The columns of both tables of which a row of [`own`] tells what waits.
const DONE: [&str; 3] = [PARTS[0].0, PARTS[1].0, NOTES.1];

/// What waits here for one row.
#[derive(Default)]
struct Own {
    added: i64,
    /// What is done to the columns of [`DONE`].
    done: [Vec<Value>; 3],
    /// What the server has done of it to the column of [`NOTES`].
    decided: Vec<Value>,
    /// It is made or deleted, or what does it is hidden: what it shows is not told by increments alone.
    is_other: bool,
}

/// What a device shows of the column that counts.
///
/// # Errors
/// When an increment is missing, or is there twice.
pub fn shown(world: &mut World, device: usize) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = machine.process.as_ref() else { return Ok(()) };
    let db = process.engine.db();
    // What only waits is told by what is confirmed, which convergence looks at.
    let counts = db.counts();
    if counts.sent + counts.acked == 0 {
        return Ok(());
    }
    let (Some(cursor), replica) = (db.cursor(), db.replica()) else { return Ok(()) };
    let known = world.history.log.get(&cursor.seq).is_some_and(|logged| logged.chain == cursor.chain);
    if !known || cursor.epoch != world.history.epoch {
        return Ok(());
    }
    // What a copy of this database, or a history that was lost, has of its increments is told under other names.
    if world.ledger.copied.contains(&replica) || !world.ledger.lost.is_empty() {
        return Ok(());
    }
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    let (life, name) = (machine.life, process.engine.session().connection());
    let session = world.network.find(device, life, name);
    // A session that has ended may have brought it, too: what it waits for at the server overtakes this one's Hello.
    let came_elsewhere = |rseq: u64| {
        let waiting = world.server.process.as_ref().map(|server| &server.waiting);
        session.zip(waiting).is_none_or(|(session, waiting)| waiting.has_come_elsewhere(session, replica, rseq))
    };
    let is_told = |rseq: u64, seq: u64| {
        process.fairness.is_told(rseq, seq) && (seq <= process.fairness.welcomed() || !came_elsewhere(rseq))
    };
    let mut checked = [0, 0];
    for (at, (table, check)) in [(TABLE, ranks as Check), (NOTES.0, notes)].into_iter().enumerate() {
        if process.completeness(table) == Some(true) {
            let waiting = own(world, table, replica, cursor.seq, &outbox, is_told);
            checked[at] = check(world, device, cursor.seq, &waiting)?;
        }
    }
    for (checked, name) in checked.into_iter().zip(["check counters.shown", "check typed.shown"]) {
        if checked > 0 {
            world.coverage.hit(name);
        }
    }
    Ok(())
}

/// Compares what a device shows of a table with what the server had there at a sequence, and what waits; how many rows.
type Check = fn(&World, usize, u64, &BTreeMap<RowKey, Own>) -> Result<u64, Violation>;

fn rows(world: &World, device: usize, sql: &str) -> Vec<(RowKey, Vec<Value>)> {
    let process = world.devices[device].process.as_ref();
    // Where the disk fails, the process ends.
    let rows = process.and_then(|process| process.engine.query(sql, &[]).ok()).map(|found| found.rows);
    let named = |row: Vec<Value>| {
        Some((RowKey::single(Value::from_json(&row.first()?.to_json(), ColumnType::Uuid).ok()?), row))
    };
    rows.into_iter().flatten().filter_map(named).collect()
}

fn notes(world: &World, device: usize, seq: u64, waiting: &BTreeMap<RowKey, Own>) -> Result<u64, Violation> {
    let mut checked = 0;
    for (key, row) in rows(world, device, &format!("SELECT id, {} FROM {}", NOTES.1, NOTES.0)) {
        let own = waiting.get(&key);
        let Some(server) = world.history.row_at(NOTES.0, &key, seq).filter(|_| !own.is_some_and(|own| own.is_other))
        else {
            continue;
        };
        let done = own.map_or(&[][..], |own| &own.done[2]);
        let at = format!("{} at {seq}", world.devices[device].name);
        let decided = own.map_or(&[][..], |own| &own.decided);
        typed::shown(world, &at, cell(server, NOTES.1), [done, decided], &row[1])?;
        checked += 1;
    }
    Ok(checked)
}

fn ranks(world: &World, device: usize, seq: u64, waiting: &BTreeMap<RowKey, Own>) -> Result<u64, Violation> {
    let name = &world.devices[device].name;
    let sql = format!("SELECT id, {COLUMN}, {}, {} FROM {TABLE}", PARTS[0].0, PARTS[1].0);
    let mut checked = 0;
    for (key, row) in rows(world, device, &sql) {
        let Some(server) = world.history.row_at(TABLE, &key, seq) else { continue };
        let own = waiting.get(&key);
        let (Some(Value::Int(counted)), false) = (server.get(COLUMN), own.is_some_and(|own| own.is_other)) else {
            continue;
        };
        let expected = counted + own.map_or(0, |own| own.added);
        if row[1] != Value::Int(expected) {
            let text = format!(
                "{name} at {seq} shows {:?} for {key:?}: the server has {counted} there, and {} wait",
                row[1],
                expected - counted
            );
            return Err(Violation::new("counters", text));
        }
        for (at, (column, rule)) in PARTS.into_iter().enumerate() {
            let (server, own) = (cell(server, column), own.map_or(&[][..], |own| &own.done[at]));
            let expected = if own.is_empty() { server.clone() } else { parts::over(rule, server, own) };
            if row[at + 2] != expected {
                let text = format!(
                    "{name} at {seq} shows {:?} for {column} of {key:?}: the server has {server:?} there, over which lie \
                     {own:?}",
                    row[at + 2]
                );
                return Err(Violation::new("counters", text));
            }
        }
        checked += 1;
    }
    Ok(checked)
}

/// What the server has not counted by `seq`, whatever the device knows of that.
fn own(
    world: &World,
    table: &str,
    replica: ReplicaId,
    seq: u64,
    outbox: &[OutboxEntry],
    is_told: impl Fn(u64, u64) -> bool,
) -> BTreeMap<RowKey, Own> {
    let mut waiting: BTreeMap<RowKey, Own> = BTreeMap::new();
    for entry in outbox.iter().filter(|entry| entry.state != EntryState::Dead) {
        // Under the name that it has here, or that under which a copy of this database sent it.
        let origin = entry.transaction.origin.map(|origin| (origin.replica, origin.rseq, origin.hash));
        let own = (replica, entry.rseq, entry.transaction.content_hash());
        let counted = origin.into_iter().chain([own]).find_map(|(replica, rseq, hash)| {
            let at = world.history.numbers.get(&(replica, rseq)).filter(|at| **at <= seq)?;
            world.history.log.get(at).filter(|logged| logged.hash == hash).map(|_| ((replica, rseq), *at))
        });
        let is_counted = counted.is_some();
        // Decided after this session began, and told to the one that offered it, which has ended, or to the copy of this
        // database that offered it under another name: it is offered again, and the answer to that is owed.
        let is_owed_elsewhere = counted.is_some_and(|(named, at)| {
            entry.state == EntryState::Sent && (named != (replica, entry.rseq) || !is_told(entry.rseq, at))
        });
        for operation in entry.transaction.operations.iter().filter(|o| o.table() == table) {
            let own = waiting.entry(operation.key().clone()).or_default();
            // What had several names may be counted under one that it does not remember.
            own.is_other |= is_owed_elsewhere || (origin.is_some() && !is_counted);
            own.is_other |= !matches!(operation, Operation::Update { .. }) || entry.problem.is_some();
            if let (Some(Value::Int(added)), false) = (operation.value(COLUMN), is_counted) {
                own.added += added;
            }
            own.decided.extend(operation.value(NOTES.1).filter(|_| is_counted).cloned());
            for (at, column) in DONE.into_iter().enumerate().filter(|_| !is_counted) {
                own.done[at].extend(operation.value(column).cloned());
            }
        }
    }
    waiting
}
