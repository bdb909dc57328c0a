//! The SQL text for each app table, made once.

use landfall_core::RowKey;
use landfall_core::hash::Cells;
use landfall_core::schema::ddl::quote;
use landfall_core::schema::{Schema, Table};
use landfall_core::value::ColumnType;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::values::read;

/// One app table's statements. Columns stand in the table's order everywhere.
#[derive(Debug)]
pub(super) struct TableSql {
    pub(super) name: String,
    pub(super) columns: Vec<(String, ColumnType)>,
    /// Positions of the key's columns, in key order.
    pub(super) key: Vec<usize>,
    /// Positions of the other columns.
    pub(super) data: Vec<usize>,
    pub(super) select: String,
    pub(super) exists: String,
    pub(super) insert: String,
    /// Binds data columns, then the key. Absent when there is nothing to update.
    pub(super) update: Option<String>,
    pub(super) delete: String,
    /// `key = ?` for each key column.
    by_key: String,
    key_list: String,
    column_list: String,
}

impl TableSql {
    pub(super) fn all(schema: &Schema) -> Vec<Self> {
        schema.tables.iter().map(Self::new).collect()
    }

    pub(super) fn new(table: &Table) -> Self {
        let name = quote(&table.name);
        let columns: Vec<_> = table.columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
        let position = |k: &String| table.columns.iter().position(|c| c.name == *k);
        let key: Vec<usize> = table.primary_key.iter().filter_map(position).collect();
        let data: Vec<usize> = (0..columns.len()).filter(|at| !key.contains(at)).collect();
        let list = |positions: &[usize], each: &dyn Fn(String) -> String, by: &str| {
            positions.iter().map(|at| each(quote(&columns[*at].0))).collect::<Vec<_>>().join(by)
        };
        let by_key = list(&key, &|c| format!("{c} = ?"), " AND ");
        let key_list = list(&key, &|c| c, ", ");
        let all: Vec<usize> = (0..columns.len()).collect();
        let column_list = list(&all, &|c| c, ", ");
        let marks = list(&all, &|_| "?".to_owned(), ", ");
        let sets = list(&data, &|c| format!("{c} = ?"), ", ");
        Self {
            select: format!("SELECT {column_list} FROM {name} WHERE {by_key}"),
            exists: format!("SELECT 1 FROM {name} WHERE {by_key}"),
            insert: format!("INSERT INTO {name} ({column_list}) VALUES ({marks})"),
            update: (!data.is_empty()).then(|| format!("UPDATE {name} SET {sets} WHERE {by_key}")),
            delete: format!("DELETE FROM {name} WHERE {by_key}"),
            name: table.name.clone(),
            columns,
            key,
            data,
            by_key,
            key_list,
            column_list,
        }
    }

    /// Keys of rows with a value in a column; binds the value and a limit.
    pub(super) fn referrers(&self, column: &str) -> String {
        let (name, column, key) = (quote(&self.name), quote(column), &self.key_list);
        format!("SELECT {key} FROM {name} WHERE {column} = ? ORDER BY {key} LIMIT ?")
    }

    /// Another row with a value in a column; binds the value and the key.
    pub(super) fn taken(&self, column: &str) -> String {
        let (name, column, key) = (quote(&self.name), quote(column), &self.by_key);
        format!("SELECT 1 FROM {name} WHERE {column} = ? AND NOT ({key}) LIMIT 1")
    }

    /// Rows in key order; binds the values of `equal`, then the key to start after. Read as far as needed.
    pub(super) fn scan(&self, equal: &[String], after: bool) -> String {
        let (columns, key) = (&self.column_list, &self.key_list);
        let filter = self.filter(equal, after);
        format!("SELECT {columns} FROM {}{filter} ORDER BY {key}", quote(&self.name))
    }

    /// How many rows, counted up to a limit; binds the values of `equal`, then the limit.
    pub(super) fn count(&self, equal: &[String]) -> String {
        format!("SELECT count(*) FROM (SELECT 1 FROM {}{} LIMIT ?)", quote(&self.name), self.filter(equal, false))
    }

    fn filter(&self, equal: &[String], after: bool) -> String {
        let mut parts: Vec<String> = equal.iter().map(|c| format!("{} = ?", quote(c))).collect();
        if after {
            let marks = vec!["?"; self.key.len()].join(", ");
            parts.push(format!("({}) > ({marks})", self.key_list));
        }
        if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) }
    }

    /// An index that gives the rows of such a bucket in key order.
    pub(super) fn bucket_index(&self, equal: &[String]) -> String {
        let columns = equal.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
        let name = quote(&format!("_landfall_bucket_{}.{}", self.name, equal.join(".")));
        format!("CREATE INDEX IF NOT EXISTS {name} ON {} ({columns}, {})", quote(&self.name), self.key_list)
    }

    /// A row of all columns.
    pub(super) fn cells(&self, row: &Row<'_>) -> rusqlite::Result<Cells> {
        let mut cells = Cells::new();
        for (at, (name, ty)) in self.columns.iter().enumerate() {
            cells.insert(name.clone(), read(row.get_ref(at)?, *ty));
        }
        Ok(cells)
    }

    /// The columns in which a row of all columns holds what is not of their type, such as another program may write.
    pub(super) fn unreadable(&self, row: &Row<'_>) -> rusqlite::Result<Vec<&str>> {
        let mut found = Vec::new();
        for (at, (name, ty)) in self.columns.iter().enumerate() {
            let stored = row.get_ref(at)?;
            if stored != ValueRef::Null && read(stored, *ty).is_null() {
                found.push(name.as_str());
            }
        }
        Ok(found)
    }

    /// The key in a row of all columns; `None` when another program wrote what is no key.
    pub(super) fn key_in(&self, row: &Row<'_>) -> rusqlite::Result<Option<RowKey>> {
        self.read_key(row, self.key.iter().copied())
    }

    /// The key in a row of the key's columns.
    pub(super) fn key_alone(&self, row: &Row<'_>) -> rusqlite::Result<Option<RowKey>> {
        self.read_key(row, 0..self.key.len())
    }

    fn read_key(&self, row: &Row<'_>, at: impl Iterator<Item = usize>) -> rusqlite::Result<Option<RowKey>> {
        let mut values = Vec::with_capacity(self.key.len());
        for (at, column) in at.zip(&self.key) {
            let value = read(row.get_ref(at)?, self.columns[*column].1);
            if value.is_null() {
                return Ok(None);
            }
            values.push(value);
        }
        Ok(Some(RowKey(values)))
    }
}
