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

/// A hash of one row's content: table, key and cells. Recorded beside a row by the server, so that a write from
/// outside is noticed.
pub fn row_hash(table: &str, key: &RowKey, cells: &Cells) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(table.as_bytes());
    part(&key.to_bytes());
    let mut buffer = Vec::new();
    for (name, value) in cells {
        part(name.as_bytes());
        buffer.clear();
        // Writing to a Vec cannot fail.
        let _ = minicbor::encode(value, &mut buffer);
        part(&buffer);
    }
    let mut out = [0; 8];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(out)
}

/// The rolling hash of the server's history: what ties a cursor to the very history it was taken from.
pub fn chain(previous: u64, seq: u64, content: &ContentHash) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.to_le_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.update(content);
    let mut out = [0; 8];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(out)
}
