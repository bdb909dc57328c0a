//! Reading: what the writer and the readers share, and the reader itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_core::hash::{Cells, ContentHash};
use landfall_core::schema::ddl::quote;
use landfall_core::schema::docs::{DOC_COLUMN, DOC_ID, DOC_SEQ, DOC_UPDATE};
use landfall_core::{BucketId, Epoch, ReplicaId, RowKey, Stamp, Value};
use landfall_protocol::RowBlock;
use landfall_protocol::server::AcceptedEntry;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Rows, params, params_from_iter};

use super::tables::TableSql;
use super::tx::{signed, unsigned};
use super::values::Bind;
use crate::buckets::{Bucket, Template, decode_env};
use crate::commit::{LogEntry, stamp_from};
use crate::store::{Document, Head, KeySpan, LogSlice, Page, ReplicaState, StoreError, StoreReader};

/// Rows that a page looks at for each row that it may return.
const LOOKED_AT_PER_ROW: usize = 20;
/// Rows are counted up to here for progress bars.
const COUNT_LIMIT: i64 = 1_000_000;

/// A connection. Each has one user at a time; only in exclusive mode writer and readers share one.
pub(super) type Shared = Arc<Mutex<Connection>>;

pub(super) fn lock(conn: &Shared) -> MutexGuard<'_, Connection> {
    // A panic elsewhere does not damage a connection: an open transaction is rolled back by whoever comes next.
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads on one connection.
pub(super) struct SqliteReader {
    pub(super) conn: Shared,
    pub(super) tables: Arc<Vec<TableSql>>,
    pub(super) templates: Arc<BTreeMap<ContentHash, Arc<Template>>>,
}

pub(super) fn meta(conn: &Connection, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT value FROM _landfall_meta WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

pub(super) fn meta_number(conn: &Connection, name: &str) -> Result<u64, StoreError> {
    match meta(conn, name)? {
        None => Ok(0),
        Some(bytes) => {
            let bytes = bytes.try_into().map_err(|_| StoreError::Damaged(format!("'{name}' is not a number")))?;
            Ok(u64::from_be_bytes(bytes))
        }
    }
}

pub(super) fn read_head(conn: &Connection) -> Result<Head, StoreError> {
    let epoch = meta(conn, "epoch")?.and_then(|bytes| bytes.try_into().ok()).map(Epoch);
    let epoch = epoch.ok_or_else(|| StoreError::Damaged("there is no epoch".into()))?;
    let mut last = conn.prepare_cached("SELECT seq, chain FROM _landfall_log ORDER BY seq DESC LIMIT 1")?;
    let found = last.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (seq, chain) = found.map_or((0, 0), |(seq, chain)| (unsigned(seq), unsigned(chain)));
    Ok(Head { epoch, seq, chain })
}

/// A replica's state; binds its id.
pub(super) const REPLICA_STATE: &str =
    "SELECT subject, last_rseq, floor, forgotten FROM _landfall_replicas WHERE replica = ?";

pub(super) fn read_replica_state(row: &rusqlite::Row<'_>) -> rusqlite::Result<ReplicaState> {
    Ok(ReplicaState {
        subject: row.get(0)?,
        last_rseq: unsigned(row.get(1)?),
        floor: unsigned(row.get(2)?),
        forgotten: unsigned(row.get(3)?),
    })
}

pub(super) fn replica_state(conn: &Connection, replica: &ReplicaId) -> Result<Option<ReplicaState>, StoreError> {
    Ok(conn.prepare_cached(REPLICA_STATE)?.query_row([&replica.0], read_replica_state).optional()?)
}

pub(super) fn log_entry(conn: &Connection, seq: u64) -> Result<Option<LogEntry>, StoreError> {
    const SQL: &str = "SELECT replica, rseq, hash, chain, at_ms, subject, stamp, body FROM _landfall_log \
         WHERE seq = ? AND body IS NOT NULL";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query([signed(seq)])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let stamp =
        stamp_from(&row.get::<_, Vec<u8>>(6)?).ok_or_else(|| StoreError::Damaged("a stamp in the log".into()))?;
    Ok(Some(LogEntry {
        seq,
        replica: ReplicaId(row.get(0)?),
        rseq: unsigned(row.get(1)?),
        hash: row.get(2)?,
        chain: unsigned(row.get(3)?),
        at_ms: unsigned(row.get(4)?),
        subject: row.get(5)?,
        stamp,
        changes: minicbor::decode(&row.get::<_, Vec<u8>>(7)?)?,
    }))
}

/// A row of `SELECT id, template, env, created_seq FROM _landfall_buckets`; `None` when the schema no longer has its
/// template.
pub(super) fn read_bucket(
    row: &rusqlite::Row<'_>,
    templates: &BTreeMap<ContentHash, Arc<Template>>,
) -> Result<Option<Bucket>, StoreError> {
    let Some(template) = templates.get(&row.get::<_, ContentHash>(1)?) else {
        return Ok(None);
    };
    let env = decode_env(&row.get::<_, Vec<u8>>(2)?)?;
    let id = BucketId(unsigned(row.get(0)?));
    Ok(Some(Bucket { id, template: Arc::clone(template), env: Arc::new(env), since: unsigned(row.get(3)?) }))
}

/// The equalities that narrow down a bucket's rows, as columns and values.
pub(super) fn narrowing(bucket: &Bucket) -> (Vec<String>, Vec<Value>) {
    let pairs = bucket.template.equalities.iter().map(|(column, operand)| (column.clone(), operand.value(&bucket.env)));
    pairs.unzip()
}

impl SqliteReader {
    fn table(&self, bucket: &Bucket) -> Result<&TableSql, StoreError> {
        let named = self.tables.iter().find(|t| t.name == bucket.template.table);
        named.ok_or_else(|| StoreError::Damaged(format!("a bucket of the table '{}'", bucket.template.table)))
    }
}

impl StoreReader for SqliteReader {
    fn head(&self) -> Result<Head, StoreError> {
        read_head(&lock(&self.conn))
    }

    fn chain_at(&self, seq: u64) -> Result<Option<u64>, StoreError> {
        let conn = lock(&self.conn);
        if seq == 0 {
            return Ok(Some(0));
        }
        let mut statement = conn.prepare_cached("SELECT chain FROM _landfall_log WHERE seq = ?")?;
        Ok(statement.query_row([signed(seq)], |row| row.get(0)).optional()?.map(unsigned))
    }

    fn accepted(
        &self,
        replica: ReplicaId,
        runs: &[(u64, u64)],
        limit: usize,
    ) -> Result<Vec<AcceptedEntry>, StoreError> {
        let conn = lock(&self.conn);
        const RUN: &str = "SELECT rseq, seq, hash FROM _landfall_log WHERE replica = ? AND rseq BETWEEN ? AND ? \
             ORDER BY rseq LIMIT ?";
        let mut statement = conn.prepare_cached(RUN)?;
        let mut found = Vec::new();
        for (first, last) in runs {
            let left = limit - found.len();
            let bound = |number: &u64| i64::try_from(*number).unwrap_or(i64::MAX);
            let run = (replica.0, bound(first), bound(last), i64::try_from(left).unwrap_or(i64::MAX));
            let rows = statement.query_map(run, |row| {
                Ok(AcceptedEntry { rseq: unsigned(row.get(0)?), seq: unsigned(row.get(1)?), hash: row.get(2)? })
            })?;
            for known in rows {
                found.push(known?);
            }
        }
        Ok(found)
    }

    fn seq_at(&self, at_ms: u64) -> Result<u64, StoreError> {
        let conn = lock(&self.conn);
        // The log has no index by time: it is in order of time, but for clocks that were set back.
        const AT: &str = "SELECT at_ms FROM _landfall_log WHERE seq >= ? ORDER BY seq LIMIT 1";
        let mut at = conn.prepare_cached(AT)?;
        let (mut low, mut high) = (meta_number(&conn, "log_from")?, read_head(&conn)?.seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let then = at.query_row([signed(middle)], |row| row.get(0)).optional()?.map(unsigned);
            if then.is_some_and(|then| then < at_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn oldest_seq(&self) -> Result<u64, StoreError> {
        meta_number(&lock(&self.conn), "log_from")
    }

    fn bucket(&self, id: BucketId) -> Result<Option<Bucket>, StoreError> {
        const SQL: &str = "SELECT id, template, env, created_seq FROM _landfall_buckets WHERE id = ? AND retired = 0";
        let conn = lock(&self.conn);
        let mut statement = conn.prepare_cached(SQL)?;
        let mut rows = statement.query([signed(id.0)])?;
        match rows.next()? {
            Some(row) => read_bucket(row, &self.templates),
            None => Ok(None),
        }
    }

    fn bucket_log(&self, bucket: BucketId, after: u64, up_to: u64, max_bytes: usize) -> Result<LogSlice, StoreError> {
        const SQL: &str =
            "SELECT seq, run FROM _landfall_bucket_log WHERE bucket = ? AND seq > ? AND seq <= ? ORDER BY seq";
        let conn = lock(&self.conn);
        let mut statement = conn.prepare_cached(SQL)?;
        let mut rows = statement.query(params![signed(bucket.0), signed(after), signed(up_to)])?;
        let (mut runs, mut bytes) = (Vec::new(), 0usize);
        while let Some(row) = rows.next()? {
            let (seq, run) = (unsigned(row.get(0)?), row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
            if !runs.is_empty() && bytes + run.len() > max_bytes {
                // Everything before this run is in the slice.
                return Ok(LogSlice { runs, to: seq - 1 });
            }
            bytes += run.len();
            runs.push((seq, run.to_vec()));
        }
        Ok(LogSlice { runs, to: up_to })
    }

    fn stamp_max(&self, after: u64, up_to: u64) -> Result<Stamp, StoreError> {
        const SQL: &str = "SELECT max(stamp) FROM _landfall_log WHERE seq > ? AND seq <= ?";
        let conn = lock(&self.conn);
        let mut statement = conn.prepare_cached(SQL)?;
        let found: Option<Vec<u8>> = statement.query_row([signed(after), signed(up_to)], |row| row.get(0))?;
        let damaged = || StoreError::Damaged("a stamp in the log".into());
        found.map_or(Ok(Stamp::default()), |bytes| stamp_from(&bytes).ok_or_else(damaged))
    }

    fn page(&self, bucket: &Bucket, keys: KeySpan<'_>, max_rows: usize, max_bytes: usize) -> Result<Page, StoreError> {
        let conn = lock(&self.conn);
        let table = self.table(bucket)?;
        let snapshot = conn.unchecked_transaction()?;
        let read_at = read_head(&snapshot)?.seq;
        let after_key = keys.after;
        let mut page = PageBuilder::new(table, bucket, max_rows.max(1), max_bytes);
        page.until = keys.until.map(RowKey::to_bytes);
        let (columns, values) = narrowing(bucket);
        let mut walk = snapshot.prepare_cached(Sequences::WALK)?;
        let mut sequences = Sequences {
            table: &table.name,
            one: snapshot.prepare_cached(Sequences::ONE)?,
            walk: Some(walk.query(params![table.name, after_key.map(RowKey::to_bytes).unwrap_or_default()])?),
            key: Vec::new(),
            seq: 0,
            steps: 0,
        };
        let mut scan = snapshot.prepare_cached(&table.scan(&columns, after_key.is_some()))?;
        let binds = values.iter().chain(after_key.into_iter().flat_map(|key| &key.0)).map(Bind);
        let mut rows = scan.query(params_from_iter(binds))?;
        let mut more = false;
        while let Some(row) = rows.next()? {
            if page.is_full() {
                more = true;
                break;
            }
            if !page.look_at(row, |key| sequences.of(key))? {
                break;
            }
        }
        let ended = |last: &RowKey| page.until.as_ref().is_some_and(|until| last.to_bytes() >= *until);
        more &= !page.last_key.as_ref().is_some_and(ended);
        Ok(Page { read_at, rows: page.rows, last_key: page.last_key, more })
    }

    fn count_rows(&self, bucket: &Bucket) -> Result<u64, StoreError> {
        let conn = lock(&self.conn);
        let (columns, values) = narrowing(bucket);
        let limit = Value::Int(COUNT_LIMIT);
        let mut statement = conn.prepare_cached(&self.table(bucket)?.count(&columns))?;
        Ok(unsigned(statement.query_row(params_from_iter(values.iter().chain([&limit]).map(Bind)), |row| row.get(0))?))
    }

    fn document(&self, table: &str, key: &RowKey, column: &str, whole: bool) -> Result<Option<Document>, StoreError> {
        let conn = lock(&self.conn);
        let Some(table) = self.tables.iter().find(|t| t.name == table) else { return Ok(None) };
        let [key_column] = table.key[..] else { return Ok(None) };
        let snapshot = conn.unchecked_transaction()?;
        let mut select = snapshot.prepare_cached(&table.select)?;
        let row = select.query_row(params_from_iter(key.0.iter().map(Bind)), |row| table.cells(row)).optional()?;
        let Some(row) = row else { return Ok(None) };
        if !whole {
            return Ok(Some(Document { row, updates: Vec::new() }));
        }
        let (docs, of) = (quote(&format!("{}_docs", table.name)), quote(&table.columns[key_column].0));
        let sql =
            format!("SELECT {DOC_UPDATE} FROM {docs} WHERE {of} = ? AND {DOC_COLUMN} = ? ORDER BY {DOC_SEQ}, {DOC_ID}");
        let mut select = snapshot.prepare_cached(&sql)?;
        let column = Value::Text(column.to_owned());
        let updates = select.query_map(params_from_iter(key.0.iter().chain([&column]).map(Bind)), |row| row.get(0))?;
        let updates = updates.collect::<Result<Vec<Vec<u8>>, _>>()?;
        Ok(Some(Document { row, updates }))
    }

    fn log_entry(&self, seq: u64) -> Result<Option<LogEntry>, StoreError> {
        log_entry(&lock(&self.conn), seq)
    }
}

/// The sequence of each row of a page, by walking along the bookkeeping in step with the rows. Where the page is only a
/// small part of the table the walk would be long: then each is looked up.
struct Sequences<'a> {
    table: &'a str,
    one: CachedStatement<'a>,
    walk: Option<Rows<'a>>,
    /// Where the walk stands; no key before its first step.
    key: Vec<u8>,
    seq: u64,
    /// Steps that the walk may still take.
    steps: usize,
}

impl Sequences<'_> {
    const ONE: &'static str = "SELECT seq FROM _landfall_rows WHERE tbl = ? AND key = ?";
    const WALK: &'static str = "SELECT key, seq FROM _landfall_rows WHERE tbl = ? AND key > ? ORDER BY key";
    const STEPS_PER_ROW: usize = 4;

    fn of(&mut self, key: &[u8]) -> Result<u64, StoreError> {
        self.steps += Self::STEPS_PER_ROW;
        while self.key.as_slice() < key && self.step()? {}
        if self.key == key {
            return Ok(self.seq);
        }
        // The walk is at its end, or beyond the key: only a row from outside has no bookkeeping.
        let found = self.one.query_row(params![self.table, key], |row| row.get(0)).optional()?;
        Ok(found.map_or(0, unsigned))
    }

    /// Goes on by one; false when that is not possible or takes too long.
    fn step(&mut self) -> Result<bool, StoreError> {
        let Some(walk) = self.walk.as_mut().filter(|_| self.steps > 0) else {
            self.walk = None;
            return Ok(false);
        };
        self.steps -= 1;
        let Some(row) = walk.next()? else {
            self.walk = None;
            return Ok(false);
        };
        self.key.clear();
        self.key.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        self.seq = unsigned(row.get(1)?);
        Ok(true)
    }
}

/// Collects a page's rows, column by column.
struct PageBuilder<'a> {
    table: &'a TableSql,
    bucket: &'a Bucket,
    /// For each column of the bucket, its position in the table.
    positions: Vec<usize>,
    /// Positions of the columns that the condition looks at.
    asked: Vec<usize>,
    /// Their values in the present row.
    cells: Cells,
    rows: RowBlock,
    /// The key with which the page ends, as stored.
    until: Option<Vec<u8>>,
    last_key: Option<RowKey>,
    looked_at: usize,
    max_rows: usize,
    bytes_left: usize,
}

impl<'a> PageBuilder<'a> {
    fn new(table: &'a TableSql, bucket: &'a Bucket, max_rows: usize, max_bytes: usize) -> Self {
        let columns = &bucket.template.columns;
        let position = |name: &String| table.columns.iter().position(|(own, _)| own == name);
        let asked = bucket.template.predicate.as_ref().map(|p| p.columns()).unwrap_or_default();
        Self {
            asked: asked.iter().filter_map(position).collect(),
            cells: Cells::new(),
            table,
            bucket,
            positions: columns.iter().filter_map(|(name, _)| position(name)).collect(),
            rows: RowBlock { seqs: Vec::new(), columns: columns.iter().map(|(_, ty)| (*ty, Vec::new())).collect() },
            until: None,
            last_key: None,
            looked_at: 0,
            max_rows,
            bytes_left: max_bytes,
        }
    }

    fn max_looked_at(&self) -> usize {
        self.max_rows.saturating_mul(LOOKED_AT_PER_ROW).min(1 << 20)
    }

    fn is_full(&self) -> bool {
        let some = !self.rows.is_empty();
        self.rows.len() >= self.max_rows || (some && self.bytes_left == 0) || self.looked_at >= self.max_looked_at()
    }

    /// Whether the row is in the bucket.
    fn holds(&mut self, row: &rusqlite::Row<'_>) -> Result<bool, StoreError> {
        for at in &self.asked {
            let (name, ty) = &self.table.columns[*at];
            let value = super::values::read(row.get_ref(*at)?, *ty);
            // The names are the same in each row.
            match self.cells.get_mut(name) {
                Some(cell) => *cell = value,
                None => drop(self.cells.insert(name.clone(), value)),
            }
        }
        Ok(self.bucket.holds(&self.cells))
    }

    /// Takes the next row; false when the page ends before it.
    fn look_at(
        &mut self,
        row: &rusqlite::Row<'_>,
        seq_of: impl FnOnce(&[u8]) -> Result<u64, StoreError>,
    ) -> Result<bool, StoreError> {
        // Another program wrote what is no key: nobody can name this row.
        let Some(key) = self.table.key_in(row)? else {
            return Ok(true);
        };
        let stored = key.to_bytes();
        if self.until.as_ref().is_some_and(|until| stored > *until) {
            return Ok(false);
        }
        self.looked_at += 1;
        if self.bucket.template.predicate.is_none() || self.holds(row)? {
            self.rows.seqs.push(seq_of(&stored)?);
            for ((ty, values), at) in self.rows.columns.iter_mut().zip(&self.positions) {
                let part = self.table.key.iter().position(|key| key == at).and_then(|part| key.0.get(part));
                let value = match part {
                    Some(part) => part.clone(),
                    None => super::values::read(row.get_ref(*at)?, *ty),
                };
                self.bytes_left = self.bytes_left.saturating_sub(value.size() + 1);
                values.push(value);
            }
        }
        self.last_key = Some(key);
        Ok(true)
    }
}
