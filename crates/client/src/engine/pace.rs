//! How sending goes: what was done since the outbox was last empty, and how long the rest may take.

use landfall_core::mutant;

use crate::db::Counts;
use crate::status::Sending;

/// Of what earlier answers say, so many eighths remain with each new one: the last dozen of them count.
const KEPT_EIGHTHS: u64 = 7;
/// Parts of an entry and of a millisecond, so that what remains of little is not rounded away.
const PARTS: u64 = 1 << 10;

/// Counts what is decided, and measures how quickly. Times are monotonic milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    done: u64,
    failed: u64,
    /// Decided entries of late, and the time that they took, both in parts.
    entries: u64,
    ms: u64,
    /// Since when the answer that comes next is waited for; `None` while nothing is under way.
    since_ms: Option<u64>,
}

impl Pace {
    /// Entries were decided by the server. Whatever is undecided was so in the meantime, too.
    pub fn answered(&mut self, before: Counts, after: Counts, now_ms: u64) {
        let decided = before.undecided().saturating_sub(after.undecided());
        self.ended(before, after);
        if let Some(since) = self.since_ms.replace(now_ms) {
            let took = now_ms.saturating_sub(since);
            self.entries = self.entries * KEPT_EIGHTHS / 8 + decided.saturating_mul(PARTS);
            self.ms = self.ms * KEPT_EIGHTHS / 8 + took.saturating_mul(PARTS);
        }
    }

    /// Entries ended without an answer, or with one. What was withdrawn is neither done nor failed.
    pub fn ended(&mut self, before: Counts, after: Counts) {
        let failed = after.dead.saturating_sub(before.dead);
        let decided = before.undecided().saturating_sub(after.undecided());
        self.failed(failed);
        self.done += decided.saturating_sub(failed);
    }

    /// So many entries are known to be accepted without having been sent just now.
    pub fn accepted(&mut self, entries: u64) {
        self.done += entries;
    }

    /// So many entries became dead letters.
    pub fn failed(&mut self, entries: u64) {
        if !mutant::active("failures-uncounted") {
            self.failed += entries;
        }
    }

    /// Takes note of whether a push is under way, and whether another one could be sent. Where none could, what comes
    /// after may be another network at another time: nothing is known of it.
    pub fn note(&mut self, is_pushing: bool, can_send: bool, now_ms: u64) {
        match is_pushing {
            true => _ = self.since_ms.get_or_insert(now_ms),
            false => self.since_ms = None,
        }
        if !can_send {
            (self.entries, self.ms) = (0, 0);
        }
    }

    /// What to tell of it; `None`, and all is forgotten, when nothing is left.
    pub fn told(&mut self, counts: Counts) -> Option<Sending> {
        let left = counts.undecided();
        if left == 0 {
            *self = Self::default();
            return None;
        }
        // Entries that wait for their next attempt alone go at no rate.
        let known = self.since_ms.is_some() && self.entries > 0 && self.ms > 0;
        let to_go = || u128::from(left) * u128::from(self.ms) / u128::from(self.entries.max(1));
        let time_to_go_ms = known.then(|| u64::try_from(to_go()).unwrap_or(u64::MAX));
        let (done, failed, bytes_left) = (self.done, self.failed, counts.undecided_bytes);
        Some(Sending { done, failed, left, bytes_left, time_to_go_ms })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(pending: u64, dead: u64) -> Counts {
        Counts { pending, dead, undecided_bytes: pending * 100, ..Counts::default() }
    }

    #[test]
    fn what_is_left_takes_as_long_as_the_last_answers_say() {
        let mut pace = Pace::default();
        assert_eq!(pace.told(counts(1_000, 0)).unwrap().time_to_go_ms, None, "nothing is known yet");
        pace.note(true, true, 5_000);
        pace.answered(counts(1_000, 0), counts(900, 1), 6_000);
        let told = pace.told(counts(900, 1)).unwrap();
        assert_eq!(told, Sending { done: 99, failed: 1, left: 900, bytes_left: 90_000, time_to_go_ms: Some(9_000) });
        // Twice as quick from now on: the estimate follows.
        let mut left = 900;
        for n in 1..=8 {
            left -= 100;
            pace.answered(counts(left + 100, 1), counts(left, 1), 6_000 + n * 500);
        }
        let told = pace.told(counts(100, 1)).unwrap().time_to_go_ms.unwrap();
        assert!((500..600).contains(&told), "{told}");
        assert_eq!(pace.told(counts(0, 1)), None);
        assert_eq!(pace, Pace::default(), "the next drain begins anew");
    }

    #[test]
    fn nothing_is_known_while_nothing_can_be_sent() {
        let mut pace = Pace::default();
        pace.note(true, true, 0);
        pace.answered(counts(10, 0), counts(9, 0), 100);
        assert_eq!(pace.told(counts(9, 0)).unwrap().time_to_go_ms, Some(900));
        pace.note(false, false, 200);
        assert_eq!(pace.told(counts(9, 0)).unwrap().time_to_go_ms, None);
        pace.note(true, true, 90_000);
        pace.answered(counts(9, 0), counts(8, 0), 90_100);
        assert_eq!(
            pace.told(counts(8, 0)).unwrap().time_to_go_ms,
            Some(800),
            "the time without a network is not counted"
        );
    }

    proptest! {
        #[test]
        fn every_entry_is_counted_once(steps in prop::collection::vec((0u64..40, 0u64..5, 0u64..9_000), 1..60)) {
            let (mut pace, mut now, mut left, mut dead) = (Pace::default(), 0, 2_000u64, 0);
            let (mut done, mut failed) = (0, 0);
            for (more, refused, wait) in steps {
                now += wait;
                pace.note(true, true, now);
                let before = counts(left, dead);
                (left, dead) = (left - more - refused, dead + refused);
                (done, failed) = (done + more, failed + refused);
                pace.answered(before, counts(left, dead), now);
                let told = pace.told(counts(left, dead)).unwrap();
                prop_assert_eq!((told.done, told.failed, told.left), (done, failed, left));
            }
        }
    }
}
