//! Coming back from a long absence: how long it was, and what is held back until the person has been told.

use landfall_core::mutant;

use super::synced::KEEP_EVERY_MS;
use super::{Engine, Moment};
use crate::db::Database;
use crate::session::{Entropy, Event, State};
use crate::status::Review;

/// A session hears of its server this often at least. After a longer silence the device slept, and what it hears first may
/// be from before.
const LONGEST_SILENCE_MS: u64 = 60_000;

/// The server's clock when it was heard of last. By the monotonic clock from there: the device's own may be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    server_ms: u64,
    mono_ms: u64,
}

/// Whether nothing may be handed to the network: the person has paused, or was not told yet after a long absence.
pub(super) fn sends_nothing(db: &Database) -> bool {
    db.is_paused() || (db.held().is_some() && !mutant::active("replay-without-review"))
}

impl Engine {
    /// A session begins; the database has noted how long there was none.
    pub(super) fn came_back(&mut self, server_ms: u64, now: Moment) {
        self.heard_clock(server_ms, now);
        // Before the session takes the welcome, upon which it would push.
        self.session.set_paused(sends_nothing(&self.db));
    }

    /// The server has said what time it is.
    pub(super) fn heard_clock(&mut self, server_ms: u64, now: Moment) {
        self.heard = Some(Heard { server_ms, mono_ms: now.mono_ms });
    }

    /// Takes note that there is a session, or was one until just now. Stored as seldom as when it was in step.
    pub(super) fn note_seen(&mut self, event: &Event, now: Moment) {
        let online = *self.session.state() == State::Online;
        let Some(heard) = self.heard.as_mut().filter(|_| !online || is_of_the_server(event)) else { return };
        let silence = now.mono_ms.saturating_sub(heard.mono_ms);
        if silence <= LONGEST_SILENCE_MS {
            heard.server_ms += silence;
        }
        heard.mono_ms = now.mono_ms;
        let (at_ms, within_ms) = (heard.server_ms, if online { KEEP_EVERY_MS } else { 0 });
        // A disk that is full or fails shows in what the session does; an absence counts as a little longer then.
        let _ = self.db.keep_seen(at_ms, within_ms);
        if !online {
            self.heard = None;
        }
    }

    /// Whether sending is held back may have changed.
    pub(super) fn hold_or_go_on(&mut self, now: Moment, random: &mut Entropy<'_>) {
        self.step(&Event::SetPaused { paused: sends_nothing(&self.db) }, now, random);
    }

    /// When nothing waits any more there is nothing to be told.
    pub(super) fn end_empty_hold(&mut self) {
        // Where it cannot be stored it is tried again with the next event.
        if self.db.held().is_some() && self.db.counts().undecided() == 0 && self.db.let_go_of_held().is_ok() {
            self.session.set_paused(sends_nothing(&self.db));
        }
    }

    /// What is held back.
    pub(super) fn held_back(&mut self) -> Option<Review> {
        let held = self.db.held()?;
        // What cannot be read now is looked at again with the next event.
        let conflicts = self.db.concerned().unwrap_or(self.status.review.map_or(0, |review| review.conflicts));
        Some(Review {
            entries: self.db.counts().undecided(),
            conflicts,
            away_ms: held.away_ms,
            since_ms: held.since_ms.saturating_add_signed(self.db.clock_offset_ms().saturating_neg()),
            complete: self.is_caught_up(),
            copied: held.is_copied,
        })
    }
}

/// Whether the event is a message of the server.
fn is_of_the_server(event: &Event) -> bool {
    matches!(
        event,
        Event::Welcome { .. }
            | Event::Acknowledge { .. }
            | Event::Opened { .. }
            | Event::Live { .. }
            | Event::CatchUp
            | Event::Pong
            | Event::Error { .. }
            | Event::Closed { .. }
    )
}

#[cfg(test)]
mod tests;
