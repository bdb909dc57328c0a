//! What app developers see: the example, every mistake with its rendered text, and that nothing panics.
#![allow(clippy::unwrap_used)]

use super::*;

const JOURNAL: &str = include_str!("../../../../../examples/journal/landfall.toml");

#[test]
fn the_example_is_a_schema() {
    let schema = Schema::parse("landfall.toml", JOURNAL).unwrap_or_else(|e| panic!("{}", e.render(JOURNAL, false)));
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
}
