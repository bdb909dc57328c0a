//! `pending`: what a device wrote is there until it is accepted or thrown away by a person; at the end, every
//! transaction that still exists somewhere is on the server or is a dead letter.

use std::collections::{BTreeMap, BTreeSet};

use landfall_client::db::{Counts, EntryState, OutboxEntry, codes as own};
use landfall_core::hash::ContentHash;
use landfall_core::{ReplicaId, RowKey, Transaction, Value};
use landfall_server::commit::LogEntry;

use super::Violation;
use crate::device::{Backup, Process};
use crate::workload::OpId;
use crate::world::World;

/// What is known of every transaction of the workload.
#[derive(Debug, Default)]
pub struct Ledger {
    last: u64,
    /// How often a person offered a dead letter again, or changed what waited.
    retries: BTreeMap<OpId, u64>,
    /// Held by more than one database since one was copied.
    shared: BTreeSet<OpId>,
    /// When they were to be carried out at the latest, by the server's clock, where their authors said so.
    pub ends: BTreeMap<OpId, u64>,
    /// Numbers that ended on one database, were taken back or made part of others before it had sent them.
    pub unsaid: BTreeSet<(ReplicaId, u64)>,
    /// Which devices have offered a transaction.
    pub offered: BTreeMap<(ReplicaId, u64, ContentHash), BTreeSet<usize>>,
    /// Ids that more than one database has used.
    pub copied: BTreeSet<ReplicaId>,
    /// Ids whose database was lost, and with it what had been accepted.
    pub forgetful: BTreeSet<ReplicaId>,
    /// Accepted at some time, in this history or in one that was lost with a restored server.
    accepted: BTreeSet<OpId>,
    /// Accepted in a history that a restored server has lost.
    pub lost: BTreeSet<OpId>,
    /// Thrown away by a person.
    discarded: BTreeSet<OpId>,
    /// Never sent, for all that a device knew, when a person took it back or something that it may follow.
    given_up: BTreeSet<OpId>,
    /// Written when the disk failed: nobody knows until the app has started anew.
    doubts: BTreeMap<usize, BTreeSet<OpId>>,
    /// Sequences that left the server, with their chain values.
    pub told: BTreeMap<u64, u64>,
    /// Rows of `ticks` that more than one database wrote: their counts may go back.
    pub tainted: BTreeSet<String>,
}

impl Ledger {
    /// The next transaction.
    #[allow(clippy::should_implement_trait, reason = "numbers never end, and nobody iterates")]
    pub fn next(&mut self) -> OpId {
        self.last += 1;
        OpId(self.last)
    }

    /// The newest sequence that left the server.
    pub fn told_up_to(&self) -> u64 {
        self.told.keys().next_back().copied().unwrap_or(0)
    }

    /// Nobody knows whether this was written.
    pub fn doubt(&mut self, device: usize, op: OpId) {
        self.doubts.entry(device).or_default().insert(op);
    }

    /// A transaction is in the log.
    ///
    /// # Errors
    /// When it was there already.
    pub fn applied(&mut self, entry: &LogEntry) -> Result<(), Violation> {
        for change in entry.changes.iter().filter(|c| c.table == "ops") {
            let Some(op) = OpId::of_key(&change.key) else { continue };
            if change.after.is_none() {
                return Err(Violation::new("once", format!("sequence {} deletes {op:?}", entry.seq)));
            }
            self.accepted.insert(op);
        }
        Ok(())
    }

    /// A person is about to take it back: on this device it may go although the server accepted it, where the device went
    /// back to a copy of its files that does not know.
    pub fn give_up(&mut self, op: OpId) {
        self.given_up.insert(op);
    }

    /// Whether a person took it back, or may have with what it follows.
    pub fn is_given_up(&self, op: OpId) -> bool {
        self.given_up.contains(&op)
    }

    /// How often a transaction may be in the log.
    pub fn allowed(&self, op: OpId) -> u64 {
        // Each copy may; and the server may have gone back to a history in which it was accepted, or not refused yet, as the
        // device may have gone back to before.
        let again = self.shared.contains(&op) || self.lost.contains(&op);
        1 + if again { self.retries.get(&op).copied().unwrap_or(0) } else { 0 }
    }
}

/// A write returned on a device.
pub fn written(world: &mut World, device: usize, op: OpId) {
    world.devices[device].held.insert(op);
}

/// A database was copied. What both hold is decided once, but that a person on each of them may offer again what was
/// refused, see [`retried`].
pub fn copied(world: &mut World, device: usize, backup: &Backup) {
    world.ledger.shared.extend(backup.undecided.union(&backup.held));
    world.ledger.copied.extend(&world.devices[device].replicas);
    // It may have got this one since it was last looked at.
    world.ledger.copied.extend(backup.replica);
    let name = world.devices[device].name.clone();
    world.ledger.tainted.insert(name);
}

/// A database was lost: its device has what its mirror holds, the ops `kept` of those that it `had` before. A mirror that was
/// behind is an old copy of the outbox.
pub fn database_lost(world: &mut World, device: usize, kept: &BTreeSet<OpId>, had: &BTreeSet<OpId>, is_behind: bool) {
    if is_behind {
        world.ledger.shared.extend(kept.union(had));
        world.ledger.copied.extend(&world.devices[device].replicas);
        let name = world.devices[device].name.clone();
        world.ledger.tainted.insert(name);
    }
    world.ledger.forgetful.extend(&world.devices[device].replicas);
    let machine = &mut world.devices[device];
    machine.held.retain(|op| kept.contains(op));
    // It loads what the server has, from the start.
    machine.seen_ticks.clear();
    machine.online_ms = machine.online_ms.filter(|_| !is_behind);
}

/// A dead letter was offered again.
pub fn retried(world: &mut World, device: usize, transaction: &Transaction) {
    let name = world.devices[device].name.clone();
    world.ledger.tainted.insert(name);
    // It may have come from another device.
    let ticks = transaction.operations.iter().filter(|o| o.table() == "ticks");
    world.ledger.tainted.extend(ticks.flat_map(|o| &o.key().0).filter_map(|key| match key {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    }));
    if let Some(op) = op_of_transaction(transaction) {
        world.coverage.hit("work retried");
        // It has no other end now than its tables give it.
        world.ledger.ends.remove(&op);
        world.trace.line(world.now, "ledger", || format!("{op:?} again"));
    }
    written_again(world, transaction);
}

/// A person made another transaction of it: a copy of the database may send it as it was.
pub fn written_again(world: &mut World, transaction: &Transaction) {
    if let Some(op) = op_of_transaction(transaction) {
        *world.ledger.retries.entry(op).or_default() += 1;
    }
}

/// Transactions came from a file, as dead letters of this database. Another one has them too.
pub fn imported(world: &mut World, device: usize, ops: &[OpId]) {
    world.ledger.shared.extend(ops);
    world.devices[device].held.extend(ops);
}

/// Nobody knows whether these came from a file.
pub fn may_be_imported(world: &mut World, device: usize, ops: impl Iterator<Item = OpId>) {
    for op in ops {
        world.ledger.shared.insert(op);
        world.ledger.doubt(device, op);
    }
}

/// A dead letter was thrown away.
pub fn discarded(world: &mut World, device: usize, op: OpId) {
    world.coverage.hit("work discarded");
    world.ledger.discarded.insert(op);
    world.devices[device].held.remove(&op);
}

/// The transaction that an entry of the outbox carries.
pub fn op_of_transaction(transaction: &Transaction) -> Option<OpId> {
    transaction.operations.iter().filter(|o| o.table() == "ops").find_map(|o| OpId::of_key(o.key()))
}

/// The transaction that the entry of this number carries.
pub fn op_of(process: &Process, rseq: u64) -> Option<OpId> {
    let outbox = process.engine.outbox().ok()?;
    outbox.iter().find(|e| e.rseq == rseq).and_then(|e| op_of_transaction(&e.transaction))
}

/// Transactions in the outbox that have no decision, or that a person may offer again.
pub fn undecided(process: &Process) -> BTreeSet<OpId> {
    let outbox = process.engine.outbox().unwrap_or_default();
    let open = outbox.iter().filter(|e| !matches!(e.state, EntryState::Acknowledged(_)));
    open.filter_map(|e| op_of_transaction(&e.transaction)).collect()
}

/// After a start: whether what was in doubt is there.
///
/// # Errors
/// When the outbox cannot be read.
pub fn settle_doubts(world: &mut World, device: usize) -> Result<(), Violation> {
    let Some(doubts) = world.ledger.doubts.remove(&device) else { return Ok(()) };
    let Some(process) = &world.devices[device].process else { return Ok(()) };
    let outbox = process.engine.outbox().map_err(|e| Violation::new("pending", e.to_string()))?;
    let there: BTreeSet<OpId> = outbox.iter().filter_map(|e| op_of_transaction(&e.transaction)).collect();
    let written: Vec<OpId> = doubts.intersection(&there).copied().collect();
    world.devices[device].held.extend(written);
    world.coverage.hit("seen doubt settled");
    Ok(())
}

/// Everything that this device holds by the model is in its outbox, or was accepted.
///
/// # Errors
/// When something is missing.
pub fn kept(world: &mut World, device: usize) -> Result<(), Violation> {
    let replica = world.devices[device].process.as_ref().map(|p| p.engine.db().replica());
    world.devices[device].replicas.extend(replica);
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    honest(process, &outbox, &machine.name)?;
    if outbox.iter().any(|e| e.problem.as_ref().is_some_and(|p| p.code == own::BREAKS)) {
        world.coverage.hit("seen set aside");
    }
    let there: BTreeSet<OpId> = outbox.iter().filter_map(|e| op_of_transaction(&e.transaction)).collect();
    let missing = machine.held.iter().find(|op| !there.contains(op) && !world.ledger.accepted.contains(op));
    match missing {
        Some(op) => {
            let states: Vec<_> = outbox.iter().map(|e| (e.rseq, &e.state, op_of_transaction(&e.transaction))).collect();
            let text = format!("{} has lost {op:?}, which nobody decided; its outbox: {states:?}", machine.name);
            Err(Violation::new("pending", text))
        }
        None => Ok(()),
    }
}

/// `counts`: what a person is told of the outbox is what is in it.
///
/// # Errors
/// When it is not.
pub fn honest(process: &Process, outbox: &[OutboxEntry], name: &str) -> Result<(), Violation> {
    let told = process.engine.db().counts();
    let mut found = Counts::default();
    for entry in outbox {
        match entry.state {
            EntryState::Queued => found.pending += 1,
            EntryState::Sent => found.sent += 1,
            EntryState::Acknowledged(_) => found.acked += 1,
            EntryState::Dead => found.dead += 1,
        }
        let bytes = entry.transaction.to_bytes().len() as u64;
        found.bytes += bytes;
        if matches!(entry.state, EntryState::Queued | EntryState::Sent) {
            found.undecided_bytes += bytes;
        }
        if matches!(entry.state, EntryState::Acknowledged(_)) {
            found.acked_bytes += bytes;
        }
    }
    if told != found {
        return Err(Violation::new("counts", format!("{name} is told {told:?} of an outbox that has {found:?}")));
    }
    let status = process.engine.status();
    let left = status.sending.map(|sending| (sending.left, sending.bytes_left)).unwrap_or_default();
    let dead = status.dead;
    if (status.pending, dead, left) == (found.undecided(), found.dead, (found.undecided(), found.undecided_bytes)) {
        return Ok(());
    }
    Err(Violation::new("counts", format!("the status of {name} tells {left:?} and {dead} dead of {found:?}")))
}

/// At the end: what any device still holds is on the server as often as it may be, or is a dead letter.
///
/// # Errors
/// When a transaction is lost, or was applied too often.
pub fn at_rest(world: &World) -> Result<(), Violation> {
    let mut dead = BTreeSet::new();
    for device in &world.devices {
        let Some(process) = &device.process else { continue };
        let outbox = process.engine.outbox().map_err(|e| Violation::new("pending", e.to_string()))?;
        dead.extend(outbox.iter().filter_map(|e| op_of_transaction(&e.transaction)));
    }
    let mut in_log: BTreeMap<OpId, BTreeSet<(ReplicaId, u64)>> = BTreeMap::new();
    for logged in world.history.log.values() {
        if let Some(op) = logged.op {
            in_log.entry(op).or_default().insert((logged.replica, logged.rseq));
        }
    }
    for (op, times) in &in_log {
        if times.len() as u64 > world.ledger.allowed(*op) {
            return Err(Violation::new("once", format!("{op:?} was applied {} times: {times:?}", times.len())));
        }
    }
    for device in &world.devices {
        for op in &device.held {
            let key = RowKey::single(op.value());
            let here = world.history.row_at("ops", &key, u64::MAX).is_some();
            if !here && !dead.contains(op) && !world.ledger.discarded.contains(op) {
                let name = if world.ledger.accepted.contains(op) { "acknowledged" } else { "pending" };
                let text = format!("{op:?} of {} is neither on the server nor a dead letter", device.name);
                return Err(Violation::new(name, text));
            }
        }
    }
    Ok(())
}
