//! Live queries over real SQLite.

mod folding;
mod reading;
mod typed;
mod world;
