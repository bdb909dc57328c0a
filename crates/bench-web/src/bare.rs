//! What the bare worker calls.

use rusqlite::{Connection, OpenFlags};
use sqlite_wasm_vfs::sahpool::{self, OpfsSAHPoolCfgBuilder};
use wasm_bindgen::prelude::*;

type Result<T> = std::result::Result<T, JsError>;

/// What SQLite calls the folder's file system.
const VFS: &str = "bare";
/// As many files as the engine has.
const SLOTS: usize = 6;
/// The pragmas of the engine, and the table of the benchmarks as the native floor has it.
const SETUP: &str = "
    PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA cache_size = -4096; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;
    CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, list_id TEXT, title TEXT, done INTEGER, position INTEGER,
        updated_at INTEGER) STRICT, WITHOUT ROWID;";
const LIST: &str = "00000000-0000-0000-0000-000000000000";

struct Row {
    id: String,
    title: String,
    position: u32,
}

impl Row {
    /// Row `n` of the native benchmarks, under this key.
    fn new(id: String, n: u32) -> Self {
        let spread = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { id, title: format!("{:<40}", format!("row {n:08} {spread:x}")), position: n }
    }

    /// Row `n` of a load, which comes in the order of keys.
    fn in_order(n: u32) -> Self {
        let spread = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        Self::new(format!("{n:08x}-0000-4000-8000-{spread:012x}"), n)
    }
}

/// A database of one table.
#[wasm_bindgen]
pub struct Bare {
    conn: Connection,
    rows: Vec<Row>,
}

/// Opens or creates the database in this folder of the origin private file system.
#[wasm_bindgen]
pub async fn open(directory: String) -> Result<Bare> {
    let config = OpfsSAHPoolCfgBuilder::new().vfs_name(VFS).directory(&directory).initial_capacity(SLOTS).build();
    sahpool::install::<sqlite_wasm_rs::WasmOsCallback>(&config, true).await?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs("bare.db", flags, VFS)?;
    conn.execute_batch(SETUP)?;
    Ok(Bare { conn, rows: Vec::new() })
}

fn insert<'a>(conn: &mut Connection, rows: impl Iterator<Item = &'a Row>) -> Result<()> {
    let tx = conn.transaction()?;
    {
        let mut statement = tx.prepare_cached("INSERT INTO items VALUES (?1, ?2, ?3, 0, ?4, ?5)")?;
        for row in rows {
            statement.execute((&row.id, LIST, &row.title, row.position, 1_790_000_000_000_000i64))?;
        }
    }
    Ok(tx.commit()?)
}

#[wasm_bindgen]
impl Bare {
    /// Inserts one row in a transaction of its own; durable on return.
    pub fn write(&mut self, id: String, n: u32) -> Result<()> {
        insert(&mut self.conn, std::iter::once(&Row::new(id, n)))
    }

    /// Makes the rows of a load, so that [`Bare::load`] does nothing but insert them.
    pub fn prepare(&mut self, rows: u32) {
        self.rows = (0..rows).map(Row::in_order).collect();
    }

    /// Inserts the rows that were made, in one transaction.
    pub fn load(&mut self) -> Result<()> {
        insert(&mut self.conn, std::mem::take(&mut self.rows).iter())
    }

    /// As both together, without ever holding more than a few rows.
    pub fn fill(&mut self, rows: u32) -> Result<()> {
        for start in (0..rows).step_by(500) {
            let some: Vec<Row> = (start..rows.min(start + 500)).map(Row::in_order).collect();
            insert(&mut self.conn, some.iter())?;
        }
        Ok(())
    }

    /// How many rows there are.
    pub fn count(&self) -> Result<u32> {
        Ok(self.conn.query_row("SELECT count(*) FROM items", [], |row| row.get(0))?)
    }
}
