//! Opening: whose database it is, creating and upgrading it, and polite refusals.
//!
//! The format version is the database's `user_version`; `application_id` says that it is a Landfall server's.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use landfall_core::hash::{ChainKey, ContentHash, row_hash};
use landfall_core::schema::Schema;
use landfall_core::schema::ddl::{Place, quote};
use landfall_core::{BucketId, Epoch};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::read::{meta, read_bucket};
use super::tables::TableSql;
use super::tx::{signed, unsigned};
use super::{Location, SqliteOptions};
use crate::buckets::{BucketIndex, Template};
use crate::store::{Fresh, StoreError};

/// `LFsv`: a Landfall server's database.
const APPLICATION_ID: i64 = 0x4c46_7376;
/// The format of the bookkeeping tables.
const FORMAT: i64 = 1;
/// How long another program may hold the write lock.
const BUSY: Duration = Duration::from_secs(10);
/// A checkpoint costs two syncs: not after every few transactions.
const CHECKPOINT_PAGES: i64 = 8_000;
const STATEMENTS: usize = 256;
/// So many buckets, as a power of two, may one process make before it uses the numbers of another.
const BUCKETS_BITS: u32 = 21;
/// Holds what a group changes, so that it is written once. Used only as far as needed.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

const TABLES: &str = "
CREATE TABLE _landfall_meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_rows (
  tbl TEXT NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, hash INTEGER, meta BLOB NOT NULL, image BLOB,
  PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_log (
  seq INTEGER PRIMARY KEY, replica BLOB NOT NULL, rseq INTEGER NOT NULL, hash BLOB NOT NULL, chain INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, subject TEXT NOT NULL, stamp BLOB NOT NULL, body BLOB
) STRICT;
CREATE UNIQUE INDEX _landfall_log_replica ON _landfall_log (replica, rseq);
CREATE TABLE _landfall_refusals (
  replica BLOB NOT NULL, rseq INTEGER NOT NULL, hash BLOB NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY (replica, rseq)
) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_replicas (
  replica BLOB PRIMARY KEY, subject TEXT NOT NULL, last_rseq INTEGER NOT NULL, floor INTEGER NOT NULL,
  forgotten INTEGER NOT NULL, seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE _landfall_buckets (
  id INTEGER PRIMARY KEY, template BLOB NOT NULL, env BLOB NOT NULL, created_seq INTEGER NOT NULL,
  retired INTEGER NOT NULL
) STRICT;
CREATE TABLE _landfall_bucket_log (
  bucket INTEGER NOT NULL, seq INTEGER NOT NULL, run BLOB NOT NULL, PRIMARY KEY (bucket, seq)
) STRICT, WITHOUT ROWID;
";

/// When buckets were last opened. A store without it is an older build's: its buckets count as opened now.
const USES: &str =
    "CREATE TABLE IF NOT EXISTS _landfall_bucket_uses (bucket INTEGER PRIMARY KEY, used_ms INTEGER NOT NULL) STRICT";

/// How transactions were decided that their databases queued anew, each by whose it is and what it was first. A store
/// without it is an older build's.
const ORIGINS: &str = "CREATE TABLE IF NOT EXISTS _landfall_origins (
    subject TEXT NOT NULL, replica BLOB NOT NULL, rseq INTEGER NOT NULL, hash BLOB NOT NULL, outcome BLOB NOT NULL,
    at_ms INTEGER NOT NULL, PRIMARY KEY (subject, replica, rseq, hash)
  ) STRICT, WITHOUT ROWID";

/// The database's name in messages.
fn shown(options: &SqliteOptions) -> String {
    match &options.location {
        Location::Path(path) => path.display().to_string(),
        Location::Vfs { name, .. } => name.clone(),
    }
}

/// Makes errors name the database.
fn named(options: &SqliteOptions) -> impl Fn(StoreError) -> StoreError {
    let path = shown(options);
    move |error| match error {
        StoreError::NotADatabase { detail, .. } => StoreError::NotADatabase { path: path.clone(), detail },
        StoreError::ReadOnly { detail, .. } => StoreError::ReadOnly { path: path.clone(), detail },
        StoreError::CannotOpen { detail, .. } => StoreError::CannotOpen { path: path.clone(), detail },
        other => other,
    }
}

/// Takes the lock that keeps another server away from the same file.
pub(super) fn lock_file(options: &SqliteOptions) -> Result<Option<File>, StoreError> {
    let Location::Path(path) = &options.location else {
        return Ok(None);
    };
    let mut name = path.clone().into_os_string();
    name.push(".lock");
    let refused = |error: std::io::Error| refused_by_system(path, &error);
    let file = File::options().create(true).append(true).open(Path::new(&name)).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.clone() }),
        Err(TryLockError::Error(error)) => Err(refused(error)),
    }
}

fn refused_by_system(path: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind as K;
    let (path, detail) = (path.display().to_string(), error.to_string());
    match error.kind() {
        K::PermissionDenied | K::ReadOnlyFilesystem => StoreError::ReadOnly { path, detail },
        K::StorageFull | K::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::CannotOpen { path, detail },
    }
}

fn open_with(options: &SqliteOptions, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = match &options.location {
        Location::Path(path) => Connection::open_with_flags(path, flags),
        Location::Vfs { name, vfs } => Connection::open_with_flags_and_vfs(name, flags, vfs.as_str()),
    };
    let conn = opened.map_err(StoreError::from).map_err(named(options))?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan does not depend on what is bound: else SQLite prepares a statement anew each time that it comes out of the cache.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

/// Opens the writer's connection. Nothing is written yet.
pub(super) fn connect(options: &SqliteOptions) -> Result<Connection, StoreError> {
    open_with(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
}

/// Opens a reader's connection.
pub(super) fn connect_reader(options: &SqliteOptions) -> Result<Connection, StoreError> {
    open_with(options, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Makes sure that the database is this app's and up to date.
pub(super) fn prepare(
    conn: &Connection,
    options: &SqliteOptions,
    schema: &Schema,
    fresh: Epoch,
) -> Result<(), StoreError> {
    if options.exclusive {
        // Before the first read: a WAL database would want shared memory otherwise. It writes nothing.
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    examine(conn, options, schema).map_err(named(options))?;
    let pragmas = || -> Result<(), StoreError> {
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        let synchronous = if landfall_core::mutant::active("acknowledge-before-sync") { "OFF" } else { "FULL" };
        conn.pragma_update(None, "synchronous", synchronous)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // Savepoints of one entry are small; a temporary file for them would cost more than they do.
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        conn.pragma_update(None, "foreign_keys", false)?;
        Ok(())
    };
    pragmas().map_err(named(options))?;
    conn.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from).map_err(named(options))?;
    let done = create_or_upgrade(conn, schema, fresh).and_then(|()| Ok(conn.execute_batch("COMMIT")?));
    if done.is_err() && !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    done.map_err(named(options))
}

/// Whether the database may be used, by reading alone.
fn examine(conn: &Connection, options: &SqliteOptions, schema: &Schema) -> Result<(), StoreError> {
    let path = || shown(options);
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let (id, format) = (number("application_id")?, number("user_version")?);
    if id != APPLICATION_ID {
        let is_new = tables == 0 && id == 0 && format == 0;
        let found = || "another program".to_owned();
        let refusal = || StoreError::OtherApp { path: path(), found: found(), expected: schema.name.clone() };
        return if is_new { Ok(()) } else { Err(refusal()) };
    }
    if format > FORMAT {
        return Err(StoreError::NewerFormat { path: path(), found: format, known: FORMAT });
    }
    let old = stored_schema(conn)?;
    if old.name != schema.name {
        let found = format!("the app '{}'", old.name);
        return Err(StoreError::OtherApp { path: path(), found, expected: schema.name.clone() });
    }
    if old.version > schema.version {
        return Err(StoreError::NewerSchema { path: path(), found: old.version, given: schema.version });
    }
    check_upgrade(&old, schema)
}

fn check_upgrade(old: &Schema, schema: &Schema) -> Result<(), StoreError> {
    let Err(problems) = Schema::check_upgrade(old, schema) else {
        return Ok(());
    };
    let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(StoreError::Upgrade { from: old.version, problems })
}

fn stored_schema(conn: &Connection) -> Result<Schema, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("the stored schema {what}"));
    let bytes = meta(conn, "schema")?.ok_or_else(|| damaged("is missing"))?;
    let text = String::from_utf8(bytes).map_err(|_| damaged("is not text"))?;
    Schema::from_json(&text).map_err(|e| damaged(&format!("cannot be read: {e}")))
}

fn create_or_upgrade(conn: &Connection, schema: &Schema, fresh: Epoch) -> Result<(), StoreError> {
    let id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    conn.execute_batch(USES)?;
    conn.execute_batch(ORIGINS)?;
    if id == APPLICATION_ID {
        let old = stored_schema(conn)?;
        if old != *schema {
            for statement in schema.upgrade_sql(&old, Place::Server) {
                match conn.execute_batch(&statement) {
                    // A copy beside documents that the access rules once asked for, and ask for again.
                    Err(problem) if problem.to_string().contains("duplicate column name") => {}
                    done => done?,
                }
            }
            put_meta(conn, "schema", schema.to_json().as_bytes())?;
            if !landfall_core::mutant::active("upgrade-unhashed") {
                rehash(conn, &old, schema)?;
            }
            copy_anew(conn, schema)?;
        }
        return Ok(());
    }
    conn.execute_batch(TABLES)?;
    for statement in schema.create_sql(Place::Server) {
        conn.execute_batch(&statement)?;
    }
    put_meta(conn, "schema", schema.to_json().as_bytes())?;
    put_meta(conn, "epoch", &fresh.0)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", FORMAT)?;
    Ok(())
}

/// Other access rules may ask for other copies beside documents. What they become is found as if another program had written
/// it, and so reaches every device.
fn copy_anew(conn: &Connection, schema: &Schema) -> Result<(), StoreError> {
    for table in &schema.tables {
        let Some(of) = &table.docs_of else { continue };
        let (docs, parent, key) = (quote(&table.name), quote(&of.table), quote(&of.key));
        for column in table.doc_copies().map(|c| quote(&c.name)) {
            let row = format!("(SELECT p.{column} FROM {parent} p WHERE p.{key} = {docs}.{key})");
            conn.execute_batch(&format!("UPDATE {docs} SET {column} = {row} WHERE {column} IS NOT {row}"))?;
        }
    }
    Ok(())
}

/// Records the hashes of rows anew where a table has got columns: their defaults are nobody's write. A row that another
/// program had changed keeps a hash that does not fit, and is found.
fn rehash(conn: &Connection, old: &Schema, schema: &Schema) -> Result<(), StoreError> {
    for (before, table) in schema.tables.iter().filter(|t| t.sync).filter_map(|t| Some((old.table(&t.name)?, t))) {
        if before.columns.iter().map(|c| &c.name).eq(table.columns.iter().map(|c| &c.name)) {
            continue;
        }
        let sql = TableSql::new(table);
        let mut record = conn.prepare("UPDATE _landfall_rows SET hash = ? WHERE tbl = ? AND key = ? AND hash = ?")?;
        let mut scan = conn.prepare(&sql.scan(&[], false))?;
        let mut rows = scan.query([])?;
        while let Some(row) = rows.next()? {
            let Some(key) = sql.key_in(row)? else {
                continue;
            };
            let mut cells = sql.cells(row)?;
            let now = row_hash(&table.name, &key, &cells);
            cells.retain(|name, _| before.column(name).is_some());
            let then = row_hash(&table.name, &key, &cells);
            record.execute(params![signed(now), table.name, key.to_bytes(), signed(then)])?;
        }
    }
    Ok(())
}

pub(super) fn put_meta(conn: &Connection, name: &str, value: &[u8]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO _landfall_meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.prepare_cached(SQL)?.execute(params![name, value])?;
    Ok(())
}

/// The secret of this name; `fresh` becomes it when there is none yet.
pub(super) fn secret(conn: &Connection, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let name = format!("secret:{name}");
    match meta(conn, &name)? {
        Some(bytes) => bytes.try_into().map_err(|_| StoreError::Damaged(format!("'{name}' has not 32 bytes"))),
        None => put_meta(conn, &name, &fresh).map(|()| fresh),
    }
}

/// The key that signs chain values; made once.
pub(super) fn chain_key(conn: &Connection, fresh: &Fresh) -> Result<ChainKey, StoreError> {
    secret(conn, "chain", derive("landfall chain key", fresh))
}

/// The first number for buckets made by this process: a random start, so that two copies of one store never use the same
/// number for two buckets. They are below 2⁵³, and far from the numbers that devices use among themselves.
pub(super) fn first_bucket(conn: &Connection, fresh: &Fresh) -> Result<u64, StoreError> {
    let bytes = derive("landfall bucket numbers", fresh);
    let start = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let start = u64::from(start) << BUCKETS_BITS;
    // The same start twice is as good as impossible, and harmless.
    let sql = "SELECT ifnull(max(id), ?1) + 1 FROM _landfall_buckets WHERE id >= ?1 AND id < ?2";
    let range = params![signed(start), signed(start + (1 << BUCKETS_BITS))];
    Ok(unsigned(conn.query_row(sql, range, |row| row.get(0))?))
}

fn derive(purpose: &str, fresh: &Fresh) -> [u8; 32] {
    blake3::derive_key(purpose, &fresh.seed)
}

/// The buckets whose template the schema still has. The others are retired for good, with their logs: they would have
/// holes if the template ever came back.
pub(super) fn load_buckets(
    conn: &Connection,
    templates: &BTreeMap<ContentHash, Arc<Template>>,
) -> Result<BucketIndex, StoreError> {
    let mut index = BucketIndex::default();
    let mut retired = Vec::new();
    {
        let mut statement =
            conn.prepare("SELECT id, template, env, created_seq FROM _landfall_buckets WHERE retired = 0 ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match read_bucket(row, templates)? {
                Some(bucket) => index.insert(bucket),
                None => retired.push(row.get::<_, i64>(0)?),
            }
        }
    }
    let transaction = conn.unchecked_transaction()?;
    for id in retired {
        transaction.execute("UPDATE _landfall_buckets SET retired = 1 WHERE id = ?", [id])?;
        transaction.execute("DELETE FROM _landfall_bucket_log WHERE bucket = ?", [id])?;
        transaction.execute("DELETE FROM _landfall_bucket_uses WHERE bucket = ?", [id])?;
    }
    transaction.commit()?;
    Ok(index)
}

/// When each bucket was last opened, by this server's clock; `now_ms` where nobody knows.
pub(super) fn load_uses(
    conn: &Connection,
    buckets: &BucketIndex,
    now_ms: u64,
) -> Result<BTreeMap<BucketId, u64>, StoreError> {
    let mut uses: BTreeMap<BucketId, u64> = buckets.ids().map(|id| (id, now_ms)).collect();
    let mut statement = conn.prepare("SELECT bucket, used_ms FROM _landfall_bucket_uses")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(used) = uses.get_mut(&BucketId(unsigned(row.get(0)?))) {
            // A clock that was ahead must not keep a bucket for years.
            *used = unsigned(row.get(1)?).min(now_ms);
        }
    }
    Ok(uses)
}
