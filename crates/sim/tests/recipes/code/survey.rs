use landfall_client::db::{DbError, EntryState, OutboxEntry, WriteTx};
use landfall_core::{RowKey, Value};

/// Keeps what is filled in so far, on this device alone.
pub fn save(tx: &mut WriteTx<'_>, draft: &Value, survey: &Value, answers: &serde_json::Value) -> Result<(), DbError> {
    tx.upsert("drafts", &[("id", draft.clone()), ("survey", survey.clone()), ("answers", Value::json(answers))])
}

/// Hands a draft in: it becomes a response, in one transaction.
pub fn submit(tx: &mut WriteTx<'_>, draft: &Value, by: &str) -> Result<(), DbError> {
    let copy = "insert into responses (id, survey, answers, by) select id, survey, answers, ? from drafts where id = ?";
    if tx.execute(copy, &[by.into(), draft.clone()])? == 0 {
        return Err(DbError::Aborted("there is no such draft".into()));
    }
    tx.delete("drafts", &RowKey::single(draft.clone()))?;
    tx.action("submit", &[("response", draft.clone())])
}

/// What was withdrawn or refused is a draft again, with every answer.
pub fn reopen(tx: &mut WriteTx<'_>, entry: &OutboxEntry) -> Result<(), DbError> {
    for response in entry.transaction.operations.iter().filter(|operation| operation.table() == "responses") {
        let written =
            |name: &str| response.cells().iter().find(|cell| cell.column == name).map(|cell| cell.value.clone());
        let (survey, answers) = (written("survey").unwrap_or_default(), written("answers").unwrap_or_default());
        tx.upsert("drafts", &[("id", response.key().0[0].clone()), ("survey", survey), ("answers", answers)])?;
    }
    if entry.state == EntryState::Dead { tx.supersede(entry.rseq) } else { Ok(()) }
}
