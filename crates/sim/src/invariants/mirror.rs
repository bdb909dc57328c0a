//! `mirror`: the mirror of a device's outbox holds what its outbox holds, as soon as it has written what it was told; and
//! where the database is lost, all of it is in the next one, as it was, and nothing else.
//!
//! What the file says is read here a second time, record by record. What the mirror had not written when the database was
//! lost is lost with it (docs/simulator.md, "What is not promised").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use landfall_client::db::{Letter, Release};
use landfall_client::mirror::{self, MirrorRecord, Situation};
use landfall_core::{Operation, ReplicaId, Transaction};
use landfall_protocol::{Outcome, ServerMessage};

use super::{Violation, ledger};
use crate::disk::Disk;
use crate::mirror::MIRROR;
use crate::world::World;

/// An entry of the outbox.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    body: Vec<u8>,
    letter: Option<Letter>,
    priority: Option<u8>,
    releases: Vec<Release>,
}

impl Entry {
    fn transaction(&self) -> Option<Transaction> {
        minicbor::decode(&self.body).ok()
    }

    fn operations(&self) -> Vec<Operation> {
        self.transaction().map(|transaction| transaction.operations).unwrap_or_default()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { body: _, letter, priority, releases } = self;
        let transaction = self.transaction();
        let op = transaction.as_ref().and_then(ledger::op_of_transaction);
        let mut out = f.debug_struct("Entry");
        out.field("op", &op).field("failures", &letter.as_ref().map(|letter| &letter.failures));
        out.field("priority", priority).field("releases", releases).field("transaction", &transaction).finish()
    }
}

/// What a mirror holds.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Whose it is.
    pub replica: Option<ReplicaId>,
    situation: Situation,
    open: BTreeMap<(ReplicaId, u64), Entry>,
}

impl Held {
    fn of(bytes: &[u8]) -> Self {
        let mut held = Self::default();
        for record in mirror::read(bytes).0 {
            match record {
                MirrorRecord::Header { replica, situation, .. } => {
                    held.replica = Some(replica);
                    held.situation = situation.unwrap_or_default();
                }
                MirrorRecord::Appended { replica, rseq, body, letter, priority, mut releases } => {
                    held.replica = Some(replica);
                    // A dead letter is not sent: nobody comes behind it.
                    releases.retain(|_| letter.is_none());
                    releases.sort_by(|a, b| (&a.table, &a.what).cmp(&(&b.table, &b.what)));
                    held.open.insert((replica, rseq), Entry { body, letter, priority, releases });
                }
                MirrorRecord::Decided { replica, rseq } => drop(held.open.remove(&(replica, rseq))),
            }
        }
        held
    }

    /// What is to follow an entry makes that as urgent as itself: this is worked out anew in a new database.
    fn raise(&mut self) {
        for name in self.open.keys().rev().copied().collect::<Vec<_>>() {
            let Some(entry) = self.open.get(&name).filter(|entry| entry.letter.is_none()) else { continue };
            let (priority, after) = (entry.priority, entry.transaction().map(|transaction| transaction.after));
            for predecessor in after.unwrap_or_default() {
                let before = self.open.get_mut(&(name.0, predecessor)).filter(|entry| entry.letter.is_none());
                before.into_iter().for_each(|before| before.priority = before.priority.max(priority));
            }
        }
    }

    /// In what it differs from what an outbox holds, if it does. There an entry may have become more urgent. Nothing need be
    /// told of what the server `has`: what was accepted may be offered once more.
    fn differs(&self, outbox: &Self, has: impl Fn(&(ReplicaId, u64)) -> bool) -> Option<String> {
        if self.replica != outbox.replica {
            return Some(format!("it is of {:?} instead of {:?}", self.replica, outbox.replica));
        }
        if self.situation.has_changed(&outbox.situation) {
            return Some(format!("it has {:?} instead of {:?}", self.situation, outbox.situation));
        }
        let told = self;
        let is_same = |told: Option<&Entry>, here: Option<&Entry>| match (told, here) {
            (Some(told), Some(here)) => {
                let as_urgent = Entry { priority: told.priority, ..here.clone() };
                *told == as_urgent && told.priority <= here.priority
            }
            (told, here) => told == here,
        };
        let is_known = |name: &(ReplicaId, u64)| {
            let origin = outbox.open.get(name).and_then(Entry::transaction).and_then(|transaction| transaction.origin);
            let names = origin.map(|origin| (origin.replica, origin.rseq)).into_iter().chain([*name]);
            !told.open.contains_key(name) && names.into_iter().any(|name| has(&name))
        };
        let names = told.open.keys().chain(outbox.open.keys());
        let differs =
            |name: &&(ReplicaId, u64)| !is_same(told.open.get(name), outbox.open.get(name)) && !is_known(name);
        let name = names.into_iter().find(differs)?;
        Some(format!("of {name:?} it has {:?} instead of {:?}", told.open.get(name), outbox.open.get(name)))
    }
}

/// What a device's file holds.
pub fn on_disk(disk: &Disk) -> Held {
    Held::of(&disk.peek(MIRROR).unwrap_or_default())
}

/// What a running device's outbox holds; nothing where it cannot be read.
fn of_outbox(world: &World, device: usize) -> Option<Held> {
    let process = world.devices[device].process.as_ref()?;
    Some(Held::of(&process.engine.mirror().ok()?.compact()))
}

/// Takes note of what a device hears to be accepted.
pub fn hears(world: &mut World, device: usize, message: &ServerMessage) {
    let machine = &mut world.devices[device];
    let Some(process) = &machine.process else { return };
    let db = process.engine.db();
    let (epoch, accepted): (_, Vec<u64>) = match message {
        ServerMessage::Welcome(welcome) => {
            (Some(welcome.epoch), welcome.accepted.iter().map(|known| known.rseq).collect())
        }
        ServerMessage::Acknowledge { decisions, .. } => {
            let accepted = decisions.iter().filter(|d| matches!(d.outcome, Outcome::Accepted { .. }));
            (db.cursor().map(|cursor| cursor.epoch), accepted.map(|d| d.rseq).collect())
        }
        _ => return,
    };
    let Some(epoch) = epoch else { return };
    for rseq in accepted {
        // It keeps its first name, whatever it is called later.
        let origin = db.entry(rseq).ok().flatten().and_then(|entry| entry.transaction.origin);
        let first = origin.map(|origin| (origin.replica, origin.rseq));
        machine.told.extend(first.into_iter().chain([(db.replica(), rseq)]).map(|name| (name, epoch)));
    }
}

/// Whether a device was told that the server has this, in the history that it knows of: it may offer it once more, and need
/// not be told again.
fn is_accepted(world: &World, device: usize, name: &(ReplicaId, u64)) -> bool {
    let machine = &world.devices[device];
    let cursor = machine.process.as_ref().and_then(|process| process.engine.db().cursor());
    cursor.is_some_and(|cursor| machine.told.contains(&(*name, cursor.epoch)))
}

/// A device, while nothing waits to be written: what its mirror holds is its outbox.
///
/// # Errors
/// When it is not.
pub fn is_told(world: &mut World, device: usize) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    if !process.mirror_waits.is_empty() || !process.mirror.is_whole() {
        return Ok(());
    }
    let Some(outbox) = of_outbox(world, device) else { return Ok(()) };
    let differs = on_disk(&machine.disk).differs(&outbox, |name| is_accepted(world, device, name));
    let name = machine.name.clone();
    world.coverage.hit("check mirror.told");
    match differs {
        Some(differs) => {
            Err(Violation::new("mirror", format!("the mirror of {name} has all that it was told: {differs}")))
        }
        None => Ok(()),
    }
}

/// What a device had when its database was lost.
#[derive(Debug)]
pub struct Before {
    outbox: Held,
    /// What it was told to be accepted in the history that it knows.
    accepted: BTreeSet<(ReplicaId, u64)>,
    /// The mirror had not written all that it was told.
    is_behind: bool,
}

/// A device's database is about to be lost; nothing where the app does not run.
///
/// # Errors
/// When the mirror has written everything, and does not hold what the outbox holds.
pub fn before_the_loss(world: &mut World, device: usize) -> Result<Option<Before>, Violation> {
    is_told(world, device)?;
    let Some(process) = &world.devices[device].process else { return Ok(None) };
    let is_behind = !process.mirror_waits.is_empty() || !process.mirror.is_whole();
    let told = world.devices[device].told.iter().map(|(name, _)| name);
    let accepted = told.filter(|name| is_accepted(world, device, name)).copied().collect();
    Ok(of_outbox(world, device).map(|outbox| Before { outbox, accepted, is_behind }))
}

/// A device's database is lost: from here on it has what its mirror holds, as far as that can be read.
pub fn lost(world: &mut World, device: usize, before: &Before, is_damaged: bool) {
    let held = on_disk(&world.devices[device].disk);
    let ops = |held: &Held| {
        let transactions = held.open.values().filter_map(Entry::transaction);
        transactions.filter_map(|transaction| ledger::op_of_transaction(&transaction)).collect()
    };
    let (kept, had) = (ops(&held), ops(&before.outbox));
    // It is over by now: of which history it knew is noted.
    let is_behind = before.is_behind && held.differs(&before.outbox, |name| before.accepted.contains(name)).is_some();
    let is_behind = is_behind || is_damaged;
    let how = if is_behind { "behind" } else { "whole" };
    world.coverage.hit(&format!("seen mirror {}", if is_damaged { "damaged" } else { how }));
    let missing = before.outbox.open.keys().filter(|name| !held.open.contains_key(name)).count();
    world.coverage.add("seen lost before the mirror had it", missing as u64);
    ledger::database_lost(world, device, &kept, &had, is_behind);
    world.devices[device].recovers = Some((held, is_damaged));
}

/// After a start: what the mirror of a lost database held is here, as it was, and nothing else.
///
/// # Errors
/// When it is not.
pub fn recovered(world: &mut World, device: usize) -> Result<(), Violation> {
    let Some(outbox) = of_outbox(world, device) else { return Ok(()) };
    let Some((mut held, is_damaged)) = world.devices[device].recovers.take() else { return Ok(()) };
    world.devices[device].lacks_rows = true;
    let name = world.devices[device].name.clone();
    let is_told = world.devices[device].process.as_ref().is_some_and(|p| p.engine.status().recovery_problem.is_some());
    // The start that took it over said so; it may have ended before anybody heard.
    if is_damaged && is_told {
        world.coverage.hit("seen mirror damage told");
    }
    let Some(replica) = held.replica else {
        // It was lost before anything was mirrored.
        return match outbox.open.keys().next() {
            Some(entry) => Err(Violation::new("mirror", format!("{name} has {entry:?}, and nothing was mirrored"))),
            None => Ok(()),
        };
    };
    world.coverage.hit("check mirror.recovered");
    world.coverage.add("seen mirror recovered entries", held.open.len() as u64);
    // A database with nothing in it is whoever's comes first.
    if held.open.is_empty() {
        held.situation.subject = None;
    }
    // What is of an identity that was given up before is a dead letter of the present one.
    let (own, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        held.open.into_iter().partition(|((of, _), _)| *of == replica);
    held.open = own;
    let mut here = outbox.clone();
    for (other, entry) in others {
        let is_it = |(_, e): &(&(ReplicaId, u64), &Entry)| e.letter.is_some() && e.operations() == entry.operations();
        let found = here.open.iter().filter(|(name, _)| !held.open.contains_key(name)).find(is_it);
        let Some(found) = found.map(|(name, _)| *name) else {
            return Err(Violation::new("mirror", format!("{name} has lost {other:?}, of an identity it had before")));
        };
        here.open.remove(&found);
    }
    held.raise();
    let priorities = |held: &Held| held.open.values().map(|entry| entry.priority).collect::<Vec<_>>();
    if held.open.len() == here.open.len() && priorities(&held) != priorities(&here) {
        let text = format!("{name} has a new database, with other priorities: {here:?} instead of {held:?}");
        return Err(Violation::new("mirror", text));
    }
    match held.differs(&here, |_| false) {
        Some(differs) => Err(Violation::new("mirror", format!("{name} has a new database: {differs}"))),
        None => Ok(()),
    }
}
