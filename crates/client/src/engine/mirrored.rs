//! What the outbox's mirror is told, and what comes back from it.

use landfall_core::mutant;

use super::{Effect, Engine, Moment};
use crate::db::{DbError, EntryState, RowImage};
use crate::mirror::{Mirror, MirrorRecord, Recovered};

impl Engine {
    /// The outbox as a mirror: what stands in the file when it is written anew.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn mirror(&self) -> Result<Mirror, DbError> {
        let entries = self.db.outbox()?;
        let open = entries.iter().filter(|e| !matches!(e.state, EntryState::Acknowledged(_)));
        let open = open.map(|e| Ok((e.rseq, self.db.kept(e)?))).collect::<Result<Vec<_>, DbError>>()?;
        Ok(Mirror::new(&self.db.schema().name, self.db.replica(), self.db.last_rseq(), self.db.situation(), open))
    }

    /// A database that was just made takes over what a lost one's mirror holds: transactions, and the whole rows that
    /// they touch where the mirror keeps those too ([`Database::images_of`]).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn adopt(&mut self, recovered: &Recovered, images: &[RowImage], now: Moment) -> Result<(), DbError> {
        let changes = self.db.recover(recovered, images, now.wall_ms)?;
        self.announce(&changes);
        self.refresh_status(now);
        Ok(())
    }

    /// Whether this database was made and never used, beside the mirror of another: that one was lost, and this one was to
    /// take over what the mirror holds when the process ended.
    pub fn is_new_beside(&self, mirror: &Mirror) -> bool {
        let is_unused =
            self.db.last_rseq() == 0 && self.db.cursor().is_none() && !mutant::active("recovery-not-taken-up");
        is_unused && mirror.replica().is_some_and(|replica| replica != self.db.replica())
    }

    pub(super) fn mirror_gone(&mut self, rseq: u64) {
        let replica = self.db.replica();
        self.effects.push_back(Effect::Mirror(MirrorRecord::Decided { replica, rseq }));
    }

    /// Tells the mirror what a recovered database has to know besides its entries, where that has changed.
    pub(super) fn mirror_situation(&mut self) {
        let situation = self.db.situation();
        if self.mirrored.has_changed(&situation) {
            self.mirrored = situation.clone();
            let (app, replica, last_rseq) = (self.db.schema().name.clone(), self.db.replica(), self.db.last_rseq());
            self.effects.push_back(Effect::Mirror(MirrorRecord::header(&app, replica, last_rseq, situation)));
        }
    }
}
