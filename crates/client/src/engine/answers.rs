//! Answers to pushes. The server tells of a commit twice: whoever pushed hears what was decided, whoever watches hears what
//! changed. Where both are this device the two come one right behind the other, and are stored as one: that is one commit
//! less for each push, and an entry that was accepted leaves the outbox without being written once more.

use landfall_core::mutant;
use landfall_protocol::server::{BucketChanges, Decision};
use landfall_protocol::{Outcome, ServerMessage};

use super::{Engine, Input, Moment};
use crate::db::{DbError, Decided, EntryState, LiveChanges};
use crate::session::{Entropy, Event, EventName, StateName};

/// So long an answer waits for the changes behind it. Milliseconds. Whatever else happens first ends the wait, too; what is
/// not stored when the process ends is as if it had been lost on the way: it is offered again, and answered again.
const PATIENCE_MS: u64 = 1;

/// What pushes were answered with, over one connection.
#[derive(Debug)]
pub(super) struct Answers {
    connection: u64,
    /// Each push, and its decisions: the order in which they came.
    all: Vec<(u32, Vec<Decision>)>,
    /// When they are stored at the latest, by the monotonic clock.
    pub(super) until_ms: u64,
}

fn all_accepted(decisions: &[Decision]) -> bool {
    !decisions.is_empty() && decisions.iter().all(|d| matches!(d.outcome, Outcome::Accepted { .. }))
}

/// What the session has to know of an answer.
pub(super) struct Told {
    deferred: bool,
    copied: Vec<u64>,
}

impl Told {
    /// A push was answered.
    pub(super) fn event(&self, id: u32) -> Event {
        Event::Acknowledge { id, deferred: self.deferred, copied: self.copied.clone() }
    }
}

impl Engine {
    /// Goes on sending where all of a push was accepted; keeps an answer that waits for the changes behind it; stores those
    /// that were kept before anything else is looked at, with the changes when it is those that came. What is left to look
    /// at.
    pub(super) fn with_answers(&mut self, input: Input, now: Moment, random: &mut Entropy<'_>) -> Option<Input> {
        let connection = self.session.connection();
        let input = match input {
            Input::Frame { connection: of, message: ServerMessage::Acknowledge { id, decisions, shift_ms } } => {
                let dead = self.db.counts().dead;
                if of == connection && self.hears(EventName::Acknowledge) && all_accepted(&decisions) {
                    self.expire(now);
                    let next = self.session.accepted(id, now.mono_ms);
                    self.carry_out(next, now, random);
                }
                // What could not be sent may have ended the session.
                let is_ours = of == self.session.connection() && self.hears(EventName::Acknowledge);
                if is_ours && self.awaits_changes(&decisions) {
                    let until_ms = now.mono_ms + PATIENCE_MS;
                    let fresh = || Answers { connection, all: Vec::new(), until_ms };
                    self.answers.get_or_insert_with(fresh).all.push((id, decisions));
                    // The answer is told with the changes; what has expired meanwhile is told now.
                    if self.db.counts().dead != dead {
                        self.refresh_status(now);
                    }
                    return None;
                }
                let message = ServerMessage::Acknowledge { id, decisions, shift_ms };
                Input::Frame { connection: of, message }
            }
            other => other,
        };
        // Those of a connection that has ended are as good as lost on the way.
        let hears = self.hears(EventName::Acknowledge);
        let kept = self.answers.take().filter(|answers| hears && answers.connection == connection);
        let Some(answers) = kept else { return Some(input) };
        match input {
            Input::Frame { connection: of, message: ServerMessage::Live { to, chain, stamp, buckets } }
                if of == connection =>
            {
                let live = LiveChanges { to, chain, stamp, buckets: &buckets };
                self.settle_answers(answers, Some(&live), now, random);
                // What followed from it may have ended the session.
                if self.session.connection() == connection && self.hears(EventName::Live) {
                    let event = self.applied(&buckets, now);
                    self.step(&event, now, random);
                }
                None
            }
            other => {
                self.settle_answers(answers, None, now, random);
                Some(other)
            }
        }
    }

    /// Whether answers to pushes wait for the changes behind them, a millisecond at most.
    pub fn keeps_answers(&self) -> bool {
        self.answers.is_some()
    }

    fn settle_answers(
        &mut self,
        answers: Answers,
        live: Option<&LiveChanges<'_>>,
        now: Moment,
        random: &mut Entropy<'_>,
    ) {
        let ids: Vec<u32> = answers.all.iter().map(|(id, _)| *id).collect();
        let decisions: Vec<Decision> = answers.all.into_iter().flat_map(|(_, decisions)| decisions).collect();
        match self.acknowledge(&decisions, live, now) {
            Ok(told) => {
                for id in ids {
                    // What follows from one may end the session, and with it whatever else was under way.
                    if self.session.connection() == answers.connection {
                        self.step(&told.event(id), now, random);
                    }
                }
            }
            Err(error) => {
                if live.is_some() {
                    // What was decided is worth keeping also where the changes cannot be stored.
                    let _ = self.acknowledge(&decisions, None, now);
                }
                self.step(&Event::Fault { reason: error.to_string() }, now, random);
            }
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

    /// Applies what pushes were answered with, and the changes that came behind it.
    pub(super) fn acknowledge(
        &mut self,
        decisions: &[Decision],
        live: Option<&LiveChanges<'_>>,
        now: Moment,
    ) -> Result<Told, DbError> {
        let before = self.db.counts();
        let decided = match live {
            Some(live) => self.db.decide_with(decisions, live, now.wall_ms)?,
            None => self.db.decide(decisions, now.wall_ms)?,
        };
        self.pace.answered(before, self.db.counts(), now.mono_ms);
        self.after_decisions(decisions, decided)
    }

    /// A new session tells what was accepted over another one, before anything that this changed is heard of.
    /// `waited`: so many of these waited here until now; of the others it is heard again.
    pub(super) fn catch_up_on(&mut self, accepted: &[Decision], waited: usize, now: Moment) -> Result<(), DbError> {
        if accepted.is_empty() || mutant::active("accepted-unheard") {
            return Ok(());
        }
        let decided = self.db.decide(accepted, now.wall_ms)?;
        self.pace.accepted(waited as u64);
        self.after_decisions(accepted, decided).map(|_| ())
    }

    fn after_decisions(&mut self, decisions: &[Decision], decided: Decided) -> Result<Told, DbError> {
        self.undo_changed |= !decided.refused.is_empty();
        self.announce(&decided.changes);
        let is_copied = |d: &&Decision| d.outcome == Outcome::Copied && !mutant::active("clone-not-recognised");
        let mut copied: Vec<u64> = decisions.iter().filter(is_copied).map(|d| d.rseq).collect();
        if self.session.is_copied() || !copied.is_empty() {
            // What waits for an entry that cannot be decided under this id will wait for ever.
            copied.extend(&decided.deferred);
        }
        for decision in decisions {
            let is_gone = match decision.outcome {
                Outcome::Accepted { .. } => true,
                // What the server has forgotten may be known here to be accepted.
                Outcome::Refused { .. } => {
                    self.db.entry(decision.rseq)?.is_none_or(|entry| matches!(entry.state, EntryState::Acknowledged(_)))
                }
                _ => false,
            };
            if is_gone {
                self.mirror_gone(decision.rseq);
            }
        }
        self.mirror_changed()?;
        Ok(Told { deferred: decided.is_soon, copied })
    }

    /// Changes were applied: chunks that waited for them can be stored.
    pub(super) fn applied(&mut self, buckets: &[BucketChanges], now: Moment) -> Event {
        let db = &self.db;
        self.session.release(now.mono_ms, |bucket| db.may_load(bucket));
        let changes = buckets.iter().map(|b| b.changes.0.len() as u64).sum::<u64>();
        Event::Live { bytes: 64 + 128 * changes }
    }
}
