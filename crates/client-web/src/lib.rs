//! The engine for browsers: [`landfall_client::Engine`] behind a surface of bytes and JSON.
//!
//! The worker (`packages/client`, in TypeScript) does what a driver does: sockets, requests, timers, the mirror in
//! IndexedDB. This crate opens SQLite on the origin private file system, turns JSON into values and back, and hands
//! effects over. It is thin on purpose: what holds offline is in `landfall-client`, and runs natively as well.
//!
//! | file | idea |
//! |---|---|
//! | `json` | values, rows and differences as JSON text, exactly |
//! | `ops` | the operations of a write, and query parameters, from JSON |
//! | `functions` | merge functions of the app's own: what they are asked, and what they answer |
//! | `cache` | calls of the cache, from JSON and to it |
//! | `failure` | errors as the worker reads them |
//! | `surface` | what JavaScript calls (WebAssembly only) |
//! | `sink` | what is called in JavaScript (WebAssembly only) |

pub mod cache;
pub mod failure;
pub mod functions;
pub mod json;
pub mod ops;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod sink;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod surface;
