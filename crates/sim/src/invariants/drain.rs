//! `counts`: what a person is told of how sending goes is what became of the entries since nothing waited. Told from the
//! server's answers and from the outbox, entry by entry; the client goes by how many there are of each kind.

use std::collections::{BTreeMap, BTreeSet};

use landfall_client::db::{Counts, EntryState, OutboxEntry, codes as own};
use landfall_client::status::Connectivity;
use landfall_core::ReplicaId;
use landfall_core::error::codes;
use landfall_core::hash::ContentHash;
use landfall_protocol::{Outcome, ServerMessage};

use super::Violation;
use crate::device::Process;
use crate::world::World;

/// What became of a running app's entries since nothing waited, or since it was started.
#[derive(Debug, Default)]
pub struct Drain {
    done: u64,
    failed: u64,
    /// With the hash of its bytes: under the same number a copy of this database may have sent another one.
    undecided: BTreeMap<u64, ContentHash>,
    /// What is to be looked at again when it is another: reading the outbox takes long.
    seen: Option<(Counts, u64, ReplicaId)>,
    /// What the message that is about to be heard, or waits for the changes behind it, says of entries that the server has.
    accepted: BTreeSet<u64>,
    /// Whether it refuses any.
    refuses: bool,
    /// What ended without a word of the server's: a copy of this database may have sent it.
    ended: Vec<u64>,
}

impl Drain {
    /// A device is about to hear a message.
    pub fn heard(&mut self, message: &ServerMessage) {
        let decisions = match message {
            ServerMessage::Acknowledge { decisions, .. } => decisions,
            ServerMessage::Welcome(welcome) => {
                // As many may be offered again as were accepted.
                self.seen = None;
                let here = welcome.accepted.iter().filter(|known| self.undecided.get(&known.rseq) == Some(&known.hash));
                return self.accepted.extend(here.map(|known| known.rseq));
            }
            _ => return,
        };
        // What was forgotten may have been accepted: then the device knows, and it is no dead letter.
        let taken = |outcome: &Outcome| match outcome {
            Outcome::Accepted { .. } => true,
            Outcome::Refused { problem, .. } => problem.code == codes::DECIDED_LONG_AGO,
            _ => false,
        };
        self.refuses = decisions.iter().any(|d| matches!(d.outcome, Outcome::Refused { .. }));
        self.accepted.extend(decisions.iter().filter(|d| taken(&d.outcome)).map(|d| d.rseq));
    }

    fn take(&mut self, outbox: &[OutboxEntry]) {
        // What is written may end at once; what comes from a file never waited.
        let last = self.seen.map_or(u64::MAX, |(_, last, _)| last);
        let came = |e: &OutboxEntry| e.problem.as_ref().is_some_and(|p| p.code == own::IMPORTED);
        let new = outbox.iter().filter(|e| e.rseq > last && e.state == EntryState::Dead && !came(e));
        self.failed += new.count() as u64;
        let is_undecided = |e: &&OutboxEntry| matches!(e.state, EntryState::Queued | EntryState::Sent);
        let hashed = |e: &OutboxEntry| (e.rseq, e.transaction.content_hash());
        let undecided: BTreeMap<u64, ContentHash> = outbox.iter().filter(is_undecided).map(hashed).collect();
        for rseq in self.undecided.keys().filter(|rseq| !undecided.contains_key(rseq)) {
            let entry = outbox.iter().find(|e| e.rseq == *rseq);
            match entry.filter(|e| e.state == EntryState::Dead) {
                Some(dead) => {
                    self.failed += u64::from(!went_with_another(dead));
                    self.ended.extend(Some(*rseq).filter(|_| !self.refuses));
                }
                // It may be withdrawn, part of a newer one, or have another number.
                None => self.done += u64::from(self.accepted.contains(rseq)),
            }
        }
        self.undecided = undecided;
    }
}

/// A person withdrew what it required: that is no failure.
fn went_with_another(dead: &OutboxEntry) -> bool {
    dead.problem.as_ref().is_some_and(|problem| problem.code == own::WITHDRAWN)
}

/// After a start, before anything else.
pub fn begin(process: &mut Process) {
    note(process);
}

/// Takes note of the outbox as it is; false when it cannot be read.
fn note(process: &mut Process) -> bool {
    let db = process.engine.db();
    let now = (db.counts(), db.last_rseq(), db.replica());
    if process.drain.seen != Some(now) {
        let Ok(outbox) = process.engine.outbox() else { return false };
        process.drain.take(&outbox);
        process.drain.seen = Some(now);
    }
    if !process.engine.keeps_answers() {
        process.drain.accepted.clear();
    }
    process.drain.refuses = false;
    true
}

/// After each call into a device.
///
/// # Errors
/// When the status tells something else.
pub fn told(world: &mut World, device: usize) -> Result<(), Violation> {
    let machine = &mut world.devices[device];
    let Some(process) = machine.process.as_mut() else { return Ok(()) };
    // What was being written may be in doubt: this process ends.
    if machine.disk.power_lost() || !note(process) {
        return Ok(());
    }
    let replica = process.engine.db().replica();
    world.ledger.unsaid.extend(process.drain.ended.drain(..).map(|rseq| (replica, rseq)));
    let (drain, status) = (&mut process.drain, process.engine.status());
    let Some(sending) = status.sending else {
        (drain.done, drain.failed) = (0, 0);
        return Ok(());
    };
    if drain.done > 0 && drain.failed > 0 {
        world.coverage.hit("check counts.sending");
    }
    let may_send = status.connectivity == Connectivity::Online && !status.paused && status.review.is_none();
    let honest = sending.time_to_go_ms.is_none() || may_send;
    if (sending.done, sending.failed) == (drain.done, drain.failed) && honest {
        return Ok(());
    }
    let text = format!(
        "{} tells {sending:?}, {:?}; {} were accepted and {} failed since nothing waited; {:?}",
        machine.name,
        status.connectivity,
        drain.done,
        drain.failed,
        process.engine.outbox().map(|outbox| {
            let one = |e: &OutboxEntry| (e.rseq, e.state.clone(), e.problem.as_ref().map(|p| p.code.to_string()));
            outbox.iter().map(one).collect::<Vec<_>>()
        })
    );
    Err(Violation::new("counts", text))
}
