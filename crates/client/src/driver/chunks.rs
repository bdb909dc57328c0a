//! Fetching chunks over HTTP, resuming where a broken transfer stopped, and one chunk ahead: while the engine stores
//! one, the next is on its way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_protocol::codec::{CodecError, MAX_FRAME_BYTES, decode_binary};
use landfall_protocol::{Address, Chunk};
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_RANGE, RANGE, RETRY_AFTER};
use tokio::task::JoinHandle;

/// Chunks fetched ahead that wait to be asked for: one for each load under way. One that nobody asks for any more gives
/// way to the next.
const AHEAD: usize = 4;
/// A broken transfer is resumed this often before the session backs off.
const RESUMPTIONS: usize = 3;

/// A chunk could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the chunk could not be fetched: {0}")]
    Transport(#[from] reqwest::Error),
    #[error("the chunk's address is no longer valid")]
    Gone,
    #[error("the server answered the chunk's address with status {status}")]
    Status { status: StatusCode, retry_after_ms: Option<u64> },
    #[error("the chunk cannot be read: {0}")]
    Codec(#[from] CodecError),
}

impl FetchError {
    /// Whether asking again for the same address is of no use.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }

    /// How long the server says to wait.
    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        if let Self::Status { retry_after_ms, .. } = self { *retry_after_ms } else { None }
    }
}

type Fetched = Result<Chunk, FetchError>;
type Ahead = VecDeque<(Address, JoinHandle<Fetched>)>;

/// Fetches chunks, and after each the one that follows it. Clones share what was fetched ahead.
#[derive(Clone)]
pub(super) struct Loader {
    client: reqwest::Client,
    base: Arc<str>,
    ahead: Arc<Mutex<Ahead>>,
}

impl Loader {
    /// Addresses continue `base`.
    pub(super) fn new(client: reqwest::Client, base: &str) -> Self {
        Self { client, base: base.into(), ahead: Arc::default() }
    }

    /// The chunk of an address; begins to fetch its successor before it gives it.
    pub(super) async fn load(self, address: Address) -> Fetched {
        let chunk = match self.take(&address) {
            // A task that was cancelled is like one that never began.
            Some(fetched) => match fetched.await {
                Ok(fetched) => fetched?,
                Err(_) => self.fetch(&address).await?,
            },
            None => self.fetch(&address).await?,
        };
        if let Some(next) = &chunk.next {
            self.fetch_ahead(next.clone());
        }
        Ok(chunk)
    }

    fn fetch(&self, address: &str) -> impl Future<Output = Fetched> + use<> {
        fetch(self.client.clone(), format!("{}{address}", self.base))
    }

    fn waiting(&self) -> MutexGuard<'_, Ahead> {
        // Nothing panics while it holds the lock.
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, address: &str) -> Option<JoinHandle<Fetched>> {
        let mut waiting = self.waiting();
        let at = waiting.iter().position(|(known, _)| known == address)?;
        waiting.remove(at).map(|(_, fetched)| fetched)
    }

    fn fetch_ahead(&self, address: Address) {
        let fetched = tokio::spawn(self.fetch(&address));
        let mut waiting = self.waiting();
        waiting.push_back((address, fetched));
        if waiting.len() > AHEAD
            && let Some((_, forgotten)) = waiting.pop_front()
        {
            forgotten.abort();
        }
    }

    /// Fetches nothing more.
    pub(super) fn stop(&self) {
        self.waiting().drain(..).for_each(|(_, fetched)| fetched.abort());
    }
}

/// What has arrived of a body so far, and the tag that says which body it is.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    tag: Option<String>,
}

async fn fetch(client: reqwest::Client, url: String) -> Fetched {
    let mut partial = Partial::default();
    for _ in 0..RESUMPTIONS {
        match transfer(&client, &url, &mut partial).await {
            Ok(()) => return Ok(decode_binary(&partial.bytes)?),
            Err(FetchError::Transport(error)) if !partial.bytes.is_empty() && !error.is_builder() => continue,
            Err(error) => return Err(error),
        }
    }
    transfer(&client, &url, &mut partial).await?;
    Ok(decode_binary(&partial.bytes)?)
}

async fn transfer(client: &reqwest::Client, url: &str, partial: &mut Partial) -> Result<(), FetchError> {
    let mut request = client.get(url);
    if let Some(tag) = partial.tag.as_ref().filter(|_| !partial.bytes.is_empty()) {
        request = request.header(RANGE, format!("bytes={}-", partial.bytes.len())).header(IF_RANGE, tag);
    }
    let mut answer = request.send().await?;
    match answer.status() {
        StatusCode::OK => partial.bytes.clear(),
        StatusCode::PARTIAL_CONTENT => {}
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Err(FetchError::Gone),
        status => {
            // The form in seconds alone: nobody answers a chunk's address with a date.
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
            return Err(FetchError::Status { status, retry_after_ms });
        }
    }
    partial.tag = answer.headers().get(ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
    while let Some(piece) = answer.chunk().await? {
        if partial.bytes.len() + piece.len() > MAX_FRAME_BYTES {
            return Err(CodecError::TooLarge.into());
        }
        partial.bytes.extend_from_slice(&piece);
    }
    Ok(())
}
