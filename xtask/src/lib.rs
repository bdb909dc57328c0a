//! The project's only scripts: set-up, serve, test, bench, simulator, tidy. `cargo xtask --help` lists them.
//!
//! A library beside its binary, so that the tidy rules also run as an ordinary test (`tests/tidy.rs`).

pub mod bench;
pub mod builds;
pub mod cli;
pub mod doc_commands;
pub mod process;
pub mod progress;
pub mod serve;
pub mod setup;
pub mod steps;
pub mod suite;
pub mod tidy;
pub mod wasm;
pub mod web;
