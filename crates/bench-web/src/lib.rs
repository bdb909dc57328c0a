//! SQLite on the origin private file system and nothing else: the floor of the browser benchmarks.
//!
//! It is built as the engine for browsers is built, with the same flags and the same pragmas, so that what is measured
//! beside it (bytes, start, commit, a load of rows) differs by the engine only. Elsewhere than in a browser it is empty.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod bare;
