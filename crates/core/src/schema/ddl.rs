//! The SQLite tables of a schema, for devices and for the embedded server store: plain STRICT tables under their own
//! names.
//!
//! - Nothing that a merge could trip over: apart from the key no NOT NULL, no CHECK, no FOREIGN KEY, and UNIQUE only on
//!   local tables, where no merge ever writes. The engine checks those rules with [`Column::check`] and looks them up
//!   through plain indexes on unique and referring columns.
//! - A key is never assigned by SQLite: an integer key is declared so that it is not an alias of the rowid.
//! - A table whose rows are small and all of bounded width is WITHOUT ROWID (one b-tree, so that a load in key order
//!   only appends). A wide row would spill out of that b-tree early, and FTS5 needs a rowid: those keep theirs. (100,000
//!   rows by uuid: narrow 8.7 instead of 13.2 MB and equal time; 1.5 kB wide 468 instead of 210 MB and twice the time.)
//! - Constant defaults are SQL defaults. `now` and `uuid` are, on the device, calls of [`FUNCTION_NOW`],
//!   [`FUNCTION_TODAY`] and [`FUNCTION_UUID`], which the engine registers, so that a plain INSERT gets the engine's
//!   clock and randomness. Whoever applies changes from elsewhere names every column, NULL for one that is not held.
//! - A search table is external-content FTS5 with triggers. They see what `INSERT OR REPLACE` removes only under
//!   [`RECURSIVE_TRIGGERS`], which a device's connection therefore executes when it opens.

use super::{Column, Default, Schema, Table};
use crate::value::{ColumnType, SqliteValue, Value};

/// SQL function without arguments: the engine's clock in microseconds since 1970 (INTEGER).
pub const FUNCTION_NOW: &str = "landfall_now";
/// SQL function without arguments: the engine's calendar day in UTC, `YYYY-MM-DD` (TEXT).
pub const FUNCTION_TODAY: &str = "landfall_today";
/// SQL function without arguments: a new uuid of version 7 (TEXT of 36 characters).
pub const FUNCTION_UUID: &str = "landfall_uuid";
/// To be executed on a device's connection, or `INSERT OR REPLACE` of an app would leave phantoms in search tables.
pub const RECURSIVE_TRIGGERS: &str = "PRAGMA recursive_triggers = ON";

/// Rows up to this many bytes are kept in the key's own b-tree. SQLite's advice is a twentieth of a page (4 KiB).
const NARROW_ROW_BYTES: u32 = 200;
/// Where a table is written anew before it takes its old name.
const REBUILD: &str = "\"_landfall_rebuild\"";

/// Where tables are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A device: synced and local tables, search tables, defaults by the engine's clock and randomness.
    Device,
    /// The server: synced tables only, no search tables.
    Server,
}

/// A name as SQL writes it, so that keywords are names too.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value as an SQL literal in its stored form.
pub fn literal(value: &Value) -> String {
    match value.to_sqlite() {
        SqliteValue::Null => "NULL".to_owned(),
        SqliteValue::Integer(v) => v.to_string(),
        // `{:?}` always writes a point or an exponent, so that SQLite reads a REAL.
        SqliteValue::Real(v) => format!("{v:?}"),
        // A NUL would end the statement early.
        SqliteValue::Text(v) if v.contains('\0') => format!("CAST({} AS TEXT)", blob(v.as_bytes())),
        SqliteValue::Text(v) => format!("'{}'", v.replace('\'', "''")),
        SqliteValue::Blob(v) => blob(&v),
    }
}

fn blob(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("x'{digits}'")
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ")
}

impl Schema {
    /// Statements that make every table at `place`, in an order that works.
    pub fn create_sql(&self, place: Place) -> Vec<String> {
        self.tables_at(place).flat_map(|t| t.create_sql(place)).collect()
    }

    /// The tables that exist at `place`.
    pub fn tables_at(&self, place: Place) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(move |t| t.sync || place == Place::Device)
    }

    /// Statements that turn the tables of `old` into those of `self`, to be run in one transaction. The upgrade must
    /// have been accepted by [`Schema::check_upgrade`].
    pub fn upgrade_sql(&self, old: &Schema, place: Place) -> Vec<String> {
        self.tables_at(place)
            .flat_map(|table| match old.table(&table.name) {
                Some(before) => table.upgrade_sql(before, place),
                None => table.create_sql(place),
            })
            .collect()
    }
}

impl Table {
    /// Statements that make this table, its indexes and, on a device, its search table.
    pub fn create_sql(&self, place: Place) -> Vec<String> {
        let mut out = vec![self.table_sql(place)];
        out.extend(self.index_sql());
        if place == Place::Device {
            out.extend(self.search_sql());
        }
        out
    }

    /// The statement that makes the table alone.
    pub fn table_sql(&self, place: Place) -> String {
        self.table_sql_as(&quote(&self.name), place)
    }

    fn table_sql_as(&self, quoted_name: &str, place: Place) -> String {
        let mut parts: Vec<String> = self.columns.iter().map(|c| self.column_sql(c, place)).collect();
        parts.push(format!("PRIMARY KEY ({})", quoted(&self.primary_key)));
        let layout = if self.without_rowid() { "STRICT, WITHOUT ROWID" } else { "STRICT" };
        format!("CREATE TABLE {quoted_name} (\n  {}\n) {layout}", parts.join(",\n  "))
    }

    fn column_sql(&self, column: &Column, place: Place) -> String {
        // INT instead of INTEGER: a key of type INTEGER would be the rowid, which SQLite assigns when it is not given.
        let key = self.is_key(&column.name);
        let ty = match column.ty.sqlite_type() {
            "INTEGER" if key => "INT",
            other => other,
        };
        let null = if key { " NOT NULL" } else { "" };
        format!("{} {ty}{null}{}", quote(&column.name), default_sql(column, place))
    }

    /// Whether rows are small enough to live in the key's own b-tree.
    fn without_rowid(&self) -> bool {
        let width = self.columns.iter().try_fold(0u32, |sum, c| Some(sum.saturating_add(width(c)?)));
        self.search.is_empty() && width.is_some_and(|w| w <= NARROW_ROW_BYTES)
    }

    /// Statements that make the indexes by which the engine checks uniqueness, follows references and looks histories up.
    /// A bulk load may run them last.
    pub fn index_sql(&self) -> Vec<String> {
        self.columns.iter().filter(|c| self.is_indexed(c)).map(|c| self.one_index_sql(c)).collect()
    }

    fn is_indexed(&self, column: &Column) -> bool {
        (column.unique || column.references.is_some() || self.is_looked_up(&column.name))
            && self.primary_key.first() != Some(&column.name)
    }

    fn one_index_sql(&self, column: &Column) -> String {
        let kind = if self.sync || !column.unique { "INDEX" } else { "UNIQUE INDEX" };
        let (table, name) = (quote(&self.name), self.index_name(column));
        format!("CREATE {kind} {name} ON {table} ({})", quoted(self.indexed_with(&column.name)))
    }

    /// The point keeps `a_b`.`c` and `a`.`b_c` apart: names hold none.
    fn index_name(&self, column: &Column) -> String {
        quote(&format!("_landfall_index_{}.{}", self.name, column.name))
    }

    /// The name of the search table.
    pub fn search_table(&self) -> String {
        format!("{}_search", self.name)
    }

    /// Statements that make the search table and the triggers that keep it; none when no search is declared.
    pub fn search_sql(&self) -> Vec<String> {
        if self.search.is_empty() {
            return Vec::new();
        }
        let (table, search) = (quote(&self.name), quote(&self.search_table()));
        let columns = quoted(&self.search);
        let values = |row: &str| {
            let values = self.search.iter().map(|c| format!("{row}.{}", quote(c)));
            values.collect::<Vec<_>>().join(", ")
        };
        let add = format!("INSERT INTO {search} (rowid, {columns}) VALUES (new.rowid, {});", values("new"));
        let remove = format!(
            "INSERT INTO {search} ({search}, rowid, {columns}) VALUES ('delete', old.rowid, {});",
            values("old")
        );
        let trigger = |event: &str, when: String, body: String| {
            let name = self.trigger_name(event);
            format!("CREATE TRIGGER {name} AFTER {when} ON {table} BEGIN {body} END")
        };
        vec![
            format!("CREATE VIRTUAL TABLE {search} USING fts5 ({columns}, content={table}, content_rowid='rowid')"),
            trigger("insert", "INSERT".into(), add.clone()),
            trigger("delete", "DELETE".into(), remove.clone()),
            trigger("update", format!("UPDATE OF {columns}"), format!("{remove} {add}")),
        ]
    }

    fn trigger_name(&self, event: &str) -> String {
        quote(&format!("_landfall_search_{}.{event}", self.name))
    }

    /// The statement that fills the search table from the rows that are there, for after a bulk load without triggers.
    pub fn search_rebuild_sql(&self) -> Option<String> {
        let search = quote(&self.search_table());
        (!self.search.is_empty()).then(|| format!("INSERT INTO {search} ({search}) VALUES ('rebuild')"))
    }

    fn drop_search_sql(&self) -> Vec<String> {
        if self.search.is_empty() {
            return Vec::new();
        }
        let drop = |event| format!("DROP TRIGGER {}", self.trigger_name(event));
        let mut out: Vec<String> = ["insert", "delete", "update"].map(drop).into();
        out.push(format!("DROP TABLE {}", quote(&self.search_table())));
        out
    }

    /// The statement that adds a column to the existing table. Rows that are there take its constant default.
    pub fn add_column_sql(&self, column: &Column) -> String {
        // Place::Server: SQLite refuses to add a column whose default is not a constant, on devices too.
        format!("ALTER TABLE {} ADD COLUMN {}", quote(&self.name), self.column_sql(column, Place::Server))
    }

    fn upgrade_sql(&self, old: &Table, place: Place) -> Vec<String> {
        let mut out = Vec::new();
        let device = place == Place::Device;
        // A device's table has its columns in the order of the schema: hooks know them by position.
        let reordered = device && !self.only_appends_to(old);
        let search_changes = device && (reordered || self.search != old.search);
        // The table may have been made WITHOUT ROWID, by this or an earlier version; full-text search needs one.
        let rebuild = reordered || (search_changes && old.search.is_empty());
        if search_changes {
            out.extend(old.drop_search_sql());
        }
        let dropped = old.columns.iter().filter(|c| old.is_indexed(c) && !self.has_same_index(old, c));
        out.extend(dropped.map(|c| format!("DROP INDEX {}", old.index_name(c))));
        let added = self.columns.iter().filter(|c| old.column(&c.name).is_none());
        out.extend(added.map(|c| self.add_column_sql(c)));
        if rebuild {
            out.extend(self.rebuild_sql(place));
        }
        let kept = |c: &Column| {
            !rebuild && old.column(&c.name).is_some_and(|o| old.is_indexed(o) && self.has_same_index(old, o))
        };
        let indexed = self.columns.iter().filter(|c| self.is_indexed(c) && !kept(c));
        out.extend(indexed.map(|c| self.one_index_sql(c)));
        if search_changes {
            out.extend(self.search_sql());
            out.extend(self.search_rebuild_sql());
        }
        out
    }

    /// Whether the columns of `old` come first, in the order that they had.
    fn only_appends_to(&self, old: &Table) -> bool {
        let names = |table: &Table| table.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        names(self).starts_with(&names(old))
    }

    fn has_same_index(&self, old: &Table, column: &Column) -> bool {
        let sql = self.column(&column.name).filter(|c| self.is_indexed(c)).map(|c| self.one_index_sql(c));
        sql == Some(old.one_index_sql(column))
    }

    fn rebuild_sql(&self, place: Place) -> Vec<String> {
        let (table, columns) = (quote(&self.name), quoted(self.columns.iter().map(|c| &c.name)));
        vec![
            self.table_sql_as(REBUILD, place),
            format!("INSERT INTO {REBUILD} ({columns}) SELECT {columns} FROM {table}"),
            format!("DROP TABLE {table}"),
            format!("ALTER TABLE {REBUILD} RENAME TO {table}"),
        ]
    }
}

fn default_sql(column: &Column, place: Place) -> String {
    let function = |name: &str| format!(" DEFAULT ({name}())");
    match (&column.default, place) {
        (None, _) | (Some(Default::Now | Default::Uuid), Place::Server) => String::new(),
        (Some(Default::Value(value)), _) => format!(" DEFAULT ({})", literal(value)),
        (Some(Default::Now), Place::Device) if column.ty == ColumnType::Date => function(FUNCTION_TODAY),
        (Some(Default::Now), Place::Device) => function(FUNCTION_NOW),
        (Some(Default::Uuid), Place::Device) => function(FUNCTION_UUID),
    }
}

/// Most bytes that a value of the column takes in a row; `None` when unbounded.
fn width(column: &Column) -> Option<u32> {
    match column.ty {
        ColumnType::Uuid => Some(37),
        ColumnType::Date => Some(11),
        ColumnType::Boolean => Some(1),
        ColumnType::Integer | ColumnType::Float | ColumnType::Decimal(_) | ColumnType::Timestamp => Some(9),
        ColumnType::Text | ColumnType::Bytes => column.max_length,
        ColumnType::Json => None,
    }
}

#[cfg(test)]
mod tests;
