//! `flicker`, `atomic`, `monotone`, `live`: the history that live queries show.

use std::collections::{BTreeMap, BTreeSet};

use landfall_client::db::EntryState;
use landfall_client::live::{QueryId, Row, RowsDiff};
use landfall_core::{ColumnType, Operation, RowKey, Value};

use super::Violation;
use super::ledger::op_of_transaction;
use crate::device::{Process, Watch};
use crate::workload::OpId;
use crate::world::World;

/// A live query changed.
///
/// # Errors
/// When what it shows now must not be.
pub fn differences(world: &mut World, device: usize, query: QueryId, diff: &RowsDiff) -> Result<(), Violation> {
    let machine = &mut world.devices[device];
    let name = machine.name.clone();
    let Some(process) = machine.process.as_mut() else { return Ok(()) };
    let Some((watch, rows)) = process.watches.get_mut(&query) else {
        return Err(Violation::new("live", format!("{name} got an answer of a query that it does not watch")));
    };
    let before = rows.clone();
    diff.apply(rows);
    let now = world.now;
    world.trace.line(now, &name, || format!("{watch:?} changes: {diff:?}"));
    let (watch, rows) = (*watch, rows.clone());
    world.coverage.hit(&format!("check live.{watch:?}"));
    match watch {
        Watch::Pairs => atomic(world, device, &rows),
        Watch::Ops => overlay(world, device, &rows).and_then(|()| vanished(world, device, &before, &rows)),
        // What is still loading may be older than what was here before its shape was closed.
        Watch::Ticks if diff.complete => monotone(world, device, &rows),
        Watch::Ticks => Ok(()),
        Watch::Things => Ok(()),
    }
}

/// Every transaction writes the same number under the same key into both tables.
fn atomic(world: &World, device: usize, rows: &[Row]) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let both = [process.completeness("lefts"), process.completeness("rights")];
    if both.iter().any(|c| *c != Some(true)) {
        return Ok(());
    }
    match rows.iter().find(|row| row[1] != row[3] && !is_left_over(process, row)) {
        Some(half) => {
            let id = [&half[0], &half[2]].into_iter().find(|id| !id.is_null()).map(Value::to_json);
            let key = id.and_then(|id| Value::from_json(&id, ColumnType::Uuid).ok()).map(RowKey::single);
            let of = |table| key.as_ref().map(|key| world.history.states(table, key));
            let text = format!(
                "{} at {:?} sees half a transaction: {half:?}; the server has {:?} and {:?}",
                machine.name,
                process.engine.db().cursor().map(|c| c.seq),
                of("lefts"),
                of("rights")
            );
            Err(Violation::new("atomic", text))
        }
        None => Ok(()),
    }
}

/// Whether one half is gone, and the other is kept of a closed shape until the own work on it settles: that it was deleted
/// meanwhile is not known of it (docs/simulator.md, "What is not promised").
fn is_left_over(process: &Process, row: &Row) -> bool {
    let id = match (&row[0], &row[2]) {
        (id, other) if other.is_null() => id,
        (other, id) if other.is_null() => id,
        _ => return false,
    };
    let Some(key) = Value::from_json(&id.to_json(), ColumnType::Uuid).ok().map(RowKey::single) else { return false };
    let outbox = process.engine.outbox().unwrap_or_default();
    let touches = |o: &Operation| ["lefts", "rights"].contains(&o.table()) && *o.key() == key;
    outbox.iter().any(|e| e.state != EntryState::Dead && e.transaction.operations.iter().any(touches))
}

/// A transaction that the server has not refused, and that has not settled, is always seen.
fn overlay(world: &World, device: usize, rows: &[Row]) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let seen: BTreeSet<OpId> = rows.iter().filter_map(|row| OpId::of_value(&row[0])).collect();
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    // One that requires a refused entry is hidden with it, while the server still has the last word.
    for entry in outbox.iter().filter(|e| e.state != EntryState::Dead && e.problem.is_none()) {
        let Some(op) = op_of_transaction(&entry.transaction) else { continue };
        if !seen.contains(&op) {
            let text = format!("{} does not see its own {op:?}, which is {:?}", machine.name, entry.state);
            return Err(Violation::new("flicker", text));
        }
    }
    settled(world, device, process, &seen)
}

/// What the server accepted does not go again, not even for a moment, while its shape is complete.
fn vanished(world: &World, device: usize, before: &[Row], after: &[Row]) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let Some(cursor) = process.engine.db().cursor() else { return Ok(()) };
    let known = world.history.log.get(&cursor.seq).is_some_and(|logged| logged.chain == cursor.chain);
    if process.completeness("ops") != Some(true) || !known || cursor.epoch != world.history.epoch {
        return Ok(());
    }
    let ops = |rows: &[Row]| -> BTreeSet<OpId> { rows.iter().filter_map(|row| OpId::of_value(&row[0])).collect() };
    // What was accepted under an id that this database has given up comes back through its shape.
    let replica = process.engine.db().replica();
    // Nor is what ended here, or was changed, before it was sent: it was a copy of this database that sent it.
    let copied = world.ledger.copied.contains(&replica);
    let unsaid = |rseq: u64| copied && world.ledger.unsaid.contains(&(replica, rseq));
    let own = |seq: &u64| world.history.log.get(seq).is_some_and(|l| l.replica == replica && !unsaid(l.rseq));
    let accepted = |op: &OpId| world.history.ops.get(op).is_some_and(|seqs| seqs.iter().any(own));
    match ops(before).difference(&ops(after)).find(|op| accepted(op) && !world.ledger.is_given_up(**op)) {
        Some(op) => {
            let text = format!("{} does not see {op:?} any more, which the server accepted", machine.name);
            Err(Violation::new("flicker", text))
        }
        None => Ok(()),
    }
}

/// What the server accepted stays: with the shape complete, nothing up to the cut is missing.
fn settled(world: &World, device: usize, process: &Process, seen: &BTreeSet<OpId>) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(cursor) = process.engine.db().cursor() else { return Ok(()) };
    // A device that stands in a history that a restored server has lost will hear of it.
    let known = world.history.log.get(&cursor.seq).is_some_and(|logged| logged.chain == cursor.chain);
    if process.completeness("ops") != Some(true) || !known || cursor.epoch != world.history.epoch {
        return Ok(());
    }
    let here = |seqs: &BTreeSet<u64>| seqs.first().is_some_and(|seq| *seq <= cursor.seq);
    match world.history.ops.iter().find(|(op, seqs)| here(seqs) && !seen.contains(op)) {
        Some((op, seqs)) => {
            let text = format!("{} stands at {} and does not see {op:?} of {seqs:?}", machine.name, cursor.seq);
            Err(Violation::new("flicker", text))
        }
        None => Ok(()),
    }
}

/// A count that one device alone writes never goes back for the others.
fn monotone(world: &mut World, device: usize, rows: &[Row]) -> Result<(), Violation> {
    let machine = &mut world.devices[device];
    for row in rows {
        let (Value::Text(owner), Value::Int(n)) = (&row[0], &row[1]) else { continue };
        if *owner == machine.name || world.ledger.tainted.contains(owner) {
            continue;
        }
        let seen = machine.seen_ticks.entry(owner.clone()).or_insert(*n);
        if *n < *seen {
            let text = format!("{} sees {owner} at {n} after it saw {seen}", machine.name);
            return Err(Violation::new("monotone", text));
        }
        *seen = *n;
    }
    Ok(())
}

/// The answers that differences built up are what the queries give when they are run.
///
/// # Errors
/// When they are not.
pub fn answers(world: &mut World, device: usize) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let mut all: BTreeMap<Watch, Vec<Row>> = BTreeMap::new();
    for (watch, rows) in process.watches.values() {
        let Ok(fresh) = process.engine.query(watch.sql(), &[]) else { return Ok(()) };
        let same = fresh.rows.len() == rows.len()
            && fresh.rows.iter().zip(rows).all(|(a, b)| a.iter().zip(b).all(|(a, b)| stored(a) == stored(b)));
        if !same {
            let text = format!("{}: {watch:?} shows {rows:?}, and is {:?}", machine.name, fresh.rows);
            return Err(Violation::new("live", text));
        }
        all.insert(*watch, rows.clone());
    }
    if let Some(rows) = all.get(&Watch::Pairs) {
        atomic(world, device, rows)?;
    }
    if let Some(rows) = all.get(&Watch::Ops) {
        overlay(world, device, rows)?;
    }
    world.coverage.hit("check live.answers");
    Ok(())
}

/// Live queries give storage classes where a column's type is not known.
fn stored(value: &Value) -> landfall_core::value::SqliteValue {
    value.to_sqlite()
}
