//! Values as JSON: by column type where the type is known, tagged where it is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    ColumnType, Decimal, MAX_SAFE_INTEGER, Value, format_date, format_timestamp, format_uuid, parse_date,
    parse_timestamp, parse_uuid,
};

/// A JSON value that a column of some type cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct JsonError {
    /// What the column takes, with the form that JSON must use.
    pub expected: String,
    /// What was given, shortened.
    pub found: String,
}

fn shorten(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl Value {
    /// The JSON of this value, as the module table says.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(v) => Json::Bool(*v),
            Self::Int(v) if v.abs_diff(0) <= MAX_SAFE_INTEGER.unsigned_abs() => Json::from(*v),
            Self::Int(v) => Json::String(v.to_string()),
            Self::Float(v) => Json::from(*v),
            Self::Decimal(v) => Json::String(v.to_string()),
            Self::Text(v) => Json::String(v.clone()),
            Self::Bytes(v) => Json::String(base64(v)),
            Self::Uuid(v) => Json::String(format_uuid(v)),
            Self::Timestamp(v) => Json::String(format_timestamp(*v)),
            Self::Date(v) => Json::String(format_date(*v)),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone())),
        }
    }

    /// Reads JSON as a value of type `ty`.
    ///
    /// # Errors
    /// When the JSON is not of the form that the type has; the message says what would be right.
    pub fn from_json(json: &Json, ty: ColumnType) -> Result<Self, JsonError> {
        if json.is_null() {
            return Ok(Self::Null);
        }
        let text = json.as_str();
        let value = match ty {
            ColumnType::Boolean => json.as_bool().map(Self::Bool),
            ColumnType::Integer => json.as_i64().or_else(|| text.and_then(|t| t.parse().ok())).map(Self::Int),
            ColumnType::Float => json.as_f64().and_then(Self::float),
            ColumnType::Decimal(scale) => decimal(json, scale).map(Self::Decimal),
            ColumnType::Text => text.map(|t| Self::Text(t.to_owned())),
            ColumnType::Bytes => text.and_then(unbase64).map(Self::Bytes),
            ColumnType::Uuid => text.and_then(parse_uuid).map(Self::Uuid),
            ColumnType::Timestamp => text.and_then(parse_timestamp).map(Self::Timestamp),
            ColumnType::Date => text.and_then(parse_date).map(Self::Date),
            ColumnType::Json => Some(Self::json(json)),
        };
        value.ok_or_else(|| JsonError { expected: expectation(ty), found: shorten(json) })
    }
}

fn decimal(json: &Json, scale: u8) -> Option<Decimal> {
    let text = match json {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    Decimal::parse(&text)?.rescale(scale)
}

fn expectation(ty: ColumnType) -> String {
    match ty {
        ColumnType::Boolean => "a boolean: true or false".into(),
        ColumnType::Integer => "an integer: a number, or a string of digits beyond 2^53".into(),
        ColumnType::Float => "a float: a finite number".into(),
        ColumnType::Decimal(scale) => {
            format!("a decimal with at most {scale} digits after the point, such as \"{}\"", Decimal::new(150, scale))
        }
        ColumnType::Text => "a text: a string".into(),
        ColumnType::Bytes => "bytes: a base64 string".into(),
        ColumnType::Uuid => "a uuid: a string of 36 characters, such as \"018f7c1e-…\"".into(),
        ColumnType::Timestamp => "a timestamp: an RFC 3339 string, such as \"2026-11-21T08:30:00Z\"".into(),
        ColumnType::Date => "a date: a string such as \"2026-11-21\"".into(),
        ColumnType::Json => "any JSON value".into(),
    }
}

/// The self-describing form, where no schema is at hand: `{"uuid": "…"}`, `{"int": 7}`, `null`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tagged {
    Null,
    Bool(bool),
    Int(String),
    Float(f64),
    Decimal(String),
    Text(String),
    Bytes(String),
    Uuid(String),
    Timestamp(String),
    Date(String),
    Json(Json),
}

impl From<&Value> for Tagged {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(v) => Self::Bool(*v),
            Value::Int(v) => Self::Int(v.to_string()),
            Value::Float(v) => Self::Float(*v),
            Value::Decimal(v) => Self::Decimal(v.to_string()),
            Value::Text(v) => Self::Text(v.clone()),
            Value::Bytes(v) => Self::Bytes(base64(v)),
            Value::Uuid(v) => Self::Uuid(format_uuid(v)),
            Value::Timestamp(v) => Self::Timestamp(format_timestamp(*v)),
            Value::Date(v) => Self::Date(format_date(*v)),
            Value::Json(_) => Self::Json(value.to_json()),
        }
    }
}

impl Tagged {
    pub(super) fn into_value(self) -> Result<Value, String> {
        let wrong = |what: &str, text: String| format!("not a valid {what}: {text}");
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(v) => Value::Bool(v),
            Self::Int(v) => Value::Int(v.parse().map_err(|_| wrong("int", v))?),
            Self::Float(v) => Value::float(v).ok_or_else(|| wrong("float", v.to_string()))?,
            Self::Decimal(v) => Value::Decimal(Decimal::parse(&v).ok_or_else(|| wrong("decimal", v))?),
            Self::Text(v) => Value::Text(v),
            Self::Bytes(v) => Value::Bytes(unbase64(&v).ok_or_else(|| wrong("base64", v))?),
            Self::Uuid(v) => Value::Uuid(parse_uuid(&v).ok_or_else(|| wrong("uuid", v))?),
            Self::Timestamp(v) => Value::Timestamp(parse_timestamp(&v).ok_or_else(|| wrong("timestamp", v))?),
            Self::Date(v) => Value::Date(parse_date(&v).ok_or_else(|| wrong("date", v))?),
            Self::Json(v) => Value::json(&v),
        })
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
