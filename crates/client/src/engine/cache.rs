//! The cache of fetched answers, as drivers use it. What is decided is in [`crate::cache`].

use super::{Engine, Moment};
use crate::cache::{Body, CacheError, CacheStats, FetchOptions};
use crate::db::{Begun, Cached, Database, Invalidated, Selection, Ticket};

/// The cache at one moment. Every call is short, and none of them touches what is synced.
pub struct Cache<'a> {
    db: &'a mut Database,
    now_ms: u64,
}

impl Engine {
    /// The cache of fetched answers.
    pub fn cache(&mut self, now: Moment) -> Cache<'_> {
        Cache { db: &mut self.db, now_ms: now.wall_ms }
    }
}

impl Cache<'_> {
    /// Begins a call: decides who answers, and gives the cache's answer where the cache answers.
    ///
    /// # Errors
    /// [`CacheError::Missing`] where the cache alone was to answer; a key or an option that cannot be.
    pub fn begin(&mut self, key: &str, options: &FetchOptions) -> Result<Begun, CacheError> {
        self.db.cache_begin(key, options, self.now_ms)
    }

    /// What the cache has for a call whose fetch failed, or takes longer than its time-out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn fallback(&mut self, key: &str, options: &FetchOptions) -> Result<Option<Cached>, CacheError> {
        self.db.cache_fallback(key, options, self.now_ms)
    }

    /// Stores what a fetch brought; whether it did. An entry that was invalidated meanwhile, or replaced by a later
    /// one, is not stored, nor one for which what matters more leaves no room.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`]; the disk is full; or the database cannot be written. Nothing is stored then.
    pub fn store(
        &mut self,
        key: &str,
        body: &Body,
        options: &FetchOptions,
        ticket: Ticket,
    ) -> Result<bool, CacheError> {
        self.db.cache_store(key, body, options, ticket, self.now_ms)
    }

    /// Stores what the app has without a fetch.
    ///
    /// # Errors
    /// As for [`Cache::store`].
    pub fn put(&mut self, key: &str, body: &Body, options: &FetchOptions) -> Result<bool, CacheError> {
        let ticket = self.db.cache_ticket(self.now_ms);
        self.db.cache_store(key, body, options, ticket, self.now_ms)
    }

    /// An entry as it is, of the age with which it was stored. Nothing is counted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn peek(&mut self, key: &str) -> Result<Option<Cached>, CacheError> {
        self.db.cache_peek(key, self.now_ms)
    }

    /// Removes entries, so many as one turn allows: as long as `more` is true, call it again. What is being fetched of
    /// them is not stored.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn invalidate(&mut self, which: &Selection) -> Result<Invalidated, CacheError> {
        self.db.cache_invalidate(which, self.now_ms)
    }

    /// How the cache stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stats(&mut self) -> Result<CacheStats, CacheError> {
        self.db.cache_stats()
    }

    /// Writes down what was read and counted, which otherwise waits for the next entry. It is no loss if it fails.
    pub fn flush(&mut self) {
        self.db.cache_flush();
    }
}
