//! Landfall: the server. One writer commits groups of pushes, sessions follow the log, chunks travel over HTTP.

pub mod actions;
pub mod auth;
pub mod buckets;
pub mod commit;
pub mod config;
pub mod core;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod session;
pub mod store;
