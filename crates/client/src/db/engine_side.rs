//! What only the engine asks of the database.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::Database;
use super::bookkeeping::QUEUED;
use super::error::DbError;
use crate::live::Recorder;

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
}
