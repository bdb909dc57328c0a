//! Pages of other origins: let in only where the configuration names them.
//!
//! A token is given inside the session, so that a foreign page can do nothing in a person's name that it has no token for.
//! But development mode believes names, and listens on the machine on which that person reads any page: a session from
//! a page must come from the server's own origin, or from one that was named. Programs send no `Origin`.

use axum::http::{HeaderMap, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Lets the named origins read chunks, and ask how the server is.
pub(super) fn layer(allowed: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::ACCEPT, header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH])
        .expose_headers([header::ETAG, header::CONTENT_RANGE, header::RETRY_AFTER])
}

/// Whether a request comes from no page, from a page of this very server, or from an origin that was named.
pub(super) fn admits(headers: &HeaderMap, allowed: &[HeaderValue]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    if allowed.contains(origin) {
        return true;
    }
    let host = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, host)| host);
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_own_pages_come_in_and_foreign_pages_only_when_named() {
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("sync.example:8787"));
            headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().unwrap())));
            headers
        };
        let named = [HeaderValue::from_static("https://app.example")];
        assert!(admits(&headers(None), &[]));
        assert!(admits(&headers(Some("https://sync.example:8787")), &[]));
        assert!(admits(&headers(Some("http://SYNC.example:8787")), &[]));
        assert!(!admits(&headers(Some("https://app.example")), &[]));
        assert!(admits(&headers(Some("https://app.example")), &named));
        for foreign in ["null", "https://evil.example", "https://sync.example", "https://app.example.evil"] {
            assert!(!admits(&headers(Some(foreign)), &named), "{foreign}");
        }
    }
}
