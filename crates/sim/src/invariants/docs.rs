//! `docs`: a document is all that was written to it by accepted transactions, and nothing else, however often the server has put
//! updates together; and on every device that holds it.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::{RowKey, Value};
use landfall_server::commit::{LogEntry, RowChange};

use super::Violation;
use crate::history::cell;
use crate::papers::{Stroke, THROWN_AWAY, read};
use crate::workload::{OpId, key};
use crate::world::World;

/// Takes note of what a device has written.
pub fn written(world: &mut World, op: OpId, stroke: Option<Stroke>) {
    let Some(stroke) = stroke else { return };
    world.coverage.hit("check docs.written");
    world.strokes.push((op, stroke));
}

/// Whether the server puts updates of a document together under this sequence.
///
/// # Errors
/// When the document says something else than before.
pub fn puts_together(world: &mut World, entry: &LogEntry) -> Result<bool, Violation> {
    let Some(one) = entry.changes.iter().find_map(|c| c.after.as_ref()) else { return Ok(false) };
    let is_document = |c: &RowChange| c.table == "papers_docs" && c.before.is_none();
    if !entry.changes.iter().all(is_document) || entry.changes.len() < 3 {
        return Ok(false);
    }
    let paper = cell(one, "id");
    let goes = |key: &RowKey| entry.changes.iter().any(|c| c.key == *key && c.after.is_none());
    let held: Vec<_> = world.history.rows_of("papers_docs").filter(|(_, row)| cell(row, "id") == paper).collect();
    let before: Vec<Vec<u8>> = held.iter().map(|(_, row)| update(row)).collect();
    let mut after: Vec<Vec<u8>> = held.iter().filter(|(key, _)| !goes(key)).map(|(_, row)| update(row)).collect();
    after.push(update(one));
    let (was, is) = (read(&before), read(&after));
    if was != is {
        let text = format!("{paper:?} was {was:?} and is {is:?} since its updates were put together at {}", entry.seq);
        return Err(Violation::new("docs", text));
    }
    Ok(true)
}

fn update(row: &Cells) -> Vec<u8> {
    match cell(row, "doc_update") {
        Value::Bytes(update) => update.clone(),
        _ => Vec::new(),
    }
}

/// # Errors
/// When a document is another than what was written to it.
pub fn at_rest(world: &mut World) -> Result<(), Violation> {
    let is_accepted = |op: &OpId| {
        let key = RowKey::single(op.value());
        world.history.rows_of("ops").any(|(row, _)| *row == key)
    };
    let mut expected: BTreeMap<&Value, Vec<&[u8]>> = BTreeMap::new();
    for (op, stroke) in &world.strokes {
        if is_accepted(op) {
            expected.entry(&stroke.paper).or_default().push(&stroke.update);
        }
    }
    let mut held: BTreeMap<&Value, Vec<Vec<u8>>> = BTreeMap::new();
    for (_, row) in world.history.rows_of("papers_docs") {
        held.entry(cell(row, "id")).or_default().push(update(row));
    }
    let (mut papers, mut put_together) = (0, 0);
    for (paper, updates) in &expected {
        let rows = held.get(paper).map(Vec::as_slice).unwrap_or_default();
        let (wanted, found) = (read(updates), read(rows));
        // What is thrown away goes with what was written to it; nobody has any of it.
        let is_kept = **paper != key("papers", THROWN_AWAY);
        let wanted = if is_kept { wanted } else { found.clone() };
        if wanted != found {
            let text =
                format!("{paper:?} is {found:?} at the server, and {wanted:?} was written ({} updates)", updates.len());
            return Err(Violation::new("docs", text));
        }
        papers += 1;
        put_together += u64::from(rows.len() < updates.len());
        for device in &world.devices {
            let Some(process) = device.process.as_ref().filter(|p| p.completeness("papers_docs") == Some(true)) else {
                continue;
            };
            let sql = "SELECT doc_update FROM papers_docs WHERE id = ? ORDER BY doc_id";
            let rows = process.engine.query(sql, &[(*paper).clone()]);
            let rows = rows.map_err(|error| Violation::new("docs", error.to_string()))?.rows;
            let bytes = |value: Value| if let Value::Bytes(bytes) = value { Some(bytes) } else { None };
            let updates: Vec<Vec<u8>> = rows.into_iter().flatten().filter_map(bytes).collect();
            let shown = read(&updates);
            if shown != wanted {
                let text = format!("{} has {shown:?} of {paper:?}, and {wanted:?} was written", device.name);
                return Err(Violation::new("docs", text));
            }
        }
    }
    world.coverage.add("check docs.papers", papers);
    world.coverage.add("check docs.put_together", put_together);
    Ok(())
}
