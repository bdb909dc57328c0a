//! `pending`, `once`, `expiry`, `undo`: what people make of what they wrote. What is changed keeps all that it said before,
//! what takes the place of something else is not there beside it, what has an end ends then, and an undo leaves what
//! somebody else has changed since.

use landfall_client::db::{Edited, EntryState, Imported, OutboxEntry, Undone, Written};
use landfall_core::error::codes;
use landfall_core::value::SqliteValue;
use landfall_core::{Operation, RowKey, Transaction};
use landfall_protocol::ServerMessage;
use landfall_protocol::server::Welcome;

use super::{Violation, ledger};
use crate::plan::Fault;
use crate::workload::OpId;
use crate::world::{Exported, World};

/// So many transactions of an app are remembered as ones that may be taken back.
const MOST_PLAIN: usize = 12;
/// What a transaction grows by at most when it goes on under another name.
const NAME_BYTES: usize = 128;
/// What expires may do so this much later: the device looks at a deadline, and clocks drift.
const SLACK_MS: u64 = 2_000;

fn entry(world: &World, device: usize, rseq: u64) -> Option<OutboxEntry> {
    let process = world.devices[device].process.as_ref()?;
    process.engine.db().entry(rseq).ok().flatten()
}

/// A transaction took the place of a dead letter.
///
/// # Errors
/// When both are there.
pub fn is_replaced(world: &World, device: usize, dead: u64, gone: &[u64]) -> Result<(), Violation> {
    if gone.contains(&dead) && entry(world, device, dead).is_none() {
        return Ok(());
    }
    let name = &world.devices[device].name;
    Err(Violation::new("once", format!("{name} has written {dead} again, and keeps it beside that")))
}

/// A transaction was written, perhaps one that is not to be sent after some time, by the device's clock.
///
/// # Errors
/// When it does not say so.
pub fn ends_as_wished(
    world: &mut World,
    device: usize,
    op: OpId,
    wished: Option<u64>,
    rseq: Option<u64>,
) -> Result<(), Violation> {
    let process = world.devices[device].process.as_ref();
    let Some((until, process)) = wished.zip(process) else { return Ok(()) };
    let end = until.saturating_add_signed(process.engine.db().clock_offset_ms());
    world.coverage.hit("work with an end");
    world.ledger.ends.insert(op, end);
    let Some(entry) = rseq.and_then(|rseq| entry(world, device, rseq)) else { return Ok(()) };
    match entry.transaction.expires_ms {
        Some(expires) if expires <= end => Ok(()),
        other => {
            let text = format!("{op:?} was to be carried out by {end}, and says {other:?}");
            Err(Violation::new("expiry", text))
        }
    }
}

/// Of a running device: what was not handed to the network in time has ended.
///
/// # Errors
/// When it waits on.
pub fn ended_in_time(world: &mut World, device: usize) -> Result<(), Violation> {
    use Fault::{ClockBack, ClockForward, DeviceFull, DeviceIo, ServerClock};
    let unsteady = [ClockBack, ClockForward, DeviceFull, DeviceIo, ServerClock];
    if world.plan.faults.iter().any(|(fault, _)| unsteady.contains(fault)) {
        return Ok(());
    }
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let server_ms = machine.moment(world.now).wall_ms.saturating_add_signed(process.engine.db().clock_offset_ms());
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    let overdue = |e: &&OutboxEntry| e.transaction.expires_ms.is_some_and(|at| at + SLACK_MS < server_ms);
    if let Some(late) = outbox.iter().filter(|e| e.is_open).find(overdue) {
        let text =
            format!("{} still has {} of {:?} at {server_ms}", machine.name, late.rseq, late.transaction.expires_ms);
        return Err(Violation::new("expiry", text));
    }
    Ok(())
}

/// Takes note of what a device hears of the server's clock.
pub fn hears_the_time(world: &mut World, device: usize, message: &ServerMessage) {
    let (ServerMessage::Welcome(Welcome { clock_ms, .. }) | ServerMessage::Pong { clock_ms, .. }) = message else {
        return;
    };
    let machine = &mut world.devices[device];
    let mono_ms = machine.clock.mono_ms(world.now);
    let Some(process) = machine.process.as_mut() else { return };
    // Where somebody else has signed in, the device ends the session, and takes nothing of it.
    let owner = process.engine.db().subject();
    if let ServerMessage::Welcome(welcome) = message
        && owner.is_some_and(|owner| owner != welcome.subject)
    {
        return;
    }
    let heard = process.heard.replace((*clock_ms, mono_ms));
    let expected = heard.map(|(clock_ms, then)| clock_ms + mono_ms.saturating_sub(then));
    if expected.is_none_or(|expected| expected.abs_diff(*clock_ms) > SLACK_MS) {
        // What ended before went by a clock that nobody had corrected, or by the server's before that was set.
        let outbox = process.engine.outbox().unwrap_or_default();
        process.looked_at.extend(outbox.iter().filter(|e| e.state == EntryState::Dead).map(|e| e.rseq));
    }
}

/// Of a running device that has heard of the server: what it ended by itself was over by the server's clock, whatever
/// became of its own.
///
/// # Errors
/// When it was not.
pub fn not_ended_early(world: &mut World, device: usize) -> Result<(), Violation> {
    let unsteady = [Fault::DeviceFull, Fault::DeviceIo];
    if world.plan.faults.iter().any(|(fault, _)| unsteady.contains(fault)) {
        return Ok(());
    }
    let machine = &mut world.devices[device];
    let mono_ms = machine.clock.mono_ms(world.now);
    let Some(process) = machine.process.as_mut() else { return Ok(()) };
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    let own = |e: &OutboxEntry| {
        let told = e.problem.as_ref().filter(|problem| problem.code == codes::EXPIRED);
        told.is_some_and(|problem| problem.message.starts_with("it could not be sent in time"))
    };
    for dead in outbox.iter().filter(|e| e.state == EntryState::Dead) {
        let fresh = process.looked_at.insert(dead.rseq) && own(dead);
        let Some((clock_ms, then)) = process.heard.filter(|_| fresh) else { continue };
        let server_ms = clock_ms + mono_ms.saturating_sub(then);
        world.coverage.hit("check expiry.not_early");
        if let Some(end) = dead.transaction.expires_ms.filter(|end| *end > server_ms + SLACK_MS) {
            let text = format!("{} ended {} of {end} at {server_ms}", machine.name, dead.rseq);
            return Err(Violation::new("expiry", text));
        }
    }
    Ok(())
}

/// What was taken up has another number.
pub fn was_taken_up(world: &mut World, device: usize, rseq: Option<u64>, gone: &[u64]) {
    if let (Some(process), Some(rseq)) = (world.devices[device].process.as_mut(), rseq) {
        process.taken.extend(gone.iter().map(|old| (*old, rseq)));
    }
}

/// The number under which the work of an entry is now, as far as this process has changed it.
pub fn current(world: &World, device: usize, rseq: u64) -> u64 {
    let taken = world.devices[device].process.as_ref().map(|process| &process.taken);
    let mut current = rseq;
    while let Some(next) = taken.and_then(|taken| taken.get(&current)) {
        current = *next;
    }
    current
}

/// Takes note of a transaction that a person may take back.
pub fn may_be_undone(world: &mut World, device: usize, rseq: Option<u64>) {
    let Some(entry) = rseq.and_then(|rseq| entry(world, device, rseq)) else { return };
    let transaction = entry.transaction;
    let Some(process) = world.devices[device].process.as_mut() else { return };
    if ledger::op_of_transaction(&transaction).is_none() && transaction.action.is_none() {
        process.plain.insert(0, transaction);
        process.plain.truncate(MOST_PLAIN);
    }
}

/// An entry was changed.
///
/// # Errors
/// When something of it is lost, or it is there twice.
pub fn edited(
    world: &mut World,
    device: usize,
    old: &OutboxEntry,
    written: &Written<Edited<()>>,
) -> Result<(), Violation> {
    may_be_undone(world, device, written.rseq);
    let name = world.devices[device].name.clone();
    let wrong = |invariant, text: &str| Err(Violation::new(invariant, format!("{name} changed {}: {text}", old.rseq)));
    if !written.value.in_place {
        let now = entry(world, device, old.rseq).map(|e| e.transaction.operations);
        // What was acknowledged may have settled meanwhile.
        let settled = now.is_none() && matches!(old.state, EntryState::Acknowledged(_));
        let there =
            world.devices[device].process.is_none() || settled || now == Some(old.transaction.operations.clone());
        return if there { Ok(()) } else { wrong("pending", "it is not what it was, and is said to be") };
    }
    ledger::written_again(world, &old.transaction);
    if !old.is_open || world.devices[device].handed.contains(&(old.transaction.replica, old.rseq)) {
        return wrong("once", "it was handed to the network, and is changed in place");
    }
    let Some(new) = written.rseq.and_then(|rseq| entry(world, device, rseq)) else {
        return if world.devices[device].process.is_some() { wrong("pending", "it is gone") } else { Ok(()) };
    };
    if entry(world, device, old.rseq).is_some() {
        return wrong("once", "it is there beside what it became");
    }
    if let Some(lost) = old.transaction.operations.iter().find(|o| !says(&new.transaction, o)) {
        return wrong("pending", &format!("{lost:?} is lost"));
    }
    let (was, is) = (old.transaction.expires_ms, new.transaction.expires_ms);
    if was.is_some_and(|was| is.is_none_or(|is| is > was)) {
        return wrong("expiry", &format!("it had to be carried out by {was:?}, and now by {is:?}"));
    }
    Ok(())
}

/// Whether a transaction says all that an older one said of a row, be it with other values.
fn says(transaction: &Transaction, old: &Operation) -> bool {
    let same = |o: &&Operation| o.table() == old.table() && o.key() == old.key();
    let Some(new) = transaction.operations.iter().find(same) else { return false };
    match (old, new) {
        (_, Operation::Delete { .. }) => true,
        // An insert that leaves a column out says NULL.
        (Operation::Insert { .. }, Operation::Insert { .. }) => {
            old.table() != "ops" || new.cells().len() == old.cells().len()
        }
        (Operation::Update { cells, .. }, Operation::Update { cells: newer, .. }) => {
            cells.iter().all(|cell| newer.iter().any(|n| n.column == cell.column))
        }
        _ => false,
    }
}

/// What a cell was made, and what it is.
#[derive(Debug)]
pub struct Cell {
    table: String,
    key: RowKey,
    column: String,
    written: SqliteValue,
    /// `None` where the row is gone.
    now: Option<SqliteValue>,
}

/// The cells that a transaction changed, as the device sees them; and its dead letters.
pub fn rows_of(world: &World, device: usize, transaction: &Transaction) -> (Vec<Cell>, u64) {
    let Some(process) = &world.devices[device].process else { return (Vec::new(), 0) };
    let mut cells = Vec::new();
    let changed = |o: &&Operation| matches!(o, Operation::Update { .. }) && ["things", "parents"].contains(&o.table());
    for operation in transaction.operations.iter().filter(changed) {
        for write in operation.cells() {
            let sql = format!("SELECT \"{}\" FROM {} WHERE id = ?", write.column, operation.table());
            let Ok(rows) = process.engine.query(&sql, &operation.key().0) else { continue };
            cells.push(Cell {
                table: operation.table().to_owned(),
                key: operation.key().clone(),
                column: write.column.clone(),
                written: write.value.to_sqlite(),
                now: rows.rows.first().and_then(|row| row.first()).map(|value| value.to_sqlite()),
            });
        }
    }
    (cells, process.engine.db().counts().dead)
}

/// A transaction was taken back.
///
/// # Errors
/// When something is not as it was although somebody had changed it since.
pub fn undone(
    world: &mut World,
    device: usize,
    transaction: &Transaction,
    before: &(Vec<Cell>, u64),
    undone: &Undone,
) -> Result<(), Violation> {
    let after = rows_of(world, device, transaction);
    // What ended in the same moment is not seen any more.
    if world.devices[device].process.is_none() || after.1 != before.1 || after.0.len() != before.0.len() {
        return Ok(());
    }
    for (was, is) in before.0.iter().zip(&after.0) {
        if was.now.as_ref() == Some(&was.written) {
            continue;
        }
        world.coverage.hit("check undo.left");
        let column = |left: &Option<String>| left.as_ref().is_none_or(|left| *left == was.column);
        let told = undone.left.iter().any(|l| l.table == was.table && l.key == was.key && column(&l.column));
        if was.now != is.now || !told {
            let text =
                format!("{was:?} became {:?} when {} was taken back, left: {:?}", is.now, undone.of, undone.left);
            return Err(Violation::new("undo", text));
        }
    }
    Ok(())
}

/// A file was taken in. What it has is known when `again`.
///
/// # Errors
/// When something is lost, is changed, or is there twice.
pub(crate) fn imported(
    world: &mut World,
    device: usize,
    exported: &Exported,
    before: &[OutboxEntry],
    imported: &Imported,
    again: bool,
) -> Result<(), Violation> {
    let name = world.devices[device].name.clone();
    let wrong = |invariant, text: String| Err(Violation::new(invariant, format!("{name} imported a file: {text}")));
    if again && !imported.added.is_empty() {
        return wrong("once", format!("{:?} were there already", imported.added));
    }
    let all = imported.added.len() + imported.known as usize + imported.refused.len();
    let limits = world.schema.outbox;
    let there = before.iter().map(|e| &e.transaction).chain(&exported.transactions);
    // Each comes with the name that it had.
    let bytes = there.map(|t| t.to_bytes().len() + NAME_BYTES).sum::<usize>() as u64;
    let is_full = (before.len() + imported.added.len()) as u64 >= limits.max_entries || bytes > limits.max_bytes;
    if all != exported.transactions.len() || (!imported.refused.is_empty() && !is_full) {
        return wrong("pending", format!("{imported:?} of {} entries", exported.transactions.len()));
    }
    let Some(process) = &world.devices[device].process else { return Ok(()) };
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    let is = |rseq: u64| outbox.iter().find(|e| e.rseq == rseq);
    let whole = |e: &OutboxEntry| {
        e.state == EntryState::Dead && exported.transactions.iter().any(|t| t.operations == e.transaction.operations)
    };
    if let Some(rseq) = imported.added.iter().find(|rseq| !is(**rseq).is_some_and(whole)) {
        return wrong("pending", format!("{rseq} is {:?}", is(*rseq)));
    }
    if let Some(old) = before.iter().find(|old| is(old.rseq).is_none_or(|e| e.transaction != old.transaction)) {
        return wrong("pending", format!("{} was {old:?}, and is {:?}", old.rseq, is(old.rseq)));
    }
    let ops: Vec<OpId> =
        imported.added.iter().filter_map(|rseq| ledger::op_of_transaction(&is(*rseq)?.transaction)).collect();
    ledger::imported(world, device, &ops);
    Ok(())
}
