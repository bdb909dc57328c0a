//! `merge = "ot"`.

use landfall_client::db::EntryState;
use landfall_core::{Schema, Value};

use super::{World, run, sees};

const SCHEMA: &str = r#"
[app]
name = "notes"
version = 1
[outbox]
collapse = "0s"
[tables.notes.columns]
id   = "integer"
body = { type = "text", merge = "ot", max_length = 60 }
[shapes.notes]
table = "notes"
"#;

const BODY: &str = "SELECT body FROM notes";

fn body(text: &str) -> Vec<Vec<Value>> {
    vec![vec![text.into()]]
}

async fn notes() -> World {
    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    let world = World::new(&schema, [&schema, &schema], &["notes"]).await;
    run(&world.phone, "INSERT INTO notes (id, body) VALUES (1, 'The sea is blue.')").await;
    for client in [&world.phone, &world.laptop] {
        sees(client, BODY, body("The sea is blue.")).await;
    }
    world
}

/// Several edits on each of two devices, at the same places: all that was typed is there, what both deleted is gone once, what came
/// first stands first, and both show the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_two_typed_into_one_text_is_all_there() {
    let world = notes().await;
    world.apart().await;
    run(&world.phone, "UPDATE notes SET body = 'The deep sea is blue.'").await;
    run(&world.phone, "UPDATE notes SET body = 'The deep sea is.'").await;
    run(&world.phone, "UPDATE notes SET body = body || ' Still.'").await;
    run(&world.laptop, "UPDATE notes SET body = 'The cold sea is blue.'").await;
    run(&world.laptop, "UPDATE notes SET body = 'The cold sea is.'").await;
    run(&world.laptop, "UPDATE notes SET body = body || ' 🌊'").await;
    sees(&world.laptop, BODY, body("The cold sea is. 🌊")).await;
    world.together().await;
    for client in [&world.phone, &world.laptop] {
        sees(client, BODY, body("The deep cold sea is. Still. 🌊")).await;
    }
    // One edit is taken back, beside what the other one has made of the text since.
    let last = world.laptop.write(|tx| tx.execute("UPDATE notes SET body = replace(body, 'Still', 'Yes')", &[])).await;
    let last = last.unwrap().rseq.unwrap();
    sees(&world.phone, BODY, body("The deep cold sea is. Yes. 🌊")).await;
    run(&world.phone, "UPDATE notes SET body = replace(body, 'cold', 'wild')").await;
    sees(&world.laptop, BODY, body("The deep wild sea is. Yes. 🌊")).await;
    let undone = world.laptop.undo_one(last).await.unwrap();
    assert!(undone.value.left.is_empty());
    for client in [&world.phone, &world.laptop] {
        sees(client, BODY, body("The deep wild sea is. Still. 🌊")).await;
    }
    world.end().await;
}

/// What waits on a device is shown over what comes from others meanwhile, and not in its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_shown_in_what_others_have_made_of_the_text() {
    let world = notes().await;
    world.phone.pause().await.unwrap();
    run(&world.phone, "UPDATE notes SET body = 'The sea is deep blue.'").await;
    run(&world.phone, "UPDATE notes SET body = 'The sea is deep, deep blue.'").await;
    run(&world.laptop, "UPDATE notes SET body = 'Look: the sea is blue!'").await;
    sees(&world.phone, BODY, body("Look: the sea is deep, deep blue!")).await;
    // And so it is by whoever goes on from there.
    run(&world.phone, "UPDATE notes SET body = replace(body, 'Look', 'See')").await;
    sees(&world.laptop, BODY, body("Look: the sea is blue!")).await;
    world.phone.resume().await.unwrap();
    for client in [&world.laptop, &world.phone] {
        sees(client, BODY, body("See: the sea is deep, deep blue!")).await;
    }
    world.end().await;
}

/// What both have typed is too long for one text: the later one is refused, says why, and is kept as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_together_waits_for_its_author() {
    let world = notes().await;
    world.apart().await;
    run(&world.phone, "UPDATE notes SET body = body || ' And so wide that nobody sees its end.'").await;
    run(&world.laptop, "UPDATE notes SET body = 'In the morning, when all are asleep: ' || body").await;
    world.together().await;
    let all = "The sea is blue. And so wide that nobody sees its end.";
    sees(&world.laptop, BODY, body(all)).await;
    let outbox = world.laptop.outbox().await.unwrap();
    let [letter] = &outbox[..] else { panic!("{outbox:?}") };
    assert_eq!(letter.state, EntryState::Dead);
    assert_eq!(letter.problem.as_ref().unwrap().code.as_str(), "LF-2003");
    let cell = &letter.transaction.operations[0].cells()[0];
    assert!(format!("{:?}", cell.value).contains("In the morning, when all are asleep: "));
    world.end().await;
}
