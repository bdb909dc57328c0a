//! `starvation`: whoever pushes much is waited for by nobody else. A push is decided within as many groups as there are
//! subjects, for each part that it has, and as many again for each part of its own subject's that was before it. Whoever had
//! more than a share of a group, since a transaction is not divided, sits out until that is paid back. And what a share is fits the
//! machine, once the server has seen what groups take there: as much as the machine does during an fsync.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::ReplicaId;
use landfall_protocol::Entry;
use landfall_server::core::SessionId;
use landfall_server::core::fair::SHARED_GROUP_ENTRIES;

use crate::clock::Micros;

use super::Violation;

/// A push that waits for a commit.
#[derive(Debug)]
struct Arrived {
    subject: String,
    /// Groups that had been decided when it came.
    group: u64,
    /// Its operations.
    cost: usize,
    /// Those of its subject's that waited then, each of its pushes by itself.
    before: Vec<usize>,
    /// Groups that it might have to sit out beside.
    owes: u64,
}

/// So many groups that are not small tell what an operation takes.
const ENOUGH: u64 = 3;
/// The least and the most that a share is, whatever the machine.
const SHARES: (usize, usize) = (4, 64);

/// What waits in a server's process.
#[derive(Debug, Default)]
pub struct Waiting {
    groups: u64,
    /// Groups that were large enough to say what an operation takes.
    telling: u64,
    /// Whether the disk once had something else to do: for a while the server takes some of that for the work of operations.
    was_busy: bool,
    /// The fastest fsync since the first group that tells something.
    fastest: Option<Micros>,
    /// The least that a share was so far.
    least: Option<usize>,
    pushes: BTreeMap<(SessionId, u32), Arrived>,
    /// Until which group a subject may have to sit out.
    owes: BTreeMap<String, u64>,
    /// The sessions that pushed each transaction.
    took: BTreeMap<(ReplicaId, u64), BTreeSet<SessionId>>,
}

impl Waiting {
    /// The server has taken a push. Of what it asks webhooks about, `asking`, some may be ahead of it.
    pub fn came(&mut self, session: SessionId, id: u32, subject: &str, entries: &[Entry], asking: usize) {
        for Entry { transaction, .. } in entries {
            self.took.entry((transaction.replica, transaction.rseq)).or_default().insert(session);
        }
        let own = self.pushes.values().filter(|push| push.subject == subject);
        let before = own.map(|push| push.cost).collect();
        let owes = asking as u64 + self.owes.get(subject).map_or(0, |until| until.saturating_sub(self.groups));
        let cost: usize = entries.iter().map(|entry| entry.transaction.operations.len().max(1)).sum();
        let arrived = Arrived { subject: subject.to_owned(), group: self.groups, cost, before, owes };
        self.pushes.insert((session, id), arrived);
    }

    /// Whether another session than this one has pushed a transaction, too.
    pub fn has_come_elsewhere(&self, session: SessionId, replica: ReplicaId, rseq: u64) -> bool {
        self.took.get(&(replica, rseq)).is_some_and(|sessions| sessions.iter().any(|other| *other != session))
    }

    /// A group of pushes was decided.
    ///
    /// # Errors
    /// When one of them had to wait for others longer than it should.
    pub fn decided(&mut self, pushes: &[(SessionId, u32)], subjects: u64) -> Result<(), Violation> {
        self.groups += 1;
        for name in pushes {
            let Some(push) = self.pushes.remove(name) else { continue };
            let shares = self.shares(push.cost);
            if shares > 1 {
                let until = self.owes.entry(push.subject.clone()).or_default();
                *until = self.groups.max(*until) + shares * subjects;
            }
            let ahead = push.before.iter().map(|cost| self.parts(*cost)).sum::<u64>() + push.owes;
            let (took, most) = (self.groups - push.group, (ahead + self.parts(push.cost)) * subjects);
            if took > most {
                let text = format!(
                    "a push of {} with {ahead} parts of its own before it was in the {took}th group, and should be in the {most}th",
                    push.subject
                );
                return Err(Violation::new("starvation", text));
            }
        }
        Ok(())
    }

    /// Of how many shares of a group so many operations are.
    fn shares(&self, cost: usize) -> u64 {
        cost.div_ceil(self.least.unwrap_or(SHARED_GROUP_ENTRIES)).max(1) as u64
    }

    /// Into how many parts they are divided at most: where transactions do not fill their share, or are more than one and are
    /// paid back.
    fn parts(&self, cost: usize) -> u64 {
        let shares = self.shares(cost);
        if shares > 1 { 3 * shares } else { 1 }
    }

    /// A group of so many operations was committed, since when a share is so much; `work`: what an operation and an fsync take,
    /// `fsync`: what this one took. Whether the server has seen enough to know.
    ///
    /// # Errors
    /// When a share is more than what the machine does during an fsync, so that others wait for it, or far less, so that the disk
    /// is what all wait for.
    pub fn learns(
        &mut self,
        cost: usize,
        share: usize,
        work: (Micros, Micros),
        fsync: Micros,
    ) -> Result<bool, Violation> {
        self.least = Some(share.min(self.least.unwrap_or(SHARED_GROUP_ENTRIES)));
        self.telling += u64::from(cost >= SHARED_GROUP_ENTRIES);
        self.was_busy |= fsync > 2 * work.1;
        if self.telling > 0 {
            self.fastest = Some(fsync.min(self.fastest.unwrap_or(Micros::MAX)));
        }
        if self.telling < ENOUGH {
            return Ok(false);
        }
        let fits = |fsync: Micros, times: u64, part: u64| {
            ((fsync * times / (work.0 * part)) as usize).clamp(SHARES.0, SHARES.1)
        };
        // A disk that was busy each time so far is taken for a slow one.
        let fsync = self.fastest.unwrap_or(work.1).max(work.1);
        let (least, most) = (if self.was_busy { SHARES.0 } else { fits(work.1, 1, 8) }, fits(fsync, 2, 1));
        if (least..=most).contains(&share) {
            return Ok(true);
        }
        let text =
            format!("a share is {share}, and should be {least} to {most}: {work:?} µs are an operation and an fsync");
        Err(Violation::new("starvation", text))
    }
}
