//! Seeded randomness. Every component draws from a stream of its own, so that one more draw in one of them does not
//! change what the others see, and a failing seed stays recognisable while it is being looked into.

use landfall_core::hash::hash128;
use rand::rand_core::Rng;
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// A stream of random numbers.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of this name in the run of this seed.
    pub fn new(seed: u64, stream: &str) -> Self {
        let mut name = seed.to_le_bytes().to_vec();
        name.extend(stream.as_bytes());
        let mut key = [0; 32];
        key[..16].copy_from_slice(&hash128(&name));
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.0.next_u64() % n }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// A place in a list of `len` elements; 0 when there are none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One element, or none of an empty list.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.index(list.len()))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A stream of its own, which what follows here does not depend on.
    pub fn fork(&mut self) -> Self {
        let mut key = [0; 32];
        self.fill(&mut key);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The generator itself, for the disk.
    pub fn generator(&mut self) -> &mut dyn Rng {
        &mut self.0
    }
}
