//! Forgetting: first what changed, much later who was told what about it. Each step is bounded, so that the writer is
//! never away for long; `log_from` and `decided_from` in `_landfall_meta` say how far each has come.

use std::collections::BTreeMap;

use landfall_core::BucketId;
use rusqlite::{Connection, params};

use super::open::put_meta;
use super::read::meta_number;
use super::tx::{signed, unsigned};
use crate::buckets::BucketIndex;
use crate::commit::OUTSIDE;
use crate::store::StoreError;

/// Sequences that one call forgets.
const PORTION: u64 = 5_000;
/// Buckets that one call forgets.
pub(super) const BUCKETS: usize = 500;
/// A use is written down when the one that is known is older than this: a day, in milliseconds.
const NOTED_EVERY_MS: u64 = 24 * 3_600 * 1_000;

/// What a step did.
pub(super) struct Step {
    pub(super) count: u64,
    /// Nothing is left for it.
    pub(super) done: bool,
}

/// Forgets the row images and the bucket logs before `before_seq`. The decisions stay, and so does the head.
pub(super) fn forget_changes(conn: &Connection, buckets: &BucketIndex, before_seq: u64) -> Result<Step, StoreError> {
    let from = meta_number(conn, "log_from")?;
    if before_seq <= from {
        return Ok(Step { count: 0, done: true });
    }
    let to = before_seq.min(from + PORTION);
    let sql = "UPDATE _landfall_log SET body = NULL WHERE seq >= ? AND seq < ?";
    conn.prepare_cached(sql)?.execute(params![signed(from), signed(to)])?;
    let mut forget = conn.prepare_cached("DELETE FROM _landfall_bucket_log WHERE bucket = ? AND seq <= ?")?;
    for bucket in buckets.ids() {
        forget.execute(params![signed(bucket.0), signed(to)])?;
    }
    put_meta(conn, "log_from", &to.to_be_bytes())?;
    Ok(Step { count: to - from, done: to == before_seq })
}

/// Forgets the decisions that are older than `before_ms` and that their replicas know, of changes that are forgotten
/// already.
pub(super) fn forget_decisions(conn: &Connection, before_ms: u64) -> Result<Step, StoreError> {
    let (from, log_from) = (meta_number(conn, "decided_from")?, meta_number(conn, "log_from")?);
    let sql = "SELECT ifnull(max(seq), ?) FROM
               (SELECT seq, at_ms FROM _landfall_log WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?) WHERE at_ms < ?";
    let limits = params![signed(from), signed(from), signed(log_from), signed(PORTION), signed(before_ms)];
    let last = unsigned(conn.prepare_cached(sql)?.query_row(limits, |row| row.get(0))?);
    if last <= from {
        return Ok(Step { count: 0, done: true });
    }
    // From here on an unknown number up to `forgotten` means a copy of the database, not a new transaction.
    let sql = "UPDATE _landfall_replicas SET forgotten = max(forgotten, known.last) FROM
               (SELECT l.replica, max(l.rseq) AS last FROM _landfall_log l JOIN _landfall_replicas r USING (replica)
                WHERE l.seq >= ? AND l.seq <= ? AND l.rseq <= r.floor GROUP BY l.replica) AS known
               WHERE known.replica = _landfall_replicas.replica";
    let range = params![signed(from), signed(last)];
    conn.prepare_cached(sql)?.execute(range)?;
    let sql = "DELETE FROM _landfall_refusals WHERE EXISTS (SELECT 1 FROM _landfall_log l
                 WHERE l.seq >= ? AND l.seq <= ? AND l.replica = _landfall_refusals.replica)
               AND rseq <= (SELECT forgotten FROM _landfall_replicas r WHERE r.replica = _landfall_refusals.replica)";
    conn.prepare_cached(sql)?.execute(range)?;
    let sql = "DELETE FROM _landfall_log WHERE seq >= ? AND seq <= ? AND (replica = ? OR rseq <=
               (SELECT forgotten FROM _landfall_replicas r WHERE r.replica = _landfall_log.replica))";
    let count = conn.prepare_cached(sql)?.execute(params![signed(from), signed(last), OUTSIDE.0])? as u64;
    put_meta(conn, "decided_from", &last.to_be_bytes())?;
    Ok(Step { count, done: false })
}

/// Takes note that a bucket is opened.
pub(super) fn note_use(
    conn: &Connection,
    uses: &mut BTreeMap<BucketId, u64>,
    bucket: BucketId,
    now_ms: u64,
) -> Result<(), StoreError> {
    let known = uses.insert(bucket, now_ms);
    if known.is_none_or(|known| now_ms.saturating_sub(known) > NOTED_EVERY_MS) {
        let sql = "INSERT INTO _landfall_bucket_uses (bucket, used_ms) VALUES (?, ?)
                   ON CONFLICT (bucket) DO UPDATE SET used_ms = excluded.used_ms";
        conn.prepare_cached(sql)?.execute(params![signed(bucket.0), signed(now_ms)])?;
    }
    Ok(())
}

/// Forgets buckets with their logs. Their numbers are not used again: whoever comes back for one loads another.
pub(super) fn forget_buckets(conn: &Connection, buckets: &[BucketId]) -> Result<(), StoreError> {
    for bucket in buckets {
        for sql in [
            "DELETE FROM _landfall_bucket_log WHERE bucket = ?",
            "DELETE FROM _landfall_bucket_uses WHERE bucket = ?",
            "DELETE FROM _landfall_buckets WHERE id = ?",
        ] {
            conn.prepare_cached(sql)?.execute([signed(bucket.0)])?;
        }
    }
    Ok(())
}
