//! The commit path's transaction on SQLite. The write lock is held from the start, so nothing comes between a read and
//! the commit.

use landfall_core::hash::ContentHash;
use landfall_core::merge::{RowMeta, StoredRow};
use landfall_core::schema::ddl::quote;
use landfall_core::schema::docs::{DOC_COLUMN, DOC_ID, DOC_SEQ, DOC_UPDATE};
use landfall_core::txn::Origin;
use landfall_core::{BucketId, ReplicaId, RowKey, Value};
use landfall_protocol::Outcome;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params, params_from_iter};

use super::read::{REPLICA_STATE, log_entry, read_replica_state};
use super::tables::TableSql;
use super::values::Bind;
use crate::commit::{Book, Decided, DocSize, Exists, Found, LogEntry, StoreTx, stamp_bytes};
use crate::store::{ReplicaState, StoreError};

/// A transaction that is open on `conn`.
pub(super) struct SqliteTx<'a> {
    conn: &'a Connection,
    tables: &'a [TableSql],
    /// The statements used so far, by where their text stands. The connection's cache hashes the text, takes the
    /// statement out and puts it back at each use: as much work as a small statement itself.
    held: Vec<(&'a str, CachedStatement<'a>)>,
}

impl<'a> SqliteTx<'a> {
    pub(super) fn new(conn: &'a Connection, tables: &'a [TableSql]) -> Self {
        Self { conn, tables, held: Vec::new() }
    }

    fn statement(&mut self, sql: &'a str) -> Result<&mut CachedStatement<'a>, StoreError> {
        let at = match self.held.iter().position(|(text, _)| std::ptr::eq(*text, sql)) {
            Some(at) => at,
            None => {
                self.held.push((sql, self.conn.prepare_cached(sql)?));
                self.held.len() - 1
            }
        };
        Ok(&mut self.held[at].1)
    }

    fn run(&mut self, sql: &'a str) -> Result<(), StoreError> {
        self.statement(sql)?.execute([])?;
        Ok(())
    }

    fn put_bookkeeping(
        &mut self,
        table: &TableSql,
        key: &RowKey,
        meta: &RowMeta,
        recorded: (Option<u64>, Option<&[u8]>),
        known: bool,
    ) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO _landfall_rows (seq, hash, meta, image, tbl, key) VALUES (?, ?, ?, ?, ?, ?)";
        const UPDATE: &str =
            "UPDATE _landfall_rows SET seq = ?, hash = ?, meta = ?, image = ? WHERE tbl = ? AND key = ?";
        // Writing to a Vec cannot fail.
        let bytes = minicbor::to_vec(meta).unwrap_or_default();
        let (hash, image) = recorded;
        let seq = signed(meta.last_seq());
        let statement = self.statement(if known { UPDATE } else { INSERT })?;
        statement.execute(params![seq, hash.map(signed), bytes, image, table.name, key.to_bytes()])?;
        Ok(())
    }
}

/// SQLite's integers are signed; the bits are the same.
pub(super) fn signed(value: u64) -> i64 {
    value as i64
}

pub(super) fn unsigned(value: i64) -> u64 {
    value as u64
}

impl<'a> StoreTx for SqliteTx<'a> {
    fn replica(&mut self, replica: &ReplicaId) -> Result<Option<ReplicaState>, StoreError> {
        Ok(self.statement(REPLICA_STATE)?.query_row([&replica.0], read_replica_state).optional()?)
    }

    fn put_replica(&mut self, replica: &ReplicaId, state: &ReplicaState, now_ms: u64) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO _landfall_replicas (replica, subject, last_rseq, floor, forgotten, seen_ms) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (replica) DO UPDATE SET subject = excluded.subject, \
             last_rseq = excluded.last_rseq, floor = excluded.floor, forgotten = excluded.forgotten, \
             seen_ms = excluded.seen_ms";
        let numbers = [state.last_rseq, state.floor, state.forgotten, now_ms].map(signed);
        let [last, floor, forgotten, seen] = numbers;
        self.statement(SQL)?.execute(params![replica.0, state.subject, last, floor, forgotten, seen])?;
        Ok(())
    }

    fn decided(&mut self, replica: &ReplicaId, rseq: u64) -> Result<Option<Decided>, StoreError> {
        const ACCEPTED: &str = "SELECT hash, seq FROM _landfall_log WHERE replica = ? AND rseq = ?";
        const REFUSED: &str = "SELECT hash, outcome FROM _landfall_refusals WHERE replica = ? AND rseq = ?";
        let by = params![replica.0, signed(rseq)];
        let accepted = |row: &rusqlite::Row<'_>| Ok((row.get::<_, ContentHash>(0)?, row.get::<_, i64>(1)?));
        if let Some((hash, seq)) = self.statement(ACCEPTED)?.query_row(by, accepted).optional()? {
            return Ok(Some(Decided { hash, outcome: Outcome::Accepted { seq: unsigned(seq) } }));
        }
        let refused = |row: &rusqlite::Row<'_>| Ok((row.get::<_, ContentHash>(0)?, row.get::<_, Vec<u8>>(1)?));
        match self.statement(REFUSED)?.query_row(by, refused).optional()? {
            Some((hash, outcome)) => Ok(Some(Decided { hash, outcome: minicbor::decode(&outcome)? })),
            None => Ok(None),
        }
    }

    fn origin(&mut self, subject: &str, origin: &Origin) -> Result<Option<Outcome>, StoreError> {
        const SQL: &str =
            "SELECT outcome FROM _landfall_origins WHERE subject = ? AND replica = ? AND rseq = ? AND hash = ?";
        let by = params![subject, origin.replica.0, signed(origin.rseq), origin.hash];
        let outcome = self.statement(SQL)?.query_row(by, |row| row.get::<_, Vec<u8>>(0)).optional()?;
        Ok(outcome.map(|outcome| minicbor::decode(&outcome)).transpose()?)
    }

    fn put_origin(&mut self, subject: &str, origin: &Origin, outcome: &Outcome, now_ms: u64) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO _landfall_origins (subject, replica, rseq, hash, outcome, at_ms) \
             VALUES (?, ?, ?, ?, ?, ?)";
        // Writing to a Vec cannot fail.
        let outcome = minicbor::to_vec(outcome).unwrap_or_default();
        let row = params![subject, origin.replica.0, signed(origin.rseq), origin.hash, outcome, signed(now_ms)];
        self.statement(SQL)?.execute(row)?;
        Ok(())
    }

    fn has_origins(&mut self) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM _landfall_origins)";
        Ok(self.statement(SQL)?.query_row([], |row| row.get(0))?)
    }

    fn put_decision(
        &mut self,
        replica: &ReplicaId,
        rseq: u64,
        hash: &ContentHash,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO _landfall_refusals (replica, rseq, hash, outcome) VALUES (?, ?, ?, ?)";
        // Writing to a Vec cannot fail.
        let outcome = minicbor::to_vec(outcome).unwrap_or_default();
        self.statement(SQL)?.execute(params![replica.0, signed(rseq), hash, outcome])?;
        Ok(())
    }

    fn row(&mut self, table: usize, key: &RowKey) -> Result<Found, StoreError> {
        const BOOK: &str = "SELECT hash, meta, image FROM _landfall_rows WHERE tbl = ? AND key = ?";
        let tables = self.tables;
        let table = &tables[table];
        let select = self.statement(&table.select)?;
        let cells = select.query_row(params_from_iter(key.0.iter().map(Bind)), |row| table.cells(row)).optional()?;
        let book = |row: &rusqlite::Row<'_>| {
            let meta = minicbor::decode::<RowMeta>(row.get_ref(1)?.as_blob()?).map_err(StoreError::from);
            Ok((row.get::<_, Option<i64>>(0)?, meta, row.get::<_, Option<Vec<u8>>>(2)?))
        };
        let found = self.statement(BOOK)?.query_row(params![table.name, key.to_bytes()], book).optional()?;
        let book = match found {
            Some((hash, meta, image)) => Some(Book { hash: hash.map(unsigned), meta: meta?, image }),
            None => None,
        };
        Ok(Found { cells, book })
    }

    fn doc_sizes(&mut self, docs: usize, row: &Value, column: Option<&Value>) -> Result<Vec<DocSize>, StoreError> {
        let tables = self.tables;
        let docs = &tables[docs];
        // The key, the row, the column: the order in which such a table is made.
        let (name, of) = (quote(&docs.name), quote(&docs.columns[1].0));
        let by_column = if column.is_some() { format!(" AND {DOC_COLUMN} = ?") } else { String::new() };
        let sql = format!(
            "SELECT {DOC_ID}, length({DOC_UPDATE}) FROM {name} WHERE {of} = ?{by_column} ORDER BY {DOC_SEQ}, {DOC_ID}"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(std::iter::once(row).chain(column).map(Bind)))?;
        let mut sizes = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some(key) = docs.key_alone(row)? {
                sizes.push(DocSize { key, bytes: unsigned(row.get(1)?) as usize });
            }
        }
        Ok(sizes)
    }

    fn put_row(
        &mut self,
        table: usize,
        key: &RowKey,
        row: &StoredRow,
        hash: u64,
        exists: Exists,
    ) -> Result<(), StoreError> {
        let tables = self.tables;
        let table = &tables[table];
        let null = Value::Null;
        let cell = |at: usize| Bind(row.cells.get(&table.columns[at].0).unwrap_or(&null));
        if !exists.row {
            let values = (0..table.columns.len()).map(cell);
            self.statement(&table.insert)?.execute(params_from_iter(values))?;
        } else if let Some(update) = &table.update {
            let values = table.data.iter().copied().map(cell).chain(key.0.iter().map(Bind));
            self.statement(update)?.execute(params_from_iter(values))?;
        }
        self.put_bookkeeping(table, key, &row.meta, (Some(hash), None), exists.book)
    }

    fn put_book(
        &mut self,
        table: usize,
        key: &RowKey,
        meta: &RowMeta,
        hash: u64,
        exists: Exists,
    ) -> Result<(), StoreError> {
        let tables = self.tables;
        self.put_bookkeeping(&tables[table], key, meta, (Some(hash), None), exists.book)
    }

    fn put_tombstone(
        &mut self,
        table: usize,
        key: &RowKey,
        meta: &RowMeta,
        image: &[u8],
        exists: Exists,
    ) -> Result<(), StoreError> {
        let tables = self.tables;
        let table = &tables[table];
        if exists.row {
            self.statement(&table.delete)?.execute(params_from_iter(key.0.iter().map(Bind)))?;
        }
        self.put_bookkeeping(table, key, meta, (None, Some(image)), exists.book)
    }

    fn forget_row(&mut self, table: usize, key: &RowKey) -> Result<(), StoreError> {
        const BOOK: &str = "DELETE FROM _landfall_rows WHERE tbl = ? AND key = ?";
        let tables = self.tables;
        let table = &tables[table];
        self.statement(&table.delete)?.execute(params_from_iter(key.0.iter().map(Bind)))?;
        self.statement(BOOK)?.execute(params![table.name, key.to_bytes()])?;
        Ok(())
    }

    fn referrers(
        &mut self,
        table: usize,
        column: &str,
        value: &Value,
        limit: usize,
    ) -> Result<Vec<RowKey>, StoreError> {
        let table = &self.tables[table];
        let mut statement = self.conn.prepare_cached(&table.referrers(column))?;
        let mut rows = statement.query(params![Bind(value), limit as i64])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            keys.extend(table.key_alone(row)?);
        }
        Ok(keys)
    }

    fn exists(&mut self, table: usize, key: &RowKey) -> Result<bool, StoreError> {
        let tables = self.tables;
        let statement = self.statement(&tables[table].exists)?;
        Ok(statement.exists(params_from_iter(key.0.iter().map(Bind)))?)
    }

    fn is_taken(&mut self, table: usize, column: &str, value: &Value, except: &RowKey) -> Result<bool, StoreError> {
        let mut statement = self.conn.prepare_cached(&self.tables[table].taken(column))?;
        let binds = std::iter::once(value).chain(&except.0).map(Bind);
        Ok(statement.exists(params_from_iter(binds))?)
    }

    fn append(&mut self, entry: &LogEntry) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO _landfall_log (seq, replica, rseq, hash, chain, at_ms, subject, stamp, body) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let [seq, rseq, chain, at_ms] = [entry.seq, entry.rseq, entry.chain, entry.at_ms].map(signed);
        self.statement(SQL)?.execute(params![
            seq,
            entry.replica.0,
            rseq,
            entry.hash,
            chain,
            at_ms,
            entry.subject,
            stamp_bytes(&entry.stamp),
            entry.body()
        ])?;
        Ok(())
    }

    fn log_entry(&mut self, seq: u64) -> Result<Option<LogEntry>, StoreError> {
        log_entry(self.conn, seq)
    }

    fn append_run(&mut self, bucket: BucketId, seq: u64, run: &[u8]) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO _landfall_bucket_log (bucket, seq, run) VALUES (?, ?, ?)";
        self.statement(SQL)?.execute(params![signed(bucket.0), signed(seq), run])?;
        Ok(())
    }

    fn savepoint(&mut self) -> Result<(), StoreError> {
        self.run("SAVEPOINT entry")
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.run("RELEASE entry")
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK TO entry")?;
        self.run("RELEASE entry")
    }
}
