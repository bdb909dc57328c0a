//! Opening: a new file is laid out, one of ours is checked and upgraded, anything else is refused and left as it is.

use std::sync::Arc;

use landfall_core::flat::FlatMap;
use landfall_core::schema::ddl::{Place, RECURSIVE_TRIGGERS, quote};
use landfall_core::{ReplicaId, Schema};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::bookkeeping::{
    self, APPLICATION_ID, BucketState, CREATE, CREATE_RELEASES, CREATE_SCHEDULE, CREATE_STACKS, CREATE_SUCCESSION,
    CREATE_TRIED, FORMAT, FROM_FORMAT_1, Memory, Meta, decode, encode, load_buckets,
};
use super::error::{DbError, OpenError, message};
use super::functions::{self, GUARD};
use super::hooks::Shared;
use super::tables::AppTables;
use super::{Database, Durability, Location, Options, authorizer, releases, scheduler};

/// More than the engine's own statements, so that an app's keep their place.
const STATEMENT_CACHE: usize = 256;

impl Database {
    /// Opens a database, or makes it when there is none. `fresh` is the replica id of a new one.
    ///
    /// # Errors
    /// [`OpenError`]; nothing on disk is changed then.
    pub fn open(
        location: &Location,
        schema: Schema,
        options: Options,
        now_ms: u64,
        fresh: ReplicaId,
    ) -> Result<Self, OpenError> {
        let place = location.to_string();
        let durability = if *location == Location::Memory { Durability::Memory } else { options.durability };
        let options = Options { durability, ..options };
        let conn = connect(location).map_err(|e| classify(&place, &e))?;
        if options.exclusive {
            // Before anything is read: a file with a write-ahead log cannot be opened otherwise where there is no shared
            // memory. It changes nothing in the file.
            conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE").map_err(|e| classify(&place, &e))?;
        }
        let is_new = inspect(&conn, &place)?;
        configure(&conn, location, &options).map_err(|e| classify(&place, &e))?;
        let empty = Arc::new(AppTables::new(&Schema { tables: Vec::new(), ..schema.clone() }, &FlatMap::new()));
        let shared = Shared::new(empty, now_ms);
        functions::register(&conn, &shared).map_err(|e| classify(&place, &e))?;
        let ids = prepare(&conn, &schema, is_new, &place, fresh)?;
        let tables = Arc::new(AppTables::new(&schema, &ids));
        shared.lock().tables = Arc::clone(&tables);
        if landfall_core::mutant::active("dead-letter-dropped") {
            conn.execute("DELETE FROM _landfall_outbox WHERE state = 3", []).map_err(|e| classify(&place, &e))?;
        }
        let memory = Memory::load(&conn)?;
        let mut database = Self {
            conn,
            schema: Arc::new(schema),
            tables,
            shared,
            memory,
            options,
            has_triggers: false,
            lazy: false,
            reconciled: super::Reconciled::default(),
            flushes: true,
            quiet: false,
            triggers: true,
            turn: 0,
            cache: super::cache::CacheMemory::default(),
            watched: super::review::Watched::default(),
            online: false,
            held_back: None,
        };
        database.watch_statements().map_err(|e| classify(&place, &e))?;
        Ok(database)
    }

    fn watch_statements(&mut self) -> rusqlite::Result<()> {
        let shared = self.shared.clone();
        self.conn
            .authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| authorizer::authorize(&shared, &context)))
    }
}

fn connect(location: &Location) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match location {
        Location::Path(path) => Connection::open_with_flags(path, flags),
        Location::Memory => Connection::open_in_memory_with_flags(flags),
        Location::Vfs { name, vfs } => Connection::open_with_flags_and_vfs(name, flags, vfs.as_str()),
    }
}

/// Whose file it is, before anything is changed in it. True: it is new.
fn inspect(conn: &Connection, place: &str) -> Result<bool, OpenError> {
    let number = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, i64>(0)).map_err(|e| classify(place, &e));
    let objects = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    let format = number("PRAGMA user_version")?;
    if objects == 0 && (application == 0 || application == APPLICATION_ID) {
        return Ok(true);
    }
    if application != APPLICATION_ID {
        return Err(OpenError::ForeignDatabase { place: place.to_owned() });
    }
    if format > FORMAT {
        return Err(OpenError::NewerFormat { place: place.to_owned(), found: format, supported: FORMAT });
    }
    Ok(false)
}

fn configure(conn: &Connection, location: &Location, options: &Options) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    // A page of 4 KiB everywhere (the builds differ); no effect on a file that has pages already.
    conn.execute_batch("PRAGMA page_size = 4096")?;
    if *location != Location::Memory {
        let mode = if landfall_core::mutant::active("journal-in-memory") { "MEMORY" } else { "WAL" };
        conn.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |r| r.get::<_, String>(0))?;
    }
    conn.execute_batch(&format!(
        "{}; PRAGMA cache_size = -{}; PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216; {RECURSIVE_TRIGGERS};",
        options.durability.pragma(),
        options.cache_kib
    ))?;
    // A plan does not depend on what is bound: else SQLite prepares a statement anew each time that it comes out of the cache.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Search tables' own tables cannot be written by hand, nor the schema table.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

/// Lays a new database out, or brings one of ours to this schema, in one transaction. Gives the tables' numbers.
fn prepare(
    conn: &Connection,
    schema: &Schema,
    is_new: bool,
    place: &str,
    fresh: ReplicaId,
) -> Result<FlatMap<String, i64>, OpenError> {
    let old = if is_new { None } else { stored_schema(conn, schema, place)? };
    let format: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(|e| classify(place, &e))?;
    if old.as_ref() == Some(schema) && format == FORMAT {
        return Ok(table_ids(conn)?);
    }
    conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| classify(place, &e))?;
    let result = match &old {
        None => create(conn, schema, fresh),
        Some(old) => convert(conn, old, format).and_then(|()| upgrade(conn, old, schema)),
    };
    let result = result.and_then(|()| table_ids(conn)).and_then(|ids| {
        conn.execute_batch("COMMIT")?;
        Ok(ids)
    });
    result.map_err(|error| {
        let _ = conn.execute_batch("ROLLBACK");
        match error {
            DbError::DiskFull => OpenError::DiskFull { place: place.to_owned() },
            DbError::Busy => OpenError::InUse { place: place.to_owned() },
            DbError::Io(cause) => OpenError::CannotOpen { place: place.to_owned(), cause },
            other => OpenError::Database(other),
        }
    })
}

/// The schema that the database was last opened with, unless this one cannot follow it.
fn stored_schema(conn: &Connection, schema: &Schema, place: &str) -> Result<Option<Schema>, OpenError> {
    let json = bookkeeping::get_meta::<String>(conn, "schema")?
        .ok_or_else(|| OpenError::Damaged { place: place.to_owned(), cause: "it holds no schema".into() })?;
    // The name stands by itself, so that a schema that this build cannot read still says whose it is.
    let found = bookkeeping::get_meta::<String>(conn, "app")?.unwrap_or_default();
    if found != schema.name {
        return Err(OpenError::OtherApp { place: place.to_owned(), found, expected: schema.name.clone() });
    }
    let conflict = |reason: String| OpenError::SchemaConflict { place: place.to_owned(), reason };
    let old = Schema::from_json(&json).map_err(|error| match error.classify() {
        // Whole, but not understood: a build that knows more wrote it.
        serde_json::error::Category::Data => conflict(format!(
            "this build cannot read the schema that it was last opened with ({error}); upgrade this program, nothing was changed"
        )),
        _ => OpenError::Damaged { place: place.to_owned(), cause: format!("its schema cannot be read ({error})") },
    })?;
    match Schema::check_upgrade(&old, schema) {
        Ok(_) => Ok(Some(old)),
        Err(problems) => Err(conflict(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
    }
}

fn create(conn: &Connection, schema: &Schema, fresh: ReplicaId) -> Result<(), DbError> {
    conn.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; \
         {CREATE}{CREATE_SCHEDULE}{CREATE_STACKS}{CREATE_SUCCESSION}{CREATE_RELEASES}{CREATE_TRIED}"
    ))?;
    for sql in schema.create_sql(Place::Device) {
        conn.execute_batch(&sql)?;
    }
    Meta::new(fresh).save(conn, None)?;
    finish(conn, schema)
}

/// Brings the bookkeeping of an older build to this one's form.
fn convert(conn: &Connection, old: &Schema, format: i64) -> Result<(), DbError> {
    if format < 2 {
        conn.execute_batch(&format!("{FROM_FORMAT_1}{CREATE_SCHEDULE}"))?;
        scheduler::link_all(conn)?;
    }
    if format < 3 {
        conn.execute_batch(CREATE_STACKS)?;
    }
    if format < 4 {
        conn.execute_batch(CREATE_SUCCESSION)?;
    }
    if format < 5 {
        conn.execute_batch(CREATE_RELEASES)?;
    }
    if format < 6 {
        conn.execute_batch(CREATE_TRIED)?;
        // Format 5 took note of what was written since; not of what came from an older build, or from a mirror.
        releases::work_out_releases(conn, old)?;
    }
    conn.execute_batch(&format!("PRAGMA user_version = {FORMAT}"))?;
    Ok(())
}

fn upgrade(conn: &Connection, old: &Schema, schema: &Schema) -> Result<(), DbError> {
    for sql in schema.upgrade_sql(old, Place::Device) {
        conn.execute_batch(&sql)?;
    }
    for table in &schema.tables {
        let Some(before) = old.table(&table.name) else { continue };
        let added: Vec<_> = table.columns.iter().filter(|c| before.column(&c.name).is_none()).collect();
        if !added.is_empty() {
            widen_images(conn, &table.name, &added)?;
        }
        if !added.is_empty() && !landfall_core::mutant::active("widened-not-loaded") {
            load_widened(conn, &table.name, &added)?;
        }
    }
    finish(conn, schema)
}

/// Confirmed images that were set aside get the added columns as the rows themselves do.
fn widen_images(conn: &Connection, table: &str, added: &[&landfall_core::schema::Column]) -> Result<(), DbError> {
    let id: i64 = conn.query_row("SELECT id FROM _landfall_tables WHERE name = ?", [table], |r| r.get(0))?;
    let mut statement = conn.prepare("SELECT key, image FROM _landfall_images WHERE tbl = ? AND image IS NOT NULL")?;
    let images = statement.query_map([id], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let images = images.collect::<rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>>>()?;
    for (key, image) in images {
        let mut cells: landfall_core::hash::Cells = decode(&image)?;
        for column in added {
            let value = match &column.default {
                Some(landfall_core::schema::Default::Value(value)) => value.clone(),
                _ => landfall_core::Value::Null,
            };
            cells.entry(column.name.clone()).or_insert(value);
        }
        conn.execute(
            "UPDATE _landfall_images SET image = ? WHERE tbl = ? AND key = ?",
            rusqlite::params![encode(&cells), id, key],
        )?;
    }
    Ok(())
}

/// A server that was ahead of this app has sent values of columns that were not there yet: nobody kept them. What holds such
/// rows is loaded anew, of which only what differs is fetched.
fn load_widened(conn: &Connection, table: &str, added: &[&landfall_core::schema::Column]) -> Result<(), DbError> {
    let id: i64 = conn.query_row("SELECT id FROM _landfall_tables WHERE name = ?", [table], |r| r.get(0))?;
    let cut = Meta::load(conn)?.cut;
    let is_added = |name: &str| added.iter().any(|column| column.name == name);
    for (number, mut bucket) in load_buckets(conn)? {
        if bucket.table != id || !bucket.columns.iter().any(|(name, _)| is_added(name)) {
            continue;
        }
        bucket.columns.retain(|(name, _)| !is_added(name));
        if bucket.state != BucketState::Stale {
            bucket.at = bucket.position(cut);
            bucket.state = BucketState::Loading;
            bucket.todo.clear();
        }
        bucket.save(conn, number)?;
    }
    Ok(())
}

/// What both ways end with: table numbers, guards, the schema itself.
fn finish(conn: &Connection, schema: &Schema) -> Result<(), DbError> {
    for table in &schema.tables {
        conn.execute("INSERT INTO _landfall_tables (name) VALUES (?) ON CONFLICT DO NOTHING", [&table.name])?;
        if table.sync {
            conn.execute_batch(&guards(&table.name))?;
        }
    }
    bookkeeping::set_meta(conn, "app", &schema.name)?;
    bookkeeping::set_meta(conn, "schema", schema.to_json())
}

/// Triggers that make a write through any other connection fail: they name a function that only the engine has. SQLite
/// looks it up when the statement is prepared; `WHEN 0` keeps the body from ever running.
fn guards(table: &str) -> String {
    let one = |event: &str| {
        let name = quote(&format!("_landfall_guard_{table}.{event}"));
        format!(
            "CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON {} WHEN 0 BEGIN SELECT {GUARD}(); END;",
            quote(table)
        )
    };
    ["insert", "update", "delete"].map(one).concat()
}

fn table_ids(conn: &Connection) -> Result<FlatMap<String, i64>, DbError> {
    let mut statement = conn.prepare("SELECT name, id FROM _landfall_tables")?;
    let ids = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// What an error while opening means to a person.
fn classify(place: &str, error: &rusqlite::Error) -> OpenError {
    let place = place.to_owned();
    let cause = message(error);
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { place },
        _ if super::error::is_full(error) => OpenError::DiskFull { place },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse { place },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { place, cause },
        _ => OpenError::CannotOpen { place, cause },
    }
}
