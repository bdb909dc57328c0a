//! Landfall: the server.

pub mod auth;
