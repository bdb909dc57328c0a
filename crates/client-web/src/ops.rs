//! The operations of a write, and query parameters, from JSON.
//!
//! A write is a list: `["i", table, {column: value}]` inserts, `["u", table, [key…], {column: value}]` updates,
//! `["+", table, [key…], {column: value}]` adds to counters, `["~", table, [key…], {column: change}]` changes parts
//! of sets and maps, `["d", table, [key…]]` deletes, `["s", sql, [parameter…]]` runs SQL; `["l", table, [key…], column,
//! [column…], place, [key…]]` moves a row in its list; `["v", table, id]`
//! resolves a conflict as the row is, with `null` behind it by the value that gave way, with `{column: value}` by
//! another one. What is asked of the transaction stands among them: `["p", priority]`, `["f", rseq]` to follow an
//! entry, `["r", rseq]` to require it, `["a", action, {argument: value}]` to ask for an action, `["x", rseq]` to
//! edit an entry, `["t", rseq]` to write a dead letter again, `["c", rseq]` to take its place, `["e", ms]` not to
//! be carried out after then, `["n", 0]` to be left out of undo.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_client::db::{DbError, Resolution, Spot, WriteTx};
use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use landfall_core::schema::conflicts::{CONFLICT_COLUMN, CONFLICT_ID};
use landfall_core::value::{ColumnType, parse_timestamp};
use landfall_core::{Action, Problem, RowKey, Schema, Value};
use serde_json::{Map, Value as Json};

/// One operation, with values of the schema's types.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Inserts a row.
    Insert(String, Vec<(String, Value)>),
    /// Sets columns of a row.
    Update(String, RowKey, Vec<(String, Value)>),
    /// Adds to counters of a row.
    Add(String, RowKey, Vec<(String, Value)>),
    /// Resolves a conflict of a table.
    Resolve(String, Value, Resolution),
    /// Puts a row at a place in its list: its position, and what tells lists apart.
    Place(String, RowKey, String, Vec<String>, Spot),
    /// Changes parts of sets and maps of a row.
    Change(String, RowKey, Vec<(String, Value)>),
    /// Deletes a row.
    Delete(String, RowKey),
    /// Runs a statement.
    Sql(String, Vec<Value>),
    /// Says how urgent the transaction is.
    Priority(u8),
    /// Follows an entry of the outbox.
    Follow(u64),
    /// Shares an entry's fate.
    Require(u64),
    /// Asks for an action.
    Act(Action),
    /// Changes an entry.
    Edit(u64),
    /// Writes a dead letter again.
    Retry(u64),
    /// Takes a dead letter's place.
    Supersede(u64),
    /// Is not carried out after this, milliseconds since the Unix epoch.
    Expire(u64),
    /// Is nothing that the person would take back.
    NoUndo,
}

fn malformed(what: &str) -> DbError {
    DbError::Aborted(format!("the SDK and the engine do not understand each other ({what}); reload the page"))
}

/// Any JSON: a reader for each form of it would be as much code for each.
fn read(text: &str) -> Result<Json, DbError> {
    serde_json::from_str(text).map_err(|e| malformed(&e.to_string()))
}

fn read_list(text: &str) -> Result<Vec<Json>, DbError> {
    match read(text)? {
        Json::Array(list) => Ok(list),
        _ => Err(malformed("a list")),
    }
}

/// The one value of an object of one key.
fn unwrap<'a>(json: &'a Json, key: &str) -> Option<&'a Json> {
    json.as_object().filter(|o| o.len() == 1).and_then(|o| o.get(key))
}

/// A cell of a column whose type is known.
pub(crate) fn cell(json: &Json, ty: ColumnType) -> Result<Value, String> {
    let plain = ["i", "b", "t", "j"].iter().find_map(|key| unwrap(json, key)).unwrap_or(json);
    Value::from_json(plain, ty).map_err(|e| e.to_string())
}

/// A parameter, whose type only its form tells.
fn parameter(json: &Json) -> Option<Value> {
    if let Some(digits) = unwrap(json, "i") {
        return digits.as_str()?.parse().ok().map(Value::Int);
    }
    if let Some(text) = unwrap(json, "b") {
        return STANDARD.decode(text.as_str()?).ok().map(Value::Bytes);
    }
    if let Some(text) = unwrap(json, "t") {
        return parse_timestamp(text.as_str()?).map(Value::Timestamp);
    }
    if let Some(inner) = unwrap(json, "j") {
        return Some(Value::json(inner));
    }
    match json {
        Json::Null => Some(Value::Null),
        Json::Bool(v) => Some(Value::Bool(*v)),
        Json::Number(n) => n.as_i64().map(Value::Int).or_else(|| n.as_f64().and_then(Value::float)),
        Json::String(v) => Some(Value::Text(v.clone())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// Query parameters from a JSON list.
///
/// # Errors
/// When the text is not a list of values.
pub fn parameters(text: &str) -> Result<Vec<Value>, DbError> {
    let list = read_list(text)?;
    list.iter().map(|json| parameter(json).ok_or_else(|| malformed("a parameter"))).collect()
}

/// A shape's parameters, in the types that it declares, from a JSON object.
///
/// # Errors
/// When there is no such shape, or a value is not of its parameter's type.
pub fn shape_parameters(schema: &Schema, shape: &str, text: &str) -> Result<BTreeMap<String, Value>, DbError> {
    let Json::Object(object) = read(text)? else { return Err(malformed("the parameters of a shape")) };
    let shape = schema.shape(shape).ok_or_else(|| DbError::UnknownName(format!("shape '{shape}'")))?;
    let mut out = BTreeMap::new();
    for (name, json) in object {
        let param = shape.params.iter().find(|p| p.name == name);
        let param =
            param.ok_or_else(|| DbError::UnknownName(format!("parameter '{name}' of shape '{}'", shape.name)))?;
        let value = cell(&json, param.ty).map_err(|e| Problem::new(codes::WRONG_TYPE, format!("'{name}': {e}")))?;
        out.insert(name, value);
    }
    Ok(out)
}

/// The arguments of an action, in the types that it declares.
fn arguments(schema: &Schema, action: &str, object: &Map<String, Json>) -> Result<Cells, DbError> {
    let action = schema.action(action).ok_or_else(|| DbError::UnknownName(format!("action '{action}'")))?;
    let one = |(name, json): (&String, &Json)| {
        let arg = action.arg(name);
        let arg = arg.ok_or_else(|| DbError::UnknownName(format!("argument '{name}' of action '{}'", action.name)))?;
        let value = cell(json, arg.ty).map_err(|e| Problem::new(codes::WRONG_TYPE, format!("'{name}': {e}")))?;
        Ok((name.clone(), value))
    };
    object.iter().map(one).collect()
}

fn table<'a>(schema: &'a Schema, name: &str) -> Result<&'a Table, DbError> {
    schema.table(name).ok_or_else(|| DbError::UnknownName(format!("table '{name}'")))
}

fn problem(table: &Table, column: &str, text: &str) -> DbError {
    let message = format!("{}.{column}: {text}", table.name);
    let problem = Problem::new(codes::WRONG_TYPE, message);
    DbError::Invalid(Problem { table: Some(table.name.clone()), column: Some(column.to_owned()), ..problem })
}

fn cells(table: &Table, object: &Map<String, Json>) -> Result<Vec<(String, Value)>, DbError> {
    let one = |(name, json): (&String, &Json)| {
        let column = table.column(name);
        let column = column.ok_or_else(|| DbError::UnknownName(format!("column '{}.{name}'", table.name)))?;
        let value = cell(json, column.ty).map_err(|text| problem(table, name, &text))?;
        Ok((name.clone(), value))
    };
    object.iter().map(one).collect()
}

fn key(table: &Table, list: &[Json]) -> Result<RowKey, DbError> {
    if list.len() != table.primary_key.len() {
        let names = table.primary_key.join(", ");
        let text = format!("the key of '{}' has {} parts ({names})", table.name, table.primary_key.len());
        let problem = Problem::new(codes::BAD_KEY, text);
        return Err(DbError::Invalid(Problem { table: Some(table.name.clone()), ..problem }));
    }
    let part = |(column, json): (&landfall_core::schema::Column, &Json)| {
        cell(json, column.ty).map_err(|text| problem(table, &column.name, &text))
    };
    table.key_columns().zip(list).map(part).collect::<Result<_, _>>().map(RowKey)
}

/// The operations of a write.
///
/// # Errors
/// [`DbError::UnknownName`] and [`DbError::Invalid`], naming table and column.
pub fn operations(schema: &Schema, text: &str) -> Result<Vec<Op>, DbError> {
    let one = |operation: Json| match operation.as_array().map_or(&[][..], Vec::as_slice) {
        [Json::String(op), Json::String(name), Json::Object(row)] if op == "i" => {
            Ok(Op::Insert(name.clone(), cells(table(schema, name)?, row)?))
        }
        [Json::String(op), Json::String(name), Json::Array(list), Json::Object(row)]
            if matches!(op.as_str(), "u" | "+" | "~") =>
        {
            let table = table(schema, name)?;
            let (key, cells) = (key(table, list)?, cells(table, row)?);
            Ok(match op.as_str() {
                "+" => Op::Add(name.clone(), key, cells),
                "~" => Op::Change(name.clone(), key, cells),
                _ => Op::Update(name.clone(), key, cells),
            })
        }
        [Json::String(op), Json::String(name), Json::Array(list)] if op == "d" => {
            Ok(Op::Delete(name.clone(), key(table(schema, name)?, list)?))
        }
        [Json::String(op), Json::String(name), Json::String(id), how @ ..] if op == "v" => {
            let table = table(schema, name)?;
            let conflict =
                cell(&Json::String(id.clone()), ColumnType::Uuid).map_err(|text| problem(table, CONFLICT_ID, &text))?;
            let with = match how {
                [] => Resolution::Keep,
                [Json::Null] => Resolution::Take,
                [Json::Object(value)] => match <[(String, Value); 1]>::try_from(cells(table, value)?) {
                    Ok([(column, value)]) => Resolution::Write(column, value),
                    Err(_) => {
                        return Err(problem(table, CONFLICT_COLUMN, "a conflict is about one column; give that one"));
                    }
                },
                _ => return Err(malformed("what becomes of a conflict")),
            };
            Ok(Op::Resolve(name.clone(), conflict, with))
        }
        [
            Json::String(op),
            Json::String(name),
            Json::Array(list),
            Json::String(column),
            Json::Array(within),
            spot @ ..,
        ] if op == "l" => {
            let table = table(schema, name)?;
            let spot = match spot {
                [Json::String(first)] if first == "first" => Spot::First,
                [Json::String(last)] if last == "last" => Spot::Last,
                [Json::String(side), Json::Array(other)] if side == "before" => Spot::Before(key(table, other)?),
                [Json::String(side), Json::Array(other)] if side == "after" => Spot::After(key(table, other)?),
                _ => return Err(malformed("a place in a list")),
            };
            let within = within.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>();
            let within = within.ok_or_else(|| malformed("the columns that tell lists apart"))?;
            Ok(Op::Place(name.clone(), key(table, list)?, column.clone(), within, spot))
        }
        [Json::String(op), Json::String(name), Json::Object(args)] if op == "a" => {
            Ok(Op::Act(Action { name: name.clone(), args: arguments(schema, name, args)? }))
        }
        [Json::String(op), Json::String(sql), Json::Array(list)] if op == "s" => {
            let params = list.iter().map(|json| parameter(json).ok_or_else(|| malformed("a parameter")));
            Ok(Op::Sql(sql.clone(), params.collect::<Result<_, _>>()?))
        }
        [Json::String(op), Json::Number(n)] => match (op.as_str(), n.as_u64()) {
            ("p", Some(priority @ 0..=100)) => Ok(Op::Priority(priority as u8)),
            ("p", _) => Err(malformed("a priority, 0 to 100")),
            ("f", Some(rseq)) => Ok(Op::Follow(rseq)),
            ("r", Some(rseq)) => Ok(Op::Require(rseq)),
            ("x", Some(rseq)) => Ok(Op::Edit(rseq)),
            ("t", Some(rseq)) => Ok(Op::Retry(rseq)),
            ("c", Some(rseq)) => Ok(Op::Supersede(rseq)),
            ("e", Some(at_ms)) => Ok(Op::Expire(at_ms)),
            ("n", Some(_)) => Ok(Op::NoUndo),
            _ => Err(malformed("the number of an entry")),
        },
        _ => Err(malformed("an operation")),
    };
    read_list(text)?.into_iter().map(one).collect()
}

/// Carries operations out, in order.
///
/// # Errors
/// As [`WriteTx`]; an update of a row that is not there is an error too: nothing is written in silence.
pub fn run(tx: &mut WriteTx<'_>, operations: &[Op]) -> Result<(), DbError> {
    fn names(cells: &[(String, Value)]) -> Vec<(&str, Value)> {
        cells.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
    }
    fn is_there(found: bool, table: &str, key: &RowKey) -> Result<(), DbError> {
        let text = "the row is not on this device; insert it, or open a shape that holds it";
        let gone = || DbError::Invalid(Problem::new(codes::ROW_GONE, text).row(table, key));
        if found { Ok(()) } else { Err(gone()) }
    }
    for operation in operations {
        match operation {
            Op::Insert(table, cells) => tx.insert(table, &names(cells))?,
            Op::Update(table, key, cells) => is_there(tx.update(table, key, &names(cells))?, table, key)?,
            Op::Add(table, key, cells) => {
                for (column, by) in cells {
                    is_there(tx.add(table, key, column, by)?, table, key)?;
                }
            }
            Op::Resolve(table, conflict, with) => {
                tx.resolve(table, conflict, with)?;
            }
            Op::Place(table, key, column, within, spot) => {
                let within: Vec<&str> = within.iter().map(String::as_str).collect();
                is_there(tx.place(table, key, column, &within, spot)?, table, key)?;
            }
            Op::Change(table, key, cells) => {
                for (column, change) in cells {
                    is_there(tx.change(table, key, column, change)?, table, key)?;
                }
            }
            Op::Delete(table, key) => {
                tx.delete(table, key)?;
            }
            Op::Sql(sql, params) => {
                tx.execute(sql, params)?;
            }
            Op::Priority(priority) => tx.set_priority(*priority),
            Op::Follow(rseq) => tx.follow(*rseq)?,
            Op::Require(rseq) => tx.require(*rseq)?,
            Op::Act(action) => tx.ask(action.clone())?,
            Op::Edit(rseq) => tx.edit(*rseq)?,
            Op::Retry(rseq) => tx.retry(*rseq)?,
            Op::Supersede(rseq) => tx.supersede(*rseq)?,
            Op::Expire(at_ms) => tx.expire_at(*at_ms),
            Op::NoUndo => tx.leave_out_of_undo(),
        }
    }
    Ok(())
}
