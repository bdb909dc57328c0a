//! Live queries over real SQLite.

mod reading;
mod world;
