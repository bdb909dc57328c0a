//! Confirmed rows, who holds them, and what they look like under pending work.
//!
//! A [`Batch`] collects the rows that one event touches. Each is loaded once, changed in memory, and written once by
//! [`Database::flush`]: bookkeeping, confirmed image, and the visible row = confirmed ⊕ unsettled entries.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::gather::Gather as _;
use landfall_core::hash::Cells;
use landfall_core::schema::Column;
use landfall_core::wide::{WideMap, WideSet};
use landfall_core::{BucketId, CellWrite, Operation, RowKey, Transaction, Value, mutant};
use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::{BucketState, LEFTOVER, SETTLED, decode, encode, print_set};
use super::buckets::OF_OTHER_HISTORY;
use super::error::DbError;
use super::tables::AppTable;
use crate::changes::ChangeSet;

/// The confirmed side of one row.
#[derive(Clone, Debug)]
pub(super) struct RowWork {
    /// The buckets that hold it.
    pub held: FlatSet<BucketId>,
    /// The sequence of its last change, for every bucket that is not in `versions`.
    pub seq: u64,
    /// The sequence up to which a bucket that is behind brought it, where that differs.
    pub versions: FlatMap<BucketId, u64>,
    /// The confirmed cells: only columns that are held.
    pub confirmed: Option<Cells>,
    /// What the app sees before this event.
    pub visible: Option<Cells>,
    stored: Option<StoredRecord>,
    had_image: bool,
}

#[derive(Clone, Debug)]
struct StoredRecord {
    seq: u64,
    set: i64,
    versions: Option<Vec<u8>>,
}

impl RowWork {
    /// The sequence up to which `bucket` brought the row.
    pub fn version(&self, bucket: BucketId) -> u64 {
        self.versions.get(&bucket).copied().unwrap_or(self.seq)
    }
}

/// An entry's operations by row: those that travel, then those that only preview what the server will do.
#[derive(Debug)]
pub(super) struct EntryOperations {
    by_row: WideMap<(String, RowKey), Vec<Operation>>,
    /// Some change what is there, and must not be seen twice.
    pub has_changes: bool,
}

impl EntryOperations {
    fn new(operations: impl IntoIterator<Item = Operation>) -> Self {
        let (mut by_row, mut has_changes) = (WideMap::<_, Vec<_>>::new(), false);
        for operation in operations {
            has_changes |= operation.cells().iter().any(|write| write.change.is_some());
            let row = (operation.table().to_owned(), operation.key().clone());
            let Ok::<_, Infallible>(list) = by_row.get_or_make(row, |_| Ok(Vec::new()));
            list.push(operation);
        }
        Self { by_row, has_changes }
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &RowKey)> {
        self.by_row.keys().map(|(table, key)| (table.as_str(), key))
    }

    /// Whether the entry makes this row.
    pub fn inserts(&self, table: &str, key: &RowKey) -> bool {
        self.on(table, key).iter().any(|operation| matches!(operation, Operation::Insert { .. }))
    }

    /// What it does to a row.
    fn on(&self, table: &str, key: &RowKey) -> &[Operation] {
        self.by_row.get(&(table.to_owned(), key.clone())).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Where the server has counted an entry.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// The sequence under which it was accepted, if it was.
    seq: Option<u64>,
    /// It had settled in a history that the server has lost.
    was_settled: bool,
}

/// Tables' numbers and keys.
type RowIds = WideSet<(i64, Vec<u8>)>;

/// The rows of one event.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub rows: WideMap<(i64, RowKey), RowWork>,
    entries: FlatMap<u64, Rc<EntryOperations>>,
    /// The rows on which work was pending when the event began, where that is known: on all others none is.
    pending: Option<RowIds>,
}

/// From so many changes on it pays to read at once which rows have pending work, unless there are many more of those.
const MANY_CHANGES: usize = if cfg!(test) { 2 } else { 8 };
/// Pending entries for each change, beyond which looking at each row is cheaper.
const PENDING_PER_CHANGE: u64 = 8;

impl Batch {
    /// The row, loaded when this event touches it for the first time.
    pub fn row(&mut self, db: &Database, table: i64, key: &RowKey) -> Result<&mut RowWork, DbError> {
        let pending = self.pending.as_ref();
        self.rows.get_or_make((table, key.clone()), |(_, key)| db.load_row(table, key, pending))
    }

    /// The rows of an event of so many changes.
    pub fn of(db: &Database, changes: usize) -> Result<Self, DbError> {
        let counts = &db.memory.meta.counts;
        let unsettled = counts.pending + counts.sent + counts.acked;
        let pays = changes >= MANY_CHANGES && unsettled <= changes as u64 * PENDING_PER_CHANGE;
        let pending = if pays { Some(db.pending_rows()?) } else { None };
        Ok(Self { pending, ..Self::default() })
    }

    /// Work is pending on this row now.
    pub fn shows(&mut self, table: i64, key: &RowKey) {
        if let Some(pending) = &mut self.pending {
            pending.insert((table, key.to_bytes()));
        }
    }

    /// Loads every row that an entry touches.
    pub fn touch(&mut self, db: &Database, rseq: u64) -> Result<(), DbError> {
        self.touch_all(db, rseq, rseq)
    }

    /// The same for all entries from `first` to `last`.
    pub fn touch_all(&mut self, db: &Database, first: u64, last: u64) -> Result<(), DbError> {
        let sql = "SELECT tbl, key FROM _landfall_touched WHERE rseq BETWEEN ? AND ?";
        let mut statement = db.conn.prepare_cached(sql)?;
        let mut rows = statement.query([first as i64, last as i64])?;
        while let Some(row) = rows.next()? {
            let key = parse_key(&row.get::<_, Vec<u8>>(1)?)?;
            self.row(db, row.get(0)?, &key)?;
        }
        Ok(())
    }

    fn entry(&mut self, db: &Database, rseq: u64) -> Result<Rc<EntryOperations>, DbError> {
        if let Some(entry) = self.entries.get(&rseq) {
            return Ok(Rc::clone(entry));
        }
        let entry = Rc::new(db.entry_operations(rseq)?);
        self.entries.insert(rseq, Rc::clone(&entry));
        Ok(entry)
    }
}

pub(super) fn parse_key(bytes: &[u8]) -> Result<RowKey, DbError> {
    RowKey::from_bytes(bytes).map_err(DbError::bookkeeping)
}

impl Database {
    /// The confirmed side of a row and what is visible of it.
    pub(super) fn load_row(&self, table: i64, key: &RowKey, pending: Option<&RowIds>) -> Result<RowWork, DbError> {
        let bytes = key.to_bytes();
        let id = (table, bytes);
        let pends = pending.is_none_or(|rows| rows.contains(&id));
        let bytes = id.1;
        let sql = "SELECT seq, held, versions FROM _landfall_rows WHERE tbl = ? AND key = ?";
        let stored = self.conn.prepare_cached(sql)?.query_row(params![table, bytes], |r| {
            Ok(StoredRecord { seq: r.get::<_, i64>(0)? as u64, set: r.get(1)?, versions: r.get(2)? })
        });
        let stored = stored.optional()?;
        let image = if pends { self.image(table, &bytes)? } else { None };
        // What is neither confirmed nor written here is not there.
        let shows = pends || stored.is_some();
        let visible = if shows { self.tables.by_id(table)?.read(&self.conn, key)? } else { None };
        let held = stored.as_ref().map(|s| (*self.memory.sets.of(s.set)).clone()).unwrap_or_default();
        let confirmed = match (&image, &stored) {
            (Some(image), _) => image.clone(),
            (None, Some(_)) => visible.clone().map(|cells| self.only_held(table, &held, cells)),
            (None, None) => None,
        };
        let versions = match stored.as_ref().and_then(|s| s.versions.as_deref()) {
            Some(bytes) => decode(bytes)?,
            None => FlatMap::new(),
        };
        Ok(RowWork {
            seq: stored.as_ref().map_or(0, |s| s.seq),
            held,
            versions,
            confirmed,
            visible,
            stored,
            had_image: image.is_some(),
        })
    }

    /// The confirmed image set aside; `None`: none is; `Some(None)`: the row is not confirmed.
    fn image(&self, table: i64, key: &[u8]) -> Result<Option<Option<Cells>>, DbError> {
        let sql = "SELECT image FROM _landfall_images WHERE tbl = ? AND key = ?";
        let image = self.conn.prepare_cached(sql)?.query_row(params![table, key], |r| r.get::<_, Option<Vec<u8>>>(0));
        image.optional()?.map(|bytes| bytes.map(|b| decode(&b)).transpose()).transpose()
    }

    /// The cells of columns that some bucket of the set shows.
    pub(super) fn only_held(&self, table: i64, held: &FlatSet<BucketId>, mut cells: Cells) -> Cells {
        if held.contains(&LEFTOVER) {
            return cells;
        }
        let Ok(app) = self.tables.by_id(table) else { return cells };
        let buckets: Vec<_> = held.iter().filter_map(|id| self.memory.buckets.get(id)).collect();
        cells.retain(|name, _| app.table.is_key(name) || buckets.iter().any(|b| b.shows(name)));
        cells
    }

    /// The base of a cell: the sequence up to which the device's confirmed copy of it is current; 0 for one that it
    /// does not hold.
    pub(super) fn cell_base(&self, held: &FlatSet<BucketId>, seq: u64, column: &str) -> u64 {
        let cut = self.memory.meta.cut;
        let alone = held.len() == 1;
        let base = |id: &BucketId| {
            if *id == LEFTOVER {
                return Some(seq);
            }
            let bucket = self.memory.buckets.get(id).filter(|b| b.shows(column))?;
            // A row held by one bucket was seen as of its own last change, even if the bucket is behind that.
            let own = if alone && bucket.state != BucketState::Stale { seq } else { 0 };
            Some(bucket.position(cut).max(own))
        };
        held.iter().filter_map(base).max().unwrap_or(0)
    }

    /// Of these columns of a row, those in which an unsettled write of this device hides what others write: with the base of that
    /// write. Where changes are merged into what is confirmed, as under `counter`, nothing is hidden.
    pub(super) fn hidden_since<'a>(
        &self,
        table: i64,
        key: &RowKey,
        columns: impl Iterator<Item = &'a Column>,
    ) -> Result<FlatMap<String, u64>, DbError> {
        let mut wanted: Vec<&Column> = columns.filter(|column| column.merge.change().is_none()).collect();
        let mut out = FlatMap::new();
        let entries = self.pending_on(table, &key.to_bytes())?;
        let name = self.tables.by_id(table)?.name();
        // What the newest one has not seen of a column, those before it have not either: it was told by them in turn.
        for rseq in entries.into_iter().rev() {
            if wanted.is_empty() {
                break;
            }
            let entry = self.entry_operations(rseq)?;
            for operation in entry.on(name, key) {
                match operation {
                    Operation::Insert { base, .. } | Operation::Delete { base, .. } => {
                        out.extend(wanted.drain(..).map(|column| (column.name.clone(), *base)));
                    }
                    Operation::Update { base, cells, .. } => wanted.retain(|column| {
                        let write = cells.iter().find(|cell| cell.column == column.name);
                        if let Some(write) = write {
                            out.insert(column.name.clone(), write.base.unwrap_or(*base));
                        }
                        write.is_none()
                    }),
                }
            }
        }
        Ok(out)
    }

    /// The operations of an unsettled entry.
    pub(super) fn entry_operations(&self, rseq: u64) -> Result<EntryOperations, DbError> {
        let sql = "SELECT body, preview FROM _landfall_outbox WHERE rseq = ?";
        let (body, preview): (Vec<u8>, Option<Vec<u8>>) =
            self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| Ok((r.get(0)?, r.get(1)?)))?;
        operations(&body, preview.as_deref())
    }

    /// The rows with unsettled entries.
    fn pending_rows(&self) -> Result<RowIds, DbError> {
        let sql = "SELECT tbl, key FROM _landfall_touched UNION SELECT tbl, key FROM _landfall_images";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.try_gather()?)
    }

    /// Unsettled entries that show on a row, oldest first.
    pub(super) fn pending_on(&self, table: i64, key: &[u8]) -> Result<Vec<u64>, DbError> {
        let sql = "SELECT rseq FROM _landfall_touched WHERE tbl = ? AND key = ? ORDER BY rseq";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![table, key], |r| r.get::<_, i64>(0))?;
        Ok(rows.map(|r| r.map(|v| v as u64)).collect::<rusqlite::Result<_>>()?)
    }

    /// How far the server has counted an entry, as far as that is known here.
    fn counted(&self, rseq: u64) -> Result<Counted, DbError> {
        let sql = "SELECT seq, handed FROM _landfall_outbox WHERE rseq = ?";
        let found = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| {
            Ok(Counted {
                seq: r.get::<_, Option<i64>>(0)?.map(|seq| seq as u64),
                was_settled: r.get::<_, i64>(1)? == SETTLED,
            })
        });
        Ok(found.optional()?.unwrap_or_default())
    }

    /// Whether the confirmed cell has what an entry adds to it. Where a bucket brings the cell it is current as far as that is;
    /// else an older copy has it, perhaps of a history that the server has lost.
    fn has_counted(&self, work: &RowWork, column: &str, counted: Counted) -> bool {
        let cut = self.memory.meta.cut;
        let buckets = || work.held.iter().filter_map(|id| Some((id, self.memory.buckets.get(id)?)));
        let mut current = buckets().filter(|(_, b)| b.state != BucketState::Stale && b.shows(column)).peekable();
        if current.peek().is_some() {
            let reaches = |seq: u64| current.any(|(id, b)| seq <= b.position(cut).max(work.version(*id)));
            return counted.seq.is_some_and(reaches);
        }
        let by = |seq: u64| counted.seq.is_some_and(|counted| counted <= seq);
        let copies = || buckets().filter(|(_, b)| b.state == BucketState::Stale && b.shows(column));
        copies().any(|(id, b)| match b.stale_of {
            Some(OF_OTHER_HISTORY) => counted.was_settled,
            _ => by(b.at.max(work.version(*id))),
        }) || (work.held.contains(&LEFTOVER) && (counted.was_settled || by(work.seq)))
    }

    /// Writes every row of the batch and says what changed visibly.
    pub(super) fn flush(&mut self, batch: Batch, changes: &mut ChangeSet) -> Result<(), DbError> {
        let Batch { rows, entries, pending } = batch;
        let mut entries = Batch { rows: WideMap::new(), entries, pending };
        for ((table, key), work) in rows {
            self.flush_row(table, key, work, &mut entries, changes)?;
        }
        Ok(())
    }

    fn flush_row(
        &mut self,
        table: i64,
        key: RowKey,
        mut work: RowWork,
        entries: &mut Batch,
        changes: &mut ChangeSet,
    ) -> Result<(), DbError> {
        let bytes = key.to_bytes();
        let id = (table, bytes);
        let pends = entries.pending.as_ref().is_none_or(|rows| rows.contains(&id));
        let bytes = id.1;
        // An event takes entries out of the overlay, or puts some back whose rows it knows one by one.
        let pending = if pends { self.pending_on(table, &bytes)? } else { Vec::new() };
        if pending.is_empty() {
            work.held.remove(&LEFTOVER);
        }
        let confirmed = match work.confirmed.take() {
            Some(cells) if !work.held.is_empty() => Some(self.only_held(table, &work.held, cells)),
            _ => None,
        };
        self.watch_flushed(table, &bytes, !pending.is_empty());
        self.save_record(table, &bytes, &mut work)?;
        self.save_image(table, &bytes, &work, confirmed.as_ref(), !pending.is_empty())?;
        let tables = Arc::clone(&self.tables);
        let app = tables.by_id(table)?;
        let mut visible = confirmed;
        // What is deleted and made again does not begin with what is confirmed.
        let mut is_over_confirmed = visible.is_some();
        for &rseq in &pending {
            let entry = entries.entry(self, rseq)?;
            // What is confirmed has the increments that the server had accepted by then.
            let counted = if entry.has_changes { self.counted(rseq)? } else { Counted::default() };
            let has = |write: &CellWrite| {
                let has = is_over_confirmed && self.has_counted(&work, &write.column, counted);
                has && !mutant::active("increment-doubled")
            };
            visible = preview(app, &key, visible, &entry, has);
            is_over_confirmed &= visible.is_some();
        }
        let visible = visible.map(|cells| whole(app, cells));
        if visible != work.visible {
            if let (Some(seen), None) = (&work.visible, &visible) {
                // Should the server refuse what waits on it, this is all there is to make the row again from.
                let seen = vec![(app.name().to_owned(), key.clone(), seen.clone())];
                pending.iter().try_for_each(|rseq| self.keep_images(*rseq, seen.clone()))?;
            }
            app.put(&self.conn, &key, work.visible.as_ref(), visible.as_ref())?;
            changes.record(app.name(), key, work.visible, visible);
        }
        Ok(())
    }

    fn save_record(&mut self, table: i64, key: &[u8], work: &mut RowWork) -> Result<(), DbError> {
        if work.held.is_empty() {
            if work.stored.is_some() {
                let sql = "DELETE FROM _landfall_rows WHERE tbl = ? AND key = ?";
                self.conn.prepare_cached(sql)?.execute(params![table, key])?;
            }
            return Ok(());
        }
        let set = self.intern(&work.held)?;
        let (seq, cut) = (work.seq, self.memory.meta.cut);
        let buckets = &self.memory.buckets;
        let behind = |id: &BucketId| buckets.get(id).is_some_and(|b| !b.is_complete(cut));
        work.versions.retain(|id, version| work.held.contains(id) && behind(id) && *version != seq);
        let versions = (!work.versions.is_empty()).then(|| encode(&work.versions));
        let same = work.stored.as_ref().is_some_and(|s| s.seq == seq && s.set == set && s.versions == versions);
        if !same {
            let sql = "INSERT INTO _landfall_rows (tbl, key, seq, held, versions) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT (tbl, key) DO UPDATE SET seq = ?3, held = ?4, versions = ?5";
            self.conn.prepare_cached(sql)?.execute(params![table, key, seq as i64, set, versions])?;
        }
        Ok(())
    }

    fn save_image(
        &self,
        table: i64,
        key: &[u8],
        work: &RowWork,
        confirmed: Option<&Cells>,
        pending: bool,
    ) -> Result<(), DbError> {
        if pending {
            self.set_image(table, key, confirmed)
        } else if work.had_image {
            let sql = "DELETE FROM _landfall_images WHERE tbl = ? AND key = ?";
            self.conn.prepare_cached(sql)?.execute(params![table, key])?;
            Ok(())
        } else {
            Ok(())
        }
    }

    /// Sets the confirmed image of a row aside.
    pub(super) fn set_image(&self, table: i64, key: &[u8], image: Option<&Cells>) -> Result<(), DbError> {
        let sql = "INSERT INTO _landfall_images (tbl, key, image) VALUES (?1, ?2, ?3)
                   ON CONFLICT (tbl, key) DO UPDATE SET image = ?3 WHERE image IS NOT ?3";
        self.conn.prepare_cached(sql)?.execute(params![table, key, image.map(encode)])?;
        Ok(())
    }

    /// The number of a membership set.
    pub(super) fn intern(&mut self, set: &FlatSet<BucketId>) -> Result<i64, DbError> {
        if let Some(id) = self.memory.sets.by_set.get(set) {
            return Ok(*id);
        }
        self.conn.prepare_cached("INSERT INTO _landfall_sets (buckets) VALUES (?)")?.execute([print_set(set)])?;
        let id = self.conn.last_insert_rowid();
        Arc::make_mut(&mut self.memory.sets).insert(id, set.clone());
        Ok(id)
    }
}

/// An entry's operations from its stored form.
pub(super) fn operations(body: &[u8], preview: Option<&[u8]>) -> Result<EntryOperations, DbError> {
    let transaction: Transaction = decode(body)?;
    let preview: Vec<Operation> = preview.map(decode).transpose()?.unwrap_or_default();
    Ok(EntryOperations::new(transaction.operations.into_iter().chain(preview)))
}

fn preview(
    app: &AppTable,
    key: &RowKey,
    row: Option<Cells>,
    entry: &EntryOperations,
    has: impl Fn(&CellWrite) -> bool,
) -> Option<Cells> {
    let Some(operations) = entry.by_row.get(&(app.name().to_owned(), key.clone())) else { return row };
    operations.iter().fold(row, |row, operation| operation.preview_but(row, &app.table, &has))
}

/// All columns; NULL for one that is not held, as SQL shows it.
fn whole(app: &AppTable, mut cells: Cells) -> Cells {
    for column in &app.table.columns {
        if !cells.contains_key(&column.name) {
            cells.insert(column.name.clone(), Value::Null);
        }
    }
    cells
}
