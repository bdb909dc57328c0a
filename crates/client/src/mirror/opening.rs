//! Opening a database with its mirror: whether the database is followed, or made anew from the mirror. Whoever has files
//! says how they are looked at and moved ([`Place`]).

use super::{Mirror, MirrorError, Plan, plan};
use crate::db::{DbError, OpenError};
use crate::engine::{Engine, Moment};

/// Where a database lies, with its mirror beside it.
pub trait Place {
    /// Why it cannot be opened.
    type Error: From<OpenError> + From<MirrorError> + From<DbError>;

    /// What the mirror holds; nothing where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn mirror(&mut self) -> Result<Mirror, Self::Error>;

    /// Whether there is a database with anything in it.
    fn existed(&mut self) -> bool;

    /// Opens the database, or makes it when there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn start(&mut self) -> Result<Engine, OpenError>;

    /// Gives what is damaged another name, so that the next start makes a new one. False: it has no place of its own.
    ///
    /// # Errors
    /// When it cannot be moved.
    fn put_aside(&mut self) -> Result<bool, Self::Error>;

    /// Keeps a mirror that is damaged under another name, and gives that. None: there is none.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn keep_mirror(&mut self) -> Result<Option<String>, Self::Error>;
}

/// What was opened.
pub struct Opened {
    /// The engine.
    pub engine: Engine,
    /// What stands in the mirror from here on, instead of what is there.
    pub mirror: Mirror,
    /// How many transactions came from the mirror, since the database was lost.
    pub recovered: Option<usize>,
}

/// Opens a database. One that is lost or damaged is made anew, and takes over what the mirror holds; so is one that was
/// being made anew when the process ended.
///
/// # Errors
/// When it cannot be opened; nothing is lost then.
pub fn open<P: Place>(place: &mut P, app: &str, now: Moment) -> Result<Opened, P::Error> {
    let found = place.mirror()?;
    let existed = place.existed();
    let (mut engine, sound) = match place.start() {
        Ok(engine) => (engine, existed),
        Err(error) if is_damage(&error, &found, app) && place.put_aside()? => (place.start()?, false),
        Err(error) => return Err(error.into()),
    };
    let plan = plan(sound && !engine.is_new_beside(&found), &found, app)?;
    // Before anything is taken over: from then on the mirror follows the new database.
    let kept = plan.damage(&found).map(|damage| Ok(place.keep_mirror()?.map(|kept| (damage, kept)))).transpose();
    let problem = kept.map_err(|error: P::Error| error)?.flatten();
    let mut taken = None;
    if let Plan::Recover(recovered) = plan {
        engine.adopt(&recovered, &[], now)?;
        taken = Some(recovered.len());
    }
    if let Some(((places, found), kept)) = problem {
        engine.set_recovery_problem(MirrorError::Damaged { places, found, kept }.to_string(), now);
    }
    let mirror = engine.mirror()?;
    Ok(Opened { engine, mirror, recovered: taken })
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
