//! `order`, `fate`: what an author wished of a transaction is what is pushed, and whoever requires something is not there
//! without it.

use landfall_client::db::{EntryState, OutboxEntry};
use landfall_core::error::codes;
use landfall_core::schema::OnDelete;
use landfall_core::{Operation, RowKey, Transaction};
use landfall_server::commit::LogEntry;

use super::{Violation, ledger, revised};
use crate::workload::Wish;
use crate::world::World;

/// A transaction was written.
///
/// # Errors
/// When it does not name what its author wished it to follow, although that is not decided yet.
pub fn are_heard(world: &mut World, device: usize, wishes: &[Wish], rseq: Option<u64>) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let entry = |rseq: u64| process.engine.db().entry(rseq).ok().flatten();
    let Some(written) = rseq.and_then(entry) else { return Ok(()) };
    for wish in wishes {
        let named = revised::current(world, device, wish.rseq);
        let waits = entry(named).is_some_and(|e| matches!(e.state, EntryState::Queued | EntryState::Sent));
        let Transaction { after, requires, .. } = &written.transaction;
        let text =
            |what: &str| format!("{} wished {} to {what} {}, and it does not", machine.name, written.rseq, wish.rseq);
        if waits && !after.contains(&named) {
            return Err(Violation::new("order", text("follow")));
        }
        if waits && wish.requires && !requires.contains(&named) {
            return Err(Violation::new("fate", text("require")));
        }
    }
    if rseq.is_some_and(|rseq| rseq.is_multiple_of(4)) {
        requires_its_rows(world, device, &written)?;
    }
    if !wishes.is_empty() {
        world.coverage.hit("work wished");
    }
    Ok(())
}

/// What changes a row that is only here so far, or points to one, cannot be without the transaction that made it.
fn requires_its_rows(world: &World, device: usize, written: &OutboxEntry) -> Result<(), Violation> {
    let Some(process) = &world.devices[device].process else { return Ok(()) };
    let outbox = process.engine.outbox().unwrap_or_default();
    // What waits for the last word on something that it required is not seen.
    let is_seen = |e: &&OutboxEntry| {
        let hidden = e.problem.as_ref().is_some_and(|problem| problem.code == codes::DEPENDS_ON_REFUSED);
        e.rseq < written.rseq && matches!(e.state, EntryState::Queued | EntryState::Sent) && !hidden
    };
    let seen: Vec<&OutboxEntry> = outbox.iter().filter(is_seen).collect();
    let makes = |e: &OutboxEntry, table: &str, key: &RowKey| {
        let is_it = |o: &Operation| matches!(o, Operation::Insert { .. }) && o.table() == table && o.key() == key;
        e.transaction.operations.iter().any(is_it)
    };
    for operation in &written.transaction.operations {
        let table = world.schema.table(operation.table());
        let own =
            (!matches!(operation, Operation::Insert { .. })).then(|| (operation.table(), operation.key().clone()));
        let is_new = matches!(operation, Operation::Insert { .. });
        let keys = table.map(|table| &table.primary_key[..]).unwrap_or_default();
        let by_key = keys.iter().zip(&operation.key().0).filter(|_| is_new);
        let cells = operation.cells().iter().map(|write| (&write.column, &write.value));
        let targets = by_key.chain(cells).filter_map(|(column, value)| {
            let reference = table?.column(column)?.references.as_ref()?;
            let needs = !value.is_null() && reference.on_delete != OnDelete::KeepOrphan;
            needs.then(|| (reference.table.as_str(), RowKey::single(value.clone())))
        });
        for (table, key) in own.into_iter().chain(targets) {
            let maker = seen.iter().rev().find(|e| makes(e, table, &key)).map(|e| e.rseq);
            if let Some(maker) = maker.filter(|maker| !written.transaction.requires.contains(maker)) {
                let text = format!(
                    "{} of {} needs {table} {key:?}, which {maker} makes, and does not require that",
                    written.rseq, world.devices[device].name
                );
                return Err(Violation::new("fate", text));
            }
        }
    }
    Ok(())
}

/// Looks at a transaction that is about to be added to the history.
///
/// # Errors
/// When it requires another that is not there.
pub fn share_a_fate(world: &World, entry: &LogEntry, transaction: &Transaction) -> Result<(), Violation> {
    // One copy of a database does not require what the other wrote under the same number.
    if world.ledger.copied.contains(&entry.replica) {
        return Ok(());
    }
    // What has a name of its own here, and was not decided under another before.
    let is_offered = |rseq: u64| {
        let named = (entry.replica, rseq, [0; 16])..=(entry.replica, rseq, [0xff; 16]);
        let mut offered = world.pushed.range(named).map(|(_, pushed)| pushed).peekable();
        offered.peek().is_some() && offered.all(|pushed| pushed.origin.is_none())
    };
    // What was accepted in a history that the server has lost, and is of a database that was lost too, is nowhere.
    let is_forgotten = |rseq: u64| {
        let named = (entry.replica, rseq, [0; 16])..=(entry.replica, rseq, [0xff; 16]);
        let ops = world.pushed.range(named).map(|(_, pushed)| ledger::op_of_transaction(pushed));
        let is_lost = |op: Option<_>| op.map_or(!world.ledger.lost.is_empty(), |op| world.ledger.lost.contains(&op));
        world.ledger.forgetful.contains(&entry.replica) && ops.into_iter().any(is_lost)
    };
    let is_missing = |rseq: &u64| {
        is_offered(*rseq) && !is_forgotten(*rseq) && !world.history.numbers.contains_key(&(entry.replica, *rseq))
    };
    match transaction.requires.iter().copied().find(is_missing) {
        None => Ok(()),
        Some(missing) => {
            let text = format!(
                "sequence {} is {} of {}, which requires {missing}, and that was not accepted",
                entry.seq, entry.rseq, entry.replica
            );
            Err(Violation::new("fate", text))
        }
    }
}
