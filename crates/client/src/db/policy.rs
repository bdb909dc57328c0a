//! What may wait for the network, how long, and how much of it: refused before anything is written, with a reason that
//! the app can show, or ended in time.

use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::schema::{Offline, Schedule, Sending};
use landfall_core::{Operation, Problem, RowKey, Value, mutant};
use rusqlite::params;

use super::decide::Decided;
use super::error::DbError;
use super::record::Net;
use super::write::Wishes;
use super::{Database, bookkeeping};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Milliseconds since the Unix epoch.
fn moment(value: &Value) -> Option<u64> {
    match value {
        Value::Timestamp(us) => u64::try_from(us / 1_000).ok(),
        Value::Date(days) => u64::try_from(i64::from(*days) * DAY_MS).ok(),
        _ => None,
    }
}

impl Database {
    /// Whether what is written now would be sent now: there is a session with the server, and sending is not paused. What
    /// `offline = "deny"` asks for. A database that nobody tells has none.
    pub fn set_online(&mut self, online: bool) {
        self.online = online;
    }

    /// The server's clock, as far as it is known here. Milliseconds since the Unix epoch.
    pub(super) fn server_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.memory.meta.offset_ms)
    }

    /// What the server's clock shows at least. What is ended too early is lost to its author; of what is ended too late the
    /// server has the last word.
    pub(super) fn earliest_server_ms(&self, now_ms: u64) -> u64 {
        self.server_ms(now_ms).saturating_sub(self.memory.meta.doubt_ms)
    }

    /// Refuses what may not be written without a connection. Gives until when the transaction may be carried out, by the
    /// server's clock.
    pub(super) fn check_policy(&self, net: &Net, wishes: &Wishes, now_ms: u64) -> Result<Option<u64>, DbError> {
        let now_ms = self.server_ms(now_ms);
        let wished = wishes.expires_ms.filter(|_| !mutant::active("end-ignored"));
        let wished = wished.map(|at| at.saturating_add_signed(self.memory.meta.offset_ms));
        let mut until = wished;
        let mut sooner = |at: u64| until = Some(until.map_or(at, |until| until.min(at)));
        let mut check = |name: &str, sending: &Sending, schedule: Option<(&Schedule, Option<u64>)>| {
            if sending.offline == Offline::Deny && !self.online && !mutant::active("deny-ignored") {
                return Err(DbError::NeedsServer { what: name.to_owned() });
            }
            if let Some(lasts) = sending.lasts_ms() {
                sooner(now_ms.saturating_add(lasts));
            }
            match schedule {
                None => {}
                Some((schedule, Some(at)))
                    if at >= now_ms.saturating_add(schedule.lead_ms) || mutant::active("lead-ignored") =>
                {
                    sooner(at);
                }
                Some((schedule, _)) => {
                    let by = schedule.by.clone();
                    return Err(DbError::TooSoon { what: name.to_owned(), by, lead_ms: schedule.lead_ms });
                }
            }
            Ok(())
        };
        for operation in &net.operations {
            let app = self.tables.get(operation.table())?;
            let table = &app.table;
            let schedule = match table.schedule.as_ref().filter(|_| !self.online) {
                Some(schedule) => {
                    let touched = net.touched.iter().find(|t| t.table == app.id && t.key == *operation.key());
                    let before = touched.and_then(|touched| touched.before.as_ref());
                    Some((schedule, self.scheduled(operation, before, schedule)?))
                }
                None => None,
            };
            check(&table.name, &table.sending, schedule)?;
        }
        let asked = wishes.action.as_ref().filter(|_| !mutant::active("action-unchecked"));
        let asked = asked.and_then(|action| Some((action, self.schema.action(&action.name)?)));
        if let Some((action, declared)) = asked {
            let schedule = declared.schedule.as_ref().filter(|_| !self.online);
            let schedule = schedule.map(|schedule| (schedule, action.args.get(&schedule.by).and_then(moment)));
            check(&declared.name, &declared.sending, schedule)?;
        }
        Ok(until)
    }

    /// When the row is due: as it was or as it will be, whichever is earlier. Of a row that is deleted, when it would have
    /// been.
    fn scheduled(
        &self,
        operation: &Operation,
        before: Option<&Cells>,
        schedule: &Schedule,
    ) -> Result<Option<u64>, DbError> {
        let was = before.and_then(|row| row.get(&schedule.by)).and_then(moment);
        if matches!(operation, Operation::Delete { .. }) {
            return Ok(was);
        }
        let value = match operation.value(&schedule.by) {
            Some(value) => Some(value.clone()),
            None => self.kept_value(operation.table(), operation.key(), &schedule.by)?,
        };
        Ok(value.as_ref().and_then(moment).map(|will_be| was.map_or(will_be, |was| was.min(will_be))))
    }

    fn kept_value(&self, table: &str, key: &RowKey, column: &str) -> Result<Option<Value>, DbError> {
        let app = self.tables.get(table)?;
        let row = app.read(&self.conn, key)?;
        Ok(row.and_then(|cells| cells.get(column).cloned()))
    }

    /// Refuses an entry of so many bytes that the outbox has no room for.
    pub(super) fn check_room(&self, bytes: usize) -> Result<(), DbError> {
        let (counts, limits) = (&self.memory.meta.counts, &self.schema.outbox);
        // What the server has accepted stays here until the open shapes have brought it: nobody can do anything about that.
        let entries = counts.undecided() + counts.dead;
        let kept = counts.bytes.saturating_sub(counts.acked_bytes);
        let more = entries < limits.max_entries || mutant::active("room-ignored");
        if more && (kept + bytes as u64 <= limits.max_bytes || mutant::active("bytes-ignored")) {
            return Ok(());
        }
        Err(DbError::OutboxFull { entries, bytes: kept })
    }

    /// Ends what was not handed to the network in time: dead letters, with what cannot be without them. What was handed
    /// to it may be decided already: the server has the last word, and refuses it when it is too late.
    ///
    /// # Errors
    /// When the database cannot be read, or written while something is due.
    pub fn expire(&mut self, here_ms: u64) -> Result<Decided, DbError> {
        let now_ms = self.earliest_server_ms(here_ms);
        if self.next_expiry()?.is_none_or(|at| at > now_ms) || mutant::active("end-slept-through") {
            return Ok(Decided::default());
        }
        self.transact(|db| {
            let sql = "SELECT rseq FROM _landfall_outbox INDEXED BY _landfall_outbox_expiry
                       WHERE state < 2 AND handed = 0 AND expires_ms IS NOT NULL AND expires_ms <= ? ORDER BY rseq";
            let mut statement = db.conn.prepare_cached(sql)?;
            let due = statement.query_map(params![now_ms as i64], |r| Ok(r.get::<_, i64>(0)? as u64))?;
            let due = due.collect::<rusqlite::Result<Vec<_>>>()?;
            drop(statement);
            let text = "it could not be sent in time, and was not sent; look at it, and write it again";
            db.end(&due, &Problem::new(codes::EXPIRED, text), here_ms)
        })
    }

    /// In how many milliseconds [`Database::expire`] has something to do.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_expiry_in_ms(&self, now_ms: u64) -> Result<Option<u64>, DbError> {
        let now_ms = self.earliest_server_ms(now_ms);
        Ok(self.next_expiry()?.map(|at| at.saturating_sub(now_ms)))
    }

    fn next_expiry(&self) -> Result<Option<u64>, DbError> {
        if self.memory.meta.counts.pending == 0 {
            return Ok(None);
        }
        let sql = "SELECT min(expires_ms) FROM _landfall_outbox INDEXED BY _landfall_outbox_expiry
                   WHERE state < 2 AND handed = 0 AND expires_ms IS NOT NULL";
        let at: Option<i64> = self.conn.prepare_cached(sql)?.query_row([], |r| r.get(0))?;
        Ok(at.map(|at| at as u64))
    }

    /// Counts the outbox anew.
    pub(super) fn recount(&mut self) -> Result<(), DbError> {
        self.memory.meta.counts = bookkeeping::count(&self.conn)?;
        Ok(())
    }
}
