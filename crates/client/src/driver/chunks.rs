//! Fetching a chunk over HTTP, resuming where a broken transfer stopped.

use landfall_protocol::Chunk;
use landfall_protocol::codec::{CodecError, MAX_FRAME_BYTES, decode_binary};
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_RANGE, RANGE};

/// A broken transfer is resumed this often before the session backs off.
const RESUMPTIONS: usize = 3;

/// A chunk could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the chunk could not be fetched: {0}")]
    Transport(#[from] reqwest::Error),
    #[error("the chunk's address is no longer valid")]
    Gone,
    #[error("the server answered the chunk's address with status {0}")]
    Status(StatusCode),
    #[error("the chunk cannot be read: {0}")]
    Codec(#[from] CodecError),
}

impl FetchError {
    /// Whether asking again for the same address is of no use.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

/// What has arrived of a body so far, and the tag that says which body it is.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    tag: Option<String>,
}

pub(super) async fn fetch(client: reqwest::Client, url: String) -> Result<Chunk, FetchError> {
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
        status => return Err(FetchError::Status(status)),
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
