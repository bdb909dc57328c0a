//! Taking an entry back out of the outbox.

use landfall_core::Problem;

use super::bookkeeping::{DEAD, QUEUED};
use super::error::{DbError, codes};
use super::outbox::OutboxEntry;
use super::undo::Undone;
use super::{Database, Written};

/// What became of an entry that was to be withdrawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Withdrawal {
    /// It was never handed to the network, and is gone: nobody will hear of it.
    Withdrawn {
        /// What it was, to be shown or written again.
        entry: Box<OutboxEntry>,
        /// Entries that cannot be without it; they are dead letters now.
        with_it: Vec<u64>,
    },
    /// It was handed to the network, so it may be decided already: a new transaction takes it back.
    TakenBack(Undone),
}

impl Database {
    /// Withdraws what was written. What was never handed to the network is removed as if it had never been written, and a
    /// copy of the whole outbox is kept ([`Database::backups`]); anything else, also what has settled meanwhile, is taken
    /// back by a new transaction, as [`Database::undo`] does. An entry that another has taken up goes with that one.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`] when it was never written, or is a dead letter; [`DbError::NotUndoable`] when its action is
    /// on its way, or it is too old; otherwise as [`Database::write`].
    pub fn withdraw(
        &mut self,
        rseq: u64,
        now_ms: u64,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Written<Withdrawal>, DbError> {
        let rseq = self.current_rseq(rseq)?;
        let entry = self.entry(rseq)?;
        let Some(entry) = entry.filter(|entry| entry.is_open) else {
            return Ok(self.undo(rseq, now_ms, random)?.map(Withdrawal::TakenBack));
        };
        self.transact(|db| {
            db.back_up_before(&[rseq], "before an entry was withdrawn", now_ms)?;
            let problem = Problem::new(codes::WITHDRAWN, "it was withdrawn before it was sent");
            let decided = db.end(&[rseq], &problem, now_ms)?;
            db.drop_entry(rseq, DEAD)?;
            // It was a dead letter for a moment only: what copies hold is as it was.
            db.memory.buried -= 1;
            let with_it = decided.refused.into_iter().filter(|other| *other != rseq).collect();
            let value = Withdrawal::Withdrawn { entry: Box::new(entry), with_it };
            Ok(Written { value, rseq: None, gone: vec![rseq], changes: decided.changes })
        })
    }

    /// Whether an entry was never handed to the network: then it can still be changed or withdrawn.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn is_open(&self, rseq: u64) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM _landfall_outbox WHERE rseq = ? AND state = ? AND handed = 0";
        Ok(self.conn.prepare_cached(sql)?.exists(rusqlite::params![rseq as i64, QUEUED])?)
    }
}
