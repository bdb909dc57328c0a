//! Where fetched answers are kept. Entries go in and out in transactions of their own, which wait for no disk: a power
//! cut may take the last ones back. What is read is not written down at once either; it is with the next entry.

use std::collections::VecDeque;

use landfall_core::flat::FlatMap;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::{get_meta, set_meta};
use super::error::DbError;
use crate::cache::{self, Body, CacheError, CacheStats, Counts, FetchOptions, Freshness, Outcome, Plan, Policy};

/// Made when it is first needed: most databases hold no fetched answers. `value` is text for JSON, a blob for bytes.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS _landfall_cache (key TEXT PRIMARY KEY, asked_ms INT NOT NULL, max_age_ms INT, expires_ms INT,
  priority INT NOT NULL, used_ms INT NOT NULL, bytes INT NOT NULL, value ANY NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS _landfall_cache_expired ON _landfall_cache (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS _landfall_cache_order ON _landfall_cache (priority, max_age_ms IS NULL, used_ms);
";
/// What an entry counts beside its key and value.
const OVERHEAD: u64 = 64;
/// Uses that are remembered in memory before they are written down.
const MOST_USES: usize = 256;
/// Entries that make room in one turn, or go in one call: others want a turn too.
const MOST_AT_ONCE: u64 = if cfg!(test) { 8 } else { 1_000 };
/// Invalidations that are remembered for the fetches that are under way.
const MOST_INVALIDATIONS: usize = 64;

/// An entry as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// What was kept.
    pub body: Body,
    /// When it was asked for, by the device's clock then.
    pub asked_ms: u64,
    /// How old it is.
    pub freshness: Freshness,
}

/// Names a fetch, so that what it brings is not stored after the entry was invalidated, or replaced by a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Counts fetches and invalidations.
    pub number: u64,
    /// When it began, by the device's clock.
    pub asked_ms: u64,
}

/// How a call goes on.
#[derive(Debug)]
pub struct Begun {
    /// Who answers.
    pub plan: Plan,
    /// The cache's answer, where the cache answers.
    pub cached: Option<Cached>,
    /// The policy that holds for the call.
    pub policy: Policy,
    /// Names the fetch.
    pub ticket: Ticket,
    /// Why the cache could not be asked; the call goes on without it.
    pub problem: Option<DbError>,
}

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// That of this key.
    Key(String),
    /// Those whose keys begin so.
    Prefix(String),
}

impl Selection {
    /// Whether it is one of them.
    pub fn holds(&self, key: &str) -> bool {
        match self {
            Self::Key(own) => own == key,
            Self::Prefix(prefix) => key.starts_with(prefix.as_str()),
        }
    }
}

/// What is known of the table without asking it.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    exists: bool,
    entries: u64,
    bytes: u64,
}

/// What is kept in memory beside the table.
#[derive(Debug, Default)]
pub(super) struct CacheMemory {
    /// `None`: not looked at yet, which no app pays for that has no use for it.
    totals: Option<Totals>,
    since_open: Counts,
    before: Counts,
    uses: FlatMap<String, u64>,
    last_ticket: u64,
    /// Fetches up to this one cannot be stored: what was invalidated since is no longer known.
    floor: u64,
    invalidated: VecDeque<(u64, Selection)>,
}

/// What a store did, to be taken into memory once it is committed.
struct Change {
    stored: bool,
    evicted: u64,
    totals: Totals,
}

impl Database {
    /// Begins a call: decides who answers, counts it, and gives the cache's answer where the cache answers.
    ///
    /// # Errors
    /// [`CacheError::Missing`] where the cache alone was to answer; a key or an option that cannot be.
    pub(crate) fn cache_begin(&mut self, key: &str, options: &FetchOptions, now_ms: u64) -> Result<Begun, CacheError> {
        options.check(key)?;
        let policy = options.over(self.schema.cache.policy(key));
        let ticket = Ticket { number: self.next_ticket(now_ms), asked_ms: now_ms };
        let found = match self.cached(key, policy.max_age_ms, now_ms) {
            Ok(found) => found,
            // Whoever opens the database anew makes it whole again.
            Err(error @ DbError::Damaged(_)) => return Err(error.into()),
            Err(error) if policy.strategy == cache::Strategy::CacheOnly => return Err(error.into()),
            Err(error) => {
                return Ok(Begun { plan: Plan::Fetch, cached: None, policy, ticket, problem: Some(error) });
            }
        };
        let freshness = found.as_ref().map(|found| found.freshness);
        let plan = cache::plan(policy.strategy, freshness);
        *self.cache.since_open.of(cache::outcome(policy.strategy, plan, freshness)) += 1;
        if plan == Plan::Missing {
            return Err(CacheError::Missing { key: key.to_owned() });
        }
        let cached = found.filter(|_| plan != Plan::Fetch);
        if cached.is_some() {
            self.note_use(key, now_ms);
        }
        Ok(Begun { plan, cached, policy, ticket, problem: None })
    }

    /// What the cache has for a call whose fetch failed or takes too long; counts it as answered by the cache then.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn cache_fallback(
        &mut self,
        key: &str,
        options: &FetchOptions,
        now_ms: u64,
    ) -> Result<Option<Cached>, CacheError> {
        options.check(key)?;
        let policy = options.over(self.schema.cache.policy(key));
        if !cache::falls_back(policy.strategy) {
            return Ok(None);
        }
        let found = self.cached(key, policy.max_age_ms, now_ms)?;
        let counted = match policy.strategy {
            cache::Strategy::NetworkFirst => Outcome::Network,
            _ => Outcome::Miss,
        };
        let counts = &mut self.cache.since_open;
        let first = counts.of(counted);
        *first = first.saturating_sub(1);
        *counts.of(cache::outcome_after_failure(found.as_ref().map(|found| found.freshness))) += 1;
        if found.is_some() {
            self.note_use(key, now_ms);
        }
        Ok(found)
    }

    /// An entry as it is, of the age with which it was stored. Nothing is counted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn cache_peek(&mut self, key: &str, now_ms: u64) -> Result<Option<Cached>, CacheError> {
        if !self.cache_totals()?.exists {
            return Ok(None);
        }
        let mut statement = self.conn.prepare_cached("SELECT max_age_ms FROM _landfall_cache WHERE key = ?")?;
        let max_age = statement.query_row([key], |row| row.get::<_, Option<i64>>(0)).optional()?;
        drop(statement);
        match max_age {
            None => Ok(None),
            Some(max_age) => Ok(self.cached(key, max_age.map(|ms| ms as u64), now_ms)?),
        }
    }

    /// Stores what a fetch brought; whether it did: an entry that was invalidated meanwhile, or replaced by a later one,
    /// is not stored, nor one for which what matters more leaves no room.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`]; the disk is full; or the database cannot be written. Nothing is stored then.
    pub(crate) fn cache_store(
        &mut self,
        key: &str,
        body: &Body,
        options: &FetchOptions,
        ticket: Ticket,
        now_ms: u64,
    ) -> Result<bool, CacheError> {
        options.check(key)?;
        let policy = options.over(self.schema.cache.policy(key));
        if !self.is_wanted(key, ticket) {
            return Ok(false);
        }
        let (bytes, limit) = ((key.len() + body.len()) as u64 + OVERHEAD, self.schema.cache.max_bytes);
        let stored = if bytes > limit {
            Err(CacheError::TooLarge { key: key.to_owned(), bytes, limit })
        } else {
            self.store(key, body, bytes, policy, ticket.asked_ms, now_ms).map_err(CacheError::from)
        };
        if !matches!(stored, Ok(true)) {
            self.cache.since_open.not_stored += 1;
        }
        stored
    }

    /// A ticket for what the app stores without a fetch.
    pub(crate) fn cache_ticket(&mut self, now_ms: u64) -> Ticket {
        Ticket { number: self.next_ticket(now_ms), asked_ms: now_ms }
    }

    /// Removes entries, and sees to it that fetches of them that are under way are not stored. Gives how many went;
    /// as long as `more` is true, it is to be called again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn cache_invalidate(&mut self, which: &Selection, now_ms: u64) -> Result<Invalidated, CacheError> {
        let number = self.next_ticket(now_ms);
        let memory = &mut self.cache;
        memory.invalidated.push_back((number, which.clone()));
        if memory.invalidated.len() > MOST_INVALIDATIONS
            && let Some((number, _)) = memory.invalidated.pop_front()
        {
            memory.floor = number;
        }
        if !self.cache_totals()?.exists {
            return Ok(Invalidated::default());
        }
        let keys = self.selected(which)?;
        let removed = self.transact(|db| {
            let mut bytes = 0;
            for (key, size) in &keys {
                db.conn.prepare_cached("DELETE FROM _landfall_cache WHERE key = ?")?.execute([key])?;
                bytes += size;
            }
            Ok(bytes)
        });
        let (bytes, removed) = (removed?, keys.len() as u64);
        if let Some(totals) = &mut self.cache.totals {
            totals.entries = totals.entries.saturating_sub(removed);
            totals.bytes = totals.bytes.saturating_sub(bytes);
        }
        Ok(Invalidated { removed, more: removed == MOST_AT_ONCE })
    }

    /// How the cache stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn cache_stats(&mut self) -> Result<CacheStats, CacheError> {
        let Totals { entries, bytes, .. } = self.cache_totals()?;
        let memory = &self.cache;
        let lifetime = memory.before.and(&memory.since_open);
        let max_bytes = self.schema.cache.max_bytes;
        Ok(CacheStats { since_open: memory.since_open, lifetime, entries, bytes, max_bytes })
    }

    /// Writes down what was read and counted, which otherwise waits for the next entry. It is no loss if it fails.
    pub(crate) fn cache_flush(&mut self) {
        if !self.cache.totals.is_some_and(|totals| totals.exists) {
            return;
        }
        self.lazy = true;
        let _ = self.transact(|db| {
            db.write_uses()?;
            db.save_counts(0, 0)
        });
        self.lazy = false;
        self.cache.uses.clear();
    }

    fn next_ticket(&mut self, now_ms: u64) -> u64 {
        let memory = &mut self.cache;
        if memory.last_ticket == 0 {
            // Of another process, or tab, that held the database before: what it invalidated is not known here.
            memory.last_ticket = now_ms;
            memory.floor = now_ms;
        }
        memory.last_ticket += 1;
        memory.last_ticket
    }

    fn is_wanted(&self, key: &str, ticket: Ticket) -> bool {
        let memory = &self.cache;
        if landfall_core::mutant::active("cache-void-kept") {
            return true;
        }
        let is_ours = (memory.floor + 1..=memory.last_ticket).contains(&ticket.number);
        is_ours && !memory.invalidated.iter().any(|(number, which)| *number > ticket.number && which.holds(key))
    }

    fn note_use(&mut self, key: &str, now_ms: u64) {
        self.cache.uses.insert(key.to_owned(), now_ms);
        if self.cache.uses.len() >= MOST_USES {
            self.cache_flush();
        }
    }

    fn cache_totals(&mut self) -> Result<Totals, DbError> {
        if let Some(totals) = self.cache.totals {
            return Ok(totals);
        }
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = '_landfall_cache'";
        let exists = self.conn.query_row(sql, [], |row| row.get::<_, i64>(0))? > 0;
        let mut totals = Totals { exists, ..Totals::default() };
        if totals.exists {
            let sql = "SELECT count(*), coalesce(sum(bytes), 0) FROM _landfall_cache";
            let (entries, bytes) = self.conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            (totals.entries, totals.bytes) = (unsigned(entries), unsigned(bytes));
            self.cache.before = load_counts(&get_meta::<String>(&self.conn, "cache_counts")?.unwrap_or_default());
        }
        self.cache.totals = Some(totals);
        Ok(totals)
    }

    fn cached(&mut self, key: &str, max_age_ms: Option<u64>, now_ms: u64) -> Result<Option<Cached>, DbError> {
        if !self.cache_totals()?.exists {
            return Ok(None);
        }
        let mut statement = self.conn.prepare_cached("SELECT asked_ms, value FROM _landfall_cache WHERE key = ?")?;
        let mut rows = statement.query([key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let body = match row.get_ref(1)? {
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Body::Json(text.to_owned()),
                Err(error) => return Err(DbError::bookkeeping(format!("a cache entry: {error}"))),
            },
            ValueRef::Blob(bytes) => Body::Bytes(bytes.to_vec()),
            other => return Err(DbError::bookkeeping(format!("a cache entry of type {}", other.data_type()))),
        };
        let asked_ms = unsigned(row.get(0)?);
        Ok(Some(Cached { body, asked_ms, freshness: Freshness::of(asked_ms, max_age_ms, now_ms) }))
    }

    fn store(
        &mut self,
        key: &str,
        body: &Body,
        bytes: u64,
        policy: Policy,
        asked_ms: u64,
        now_ms: u64,
    ) -> Result<bool, DbError> {
        let totals = self.cache_totals()?;
        let change = self.transact(|db| db.store_within(key, body, bytes, policy, asked_ms, now_ms, totals))?;
        let memory = &mut self.cache;
        memory.totals = Some(change.totals);
        memory.uses.clear();
        memory.since_open.evicted += change.evicted;
        memory.since_open.stored += u64::from(change.stored);
        Ok(change.stored)
    }

    #[allow(clippy::too_many_arguments, reason = "one entry and where it goes")]
    fn store_within(
        &self,
        key: &str,
        body: &Body,
        bytes: u64,
        policy: Policy,
        asked_ms: u64,
        now_ms: u64,
        mut totals: Totals,
    ) -> Result<Change, DbError> {
        if !totals.exists {
            self.conn.execute_batch(CREATE)?;
            totals.exists = true;
        }
        self.write_uses()?;
        let sql = "SELECT asked_ms, bytes FROM _landfall_cache WHERE key = ?";
        let old = self.conn.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((asked, old_bytes)) = old {
            // Of a later fetch that was answered sooner. One that is ahead of the clock is of a time that never was.
            let asked = unsigned(asked);
            if asked > asked_ms && asked <= now_ms {
                self.save_counts(0, 0)?;
                return Ok(Change { stored: false, evicted: 0, totals });
            }
            self.conn.prepare_cached("DELETE FROM _landfall_cache WHERE key = ?")?.execute([key])?;
            totals.entries = totals.entries.saturating_sub(1);
            totals.bytes = totals.bytes.saturating_sub(unsigned(old_bytes));
        }
        let evicted = self.make_room(bytes, policy.priority, now_ms, &mut totals)?;
        let is_room = totals.bytes + bytes <= self.schema.cache.max_bytes;
        let stored = is_room || landfall_core::mutant::active("cache-unbounded");
        if stored {
            let sql = "INSERT INTO _landfall_cache
              (key, asked_ms, max_age_ms, expires_ms, priority, used_ms, bytes, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
            let expires = policy.max_age_ms.map(|age| signed(asked_ms.saturating_add(age)));
            let value: &dyn rusqlite::ToSql = match body {
                Body::Json(text) => text,
                Body::Bytes(bytes) => bytes,
            };
            let (asked, max_age) = (signed(asked_ms), policy.max_age_ms.map(signed));
            self.conn.prepare_cached(sql)?.execute(params![
                key,
                asked,
                max_age,
                expires,
                policy.priority,
                signed(now_ms),
                signed(bytes),
                value
            ])?;
            totals.entries += 1;
            totals.bytes += bytes;
        }
        self.save_counts(evicted, u64::from(stored))?;
        Ok(Change { stored, evicted, totals })
    }

    /// Lets entries go until so many bytes fit: what has expired; then what matters least, what never expires after the
    /// rest of its priority, and what was used longest ago first. What matters more than the new entry stays.
    fn make_room(&self, bytes: u64, priority: u8, now_ms: u64, totals: &mut Totals) -> Result<u64, DbError> {
        let limit = self.schema.cache.max_bytes;
        let expired = "SELECT key, bytes FROM _landfall_cache WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2";
        let others = "SELECT key, bytes FROM _landfall_cache WHERE priority <= ?1
          ORDER BY priority, max_age_ms IS NULL, used_ms LIMIT ?2";
        let mut evicted = 0;
        for (sql, first) in [(expired, signed(now_ms)), (others, i64::from(priority))] {
            if totals.bytes + bytes <= limit {
                break;
            }
            let mut statement = self.conn.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![first, signed(MOST_AT_ONCE)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows = rows.collect::<Result<Vec<(String, i64)>, _>>()?;
            for (key, size) in rows {
                if totals.bytes + bytes <= limit {
                    break;
                }
                self.conn.prepare_cached("DELETE FROM _landfall_cache WHERE key = ?")?.execute([key])?;
                totals.entries = totals.entries.saturating_sub(1);
                totals.bytes = totals.bytes.saturating_sub(unsigned(size));
                evicted += 1;
            }
        }
        Ok(evicted)
    }

    fn selected(&self, which: &Selection) -> Result<Vec<(String, u64)>, DbError> {
        // The key's own order is that of its bytes: those that begin alike stand together.
        let (sql, key) = match which {
            Selection::Key(key) => ("SELECT key, bytes FROM _landfall_cache WHERE key = ?1 LIMIT ?2", key),
            Selection::Prefix(prefix) => {
                ("SELECT key, bytes FROM _landfall_cache WHERE key >= ?1 ORDER BY key LIMIT ?2", prefix)
            }
        };
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![key, signed(MOST_AT_ONCE)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut keys = Vec::new();
        for row in rows {
            let (key, bytes): (String, i64) = row?;
            if !which.holds(&key) {
                break;
            }
            keys.push((key, unsigned(bytes)));
        }
        Ok(keys)
    }

    fn write_uses(&self) -> Result<(), DbError> {
        for (key, used) in self.cache.uses.iter() {
            let mut statement = self.conn.prepare_cached("UPDATE _landfall_cache SET used_ms = ? WHERE key = ?")?;
            statement.execute(params![signed(*used), key])?;
        }
        Ok(())
    }

    /// Writes down what was counted, and what the present transaction adds to it.
    fn save_counts(&self, evicted: u64, stored: u64) -> Result<(), DbError> {
        let memory = &self.cache;
        let mut counts = memory.before.and(&memory.since_open);
        counts.evicted = counts.evicted.saturating_add(evicted);
        counts.stored = counts.stored.saturating_add(stored);
        let numbers = counts.numbers().map(|number| number.to_string());
        set_meta(&self.conn, "cache_counts", numbers.join(" "))
    }
}

/// How far an invalidation came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invalidated {
    /// Entries that went.
    pub removed: u64,
    /// Whether there may be more of them.
    pub more: bool,
}

fn load_counts(text: &str) -> Counts {
    let mut numbers = [0; 7];
    for (number, word) in numbers.iter_mut().zip(text.split(' ')) {
        // Statistics: what cannot be read begins anew.
        *number = word.parse().unwrap_or(0);
    }
    Counts::from_numbers(numbers)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl From<rusqlite::Error> for CacheError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}
