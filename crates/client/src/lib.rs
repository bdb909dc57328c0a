//! The local database, the outbox, the client session, live queries.
//!
//! [`Engine`] is the whole client without a network: a [`db::Database`] and a [`session::Session`]. It takes time and
//! randomness as arguments and gives effects as results; a driver carries them out.

pub mod cache;
pub mod changes;
pub mod db;
#[cfg(feature = "tokio-driver")]
pub mod driver;
pub mod engine;
pub mod live;
pub mod mirror;
pub mod session;
pub mod status;

pub use engine::{Effect, Engine, Input, Moment, ShapeHandle};
pub use status::Status;

/// The examples of the documents are compiled with the tests of this crate.
#[cfg(all(doctest, feature = "tokio-driver"))]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../../../docs/caches.md")]
    struct Caches;
}
