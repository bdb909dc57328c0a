//! Forgetting the old part of the log.

use rusqlite::{Connection, params};

use super::open::put_meta;
use super::tx::signed;
use crate::commit::OUTSIDE;
use crate::store::StoreError;

/// Forgets everything before `before_seq`. The decision on a transaction above its replica's floor stays, without the
/// row images. Returns the number of log entries removed.
pub(super) fn truncate(conn: &Connection, before_seq: u64) -> Result<u64, StoreError> {
    let before = signed(before_seq);
    // From here on an unknown number up to the floor means a copy of the database, not a new transaction.
    conn.execute("UPDATE _landfall_replicas SET forgotten = max(forgotten, floor)", [])?;
    conn.execute(
        "DELETE FROM _landfall_refusals WHERE rseq <= \
         (SELECT forgotten FROM _landfall_replicas r WHERE r.replica = _landfall_refusals.replica)",
        [],
    )?;
    let removed = conn.execute(
        "DELETE FROM _landfall_log WHERE seq < ? AND (replica = ? OR rseq <= \
         (SELECT forgotten FROM _landfall_replicas r WHERE r.replica = _landfall_log.replica))",
        params![before, OUTSIDE.0],
    )?;
    conn.execute("UPDATE _landfall_log SET body = NULL WHERE seq < ? AND body IS NOT NULL", [before])?;
    conn.execute("DELETE FROM _landfall_bucket_log WHERE seq <= ?", [before])?;
    put_meta(conn, "log_from", &before_seq.to_be_bytes())?;
    Ok(removed as u64)
}
