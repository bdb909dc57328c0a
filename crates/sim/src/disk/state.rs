//! The disk behind its lock: every operation that SQLite or a program can ask for, in terms of files and names.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use rand::{Rng, RngExt};

use super::directory::Directory;
use super::faults::{DiskError, DiskOp, DiskStats, Go, Plan};
use super::inode::{Inode, Mood};
use super::lock::{Level, Locks};
use super::shm::Shm;
use super::{DiskConfig, Snapshot};

/// Everything that the disk's handles share.
#[derive(Debug)]
pub(super) struct State {
    config: DiskConfig,
    /// Which life of the machine this is; handles of an earlier one are dead.
    pub(super) generation: u64,
    pub(super) power_lost: bool,
    pub(super) read_only: bool,
    pub(super) capacity: u64,
    /// Live bytes of all files, nameless ones included.
    used: u64,
    pub(super) directory: Directory,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    next_handle: u64,
    /// Milliseconds since 1970, as SQLite on this machine reads its clock.
    pub(super) now_ms: i64,
    random: u64,
    pub(super) plan: Plan,
    pub(super) stats: DiskStats,
}

/// A way to open a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OpenAs {
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) read_only: bool,
    pub(super) delete_on_close: bool,
}

/// One open file of one life of the machine.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) generation: u64,
    pub(super) id: u64,
    pub(super) inode: u64,
    pub(super) read_only: bool,
    name: Option<String>,
    delete_on_close: bool,
}

impl State {
    pub(super) fn new(seed: u64, config: DiskConfig) -> Self {
        Self {
            config,
            generation: 1,
            power_lost: false,
            read_only: false,
            capacity: config.capacity,
            used: 0,
            directory: Directory::default(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            next_handle: 1,
            now_ms: 0,
            random: seed,
            plan: Plan::default(),
            stats: DiskStats::default(),
        }
    }

    /// Begins an operation of a program of the given life: counts it and lets the planned faults happen.
    fn begin(&mut self, generation: u64, op: DiskOp) -> Result<Go, DiskError> {
        self.alive(generation)?;
        self.stats.count(op);
        let go = self.plan.step(op, &mut self.stats)?;
        self.power_lost |= go == Go::Dying;
        Ok(go)
    }

    /// Whether a program of this life may do anything at all.
    pub(super) fn alive(&mut self, generation: u64) -> Result<(), DiskError> {
        if generation != self.generation {
            self.stats.hit("disk.stale-handle");
            return Err(DiskError::Stale);
        }
        if self.power_lost { Err(DiskError::PowerLost) } else { Ok(()) }
    }

    fn writable(&mut self) -> Result<(), DiskError> {
        if self.read_only {
            self.stats.hit("disk.read-only");
            return Err(DiskError::ReadOnly);
        }
        Ok(())
    }

    /// Opens a file; without a name, a temporary one that no crash leaves behind.
    pub(super) fn open(&mut self, generation: u64, name: Option<&str>, how: OpenAs) -> Result<Handle, DiskError> {
        self.begin(generation, DiskOp::Open)?;
        let read_only = how.read_only || (self.read_only && name.is_some());
        let inode = match name.map(|name| (name, self.directory.get(name))) {
            Some((name, Some(_))) if how.exclusive && how.create => {
                return Err(DiskError::Exists(name.to_owned()));
            }
            Some((_, Some(inode))) => inode,
            Some((name, None)) if !how.create => return Err(DiskError::NotFound(name.to_owned())),
            Some((name, None)) => {
                self.writable()?;
                let inode = self.add_inode(Inode::default());
                self.directory.link(name, inode);
                inode
            }
            None => self.add_inode(Inode::temporary()),
        };
        self.inode(inode)?.opens += 1;
        self.next_handle += 1;
        Ok(Handle {
            generation,
            id: self.next_handle,
            inode,
            read_only,
            name: name.map(str::to_owned),
            delete_on_close: how.delete_on_close,
        })
    }

    /// Closes a handle; one of a dead process has nothing left to close.
    pub(super) fn close(&mut self, handle: &Handle) {
        if handle.generation != self.generation {
            return;
        }
        if let Some(inode) = self.inodes.get_mut(&handle.inode) {
            inode.opens = inode.opens.saturating_sub(1);
            inode.locks.unlock(handle.id, Level::None);
        }
        if handle.delete_on_close
            && !self.power_lost
            && let Some(name) = &handle.name
        {
            self.directory.unlink(name);
        }
        self.sweep();
    }

    /// Reads at most `into.len()` bytes and returns how many there were.
    pub(super) fn read(&mut self, handle: &Handle, offset: usize, into: &mut [u8]) -> Result<usize, DiskError> {
        self.begin(handle.generation, DiskOp::Read)?;
        let bytes = self.inode(handle.inode)?.live.get(offset..).unwrap_or_default();
        let len = bytes.len().min(into.len());
        into[..len].copy_from_slice(&bytes[..len]);
        self.stats.bytes_read += len as u64;
        Ok(len)
    }

    /// Writes the bytes; on a full disk, those that fit.
    pub(super) fn write(&mut self, handle: &Handle, offset: usize, data: &[u8]) -> Result<(), DiskError> {
        let go = self.begin(handle.generation, DiskOp::Write)?;
        self.writable()?;
        let room = self.capacity.saturating_sub(self.used);
        let writeback = self.config.writeback_bytes;
        let inode = self.inodes.get_mut(&handle.inode).ok_or(DiskError::Stale)?;
        let size = inode.live.len() as u64;
        let fits = size.saturating_add(room).saturating_sub(offset as u64).min(data.len() as u64) as usize;
        // A write that begins beyond the room left writes nothing, not even the gap.
        if fits > 0 {
            inode.write(offset, &data[..fits]);
            if inode.unsynced() > writeback {
                // The operating system writes back by itself in the end: then these bytes did survive.
                inode.sync();
            }
        }
        self.used += inode.live.len() as u64 - size;
        self.stats.bytes_written += fits as u64;
        if go == Go::Dying {
            return Err(DiskError::PowerLost);
        }
        if fits < data.len() {
            self.stats.hit("disk.full");
            return Err(DiskError::Full);
        }
        Ok(())
    }

    /// Cuts or extends the file.
    pub(super) fn truncate(&mut self, handle: &Handle, size: usize) -> Result<(), DiskError> {
        let go = self.begin(handle.generation, DiskOp::Truncate)?;
        self.writable()?;
        let room = self.capacity.saturating_sub(self.used);
        let inode = self.inodes.get_mut(&handle.inode).ok_or(DiskError::Stale)?;
        let old = inode.live.len() as u64;
        if (size as u64).saturating_sub(old) > room {
            self.stats.hit("disk.full");
            return Err(DiskError::Full);
        }
        inode.truncate(size);
        self.used = self.used - old + size as u64;
        if go == Go::Dying { Err(DiskError::PowerLost) } else { Ok(()) }
    }

    /// Makes the file's bytes, and its creation, durable.
    pub(super) fn sync(&mut self, handle: &Handle) -> Result<(), DiskError> {
        if self.begin(handle.generation, DiskOp::Sync)? == Go::Dying {
            return Err(DiskError::PowerLost);
        }
        self.inode(handle.inode)?.sync();
        self.directory.sync_file(handle.inode);
        self.sweep();
        Ok(())
    }

    /// Makes creations, deletions and renames durable.
    pub(super) fn sync_directory(&mut self, generation: u64) -> Result<(), DiskError> {
        if self.begin(generation, DiskOp::Sync)? == Go::Dying {
            return Err(DiskError::PowerLost);
        }
        self.directory.sync();
        self.sweep();
        Ok(())
    }

    /// Removes a name, durably at once when `sync_directory` is asked for.
    pub(super) fn delete(&mut self, generation: u64, name: &str, sync_directory: bool) -> Result<(), DiskError> {
        let go = self.begin(generation, DiskOp::Delete)?;
        self.writable()?;
        if self.directory.get(name).is_none() {
            return Err(DiskError::NotFound(name.to_owned()));
        }
        self.directory.unlink(name);
        if go == Go::Dying {
            return Err(DiskError::PowerLost);
        }
        if sync_directory {
            self.sync_directory(generation)?;
        }
        self.sweep();
        Ok(())
    }

    /// Renames a file over whatever had the new name: one atomic step, volatile until the directory is synced.
    pub(super) fn rename(&mut self, generation: u64, from: &str, to: &str) -> Result<(), DiskError> {
        let go = self.begin(generation, DiskOp::Delete)?;
        self.writable()?;
        let inode = self.directory.get(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        self.directory.rename(from, to, inode);
        self.sweep();
        if go == Go::Dying { Err(DiskError::PowerLost) } else { Ok(()) }
    }

    /// The file's length in bytes.
    pub(super) fn size(&mut self, handle: &Handle) -> Result<u64, DiskError> {
        self.alive(handle.generation)?;
        Ok(self.inode(handle.inode)?.live.len() as u64)
    }

    /// Raises the handle's lock; `false` means busy.
    pub(super) fn lock(&mut self, handle: &Handle, level: Level) -> Result<bool, DiskError> {
        self.alive(handle.generation)?;
        Ok(self.inode(handle.inode)?.locks.lock(handle.id, level))
    }

    /// Lowers the handle's lock.
    pub(super) fn unlock(&mut self, handle: &Handle, level: Level) -> Result<(), DiskError> {
        self.alive(handle.generation)?;
        self.inode(handle.inode)?.locks.unlock(handle.id, level);
        Ok(())
    }

    /// Whether anyone holds a reserved lock, or a stronger one, on the file.
    pub(super) fn reserved(&mut self, handle: &Handle) -> Result<bool, DiskError> {
        self.alive(handle.generation)?;
        Ok(self.inode(handle.inode)?.locks.reserved())
    }

    /// The shared memory of the file's write-ahead log, made by whoever asks first and gone with the last user.
    pub(super) fn shm(&mut self, handle: &Handle) -> Result<Arc<Shm>, DiskError> {
        self.alive(handle.generation)?;
        let inode = self.inode(handle.inode)?;
        Ok(inode.shm.upgrade().unwrap_or_else(|| {
            let shm = Arc::<Shm>::default();
            inode.shm = Arc::downgrade(&shm);
            shm
        }))
    }

    /// The length of the file of this name.
    pub(super) fn name_size(&self, name: &str) -> Option<u64> {
        Some(self.inodes.get(&self.directory.get(name)?)?.live.len() as u64)
    }

    /// The content of the file of this name.
    pub(super) fn peek(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.inodes.get(&self.directory.get(name)?)?.live.clone())
    }

    /// The power is cut and comes back: see [`super::Disk::crash`].
    pub(super) fn crash(&mut self, rng: &mut dyn Rng) {
        self.stats.hit("disk.crash");
        let mood = Mood::draw(rng);
        for _ in 0..self.directory.crash(mood, rng) {
            self.stats.hit("disk.crash.name-lost");
        }
        for inode in self.inodes.values_mut() {
            let fate = inode.crash(self.config.sector_bytes, mood, rng);
            let outcomes = [
                ("disk.crash.sector-kept", fate.kept),
                ("disk.crash.sector-lost", fate.lost),
                ("disk.crash.sector-torn", fate.torn),
                ("disk.crash.sector-reordered", u64::from(fate.reordered)),
                ("disk.crash.size-lost", u64::from(fate.size_lost)),
            ];
            for (name, count) in outcomes.into_iter().filter(|(_, count)| *count > 0) {
                *self.stats.faults.entry(name).or_default() += count;
            }
        }
        self.plan.clear();
        self.power_lost = false;
        self.next_generation();
    }

    /// The process is killed; the machine, and with it what is in its cache, stays up.
    pub(super) fn kill(&mut self) {
        self.stats.hit("disk.kill");
        self.next_generation();
    }

    /// The files as programs see them now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.image(self.directory.names(), |inode| &inode.live)
    }

    /// The files as they would be if every unsynced change were lost.
    pub(super) fn durable_snapshot(&self) -> Snapshot {
        self.image(self.directory.durable_names(), Inode::durable)
    }

    /// Replaces all files by the snapshot's, durably; whoever ran on the old ones is dead.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        self.stats.hit("disk.restore");
        self.inodes.clear();
        let mut names = BTreeMap::new();
        for (name, bytes) in &snapshot.files {
            names.insert(name.clone(), self.add_inode(Inode::settled(bytes)));
        }
        self.directory.replace(names);
        self.power_lost = false;
        self.next_generation();
    }

    /// Flips one bit of a file; `None` when there is no such file or it is empty.
    pub(super) fn bit_flip(&mut self, name: &str, rng: &mut dyn Rng) -> Option<u64> {
        let inode = self.inodes.get_mut(&self.directory.get(name)?)?;
        if inode.live.is_empty() {
            return None;
        }
        let offset = rng.random_range(0..inode.live.len());
        inode.flip(offset, rng.random_range(0..8));
        self.stats.hit("disk.bit-flip");
        Some(offset as u64)
    }

    /// The next 64 bits of the disk's own randomness (splitmix64).
    pub(super) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The sector size that SQLite is told.
    pub(super) fn sector_bytes(&self) -> usize {
        self.config.sector_bytes
    }

    /// Live bytes on the disk.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    fn image<'a>(
        &'a self,
        names: impl Iterator<Item = (&'a String, u64)>,
        bytes: impl Fn(&'a Inode) -> &'a [u8],
    ) -> Snapshot {
        let files = names.filter_map(|(name, id)| Some((name.clone(), Arc::from(bytes(self.inodes.get(&id)?)))));
        Snapshot { files: files.collect() }
    }

    fn inode(&mut self, id: u64) -> Result<&mut Inode, DiskError> {
        self.inodes.get_mut(&id).ok_or(DiskError::Stale)
    }

    fn add_inode(&mut self, inode: Inode) -> u64 {
        self.next_inode += 1;
        self.inodes.insert(self.next_inode, inode);
        self.next_inode
    }

    fn next_generation(&mut self) {
        self.generation += 1;
        for inode in self.inodes.values_mut() {
            inode.opens = 0;
            inode.locks = Locks::default();
            inode.shm = Weak::new();
        }
        self.sweep();
        self.used = self.inodes.values().map(|inode| inode.live.len() as u64).sum();
    }

    /// Forgets the files that no handle and no name, present or possible, leads to.
    fn sweep(&mut self) {
        let (directory, used) = (&self.directory, &mut self.used);
        self.inodes.retain(|id, inode| {
            let stays = inode.opens > 0 || directory.refers_to(*id);
            if !stays {
                *used = used.saturating_sub(inode.live.len() as u64);
            }
            stays
        });
    }
}
