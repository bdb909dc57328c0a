//! `as_of`: a table as it was at a moment, as a device tells it from the history that it holds, is what the server's log
//! says of that moment. The log's own row images are read for that, and not the rows of the history.

use std::collections::{BTreeMap, BTreeSet};

use landfall_client::db::Rows;
use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use landfall_core::{RowKey, Value};
use landfall_server::commit::OUTSIDE;

use super::{Violation, lost};
use crate::history::cell;
use crate::world::World;

/// A table, and the shapes by which a device holds all of it that it may ask of the past.
const PASTS: [(&str, &str, &str); 2] = [("tags", "tags", "tags_history"), ("things", "things_mine", "things_past")];

/// A change of one row: when the server made it, by its clock in microseconds, and what the row was then.
type Step<'a> = (i64, Option<&'a Cells>);

/// Asks a running device for tables as they were at some moments.
///
/// # Errors
/// When what it tells is not so.
pub fn told(world: &mut World, device: usize, moments: usize) -> Result<(), Violation> {
    for (table, shape, past) in PASTS {
        let Some(seq) = stands_at(world, device, shape, past) else { continue };
        for _ in 0..moments {
            let Some(at_us) = some_moment(world, device, table, seq) else { break };
            at(world, device, table, seq, at_us)?;
        }
    }
    Ok(())
}

/// Where a device that holds both shapes stands in the present history.
fn stands_at(world: &World, device: usize, shape: &str, past: &str) -> Option<u64> {
    let process = world.devices[device].process.as_ref()?;
    let cursor = process.engine.db().cursor()?;
    let known = world.history.log.get(&cursor.seq).is_some_and(|logged| logged.chain == cursor.chain);
    let complete = [shape, past].iter().all(|shape| process.completeness(shape) == Some(true));
    (known && complete && cursor.epoch == world.history.epoch).then_some(cursor.seq)
}

/// A moment at or about a change, of which the server still keeps what a state needs.
fn some_moment(world: &mut World, device: usize, table: &str, seq: u64) -> Option<i64> {
    let dice = &mut world.devices[device].whims;
    let (back, beside) = (dice.below(seq.min(60)), [-1, 0, 0, 1, 250_000][dice.index(5)]);
    let at_us = world.history.log.get(&(seq - back))?.at_ms as i64 * 1_000 + beside;
    let keep_ms = world.schema.table(table)?.history?.keep_ms;
    let forgets = world.history.log.range(..=seq).filter(|(_, logged)| logged.replica == OUTSIDE);
    let cutoff = |at_ms: u64, keep_ms: u64| at_ms.saturating_sub(keep_ms) as i64 * 1_000;
    let kept_from = keep_ms.and_then(|keep_ms| forgets.map(|(_, logged)| cutoff(logged.at_ms, keep_ms)).max());
    Some(at_us.max(kept_from.unwrap_or(i64::MIN)))
}

fn at(world: &mut World, device: usize, table: &str, seq: u64, at_us: i64) -> Result<(), Violation> {
    let Some(table) = world.schemas[world.devices[device].version].table(table) else { return Ok(()) };
    let Some(process) = &world.devices[device].process else { return Ok(()) };
    let engine = &process.engine;
    let (past, now) = (engine.db().as_of(&table.name, at_us), engine.query(&all_of(table), &[]));
    // A disk that fails is told of elsewhere.
    let (Ok(past), Ok(now)) = (past, now) else { return Ok(()) };
    let subject = world.devices[device].subject();
    let steps = steps(world, table, seq, &subject);
    // What has no history here is taken as it is.
    let mut expected = by_key(table, &now);
    expected.retain(|key, _| !steps.contains_key(key));
    let without = expected.len();
    for (key, steps) in &steps {
        let newest = steps.iter().rev().find(|(at, _)| *at <= at_us);
        if let Some((_, Some(row))) = newest {
            expected.insert(key.clone(), table.columns.iter().map(|c| cell(row, &c.name).clone()).collect());
        }
    }
    let found = by_key(table, &past);
    if found != expected || found.len() != past.rows.len() {
        let keys: BTreeSet<&RowKey> = found.keys().chain(expected.keys()).collect();
        let key = keys.into_iter().find(|key| found.get(key) != expected.get(key));
        let (is, was) = (key.and_then(|key| found.get(key)), key.and_then(|key| expected.get(key)));
        let text = format!(
            "{} at {seq} tells {} {key:?} as of {at_us} as {is:?}, it was {was:?}; its changes were {:?}",
            world.devices[device].name,
            table.name,
            key.and_then(|key| steps.get(key))
        );
        return Err(Violation::new("as_of", text));
    }
    if expected.len() > without {
        world.coverage.hit("check as_of.row");
    }
    Ok(())
}

/// What became of every row of which the device holds a change.
fn steps<'a>(world: &'a World, table: &'a Table, seq: u64, subject: &str) -> BTreeMap<RowKey, Vec<Step<'a>>> {
    let sees = |row: &Cells| table.name != "things" || *cell(row, "owner") == Value::Text(subject.to_owned());
    let history = table.history_table();
    let kept: BTreeSet<RowKey> = world
        .history
        .states_of(&history)
        .filter_map(|(_, states)| states.iter().rev().find(|(at, _)| *at <= seq)?.1.as_ref())
        .filter(|change| sees(change) && !lost::is_lost(change))
        .filter_map(|change| table.key_of(change))
        .collect();
    let mut out = BTreeMap::new();
    for (key, states) in world.history.states_of(&table.name).filter(|(key, _)| kept.contains(key)) {
        let (mut before, mut steps) = (None, Vec::new());
        for (seq, after) in states.iter().take_while(|(at, _)| *at <= seq) {
            let after = after.as_ref();
            let seen = after.or(before).is_some_and(sees);
            if let Some(logged) = world.history.log.get(seq).filter(|_| seen && before != after) {
                steps.push((logged.at_ms as i64 * 1_000, after));
            }
            before = after;
        }
        out.insert(key.clone(), steps);
    }
    out
}

fn all_of(table: &Table) -> String {
    let names: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    format!("SELECT {} FROM \"{}\"", names.join(", "), table.name)
}

fn by_key(table: &Table, rows: &Rows) -> BTreeMap<RowKey, Vec<Value>> {
    let places = table.primary_key.iter().filter_map(|name| table.columns.iter().position(|c| c.name == *name));
    let places: Vec<usize> = places.collect();
    let key = |row: &Vec<Value>| RowKey(places.iter().map(|at| row[*at].clone()).collect());
    rows.rows.iter().map(|row| (key(row), row.clone())).collect()
}
