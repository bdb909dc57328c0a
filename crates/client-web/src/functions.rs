//! Merge functions of the app's own (`merge = "custom"`) in JavaScript: three values go there as JSON text, one comes back.

use landfall_core::json::list;
use landfall_core::rules::Three;
use landfall_core::{ColumnType, Value};
use serde_json::Value as Json;

use crate::json;
use crate::ops;

/// The question: `[base, ours, theirs]`.
///
/// ```
/// use landfall_client_web::functions::question;
/// use landfall_core::rules::Three;
/// use landfall_core::{ColumnType, Value};
///
/// let (base, ours, theirs) = (Value::Null, Value::Int(1), Value::Int(1 << 60));
/// let three = Three { ty: ColumnType::Integer, base: &base, ours: &ours, theirs: &theirs };
/// assert_eq!(question(&three), r#"[null,1,{"i":"1152921504606846976"}]"#);
/// ```
pub fn question(three: &Three<'_>) -> String {
    let mut out = String::new();
    list([three.base, three.ours, three.theirs], &mut out, json::value);
    out
}

/// What an answer says: `[value]`, or as a text why there is none.
///
/// # Errors
/// That text, or what is wrong with the value.
///
/// ```
/// use landfall_client_web::functions::answer;
/// use landfall_core::{ColumnType, Value};
///
/// assert_eq!(answer("[5]", ColumnType::Integer), Ok(Value::Int(5)));
/// assert_eq!(answer("\"Error: no\"", ColumnType::Integer), Err("Error: no".to_owned()));
/// assert!(answer("[\"2026-02-30\"]", ColumnType::Date).is_err());
/// ```
pub fn answer(text: &str, ty: ColumnType) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(Json::Array(one)) if one.len() == 1 => ops::cell(&one[0], ty),
        Ok(Json::String(why)) => Err(why),
        _ => Err("the SDK and the engine do not understand each other; reload the page".to_owned()),
    }
}
