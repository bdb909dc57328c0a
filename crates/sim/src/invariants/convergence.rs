//! `convergence`: when faults have stopped, every device holds exactly what its shapes name, and nothing waits.
//!
//! What a shape names is written here a second time, in plain Rust.

use std::collections::{BTreeMap, BTreeSet};

use landfall_client::engine::Engine;
use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use landfall_core::{RowKey, Value};

use super::Violation;
use super::policy::may_read;
use crate::device::OpenShape;
use crate::history::cell;
use crate::world::World;

/// Whether the world has come to rest.
///
/// # Errors
/// What is still to happen.
pub fn check(world: &World) -> Result<(), String> {
    let Some(server) = &world.server.process else { return Err("the server does not run".to_owned()) };
    if server.core.waiting() > 0 {
        return Err("pushes wait for a commit".to_owned());
    }
    let head = server.core.head();
    for device in &world.devices {
        let who = &device.name;
        let Some(process) = &device.process else { return Err(format!("{who} does not run")) };
        let engine = &process.engine;
        let status = engine.status();
        if status.pending > 0 {
            return Err(format!("{who} has {} undecided transactions, {:?}", status.pending, engine.session().state()));
        }
        let cursor = engine.db().cursor();
        if cursor.map(|c| (c.epoch, c.seq)) != Some((head.epoch, head.seq)) {
            return Err(format!("{who} stands at {cursor:?}, the server at {head:?}, {:?}", engine.session().state()));
        }
        let shapes = process.shapes();
        for (handle, shape, _) in &shapes {
            if !engine.is_complete(*handle) {
                let last = engine.session().last_error().unwrap_or("no error");
                return Err(format!("{who} has not loaded {shape} ({last})"));
            }
        }
        if !shapes.is_empty() && status.acknowledged > 0 {
            return Err(format!("{who} has {} transactions that have not settled", status.acknowledged));
        }
    }
    Ok(())
}

/// Every device holds exactly the rows that its shapes name.
///
/// # Errors
/// When one does not.
pub fn rows(world: &World) -> Result<(), Violation> {
    for device in &world.devices {
        let Some(process) = &device.process else { continue };
        let healed = process.engine.db().reconciled().healed;
        if healed > 0 {
            let text = format!(
                "{}: {healed} rows were other than the server had them, and nothing had changed them",
                device.name
            );
            return Err(Violation::new("convergence", text));
        }
        let shapes = process.shapes();
        if shapes.is_empty() {
            // Its own accepted transactions stay visible; nothing else is here to be compared.
            continue;
        }
        // What an older app does not know is not there for it.
        for table in world.schemas[device.version].tables.iter().filter(|t| t.sync) {
            let expected = expected(world, table, &shapes, &device.subject());
            let held = held(&process.engine, table).map_err(|e| Violation::new("convergence", e))?;
            if expected != held {
                return Err(difference(&device.name, &table.name, &expected, &held));
            }
        }
    }
    Ok(())
}

type Rows = BTreeMap<RowKey, Cells>;

fn difference(device: &str, table: &str, expected: &Rows, held: &Rows) -> Violation {
    let keys: BTreeSet<&RowKey> = expected.keys().chain(held.keys()).collect();
    let differs = keys.into_iter().find(|key| expected.get(key) != held.get(key));
    let text = match differs {
        Some(key) => format!(
            "{device} {table} {key:?}: the server's row through its shapes is {:?}, the device has {:?}",
            expected.get(key),
            held.get(key)
        ),
        None => format!("{device} {table}: equal rows that differ"),
    };
    Violation::new("convergence", text)
}

/// A shape's own condition and columns, once more.
fn shows(shape: &str, params: &BTreeMap<String, Value>, row: &Cells, subject: &str) -> bool {
    match shape {
        "things_mine" | "things_past" => *cell(row, "owner") == Value::Text(subject.to_owned()),
        "things_shown" => *cell(row, "shown") == Value::Bool(true),
        "things_of_kind" => {
            let least = match params.get("least") {
                Some(Value::Int(least)) => *least,
                _ => return false,
            };
            Some(cell(row, "kind")) == params.get("kind") && matches!(cell(row, "amount"), Value::Int(n) if *n >= least)
        }
        "tags_of" => Some(cell(row, "thing")) == params.get("thing"),
        _ => true,
    }
}

fn table_of(shape: &str) -> &str {
    match shape {
        "things_mine" | "things_shown" | "things_of_kind" => "things",
        "tags_of" => "tags",
        "things_past" => "things_history",
        "choices" => "ranks_conflicts",
        other => other,
    }
}

fn columns_of<'a>(shape: &str, table: &'a Table) -> Vec<&'a str> {
    let all = table.columns.iter().map(|c| c.name.as_str());
    match shape {
        "things_shown" => all.filter(|c| ["id", "owner", "shown", "kind", "name"].contains(c)).collect(),
        "things_of_kind" => {
            all.filter(|c| ["id", "owner", "shown", "kind", "amount", "price", "at", "extra"].contains(c)).collect()
        }
        _ => all.collect(),
    }
}

fn expected(world: &World, table: &Table, shapes: &[OpenShape], subject: &str) -> BTreeMap<RowKey, Cells> {
    let mut out = Rows::new();
    for (key, row) in world.history.rows_of(&table.name).filter(|(_, row)| may_read(&table.name, row, subject)) {
        let mut columns = BTreeSet::new();
        for (_, shape, params) in shapes.iter().filter(|(_, shape, _)| table_of(shape) == table.name) {
            if shows(shape, params, row, subject) {
                columns.extend(columns_of(shape, table));
            }
        }
        if columns.is_empty() {
            continue;
        }
        let held = |name: &String| if columns.contains(name.as_str()) { cell(row, name).clone() } else { Value::Null };
        out.insert(key.clone(), table.columns.iter().map(|c| (c.name.clone(), held(&c.name))).collect());
    }
    out
}

fn held(engine: &Engine, table: &Table) -> Result<Rows, String> {
    let names: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let sql = format!("SELECT {} FROM \"{}\"", names.join(", "), table.name);
    let found = engine.query(&sql, &[]).map_err(|e| e.to_string())?;
    let mut out = Rows::new();
    for row in found.rows {
        let cells: Cells = table.columns.iter().map(|c| c.name.clone()).zip(row).collect();
        let key = table.key_of(&cells).ok_or_else(|| format!("a row of {} has no key", table.name))?;
        out.insert(key, cells);
    }
    Ok(out)
}
