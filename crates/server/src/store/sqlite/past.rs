//! The walk through histories for what need not be kept any longer, in steps of a bounded number of rows.

use landfall_core::RowKey;
use landfall_core::schema::ddl::quote;
use rusqlite::{Connection, params};

use super::tables::TableSql;
use super::tx::signed;
use crate::commit::Plan;
use crate::store::StoreError;

/// Rows looked at in one step. Those that are due are read whole.
const ROWS_PER_STEP: usize = 500;

/// Where the walk stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    /// Which of the tables that keep their history for a time.
    table: usize,
    /// Sequence and row id of the last row that was looked at.
    after: (i64, i64),
}

/// What is due.
pub(super) struct Due {
    /// The table of the history.
    pub(super) history: usize,
    pub(super) keys: Vec<RowKey>,
}

impl Walk {
    /// Looks at the next rows. `None`: the walk is through, and the next step begins another.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        tables: &[TableSql],
        plan: &Plan,
        now_ms: u64,
    ) -> Result<Option<Due>, StoreError> {
        let mut kept = plan.schema().tables.iter().filter_map(|table| {
            let (_, history) = plan.history(&table.name)?;
            Some((history, table.history?.keep_ms?))
        });
        let Some((history, keep_ms)) = kept.nth(self.table) else {
            *self = Self::default();
            return Ok(None);
        };
        let keep_ms = if landfall_core::mutant::active("history-forgotten-early") { 0 } else { keep_ms };
        let cutoff_us = signed(now_ms.saturating_sub(keep_ms).saturating_mul(1_000));
        let keys = self.look(conn, &tables[history], cutoff_us, signed(now_ms.saturating_mul(1_000)))?;
        Ok(Some(Due { history, keys }))
    }

    /// Rows that no state since `cutoff_us` (microseconds since the Unix epoch) needs: what was replaced before it, what was lost and
    /// deletes before it. A delete stays as long as what it deleted does, which was written with the clock ahead: without
    /// it the row would be there again when that moment comes.
    fn look(
        &mut self,
        conn: &Connection,
        history: &TableSql,
        cutoff_us: i64,
        now_us: i64,
    ) -> Result<Vec<RowKey>, StoreError> {
        let table = quote(&history.name);
        let sql = format!(
            "SELECT change_id, change_seq, rowid, coalesce(change_at, 0) < ?1, coalesce(change_at, 0) > ?5,
               (change_kind = 'lost'
                 OR (change_kind = 'delete' AND NOT EXISTS (SELECT 1 FROM {table} AS past WHERE past.change_row = old.change_row
                   AND past.change_seq < old.change_seq AND past.change_at >= ?1 AND past.change_kind <> 'lost'))
                 OR EXISTS (SELECT 1 FROM {table} AS next WHERE next.change_row = old.change_row
                   AND next.change_seq > old.change_seq AND next.change_at < ?1 AND next.change_kind <> 'lost'))
             FROM {table} AS old WHERE (change_seq, rowid) > (?2, ?3) ORDER BY change_seq, rowid LIMIT ?4"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![cutoff_us, self.after.0, self.after.1, ROWS_PER_STEP as i64, now_us])?;
        let (mut keys, mut looked_at) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            // Sequences are given in order of time: what follows is younger. Unless the clock was ahead then.
            let (is_old, is_ahead) = (row.get::<_, bool>(3)?, row.get::<_, bool>(4)?);
            if !is_old && !is_ahead {
                break;
            }
            looked_at += 1;
            self.after = (row.get(1)?, row.get(2)?);
            if is_old && row.get(5)? {
                keys.extend(history.key_alone(row)?);
            }
        }
        if looked_at < ROWS_PER_STEP {
            (self.table, self.after) = (self.table + 1, (0, 0));
        }
        Ok(keys)
    }
}
