//! What a session sends next: answers first, then what its buckets need to catch up, then the live stream.

use landfall_protocol::ChangeList;
use landfall_protocol::server::BucketChanges;

use super::*;
use crate::hub::{Follows, Hub, Span};

/// What the driver does next for a session.
#[derive(Debug)]
pub enum Next {
    /// Send this, then ask again.
    Send(Outgoing),
    /// Look this up, give the answer to [`Session::handle`] as [`Event::ReadDone`], then ask again.
    Read(Read),
    /// Wait for an event, for the head to move, or for this time on the monotonic clock; then ask again.
    Wait {
        /// When to ask again at the latest. Beside [`Session::deadline_ms`].
        until_ms: Option<u64>,
    },
    /// All is said: end the connection.
    Close,
}

/// Something to send.
#[derive(Debug)]
pub enum Outgoing {
    /// A message of this session alone.
    Message(ServerMessage),
    /// A part of the live stream; [`Hub::frame`] shares its encoded form.
    Live(Span),
}

impl Outgoing {
    /// The message itself, for those who do not want it encoded.
    pub fn into_message(self) -> ServerMessage {
        match self {
            Self::Message(message) => message,
            Self::Live(span) => span.message(),
        }
    }
}

impl Session {
    /// What to do next. What is returned as sent counts as sent.
    pub fn next(&mut self, hub: &Hub, now: Moment) -> Next {
        self.next_up_to(hub.head().seq, hub, now)
    }

    /// Like [`Session::next`], without what was published after the head that the caller has seen. Answers are handed
    /// over before the group that they are about is published: who looks at the head first, then takes the answers, then
    /// asks, sends an Acknowledge before the Live that passes it.
    pub fn next_up_to(&mut self, seen: u64, hub: &Hub, now: Moment) -> Next {
        if self.state == State::Open && hub.head().epoch != self.epoch {
            self.fail(codes::GOING_AWAY, "the server was restored from a copy; connect again");
        }
        if let Some(message) = self.queue.pop_front() {
            if self.queue.is_empty() {
                self.queue = VecDeque::new();
            }
            return Next::Send(Outgoing::Message(message));
        }
        match self.state {
            State::Closed => Next::Close,
            State::Greeting | State::Opening => Next::Wait { until_ms: None },
            State::Open if self.reading => Next::Wait { until_ms: None },
            State::Open => self.next_change(seen, hub, now),
        }
    }

    fn next_change(&mut self, seen: u64, hub: &Hub, now: Moment) -> Next {
        if self.audience_changed {
            let (live, others) = self.buckets_by_liveness();
            (self.audience, self.not_live) = (hub.audience(live), hub.audience(others));
            self.audience_changed = false;
        }
        // A long way to catch up must not stop the live stream, nor the reverse: they take turns.
        let behind = self.first_behind();
        if let Some((bucket, after)) = behind.filter(|_| self.catch_up_first) {
            return self.next_catch_up(bucket, after);
        }
        self.catch_up_first = true;
        match (self.next_live(seen, hub, now), behind) {
            (Next::Wait { .. }, Some((bucket, after))) => self.next_catch_up(bucket, after),
            (next, _) => next,
        }
    }

    fn next_catch_up(&mut self, bucket: BucketId, after: u64) -> Next {
        self.catch_up_first = false;
        // A bucket that loads is held, so that it is still there; its log may begin later than the session stands.
        if after >= self.at {
            self.set_bucket(bucket, BucketState::Live);
            return Next::Send(Outgoing::Message(self.caught_up(bucket, self.at, ChangeList::default())));
        }
        self.reading = true;
        Next::Read(Read::CatchUp { bucket, after, up_to: self.at })
    }

    fn caught_up(&self, bucket: BucketId, to: u64, changes: ChangeList) -> ServerMessage {
        ServerMessage::CatchUp { bucket, to, changes, done: to >= self.at }
    }

    fn next_live(&mut self, seen: u64, hub: &Hub, now: Moment) -> Next {
        // One message may always be under way, however large it is.
        let bounded = !landfall_core::mutant::active("window-ignored");
        let full =
            bounded && self.in_flight_bytes > 0 && self.in_flight_bytes >= self.rules.limits.window_bytes as usize;
        if full || !self.follows {
            return Next::Wait { until_ms: None };
        }
        // What a push of this session has changed is told after its answer, also where it is decided in parts.
        let seen = self.decided_from.values().fold(seen, |seen, from| seen.min(*from));
        match hub.follows(&self.audience, self.at, seen, self.rules.message_bytes) {
            Follows::Nothing => Next::Wait { until_ms: None },
            Follows::Changes(span) => self.send_live(span, now),
            Follows::Mark(span) => {
                let due_ms = self.marked_ms.saturating_add(self.rules.patience.mark_ms);
                if self.owes > self.at || now.mono_ms >= due_ms {
                    return self.send_live(span, now);
                }
                Next::Wait { until_ms: Some(due_ms) }
            }
            Follows::Behind(up_to) => {
                self.reading = true;
                Next::Read(Read::Live { buckets: self.audience.buckets().to_vec(), after: self.at, up_to })
            }
        }
    }

    /// When the next progress mark is due, if one is: ask [`Session::next`] again then.
    pub fn mark_due_ms(&self, hub: &Hub, now: Moment) -> Option<u64> {
        let due_ms = self.marked_ms.saturating_add(self.rules.patience.mark_ms);
        let waits = self.state == State::Open && self.follows && !self.reading && hub.head().seq > self.at;
        (waits && due_ms > now.mono_ms).then_some(due_ms)
    }

    fn send_live(&mut self, span: Span, now: Moment) -> Next {
        self.advance(span.to(), span.bytes());
        self.marked_ms = now.mono_ms;
        Next::Send(Outgoing::Live(span))
    }

    fn advance(&mut self, to: u64, bytes: usize) {
        debug_assert!(to >= self.at, "a session never goes back");
        self.at = to;
        if bytes > 0 {
            self.in_flight.push_back((to, bytes));
            self.in_flight_bytes += bytes;
        }
    }

    pub(super) fn read_done(&mut self, done: Result<ReadDone, Refusal>) {
        self.reading = false;
        match done {
            Err(refusal) => self.fail_with(refusal),
            Ok(ReadDone::CatchUp { bucket, to, run }) => self.read_catch_up(bucket, to, &run),
            Ok(ReadDone::Live { to, chain: Some(chain), stamp, runs }) => {
                let bytes = runs.iter().map(|(_, run)| run.len()).sum();
                self.advance(to, bytes);
                // A bucket may have been closed meanwhile.
                let wanted = |bucket: &BucketId| self.buckets.get(bucket) == Some(&BucketState::Live);
                let found = runs.iter().filter(|(bucket, run)| !run.is_empty() && wanted(bucket));
                let changes = |run: &[u8]| ChangeList::from_run(run).unwrap_or_default();
                let buckets =
                    found.map(|(bucket, run)| BucketChanges { bucket: *bucket, changes: changes(run) }).collect();
                self.queue.push_back(ServerMessage::Live { to, chain, stamp, buckets });
            }
            Ok(ReadDone::Shortened | ReadDone::Live { chain: None, .. }) => {
                self.fail(codes::GOING_AWAY, "the log was shortened meanwhile; connect again");
            }
        }
    }

    fn read_catch_up(&mut self, bucket: BucketId, to: u64, run: &[u8]) {
        // Closed meanwhile.
        if !matches!(self.buckets.get(&bucket), Some(BucketState::Behind(_))) {
            return;
        }
        let to = to.min(self.at);
        let state = if to == self.at { BucketState::Live } else { BucketState::Behind(to) };
        self.set_bucket(bucket, state);
        let changes = ChangeList::from_run(run).unwrap_or_default();
        let message = self.caught_up(bucket, to, changes);
        self.queue.push_back(message);
    }
}
