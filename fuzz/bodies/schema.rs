//! What the fuzz target of the schema does with any bytes. The ordinary tests run the same.

use landfall_core::Schema;

/// A schema file never panics the reader; it is a schema, which survives its JSON, or a list of diagnostics.
pub fn schema(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(schema) = Schema::parse("fuzz.toml", text)
    {
        assert_eq!(Schema::from_json(&schema.to_json()).ok(), Some(schema));
    }
}
