use landfall_core::{RowKey, Value};
use landfall_server::actions::{Call, Halt};

/// Moves money between two accounts, if the first is the person's own and has enough.
pub fn carry_out(call: &mut Call<'_>) -> Result<(), Halt> {
    let id = RowKey::single(call.arg("id"));
    let asked = call.operations().iter().find(|o| o.table() == "transfers" && *o.key() == id);
    let cell = |name: &str| asked.and_then(|o| o.value(name)).cloned().unwrap_or_default();
    let (from, to, cents) = (RowKey::single(cell("source")), RowKey::single(cell("target")), cell("cents"));
    let source = call.row("accounts", &from)?.unwrap_or_default();
    let target = call.row("accounts", &to)?.unwrap_or_default();
    if source.get("owner") != Some(&Value::Text(call.subject().id.clone())) || from == to {
        return Err(Halt::refuse("not_yours", "this account is not yours, or both are one"));
    }
    let amounts = [source.get("cents"), target.get("cents"), Some(&cents)];
    let [has, gets, cents] = amounts.map(|amount| amount.and_then(Value::as_int).unwrap_or(0));
    if has < cents {
        return Err(Halt::refuse("not_enough", "there is not enough in this account"));
    }
    call.update("accounts", &from, &[("cents", (has - cents).into())])?;
    call.update("accounts", &to, &[("cents", (gets + cents).into())])?;
    call.update("transfers", &id, &[("booked", true.into())])
}
