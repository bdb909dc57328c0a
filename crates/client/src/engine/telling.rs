//! What the person is told: the status, worked out anew after each event.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::{Effect, Engine, Moment};
use crate::db::{Completeness, DbError};
use crate::status::{Connectivity, Progress};

/// Entries expire so much later at most.
const EXPIRY_PAUSE_MS: u64 = 100;

impl Engine {
    fn progress(&self) -> Option<Progress> {
        let parts = self.db.subscriptions().into_iter().filter_map(|s| match self.db.completeness(s.handle) {
            Some(Completeness::Incomplete { rows, expected }) => Some(Progress { rows, expected }),
            Some(Completeness::Complete) | None => None,
        });
        parts.reduce(|a, b| Progress { rows: a.rows + b.rows, expected: a.expected + b.expected })
    }

    /// Takes note of how the outbox's mirror is doing: why it cannot be written, or that it can.
    pub fn set_mirror_problem(&mut self, problem: Option<String>, now: Moment) {
        self.status.mirror_problem = problem;
        self.refresh_status(now);
    }

    /// Takes note of what may be missing since the database was lost.
    pub fn set_recovery_problem(&mut self, problem: String, now: Moment) {
        self.status.recovery_problem = Some(problem);
        self.refresh_status(now);
    }

    /// As [`Database::count_outbox_changes`](crate::db::Database::count_outbox_changes).
    ///
    /// # Errors
    /// As that.
    pub fn count_outbox_changes(&mut self) -> Result<Arc<AtomicU64>, DbError> {
        self.db.count_outbox_changes()
    }

    pub(super) fn refresh_status(&mut self, now: Moment) {
        self.refresh_completeness();
        let mut next = self.status.clone();
        next.connectivity = Connectivity::of(self.session.state(), now.mono_ms);
        next.last_error = self.session.last_error().map(str::to_owned);
        next.durability = self.db.durability();
        let counts = self.db.counts();
        (next.pending, next.acknowledged, next.dead) = (counts.undecided(), counts.acked, counts.dead);
        next.loading = self.progress();
        next.healed = self.db.reconciled().healed;
        let can_send = next.connectivity == Connectivity::Online && !self.session.is_paused();
        self.pace.note(self.session.is_pushing(), can_send, now.mono_ms);
        (next.paused, next.sending) = (self.db.is_paused(), self.pace.told(counts));
        next.review = self.held_back();
        if std::mem::take(&mut self.undo_changed) {
            next.can_undo = self.db.can_undo().is_ok_and(|rseq| rseq.is_some());
            next.can_redo = self.db.can_redo().is_ok_and(|rseq| rseq.is_some());
        }
        self.db.set_online(can_send);
        let expiry = self.db.next_expiry_in_ms(now.wall_ms).unwrap_or_default();
        // Where it cannot be ended, it is tried again a little later, not at once.
        self.expires_at_ms = expiry.map(|wait| now.mono_ms + wait.max(EXPIRY_PAUSE_MS));
        self.status = next;
        self.mirror_situation();
        if self.status != self.told {
            self.told.clone_from(&self.status);
            self.told_ms = now.mono_ms;
            self.effects.push_back(Effect::Status(Box::new(self.status.clone())));
        }
    }
}
