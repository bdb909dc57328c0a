//! What is sent next: by priority, then age, never before what it must follow, and never at somebody else's cost.
//!
//! An entry is at least as urgent as every entry that waits for it: where a more urgent one follows it, it takes over that
//! priority. So the order of sending, priority then age, is an order in which every entry comes after those that it
//! follows, and choosing needs no search. Every [`TURN`]th choice is the oldest entry instead: whatever is urgent, nothing
//! waits for ever. An entry on which the server failed is *parked* until its next attempt, with everything that follows
//! it; the rest goes on. All of it is looked up in indexes: a choice costs the same however long the queue is.

use std::collections::VecDeque;

use landfall_core::flat::FlatSet;
use landfall_core::hash::hash128;
use landfall_core::schema::Sending;
use landfall_core::{Problem, Transaction, mutant};
use landfall_protocol::Entry;
use rusqlite::{Connection, OptionalExtension, params};

use super::Database;
use super::bookkeeping::decode;
use super::error::{DbError, codes};
use super::outbox::Failure;
use crate::session::{Backoff, MAX_BACKOFF_MS};

/// One choice in so many is by age alone.
const TURN: u32 = 8;

const BY_PRIORITY: &str = "SELECT rseq, body FROM _landfall_outbox INDEXED BY _landfall_outbox_next
    WHERE state < 2 AND parked = 0 ORDER BY priority DESC, rseq";
const BY_AGE: &str = "SELECT rseq, body FROM _landfall_outbox INDEXED BY _landfall_outbox_age
    WHERE state < 2 AND parked = 0 ORDER BY rseq";

impl Database {
    /// Undecided entries to be sent now, in this order: each one's predecessors are decided, in flight, or before it in
    /// this very batch. At most `max_entries`, and `max_bytes` of their bodies (one entry always fits); and how many bytes
    /// those are. Entries whose next attempt is due by the device's clock `now_ms` take part again.
    ///
    /// # Errors
    /// When the database cannot be read, or written while something is due.
    pub fn sendable(
        &mut self,
        max_entries: usize,
        max_bytes: usize,
        in_flight: &FlatSet<u64>,
        now_ms: u64,
    ) -> Result<(Vec<Entry>, usize), DbError> {
        self.unpark_due(now_ms)?;
        let mut turn = self.turn;
        let batch = self.choose(max_entries, max_bytes, in_flight, &mut turn)?;
        self.turn = turn;
        Ok(batch)
    }

    fn choose(
        &self,
        max_entries: usize,
        max_bytes: usize,
        in_flight: &FlatSet<u64>,
        turn: &mut u32,
    ) -> Result<(Vec<Entry>, usize), DbError> {
        let (mut urgent, mut oldest) = (self.conn.prepare_cached(BY_PRIORITY)?, self.conn.prepare_cached(BY_AGE)?);
        let (mut urgent, mut oldest) = (urgent.query([])?, oldest.query([])?);
        let (mut batch, mut taken, mut bytes) = (Vec::new(), FlatSet::new(), 0);
        while batch.len() < max_entries {
            // A turn that nothing came of, since the batch is full, is the next batch's.
            let this = (*turn + 1) % TURN;
            let by_age = this == 0 && !mutant::active("age-ignored");
            let rows = if by_age { &mut oldest } else { &mut urgent };
            let Some((rseq, body)) = next(rows, |rseq| !in_flight.contains(&rseq) && !taken.contains(&rseq))? else {
                break;
            };
            if !batch.is_empty() && bytes + body.len() > max_bytes {
                break;
            }
            *turn = this;
            bytes += body.len();
            taken.insert(rseq);
            let mut transaction: Transaction = decode(&body)?;
            if mutant::active("entry-not-frozen") {
                transaction.stamp.counter += batch.len() as u32;
            }
            batch.push(Entry::from(transaction));
        }
        if mutant::active("order-ignored") {
            batch.reverse();
        }
        let names =
            |first: &Entry| batch[1..].iter().any(|e: &Entry| e.transaction.after.contains(&first.transaction.rseq));
        if mutant::active("later-first") && batch.len() > 1 && !batch.first().is_some_and(names) {
            batch.remove(0);
        }
        Ok((batch, bytes))
    }

    /// In how many milliseconds the next attempt of a parked entry is due; `None` when none is parked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_attempt_in_ms(&self, now_ms: u64) -> Result<Option<u64>, DbError> {
        let sql = "SELECT next_attempt_ms FROM _landfall_outbox INDEXED BY _landfall_outbox_due
                   WHERE state < 2 AND parked = 1 ORDER BY next_attempt_ms LIMIT 1";
        let due = self.conn.prepare_cached(sql)?.query_row([], |r| r.get::<_, i64>(0)).optional()?;
        Ok(due.map(|due| (due as u64).saturating_sub(now_ms).clamp(1, MAX_BACKOFF_MS)))
    }

    /// Lets parked entries whose time has come take part again. No wait is longer than [`MAX_BACKOFF_MS`]: one that is
    /// was noted by a clock that has been set back since, and is over.
    fn unpark_due(&mut self, now_ms: u64) -> Result<(), DbError> {
        if mutant::active("parked-for-ever") {
            return Ok(());
        }
        // By the index of what is parked, whatever SQLite thinks of it: by state it would go through the whole queue.
        let parked = "_landfall_outbox INDEXED BY _landfall_outbox_due";
        let due =
            |bound: &str| format!("SELECT 1 FROM {parked} WHERE state < 2 AND parked = 1 AND next_attempt_ms {bound}");
        let range = params![now_ms as i64, now_ms.saturating_add(MAX_BACKOFF_MS) as i64];
        let any = format!("{} UNION ALL {} LIMIT 1", due("<= ?1"), due("> ?2"));
        let any = self.conn.prepare_cached(&any)?.exists(range)?;
        if !any {
            return Ok(());
        }
        self.transact(|db| {
            let sql = format!(
                "UPDATE {parked} SET parked = 0
                 WHERE state < 2 AND parked = 1 AND (next_attempt_ms <= ?1 OR next_attempt_ms > ?2)"
            );
            db.conn.prepare_cached(&sql)?.execute(range)?;
            Ok(())
        })
    }

    /// Lets everything that waits for its next attempt take part again, whenever that was due: the person says that the
    /// trouble is over. How many entries that are. What was counted against an entry stays counted.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub fn try_now(&mut self) -> Result<usize, DbError> {
        if mutant::active("tried-in-vain") {
            return Ok(0);
        }
        self.transact(|db| {
            let sql =
                "UPDATE _landfall_outbox INDEXED BY _landfall_outbox_due SET parked = 0 WHERE state < 2 AND parked = 1";
            Ok(db.conn.prepare_cached(sql)?.execute([])?)
        })
    }

    /// Notes a failure of the server on an entry: it and everything that follows it wait for its next attempt.
    pub(super) fn park_failed(&mut self, rseq: u64, now_ms: u64) -> Result<(), DbError> {
        let sql = "UPDATE _landfall_outbox SET attempts = attempts + 1 WHERE rseq = ? RETURNING attempts";
        let attempts: u32 = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?;
        self.park(rseq, self.next_attempt(rseq, attempts, now_ms))
    }

    /// When the next attempt is due after so many.
    fn next_attempt(&self, rseq: u64, attempts: u32, now_ms: u64) -> u64 {
        // The jitter must differ between devices and between attempts, and nothing more: the identity is random enough.
        let mut seed = self.memory.meta.replica.0.to_vec();
        seed.extend(rseq.to_be_bytes());
        seed.extend(attempts.to_be_bytes());
        let seed = hash128(&seed);
        let mut draw = |bytes: &mut [u8]| bytes.copy_from_slice(&seed[..bytes.len()]);
        now_ms.saturating_add(Backoff::after(attempts).next_ms(&mut draw))
    }

    /// Connections break whenever this entry is sent. It and everything that follows it wait, and what is independent
    /// overtakes them. The server has not failed on it, as far as is known: no attempt is used up.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn park_breaking(&mut self, rseq: u64, now_ms: u64) -> Result<(), DbError> {
        if !self.is_sent(rseq)? {
            return Ok(());
        }
        self.transact(|db| {
            // What is hidden with a refused entry keeps the word of that.
            if db.is_shown(rseq)? || db.transaction(rseq)?.operations.is_empty() {
                let text = "the connection broke each time this was sent; something on the way may not take it: try \
                            another network, or withdraw it and write it in smaller parts";
                db.note_problem(rseq, &Failure::new(now_ms, Problem::new(codes::BREAKS, text)), false)?;
            }
            let (half_ms, jitter_ms) = (MAX_BACKOFF_MS / 2, db.next_attempt(rseq, u32::MAX, 0) / 2);
            db.park(rseq, now_ms.saturating_add(half_ms + jitter_ms))
        })
    }

    /// An entry, and everything that follows it, waits until it is due.
    pub(super) fn park(&mut self, rseq: u64, due: u64) -> Result<(), DbError> {
        let mut open = VecDeque::from([rseq]);
        while let Some(rseq) = open.pop_front() {
            let sql = "UPDATE _landfall_outbox SET parked = 1, next_attempt_ms = max(next_attempt_ms * parked, ?)
                       WHERE rseq = ? AND state < 2";
            self.conn.prepare_cached(sql)?.execute(params![due as i64, rseq as i64])?;
            open.extend(followers(&self.conn, rseq)?);
        }
        Ok(())
    }

    /// Takes note of what an undecided entry must follow: its predecessors become as urgent as it is, and when one of
    /// them is parked so is the entry.
    pub(super) fn link(&self, rseq: u64, after: &[u64]) -> Result<(), DbError> {
        link(&self.conn, rseq, after)
    }

    /// Whether an entry waits for its next attempt, or for that of one that it follows.
    pub(super) fn is_parked(&self, rseq: u64) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM _landfall_outbox WHERE rseq = ? AND parked = 1";
        Ok(self.conn.prepare_cached(sql)?.exists([rseq as i64])?)
    }

    /// It waits for nothing more.
    pub(super) fn unpark(&self, rseq: u64) -> Result<(), DbError> {
        let sql = "UPDATE _landfall_outbox SET parked = 0 WHERE rseq = ? AND state < 2";
        self.conn.prepare_cached(sql)?.execute([rseq as i64])?;
        Ok(())
    }

    /// What was parked with an entry that is decided now takes part again, unless it follows another one that is parked.
    fn unpark_followers(&self, rseq: u64) -> Result<(), DbError> {
        let mut open = vec![rseq];
        while let Some(rseq) = open.pop() {
            for later in self.followers(rseq)? {
                if !self.is_parked(later)? || self.follows_parked(later, rseq)? {
                    continue;
                }
                self.unpark(later)?;
                open.push(later);
            }
        }
        Ok(())
    }

    /// Whether an entry follows a parked one, other than `but`.
    fn follows_parked(&self, rseq: u64, but: u64) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM _landfall_outbox WHERE rseq = ? AND parked = 1 AND state < 2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let transaction = self.transaction(rseq)?;
        for before in transaction.after.iter().copied().chain(self.unnamed_predecessors(&transaction)?) {
            if before != but && statement.exists([before as i64])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Nobody waits for a decided entry.
    pub(super) fn unlink(&self, rseq: u64) -> Result<(), DbError> {
        if self.is_parked(rseq)? {
            // What follows it and something that follows it is looked at more than once: it must not be in the way then.
            self.unpark(rseq)?;
            self.unpark_followers(rseq)?;
        }
        let sql = "DELETE FROM _landfall_waits WHERE predecessor = ?";
        self.conn.prepare_cached(sql)?.execute([rseq as i64])?;
        Ok(())
    }

    /// The undecided entries that follow an entry directly, oldest first.
    pub(super) fn followers(&self, rseq: u64) -> Result<Vec<u64>, DbError> {
        followers(&self.conn, rseq)
    }

    /// Puts what is offered again to a restored server, and what was written on top of it, into the order in which it was
    /// written. Before everything that is written from now on, since that has seen it.
    pub(super) fn link_history(&self) -> Result<(), DbError> {
        self.link_anew()?;
        let sql = "UPDATE _landfall_outbox SET priority = ? WHERE state < 2";
        self.conn.prepare_cached(sql)?.execute([Sending::MAX_PRIORITY])?;
        Ok(())
    }

    /// Works out anew who waits for whom, after entries were renamed.
    pub(super) fn link_anew(&self) -> Result<(), DbError> {
        self.conn.prepare_cached("DELETE FROM _landfall_waits")?.execute([])?;
        link_all(&self.conn)
    }
}

/// The next row that is wanted.
fn next(
    rows: &mut rusqlite::Rows<'_>,
    wanted: impl Fn(u64) -> bool,
) -> Result<Option<(u64, Vec<u8>)>, rusqlite::Error> {
    while let Some(row) = rows.next()? {
        let rseq = row.get::<_, i64>(0)? as u64;
        if wanted(rseq) {
            return Ok(Some((rseq, row.get(1)?)));
        }
    }
    Ok(None)
}

fn followers(conn: &Connection, rseq: u64) -> Result<Vec<u64>, DbError> {
    let mut statement = conn.prepare_cached("SELECT rseq FROM _landfall_waits WHERE predecessor = ? ORDER BY rseq")?;
    let rows = statement.query_map([rseq as i64], |r| r.get::<_, i64>(0))?;
    Ok(rows.map(|r| r.map(|v| v as u64)).collect::<rusqlite::Result<_>>()?)
}

fn link(conn: &Connection, rseq: u64, after: &[u64]) -> Result<(), DbError> {
    let (mut priority, mut due) = (None, None);
    for predecessor in after {
        let sql = "SELECT priority, parked * next_attempt_ms FROM _landfall_outbox WHERE rseq = ? AND state < 2";
        let found =
            conn.prepare_cached(sql)?.query_row([*predecessor as i64], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        // One that is decided is no longer waited for.
        let Some((its, parked_until)): Option<(i64, i64)> = found else { continue };
        let sql = "INSERT INTO _landfall_waits (predecessor, rseq) VALUES (?, ?) ON CONFLICT DO NOTHING";
        conn.prepare_cached(sql)?.execute(params![*predecessor as i64, rseq as i64])?;
        due = due.max((parked_until > 0).then_some(parked_until));
        let own = match priority {
            Some(own) => own,
            None => {
                let sql = "SELECT priority FROM _landfall_outbox WHERE rseq = ?";
                *priority.insert(conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?)
            }
        };
        if its < own {
            raise(conn, *predecessor, own)?;
        }
    }
    if let Some(due) = due {
        let sql = "UPDATE _landfall_outbox SET parked = 1, next_attempt_ms = ? WHERE rseq = ?";
        conn.prepare_cached(sql)?.execute(params![due, rseq as i64])?;
    }
    Ok(())
}

/// An entry, and whatever it follows, becomes at least so urgent.
fn raise(conn: &Connection, rseq: u64, priority: i64) -> Result<(), DbError> {
    let mut open = vec![rseq];
    while let Some(rseq) = open.pop() {
        let sql =
            "UPDATE _landfall_outbox SET priority = ?1 WHERE rseq = ?2 AND state < 2 AND priority < ?1 RETURNING body";
        let mut statement = conn.prepare_cached(sql)?;
        let body: Option<Vec<u8>> = statement.query_row(params![priority, rseq as i64], |r| r.get(0)).optional()?;
        if let Some(body) = body {
            open.extend(decode::<Transaction>(&body)?.after);
        }
    }
    Ok(())
}

/// Links every undecided entry.
pub(super) fn link_all(conn: &Connection) -> Result<(), DbError> {
    let mut statement = conn.prepare_cached("SELECT rseq, body FROM _landfall_outbox WHERE state < 2 ORDER BY rseq")?;
    let mut rows = statement.query([])?;
    let mut links = Vec::new();
    while let Some(row) = rows.next()? {
        let transaction: Transaction = decode(&row.get::<_, Vec<u8>>(1)?)?;
        links.push((row.get::<_, i64>(0)? as u64, transaction.after));
    }
    links.into_iter().try_for_each(|(rseq, after)| link(conn, rseq, &after))
}
