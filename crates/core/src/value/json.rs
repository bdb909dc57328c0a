//! Values as JSON: by column type where the type is known, tagged where it is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    ColumnType, Decimal, MAX_SAFE_INTEGER, Value, format_date, format_timestamp, format_uuid, parse_date,
    parse_timestamp, parse_uuid,
};
use crate::json::{Misread, Object, name_of, one_of, string, variant};

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

/// The self-describing form, where no schema is at hand: `{"uuid": "…"}`, `{"int": "7"}`, `"null"`.
impl Value {
    fn tag(&self) -> (&'static str, Json) {
        let tag = match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(v) => return ("int", Json::String(v.to_string())),
            Self::Float(_) => "float",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Uuid(_) => "uuid",
            Self::Timestamp(_) => "timestamp",
            Self::Date(_) => "date",
            Self::Json(_) => "json",
        };
        (tag, self.to_json())
    }

    /// Appends the self-describing form.
    pub fn write_tagged(&self, out: &mut String) {
        match self.tag() {
            ("null", _) => out.push_str("\"null\""),
            (tag, json) => Object::new(out).field(tag).push_str(&json.to_string()),
        }
    }

    /// Reads the self-describing form.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_tagged(json: &Json) -> Result<Self, Misread> {
        let (tag, inner) = variant(json)?;
        let text = inner.as_str();
        let value = match tag {
            "null" => Some(Self::Null),
            "bool" => inner.as_bool().map(Self::Bool),
            "int" => text.and_then(|t| t.parse().ok()).map(Self::Int),
            "float" => inner.as_f64().and_then(Self::float),
            "decimal" => text.and_then(Decimal::parse).map(Self::Decimal),
            "text" => text.map(|t| Self::Text(t.to_owned())),
            "bytes" => text.and_then(unbase64).map(Self::Bytes),
            "uuid" => text.and_then(parse_uuid).map(Self::Uuid),
            "timestamp" => text.and_then(parse_timestamp).map(Self::Timestamp),
            "date" => text.and_then(parse_date).map(Self::Date),
            "json" => Some(Self::json(inner)),
            _ => None,
        };
        value.ok_or_else(|| format!("not a valid {tag}: {}", shorten(inner)))
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.tag() {
            ("null", _) => serializer.serialize_str("null"),
            one => serializer.collect_map([one]),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read_tagged(&Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The types without a parameter, by their names in the compiled schema.
const TYPES: &[(&str, ColumnType)] = &[
    ("uuid", ColumnType::Uuid),
    ("text", ColumnType::Text),
    ("integer", ColumnType::Integer),
    ("float", ColumnType::Float),
    ("boolean", ColumnType::Boolean),
    ("timestamp", ColumnType::Timestamp),
    ("date", ColumnType::Date),
    ("json", ColumnType::Json),
    ("bytes", ColumnType::Bytes),
];

impl ColumnType {
    /// Appends the form that the compiled schema has of a type: `"text"`, `{"decimal":2}`.
    pub fn write_json(self, out: &mut String) {
        match self {
            Self::Decimal(scale) => Object::new(out).field("decimal").push_str(&scale.to_string()),
            other => string(name_of(other, TYPES), out),
        }
    }

    /// Reads what was written.
    pub(crate) fn read_json(json: &Json) -> Result<Self, Misread> {
        match variant(json)? {
            ("decimal", scale) => {
                let scale = scale.as_u64().and_then(|n| n.try_into().ok());
                scale.map(Self::Decimal).ok_or_else(|| format!("{json} is not a type"))
            }
            _ => one_of(json, TYPES),
        }
    }
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Decimal(scale) => serializer.collect_map([("decimal", scale)]),
            other => serializer.serialize_str(name_of(*other, TYPES)),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read_json(&Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Bytes as base64, as a value of bytes has them in JSON.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads what [`base64`] wrote.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
