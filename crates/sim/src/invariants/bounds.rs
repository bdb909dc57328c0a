//! `bounds`: memory and queues stay within their bounds, however slow a reader is.

use super::Violation;
use crate::network::ConnId;
use crate::world::World;

/// Most effects of one call into an engine.
const MAX_EFFECTS: usize = 2_000;
/// What one commit group of the workload may have beyond the ring's bound, in bytes.
const SLACK_BYTES: usize = 64 << 10;

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

/// What the server keeps for recent commits and for one session is bounded.
///
/// # Errors
/// When it is not.
pub fn server(world: &World, conn: ConnId) -> Result<(), Violation> {
    let Some(process) = &world.server.process else { return Ok(()) };
    let (ring, most) = (process.core.ring_bytes(), world.plan.ring_bytes);
    if ring > most {
        return Err(Violation::new(
            "bounds",
            format!("the ring of recent commits holds {ring} bytes, allowed are {most}"),
        ));
    }
    let Some(session) = process.core.session(conn) else { return Ok(()) };
    let (in_flight, window) = (session.in_flight_bytes(), world.plan.window_bytes as usize + SLACK_BYTES);
    if in_flight > window {
        let text = format!("a session has {in_flight} bytes in flight, its window has {}", world.plan.window_bytes);
        return Err(Violation::new("bounds", text));
    }
    Ok(())
}
