//! A disk in memory that forgets, as disks do: a SQLite VFS and plain files with the same crash semantics.
//!
//! What is written reaches a cache. Only a sync makes it durable; a [`Disk::crash`] decides, from the caller's
//! seed, for each unsynced sector separately whether it survived, was lost or was torn, so that any subset of the
//! writes since the last sync may be there afterwards, in any order. The length of a file and the names in
//! the directory are metadata with fates of their own. Synced bytes are always safe: a disk that lies about
//! its syncs is deliberately not modelled, since nothing above it could keep a promise on it.
//!
//! | file | idea |
//! |---|---|
//! | `inode` | one file's bytes: live, durable, and the unsynced writes between |
//! | `directory` | names, as volatile as bytes |
//! | `state` | every operation, with faults, capacity and counters |
//! | `lock`, `shm` | SQLite's file locks and the shared memory of its log |
//! | `vfs` | the C interface: the only place in the workspace with `unsafe` |
//! | `files` | plain files |
//!
//! Why not a crate: those at hand generate bindings at build time (which needs libclang), do not pass on
//! whether a deletion is to be synced, and take time and randomness from the machine.

mod directory;
mod faults;
mod files;
mod inode;
mod lock;
mod shm;
mod state;
#[cfg(test)]
mod tests;
mod vfs;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::Rng;
use rusqlite::{Connection, OpenFlags};

pub use self::faults::{DiskError, DiskOp, DiskStats, FAULTS};
pub use self::files::Files;
use self::state::State;
use self::vfs::Lease;
pub use self::vfs::seed_sqlite;

/// What a disk is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskConfig {
    /// The unit that survives, is lost or is torn, in bytes: 512 to 65,536, a power of two.
    pub sector_bytes: usize,
    /// Room for the live bytes of all files together.
    pub capacity: u64,
    /// Unsynced bytes of one file above which the operating system writes them back by itself.
    pub writeback_bytes: usize,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { sector_bytes: 512, capacity: 1 << 30, writeback_bytes: 16 << 20 }
    }
}

/// A simulated disk: one machine's storage. Clones are handles on the same disk.
///
/// A machine has several lives: [`Disk::crash`], [`Disk::kill`] and [`Disk::restore_files`] end one. Every connection,
/// [`Files`] and VFS name of an earlier life is dead: its operations fail with an I/O error and never touch the disk.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

/// What all handles of one disk share. The state's lock is never held while the lease's is taken, nor the reverse.
struct Inner {
    state: Mutex<State>,
    /// The VFS registered for the present life; `None` only while the disk is being made.
    lease: Mutex<Option<Arc<Lease>>>,
}

/// A copy of all files at one instant, independent of the disk that it was taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Disk {
    /// An empty disk. The seed feeds the randomness that SQLite asks this disk for; crashes use the caller's.
    ///
    /// # Panics
    /// When `sector_bytes` is not a power of two from 512 to 65,536.
    pub fn new(seed: u64, config: DiskConfig) -> Self {
        let sector = config.sector_bytes;
        assert!(sector.is_power_of_two() && (512..=65_536).contains(&sector), "no disk has sectors of {sector} bytes");
        let inner = Arc::new(Inner { state: Mutex::new(State::new(seed, config)), lease: Mutex::new(None) });
        let disk = Self { inner };
        disk.renew_lease();
        disk
    }

    /// The name of the SQLite VFS of the present life of the machine; the next one has another, and this one stops existing.
    pub fn vfs_name(&self) -> String {
        self.inner.lease().map(|lease| lease.name().to_owned()).unwrap_or_default()
    }

    /// Opens or creates a database with SQLite's defaults, for use by one thread at a time.
    ///
    /// For a write-ahead log set `locking_mode=exclusive` before `journal_mode=wal`, unless several connections share the file.
    pub fn open(&self, name: &str) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags_and_vfs(name, flags, self.vfs_name().as_str())
    }

    /// Plain file access for the present life of the machine.
    pub fn files(&self) -> Files {
        let generation = self.inner.state().generation;
        Files::new(Arc::clone(&self.inner), generation)
    }

    /// Cuts the power and restarts the machine: unsynced sectors, lengths and names survive, are torn or are lost as `rng`
    /// decides; planned faults are forgotten; everything that was open is dead. Capacity and read-only mode stay.
    pub fn crash(&self, rng: &mut dyn Rng) {
        self.inner.state().crash(rng);
        self.renew_lease();
    }

    /// Kills the process but not the machine: what was written stays readable (and unsynced); everything that was open is dead.
    pub fn kill(&self) {
        self.inner.state().kill();
        self.renew_lease();
    }

    /// After `ops` more writes, truncations, syncs and deletions the power goes in the middle of the next one: that
    /// operation and all later ones fail until [`Disk::crash`]. `None` calls it off.
    pub fn crash_after(&self, ops: Option<u64>) {
        self.inner.state().plan.crash_after(ops);
    }

    /// In the next operation of this kind, one that changes something, the power goes: as [`Disk::crash_after`], for kinds that are
    /// rare.
    pub fn crash_in(&self, op: DiskOp) {
        self.inner.state().plan.crash_in(op);
    }

    /// Whether the power is out and the disk waits for [`Disk::crash`].
    pub fn power_lost(&self) -> bool {
        self.inner.state().power_lost
    }

    /// Makes the `nth` operation of this kind from now fail once with an I/O error (1: the next). Nothing is changed
    /// by it, and what was unsynced before a failed sync stays so: a later sync still makes it durable.
    pub fn fail_next(&self, op: DiskOp, nth: u64) {
        self.inner.state().plan.fail_next(op, nth);
    }

    /// Calls off every planned error and power loss.
    pub fn clear_faults(&self) {
        self.inner.state().plan.clear();
    }

    /// Sets the room for all files together, in bytes. Below what is used, only growth fails.
    pub fn set_capacity(&self, bytes: u64) {
        self.inner.state().capacity = bytes;
    }

    /// The room for all files together, in bytes.
    pub fn capacity(&self) -> u64 {
        self.inner.state().capacity
    }

    /// Live bytes of all files, unnamed temporary ones included.
    pub fn used(&self) -> u64 {
        self.inner.state().used()
    }

    /// Mounts the disk read-only, or writable again. Files opened meanwhile are read-only, writes to open ones fail.
    pub fn set_read_only(&self, read_only: bool) {
        self.inner.state().read_only = read_only;
    }

    /// Flips one bit of a file, in what is read now and in what is stored; returns its byte's offset, or `None` when
    /// there is no such file or it is empty.
    pub fn bit_flip(&self, name: &str, rng: &mut dyn Rng) -> Option<u64> {
        self.inner.state().bit_flip(name, rng)
    }

    /// Sets the clock that SQLite on this machine reads, in milliseconds since 1970.
    pub fn set_time_ms(&self, unix_ms: i64) {
        self.inner.state().now_ms = unix_ms;
    }

    /// What happened so far.
    pub fn stats(&self) -> DiskStats {
        self.inner.state().stats.clone()
    }

    /// A copy of all files as programs see them now, unsynced changes included: what a file copy of a running machine holds.
    pub fn clone_files(&self) -> Snapshot {
        self.inner.state().snapshot()
    }

    /// What programs see of a file now, without an operation of the disk.
    pub fn peek(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.state().peek(name)
    }

    /// How often an operation has failed as it was told to.
    pub fn count_errors(&self) -> u64 {
        let faults = self.stats().faults;
        faults.iter().filter(|(name, _)| name.starts_with("disk.error")).map(|(_, count)| count).sum()
    }

    /// A copy of what is durable: what a crash leaves that loses everything unsynced.
    pub fn durable_files(&self) -> Snapshot {
        self.inner.state().durable_snapshot()
    }

    /// Replaces all files by the snapshot's, durably; everything that was open is dead.
    pub fn restore_files(&self, snapshot: &Snapshot) {
        self.inner.state().restore(snapshot);
        self.renew_lease();
    }

    fn renew_lease(&self) {
        let generation = self.inner.state().generation;
        let lease = Arc::new(Lease::new(Arc::downgrade(&self.inner), generation));
        // The old lease ends here, outside both locks, unless files opened under it still need its memory.
        let old = self.inner.lease.lock().unwrap_or_else(PoisonError::into_inner).replace(lease);
        drop(old);
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("vfs", &self.vfs_name()).field("used", &self.used()).finish()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inner")
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a test must not hide behind a second one about a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Snapshot {
    /// A file's content.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|bytes| &**bytes)
    }

    /// The names of the files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.to_owned(), Arc::from(bytes));
    }

    /// Takes a file out; returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.files.remove(name).is_some()
    }
}
