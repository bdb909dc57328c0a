//! The app's writes: in one call, or held open between calls; and what it does about dead letters.

use landfall_core::mutant;

use super::{Effect, Engine, Moment};
use crate::db::{Database, DbError, Edited, HeldWrite, Imported, Reviewed, Undone, Withdrawal, WriteTx, Written};
use crate::session::{Entropy, Event};

impl Engine {
    /// Writes in one transaction. When it returns, the rows and the outbox entry are on disk (with durability `Full`),
    /// and live queries have heard.
    ///
    /// # Errors
    /// What `f` returned, or why the write is not valid; nothing of it happened then.
    pub fn write<R>(
        &mut self,
        now: Moment,
        random: &mut Entropy<'_>,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<Written<R>, DbError> {
        self.mind_clock(now);
        let written = self.db.write(now.wall_ms, random, f)?;
        self.written(written, now, random)
    }

    /// Does what makes one transaction at most, under the name of a request, so that it is done once, however often it is
    /// asked for ([`crate::db::Database::answering`]). Gives the answer. Without a name it is done like any other.
    ///
    /// # Errors
    /// What `f` returned; nothing of it happened then.
    pub fn answering<R>(
        &mut self,
        request: Option<&str>,
        now: Moment,
        random: &mut Entropy<'_>,
        f: impl FnOnce(&mut Database, &mut Entropy<'_>) -> Result<Option<Written<R>>, DbError>,
        tell: impl FnOnce(Option<&Written<R>>) -> String,
    ) -> Result<String, DbError> {
        self.mind_clock(now);
        let done = self.db.answering(request, now.wall_ms, |db| f(db, random), |written| tell(written.as_ref()));
        let (written, told) = done?;
        if let Some(written) = written {
            self.written(written, now, random)?;
        }
        Ok(told)
    }

    fn written<R>(
        &mut self,
        written: Written<R>,
        now: Moment,
        random: &mut Entropy<'_>,
    ) -> Result<Written<R>, DbError> {
        if let Some(rseq) = written.rseq {
            self.mirror_appended(rseq)?;
        }
        for rseq in &written.gone {
            self.mirror_gone(*rseq);
        }
        self.mirror_changed()?;
        self.undo_changed = true;
        self.announce(&written.changes);
        self.step(&Event::Written, now, random);
        Ok(written)
    }

    /// Sends nothing until it is told otherwise, or goes on sending; after a restart, too. What is under way is answered,
    /// everything else goes on: changes of others come, shapes load. Durable on return.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub fn set_paused(&mut self, paused: bool, now: Moment, random: &mut Entropy<'_>) -> Result<(), DbError> {
        self.db.set_paused(paused)?;
        self.hold_or_go_on(now, random);
        Ok(())
    }

    /// Sends what was held back after a long absence, [`Status::review`](crate::Status): the person has been told. Does
    /// nothing when nothing is held back. Durable on return.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub fn replay(&mut self, now: Moment, random: &mut Entropy<'_>) -> Result<(), DbError> {
        self.db.let_go_of_held()?;
        self.hold_or_go_on(now, random);
        Ok(())
    }

    /// What waits for its next attempt, and a connection that is waited for, are tried at once: the person says that the
    /// trouble is over. How many entries that are. A server that said when to come back is still given that time.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub fn try_now(&mut self, now: Moment, random: &mut Entropy<'_>) -> Result<usize, DbError> {
        let entries = self.db.try_now()?;
        self.step(&Event::Written, now, random);
        self.step(&Event::Nudge, now, random);
        Ok(entries)
    }

    /// What is held back after a long absence: each entry, with what others have changed since of what it writes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn review(&mut self) -> Result<Vec<Reviewed>, DbError> {
        self.db.review()
    }

    /// Begins a write that stays open between calls. Until it ends nothing else may be asked of the engine: no input,
    /// no read, no other write.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn hold(&mut self, now: Moment, random: &mut Entropy<'_>) -> Result<HeldWrite, DbError> {
        self.mind_clock(now);
        self.db.hold(now.wall_ms, random)
    }

    /// Does a part of a held write. On error all of it is undone, and it has ended.
    ///
    /// # Errors
    /// What `f` returned.
    pub fn step_held<R>(
        &mut self,
        held: HeldWrite,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<(HeldWrite, R), DbError> {
        self.db.step_held(held, f)
    }

    /// Commits a held write, as [`Engine::write`] does.
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub fn finish(&mut self, held: HeldWrite, now: Moment, random: &mut Entropy<'_>) -> Result<Written<()>, DbError> {
        let wall_ms = self.wall_of_held(now);
        let written = self.db.finish_held(held, wall_ms)?;
        self.written(written, now, random)
    }

    /// Undoes a held write.
    pub fn let_go(&mut self, held: HeldWrite) {
        self.db.let_go(held);
    }

    /// Forgets requests from before this time ([`Engine::answering`]).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_requests(&mut self, before_ms: u64) -> Result<(), DbError> {
        self.db.forget_requests(before_ms)
    }

    fn mirror_appended(&mut self, rseq: u64) -> Result<(), DbError> {
        if let Some(entry) = self.db.entry(rseq)? {
            let kept = self.db.kept(&entry)?;
            self.effects.push_back(Effect::Mirror(kept.appended(self.db.replica(), rseq)));
        }
        Ok(())
    }

    /// Entries became dead letters, or follow others, and do so after the loss of the database, too.
    pub(super) fn mirror_changed(&mut self) -> Result<(), DbError> {
        if mutant::active("mirror-not-told-of-letters") {
            return Ok(());
        }
        self.db.take_changed().into_iter().try_for_each(|rseq| self.mirror_appended(rseq))
    }

    /// Offers a dead letter again, as a new transaction on the rows as they are now.
    ///
    /// # Errors
    /// When there is no such dead letter, or it is still not valid.
    pub fn retry(&mut self, rseq: u64, now: Moment, random: &mut Entropy<'_>) -> Result<u64, DbError> {
        self.mind_clock(now);
        let written = self.db.retry(rseq, now.wall_ms, random)?;
        let again = written.rseq.unwrap_or(rseq);
        self.written(written, now, random)?;
        Ok(again)
    }

    /// Takes entries of a file in as dead letters ([`crate::db::Database::import`]).
    ///
    /// # Errors
    /// When the file is not an outbox of this app.
    pub fn import(&mut self, file: &str, now: Moment) -> Result<Imported, DbError> {
        let imported = self.db.import(file, now.wall_ms)?;
        for rseq in &imported.added {
            self.mirror_appended(*rseq)?;
        }
        self.refresh_status(now);
        Ok(imported)
    }

    /// Changes an entry of the outbox, in place when it was never handed to the network and nothing follows it; otherwise
    /// the change is a transaction of its own ([`crate::db::Database::edit`]).
    ///
    /// # Errors
    /// When there is no such entry; otherwise as [`Engine::write`].
    pub fn edit<R>(
        &mut self,
        rseq: u64,
        now: Moment,
        random: &mut Entropy<'_>,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<Written<Edited<R>>, DbError> {
        self.mind_clock(now);
        let written = self.db.edit(rseq, now.wall_ms, random, f)?;
        self.written(written, now, random)
    }

    /// Withdraws an entry: it goes when it was never handed to the network, otherwise a new transaction takes it back
    /// ([`crate::db::Database::withdraw`]).
    ///
    /// # Errors
    /// When there is no such entry; otherwise as [`Engine::write`].
    pub fn withdraw(
        &mut self,
        rseq: u64,
        now: Moment,
        random: &mut Entropy<'_>,
    ) -> Result<Written<Withdrawal>, DbError> {
        self.mind_clock(now);
        let written = self.db.withdraw(rseq, now.wall_ms, random)?;
        self.written(written, now, random)
    }

    /// Takes back the newest transaction of this database that was not taken back ([`crate::db::Database::undo_last`]).
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub fn undo_last(&mut self, now: Moment, random: &mut Entropy<'_>) -> Result<Option<Written<Undone>>, DbError> {
        self.mind_clock(now);
        let written = self.db.undo_last(now.wall_ms, random)?;
        written.map(|written| self.written(written, now, random)).transpose()
    }

    /// Does again what was taken back last ([`crate::db::Database::redo_last`]).
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub fn redo_last(&mut self, now: Moment, random: &mut Entropy<'_>) -> Result<Option<Written<Undone>>, DbError> {
        self.mind_clock(now);
        let written = self.db.redo_last(now.wall_ms, random)?;
        written.map(|written| self.written(written, now, random)).transpose()
    }

    /// Takes back one transaction of this database, whatever was written since ([`crate::db::Database::undo`]).
    ///
    /// # Errors
    /// When it is a dead letter, or too old; otherwise as [`Engine::write`].
    pub fn undo(&mut self, rseq: u64, now: Moment, random: &mut Entropy<'_>) -> Result<Written<Undone>, DbError> {
        self.mind_clock(now);
        let written = self.db.undo(rseq, now.wall_ms, random)?;
        self.written(written, now, random)
    }

    /// Throws a dead letter away.
    ///
    /// # Errors
    /// When there is no such dead letter.
    pub fn discard(&mut self, rseq: u64, now: Moment) -> Result<(), DbError> {
        self.db.discard(rseq, now.wall_ms)?;
        self.mirror_gone(rseq);
        self.refresh_status(now);
        Ok(())
    }
}
