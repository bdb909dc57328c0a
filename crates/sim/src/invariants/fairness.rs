//! `starvation`: whoever pushes much is waited for by nobody else. A push is decided within as many groups as there are
//! subjects, for each part that it has, and as many again for each part of its own subject's that was before it.

use std::collections::BTreeMap;

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
    /// Parts of its subject that waited then.
    ahead: u64,
}

/// What waits in a server's process.
#[derive(Debug, Default)]
pub struct Waiting {
    groups: u64,
    pushes: BTreeMap<(SessionId, u32), Arrived>,
}

impl Waiting {
    /// The server has taken a push. Of what it asks webhooks about, `asking`, some may be ahead of it.
    pub fn came(&mut self, session: SessionId, id: u32, subject: &str, entries: usize, asking: usize) {
        let own = self.pushes.values().filter(|push| push.subject == subject);
        let ahead = own.map(|push| push.parts).sum::<u64>() + asking as u64;
        let parts = entries.div_ceil(SHARED_GROUP_ENTRIES).max(1) as u64;
        let arrived = Arrived { subject: subject.to_owned(), group: self.groups, parts, ahead };
        self.pushes.insert((session, id), arrived);
    }

    /// A group of pushes was decided.
    ///
    /// # Errors
    /// When one of them had to wait for others longer than it should.
    pub fn decided(&mut self, pushes: &[(SessionId, u32)], subjects: u64) -> Result<(), Violation> {
        self.groups += 1;
        for name in pushes {
            let Some(push) = self.pushes.remove(name) else { continue };
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
