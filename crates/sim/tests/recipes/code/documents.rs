use landfall_client::db::{DbError, WriteTx};
use landfall_core::{RowKey, Value};

/// Saves a paragraph: called at every pause in typing, with that paragraph alone.
pub fn save(tx: &mut WriteTx<'_>, paragraph: &Value, text: &str) -> Result<(), DbError> {
    let there = tx.update("paragraphs", &RowKey::single(paragraph.clone()), &[("text", text.into())])?;
    if there { Ok(()) } else { keep(tx, paragraph, text) }
}

/// What has no place in the outbox, or lost its paragraph, is kept on this device, and shown beside the document.
pub fn keep(tx: &mut WriteTx<'_>, paragraph: &Value, text: &str) -> Result<(), DbError> {
    tx.upsert("kept", &[("paragraph", paragraph.clone()), ("text", text.into())])
}

/// When there is room again: one text that was kept becomes its paragraph's. Whether there was one.
pub fn bring_in(tx: &mut WriteTx<'_>) -> Result<bool, DbError> {
    let kept = tx.query("select paragraph, kept.text from kept join paragraphs on id = paragraph limit 1", &[])?;
    let Some([paragraph, Value::Text(text)]) = kept.rows.first().map(Vec::as_slice) else { return Ok(false) };
    tx.delete("kept", &RowKey::single(paragraph.clone()))?;
    save(tx, paragraph, text).map(|()| true)
}
