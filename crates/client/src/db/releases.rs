//! What undecided entries let go of: a reference to a row, or a value of a unique column. Whoever deletes that row, or takes
//! that value, comes behind them, whatever the priorities say. Otherwise a folder that is deleted right after a note was
//! moved out of it would take the note along, and a value that was free here would not be free there.

use landfall_core::flat::FlatSet;
use landfall_core::hash::Cells;
use landfall_core::schema::{Column, OnDelete};
use landfall_core::wide::WideMap;
use landfall_core::{Operation, RowKey, Value};
use rusqlite::{Connection, params};

use super::Database;
use super::bookkeeping::{QUEUED, SENT};
use super::error::DbError;
use super::record::Net;

/// A row of this key is not referred to any more.
fn row(key: &RowKey) -> Vec<u8> {
    [&[0], &key.to_bytes()[..]].concat()
}

/// A value is not in this unique column any more.
fn value(column: &str, value: &Value) -> Vec<u8> {
    [&[1], column.as_bytes(), &[0], &RowKey::single(value.clone()).to_bytes()].concat()
}

/// Whether any are noted.
pub(super) fn has_releases(conn: &Connection) -> Result<bool, DbError> {
    Ok(conn.prepare("SELECT 1 FROM _landfall_released LIMIT 1")?.exists([])?)
}

impl Database {
    /// Takes note of what an entry lets go of.
    pub(super) fn note_releases(&mut self, net: &Net, rseq: u64) -> Result<(), DbError> {
        let is_held = |c: &&Column| c.references.is_some() || c.unique;
        let mut before: Option<WideMap<(i64, &RowKey), &Cells>> = None;
        for operation in net.operations.iter().chain(&net.preview) {
            let is_deleted = matches!(operation, Operation::Delete { .. });
            let app = self.tables.get(operation.table())?;
            // What is in the key goes with the row alone.
            let mut columns = app.table.columns.iter().filter(is_held).peekable();
            if columns.peek().is_none() || matches!(operation, Operation::Insert { .. }) {
                continue;
            }
            let before = before.get_or_insert_with(|| {
                net.touched.iter().filter_map(|t| Some(((t.table, &t.key), t.before.as_ref()?))).collect()
            });
            let Some(cells) = before.get(&(app.id, operation.key())) else { continue };
            let mut gone = Vec::new();
            for column in columns {
                let Some(was) = cells.get(&column.name).filter(|was| !was.is_null()) else { continue };
                if !is_deleted && operation.value(&column.name).is_none_or(|is| is == was) {
                    continue;
                }
                if let Some(reference) = &column.references {
                    // A row that moved away is lost with the one that it left, unless the move is known first.
                    let saves = !is_deleted && reference.on_delete == OnDelete::Cascade;
                    gone.push((self.tables.get(&reference.table)?.id, row(&RowKey::single(was.clone())), saves));
                }
                if column.unique {
                    gone.push((app.id, value(&column.name, was), false));
                }
            }
            for (table, what, saves) in gone {
                let sql = "INSERT INTO _landfall_released (tbl, what, rseq, saves) VALUES (?, ?, ?, ?)
                           ON CONFLICT DO UPDATE SET saves = max(saves, excluded.saves)";
                self.conn.prepare_cached(sql)?.execute(params![table, what, rseq as i64, saves])?;
                self.memory.has_releases = true;
            }
        }
        Ok(())
    }

    /// The undecided entries that let go of what a transaction takes or deletes: those that it follows, and those without
    /// which it must not be.
    pub(super) fn releases(&self, net: &Net) -> Result<(FlatSet<u64>, FlatSet<u64>), DbError> {
        let (mut after, mut requires) = (FlatSet::new(), FlatSet::new());
        if !self.memory.has_releases {
            return Ok((after, requires));
        }
        let mut find = |table: i64, what: Vec<u8>| -> Result<(), DbError> {
            let sql = "SELECT rseq, saves FROM _landfall_released WHERE tbl = ? AND what = ?";
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut rows = statement.query(params![table, what])?;
            while let Some(found) = rows.next()? {
                let rseq = self.current_rseq(found.get::<_, i64>(0)? as u64)?;
                if matches!(self.state_of(rseq)?, Some(QUEUED | SENT)) {
                    if found.get(1)? { &mut requires } else { &mut after }.insert(rseq);
                }
            }
            Ok(())
        };
        for operation in net.operations.iter().chain(&net.preview) {
            let app = self.tables.get(operation.table())?;
            if let Operation::Delete { key, .. } = operation {
                find(app.id, row(key))?;
            }
            let is_unique = |column: &str| app.table.column(column).is_some_and(|c| c.unique);
            for write in operation.cells().iter().filter(|w| !w.value.is_null() && is_unique(&w.column)) {
                find(app.id, value(&write.column, &write.value))?;
            }
        }
        Ok((after, requires))
    }

    /// Forgets what decided entries let go of.
    pub(super) fn forget_releases(&mut self) -> Result<(), DbError> {
        if self.memory.has_releases && self.memory.meta.counts.undecided() == 0 {
            self.conn.prepare_cached("DELETE FROM _landfall_released")?.execute([])?;
            self.memory.has_releases = false;
        }
        Ok(())
    }

    /// The same, while others wait.
    pub(super) fn forget_some_releases(&self) -> Result<(), DbError> {
        let sql = "DELETE FROM _landfall_released AS old
                   WHERE NOT EXISTS (SELECT 1 FROM _landfall_outbox WHERE rseq = old.rseq AND state < 2)
                     AND old.rseq > coalesce((SELECT last FROM _landfall_taken WHERE first <= old.rseq
                                              ORDER BY first DESC LIMIT 1), 0)";
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
