//! What happened, one line for each event, and a fingerprint of it: two runs of a seed are the same when both agree.

use std::fmt::Debug;

use crate::clock::Micros;

/// Collects what happened.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    printing: bool,
    fingerprint: u64,
}

impl Trace {
    /// A trace that prints its lines, or only fingerprints events.
    pub fn new(printing: bool) -> Self {
        Self { printing, fingerprint: 0xcbf2_9ce4_8422_2325 }
    }

    /// Records an event of the queue.
    pub fn event(&mut self, time: Micros, event: &impl Debug) {
        let text = format!("{event:?}");
        self.mix(&time.to_le_bytes());
        self.mix(text.as_bytes());
        if self.printing {
            let shown: String = text.chars().take(160).collect();
            println!("{} event   {shown}", stamp(time));
        }
    }

    /// Records something that followed from an event.
    pub fn line(&mut self, time: Micros, who: &str, text: impl FnOnce() -> String) {
        if self.printing {
            println!("{} {who:<7} {}", stamp(time), text());
        }
    }

    /// Mixes content into the fingerprint.
    pub fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.fingerprint = (self.fingerprint ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// Identifies everything recorded so far.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

fn stamp(time: Micros) -> String {
    format!("{:>5}.{:06}", time / 1_000_000, time % 1_000_000)
}
