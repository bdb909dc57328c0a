//! The rules of the house, run with every other test. `cargo xtask tidy` runs the same rules by themselves.

use std::path::Path;

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let findings = xtask::tidy::check(&root).unwrap_or_else(|error| panic!("{error}"));
    let listing: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(listing.is_empty(), "{} findings:\n{}", listing.len(), listing.join("\n"));
}
