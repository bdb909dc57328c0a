//! `docs/recipes/cart.md`: nobody pays twice, nobody buys what is gone, and a cart is never lost on the way.

use landfall_core::Value;
use landfall_core::value::format_uuid;
use landfall_server::actions::Actions;
use std::time::Duration;

use crate::page;
use crate::world::{Id, World, id};

#[path = "code/cart.rs"]
mod app;
#[path = "code/cart_server.rs"]
mod server;

const SHAPES: [(&str, &[(&str, Value)]); 3] = [("all_products", &[]), ("my_cart", &[]), ("my_orders", &[])];
const CART: &str = "select count, name from cart join products on id = product order by name";
const LAMP: u8 = 1;
const STOOL: u8 = 2;

fn handlers() -> Actions {
    Actions::new().on("checkout", server::checkout).with_clock(|| Duration::ZERO)
}

/// Three lamps and ten stools.
fn shop() -> World {
    let mut world = World::with_handlers("cart", handlers);
    world.operator(&format!(
        "insert into products (id, name, price, stock) values ('{}', 'lamp', 1900, 3), ('{}', 'stool', 4500, 10)",
        format_uuid(&[LAMP; 16]),
        format_uuid(&[STOOL; 16])
    ));
    world
}

fn put(world: &mut World, device: Id, who: &str, product: u8, count: i64) {
    world.write(device, |tx| app::put(tx, who, &id(product), count)).unwrap();
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("cart", concat!(include_str!("code/cart.rs"), "\n", include_str!("code/cart_server.rs")));
}

#[test]
fn without_a_connection_the_cart_fills_and_the_checkout_says_that_it_needs_one() {
    let mut world = shop();
    let (phone, laptop) = (world.device("ada", &SHAPES), world.device("ada", &SHAPES));
    world.settle();
    world.no_network(phone);
    world.no_network(laptop);
    put(&mut world, phone, "ada", LAMP, 1);
    put(&mut world, laptop, "ada", LAMP, 2);
    put(&mut world, laptop, "ada", STOOL, 1);
    let before = world.rows(laptop, CART);
    let refused = world.write(laptop, |tx| app::check_out(tx, "ada", &id(50))).unwrap_err();
    assert_eq!(refused.code().as_str(), "LF-5031");
    assert_eq!(world.rows(laptop, CART), before, "nothing was written");
    assert_eq!(world.outbox(laptop).len(), 2, "only what was put into the cart waits");
    world.kill(laptop);
    world.start(laptop);
    world.network(phone);
    world.network(laptop);
    world.settle();
    // One cart of both: the same lamp is one line.
    let cart = world.rows(phone, CART);
    assert_eq!((cart.len(), cart[1].as_str()), (2, "1 stool"));
    assert_eq!(world.rows(laptop, CART), cart);
    let order = world.write(laptop, |tx| app::check_out(tx, "ada", &id(50))).unwrap();
    assert!(order.rseq.is_some());
    world.settle();
    assert_eq!(world.rows(phone, CART), [""; 0]);
    assert_eq!(world.on_server("select count(*) from orders"), ["1"]);
}

#[test]
fn of_two_people_who_want_the_last_lamps_one_is_told_and_has_their_cart_back() {
    let mut world = shop();
    let (ada, bob) = (world.device("ada", &SHAPES), world.device("bob", &SHAPES));
    put(&mut world, ada, "ada", LAMP, 2);
    put(&mut world, bob, "bob", LAMP, 2);
    put(&mut world, bob, "bob", STOOL, 1);
    world.settle();
    world.write(ada, |tx| app::check_out(tx, "ada", &id(50))).unwrap();
    world.write(bob, |tx| app::check_out(tx, "bob", &id(60))).unwrap();
    assert_eq!(world.rows(bob, CART), [""; 0], "it is on its way");
    world.settle();
    let (lucky, other) = if world.refused(ada).is_empty() { (ada, bob) } else { (bob, ada) };
    assert_eq!(world.refused(lucky), [""; 0]);
    assert_eq!(world.refused(other), ["sold_out"]);
    let letter = world.outbox(other).remove(0).problem.unwrap();
    assert_eq!(letter.message, "only 1 are left");
    assert_eq!(world.rows(lucky, CART), [""; 0]);
    assert!(world.rows(other, CART).contains(&"2 lamp".to_owned()), "the whole cart is back");
    assert_eq!(world.on_server("select stock from products where name = 'lamp'"), ["1"]);
    // With one lamp less it goes through; the letter is thrown away.
    let who = if other == bob { "bob" } else { "ada" };
    put(&mut world, other, who, LAMP, 1);
    world.write(other, |tx| app::check_out(tx, who, &id(70))).unwrap();
    world.settle();
    let letter = world.outbox(other)[0].rseq;
    world.app(other, |app, now, _| app.discard(letter, now)).unwrap();
    assert_eq!(world.on_server("select stock from products where name = 'lamp'"), ["0"]);
    assert_eq!(world.on_server("select count(*) from orders where total > 0"), ["2"]);
    assert_eq!(world.on_server("select count(*) from cart"), ["0"]);
}

#[test]
fn an_answer_that_is_lost_and_a_phone_that_dies_make_no_second_order() {
    let mut world = shop();
    let phone = world.device("ada", &SHAPES);
    put(&mut world, phone, "ada", LAMP, 2);
    world.settle();
    let head = world.head();
    world.write(phone, |tx| app::check_out(tx, "ada", &id(50))).unwrap();
    world.until(|world| world.head() > head);
    // It is decided, and nobody here knows.
    world.power_cut(phone);
    world.server_power_cut();
    world.start(phone);
    assert_eq!(world.engine(phone).status().pending, 1);
    world.settle();
    assert_eq!(world.refused(phone), [""; 0]);
    assert_eq!(world.rows(phone, "select total from orders"), ["3800"]);
    assert_eq!(
        world.on_server("select (select count(*) from orders), stock from products where name = 'lamp'"),
        ["1 1"]
    );
}

/// Who pressed "Buy" and went into a tunnel does not find a surprise the next morning.
#[test]
fn what_could_not_be_asked_within_a_minute_is_not_bought_later() {
    let mut world = shop();
    let phone = world.device("ada", &SHAPES);
    put(&mut world, phone, "ada", LAMP, 2);
    world.settle();
    world.write(phone, |tx| app::check_out(tx, "ada", &id(50))).unwrap();
    world.no_network(phone);
    world.pass(3_600);
    world.network(phone);
    world.settle();
    assert_eq!(world.refused(phone), ["LF-3012"]);
    assert_eq!(world.rows(phone, CART), ["2 lamp"]);
    assert_eq!(world.on_server("select stock from products where name = 'lamp'"), ["3"]);
}
