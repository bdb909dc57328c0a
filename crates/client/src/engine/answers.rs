//! Answers to pushes. The server tells of a commit twice: whoever pushed hears what was decided, whoever watches hears what
//! changed. Where both are this device the two come one right behind the other, and are stored as one: that is one commit
//! less for each push, and an entry that was accepted leaves the outbox without being written once more.

use landfall_core::mutant;
use landfall_protocol::server::{BucketChanges, Decision};
use landfall_protocol::{Outcome, ServerMessage};

use super::{Engine, Input, Moment};
use crate::db::{DbError, LiveChanges};
use crate::session::{Entropy, Event, EventName, StateName};

/// So long an answer waits for the changes behind it. Milliseconds. Whatever else happens first ends the wait, too; what is
/// not stored when the process ends is as if it had been lost on the way: it is offered again, and answered again.
const PATIENCE_MS: u64 = 1;

/// What a push was answered with.
#[derive(Debug)]
pub(super) struct Answer {
    connection: u64,
    id: u32,
    decisions: Vec<Decision>,
    /// When it is stored at the latest, by the monotonic clock.
    pub(super) until_ms: u64,
}

impl Engine {
    /// Keeps an answer that waits for the changes behind it; stores one that was kept before anything else is looked at,
    /// with the changes when it is those that came. What is left to look at.
    pub(super) fn with_answer(&mut self, input: Input, now: Moment, random: &mut Entropy<'_>) -> Option<Input> {
        let Some(Answer { connection, id, decisions, .. }) = self.answer.take() else {
            return self.keep_answer(input, now);
        };
        let is_current = self.session.connection() == connection && self.hears(EventName::Acknowledge);
        if !is_current {
            return self.keep_answer(input, now);
        }
        let (live, rest) = match input {
            Input::Frame { connection: of, message: ServerMessage::Live { to, chain, stamp, buckets } }
                if of == connection =>
            {
                (Some((to, chain, stamp, buckets)), None)
            }
            other => (None, Some(other)),
        };
        let changes = live.as_ref().map(|(to, chain, stamp, buckets)| LiveChanges {
            to: *to,
            chain: *chain,
            stamp: *stamp,
            buckets,
        });
        match self.acknowledge(id, &decisions, changes.as_ref(), now) {
            Ok(event) => {
                self.step(&event, now, random);
                // Its own consequences may have ended the session.
                let goes_on = self.session.connection() == connection && self.hears(EventName::Live);
                if let Some((.., buckets)) = live.filter(|_| goes_on) {
                    let event = self.applied(&buckets, now);
                    self.step(&event, now, random);
                }
            }
            Err(error) => self.step(&Event::Fault { reason: error.to_string() }, now, random),
        }
        rest.and_then(|input| self.keep_answer(input, now))
    }

    /// Whether the answer to a push waits for the changes behind it, a millisecond at most.
    pub fn keeps_answer(&self) -> bool {
        self.answer.is_some()
    }

    fn keep_answer(&mut self, input: Input, now: Moment) -> Option<Input> {
        match input {
            Input::Frame { connection, message: ServerMessage::Acknowledge { id, decisions, .. } }
                if connection == self.session.connection()
                    && self.hears(EventName::Acknowledge)
                    && self.awaits_changes(&decisions) =>
            {
                let until_ms = now.mono_ms + PATIENCE_MS;
                self.answer = Some(Answer { connection, id, decisions, until_ms });
                None
            }
            other => Some(other),
        }
    }

    fn hears(&self, name: EventName) -> bool {
        StateName::of(self.session.state()).can_hear(name)
    }

    /// Whether all of a push was accepted, and what that changed is yet to come. A refusal is told at once.
    fn awaits_changes(&self, decisions: &[Decision]) -> bool {
        let Some(cursor) = self.db.cursor() else { return false };
        let is_ahead = |d: &Decision| matches!(d.outcome, Outcome::Accepted { seq } if seq > cursor.seq);
        let is_split = mutant::active("live-message-split");
        !decisions.is_empty() && decisions.iter().all(is_ahead) && self.db.is_watching() && !is_split
    }

    /// Applies the answer to a push, with the changes that came behind it.
    pub(super) fn acknowledge(
        &mut self,
        id: u32,
        decisions: &[Decision],
        live: Option<&LiveChanges<'_>>,
        now: Moment,
    ) -> Result<Event, DbError> {
        let before = self.db.counts();
        let decided = match live {
            Some(live) => self.db.decide_with(decisions, live, now.wall_ms)?,
            None => self.db.decide(decisions, now.wall_ms)?,
        };
        self.pace.answered(before, self.db.counts(), now.mono_ms);
        self.undo_changed |= !decided.refused.is_empty();
        self.announce(&decided.changes);
        let is_copied = |d: &&Decision| d.outcome == Outcome::Copied && !mutant::active("clone-not-recognised");
        let mut copied: Vec<u64> = decisions.iter().filter(is_copied).map(|d| d.rseq).collect();
        if self.session.is_copied() || !copied.is_empty() {
            // What waits for an entry that cannot be decided under this id will wait for ever.
            copied.extend(&decided.deferred);
        }
        for decision in decisions {
            if matches!(decision.outcome, Outcome::Accepted { .. }) {
                self.mirror_gone(decision.rseq);
            }
        }
        self.mirror_dead()?;
        Ok(Event::Acknowledge { id, deferred: decided.is_soon, copied })
    }

    /// Changes were applied: chunks that waited for them can be stored.
    pub(super) fn applied(&mut self, buckets: &[BucketChanges], now: Moment) -> Event {
        let db = &self.db;
        self.session.release(now.mono_ms, |bucket| db.may_load(bucket));
        let changes = buckets.iter().map(|b| b.changes.0.len() as u64).sum::<u64>();
        Event::Live { bytes: 64 + 128 * changes }
    }
}
