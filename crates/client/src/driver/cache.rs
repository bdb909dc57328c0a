//! Fetched answers for the native driver: who asks the network, who waits for whom, and what becomes of a late answer.
//!
//! Several calls for one key share one fetch. A fetch that has begun goes on although nobody waits for it any more: what
//! it brings is stored.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use landfall_core::Code;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, oneshot, watch};

use super::{Client, Job, Last, Loop, Message};
use crate::cache::{self, Body, CacheError, CacheStats, FetchOptions, Freshness, Plan};
use crate::db::{Begun, Cached, Selection, Ticket};
use crate::engine::{self, Moment};

/// Changes that a watch may fall behind before it looks at everything anew.
const CHANGES: usize = 64;

/// Why there is no answer, or why the network's was not the one, or was not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The cache refused or failed.
    #[error(transparent)]
    Cache(Arc<CacheError>),
    /// The app's function could not fetch; its own error is the source.
    #[error("'{key}' could not be fetched: {cause} [LF-5045]")]
    NotFetched {
        /// The key.
        key: String,
        /// What the function gave.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The client was closed.
    #[error("the client is closed; open it again [LF-5901]")]
    Closed,
}

impl FetchError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Cache(error) => error.code(),
            Self::NotFetched { .. } => cache::codes::NOT_FETCHED,
            Self::Closed => Code::of("LF-5901"),
        }
    }
}

impl From<CacheError> for FetchError {
    fn from(error: CacheError) -> Self {
        Self::Cache(Arc::new(error))
    }
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The network, now.
    Network,
    /// The cache.
    Cache,
}

/// An answer, and how far it is to be believed.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// Who answered.
    pub source: Source,
    /// How old it is; `None`: unknown, since the device's clock was set back meanwhile.
    pub age: Option<Duration>,
    /// Older than it may be.
    pub stale: bool,
    /// From the cache: why the network did not answer. From the network: why the answer could not be kept.
    pub error: Option<FetchError>,
    /// The fetch that goes on behind a stale answer.
    pub update: Option<Update>,
}

impl<T> Answer<T> {
    fn map<U>(self, f: impl FnOnce(T) -> Result<U, FetchError>) -> Result<Answer<U>, FetchError> {
        let Self { value, source, age, stale, error, update } = self;
        Ok(Answer { value: f(value)?, source, age, stale, error, update })
    }
}

/// The fetch that goes on behind a stale answer.
#[derive(Clone, Debug)]
pub struct Update {
    key: String,
    landed: Flight,
}

impl Update {
    /// What it brought, once it has.
    ///
    /// # Errors
    /// When it failed.
    pub async fn json<T: DeserializeOwned>(mut self) -> Result<T, FetchError> {
        read(&self.key, &landed(&self.key, &mut self.landed).await?.body)
    }

    /// The same of an entry of bytes.
    ///
    /// # Errors
    /// When it failed.
    pub async fn bytes(mut self) -> Result<Vec<u8>, FetchError> {
        bytes(&self.key, landed(&self.key, &mut self.landed).await?.body)
    }
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// What is kept.
    pub value: T,
    /// How old it is; `None`: unknown, since the device's clock was set back meanwhile.
    pub age: Option<Duration>,
    /// Older than it may be.
    pub stale: bool,
}

/// What a fetch brought.
#[derive(Clone, Debug)]
pub(super) struct Landed {
    body: Body,
    /// Why it could not be kept.
    problem: Option<FetchError>,
}

type Flight = watch::Receiver<Option<Result<Landed, FetchError>>>;

/// The fetches that are under way, by key; all handles of a client share them.
pub(super) type Flights = Arc<Mutex<HashMap<String, Flight>>>;

/// Whoever watches hears of changes from the engine's thread, and of its end.
pub(super) fn changes() -> broadcast::Sender<Selection> {
    broadcast::channel(CHANGES).0
}

/// The client's cache of fetched answers.
#[derive(Clone)]
pub struct Cache {
    sender: mpsc::Sender<Message>,
    flights: Flights,
    /// A fetch that goes on keeps no client open.
    _last: Option<Arc<Last>>,
}

impl Client {
    /// The cache of fetched answers that are not synced.
    pub fn cache(&self) -> Cache {
        let last = Some(Arc::clone(&self.last));
        Cache { sender: self.sender.clone(), flights: Arc::clone(&self.flights), _last: last }
    }
}

impl Cache {
    /// Answers with JSON, from the network or the cache, as the strategy says: the one given, or what `landfall.toml`
    /// declares for the key. `fetcher` is called at most once, on a task of its own.
    ///
    /// # Errors
    /// When neither of the two answers.
    pub async fn fetch<T, E, F>(
        &self,
        key: impl Into<String>,
        options: impl Into<FetchOptions>,
        fetcher: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Answer<T>, FetchError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let key = key.into();
        let body = async move {
            let value = fetcher().await.map_err(Into::into)?;
            Ok(Body::Json(serde_json::to_string(&value)?))
        };
        self.fetch_body(&key, options.into(), body).await?.map(|body| read(&key, &body))
    }

    /// The same with bytes.
    ///
    /// # Errors
    /// When neither of the two answers.
    pub async fn fetch_bytes<E, F>(
        &self,
        key: impl Into<String>,
        options: impl Into<FetchOptions>,
        fetcher: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Answer<Vec<u8>>, FetchError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Result<Vec<u8>, E>> + Send + 'static,
    {
        let key = key.into();
        let body = async move { fetcher().await.map(Body::Bytes).map_err(Into::into) };
        self.fetch_body(&key, options.into(), body).await?.map(|body| bytes(&key, body))
    }

    /// Stores what the app has without a fetch. False: what matters more leaves no room.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn put<T: Serialize>(
        &self,
        key: impl Into<String>,
        value: &T,
        options: impl Into<FetchOptions>,
    ) -> Result<bool, FetchError> {
        let (key, options) = (key.into(), options.into());
        let text = serde_json::to_string(value)
            .map_err(|error| CacheError::BadCall(format!("'{key}' cannot be written as JSON: {error}")))?;
        let name = key.clone();
        let put = move |cache: &mut engine::Cache<'_>| cache.put(&name, &Body::Json(text), &options);
        Ok(self.ask_and_tell(Selection::Key(key), put, |stored| matches!(stored, Ok(true))).await??)
    }

    /// An entry as it is kept. Nothing is counted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn peek<T: DeserializeOwned>(&self, key: impl Into<String>) -> Result<Option<Entry<T>>, FetchError> {
        let key = key.into();
        let name = key.clone();
        let found = self.ask(move |cache| cache.peek(&name)).await??;
        let entry = |Cached { body, freshness, .. }| {
            let age = freshness.age_ms.map(Duration::from_millis);
            Ok(Entry { value: read(&key, &body)?, age, stale: freshness.stale })
        };
        found.map(entry).transpose()
    }

    /// Removes entries; what is being fetched of them is answered and not stored. Gives how many there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn invalidate(&self, which: Selection) -> Result<u64, FetchError> {
        self.flights().retain(|key, _| !which.holds(key));
        let mut removed = 0;
        loop {
            let of = which.clone();
            let call = move |cache: &mut engine::Cache<'_>| cache.invalidate(&of);
            let done = self.ask_and_tell(which.clone(), call, Result::is_ok).await??;
            removed += done.removed;
            if !done.more {
                return Ok(removed);
            }
        }
    }

    /// How the cache stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn stats(&self) -> Result<CacheStats, FetchError> {
        Ok(self.ask(|cache| cache.stats()).await??)
    }

    /// Hears of an entry whenever it is stored or removed.
    ///
    /// # Errors
    /// [`FetchError::Closed`].
    pub async fn watch(&self, key: impl Into<String>) -> Result<CacheWatch, FetchError> {
        let changes = self.run(|state, _| state.cache_changes.subscribe()).await?;
        let cache = Self { _last: None, ..self.clone() };
        Ok(CacheWatch { key: key.into(), changes, cache })
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something on the engine's thread.
    async fn run<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Loop, Moment) -> R + Send + 'static,
    ) -> Result<R, FetchError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |state, now| {
            let value = call(state, now);
            Box::new(move || {
                // Nobody waits for it any more.
                let _ = sender.send(value);
            })
        });
        self.sender.send(Message::Job(job)).map_err(|_| FetchError::Closed)?;
        receiver.await.map_err(|_| FetchError::Closed)
    }

    /// Calls the cache, and lets the status tell how it stands then.
    async fn ask<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut engine::Cache<'_>) -> R + Send + 'static,
    ) -> Result<R, FetchError> {
        self.run(move |state, now| {
            let mut cache = state.engine.cache(now);
            let value = call(&mut cache);
            if let Ok(stats) = cache.stats() {
                // There for whoever looks. Nobody is woken for it: it changes with every call.
                state.status.send_if_modified(|status| {
                    status.cache = stats;
                    false
                });
            }
            value
        })
        .await
    }

    /// The same; those who watch hear of it if `changed` says so.
    async fn ask_and_tell<R: Send + 'static>(
        &self,
        which: Selection,
        call: impl FnOnce(&mut engine::Cache<'_>) -> R + Send + 'static,
        changed: fn(&R) -> bool,
    ) -> Result<R, FetchError> {
        let value = self.ask(call).await?;
        if changed(&value) {
            self.run(|state, _| {
                // Where nobody watches there is nobody to tell.
                let _ = state.cache_changes.send(which);
            })
            .await?;
        }
        Ok(value)
    }

    async fn fetch_body(
        &self,
        key: &str,
        options: FetchOptions,
        fetch: impl Future<Output = Result<Body, Box<dyn Error + Send + Sync>>> + Send + 'static,
    ) -> Result<Answer<Body>, FetchError> {
        let name = key.to_owned();
        let Begun { plan, cached, policy, ticket, problem } =
            self.ask(move |cache| cache.begin(&name, &options)).await??;
        if let (Plan::Serve, Some(cached)) = (plan, &cached) {
            return Ok(by_cache(cached.clone(), None));
        }
        let mut flight = self.fly(key, options, ticket, fetch);
        if let Some(cached) = cached {
            let update = Some(Update { key: key.to_owned(), landed: flight });
            return Ok(Answer { update, ..by_cache(cached, None) });
        }
        let waits = policy.timeout_ms.filter(|_| problem.is_none() && cache::falls_back(policy.strategy));
        let mut asked = problem.is_some();
        let first = match waits.map(Duration::from_millis) {
            None => landed(key, &mut flight).await,
            Some(wait) => match tokio::time::timeout(wait, landed(key, &mut flight)).await {
                Ok(landed) => landed,
                Err(_) => {
                    // The next caller need not wait for one that hangs.
                    self.flights().retain(|name, other| name != key || !other.same_channel(&flight));
                    let error = CacheError::TimedOut { ms: wait.as_millis() as u64 };
                    if let Some(cached) = self.fall_back(key, options).await {
                        return Ok(by_cache(cached, Some(error.into())));
                    }
                    asked = true;
                    landed(key, &mut flight).await
                }
            },
        };
        match first {
            Ok(Landed { body, problem: not_kept }) => {
                let error = not_kept.or_else(|| problem.map(|error| CacheError::from(error).into()));
                let age = Some(Duration::ZERO);
                Ok(Answer { value: body, source: Source::Network, age, stale: false, error, update: None })
            }
            Err(error) if asked => Err(error),
            Err(error) => match self.fall_back(key, options).await {
                Some(cached) => Ok(by_cache(cached, Some(error))),
                None => Err(error),
            },
        }
    }

    /// What the cache has for a call that the network does not answer. A cache that cannot be read has nothing.
    async fn fall_back(&self, key: &str, options: FetchOptions) -> Option<Cached> {
        let key = key.to_owned();
        self.ask(move |cache| cache.fallback(&key, &options)).await.ok()?.ok()?
    }

    /// The fetch of this key that is under way, or a new one.
    fn fly(
        &self,
        key: &str,
        options: FetchOptions,
        ticket: Ticket,
        fetch: impl Future<Output = Result<Body, Box<dyn Error + Send + Sync>>> + Send + 'static,
    ) -> Flight {
        let mut flights = self.flights();
        // One that ended without a word (its function panicked) is none.
        if let Some(flight) =
            flights.get(key).filter(|flight| flight.borrow().is_none() && flight.has_changed().is_ok())
        {
            return flight.clone();
        }
        let (sender, flight) = watch::channel(None);
        flights.insert(key.to_owned(), flight.clone());
        drop(flights);
        let cache = Self { _last: None, ..self.clone() };
        let (key, own) = (key.to_owned(), flight.clone());
        tokio::spawn(async move {
            let landed = cache.carry_out(&key, options, ticket, fetch).await;
            cache.flights().retain(|name, other| *name != key || !other.same_channel(&own));
            drop(own);
            sender.send_replace(Some(landed));
        });
        flight
    }

    async fn carry_out(
        &self,
        key: &str,
        options: FetchOptions,
        ticket: Ticket,
        fetch: impl Future<Output = Result<Body, Box<dyn Error + Send + Sync>>> + Send,
    ) -> Result<Landed, FetchError> {
        let body = fetch.await.map_err(|cause| FetchError::NotFetched { key: key.to_owned(), cause: cause.into() })?;
        let (name, content) = (key.to_owned(), body.clone());
        let call = move |cache: &mut engine::Cache<'_>| cache.store(&name, &content, &options, ticket);
        let stored = self.ask_and_tell(Selection::Key(key.to_owned()), call, |stored| matches!(stored, Ok(true))).await;
        let problem = match stored.and_then(|stored| stored.map_err(FetchError::from)) {
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(key, %error, "a fetched answer could not be kept");
                Some(error)
            }
        };
        Ok(Landed { body, problem })
    }
}

/// Hears of one entry.
pub struct CacheWatch {
    key: String,
    changes: broadcast::Receiver<Selection>,
    cache: Cache,
}

impl CacheWatch {
    /// Waits until the entry is stored or removed; gives what there is then.
    ///
    /// # Errors
    /// When the client is closed, or the entry cannot be read.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Entry<T>>, FetchError> {
        loop {
            match self.changes.recv().await {
                Ok(which) if !which.holds(&self.key) => {}
                // Whoever fell behind looks at how it is now.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return self.cache.peek(&self.key).await,
                Err(broadcast::error::RecvError::Closed) => return Err(FetchError::Closed),
            }
        }
    }
}

/// The app's function panicked.
#[derive(Debug, thiserror::Error)]
#[error("the function that fetches ended early")]
struct EndedEarly;

async fn landed(key: &str, flight: &mut Flight) -> Result<Landed, FetchError> {
    match flight.wait_for(Option::is_some).await.map(|landed| landed.clone()) {
        Ok(Some(landed)) => landed,
        _ => Err(FetchError::NotFetched { key: key.to_owned(), cause: Arc::new(EndedEarly) }),
    }
}

fn by_cache(
    Cached { body, freshness: Freshness { age_ms, stale }, .. }: Cached,
    error: Option<FetchError>,
) -> Answer<Body> {
    let age = age_ms.map(Duration::from_millis);
    Answer { value: body, source: Source::Cache, age, stale, error, update: None }
}

fn unreadable(key: &str, cause: impl ToString) -> FetchError {
    CacheError::Unreadable { key: key.to_owned(), cause: cause.to_string() }.into()
}

fn read<T: DeserializeOwned>(key: &str, body: &Body) -> Result<T, FetchError> {
    match body {
        Body::Json(text) => serde_json::from_str(text).map_err(|error| unreadable(key, error)),
        Body::Bytes(_) => Err(unreadable(key, "it is bytes")),
    }
}

fn bytes(key: &str, body: Body) -> Result<Vec<u8>, FetchError> {
    match body {
        Body::Bytes(bytes) => Ok(bytes),
        Body::Json(_) => Err(unreadable(key, "it is JSON")),
    }
}

#[cfg(test)]
mod tests;
