//! `offline`: without a connection nothing is written that needs the server, and nothing that is due too soon. `bounds`: no
//! write makes the outbox larger than the schema allows. `starvation`: the oldest entry is not passed over for ever.

use std::collections::BTreeMap;

use landfall_client::db::EntryState;
use landfall_client::status::Connectivity;
use landfall_core::schema::Offline;
use landfall_core::{Operation, Transaction, Value};
use landfall_protocol::server::Decision;
use landfall_protocol::{Entry, Outcome, ServerMessage};

use super::{Violation, bounds};
use crate::world::World;

/// Newer entries that may be sent before the oldest one: every eighth choice is the oldest.
const MOST_BEFORE_THE_OLDEST: usize = 7;

/// How a device stood before a write.
#[derive(Debug)]
pub struct Before {
    online: bool,
    entries: u64,
    /// The server's clock, as far as the device knows it.
    server_ms: u64,
}

/// How a device stands now.
pub fn before(world: &World, device: usize) -> Option<Before> {
    let machine = &world.devices[device];
    let engine = &machine.process.as_ref()?.engine;
    let counts = engine.db().counts();
    Some(Before {
        online: engine.status().connectivity == Connectivity::Online,
        entries: counts.undecided() + counts.dead,
        server_ms: machine.moment(world.now).wall_ms.saturating_add_signed(engine.db().clock_offset_ms()),
    })
}

/// A write returned.
///
/// # Errors
/// When it should have been refused.
pub fn written(
    world: &mut World,
    device: usize,
    before: Option<&Before>,
    rseq: Option<u64>,
    gone: &[u64],
    older: Option<&Transaction>,
) -> Result<(), Violation> {
    let (Some(before), Some(rseq)) = (before, rseq) else { return Ok(()) };
    bounds::outbox(world, device)?;
    let most = world.schema.outbox.max_entries;
    if before.entries >= most && gone.is_empty() {
        let text =
            format!("transaction {rseq} was taken into an outbox of {} entries, allowed are {most}", before.entries);
        return Err(Violation::new("bounds", text));
    }
    let entry = world.devices[device].process.as_ref().and_then(|p| p.engine.db().entry(rseq).ok().flatten());
    let Some(entry) = entry.filter(|_| !before.online) else { return Ok(()) };
    world.coverage.hit("check offline.written");
    // What it took up was written when it could be.
    let is_new = |o: &&Operation| older.is_none_or(|older| !older.operations.contains(o));
    for operation in entry.transaction.operations.iter().filter(is_new) {
        needs_no_server(world, operation, before)?;
    }
    if older.is_none_or(|older| older.action != entry.transaction.action) {
        asks_for_no_server(world, &entry.transaction, before)?;
    }
    Ok(())
}

/// An action that was asked for without a connection.
fn asks_for_no_server(world: &mut World, transaction: &Transaction, before: &Before) -> Result<(), Violation> {
    let broken = |text: String| Err(Violation::new("offline", text));
    let Some(asked) = &transaction.action else { return Ok(()) };
    let Some(declared) = world.schema.action(&asked.name) else { return Ok(()) };
    if declared.sending.offline == Offline::Deny {
        return broken(format!("'{}' was asked for without a connection", asked.name));
    }
    let Some(schedule) = &declared.schedule else { return Ok(()) };
    let Some(Value::Timestamp(due)) = asked.args.get(&schedule.by) else {
        return broken(format!("'{}' was asked for without a connection, and says no time", asked.name));
    };
    let due_ms = due / 1_000;
    let ahead = i128::from(due_ms) - i128::from(before.server_ms);
    if ahead < i128::from(schedule.lead_ms) {
        return broken(format!("'{}' was asked for without a connection, {ahead} ms ahead", asked.name));
    }
    // The server carries it out by then, or not at all: `expiry` looks at that.
    if transaction.expires_ms.is_none_or(|end| i128::from(end) > i128::from(due_ms)) {
        return broken(format!("'{}' is due at {due_ms}, and waits until {:?}", asked.name, transaction.expires_ms));
    }
    world.coverage.hit("check offline.action");
    Ok(())
}

fn needs_no_server(world: &World, operation: &Operation, before: &Before) -> Result<(), Violation> {
    let Some(table) = world.schema.table(operation.table()) else { return Ok(()) };
    if table.sending.offline == Offline::Deny {
        return Err(Violation::new("offline", format!("'{}' was written without a connection", table.name)));
    }
    let due = table.schedule.as_ref().and_then(|schedule| Some((schedule, operation.value(&schedule.by)?)));
    if let Some((schedule, Value::Timestamp(due))) = due {
        let ahead = (*due / 1_000) as i128 - i128::from(before.server_ms);
        if ahead < i128::from(schedule.lead_ms) {
            let text = format!("'{}' was written without a connection, {ahead} ms ahead", table.name);
            return Err(Violation::new("offline", text));
        }
    }
    Ok(())
}

/// What a connection has carried so far.
#[derive(Debug, Default)]
pub struct Fairness {
    /// Something cannot be decided under this id: what can is drained first, then there is another id (P8).
    copied: bool,
    /// What was offered, with the push that did and the head of the server's log then.
    offered: BTreeMap<u64, (u32, u64)>,
    /// The server's head when it welcomed this device.
    welcomed: u64,
    /// The oldest entry that was not offered, and how many newer ones may still be offered before it.
    oldest: Option<(u64, usize)>,
}

impl Fairness {
    /// The server's head when it welcomed this device.
    pub fn welcomed(&self) -> u64 {
        self.welcomed
    }

    /// Whether an entry was offered over this connection that the device knows, or is told in time, to be decided under this
    /// sequence: the Welcome said so, or the answer to what it offered before that does.
    pub fn is_told(&self, rseq: u64, decided: u64) -> bool {
        self.offered.get(&rseq).is_some_and(|(_, head)| *head < decided || decided <= self.welcomed)
    }

    /// What was not decided takes part in the next choices again: it is older than what was passed over.
    pub fn heard(&mut self, message: &ServerMessage) {
        let open = |d: &&Decision| !matches!(d.outcome, Outcome::Accepted { .. } | Outcome::Refused { .. });
        match message {
            // What else is under way was offered, and has no answer yet.
            ServerMessage::Acknowledge { decisions, .. } => {
                self.copied |= decisions.iter().any(|d| matches!(d.outcome, Outcome::Copied));
                for decision in decisions.iter().filter(open) {
                    self.offered.remove(&decision.rseq);
                    self.oldest = None;
                }
            }
            ServerMessage::Welcome(welcome) => self.welcomed = welcome.head,
            // The other pushes are under way.
            ServerMessage::Error { about: Some(push), .. } => {
                self.offered.retain(|_, (id, _)| id != push);
                self.oldest = None;
            }
            // What is about nothing in particular leaves under way what is.
            ServerMessage::Error { fatal: true, .. } => {
                *self = Self { copied: self.copied, welcomed: self.welcomed, ..Self::default() };
            }
            _ => {}
        }
    }
}

/// A device offers entries.
///
/// # Errors
/// When it passes over the oldest once too often.
pub fn pushed(world: &mut World, device: usize, push: u32, entries: &[Entry]) -> Result<(), Violation> {
    let (machine, head) = (&mut world.devices[device], world.history.head());
    let Some(process) = machine.process.as_mut() else { return Ok(()) };
    // What follows a copied entry is not offered under this id any more (P8).
    if world.ledger.copied.contains(&process.engine.db().replica()) {
        return Ok(());
    }
    let fairness = &mut process.fairness;
    if fairness.copied {
        return Ok(());
    }
    fairness.offered.extend(entries.iter().map(|entry| (entry.transaction.rseq, (push, head))));
    let outbox = process.engine.outbox().unwrap_or_default();
    let waits = outbox.iter().filter(|entry| matches!(entry.state, EntryState::Queued | EntryState::Sent));
    let waits = waits.filter(|entry| entry.next_attempt_ms.is_none() && !fairness.offered.contains_key(&entry.rseq));
    let Some(oldest) = waits.map(|entry| entry.rseq).min() else { return Ok(()) };
    let Some((_, room)) = fairness.oldest.filter(|(known, _)| *known == oldest) else {
        fairness.oldest = Some((oldest, MOST_BEFORE_THE_OLDEST));
        return Ok(());
    };
    // What is older still, and was parked until now, may have had the turn: then the next one is this one's.
    let older = entries.iter().filter(|entry| entry.transaction.rseq < oldest).count();
    let newer = entries.len() - older;
    world.coverage.hit("check starvation.oldest");
    let room = (room + older * MOST_BEFORE_THE_OLDEST).checked_sub(newer);
    let Some(room) = room else {
        let text = format!("{} offers {newer} newer entries before {oldest}, the oldest, too", machine.name);
        return Err(Violation::new("starvation", text));
    };
    fairness.oldest = Some((oldest, room));
    Ok(())
}
