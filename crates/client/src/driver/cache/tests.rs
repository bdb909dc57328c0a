use std::task::Poll;

use landfall_core::Schema;
use tokio::sync::oneshot;

use super::*;
use crate::cache::{Strategy, codes};
use crate::driver::ClientOptions;

const SCHEMA: &str = r#"
[app]
name = "bank"

[tables.notes.columns]
id = "uuid"

[cache]
max_bytes = "64KiB"

[cache.policies.balance]
strategy = "cache_first"
max_age  = "1h"
"#;

async fn client() -> Result<(tempfile::TempDir, Client), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let schema = Schema::parse("landfall.toml", SCHEMA)?;
    let client = Client::open(ClientOptions::new(dir.path().join("app.db"), schema)).await?;
    Ok((dir, client))
}

async fn offline() -> Result<u64, &'static str> {
    Err("no network")
}

#[tokio::test]
async fn an_answer_says_who_gave_it_and_how_old_it_is() -> Result<(), Box<dyn Error>> {
    let (_dir, client) = client().await?;
    let cache = client.cache();
    let first = cache.fetch("balance:42", FetchOptions::default(), || async { Ok::<_, String>(7u64) }).await?;
    assert_eq!((first.value, first.source, first.age, first.stale), (7, Source::Network, Some(Duration::ZERO), false));
    let second = cache.fetch("balance:42", FetchOptions::default(), offline).await?;
    assert_eq!((second.value, second.source, second.stale, second.error.is_none()), (7, Source::Cache, false, true));
    // The network is asked first, fails, and the cache says why it answers.
    let third = cache.fetch("balance:42", Strategy::NetworkFirst, offline).await?;
    assert_eq!((third.value, third.source), (7, Source::Cache));
    assert_eq!(third.error.map(|error| error.code()), Some(codes::NOT_FETCHED));
    let stats = client.status().borrow().cache;
    assert_eq!((stats.since_open.hits, stats.since_open.misses, stats.entries), (2, 1, 1));
    assert_eq!(stats, cache.stats().await?);
    Ok(())
}

#[tokio::test]
async fn what_nobody_answers_is_an_error_with_its_cause() -> Result<(), Box<dyn Error>> {
    let (_dir, client) = client().await?;
    let cache = client.cache();
    let error = cache.fetch("page:1", Strategy::NetworkFirst, offline).await.expect_err("nobody answers");
    assert_eq!(error.code(), codes::NOT_FETCHED);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no network"));
    let error = cache.fetch("page:1", Strategy::CacheOnly, offline).await.expect_err("nothing is kept");
    assert_eq!(error.code(), codes::MISSING);
    let error = cache.fetch("", Strategy::CacheOnly, offline).await.expect_err("no key");
    assert_eq!(error.code(), codes::BAD_CALL);
    // A function that panics takes nobody with it.
    let panicking = || async { if true { panic!("by the test") } else { Ok::<u64, String>(1) } };
    let error = cache.fetch("page:1", Strategy::NetworkOnly, panicking).await.expect_err("it panicked");
    assert_eq!(error.code(), codes::NOT_FETCHED);
    assert_eq!(cache.fetch("page:1", Strategy::NetworkOnly, || async { Ok::<_, String>(1u64) }).await?.value, 1);
    Ok(())
}

#[tokio::test]
async fn several_calls_at_once_share_one_fetch() -> Result<(), Box<dyn Error>> {
    let (_dir, client) = client().await?;
    let cache = client.cache();
    let (go, gone) = oneshot::channel::<u64>();
    let first = client.cache();
    let (enter, entered) = oneshot::channel();
    let slow = move || async move {
        enter.send(()).map_err(|()| "the test is over".to_owned())?;
        gone.await.map_err(|error| error.to_string())
    };
    let first = tokio::spawn(async move { first.fetch("page:1", Strategy::NetworkFirst, slow).await });
    entered.await?;
    let another = || async { Err::<u64, _>("a second fetch") };
    let mut second = Box::pin(cache.fetch("page:1", Strategy::NetworkFirst, another));
    // The engine answers in order: what the second asked is answered once the question after it is.
    let stats = tokio::select! {
        biased;
        _ = &mut second => return Err("nobody has answered yet".into()),
        stats = cache.stats() => stats?,
    };
    assert_eq!(stats.since_open.network, 2);
    let waits = std::future::poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_pending())).await;
    assert!(waits);
    go.send(5).map_err(|_| "nobody fetches")?;
    assert_eq!((first.await??.value, second.await?.value), (5, 5));
    Ok(())
}

#[tokio::test]
async fn a_late_answer_is_stored_and_a_stale_one_is_followed_by_a_fresh_one() -> Result<(), Box<dyn Error>> {
    let (_dir, client) = client().await?;
    let cache = client.cache();
    let stale = FetchOptions { max_age_ms: Some(Some(0)), ..FetchOptions::default() };
    cache.put("page:1", &1u64, stale).await?;
    let mut watch = cache.watch("page:1").await?;
    let (go, gone) = oneshot::channel::<u64>();
    let hurried = FetchOptions { timeout_ms: Some(1), max_age_ms: stale.max_age_ms, ..Strategy::NetworkFirst.into() };
    let late = move || async move { gone.await.map_err(|error| error.to_string()) };
    let answer = cache.fetch("page:1", hurried, late).await?;
    assert_eq!((answer.value, answer.source, answer.stale), (1, Source::Cache, true));
    assert_eq!(answer.error.map(|error| error.code()), Some(codes::TIMED_OUT));
    go.send(2).map_err(|_| "nobody fetches")?;
    let entry = watch.next::<u64>().await?.ok_or("no entry")?;
    assert_eq!(entry.value, 2);
    let revalidate = FetchOptions { strategy: Some(Strategy::StaleWhileRevalidate), ..stale };
    let answer = cache.fetch("page:1", revalidate, || async { Ok::<_, String>(3u64) }).await?;
    assert_eq!((answer.value, answer.stale), (2, true));
    assert_eq!(answer.update.ok_or("no update")?.json::<u64>().await?, 3);
    assert_eq!(watch.next::<u64>().await?.map(|entry| entry.value), Some(3));
    assert_eq!(cache.invalidate(Selection::Prefix("page:".into())).await?, 1);
    assert_eq!(watch.next::<u64>().await?, None);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_kept_is_answered_all_the_same() -> Result<(), Box<dyn Error>> {
    let (_dir, client) = client().await?;
    let cache = client.cache();
    let large = || async { Ok::<_, String>(vec![7u8; 70_000]) };
    let answer = cache.fetch_bytes("page:1", Strategy::CacheFirst, large).await?;
    assert_eq!((answer.value.len(), answer.source), (70_000, Source::Network));
    assert_eq!(answer.error.map(|error| error.code()), Some(codes::TOO_LARGE));
    assert_eq!(cache.stats().await?.since_open.not_stored, 1);
    let error = cache.fetch::<u64, _, _>("page:2", Strategy::CacheFirst, || async { Ok::<_, String>(1) }).await?;
    assert!(error.error.is_none());
    let error = cache.fetch_bytes("page:2", Strategy::CacheOnly, || async { Err("unused") }).await;
    assert_eq!(error.err().map(|error| error.code()), Some(codes::UNREADABLE));
    Ok(())
}

#[tokio::test]
async fn what_was_counted_outlives_the_client_and_a_closed_one_says_so() -> Result<(), Box<dyn Error>> {
    let (dir, client) = client().await?;
    let cache = client.cache();
    cache.put("balance:1", &1u64, FetchOptions::default()).await?;
    cache.fetch("balance:1", FetchOptions::default(), offline).await?;
    let mut watch = cache.watch("balance:1").await?;
    client.close().await;
    assert_eq!(cache.stats().await.err().map(|error| error.code().to_string()).as_deref(), Some("LF-5901"));
    assert!(matches!(watch.next::<u64>().await, Err(FetchError::Closed)));
    let schema = Schema::parse("landfall.toml", SCHEMA)?;
    let client = Client::open(ClientOptions::new(dir.path().join("app.db"), schema)).await?;
    let stats = client.cache().stats().await?;
    assert_eq!((stats.lifetime.hits, stats.since_open.hits, stats.entries), (1, 0, 1));
    Ok(())
}
