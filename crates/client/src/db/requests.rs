//! Requests that were carried out: a tab that lost its answer asks again, and what it asked for must not happen twice. The
//! answer is stored in the transaction that it tells of.

use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::Memory;
use super::error::DbError;

/// Made when it is first needed, so that databases of older builds need no upgrade for it. They kept a number.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS _landfall_requests
  (name TEXT PRIMARY KEY, rseq INT, at_ms INT NOT NULL, answer TEXT) STRICT, WITHOUT ROWID";

impl Database {
    /// What was answered to a request; `None`: it was not carried out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn answered(&self, request: &str) -> Result<Option<String>, DbError> {
        let sql = match self.requests_have_answers()? {
            None => return Ok(None),
            Some(true) => "SELECT coalesce(answer, CAST(rseq AS TEXT), 'null') FROM _landfall_requests WHERE name = ?",
            Some(false) => "SELECT coalesce(CAST(rseq AS TEXT), 'null') FROM _landfall_requests WHERE name = ?",
        };
        Ok(self.conn.prepare_cached(sql)?.query_row([request], |r| r.get(0)).optional()?)
    }

    /// Does what makes one transaction at most, and stores with it what is answered, so that it is done once, however often
    /// it is asked for: [`Database::answered`] knows the answer from the commit on, and a second transaction of the name
    /// fails. Where nothing was committed nothing is remembered.
    ///
    /// # Errors
    /// What `f` returned; when the database cannot be written, nothing happened.
    pub fn answering<T>(
        &mut self,
        request: Option<&str>,
        now_ms: u64,
        f: impl FnOnce(&mut Self) -> Result<T, DbError>,
        tell: impl FnOnce(&T) -> String,
    ) -> Result<(T, String), DbError> {
        self.held_back = request.map(|_| None);
        let value = f(self);
        let held_back = self.held_back.take().flatten();
        let (Some(request), Some(before)) = (request, held_back) else {
            let value = value?;
            let told = tell(&value);
            return Ok((value, told));
        };
        let done = value.and_then(|value| {
            let told = tell(&value);
            self.remember_request(request, &told, now_ms)?;
            self.commit(&before)?;
            Ok((value, told))
        });
        if done.is_err() {
            self.abandon(before);
        }
        done
    }

    /// Whether the commit that is due waits for the answer.
    pub(super) fn holds_back(&mut self, before: &Memory) -> bool {
        match &mut self.held_back {
            Some(held_back) => {
                *held_back = Some(before.clone());
                true
            }
            None => false,
        }
    }

    /// Forgets requests from before this time: nobody asks for them any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_requests(&mut self, before_ms: u64) -> Result<(), DbError> {
        if self.requests_have_answers()?.is_none() {
            return Ok(());
        }
        self.transact(|db| {
            db.conn.execute("DELETE FROM _landfall_requests WHERE at_ms < ?", [before_ms as i64])?;
            Ok(())
        })
    }

    fn remember_request(&self, request: &str, answer: &str, now_ms: u64) -> Result<(), DbError> {
        match self.requests_have_answers()? {
            None => self.conn.prepare_cached(CREATE)?.execute([])?,
            Some(false) => self.conn.execute("ALTER TABLE _landfall_requests ADD COLUMN answer TEXT", [])?,
            Some(true) => 0,
        };
        let sql = "INSERT INTO _landfall_requests (name, at_ms, answer) VALUES (?, ?, ?)";
        self.conn.prepare_cached(sql)?.execute(params![request, now_ms as i64, answer])?;
        Ok(())
    }

    /// Whether what is remembered of requests is their answers; `None`: nothing is.
    fn requests_have_answers(&self) -> Result<Option<bool>, DbError> {
        let sql = "SELECT sql LIKE '%answer%' FROM sqlite_schema WHERE name = '_landfall_requests'";
        Ok(self.conn.prepare_cached(sql)?.query_row([], |r| r.get(0)).optional()?)
    }
}
