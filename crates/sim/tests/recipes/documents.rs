//! `docs/recipes/documents.md`: what was typed is there, bursts are one entry and one undo, a full outbox loses nothing.

use landfall_client::db::DbError;
use landfall_core::Value;
use landfall_core::value::format_uuid;

use crate::page;
use crate::world::{Id, World, id};

#[path = "code/documents.rs"]
mod app;

const TEXTS: &str = "select text from paragraphs order by rank, id";

/// A document of so many paragraphs, on a laptop and a phone.
fn desk(paragraphs: u8) -> (World, Id, Id) {
    let mut world = World::of("documents");
    let mut sql = format!("insert into documents (id, title) values ('{}', 'Sea');", format_uuid(&[1; 16]));
    for n in 0..paragraphs {
        let (paragraph, document) = (format_uuid(&[10 + n; 16]), format_uuid(&[1; 16]));
        let row = format!("('{paragraph}', '{document}', 'r{n:03}', 'p{n}')");
        sql += &format!("insert into paragraphs (id, document, rank, text) values {row};");
    }
    world.operator(&sql);
    let of = [("document", id(1))];
    let shapes: [(&str, &[(&str, Value)]); 2] = [("all_documents", &[]), ("document", &of)];
    let (laptop, phone) = (world.device("ada", &shapes), world.device("bob", &shapes));
    world.settle();
    (world, laptop, phone)
}

/// Saves, and does what the page's `saver` does when the outbox is full. Whether it was.
fn save(world: &mut World, device: Id, n: u8, text: &str) -> bool {
    match world.write(device, |tx| app::save(tx, &id(10 + n), text)) {
        Ok(_) => false,
        Err(DbError::OutboxFull { .. }) => {
            world.write(device, |tx| app::keep(tx, &id(10 + n), text)).unwrap();
            true
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("documents", include_str!("code/documents.rs"));
}

#[test]
fn a_burst_of_saves_is_one_entry_survives_a_dead_battery_and_is_one_undo() {
    let (mut world, laptop, phone) = desk(3);
    world.no_network(laptop);
    let mut text = String::new();
    for n in 0..40_u8 {
        text.push(char::from(b'a' + n % 26));
        save(&mut world, laptop, 0, &text);
        world.pass(1);
    }
    assert_eq!(world.outbox(laptop).len(), 1, "one burst, one entry");
    world.pass(60);
    save(&mut world, laptop, 0, "later");
    assert_eq!(world.outbox(laptop).len(), 2, "after a pause it is another");
    world.power_cut(laptop);
    world.start(laptop);
    world.no_network(laptop);
    assert_eq!(world.rows(laptop, TEXTS)[0], "later");
    let undo = |world: &mut World| world.app(laptop, |app, now, random| app.undo_last(now, random)).unwrap().unwrap();
    undo(&mut world);
    assert_eq!(world.rows(laptop, TEXTS)[0], text, "one undo takes back the last burst");
    undo(&mut world);
    assert_eq!(world.rows(laptop, TEXTS)[0], "p0");
    world.app(laptop, |app, now, random| app.redo_last(now, random)).unwrap().unwrap();
    world.network(laptop);
    world.settle();
    assert_eq!(world.rows(phone, TEXTS), [text.as_str(), "p1", "p2"]);
}

#[test]
fn two_chapters_merge_and_undo_leaves_alone_what_somebody_else_wrote() {
    let (mut world, laptop, phone) = desk(3);
    world.no_network(laptop);
    world.no_network(phone);
    save(&mut world, laptop, 0, "ada's first");
    save(&mut world, phone, 2, "bob's last");
    world.kill(phone);
    world.start(phone);
    world.network(laptop);
    world.network(phone);
    world.settle();
    for device in [laptop, phone] {
        assert_eq!(world.rows(device, TEXTS), ["ada's first", "p1", "bob's last"]);
    }
    // Bob goes on in Ada's paragraph; then Ada presses Ctrl+Z.
    save(&mut world, phone, 0, "bob's first");
    world.settle();
    let undone = world.app(laptop, |app, now, random| app.undo_last(now, random)).unwrap().unwrap();
    let left: Vec<_> = undone.value.left.iter().map(|left| left.column.as_deref()).collect();
    assert_eq!(left, [Some("text")], "it is named");
    world.settle();
    assert_eq!(world.rows(phone, TEXTS), ["bob's first", "p1", "bob's last"]);
}

#[test]
fn a_full_outbox_refuses_in_time_and_what_is_typed_is_kept() {
    let (mut world, laptop, phone) = desk(40);
    world.no_network(laptop);
    let long = |n: u8| format!("{n} {}", "x".repeat(90_000));
    let full: Vec<bool> = (0..40).map(|n| save(&mut world, laptop, n, &long(n))).collect();
    assert!(full[0..15].iter().all(|full| !full) && full[25..].iter().all(|full| *full), "{full:?}");
    assert!(world.engine(laptop).db().counts().bytes <= 2_000_000, "the limit of the page");
    world.power_cut(laptop);
    world.start(laptop);
    world.network(laptop);
    world.settle();
    loop {
        match world.write(laptop, app::bring_in) {
            Ok(written) if written.value => {}
            Ok(_) => break,
            Err(DbError::OutboxFull { .. }) => world.settle(),
            Err(other) => panic!("{other}"),
        }
    }
    world.settle();
    let wanted: Vec<String> = (0..40).map(long).collect();
    assert!(world.rows(phone, TEXTS) == wanted, "every paragraph is at home");
}

#[test]
fn what_was_written_into_a_document_that_was_deleted_is_not_lost() {
    let (mut world, laptop, phone) = desk(2);
    world.no_network(laptop);
    save(&mut world, laptop, 0, "ada's");
    world.write(phone, |tx| tx.execute("delete from documents", &[])).unwrap();
    world.until(|world| world.on_server("select count(*) from paragraphs") == ["0"]);
    world.network(laptop);
    world.settle();
    assert_eq!(world.refused(laptop), ["LF-3003"]);
    assert_eq!(world.outbox(laptop)[0].transaction.operations[0].value("text"), Some(&"ada's".into()));
    // What is typed from then on has no paragraph, and is kept here.
    save(&mut world, laptop, 0, "ada's, again");
    assert_eq!(world.rows(laptop, "select text from kept"), ["ada's, again"]);
}
