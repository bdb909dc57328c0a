//! The scan for writes behind the store's back, in steps of a bounded number of rows.
//!
//! `PRAGMA data_version` tells whether any other connection has committed; when none has since the last whole scan,
//! there is nothing to look for.

use landfall_core::RowKey;
use rusqlite::{Connection, params, params_from_iter};

use super::tables::TableSql;
use super::tx::SqliteTx;
use super::values::Bind;
use crate::commit::{Plan, StoreTx, is_outside};
use crate::store::StoreError;

/// Rows looked at in one step: some milliseconds.
const ROWS_PER_STEP: usize = 2_000;

/// Where the scan stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    /// The data version at which the last whole scan began.
    clean: Option<i64>,
    /// The present scan.
    at: Option<Position>,
}

#[derive(Clone, Debug)]
struct Position {
    version: i64,
    table: usize,
    /// First the rows that are there, then the recorded rows that are not.
    recorded: bool,
    after: Option<RowKey>,
}

impl Scan {
    /// Begins a scan if one is due.
    pub(super) fn begin(&mut self, conn: &Connection) -> Result<(), StoreError> {
        if self.at.is_none() {
            let version = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            if self.clean != Some(version) {
                self.at = Some(Position { version, table: 0, recorded: false, after: None });
            }
        }
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.at.is_none()
    }

    /// Looks at the next rows and names those that are not as they were left.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        tables: &[TableSql],
        plan: &Plan,
    ) -> Result<Vec<(usize, RowKey)>, StoreError> {
        let Some(at) = &mut self.at else {
            return Ok(Vec::new());
        };
        let synced = |table: usize| plan.schema().tables[table].sync;
        while at.table < tables.len() && !synced(at.table) {
            at.table += 1;
        }
        let Some(table) = tables.get(at.table) else {
            self.clean = Some(at.version);
            self.at = None;
            return Ok(Vec::new());
        };
        let looked_at = if at.recorded { recorded_keys(conn, table, at)? } else { present_keys(conn, table, at)? };
        let mut tx = SqliteTx::new(conn, tables);
        let mut found = Vec::new();
        for key in &looked_at {
            let row = tx.row(at.table, key)?;
            if is_outside(plan.table(at.table), key, &row) {
                found.push((at.table, key.clone()));
            }
        }
        match looked_at.into_iter().next_back() {
            Some(last) => at.after = Some(last),
            None => {
                at.after = None;
                at.table += usize::from(at.recorded);
                at.recorded = !at.recorded;
            }
        }
        Ok(found)
    }
}

fn present_keys(conn: &Connection, table: &TableSql, at: &Position) -> Result<Vec<RowKey>, StoreError> {
    let mut scan = conn.prepare_cached(&table.scan(&[], at.after.is_some()))?;
    let mut rows = scan.query(params_from_iter(at.after.iter().flat_map(|key| &key.0).map(Bind)))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let key = table.key_in(row)?;
        let unreadable = table.unreadable(row)?;
        if !unreadable.is_empty() {
            let (columns, key) = (unreadable.join(", "), key.as_ref().map(ToString::to_string));
            tracing::warn!(
                table = table.name,
                key,
                columns,
                "another program wrote values that are not of their columns' types: they are read as NULL, and a row \
                 without a key is left out; correct them with that program"
            );
        }
        keys.extend(key);
        if keys.len() == ROWS_PER_STEP {
            break;
        }
    }
    Ok(keys)
}

fn recorded_keys(conn: &Connection, table: &TableSql, at: &Position) -> Result<Vec<RowKey>, StoreError> {
    const SQL: &str =
        "SELECT key FROM _landfall_rows WHERE tbl = ? AND key > ? AND hash IS NOT NULL ORDER BY key LIMIT ?";
    let after = at.after.as_ref().map(RowKey::to_bytes).unwrap_or_default();
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query(params![table.name, after, ROWS_PER_STEP as i64])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let key = RowKey::from_bytes(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        keys.push(key.map_err(|e| StoreError::Damaged(format!("a row's record: {e}")))?);
    }
    Ok(keys)
}
