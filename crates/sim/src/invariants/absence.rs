//! What waited through a long absence is held back until the person has let it go. The absence is measured here by the
//! virtual clock, and not by what the device has noted.

use landfall_client::session::StateName;
use landfall_protocol::ServerMessage;

use super::Violation;
use crate::plan::Fault;
use crate::world::World;

/// Clocks drift, and a message has its time when it is sent.
const SLACK_MS: u64 = 250;

fn state(world: &World, device: usize) -> Option<StateName> {
    world.devices[device].process.as_ref().map(|p| StateName::of(p.engine.session().state()))
}

/// Before each call into a device: it has a session until now, or has none.
pub(crate) fn note(world: &mut World, device: usize) {
    if state(world, device) == Some(StateName::Online) {
        world.devices[device].online_ms = Some(world.server.clock.wall_ms(world.now));
    }
}

/// Whether the message that a device is about to hear ends an absence after which it must hold back what waits.
pub(crate) fn is_due(world: &mut World, device: usize, connection: u64, message: &ServerMessage) -> bool {
    let ServerMessage::Welcome(welcome) = message else { return false };
    let greeting = state(world, device) == Some(StateName::Greeting);
    // It may be welcomed, and lose the session again before this call returns.
    let before = world.devices[device].online_ms;
    if greeting {
        world.devices[device].online_ms = Some(welcome.clock_ms);
    }
    let (Some(process), Some(online_ms)) = (world.devices[device].process.as_ref(), before) else { return false };
    // Where the server's clock is set, nobody knows how long it was.
    let set = world.plan.faults.iter().any(|(fault, _)| *fault == Fault::ServerClock);
    let limits = world.schema.outbox;
    let engine = &process.engine;
    greeting
        && !set
        && engine.session().connection() == connection
        // A disk that was full all the while knows of no session.
        && engine.db().cursor().is_some()
        && welcome.clock_ms.saturating_sub(online_ms) > limits.review_after_ms + SLACK_MS
        && engine.db().counts().undecided() >= limits.review_entries
}

/// After such a message: when the device took it, it holds back.
pub(crate) fn begun(world: &mut World, device: usize) -> Result<(), Violation> {
    if state(world, device) != Some(StateName::Online) {
        return Ok(());
    }
    world.coverage.hit("seen held back");
    // All that waited may turn out to be accepted: then there is nothing to hold back.
    let waits = world.devices[device].process.as_ref().is_some_and(|p| p.engine.db().counts().undecided() > 0);
    if world.is_held(device) || !waits {
        return Ok(());
    }
    let name = &world.devices[device].name;
    Err(Violation::new("review", format!("{name} was away for long, and would send without a word")))
}

/// Before a push.
pub(crate) fn pushed(world: &World, device: usize) -> Result<(), Violation> {
    if !world.is_held(device) {
        return Ok(());
    }
    let name = &world.devices[device].name;
    Err(Violation::new("review", format!("{name} sends what the person has not let go")))
}

/// What the person is told is what is there, and a copy of what waits was kept.
pub(crate) fn told(world: &mut World, device: usize) -> Result<(), Violation> {
    let Some(process) = world.devices[device].process.as_mut() else { return Ok(()) };
    let engine = &mut process.engine;
    let (told, held) = (engine.status().review, engine.db().held());
    if told.is_none() && held.is_none() {
        return Ok(());
    }
    // A disk that fails is told of elsewhere.
    let (Ok(reviewed), Ok(backups)) = (engine.review(), engine.db().backups()) else { return Ok(()) };
    let concerned = reviewed.iter().filter(|one| !one.changed.is_empty()).count() as u64;
    let undecided = engine.db().counts().undecided();
    let right = match (told, held) {
        (Some(told), Some(_)) => {
            let entries = reviewed.len() as u64 == told.entries && told.entries == undecided;
            entries && told.conflicts == concerned && (!told.copied || !backups.is_empty())
        }
        _ => false,
    };
    if right {
        return Ok(());
    }
    let (name, count) = (&world.devices[device].name, reviewed.len());
    let found = format!("{held:?}, {count} entries, {concerned} of them changed, {undecided} undecided");
    Err(Violation::new("review", format!("{name} tells {told:?}, and has {found}")))
}
