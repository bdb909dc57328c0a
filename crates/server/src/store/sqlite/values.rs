//! Values to and from SQLite without detours.

use landfall_core::value::{ColumnType, SqliteValue, Value, format_date, format_uuid, parse_date, parse_uuid};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// A value on its way into a statement.
pub(super) struct Bind<'a>(pub(super) &'a Value);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let borrowed = |v| ToSqlOutput::Borrowed(v);
        Ok(match self.0 {
            Value::Null => borrowed(ValueRef::Null),
            Value::Bool(v) => borrowed(ValueRef::Integer(i64::from(*v))),
            Value::Int(v) | Value::Timestamp(v) => borrowed(ValueRef::Integer(*v)),
            Value::Float(v) => borrowed(ValueRef::Real(*v)),
            Value::Decimal(v) => borrowed(ValueRef::Integer(v.units)),
            Value::Text(v) | Value::Json(v) => borrowed(ValueRef::Text(v.as_bytes())),
            Value::Bytes(v) => borrowed(ValueRef::Blob(v)),
            Value::Uuid(v) => ToSqlOutput::from(format_uuid(v)),
            Value::Date(v) => ToSqlOutput::from(format_date(*v)),
        })
    }
}

/// A stored value; NULL when another program wrote something that is not of the column's type.
pub(super) fn read(stored: ValueRef<'_>, ty: ColumnType) -> Value {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    match (ty, stored) {
        (ColumnType::Text, ValueRef::Text(bytes)) => text(bytes).map(|t| Value::Text(t.to_owned())).unwrap_or_default(),
        (ColumnType::Uuid, ValueRef::Text(bytes)) => {
            // Only the form that the store writes is a uuid: another spelling would be another key.
            let id = text(bytes).filter(|t| !t.bytes().any(|b| b.is_ascii_uppercase())).and_then(parse_uuid);
            id.map(Value::Uuid).unwrap_or_default()
        }
        (ColumnType::Date, ValueRef::Text(bytes)) => {
            let date = text(bytes).and_then(|t| parse_date(t).filter(|d| format_date(*d) == t));
            date.map(Value::Date).unwrap_or_default()
        }
        (ColumnType::Json, ValueRef::Text(bytes)) => {
            let valid = |t: &&str| serde_json::from_str::<serde::de::IgnoredAny>(t).is_ok();
            text(bytes).filter(valid).map(|t| Value::Json(t.to_owned())).unwrap_or_default()
        }
        (_, stored) => Value::from_sqlite(owned(stored), ty).unwrap_or_default(),
    }
}

fn owned(stored: ValueRef<'_>) -> SqliteValue {
    match stored {
        ValueRef::Null => SqliteValue::Null,
        ValueRef::Integer(v) => SqliteValue::Integer(v),
        ValueRef::Real(v) => SqliteValue::Real(v),
        ValueRef::Text(v) => SqliteValue::Text(String::from_utf8_lossy(v).into_owned()),
        ValueRef::Blob(v) => SqliteValue::Blob(v.to_vec()),
    }
}
