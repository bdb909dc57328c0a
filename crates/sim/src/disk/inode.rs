//! One file's bytes: what programs see, what a crash leaves for sure, and the writes in between.

use std::collections::BTreeMap;
use std::sync::Weak;

use rand::{Rng, RngExt};

use super::lock::Locks;
use super::shm::Shm;

/// What happened to a file's content since its last sync.
#[derive(Debug, Clone, Copy)]
enum Pending {
    /// `len` bytes at `at` in the arena were written at `offset`.
    Write { offset: usize, at: usize, len: usize },
    /// The file was cut or extended to this length.
    Truncate { size: usize },
}

/// A file's content, without its names.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What reads return.
    pub(super) live: Vec<u8>,
    /// What was there at the last sync.
    durable: Vec<u8>,
    /// Unsynced changes, oldest first; their bytes lie in `arena`.
    pending: Vec<Pending>,
    arena: Vec<u8>,
    /// A nameless temporary file: it never survives, so its writes are not recorded.
    temporary: bool,
    /// Handles that are open on it.
    pub(super) opens: u32,
    pub(super) locks: Locks,
    /// Shared memory of the write-ahead log, for as long as a connection uses it.
    pub(super) shm: Weak<Shm>,
}

/// How violent one crash is: drawn once, so that the extremes (everything lost, everything kept) come up too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mood {
    keep: f64,
    torn: f64,
}

impl Mood {
    pub(super) fn draw(rng: &mut dyn Rng) -> Self {
        match rng.random_range(0..10u32) {
            0 | 1 => Self { keep: 0.0, torn: 0.0 },
            2 => Self { keep: 1.0, torn: 0.0 },
            _ => Self { keep: rng.random_range(0.05..0.95), torn: 0.25 },
        }
    }

    /// Whether one independent piece (a name, say) survives.
    pub(super) fn keeps(self, rng: &mut dyn Rng) -> bool {
        rng.random_bool(self.keep)
    }

    /// How many of `n` successive states were reached.
    fn reached(self, n: usize, rng: &mut dyn Rng) -> usize {
        if n == 0 || !rng.random_bool(self.keep) {
            // A lost piece need not be lost to its oldest state: an earlier write of several may have come through.
            if self.keep > 0.0 && n > 1 && rng.random_bool(0.5) { rng.random_range(0..n) } else { 0 }
        } else {
            n
        }
    }
}

/// What became of one file's unsynced sectors.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fate {
    pub(super) kept: u64,
    pub(super) lost: u64,
    pub(super) torn: u64,
    /// A later write survived while an earlier one to another sector did not.
    pub(super) reordered: bool,
    pub(super) size_lost: bool,
}

impl Inode {
    /// A file whose bytes are already durable.
    pub(super) fn settled(bytes: &[u8]) -> Self {
        Self { live: bytes.to_vec(), durable: bytes.to_vec(), ..Self::default() }
    }

    /// A nameless file.
    pub(super) fn temporary() -> Self {
        Self { temporary: true, ..Self::default() }
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        put(&mut self.live, offset, data);
        if !self.temporary {
            self.pending.push(Pending::Write { offset, at: self.arena.len(), len: data.len() });
            self.arena.extend_from_slice(data);
        }
    }

    pub(super) fn truncate(&mut self, size: usize) {
        self.live.resize(size, 0);
        if !self.temporary {
            self.pending.push(Pending::Truncate { size });
        }
    }

    /// Makes all content durable.
    pub(super) fn sync(&mut self) {
        for change in &self.pending {
            apply(&mut self.durable, &self.arena, *change);
        }
        self.forget_pending();
        // Comparing the bytes too would make each sync cost what the file holds, not what changed.
        debug_assert!(
            self.temporary || self.durable.len() == self.live.len(),
            "a sync makes exactly the live file durable"
        );
    }

    /// Bytes of unsynced writes held for the next crash.
    pub(super) fn unsynced(&self) -> usize {
        self.arena.len()
    }

    /// Bytes that the last sync made durable.
    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Flips one bit in what is stored, as a decaying medium does.
    pub(super) fn flip(&mut self, offset: usize, bit: u8) {
        let mask = 1 << (bit & 7);
        for bytes in [&mut self.live, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= mask;
            }
        }
        // What is on its way to the medium decays with it: else the next sync would quietly repair the damage.
        for change in &self.pending {
            if let Pending::Write { offset: from, at, len } = *change
                && (from..from + len).contains(&offset)
            {
                self.arena[at + offset - from] ^= mask;
            }
        }
    }

    fn forget_pending(&mut self) {
        const KEEP: usize = 1 << 20;
        self.pending.clear();
        self.arena.clear();
        self.arena.shrink_to(KEEP);
    }

    /// The power is cut: each unsynced sector independently reaches one of the states it went through, or a
    /// mixture of two. The length is metadata and reaches a state of its own; data beyond it is gone, and
    /// room without data reads as zeros. Synced bytes outside the unsynced sectors do not change.
    pub(super) fn crash(&mut self, sector: usize, mood: Mood, rng: &mut dyn Rng) -> Fate {
        let mut fate = Fate::default();
        if !self.pending.is_empty() {
            let committed = mood.reached(self.pending.len(), rng);
            fate.size_lost = self.size_after(committed) != self.live.len();
            let longest = self.longest();
            let touched = self.touched(sector, longest);
            let size = self.size_after(committed);
            self.durable.resize(longest.next_multiple_of(sector), 0);
            self.settle_sectors(&touched, committed, sector, mood, rng, &mut fate);
            self.durable.resize(size, 0);
            self.live.resize(size, 0);
            // Only the touched sectors differ: copying the whole file would cost what it holds.
            for index in touched.into_keys().take_while(|index| index * sector < size) {
                let range = index * sector..((index + 1) * sector).min(size);
                self.live[range.clone()].copy_from_slice(&self.durable[range]);
            }
            self.forget_pending();
        }
        debug_assert!(self.temporary || self.live == self.durable, "after a crash only the durable bytes are there");
        fate
    }

    /// Decides for each touched sector which of its states it reached, and puts that into the durable bytes.
    fn settle_sectors(
        &mut self,
        touched: &BTreeMap<usize, Vec<usize>>,
        committed: usize,
        sector: usize,
        mood: Mood,
        rng: &mut dyn Rng,
        fate: &mut Fate,
    ) {
        let (mut newest_kept, mut oldest_lost) = (None, None);
        for (index, changes) in touched {
            let range = index * sector..(index + 1) * sector;
            let reached = self.allowed(changes, mood.reached(changes.len(), rng), committed);
            let mut bytes = self.durable[range.clone()].to_vec();
            let mut before = bytes.clone();
            for (nth, &change) in changes[..reached].iter().enumerate() {
                if nth + 1 == reached {
                    before.clone_from(&bytes);
                }
                apply_within(&mut bytes, range.start, &self.arena, self.pending[change]);
            }
            let tears = reached > 0
                && matches!(self.pending[changes[reached - 1]], Pending::Write { .. })
                && rng.random_bool(mood.torn);
            if tears {
                let cut = rng.random_range(1..sector);
                bytes[cut..].copy_from_slice(&before[cut..]);
                fate.torn += 1;
            } else if reached == changes.len() {
                fate.kept += 1;
            } else {
                fate.lost += 1;
            }
            if reached > 0 {
                newest_kept = newest_kept.max(Some(changes[reached - 1]));
            }
            if let Some(&change) = changes.get(reached) {
                oldest_lost = Some(oldest_lost.map_or(change, |old: usize| old.min(change)));
            }
            self.durable[range].copy_from_slice(&bytes);
        }
        fate.reordered = matches!((newest_kept, oldest_lost), (Some(kept), Some(lost)) if kept > lost);
    }

    /// For each sector changed since the last sync, the changes that touched it, oldest first.
    fn touched(&self, sector: usize, longest: usize) -> BTreeMap<usize, Vec<usize>> {
        let mut touched = BTreeMap::<usize, Vec<usize>>::new();
        for (nth, change) in self.pending.iter().enumerate() {
            let (from, to) = match *change {
                Pending::Write { offset, len, .. } => (offset, offset + len),
                Pending::Truncate { size } => (size, longest),
            };
            if from < to {
                for index in from / sector..=(to - 1) / sector {
                    touched.entry(index).or_default().push(nth);
                }
            }
        }
        touched
    }

    /// Limits how far a sector got by what the file system's metadata says: blocks freed by a truncation that
    /// is recorded are gone, and what was written into blocks allotted after one that is not recorded is unreachable.
    fn allowed(&self, changes: &[usize], reached: usize, committed: usize) -> usize {
        let is_cut = |nth: &usize| matches!(self.pending[*nth], Pending::Truncate { .. });
        let least = changes.iter().rposition(|nth| is_cut(nth) && *nth < committed).map_or(0, |at| at + 1);
        let most = changes.iter().position(|nth| is_cut(nth) && *nth >= committed).unwrap_or(changes.len());
        reached.clamp(least, most)
    }

    /// The file's length after the first `n` unsynced changes.
    fn size_after(&self, n: usize) -> usize {
        self.pending[..n].iter().fold(self.durable.len(), |size, change| change.size_from(size))
    }

    /// The greatest length that the file had since its last sync.
    fn longest(&self) -> usize {
        let sizes = self.pending.iter().scan(self.durable.len(), |size, change| {
            *size = change.size_from(*size);
            Some(*size)
        });
        sizes.max().unwrap_or(0).max(self.durable.len())
    }
}

impl Pending {
    /// The file's length after this change, when it was `size` before.
    fn size_from(self, size: usize) -> usize {
        match self {
            Self::Write { offset, len, .. } => size.max(offset + len),
            Self::Truncate { size } => size,
        }
    }
}

/// Writes at an offset; a gap before it reads as zeros.
fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset {
        bytes.resize(offset, 0);
    }
    let inside = (bytes.len() - offset).min(data.len());
    bytes[offset..offset + inside].copy_from_slice(&data[..inside]);
    bytes.extend_from_slice(&data[inside..]);
}

fn apply(bytes: &mut Vec<u8>, arena: &[u8], change: Pending) {
    match change {
        Pending::Write { offset, at, len } => {
            put(bytes, offset, &arena[at..at + len]);
        }
        Pending::Truncate { size } => bytes.resize(size, 0),
    }
}

/// Applies the part of a change that falls into the sector that begins at `start`.
fn apply_within(bytes: &mut [u8], start: usize, arena: &[u8], change: Pending) {
    let end = start + bytes.len();
    match change {
        Pending::Write { offset, at, len } => {
            let (from, to) = (offset.max(start), (offset + len).min(end));
            if from < to {
                bytes[from - start..to - start].copy_from_slice(&arena[at + from - offset..at + to - offset]);
            }
        }
        Pending::Truncate { size } => {
            let from = size.clamp(start, end) - start;
            bytes[from..].fill(0);
        }
    }
}
