//! A device's mirror of its outbox on the simulated disk, kept by the very code of the native driver: only the files and
//! the thread are others.

use landfall_client::db::{DbError, OpenError};
use landfall_client::engine::{Engine, Moment};
use landfall_client::mirror::{self, Mirror, MirrorError, Storage};

use crate::device::DATABASE;
use crate::disk::{Disk, DiskError, Files};

/// The mirror's file, beside the database.
pub const MIRROR: &str = "app.db.outbox";

/// The files of a database.
pub const DATABASE_FILES: [&str; 3] = [DATABASE, "app.db-wal", "app.db-shm"];

/// Why an app does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The mirror is not to be touched.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The mirror cannot be taken over.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A file cannot be read or moved.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The file of one life of the machine.
#[derive(Debug)]
pub struct MirrorFile(pub Files);

impl Storage for MirrorFile {
    type Error = DiskError;

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.append(MIRROR, bytes)?;
        self.0.sync_file(MIRROR)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let new = format!("{MIRROR}.new");
        self.0.write_file(&new, bytes)?;
        self.0.sync_file(&new)?;
        self.0.rename(&new, MIRROR)?;
        self.0.sync_directory()
    }
}

/// Where a device's database and mirror lie.
pub struct Place<'a, F> {
    /// On this disk.
    pub disk: &'a Disk,
    /// How the database is opened.
    pub start: F,
    /// The device's clock.
    pub now: Moment,
}

impl<F: FnMut() -> Result<Engine, OpenError>> mirror::Place for Place<'_, F> {
    type Error = StartError;

    fn mirror(&mut self) -> Result<Mirror, StartError> {
        match self.disk.files().read_file(MIRROR) {
            Ok(bytes) => Ok(Mirror::from_bytes(&bytes)),
            Err(DiskError::NotFound(_)) => Ok(Mirror::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn existed(&mut self) -> bool {
        self.disk.peek(DATABASE).is_some_and(|bytes| !bytes.is_empty())
    }

    fn start(&mut self) -> Result<Engine, OpenError> {
        (self.start)()
    }

    fn put_aside(&mut self) -> Result<bool, StartError> {
        let files = self.disk.files();
        for name in DATABASE_FILES {
            if files.exists(name)? {
                files.rename(name, &format!("{name}.damaged-{}", self.now.wall_ms))?;
            }
        }
        Ok(true)
    }

    fn keep_mirror(&mut self) -> Result<Option<String>, StartError> {
        let (files, kept) = (self.disk.files(), format!("{MIRROR}.damaged-{}", self.now.wall_ms));
        let bytes = files.read_file(MIRROR)?;
        files.write_file(&kept, &bytes)?;
        files.sync_file(&kept)?;
        Ok(Some(kept))
    }
}
