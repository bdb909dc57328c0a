//! Decisions of the server: acknowledged entries wait to settle, refused ones become dead letters together with what
//! shares their fate.

use std::collections::BTreeSet;

use landfall_core::error::codes;
use landfall_core::flat::FlatSet;
use landfall_core::{Problem, Transaction, mutant};
use landfall_protocol::server::{Decision, Outcome};
use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::{ACKED, BucketState, DEAD, LEFTOVER, QUEUED, SENT, decode, encode, first_undecided};
use super::error::{DbError, codes as own};
use super::outbox::{Failure, MOST_FAILURES, StoredImages};
use super::overlay::{Batch, operations};
use crate::changes::ChangeSet;
use crate::session::MAX_BACKOFF_MS;

/// What decisions did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    /// What changed visibly.
    pub changes: ChangeSet,
    /// Entries that are refused now, with those that share the fate of one.
    pub refused: Vec<u64>,
    /// Entries that must be offered again, after their predecessors.
    pub deferred: Vec<u64>,
    /// Whether one of these waits for something that is not parked: for a decision that is not long in coming.
    pub is_soon: bool,
    /// The server knows another database under this replica id: call [`Database::new_replica`].
    pub copied: bool,
    /// When that was, by the device's clock. Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Decided {
    /// What is decided now.
    pub(super) fn at(now_ms: u64) -> Self {
        Self { at_ms: now_ms, ..Self::default() }
    }
}

/// Keeps accepted entries, as of `?3` by the server's clock.
const KEEP: &str = "INSERT INTO _landfall_acked (rseq, seq, at_ms, body, preview, before, stack)
    SELECT rseq, seq, ?3, body, preview, before, stack";
/// Keeps one, accepted under `?2`.
const KEEP_ONE: &str = "INSERT INTO _landfall_acked (rseq, seq, at_ms, body, preview, before, stack)
    SELECT rseq, ?2, ?3, body, preview, before, stack FROM _landfall_outbox WHERE rseq = ?1";
const KEPT: &str = "ON CONFLICT (rseq) DO UPDATE SET seq = excluded.seq, at_ms = excluded.at_ms";

/// How an entry stands when it is decided.
struct Standing {
    state: i64,
    is_parked: bool,
    /// Whether others wait for it.
    is_followed: bool,
    /// Whether it is in the overlay.
    is_shown: bool,
    /// Its bytes, as it travels.
    bytes: u64,
}

/// Whether both are accepted, one right after the other here and at the server, and settle at once.
fn follows_at_once(one: &Decision, next: &Decision, passed: Option<u64>) -> bool {
    let (Outcome::Accepted { seq }, Outcome::Accepted { seq: next_seq }) = (&one.outcome, &next.outcome) else {
        return false;
    };
    let is_next = |one: u64, next: u64| one.checked_add(1) == Some(next);
    is_next(one.rseq, next.rseq) && is_next(*seq, *next_seq) && passed.is_some_and(|passed| *next_seq <= passed)
}

impl Database {
    /// Applies decisions, in one transaction.
    ///
    /// # Errors
    /// When the database cannot be written; the decisions will come again.
    pub fn decide(&mut self, decisions: &[Decision], now_ms: u64) -> Result<Decided, DbError> {
        self.transact(|db| {
            let (mut decided, mut batch) = (Decided::at(now_ms), Batch::default());
            db.decide_all(decisions, &mut decided, &mut batch)?;
            db.flush(batch, &mut decided.changes)?;
            Ok(decided)
        })
    }

    /// Applies decisions, as part of a transaction, and settles what can be.
    pub(super) fn decide_all(
        &mut self,
        decisions: &[Decision],
        decided: &mut Decided,
        batch: &mut Batch,
    ) -> Result<(), DbError> {
        let (passed, now_ms) = (self.passed(), decided.at_ms);
        for run in decisions.chunk_by(|one, next| follows_at_once(one, next, passed)) {
            if run.len() == 1 || !self.settle_run(run, now_ms, batch)? {
                run.iter().try_for_each(|decision| self.decide_one(decision, passed, decided, batch))?;
            }
        }
        self.settle(batch, now_ms)?;
        if !decisions.is_empty() {
            self.memory.meta.first_undecided = first_undecided(&self.conn)?;
            self.forget_acked(now_ms)?;
            self.forget_releases()?;
        }
        Ok(())
    }

    /// `passed`: what every open bucket has passed.
    fn decide_one(
        &mut self,
        decision: &Decision,
        passed: Option<u64>,
        decided: &mut Decided,
        batch: &mut Batch,
    ) -> Result<(), DbError> {
        let now_ms = decided.at_ms;
        let rseq = decision.rseq;
        // A decision on what is decided already, or is not ours any more, says nothing new.
        let Some(standing) = self.standing(rseq)?.filter(|s| s.state < ACKED) else { return Ok(()) };
        let state = standing.state;
        match &decision.outcome {
            Outcome::Accepted { seq } => {
                if standing.is_parked || standing.is_followed {
                    self.unlink(rseq)?;
                }
                let settles = passed.is_some_and(|passed| *seq <= passed);
                if settles {
                    self.settle_now(rseq, &standing, *seq, now_ms, batch)?;
                } else {
                    // By the server's clock: it forgets by that.
                    let at_ms = now_ms.saturating_add_signed(self.memory.meta.offset_ms);
                    self.set_accepted(rseq, &standing, *seq, at_ms)?;
                    // What is confirmed may have what it adds already.
                    if standing.is_shown && self.entry_operations(rseq)?.has_changes {
                        batch.touch(self, rseq)?;
                    }
                }
                if settles || standing.is_shown { Ok(()) } else { self.show(rseq, batch) }
            }
            // The server has forgotten that it accepted it. This device has not.
            Outcome::Refused { problem, .. }
                if problem.code == codes::DECIDED_LONG_AGO && self.was_acknowledged(rseq)? =>
            {
                self.set_state(rseq, state, ACKED)?;
                self.unlink(rseq)?;
                self.show(rseq, batch)
            }
            Outcome::Failed { problem } => {
                self.note_problem(rseq, &Failure::new(now_ms, problem.clone()), true)?;
                // What it waited for before is over.
                self.unpark(rseq)?;
                self.park_failed(rseq, now_ms)
            }
            Outcome::Refused { problem, because_of } => {
                let failure = Failure { because_of: *because_of, ..Failure::new(now_ms, problem.clone()) };
                self.refuse(rseq, state, &failure, true, decided, batch)
            }
            Outcome::Deferred { missing } => {
                // It may not be known to follow it, since it does not name it.
                self.link(rseq, &[*missing])?;
                decided.deferred.push(rseq);
                decided.is_soon |= !self.is_parked(rseq)?;
                Ok(())
            }
            Outcome::Asked { again_ms } => {
                // What failed before is among its failures; what it waits for now is an answer. What is hidden with a refused
                // entry stays so until the server has the last word.
                if self.is_shown(rseq)? || self.transaction(rseq)?.operations.is_empty() {
                    let sql = "UPDATE _landfall_outbox SET problem = NULL WHERE rseq = ?";
                    self.conn.prepare_cached(sql)?.execute([rseq as i64])?;
                }
                self.park(rseq, now_ms.saturating_add((*again_ms).min(MAX_BACKOFF_MS)))
            }
            Outcome::Copied => {
                decided.copied = true;
                Ok(())
            }
        }
    }

    /// An entry that is larger than any message that the server takes becomes a dead letter: it could never arrive.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn end_too_large(&mut self, rseq: u64, now_ms: u64) -> Result<Decided, DbError> {
        let text = "it is larger than what this server takes at once; write it again in several transactions";
        self.transact(|db| db.end(&[rseq], &Problem::new(codes::BAD_TRANSACTION, text), now_ms))
    }

    /// Ends undecided entries without a word of the server's, as part of a transaction: dead letters, with what cannot be
    /// without them.
    pub(super) fn end(&mut self, rseqs: &[u64], problem: &Problem, now_ms: u64) -> Result<Decided, DbError> {
        let (mut decided, mut batch) = (Decided::at(now_ms), Batch::default());
        let failure = Failure::new(now_ms, problem.clone());
        for rseq in rseqs {
            // It may have gone with one that it required.
            if let Some(state @ (QUEUED | SENT)) = self.state_of(*rseq)? {
                self.refuse(*rseq, state, &failure, false, &mut decided, &mut batch)?;
            }
        }
        self.memory.meta.first_undecided = first_undecided(&self.conn)?;
        self.flush(batch, &mut decided.changes)?;
        Ok(decided)
    }

    /// Puts an entry into the overlay, if it is not there: one that was hidden with a refused predecessor, or one that
    /// is offered again.
    pub(super) fn show(&mut self, rseq: u64, batch: &mut Batch) -> Result<(), DbError> {
        if self.is_shown(rseq)? {
            return Ok(());
        }
        let sql = "SELECT body, preview FROM _landfall_outbox WHERE rseq = ?";
        let (body, preview): (Vec<u8>, Option<Vec<u8>>) =
            self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let entry = operations(&body, preview.as_deref())?;
        for (table, key) in entry.rows() {
            let id = self.tables.get(table)?.id;
            batch.row(self, id, key)?;
            batch.shows(id, key);
            self.touch_row(id, &key.to_bytes(), rseq, entry.inserts(table, key))?;
        }
        Ok(())
    }

    /// How an entry stands, in one look: most decisions change nothing of all that.
    fn standing(&self, rseq: u64) -> Result<Option<Standing>, DbError> {
        let sql = "SELECT state, parked, EXISTS (SELECT 1 FROM _landfall_waits WHERE predecessor = ?1),
                          EXISTS (SELECT 1 FROM _landfall_touched WHERE rseq = ?1), length(body)
                   FROM _landfall_outbox WHERE rseq = ?1";
        let found = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| {
            let bytes = r.get::<_, i64>(4)? as u64;
            Ok(Standing { state: r.get(0)?, is_parked: r.get(1)?, is_followed: r.get(2)?, is_shown: r.get(3)?, bytes })
        });
        Ok(found.optional()?)
    }

    /// Whether an entry that changes rows is in the overlay.
    pub(super) fn is_shown(&self, rseq: u64) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM _landfall_touched WHERE rseq = ?";
        Ok(self.conn.prepare_cached(sql)?.exists([rseq as i64])?)
    }

    /// Takes an entry out of the overlay.
    pub(super) fn hide(&mut self, rseq: u64, batch: &mut Batch) -> Result<(), DbError> {
        batch.touch(self, rseq)?;
        self.conn.prepare_cached("DELETE FROM _landfall_touched WHERE rseq = ?")?.execute([rseq as i64])?;
        Ok(())
    }

    /// An entry is refused, with what shares its fate. `is_known`: the server says so.
    fn refuse(
        &mut self,
        rseq: u64,
        state: i64,
        failure: &Failure,
        is_known: bool,
        decided: &mut Decided,
        batch: &mut Batch,
    ) -> Result<(), DbError> {
        self.bury(rseq, state, failure, batch)?;
        decided.refused.push(rseq);
        let mut gone = FlatSet::from([rseq]);
        // What follows an entry is younger than it: taken in order of age, each is looked at when the fate of all that it
        // follows is known.
        let mut open: BTreeSet<u64> = self.followers(rseq)?.into_iter().collect();
        self.unlink(rseq)?;
        while let Some(later) = open.pop_first() {
            // It may have died of another one before, and be a dead letter, or thrown away since.
            let Some(state @ (QUEUED | SENT)) = self.state_of(later)? else { continue };
            let mut transaction = self.transaction(later)?;
            if let Some(cause) = transaction.requires.iter().find(|r| gone.contains(r)).copied() {
                let (code, what) = match &failure.problem.code {
                    code if *code == own::WITHDRAWN => (own::WITHDRAWN, "withdrawn"),
                    code if *code == codes::EXPIRED => (codes::DEPENDS_ON_REFUSED, "not sent in time"),
                    _ => (codes::DEPENDS_ON_REFUSED, "refused"),
                };
                let shared = Problem::new(code, format!("it depends on {cause}, which was {what}"));
                let shared = Failure { because_of: Some(cause), ..Failure::new(decided.at_ms, shared) };
                // What the server has never heard of it cannot have refused, and would not miss: then what was handed over
                // and requires it, which it has kept waiting for that, ends here too.
                let ends = state == QUEUED || !is_known;
                match ends {
                    true => self.bury(later, state, &shared, batch)?,
                    // It leaves the overlay: the server may know it, and has the last word.
                    false => self.hide_with(later, &shared, false, batch)?,
                }
                gone.insert(later);
                open.extend(self.followers(later)?);
                if ends {
                    self.unlink(later)?;
                }
                if !decided.refused.contains(&later) {
                    decided.refused.push(later);
                }
            } else if state == QUEUED && transaction.after.iter().any(|r| gone.contains(r)) {
                self.bypass(&mut transaction, &gone)?;
            }
        }
        Ok(())
    }

    /// The entry becomes a dead letter, with the rows as they are seen now.
    pub(super) fn bury(&mut self, rseq: u64, state: i64, failure: &Failure, batch: &mut Batch) -> Result<(), DbError> {
        self.hide_with(rseq, failure, true, batch)?;
        self.set_state(rseq, state, DEAD)
    }

    /// Takes an entry out of the overlay, with a note of why and of the rows as they are seen now.
    fn hide_with(&mut self, rseq: u64, failure: &Failure, counts: bool, batch: &mut Batch) -> Result<(), DbError> {
        let images = self.seen_rows(rseq)?;
        self.hide(rseq, batch)?;
        self.keep_images(rseq, images.unwrap_or_default())?;
        self.note_problem(rseq, failure, counts)
    }

    /// Takes note of what is wrong with an entry. Where it `counts` as a failure, it is the last of its failures, of which
    /// [`MOST_FAILURES`] are kept.
    pub(super) fn note_problem(&self, rseq: u64, failure: &Failure, counts: bool) -> Result<(), DbError> {
        let sql = "SELECT failures FROM _landfall_outbox WHERE rseq = ?";
        let mut stored: Option<Vec<u8>> = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?;
        if counts {
            let mut failures: Vec<Failure> = stored.as_deref().map(decode).transpose()?.unwrap_or_default();
            failures.push(failure.clone());
            let beyond = failures.len().saturating_sub(MOST_FAILURES);
            failures.drain(..beyond);
            stored = Some(encode(&failures));
        }
        let sql = "UPDATE _landfall_outbox SET problem = ?, failures = ? WHERE rseq = ?";
        let row = params![encode(&failure.problem), stored, rseq as i64];
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Keeps rows as they are seen now with an entry that writes them. Of each row what was seen last stays: it may vanish
    /// before the entry is decided, as when the delete that an update had not seen arrives first.
    pub(super) fn keep_images(&self, rseq: u64, seen: StoredImages) -> Result<(), DbError> {
        if seen.is_empty() || mutant::active("image-forgotten") {
            return Ok(());
        }
        let mut images = self.kept_images(rseq)?;
        images.retain(|(table, key, _)| !seen.iter().any(|(t, k, _)| (t, k) == (table, key)));
        images.extend(seen);
        let sql = "UPDATE _landfall_outbox SET images = ? WHERE rseq = ?";
        self.conn.prepare_cached(sql)?.execute(params![encode(&images), rseq as i64])?;
        Ok(())
    }

    /// The rows that were kept with an entry.
    pub(super) fn kept_images(&self, rseq: u64) -> Result<StoredImages, DbError> {
        let sql = "SELECT images FROM _landfall_outbox WHERE rseq = ?";
        let stored: Option<Vec<u8>> = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?;
        Ok(stored.as_deref().map(decode).transpose()?.unwrap_or_default())
    }

    /// The rows of an entry as the app sees them; `None` when it is not in the overlay any more.
    fn seen_rows(&self, rseq: u64) -> Result<Option<StoredImages>, DbError> {
        let mut statement = self.conn.prepare_cached("SELECT tbl, key FROM _landfall_touched WHERE rseq = ?")?;
        let mut rows = statement.query([rseq as i64])?;
        let (mut images, mut any) = (StoredImages::new(), false);
        while let Some(row) = rows.next()? {
            any = true;
            let app = self.tables.by_id(row.get(0)?)?;
            let key = super::overlay::parse_key(&row.get::<_, Vec<u8>>(1)?)?;
            if let Some(cells) = app.read(&self.conn, &key)? {
                images.push((app.name().to_owned(), key, cells));
            }
        }
        Ok(any.then_some(images))
    }

    /// Rewrites an entry that was never sent, so that it follows what the entries that died with it followed: the
    /// server will never hear of those. A copy of this database has it as it was, and so has the mirror of the outbox until
    /// it is told.
    fn bypass(&mut self, transaction: &mut Transaction, gone: &FlatSet<u64>) -> Result<(), DbError> {
        transaction.keep_origin();
        let mut after = FlatSet::new();
        let mut queue: Vec<u64> = std::mem::take(&mut transaction.after);
        while let Some(rseq) = queue.pop() {
            if gone.contains(&rseq) {
                queue.extend(self.transaction(rseq)?.after);
            } else if matches!(self.state_of(rseq)?, Some(QUEUED | SENT)) {
                after.insert(rseq);
            }
        }
        transaction.after = after.into_iter().collect();
        let sql = "UPDATE _landfall_outbox SET body = ? WHERE rseq = ? AND state = ?";
        let body = transaction.to_bytes();
        let before = self.entry_body(transaction.rseq)?.map_or(0, |body| body.len());
        self.conn.prepare_cached(sql)?.execute(params![body, transaction.rseq as i64, QUEUED])?;
        self.memory.untold.push(transaction.rseq);
        let counts = &mut self.memory.meta.counts;
        for bytes in [&mut counts.bytes, &mut counts.undecided_bytes] {
            *bytes = (*bytes + body.len() as u64).saturating_sub(before as u64);
        }
        self.link(transaction.rseq, &transaction.after)
    }

    pub(super) fn transaction(&self, rseq: u64) -> Result<Transaction, DbError> {
        let sql = "SELECT body FROM _landfall_outbox WHERE rseq = ?";
        let body: Vec<u8> = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?;
        decode(&body)
    }

    /// Up to which sequence every open bucket has passed; `None` while nothing may settle: no shape is open, one has not
    /// been answered yet, or a bucket is still loading (rows that it has yet to bring must not vanish in between).
    fn passed(&self) -> Option<u64> {
        let memory = &self.memory;
        if mutant::active("settle-when-acknowledged") {
            return Some(u64::MAX >> 1);
        }
        if memory.shapes.is_empty() || memory.shapes.values().any(|s| !s.opened) {
            return None;
        }
        let cut = memory.meta.cut;
        let open = memory.buckets.iter().filter(|(id, b)| **id != LEFTOVER && b.state != BucketState::Stale);
        let position = |b: &super::bookkeeping::Bucket| (b.state != BucketState::Loading).then(|| b.position(cut));
        open.map(|(_, b)| position(b)).try_fold(cut, |low, position| position.map(|p| low.min(p)))
    }

    /// Acknowledged entries that every open bucket has passed leave the overlay, and are kept for a restored server.
    pub(super) fn settle(&mut self, batch: &mut Batch, now_ms: u64) -> Result<(), DbError> {
        if self.memory.meta.counts.acked == 0 {
            return Ok(());
        }
        let Some(passed) = self.passed() else { return Ok(()) };
        let due = "FROM _landfall_outbox WHERE state = ?1 AND seq <= ?2";
        let of = params![ACKED, passed as i64];
        let mut statement = self.conn.prepare_cached(&format!("SELECT rseq, length(body) {due} ORDER BY rseq"))?;
        let entry = |r: &rusqlite::Row<'_>| Ok((r.get::<_, i64>(0)? as u64, r.get::<_, i64>(1)? as u64));
        let entries = statement.query_map(of, entry)?.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        if entries.is_empty() {
            return Ok(());
        }
        for (rseq, _) in &entries {
            batch.touch(self, *rseq)?;
        }
        let hide = format!("DELETE FROM _landfall_touched WHERE rseq IN (SELECT rseq {due})");
        self.conn.prepare_cached(&hide)?.execute(of)?;
        let at_ms = self.server_ms(now_ms) as i64;
        self.conn.prepare_cached(&format!("{KEEP} {due} {KEPT}"))?.execute(params![ACKED, passed as i64, at_ms])?;
        self.conn.prepare_cached(&format!("DELETE {due}"))?.execute(of)?;
        for (_, bytes) in entries {
            self.memory.meta.counts.moved(ACKED, None, bytes);
        }
        self.forget_acked(now_ms)
    }

    /// Forgets what was acknowledged long ago. It looks through all that is kept, so not with each write.
    fn forget_acked(&mut self, now_ms: u64) -> Result<(), DbError> {
        let retention_ms = self.options.acked_retention_ms;
        if self.memory.forgot_ms.is_some_and(|at_ms| at_ms.abs_diff(now_ms) < retention_ms / 64) {
            return Ok(());
        }
        // A clock that is ahead, or was, makes nothing old.
        let horizon = self.earliest_server_ms(now_ms).saturating_sub(retention_ms);
        let sql = "DELETE FROM _landfall_acked WHERE at_ms < ? RETURNING rseq";
        let mut statement = self.conn.prepare_cached(sql)?;
        let forgotten = statement.query_map([horizon as i64], |r| r.get::<_, i64>(0))?;
        for rseq in forgotten {
            self.memory.known_from = self.memory.known_from.max(rseq? as u64);
        }
        drop(statement);
        self.memory.forgot_ms = Some(now_ms);
        self.forget_successions()
    }

    /// An entry is accepted, and every open bucket has passed it already: it leaves the overlay and the outbox at once.
    fn settle_now(
        &mut self,
        rseq: u64,
        standing: &Standing,
        seq: u64,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), DbError> {
        if standing.is_shown {
            self.hide(rseq, batch)?;
        }
        let row = params![rseq as i64, seq as i64, self.server_ms(now_ms) as i64];
        self.conn.prepare_cached(&format!("{KEEP_ONE} {KEPT}"))?.execute(row)?;
        self.conn.prepare_cached("DELETE FROM _landfall_outbox WHERE rseq = ?")?.execute([rseq as i64])?;
        self.memory.meta.counts.moved(standing.state, None, standing.bytes);
        Ok(())
    }

    /// A run of entries that [`follows_at_once`]: as [`Database::settle_now`] for each, where nothing is special about any.
    /// False: something is, and nothing was done.
    fn settle_run(&mut self, run: &[Decision], now_ms: u64, batch: &mut Batch) -> Result<bool, DbError> {
        let seq_of = |decision: &Decision| match decision.outcome {
            Outcome::Accepted { seq } => Some(seq),
            _ => None,
        };
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(false) };
        let Some(seq) = seq_of(first) else { return Ok(false) };
        let range = params![first.rseq as i64, last.rseq as i64];
        let sql = "SELECT count(*), coalesce(sum(length(body)), 0), min(state = 1 AND parked = 0) FROM _landfall_outbox
                   WHERE rseq BETWEEN ? AND ?";
        let (count, bytes, are_plain): (i64, i64, Option<bool>) =
            self.conn.prepare_cached(sql)?.query_row(range, |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        if count as usize != run.len() || are_plain != Some(true) {
            return Ok(false);
        }
        batch.touch_all(self, first.rseq, last.rseq)?;
        for table in ["_landfall_touched WHERE rseq", "_landfall_waits WHERE predecessor"] {
            self.conn.prepare_cached(&format!("DELETE FROM {table} BETWEEN ? AND ?"))?.execute(range)?;
        }
        let sql = format!(
            "INSERT INTO _landfall_acked (rseq, seq, at_ms, body, preview, before, stack)
             SELECT rseq, rseq - ?1 + ?3, ?4, body, preview, before, stack FROM _landfall_outbox
             WHERE rseq BETWEEN ?1 AND ?2 {KEPT}"
        );
        let at_ms = self.server_ms(now_ms) as i64;
        let row = params![first.rseq as i64, last.rseq as i64, seq as i64, at_ms];
        self.conn.prepare_cached(&sql)?.execute(row)?;
        self.conn.prepare_cached("DELETE FROM _landfall_outbox WHERE rseq BETWEEN ? AND ?")?.execute(range)?;
        self.memory.meta.counts.left(SENT, run.len() as u64, bytes as u64);
        Ok(true)
    }

    /// The server has accepted an entry, under this sequence.
    fn set_accepted(&mut self, rseq: u64, standing: &Standing, seq: u64, at_ms: u64) -> Result<(), DbError> {
        // Nothing in it can fail half-way: without a journal of its own it is half as long.
        let sql = "UPDATE OR FAIL _landfall_outbox SET state = ?, seq = ?, problem = NULL, acked_ms = ? WHERE rseq = ?";
        self.conn.prepare_cached(sql)?.execute(params![ACKED, seq as i64, at_ms as i64, rseq as i64])?;
        self.memory.meta.counts.moved(standing.state, Some(ACKED), standing.bytes);
        Ok(())
    }

    /// One acknowledged entry leaves the overlay and the outbox.
    pub(super) fn retire(&mut self, rseq: u64, batch: &mut Batch, now_ms: u64) -> Result<(), DbError> {
        self.hide(rseq, batch)?;
        let sql = format!("{KEEP} FROM _landfall_outbox WHERE rseq = ?1 AND state = ?2 {KEPT}");
        self.conn.prepare_cached(&sql)?.execute(params![rseq as i64, ACKED, self.server_ms(now_ms) as i64])?;
        self.drop_entry(rseq, ACKED)
    }
}
