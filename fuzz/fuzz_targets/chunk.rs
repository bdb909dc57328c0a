#![no_main]
//! A device never panics over a chunk, and column lengths always agree.
use landfall_protocol::{Chunk, codec::decode_binary};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(chunk) = decode_binary::<Chunk>(data) {
        assert!(chunk.rows.columns.iter().all(|(_, values)| values.len() == chunk.rows.len()));
    }
});
