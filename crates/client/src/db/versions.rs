//! Versions of rows that people keep, and the documents of rows, as far as they are held here.

use landfall_core::error::codes;
use landfall_core::schema::Table;
use landfall_core::schema::ddl::quote;
use landfall_core::schema::docs::{DOC_COLUMN, DOC_UPDATE};
use landfall_core::schema::versions::{VERSION_ID, VERSION_NAME, VERSION_SEQ};
use landfall_core::{Problem, RowKey, Value};

use super::error::DbError;
use super::write::WriteTx;
use super::{Database, Rows};

impl Database {
    /// The versions of a row, newest first, those that are not sent yet before all others: the columns of `<table>_versions`, what the
    /// row was among them. What is here is what the open shapes of that table name, and what this device kept.
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when there is no such table, [`DbError::Invalid`] when no versions of its rows are kept.
    pub fn versions(&self, table: &str, key: &RowKey) -> Result<Rows, DbError> {
        let (_, versions, of) = versioned(self, table)?;
        let sql = format!(
            "SELECT * FROM {} WHERE {} = ? ORDER BY {VERSION_SEQ} IS NOT NULL, {VERSION_SEQ} DESC, rowid DESC",
            quote(&versions.name),
            quote(of)
        );
        self.query(&sql, &key.0)
    }

    /// The updates of a document of a row that are held here, oldest first: together, in whatever order, they are the document. Put
    /// them into a document all at once, as one merged update: some libraries lose what waits for others.
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when the table has no such document.
    pub fn doc_updates(&self, table: &str, key: &RowKey, column: &str) -> Result<Vec<Vec<u8>>, DbError> {
        let (docs, of) = documents(self, table, column)?;
        let sql = format!(
            "SELECT {DOC_UPDATE} FROM {} WHERE {} = ? AND {DOC_COLUMN} = ? ORDER BY rowid",
            quote(&docs.name),
            quote(of)
        );
        let params: Vec<Value> = key.0.iter().cloned().chain([Value::from(column)]).collect();
        let found = self.query(&sql, &params)?;
        let updates = found.rows.into_iter().flatten();
        Ok(updates.filter_map(|value| if let Value::Bytes(update) = value { Some(update) } else { None }).collect())
    }
}

impl WriteTx<'_> {
    /// Keeps what a row is now as a version, with a name or without; its key. `docs` are the row's documents, each as one update
    /// ([`Database::doc_updates`], merged by the library that the app has them with). It is a write like any other, offline too.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when no versions of such rows are kept, the row is not held here (`LF-3002`), or the name is longer than
    /// 200 characters; otherwise as [`WriteTx::insert`].
    pub fn keep_version(
        &mut self,
        table: &str,
        key: &RowKey,
        name: Option<&str>,
        docs: &[(&str, Vec<u8>)],
    ) -> Result<Value, DbError> {
        let (table, versions, of) = versioned(self.database(), table)?;
        let (table, versions, of) = (table.clone(), versions.clone(), of.to_owned());
        let Some(row) = self.row(&table.name, key)? else {
            let message = "there is no row with this key on this device; open a shape that has it";
            return Err(DbError::Invalid(Problem::new(codes::ROW_GONE, message).row(&table.name, key)));
        };
        let mut cells: Vec<(&str, Value)> = vec![
            (&of, key.0.first().cloned().unwrap_or_default()),
            (VERSION_NAME, name.map_or(Value::Null, Value::from)),
        ];
        let own = table.data_columns().filter(|column| versions.column(&column.name).is_some());
        cells.extend(own.map(|column| (column.name.as_str(), row.get(&column.name).cloned().unwrap_or_default())));
        cells.extend(docs.iter().map(|(column, update)| (*column, Value::Bytes(update.clone()))));
        self.insert(&versions.name, &cells)?;
        let sql = format!("SELECT {VERSION_ID} FROM {} ORDER BY rowid DESC LIMIT 1", quote(&versions.name));
        Ok(self.query(&sql, &[])?.rows.into_iter().flatten().next().unwrap_or_default())
    }

    /// Makes the columns of a row again what they were in a version; a row that is gone is made anew. It is a write like any other:
    /// queued, merged, checked, in the history, undone. Its documents stay as they are: what they were is in the version. False: that
    /// is how the row is.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when no versions of such rows are kept, or the version is not held here (`LF-3002`); otherwise as
    /// [`WriteTx::update`] and [`WriteTx::insert`].
    pub fn restore_version(&mut self, table: &str, version: &Value) -> Result<bool, DbError> {
        let (table, versions, of) = versioned(self.database(), table)?;
        let (table, versions, of) = (table.clone(), versions.clone(), of.to_owned());
        let Some(kept) = self.row(&versions.name, &RowKey::single(version.clone()))? else {
            let message = "this version is not on this device; open a shape of the versions that has it";
            let problem = Problem { table: Some(versions.name), ..Problem::new(codes::ROW_GONE, message) };
            return Err(DbError::Invalid(problem));
        };
        let key = RowKey::single(kept.get(&of).cloned().unwrap_or_default());
        self.become_row(&table, &key, |column| kept.get(&column.name).cloned())
    }

    /// Writes an update of a document of a row, as its library gives it: a write like any other, offline too. Nothing that the others do
    /// is lost by it. The server looks whether it is one (`LF-2001`).
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when the table has no such document; otherwise as [`WriteTx::insert`].
    pub fn write_doc(&mut self, table: &str, key: &RowKey, column: &str, update: Vec<u8>) -> Result<(), DbError> {
        let (docs, of) = documents(self.database(), table, column)?;
        let (docs, of) = (docs.name.clone(), of.to_owned());
        let row = key.0.first().cloned().unwrap_or_default();
        let cells = [(of.as_str(), row), (DOC_COLUMN, Value::from(column)), (DOC_UPDATE, Value::Bytes(update))];
        self.insert(&docs, &cells)
    }
}

/// A table, that of the versions of its rows, and the column that names the row there.
fn versioned<'a>(db: &'a Database, name: &str) -> Result<(&'a Table, &'a Table, &'a str), DbError> {
    let schema = db.schema();
    let table = schema.table(name).ok_or_else(|| DbError::UnknownName(format!("the schema has no table '{name}'")))?;
    let versions = schema.table(&table.versions_table()).and_then(|v| Some((v, v.versions_of.as_ref()?)));
    versions.map(|(versions, of)| (table, versions, of.key.as_str())).ok_or_else(|| {
        let message = format!("no versions of '{name}' are kept; declare `versions = true` in landfall.toml");
        DbError::Invalid(Problem { table: Some(name.to_owned()), ..Problem::new(codes::UNKNOWN_NAME, message) })
    })
}

/// The table of the documents of a table, and the column that names the row there.
fn documents<'a>(db: &'a Database, name: &str, column: &str) -> Result<(&'a Table, &'a str), DbError> {
    let schema = db.schema();
    let table = schema.table(name).filter(|table| table.docs.iter().any(|doc| doc == column));
    let docs = table.and_then(|table| schema.table(&table.docs_table()));
    docs.and_then(|docs| Some((docs, docs.docs_of.as_ref()?.key.as_str()))).ok_or_else(|| {
        DbError::UnknownName(format!("'{name}' has no document '{column}'; a column of type `doc` is one"))
    })
}
