//! `docs/recipes/todo.md`: a list that two people sort apart is one list again, with every item once.

use std::collections::BTreeSet;

use landfall_core::Value;
use landfall_core::value::format_uuid;
use landfall_sim::dice::Dice;

use crate::page;
use crate::world::{Id, World, id};

#[path = "code/todo.rs"]
mod app;

const ITEMS: &str = "select text, rank from items order by rank, id";
const FIRST: u8 = 10;

/// A list of so many items, on two phones.
fn lists(items: u8) -> (World, Id, Id) {
    let mut world = World::of("todo");
    world.operator(&format!("insert into lists (id, name) values ('{}', 'shop')", format_uuid(&[1; 16])));
    let of = [("list", id(1))];
    let shapes: [(&str, &[(&str, Value)]); 2] = [("all_lists", &[]), ("items_of", &of)];
    let (ada, bob) = (world.device("ada", &shapes), world.device("bob", &shapes));
    let mut last = None::<String>;
    for n in 0..items {
        let rank = app::between(last.as_deref(), None, &format!("{n:02x}"));
        let cells = [("id", id(FIRST + n)), ("list", id(1)), ("rank", rank.clone().into()), ("text", name(n).into())];
        world.write(ada, |tx| tx.insert("items", &cells)).unwrap();
        last = Some(rank);
    }
    world.settle();
    (world, ada, bob)
}

fn name(n: u8) -> String {
    format!("item-{n:02}")
}

/// The list as a person sees it: texts and ranks.
fn list(world: &World, device: Id) -> Vec<(String, String)> {
    let split = |row: &String| row.split_once(' ').map(|(text, rank)| (text.to_owned(), rank.to_owned()));
    world.rows(device, ITEMS).iter().filter_map(split).collect()
}

fn texts(world: &World, device: Id) -> Vec<String> {
    list(world, device).into_iter().map(|(text, _)| text).collect()
}

/// Drags an item to a place among the others.
fn drag(world: &mut World, device: Id, item: u8, to: usize) {
    let others: Vec<_> = list(world, device).into_iter().filter(|(text, _)| *text != name(item)).collect();
    let rank = |at: Option<usize>| at.and_then(|at| others.get(at)).map(|(_, rank)| rank.as_str());
    let (before, after) = (rank(to.checked_sub(1)), rank(Some(to)));
    world.write(device, |tx| app::put(tx, &id(FIRST + item), before, after)).unwrap();
    assert_eq!(texts(world, device)[to], name(item), "it is where it was put");
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("todo", include_str!("code/todo.rs"));
}

#[test]
fn there_is_a_rank_between_any_two() {
    let mut dice = Dice::new(1, "ranks");
    let mut ranks: Vec<String> = Vec::new();
    for n in 0..4_000_u64 {
        // Now at one end, now at the other, now always at one place, now anywhere.
        let at = match n / 500 {
            0 => 0,
            1 => ranks.len(),
            2 | 3 => ranks.len() / 2,
            _ => dice.index(ranks.len() + 1),
        };
        let near = |at: Option<usize>| at.and_then(|at| ranks.get(at)).map(String::as_str);
        let rank = app::between(near(at.checked_sub(1)), near(Some(at)), &format!("{:04x}", dice.below(0x1_0000)));
        ranks.insert(at, rank);
    }
    assert!(ranks.is_sorted_by(|a, b| a < b), "strictly in order");
    assert!(ranks.iter().all(|rank| !rank.ends_with('0')), "there is room before each");
    let longest = ranks.iter().map(String::len).max().unwrap();
    assert!(longest <= 500, "a rank of {longest} characters is more than the schema takes");
}

#[test]
fn a_list_that_two_people_sort_apart_is_one_list_again() {
    let (mut world, ada, bob) = lists(20);
    let mut dice = Dice::new(7, "drags");
    for round in 0..4 {
        world.no_network(ada);
        world.no_network(bob);
        for _ in 0..10 {
            let (mine, theirs) = (dice.below(20) as u8, dice.below(20) as u8);
            drag(&mut world, ada, mine, dice.index(20));
            drag(&mut world, bob, theirs, dice.index(20));
        }
        world.write(bob, |tx| tx.execute("update items set done = 1 where text = 'item-03'", &[])).unwrap();
        let dead = if round % 2 == 0 { ada } else { bob };
        world.power_cut(dead);
        world.start(dead);
        world.network(ada);
        let head = world.head();
        world.network(bob);
        world.until(|world| world.head() > head + 3);
        world.server_power_cut();
        world.settle();
        let order = texts(&world, ada);
        assert_eq!(texts(&world, bob), order);
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 20, "each once: {order:?}");
        assert_eq!(world.rows(ada, "select done from items where text = 'item-03'"), ["true"]);
    }
    assert_eq!((world.refused(ada), world.refused(bob)), (vec![], vec![]));
}

#[test]
fn moves_of_different_items_both_stand_and_the_later_move_of_one_item_wins() {
    let (mut world, ada, bob) = lists(6);
    world.no_network(ada);
    world.no_network(bob);
    drag(&mut world, ada, 5, 0);
    drag(&mut world, bob, 0, 5);
    drag(&mut world, ada, 3, 5);
    world.pass(10);
    drag(&mut world, bob, 3, 0);
    world.network(ada);
    world.network(bob);
    world.settle();
    let order = texts(&world, ada);
    assert_eq!(texts(&world, bob), order);
    assert_eq!(order, [5, 3, 1, 2, 4, 0].map(name));
}

#[test]
fn two_items_at_one_place_stand_in_one_order_everywhere() {
    let (mut world, ada, bob) = lists(4);
    world.no_network(ada);
    world.no_network(bob);
    drag(&mut world, ada, 3, 1);
    drag(&mut world, bob, 2, 1);
    world.network(ada);
    world.network(bob);
    world.settle();
    let order = texts(&world, ada);
    assert_eq!(texts(&world, bob), order);
    assert_eq!(order[0], name(0));
    assert_eq!(order[3], name(1));
    // There is room between the two.
    drag(&mut world, ada, 1, 2);
}
