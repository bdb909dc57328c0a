//! Fetched answers: what is kept, what goes when there is no room, what an invalidation stops, and what is counted.

use std::collections::BTreeMap;

use landfall_core::schema::Caching;
use landfall_core::schema::caching::NamedPolicy;
use proptest::prelude::*;

use super::*;
use crate::cache::{Body, CacheError, FetchOptions, Plan, Policy, Strategy as When, codes};
use crate::db::{Selection, Ticket};

const LIMIT: u64 = 2_000;

fn cached(location: &Location) -> Database {
    let named = NamedPolicy {
        name: "balance".into(),
        policy: Policy { strategy: When::CacheFirst, max_age_ms: Some(60_000), timeout_ms: Some(3_000), priority: 80 },
    };
    let schema = Schema { cache: Caching { max_bytes: LIMIT, policies: vec![named] }, ..schema() };
    let options = Options { durability: crate::db::Durability::Normal, ..Options::default() };
    Database::open(location, schema, options, NOW, replica(1)).expect("opens")
}

fn json(text: &str) -> Body {
    Body::Json(text.into())
}

fn kept_for(max_age_ms: Option<u64>, priority: u8) -> FetchOptions {
    FetchOptions { max_age_ms: Some(max_age_ms), priority: Some(priority), ..When::CacheFirst.into() }
}

fn put(db: &mut Database, key: &str, body: &Body, options: &FetchOptions, now: u64) -> Result<bool, CacheError> {
    let ticket = db.cache_ticket(now);
    db.cache_store(key, body, options, ticket, now)
}

fn keys(db: &Database) -> Vec<String> {
    let found = if db
        .query("SELECT 1 FROM sqlite_schema WHERE name = '_landfall_cache'", &[])
        .expect("a query")
        .rows
        .is_empty()
    {
        Vec::new()
    } else {
        rows(db, "SELECT key FROM _landfall_cache ORDER BY key")
    };
    found.into_iter().map(|row| if let Value::Text(key) = &row[0] { key.clone() } else { String::new() }).collect()
}

#[test]
fn an_answer_is_kept_under_the_policy_of_its_key_and_says_how_old_it_is() {
    let mut db = cached(&Location::Memory);
    let options = FetchOptions::default();
    let begun = db.cache_begin("balance:42", &options, NOW).expect("begins");
    assert_eq!((begun.plan, begun.cached, begun.policy.timeout_ms), (Plan::Fetch, None, Some(3_000)));
    // The table is made with the first entry.
    assert!(keys(&db).is_empty());
    assert!(db.cache_store("balance:42", &json("12.5"), &options, begun.ticket, NOW + 400).expect("stores"));
    let begun = db.cache_begin("balance:42", &options, NOW + 59_999).expect("begins");
    let found = begun.cached.expect("an entry");
    // Its age counts from when it was asked for: it was true then, and perhaps no longer when it came.
    assert_eq!(
        (begun.plan, found.body, found.freshness.age_ms, found.freshness.stale),
        (Plan::Serve, json("12.5"), Some(59_999), false)
    );
    assert_eq!(db.cache_begin("balance:42", &options, NOW + 60_000).expect("begins").plan, Plan::Fetch);
    let found = db.cache_fallback("balance:42", &options, NOW + 60_000).expect("reads").expect("an entry");
    assert_eq!((found.freshness.age_ms, found.freshness.stale), (Some(60_000), true));
    let stats = db.cache_stats().expect("stats");
    let counts = stats.since_open;
    assert_eq!((counts.hits, counts.stale, counts.misses, counts.network, counts.stored), (1, 1, 1, 0, 1));
    assert_eq!((stats.entries, stats.bytes, stats.max_bytes), (1, 10 + 4 + 64, LIMIT));
}

#[test]
fn bytes_and_json_come_back_as_they_were() {
    let mut db = cached(&Location::Memory);
    for body in
        [json(r#"{"b":1,"a":[null,"\u0000"]}"#), Body::Bytes(vec![0, 255, 7]), Body::Bytes(Vec::new()), json("\"\"")]
    {
        put(&mut db, "k", &body, &FetchOptions::default(), NOW).expect("stores");
        assert_eq!(db.cache_peek("k", NOW).expect("reads").expect("an entry").body, body);
    }
}

#[test]
fn a_clock_that_is_set_back_makes_entries_stale_and_their_age_unknown() {
    let mut db = cached(&Location::Memory);
    put(&mut db, "balance", &json("1"), &FetchOptions::default(), NOW).expect("stores");
    let earlier = NOW - 86_400_000;
    let options = FetchOptions::from(When::StaleWhileRevalidate);
    let begun = db.cache_begin("balance", &options, earlier).expect("begins");
    let found = begun.cached.expect("an entry");
    assert_eq!((begun.plan, found.freshness.age_ms, found.freshness.stale), (Plan::ServeAndFetch, None, true));
    // What is fetched now replaces what is ahead of the clock.
    assert!(db.cache_store("balance", &json("2"), &options, begun.ticket, earlier).expect("stores"));
    assert_eq!(db.cache_peek("balance", earlier).expect("reads").expect("an entry").body, json("2"));
}

#[test]
fn the_cache_alone_answers_or_says_that_it_cannot() {
    let mut db = cached(&Location::Memory);
    let only = FetchOptions::from(When::CacheOnly);
    let code = db.cache_begin("page:1", &only, NOW).err().map(|error| error.code());
    assert_eq!(code, Some(codes::MISSING));
    put(&mut db, "page:1", &json("1"), &only, NOW).expect("stores");
    let begun = db.cache_begin("page:1", &only, NOW + 86_400_000).expect("begins");
    assert!(begun.plan == Plan::Serve && begun.cached.is_some_and(|found| found.freshness.stale));
    assert_eq!(db.cache_stats().expect("stats").since_open.misses, 1);
}

#[test]
fn what_has_expired_goes_first_then_what_matters_least_then_what_was_used_longest_ago() {
    let mut db = cached(&Location::Memory);
    // Each counts 400 bytes: five of them are the limit.
    let body = Body::Bytes(vec![0; 335]);
    let hour = Some(3_600_000);
    for (n, (key, max_age, priority)) in
        [("a", None, 90), ("b", hour, 20), ("c", Some(1_000), 100), ("d", hour, 20), ("e", None, 20)]
            .into_iter()
            .enumerate()
    {
        assert!(put(&mut db, key, &body, &kept_for(max_age, priority), NOW + n as u64).expect("stores"));
    }
    assert_eq!(db.cache_stats().expect("stats").bytes, LIMIT);
    let later = NOW + 10_000;
    db.cache_begin("b", &kept_for(hour, 20), later).expect("begins");
    let mut gone = Vec::new();
    let mut before = keys(&db);
    for (n, key) in ["v", "w", "x", "y", "z"].into_iter().enumerate() {
        assert!(put(&mut db, key, &body, &kept_for(hour, 95), later + n as u64).expect("stores"));
        let after = keys(&db);
        gone.extend(before.into_iter().filter(|key| !after.contains(key)));
        before = after;
    }
    // "e" never expires, which counts within its priority; "b" was used after "d" was stored.
    assert_eq!(gone, ["c", "d", "b", "e", "a"]);
    assert_eq!(db.cache_stats().expect("stats").since_open.evicted, 5);
    // What matters more stays, and the fetch that brought the other one is answered all the same.
    assert!(!put(&mut db, "less", &body, &kept_for(hour, 94), later + 9).expect("is no error"));
    assert_eq!(db.cache_stats().expect("stats").since_open.not_stored, 1);
}

#[test]
fn an_entry_that_is_larger_than_the_cache_is_refused() {
    let mut db = cached(&Location::Memory);
    put(&mut db, "k", &json("1"), &FetchOptions::default(), NOW).expect("stores");
    let refused = put(&mut db, "k", &Body::Bytes(vec![0; 2_000]), &FetchOptions::default(), NOW);
    assert_eq!(refused.err().map(|error| error.code()), Some(codes::TOO_LARGE));
    assert_eq!(db.cache_peek("k", NOW).expect("reads").expect("an entry").body, json("1"));
}

#[test]
fn what_is_invalidated_stays_gone_though_a_fetch_was_under_way() {
    let mut db = cached(&Location::Memory);
    let options = FetchOptions::default();
    let [one, other] = ["balance:1", "page:1"].map(|key| db.cache_begin(key, &options, NOW).expect("begins").ticket);
    let all = Selection::Prefix("balance:".into());
    db.cache_invalidate(&all, NOW).expect("removes");
    assert!(!db.cache_store("balance:1", &json("1"), &options, one, NOW).expect("is no error"));
    assert!(db.cache_store("page:1", &json("1"), &options, other, NOW).expect("stores"));
    // A fetch of another owner of the database, which may have heard of an invalidation that is not known here.
    let foreign = Ticket { number: one.number - 1, ..one };
    assert!(!db.cache_store("balance:1", &json("1"), &options, foreign, NOW).expect("is no error"));
    for n in 0..20 {
        put(&mut db, &format!("balance:{n}"), &json("1"), &options, NOW).expect("stores");
    }
    let mut removed = 0;
    loop {
        let done = db.cache_invalidate(&all, NOW).expect("removes");
        removed += done.removed;
        if !done.more {
            break;
        }
    }
    assert_eq!((removed, keys(&db)), (20, vec!["page:1".to_owned()]));
    db.cache_invalidate(&Selection::Key("page:1".into()), NOW).expect("removes");
    assert!(keys(&db).is_empty());
}

#[test]
fn an_answer_that_was_overtaken_does_not_replace_the_later_one() {
    let mut db = cached(&Location::Memory);
    let options = FetchOptions::default();
    let slow = db.cache_begin("k", &options, NOW).expect("begins").ticket;
    let quick = db.cache_begin("k", &options, NOW + 5).expect("begins").ticket;
    assert!(db.cache_store("k", &json("2"), &options, quick, NOW + 6).expect("stores"));
    assert!(!db.cache_store("k", &json("1"), &options, slow, NOW + 7).expect("is no error"));
    assert_eq!(db.cache_peek("k", NOW + 8).expect("reads").expect("an entry").body, json("2"));
}

#[test]
fn the_cache_leaves_the_outbox_and_the_cut_alone() {
    let mut db = cached(&Location::Memory);
    write(&mut db, &["INSERT INTO counters (id, a) VALUES (1, 1)"]).unwrap_or_else(|e| panic!("{e}"));
    let before = db.outbox().expect("an outbox");
    put(&mut db, "k", &json("1"), &FetchOptions::default(), NOW).expect("stores");
    assert_eq!(db.outbox().expect("an outbox"), before);
    // An app reads bookkeeping, and does not write it.
    assert!(write(&mut db, &["DELETE FROM _landfall_cache"]).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u8,
        size: usize,
        priority: u8,
        max_age: Option<u64>,
    },
    Begin {
        key: u8,
        strategy: usize,
    },
    /// What a fetch that began earlier brings.
    Arrive {
        which: usize,
        size: usize,
    },
    Fail {
        which: usize,
    },
    Invalidate {
        key: Option<u8>,
    },
    Time(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let max_age = prop::option::of(prop_oneof![Just(0), 1..5_000u64]);
    prop_oneof![
        4 => (0..12u8, 0..900usize, 0..=100u8, max_age)
            .prop_map(|(key, size, priority, max_age)| Step::Put { key, size, priority, max_age }),
        5 => (0..12u8, 0..5usize).prop_map(|(key, strategy)| Step::Begin { key, strategy }),
        4 => (0..6usize, 0..900usize).prop_map(|(which, size)| Step::Arrive { which, size }),
        2 => (0..6usize).prop_map(|which| Step::Fail { which }),
        1 => prop::option::of(0..12u8).prop_map(|key| Step::Invalidate { key }),
        2 => (-3_000i64..5_000).prop_map(Step::Time),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Whatever comes: the limit holds, the sums in memory are those of the table, each call counts once, nothing is
    /// served that was not stored under its key since it was last invalidated.
    #[test]
    fn the_limit_holds_and_nothing_is_served_that_was_not_stored(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::Path(dir.path().join("app.db"));
        let mut db = cached(&location);
        let mut now = NOW;
        let mut calls = 0;
        let mut contents = BTreeMap::<String, Vec<Body>>::new();
        let mut under_way: Vec<(String, FetchOptions, Ticket)> = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let name = |key: u8| format!("{}:{key}", if key.is_multiple_of(2) { "balance" } else { "page" });
            let body = |size: usize| { let mut bytes = vec![0; size]; bytes.push(n as u8); Body::Bytes(bytes) };
            match step {
                Step::Put { key, size, priority, max_age } => {
                    if put(&mut db, &name(key), &body(size), &kept_for(max_age, priority), now).expect("no error") {
                        contents.entry(name(key)).or_default().push(body(size));
                    }
                }
                Step::Begin { key, strategy } => {
                    let options = FetchOptions::from(When::ALL[strategy].1);
                    calls += 1;
                    match db.cache_begin(&name(key), &options, now) {
                        Ok(begun) => {
                            if let Some(found) = begun.cached {
                                prop_assert!(contents.get(&name(key)).is_some_and(|kept| kept.last() == Some(&found.body)));
                            }
                            if begun.plan == Plan::Fetch {
                                under_way.push((name(key), options, begun.ticket));
                            }
                        }
                        Err(error) => prop_assert_eq!(error.code(), codes::MISSING),
                    }
                }
                Step::Arrive { which, size } if which < under_way.len() => {
                    let (key, options, ticket) = under_way.remove(which);
                    if db.cache_store(&key, &body(size), &options, ticket, now).expect("no error") {
                        contents.entry(key).or_default().push(body(size));
                    }
                }
                Step::Fail { which } if which < under_way.len() => {
                    let (key, options, _) = under_way.remove(which);
                    if let Some(found) = db.cache_fallback(&key, &options, now).expect("no error") {
                        prop_assert!(contents.get(&key).is_some_and(|kept| kept.last() == Some(&found.body)));
                    }
                }
                Step::Arrive { .. } | Step::Fail { .. } => {}
                Step::Invalidate { key } => {
                    let which = key.map_or_else(|| Selection::Prefix("balance:".into()), |key| Selection::Key(name(key)));
                    while db.cache_invalidate(&which, now).expect("no error").more {}
                    contents.retain(|key, _| match &which {
                        Selection::Key(own) => own != key,
                        Selection::Prefix(prefix) => !key.starts_with(prefix),
                    });
                    // Nothing of it comes back by a fetch that was under way.
                    for (key, options, ticket) in &under_way {
                        let is_of_it = match &which {
                            Selection::Key(own) => own == key,
                            Selection::Prefix(prefix) => key.starts_with(prefix),
                        };
                        if is_of_it {
                            prop_assert!(!db.cache_store(key, &body(1), options, *ticket, now).expect("no error"));
                        }
                    }
                }
                Step::Time(by) => now = now.saturating_add_signed(by),
                Step::Restart => {
                    db.cache_flush();
                    let before = db.cache_stats().expect("stats");
                    drop(db);
                    db = cached(&location);
                    let after = db.cache_stats().expect("stats");
                    prop_assert_eq!((after.entries, after.bytes), (before.entries, before.bytes));
                    if after.entries > 0 {
                        prop_assert_eq!(after.lifetime, before.lifetime);
                    }
                    under_way.clear();
                    calls = 0;
                }
            }
            let stats = db.cache_stats().expect("stats");
            let counts = stats.since_open;
            prop_assert!(stats.bytes <= LIMIT);
            prop_assert_eq!(counts.hits + counts.stale + counts.misses + counts.network, calls);
            if !keys(&db).is_empty() {
                let sums = rows(&db, "SELECT count(*), sum(bytes), sum(length(key) + length(value) + 64) FROM _landfall_cache");
                let wanted = [stats.entries, stats.bytes, stats.bytes].map(|n| Value::Int(n as i64));
                prop_assert_eq!(&sums[0][..], &wanted[..]);
            }
        }
    }
}
