//! Landfall: the local database, the outbox, the client session, live queries.
