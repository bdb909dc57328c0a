//! What the device can refuse by itself, because it holds the row that proves it, and what it can foresee of a delete.
//! Everything else is the server's to decide.

use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::schema::OnDelete;
use landfall_core::wide::WideSet;
use landfall_core::{CellWrite, Operation, Problem, RowKey, Value};

use super::Database;
use super::error::DbError;
use super::record::{Net, Touched};
use super::tables::AppTable;
use super::write::app_tables;
use crate::changes::ChangeSet;

/// Rows that refer to one deleted row are looked at in such portions.
const PORTION: usize = 1_000;

impl Database {
    /// Refuses a value that another row here already has in a unique column, and a delete of a row that `restrict`
    /// protects while a row here refers to it.
    pub(super) fn check_rules(&self, net: &Net) -> Result<(), DbError> {
        for operation in &net.operations {
            match operation {
                Operation::Delete { table, key, .. } => self.check_restrict(table, key)?,
                Operation::Insert { table, key, cells, .. } | Operation::Update { table, key, cells, .. } => {
                    let app = self.tables.get(table)?;
                    for write in cells.iter().filter(|w| !w.value.is_null()) {
                        self.check_unique(app, key, write)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_unique(&self, app: &AppTable, key: &RowKey, write: &CellWrite) -> Result<(), DbError> {
        if !app.table.column(&write.column).is_some_and(|c| c.unique) {
            return Ok(());
        }
        let others = app.keys_where(&self.conn, &write.column, &write.value, 2)?;
        match others.into_iter().find(|other| other != key) {
            None => Ok(()),
            Some(other) => {
                let message = format!("the row {other} already has this value; choose another, or change that row");
                Err(DbError::Invalid(Problem::new(codes::UNIQUE, message).row(app.name(), key).column(&write.column)))
            }
        }
    }

    fn check_restrict(&self, table: &str, key: &RowKey) -> Result<(), DbError> {
        let tables = app_tables(self);
        for (child, column, on_delete) in referring(&tables.list, table) {
            if on_delete != OnDelete::Restrict {
                continue;
            }
            let Some(value) = key.0.first() else { continue };
            if let Some(row) = child.keys_where(&self.conn, column, value, 1)?.into_iter().next() {
                let message =
                    format!("the row {row} of {} still refers to it; delete or change that first", child.name());
                return Err(DbError::Invalid(Problem::new(codes::STILL_REFERENCED, message).row(table, key)));
            }
        }
        Ok(())
    }

    /// Shows what the server will do to rows that refer to deleted ones. Only the delete itself travels.
    pub(super) fn preview_cascades(&mut self, net: &mut Net, changes: &mut ChangeSet) -> Result<(), DbError> {
        let deleted = |o: &Operation| matches!(o, Operation::Delete { .. });
        let mut queue: Vec<(String, RowKey)> =
            net.operations.iter().filter(|o| deleted(o)).map(|o| (o.table().to_owned(), o.key().clone())).collect();
        let tables = app_tables(self);
        while let Some((table, key)) = queue.pop() {
            let Some(value) = key.0.first().cloned() else { continue };
            for (child, column, on_delete) in referring(&tables.list, &table) {
                if on_delete == OnDelete::KeepOrphan {
                    continue;
                }
                loop {
                    let rows = child.keys_where(&self.conn, column, &value, PORTION)?;
                    for row in &rows {
                        self.preview_one(child, column, on_delete, row, net, changes)?;
                        if on_delete == OnDelete::Cascade {
                            queue.push((child.name().to_owned(), row.clone()));
                        }
                    }
                    if rows.len() < PORTION || on_delete == OnDelete::Restrict {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a delete of this row would take others along than these.
    pub(super) fn has_cascading(
        &self,
        table: &str,
        key: &RowKey,
        but: &WideSet<(&str, &RowKey)>,
    ) -> Result<bool, DbError> {
        let Some(value) = key.0.first() else { return Ok(false) };
        for (child, column, on_delete) in referring(&self.tables.list, table) {
            if on_delete != OnDelete::Cascade {
                continue;
            }
            let rows = child.keys_where(&self.conn, column, value, but.len() + 1)?;
            if rows.iter().any(|row| !but.contains(&(child.name(), row))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn preview_one(
        &mut self,
        child: &AppTable,
        column: &str,
        on_delete: OnDelete,
        key: &RowKey,
        net: &mut Net,
        changes: &mut ChangeSet,
    ) -> Result<(), DbError> {
        let Some(before) = child.read(&self.conn, key)? else { return Ok(()) };
        let table = child.name().to_owned();
        let (operation, after): (_, Option<Cells>) = match on_delete {
            // Below a previewed cascade: the server will refuse the whole transaction if this row is still there.
            OnDelete::Restrict | OnDelete::KeepOrphan => return Ok(()),
            OnDelete::Cascade => (Operation::Delete { table, key: key.clone(), base: 0 }, None),
            OnDelete::SetNull => {
                let mut after = before.clone();
                after.insert(column.to_owned(), Value::Null);
                let write = CellWrite::new(column, Value::Null);
                (Operation::Update { table, key: key.clone(), base: 0, cells: vec![write] }, Some(after))
            }
        };
        // The image is what was confirmed before the transaction: a row that the app itself changed has it already.
        if !net.touched.iter().any(|t| t.table == child.id && t.key == *key) {
            net.touched.push(Touched { table: child.id, key: key.clone(), before: Some(before.clone()) });
        }
        child.put(&self.conn, key, Some(&before), after.as_ref())?;
        net.preview.push(operation);
        changes.record(child.name(), key.clone(), Some(before), after);
        Ok(())
    }
}

/// Synced tables and columns that refer to `table`.
fn referring<'a>(
    tables: &'a [AppTable],
    table: &'a str,
) -> impl Iterator<Item = (&'a AppTable, &'a str, OnDelete)> + 'a {
    tables.iter().filter(|t| t.table.sync).flat_map(move |child| {
        let columns = child.table.columns.iter();
        columns.filter_map(move |column| {
            let reference = column.references.as_ref().filter(|r| r.table == table)?;
            Some((child, column.name.as_str(), reference.on_delete))
        })
    })
}
