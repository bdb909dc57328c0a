//! `docs/recipes/care-logs.md`: no record is lost or doubled, and records go before everything else.

use landfall_core::Value;

use crate::page;
use crate::world::{Id, World, id};

#[path = "code/care_logs.rs"]
mod app;

const SHAPES: [(&str, &[(&str, Value)]); 4] =
    [("all_patients", &[]), ("all_doses", &[]), ("all_strikes", &[]), ("all_notes", &[])];
const DOSES: &str = "select id, medicine, micrograms, by from doses order by id";

fn ward() -> (World, Id, Id) {
    let mut world = World::of("care-logs");
    world.operator(&format!("insert into patients (id, name) values ({}, 'Ida'), ({}, 'Jon')", text(1), text(2)));
    let (tablet, desk) = (world.device("ada", &SHAPES), world.device("bob", &SHAPES));
    world.settle();
    (world, tablet, desk)
}

fn text(n: u8) -> String {
    format!("'{}'", landfall_core::value::format_uuid(&[n; 16]))
}

fn dose(patient: u8, medicine: &str) -> app::Dose<'_> {
    app::Dose { patient: id(patient), medicine, micrograms: 250, by: "ada" }
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    page::shows("care-logs", include_str!("code/care_logs.rs"));
}

/// The power goes within each of the first operations of the disk in turn. Whoever was told that it is written finds it;
/// whoever was not presses the button again.
#[test]
fn no_dose_is_lost_or_doubled_whenever_the_power_goes() {
    let (mut world, tablet, desk) = ward();
    world.no_network(tablet);
    let mut interrupted = 0;
    for n in 10..50_u8 {
        world.write(tablet, |tx| tx.insert("notes", &[("text", format!("note {n}").into())])).unwrap();
        let record = dose(1, "digoxin");
        world.power_cut_within(tablet, u64::from(n) - 10);
        let written = world.write(tablet, |tx| app::give(tx, &id(n), &record));
        if !world.has_power(tablet) {
            interrupted += 1;
            world.power_cut(tablet);
            world.no_network(tablet);
            world.start(tablet);
        }
        world.power_stays(tablet);
        let there = world.rows(tablet, &format!("select 1 from doses where id = {}", text(n))).len() == 1;
        assert!(there || written.is_err(), "dose {n} was written, and is not there");
        let again = world.write(tablet, |tx| app::give(tx, &id(n), &record)).unwrap();
        assert_eq!(again.rseq.is_none(), there, "a second tap writes what is not there, and nothing else");
    }
    assert!(interrupted >= 5, "the power went {interrupted} times only");
    assert_eq!(world.rows(tablet, DOSES).len(), 40);

    // The server's power goes in the middle of the sending, and the tablet's.
    world.network(tablet);
    world.until(|world| world.head() > 20);
    world.server_power_cut();
    world.power_cut(tablet);
    world.start(tablet);
    world.settle();
    let on_server = world.on_server("select id, medicine, micrograms, \"by\" from doses order by id");
    assert_eq!(on_server.len(), 40);
    assert_eq!(on_server, world.rows(tablet, DOSES));
    assert_eq!(on_server, world.rows(desk, DOSES));
    assert_eq!(world.on_server("select count(*), count(distinct text) from notes"), ["40 40"]);
    assert_eq!(world.refused(tablet), Vec::<String>::new());
}

#[test]
fn doses_go_before_notes_that_were_written_earlier() {
    let (mut world, tablet, _) = ward();
    world.no_network(tablet);
    for n in 10..40_u8 {
        world.write(tablet, |tx| tx.insert("notes", &[("text", format!("note {n}").into())])).unwrap();
        world.write(tablet, |tx| app::give(tx, &id(n), &dose(1, "insulin"))).unwrap();
    }
    world.network(tablet);
    let (mut head, mut early) = (world.head(), 0);
    world.until(|world| {
        if std::mem::replace(&mut head, world.head()) != world.head() {
            let both = world.on_server("select (select count(*) from doses), (select count(*) from notes)");
            let (doses, notes) = both[0].split_once(' ').unwrap();
            // Every eighth choice is by age alone, so that nothing waits for ever.
            early = early.max(if doses == "30" { 0 } else { notes.parse::<u64>().unwrap() });
            return both == ["30 30"];
        }
        false
    });
    assert!(early <= 6, "{early} notes came before the last dose");
}

#[test]
fn a_record_for_a_patient_who_is_gone_is_kept_and_goes_to_the_right_one() {
    let (mut world, tablet, desk) = ward();
    world.no_network(tablet);
    world.write(tablet, |tx| app::give(tx, &id(10), &dose(2, "heparin"))).unwrap();
    world.operator(&format!("delete from patients where id = {}", text(2)));
    world.network(tablet);
    world.settle();
    assert_eq!(world.refused(tablet), ["LF-3003"]);
    assert_eq!(world.engine(tablet).status().dead, 1);
    let entry = world.outbox(tablet).remove(0);
    assert_eq!(entry.transaction.operations[0].value("medicine"), Some(&"heparin".into()));

    world.write(tablet, |tx| app::readdress(tx, entry.rseq, &id(10), &id(1))).unwrap();
    world.settle();
    assert_eq!(world.refused(tablet), Vec::<String>::new());
    assert_eq!(
        world.rows(desk, "select medicine, patient from doses"),
        [format!("heparin {}", text(1).replace('\'', ""))]
    );
}

#[test]
fn what_was_written_is_struck_and_never_changed() {
    let (mut world, tablet, desk) = ward();
    world.no_network(tablet);
    world.write(tablet, |tx| app::give(tx, &id(10), &dose(1, "heparin"))).unwrap();
    world.write(tablet, |tx| app::strike(tx, &id(10), "ada", "wrong bed")).unwrap();
    world.network(tablet);
    world.settle();
    let kept = "select medicine, why from doses left join strikes on dose = id";
    assert_eq!(world.rows(desk, kept), ["heparin wrong bed"]);
    // The colleague cannot change it, whatever their app does.
    world.write(desk, |tx| tx.execute("update doses set micrograms = 1", &[])).unwrap();
    world.settle();
    assert_eq!(world.refused(desk), ["LF-3001"]);
    assert_eq!(world.on_server("select micrograms from doses"), ["250"]);
    assert_eq!(world.rows(desk, "select micrograms from doses"), ["250"]);
}
