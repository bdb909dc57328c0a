//! The history of rows: see [`Database::history`](crate::db::Database::history).

use landfall_core::{RowKey, Value};

use super::{Client, ClientError};
use crate::db::Rows;

impl Client {
    /// The changes of a row of a table that keeps its history, newest first, as far as they are held here.
    ///
    /// # Errors
    /// When there is no such table, or it keeps no history.
    pub async fn history(&self, table: impl Into<String>, key: RowKey) -> Result<Rows, ClientError> {
        let table = table.into();
        Ok(self.with(move |engine, _, _| engine.db().history(&table, &key)).await??)
    }

    /// The rows of such a table as they were at a moment: microseconds since the Unix epoch, by the server's clock.
    ///
    /// # Errors
    /// As [`Client::history`].
    pub async fn as_of(&self, table: impl Into<String>, at_us: i64) -> Result<Rows, ClientError> {
        let table = table.into();
        Ok(self.with(move |engine, _, _| engine.db().as_of(&table, at_us)).await??)
    }

    /// Makes a row again what it was after a change, or before it, if that was its delete; false: that is how it is. When
    /// it resolves the write is on disk and in the outbox.
    ///
    /// # Errors
    /// As [`Client::history`]; when the change is not held here; when the write is refused.
    pub async fn restore(&self, table: impl Into<String>, change_id: Value) -> Result<bool, ClientError> {
        let table = table.into();
        Ok(self.write(move |tx| tx.restore(&table, &change_id)).await?.value)
    }
}
