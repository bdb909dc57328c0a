//! What only the engine asks of the database.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::Database;
use super::bookkeeping::{QUEUED, SENT};
use super::error::DbError;
use super::overlay::Batch;
use crate::changes::ChangeSet;
use crate::live::Recorder;
use crate::mirror::Recovered;

/// Clock differences closer than this are the same.
const SAME_OFFSET_MS: u64 = 50;

impl Database {
    /// The connection, for live queries. Statements run on it as the engine's own.
    pub(crate) fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Hears what statements read while they are prepared.
    pub(crate) fn recorder(&self) -> Recorder {
        self.shared.lock().recorder.clone()
    }

    /// Undecided entries that were never handed to the network.
    pub(crate) fn never_sent(&self) -> Result<BTreeSet<u64>, DbError> {
        let mut statement = self.conn.prepare_cached("SELECT rseq FROM _landfall_outbox WHERE state = ?")?;
        let rows = statement.query_map([QUEUED], |r| r.get::<_, i64>(0))?;
        Ok(rows.map(|r| r.map(|v| v as u64)).collect::<rusqlite::Result<_>>()?)
    }

    /// Takes note of the server's clock less the device's, milliseconds. Small differences are not worth a write.
    pub(crate) fn set_clock_offset(&mut self, offset_ms: i64) -> Result<(), DbError> {
        if offset_ms.abs_diff(self.memory.meta.offset_ms) <= SAME_OFFSET_MS {
            return Ok(());
        }
        self.transact(|db| {
            db.memory.meta.offset_ms = offset_ms;
            Ok(())
        })
    }

    /// A database that was just made takes over the identity and the undecided transactions of one that was lost. They
    /// count as sent, whether they were or not: only under their own number and bytes can the server tell.
    ///
    /// # Errors
    /// When the database cannot be written; it is as empty as before then.
    pub fn adopt(&mut self, recovered: &Recovered, now_ms: u64) -> Result<ChangeSet, DbError> {
        self.transact(|db| {
            let (mut batch, mut changes) = (Batch::default(), ChangeSet::default());
            (db.memory.meta.replica, db.memory.meta.last_rseq) = (recovered.replica, recovered.last_rseq);
            for transaction in &recovered.transactions {
                let rseq = transaction.rseq;
                let sql = "INSERT INTO _landfall_outbox (rseq, state, created_ms, body) VALUES (?, ?, ?, ?)";
                let row = params![rseq as i64, SENT, now_ms as i64, transaction.to_bytes()];
                db.conn.prepare_cached(sql)?.execute(row)?;
                db.memory.meta.counts.sent += 1;
                db.show(rseq, &mut batch)?;
                let first = db.memory.meta.first_undecided.unwrap_or(rseq);
                db.memory.meta.first_undecided = Some(first.min(rseq));
            }
            db.flush(batch, &mut changes)?;
            Ok(changes)
        })
    }
}
