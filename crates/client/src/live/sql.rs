//! A live query in plain SQL: run again when something that it reads changed.

use landfall_core::value::ColumnType;
use landfall_core::{Schema, Value};
use rusqlite::{Connection, params_from_iter};

use super::cells::{plain, to_bind};
use super::diff::{Row, RowsDiff};
use super::pinned::pinned;
use super::reads::{Columns, ReadSet, Recorder};
use super::route::Route;
use super::{Change, LiveError};

#[derive(Debug)]
pub(super) struct SqlQuery {
    sql: String,
    params: Vec<Value>,
    pub columns: Vec<String>,
    pub types: Vec<Option<ColumnType>>,
    key: Vec<usize>,
    pub reads: ReadSet,
    rows: Vec<Row>,
}

impl SqlQuery {
    pub fn new(
        conn: &Connection,
        schema: &Schema,
        recorder: &Recorder,
        (sql, params, key): (String, Vec<Value>, Option<Vec<String>>),
    ) -> Result<Self, LiveError> {
        let reads = recorder.read_set(conn, schema, &sql)?;
        let statement = conn.prepare_cached(&sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let types = statement.columns_with_metadata().map(|c| column_type(schema, &c)).collect();
        drop(statement);
        let key = match key {
            Some(names) => key_indexes(&columns, &names)?,
            None => implied_key(schema, &reads, &columns),
        };
        Ok(Self { sql, params, columns, types, key, reads, rows: Vec::new() })
    }

    /// How the query listens to `table`.
    pub fn route(&self, schema: &Schema, table: &str) -> Route {
        if self.reads.opaque || self.reads.tables.len() != 1 {
            return Route::Any;
        }
        match pinned(schema, &self.sql, &self.params).filter(|p| p.table == table) {
            Some(pinned) => pinned.equal.into_iter().next().map_or(Route::Any, |(c, v)| Route::Equal(c, v)),
            None => Route::Any,
        }
    }

    /// Runs the query; the answer is kept.
    pub fn run(&mut self, conn: &Connection) -> Result<&[Row], LiveError> {
        self.rows = self.fetch(conn)?;
        Ok(&self.rows)
    }

    /// Runs the query and tells what became of the answer.
    pub fn rerun(&mut self, conn: &Connection) -> Result<Change, LiveError> {
        let rows = self.fetch(conn)?;
        let diff = RowsDiff::between(&self.rows, &rows, &self.key, false);
        self.rows = rows;
        Ok(Change { diff, ran: true })
    }

    fn fetch(&self, conn: &Connection) -> Result<Vec<Row>, LiveError> {
        let mut statement = conn.prepare_cached(&self.sql)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(self.params.iter().map(to_bind)))?;
        let mut out = Vec::with_capacity(self.rows.len());
        while let Some(row) = rows.next()? {
            out.push((0..width).map(|i| row.get_ref(i).map(plain)).collect::<Result<Row, _>>()?);
        }
        Ok(out)
    }
}

/// The schema's type of an answer's column, where it is a table's column as it is stored.
fn column_type(schema: &Schema, column: &rusqlite::ColumnMetadata<'_>) -> Option<ColumnType> {
    let table = schema.table(column.table_name()?)?;
    let name = column.origin_name()?;
    table.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name)).map(|c| c.ty)
}

pub(super) fn key_indexes(columns: &[String], names: &[String]) -> Result<Vec<usize>, LiveError> {
    let index = |name: &String| {
        let found = columns.iter().position(|c| c == name);
        found.ok_or_else(|| LiveError::NoSuchKey { column: name.clone(), columns: columns.join(", ") })
    };
    names.iter().map(index).collect()
}

/// The primary key, where the answer shows the whole of it and only one table is read. Names are taken for what they
/// say: should an alias deceive, differences are larger than they need be, and still right.
fn implied_key(schema: &Schema, reads: &ReadSet, columns: &[String]) -> Vec<usize> {
    let mut tables = reads.tables.iter();
    let (Some((name, Columns::Only(_) | Columns::All)), None) = (tables.next(), tables.next()) else {
        return Vec::new();
    };
    schema.table(name).and_then(|t| key_indexes(columns, &t.primary_key).ok()).unwrap_or_default()
}
