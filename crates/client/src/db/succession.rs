//! Numbers under which an entry is no longer kept: an edit or a later transaction took it up, or this database was given
//! another replica id. Who remembers the old number means the entry that has its work now.

use rusqlite::{OptionalExtension, params};

use super::Database;
use super::error::DbError;

impl Database {
    /// The number under which the work of an entry is now: its own, unless an edit or a later transaction has taken the
    /// entry up ([`Database::edit`], `[outbox] collapse_ms`), or this database was given another replica id. Known until
    /// what has taken it up was accepted and is forgotten (a week later by default, [`super::Options`]); then, as for a
    /// number that was never given out, the answer is the number itself.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn current_rseq(&self, rseq: u64) -> Result<u64, DbError> {
        // Ranges do not overlap, so that the one that begins last before the number is the only one that may hold it.
        let sql = "SELECT last, successor FROM _landfall_taken WHERE first <= ? ORDER BY first DESC LIMIT 1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut current = rseq;
        loop {
            let found = statement.query_row([current as i64], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?)));
            match found.optional()? {
                // Each successor is younger.
                Some((last, successor)) if current <= last as u64 && successor > last => current = successor as u64,
                _ => return Ok(current),
            }
        }
    }

    /// The work of `old` is that of `new` from now on. A row of successions, such as a thousand moves of one drag, is one
    /// range.
    pub(super) fn succeed(&self, old: u64, new: u64) -> Result<(), DbError> {
        let sql = "UPDATE _landfall_taken SET last = ?1, successor = ?2 WHERE successor = ?1 AND last = ?1 - 1";
        if self.conn.prepare_cached(sql)?.execute(params![old as i64, new as i64])? == 0 {
            let sql = "INSERT INTO _landfall_taken (first, last, successor) VALUES (?1, ?1, ?2)
                       ON CONFLICT (first) DO UPDATE SET last = excluded.last, successor = excluded.successor";
            self.conn.prepare_cached(sql)?.execute(params![old as i64, new as i64])?;
        }
        Ok(())
    }

    /// Forgets successions whose last entry is forgotten.
    pub(super) fn forget_successions(&self) -> Result<(), DbError> {
        let sql = "DELETE FROM _landfall_taken AS old
                   WHERE NOT EXISTS (SELECT 1 FROM _landfall_outbox WHERE rseq = old.successor)
                     AND NOT EXISTS (SELECT 1 FROM _landfall_acked WHERE rseq = old.successor)
                     AND old.successor > coalesce((SELECT last FROM _landfall_taken WHERE first <= old.successor
                                                   ORDER BY first DESC LIMIT 1), 0)";
        // What went before it in a chain is forgotten the next time.
        self.conn.prepare_cached(sql)?.execute([])?;
        self.forget_some_releases()
    }
}
