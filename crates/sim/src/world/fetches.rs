//! What an app fetches elsewhere and keeps in the cache: a network that answers at once, late, or not, in any order, while the clock
//! is set, the disk fails and the app ends.

use landfall_client::cache::{CacheError, Strategy};
use landfall_client::db::{Cached, Selection};
use landfall_client::engine::{Engine, Moment};

use super::World;
use crate::dice::Dice;
use crate::invariants::Violation;
use crate::invariants::cache::{self, Flight, Look, Wish};

/// What a long enough run has to reach of it.
pub(crate) const FETCHES: &[&str] = &[
    "fetch answered by the cache",
    "fetch fell back",
    "fetch invalidated",
    "fetch kept",
    "fetch made room",
    "fetch void",
];

const KEYS: [&str; 6] = ["page:1", "page:2", "page:3", "page:4", "balance:1", "balance:2"];
/// Most fetches that are under way.
const MOST_FLIGHTS: usize = 4;

fn wish(dice: &mut Dice) -> Wish {
    let strategies = [
        Strategy::NetworkFirst,
        Strategy::CacheFirst,
        Strategy::StaleWhileRevalidate,
        Strategy::NetworkOnly,
        Strategy::CacheOnly,
    ];
    let strategy = strategies[dice.index(strategies.len())];
    let max_age_ms = [None, Some(0), Some(2_000), Some(20_000)][dice.index(4)];
    Wish { strategy, max_age_ms, priority: [10, 50, 90][dice.index(3)] }
}

/// What is done to the cache, between two looks at it. `None`: the disk does not let it be looked at.
fn between<R>(
    engine: &mut Engine,
    moment: Moment,
    key: &str,
    call: impl FnOnce(&mut Engine) -> R,
) -> Option<(Option<Cached>, Look, R, Look)> {
    let held = engine.cache(moment).peek(key).ok()?;
    let before = cache::look(engine, moment)?;
    let done = call(engine);
    Some((held, before, done, cache::look(engine, moment)?))
}

impl World {
    /// One step of what is fetched.
    pub(super) fn fetch(&mut self, device: usize) -> Result<(), Violation> {
        let dice = &mut self.devices[device].fetches;
        let (act, flights) = (dice.below(100), self.devices[device].process.as_ref().map_or(0, |p| p.flights.len()));
        match act {
            0..=49 if flights < MOST_FLIGHTS => self.begin_fetch(device),
            0..=79 => self.land(device),
            80..=91 => self.fail_fetch(device),
            _ => self.invalidate(device),
        }
    }

    fn begin_fetch(&mut self, device: usize) -> Result<(), Violation> {
        let dice = &mut self.devices[device].fetches;
        let (key, wish) = (KEYS[dice.index(KEYS.len())], wish(dice));
        let now = self.devices[device].moment(self.now);
        let seen = self.engine(device, |engine, moment, _| {
            between(engine, moment, key, |engine| engine.cache(moment).begin(key, &wish.options()))
        })?;
        let Some(Some((held, before, begun, after))) = seen else { return Ok(()) };
        cache::began((key, &wish, now), (&before, &after), held.as_ref(), &begun)?;
        let Ok(begun) = begun else { return Ok(()) };
        if begun.cached.is_some() {
            self.coverage.hit("fetch answered by the cache");
        }
        let fetches = begun.problem.is_none() && begun.plan != landfall_client::cache::Plan::Serve;
        if let (true, Some(process)) = (fetches, self.devices[device].process.as_mut()) {
            let (ticket, waits) = (begun.ticket, begun.cached.is_none());
            process.flights.push(Flight { key: key.to_owned(), wish, ticket, waits, is_void: false });
        }
        Ok(())
    }

    /// One of those that are under way, not always the oldest.
    fn some_flight(&mut self, device: usize) -> Option<Flight> {
        let machine = &mut self.devices[device];
        let flights = &mut machine.process.as_mut()?.flights;
        (!flights.is_empty()).then(|| flights.remove(machine.fetches.index(flights.len())))
    }

    fn land(&mut self, device: usize) -> Result<(), Violation> {
        let Some(flight) = self.some_flight(device) else { return Ok(()) };
        let dice = &mut self.devices[device].fetches;
        let bytes = if dice.chance(600) { dice.between(15_000, 40_000) } else { dice.below(800) };
        let (body, now) = (flight.answer(bytes as usize), self.devices[device].moment(self.now));
        let seen = self.engine(device, |engine, moment, _| {
            let (key, options) = (flight.key.as_str(), flight.wish.options());
            between(engine, moment, key, |engine| engine.cache(moment).store(key, &body, &options, flight.ticket))
        })?;
        let Some(Some((_, before, stored, after))) = seen else { return Ok(()) };
        let made_room = cache::landed((&flight, now), (&before, &after), &stored)? > 0;
        let seen = [
            ("fetch kept", matches!(stored, Ok(true))),
            ("fetch void", flight.is_void),
            ("fetch made room", made_room),
        ];
        seen.iter().filter(|(_, hit)| *hit).for_each(|(name, _)| self.coverage.hit(name));
        Ok(())
    }

    /// The network does not answer, or not in time.
    fn fail_fetch(&mut self, device: usize) -> Result<(), Violation> {
        let Some(flight) = self.some_flight(device).filter(|flight| flight.waits) else { return Ok(()) };
        let now = self.devices[device].moment(self.now);
        let seen = self.engine(device, |engine, moment, _| {
            let (key, options) = (flight.key.as_str(), flight.wish.options());
            between(engine, moment, key, |engine| engine.cache(moment).fallback(key, &options))
        })?;
        let Some(Some((held, before, Ok(given), after))) = seen else { return Ok(()) };
        cache::failed((&flight, now), (&before, &after), held.as_ref(), given.as_ref())?;
        if given.is_some() {
            self.coverage.hit("fetch fell back");
        }
        Ok(())
    }

    fn invalidate(&mut self, device: usize) -> Result<(), Violation> {
        let dice = &mut self.devices[device].fetches;
        let (which, prefix) = match dice.chance(500) {
            true => (Selection::Prefix("balance:".into()), "balance:"),
            false => {
                let key = KEYS[dice.index(KEYS.len())];
                (Selection::Key(key.into()), key)
            }
        };
        let seen = self.engine(device, |engine, moment, _| {
            between(engine, moment, prefix, |engine| -> Result<(), CacheError> {
                while engine.cache(moment).invalidate(&which)?.more {}
                Ok(())
            })
        })?;
        // Also where the disk failed.
        let flights = self.devices[device].process.iter_mut().flat_map(|process| &mut process.flights);
        flights.filter(|flight| flight.key.starts_with(prefix)).for_each(|flight| flight.is_void = true);
        let Some(Some((_, before, Ok(()), after))) = seen else { return Ok(()) };
        self.coverage.hit("fetch invalidated");
        cache::removed(prefix, (&before, &after))
    }
}
