//! Loading a bucket of which an older copy is here: catching up costs what differs, not what exists.
//!
//! The server digests the bucket run by run (protocol, C6). Where the copy's rows come to the same, they are taken over as
//! if they had been fetched, as of the sequence at which the server read them; only the other runs are fetched.

use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::gather::Gather as _;
use landfall_core::hash::Cells;
use landfall_core::{BucketId, RowKey, Value, mutant};
use landfall_protocol::digest::{Digests, Narrowed, Run, RunHash, bare};
use landfall_protocol::server::{Address, Chunk, Opening, Start};
use rusqlite::params;

use super::Database;
use super::apply::Incoming;
use super::bookkeeping::{Bucket, BucketState, decode};
use super::buckets::{OF_OTHER_HISTORY, bad};
use super::error::DbError;
use super::overlay::{Batch, parse_key};
use crate::changes::ChangeSet;

/// What loads came to since the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Rows of an older copy that were found to be as the server has them, and not fetched.
    pub kept: u64,
    /// Rows that were fetched.
    pub fetched: u64,
    /// Rows that were not as the server had them, although it says that nothing changed them since. What came replaced
    /// them. Either a write from outside that has no sequence yet, or a fault on one of the two sides.
    pub healed: u64,
}

/// A row that is here: its key, as stored; its membership set; whether its buckets brought it as of different sequences.
#[derive(Clone, Debug)]
struct Held {
    key: Vec<u8>,
    set: i64,
    versions: bool,
}

/// Such a row with its key and confirmed cells.
type Compared = (Held, RowKey, Cells);

impl Database {
    /// What loads came to since the database was opened.
    pub fn reconciled(&self) -> Reconciled {
        self.reconciled
    }

    /// Where the load of a bucket begins: with digests when there is something to compare them with.
    pub(super) fn first_address(&self, id: BucketId, bucket: &Bucket, first: &str) -> Result<Address, DbError> {
        let copies: FlatSet<BucketId> = self.copies_of(id, bucket).into_iter().flatten().collect();
        let sets = self.memory.sets.by_id.iter().filter(|(_, set)| set.iter().any(|b| copies.contains(b)));
        let sql = "SELECT 1 FROM _landfall_rows WHERE tbl = ? AND held = ? LIMIT 1";
        for (set, _) in sets {
            if self.conn.prepare_cached(sql)?.exists(params![bucket.table, set])? {
                return Ok(Narrowed { digests: true, ..Narrowed::default() }.of(first));
            }
        }
        Ok(first.to_owned())
    }

    /// The server has forgotten buckets that nobody opened for long. What it names in their place is compared with the copies
    /// of what the shape had.
    pub(super) fn adopt_copies(&mut self, handle: u64, openings: &[Opening]) -> Result<(), DbError> {
        let Some(shape) = self.memory.shapes.get(&handle) else { return Ok(()) };
        let named = |of: u64| openings.iter().any(|o| o.bucket.0 == of);
        let used = |of: u64| self.memory.shapes.values().any(|s| s.buckets.contains(&BucketId(of)));
        let mut adopted = Vec::new();
        for (id, copy) in shape.copies.iter().filter_map(|id| Some((id, self.memory.buckets.get(id)?))) {
            let gone = copy.stale_of.is_some_and(|of| of != OF_OTHER_HISTORY && !named(of) && !used(of));
            let table = self.tables.by_id(copy.table)?.name();
            let same = |o: &&Opening| {
                let columns = o.columns.iter().map(|(name, ty)| (name, ty.0));
                matches!(o.start, Start::Load { .. })
                    && o.table == table
                    && copy.columns.iter().map(|(name, ty)| (name, *ty)).eq(columns)
            };
            if let Some(opening) = openings.iter().find(same).filter(|_| gone) {
                adopted.push((*id, Bucket { stale_of: Some(opening.bucket.0), ..copy.clone() }));
            }
        }
        for (id, copy) in adopted {
            self.save_bucket(id, copy)?;
        }
        Ok(())
    }

    /// Which older copies may be the bucket as it was: those that are known to be, each time with one of another history,
    /// whose numbers mean nothing.
    fn copies_of(&self, id: BucketId, bucket: &Bucket) -> Vec<FlatSet<BucketId>> {
        let fits = |copy: &Bucket| copy.table == bucket.table && copy.columns == bucket.columns;
        let copies = |of: u64| {
            let found = self.memory.buckets.iter().filter(move |(_, b)| b.stale_of == Some(of) && fits(b));
            found.map(|(id, _)| *id).collect::<FlatSet<BucketId>>()
        };
        let own = copies(id.0);
        let with = |other: &BucketId| {
            let mut all = own.clone();
            all.insert(*other);
            all
        };
        let mut out: Vec<_> = copies(OF_OTHER_HISTORY).iter().map(with).collect();
        if out.is_empty() && !own.is_empty() {
            out.push(own);
        }
        out
    }

    /// Takes over what is as the server has it; the rest is to be fetched.
    pub(super) fn reconcile(
        &mut self,
        chunk: &Chunk,
        digests: &Digests,
        mut bucket: Bucket,
        changes: &mut ChangeSet,
    ) -> Result<(), DbError> {
        self.check_digests(chunk, digests, &bucket)?;
        // What differs is fetched before the digests of what follows.
        let page = bucket.todo.pop().unwrap_or_default();
        let copies = self.copies_of(chunk.bucket, &bucket);
        let mut after = digests.after.clone();
        let mut differing: Vec<Narrowed> = Vec::new();
        for run in &digests.runs {
            let held = self.held_in(&bucket, after.as_ref(), run.to.as_ref())?;
            let same =
                copies.iter().find_map(|copies| self.same_rows(chunk.bucket, &bucket, copies, &held, run).transpose());
            if let Some(rows) = same.transpose()? {
                self.take_over(chunk, &bucket, (after.as_ref(), run.to.as_ref()), rows, changes)?;
                bucket.rows += u64::from(run.rows);
                self.reconciled.kept += u64::from(run.rows);
            } else if let Some(last) = differing.last_mut().filter(|last| last.until == after) {
                last.until.clone_from(&run.to);
            } else {
                differing.push(Narrowed { after: after.clone(), until: run.to.clone(), digests: false });
            }
            after.clone_from(&run.to);
        }
        bucket.todo.extend(differing.iter().map(|part| part.of(bare(&page))));
        bucket.todo.extend(chunk.next.clone());
        bucket.need = bucket.need.max(chunk.read_at);
        if bucket.todo.is_empty() {
            bucket.state = BucketState::CatchingUp;
        }
        self.save_bucket(chunk.bucket, bucket)
    }

    /// Digests leave no gap, and end where the next ones begin.
    fn check_digests(&self, chunk: &Chunk, digests: &Digests, bucket: &Bucket) -> Result<(), DbError> {
        let table = &self.tables.by_id(bucket.table)?.table;
        let mut ends = digests.after.iter().chain(digests.runs.iter().filter_map(|run| run.to.as_ref()));
        let mut last: Option<Vec<u8>> = None;
        let ordered = ends.all(|key| {
            let bytes = key.to_bytes();
            let ordered = table.check_key(key).is_none() && last.as_ref().is_none_or(|last| *last <= bytes);
            last = Some(bytes);
            ordered
        });
        let Some((end, others)) = digests.runs.split_last() else { return Err(bad("digests of no rows".into())) };
        let whole = others.iter().all(|run| run.to.is_some()) && end.to.is_some() == chunk.next.is_some();
        if ordered && whole { Ok(()) } else { Err(bad("digests that do not go together".into())) }
    }

    /// The rows here between two keys.
    fn held_in(&self, bucket: &Bucket, after: Option<&RowKey>, to: Option<&RowKey>) -> Result<Vec<Held>, DbError> {
        let sql = "SELECT key, held, versions IS NOT NULL FROM _landfall_rows
                   WHERE tbl = ?1 AND key > ?2 AND (?3 IS NULL OR key <= ?3) ORDER BY key";
        let mut statement = self.conn.prepare_cached(sql)?;
        let after = after.map(RowKey::to_bytes).unwrap_or_default();
        let rows = statement.query_map(params![bucket.table, after, to.map(RowKey::to_bytes)], |r| {
            Ok(Held { key: r.get(0)?, set: r.get(1)?, versions: r.get(2)? })
        })?;
        Ok(rows.try_gather()?)
    }

    /// The rows of these copies, if they are what the run has.
    fn same_rows(
        &self,
        id: BucketId,
        bucket: &Bucket,
        copies: &FlatSet<BucketId>,
        held: &[Held],
        run: &Run,
    ) -> Result<Option<Vec<Compared>>, DbError> {
        // What an earlier part of this load has brought belongs to it too.
        let counts = |b: &BucketId| *b == id || copies.contains(b);
        let rows: Vec<_> = held.iter().filter(|row| self.memory.sets.of(row.set).iter().any(counts)).collect();
        if rows.len() != run.rows as usize {
            return Ok(None);
        }
        let images = self.images_among(bucket.table, &rows)?;
        let app = self.tables.by_id(bucket.table)?;
        let (mut hash, mut out) = (RunHash::default(), Vec::with_capacity(rows.len()));
        for row in rows {
            let key = parse_key(&row.key)?;
            let cells = match images.get(&row.key) {
                Some(image) => image.clone(),
                None => app.read(&self.conn, &key)?,
            };
            let Some(mut cells) = cells else { return Ok(None) };
            cells.append(&mut app.table.key_cells(&key));
            hash.push(bucket.columns.iter().map(|(name, _)| cells.get(name).unwrap_or(&Value::Null)));
            out.push((row.clone(), key, cells));
        }
        Ok((hash.finish(None).hash == run.hash).then_some(out))
    }

    /// The confirmed images of those of the rows that have pending work.
    fn images_among(&self, table: i64, rows: &[&Held]) -> Result<FlatMap<Vec<u8>, Option<Cells>>, DbError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(FlatMap::new()) };
        let sql = "SELECT key, image FROM _landfall_images WHERE tbl = ? AND key BETWEEN ? AND ?";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = statement.query(params![table, first.key, last.key])?;
        let mut out = FlatMap::new();
        while let Some(row) = found.next()? {
            let image = row.get::<_, Option<Vec<u8>>>(1)?.map(|bytes| decode(&bytes)).transpose()?;
            out.insert(row.get::<_, Vec<u8>>(0)?, image);
        }
        Ok(out)
    }

    /// Rows of a copy become the bucket's, as if they had been fetched.
    fn take_over(
        &mut self,
        chunk: &Chunk,
        bucket: &Bucket,
        (after, to): (Option<&RowKey>, Option<&RowKey>),
        rows: Vec<Compared>,
        changes: &mut ChangeSet,
    ) -> Result<(), DbError> {
        // The usual case, at once: nothing else holds these rows, so that nothing of them changes but who does.
        let stale = |id: &BucketId| self.memory.buckets.get(id).is_some_and(|b| b.state == BucketState::Stale);
        let plain: FlatSet<i64> =
            rows.iter().map(|(row, ..)| row.set).filter(|set| self.memory.sets.of(*set).iter().all(stale)).collect();
        let mut batch = Batch::default();
        for (row, key, cells) in rows.iter().filter(|(row, ..)| row.versions || !plain.contains(&row.set)) {
            let cell = |(at, (name, _)): (u16, &(String, _))| Some((at, cells.get(name)?.clone()));
            let cells: Vec<(u16, Value)> = (0..).zip(&bucket.columns).filter_map(cell).collect();
            debug_assert!(row.key == key.to_bytes(), "a key has one stored form");
            let incoming = Incoming { bucket: chunk.bucket, seq: chunk.read_at, key, whole: true, cells: &cells };
            self.take(bucket, &incoming, &mut batch)?;
        }
        self.flush(batch, changes)?;
        let sql = "UPDATE _landfall_rows SET held = ?1, seq = ?2
                   WHERE tbl = ?3 AND key > ?4 AND (?5 IS NULL OR key <= ?5) AND held = ?6 AND versions IS NULL";
        let (after, to) = (after.map(RowKey::to_bytes).unwrap_or_default(), to.map(RowKey::to_bytes));
        for set in &plain {
            let mut joined = (*self.memory.sets.of(*set)).clone();
            joined.insert(chunk.bucket);
            let joined = self.intern(&joined)?;
            let as_of = if mutant::active("kept-for-good") { i64::MAX } else { chunk.read_at as i64 };
            let row = params![joined, as_of, bucket.table, after, to, set];
            self.conn.prepare_cached(sql)?.execute(row)?;
            // As of when a row is decides whether what waits on it has seen it.
            self.watch_all();
        }
        Ok(())
    }

    /// Whether a row that comes is another than the older copy has, although nothing changed it since. Only where what came
    /// was read after the copy was current, and nothing else brought the row: else the copy may know better.
    pub(super) fn is_diverged(
        &self,
        bucket: &Bucket,
        incoming: &Incoming<'_>,
        read_at: u64,
        batch: &mut Batch,
    ) -> Result<bool, DbError> {
        let work = batch.row(self, bucket.table, incoming.key)?;
        let unchanged = |id: &BucketId| {
            let copy = self.memory.buckets.get(id).filter(|b| b.stale_of == Some(incoming.bucket.0));
            let own = |copy: &Bucket| copy.columns == bucket.columns && incoming.seq <= copy.at && copy.at <= read_at;
            copy.is_some_and(own)
        };
        let known = incoming.seq > 0 && work.seq <= read_at;
        if !known || work.held.is_empty() || !work.held.iter().all(unchanged) {
            return Ok(false);
        }
        // What an older app does not know it cannot have.
        let table = &self.tables.by_id(bucket.table)?.table;
        let here = |name: &str| work.confirmed.as_ref().and_then(|cells| cells.get(name)).unwrap_or(&Value::Null);
        let mut named =
            incoming.cells.iter().filter_map(|(at, value)| Some((bucket.columns.get(usize::from(*at))?, value)));
        Ok(named.any(|((name, _), value)| table.column(name).is_some() && here(name) != value))
    }
}
