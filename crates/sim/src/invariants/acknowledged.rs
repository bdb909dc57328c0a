//! `acknowledged`: nothing leaves the server before it is durable.

use landfall_protocol::{Outcome, ServerMessage};

use super::Violation;
use crate::world::World;

/// Looks at a message that leaves the server: a sequence that it names must be in the log as it would be after a crash.
///
/// # Errors
/// When it is not.
pub fn leaves(world: &mut World, message: &ServerMessage) -> Result<(), Violation> {
    let head = world.history.head();
    let newest = match message {
        ServerMessage::Acknowledge { decisions, .. } => {
            let seqs = decisions.iter().filter_map(|d| match d.outcome {
                Outcome::Accepted { seq } => Some(seq),
                _ => None,
            });
            seqs.max().unwrap_or(0)
        }
        ServerMessage::Live { to, .. } | ServerMessage::CatchUp { to, .. } => *to,
        _ => return Ok(()),
    };
    if newest > head {
        return Err(Violation::new(
            "acknowledged",
            format!("sequence {newest} left the server, its log ends at {head}"),
        ));
    }
    if let Some(logged) = world.history.log.get(&newest) {
        world.ledger.told.insert(newest, logged.chain);
    }
    Ok(())
}

/// After a start: unless it was restored from a copy, the server still has all that it ever told anybody.
///
/// # Errors
/// When something is missing.
pub fn after_start(world: &mut World, restored: bool) -> Result<(), Violation> {
    let history = &world.history;
    let lost = |(seq, chain): (&u64, &u64)| history.log.get(seq).is_none_or(|logged| logged.chain != *chain);
    if restored {
        let kept: Vec<u64> = world.ledger.told.iter().filter(|(s, c)| !lost((s, c))).map(|(s, _)| *s).collect();
        world.ledger.told.retain(|seq, _| kept.contains(seq));
        return Ok(());
    }
    match world.ledger.told.iter().find(|(s, c)| lost((s, c))) {
        Some((seq, _)) => {
            let text = format!("sequence {seq} was told to devices, and the server does not have it after a crash");
            Err(Violation::new("acknowledged", text))
        }
        None => Ok(()),
    }
}
