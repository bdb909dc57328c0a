//! `log`, `once`, `stamps`: the server's log has no holes, holds every transaction once, is not ahead of the server's
//! clock, and its row images add up to the tables.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::schema::Default;
use landfall_core::value::SqliteValue;
use landfall_core::{RowKey, Schema, Value};
use landfall_server::commit::{LogEntry, OUTSIDE};
use rusqlite::types::ValueRef;

use super::{Violation, acknowledged, docs, ledger, past};
use crate::history::Logged;
use crate::world::World;

/// Reads the log after the server started: what a crash took, what a restored copy lacks, what is new.
///
/// # Errors
/// When something that was told is gone, or the log is not in order.
pub fn after_start(world: &mut World) -> Result<(), Violation> {
    let Some(process) = &world.server.process else { return Ok(()) };
    let head = process.core.head();
    let copy = world.server.restored.take();
    let restored = copy.is_some();
    if let Some(copy) = copy {
        // Its own past is as it was when the copy was made, though the log that tells it may have been shortened since.
        let is_in_copy = |(seq, logged): (&u64, &Logged)| copy.log.get(seq).is_some_and(|l| l.chain == logged.chain);
        let lost = world.history.log.iter().filter(|entry| !is_in_copy(*entry)).filter_map(|(_, logged)| logged.op);
        world.ledger.lost.extend(lost);
        world.history = copy;
    }
    let mut common = head.seq.min(world.history.head());
    // Where the copy's history and the known one part: a copy never has another past.
    while common > 0 {
        let Some(logged) = world.history.log.get(&common) else { break };
        match process.reader.chain_at(common) {
            Ok(Some(chain)) if chain == logged.chain => break,
            Ok(None) => break,
            Ok(Some(_)) if restored || common > world.ledger.told_up_to() => common -= 1,
            Ok(Some(_)) => {
                return Err(Violation::new("log", format!("sequence {common} has another content after a start")));
            }
            // The disk failed: the next start looks again.
            Err(_) => return Ok(()),
        }
    }
    let lost = world.history.log.range(common + 1..).filter_map(|(_, logged)| logged.op);
    world.ledger.lost.extend(lost);
    world.history.rewind(common);
    read_new(world)?;
    world.coverage.hit(if restored { "seen restored server" } else { "seen server start" });
    acknowledged::after_start(world, restored)
}

/// Reads what is new in the log.
///
/// # Errors
/// When it has holes, repeats a transaction, or is ahead of the clock.
pub fn read_new(world: &mut World) -> Result<(), Violation> {
    let Some(process) = &world.server.process else { return Ok(()) };
    let head = process.core.head();
    world.history.epoch = head.epoch;
    while world.history.head() < head.seq {
        let seq = world.history.head() + 1;
        let entry = match world.server.process.as_ref().map(|p| p.reader.log_entry(seq)) {
            Some(Ok(Some(entry))) => in_newest_terms(&world.schema, entry),
            Some(Ok(None)) => {
                return Err(Violation::new("log", format!("sequence {seq} is missing, the head is {}", head.seq)));
            }
            _ => return Ok(()),
        };
        check(world, &entry)?;
        let op = world.op_of_content.get(&entry.hash).copied();
        world.history.append(entry, op);
    }
    Ok(())
}

/// A row that was written before a column was added has what the column begins with.
fn in_newest_terms(schema: &Schema, mut entry: LogEntry) -> LogEntry {
    for change in &mut entry.changes {
        let Some(table) = schema.table(&change.table) else { continue };
        for row in [&mut change.before, &mut change.after].into_iter().flatten() {
            for column in &table.columns {
                let default = || match &column.default {
                    Some(Default::Value(value)) => value.clone(),
                    _ => Value::Null,
                };
                row.entry(column.name.clone()).or_insert_with(default);
            }
        }
    }
    entry
}

fn check(world: &mut World, entry: &LogEntry) -> Result<(), Violation> {
    let seq = entry.seq;
    if entry.replica == OUTSIDE && !past::is_forgetting(world, entry)? && !docs::puts_together(world, entry)? {
        return Err(Violation::new("log", format!("sequence {seq} is a write from outside, and there are none")));
    }
    if let Some(first) = world.history.numbers.get(&(entry.replica, entry.rseq)) {
        let text = format!("transaction {} of {} is in the log at {first} and at {seq}", entry.rseq, entry.replica);
        return Err(Violation::new("once", text));
    }
    if let Some((first, _)) = world.history.log.iter().find(|(_, logged)| logged.hash == entry.hash) {
        return Err(Violation::new("once", format!("the same transaction is in the log at {first} and at {seq}")));
    }
    if entry.stamp.wall_ms > entry.at_ms {
        let text = format!("sequence {seq} has stamp {:?}, the server's clock said {}", entry.stamp, entry.at_ms);
        return Err(Violation::new("stamps", text));
    }
    // What is forgotten of a history is named, and not told.
    for change in entry.changes.iter().filter(|_| entry.replica != OUTSIDE) {
        let before = world.history.row_at(&change.table, &change.key, seq);
        if before != change.before.as_ref() {
            let text = format!(
                "sequence {seq} changes {} {:?} from {:?}, which the log before has as {before:?}",
                change.table, change.key, change.before
            );
            return Err(Violation::new("log", text));
        }
    }
    if entry.replica == OUTSIDE {
        return Ok(());
    }
    past::is_kept(world, entry)?;
    if let Some(transaction) = world.pushed.get(&(entry.replica, entry.rseq, entry.hash)).cloned() {
        let transaction = &transaction;
        if let Some(until) = transaction.expires_ms.filter(|until| *until < entry.at_ms) {
            let text = format!("sequence {seq} was carried out at {}, and was to be by {until}", entry.at_ms);
            return Err(Violation::new("expiry", text));
        }
        // Whatever became of it since.
        let end = ledger::op_of_transaction(transaction).and_then(|op| world.ledger.ends.get(&op));
        if let Some(end) = end.filter(|end| **end < entry.at_ms) {
            let text = format!("sequence {seq} was carried out at {}, and its author said {end}", entry.at_ms);
            return Err(Violation::new("expiry", text));
        }
        super::merge::follows(world, entry, transaction)?;
        super::wishes::share_a_fate(world, entry, transaction)?;
        world.coverage.add("check settled.renamed", super::settled::names(world, entry, transaction)?);
        world.coverage.add("check deletes.told", super::deletes::told(world, entry, transaction)?);
        let met = super::typed::merged(world, entry, transaction)?;
        world.coverage.add("check typed.met", met);
        world.coverage.add("check conflicts.kept", super::conflicts::are_kept(world, entry, transaction)?);
    }
    world.ledger.applied(entry)
}

/// At the end: the row images add up to the tables.
///
/// # Errors
/// When they do not.
pub fn tables(world: &World) -> Result<(), Violation> {
    let wrong = |text: String| Violation::new("log", text);
    let conn = world.server.disk.open(crate::server::DATABASE);
    let conn = conn.map_err(|e| wrong(e.to_string()))?;
    for table in world.schema.tables.iter().filter(|t| t.sync) {
        let found = rows(&conn, table).map_err(wrong)?;
        let logged: BTreeMap<RowKey, Cells> =
            world.history.rows_of(&table.name).map(|(k, c)| (k.clone(), c.clone())).collect();
        if found != logged {
            let text = format!("table {} is {found:?}, its log adds up to {logged:?}", table.name);
            return Err(wrong(text));
        }
    }
    Ok(())
}

fn rows(conn: &rusqlite::Connection, table: &landfall_core::schema::Table) -> Result<BTreeMap<RowKey, Cells>, String> {
    let text = |e: rusqlite::Error| e.to_string();
    let mut out = BTreeMap::new();
    let names: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let mut statement = conn.prepare(&format!("SELECT {} FROM \"{}\"", names.join(", "), table.name)).map_err(text)?;
    let mut found = statement.query([]).map_err(text)?;
    while let Some(row) = found.next().map_err(text)? {
        let mut cells = Cells::new();
        for (at, column) in table.columns.iter().enumerate() {
            let stored = match row.get_ref(at).map_err(text)? {
                ValueRef::Null => SqliteValue::Null,
                ValueRef::Integer(v) => SqliteValue::Integer(v),
                ValueRef::Real(v) => SqliteValue::Real(v),
                ValueRef::Text(v) => SqliteValue::Text(String::from_utf8_lossy(v).into_owned()),
                ValueRef::Blob(v) => SqliteValue::Blob(v.to_vec()),
            };
            let value: Value = Value::from_sqlite(stored, column.ty).map_err(|e| e.to_string())?;
            cells.insert(column.name.clone(), value);
        }
        let key = table.key_of(&cells).ok_or_else(|| format!("a row of {} has no key", table.name))?;
        out.insert(key, cells);
    }
    Ok(out)
}
