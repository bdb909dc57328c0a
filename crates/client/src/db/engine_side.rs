//! What only the engine asks of the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::Action;

use super::Database;
use super::error::DbError;
use crate::live::Recorder;
use crate::mirror::Situation;

/// Clock differences closer than this are the same.
const SAME_OFFSET_MS: u64 = 50;

impl Database {
    /// What the mirror knows of the database besides its entries.
    pub(crate) fn situation(&self) -> Situation {
        let meta = &self.memory.meta;
        Situation {
            subject: meta.subject.clone(),
            paused: meta.paused,
            seen_ms: meta.seen_ms,
            held: meta.held.map(|held| (held.since_ms, held.away_ms)),
            offset_ms: meta.offset_ms,
        }
    }

    /// The connection, for live queries. Statements run on it as the engine's own.
    pub(crate) fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Hears what statements read while they are prepared.
    pub(crate) fn recorder(&self) -> Recorder {
        self.shared.lock().recorder.clone()
    }

    /// Whether a shape is open: then the server tells of every change, or how far it is.
    pub(crate) fn is_watching(&self) -> bool {
        !self.memory.shapes.is_empty()
    }

    /// Counts changes of the outbox from now on, those that are rolled back included: whoever finds another number looks
    /// again. Only the counter that was asked for last goes on counting.
    ///
    /// # Errors
    /// When SQLite does not take the hook.
    pub fn count_outbox_changes(&mut self) -> Result<Arc<AtomicU64>, DbError> {
        let changes = Arc::new(AtomicU64::new(0));
        let noted = Arc::clone(&changes);
        self.conn.update_hook(Some(move |_: Action, _: &str, table: &str, _: i64| {
            if table == "_landfall_outbox" {
                noted.fetch_add(1, Ordering::Relaxed);
            }
        }))?;
        Ok(changes)
    }

    /// The entries that became dead letters since this was asked last, or follow others than they did.
    pub(crate) fn take_changed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.memory.untold)
    }

    /// Takes note of the server's clock less the device's, milliseconds. Small differences are not worth a write.
    pub(crate) fn set_clock_offset(&mut self, offset_ms: i64) -> Result<(), DbError> {
        if self.memory.meta.doubt_ms == 0 && offset_ms.abs_diff(self.memory.meta.offset_ms) <= SAME_OFFSET_MS {
            return Ok(());
        }
        self.transact(|db| {
            (db.memory.meta.offset_ms, db.memory.meta.doubt_ms) = (offset_ms, 0);
            Ok(())
        })
    }

    /// The device's clock was set by so much, or the device slept so long. A clock that is set back is made good; one that
    /// is ahead may be right, so that both are kept in mind until the server is heard of.
    pub(crate) fn clock_was_set(&mut self, by_ms: i64) -> Result<(), DbError> {
        self.transact(|db| {
            let meta = &mut db.memory.meta;
            if by_ms >= 0 {
                meta.doubt_ms = meta.doubt_ms.saturating_add(by_ms.unsigned_abs());
                return Ok(());
            }
            let back = by_ms.unsigned_abs();
            let rest = back.saturating_sub(meta.doubt_ms);
            meta.doubt_ms = meta.doubt_ms.saturating_sub(back);
            meta.offset_ms = meta.offset_ms.saturating_add_unsigned(rest);
            Ok(())
        })
    }

    /// Whether a write is held open: nothing else may be stored until it ends.
    pub(crate) fn is_held(&self) -> bool {
        !self.conn.is_autocommit()
    }

    /// When the device last knew that it shows the server's state, by its own clock, as it was stored last.
    pub(crate) fn synced_ms(&self) -> Option<u64> {
        self.memory.meta.synced_ms
    }

    /// Stores when the device last had a session, by the server's clock. As [`Database::keep_synced`].
    pub(crate) fn keep_seen(&mut self, at_ms: u64, within_ms: u64) -> Result<(), DbError> {
        if self.memory.meta.seen_ms.is_some_and(|kept| kept == at_ms || kept.abs_diff(at_ms) < within_ms) {
            return Ok(());
        }
        self.lazily(|db| db.memory.meta.seen_ms = Some(at_ms))
    }

    /// Changes what is kept in memory, and stores it without waiting for the disk.
    fn lazily(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), DbError> {
        self.lazy = true;
        let kept = self.transact(|db| {
            change(db);
            Ok(())
        });
        self.lazy = false;
        kept
    }

    /// Stores when the device last knew that it shows the server's state, unless what is stored is closer than `within`
    /// to it. The disk is not waited for: a power cut may take it back.
    pub(crate) fn keep_synced(&mut self, at_ms: u64, within_ms: u64) -> Result<(), DbError> {
        if self.memory.meta.synced_ms.is_some_and(|kept| kept == at_ms || kept.abs_diff(at_ms) < within_ms) {
            return Ok(());
        }
        self.lazily(|db| db.memory.meta.synced_ms = Some(at_ms))
    }
}
