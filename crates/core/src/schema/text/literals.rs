//! Values in the schema: defaults, bounds and choices, as TOML writes them.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::reader::kind;
use super::{Report, Span};
use crate::error::codes;
use crate::value::{ColumnType, Value};

/// Reads a value of a column of type `ty`; `what` says what it is for.
pub(super) fn read(what: &str, value: &DeValue<'_>, span: &Span, ty: ColumnType, report: &mut Report) -> Option<Value> {
    let read = digits(value, ty).map_or_else(|| to_json(value), Ok).and_then(|json| {
        // A date without quotes has another spelling in TOML than the text would have; never guess which was meant.
        let guess = value.is_datetime() && matches!(ty, ColumnType::Text | ColumnType::Uuid | ColumnType::Bytes);
        Value::from_json(&json, ty).ok().filter(|_| !guess).ok_or_else(|| format!("this is {}", kind(value)))
    });
    match read {
        Ok(value) => Some(value),
        Err(label) => {
            report
                .add(codes::BAD_LITERAL, span.clone(), format!("{what} is not of type {ty}"))
                .label(label)
                .help(format!("expected {}", expected(what, ty)));
            None
        }
    }
}

fn expected(what: &str, ty: ColumnType) -> String {
    let form = match Value::from_json(&Json::Object(serde_json::Map::new()), ty) {
        Err(error) => error.expected,
        Ok(_) => "JSON with finite numbers".to_owned(),
    };
    match ty {
        ColumnType::Uuid if what == "`default`" => {
            format!("{form}; or \"uuid\" for a new one in each row")
        }
        ColumnType::Timestamp | ColumnType::Date if what == "`default`" => {
            format!("{form}; or \"now\"")
        }
        _ => form,
    }
}

/// A decimal written as a number keeps its digits: it goes through text, never through a double.
fn digits(value: &DeValue<'_>, ty: ColumnType) -> Option<Json> {
    match (value, ty) {
        (DeValue::Float(digits), ColumnType::Decimal(_)) => {
            Some(Json::String(digits.as_str().trim_start_matches('+').to_owned()))
        }
        _ => None,
    }
}

/// The TOML value as JSON.
fn to_json(value: &DeValue<'_>) -> Result<Json, String> {
    Ok(match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map(Json::from)
            .map_err(|_| "the number does not fit 64 bits".to_owned())?,
        DeValue::Float(digits) => number(digits.as_str())?,
        DeValue::Datetime(value) => Json::String(value.to_string()),
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|item| to_json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                Ok((key.to_string(), to_json(value.get_ref())?))
            };
            Json::Object(table.iter().map(entry).collect::<Result<_, String>>()?)
        }
    })
}

fn number(digits: &str) -> Result<Json, String> {
    let float: f64 = digits.parse().map_err(|_| "this is not a number".to_owned())?;
    serde_json::Number::from_f64(float).map(Json::Number).ok_or_else(|| "the number is not finite".to_owned())
}
