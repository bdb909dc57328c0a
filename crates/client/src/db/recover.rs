//! Starting anew from the mirrored outbox, after the database was lost or damaged.

use landfall_core::schema::TransactionLimits;
use landfall_core::{Problem, ReplicaId, Transaction};
use rusqlite::params;

use super::Database;
use super::bookkeeping::{DEAD, SENT, encode, first_undecided};
use super::error::{DbError, codes};
use super::images::RowImage;
use super::overlay::Batch;
use crate::changes::ChangeSet;

impl Database {
    /// Takes over what a lost database had not sent yet: the replica's identity, and its undecided transactions as they
    /// are, same number and same bytes, so that each takes effect once. `older` transactions, of an identity given up
    /// before, become dead letters for a person to look at. `images` are whole rows of these transactions, where the
    /// mirror has them: without, an update shows when its row has come from the server.
    ///
    /// Only for a database that was just made.
    ///
    /// # Errors
    /// When the database cannot be written, or already has entries of its own.
    pub fn recover(
        &mut self,
        replica: ReplicaId,
        last_rseq: u64,
        transactions: &[Transaction],
        older: &[Transaction],
        images: &[RowImage],
        now_ms: u64,
    ) -> Result<ChangeSet, DbError> {
        if self.last_rseq() > 0 || self.cursor().is_some() {
            return Err(DbError::Aborted("only a database that was just made can be recovered into".into()));
        }
        self.apply(now_ms, |db, changes| {
            let mut batch = Batch::default();
            db.memory.meta.replica = replica;
            db.restore_images(images, &mut batch)?;
            for transaction in transactions {
                // One that this build could not send must not keep the others from being saved.
                if let Err(problem) = db.schema.check_transaction(transaction, &TransactionLimits::default()) {
                    db.put_entry(transaction.rseq, DEAD, transaction, Some(&problem), now_ms)?;
                    continue;
                }
                db.put_entry(transaction.rseq, SENT, transaction, None, now_ms)?;
                db.link(transaction.rseq, &transaction.after)?;
                db.show(transaction.rseq, &mut batch)?;
                db.memory.meta.observe(transaction.stamp);
            }
            let highest = transactions.iter().map(|t| t.rseq).max().unwrap_or(0);
            let mut last = last_rseq.max(highest);
            for transaction in older {
                last += 1;
                let text = "it was written before this device took a new identity, and may have been sent since";
                let problem = Problem::new(codes::RECOVERED, text);
                db.put_entry(last, DEAD, transaction, Some(&problem), now_ms)?;
            }
            db.memory.meta.last_rseq = last;
            db.recount()?;
            db.memory.meta.first_undecided = first_undecided(&db.conn)?;
            db.flush(batch, changes)
        })
    }

    fn put_entry(
        &self,
        rseq: u64,
        state: i64,
        transaction: &Transaction,
        problem: Option<&Problem>,
        now_ms: u64,
    ) -> Result<(), DbError> {
        let sql = "INSERT INTO _landfall_outbox (rseq, state, created_ms, body, problem, handed)
                   VALUES (?, ?, ?, ?, ?, 1)";
        let row = params![rseq as i64, state, now_ms as i64, transaction.to_bytes(), problem.map(encode)];
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}
