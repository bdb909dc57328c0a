//! Full-jitter backoff, after Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

use super::Entropy;

/// No wait is longer than this many milliseconds.
pub const MAX_BACKOFF_MS: u64 = 30_000;
/// A server, or a proxy before it, that says how long to wait is believed up to here, milliseconds: its waits differ, so
/// that those who were told to wait do not come back together, and cutting them short would undo that.
pub const MAX_TOLD_MS: u64 = 600_000;
/// The first wait is below this many milliseconds.
const FIRST_MS: u64 = 400;

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// As it stands after so many failures in a row.
    pub fn after(failures: u32) -> Self {
        Self { failures }
    }

    /// Counts one more failure and draws the wait before the next attempt: uniform in 1..=min(cap, first × 2ⁿ).
    pub fn next_ms(&mut self, random: &mut Entropy<'_>) -> u64 {
        let ceiling = FIRST_MS.saturating_mul(1 << self.failures.min(20)).min(MAX_BACKOFF_MS);
        self.failures = self.failures.saturating_add(1);
        let mut bytes = [0; 8];
        random(&mut bytes);
        1 + u64::from_le_bytes(bytes) % ceiling
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_are_jittered_and_capped(draws in prop::collection::vec(any::<u64>(), 1..60)) {
            let mut backoff = Backoff::default();
            for (n, draw) in draws.iter().enumerate() {
                let wait = backoff.next_ms(&mut |bytes| bytes.copy_from_slice(&draw.to_le_bytes()[..bytes.len()]));
                let ceiling = (FIRST_MS << n.min(20)).min(MAX_BACKOFF_MS);
                prop_assert!((1..=ceiling).contains(&wait));
            }
        }
    }
}
