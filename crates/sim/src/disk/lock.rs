//! SQLite's five lock levels on one file, between handles of one process.

use std::collections::BTreeMap;

/// A lock level, in SQLite's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    /// The level behind SQLite's number; anything unknown is the strongest, which is the safe reading of a lock request.
    pub(super) fn from_sqlite(level: i32) -> Self {
        match level {
            0 => Self::None,
            1 => Self::Shared,
            2 => Self::Reserved,
            3 => Self::Pending,
            _ => Self::Exclusive,
        }
    }
}

/// Who holds what on one file, by handle number.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<u64, Level>,
}

impl Locks {
    /// Raises a handle's lock; `false` means busy. A refused exclusive request keeps *pending*, so that
    /// no new reader comes in and the writer gets its turn.
    pub(super) fn lock(&mut self, handle: u64, want: Level) -> bool {
        let mine = self.level(handle);
        if mine >= want {
            return true;
        }
        let others = self.held.iter().filter(|(h, _)| **h != handle).map(|(_, l)| *l).max().unwrap_or(Level::None);
        let free = match want {
            Level::None => true,
            Level::Shared => others < Level::Pending,
            Level::Reserved | Level::Pending => others < Level::Reserved,
            Level::Exclusive if others >= Level::Reserved => false,
            Level::Exclusive if others == Level::Shared => {
                self.held.insert(handle, Level::Pending);
                false
            }
            Level::Exclusive => true,
        };
        if free {
            self.held.insert(handle, want);
        }
        free
    }

    /// Lowers a handle's lock.
    pub(super) fn unlock(&mut self, handle: u64, to: Level) {
        if to == Level::None {
            self.held.remove(&handle);
        } else if self.level(handle) > to {
            self.held.insert(handle, to);
        }
    }

    /// Whether anyone holds *reserved* or more.
    pub(super) fn reserved(&self) -> bool {
        self.held.values().any(|level| *level >= Level::Reserved)
    }

    fn level(&self, handle: u64) -> Level {
        self.held.get(&handle).copied().unwrap_or(Level::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_a_waiting_writer_stops_new_ones() {
        let mut locks = Locks::default();
        assert!(locks.lock(1, Level::Shared) && locks.lock(2, Level::Shared));
        assert!(locks.lock(1, Level::Reserved));
        assert!(!locks.lock(2, Level::Reserved), "only one may intend to write");
        assert!(locks.reserved());
        assert!(!locks.lock(1, Level::Exclusive), "a reader is still there");
        assert!(!locks.lock(3, Level::Shared), "the waiting writer keeps new readers out");
        locks.unlock(2, Level::None);
        assert!(locks.lock(1, Level::Exclusive));
        assert!(!locks.lock(2, Level::Shared));
        locks.unlock(1, Level::Shared);
        assert!(locks.lock(2, Level::Shared) && !locks.reserved());
    }
}
