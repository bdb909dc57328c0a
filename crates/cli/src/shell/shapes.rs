//! Shapes in the shell: reading `.open`, showing what is held.

use std::collections::BTreeMap;

use landfall_client::db::Subscription;
use landfall_core::schema::{Param, Shape};
use landfall_core::{Schema, Value};

use super::render;
use crate::failure::Failure;
use crate::out::out;

/// Reads `SHAPE [NAME=VALUE …]`.
///
/// # Errors
/// LF-7011 for a shape that the schema does not have, LF-7012 for parameters that are not the shape's.
pub(super) fn parse(schema: &Schema, text: &str) -> Result<(String, BTreeMap<String, Value>), Failure> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let shape = schema.shape(name).ok_or_else(|| {
        let known = schema.shapes.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        Failure::usage(format!("the schema has no shape '{name}'; it has: {known} [LF-7011]"))
    })?;
    let mut params = BTreeMap::new();
    for word in words {
        let (key, text) = word.split_once('=').ok_or_else(|| wrong(shape, &format!("'{word}' is no NAME=VALUE")))?;
        let param = shape.params.iter().find(|p| p.name == key);
        let param = param.ok_or_else(|| wrong(shape, &format!("'{key}' is no parameter of {name}")))?;
        let value = value(param, text).ok_or_else(|| wrong(shape, &format!("'{text}' is no {}", param.ty)))?;
        params.insert(key.to_owned(), value);
    }
    match shape.params.iter().find(|p| !params.contains_key(&p.name)) {
        Some(absent) => Err(wrong(shape, &format!("{} is missing", absent.name))),
        None => Ok((name.to_owned(), params)),
    }
}

/// A value as JSON, or as the text that JSON would quote.
fn value(param: &Param, text: &str) -> Option<Value> {
    let json = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    Value::from_json(&json, param.ty).or_else(|_| Value::from_json(&text.into(), param.ty)).ok()
}

fn wrong(shape: &Shape, what: &str) -> Failure {
    let takes = shape.params.iter().map(|p| format!(" {}={}", p.name, p.ty.to_string().to_uppercase()));
    Failure::usage(format!("{what}; write .open {}{} [LF-7012]", shape.name, takes.collect::<String>()))
}

/// Shows the open shapes, each with its state.
pub(super) fn render(open: &[(String, Subscription)], json: bool) {
    let params = |s: &Subscription| {
        let pairs = s.params.iter().map(|(name, value)| (name.clone(), value.to_json()));
        serde_json::Map::from_iter(pairs)
    };
    if json {
        for (state, s) in open {
            let line = serde_json::json!({ "handle": s.handle, "shape": s.shape, "params": params(s), "state": state });
            out!("{line}");
        }
        return;
    }
    if open.is_empty() {
        out!("no shape is open; .open SHAPE holds one here");
        return;
    }
    let columns = ["no", "shape", "parameters", "state"].map(str::to_owned);
    let cells = open.iter().map(|(state, s)| {
        let params = params(s).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        vec![s.handle.to_string(), s.shape.clone(), params.join(" "), state.clone()]
    });
    render::grid(&columns, &cells.collect::<Vec<_>>());
}
