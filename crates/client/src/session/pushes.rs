//! Pushes that were answered.

use super::{Command, DEFERRED_PAUSE_MS, Flight, Session, State};

impl Session {
    /// The server has taken all of a push. What was decided is about to be stored, and told with `Event::Acknowledge`; the
    /// next push goes before that, so that the server works while this device does.
    pub fn accepted(&mut self, id: u32, now_ms: u64) -> Vec<Command> {
        let mut out = Vec::new();
        if self.state != State::Online {
            return out;
        }
        if let Some(flight) = self.pushes.remove(&id) {
            self.heard(now_ms);
            self.took(&flight, now_ms);
            self.unstored.insert(id, flight.rseqs);
            self.more_to_send = true;
            self.fill(now_ms, &mut out);
        }
        out
    }

    /// A push was answered: this is how fast the server is.
    fn took(&mut self, flight: &Flight, now_ms: u64) {
        self.breaks = 0;
        self.not_taken_ms = self.not_taken_ms.filter(|at_ms| flight.sent_ms <= *at_ms);
        let limit = self.limits.push_entries as usize;
        self.batch.answered(now_ms.saturating_sub(flight.sent_ms), limit);
    }

    pub(super) fn acknowledged(&mut self, id: u32, deferred: bool, copied: &[u64], now_ms: u64) {
        self.more_to_send = true;
        if self.unstored.remove(&id).is_some() {
            self.deferred_until_ms = 0;
            return;
        }
        let flight = self.pushes.remove(&id);
        self.copied |= !copied.is_empty();
        self.undecidable.extend(copied);
        let Some(flight) = flight else {
            // A decision that an answered push was still owed: it says nothing of how fast the server is.
            return;
        };
        self.took(&flight, now_ms);
        self.deferred_until_ms = if deferred { now_ms + DEFERRED_PAUSE_MS } else { 0 };
    }
}
