//! Whole rows for a mirror that is the only copy: where the database is in memory, an update alone could not be shown
//! after a restart without a network.

use landfall_core::RowKey;
use landfall_core::gather::Gather as _;
use landfall_core::hash::Cells;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::LEFTOVER;
use super::error::DbError;
use super::overlay::{Batch, parse_key};

/// A row as it looked when a transaction on it was written, that transaction included: writing what it sets over it again
/// changes nothing, and what it adds is taken off first ([`Database::recover`]).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RowImage {
    /// The table.
    #[n(0)]
    pub table: String,
    /// The row.
    #[n(1)]
    pub key: RowKey,
    /// The sequence of its last confirmed change; 0 for a row that the server has not confirmed.
    #[n(2)]
    pub seq: u64,
    /// All columns.
    #[n(3)]
    pub cells: Cells,
}

impl Database {
    /// The rows that an entry of the outbox touches, as they look now. A row that is deleted has no image.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn images_of(&self, rseq: u64) -> Result<Vec<RowImage>, DbError> {
        let mut statement = self.conn.prepare_cached("SELECT tbl, key FROM _landfall_touched WHERE rseq = ?")?;
        let mut rows = statement.query([rseq as i64])?;
        let mut images = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let (app, key) = (self.tables.by_id(id)?, parse_key(&bytes)?);
            let Some(cells) = app.read(&self.conn, &key)? else { continue };
            let sql = "SELECT seq FROM _landfall_rows WHERE tbl = ? AND key = ?";
            let seq = self.conn.prepare_cached(sql)?.query_row(params![id, bytes], |r| r.get::<_, i64>(0));
            let seq = seq.optional()?.unwrap_or(0) as u64;
            images.push(RowImage { table: app.name().to_owned(), key, seq, cells });
        }
        Ok(images)
    }

    /// Shows what is known of rows with pending work, until that work settles or a shape brings them. The last image of
    /// a row counts; one of a table or column that the schema no longer has is passed over.
    pub(super) fn restore_images(&mut self, images: &[RowImage], batch: &mut Batch) -> Result<(), DbError> {
        for image in images {
            let Ok(app) = self.tables.get(&image.table) else { continue };
            let (id, known) = (app.id, |name: &String| app.table.column(name).is_some());
            let cells: Cells =
                image.cells.iter().filter(|(name, _)| known(name)).map(|(n, v)| (n.clone(), v.clone())).gather();
            let work = batch.row(self, id, &image.key)?;
            work.held.insert(LEFTOVER);
            work.seq = image.seq;
            work.confirmed = Some(cells);
        }
        Ok(())
    }
}
