//! Landfall: router, server session, buckets, access, stores.
