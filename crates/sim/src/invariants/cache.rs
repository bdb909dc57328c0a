//! `cache`: who answers a fetch is who is to, an answer is no older than it says and never called fresh when it is not; what was
//! invalidated, or replaced by a later answer, does not come back; what is kept fits, and takes nothing from what matters more;
//! what is counted is what was answered; and the outbox is as it was.

use std::collections::BTreeMap;

use landfall_client::cache::{Body, CacheError, CacheStats, Counts, FetchOptions, Plan, Strategy};
use landfall_client::db::{Begun, Cached, Ticket};
use landfall_client::engine::{Engine, Moment};
use serde::{Deserialize, Serialize};

use super::Violation;

/// How a call wants its entry: everything is said, so that the schema's policies do not count.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// When the network is asked.
    pub strategy: Strategy,
    /// So old an entry may be, milliseconds.
    pub max_age_ms: Option<u64>,
    /// What goes first when there is no room.
    pub priority: u8,
}

impl Wish {
    /// The same, as the client takes it.
    pub fn options(&self) -> FetchOptions {
        let Self { strategy, max_age_ms, priority } = *self;
        FetchOptions {
            strategy: Some(strategy),
            max_age_ms: Some(max_age_ms),
            priority: Some(priority),
            ..FetchOptions::default()
        }
    }

    /// Whether an entry is fresh at a moment, and how old it is.
    fn age(&self, asked_ms: u64, now_ms: u64) -> (Option<u64>, bool) {
        let age_ms = (asked_ms <= now_ms).then(|| now_ms - asked_ms);
        let is_fresh = match (age_ms, self.max_age_ms) {
            (_, None) => true,
            (Some(age_ms), Some(max)) => age_ms < max,
            (None, Some(_)) => false,
        };
        (age_ms, is_fresh)
    }
}

/// A fetch that has begun, of a running app.
#[derive(Debug)]
pub struct Flight {
    /// What is fetched.
    pub key: String,
    /// How.
    pub wish: Wish,
    /// Names it.
    pub ticket: Ticket,
    /// Somebody waits for it, and is answered by the cache where it fails.
    pub waits: bool,
    /// It was invalidated meanwhile.
    pub is_void: bool,
}

/// What an answer says of itself: enough to know where it comes from, wherever it turns up.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    key: String,
    asked_ms: u64,
    words: String,
}

impl Flight {
    /// What the network answers.
    pub fn answer(&self, bytes: usize) -> Body {
        let page = Page { key: self.key.clone(), asked_ms: self.ticket.asked_ms, words: "w".repeat(bytes) };
        // A struct of texts and numbers is always JSON.
        Body::Json(serde_json::to_string(&page).unwrap_or_default())
    }
}

/// An entry as the table has it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    asked_ms: i64,
    expires_ms: Option<i64>,
    priority: i64,
    bytes: i64,
}

/// The cache at one time.
pub struct Look {
    rows: BTreeMap<String, Row>,
    counts: Counts,
    stats: CacheStats,
    outbox: String,
}

/// Looks at the cache; `None`: the disk does not let it.
pub fn look(engine: &mut Engine, moment: Moment) -> Option<Look> {
    let stats = engine.cache(moment).stats().ok()?;
    let mut rows = BTreeMap::new();
    // It is made with its first entry.
    if stats.entries > 0 {
        let sql = "SELECT key, asked_ms, expires_ms, priority, bytes FROM _landfall_cache";
        for row in engine.query(sql, &[]).ok()?.rows {
            let text = format!("{:?}", row[0]);
            let number = |at: usize| match row[at] {
                landfall_core::Value::Int(number) => Some(number),
                _ => None,
            };
            let key = if let landfall_core::Value::Text(key) = &row[0] { key.clone() } else { text };
            let row = Row { asked_ms: number(1)?, expires_ms: number(2), priority: number(3)?, bytes: number(4)? };
            rows.insert(key, row);
        }
    }
    let outbox = format!("{:?} {}", engine.db().counts(), engine.db().last_rseq());
    Some(Look { rows, counts: stats.since_open, stats, outbox })
}

fn broken<T>(text: String) -> Result<T, Violation> {
    Err(Violation::new("cache", text))
}

/// What holds of the cache whatever was done.
fn is_sound(before: &Look, after: &Look) -> Result<(), Violation> {
    let bytes: i64 = after.rows.values().map(|row| row.bytes).sum();
    let CacheStats { entries, bytes: told, max_bytes, .. } = after.stats;
    if (entries, told) != (after.rows.len() as u64, bytes as u64) {
        return broken(format!(
            "{entries} entries of {told} bytes are told, and there are {} of {bytes}",
            after.rows.len()
        ));
    }
    if told > max_bytes {
        return broken(format!("{told} bytes are kept, {max_bytes} at most are to be"));
    }
    if before.outbox != after.outbox {
        return broken(format!("the outbox was {}, and is {}", before.outbox, after.outbox));
    }
    Ok(())
}

/// An entry is what somebody fetched under its key, of the age that it says.
fn is_true(key: &str, cached: &Cached, wish: &Wish, now: Moment) -> Result<bool, Violation> {
    let Body::Json(text) = &cached.body else { return broken(format!("{key} holds bytes")) };
    let page: Result<Page, _> = serde_json::from_str(text);
    if !page.as_ref().is_ok_and(|page| page.key == key && page.asked_ms == cached.asked_ms) {
        return broken(format!("{key} of {} holds {:.80}", cached.asked_ms, text));
    }
    let (age_ms, is_fresh) = wish.age(cached.asked_ms, now.wall_ms);
    if (cached.freshness.age_ms, cached.freshness.stale) != (age_ms, !is_fresh) {
        let said = cached.freshness;
        return broken(format!("{key} was asked for {age_ms:?} ms ago ({wish:?}), and says {said:?}"));
    }
    Ok(is_fresh)
}

fn counted(before: &Look, after: &Look, what: impl Fn(&mut Counts)) -> Result<(), Violation> {
    let mut wanted = before.counts;
    what(&mut wanted);
    if wanted != after.counts {
        return broken(format!("{:?} is counted, and {wanted:?} happened", after.counts));
    }
    Ok(())
}

/// A call began: `held` is what there was.
///
/// # Errors
/// When another one answers than is to, or it is counted as something else.
pub fn began(
    (key, wish, now): (&str, &Wish, Moment),
    (before, after): (&Look, &Look),
    held: Option<&Cached>,
    begun: &Result<Begun, CacheError>,
) -> Result<(), Violation> {
    is_sound(before, after)?;
    let (age_ms, is_fresh) = held.map_or((None, false), |held| wish.age(held.asked_ms, now.wall_ms));
    let wanted = match (wish.strategy, held.is_some(), is_fresh) {
        (Strategy::NetworkFirst | Strategy::NetworkOnly, ..) => Plan::Fetch,
        (Strategy::CacheOnly, false, _) => Plan::Missing,
        (Strategy::CacheOnly, true, _) | (Strategy::CacheFirst | Strategy::StaleWhileRevalidate, _, true) => {
            Plan::Serve
        }
        (Strategy::StaleWhileRevalidate, true, false) => Plan::ServeAndFetch,
        (Strategy::CacheFirst | Strategy::StaleWhileRevalidate, ..) => Plan::Fetch,
    };
    let plan = match begun {
        Ok(begun) if begun.problem.is_some() => return Ok(()),
        Ok(begun) => begun.plan,
        Err(CacheError::Missing { .. }) => Plan::Missing,
        Err(CacheError::Db(_)) => return Ok(()),
        Err(error) => return broken(format!("{key}: {error}")),
    };
    if plan != wanted {
        return broken(format!("{key} is answered by {plan:?} and not by {wanted:?}: {wish:?}, {age_ms:?} ms old"));
    }
    let cached = begun.as_ref().ok().and_then(|begun| begun.cached.as_ref());
    if cached.is_some() != matches!(plan, Plan::Serve | Plan::ServeAndFetch) {
        return broken(format!("{key}: {plan:?}, and the cache gave {cached:?}"));
    }
    if let Some(cached) = cached {
        is_true(key, cached, wish, now)?;
    }
    counted(before, after, |counts| match plan {
        Plan::Serve | Plan::ServeAndFetch if is_fresh => counts.hits += 1,
        Plan::Serve | Plan::ServeAndFetch => counts.stale += 1,
        Plan::Fetch if matches!(wish.strategy, Strategy::NetworkFirst | Strategy::NetworkOnly) => counts.network += 1,
        Plan::Fetch | Plan::Missing => counts.misses += 1,
    })
}

/// A fetch has failed, and the cache was asked for what it has.
///
/// # Errors
/// When it gave what it is not to, or counts another thing.
pub fn failed(
    (flight, now): (&Flight, Moment),
    (before, after): (&Look, &Look),
    held: Option<&Cached>,
    given: Option<&Cached>,
) -> Result<(), Violation> {
    is_sound(before, after)?;
    if flight.wish.strategy == Strategy::NetworkOnly {
        return match given {
            None => counted(before, after, |_| ()),
            Some(given) => {
                broken(format!("{} is asked of the network alone, and the cache gave {given:?}", flight.key))
            }
        };
    }
    if given.map(|given| given.asked_ms) != held.map(|held| held.asked_ms) {
        return broken(format!("{} is {held:?}, and {given:?} was given for it", flight.key));
    }
    let is_fresh = given.map(|given| is_true(&flight.key, given, &flight.wish, now)).transpose()?;
    counted(before, after, |counts| {
        match flight.wish.strategy {
            Strategy::NetworkFirst => counts.network -= 1,
            _ => counts.misses -= 1,
        }
        match is_fresh {
            Some(true) => counts.hits += 1,
            Some(false) => counts.stale += 1,
            None => counts.misses += 1,
        }
    })
}

/// A fetch has brought something, early or late. Gives how many entries it took the place of.
///
/// # Errors
/// When what is not to be kept is kept, or what matters more has made room.
pub fn landed(
    (flight, now): (&Flight, Moment),
    (before, after): (&Look, &Look),
    stored: &Result<bool, CacheError>,
) -> Result<u64, Violation> {
    is_sound(before, after)?;
    let (key, asked_ms) = (&flight.key, flight.ticket.asked_ms as i64);
    let is_replaced =
        before.rows.get(key).is_some_and(|row| row.asked_ms > asked_ms && row.asked_ms <= now.wall_ms as i64);
    let is_stored = match stored {
        Ok(stored) => *stored,
        Err(CacheError::Db(_)) => false,
        Err(error) => return broken(format!("{key}: {error}")),
    };
    if is_stored && (flight.is_void || is_replaced) {
        return broken(format!("{key} of {asked_ms} is kept: void {}, replaced {is_replaced}", flight.is_void));
    }
    if is_stored && after.rows.get(key).is_none_or(|row| row.asked_ms != asked_ms) {
        return broken(format!("{key} of {asked_ms} is told to be kept, and {:?} is", after.rows.get(key)));
    }
    if (stored.is_err() || flight.is_void || is_replaced) && before.rows != after.rows {
        return broken(format!("{key} is not kept ({stored:?}), and what is kept is another than before"));
    }
    let gone = before.rows.iter().filter(|(other, _)| *other != key && !after.rows.contains_key(*other));
    let gone: Vec<_> = gone.collect();
    let matters = |row: &Row| {
        row.priority > i64::from(flight.wish.priority) && row.expires_ms.is_none_or(|at| at > now.wall_ms as i64)
    };
    if let Some((other, row)) = gone.iter().find(|(_, row)| matters(row)) {
        return broken(format!("{other} ({row:?}) has made room for {key} of {:?}", flight.wish));
    }
    let count = gone.len() as u64;
    counted(before, after, |counts| {
        counts.evicted += count;
        match is_stored {
            true => counts.stored += 1,
            // What is void is nobody's any more.
            false => counts.not_stored += u64::from(!flight.is_void),
        }
    })?;
    Ok(count)
}

/// Entries were removed, those whose keys begin so.
///
/// # Errors
/// When one of them is there, or another one is gone.
pub fn removed(prefix: &str, (before, after): (&Look, &Look)) -> Result<(), Violation> {
    is_sound(before, after)?;
    let wanted = before.rows.iter().filter(|(key, _)| !key.starts_with(prefix));
    if !wanted.eq(after.rows.iter()) {
        return broken(format!("'{prefix}' was invalidated: {:?} were kept, {:?} are", before.rows, after.rows));
    }
    Ok(())
}
