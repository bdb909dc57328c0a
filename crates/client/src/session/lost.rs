//! How a connection ends, and what is learned from that.

use super::{Command, Entropy, MAX_PUSHES_IN_FLIGHT, MAX_TOLD_MS, Session, State};

/// So many connections in a row break under pushes before they are sent one entry at a time, to find the one that does it.
const BREAKS_BEFORE_ALONE: u32 = 3;
/// A nudge is put off for so long at most: a server tells nobody to wait for longer, jitter included.
const MAX_PATIENCE_MS: u64 = 45_000;

impl Session {
    /// The connection breaks. Where that goes on under pushes it may be one of their entries that does it: something on the
    /// way may not take it, or the server may fall over it. That one waits, and nothing waits for it.
    pub(super) fn broke(&mut self) -> Option<Command> {
        if self.pushes.is_empty() {
            return None;
        }
        let was_alone = self.goes_alone();
        self.breaks = self.breaks.saturating_add(1);
        let mut under_way = self.pushes.values().flat_map(|flight| &flight.rseqs);
        match (was_alone, under_way.next(), under_way.next()) {
            (true, Some(rseq), None) => Some(Command::SetAside { rseq: *rseq }),
            _ => None,
        }
    }

    /// Whether pushes are sent one entry at a time.
    pub(super) fn goes_alone(&self) -> bool {
        self.breaks >= BREAKS_BEFORE_ALONE
    }

    /// How many pushes may be under way. After one that was not taken there is one at a time: what follows waits for what is in that,
    /// and would use up what the server takes from this person, again and again, so that the first never gets its turn.
    pub(super) fn room(&self) -> usize {
        if self.goes_alone() || self.not_taken_ms.is_some() { 1 } else { MAX_PUSHES_IN_FLIGHT }
    }

    pub(super) fn lost(&mut self, reason: &str, now_ms: u64, random: &mut Entropy<'_>) {
        if !self.pushes.is_empty() {
            // It may have been too much for the network. Where this side hangs up nothing is learned of that.
            self.batch.failed();
        }
        self.forget_connection();
        if matches!(self.state, State::Connecting { .. } | State::Greeting { .. } | State::Online) {
            self.last_error = Some(reason.to_owned());
            self.state = State::Waiting { until_ms: now_ms + self.backoff.next_ms(random) };
        }
    }

    /// The database failed. What was asked for and could not be applied is forgotten: a chunk that comes after one that
    /// was not applied must not be. The wait grows while faults go on, whatever the network does in between.
    pub(super) fn fault(&mut self, reason: &str, now_ms: u64, random: &mut Entropy<'_>, out: &mut Vec<Command>) {
        self.loading.clear();
        self.disconnect(out);
        self.lost(reason, now_ms, random);
        self.last_error = Some(reason.to_owned());
        if let State::Waiting { until_ms } = &mut self.state {
            *until_ms = (*until_ms).max(now_ms + self.faults.next_ms(random));
        }
    }

    /// The server said how long to stay away. No page that comes to the foreground and nobody's impatience brings the device
    /// back sooner, within what a Landfall server asks for: longer waits are those of something on the way, which another
    /// network may not have.
    pub(super) fn stay_away(&mut self, told_ms: Option<u64>, now_ms: u64) {
        if let (State::Waiting { until_ms }, Some(told)) = (&mut self.state, told_ms) {
            self.connect_from_ms = now_ms + told.min(MAX_PATIENCE_MS);
            *until_ms = (*until_ms).max(now_ms + told.min(MAX_TOLD_MS));
        }
    }
}
