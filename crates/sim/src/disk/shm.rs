//! The shared memory of a write-ahead log: what several connections of one process use to agree on its index.
//!
//! It holds nothing that a crash must preserve: after one, the first connection rebuilds it from the log.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};

/// SQLite uses eight lock slots.
const SLOTS: usize = 8;

/// The shared memory of one database file. Handles hold it by reference count, so that the memory outlives
/// every connection that has its address, those of a dead process included.
#[derive(Debug, Default)]
pub(super) struct Shm {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each region as atomics: memory that several owners write, without any `unsafe` on this side.
    regions: Vec<Box<[AtomicU32]>>,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Default)]
struct Slot {
    shared: BTreeSet<u64>,
    exclusive: Option<u64>,
}

impl Shm {
    /// The address of a region of `bytes` bytes; `None` when it is not there and shall not be made.
    pub(super) fn region(&self, index: usize, bytes: usize, extend: bool) -> Option<*mut u32> {
        let mut state = self.lock_state();
        if index >= state.regions.len() && !extend {
            return None;
        }
        while state.regions.len() <= index {
            state.regions.push((0..bytes.div_ceil(4)).map(|_| AtomicU32::new(0)).collect());
        }
        state.regions[index].first().map(AtomicU32::as_ptr)
    }

    /// Takes the slots `from..from + count` for a handle; `false` means busy.
    pub(super) fn lock(&self, handle: u64, from: usize, count: usize, exclusive: bool) -> bool {
        let mut state = self.lock_state();
        let Some(slots) = state.slots.get_mut(from..from + count) else {
            return false;
        };
        let free = |slot: &Slot| {
            slot.exclusive.is_none_or(|owner| owner == handle)
                && (!exclusive || slot.shared.iter().all(|owner| *owner == handle))
        };
        if !slots.iter().all(free) {
            return false;
        }
        for slot in slots {
            if exclusive {
                slot.exclusive = Some(handle);
            } else {
                slot.shared.insert(handle);
            }
        }
        true
    }

    /// Gives the slots `from..from + count` back.
    pub(super) fn unlock(&self, handle: u64, from: usize, count: usize) {
        let mut state = self.lock_state();
        for slot in state.slots.iter_mut().skip(from).take(count) {
            slot.release(handle);
        }
    }

    /// Gives everything back that a handle holds.
    pub(super) fn leave(&self, handle: u64) {
        self.unlock(handle, 0, SLOTS);
    }

    fn lock_state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn release(&mut self, handle: u64) {
        self.shared.remove(&handle);
        if self.exclusive == Some(handle) {
            self.exclusive = None;
        }
    }
}
