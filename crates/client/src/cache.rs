//! Answers that an app fetches elsewhere and that are not synced: a product page, a bank balance.
//!
//! What is decided about them is decided here, without I/O and with the time as an argument: how old an entry is, who
//! answers, and what is counted. The storage is [`crate::db`]'s, the fetching the driver's.

use std::time::Duration;

use landfall_core::Code;
pub use landfall_core::schema::caching::{Caching, Policy, Strategy};

use crate::db::DbError;

/// Stable codes of the cache.
pub mod codes {
    use landfall_core::Code;

    /// The cache alone was to answer, and holds nothing.
    pub const MISSING: Code = Code::of("LF-5040");
    /// An entry is larger than the whole cache may be.
    pub const TOO_LARGE: Code = Code::of("LF-5041");
    /// A key or an option that cannot be.
    pub const BAD_CALL: Code = Code::of("LF-5042");
    /// The network did not answer in time.
    pub const TIMED_OUT: Code = Code::of("LF-5043");
    /// What the cache holds is not what was asked for.
    pub const UNREADABLE: Code = Code::of("LF-5044");
    /// The app's function could not fetch.
    pub const NOT_FETCHED: Code = Code::of("LF-5045");
}

/// Most bytes of a key.
pub const MAX_KEY_BYTES: usize = 1_024;

/// What is kept of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// JSON, as text.
    Json(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Body {
    /// Its size.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a call wants its entry kept, where it differs from the policy that `landfall.toml` declares for the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// When the network is asked.
    pub strategy: Option<Strategy>,
    /// So old an entry may be, milliseconds; `Some(None)`: it never is stale.
    pub max_age_ms: Option<Option<u64>>,
    /// How long the network is waited for if the cache has something, milliseconds.
    pub timeout_ms: Option<u64>,
    /// 0 to 100: what matters least goes first when the cache is full.
    pub priority: Option<u8>,
}

impl FetchOptions {
    /// The same, stale after so long.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age_ms: Some(Some(milliseconds(age))), ..self }
    }

    /// The same, never stale.
    #[must_use]
    pub fn never_stale(self) -> Self {
        Self { max_age_ms: Some(None), ..self }
    }

    /// The same; after so long the network is no longer waited for if the cache has something.
    #[must_use]
    pub fn timeout(self, wait: Duration) -> Self {
        Self { timeout_ms: Some(milliseconds(wait)), ..self }
    }

    /// The same, of this priority: 0 to 100.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// The policy that holds for a call.
    pub fn over(&self, policy: Policy) -> Policy {
        Policy {
            strategy: self.strategy.unwrap_or(policy.strategy),
            max_age_ms: self.max_age_ms.unwrap_or(policy.max_age_ms),
            timeout_ms: self.timeout_ms.or(policy.timeout_ms),
            priority: self.priority.unwrap_or(policy.priority),
        }
    }

    /// Refuses a key or a priority that cannot be.
    pub(crate) fn check(&self, key: &str) -> Result<(), CacheError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let message = format!("a key has 1 to {MAX_KEY_BYTES} bytes, this one has {}", key.len());
            return Err(CacheError::BadCall(message));
        }
        match self.priority {
            Some(101..) => Err(CacheError::BadCall("a priority is from 0 to 100".into())),
            _ => Ok(()),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<Strategy> for FetchOptions {
    fn from(strategy: Strategy) -> Self {
        Self { strategy: Some(strategy), ..Self::default() }
    }
}

/// Why the cache gives no answer, or did not keep one.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The cache alone was to answer.
    #[error(
        "the cache holds nothing under '{key}', and the network was not to be asked; fetch it while online [LF-5040]"
    )]
    Missing {
        /// The key.
        key: String,
    },
    /// An entry that is larger than the cache.
    #[error(
        "'{key}' has {bytes} bytes, the whole cache may have {limit}; raise `max_bytes` in [cache], or keep less of it [LF-5041]"
    )]
    TooLarge {
        /// The key.
        key: String,
        /// Its size with its body.
        bytes: u64,
        /// What the cache may hold.
        limit: u64,
    },
    /// A key or an option that cannot be.
    #[error("{0} [LF-5042]")]
    BadCall(String),
    /// The network did not answer in time, and the cache did.
    #[error("the network did not answer within {ms} ms; the cache did [LF-5043]")]
    TimedOut {
        /// How long it was waited for.
        ms: u64,
    },
    /// What is kept is not what was asked for.
    #[error(
        "what the cache holds under '{key}' is not what was asked for ({cause}); invalidate it, or use another key [LF-5044]"
    )]
    Unreadable {
        /// The key.
        key: String,
        /// Why it cannot be read.
        cause: String,
    },
    /// The database refused or failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl CacheError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => codes::MISSING,
            Self::TooLarge { .. } => codes::TOO_LARGE,
            Self::BadCall(_) => codes::BAD_CALL,
            Self::TimedOut { .. } => codes::TIMED_OUT,
            Self::Unreadable { .. } => codes::UNREADABLE,
            Self::Db(error) => error.code(),
        }
    }
}

/// How old an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Milliseconds since it was asked for; `None`: unknown, since the device's clock was set back meanwhile.
    pub age_ms: Option<u64>,
    /// Older than it may be, or of unknown age.
    pub stale: bool,
}

impl Freshness {
    /// Of an entry that was asked for at one time of a clock that may jump, and is looked at at another.
    pub fn of(asked_ms: u64, max_age_ms: Option<u64>, now_ms: u64) -> Self {
        let age_ms = now_ms.checked_sub(asked_ms);
        let max_age_ms = max_age_ms.filter(|_| !landfall_core::mutant::active("cache-age-ignored"));
        Self { age_ms, stale: max_age_ms.is_some_and(|max| age_ms.is_none_or(|age| age >= max)) }
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The cache.
    Serve,
    /// The cache, while the network is asked for next time.
    ServeAndFetch,
    /// The network.
    Fetch,
    /// Nobody.
    Missing,
}

/// Who answers under a strategy, given what the cache has.
pub fn plan(strategy: Strategy, found: Option<Freshness>) -> Plan {
    match (strategy, found) {
        (Strategy::NetworkFirst | Strategy::NetworkOnly, _) => Plan::Fetch,
        (Strategy::CacheOnly, None) => Plan::Missing,
        (Strategy::CacheOnly, Some(_)) => Plan::Serve,
        (Strategy::CacheFirst | Strategy::StaleWhileRevalidate, Some(Freshness { stale: false, .. })) => Plan::Serve,
        (Strategy::StaleWhileRevalidate, Some(_)) => Plan::ServeAndFetch,
        (Strategy::CacheFirst | Strategy::StaleWhileRevalidate, _) => Plan::Fetch,
    }
}

/// Whether the cache may answer when the network does not.
pub fn falls_back(strategy: Strategy) -> bool {
    !matches!(strategy, Strategy::NetworkOnly | Strategy::CacheOnly)
}

/// What a call ended as. Each counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cache answered, with a fresh entry.
    Hit,
    /// The cache answered, with a stale entry.
    Stale,
    /// The cache was asked, and had nothing that would do.
    Miss,
    /// The network answered, and the cache was not asked.
    Network,
}

/// What a call counts as when it begins. Where the network fails later it is corrected by [`outcome_after_failure`].
pub fn outcome(strategy: Strategy, plan: Plan, found: Option<Freshness>) -> Outcome {
    match (plan, found) {
        (Plan::Serve | Plan::ServeAndFetch, Some(Freshness { stale: false, .. })) => Outcome::Hit,
        (Plan::Serve | Plan::ServeAndFetch, _) => Outcome::Stale,
        (Plan::Fetch, _) if matches!(strategy, Strategy::NetworkFirst | Strategy::NetworkOnly) => Outcome::Network,
        (Plan::Fetch | Plan::Missing, _) => Outcome::Miss,
    }
}

/// What a call counts as whose fetch failed, given what the cache has by then.
pub fn outcome_after_failure(found: Option<Freshness>) -> Outcome {
    match found {
        Some(Freshness { stale: false, .. }) => Outcome::Hit,
        Some(_) => Outcome::Stale,
        None => Outcome::Miss,
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Answered by the cache with a fresh entry.
    pub hits: u64,
    /// Answered by the cache with a stale entry.
    pub stale: u64,
    /// The cache was asked, and had nothing that would do.
    pub misses: u64,
    /// Answered by the network without asking the cache.
    pub network: u64,
    /// Entries that were stored.
    pub stored: u64,
    /// Entries that could not be stored: larger than the cache, less important than what is there, or the disk was full.
    pub not_stored: u64,
    /// Entries that made room for others.
    pub evicted: u64,
}

impl Counts {
    /// The number of this outcome.
    pub fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Hit => &mut self.hits,
            Outcome::Stale => &mut self.stale,
            Outcome::Miss => &mut self.misses,
            Outcome::Network => &mut self.network,
        }
    }

    /// Its numbers, in the order of its fields.
    pub fn numbers(&self) -> [u64; 7] {
        [self.hits, self.stale, self.misses, self.network, self.stored, self.not_stored, self.evicted]
    }

    pub(crate) fn from_numbers([hits, stale, misses, network, stored, not_stored, evicted]: [u64; 7]) -> Self {
        Self { hits, stale, misses, network, stored, not_stored, evicted }
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (mut numbers, others) = (self.numbers(), other.numbers());
        for (number, other) in numbers.iter_mut().zip(others) {
            *number = number.saturating_add(other);
        }
        Self::from_numbers(numbers)
    }
}

/// How the cache stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CacheStats {
    /// Since the database was opened.
    pub since_open: Counts,
    /// Since the database was made, roughly: what is counted is stored with the next entry.
    pub lifetime: Counts,
    /// Entries that are kept.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The most bytes that they may have.
    pub max_bytes: u64,
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
