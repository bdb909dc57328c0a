//! The names on the disk: creations, deletions and renames are as volatile as bytes until they are synced.

use std::collections::BTreeMap;

use rand::Rng;

use super::inode::Mood;

/// A change of names since the directory was last made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Link {
        name: String,
        inode: u64,
    },
    Unlink {
        name: String,
    },
    /// One atomic step: after a crash either both names changed or neither.
    Rename {
        from: String,
        to: String,
        inode: u64,
    },
}

/// Name → file, as programs see it and as a crash leaves it.
#[derive(Debug, Default)]
pub(super) struct Directory {
    live: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<Change>,
}

impl Directory {
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.live.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (&String, u64)> {
        self.live.iter().map(|(name, inode)| (name, *inode))
    }

    /// What the last sync made durable, unsynced changes left out.
    pub(super) fn durable_names(&self) -> impl Iterator<Item = (&String, u64)> {
        self.durable.iter().map(|(name, inode)| (name, *inode))
    }

    /// Whether any name, seen, durable or possible after a crash, leads to this file.
    pub(super) fn refers_to(&self, inode: u64) -> bool {
        self.live.values().chain(self.durable.values()).any(|id| *id == inode)
            || self.pending.iter().any(|change| {
                matches!(change, Change::Link { inode: id, .. } | Change::Rename { inode: id, .. } if *id == inode)
            })
    }

    pub(super) fn link(&mut self, name: &str, inode: u64) {
        self.change(Change::Link { name: name.to_owned(), inode });
    }

    pub(super) fn unlink(&mut self, name: &str) {
        self.change(Change::Unlink { name: name.to_owned() });
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, inode: u64) {
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), inode });
    }

    /// Syncing a new file makes its creation durable, and, as journaling file systems do, every change of names before it.
    pub(super) fn sync_file(&mut self, inode: u64) {
        let created = |change: &Change| matches!(change, Change::Link { inode: id, .. } if *id == inode);
        if let Some(last) = self.pending.iter().rposition(created) {
            for change in self.pending.drain(..=last) {
                change.apply(&mut self.durable);
            }
        }
    }

    /// Makes every change of names durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
        debug_assert_eq!(self.durable, self.live, "a directory sync must make exactly the live names durable");
    }

    /// Makes these the names, durably.
    pub(super) fn replace(&mut self, names: BTreeMap<String, u64>) {
        self.pending.clear();
        self.durable.clone_from(&names);
        self.live = names;
    }

    /// The power is cut: each unsynced change of names survives or not, whatever became of the others. Returns how many were lost.
    pub(super) fn crash(&mut self, mood: Mood, rng: &mut dyn Rng) -> u64 {
        let mut lost = 0;
        for change in std::mem::take(&mut self.pending) {
            if mood.keeps(rng) {
                change.apply(&mut self.durable);
            } else {
                lost += 1;
            }
        }
        self.live.clone_from(&self.durable);
        lost
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.live);
        self.pending.push(change);
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link { name, inode } => {
                names.insert(name, inode);
            }
            Self::Unlink { name } => {
                names.remove(&name);
            }
            Self::Rename { from, to, inode } => {
                // Another file may have taken the old name in the order in which the changes survived.
                if names.get(&from) == Some(&inode) {
                    names.remove(&from);
                }
                names.insert(to, inode);
            }
        }
    }
}
