//! `starvation`: whoever pushes much is waited for by nobody else. A push is decided within as many groups as there are
//! subjects, for each part that it has, and as many again for each part of its own subject's that was before it. Whoever had
//! more than a share of a group, since a transaction is not divided, sits out until that is paid back.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::ReplicaId;
use landfall_protocol::Entry;
use landfall_server::core::SessionId;
use landfall_server::core::fair::SHARED_GROUP_ENTRIES;

use super::Violation;

/// A push that waits for a commit.
#[derive(Debug)]
struct Arrived {
    subject: String,
    /// Groups that had been decided when it came.
    group: u64,
    /// Into how many parts it is divided at most.
    parts: u64,
    /// Parts of its subject that waited then, and groups that it might still have to sit out.
    ahead: u64,
    /// Shares of a group that its operations are.
    shares: u64,
}

/// What waits in a server's process.
#[derive(Debug, Default)]
pub struct Waiting {
    groups: u64,
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
        let owes = self.owes.get(subject).map_or(0, |until| until.saturating_sub(self.groups));
        let ahead = own.map(|push| push.parts).sum::<u64>() + asking as u64 + owes;
        let cost: usize = entries.iter().map(|entry| entry.transaction.operations.len().max(1)).sum();
        let shares = cost.div_ceil(SHARED_GROUP_ENTRIES).max(1) as u64;
        // Where transactions do not fill their share, or are more than one and are paid back.
        let parts = if shares > 1 { 3 * shares } else { 1 };
        let arrived = Arrived { subject: subject.to_owned(), group: self.groups, parts, ahead, shares };
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
            if push.shares > 1 {
                let until = self.owes.entry(push.subject.clone()).or_default();
                *until = self.groups.max(*until) + push.shares * subjects;
            }
            let (took, most) = (self.groups - push.group, (push.ahead + push.parts) * subjects);
            if took > most {
                let text = format!(
                    "a push of {} with {} parts of its own before it was in the {took}th group, and should be in the {most}th",
                    push.subject, push.ahead
                );
                return Err(Violation::new("starvation", text));
            }
        }
        Ok(())
    }
}
