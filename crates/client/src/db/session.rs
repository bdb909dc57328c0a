//! Greeting a server: what its history means for what is held here, and what to do when this database is a copy.

use std::sync::Arc;

use landfall_core::error::codes;
use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::{BucketId, Problem, ReplicaId, Transaction};
use landfall_protocol::server::{Resumption, Welcome};
use rusqlite::params;

use super::Database;
use super::bookkeeping::{ACKED, Bucket, BucketState, DEAD, LEFTOVER, QUEUED, SENT, SETTLED, decode, first_undecided};
use super::buckets::OF_OTHER_HISTORY;
use super::error::{DbError, codes as own};
use super::export::BEFORE_REPLAY;
use super::outbox::Failure;
use super::overlay::Batch;
use crate::changes::ChangeSet;

/// More is not copied when it is loaded anew: the copy is made in memory. Bytes of what is not decided.
const MOST_COPIED_BYTES: u64 = 32 << 20;

impl Database {
    /// Whether nothing is to be sent until the person says so.
    pub fn is_paused(&self) -> bool {
        self.memory.meta.paused
    }

    /// Remembers whether anything is to be sent. Durable on return.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_paused(&mut self, paused: bool) -> Result<(), DbError> {
        if self.memory.meta.paused == paused {
            return Ok(());
        }
        self.transact(|db| {
            db.memory.meta.paused = paused;
            Ok(())
        })
    }

    /// Takes note of the server's history and clock.
    ///
    /// When the log no longer reaches back to the cursor, or the history is another one, every bucket is to be loaded
    /// anew: what is held stays visible until then. In another history, acknowledged transactions are offered again
    /// under their own number and bytes.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn welcome(&mut self, welcome: &Welcome, now_ms: u64) -> Result<ChangeSet, DbError> {
        let offset = i64::try_from(i128::from(welcome.clock_ms) - i128::from(now_ms)).unwrap_or(0);
        let meta = &self.memory.meta;
        let goes_on = meta.epoch == Some(welcome.epoch) && welcome.resumption == Resumption::Continue;
        let is_anew = !goes_on && meta.epoch.is_some();
        let is_copyable = (1..MOST_COPIED_BYTES).contains(&meta.counts.undecided_bytes);
        // By itself: where there is no room for a copy what is here is still kept, and sent.
        let absence = self.long_absence(welcome.clock_ms);
        let is_copied = match (is_copyable, absence) {
            (true, Some(_)) => {
                // A welcome that could not be stored comes again, with nothing new to be copied.
                self.holds_replay_copy() || self.transact(|db| db.back_up(BEFORE_REPLAY, now_ms)).is_ok()
            }
            (true, None) if is_anew => {
                let last = self.last_rseq();
                self.transact(|db| db.back_up_before(&[last], "before what is here was loaded anew", now_ms)).is_ok()
            }
            _ => false,
        };
        self.apply(now_ms, |db, changes| {
            (db.memory.meta.offset_ms, db.memory.meta.doubt_ms) = (offset, 0);
            db.memory.meta.subject.get_or_insert_with(|| welcome.subject.clone());
            db.come_back(welcome.clock_ms, absence, is_copied);
            let same_history = db.memory.meta.epoch == Some(welcome.epoch);
            let same_history = same_history || landfall_core::mutant::active("epoch-not-noticed");
            let goes_on = same_history && welcome.resumption == Resumption::Continue;
            if !goes_on {
                if same_history {
                    // A log that does not reach back to the cursor cannot show that the server was not restored either.
                    db.offer_what_the_cut_has_not_passed(Some(welcome.clock_ms))?;
                }
                db.begin_anew(same_history, now_ms, changes)?;
                let meta = &mut db.memory.meta;
                meta.epoch = Some(welcome.epoch);
                (meta.cut, meta.chain) = (welcome.start, welcome.chain);
            } else {
                db.offer_what_the_cut_has_not_passed(None)?;
                db.detach_buckets()?;
                db.begin_again_what_is_ahead()?;
            }
            Ok(())
        })
    }

    /// A bucket is part of a session's stream only once the server says so: until then it stays where it is, whatever
    /// the session brings of others. One whose Open is not answered would miss what is passed meanwhile.
    fn detach_buckets(&mut self) -> Result<(), DbError> {
        let live = self.memory.buckets.iter().filter(|(id, b)| **id != LEFTOVER && b.state == BucketState::Live);
        for (id, mut bucket) in live.map(|(id, b)| (*id, b.clone())).collect::<Vec<_>>() {
            bucket.at = bucket.position(self.memory.meta.cut);
            if bucket.is_complete(bucket.at) {
                bucket.need = 0;
            }
            bucket.state = BucketState::CatchingUp;
            self.save_bucket(id, bucket)?;
        }
        Ok(())
    }

    /// A load that begins beyond the cut has brought nothing yet. The server may have gone back to before it, where its
    /// position is another one, or none.
    fn begin_again_what_is_ahead(&mut self) -> Result<(), DbError> {
        let cut = self.memory.meta.cut;
        let ahead = |b: &Bucket| b.state == BucketState::Loading && b.at > cut;
        let ahead = self.memory.buckets.iter().filter(|(_, b)| ahead(b));
        for (id, mut bucket) in ahead.map(|(id, b)| (*id, b.clone())).collect::<Vec<_>>() {
            bucket.todo.clear();
            self.save_bucket(id, bucket)?;
        }
        Ok(())
    }

    /// What was a copy already, since its bucket was being loaded anew, is of the other history too: neither its position
    /// nor the number of the bucket that it is of means anything in this one.
    fn disown_copies(&mut self) -> Result<(), DbError> {
        let copies = self.memory.buckets.iter().filter(|(id, b)| **id != LEFTOVER && b.stale_of.is_some());
        for (id, mut copy) in copies.map(|(id, copy)| (*id, copy.clone())).collect::<Vec<_>>() {
            (copy.at, copy.stale_of) = (0, Some(OF_OTHER_HISTORY));
            self.save_bucket(id, copy)?;
        }
        Ok(())
    }

    fn begin_anew(&mut self, same_history: bool, now_ms: u64, changes: &mut ChangeSet) -> Result<(), DbError> {
        if !same_history {
            self.disown_copies()?;
        }
        let held = self.memory.buckets.iter().filter(|(id, b)| b.stale_of.is_none() && **id != LEFTOVER);
        let held: Vec<BucketId> = held.map(|(id, _)| *id).collect();
        let mut copies: FlatMap<BucketId, BucketId> = FlatMap::new();
        for id in held {
            if let Some(copy) = self.set_stale(id, !same_history)? {
                let sql = "UPDATE _landfall_uses SET bucket = ? WHERE bucket = ?";
                self.conn.prepare_cached(sql)?.execute([copy.0 as i64, id.0 as i64])?;
                copies.insert(id, copy);
            }
            self.conn.prepare_cached("DELETE FROM _landfall_buckets WHERE bucket = ?")?.execute([id.0 as i64])?;
            Arc::make_mut(&mut self.memory.buckets).remove(&id);
        }
        self.conn.prepare_cached("UPDATE _landfall_subscriptions SET opened = 0")?.execute([])?;
        for shape in Arc::make_mut(&mut self.memory.shapes).values_mut() {
            shape.opened = false;
            shape.copies.extend(shape.buckets.iter().filter_map(|id| copies.get(id).copied()));
            shape.buckets = FlatSet::new();
        }
        let first = self.memory.meta.epoch.is_none();
        if !same_history && !first {
            self.memory.meta.prior = self.memory.meta.last_rseq;
            self.memory.meta.offered_again = self.memory.meta.last_rseq;
            self.offer_again(now_ms, changes)?;
        }
        Ok(())
    }

    /// A cursor shows that the server still knows everything up to the cut. What was acknowledged beyond it could be lost
    /// without a trace if the server was restored: it is offered again, and a server that knows it gives the same answer.
    ///
    /// Beyond the log it may have forgotten the decision, but for those of the last days by its clock, `server_ms`.
    fn offer_what_the_cut_has_not_passed(&mut self, server_ms: Option<u64>) -> Result<(), DbError> {
        for rseq in self.acknowledged()? {
            let own = self.transaction(rseq)?.replica == self.memory.meta.replica;
            if own && server_ms.map_or(Ok(true), |now_ms| self.is_remembered(rseq, now_ms))? {
                // It keeps its sequence: should this database turn out to be a copy, it counts as acknowledged again.
                self.set_state(rseq, ACKED, SENT)?;
                self.memory.meta.offered_again = self.memory.meta.last_rseq;
            }
        }
        self.memory.meta.first_undecided = first_undecided(&self.conn)?;
        Ok(())
    }

    /// Whether the server has accepted it, in the history that it has now.
    pub(super) fn was_acknowledged(&self, rseq: u64) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM _landfall_outbox WHERE rseq = ? AND seq IS NOT NULL";
        Ok(self.conn.prepare_cached(sql)?.exists([rseq as i64])?)
    }

    /// Acknowledged transactions become undecided again, with the bytes that they were sent with: the server that knows
    /// them gives the same answer, the one that lost them commits them.
    fn offer_again(&mut self, now_ms: u64, changes: &mut ChangeSet) -> Result<(), DbError> {
        let mut batch = Batch::default();
        let replica = self.memory.meta.replica;
        // What copies of that history have of it is known by this from now on.
        let sql = "UPDATE _landfall_outbox SET handed = ? WHERE state IN (1, 2) AND seq <= ?";
        self.conn.prepare_cached(sql)?.execute(params![SETTLED, self.memory.meta.cut as i64])?;
        // What is offered again already has its sequence from the history that is lost.
        let sql = "UPDATE _landfall_outbox SET seq = NULL WHERE state = ?";
        self.conn.prepare_cached(sql)?.execute([SENT])?;
        for rseq in self.acknowledged()? {
            if self.transaction(rseq)?.replica == replica {
                self.conn
                    .prepare_cached("UPDATE _landfall_outbox SET seq = NULL WHERE rseq = ?")?
                    .execute([rseq as i64])?;
                self.set_state(rseq, ACKED, SENT)?;
            } else {
                // Written under an id that this database gave up: nobody will decide it again.
                self.retire(rseq, &mut batch, now_ms)?;
            }
        }
        let mut statement = self.conn.prepare("SELECT rseq, body FROM _landfall_acked ORDER BY rseq")?;
        let kept = statement.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?)))?;
        let kept = kept.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for (rseq, body) in kept {
            let transaction: Transaction = decode(&body)?;
            if transaction.replica != replica {
                continue;
            }
            let sql = "INSERT INTO _landfall_outbox (rseq, state, created_ms, body, preview, before, stack, handed)
                       SELECT rseq, ?1, max(at_ms - ?3, 0), body, preview, before, stack, ?4
                       FROM _landfall_acked WHERE rseq = ?2";
            self.conn.prepare_cached(sql)?.execute(params![SENT, rseq, self.memory.meta.offset_ms, SETTLED])?;
            self.memory.meta.counts.added(SENT, body.len());
            self.show(rseq as u64, &mut batch)?;
        }
        self.conn.prepare_cached("DELETE FROM _landfall_acked")?.execute([])?;
        self.memory.meta.first_undecided = first_undecided(&self.conn)?;
        self.flush(batch, changes)?;
        self.link_history()
    }

    /// Whether the server still knows how it decided an acknowledged entry.
    fn is_remembered(&self, rseq: u64, server_ms: u64) -> Result<bool, DbError> {
        let sql = "SELECT coalesce(acked_ms, 0) FROM _landfall_outbox WHERE rseq = ?";
        let at_ms: i64 = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?;
        // Its clock may have been set back a little meanwhile.
        Ok(server_ms.abs_diff(at_ms as u64) < self.options.acked_retention_ms)
    }

    fn acknowledged(&self) -> Result<Vec<u64>, DbError> {
        let mut statement =
            self.conn.prepare_cached("SELECT rseq FROM _landfall_outbox WHERE state = ? ORDER BY rseq")?;
        let rows = statement.query_map([ACKED], |r| r.get::<_, i64>(0))?;
        Ok(rows.map(|r| r.map(|v| v as u64)).collect::<rusqlite::Result<_>>()?)
    }

    /// This database is a copy: it takes a new replica id. All that it holds is numbered anew under that id, in the order
    /// in which it was written, and names what it was first: what is undecided is queued again; what was acknowledged is
    /// offered again should the server lose it. Numbers go on from where they are, so that they stay unique on this device.
    /// Dead letters keep theirs.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn new_replica(&mut self, replica: ReplicaId) -> Result<ChangeSet, DbError> {
        let now_ms = self.shared.lock().now_ms;
        self.apply(now_ms, |db, changes| {
            db.end_what_shares_a_fate(now_ms, changes)?;
            db.rename_dead_letters(replica)?;
            let mut renamed: FlatMap<u64, u64> = FlatMap::new();
            let mut next = db.memory.meta.last_rseq;
            for (old, kept) in db.held_transactions()? {
                let mut transaction = if kept { db.kept_transaction(old)? } else { db.transaction(old)? };
                // Other copies may hold it too: whoever brings it first, it is decided once.
                transaction.keep_origin();
                next += 1;
                let rename = |list: &[u64]| list.iter().filter_map(|r| renamed.get(r).copied()).collect();
                (transaction.after, transaction.requires) = (rename(&transaction.after), rename(&transaction.requires));
                transaction.go_on_as(replica, next);
                renamed.insert(old, next);
                db.succeed(old, next)?;
                let row = params![next as i64, transaction.to_bytes(), old as i64];
                if kept {
                    let sql = "UPDATE _landfall_acked SET rseq = ?, body = ? WHERE rseq = ?";
                    db.conn.prepare_cached(sql)?.execute(row)?;
                    continue;
                }
                let from = db.state_of(old)?.unwrap_or(QUEUED);
                let to = if db.was_acknowledged(old)? { ACKED } else { QUEUED };
                db.set_state(old, from, to)?;
                db.conn
                    .prepare_cached("UPDATE _landfall_outbox SET rseq = ?, body = ? WHERE rseq = ?")?
                    .execute(row)?;
                let sql = "UPDATE _landfall_touched SET rseq = ? WHERE rseq = ?";
                db.conn.prepare_cached(sql)?.execute(params![next as i64, old as i64])?;
            }
            db.recount()?;
            let meta = &mut db.memory.meta;
            // What has a new number rests on what it rested on before.
            meta.prior = renamed.iter().filter(|(old, _)| **old <= meta.prior).map(|(_, new)| *new).max().unwrap_or(0);
            if meta.offered_again > 0 {
                meta.offered_again = next;
            }
            (meta.replica, meta.last_rseq) = (replica, next);
            meta.first_undecided = first_undecided(&db.conn)?;
            // What a restored server is offered again does not name all that it follows.
            if meta.prior > 0 { db.link_history() } else { db.link_anew() }
        })
    }

    /// What was sent and requires a refused entry waits for the server's last word. Under the new id nothing says what it
    /// required: it ends here, as it does wherever what it required is known.
    fn end_what_shares_a_fate(&mut self, now_ms: u64, changes: &mut ChangeSet) -> Result<(), DbError> {
        let sql = "SELECT rseq, problem FROM _landfall_outbox WHERE state = ? AND problem IS NOT NULL ORDER BY rseq";
        let mut statement = self.conn.prepare_cached(sql)?;
        let troubled = statement.query_map([SENT], |r| Ok((r.get::<_, i64>(0)? as u64, r.get::<_, Vec<u8>>(1)?)))?;
        let troubled = troubled.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        let mut batch = Batch::default();
        for (rseq, problem) in troubled {
            let problem: Problem = decode(&problem)?;
            if [codes::DEPENDS_ON_REFUSED, own::WITHDRAWN].contains(&problem.code) {
                let failure = Failure { because_of: self.dead_cause(rseq)?, ..Failure::new(now_ms, problem) };
                self.bury(rseq, SENT, &failure, &mut batch)?;
                self.unlink(rseq)?;
            }
        }
        self.flush(batch, changes)
    }

    /// The dead letter that an entry requires.
    fn dead_cause(&self, rseq: u64) -> Result<Option<u64>, DbError> {
        for required in self.transaction(rseq)?.requires {
            if self.state_of(required)? == Some(DEAD) {
                return Ok(Some(required));
            }
        }
        Ok(None)
    }

    /// Dead letters go to the new id under the numbers that a person may be looking at. The mirror of the outbox is of one
    /// id, and would lose what is of another.
    fn rename_dead_letters(&mut self, replica: ReplicaId) -> Result<(), DbError> {
        let mut statement = self.conn.prepare("SELECT rseq FROM _landfall_outbox WHERE state = ? ORDER BY rseq")?;
        let dead = statement.query_map([DEAD], |r| Ok(r.get::<_, i64>(0)? as u64))?;
        let dead = dead.collect::<rusqlite::Result<FlatSet<u64>>>()?;
        drop(statement);
        for rseq in dead.iter() {
            let mut transaction = self.transaction(*rseq)?;
            transaction.keep_origin();
            transaction.after.retain(|r| dead.contains(r));
            transaction.requires.retain(|r| dead.contains(r));
            transaction.go_on_as(replica, *rseq);
            let sql = "UPDATE _landfall_outbox SET body = ? WHERE rseq = ?";
            self.conn.prepare_cached(sql)?.execute(params![transaction.to_bytes(), *rseq as i64])?;
        }
        Ok(())
    }

    /// The numbers of all transactions that a server may have to be offered once more, in their order; whether it was kept
    /// after it had settled.
    fn held_transactions(&self) -> Result<Vec<(u64, bool)>, DbError> {
        let sql = "SELECT rseq, 0 FROM _landfall_outbox WHERE state IN (?, ?, ?)
                   UNION ALL SELECT rseq, 1 FROM _landfall_acked ORDER BY 1";
        let mut statement = self.conn.prepare(sql)?;
        let rows =
            statement.query_map(params![QUEUED, SENT, ACKED], |r| Ok((r.get::<_, i64>(0)? as u64, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn kept_transaction(&self, rseq: u64) -> Result<Transaction, DbError> {
        let sql = "SELECT body FROM _landfall_acked WHERE rseq = ?";
        let body: Vec<u8> = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?;
        decode(&body)
    }
}
