//! `list`: rows are in the order in which people put them, the same everywhere; what one put side by side stays side by side,
//! whatever others put at the same place without having seen it; and who moves a row moves nothing else.

use landfall_core::{ColumnType, ReplicaId, Value};

use super::Violation;
use crate::cards::Run;
use crate::history::cell;
use crate::world::World;

/// Cards that were put side by side, and under which id.
#[derive(Debug, Clone)]
pub struct Put {
    by: ReplicaId,
    run: Run,
}

/// Takes note of what a device has put side by side.
///
/// # Errors
/// When the cards are not where they were put, or others have moved.
pub fn put(world: &mut World, device: usize, run: Option<Run>) -> Result<(), Violation> {
    let Some(run) = run else { return Ok(()) };
    if let Some(wrong) = &run.wrong {
        return Err(Violation::new("list", format!("{}: {wrong}", world.devices[device].name)));
    }
    let Some(by) = world.devices[device].process.as_ref().map(|process| process.engine.db().replica()) else {
        return Ok(());
    };
    world.coverage.hit("check list.put");
    world.runs.push(Put { by, run });
    Ok(())
}

/// Nothing lies in the middle of a run that was put between two neighbours around the whole of it. Two copies of one database
/// write under one name until they are told apart: they are not held to that.
///
/// # Errors
/// When something does.
pub fn at_rest(world: &mut World) -> Result<(), Violation> {
    let mut beside = 0;
    for one in world.runs.iter().filter(|put| put.run.at.len() > 1) {
        let (Some(first), Some(last)) = (one.run.at.first(), one.run.at.last()) else { continue };
        for other in world.runs.iter().filter(|other| other.run.pile == one.run.pile && other.by != one.by) {
            let (left, right) = (other.run.left.as_ref(), other.run.right.as_ref());
            if left.is_some_and(|left| left >= first) || right.is_some_and(|right| right <= last) {
                continue;
            }
            beside += 1;
            if let Some(at) = other.run.at.iter().find(|at| first < *at && *at < last) {
                let text = format!("{at} of {other:?} is in the middle of {one:?}, which its author had not seen");
                return Err(Violation::new("list", text));
            }
        }
    }
    world.coverage.add("check list.beside", beside);
    same_order(world)
}

/// Every device has the cards in the same order, each once.
fn same_order(world: &World) -> Result<(), Violation> {
    let mut cards: Vec<[&Value; 3]> =
        world.history.rows_of("cards").map(|(_, row)| ["pile", "place", "id"].map(|name| cell(row, name))).collect();
    cards.sort();
    for device in &world.devices {
        let Some(process) = device.process.as_ref().filter(|process| process.completeness("cards") == Some(true))
        else {
            continue;
        };
        let rows = process.engine.query("SELECT id FROM cards ORDER BY pile, place, id", &[]);
        let rows = rows.map_err(|error| Violation::new("list", error.to_string()))?.rows;
        let ids = rows.iter().flatten().map(|id| Value::from_json(&id.to_json(), ColumnType::Uuid).unwrap_or_default());
        if !ids.eq(cards.iter().map(|[.., id]| (*id).clone())) {
            let text = format!("{} has the cards in the order {rows:?}, the server in {cards:?}", device.name);
            return Err(Violation::new("list", text));
        }
    }
    Ok(())
}
