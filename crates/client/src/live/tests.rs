//! Live queries over real SQLite.

mod folding;
mod pinning;
mod reading;
mod typed;
mod world;
