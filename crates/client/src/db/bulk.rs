//! Inserting runs of rows of which nothing is known here yet: many rows with one statement. A statement that goes on
//! where the row before it ended costs half as much for each row as one that begins anew.

use std::ops::Range;

use landfall_core::Value;
use landfall_core::schema::Table;
use landfall_core::schema::ddl::quote;
use landfall_core::value::uuid_text;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};

use super::error::DbError;
use super::tables::{AppTable, Bind};

/// Rows of one statement. Beyond 32 nothing is gained; the tests' chunks are short.
const ROWS_AT_ONCE: usize = if cfg!(test) { 2 } else { 32 };
/// SQLite's default limit of parameters in a statement is 32,766.
const MAX_PARAMETERS: usize = 32_000;

/// The statements of one table.
#[derive(Debug)]
pub(super) struct Bulk {
    /// How many rows they take.
    pub rows: usize,
    /// Binds all columns of one row, then those of the next.
    rows_sql: String,
    /// Binds the table, the set, then key and sequence of each row.
    records_sql: String,
}

impl Bulk {
    pub fn new(table: &Table) -> Self {
        let rows = (MAX_PARAMETERS / table.columns.len().max(2)).clamp(1, ROWS_AT_ONCE);
        let columns = table.columns.iter().map(|c| quote(&c.name)).collect::<Vec<_>>().join(", ");
        let holes = format!("({})", vec!["?"; table.columns.len()].join(", "));
        let records: Vec<_> = (0..rows).map(|row| format!("(?1, ?{}, ?{}, ?2)", 2 * row + 3, 2 * row + 4)).collect();
        Self {
            rows,
            // `OR FAIL`: what fails undoes the whole transaction, so that SQLite need not be able to undo the statement.
            rows_sql: format!(
                "INSERT OR FAIL INTO {} ({columns}) VALUES {}",
                quote(&table.name),
                vec![holes; rows].join(", ")
            ),
            records_sql: format!(
                "INSERT OR FAIL INTO _landfall_rows (tbl, key, seq, held) VALUES {}",
                records.join(", ")
            ),
        }
    }
}

/// Text that is nowhere as such.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Rows of a chunk on their way in.
pub(super) struct Arriving<'a> {
    pub conn: &'a Connection,
    pub app: &'a AppTable,
    /// The membership set that the rows get.
    pub set: i64,
    /// The keys in stored form.
    pub keys: &'a [Vec<u8>],
    pub seqs: &'a [u64],
    /// By position in the app's table: the rows' values; `None`: the column is not held.
    pub columns: &'a [Option<&'a Vec<Value>>],
}

impl Arriving<'_> {
    /// Inserts those that are not known here; gives the positions of the others.
    pub fn insert_unknown(&self) -> Result<Vec<usize>, DbError> {
        let mut known = Vec::new();
        let mut from = 0;
        while from < self.keys.len() {
            let to = self.keys.len().min(from + self.app.bulk.rows);
            if to - from == self.app.bulk.rows && self.is_untouched(from..to)? {
                self.insert_run(from..to)?;
            } else {
                for at in from..to {
                    if !self.insert_one(at)? {
                        known.push(at);
                    }
                }
            }
            from = to;
        }
        Ok(known)
    }

    /// Whether nothing is known here from the least to the greatest of these keys, and none comes twice.
    fn is_untouched(&self, rows: Range<usize>) -> Result<bool, DbError> {
        const CONFIRMED: &str = "SELECT 1 FROM _landfall_rows WHERE tbl = ? AND key BETWEEN ? AND ?";
        const PENDING: &str = "SELECT 1 FROM _landfall_images WHERE tbl = ? AND key BETWEEN ? AND ?";
        let keys = &self.keys[rows];
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(false) };
        // Chunks come in key order. One that does not is stored all the same, row by row.
        if !keys.is_sorted_by(|a, b| a < b) {
            return Ok(false);
        }
        let between = params![self.app.id, first, last];
        Ok(!self.conn.prepare_cached(CONFIRMED)?.exists(between)?
            && !self.conn.prepare_cached(PENDING)?.exists(between)?)
    }

    fn insert_run(&self, rows: Range<usize>) -> Result<(), DbError> {
        let mut records = self.conn.prepare_cached(&self.app.bulk.records_sql)?;
        records.raw_bind_parameter(1, self.app.id)?;
        records.raw_bind_parameter(2, self.set)?;
        for (i, at) in rows.clone().enumerate() {
            records.raw_bind_parameter(2 * i + 3, &self.keys[at])?;
            records.raw_bind_parameter(2 * i + 4, self.seqs[at] as i64)?;
        }
        records.raw_execute()?;
        let mut insert = self.conn.prepare_cached(&self.app.bulk.rows_sql)?;
        for (i, at) in rows.enumerate() {
            for (position, column) in self.columns.iter().enumerate() {
                let hole = i * self.columns.len() + position + 1;
                match column.map_or(&Value::Null, |values| &values[at]) {
                    Value::Uuid(uuid) => insert.raw_bind_parameter(hole, Text(&uuid_text(uuid)))?,
                    value => insert.raw_bind_parameter(hole, Bind(value))?,
                }
            }
        }
        insert.raw_execute()?;
        Ok(())
    }

    /// Inserts a row if nothing is known of it; whether it did.
    fn insert_one(&self, at: usize) -> Result<bool, DbError> {
        const PENDING: &str = "SELECT 1 FROM _landfall_images WHERE tbl = ? AND key = ?";
        const RECORD: &str = "INSERT INTO _landfall_rows (tbl, key, seq, held) VALUES (?, ?, ?, ?) \
             ON CONFLICT (tbl, key) DO NOTHING";
        let (table, key) = (self.app.id, &self.keys[at]);
        if self.conn.prepare_cached(PENDING)?.exists(params![table, key])? {
            return Ok(false);
        }
        let record = params![table, key, self.seqs[at] as i64, self.set];
        if self.conn.prepare_cached(RECORD)?.execute(record)? == 0 {
            return Ok(false);
        }
        let values = self.columns.iter().map(|column| Bind(column.map_or(&Value::Null, |values| &values[at])));
        self.conn.prepare_cached(&self.app.insert)?.execute(rusqlite::params_from_iter(values))?;
        Ok(true)
    }
}
