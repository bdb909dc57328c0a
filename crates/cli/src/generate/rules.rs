//! What the schema says of a column, in words for a doc comment.

use landfall_core::schema::{Column, Default, OnDelete, Table};
use landfall_core::{ColumnType, Value};

/// One line: type, whether it is required, its bounds, its default.
pub(super) fn of_column(table: &Table, column: &Column) -> String {
    let mut words = vec![column.ty.to_string()];
    if table.is_key(&column.name) {
        words.push("key".to_owned());
    } else if column.required {
        words.push("required".to_owned());
    }
    if column.assigned {
        words.push("filled by the server, null until then".to_owned());
    }
    bounds(column, &mut words);
    if let Some(reference) = &column.references {
        let then = match reference.on_delete {
            OnDelete::Restrict => "which then cannot be deleted",
            OnDelete::Cascade => "deleted with it",
            OnDelete::SetNull => "null when that is deleted",
            OnDelete::KeepOrphan => "which may not be there",
        };
        words.push(format!("a row of `{}`, {then}", reference.table));
    }
    match &column.default {
        None => {}
        Some(Default::Now) => words.push("by default now".to_owned()),
        Some(Default::Uuid) => words.push("by default a new one".to_owned()),
        Some(Default::Value(given)) => words.push(format!("by default {}", value(given))),
    }
    one_line(&words)
}

/// The same of an action's argument.
pub(super) fn of_arg(arg: &Column) -> String {
    let mut words = vec![arg.ty.to_string()];
    if arg.required {
        words.push("required".to_owned());
    }
    bounds(arg, &mut words);
    words.extend(arg.references.as_ref().map(|reference| format!("a row of `{}`", reference.table)));
    one_line(&words)
}

fn bounds(column: &Column, words: &mut Vec<String>) {
    let mut add = |text: String| words.push(text);
    if let Some(most) = column.max_length {
        let unit = if column.ty == ColumnType::Bytes { "bytes" } else { "characters" };
        add(format!("at most {most} {unit}"));
    }
    match (&column.min, &column.max) {
        (Some(min), Some(max)) => add(format!("{} to {}", value(min), value(max))),
        (Some(min), None) => add(format!("at least {}", value(min))),
        (None, Some(max)) => add(format!("at most {}", value(max))),
        (None, None) => {}
    }
    if let Some(pattern) = &column.pattern {
        add(format!("matches `{}`", pattern.as_str()));
    }
    if !column.one_of.is_empty() {
        add(format!("one of {}", column.one_of.iter().map(value).collect::<Vec<_>>().join(", ")));
    }
    if column.unique {
        add(if column.renames { "unique, with a number behind it where it is taken" } else { "unique" }.to_owned());
    }
}

fn one_line(words: &[String]) -> String {
    let line = words.join(", ");
    // Whatever a pattern holds: one line, and no end of the comment.
    line.split_whitespace().collect::<Vec<_>>().join(" ").replace("*/", "*\\/")
}

fn value(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        other => other.to_json().to_string(),
    }
}
