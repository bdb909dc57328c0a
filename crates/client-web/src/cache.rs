//! Calls of the cache, from JSON and to it. A value travels beside its call, as text or bytes, and is not looked at.
//!
//! A call is a list: `["begin", key, options]`, `["fallback", key, options]`, `["store", key, options, [ticket, asked]]`,
//! `["put", key, options]`, `["peek", key]`, `["drop", text, whether it is a prefix]`, `["stats"]`. Options are an object
//! of `strategy`, `maxAge` (null: never stale), `timeout` and `priority`, each as in `landfall.toml`, times in
//! milliseconds. The answer is an object, which has an `age` where there is a value. Counts are lists, in the order of
//! [`landfall_client::cache::Counts`].

use landfall_client::cache::{Body, CacheError, FetchOptions, Plan, Strategy};
use landfall_client::db::{Begun, Cached, Selection, Ticket};
use landfall_client::engine::Cache;
use landfall_core::json::{Fields, Object, list};
use serde_json::Value as Json;

use crate::failure::Failure;

/// Carries a call out; gives the answer, and the value that belongs to it.
///
/// # Errors
/// As the call's own.
pub fn call(cache: &mut Cache<'_>, text: &str, body: Option<Body>) -> Result<(String, Option<Body>), CacheError> {
    let json: Json = serde_json::from_str(text).map_err(|_| malformed())?;
    let word = |at: usize| json.get(at).and_then(Json::as_str).ok_or_else(malformed);
    let mut head = String::new();
    let mut out = Object::new(&mut head);
    let mut found = None;
    match word(0)? {
        "begin" => {
            let Begun { plan, cached, policy, ticket, problem } = cache.begin(word(1)?, &options(&json)?)?;
            out.text(
                "plan",
                match plan {
                    Plan::Serve => "serve",
                    Plan::ServeAndFetch => "both",
                    Plan::Fetch | Plan::Missing => "fetch",
                },
            );
            numbers("ticket", &[ticket.number, ticket.asked_ms], &mut out);
            maybe("timeout", policy.timeout_ms, &mut out);
            if let Some(problem) = problem {
                out.field("problem").push_str(&Failure::from(problem).to_json());
            }
            found = cached;
        }
        "fallback" => found = cache.fallback(word(1)?, &options(&json)?)?,
        "peek" => found = cache.peek(word(1)?)?,
        "store" | "put" => {
            let body = body.ok_or_else(malformed)?;
            let options = options(&json)?;
            let stored = match json.get(3) {
                None => cache.put(word(1)?, &body, &options)?,
                Some(ticket) => {
                    let number = |at: usize| ticket[at].as_u64().ok_or_else(malformed);
                    let ticket = Ticket { number: number(0)?, asked_ms: number(1)? };
                    cache.store(word(1)?, &body, &options, ticket)?
                }
            };
            out.flag("stored", stored);
        }
        "drop" => {
            let text = word(1)?.to_owned();
            let which = if json[2] == true { Selection::Prefix(text) } else { Selection::Key(text) };
            let done = cache.invalidate(&which)?;
            maybe("removed", Some(done.removed), &mut out);
            out.flag("more", done.more);
        }
        "stats" => {
            let stats = cache.stats()?;
            numbers("sinceOpen", &stats.since_open.numbers(), &mut out);
            numbers("lifetime", &stats.lifetime.numbers(), &mut out);
            numbers("size", &[stats.entries, stats.bytes, stats.max_bytes], &mut out);
        }
        _ => return Err(malformed()),
    }
    let body = found.map(|Cached { body, asked_ms, freshness }| {
        maybe("asked", Some(asked_ms), &mut out);
        maybe("age", freshness.age_ms, &mut out);
        out.flag("stale", freshness.stale);
        body
    });
    drop(out);
    Ok((head, body))
}

fn malformed() -> CacheError {
    CacheError::BadCall("the SDK and the engine do not understand each other; reload the page".into())
}

fn maybe(name: &str, value: Option<u64>, out: &mut Object<'_>) {
    out.maybe(name, value.as_ref(), |value, out| out.push_str(&value.to_string()));
}

fn numbers(name: &str, values: &[u64], out: &mut Object<'_>) {
    list(values, out.field(name), |value, out| out.push_str(&value.to_string()));
}

fn options(json: &Json) -> Result<FetchOptions, CacheError> {
    let wrong = |what: &str| CacheError::BadCall(format!("{what}; see docs/caches.md"));
    let fields = Fields::of(&json[2], "the options").map_err(|error| wrong(&error))?;
    let number = |name: &str| {
        let number = fields.maybe(name).map(|json| json.as_u64().ok_or_else(|| wrong(&format!("{name} is {json}"))));
        number.transpose()
    };
    let strategy = fields.maybe("strategy").map(|json| {
        let known = Strategy::ALL.iter().find(|(name, _)| json.as_str() == Some(name));
        known.map(|(_, strategy)| *strategy).ok_or_else(|| wrong(&format!("there is no strategy {json}")))
    });
    Ok(FetchOptions {
        strategy: strategy.transpose()?,
        // Absent is as the policy says, null is never stale.
        max_age_ms: json[2].get("maxAge").map(|_| number("maxAge")).transpose()?,
        timeout_ms: number("timeout")?,
        priority: number("priority")?.map(|number| u8::try_from(number).unwrap_or(u8::MAX)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
mod tests {
    use landfall_client::db::{Location, Options};
    use landfall_client::{Engine, Moment};
    use landfall_core::Schema;

    use super::*;

    fn at(wall_ms: u64) -> Moment {
        Moment { wall_ms, mono_ms: 0 }
    }

    fn engine() -> Engine {
        let schema = Schema::parse("landfall.toml", "[app]\nname = \"a\"\n[tables.t.columns]\nid = \"uuid\"").unwrap();
        Engine::open(&Location::Memory, schema, Options::default(), at(1_000), &mut |bytes| bytes.fill(1)).unwrap()
    }

    fn ask(engine: &mut Engine, now: u64, text: &str, body: Option<Body>) -> Result<(Json, Option<Body>), String> {
        let (head, body) = call(&mut engine.cache(at(now)), text, body).map_err(|error| error.code().to_string())?;
        Ok((serde_json::from_str(&head).unwrap(), body))
    }

    #[test]
    fn a_call_is_answered_with_an_object_and_the_value_beside_it() {
        let mut engine = engine();
        let begin = r#"["begin","k",{"strategy":"cache_first","maxAge":500,"timeout":7,"priority":9}]"#;
        let (head, body) = ask(&mut engine, 1_000, begin, None).unwrap();
        assert_eq!((&head["plan"], &head["timeout"], head.get("age"), body), (&"fetch".into(), &7.into(), None, None));
        let store = format!(r#"["store","k",{{"maxAge":null}},{}]"#, head["ticket"]);
        let value = Body::Json("\"\\\"1\"".into());
        assert_eq!(ask(&mut engine, 1_010, &store, Some(value.clone())).unwrap().0["stored"], true);
        let (head, body) = ask(&mut engine, 1_100, begin, None).unwrap();
        assert_eq!((&head["plan"], &head["age"], &head["stale"]), (&"serve".into(), &100.into(), &false.into()));
        assert_eq!(body, Some(value));
        let bytes = Body::Bytes(vec![0, 255]);
        assert_eq!(ask(&mut engine, 1_100, r#"["put","k2",{}]"#, Some(bytes.clone())).unwrap().0["stored"], true);
        let (head, body) = ask(&mut engine, 900, r#"["peek","k2"]"#, None).unwrap();
        assert_eq!((&head["age"], &head["stale"], body), (&Json::Null, &true.into(), Some(bytes)));
        let (head, _) = ask(&mut engine, 1_100, r#"["stats"]"#, None).unwrap();
        assert_eq!(head["sinceOpen"], serde_json::json!([1, 0, 1, 0, 2, 0, 0]));
        assert_eq!(head["size"], serde_json::json!([2, (1 + 5 + 64) + (2 + 2 + 64), 16 << 20]));
        let (head, _) = ask(&mut engine, 1_100, r#"["drop","k",true]"#, None).unwrap();
        assert_eq!((&head["removed"], &head["more"]), (&2.into(), &false.into()));
        assert_eq!(ask(&mut engine, 1_100, r#"["fallback","k",{}]"#, None).unwrap(), (serde_json::json!({}), None));
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let mut engine = engine();
        for text in [
            "",
            "7",
            "[]",
            "{}",
            "[7]",
            r#"["begin"]"#,
            r#"["begin",7,{}]"#,
            r#"["begin","k"]"#,
            r#"["begin","k",[]]"#,
            r#"["begin","k",{"strategy":"cache-first"}]"#,
            r#"["begin","k",{"maxAge":-1}]"#,
            r#"["begin","k",{"maxAge":"5m"}]"#,
            r#"["begin","k",{"priority":300}]"#,
            r#"["put","k",{}]"#,
            r#"["store","k",{},[1]]"#,
            r#"["later"]"#,
            r#"["begin","",{}]"#,
        ] {
            assert_eq!(ask(&mut engine, 1_000, text, None).err().as_deref(), Some("LF-5042"), "{text}");
        }
    }
}
