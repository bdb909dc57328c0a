//! What a webhook answers: let through, refused, or more to see. Anything else is nonsense, and says why. The form is in
//! `docs/actions.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use landfall_core::schema::Table;
use landfall_core::{RowKey, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use super::hooks::Seen;
use super::{ActionHandler, Call, Halt, Reason};
use crate::commit::Plan;

/// Most bytes of an answer.
pub const MOST_BYTES: usize = 1 << 20;
/// An answer is only applied: it takes no time of its own.
const NO_HURRY: Duration = Duration::from_secs(3_600);

/// As it travels.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Body {
    refuse: Option<Refuse>,
    fail: Option<String>,
    read: Option<Vec<Row>>,
    drop: Vec<Row>,
    operations: Vec<Op>,
    rests_on: Option<Vec<Row>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refuse {
    code: String,
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    table: String,
    key: Json,
    #[serde(default, deserialize_with = "present")]
    version: Option<Option<String>>,
}

/// Tells a null from nothing.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Op {
    Insert { table: String, set: BTreeMap<String, Json> },
    Update { table: String, key: Json, set: BTreeMap<String, Json> },
    Delete { table: String, key: Json },
}

/// What a webhook wants done with a transaction.
#[derive(Debug, PartialEq)]
pub(crate) enum Wish {
    /// To see these rows too.
    Read(Vec<(String, RowKey)>),
    /// To decide it so.
    Decide(Decided),
}

/// A decision, ready to be carried out.
#[derive(Debug, PartialEq)]
pub(crate) struct Decided {
    /// The rows that it rests on; absent: all that the question showed.
    pub(crate) rests_on: Option<Vec<Seen>>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Refuse { code: String, message: String },
    Fail(String),
    Through { drop: Vec<(String, RowKey)>, operations: Vec<Change> },
}

type Set = Vec<(String, Value)>;

#[derive(Debug, PartialEq)]
enum Change {
    Insert(String, Set),
    Update(String, RowKey, Set),
    Delete(String, RowKey),
}

/// Reads an answer.
///
/// # Errors
/// What is wrong with it, for the operator: it may have words of the answer's in it, which no device is told.
pub(crate) fn read(bytes: &[u8], plan: &Plan) -> Result<Wish, String> {
    // The library would take a list for an object without names.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err("its answer is no JSON object".to_owned());
    }
    let body: Body = serde_json::from_slice(bytes).map_err(|e| format!("its answer cannot be read ({e})"))?;
    let Body { refuse, fail, read, drop, operations, rests_on } = body;
    let writes = !drop.is_empty() || !operations.is_empty();
    let said = [refuse.is_some(), fail.is_some(), read.is_some(), writes];
    if said.iter().filter(|said| **said).count() > 1 {
        return Err("its answer says two things at once: refuse, fail, read and operations exclude each other".into());
    }
    let rows = |list: Vec<Row>| list.into_iter().map(|row| row.read(plan)).collect::<Result<Vec<_>, _>>();
    if let Some(list) = read {
        return match list.is_empty() || rests_on.is_some() {
            true => Err("its answer wants to read, and names no rows or says what it rests on".into()),
            false => Ok(Wish::Read(rows(list)?.into_iter().map(|(seen, _)| (seen.table, seen.key)).collect())),
        };
    }
    let rests_on = match rests_on {
        None => None,
        Some(list) => {
            let read = rows(list)?;
            if let Some((seen, _)) = read.iter().find(|(_, is_given)| !is_given) {
                return Err(format!("its answer rests on a row of '{}' without saying which version", seen.table));
            }
            Some(read.into_iter().map(|(seen, _)| seen).collect())
        }
    };
    let verdict = match (refuse, fail) {
        (Some(Refuse { code, message }), _) => Verdict::Refuse { code, message },
        (_, Some(why)) => Verdict::Fail(why),
        _ => {
            let drop = rows(drop)?.into_iter().map(|(seen, _)| (seen.table, seen.key)).collect();
            let operations = operations.into_iter().map(|op| op.read(plan)).collect::<Result<_, _>>()?;
            Verdict::Through { drop, operations }
        }
    };
    Ok(Wish::Decide(Decided { rests_on, verdict }))
}

fn table<'p>(plan: &'p Plan, name: &str) -> Result<&'p Table, String> {
    let at = plan.table_at(name).filter(|at| plan.table(*at).sync);
    at.map(|at| plan.table(at)).ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        format!("its answer names a table '{name}', which the schema does not sync")
    })
}

fn value(table: &Table, name: &str, json: &Json) -> Result<Value, String> {
    let column = table.column(name).ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        format!("its answer names a column '{name}', which '{}' does not have", table.name)
    })?;
    Value::from_json(json, column.ty).map_err(|e| format!("in its answer {}.{name} is wrong: {e}", table.name))
}

fn key(table: &Table, json: &Json) -> Result<RowKey, String> {
    let parts = match json {
        Json::Array(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    if parts.len() != table.primary_key.len() || parts.iter().any(Json::is_null) {
        return Err(format!("in its answer a key of '{}' is not [{}]", table.name, table.primary_key.join(", ")));
    }
    let part = |(column, json): (&String, &Json)| value(table, column, json);
    Ok(RowKey(table.primary_key.iter().zip(parts).map(part).collect::<Result<_, _>>()?))
}

fn set(table: &Table, cells: &BTreeMap<String, Json>) -> Result<Set, String> {
    cells.iter().map(|(name, json)| Ok((name.clone(), value(table, name, json)?))).collect()
}

impl Row {
    /// The row, and whether it says which version.
    fn read(self, plan: &Plan) -> Result<(Seen, bool), String> {
        let known = table(plan, &self.table)?;
        let key = key(known, &self.key)?;
        let is_given = self.version.is_some();
        Ok((Seen { table: self.table, key, version: self.version.flatten() }, is_given))
    }
}

impl Op {
    fn read(self, plan: &Plan) -> Result<Change, String> {
        Ok(match self {
            Self::Insert { table: name, set: cells } => {
                let cells = set(table(plan, &name)?, &cells)?;
                Change::Insert(name, cells)
            }
            Self::Update { table: name, key: which, set: cells } => {
                let known = table(plan, &name)?;
                let (key, cells) = (key(known, &which)?, set(known, &cells)?);
                Change::Update(name, key, cells)
            }
            Self::Delete { table: name, key: which } => {
                let key = key(table(plan, &name)?, &which)?;
                Change::Delete(name, key)
            }
        })
    }
}

/// It is carried out as a handler would be that says the same.
impl ActionHandler for Decided {
    fn handle(&self, call: &mut Call<'_>) -> Result<(), Halt> {
        let (drop, operations) = match &self.verdict {
            Verdict::Refuse { code, message } => return Err(Halt::refuse(code.clone(), message.clone())),
            Verdict::Fail(why) => return Err(Halt::fail(why.clone())),
            Verdict::Through { drop, operations } => (drop, operations),
        };
        for (table, key) in drop {
            if !call.drop_operation(table, key) {
                let text = format!("its answer drops what is not there: {key} of '{table}'");
                return Err(Halt(Reason::Nonsense(text)));
            }
        }
        for change in operations {
            match change {
                Change::Insert(table, set) => {
                    call.insert(table, &borrowed(set))?;
                }
                Change::Update(table, key, set) => call.update(table, key, &borrowed(set))?,
                Change::Delete(table, key) => call.delete(table, key)?,
            }
        }
        Ok(())
    }

    fn budget(&self) -> Duration {
        NO_HURRY
    }
}

fn borrowed(set: &Set) -> Vec<(&str, Value)> {
    set.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
