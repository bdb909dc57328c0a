//! How one hook is doing, and how much of it is asked.
//!
//! A hook that cannot be reached is tried by one question at a time, after growing pauses; one that is overloaded is given
//! the time that it asks for, and asked less at once: half as much, and again more with every so many answers.

use super::MOST_PER_HOOK;
use super::queue::Queue;

/// The first pause.
const PAUSE_MS: u64 = 250;
/// The longest pause of one that cannot be reached: a try costs little.
const LONGEST_AWAY_MS: u64 = 5_000;
/// The longest pause of one that is overloaded, unless it asks for more.
const LONGEST_BUSY_MS: u64 = 10_000;
/// The longest pause that a hook may ask for.
pub(super) const LONGEST_ASKED_MS: u64 = 60_000;
/// So long the questions to a hook that takes none wait here; then their devices come again.
const PATIENCE_MS: u64 = 30_000;
/// Whoever comes while it takes no questions does not come again sooner.
const LEAST_AWAY_MS: u64 = 1_000;
/// When places become free is not guessed to be sooner than this, or later.
const ROOM_MS: (u64, u64) = (200, 5_000);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Lane {
    /// Who is to be asked about, in turn. Some of them not any more.
    pub(super) waiting: Queue,
    pub(super) running: usize,
    pub(super) known: usize,
    /// Most requests under way at once.
    most: usize,
    /// Answers since that grew.
    answers: usize,
    /// Until then nothing is asked.
    until_ms: u64,
    /// Since when it has taken no question, and how often not.
    away: Option<(u64, u32)>,
    /// How long an answer takes, on average.
    took_ms: u64,
}

impl Default for Lane {
    fn default() -> Self {
        let waiting = Queue::default();
        Self { waiting, running: 0, known: 0, most: MOST_PER_HOOK, answers: 0, until_ms: 0, away: None, took_ms: 0 }
    }
}

impl Lane {
    /// Whether one more may be asked now.
    pub(super) fn is_open(&self, now_ms: u64) -> bool {
        self.running < self.most && self.until_ms <= now_ms && !self.waiting.is_empty()
    }

    /// When it can be asked again, if that is yet to come and somebody waits for it.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        (self.running < self.most && self.until_ms > now_ms && !self.waiting.is_empty()).then_some(self.until_ms)
    }

    /// It was asked, and said something.
    pub(super) fn answered(&mut self, took_ms: u64) {
        self.away = None;
        self.took_ms = if self.took_ms == 0 { took_ms } else { (7 * self.took_ms + took_ms) / 8 };
        self.answers += 1;
        if self.answers >= self.most && self.most < MOST_PER_HOOK {
            (self.most, self.answers) = (self.most + 1, 0);
        }
    }

    /// There was no connection.
    pub(super) fn unreachable(&mut self, now_ms: u64, random: u64) {
        if let Some(wait_ms) = self.pause(LONGEST_AWAY_MS, now_ms, random) {
            (self.most, self.answers) = (1, 0);
            self.until_ms = now_ms + wait_ms;
        }
    }

    /// It has too much to do.
    pub(super) fn overloaded(&mut self, asked_ms: Option<u64>, now_ms: u64, random: u64) {
        if let Some(wait_ms) = self.pause(LONGEST_BUSY_MS, now_ms, random) {
            (self.most, self.answers) = (self.most.div_ceil(2), 0);
            self.until_ms = now_ms + wait_ms;
        }
        if let Some(asked_ms) = asked_ms {
            self.until_ms = self.until_ms.max(now_ms + asked_ms.min(LONGEST_ASKED_MS));
        }
    }

    /// The next pause; none when there is one already: what was under way together fails together.
    fn pause(&mut self, longest_ms: u64, now_ms: u64, random: u64) -> Option<u64> {
        if self.until_ms > now_ms {
            return None;
        }
        if self.until_ms + PATIENCE_MS <= now_ms {
            // That was another time.
            self.away = None;
        }
        let (_, times) = self.away.get_or_insert((now_ms, 0));
        *times = (*times + 1).min(16);
        let ceiling = (PAUSE_MS << *times).min(longest_ms);
        Some(ceiling / 2 + random % (ceiling / 2 + 1))
    }

    /// Whether it has taken nothing for so long that nobody should wait for it here.
    pub(super) fn is_lost(&self, now_ms: u64) -> bool {
        self.away.is_some_and(|(since_ms, _)| since_ms + PATIENCE_MS <= now_ms)
    }

    /// How long it takes no further questions: it has taken none, and others are there to try whether it does now.
    pub(super) fn closed_for(&self, now_ms: u64) -> Option<u64> {
        let wait_ms = self.until_ms.saturating_sub(now_ms);
        (self.away.is_some() && (wait_ms > 0 || self.known > 0)).then(|| wait_ms.max(LEAST_AWAY_MS))
    }

    /// When a place is likely to be free for the one that is the `ahead`-th to wait for one, of `places`.
    pub(super) fn room_in(&self, ahead: u64, places: usize) -> u64 {
        let at_once = self.most.min(places).max(1) as u64;
        (self.took_ms.saturating_mul(ahead + 1) / at_once).clamp(ROOM_MS.0, ROOM_MS.1)
    }
}
