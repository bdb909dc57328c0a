//! Values that gave way, as rows of the table of conflicts: written with the change itself, in the same transaction of the
//! database, so that nothing is ever overwritten that is not kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use landfall_core::merge::Version;
use landfall_core::schema::conflicts::{
    CONFLICT_AT, CONFLICT_BASE, CONFLICT_BY, CONFLICT_COLUMN, CONFLICT_COLUMNS, CONFLICT_DEVICE, CONFLICT_ID,
    CONFLICT_ROW, CONFLICT_SEQ, CONFLICT_WRITTEN, conflict_id,
};
use landfall_core::schema::history::{change_row, image};
use landfall_core::{RowKey, Value};

use super::history::{Past, instant, integer};
use super::lost::Conflict;
use super::record::OUTSIDE;
use super::tx::StoreTx;
use super::{Group, Signature};
use crate::store::StoreError;

impl<T: StoreTx> Group<'_, T> {
    /// The rows of these conflicts, but for those that somebody has resolved: the transaction was carried out before, by a
    /// server that has lost its history since.
    pub(super) fn conflict_rows(&mut self, by: &Signature, conflicts: Vec<Conflict>) -> Result<Vec<Past>, StoreError> {
        let (mut rows, mut subjects) = (Vec::new(), BTreeMap::new());
        for Conflict { table, key, mut row, sibling } in conflicts {
            let Some(at) = self.plan.conflicts(table) else { continue };
            let of = self.plan.table(table);
            let name = change_row(&of.name, &key);
            let id = conflict_id(&name, sibling.column.as_deref(), &by.transaction());
            if self.tx.row(at, &RowKey::single(id.clone()))?.book.is_some() {
                continue;
            }
            if let Some(column) = &sibling.column {
                row.insert(column.clone(), sibling.value);
            }
            let mut cells = image(of, &row);
            let (subject, version) = match sibling.was_stored {
                None => (by.subject.clone(), Version { seq: self.next_seq(), stamp: by.stamp }),
                // The log may have forgotten that.
                Some(version) => {
                    // One transaction may have written many of the rows.
                    if let Entry::Vacant(entry) = subjects.entry(version.seq) {
                        entry.insert(self.tx.log_entry(version.seq)?.map(|entry| entry.subject).unwrap_or_default());
                    }
                    (subjects.get(&version.seq).cloned().unwrap_or_default(), version)
                }
            };
            let by_somebody = version.stamp.replica != OUTSIDE;
            let base = sibling.base.filter(|base| !base.is_null());
            cells.extend(
                [
                    (CONFLICT_ID, id),
                    (CONFLICT_ROW, name),
                    (CONFLICT_COLUMN, sibling.column.map_or(Value::Null, Value::Text)),
                    (CONFLICT_SEQ, integer(self.next_seq())),
                    (CONFLICT_AT, instant(self.now_ms)),
                    (CONFLICT_WRITTEN, instant(version.stamp.wall_ms)),
                    (CONFLICT_BY, if subject.is_empty() { Value::Null } else { Value::Text(subject) }),
                    (CONFLICT_DEVICE, if by_somebody { Value::Uuid(version.stamp.replica.0) } else { Value::Null }),
                    (CONFLICT_BASE, base.map_or(Value::Null, |base| Value::json(&base.to_json()))),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            );
            // A row reads back with all its columns.
            let columns =
                CONFLICT_COLUMNS.iter().map(|(name, _)| *name).chain(of.columns.iter().map(|c| c.name.as_str()));
            for column in columns {
                cells.entry(column.to_owned()).or_default();
            }
            rows.push(Past::of_cells(at, cells));
        }
        Ok(rows)
    }
}
