//! Landfall: benchmarks beside their floors.
fn main() {}
