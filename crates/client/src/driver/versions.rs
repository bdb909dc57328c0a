//! Versions and documents of rows: see [`Database::versions`](crate::db::Database::versions).

use landfall_core::{RowKey, Value};

use super::{Client, ClientError};
use crate::db::Rows;

impl Client {
    /// The versions of a row that are held here, newest first, with what the row was.
    ///
    /// # Errors
    /// When there is no such table, or no versions of its rows are kept.
    pub async fn versions(&self, table: impl Into<String>, key: RowKey) -> Result<Rows, ClientError> {
        let table = table.into();
        Ok(self.with(move |engine, _, _| engine.db().versions(&table, &key)).await??)
    }

    /// Keeps what a row is now as a version, with a name or without, and its documents (each as one update) with it; its key. It is nothing
    /// that `undo` takes back. When it resolves the write is on disk and in the outbox.
    ///
    /// # Errors
    /// As [`Client::versions`]; when the row is not held here; when the write is refused.
    pub async fn keep_version(
        &self,
        table: impl Into<String>,
        key: RowKey,
        name: Option<String>,
        docs: Vec<(String, Vec<u8>)>,
    ) -> Result<Value, ClientError> {
        let table = table.into();
        let keep = move |tx: &mut crate::db::WriteTx<'_>| {
            tx.leave_out_of_undo();
            let docs: Vec<_> = docs.iter().map(|(column, update)| (column.as_str(), update.clone())).collect();
            tx.keep_version(&table, &key, name.as_deref(), &docs)
        };
        Ok(self.write(keep).await?.value)
    }

    /// Makes the columns of a row again what they were in a version; false: that is how it is. When it resolves the write is on
    /// disk and in the outbox.
    ///
    /// # Errors
    /// As [`Client::versions`]; when the version is not held here; when the write is refused.
    pub async fn restore_version(&self, table: impl Into<String>, version: Value) -> Result<bool, ClientError> {
        let table = table.into();
        Ok(self.write(move |tx| tx.restore_version(&table, &version)).await?.value)
    }

    /// The updates of a document of a row that are held here: together they are the document.
    ///
    /// # Errors
    /// When the table has no such document.
    pub async fn doc_updates(
        &self,
        table: impl Into<String>,
        key: RowKey,
        column: impl Into<String>,
    ) -> Result<Vec<Vec<u8>>, ClientError> {
        let (table, column) = (table.into(), column.into());
        Ok(self.with(move |engine, _, _| engine.db().doc_updates(&table, &key, &column)).await??)
    }

    /// Writes an update of a document of a row, as its library gives it. Typing is nothing that `undo` takes back. When it resolves
    /// the write is on disk and in the outbox.
    ///
    /// # Errors
    /// When the table has no such document; when the write is refused.
    pub async fn write_doc(
        &self,
        table: impl Into<String>,
        key: RowKey,
        column: impl Into<String>,
        update: Vec<u8>,
    ) -> Result<(), ClientError> {
        let (table, column) = (table.into(), column.into());
        let write = move |tx: &mut crate::db::WriteTx<'_>| {
            tx.leave_out_of_undo();
            tx.write_doc(&table, &key, &column, update)
        };
        self.write(write).await?;
        Ok(())
    }
}
