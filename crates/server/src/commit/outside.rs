//! Writes behind the store's back: another program wrote the app's table. The row then differs from the hash recorded
//! beside it. Such a write first gets a sequence of its own, with the author [`OUTSIDE`] and the stamp of its
//! discovery; whatever comes next is merged against it.

use landfall_core::hash::{Cells, row_hash};
use landfall_core::merge::{Author, Merged, RowMeta, StoredRow, Version, merge};
use landfall_core::schema::Table;
use landfall_core::{CellWrite, Operation, RowKey, Stamp};

use super::record::{OUTSIDE, RowChange, Tombstone, widened};
use super::tx::{Book, Exists, Found, StoreTx};
use super::{Group, Signature};
use crate::buckets::{Before, Fan};
use crate::store::StoreError;

/// Whether a row is not as it was left.
pub fn is_outside(table: &Table, key: &RowKey, found: &Found) -> bool {
    let recorded = found.book.as_ref().and_then(|book| book.hash);
    recorded != found.cells.as_ref().map(|cells| row_hash(&table.name, key, cells))
}

impl<T: StoreTx> Group<'_, T> {
    /// The row, once a write from outside, if there is one, has its sequence.
    ///
    /// # Errors
    /// The database failed: the transaction must be rolled back.
    pub fn settled(&mut self, at: usize, key: &RowKey) -> Result<Found, StoreError> {
        let found = self.tx.row(at, key)?;
        if !is_outside(self.plan.table(at), key, &found) {
            return Ok(found);
        }
        self.settle(at, key, found)?;
        self.tx.row(at, key)
    }

    fn settle(&mut self, at: usize, key: &RowKey, found: Found) -> Result<(), StoreError> {
        let plan = self.plan;
        let table = plan.table(at);
        let stamp = Stamp { wall_ms: self.now_ms, counter: 0, replica: OUTSIDE };
        let author = Author { stamp, seq: self.next_seq(), now_ms: self.now_ms, is_fact: true };
        let exists = Exists { row: found.cells.is_some(), book: found.book.is_some() };
        let before = self.image(table, key, found.book.as_ref())?;
        let held = found.book.map(|book| {
            let cells = before.clone().unwrap_or_else(|| table.key_cells(key));
            (StoredRow { cells, meta: book.meta }, book.hash.is_some())
        });
        self.record_outside(at, key, &author, held.as_ref().map(|(row, _)| row), found.cells.as_ref(), exists)?;
        let was_live = held.as_ref().is_some_and(|(_, live)| *live);
        let mut fan = Fan::of_outside(author.seq);
        let before = before.filter(|_| was_live);
        let seen = match (&before, was_live) {
            (Some(row), _) => Before::Row(row),
            (None, true) => Before::Unknown,
            (None, false) => Before::Nothing,
        };
        fan.add(self.buckets, &table.name, key, seen, found.cells.as_ref());
        let after = found.cells.clone();
        let mut changes = vec![RowChange { table: table.name.clone(), key: key.clone(), before, after: found.cells }];
        if let Some(row) = &after {
            let version = Version { seq: author.seq, stamp };
            self.follow_outside((at, key, version), row, &mut fan, &mut changes)?;
        }
        self.counters.outside += 1;
        let blind = was_live && changes[0].before.is_none();
        let by = Signature { blind, ..Signature::of_nobody(author.seq, &changes, stamp) };
        self.log(by, changes, fan, Default::default())?;
        Ok(())
    }

    /// The row as the store last knew it: a tombstone's image, or what the log says. `None`: the log no longer has it.
    fn image(&mut self, table: &Table, key: &RowKey, book: Option<&Book>) -> Result<Option<Cells>, StoreError> {
        let Some(book) = book else {
            return Ok(None);
        };
        if let Some(bytes) = &book.image {
            return Ok(Some(Tombstone::read(table, bytes)?.cells));
        }
        let entry = self.tx.log_entry(book.meta.last_seq())?;
        let of_row = |c: &RowChange| c.table == table.name && c.key == *key;
        let row = entry.and_then(|e| e.changes.into_iter().find(of_row)).and_then(|change| change.after);
        Ok(row.map(|row| widened(table, row)))
    }

    /// Brings the bookkeeping in line with the row as it is.
    fn record_outside(
        &mut self,
        at: usize,
        key: &RowKey,
        author: &Author,
        held: Option<&StoredRow>,
        row: Option<&Cells>,
        exists: Exists,
    ) -> Result<(), StoreError> {
        let table = self.plan.table(at);
        let name = || table.name.clone();
        match row {
            Some(row) => {
                let live = held.filter(|held| held.meta.deleted.is_none());
                let differs =
                    |c: &&landfall_core::schema::Column| live.and_then(|l| l.cells.get(&c.name)) != row.get(&c.name);
                let write = |c: &landfall_core::schema::Column| {
                    CellWrite::new(&c.name, row.get(&c.name).cloned().unwrap_or_default())
                };
                let cells = table.data_columns().filter(differs).map(write).collect();
                let (key, base) = (key.clone(), u64::MAX);
                let operation = match live {
                    Some(_) => Operation::Update { table: name(), key, base, cells },
                    None => Operation::Insert { table: name(), key, base, cells },
                };
                let meta = match merge(table, held, &operation, author) {
                    Merged::Put { row, .. } => row.meta,
                    _ => held.map(|held| held.meta.clone()).unwrap_or_default(),
                };
                let meta = if live.is_some() { meta } else { RowMeta { deleted: None, ..meta } };
                let hash = row_hash(&table.name, operation.key(), row);
                self.tx.put_book(at, operation.key(), &meta, hash, exists)
            }
            // Nobody writes a history again: what is erased there leaves nothing.
            None if table.history_of.is_some() => self.tx.forget_row(at, key),
            None => {
                let Some(held) = held else {
                    return Ok(());
                };
                let operation = Operation::Delete { table: name(), key: key.clone(), base: u64::MAX };
                let meta = match merge(table, Some(held), &operation, author) {
                    Merged::Delete { row } => row.meta,
                    _ => held.meta.clone(),
                };
                let mut cells = held.cells.clone();
                for column in table.data_columns() {
                    cells.entry(column.name.clone()).or_default();
                }
                let image = minicbor::to_vec(Tombstone { cells, at_ms: Some(self.now_ms), ..Tombstone::default() })
                    .unwrap_or_default();
                self.tx.put_tombstone(at, key, &meta, &image, exists)
            }
        }
    }
}
