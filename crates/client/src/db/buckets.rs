//! Subscriptions and the buckets that they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::{BucketId, Value};
use landfall_protocol::server::{Address, Chunk, Opening, Start};
use rusqlite::params;

use super::Database;
use super::bookkeeping::{Bucket, BucketState, FIRST_STALE, LEFTOVER, OpenShape, decode, encode, print_set};
use super::error::DbError;
use super::overlay::{Batch, parse_key};
use crate::changes::ChangeSet;

/// Rows are written in portions of this size, so that letting a large bucket go needs little memory.
const PORTION: usize = 1_000;
/// Beyond this many rows a change of a table is announced as a whole.
const BULK: usize = 5_000;

/// A shape that the app has opened. Survives a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Names it on this device; never reused.
    pub handle: u64,
    /// The shape.
    pub shape: String,
    /// Its parameters.
    pub params: BTreeMap<String, Value>,
    /// Whether the server has named its buckets.
    pub opened: bool,
    /// Its buckets.
    pub buckets: Vec<HeldBucket>,
}

/// A bucket that the device holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBucket {
    /// The bucket.
    pub bucket: BucketId,
    /// Up to which sequence its rows are current; for one that is still loading, the log position for Resume.
    pub at: u64,
    /// How far it is.
    pub state: BucketState,
    /// Where loading goes on.
    pub next: Option<Address>,
    /// Where it goes on after that, as far as that is known here.
    pub then: Option<Address>,
    /// Rows loaded so far.
    pub rows: u64,
    /// Rows that the server announced, roughly.
    pub expected: u64,
}

/// Whether everything of a subscription is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// All rows, as of the cut.
    Complete,
    /// Rows are missing, or ahead of the cut.
    Incomplete {
        /// Rows loaded so far.
        rows: u64,
        /// Rows that the server announced, roughly.
        expected: u64,
    },
}

/// What a copy of another history is a copy of. The server numbers buckets from 1.
pub(super) const OF_OTHER_HISTORY: u64 = 0;

impl Database {
    /// The open shapes, by handle.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let cut = self.memory.meta.cut;
        let held = |id: &BucketId| {
            let b = self.memory.buckets.get(id)?;
            let (next, then) = (b.todo.first().cloned(), b.todo.get(1).cloned());
            let at = b.position(cut);
            Some(HeldBucket { bucket: *id, at, state: b.state, next, then, rows: b.rows, expected: b.expected })
        };
        let one = |(handle, shape): (&u64, &OpenShape)| Subscription {
            handle: *handle,
            shape: shape.shape.clone(),
            params: shape.params.clone(),
            opened: shape.opened,
            buckets: shape.buckets.iter().filter_map(held).collect(),
        };
        self.memory.shapes.iter().map(one).collect()
    }

    /// Whether everything of a subscription is here; `None`: there is no such subscription.
    pub fn completeness(&self, handle: u64) -> Option<Completeness> {
        let shape = self.memory.shapes.get(&handle)?;
        let cut = self.memory.meta.cut;
        let buckets: Vec<_> = shape.buckets.iter().filter_map(|id| self.memory.buckets.get(id)).collect();
        // A load that begins at nothing looks like a bucket that waits to be opened again, but for the rows that it replaces.
        let replaces = |b: &Bucket| self.memory.buckets.values().any(|s| s.stale_of.is_some() && s.table == b.table);
        // Rows of a history that the server has lost stay until all that shows their table is loaded.
        let lost = |b: &Bucket| self.copies_of_another_history().any(|s| s.table == b.table);
        let is_here = |b: &Bucket| (b.is_complete(cut) && !lost(b)) || (b.stands_at(cut) && !replaces(b));
        if shape.opened && buckets.iter().all(|b| is_here(b)) {
            return Some(Completeness::Complete);
        }
        let rows = buckets.iter().map(|b| b.rows).sum();
        let expected = buckets.iter().map(|b| b.expected.max(b.rows)).sum();
        Some(Completeness::Incomplete { rows, expected })
    }

    /// Whether everything of a subscription is here, as of the cut.
    pub fn is_complete(&self, handle: u64) -> bool {
        self.completeness(handle) == Some(Completeness::Complete)
    }

    /// Rows loaded and rows announced of all buckets that are being loaded; `None` when none is.
    pub fn loading_progress(&self) -> Option<(u64, u64)> {
        let loading = self.memory.buckets.values().filter(|b| b.state == BucketState::Loading);
        loading.map(|b| (b.rows, b.expected.max(b.rows))).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Remembers that the app wants a shape; gives its handle. The same shape with the same parameters gives the handle
    /// that it has.
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when the schema has no such shape or parameter.
    pub fn subscribe(&mut self, shape: &str, params: BTreeMap<String, Value>) -> Result<u64, DbError> {
        self.check_params(shape, &params)?;
        let same = |s: &OpenShape| s.shape == shape && s.params == params;
        if let Some((handle, _)) = self.memory.shapes.iter().find(|(_, s)| same(s)) {
            return Ok(*handle);
        }
        self.transact(|db| {
            let sql = "INSERT INTO _landfall_subscriptions (shape, params, opened) VALUES (?, ?, 0)";
            db.conn.prepare_cached(sql)?.execute(params![shape, encode(&params)])?;
            let handle = db.conn.last_insert_rowid() as u64;
            let (buckets, copies) = (FlatSet::new(), FlatSet::new());
            let open = OpenShape { shape: shape.to_owned(), params, opened: false, buckets, copies };
            Arc::make_mut(&mut db.memory.shapes).insert(handle, open);
            Ok(handle)
        })
    }

    fn check_params(&self, name: &str, params: &BTreeMap<String, Value>) -> Result<(), DbError> {
        let shape = self.schema.shape(name).ok_or_else(|| DbError::UnknownName(format!("shape '{name}'")))?;
        if let Some(unknown) = params.keys().find(|p| !shape.params.iter().any(|d| d.name == **p)) {
            return Err(DbError::UnknownName(format!("parameter '{unknown}' of shape '{name}'")));
        }
        for declared in &shape.params {
            match params.get(&declared.name) {
                Some(value) if value.fits(declared.ty) => {}
                Some(value) => {
                    let found = value.type_of().map_or_else(|| "null".to_owned(), |t| t.to_string());
                    let message = format!(
                        "the parameter '{}' of shape '{name}' is of type {}, not {found}",
                        declared.name, declared.ty
                    );
                    let code = landfall_core::error::codes::WRONG_TYPE;
                    return Err(DbError::Invalid(landfall_core::Problem::new(code, message)));
                }
                None => {
                    return Err(DbError::UnknownName(format!(
                        "value for the parameter '{}' of shape '{name}' in this call",
                        declared.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Forgets a shape. Buckets that no other shape uses go with their rows, except rows with pending writes, which
    /// stay until those settle.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn unsubscribe(&mut self, handle: u64) -> Result<ChangeSet, DbError> {
        self.transact(|db| {
            let mut changes = ChangeSet::default();
            db.conn.prepare_cached("DELETE FROM _landfall_subscriptions WHERE handle = ?")?.execute([handle as i64])?;
            db.conn.prepare_cached("DELETE FROM _landfall_uses WHERE handle = ?")?.execute([handle as i64])?;
            Arc::make_mut(&mut db.memory.shapes).remove(&handle);
            db.drop_unused(&mut changes)?;
            Ok(changes)
        })
    }

    /// The server named the buckets of a subscription, and how each begins. Buckets that it no longer names go.
    ///
    /// A bucket that is being loaded goes on from where it is. To load it anew call [`Database::restart_load`] first.
    ///
    /// # Errors
    /// [`DbError::ServerData`] when a bucket does not fit the schema.
    pub fn opened(&mut self, handle: u64, openings: &[Opening]) -> Result<ChangeSet, DbError> {
        self.transact(|db| {
            let mut changes = ChangeSet::default();
            if !db.memory.shapes.contains_key(&handle) {
                return Ok(changes);
            }
            db.adopt_copies(handle, openings)?;
            for opening in openings {
                db.open_bucket(opening)?;
                if opening.start == Start::Live {
                    db.drop_stale_of(opening.bucket, &mut changes)?;
                }
            }
            db.conn
                .prepare_cached("UPDATE _landfall_subscriptions SET opened = 1 WHERE handle = ?")?
                .execute([handle as i64])?;
            db.conn.prepare_cached("DELETE FROM _landfall_uses WHERE handle = ?")?.execute([handle as i64])?;
            let buckets: FlatSet<BucketId> = openings.iter().map(|o| o.bucket).collect();
            for bucket in &buckets {
                let sql = "INSERT INTO _landfall_uses (handle, bucket) VALUES (?, ?)";
                db.conn.prepare_cached(sql)?.execute(params![handle as i64, bucket.0 as i64])?;
            }
            if let Some(shape) = Arc::make_mut(&mut db.memory.shapes).get_mut(&handle) {
                shape.opened = true;
                shape.buckets = buckets;
                shape.copies = FlatSet::new();
            }
            db.drop_unused(&mut changes)?;
            let mut batch = Batch::default();
            let now_ms = db.shared.lock().now_ms;
            db.settle(&mut batch, now_ms)?;
            db.flush(batch, &mut changes)?;
            Ok(changes)
        })
    }

    fn open_bucket(&mut self, opening: &Opening) -> Result<(), DbError> {
        let app = self.tables.get(&opening.table).map_err(|_| bad(format!("a bucket of table '{}'", opening.table)))?;
        let keys = app.table.primary_key.iter();
        if !keys.eq(opening.columns.iter().take(app.table.primary_key.len()).map(|(name, _)| name)) {
            return Err(bad(format!("a bucket of '{}' without its key first", opening.table)));
        }
        let table = app.id;
        let columns: Vec<_> = opening.columns.iter().map(|(name, ty)| (name.clone(), ty.0)).collect();
        if self.memory.buckets.get(&opening.bucket).is_some_and(|held| held.table != table) {
            return Err(bad(format!("the number of another table's bucket for one of '{}'", opening.table)));
        }
        let held = self.memory.buckets.get(&opening.bucket).cloned();
        let mut bucket = held.clone().unwrap_or(Bucket {
            table,
            columns: Vec::new(),
            state: BucketState::CatchingUp,
            at: 0,
            todo: Vec::new(),
            need: 0,
            rows: 0,
            expected: 0,
            stale_of: None,
        });
        bucket.columns = columns;
        match &opening.start {
            Start::Live => bucket.state = BucketState::Live,
            Start::CatchUp => {
                bucket.at = bucket.position(self.memory.meta.cut);
                bucket.state = BucketState::CatchingUp;
            }
            Start::Load { .. } if bucket.state == BucketState::Loading && !bucket.todo.is_empty() => {}
            Start::Load { at, first, rows } => {
                if held.is_some() {
                    self.set_stale(opening.bucket, false)?;
                }
                bucket.state = BucketState::Loading;
                bucket.at = *at;
                (bucket.need, bucket.rows, bucket.expected) = (*at, 0, *rows);
                bucket.todo = vec![self.first_address(opening.bucket, &bucket, first)?];
                if landfall_core::mutant::active("bucket-not-loaded") {
                    bucket.todo.clear();
                    bucket.state = BucketState::CatchingUp;
                }
            }
        }
        self.save_bucket(opening.bucket, bucket)
    }

    /// Whether the cut has reached the position from which a load is replayed. Chunks that come before would be newer than
    /// what live buckets keep at the cut, and a bucket's log need not reach back to there: it may be as new as its load.
    pub fn may_load(&self, bucket: BucketId) -> bool {
        self.memory.buckets.get(&bucket).is_none_or(|b| b.state != BucketState::Loading || b.at <= self.memory.meta.cut)
    }

    /// Whether the cut has reached the sequence at which a chunk was read. The cursor vouches for what is here up to the
    /// cut: a row that is newer could be of a history that the server has lost, and nothing would ever tell.
    pub fn may_apply(&self, chunk: &Chunk) -> bool {
        chunk.read_at <= self.memory.meta.cut
    }

    /// Gives up a load that is under way (its address has expired): the next [`Database::opened`] begins it anew. Rows
    /// stay visible until then.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn restart_load(&mut self, bucket: BucketId) -> Result<(), DbError> {
        self.transact(|db| match db.memory.buckets.get(&bucket).cloned() {
            Some(mut held) if held.state == BucketState::Loading => {
                held.todo.clear();
                db.save_bucket(bucket, held)
            }
            _ => Ok(()),
        })
    }

    pub(super) fn save_bucket(&mut self, id: BucketId, bucket: Bucket) -> Result<(), DbError> {
        bucket.save(&self.conn, id)?;
        Arc::make_mut(&mut self.memory.buckets).insert(id, bucket);
        Ok(())
    }

    /// Makes what is held of a bucket a stale copy: its rows stay visible under another number, so that the bucket can
    /// be loaded anew and rows that it no longer brings can be told.
    pub(super) fn set_stale(&mut self, id: BucketId, other_history: bool) -> Result<Option<BucketId>, DbError> {
        let Some(mut copy) = self.memory.buckets.get(&id).cloned() else { return Ok(None) };
        let was_behind = !copy.is_complete(self.memory.meta.cut);
        copy.at = if other_history { 0 } else { copy.position(self.memory.meta.cut) };
        copy.state = BucketState::Stale;
        // Numbers mean nothing in another history: there this one may be another shape's bucket.
        copy.stale_of = Some(if other_history { OF_OTHER_HISTORY } else { id.0 });
        copy.todo.clear();
        let stale = self.memory.meta.last_stale.max(FIRST_STALE) + 1;
        self.memory.meta.last_stale = stale;
        if was_behind && !other_history {
            self.rename_versions(copy.table, id, BucketId(stale))?;
        }
        self.save_bucket(BucketId(stale), copy)?;
        self.rewrite_sets(id, Some(BucketId(stale)))?;
        Ok(Some(BucketId(stale)))
    }

    /// As of when a bucket that was behind had brought its rows is known of its copy, too: few rows say that apart.
    fn rename_versions(&self, table: i64, from: BucketId, to: BucketId) -> Result<(), DbError> {
        let sql = "SELECT key, versions FROM _landfall_rows WHERE tbl = ? AND versions IS NOT NULL";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([table], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Vec<u8>>(1)?)))?;
        for (key, versions) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            let mut versions: FlatMap<BucketId, u64> = decode(&versions)?;
            if let Some(version) = versions.remove(&from) {
                versions.insert(to, version);
                let sql = "UPDATE _landfall_rows SET versions = ? WHERE tbl = ? AND key = ?";
                self.conn.prepare_cached(sql)?.execute(params![encode(&versions), table, key])?;
            }
        }
        Ok(())
    }

    /// Replaces a bucket by another in every membership set, without touching rows.
    fn rewrite_sets(&mut self, from: BucketId, to: Option<BucketId>) -> Result<(), DbError> {
        let affected: Vec<_> = self.memory.sets.by_id.iter().filter(|(_, set)| set.contains(&from)).collect();
        let affected: Vec<(i64, FlatSet<BucketId>)> =
            affected.into_iter().map(|(id, s)| (*id, (**s).clone())).collect();
        for (id, mut set) in affected {
            set.remove(&from);
            set.extend(to);
            self.conn
                .prepare_cached("UPDATE _landfall_sets SET buckets = ? WHERE id = ?")?
                .execute(params![print_set(&set), id])?;
            let sets = Arc::make_mut(&mut self.memory.sets);
            sets.by_set.retain(|_, known| *known != id);
            sets.insert(id, set);
        }
        Ok(())
    }

    /// Lets go of buckets that no shape uses and that no load will replace.
    pub(super) fn drop_unused(&mut self, changes: &mut ChangeSet) -> Result<(), DbError> {
        let used: FlatSet<BucketId> = self.memory.shapes.values().flat_map(|s| s.buckets.iter().copied()).collect();
        let waiting = self.memory.shapes.values().any(|s| !s.opened);
        let unused = |(id, bucket): (&BucketId, &Bucket)| match bucket.stale_of {
            Some(OF_OTHER_HISTORY) => self.is_superseded(bucket).then_some(*id),
            // Until every shape is answered, the server may still name what this is a copy of.
            Some(of) => (!waiting && !used.contains(&BucketId(of))).then_some(*id),
            None => (!used.contains(id) && *id != LEFTOVER).then_some(*id),
        };
        let unused: Vec<_> = self.memory.buckets.iter().filter_map(unused).collect();
        for id in unused {
            self.drop_bucket(id, changes)?;
        }
        Ok(())
    }

    /// Whether rows of a history that the server has lost are still here.
    pub(super) fn holds_another_history(&self) -> bool {
        self.copies_of_another_history().next().is_some()
    }

    fn copies_of_another_history(&self) -> impl Iterator<Item = &Bucket> {
        self.memory.buckets.values().filter(|b| b.stale_of == Some(OF_OTHER_HISTORY))
    }

    /// Whether all that the open shapes show of the table of a copy of another history is loaded.
    fn is_superseded(&self, copy: &Bucket) -> bool {
        let memory = &self.memory;
        let used = memory.shapes.values().flat_map(|s| &s.buckets).filter_map(|id| memory.buckets.get(id));
        let mut same = used.filter(|b| b.table == copy.table);
        memory.shapes.values().all(|s| s.opened) && same.all(|b| b.state == BucketState::Live)
    }

    /// Whether an open shape shows, in the place of a copy, what is loaded: that says which rows are gone.
    fn is_replaced(&self, copy: &Bucket) -> bool {
        let mut used = self.memory.shapes.values().flat_map(|s| &s.buckets);
        match copy.stale_of {
            Some(OF_OTHER_HISTORY) => used.filter_map(|id| self.memory.buckets.get(id)).any(|b| b.table == copy.table),
            Some(of) => used.any(|id| id.0 == of),
            None => false,
        }
    }

    /// The stale copies of a bucket go: it is loaded.
    pub(super) fn drop_stale_of(&mut self, id: BucketId, changes: &mut ChangeSet) -> Result<(), DbError> {
        let gone =
            |b: &Bucket| b.stale_of == Some(id.0) || (b.stale_of == Some(OF_OTHER_HISTORY) && self.is_superseded(b));
        let stale = self.memory.buckets.iter().filter(|(_, b)| gone(b)).map(|(id, _)| *id);
        for stale in stale.collect::<Vec<_>>() {
            self.drop_bucket(stale, changes)?;
        }
        Ok(())
    }

    /// A bucket goes, and rows that no other holds go with it. Rows with pending writes stay as they are until those settle:
    /// the device lets go of what it held. But where something is loaded in its place, that says that they are gone, as a
    /// removal would: shown for longer, they would be half of what the transaction that deleted them did.
    fn drop_bucket(&mut self, id: BucketId, changes: &mut ChangeSet) -> Result<(), DbError> {
        let Some(bucket) = self.memory.buckets.get(&id) else { return Ok(()) };
        let (table, keep) = (bucket.table, !self.is_replaced(bucket));
        // Where other buckets hold the rows and show all that this one does, nothing of them changes but the set.
        let rest = |set: &FlatSet<BucketId>| {
            let others = || set.iter().filter(|o| **o != id);
            let shows = |name: &str| others().any(|o| self.memory.buckets.get(o).is_some_and(|b| b.shows(name)));
            others().next().is_some() && bucket.columns.iter().all(|(name, _)| shows(name))
        };
        let affected = self.memory.sets.by_id.iter().filter(|(_, set)| set.contains(&id));
        let sets: Vec<i64> = affected.filter(|(_, set)| !rest(set)).map(|(id, _)| *id).collect();
        let mut all = ChangeSet::default();
        for set in sets {
            let mut from = Vec::new();
            while let Some(last) = self.leave((id, keep), table, set, &from, &mut all)? {
                from = last;
            }
        }
        let name = self.tables.by_id(table)?.name().to_owned();
        if all.rows.get(&name).is_some_and(|rows| rows.len() > BULK) {
            all.rows.remove(&name);
            all.bulk.insert(name);
        }
        changes.extend(all);
        self.conn.prepare_cached("DELETE FROM _landfall_buckets WHERE bucket = ?")?.execute([id.0 as i64])?;
        Arc::make_mut(&mut self.memory.buckets).remove(&id);
        self.rewrite_sets(id, None)
    }

    /// One portion of rows of a set leaves the bucket; the last key looked at, while there are more.
    fn leave(
        &mut self,
        (id, keep): (BucketId, bool),
        table: i64,
        set: i64,
        from: &[u8],
        changes: &mut ChangeSet,
    ) -> Result<Option<Vec<u8>>, DbError> {
        let sql = "SELECT key FROM _landfall_rows WHERE tbl = ? AND key > ? AND held = ? ORDER BY key LIMIT ?";
        let mut statement = self.conn.prepare_cached(sql)?;
        let keys = statement.query_map(params![table, from, set, PORTION as i64], |r| r.get::<_, Vec<u8>>(0))?;
        let keys = keys.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        let mut batch = Batch::default();
        for key in &keys {
            let pending = keep && self.has_pending(table, key)?;
            let work = batch.row(self, table, &parse_key(key)?)?;
            work.held.remove(&id);
            work.versions.remove(&id);
            if pending && work.held.is_empty() {
                work.held.insert(LEFTOVER);
            }
        }
        self.flush(batch, changes)?;
        Ok(keys.into_iter().nth(PORTION - 1))
    }

    fn has_pending(&self, table: i64, key: &[u8]) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM _landfall_touched WHERE tbl = ? AND key = ?";
        Ok(self.conn.prepare_cached(sql)?.exists(params![table, key])?)
    }
}

pub(super) fn bad(what: String) -> DbError {
    DbError::ServerData(what)
}
