//! `docs/recipes/survey.md`: a draft or a response, never both and never neither; one receipt; nothing typed is lost.

use std::time::Duration;

use landfall_client::db::{EntryState, Withdrawal};
use landfall_core::Value;
use landfall_core::value::format_uuid;
use landfall_server::actions::Actions;

use crate::page;
use crate::world::{Id, World, id};

#[path = "code/survey.rs"]
mod app;
#[path = "code/survey_server.rs"]
mod server;

const SHAPES: [(&str, &[(&str, Value)]); 2] = [("all_surveys", &[]), ("my_responses", &[])];
const SURVEY: u8 = 1;
/// How many drafts there are, and how many responses.
const BOTH: &str = "select (select count(*) from drafts), (select count(*) from responses)";

fn handlers() -> Actions {
    Actions::new().on("submit", server::receive).with_clock(|| Duration::ZERO)
}

fn field() -> (World, Id) {
    let mut world = World::with_handlers("survey", handlers);
    let survey = format_uuid(&[SURVEY; 16]);
    world.operator(&format!("insert into surveys (id, title, open) values ('{survey}', 'Herons', 1)"));
    let phone = world.device("ada", &SHAPES);
    world.settle();
    (world, phone)
}

fn save(world: &mut World, device: Id, draft: u8, seen: u64) {
    let answers = serde_json::json!({ "herons": seen, "weather": "näher" });
    world.write(device, |tx| app::save(tx, &id(draft), &id(SURVEY), &answers)).unwrap();
}

fn submit(world: &mut World, device: Id, draft: u8, by: &str) -> u64 {
    world.write(device, |tx| app::submit(tx, &id(draft), by)).unwrap().rseq.unwrap()
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("survey", concat!(include_str!("code/survey.rs"), "\n", include_str!("code/survey_server.rs")));
}

#[test]
fn a_draft_is_never_sent_and_outlives_dead_batteries() {
    let (mut world, phone) = field();
    let head = world.head();
    for seen in 0..20 {
        save(&mut world, phone, 10, seen);
        if seen % 5 == 4 {
            world.power_cut(phone);
            world.start(phone);
        }
    }
    assert_eq!(world.rows(phone, "select json_extract(answers, '$.herons') from drafts"), ["19"]);
    world.settle();
    assert_eq!((world.outbox(phone).len(), world.head()), (0, head), "nobody has heard of it");
}

/// The power goes within each of the first operations of the disk: it is a draft, or a response.
#[test]
fn handing_in_is_whole_or_not_at_all() {
    let (mut world, phone) = field();
    world.no_network(phone);
    let mut became = [0, 0];
    for operations in 0..30 {
        let draft = 10 + operations as u8;
        save(&mut world, phone, draft, 3);
        let before = world.rows(phone, BOTH);
        world.power_cut_within(phone, operations);
        let handed_in = world.write(phone, |tx| app::submit(tx, &id(draft), "ada"));
        if !world.has_power(phone) {
            world.power_cut(phone);
            world.start(phone);
            world.no_network(phone);
        }
        world.power_stays(phone);
        let key = format_uuid(&[draft; 16]);
        let is = |table: &str| !world.rows(phone, &format!("select 1 from {table} where id = '{key}'")).is_empty();
        let (draft, response) = (is("drafts"), is("responses"));
        assert!(draft != response, "{before:?}, then {:?}", world.rows(phone, BOTH));
        assert!(response || handed_in.is_err(), "it was told that it is handed in");
        became[usize::from(response)] += 1;
    }
    assert!(became.iter().all(|times| *times > 0), "{became:?}");
}

#[test]
fn what_was_not_sent_can_be_taken_back_changed_and_handed_in() {
    let (mut world, phone) = field();
    world.no_network(phone);
    save(&mut world, phone, 10, 3);
    let rseq = submit(&mut world, phone, 10, "ada");
    assert_eq!(world.rows(phone, BOTH), ["0 1"]);
    let withdrawn = world.app(phone, |app, now, random| app.withdraw(rseq, now, random)).unwrap().value;
    let Withdrawal::Withdrawn { entry, .. } = withdrawn else { panic!("it was never sent") };
    world.write(phone, |tx| app::reopen(tx, &entry)).unwrap();
    assert_eq!(world.rows(phone, BOTH), ["1 0"]);
    assert_eq!(world.outbox(phone).len(), 0);
    save(&mut world, phone, 10, 4);
    submit(&mut world, phone, 10, "ada");
    world.network(phone);
    world.settle();
    assert_eq!(world.rows(phone, "select json_extract(answers, '$.herons'), receipt from responses"), ["4 1"]);
    assert_eq!(world.on_server("select taken from surveys"), ["1"]);
}

#[test]
fn what_is_on_its_way_is_final_and_is_taken_once() {
    let (mut world, phone) = field();
    let tablet = world.device("ada", &SHAPES);
    world.settle();
    save(&mut world, phone, 10, 3);
    let head = world.head();
    let rseq = submit(&mut world, phone, 10, "ada");
    world.until(|world| world.head() > head);
    world.no_network(phone);
    let refused = world.app(phone, |app, now, random| app.withdraw(rseq, now, random)).unwrap_err();
    assert_eq!(refused.code().as_str(), "LF-5037");
    world.power_cut(phone);
    world.server_power_cut();
    world.start(phone);
    world.network(phone);
    world.settle();
    for device in [phone, tablet] {
        assert_eq!(world.rows(device, "select receipt from responses"), ["1"]);
    }
    assert_eq!(world.on_server("select taken from surveys"), ["1"]);
    // The tablet has a draft of the same survey.
    save(&mut world, tablet, 20, 9);
    submit(&mut world, tablet, 20, "ada");
    world.settle();
    assert_eq!(world.refused(tablet), ["twice"]);
}

#[test]
fn a_survey_that_has_ended_says_so_and_every_answer_is_a_draft_again() {
    let (mut world, phone) = field();
    world.no_network(phone);
    save(&mut world, phone, 10, 7);
    submit(&mut world, phone, 10, "ada");
    world.operator("update surveys set open = 0");
    world.network(phone);
    world.settle();
    assert_eq!(world.refused(phone), ["closed"]);
    assert_eq!(world.rows(phone, BOTH), ["0 0"]);
    let letter = world.outbox(phone).into_iter().find(|entry| entry.state == EntryState::Dead).unwrap();
    assert_eq!(letter.problem.as_ref().unwrap().message, "this survey has ended");
    world.write(phone, |tx| app::reopen(tx, &letter)).unwrap();
    assert_eq!(world.rows(phone, BOTH), ["1 0"]);
    assert_eq!(world.rows(phone, "select json_extract(answers, '$.herons') from drafts"), ["7"]);
    assert_eq!(world.outbox(phone).len(), 0, "the letter's place was taken");
    world.settle();
    assert_eq!(world.on_server("select count(*) from responses"), ["0"]);
}

#[test]
fn what_could_not_be_handed_in_for_a_month_is_a_dead_letter() {
    let (mut world, phone) = field();
    world.no_network(phone);
    save(&mut world, phone, 10, 7);
    submit(&mut world, phone, 10, "ada");
    world.kill(phone);
    world.pass(31 * 24 * 3_600);
    world.start(phone);
    world.settle();
    assert_eq!(world.refused(phone), ["LF-3012"]);
    assert_eq!(world.on_server("select count(*) from responses"), ["0"]);
}
