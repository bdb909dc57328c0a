//! What sessions read from the store: log slices for those behind the ring, and how a bucket can begin.

use landfall_core::BucketId;
use landfall_protocol::client::Held;
use landfall_protocol::server::WireType;

use super::chunks::Chunks;
use super::committer::fault;
use crate::buckets::Bucket;
use crate::session::{Offer, Read, ReadDone, Refusal};
use crate::store::{StoreError, StoreReader};

/// Least bytes asked of one bucket's log, when many share a message.
const MIN_SHARE_BYTES: usize = 16 << 10;

/// Carries out a session's read. `max_bytes` is about what a message may have.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn perform(read: &Read, reader: &dyn StoreReader, max_bytes: usize) -> Result<ReadDone, StoreError> {
    match read {
        Read::CatchUp { bucket, after, up_to } => {
            let bounded = !landfall_core::mutant::active("catch-up-unbounded");
            let slice = reader.bucket_log(*bucket, *after, *up_to, if bounded { max_bytes } else { usize::MAX })?;
            // A device that loaded slowly may come back to a bucket that was forgotten meanwhile, whose log is no more: it
            // has not merely nothing to tell.
            let Some(known) = reader.bucket(*bucket)? else { return Ok(ReadDone::Shortened) };
            // Or to a position that the log no longer reaches.
            if reader.oldest_seq()?.max(known.since) > *after {
                return Ok(ReadDone::Shortened);
            }
            let run = slice.runs.into_iter().flat_map(|(_, run)| run).collect();
            Ok(ReadDone::CatchUp { bucket: *bucket, to: slice.to, run })
        }
        Read::Live { buckets, after, up_to } => live(reader, buckets, *after, *up_to, max_bytes),
    }
}

/// The changes of several buckets up to one common sequence: each bucket can only shorten how far the message goes.
fn live(
    reader: &dyn StoreReader,
    buckets: &[BucketId],
    after: u64,
    up_to: u64,
    max_bytes: usize,
) -> Result<ReadDone, StoreError> {
    let share = (max_bytes / buckets.len().max(1)).max(MIN_SHARE_BYTES);
    let mut to = up_to;
    let mut slices = Vec::new();
    for bucket in buckets {
        let slice = reader.bucket_log(*bucket, after, to, share)?;
        to = to.min(slice.to);
        if !slice.runs.is_empty() {
            slices.push((*bucket, slice.runs));
        }
    }
    let join =
        |runs: Vec<(u64, Vec<u8>)>| runs.into_iter().filter(|(seq, _)| *seq <= to).flat_map(|(_, run)| run).collect();
    let runs = slices.into_iter().map(|(bucket, runs)| (bucket, join(runs))).collect();
    // The log may have been shortened since the session's position was checked.
    let whole = reader.oldest_seq()? <= after;
    let chain = if whole { reader.chain_at(to)? } else { None };
    Ok(ReadDone::Live { to, chain, stamp: reader.stamp_max(after, to)?, runs })
}

/// How a bucket can begin for a device that holds `held`.
///
/// # Errors
/// A refusal when the store fails.
pub fn offer(
    bucket: &Bucket,
    held: &[Held],
    chunks: &Chunks,
    reader: &dyn StoreReader,
    now_ms: u64,
) -> Result<Offer, Refusal> {
    try_offer(bucket, held, chunks, reader, now_ms).map_err(|problem| fault(&problem))
}

fn try_offer(
    bucket: &Bucket,
    held: &[Held],
    chunks: &Chunks,
    reader: &dyn StoreReader,
    now_ms: u64,
) -> Result<Offer, StoreError> {
    let (oldest, head) = (reader.oldest_seq()?, reader.head()?);
    let usable = |at: &u64| *at >= oldest && *at >= bucket.since && *at <= head.seq;
    let held = held.iter().find(|held| held.bucket == bucket.id).map(|held| held.at).filter(usable);
    let columns = bucket.template.columns.iter().map(|(name, ty)| (name.clone(), WireType(*ty))).collect();
    let table = bucket.template.table.clone();
    let offer = Offer { bucket: bucket.id, table, columns, held, at: 0, first: String::new(), rows: 0 };
    // Counting rows and signing addresses is only worth while when something has to be loaded.
    if held.is_some() {
        return Ok(offer);
    }
    let load = chunks.begin(bucket, reader, now_ms)?;
    Ok(Offer { at: load.at, first: load.first, rows: load.rows, ..offer })
}
