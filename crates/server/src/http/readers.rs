//! The connections that read. The one given back last is taken first: its cache is warm, and where one is enough the
//! others hold no memory.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::StoreReader;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Readers {
    free: Mutex<Option<Vec<Box<dyn StoreReader>>>>,
    returned: Condvar,
}

impl Readers {
    pub(super) fn new(readers: Vec<Box<dyn StoreReader>>) -> Self {
        Self { free: Mutex::new(Some(readers)), returned: Condvar::new() }
    }

    fn free(&self) -> MutexGuard<'_, Option<Vec<Box<dyn StoreReader>>>> {
        // Nothing panics while it holds the lock.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader, waited for if need be; `None` when the server ends. May block.
    pub(super) fn take(&self) -> Option<Box<dyn StoreReader>> {
        let mut free = self.free();
        loop {
            if let Some(reader) = free.as_mut()?.pop() {
                return Some(reader);
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A reader that nobody else wants now.
    pub(super) fn take_free(&self) -> Option<Box<dyn StoreReader>> {
        self.free().as_mut()?.pop()
    }

    pub(super) fn give_back(&self, reader: Box<dyn StoreReader>) {
        if let Some(free) = &mut *self.free() {
            free.push(reader);
        }
        self.returned.notify_one();
    }

    /// Closes the connections; those in use as soon as they are given back.
    pub(super) fn close(&self) {
        *self.free() = None;
        self.returned.notify_all();
    }
}
