//! `bounds`: memory and queues stay within their bounds, however slow a reader is.

use landfall_protocol::ServerMessage;

use super::Violation;
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

/// What the server keeps of recent commits is bounded.
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
    Ok(())
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
