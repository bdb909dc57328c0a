//! Opening with the file system at hand: one owner per database, and a damaged or lost one made anew with what the
//! mirror of the outbox holds.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use landfall_core::Schema;

use super::{StartError, moment_of, system_entropy};
use crate::db::{Location, OpenError, Options};
use crate::engine::{Engine, Moment};
use crate::mirror::{self, FileMirror, Mirror, MirrorError, OnProblem};

/// An engine with what belongs to it on disk.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) mirror: Option<FileMirror>,
    /// Held while the client lives: a second engine on the same file would not see what this one remembers.
    pub(super) lock: Option<File>,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn own(path: &Path) -> Result<File, StartError> {
    let lock = beside(path, ".lock");
    let cannot = |source| StartError::Lock { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Open(OpenError::InUse { place: path.display().to_string() })),
        Err(TryLockError::Error(source)) => Err(cannot(source)),
    }
}

/// Opens a database with its mirror.
pub(super) fn open(
    location: &Location,
    schema: &Schema,
    options: &Options,
    mirror_path: Option<&Path>,
    on_problem: OnProblem,
    now: Moment,
) -> Result<Opened, StartError> {
    let path = match location {
        Location::Path(path) => Some(path.as_path()),
        Location::Memory | Location::Vfs { .. } => None,
    };
    let lock = path.map(own).transpose()?;
    let mut files = Files { location, path, schema, options, mirror_path, now };
    let opened = mirror::open(&mut files, &schema.name, now)?;
    if let Some(transactions) = opened.recovered {
        tracing::warn!(transactions, "the database was lost; its outbox is taken from the mirror");
    }
    if let Some(problem) = &opened.engine.status().recovery_problem {
        tracing::warn!("{problem}");
    }
    let mirror = mirror_path.map(|path| FileMirror::open(path, &schema.name, opened.mirror, on_problem)).transpose()?;
    Ok(Opened { engine: opened.engine, mirror, lock })
}

/// The files of a database.
struct Files<'a> {
    location: &'a Location,
    path: Option<&'a Path>,
    schema: &'a Schema,
    options: &'a Options,
    mirror_path: Option<&'a Path>,
    now: Moment,
}

impl mirror::Place for Files<'_> {
    type Error = StartError;

    fn mirror(&mut self) -> Result<Mirror, StartError> {
        Ok(self.mirror_path.map(mirror::load).transpose()?.unwrap_or_default())
    }

    fn existed(&mut self) -> bool {
        self.path.is_some_and(|p| p.metadata().is_ok_and(|m| m.len() > 0))
    }

    fn start(&mut self) -> Result<Engine, OpenError> {
        Engine::open(self.location, self.schema.clone(), self.options.clone(), self.now, &mut system_entropy)
    }

    fn put_aside(&mut self) -> Result<bool, StartError> {
        self.path.map(put_aside).transpose().map(|moved| moved.is_some())
    }

    fn keep_mirror(&mut self) -> Result<Option<String>, StartError> {
        let Some(path) = self.mirror_path else { return Ok(None) };
        let ending = format!(".damaged-{}", moment_of(std::time::Instant::now()).wall_ms);
        let kept = mirror::keep(path, &ending);
        let kept = kept.map_err(|source| MirrorError::Io { path: path.display().to_string(), source })?;
        Ok(Some(kept.display().to_string()))
    }
}

/// The damaged file is kept for whoever wants to look into it.
fn put_aside(path: &Path) -> Result<(), StartError> {
    let suffix = format!(".damaged-{}", moment_of(std::time::Instant::now()).wall_ms);
    for ending in ["", "-wal", "-shm"] {
        let from = beside(path, ending);
        if from.exists() {
            let to = beside(path, &format!("{suffix}{ending}"));
            std::fs::rename(&from, &to).map_err(|source| StartError::Lock { path: from, source })?;
        }
    }
    tracing::warn!(path = %path.display(), "the database is damaged; it was put aside and is made anew");
    Ok(())
}

impl From<MirrorError> for StartError {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(error)
    }
}
