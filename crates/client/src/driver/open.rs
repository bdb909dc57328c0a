//! Opening with the file system at hand: one owner per database, and a damaged or lost one made anew with what the
//! mirror of the outbox holds.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use landfall_core::Schema;

use super::{StartError, moment_of, system_entropy};
use crate::db::{DbError, Location, OpenError, Options};
use crate::engine::{Engine, Moment};
use crate::mirror::{self, FileMirror, Mirror, MirrorError, OnProblem, Plan};

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
    let found = mirror_path.map(mirror::load).transpose()?.unwrap_or_default();
    let existed = path.is_some_and(|p| p.metadata().is_ok_and(|m| m.len() > 0));
    let start = || Engine::open(location, schema.clone(), options.clone(), now, &mut system_entropy);
    let (mut engine, sound) = match (start(), path) {
        (Ok(engine), _) => (engine, existed),
        (Err(error), Some(path)) if is_damage(&error, &found, &schema.name) => {
            put_aside(path)?;
            (start()?, false)
        }
        (Err(error), _) => return Err(error.into()),
    };
    let plan = mirror::plan(sound, &found, &schema.name)?;
    // Before anything is taken over: from then on the mirror follows the new database.
    let problem = mirror_path.map(|path| keep_damaged(path, &plan, &found)).transpose()?.flatten();
    if let Plan::Recover(recovered) = plan {
        tracing::warn!(
            transactions = recovered.transactions.len(),
            "the database was lost; its outbox is taken from the mirror"
        );
        engine.adopt(&recovered, &[], now)?;
    }
    if let Some(problem) = problem.map(|problem| problem.to_string()) {
        tracing::warn!("{problem}");
        engine.set_recovery_problem(problem, now);
    }
    let content = engine.mirror()?;
    let mirror = mirror_path.map(|path| FileMirror::open(path, &schema.name, content, on_problem)).transpose()?;
    Ok(Opened { engine, mirror, lock })
}

/// Whether the file is a damaged database of ours. A file whose very head is unreadable is taken for ours only when our
/// mirror lies beside it.
fn is_damage(error: &OpenError, mirror: &Mirror, app: &str) -> bool {
    match error {
        OpenError::Damaged { .. } | OpenError::Database(DbError::Damaged(_)) => true,
        OpenError::NotADatabase { .. } => mirror.recover(app).is_ok_and(|r| r.is_some()),
        _ => false,
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

/// The mirror of a lost database, when parts of it cannot be read, is kept: it may be all that tells of unsent work.
fn keep_damaged(path: &Path, plan: &Plan, mirror: &Mirror) -> Result<Option<MirrorError>, MirrorError> {
    let Some((places, found)) = plan.damage(mirror) else { return Ok(None) };
    let ending = format!(".damaged-{}", moment_of(std::time::Instant::now()).wall_ms);
    let kept = mirror::keep(path, &ending);
    let kept = kept.map_err(|source| MirrorError::Io { path: path.display().to_string(), source })?;
    Ok(Some(MirrorError::Damaged { places, found, kept: kept.display().to_string() }))
}

impl From<MirrorError> for StartError {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(error)
    }
}
