//! What can go wrong on the simulated disk, how it is asked for, and the count of how often it did.

use std::collections::BTreeMap;

use thiserror::Error;

/// A kind of disk operation, as far as faults and counters tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskOp {
    /// Opening or creating a file.
    Open,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Changing a file's length.
    Truncate,
    /// Forcing a file, or the directory, to durable storage.
    Sync,
    /// Removing or renaming a name.
    Delete,
}

impl DiskOp {
    /// Whether the operation counts towards [`super::Disk::crash_after`]: those that change what a crash leaves behind.
    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Truncate | Self::Sync | Self::Delete)
    }

    fn error_fault(self) -> &'static str {
        match self {
            Self::Open => "disk.error.open",
            Self::Read => "disk.error.read",
            Self::Write => "disk.error.write",
            Self::Truncate => "disk.error.truncate",
            Self::Sync => "disk.error.sync",
            Self::Delete => "disk.error.delete",
        }
    }

    fn power_fault(self) -> &'static str {
        match self {
            // Opening and reading never end the countdown; they only meet a disk that is already off.
            Self::Open | Self::Read | Self::Write => "disk.power-loss.write",
            Self::Truncate => "disk.power-loss.truncate",
            Self::Sync => "disk.power-loss.sync",
            Self::Delete => "disk.power-loss.delete",
        }
    }
}

/// Why an operation on the simulated disk did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The write needs more room than the disk has; the part that fits was written, as a real disk does.
    #[error("the disk is full: raise its capacity or delete files")]
    Full,
    /// The disk is mounted read-only.
    #[error("the disk is read-only: call set_read_only(false) first")]
    ReadOnly,
    /// No file has this name.
    #[error("no file `{0}` on the disk: create it first")]
    NotFound(String),
    /// The file exists already, and exclusive creation was asked for.
    #[error("the file `{0}` exists already: delete it or open it without exclusive creation")]
    Exists(String),
    /// The power is out: every operation fails until the disk is restarted by a crash.
    #[error("the power is out: call crash() to restart the disk")]
    PowerLost,
    /// The handle belongs to a process that died; it never touches the disk again.
    #[error("this handle outlived its process: open the file again")]
    Stale,
    /// A fault asked for with `fail_next`.
    #[error("an injected I/O error on {0:?}: nothing was changed, try again")]
    Io(DiskOp),
}

/// Counts of operations and of faults reached; totals over the whole life of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Successful and failed reads.
    pub reads: u64,
    /// Writes begun.
    pub writes: u64,
    /// Truncations begun.
    pub truncates: u64,
    /// Syncs of a file or of the directory begun.
    pub syncs: u64,
    /// Deletions and renames begun.
    pub deletes: u64,
    /// Files opened or created.
    pub opens: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// How often each fault was reached, by its name in [`FAULTS`]; a fault never reached is absent.
    pub faults: BTreeMap<&'static str, u64>,
}

impl DiskStats {
    /// Operations that count towards [`super::Disk::crash_after`], so far.
    pub fn changing_ops(&self) -> u64 {
        self.writes + self.truncates + self.syncs + self.deletes
    }

    /// Adds another disk's counts to these: the simulator prints one table for all of them.
    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.truncates += other.truncates;
        self.syncs += other.syncs;
        self.deletes += other.deletes;
        self.opens += other.opens;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
    }

    pub(super) fn hit(&mut self, fault: &'static str) {
        debug_assert!(FAULTS.contains(&fault), "a fault without a row in the coverage table: {fault}");
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(super) fn count(&mut self, op: DiskOp) {
        match op {
            DiskOp::Open => self.opens += 1,
            DiskOp::Read => self.reads += 1,
            DiskOp::Write => self.writes += 1,
            DiskOp::Truncate => self.truncates += 1,
            DiskOp::Sync => self.syncs += 1,
            DiskOp::Delete => self.deletes += 1,
        }
    }
}

/// The name of every fault that the disk counts. A suite that never reaches one of them is not testing it.
pub const FAULTS: &[&str] = &[
    "disk.crash",
    "disk.kill",
    "disk.crash.sector-kept",
    "disk.crash.sector-lost",
    "disk.crash.sector-torn",
    "disk.crash.sector-reordered",
    "disk.crash.size-lost",
    "disk.crash.name-lost",
    "disk.power-loss.write",
    "disk.power-loss.truncate",
    "disk.power-loss.sync",
    "disk.power-loss.delete",
    "disk.error.open",
    "disk.error.read",
    "disk.error.write",
    "disk.error.truncate",
    "disk.error.sync",
    "disk.error.delete",
    "disk.full",
    "disk.read-only",
    "disk.bit-flip",
    "disk.restore",
    "disk.stale-handle",
];

/// What will go wrong, and when.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// For each kind of operation, which one from now fails (1: the next).
    errors: BTreeMap<DiskOp, u64>,
    /// How many more changing operations succeed before the power goes.
    power: Option<u64>,
    /// The kind of operation in the next one of which the power goes.
    power_in: Option<DiskOp>,
}

/// How an operation is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// Normally.
    On,
    /// The power goes in the middle: do what reaches the cache, then report failure.
    Dying,
}

impl Plan {
    pub(super) fn fail_next(&mut self, op: DiskOp, nth: u64) {
        self.errors.insert(op, nth.max(1));
    }

    pub(super) fn crash_after(&mut self, ops: Option<u64>) {
        self.power = ops;
    }

    pub(super) fn crash_in(&mut self, op: DiskOp) {
        self.power_in = Some(op);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Counts one operation down; says whether it goes on, dies, or fails.
    pub(super) fn step(&mut self, op: DiskOp, stats: &mut DiskStats) -> Result<Go, DiskError> {
        if let Some(left) = self.errors.get_mut(&op) {
            *left -= 1;
            if *left == 0 {
                self.errors.remove(&op);
                stats.hit(op.error_fault());
                return Err(DiskError::Io(op));
            }
        }
        if self.power_in == Some(op) {
            self.power_in = None;
            stats.hit(op.power_fault());
            return Ok(Go::Dying);
        }
        if op.changes()
            && let Some(left) = self.power.as_mut()
        {
            if *left == 0 {
                self.power = None;
                stats.hit(op.power_fault());
                return Ok(Go::Dying);
            }
            *left -= 1;
        }
        Ok(Go::On)
    }
}
