//! Virtual time, and the clocks of machines, which are wrong in their own ways.

/// Virtual microseconds since the start of a run.
pub type Micros = u64;

/// One second of virtual time.
pub const SECOND: Micros = 1_000_000;
/// One millisecond of virtual time.
pub const MILLI: Micros = 1_000;
/// The true time at the start of a run: 2026-11-21T00:00:00Z, in milliseconds since 1970.
pub const START_MS: u64 = 1_795_219_200_000;

/// A machine's two clocks. The wall clock is off, drifts and is set; the monotonic clock only drifts.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClock {
    /// The wall clock less the true time, in milliseconds.
    pub offset_ms: i64,
    /// How much too fast both clocks run, in millionths.
    pub drift_ppm: i64,
}

impl MachineClock {
    /// The wall clock's reading, milliseconds since 1970. Never before 1980, as machines without a battery start.
    pub fn wall_ms(&self, now: Micros) -> u64 {
        let read = START_MS as i64 + self.offset_ms + self.drifted_us(now) / 1000;
        read.max(315_532_800_000) as u64
    }

    /// The monotonic clock's reading, milliseconds since the start.
    pub fn mono_ms(&self, now: Micros) -> u64 {
        (self.drifted_us(now) / 1000).max(0) as u64
    }

    /// The first virtual time at which the monotonic clock reads `mono_ms`.
    pub fn virtual_at(&self, mono_ms: u64) -> Micros {
        let us = i128::from(mono_ms) * 1000 * 1_000_000 / i128::from(1_000_000 + self.drift_ppm);
        let mut at = us.clamp(0, i128::from(u64::MAX / 2)) as Micros;
        while self.mono_ms(at) < mono_ms {
            at += 1;
        }
        at
    }

    fn drifted_us(&self, now: Micros) -> i64 {
        let now = now as i64;
        now + (i128::from(now) * i128::from(self.drift_ppm) / 1_000_000) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_met_at_the_first_moment_at_which_the_clock_shows_it() {
        for drift_ppm in [-300, 0, 77, 400] {
            let clock = MachineClock { offset_ms: 5, drift_ppm };
            for mono in [0, 1, 999, 12_345, 86_400_000] {
                let at = clock.virtual_at(mono);
                assert!(clock.mono_ms(at) >= mono);
                assert!(at == 0 || clock.mono_ms(at - 1) < mono);
            }
        }
    }
}
