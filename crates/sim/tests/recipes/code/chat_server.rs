use landfall_core::{RowKey, Value};
use landfall_server::actions::{Call, Halt};

/// Gives a message its place in the room.
pub fn post(call: &mut Call<'_>) -> Result<(), Halt> {
    let (room, message) = (RowKey::single(call.arg("room")), RowKey::single(call.arg("message")));
    let Some(row) = call.row("rooms", &room)? else {
        return Err(Halt::refuse("no_such_room", "this room is closed"));
    };
    let number = row.get("last").and_then(Value::as_int).unwrap_or(0) + 1;
    call.update("rooms", &room, &[("last", number.into())])?;
    call.update("messages", &message, &[("number", number.into())])
}
