use landfall_core::{RowKey, Value};
use landfall_server::actions::{Call, Halt};

/// Takes a response while its survey is open, one from each person, and gives it a receipt.
pub fn receive(call: &mut Call<'_>) -> Result<(), Halt> {
    let (response, by) = (RowKey::single(call.arg("response")), Value::Text(call.subject().id.clone()));
    let written = call.operations().iter().find(|o| o.table() == "responses" && *o.key() == response);
    let Some(survey) = written.and_then(|o| o.value("survey")).cloned() else {
        return Err(Halt::refuse("nothing", "there is no response to hand in"));
    };
    let row = call.row("surveys", &RowKey::single(survey.clone()))?.unwrap_or_default();
    if row.get("open") != Some(&Value::Bool(true)) {
        return Err(Halt::refuse("closed", "this survey has ended"));
    }
    if !call.find("responses", &[("by", by), ("survey", survey.clone())], 1)?.is_empty() {
        return Err(Halt::refuse("twice", "you have answered this survey already"));
    }
    let receipt = row.get("taken").and_then(Value::as_int).unwrap_or(0) + 1;
    call.update("surveys", &RowKey::single(survey), &[("taken", receipt.into())])?;
    call.update("responses", &response, &[("receipt", receipt.into())])
}
