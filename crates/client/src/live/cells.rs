//! Values between SQLite, change sets and answers.

use landfall_core::hash::Cells;
use landfall_core::value::{ColumnType, SqliteError, SqliteValue, Value};
use rusqlite::types::ValueRef;

static NULL: Value = Value::Null;

/// A cell as SQL sees it: a column that the device does not hold is NULL there.
pub(super) fn cell<'a>(cells: &'a Cells, column: &str) -> &'a Value {
    cells.get(column).unwrap_or(&NULL)
}

/// The form under which a value is bound to a statement.
pub(super) fn to_bind(value: &Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Bound;
    match value.to_sqlite() {
        SqliteValue::Null => Bound::Null,
        SqliteValue::Integer(v) => Bound::Integer(v),
        SqliteValue::Real(v) => Bound::Real(v),
        SqliteValue::Text(v) => Bound::Text(v),
        SqliteValue::Blob(v) => Bound::Blob(v),
    }
}

pub(super) fn stored(value: ValueRef<'_>) -> SqliteValue {
    match value {
        ValueRef::Null => SqliteValue::Null,
        ValueRef::Integer(v) => SqliteValue::Integer(v),
        ValueRef::Real(v) => SqliteValue::Real(v),
        // STRICT tables hold what was bound, and only text is bound: other bytes could only come from a cast.
        ValueRef::Text(v) => SqliteValue::Text(String::from_utf8_lossy(v).into_owned()),
        ValueRef::Blob(v) => SqliteValue::Blob(v.to_vec()),
    }
}

/// A value of an answer to plain SQL, in the type that SQLite gives it.
pub(super) fn plain(value: ValueRef<'_>) -> Value {
    match stored(value) {
        SqliteValue::Null => Value::Null,
        SqliteValue::Integer(v) => Value::Int(v),
        SqliteValue::Real(v) => Value::Float(if v == 0.0 { 0.0 } else { v }),
        SqliteValue::Text(v) => Value::Text(v),
        SqliteValue::Blob(v) => Value::Bytes(v),
    }
}

/// A value of a column of the schema.
pub(super) fn typed(value: ValueRef<'_>, ty: ColumnType) -> Result<Value, SqliteError> {
    Value::from_sqlite(stored(value), ty)
}
