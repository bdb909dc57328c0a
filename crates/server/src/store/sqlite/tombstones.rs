//! Forgetting deleted rows for good, in steps of a bounded number of deletes. Nobody hears of it: devices do not have them.

use landfall_core::merge::RowMeta;
use rusqlite::{Connection, params};

use super::tx::{signed, unsigned};
use crate::commit::Tombstone;
use crate::store::StoreError;

/// Deleted rows looked at in one step, and those that were deleted with the last of them: what came back with its parent
/// must not be forgotten before it.
const ROWS_PER_STEP: usize = 500;

/// In order of the deletes, so that a step begins where there is something to forget.
pub(super) const INDEX: &str =
    "CREATE INDEX IF NOT EXISTS _landfall_tombstones ON _landfall_rows (seq) WHERE hash IS NULL";

/// Forgets what was deleted before `before_ms` (milliseconds since the Unix epoch, as `now_ms`), beginning behind the sequence
/// `after`. Where the next step begins; `None`: all is looked at.
pub(super) fn forget(conn: &Connection, after: u64, before_ms: u64, now_ms: u64) -> Result<Option<u64>, StoreError> {
    const LAST: &str = "SELECT count(*), max(seq) FROM (SELECT seq FROM _landfall_rows
        WHERE hash IS NULL AND seq > ? ORDER BY seq LIMIT ?)";
    const NEXT: &str = "SELECT seq, tbl, key, meta, image FROM _landfall_rows
        WHERE hash IS NULL AND seq > ? AND seq <= ? ORDER BY seq";
    const FORGET: &str = "DELETE FROM _landfall_rows WHERE tbl = ? AND key = ?";
    let range = params![signed(after), ROWS_PER_STEP as i64];
    let last = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
    let (found, Some(last)) = conn.prepare_cached(LAST)?.query_row(range, last)? else { return Ok(None) };
    let mut due = Vec::new();
    let mut statement = conn.prepare_cached(NEXT)?;
    let mut rows = statement.query(params![signed(after), last])?;
    let mut is_through = found < ROWS_PER_STEP as i64;
    while let Some(row) = rows.next()? {
        let meta: RowMeta = minicbor::decode(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let image = row.get_ref(4)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        let image = image.map(minicbor::decode::<Tombstone>).transpose()?;
        let deleted_ms = image.unwrap_or_default().deleted_ms(&meta);
        if deleted_ms < before_ms {
            due.push((row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?));
        } else if deleted_ms <= now_ms {
            // Sequences are given in order of time: what follows is younger. Unless the clock was ahead then.
            is_through = true;
            break;
        }
    }
    drop(rows);
    let mut forget = conn.prepare_cached(FORGET)?;
    for (table, key) in due {
        forget.execute(params![table, key])?;
    }
    Ok((!is_through).then(|| unsigned(last)))
}
