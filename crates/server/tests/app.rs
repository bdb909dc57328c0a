//! An app served on the server's own address, and pages of other addresses, as a browser meets both.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use common::Running;
use landfall_server::http::Options;
use reqwest::header::HeaderMap;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

async fn with_app() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    std::fs::create_dir_all(app.join("assets")).unwrap();
    for (name, text) in [
        ("index.html", "<title>page</title>"),
        ("sw.js", "worker"),
        ("assets/app-1a2b.js", "script"),
        ("assets/app-1a2b.js.br", "packed"),
        ("assets/engine-3c4d.wasm", "module"),
    ] {
        std::fs::write(app.join(name), text).unwrap();
    }
    std::fs::write(dir.path().join("secret.txt"), "not the app's").unwrap();
    Running::start_as(dir, |_| {}, Options { app: Some(app), ..Options::default() }).await
}

async fn get(server: &Running, path: &str) -> (u16, HeaderMap, String) {
    let answer = reqwest::get(server.url(path)).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.text().await.unwrap())
}

#[tokio::test]
async fn an_app_is_served_so_that_browsers_cache_what_never_changes_and_nothing_else() {
    let server = with_app().await;
    for path in ["/", "/index.html", "/notes/17"] {
        let (status, headers, text) = get(&server, path).await;
        assert_eq!((status, text.as_str()), (200, "<title>page</title>"), "{path}");
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}: {headers:?}");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(headers["cross-origin-embedder-policy"], "require-corp");
    }
    assert_eq!(get(&server, "/sw.js").await.1["cache-control"], "no-cache");
    let (status, headers, _) = get(&server, "/assets/engine-3c4d.wasm").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/wasm"));
    assert!(headers["cache-control"].to_str().unwrap().contains("immutable"));
}

#[tokio::test]
async fn what_was_packed_before_is_sent_packed_to_those_who_ask() {
    let server = with_app().await;
    let url = server.url("/assets/app-1a2b.js");
    let packed = reqwest::Client::new().get(url).header("accept-encoding", "br").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "br");
    assert_eq!(packed.text().await.unwrap(), "packed");
    let (_, headers, text) = get(&server, "/assets/app-1a2b.js").await;
    assert_eq!((headers.get("content-encoding"), text.as_str()), (None, "script"));
}

#[tokio::test]
async fn a_missing_file_is_missing_and_nothing_outside_the_directory_is_reached() {
    let server = with_app().await;
    for path in ["/assets/app-0000.js", "/v1/nothing", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt"] {
        let (status, headers, text) = get(&server, path).await;
        assert_eq!((status, text.contains("page")), (404, false), "{path}");
        assert!(!headers.get("cache-control").is_some_and(|v| v.to_str().unwrap().contains("immutable")), "{path}");
    }
    assert!(get(&server, "/health").await.2.contains("\"sign_in\":\"name\""), "the server's own paths stay");
    let posted = reqwest::Client::new().post(server.url("/")).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_when_named() {
    let named = Options { origins: vec!["https://app.example".parse().unwrap()], ..Options::default() };
    let server = Running::start_as(tempfile::tempdir().unwrap(), |_| {}, named).await;
    let own = format!("http://{}", server.address);
    for (origin, admitted) in [("https://app.example", true), (&*own, true), ("https://evil.example", false)] {
        let mut request = format!("ws://{}/v1/sync", server.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match tokio_tungstenite::connect_async(request).await {
            Ok(_) => assert!(admitted, "{origin}"),
            Err(Error::Http(refusal)) => {
                let text = String::from_utf8(refusal.body().clone().unwrap_or_default()).unwrap();
                assert!(!admitted && refusal.status() == 403 && text.contains("LF-6105"), "{origin}: {text}");
            }
            Err(problem) => panic!("{origin}: {problem}"),
        }
        let asked = reqwest::Client::new().get(server.url("/health")).header("origin", origin).send().await.unwrap();
        let allowed = asked.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some_and(|value| value == origin), origin == "https://app.example", "{origin}");
    }
}
