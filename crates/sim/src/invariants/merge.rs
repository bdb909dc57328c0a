//! `merge`, `order`: what the server makes of a transaction, told from what was pushed.

use std::collections::BTreeSet;

use landfall_core::hash::{Cells, ContentHash};
use landfall_core::rules::{MergeRule, Winner};
use landfall_core::schema::Column;
use landfall_core::{CellWrite, Change, Operation, ReplicaId, RowKey, Transaction, Value};
use landfall_server::commit::LogEntry;

use super::{Violation, parts};
use crate::history::cell;
use crate::world::World;

/// Looks at a transaction that is about to be added to the history.
///
/// # Errors
/// When it was decided too early, or a cell lost to a value that its author had seen.
pub fn follows(world: &World, entry: &LogEntry, transaction: &Transaction) -> Result<(), Violation> {
    let own = (entry.replica, entry.rseq + 1, [0; 16])..=(entry.replica, u64::MAX, [0xff; 16]);
    let is_logged = |(replica, rseq, hash): (ReplicaId, u64, ContentHash)| {
        let seq = world.history.numbers.get(&(replica, rseq));
        seq.and_then(|seq| world.history.log.get(seq)).is_some_and(|logged| logged.hash == hash)
    };
    let rows = |t: &Transaction| -> BTreeSet<(String, RowKey)> {
        t.operations.iter().map(|o| (o.table().to_owned(), o.key().clone())).collect()
    };
    // Where history was lost it need not name what it follows: that was settled when it was written.
    let written = (!world.ledger.lost.is_empty()).then(|| rows(transaction));
    let shares = |t: &Transaction| written.as_ref().is_some_and(|written| !rows(t).is_disjoint(written));
    let follows = |t: &Transaction| t.after.contains(&entry.rseq) || shares(t);
    let mut later = world.pushed.range(own).filter(|(_, t)| follows(t));
    // One copy may know a decision of a lost history that the other does not; see "What is not promised".
    let known_apart = world.ledger.copied.contains(&entry.replica) && !world.ledger.lost.is_empty();
    // On one copy it may have ended, or been changed or withdrawn, while the other sends it as it was.
    let unsaid = world.ledger.unsaid.contains(&(entry.replica, entry.rseq));
    let known_apart = known_apart || (unsaid && world.ledger.copied.contains(&entry.replica));
    // One copy that lost its database goes on from far beyond, and says that all before is decided.
    let beyond = (entry.replica, entry.rseq.saturating_add(1 << 31), [0; 16])..=(entry.replica, u64::MAX, [0xff; 16]);
    let leaps = world.pushed.range(beyond).next().is_some();
    let known_apart = known_apart || (leaps && world.ledger.copied.contains(&entry.replica));
    // Nor does one copy follow what the other wrote under the same id.
    let by = |name: &(ReplicaId, u64, ContentHash)| world.ledger.offered.get(name);
    let own = by(&(entry.replica, entry.rseq, entry.hash));
    let of_another = |name| match (own, by(name)) {
        (Some(one), Some(other)) => world.ledger.copied.contains(&entry.replica) && one.is_disjoint(other),
        _ => false,
    };
    if let Some((name, _)) = later.find(|(name, _)| is_logged(**name) && !known_apart && !of_another(name)) {
        let text = format!("transaction {} of {} was decided before {}, which it follows", name.1, name.0, entry.rseq);
        return Err(Violation::new("order", text));
    }
    for operation in &transaction.operations {
        let base = match operation {
            Operation::Insert { base, .. } | Operation::Update { base, .. } => *base,
            Operation::Delete { .. } => continue,
        };
        for write in operation.cells() {
            wins(world, entry, operation, write, base)?;
        }
    }
    handled(entry)
}

/// What a handler writes rests on the rows as they are at that moment: nothing is concurrent to it, whenever the
/// transaction itself was written. So whoever got a number for a sale took something from the stock.
fn handled(entry: &LogEntry) -> Result<(), Violation> {
    let left = |row: Option<&Cells>| row.map(|row| cell(row, "left").clone());
    for sale in entry.changes.iter().filter(|c| c.table == "sales" && c.before.is_none()) {
        let Some(after) = sale.after.as_ref().filter(|row| matches!(cell(row, "number"), Value::Int(_))) else {
            continue;
        };
        let stock = RowKey::single(cell(after, "product").clone());
        let takes = |c: &&landfall_server::commit::RowChange| c.table == "stocks" && c.key == stock;
        if !entry.changes.iter().filter(takes).any(|c| left(c.before.as_ref()) != left(c.after.as_ref())) {
            let text =
                format!("sequence {} sells {stock:?}, and what its handler wrote to the stock is lost", entry.seq);
            return Err(Violation::new("merge", text));
        }
    }
    Ok(())
}

/// What a rule makes of a write that has seen what is stored, said once more and apart from the rule itself.
fn expected(rule: MergeRule, stored: &Value, written: &Value) -> Winner {
    let stays = match rule.name() {
        "first" => !stored.is_null(),
        "max" => written.is_null() || (!stored.is_null() && stored >= written),
        "min" => written.is_null() || (!stored.is_null() && stored <= written),
        _ => false,
    };
    if stays { Winner::Stored } else { Winner::Written }
}

/// An increment counts whatever anybody else does.
fn counts(entry: &LogEntry, operation: &Operation, write: &CellWrite) -> Result<(), Violation> {
    let (table, key) = (operation.table(), operation.key());
    let change = entry.changes.iter().find(|c| c.table == table && c.key == *key);
    let value = |row: Option<&Cells>| row.map(|row| cell(row, &write.column).clone());
    let (before, after) = match change {
        Some(change) => (value(change.before.as_ref()), value(change.after.as_ref())),
        None => (None, None),
    };
    let units = |value: &Value| match value {
        Value::Int(n) => *n,
        Value::Decimal(n) => n.units,
        _ => 0,
    };
    let before = match (operation, &before, &after) {
        (_, Some(before), Some(_)) => units(before),
        (Operation::Insert { .. }, None, Some(_)) => 0,
        // Nothing was written, or the row came back as it was last.
        _ => return Ok(()),
    };
    // Whoever makes a row that is there, and had seen it, adds nothing to it.
    let seen = |base: u64| write.base.unwrap_or(base) > 0;
    let added = match operation {
        Operation::Insert { base, .. } if seen(*base) && change.is_some_and(|c| c.before.is_some()) => 0,
        _ => units(&write.value),
    };
    let after = after.as_ref().map_or(0, units);
    if before + added == after {
        return Ok(());
    }
    let text = format!("{table} {key:?} {}: {before} and {added} came to {after} at {}", write.column, entry.seq);
    Err(Violation::new("merge", text))
}

/// A cell that nobody else changed after the author saw it becomes what the author wrote, as far as its rule allows.
fn wins(world: &World, entry: &LogEntry, operation: &Operation, write: &CellWrite, base: u64) -> Result<(), Violation> {
    match write.change {
        Some(Change::Add) => return counts(entry, operation, write),
        Some(Change::Edit) => return parts::merged(world, entry, operation, write, write.base.unwrap_or(base)),
        None => {}
    }
    if super::settled::may_be_renamed(operation, write) {
        return Ok(());
    }
    // A reference may be emptied by the rule for rows that are gone.
    let refers = |c: &Column| c.name == write.column && c.references.is_some();
    if world.schema.table(operation.table()).is_some_and(|t| t.columns.iter().any(refers)) {
        return Ok(());
    }
    let (table, key, base) = (operation.table(), operation.key(), write.base.unwrap_or(base));
    let rule = world.schema.table(table).map_or(MergeRule::LWW, |t| t.rule(&write.column));
    let change = entry.changes.iter().find(|c| c.table == table && c.key == *key);
    let after = match change {
        Some(change) => change.after.as_ref(),
        None => world.history.row_at(table, key, entry.seq),
    };
    let before = change.map_or(after, |change| change.before.as_ref()).map(|row| cell(row, &write.column));
    let mut others = world.history.changes_after(table, key, base);
    // Which of two values is further out has nothing to do with who has seen which.
    let is_extreme = ["max", "min"].contains(&rule.name()) && before.is_some();
    if !is_extreme && others.any(|seq| world.history.log.get(&seq).is_none_or(|logged| logged.replica != entry.replica))
    {
        return Ok(());
    }
    let expected = match before {
        Some(before) if expected(rule, before, &write.value) == Winner::Stored => before,
        _ => &write.value,
    };
    match after.and_then(|row| row.get(&write.column)) {
        Some(value) if value != expected => {
            let text = format!(
                "{table} {key:?} {}: {:?} was written by {} with base {base}, which nobody else changed since; \
                 sequence {} left {value:?}",
                write.column, write.value, entry.replica, entry.seq
            );
            Err(Violation::new("merge", text))
        }
        _ => Ok(()),
    }
}
