//! `docs/recipes/bank.md`: money is moved once or not at all, never later, and what is shown says how old it is.

use std::time::Duration;

use landfall_client::cache::{Body, FetchOptions, Plan};
use landfall_client::db::{Cached, Withdrawal};
use landfall_core::Value;
use landfall_core::value::format_uuid;
use landfall_server::actions::Actions;

use crate::page;
use crate::world::{Id, World, at, id};

#[path = "code/bank.rs"]
mod app;
#[path = "code/bank_server.rs"]
mod server;

const SHAPES: [(&str, &[(&str, Value)]); 2] = [("all_transfers", &[]), ("all_bills", &[])];
const BALANCES: &str = "select owner, cents from accounts order by owner";
const HOUR: i64 = 3_600;
const ADA: u8 = 1;
const BOB: u8 = 2;

fn handlers() -> Actions {
    Actions::new().on("transfer", server::carry_out).with_clock(|| Duration::ZERO)
}

/// Ada has 100, Bob 50.
fn bank() -> World {
    let mut world = World::with_handlers("bank", handlers);
    let [ada, bob] = [ADA, BOB].map(|n| format_uuid(&[n; 16]));
    world.operator(&format!(
        "insert into accounts (id, owner, cents) values ('{ada}', 'ada', 100), ('{bob}', 'bob', 50)"
    ));
    world
}

fn transfer(world: &mut World, device: Id, who: &str, n: u8, way: [u8; 2], cents: i64) -> Result<u64, String> {
    let [from, to] = way.map(id);
    let written = world.write(device, |tx| app::transfer(tx, who, &id(n), [&from, &to], cents));
    written.map(|written| written.rseq.unwrap()).map_err(|error| error.code().to_string())
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("bank", concat!(include_str!("code/bank.rs"), "\n", include_str!("code/bank_server.rs")));
}

/// As the driver's `fetch` does it: the network when it answers, else what the cache has.
fn balance(world: &mut World, device: Id, fetched: Option<&str>) -> Option<Cached> {
    let options = FetchOptions::default();
    let begun = world.app(device, |app, now, _| app.cache(now).begin("balance:42", &options)).unwrap();
    assert!(matches!(begun.plan, Plan::Fetch), "network first, as the page declares it: {:?}", begun.plan);
    match fetched {
        Some(body) => {
            let body = Body::Json(body.to_owned());
            let ticket = begun.ticket;
            let kept = world.app(device, |app, now, _| app.cache(now).store("balance:42", &body, &options, ticket));
            assert!(kept.unwrap());
            None
        }
        None => world.app(device, |app, now, _| app.cache(now).fallback("balance:42", &options)).unwrap(),
    }
}

#[test]
fn a_balance_says_how_old_it_is_and_does_not_guess() {
    let mut world = bank();
    let phone = world.device("ada", &SHAPES);
    world.settle();
    assert!(balance(&mut world, phone, None).is_none(), "nothing is known yet");
    balance(&mut world, phone, Some("{\"cents\":100}"));
    world.no_network(phone);
    world.pass(120);
    world.power_cut(phone);
    world.start(phone);
    let told = balance(&mut world, phone, None).unwrap();
    assert_eq!(told.body, Body::Json("{\"cents\":100}".to_owned()));
    assert_eq!((told.freshness.age_ms, told.freshness.stale), (Some(120_000), false));
    world.pass(1_000);
    let told = balance(&mut world, phone, None).unwrap();
    assert_eq!((told.freshness.age_ms, told.freshness.stale), (Some(1_120_000), true));
    world.set_clock(phone, -86_400);
    let told = balance(&mut world, phone, None).unwrap();
    assert_eq!((told.freshness.age_ms, told.freshness.stale), (None, true), "of some time ago");
}

#[test]
fn a_transfer_is_refused_without_a_connection_and_done_once_with_one() {
    let mut world = bank();
    let phone = world.device("ada", &SHAPES);
    world.settle();
    world.no_network(phone);
    assert_eq!(transfer(&mut world, phone, "ada", 10, [ADA, BOB], 30), Err("LF-5031".to_owned()));
    assert_eq!((world.outbox(phone).len(), world.rows(phone, "select 1 from transfers").len()), (0, 0));
    world.network(phone);
    world.settle();
    let head = world.head();
    transfer(&mut world, phone, "ada", 10, [ADA, BOB], 30).unwrap();
    assert_eq!(world.rows(phone, "select cents, booked from transfers"), ["30 -"], "pending");
    world.until(|world| world.head() > head);
    world.power_cut(phone);
    world.server_power_cut();
    world.start(phone);
    world.settle();
    assert_eq!(world.rows(phone, "select cents, booked from transfers"), ["30 true"]);
    assert_eq!(world.on_server(BALANCES), ["ada 70", "bob 80"]);
}

#[test]
fn a_transfer_that_was_cut_off_is_not_made_later() {
    let mut world = bank();
    let phone = world.device("ada", &SHAPES);
    world.settle();
    transfer(&mut world, phone, "ada", 10, [ADA, BOB], 30).unwrap();
    world.no_network(phone);
    world.kill(phone);
    world.pass(600);
    // The device's clock does not prolong it.
    world.set_clock(phone, -600);
    world.start(phone);
    world.network(phone);
    world.settle();
    assert_eq!(world.refused(phone), ["LF-3012"]);
    assert_eq!(world.on_server(BALANCES), ["ada 100", "bob 50"]);
}

#[test]
fn no_account_goes_below_zero_and_nobody_moves_what_is_not_theirs() {
    let mut world = bank();
    let (phone, laptop, bob) =
        (world.device("ada", &SHAPES), world.device("ada", &SHAPES), world.device("bob", &SHAPES));
    world.settle();
    transfer(&mut world, phone, "ada", 10, [ADA, BOB], 70).unwrap();
    transfer(&mut world, laptop, "ada", 11, [ADA, BOB], 70).unwrap();
    transfer(&mut world, bob, "bob", 12, [ADA, BOB], 1).unwrap();
    world.settle();
    let mut refused = [world.refused(phone), world.refused(laptop)].concat();
    refused.sort();
    assert_eq!(refused, ["not_enough"]);
    assert_eq!(world.refused(bob), ["not_yours"]);
    assert_eq!(world.on_server(BALANCES), ["ada 30", "bob 120"]);
    assert_eq!(world.on_server("select count(*) from transfers"), ["1"], "what was refused left nothing");
    for device in [phone, laptop] {
        assert_eq!(world.rows(device, "select cents, booked from transfers"), ["70 true"]);
    }
}

#[test]
fn a_bill_is_scheduled_a_day_ahead_and_never_paid_late() {
    let mut world = bank();
    let phone = world.device("ada", &SHAPES);
    world.settle();
    let bill = |world: &mut World, cents: i64, due: i64| {
        let written = world.write(phone, |tx| app::schedule(tx, "ada", &id(ADA), cents, &at(due)));
        written.map(|written| written.rseq.unwrap()).map_err(|error| error.code().to_string())
    };
    world.no_network(phone);
    assert_eq!(bill(&mut world, 5, 20 * HOUR), Err("LF-5032".to_owned()), "too soon without a connection");
    let first = bill(&mut world, 10, 48 * HOUR).unwrap();
    bill(&mut world, 20, 72 * HOUR).unwrap();
    bill(&mut world, 30, 240 * HOUR).unwrap();
    // Second thoughts, before it was sent.
    let withdrawn = world.app(phone, |app, now, random| app.withdraw(first, now, random)).unwrap().value;
    assert!(matches!(withdrawn, Withdrawal::Withdrawn { .. }));
    world.power_cut(phone);
    world.start(phone);
    world.no_network(phone);
    // Four days in the mountains: the day of one bill comes and goes.
    world.pass(4 * 24 * 3_600);
    assert_eq!(world.refused(phone), ["LF-3012"], "the person is told, while still offline");
    world.network(phone);
    world.settle();
    assert_eq!(world.on_server("select cents from bills"), ["30"]);
    assert_eq!(bill(&mut world, 40, 97 * HOUR), Ok(4), "with a connection the bank is asked at once");
    world.settle();
    assert_eq!(world.on_server("select cents from bills order by cents"), ["30", "40"]);
}
