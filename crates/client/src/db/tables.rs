//! The app's tables as SQL: reading and writing one row by key, in stored form.

use landfall_core::RowKey;
use landfall_core::flat::FlatMap;
use landfall_core::gather::Gather as _;
use landfall_core::hash::Cells;
use landfall_core::schema::ddl::quote;
use landfall_core::schema::{Schema, Table};
use landfall_core::value::{SqliteValue, Value, format_date, format_uuid};
use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::bulk::Bulk;
use super::error::DbError;

/// A value on its way into a statement, in its stored form.
pub(super) struct Bind<'a>(pub &'a Value);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::Value as Owned;
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Owned(Owned::Null),
            Value::Bool(v) => ToSqlOutput::Owned(Owned::Integer(i64::from(*v))),
            Value::Int(v) | Value::Timestamp(v) => ToSqlOutput::Owned(Owned::Integer(*v)),
            Value::Float(v) => ToSqlOutput::Owned(Owned::Real(*v)),
            Value::Decimal(v) => ToSqlOutput::Owned(Owned::Integer(v.units)),
            Value::Text(v) | Value::Json(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            Value::Bytes(v) => ToSqlOutput::Borrowed(ValueRef::Blob(v)),
            Value::Uuid(v) => ToSqlOutput::Owned(Owned::Text(format_uuid(v))),
            Value::Date(v) => ToSqlOutput::Owned(Owned::Text(format_date(*v))),
        })
    }
}

/// What SQLite holds, as `core` names it. Text that is not UTF-8 is read as bytes.
pub(super) fn stored(value: ValueRef<'_>) -> SqliteValue {
    match value {
        ValueRef::Null => SqliteValue::Null,
        ValueRef::Integer(v) => SqliteValue::Integer(v),
        ValueRef::Real(v) => SqliteValue::Real(v),
        ValueRef::Text(v) => match std::str::from_utf8(v) {
            Ok(text) => SqliteValue::Text(text.to_owned()),
            Err(_) => SqliteValue::Blob(v.to_vec()),
        },
        ValueRef::Blob(v) => SqliteValue::Blob(v.to_vec()),
    }
}

/// One app table.
#[derive(Debug)]
pub(super) struct AppTable {
    /// Its number in bookkeeping tables.
    pub id: i64,
    /// Its declaration.
    pub table: Table,
    /// Positions of the key's columns, in key order.
    pub key: Vec<usize>,
    /// Inserts a whole row, columns in order of declaration.
    pub insert: String,
    /// Inserts many at once.
    pub bulk: Bulk,
    select: String,
    delete: String,
    filter: String,
}

impl AppTable {
    fn new(id: i64, table: &Table) -> Self {
        let name = quote(&table.name);
        let columns = table.columns.iter().map(|c| quote(&c.name)).collect::<Vec<_>>().join(", ");
        let holes = vec!["?"; table.columns.len()].join(", ");
        let filter = table.primary_key.iter().map(|k| format!("{} = ?", quote(k))).collect::<Vec<_>>().join(" AND ");
        let key = table.primary_key.iter().filter_map(|k| table.columns.iter().position(|c| c.name == *k)).collect();
        Self {
            id,
            key,
            bulk: Bulk::new(table),
            insert: format!("INSERT INTO {name} ({columns}) VALUES ({holes})"),
            select: format!("SELECT {columns} FROM {name} WHERE {filter}"),
            delete: format!("DELETE FROM {name} WHERE {filter}"),
            filter,
            table: table.clone(),
        }
    }

    pub fn name(&self) -> &str {
        &self.table.name
    }

    /// A row's stored values.
    pub fn read_stored(&self, conn: &Connection, key: &RowKey) -> Result<Option<Vec<SqliteValue>>, DbError> {
        let mut statement = conn.prepare_cached(&self.select)?;
        let mut rows = statement.query(rusqlite::params_from_iter(key.0.iter().map(Bind)))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let values = (0..self.table.columns.len()).map(|i| row.get_ref(i).map(stored)).collect::<Result<_, _>>()?;
        Ok(Some(values))
    }

    /// A row, all columns.
    pub fn read(&self, conn: &Connection, key: &RowKey) -> Result<Option<Cells>, DbError> {
        self.read_stored(conn, key)?.map(|values| self.cells(values)).transpose()
    }

    /// Whether there is a row with this key as stored, whatever its form.
    pub fn has_stored_key(&self, conn: &Connection, key: &[SqliteValue]) -> Result<bool, DbError> {
        use rusqlite::types::Value as Owned;
        let values = key.iter().map(|value| match value {
            SqliteValue::Null => Owned::Null,
            SqliteValue::Integer(v) => Owned::Integer(*v),
            SqliteValue::Real(v) => Owned::Real(*v),
            SqliteValue::Text(v) => Owned::Text(v.clone()),
            SqliteValue::Blob(v) => Owned::Blob(v.clone()),
        });
        Ok(conn.prepare_cached(&self.select)?.exists(rusqlite::params_from_iter(values))?)
    }

    /// Stored values as cells.
    pub fn cells(&self, values: Vec<SqliteValue>) -> Result<Cells, DbError> {
        let cell = |(column, value): (&landfall_core::schema::Column, SqliteValue)| {
            let value = Value::from_sqlite(value, column.ty)
                .map_err(|error| DbError::stored(&self.table.name, &column.name, &error))?;
            Ok((column.name.clone(), value))
        };
        self.table.columns.iter().zip(values).map(cell).try_gather()
    }

    /// Makes the visible row `after`, given what is there; columns that are not held become NULL.
    pub fn put(
        &self,
        conn: &Connection,
        key: &RowKey,
        before: Option<&Cells>,
        after: Option<&Cells>,
    ) -> Result<(), DbError> {
        match (before, after) {
            (None, None) => {}
            (None, Some(after)) => {
                let values = self.table.columns.iter().map(|c| Bind(after.get(&c.name).unwrap_or(&Value::Null)));
                conn.prepare_cached(&self.insert)?.execute(rusqlite::params_from_iter(values))?;
            }
            (Some(_), None) => {
                conn.prepare_cached(&self.delete)?.execute(rusqlite::params_from_iter(key.0.iter().map(Bind)))?;
            }
            (Some(before), Some(after)) => self.update(conn, key, before, after)?,
        }
        Ok(())
    }

    fn update(&self, conn: &Connection, key: &RowKey, before: &Cells, after: &Cells) -> Result<(), DbError> {
        let value = |cells: &Cells, name: &str| cells.get(name).cloned().unwrap_or_default();
        let changed: Vec<(&str, Value)> = self
            .table
            .data_columns()
            .map(|c| (c.name.as_str(), value(after, &c.name)))
            .filter(|(name, new)| value(before, name) != *new)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        self.set(conn, key, &changed)?;
        Ok(())
    }

    /// Sets columns of one row; how many rows there were (0 or 1).
    pub fn set(&self, conn: &Connection, key: &RowKey, cells: &[(&str, Value)]) -> Result<usize, DbError> {
        let sql = self.update_sql(cells.iter().map(|(name, _)| *name));
        let values = cells.iter().map(|(_, v)| Bind(v)).chain(key.0.iter().map(Bind));
        Ok(conn.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(values))?)
    }

    /// The statement that sets these columns of a row by key.
    pub fn update_sql<'a>(&self, columns: impl Iterator<Item = &'a str>) -> String {
        let assignments = columns.map(|c| format!("{} = ?", quote(c))).collect::<Vec<_>>().join(", ");
        format!("UPDATE {} SET {assignments} WHERE {}", quote(&self.table.name), self.filter)
    }

    /// The statement that deletes a row by key.
    pub fn delete_sql(&self) -> &str {
        &self.delete
    }

    /// Keys of the rows whose `column` is `value`, at most `limit`.
    pub fn keys_where(
        &self,
        conn: &Connection,
        column: &str,
        value: &Value,
        limit: usize,
    ) -> Result<Vec<RowKey>, DbError> {
        let key = self.table.primary_key.iter().map(|k| quote(k)).collect::<Vec<_>>().join(", ");
        let table = quote(&self.table.name);
        let sql = format!("SELECT {key} FROM {table} WHERE {} = ? ORDER BY {key} LIMIT {limit}", quote(column));
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([Bind(value)])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..self.key.len()).map(|i| row.get_ref(i).map(stored)).collect::<Result<Vec<_>, _>>()?;
            keys.push(self.row_key(values)?);
        }
        Ok(keys)
    }

    /// The key from the stored values of the key's columns, in key order.
    pub fn row_key(&self, values: Vec<SqliteValue>) -> Result<RowKey, DbError> {
        let part = |(column, value): (&landfall_core::schema::Column, SqliteValue)| {
            Value::from_sqlite(value, column.ty)
                .map_err(|error| DbError::stored(&self.table.name, &column.name, &error))
        };
        self.table.key_columns().zip(values).map(part).collect::<Result<_, _>>().map(RowKey)
    }
}

/// All app tables.
#[derive(Debug)]
pub(super) struct AppTables {
    /// In order of declaration.
    pub list: Vec<AppTable>,
    by_name: FlatMap<String, usize>,
    by_id: FlatMap<i64, usize>,
}

impl AppTables {
    /// `ids` are the numbers that bookkeeping gave the tables.
    pub fn new(schema: &Schema, ids: &FlatMap<String, i64>) -> Self {
        let list: Vec<_> = schema.tables.iter().filter_map(|t| Some(AppTable::new(*ids.get(&t.name)?, t))).collect();
        let by_name = list.iter().enumerate().map(|(i, t)| (t.table.name.clone(), i)).collect();
        let by_id = list.iter().enumerate().map(|(i, t)| (t.id, i)).collect();
        Self { list, by_name, by_id }
    }

    /// The position of a table by its name. SQLite's names are case-insensitive, and so is this.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name
            .get(name)
            .copied()
            .or_else(|| self.list.iter().position(|t| t.table.name.eq_ignore_ascii_case(name)))
    }

    pub fn get(&self, name: &str) -> Result<&AppTable, DbError> {
        self.position(name)
            .and_then(|at| self.list.get(at))
            .ok_or_else(|| DbError::UnknownName(format!("table '{name}'")))
    }

    pub fn by_id(&self, id: i64) -> Result<&AppTable, DbError> {
        let at = self.by_id.get(&id).copied();
        at.and_then(|at| self.list.get(at)).ok_or_else(|| DbError::bookkeeping(format!("no table {id}")))
    }
}
