//! Landfall: router, server session, buckets, access, stores.

pub mod buckets;
pub mod commit;
pub mod store;
