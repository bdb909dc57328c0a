//! `docs/recipes/chat.md`: one order for everybody, each message once, ticks that are true.

use std::collections::BTreeSet;
use std::time::Duration;

use landfall_core::Value;
use landfall_core::value::format_uuid;
use landfall_server::actions::Actions;

use crate::page;
use crate::world::{Id, World, id};

#[path = "code/chat.rs"]
mod app;
#[path = "code/chat_server.rs"]
mod server;

const ROOM: u8 = 1;
const OTHER: u8 = 2;

fn handlers() -> Actions {
    Actions::new().on("post", server::post).with_clock(|| Duration::ZERO)
}

fn room() -> World {
    let mut world = World::with_handlers("chat", handlers);
    world.operator(&format!("insert into rooms (id, name) values ('{}', 'tea')", format_uuid(&[ROOM; 16])));
    world
}

fn device(world: &mut World, person: &'static str) -> Id {
    let of_room = [("room", id(ROOM))];
    world.device(person, &[("all_rooms", &[]), ("room", &of_room), ("readers", &of_room)])
}

/// A device that has both rooms open.
fn guest(world: &mut World, person: &'static str) -> Id {
    let [of_room, of_other] = [ROOM, OTHER].map(|room| [("room", id(room))]);
    world.device(
        person,
        &[("all_rooms", &[]), ("room", &of_room), ("readers", &of_room), ("room", &of_other), ("readers", &of_other)],
    )
}

fn send(world: &mut World, device: Id, person: &str, n: u8) {
    send_to(world, device, ROOM, person, n);
}

fn send_to(world: &mut World, device: Id, room: u8, person: &str, n: u8) {
    let before = app::waiting(&world.outbox(device), &id(room));
    let body = format!("{person}-{n:03}");
    world.write(device, |tx| app::send(tx, [&id(n), &id(room)], [person, &body], before)).unwrap();
}

fn seen(world: &mut World, device: Id, person: &str, received: i64, read: i64) {
    seen_in(world, device, ROOM, person, [received, read]);
}

fn seen_in(world: &mut World, device: Id, room: u8, person: &str, [received, read]: [i64; 2]) {
    let row: [Value; 5] = [id(room), person.into(), format!("{person} {device}").into(), received.into(), read.into()];
    world.write(device, |tx| app::seen(tx, &row)).unwrap();
}

/// A room as a person sees it.
fn shown(world: &World, device: Id, room: u8) -> Vec<String> {
    world.rows_of(device, app::MESSAGES, &[id(room)])
}

/// The bodies in the order in which a person sees them.
fn bodies(world: &World, device: Id) -> Vec<String> {
    let rows = shown(world, device, ROOM);
    rows.iter().filter_map(|row| row.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("chat", concat!(include_str!("code/chat.rs"), "\n", include_str!("code/chat_server.rs")));
}

#[test]
fn all_see_one_order_and_each_message_once() {
    let mut world = room();
    let (phone, laptop, bob) = (device(&mut world, "ada"), device(&mut world, "ada"), device(&mut world, "bob"));
    world.settle();
    for device in [phone, laptop, bob] {
        world.no_network(device);
    }
    for n in 0..20_u8 {
        send(&mut world, phone, "ada", 50 + n);
        send(&mut world, laptop, "ada", 100 + n);
        send(&mut world, bob, "bob", 150 + n);
        if n == 11 {
            world.power_cut(phone);
            world.start(phone);
            world.no_network(phone);
        }
    }
    assert_eq!(bodies(&world, phone).len(), 20, "one's own are there at once");
    // "Send" once more: the same message.
    let before = app::waiting(&world.outbox(bob), &id(ROOM));
    let twice = world.write(bob, |tx| app::send(tx, [&id(150), &id(ROOM)], ["bob", "bob-150"], before));
    assert_eq!(twice.unwrap().rseq, None);
    for device in [phone, laptop, bob] {
        world.network(device);
    }
    world.until(|world| world.head() > 20);
    world.no_network(bob);
    world.server_power_cut();
    world.network(bob);
    world.settle();

    let order = bodies(&world, phone);
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 60, "each once: {order:?}");
    assert_eq!(order.len(), 60);
    for device in [laptop, bob] {
        assert_eq!(bodies(&world, device), order);
    }
    // What one device wrote stays in its order.
    for of in ["ada-0", "ada-1", "bob"] {
        let own: Vec<_> = order.iter().filter(|body| body.starts_with(of)).collect();
        assert!(own.is_sorted(), "{own:?}");
    }
    assert_eq!(world.on_server("select min(number), count(distinct number) from messages"), ["1 60"]);
    for device in [phone, laptop, bob] {
        assert_eq!(world.refused(device), [""; 0]);
    }
}

#[test]
fn ticks_tell_who_has_received_and_read_and_never_go_back() {
    let mut world = room();
    let (ada, phone, laptop) = (device(&mut world, "ada"), device(&mut world, "bob"), device(&mut world, "bob"));
    world.settle();
    world.no_network(ada);
    send(&mut world, ada, "ada", 50);
    assert_eq!(shown(&world, ada, ROOM), ["ada-050 - - -"], "a clock");
    world.network(ada);
    world.settle();
    assert_eq!(shown(&world, ada, ROOM), ["ada-050 1 - -"], "one tick");
    seen(&mut world, phone, "bob", 1, 0);
    world.settle();
    assert_eq!(shown(&world, ada, ROOM), ["ada-050 1 1 0"], "two");
    // Bob reads it on the laptop, in a tunnel, while the phone knows nothing of it.
    world.no_network(laptop);
    seen(&mut world, laptop, "bob", 1, 1);
    seen(&mut world, phone, "bob", 1, 0);
    world.kill(laptop);
    world.start(laptop);
    world.network(laptop);
    world.settle();
    seen(&mut world, phone, "bob", 1, 0);
    seen(&mut world, phone, "bob", 0, 0);
    world.settle();
    assert_eq!(shown(&world, ada, ROOM), ["ada-050 1 1 1"], "two in blue, for good");
    assert_eq!(world.outbox(phone).len(), 0, "what says nothing new is not sent");
}

/// The query once had no room: all messages were in one list, and numbers that were passed in one room gave ticks in all.
#[test]
fn one_room_knows_nothing_of_another() {
    let mut world = room();
    world.operator(&format!("insert into rooms (id, name) values ('{}', 'rum')", format_uuid(&[OTHER; 16])));
    let (ada, bob) = (guest(&mut world, "ada"), guest(&mut world, "bob"));
    world.settle();
    send(&mut world, ada, "ada", 50);
    send(&mut world, ada, "ada", 51);
    world.settle();
    seen(&mut world, bob, "bob", 2, 2);
    send_to(&mut world, ada, OTHER, "ada", 60);
    world.settle();
    assert_eq!(shown(&world, ada, ROOM), ["ada-050 1 1 1", "ada-051 2 1 1"]);
    assert_eq!(shown(&world, ada, OTHER), ["ada-060 1 - -"], "one tick: nobody else was there yet");
    seen_in(&mut world, bob, OTHER, "bob", [1, 0]);
    world.settle();
    assert_eq!(shown(&world, ada, OTHER), ["ada-060 1 1 0"], "two");
    assert_eq!(shown(&world, ada, ROOM), ["ada-050 1 1 1", "ada-051 2 1 1"]);
    assert_eq!(shown(&world, bob, OTHER), shown(&world, ada, OTHER));
}

#[test]
fn a_message_to_a_room_that_was_closed_keeps_its_text() {
    let mut world = room();
    let ada = device(&mut world, "ada");
    world.settle();
    world.no_network(ada);
    send(&mut world, ada, "ada", 50);
    send(&mut world, ada, "ada", 51);
    world.operator("delete from rooms");
    world.network(ada);
    world.settle();
    assert_eq!(world.refused(ada), ["no_such_room", "no_such_room"]);
    let bodies: Vec<_> = world.outbox(ada).iter().map(|e| e.transaction.operations[0].value("body").cloned()).collect();
    assert_eq!(bodies, [Some("ada-050".into()), Some("ada-051".into())]);
}
