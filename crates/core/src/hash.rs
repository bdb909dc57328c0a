//! Content hashes. BLAKE3, cut to what each use needs.

use std::collections::BTreeMap;

use crate::key::RowKey;
use crate::value::Value;

/// Identifies the content of a transaction beside (replica, replica sequence). 128 bits.
pub type ContentHash = [u8; 16];

/// The columns of a row by name. A column that is not there is not held (unknown), which is not NULL.
pub type Cells = BTreeMap<String, Value>;

/// The first 16 bytes of the BLAKE3 hash.
pub fn hash128(bytes: &[u8]) -> ContentHash {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    out
}

/// The first 4 bytes of the BLAKE3 hash: enough to notice damage, of which one in 2³² passes; no defence against intent.
pub fn check_sum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = *blake3::hash(bytes).as_bytes();
    [a, b, c, d]
}

/// A hash of one row's content: table, key and cells. Recorded beside a row by the server, so that a write from
/// outside is noticed.
pub fn row_hash(table: &str, key: &RowKey, cells: &Cells) -> u64 {
    // Gathered first: the hasher costs more for each piece than copying it does.
    let mut all = Vec::with_capacity(512);
    let part = |bytes: &[u8], all: &mut Vec<u8>| {
        all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        all.extend_from_slice(bytes);
    };
    part(table.as_bytes(), &mut all);
    part(&key.to_bytes(), &mut all);
    for (name, value) in cells {
        part(name.as_bytes(), &mut all);
        let start = all.len();
        all.extend_from_slice(&[0; 8]);
        // Writing to a Vec cannot fail.
        let _ = minicbor::encode(value, &mut all);
        let length = (all.len() - start - 8) as u64;
        all[start..start + 8].copy_from_slice(&length.to_le_bytes());
    }
    let mut out = [0; 8];
    out.copy_from_slice(&blake3::hash(&all).as_bytes()[..8]);
    u64::from_le_bytes(out)
}

/// The rolling hash of the server's history: what ties a cursor to the very history it was taken from. The upper half
/// names the content up to `seq`; the lower half is a signature over it with the server's `key`, so that a server that
/// was restored from an older copy can tell a cursor of its own lost future from an invented one.
pub fn chain(key: &ChainKey, previous: u64, seq: u64, content: &ContentHash) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.to_le_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.update(content);
    let mut upper = [0; 4];
    upper.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    sign(key, seq, u32::from_le_bytes(upper))
}

/// Whether a chain value was given out by the server that holds `key`. Somebody who guesses is right once in 2³² times.
pub fn is_chain_of(key: &ChainKey, seq: u64, chain: u64) -> bool {
    if seq == 0 { chain == 0 } else { sign(key, seq, (chain >> 32) as u32) == chain }
}

/// A server's secret, with which it signs chain values.
pub type ChainKey = [u8; 32];

fn sign(key: &ChainKey, seq: u64, upper: u32) -> u64 {
    let mut signed = [0; 12];
    signed[..8].copy_from_slice(&seq.to_le_bytes());
    signed[8..].copy_from_slice(&upper.to_le_bytes());
    let mut lower = [0; 4];
    lower.copy_from_slice(&blake3::keyed_hash(key, &signed).as_bytes()[..4]);
    u64::from(upper) << 32 | u64::from(u32::from_le_bytes(lower))
}
