//! Requests that were carried out: a tab that lost its answer asks again, and the write must not happen twice.

use rusqlite::{OptionalExtension, params};

use super::Database;
use super::error::DbError;

/// Made when it is first needed, so that databases of older builds need no upgrade for it.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS _landfall_requests
  (name TEXT PRIMARY KEY, rseq INT, at_ms INT NOT NULL) STRICT, WITHOUT ROWID";

impl Database {
    /// What became of a request: `None`: it was not carried out; otherwise the entry of the outbox that it made, if any.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn answered(&self, request: &str) -> Result<Option<Option<u64>>, DbError> {
        if !self.has_requests()? {
            return Ok(None);
        }
        let mut statement = self.conn.prepare_cached("SELECT rseq FROM _landfall_requests WHERE name = ?")?;
        let found = statement.query_row([request], |r| r.get::<_, Option<i64>>(0)).optional()?;
        Ok(found.map(|rseq| rseq.map(|v| v as u64)))
    }

    /// Forgets requests from before this time: nobody asks for them any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_requests(&mut self, before_ms: u64) -> Result<(), DbError> {
        if !self.has_requests()? {
            return Ok(());
        }
        self.transact(|db| {
            db.conn.execute("DELETE FROM _landfall_requests WHERE at_ms < ?", [before_ms as i64])?;
            Ok(())
        })
    }

    pub(super) fn remember_request(&self, request: &str, rseq: Option<u64>, now_ms: u64) -> Result<(), DbError> {
        self.conn.prepare_cached(CREATE)?.execute([])?;
        let sql = "INSERT INTO _landfall_requests (name, rseq, at_ms) VALUES (?, ?, ?)";
        let row = params![request, rseq.map(|v| v as i64), now_ms as i64];
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    fn has_requests(&self) -> Result<bool, DbError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = '_landfall_requests'";
        Ok(self.conn.prepare_cached(sql)?.query_row([], |r| r.get::<_, i64>(0))? > 0)
    }
}
