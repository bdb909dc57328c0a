//! What became of rows: the history that the server keeps of a table, as far as it is held here, and back to it.

use landfall_core::error::codes;
use landfall_core::schema::ddl::quote;
use landfall_core::schema::history::{
    CHANGE_AT, CHANGE_COLUMNS_CHANGED, CHANGE_ID, CHANGE_KIND, CHANGE_ROW, CHANGE_SEQ, ChangeKind, change_row,
};
use landfall_core::schema::{Column, Table};
use landfall_core::{Problem, RowKey, Value, mutant};

use super::error::DbError;
use super::write::WriteTx;
use super::{Database, Rows};

impl Database {
    /// The changes of a row, newest first: the columns of `<table>_history`. What is here is what the open shapes of that
    /// table name; what this device wrote is in it once the server has accepted it.
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when there is no such table, [`DbError::Invalid`] when it keeps no history.
    pub fn history(&self, table: &str, key: &RowKey) -> Result<Rows, DbError> {
        let (table, history) = kept(self, table)?;
        let sql = format!(
            "SELECT * FROM {} WHERE {CHANGE_ROW} = ? ORDER BY {CHANGE_SEQ} DESC, {CHANGE_KIND} = '{}', {CHANGE_KIND} <> '{}'",
            quote(&history.name),
            ChangeKind::Before.name(),
            ChangeKind::Lost.name()
        );
        self.query(&sql, &[change_row(&table.name, key)])
    }

    /// The rows of a table as they were at a moment (microseconds since the Unix epoch, by the server's clock), told from
    /// the history that is held here. A row of which no change is held is taken as it is, also one that is not sent yet;
    /// one that this subject may no longer see is taken as it was last seen. Longer ago than the history is kept, rows
    /// may be missing.
    ///
    /// # Errors
    /// As [`Database::history`].
    pub fn as_of(&self, table: &str, at_us: i64) -> Result<Rows, DbError> {
        let (table, history) = kept(self, table)?;
        self.query(&as_of_sql(table, history), &[Value::Timestamp(at_us)])
    }
}

/// The rows of a table at a moment. The TypeScript SDK has the same words.
pub(super) fn as_of_sql(table: &Table, history: &Table) -> String {
    let (name, past) = (quote(&table.name), quote(&history.name));
    let columns: Vec<String> = table.columns.iter().map(|c| quote(&c.name)).collect();
    let columns = columns.join(", ");
    let same = |key: &String| format!("past.{0} = now.{0}", quote(key));
    let same: Vec<String> = table.primary_key.iter().map(same).collect();
    let gone = if mutant::active("as-of-wrong") { "" } else { ChangeKind::Delete.name() };
    let lost = ChangeKind::Lost.name();
    // A bare column beside max() is that of the row with the maximum (SQLite, "Bare columns in an aggregate query").
    format!(
        "SELECT {columns} FROM {past} WHERE {CHANGE_ID} IN (SELECT id FROM
               (SELECT {CHANGE_ID} AS id, {CHANGE_KIND} AS kind, max({CHANGE_SEQ}) FROM {past}
                WHERE ({CHANGE_AT} <= ? OR {CHANGE_AT} IS NULL) AND {CHANGE_KIND} <> '{lost}' GROUP BY {CHANGE_ROW})
             WHERE kind <> '{gone}')
             UNION ALL SELECT {columns} FROM {name} AS now WHERE NOT EXISTS
               (SELECT 1 FROM {past} AS past WHERE {} AND past.{CHANGE_KIND} <> '{lost}')",
        same.join(" AND ")
    )
}

impl WriteTx<'_> {
    /// Makes a row again what it was after a change of its history, or before it, if that was its delete; of what was lost
    /// those columns. It is a write like any other: queued, merged, checked, in the history, undone. False: that is how the row is.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when the table keeps no history, or the change is not held here (`LF-3002`); otherwise as
    /// [`WriteTx::update`] and [`WriteTx::insert`].
    pub fn restore(&mut self, table: &str, change_id: &Value) -> Result<bool, DbError> {
        let (table, history) =
            kept(self.database(), table).map(|(table, history)| (table.clone(), history.name.clone()))?;
        let found = match change_id {
            Value::Uuid(_) => self.row(&history, &RowKey::single(change_id.clone()))?,
            _ => None,
        };
        let Some(change) = found else {
            let message = "this change is not on this device; open a shape of the history that has it";
            return Err(DbError::Invalid(Problem { table: Some(history), ..Problem::new(codes::ROW_GONE, message) }));
        };
        let Some(key) = table.key_of(&change) else { return Ok(false) };
        // Of a row that is there still, the other columns are as others have them, and were so then.
        let is_lost = change.get(CHANGE_KIND) == Some(&ChangeKind::Lost.value());
        let is_partly = is_lost && self.row(&table.name, &key)?.is_some();
        let columns = change.get(CHANGE_COLUMNS_CHANGED).map(Value::to_json).unwrap_or_default();
        let named =
            |column: &Column| columns.as_array().is_some_and(|list| list.iter().any(|name| *name == column.name));
        self.become_row(&table, &key, |column| {
            change.get(&column.name).filter(|_| !is_partly || named(column)).cloned()
        })
    }

    /// Makes a row what it was, as far as that is known; one that is gone is made anew. False: so it is.
    pub(super) fn become_row(
        &mut self,
        table: &Table,
        key: &RowKey,
        was: impl Fn(&Column) -> Option<Value>,
    ) -> Result<bool, DbError> {
        let now = self.row(&table.name, key)?;
        // What the server fills is the server's to fill; and what is required now may not have been there then.
        let columns = table.data_columns().filter(|c| !c.assigned && !mutant::active("restored-by-halves"));
        let then = columns.filter_map(|c| {
            let value = was(c).filter(|value| !(c.required && value.is_null()))?;
            Some((c.name.as_str(), value))
        });
        match now {
            Some(now) => {
                let differs: Vec<_> = then.filter(|(name, value)| now.get(*name) != Some(value)).collect();
                Ok(!differs.is_empty() && self.update(&table.name, key, &differs)?)
            }
            None => {
                let keys = table.primary_key.iter().map(String::as_str).zip(key.0.iter().cloned());
                let row: Vec<_> = keys.chain(then).collect();
                self.insert(&table.name, &row)?;
                Ok(true)
            }
        }
    }
}

/// A table that keeps its history, and the table of that.
fn kept<'a>(db: &'a Database, name: &str) -> Result<(&'a Table, &'a Table), DbError> {
    let schema = db.schema();
    let table = schema.table(name).ok_or_else(|| DbError::UnknownName(format!("the schema has no table '{name}'")))?;
    schema.table(&table.history_table()).filter(|_| table.history.is_some()).map(|history| (table, history)).ok_or_else(
        || {
            let message = format!("the table '{name}' keeps no history; declare `history = true` in landfall.toml");
            DbError::Invalid(Problem { table: Some(name.to_owned()), ..Problem::new(codes::UNKNOWN_NAME, message) })
        },
    )
}
