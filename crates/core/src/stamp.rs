//! Stamps: a hybrid logical clock reading and a replica id, totally ordered.
//!
//! After Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks" (2014). A stamp only orders what is
//! concurrent; whether two writes are concurrent is decided by base ([`crate::merge`]).

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::id::ReplicaId;

/// A reading of a hybrid logical clock with its replica. Order: wall time, then counter, then replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds since the Unix epoch, by the replica's clock (by the server's once it is decided).
    #[n(0)]
    pub wall_ms: u64,
    /// Orders readings within one millisecond.
    #[n(1)]
    pub counter: u32,
    /// Who wrote.
    #[n(2)]
    pub replica: ReplicaId,
}

impl Stamp {
    /// This stamp with its wall time moved by `shift_ms`, never past `limit_ms`.
    ///
    /// The server calls it with the difference of its clock to the device's and its own now.
    #[must_use]
    pub fn shifted(self, shift_ms: i64, limit_ms: u64) -> Self {
        Self { wall_ms: self.wall_ms.saturating_add_signed(shift_ms).min(limit_ms), ..self }
    }

    /// The smallest stamp of `replica` above `self`: what a write that saw `self` carries at least.
    #[must_use]
    pub fn successor(self, replica: ReplicaId) -> Self {
        match self.counter.checked_add(1) {
            Some(counter) => Self { counter, replica, ..self },
            None => Self { wall_ms: self.wall_ms.saturating_add(1), counter: 0, replica },
        }
    }
}

/// A reading further ahead of the clock than this, in milliseconds, is of a clock that has been set back since.
pub const MAX_AHEAD_MS: u64 = 60_000;

/// The hybrid logical clock of one replica. It is given the time, it never reads it.
///
/// Readings increase, whatever others say and however coarse the clock is, but for one thing: a clock that was years
/// ahead once and was set right must not win every merge from then on. A reading more than [`MAX_AHEAD_MS`] ahead of
/// the clock is forgotten. Nothing depends on it: what a write has seen is told by its base, stamps only order what is
/// concurrent, and a replica's own writes never are.
///
/// ```
/// use landfall_core::{Clock, ReplicaId};
/// let mut clock = Clock::new(ReplicaId([1; 16]));
/// let first = clock.tick(1_000);
/// let second = clock.tick(900); // the device's clock was set back a little
/// assert!(second > first);
/// let far = clock.tick(5_000_000_000); // it was wrong by months
/// assert!(clock.tick(2_000) < far); // until somebody set it right
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    replica: ReplicaId,
    wall_ms: u64,
    counter: u32,
}

impl Clock {
    /// A clock that has seen nothing.
    pub fn new(replica: ReplicaId) -> Self {
        Self { replica, wall_ms: 0, counter: 0 }
    }

    /// A clock that goes on after `last`, the largest stamp that this replica has given or seen.
    pub fn after(replica: ReplicaId, last: Stamp) -> Self {
        Self { replica, wall_ms: last.wall_ms, counter: last.counter }
    }

    /// A stamp for a write now: larger than every stamp given or seen before that is not too far ahead of `now_ms`.
    pub fn tick(&mut self, now_ms: u64) -> Stamp {
        if now_ms > self.wall_ms || self.wall_ms.saturating_sub(now_ms) > MAX_AHEAD_MS {
            (self.wall_ms, self.counter) = (now_ms, 0);
        } else if let Some(next) = self.counter.checked_add(1) {
            self.counter = next;
        } else {
            (self.wall_ms, self.counter) = (self.wall_ms.saturating_add(1), 0);
        }
        self.last()
    }

    /// Takes note of somebody else's stamp, already moved into this replica's time.
    pub fn observe(&mut self, other: Stamp) {
        if (other.wall_ms, other.counter) > (self.wall_ms, self.counter) {
            (self.wall_ms, self.counter) = (other.wall_ms, other.counter);
        }
    }

    /// The largest reading so far, as a stamp of this replica. Store it to survive a restart.
    pub fn last(&self) -> Stamp {
        Stamp { wall_ms: self.wall_ms, counter: self.counter, replica: self.replica }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// D2.
        #[test]
        fn readings_only_increase_but_after_a_clock_that_was_far_ahead(
            times in prop::collection::vec(prop_oneof![any::<u64>(), 0..200_000u64], 1..50),
        ) {
            let mut clock = Clock::new(ReplicaId([7; 16]));
            let mut last = clock.last();
            for now in times {
                let next = clock.tick(now);
                let set_back = last.wall_ms.saturating_sub(now) > MAX_AHEAD_MS;
                prop_assert!(next > last || set_back || last.wall_ms == u64::MAX);
                // The last tick of a counter may add one.
                prop_assert!(next.wall_ms <= now.saturating_add(MAX_AHEAD_MS + 1));
                last = next;
            }
        }

        #[test]
        fn a_write_that_saw_a_stamp_is_larger(now: u64, ahead in 0..MAX_AHEAD_MS, counter: u32) {
            let wall = now.saturating_add(ahead).min(u64::MAX - 2);
            let seen = Stamp { wall_ms: wall, counter, replica: ReplicaId([255; 16]) };
            let mut clock = Clock::new(ReplicaId([0; 16]));
            clock.observe(seen);
            prop_assert!(clock.tick(now) > seen);
            prop_assert!(seen.successor(ReplicaId([0; 16])) > seen);
        }

        #[test]
        fn a_shift_never_passes_the_servers_now(wall: u64, shift: i64, limit: u64) {
            let stamp = Stamp { wall_ms: wall, counter: 0, replica: ReplicaId::default() };
            prop_assert!(stamp.shifted(shift, limit).wall_ms <= limit);
        }
    }
}
