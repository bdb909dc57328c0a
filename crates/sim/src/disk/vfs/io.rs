//! The methods that SQLite calls on an open file.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::ffi;

use super::super::Inner;
use super::super::faults::DiskError;
use super::super::lock::Level;
use super::super::shm::Shm;
use super::super::state::Handle;
use super::Lease;

/// What SQLite allocates for each open file: its own part, then ours.
#[repr(C)]
pub(super) struct SimFile {
    base: ffi::sqlite3_file,
    pub(super) open: *mut OpenFile,
}

pub(super) struct OpenFile {
    pub(super) disk: Arc<Inner>,
    /// Keeps the VFS registered and its memory out of the pool while a connection uses it.
    pub(super) _lease: Option<Arc<Lease>>,
    pub(super) handle: Handle,
    pub(super) shm: Mutex<Option<Arc<Shm>>>,
}

pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// SQLite's code for an error: the disk's own, or an I/O error of the operation at hand.
pub(super) fn code(result: Result<(), DiskError>, io_error: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(DiskError::Full) => ffi::SQLITE_FULL,
        Err(_) => io_error,
    }
}

/// # Safety
/// `file` must have been opened by [`open`] and not yet closed: SQLite calls the methods of no other file.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a OpenFile {
    // SAFETY: by the contract above this is our structure, and `open` points to a box that `close` has not freed.
    unsafe { &*(*file.cast::<SimFile>()).open }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; the box was made in `open`, and nothing refers to it any more.
    let open = unsafe {
        (*file).pMethods = std::ptr::null();
        Box::from_raw((*file.cast::<SimFile>()).open)
    };
    open.leave_shm();
    open.disk.state().close(&open.handle);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, len: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite passes a file that is open and `len` writable bytes.
    let (open, out) = unsafe { (opened(file), std::slice::from_raw_parts_mut(out.cast::<u8>(), len as usize)) };
    let result = open.disk.state().read(&open.handle, offset as usize, out);
    match result {
        Ok(got) if got == out.len() => ffi::SQLITE_OK,
        Ok(got) => {
            // SQLite relies on the rest being zeros.
            out[got..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, len: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite passes a file that is open and `len` readable bytes.
    let (open, data) = unsafe { (opened(file), std::slice::from_raw_parts(data.cast::<u8>(), len as usize)) };
    let result = open.disk.state().write(&open.handle, offset as usize, data);
    code(result, ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let result = open.disk.state().truncate(&open.handle, size as usize);
    code(result, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let result = open.disk.state().sync(&open.handle);
    code(result, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let size = open.disk.state().size(&open.handle);
    // SAFETY: `out` points to a 64-bit integer.
    code(size.map(|size| unsafe { *out = size as i64 }), ffi::SQLITE_IOERR_FSTAT)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let locked = open.disk.state().lock(&open.handle, Level::from_sqlite(level));
    match locked {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_BUSY,
        Err(_) => ffi::SQLITE_IOERR_LOCK,
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let result = open.disk.state().unlock(&open.handle, Level::from_sqlite(level));
    code(result, ffi::SQLITE_IOERR_UNLOCK)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let reserved = open.disk.state().reserved(&open.handle);
    // SAFETY: `out` points to an int.
    code(reserved.map(|yes| unsafe { *out = c_int::from(yes) }), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    open.disk.state().sector_bytes() as c_int
}

/// Bytes beside those written never change, torn or not; nothing else is promised: no atomic sectors, no order.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let Ok(shared) = open.disk.state().shm(&open.handle) else {
        return ffi::SQLITE_IOERR_SHMMAP;
    };
    let mut mine = open.shm.lock().unwrap_or_else(PoisonError::into_inner);
    let shm = mine.get_or_insert(shared);
    let address = shm.region(region as usize, bytes as usize, extend != 0);
    // SAFETY: `out` points to a pointer. The region stays where it is for as long as `open.shm` holds it, which
    // ends with `shm_unmap` or `close`, after which SQLite does not use the address.
    unsafe { *out = address.map_or(std::ptr::null_mut(), |address| address.cast()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, from: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    let open = unsafe { opened(file) };
    let alive = open.disk.state().alive(open.handle.generation);
    let mine = open.shm.lock().unwrap_or_else(PoisonError::into_inner);
    let (Ok(()), Some(shm)) = (alive, mine.as_ref()) else {
        return ffi::SQLITE_IOERR_SHMLOCK;
    };
    let (id, from, count) = (open.handle.id, from as usize, count as usize);
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        shm.unlock(id, from, count);
        return ffi::SQLITE_OK;
    }
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    if shm.lock(id, from, count, exclusive) { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: SQLite passes a file that is open.
    unsafe { opened(file) }.leave_shm();
    ffi::SQLITE_OK
}

impl OpenFile {
    fn leave_shm(&self) {
        if let Some(shm) = self.shm.lock().unwrap_or_else(PoisonError::into_inner).take() {
            shm.leave(self.handle.id);
        }
    }
}
