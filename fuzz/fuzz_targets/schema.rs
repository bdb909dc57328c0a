#![no_main]

#[path = "../bodies/schema.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::schema(data));
