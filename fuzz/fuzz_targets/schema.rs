#![no_main]
//! A schema file never panics the reader; it is a schema or a list of diagnostics.
use landfall_core::Schema;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(schema) = Schema::parse("fuzz.toml", text)
    {
        assert_eq!(Schema::from_json(&schema.to_json()).ok(), Some(schema));
    }
});
