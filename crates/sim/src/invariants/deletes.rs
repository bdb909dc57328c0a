//! `deletes`: a row that is gone comes back only by somebody who had not seen that, where the table says so, as long as it is
//! remembered; and it goes when somebody deletes it who has seen all that others did to it.

use landfall_core::hash::Cells;
use landfall_core::schema::{Column, DeleteRule, OnDelete, Table};
use landfall_core::{Operation, ReplicaId, RowKey, Transaction};
use landfall_server::commit::{LogEntry, OUTSIDE};

use super::{Violation, policy};
use crate::TOMBSTONES_MS;
use crate::history::cell;
use crate::world::World;

/// Looks at a transaction that is about to be added to the history; how many updates of rows that were gone, and deletes.
///
/// # Errors
/// When one of them brought a row back that it must not, or left one that it must not.
pub fn told(world: &World, entry: &LogEntry, transaction: &Transaction) -> Result<u64, Violation> {
    let mut checked = 0;
    for operation in &transaction.operations {
        let Some(table) = world.schema.table(operation.table()) else { continue };
        // What its parent takes along and brings back is another story.
        let follows =
            |c: &Column| c.references.as_ref().is_some_and(|reference| reference.on_delete == OnDelete::Cascade);
        if table.columns.iter().any(follows) || table.name.ends_with("_conflicts") {
            continue;
        }
        let key = operation.key();
        // What one may not read is not there to be deleted.
        let is_seen = world.history.row_at(&table.name, key, entry.seq - 1);
        let is_seen = is_seen.is_some_and(|row| policy::may_read(&table.name, row, &entry.subject));
        let was_live = world.history.row_at(&table.name, key, entry.seq - 1).is_some();
        let change = entry.changes.iter().find(|c| c.table == table.name && c.key == *key);
        let is_live = change.map_or(was_live, |change| change.after.is_some());
        let wrong = match operation {
            Operation::Update { base, .. } if !was_live => {
                checked += 1;
                is_live.then(|| not_revivable(world, entry, table, key, believed(*base, entry))).flatten()
            }
            Operation::Delete { base, .. } if was_live => {
                checked += 1;
                let (all, kept) = unseen(world, table, key, believed(*base, entry), entry.replica);
                match (kept, is_live) {
                    (None, true) if all == 0 && is_seen && !is_repeated(world, operation, entry) => {
                        Some("which its author had seen as it was, and it is there".to_owned())
                    }
                    (Some(seq), false) if table.on_delete_conflict != DeleteRule::DeleteWins => {
                        Some(format!("which somebody changed at {seq}, unseen by its author, and it is gone"))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            let text = format!("sequence {} has {operation:?}: {} {key:?}, {wrong}", entry.seq, table.name);
            return Err(Violation::new("deletes", text));
        }
    }
    Ok(checked)
}

/// Who has seen what is not there yet has seen another history, and nothing of this one.
fn believed(base: u64, entry: &LogEntry) -> u64 {
    if base < entry.seq { base } else { 0 }
}

/// Whether somebody else wrote since what the row holds already: it has not changed, and is no less theirs.
fn is_repeated(world: &World, deleted: &Operation, entry: &LogEntry) -> bool {
    let Operation::Delete { base, .. } = deleted else { return false };
    let since = world
        .history
        .log
        .range(believed(*base, entry) + 1..entry.seq)
        .filter(|(_, logged)| logged.replica != entry.replica);
    since.filter_map(|(_, logged)| world.pushed.get(&(logged.replica, logged.rseq, logged.hash))).any(|transaction| {
        transaction.operations.iter().any(|o| o.table() == deleted.table() && o.key() == deleted.key())
    })
}

/// Why an update with this base must not bring a row back.
fn not_revivable(world: &World, entry: &LogEntry, table: &Table, key: &RowKey, base: u64) -> Option<String> {
    let states = world.history.states(&table.name, key);
    let deleted = states.iter().rev().take_while(|(_, row)| row.is_none()).last();
    let Some((seq, _)) = deleted else { return Some("which never was, is there".to_owned()) };
    let logged = world.history.log.get(seq)?;
    if table.on_delete_conflict == DeleteRule::DeleteWins {
        return Some(format!("deleted at {seq} for good, is back"));
    }
    if logged.replica == entry.replica || *seq <= base {
        return Some(format!("whose delete at {seq} its author had seen, is back"));
    }
    let is_forgotten = logged.at_ms < entry.at_ms.saturating_sub(TOMBSTONES_MS);
    is_forgotten.then(|| format!("deleted at {seq} and forgotten since, is back"))
}

/// How many changes others made after `base` of the row, or of its documents; and the sequence of one that must still be in it.
fn unseen(world: &World, table: &Table, key: &RowKey, base: u64, author: ReplicaId) -> (usize, Option<u64>) {
    let by_other = |seq: &u64| world.history.log.get(seq).is_some_and(|logged| logged.replica != author);
    let of_row: Vec<u64> = world.history.changes_after(&table.name, key, base).filter(by_other).collect();
    // Where one of two values wins, what the author wrote over it is all that is left; where both count, both are there.
    let is_there = |seq: &u64| {
        let later: Vec<u64> = world.history.changes_after(&table.name, key, *seq).collect();
        let row = |at: u64| world.history.row_at(&table.name, key, at);
        let (Some(before), Some(after)) = (row(seq - 1), row(*seq)) else { return false };
        let in_parts = |c: &Column| c.merge.change().is_some() && cell(before, &c.name) != cell(after, &c.name);
        later.iter().all(|at| row(*at).is_some()) && (later.is_empty() || table.columns.iter().any(in_parts))
    };
    let kept = of_row.iter().rev().find(|seq| is_there(seq)).copied();
    let docs = format!("{}_docs", table.name);
    let typed = world.history.states_of(&docs).filter_map(|(_, states)| {
        let of_it =
            |(_, row): &(u64, Option<Cells>)| row.as_ref().is_some_and(|row| key.0[..] == [cell(row, "id").clone()]);
        let seq = states.first()?.0;
        // What the server puts together was typed before.
        let is_typed = |seq: &u64| world.history.log.get(seq).is_some_and(|logged| logged.replica != OUTSIDE);
        (states.iter().any(of_it) && seq > base && by_other(&seq) && is_typed(&seq)).then_some(seq)
    });
    let was_deleted = |seq: &u64| {
        world
            .history
            .changes_after(&table.name, key, *seq)
            .any(|at| world.history.row_at(&table.name, key, at).is_none())
    };
    let typed: Vec<u64> = typed.collect();
    let kept = kept.or_else(|| typed.iter().find(|seq| !was_deleted(seq)).copied());
    (of_row.len() + typed.len(), kept)
}
