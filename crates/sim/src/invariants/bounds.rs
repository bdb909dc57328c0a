//! `bounds`: memory and queues stay within their bounds, however slow a reader is.

use landfall_client::db::{EntryState, OutboxEntry};
use landfall_protocol::{Change, ServerMessage};

use super::{Violation, ledger};
use crate::server::MESSAGE_BYTES;
use crate::world::World;

/// Most effects of one call into an engine.
const MAX_EFFECTS: usize = 2_000;

/// An engine's queue of effects ends.
///
/// # Errors
/// When it does not.
pub fn effects(count: usize) -> Result<(), Violation> {
    if count <= MAX_EFFECTS {
        return Ok(());
    }
    Err(Violation::new("bounds", format!("an engine gave more than {MAX_EFFECTS} effects for one call")))
}

/// After a write that was taken: the outbox is no larger than the schema allows, counted entry by entry, and a person is
/// told what is counted.
///
/// # Errors
/// When it is larger, or something else is told.
pub fn outbox(world: &mut World, device: usize) -> Result<(), Violation> {
    let machine = &world.devices[device];
    let Some(process) = &machine.process else { return Ok(()) };
    let Ok(outbox) = process.engine.outbox() else { return Ok(()) };
    ledger::honest(process, &outbox, &machine.name)?;
    // What the server has accepted waits for the open shapes, and takes no room from a person.
    let is_kept = |e: &&OutboxEntry| !matches!(e.state, EntryState::Acknowledged(_));
    let kept: Vec<u64> = outbox.iter().filter(is_kept).map(|e| e.transaction.to_bytes().len() as u64).collect();
    let (entries, bytes, limits) = (kept.len() as u64, kept.iter().sum::<u64>(), world.schema.outbox);
    if entries > limits.max_entries || bytes > limits.max_bytes {
        let text = format!("{} has an outbox of {entries} entries, {bytes} bytes, beyond {limits:?}", machine.name);
        return Err(Violation::new("bounds", text));
    }
    if bytes > limits.max_bytes / 2 {
        world.coverage.hit("check bounds.outbox_bytes");
    }
    Ok(())
}

/// What the server keeps of recent commits, and of pushes that wait for one, is bounded.
///
/// # Errors
/// When it is not.
pub fn server(world: &World) -> Result<(), Violation> {
    let Some(process) = &world.server.process else { return Ok(()) };
    let (ring, most) = (process.core.ring_bytes(), world.plan.ring_bytes);
    if ring > most {
        return Err(Violation::new(
            "bounds",
            format!("the ring of recent commits holds {ring} bytes, allowed are {most}"),
        ));
    }
    // What webhooks were asked about was taken before, and comes back when they have answered.
    let ((pushes, entries), most) = (process.core.admitted(), world.plan.waiting_entries);
    // One push is taken however large it is.
    if entries > most && pushes > 1 {
        let text = format!("{entries} entries of {pushes} pushes wait for a commit, allowed are {most}");
        return Err(Violation::new("bounds", text));
    }
    Ok(())
}

/// Catching up is outside of the window: a message of it is bounded by itself. What a transaction changed stays whole.
///
/// # Errors
/// When it is not.
pub fn catch_up(message: &ServerMessage) -> Result<(), Violation> {
    let ServerMessage::CatchUp { changes, .. } = message else { return Ok(()) };
    let bytes = changes.to_run().len();
    let whole = changes.0.first().map(Change::seq) == changes.0.last().map(Change::seq);
    if bytes <= MESSAGE_BYTES || whole {
        return Ok(());
    }
    Err(Violation::new("bounds", format!("a CatchUp has {bytes} bytes of changes, allowed are {MESSAGE_BYTES}")))
}

/// A session sends no more changes while the device has not said Applied to a window full of them.
///
/// # Errors
/// When it does.
pub fn window(world: &World, before: usize, message: &ServerMessage) -> Result<(), Violation> {
    let window = world.plan.window_bytes as usize;
    let changes = matches!(message, ServerMessage::Live { buckets, .. } if !buckets.is_empty());
    if !changes || before < window.max(1) {
        return Ok(());
    }
    let text = format!("a session sends changes with {before} bytes in flight, its window has {window}");
    Err(Violation::new("bounds", text))
}
