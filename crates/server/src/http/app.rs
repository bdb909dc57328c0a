//! An app's files, served on the address of the server: what a bundler wrote into one directory.
//!
//! Files under `assets/` carry a hash of their content in their names and are cached for good; everything else, the page
//! and the service worker above all, is asked for anew each time (and answered by 304 where nothing changed). A path that
//! names no file is the page itself, since apps route within the page; a *file* that is missing is missing, so that
//! no old page ever takes HTML for its script.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use tower::ServiceExt as _;
use tower_http::services::{ServeDir, ServeFile};

use super::NOT_HERE;

/// The folder of files whose names change with their content.
const HASHED: &str = "/assets/";
/// Whole years are usual; browsers take it as "for good".
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");

/// What the page needs to be isolated from other sites (exact timers, measuring its memory), and what every file can have.
const ISOLATION: [(HeaderName, HeaderValue); 4] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-embedder-policy"), HeaderValue::from_static("require-corp")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

#[derive(Clone)]
struct App {
    files: ServeDir,
    page: ServeFile,
}

/// The files of `directory`, for all paths that no other route has.
pub(super) fn router(directory: &Path) -> Router {
    let page: PathBuf = directory.join("index.html");
    let files = ServeDir::new(directory).precompressed_br().precompressed_gzip();
    let page = ServeFile::new(page).precompressed_br().precompressed_gzip();
    Router::new().fallback(answer).with_state(App { files, page })
}

async fn answer(State(app): State<App>, request: Request) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], NOT_HERE).into_response();
    }
    let path = request.uri().path().to_owned();
    // What is left of the server's own paths is a mistake of the caller, whom a page would puzzle.
    if path.starts_with("/v1/") {
        return (StatusCode::NOT_FOUND, NOT_HERE).into_response();
    }
    let names_a_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let answered = if names_a_file {
        app.files.oneshot(request).await.map(|response| response.map(Body::new))
    } else {
        app.page.oneshot(request).await.map(|response| response.map(Body::new))
    };
    let mut response = answered.unwrap_or_else(|never| match never {});
    let headers = response.headers_mut();
    headers.extend(ISOLATION);
    let good = response.status() != StatusCode::NOT_FOUND && path.starts_with(HASHED);
    response.headers_mut().insert(header::CACHE_CONTROL, if good { FOR_GOOD } else { ASK_EACH_TIME });
    response
}
