//! Chunks over HTTP: entity tags, ranges for resumption, caching for as long as the address is valid.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use landfall_core::Code;
use landfall_protocol::{Address, codes};

use super::door::payer;
use super::shared::Shared;
use super::wants_json;
use crate::auth::ANONYMOUS;
use crate::core::chunks::PREFIX;
use crate::core::{AddressError, ChunkError, Refused, StoredChunk};

/// The media type of a chunk's binary form.
const BINARY: &str = "application/vnd.landfall.chunk";

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    token: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let Ok(Path(token)) = token else {
        return refusal(&shared, StatusCode::NOT_FOUND, codes::BAD_ADDRESS, &AddressError::Forged.to_string());
    };
    // The address says nothing of a person, so that what it names can be kept for many.
    let payer = payer(ANONYMOUS, from.ip());
    let pass = match shared.door.chunk(&payer) {
        Ok(pass) => pass,
        Err(refused) => return busy(&shared, &refused),
    };
    let now_ms = shared.now().wall_ms;
    let chunks = Arc::clone(&shared.chunks);
    let address = match query {
        Some(query) => format!("{PREFIX}{token}?{query}"),
        None => format!("{PREFIX}{token}"),
    };
    let found = shared.with_reader_for(pass, move |reader| chunks.get(&address, reader, now_ms)).await;
    if let Some(next) = found.as_ref().and_then(|f| f.as_ref().ok()?.next.clone()) {
        read_ahead(&shared, next, now_ms);
    }
    let answer = match found {
        Some(Ok(chunk)) if wants_json(&headers) => json(&chunk),
        Some(Ok(chunk)) => Ok(binary(&chunk, &headers, now_ms)),
        Some(Err(problem)) => Err(problem),
        None => {
            return refusal(&shared, StatusCode::SERVICE_UNAVAILABLE, codes::GOING_AWAY, "the server is shutting down");
        }
    };
    answer.unwrap_or_else(|problem| match &problem {
        ChunkError::Address(AddressError::Forged) => {
            refusal(&shared, StatusCode::NOT_FOUND, codes::BAD_ADDRESS, &problem.to_string())
        }
        ChunkError::Address(AddressError::Expired) => {
            refusal(&shared, StatusCode::GONE, codes::BAD_ADDRESS, &problem.to_string())
        }
        ChunkError::Store(cause) => {
            tracing::error!(code = %cause.code(), "reading a chunk failed: {cause}");
            let text = "the server's store failed; try again later";
            refusal(&shared, StatusCode::SERVICE_UNAVAILABLE, codes::SERVER_FAULT, text)
        }
    })
}

/// Reads the chunk that will be asked for next, while this one travels, if a reader is free for it.
fn read_ahead(shared: &Arc<Shared>, address: Address, now_ms: u64) {
    let chunks = Arc::clone(&shared.chunks);
    if !chunks.is_at_hand(&address) {
        // What goes wrong here goes wrong again when somebody asks, and is told then.
        shared.with_free_reader(move |reader| drop(chunks.get(&address, reader, now_ms)));
    }
}

fn respond(status: StatusCode, headers: &[(HeaderName, String)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    // All names and values are made here, from plain ASCII.
    response.body(body.into()).unwrap_or_default()
}

fn refusal(shared: &Shared, status: StatusCode, code: Code, message: &str) -> Response<Body> {
    shared.metrics.error(&code);
    let body = serde_json::json!({"code": code, "message": message}).to_string();
    let headers = [(header::CONTENT_TYPE, "application/json".into()), (header::CACHE_CONTROL, "no-store".into())];
    respond(status, &headers, body)
}

/// Too many ask at once.
fn busy(shared: &Shared, refused: &Refused) -> Response<Body> {
    let said = refused.refusal();
    let mut response = refusal(shared, StatusCode::SERVICE_UNAVAILABLE, said.code, &said.message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(refused.retry_after_s()));
    response
}

fn json(chunk: &StoredChunk) -> Result<Response<Body>, ChunkError> {
    // Plain data with string keys: serialisation cannot fail.
    let body = serde_json::to_string(&chunk.chunk()?).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::VARY, "accept".to_owned()),
    ];
    Ok(respond(StatusCode::OK, &headers, body))
}

fn binary(chunk: &StoredChunk, asked: &HeaderMap, now_ms: u64) -> Response<Body> {
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let seconds = chunk.expires_ms.saturating_sub(now_ms) / 1000;
    let mut headers = vec![
        (header::CONTENT_TYPE, BINARY.to_owned()),
        (header::ETAG, chunk.etag.clone()),
        (header::CACHE_CONTROL, format!("private, max-age={seconds}, immutable")),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::VARY, "accept".to_owned()),
    ];
    let matches = |list: &str| list.split(',').any(|one| one.trim() == "*" || one.trim() == chunk.etag);
    if text(header::IF_NONE_MATCH).is_some_and(matches) {
        return respond(StatusCode::NOT_MODIFIED, &headers, Body::empty());
    }
    // A range of other content than the device has begun with would be garbage: then the whole is sent.
    let unchanged = text(header::IF_RANGE).is_none_or(|tag| tag == chunk.etag);
    let length = chunk.body.len();
    match text(header::RANGE).filter(|_| unchanged).map(|range| Range::parse(range, length)) {
        None | Some(Range::Ignored) => respond(StatusCode::OK, &headers, chunk.body.clone()),
        Some(Range::Unsatisfiable) => {
            headers.push((header::CONTENT_RANGE, format!("bytes */{length}")));
            respond(StatusCode::RANGE_NOT_SATISFIABLE, &headers, Body::empty())
        }
        Some(Range::Part { first, last }) => {
            headers.push((header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}")));
            let part: Bytes = chunk.body.slice(first..=last);
            respond(StatusCode::PARTIAL_CONTENT, &headers, part)
        }
    }
}

/// A `Range` header as far as it is supported: one range of bytes. Anything else is answered with the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Ignored,
    Unsatisfiable,
    Part { first: usize, last: usize },
}

impl Range {
    fn parse(text: &str, length: usize) -> Self {
        let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Self::Ignored;
        };
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if last < first => Self::Ignored,
            (Ok(first), _) if first >= length => Self::Unsatisfiable,
            (Ok(first), Ok(last)) => Self::Part { first, last: last.min(length - 1) },
            (Ok(first), Err(_)) if last.is_empty() => Self::Part { first, last: length - 1 },
            (Err(_), Ok(count)) if first.is_empty() && count > 0 && length > 0 => {
                Self::Part { first: length.saturating_sub(count), last: length - 1 }
            }
            _ => Self::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn one_range_is_served_and_nonsense_gives_the_whole() {
        assert_eq!(Range::parse("bytes=0-3", 10), Range::Part { first: 0, last: 3 });
        assert_eq!(Range::parse("bytes=4-", 10), Range::Part { first: 4, last: 9 });
        assert_eq!(Range::parse("bytes=4-99", 10), Range::Part { first: 4, last: 9 });
        assert_eq!(Range::parse("bytes=-3", 10), Range::Part { first: 7, last: 9 });
        assert_eq!(Range::parse("bytes=10-", 10), Range::Unsatisfiable);
        for nonsense in ["bytes=3-1", "bytes=a-b", "bytes=0-1,3-4", "rows=0-1", "", "bytes=-", "bytes=-0"] {
            assert_eq!(Range::parse(nonsense, 10), Range::Ignored, "{nonsense}");
        }
    }
}
