use landfall_client::db::Rows;
use landfall_client::driver::{Client, ClientError};
use landfall_core::{RowKey, Value};

/// What became of a note, newest first: the columns of `notes_history`.
pub async fn changes(client: &Client, note: Value) -> Result<Rows, ClientError> {
    client.history("notes", RowKey::single(note)).await
}

/// The notes as they were at a moment, microseconds since 1970.
pub async fn notes_of(client: &Client, at_us: i64) -> Result<Rows, ClientError> {
    client.as_of("notes", at_us).await
}

/// Makes a note again what it was after a change; false: that is how it is.
pub async fn back(client: &Client, change: Value) -> Result<bool, ClientError> {
    client.restore("notes", change).await
}
