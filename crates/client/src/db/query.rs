//! The app's reads.

use landfall_core::Value;
use landfall_core::value::{ColumnType, SqliteValue};
use rusqlite::Statement;

use super::Database;
use super::error::DbError;
use super::hooks::{Mode, Shared};
use super::tables::{AppTables, Bind, stored};

/// The rows of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Names of the result columns.
    pub columns: Vec<String>,
    /// Rows of values. A result column that is a plain table column has the schema's type; any other has the type of
    /// its storage class (integer, float, text, bytes).
    pub rows: Vec<Vec<Value>>,
}

/// The engine's statements and an app's share one cache; what is cached was authorised for whoever wrote it, so that
/// the texts must differ.
pub(super) const READ_MARK: &str = "/*read*/ ";
pub(super) const WRITE_MARK: &str = "/*write*/ ";

impl Database {
    /// Runs a query. Read only: anything else is refused. Parameters are bound by position.
    ///
    /// # Errors
    /// [`DbError::NotPermitted`] when the statement does more than read, [`DbError::Sql`] when SQLite does not accept
    /// it.
    pub fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        self.shared.set_mode(Mode::Read);
        let result = run_query(&self.conn, &self.tables, &format!("{READ_MARK}{sql}"), params);
        let result = result.map_err(|error| explain(&self.shared, &self.tables, error));
        self.shared.set_mode(Mode::Engine);
        result
    }

    /// Whether a statement is for [`Database::query`]: SQLite says so, not the statement's first word. One that nobody may
    /// run, or that is none, is not: a write transaction says why.
    pub fn is_query(&self, sql: &str) -> bool {
        let reads = |(mode, mark)| {
            self.shared.set_mode(mode);
            let statement = self.conn.prepare_cached(&format!("{mark}{sql}")).ok()?;
            Some(statement.readonly() || statement.is_explain() != 0)
        };
        let found = [(Mode::Read, READ_MARK), (Mode::Write, WRITE_MARK)].into_iter().find_map(reads);
        self.shared.set_mode(Mode::Engine);
        found.unwrap_or(false)
    }
}

/// Runs a statement and collects its rows.
pub(super) fn run_query(
    conn: &rusqlite::Connection,
    tables: &AppTables,
    sql: &str,
    params: &[Value],
) -> Result<Rows, Failure> {
    let mut statement = conn.prepare_cached(sql)?;
    if sql.starts_with(READ_MARK) && !statement.readonly() {
        return Err(DbError::NotPermitted("a query may only read; use a write transaction".into()).into());
    }
    let types = column_types(&statement, tables);
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut answer = statement.query(rusqlite::params_from_iter(params.iter().map(Bind)))?;
    let mut rows = Vec::new();
    while let Some(row) = answer.next()? {
        let mut values = Vec::with_capacity(types.len());
        for (at, ty) in types.iter().enumerate() {
            let value = stored(row.get_ref(at)?);
            values.push(typed(value, *ty).map_err(|cause| DbError::StoredForm {
                table: "the answer".into(),
                column: columns[at].clone(),
                cause,
            })?);
        }
        rows.push(values);
    }
    Ok(Rows { columns, rows })
}

fn column_types(statement: &Statement<'_>, tables: &AppTables) -> Vec<Option<ColumnType>> {
    let ty = |column: rusqlite::ColumnMetadata<'_>| {
        let table = tables.get(column.table_name()?).ok()?;
        let name = column.origin_name()?;
        table.table.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name)).map(|c| c.ty)
    };
    statement.columns_with_metadata().map(ty).collect()
}

fn typed(value: SqliteValue, ty: Option<ColumnType>) -> Result<Value, String> {
    match (ty, value) {
        (Some(ty), value) => Value::from_sqlite(value, ty).map_err(|e| e.to_string()),
        (None, SqliteValue::Null) => Ok(Value::Null),
        (None, SqliteValue::Integer(v)) => Ok(Value::Int(v)),
        (None, SqliteValue::Real(v)) => {
            Value::float(v).ok_or_else(|| "the number is too large for a float; limit the expression".to_owned())
        }
        (None, SqliteValue::Text(v)) => Ok(Value::Text(v)),
        (None, SqliteValue::Blob(v)) => Ok(Value::Bytes(v)),
    }
}

/// A failure before it is explained to a person.
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Known(DbError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Known(error)
    }
}

/// Says what an app can do about SQLite's refusal of its statement.
pub(super) fn explain(shared: &Shared, tables: &AppTables, failure: impl Into<Failure>) -> DbError {
    let error = match failure.into() {
        Failure::Known(error) => return error,
        Failure::Sqlite(error) => error,
    };
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::AuthorizationForStatementDenied)
        && let Some(reason) = shared.lock().denied.take()
    {
        return DbError::NotPermitted(reason);
    }
    let text = super::error::message(&error);
    if let Some(problem) = wrong_storage_class(tables, &text) {
        return problem;
    }
    if text.starts_with("ON CONFLICT clause does not match") {
        return DbError::Sql(format!(
            "{text}: an upsert in SQL works on the primary key; for a unique column use the typed upsert"
        ));
    }
    DbError::from(error)
}

/// `cannot store REAL value in INTEGER column posts.price`: a STRICT table refuses another storage class.
fn wrong_storage_class(tables: &AppTables, text: &str) -> Option<DbError> {
    let rest = text.strip_prefix("cannot store ")?;
    let (found, rest) = rest.split_once(" value in ")?;
    let (_, place) = rest.split_once(" column ")?;
    let (table, name) = place.split_once('.')?;
    let column = tables.get(table).ok()?.table.column(name)?;
    let hint = match column.ty {
        ColumnType::Decimal(scale) => {
            format!("write to_decimal('1.50', {scale}), or use a typed call with a decimal value")
        }
        ColumnType::Timestamp => "write to_timestamp('2026-11-21T08:30:00Z'), or use a typed call".to_owned(),
        other => format!("bind a value of type {other}"),
    };
    Some(DbError::StoredForm {
        table: table.to_owned(),
        column: name.to_owned(),
        cause: format!("a column of type {} cannot take a value of class {found}; {hint}", column.ty),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::memory;

    #[test]
    fn queries_are_told_from_writes_by_what_they_do() {
        let db = memory();
        let queries = [
            "select 1",
            "/* x */ select 1",
            "-- c\nselect 1",
            "values (1)",
            "with insert_ as (select 'delete ') select * from insert_",
            "explain insert into counters (id) values (1)",
            "pragma table_info(notes)",
        ];
        let writes = [
            "/* select */ insert into counters (id) values (1)",
            "insert into counters (id) values (1) returning id",
            "with x as (select 1) delete from counters where id in x",
            "replace into drafts (id) values (1)",
        ];
        // What nobody may run, or nobody can.
        let neither = ["begin", "drop table notes", "pragma user_version = 9", "selec 1"];
        for sql in queries {
            assert!(db.is_query(sql), "{sql}");
        }
        for sql in writes.into_iter().chain(neither) {
            assert!(!db.is_query(sql), "{sql}");
        }
        assert!(db.query("select count(*) from counters", &[]).is_ok(), "nothing is left behind");
    }
}
