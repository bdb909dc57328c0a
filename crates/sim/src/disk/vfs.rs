//! SQLite's C interface to the simulated disk: registration and what is asked of the disk as a whole; `io` holds
//! what is asked of an open file. The only modules of the workspace in which `unsafe` is allowed.
//!
//! Each life of a disk has a VFS of its own name, so that a connection of an earlier life cannot reach the files
//! of a later one even by name (SQLite deletes journals by name). SQLite keeps the address of a VFS for as long as
//! a connection lives, and nothing says when the last one is gone; so the structures are never freed, but go back to
//! a pool when their disk's life and all its open files have ended: memory is bounded by the disks alive at once.

#![allow(unsafe_code)]

mod io;

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rusqlite::ffi;

use self::io::{METHODS, OpenFile, SimFile, code};
use super::Inner;
use super::faults::DiskError;
use super::state::OpenAs;

/// Resets the randomness that SQLite uses in the whole process (log salts, `random()`), so that the same run
/// writes the same bytes. The runs of other threads share it: byte-for-byte replay needs one run per process; everything that
/// the files *mean* replays regardless. Zero gives the randomness of the machine back.
pub fn seed_sqlite(seed: u32) {
    // SAFETY: this test control takes an int and a database handle, for which null is allowed; it changes a
    // global under no other condition than that the library is initialised, which the first line ensures.
    unsafe {
        ffi::sqlite3_initialize();
        ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PRNG_SEED, seed as c_int, std::ptr::null_mut::<ffi::sqlite3>());
    }
}

/// The registration of a VFS for one life of a disk; ends when the disk and all files opened through it let go.
pub(super) struct Lease {
    slot: &'static Slot,
    name: String,
}

/// A VFS structure as SQLite sees it, and whose it is at present.
struct Slot {
    vfs: UnsafeCell<ffi::sqlite3_vfs>,
    owner: Mutex<Owner>,
}

#[derive(Default)]
struct Owner {
    disk: Weak<Inner>,
    generation: u64,
    /// Keeps the bytes alive that `vfs.zName` points to, until the slot gets its next name.
    _name: CString,
}

// SAFETY: the VFS structure is written only by SQLite under its own mutex, and by `Lease` while it is not
// registered; the callbacks only read `pAppData`, which never changes after creation. The owner is behind a mutex.
unsafe impl Sync for Slot {}
// SAFETY: the raw pointers inside lead to the slot itself, to its owner's name and to SQLite's list: none belongs to a thread.
unsafe impl Send for Slot {}

static POOL: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());
static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Lease {
    /// Registers a VFS under a name that the process never used before.
    pub(super) fn new(disk: Weak<Inner>, generation: u64) -> Self {
        let name = format!("landfall-sim-{}", SERIAL.fetch_add(1, Ordering::Relaxed));
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slot = pooled.unwrap_or_else(Slot::leak);
        let c_name = CString::new(name.as_str()).unwrap_or_default();
        let z_name = c_name.as_ptr();
        *slot.owner.lock().unwrap_or_else(PoisonError::into_inner) = Owner { disk, generation, _name: c_name };
        // SAFETY: the slot came out of the pool or is new, so it is not registered and nobody else writes to it. The
        // structure lives for ever; the name's heap bytes did not move with the CString and stay until the next lease.
        let code = unsafe {
            (*slot.vfs.get()).zName = z_name;
            ffi::sqlite3_vfs_register(slot.vfs.get(), 0)
        };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite refuses to register a VFS: only running out of memory does that");
        Self { slot, name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: the structure is registered (by `new`) and lives for ever.
        unsafe { ffi::sqlite3_vfs_unregister(self.slot.vfs.get()) };
        self.slot.owner.lock().unwrap_or_else(PoisonError::into_inner).disk = Weak::new();
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
    }
}

/// How many VFS structures wait for their next use.
#[cfg(test)]
pub(super) fn pooled() -> usize {
    POOL.lock().unwrap_or_else(PoisonError::into_inner).len()
}

impl Slot {
    fn leak() -> &'static Self {
        let vfs = ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<SimFile>() as c_int,
            mxPathname: 512,
            pNext: std::ptr::null_mut(),
            zName: std::ptr::null(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: Some(dl_open),
            xDlError: Some(dl_error),
            xDlSym: Some(dl_sym),
            xDlClose: Some(dl_close),
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time_int64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        let slot: &'static Self =
            Box::leak(Box::new(Self { vfs: UnsafeCell::new(vfs), owner: Mutex::new(Owner::default()) }));
        // SAFETY: nobody else has seen the slot yet.
        unsafe { (*slot.vfs.get()).pAppData = std::ptr::from_ref(slot).cast_mut().cast() };
        slot
    }

    /// The disk whose VFS this is, and the life of it; `None` when both are over.
    fn owner(&self) -> Option<(Arc<Inner>, u64)> {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        Some((owner.disk.upgrade()?, owner.generation))
    }
}

/// # Safety
/// `vfs` must be the `vfs` field of a leaked [`Slot`], as it is for every callback of [`Slot::leak`].
unsafe fn owner(vfs: *mut ffi::sqlite3_vfs) -> Option<(Arc<Inner>, u64)> {
    // SAFETY: by the contract above `pAppData` points to a slot that is never freed.
    unsafe { &*(*vfs).pAppData.cast::<Slot>() }.owner()
}

/// # Safety
/// `name` must be null or a C string that outlives the result.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, hence a C string by the contract above.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over room for `szOsFile` bytes; null methods tell it that there is nothing to close.
    unsafe { (*file).pMethods = std::ptr::null() };
    // SAFETY: SQLite passes the VFS that it was given, and a C string or null.
    let (owner, text) = unsafe { (owner(vfs), text(name)) };
    let Some((disk, generation)) = owner else {
        return ffi::SQLITE_CANTOPEN;
    };
    if text.is_none() && !name.is_null() {
        return ffi::SQLITE_CANTOPEN;
    }
    let how = OpenAs {
        create: flags & ffi::SQLITE_OPEN_CREATE != 0,
        exclusive: flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0,
        read_only: flags & ffi::SQLITE_OPEN_READONLY != 0,
        delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0,
    };
    let opened = disk.state().open(generation, text, how);
    let handle = match opened {
        Ok(handle) => handle,
        Err(DiskError::PowerLost | DiskError::Stale) => return ffi::SQLITE_IOERR,
        Err(_) => return ffi::SQLITE_CANTOPEN,
    };
    let kept = flags & !(ffi::SQLITE_OPEN_READONLY | ffi::SQLITE_OPEN_READWRITE);
    let access = if handle.read_only { ffi::SQLITE_OPEN_READONLY } else { ffi::SQLITE_OPEN_READWRITE };
    let lease = disk.lease();
    let open = Box::into_raw(Box::new(OpenFile { disk, _lease: lease, handle, shm: Mutex::new(None) }));
    // SAFETY: as above for the file; `out_flags` is null or points to an int.
    unsafe {
        (*file.cast::<SimFile>()).open = open;
        (*file).pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = kept | access;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given, and a C string.
    let (owner, name) = unsafe { (owner(vfs), text(name)) };
    let (Some((disk, generation)), Some(name)) = (owner, name) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let deleted = disk.state().delete(generation, name, sync_directory != 0);
    match deleted {
        Err(DiskError::NotFound(_)) => ffi::SQLITE_IOERR_DELETE_NOENT,
        other => code(other, ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn access(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given, and a C string.
    let (owner, name) = unsafe { (owner(vfs), text(name)) };
    let (Some((disk, generation)), Some(name)) = (owner, name) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    let mut state = disk.state();
    if state.alive(generation).is_err() {
        return ffi::SQLITE_IOERR_ACCESS;
    }
    let size = state.name_size(name);
    let yes = match flags {
        ffi::SQLITE_ACCESS_READWRITE => size.is_some() && !state.read_only,
        // An empty file counts as absent, as in SQLite's own VFS: an empty journal is no journal.
        ffi::SQLITE_ACCESS_EXISTS => size.is_some_and(|size| size > 0),
        _ => size.is_some(),
    };
    // SAFETY: `out` points to an int.
    unsafe { *out = c_int::from(yes) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a C string and `room` writable bytes that do not overlap it.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

// Extensions cannot be loaded from a simulated disk; SQLite calls these without asking whether they exist.
unsafe extern "C" fn dl_open(_: *mut ffi::sqlite3_vfs, _: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

unsafe extern "C" fn dl_error(_: *mut ffi::sqlite3_vfs, room: c_int, out: *mut c_char) {
    if room > 0 {
        // SAFETY: `out` has `room` writable bytes.
        unsafe { *out = 0 };
    }
}

unsafe extern "C" fn dl_sym(
    _: *mut ffi::sqlite3_vfs,
    _: *mut c_void,
    _: *const c_char,
) -> Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)> {
    None
}

unsafe extern "C" fn dl_close(_: *mut ffi::sqlite3_vfs, _: *mut c_void) {}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given.
    let Some((disk, _)) = (unsafe { owner(vfs) }) else {
        return 0;
    };
    // SAFETY: `out` has `len` writable bytes.
    let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), len as usize) };
    let mut state = disk.state();
    for chunk in out.chunks_mut(8) {
        chunk.copy_from_slice(&state.next_random().to_le_bytes()[..chunk.len()]);
    }
    len
}

/// Waiting takes no time here: whoever holds the lock runs on this very thread.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time_int64(vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    /// The Julian day number of 1970-01-01, in milliseconds.
    const EPOCH: i64 = 24_405_875 * 8_640_000;
    // SAFETY: SQLite passes the VFS that it was given.
    let Some((disk, _)) = (unsafe { owner(vfs) }) else {
        return ffi::SQLITE_ERROR;
    };
    let now = disk.state().now_ms;
    // SAFETY: `out` points to a 64-bit integer.
    unsafe { *out = EPOCH.saturating_add(now) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    let mut ms = 0;
    // SAFETY: the contract is the caller's; `ms` and `out` are writable.
    unsafe {
        let code = current_time_int64(vfs, &raw mut ms);
        *out = ms as f64 / 86_400_000.0;
        code
    }
}
