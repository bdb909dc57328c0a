//! Values as SQLite stores them, without a dependency on SQLite: the shells map these five cases to their driver.

use super::{ColumnType, Decimal, Value, format_date, format_uuid, parse_date, parse_uuid};

/// A value in one of SQLite's five storage classes.
#[derive(Clone, Debug, PartialEq)]
pub enum SqliteValue {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

/// A stored value that is not of its column's type, for example after a write from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a column of type {expected} holds {found}; write {hint}")]
pub struct SqliteError {
    /// The column's type.
    pub expected: ColumnType,
    /// What SQLite holds.
    pub found: String,
    /// The stored form that would be right.
    pub hint: &'static str,
}

impl Value {
    /// The stored form of this value.
    pub fn to_sqlite(&self) -> SqliteValue {
        match self {
            Self::Null => SqliteValue::Null,
            Self::Bool(v) => SqliteValue::Integer(i64::from(*v)),
            Self::Int(v) | Self::Timestamp(v) => SqliteValue::Integer(*v),
            Self::Float(v) => SqliteValue::Real(*v),
            Self::Decimal(v) => SqliteValue::Integer(v.units),
            Self::Text(v) | Self::Json(v) => SqliteValue::Text(v.clone()),
            Self::Bytes(v) => SqliteValue::Blob(v.clone()),
            Self::Uuid(v) => SqliteValue::Text(format_uuid(v)),
            Self::Date(v) => SqliteValue::Text(format_date(*v)),
        }
    }

    /// Reads a stored value of a column of type `ty`.
    ///
    /// # Errors
    /// When the stored value does not stand for a value of the type. What [`Value::to_sqlite`] writes is always read; so
    /// are uuids in upper case and JSON with white space, whose value then has another stored form.
    pub fn from_sqlite(stored: SqliteValue, ty: ColumnType) -> Result<Self, SqliteError> {
        let wrong = |found: String| SqliteError { expected: ty, found, hint: stored_form(ty) };
        Ok(match (ty, stored) {
            (_, SqliteValue::Null) => Self::Null,
            (ColumnType::Boolean, SqliteValue::Integer(v @ (0 | 1))) => Self::Bool(v == 1),
            (ColumnType::Integer, SqliteValue::Integer(v)) => Self::Int(v),
            (ColumnType::Timestamp, SqliteValue::Integer(v)) => {
                Self::timestamp(v).ok_or_else(|| wrong(format!("the integer {v}, outside the years 0001 to 9999")))?
            }
            (ColumnType::Decimal(scale), SqliteValue::Integer(v)) => Self::Decimal(Decimal::new(v, scale)),
            (ColumnType::Float, SqliteValue::Real(v)) => {
                Self::float(v).ok_or_else(|| wrong("a float that is not finite".into()))?
            }
            (ColumnType::Text, SqliteValue::Text(v)) => Self::Text(v),
            (ColumnType::Bytes, SqliteValue::Blob(v)) => Self::Bytes(v),
            (ColumnType::Uuid, SqliteValue::Text(v)) => {
                Self::Uuid(parse_uuid(&v).ok_or_else(|| wrong(format!("the text '{v}'")))?)
            }
            (ColumnType::Date, SqliteValue::Text(v)) => {
                Self::Date(parse_date(&v).ok_or_else(|| wrong(format!("the text '{v}'")))?)
            }
            (ColumnType::Json, SqliteValue::Text(v)) => match serde_json::from_str::<serde_json::Value>(&v) {
                Ok(parsed) => Self::json(&parsed),
                Err(_) => return Err(wrong("text that is not JSON, or nested deeper than 128 levels".into())),
            },
            (_, SqliteValue::Integer(v)) => return Err(wrong(format!("the integer {v}"))),
            (_, SqliteValue::Real(v)) => return Err(wrong(format!("the real {v}"))),
            (_, SqliteValue::Text(_)) => return Err(wrong("a text".into())),
            (_, SqliteValue::Blob(_)) => return Err(wrong("a blob".into())),
        })
    }
}

fn stored_form(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Uuid => "36 lower-case characters",
        ColumnType::Text => "a text",
        ColumnType::Integer => "an integer",
        ColumnType::Float => "a finite real",
        ColumnType::Decimal(_) => {
            "an integer in the smallest unit (1.50 at scale 2 is 150), or use to_decimal('1.50', 2)"
        }
        ColumnType::Boolean => "0 or 1",
        ColumnType::Timestamp => "an integer, microseconds since 1970, or use to_timestamp('2026-11-21T08:30:00Z')",
        ColumnType::Date => "a text YYYY-MM-DD",
        ColumnType::Json => "JSON text",
        ColumnType::Bytes => "a blob",
    }
}

impl ColumnType {
    /// The column type in a STRICT SQLite table.
    pub fn sqlite_type(self) -> &'static str {
        match self {
            Self::Uuid | Self::Text | Self::Date | Self::Json => "TEXT",
            Self::Integer | Self::Decimal(_) | Self::Boolean | Self::Timestamp => "INTEGER",
            Self::Float => "REAL",
            Self::Bytes => "BLOB",
        }
    }
}
