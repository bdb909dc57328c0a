//! Changes from the server: the live stream at the cut, and catching up of buckets that are behind.
//!
//! Rules, per cell. The live stream keeps what a live bucket shows at the cut. What a bucket that is behind brings is
//! taken only where no live bucket shows the cell and no other bucket, nor an older copy of one, has a newer one. A change that
//! a bucket's rows already contain (they were read after it) is skipped.

use landfall_core::flat::FlatMap;
use landfall_core::gather::sort_by;
use landfall_core::{BucketId, RowKey, Stamp, Value};
use landfall_protocol::Decision;
use landfall_protocol::batch::{Change, ChangeList};
use landfall_protocol::server::BucketChanges;

use super::Database;
use super::bookkeeping::{Bucket, BucketState, LEFTOVER};
use super::buckets::bad;
use super::decide::Decided;
use super::error::DbError;
use super::overlay::{Batch, RowWork};
use super::write::Wishes;
use crate::changes::ChangeSet;

/// A row's cells as one bucket brings them.
pub(super) struct Incoming<'a> {
    pub bucket: BucketId,
    pub seq: u64,
    pub key: &'a RowKey,
    /// All that the bucket shows.
    pub whole: bool,
    /// (Position of the column, value).
    pub cells: &'a [(u16, Value)],
}

/// One Live message.
#[derive(Clone, Copy, Debug)]
pub struct LiveChanges<'a> {
    /// The cut afterwards.
    pub to: u64,
    /// The history's checksum up to there.
    pub chain: u64,
    /// The server's clock.
    pub stamp: Stamp,
    /// What changed, by bucket.
    pub buckets: &'a [BucketChanges],
}

impl Database {
    /// Applies one Live message, as one: memberships, rows, settling, the cut.
    ///
    /// # Errors
    /// [`DbError::ServerData`] when it does not fit what the buckets announced; nothing is applied then.
    pub fn apply_live(
        &mut self,
        to: u64,
        chain: u64,
        stamp: Stamp,
        buckets: &[BucketChanges],
        now_ms: u64,
    ) -> Result<ChangeSet, DbError> {
        let live = LiveChanges { to, chain, stamp, buckets };
        Ok(self.decide_with(&[], &live, now_ms)?.changes)
    }

    /// Applies decisions and the Live message that came behind them, as one.
    ///
    /// # Errors
    /// As [`Database::apply_live`] and [`Database::decide`]; nothing is applied then.
    pub fn decide_with(
        &mut self,
        decisions: &[Decision],
        live: &LiveChanges<'_>,
        now_ms: u64,
    ) -> Result<Decided, DbError> {
        let LiveChanges { to, chain, stamp, buckets } = *live;
        let mut decided = Decided::at(now_ms);
        if to < self.memory.meta.cut {
            // Sent again after a reconnection: it is applied already.
            return if decisions.is_empty() { Ok(decided) } else { self.decide(decisions, now_ms) };
        }
        decided.changes = self.apply(now_ms, |db, changes| {
            let mut batch = Batch::of(db, buckets.iter().map(|g| g.changes.0.len()).sum())?;
            let live = |id: &BucketId| db.memory.buckets.get(id).filter(|b| b.state == BucketState::Live).cloned();
            let held: FlatMap<BucketId, Bucket> =
                buckets.iter().filter_map(|g| Some((g.bucket, live(&g.bucket)?))).collect();
            // Buckets that share a cell must bring it in the order in which it changed, not one bucket after the other.
            let mut ordered: Vec<(BucketId, &Bucket, &Change)> = buckets
                .iter()
                .filter_map(|g| Some((g.bucket, held.get(&g.bucket)?, g)))
                .flat_map(|(id, bucket, g)| g.changes.0.iter().map(move |change| (id, bucket, change)))
                .collect();
            sort_by(&mut ordered, |a, b| a.2.seq().cmp(&b.2.seq()));
            for (id, bucket, change) in ordered {
                db.apply_change(id, bucket, change, &mut batch)?;
            }
            let meta = &mut db.memory.meta;
            (meta.cut, meta.chain) = (to, chain);
            meta.observe(stamp);
            db.decide_all(decisions, &mut decided, &mut batch)?;
            db.flush(batch, changes)
        })?;
        Ok(decided)
    }

    /// Applies what happened in one bucket that is behind. When `done`, it is part of the live stream from here on.
    ///
    /// # Errors
    /// [`DbError::ServerData`] when it does not fit what the bucket announced; nothing is applied then.
    pub fn apply_catch_up(
        &mut self,
        bucket: BucketId,
        to: u64,
        changes: &ChangeList,
        done: bool,
    ) -> Result<ChangeSet, DbError> {
        let behind = |b: &&Bucket| b.state == BucketState::CatchingUp;
        let Some(mut held) = self.memory.buckets.get(&bucket).filter(behind).cloned() else {
            return Ok(ChangeSet::default());
        };
        let now_ms = self.shared.lock().now_ms;
        self.apply(now_ms, |db, visible| {
            let mut batch = Batch::of(db, changes.0.len())?;
            for change in &changes.0 {
                db.apply_change(bucket, &held, change, &mut batch)?;
            }
            held.at = held.at.max(to);
            if done {
                held.state = BucketState::Live;
            }
            db.save_bucket(bucket, held)?;
            db.flush(batch, visible)?;
            if done {
                db.drop_stale_of(bucket, visible)?;
            }
            let mut batch = Batch::default();
            db.settle(&mut batch, now_ms)?;
            db.flush(batch, visible)
        })
    }

    /// One transaction of the engine's that changes visible rows; what an app's triggers write meanwhile is announced
    /// with it.
    pub(super) fn apply(
        &mut self,
        now_ms: u64,
        f: impl FnOnce(&mut Self, &mut ChangeSet) -> Result<(), DbError>,
    ) -> Result<ChangeSet, DbError> {
        let triggers = self.has_triggers;
        if triggers {
            let seed = self.shared.lock().seed;
            self.start_capture(now_ms, seed, true)?;
        } else {
            self.shared.lock().now_ms = now_ms;
        }
        let result = self.transact(|db| {
            let mut changes = ChangeSet::default();
            f(db, &mut changes)?;
            if triggers {
                let marks = db.stop_capture();
                db.record(marks, now_ms, &Wishes::default(), &mut changes)?;
            }
            Ok(changes)
        });
        if triggers && result.is_err() {
            self.stop_capture();
        }
        result
    }

    fn apply_change(&self, id: BucketId, bucket: &Bucket, change: &Change, batch: &mut Batch) -> Result<(), DbError> {
        match change {
            Change::Put { seq, key, whole, cells } => {
                let incoming = Incoming { bucket: id, seq: *seq, key, whole: *whole, cells };
                self.take(bucket, &incoming, batch)
            }
            Change::Remove { seq, key, deleted } => {
                if *deleted {
                    self.forget_leftover(bucket, *seq, key, batch)?;
                }
                self.remove(id, bucket, *seq, key, batch)
            }
        }
    }

    /// A row is in the bucket, and these cells are new.
    pub(super) fn take(&self, bucket: &Bucket, incoming: &Incoming<'_>, batch: &mut Batch) -> Result<(), DbError> {
        let (id, cut) = (incoming.bucket, self.memory.meta.cut);
        let app = self.tables.by_id(bucket.table)?;
        if let Some(problem) = app.table.check_key(incoming.key) {
            return Err(bad(problem.to_string()));
        }
        let work = batch.row(self, bucket.table, incoming.key)?;
        let member = work.held.contains(&id);
        if !member && !incoming.whole {
            // A part of a row that is no longer in the bucket: its removal follows.
            return Ok(());
        }
        if member && !bucket.is_complete(cut) && incoming.seq <= work.version(id) {
            return Ok(());
        }
        let values = bucket_cells(bucket, incoming)?;
        let live = bucket.state == BucketState::Live;
        let mut skipped = false;
        let mut cells = work.confirmed.take().unwrap_or_else(|| app.table.key_cells(incoming.key));
        for (name, value) in values {
            if app.table.column(name).is_none() || app.table.is_key(name) {
                continue;
            }
            if !live && self.shown_newer(work, id, name, incoming.seq) {
                skipped = true;
            } else {
                cells.insert(name.to_owned(), value);
            }
        }
        work.confirmed = Some(cells);
        // A cell that was left at the cut must be caught up with like the others when the live bucket lets it go.
        let version = if skipped { incoming.seq.min(cut) } else { incoming.seq };
        self.advance(work, id, version, live);
        work.held.insert(id);
        // What was kept of a closed shape under pending work is a bucket's again, and goes when that bucket says so.
        work.held.remove(&LEFTOVER);
        Ok(())
    }

    /// Whether a cell here is shown by a live bucket, or was brought by another one as of `seq` or later, be it one of which
    /// only an older copy is here: what a write says that it has seen (its base) counts that copy.
    fn shown_newer(&self, work: &RowWork, id: BucketId, column: &str, seq: u64) -> bool {
        work.held.iter().filter(|other| **other != id).any(|other| {
            // Its own older copy knows nothing better: what comes is compared with that.
            self.memory.buckets.get(other).filter(|b| b.stale_of != Some(id.0)).is_some_and(|b| {
                let newer = match b.state {
                    BucketState::Live => true,
                    _ => !b.is_of_other_history() && work.version(*other) >= seq,
                };
                newer && b.shows(column)
            })
        })
    }

    /// Records up to which sequence the bucket brought the row, keeping apart what other buckets behind brought.
    fn advance(&self, work: &mut RowWork, id: BucketId, version: u64, live: bool) {
        let cut = self.memory.meta.cut;
        let behind = |id: &BucketId| {
            self.memory.buckets.get(id).is_some_and(|b| !b.is_of_other_history() && !b.is_complete(cut))
        };
        let others: Vec<BucketId> = work.held.iter().filter(|o| **o != id && behind(o)).copied().collect();
        for other in others {
            let known = work.version(other);
            // What a live bucket sets back to the cut, the other must catch up with again.
            let known = if live { known.min(version) } else { known };
            work.versions.insert(other, known);
        }
        work.versions.insert(id, version);
        // In another history sequences may have gone further.
        let other_history = |id: &BucketId| self.memory.buckets.get(id).is_some_and(Bucket::is_of_other_history);
        work.seq = if work.held.iter().all(|o| *o == id || other_history(o)) { version } else { work.seq.max(version) };
    }

    /// What was kept of a closed shape under pending work goes when the row is deleted, whoever says so: shown for longer,
    /// it would be half of what the transaction that deleted it did.
    fn forget_leftover(&self, bucket: &Bucket, seq: u64, key: &RowKey, batch: &mut Batch) -> Result<(), DbError> {
        let work = batch.row(self, bucket.table, key)?;
        if seq > work.seq && work.held.remove(&LEFTOVER) && work.held.is_empty() {
            work.confirmed = None;
        }
        Ok(())
    }

    /// A row is no longer in the bucket.
    fn remove(&self, id: BucketId, bucket: &Bucket, seq: u64, key: &RowKey, batch: &mut Batch) -> Result<(), DbError> {
        let cut = self.memory.meta.cut;
        let work = batch.row(self, bucket.table, key)?;
        let contained = !bucket.is_complete(cut) && seq <= work.version(id);
        if work.held.contains(&id) && !contained {
            // Whoever else holds the row keeps its own version.
            let others: Vec<BucketId> = work.held.iter().filter(|o| **o != id).copied().collect();
            let kept: FlatMap<_, _> = others.iter().map(|o| (*o, work.version(*o))).collect();
            work.versions = kept;
            work.held.remove(&id);
            if let Some(cells) = work.confirmed.take().filter(|_| !work.held.is_empty()) {
                work.confirmed = Some(self.only_held(bucket.table, &work.held, cells));
            }
        }
        Ok(())
    }
}

/// The incoming cells by name: each of its announced type; when whole, NULL for what is not given.
fn bucket_cells<'a>(bucket: &'a Bucket, incoming: &Incoming<'_>) -> Result<FlatMap<&'a str, Value>, DbError> {
    let mut out = FlatMap::new();
    if incoming.whole {
        out.extend(bucket.columns.iter().map(|(name, _)| (name.as_str(), Value::Null)));
    }
    for (at, value) in incoming.cells {
        let (name, ty) = bucket
            .columns
            .get(usize::from(*at))
            .ok_or_else(|| bad(format!("column {at} of a bucket with {} columns", bucket.columns.len())))?;
        if !value.fits(*ty) {
            return Err(bad(format!("a value for '{name}' that is not of type {ty}")));
        }
        out.insert(name.as_str(), value.clone());
    }
    Ok(out)
}
