//! What a column's merge rule means on the device, before the server has been asked.

use std::collections::BTreeMap;

use landfall_core::error::codes as core;
use landfall_core::rules::MergeRule;
use landfall_protocol::server::{Resumption, Start};

use super::world::*;
use super::*;

/// Counters whose `a` only goes up, and whose `b` is written once.
fn ruled() -> Database {
    let mut schema = schema();
    let counters = schema.tables.iter_mut().find(|t| t.name == "counters").expect("the table");
    counters.columns[1].merge = MergeRule::named("max").expect("a rule");
    counters.columns[2].merge = MergeRule::named("first").expect("a rule");
    Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens")
}

fn pair(db: &Database) -> Vec<Value> {
    rows(db, "SELECT a, b FROM counters WHERE id = 1").remove(0)
}

#[test]
fn what_the_largest_value_beats_is_no_write_at_all() {
    let mut db = ruled();
    write(&mut db, &["INSERT INTO counters VALUES (1, 10, NULL)"]).expect("writes");
    let lower = write(&mut db, &["UPDATE counters SET a = 5 WHERE id = 1"]).expect("writes");
    assert_eq!(lower.rseq, None, "nothing is to be sent");
    assert_eq!(pair(&db), [Value::Int(10), Value::Null], "and the app sees at once what stays");
    write(&mut db, &["UPDATE counters SET a = 11 WHERE id = 1", "UPDATE counters SET a = 7 WHERE id = 1"])
        .expect("writes");
    assert_eq!(pair(&db)[0], Value::Int(10), "a transaction's last word counts, as everywhere");
    write(&mut db, &["UPDATE counters SET a = 12 WHERE id = 1"]).expect("writes");
    assert_eq!(pair(&db)[0], Value::Int(12));
}

#[test]
fn a_value_that_is_written_once_is_refused_the_second_time_and_nothing_of_it_is_written() {
    let mut db = ruled();
    write(&mut db, &["INSERT INTO counters VALUES (1, 1, NULL)"]).expect("writes");
    write(&mut db, &["UPDATE counters SET b = 3 WHERE id = 1"]).expect("NULL is no value yet");
    let refused = write(&mut db, &["UPDATE counters SET a = 9, b = 4 WHERE id = 1"]).expect_err("it has its value");
    assert_eq!(refused.code(), core::WRITTEN_ONCE);
    assert!(refused.to_string().contains("counters.b"), "{refused}");
    write(&mut db, &["UPDATE counters SET b = 3 WHERE id = 1"]).expect("the same value is no change");
    assert_eq!(pair(&db), [Value::Int(1), Value::Int(3)]);
}

#[test]
fn an_undo_leaves_what_its_rule_lets_go_forward_only() {
    let mut db = ruled();
    write(&mut db, &["INSERT INTO counters VALUES (1, 10, NULL)"]).expect("writes");
    write(&mut db, &["UPDATE counters SET a = 20, b = 5 WHERE id = 1"]).expect("writes");
    let undone = db.undo_last(NOW, &mut |bytes| bytes.fill(9)).expect("undoes").expect("there is something");
    let left: Vec<_> = undone.value.left.iter().filter_map(|left| left.column.as_deref()).collect();
    assert_eq!(left, ["a", "b"]);
    assert_eq!(pair(&db), [Value::Int(20), Value::Int(5)]);
}

#[test]
fn what_others_raised_meanwhile_shows_over_ones_own_pending_value() {
    let mut db = ruled();
    let mut server = Server::new();
    db.welcome(&welcome(&server, 0, Resumption::Fresh, 1), NOW).expect("welcome");
    let handle = db.subscribe("counters", BTreeMap::new()).expect("subscribes");
    db.opened(handle, &[ALL.opening(Start::Live)]).expect("opens");
    server.remote(1, Some((Some(1), None)));
    let mut cut = 0;
    let mut catch_up = |db: &mut Database, server: &Server| {
        let changes = live(server, cut, server.head(), &[ALL]);
        cut = server.head();
        db.apply_live(cut, cut, stamp(cut), &changes, NOW).expect("live");
    };
    catch_up(&mut db, &server);
    write(&mut db, &["UPDATE counters SET a = 5 WHERE id = 1"]).expect("writes");
    for (theirs, shown) in [(3, 5), (8, 8)] {
        server.remote(1, Some((Some(theirs), None)));
        catch_up(&mut db, &server);
        assert_eq!(pair(&db)[0], Value::Int(shown), "they wrote {theirs}");
    }
}
