//! How much goes with one push: a little more with each answer, half as much when it was too much. After Chiu and Jain,
//! "Analysis of the Increase and Decrease Algorithms" (1989), as TCP does it.

/// Entries of the first push.
const FIRST: usize = 64;
/// No push has more, whatever the server takes: while the device stores the answer, reads and writes of the app wait.
const MOST: usize = 128;
/// So many more with each answer that came soon.
const STEP: usize = FIRST / 4;
/// An answer that took longer is slow when this connection has shown that it can do better.
const SLOW_MS: u64 = 1_000;
/// By so much, at least.
const SLOW_RATIO: u64 = 4;
/// An answer that took longer is slow on any connection: a push that is still on its way keeps the word back that the
/// connection lives.
const TOO_SLOW_MS: u64 = 5_000;
/// Bytes for each entry that the push may have: a batch of large entries is as bounded as one of many.
const BYTES_EACH: usize = 8 << 10;

/// The size of the next push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    entries: usize,
    /// The quickest answer of this connection, milliseconds.
    fastest_ms: Option<u64>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { entries: FIRST, fastest_ms: None }
    }
}

impl Batch {
    /// Most entries of the next push, where the server takes `limit`.
    pub fn entries(&self, limit: usize) -> usize {
        self.entries.min(limit.max(1))
    }

    /// Most bytes of the next push, where the server takes frames of `frame_bytes`. One entry always fits.
    pub fn bytes(&self, frame_bytes: usize) -> usize {
        self.entries.saturating_mul(BYTES_EACH).min(frame_bytes / 2)
    }

    /// A push was answered after so many milliseconds.
    pub fn answered(&mut self, took_ms: u64, limit: usize) {
        let fastest = self.fastest_ms.map_or(took_ms, |fastest| fastest.min(took_ms));
        self.fastest_ms = Some(fastest);
        let slow = took_ms > TOO_SLOW_MS || took_ms > SLOW_MS.max(fastest.saturating_mul(SLOW_RATIO));
        self.entries = match slow {
            // On a network that is slow by nature a push of a few entries takes as long as one of none: fewer are no help.
            true => (self.entries / 2).max(STEP.min(self.entries.saturating_mul(2))),
            false => self.entries.saturating_add(STEP).min(limit.clamp(1, MOST)),
        };
    }

    /// A push was not taken, or its connection broke under it.
    pub fn failed(&mut self) {
        self.entries = (self.entries / 2).max(1);
    }

    /// Another connection may be another network.
    pub fn reconnected(&mut self) {
        self.fastest_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_soon_adds_and_what_is_slow_or_fails_halves() {
        let mut batch = Batch::default();
        batch.answered(20, 1_000);
        assert_eq!(batch.entries, 80);
        batch.answered(999, 1_000);
        assert_eq!(batch.entries, 96, "less than a second is soon, whatever the quickest was");
        batch.answered(1_001, 1_000);
        assert_eq!(batch.entries, 48);
        batch.failed();
        assert_eq!(batch.entries, 24);
        batch.answered(9_000, 1_000);
        assert_eq!(batch.entries, 16, "a slow answer leaves a push worth its way");
        batch.answered(9_000, 1_000);
        assert_eq!(batch.entries, 16);
        (0..9).for_each(|_| batch.failed());
        assert_eq!(batch.entries, 1);
        (0..4).for_each(|_| batch.answered(9_000, 1_000));
        assert_eq!(batch.entries, 16, "slow answers alone bring it back to that");
    }

    #[test]
    fn a_network_that_is_slow_by_nature_is_not_overloaded() {
        let mut batch = Batch::default();
        for _ in 0..3 {
            batch.answered(3_000, 1_000);
        }
        assert_eq!(batch.entries, 112);
        batch.reconnected();
        batch.answered(100, 1_000);
        batch.answered(3_000, 1_000);
        assert_eq!(batch.entries, 64, "another connection was quicker");
    }

    proptest! {
        #[test]
        fn a_push_is_never_empty_and_never_above_the_limit(
            steps in prop::collection::vec((any::<bool>(), 0u64..20_000), 0..80),
            limit in 0usize..2_000,
        ) {
            let mut batch = Batch::default();
            for (fails, took_ms) in steps {
                if fails { batch.failed() } else { batch.answered(took_ms, limit) }
                prop_assert!((1..=limit.max(1)).contains(&batch.entries(limit)));
                prop_assert!(batch.bytes(1 << 20) <= 1 << 19);
            }
        }
    }
}
