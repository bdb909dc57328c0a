#![no_main]

#[allow(dead_code, reason = "each target runs one")]
#[path = "../bodies/protocol.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::json(data));
