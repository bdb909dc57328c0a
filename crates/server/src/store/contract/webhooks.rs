//! Transactions about which a webhook is asked: what is asked, and what becomes of the answer.

use std::sync::Arc;

use landfall_core::Value;
use landfall_core::error::codes;
use landfall_protocol::Outcome;
use serde_json::{Value as Json, json};

use super::*;
use crate::actions::Actions;
use crate::actions::hooks::{Again, Heard, Moved, Name, Next, Question, ROUNDS, RowId, Seen, Verdict};
use crate::store::{GroupCommit, PushEntry, codes as store_codes};

/// A shop with two lamps, whose orders a webhook decides.
fn open<B: Backend>(backend: &B) -> Box<dyn Store> {
    let store = backend.open_with(&shop(), Actions::new().on_webhook("checkout"));
    backend.outside("INSERT INTO products (id, stock) VALUES ('lamp', 2)");
    store
}

/// What is asked about the only entry of a group that was not decided.
fn asked(group: &GroupCommit) -> (Name, Question, Json) {
    let [(name, Next::Ask(question))] = group.asks.as_slice() else { panic!("{group:?}") };
    assert!(group.outcomes.contains(&Outcome::Asked { again_ms: name.again_ms() }), "{group:?}");
    (*name, question.clone(), serde_json::from_slice(&question.body).unwrap())
}

/// What is to be asked when the rows of a stale answer are free, and which those are.
fn contends(group: &GroupCommit) -> (Again, Vec<Moved>) {
    let [(name, Next::Contend(again, moved))] = group.asks.as_slice() else { panic!("{group:?}") };
    assert!(group.outcomes.contains(&Outcome::Asked { again_ms: name.again_ms() }), "{group:?}");
    (again.clone(), moved.clone())
}

/// The entry again, when it is its turn.
fn turn(push: &PushEntry, again: Again) -> PushEntry {
    PushEntry { heard: Heard::Turn(Name::of(push).unwrap(), Some(Arc::new(again))), ..push.clone() }
}

/// The entry again, with an answer.
fn told(push: &PushEntry, question: &Question, answer: &Json) -> PushEntry {
    let (rows, round) = (question.rows.clone(), question.round);
    let verdict = Verdict::Answered { body: answer.to_string().into_bytes(), rows, round };
    PushEntry { heard: Heard::Verdict(Name::of(push).unwrap(), Arc::new(verdict)), ..push.clone() }
}

fn also(table: &str, key: &str) -> Json {
    json!({ "read": [{ "table": table, "key": key }] })
}

fn sells(stock: i64, number: i64) -> Json {
    json!({ "operations": [
        { "op": "update", "table": "products", "key": "lamp", "set": { "stock": stock } },
        { "op": "update", "table": "orders", "key": ["a"], "set": { "number": number } },
        { "op": "insert", "table": "receipts", "set": { "order": "a" } },
    ] })
}

/// P19: nothing of it is applied while it is asked about; what follows it waits, what does not goes on. The answer has one
/// sequence with what the device writes.
pub(crate) fn what_is_asked_about_holds_up_nobody_else<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend);
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let push = order(&mut ann, "a", None);
    let follower = ann.follow(vec![update("orders", "a", 0, &[("product", Value::Null)])], &[1], &[1]);
    let free = bob.write(vec![insert("orders", "b", &[("product", text("lamp"))])]);
    let group = commit(&mut *store, &[push.clone(), follower.clone(), free]);
    let (name, question, json) = asked(&group);
    assert_eq!(Some(name), Name::of(&push));
    assert_eq!(group.outcomes[1], Outcome::Deferred { missing: 1 });
    accepted(&group.outcomes[2]);
    assert_eq!(group.counters.failed, 0);
    assert_eq!((&json["id"], &json["action"]), (&json!(name.id()), &json!("checkout")));
    assert_eq!(json["args"], json!({ "order": "a" }));
    assert_eq!(json["operations"][0]["set"], json!({ "product": "lamp" }));
    assert_eq!(json["rows"], json!([{ "table": "orders", "key": ["a"], "version": null, "row": null }]));

    // Whoever brings it meanwhile is told the same, and nothing more is asked.
    let waiting = PushEntry { heard: Heard::Later { again_ms: 321 }, ..push.clone() };
    let again = commit(&mut *store, &[waiting]);
    assert_eq!((again.outcomes, again.asks.len()), (vec![Outcome::Asked { again_ms: 321 }], 0));

    let group = commit(&mut *store, &[told(&push, &question, &also("products", "lamp"))]);
    let (_, question, json) = asked(&group);
    assert_eq!(question.round, 2);
    assert_eq!(json["rows"][1]["row"], json!({ "id": "lamp", "stock": 2 }));
    let group = commit(&mut *store, &[told(&push, &question, &sells(1, 7)), follower]);
    let (seq, _) = (accepted(&group.outcomes[0]), accepted(&group.outcomes[1]));
    let entry = store.reader().unwrap().log_entry(seq).unwrap().expect("in the log");
    let tables: Vec<&str> = entry.changes.iter().map(|change| change.table.as_str()).collect();
    assert_eq!(tables, ["products", "orders", "receipts"]);
    assert_eq!(accept(&mut *store, push), seq, "decided once");
}

/// P19: an answer is carried out, or refuses, only while the rows are as they were; else the question is put anew, so often.
pub(crate) fn an_answer_rests_on_rows_as_they_were<B: Backend>() {
    for moving in ["UPDATE products SET stock = 9", "DELETE FROM products"] {
        let backend = B::fresh();
        let mut store = open(&backend);
        let mut ann = Device::new(1, "ann");
        let push = order(&mut ann, "a", None);
        let (_, question, _) = asked(&commit(&mut *store, std::slice::from_ref(&push)));
        let reads = also("products", "lamp");
        let (_, question, _) = asked(&commit(&mut *store, &[told(&push, &question, &reads)]));
        backend.outside(moving);
        let no = json!({ "refuse": { "code": "sold_out", "message": "nothing is left" } });
        let (again, moved) = contends(&commit(&mut *store, &[told(&push, &question, &no)]));
        assert_eq!((again.round, again.rows.len()), (3, 2));
        let lamp = RowId::of("products", &key("lamp"));
        assert!(matches!(&moved[..], [Moved { row, version }] if *row == lamp && *version != question.rows[1].version));
        let (_, question, json) = asked(&commit(&mut *store, &[turn(&push, again)]));
        assert_eq!(question.rows[1].version, moved[0].version);
        let row = if moving.starts_with("UPDATE") { json!({ "id": "lamp", "stock": 9 }) } else { Json::Null };
        assert_eq!((question.round, &json["rows"][1]["row"]), (3, &row));
        assert_eq!(refuse(&mut *store, told(&push, &question, &no)).as_str(), "sold_out");
    }
    let backend = B::fresh();
    let mut store = open(&backend);
    let push = order(&mut Device::new(1, "ann"), "a", None);
    let (_, question, _) = asked(&commit(&mut *store, std::slice::from_ref(&push)));
    let stale =
        |version: Option<&str>| json!({ "rests_on": [{ "table": "products", "key": "lamp", "version": version }] });
    let last = Question { round: ROUNDS, ..question.clone() };
    for wrong in [stale(None), stale(Some("0-0"))] {
        asked(&commit(&mut *store, &[told(&push, &question, &wrong)]));
        let group = commit(&mut *store, &[told(&push, &last, &also("products", "lamp"))]);
        assert!(matches!(group.outcomes[0], Outcome::Failed { .. } | Outcome::Refused { .. }), "not without end");
    }
    // What it says that it rests on counts, and nothing else.
    let push = order(&mut Device::new(2, "ann"), "b", None);
    let (_, question, _) = asked(&commit(&mut *store, std::slice::from_ref(&push)));
    let moved = Question { rows: vec![Seen { version: Some("1-1".into()), ..question.rows[0].clone() }], ..question };
    accept(&mut *store, told(&push, &moved, &json!({ "rests_on": [] })));
}

/// P19: questions are put as far as there is room for them, and nobody is harmed where there is none. Rows that move each
/// time are nobody's fault.
pub(crate) fn what_cannot_be_asked_now_comes_again<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend);
    let (ann, bob) = (order(&mut Device::new(1, "ann"), "a", None), order(&mut Device::new(2, "bob"), "b", None));
    let asked_of = |group: &GroupCommit| group.asks.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    for (room, asked) in [(0, vec![]), (1, vec![Name::of(&ann).unwrap()])] {
        let group = store.commit_group(&[ann.clone(), bob.clone()], room, NOW).unwrap();
        assert!(group.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Asked { .. })), "{group:?}");
        assert_eq!(asked_of(&group), asked);
    }
    let (_, question, _) = asked(&commit(&mut *store, std::slice::from_ref(&ann)));
    let mut last = Question { round: ROUNDS, ..question };
    last.rows[0].version = Some("1-1".into());
    let group = commit(&mut *store, &[told(&ann, &last, &json!({}))]);
    assert!(matches!(group.outcomes[0], Outcome::Asked { .. }) && group.asks.is_empty(), "{group:?}");
    // An answer that names versions of its own is the app's fault.
    let wrong = json!({ "rests_on": [{ "table": "orders", "key": ["a"], "version": "0-0" }] });
    let group = commit(&mut *store, &[told(&ann, &last, &wrong)]);
    assert!(matches!(&group.outcomes[0], Outcome::Failed { problem } if problem.message.contains("did not show")));
    accept(&mut *store, told(&ann, &Question { round: 1, ..last }, &json!({ "rests_on": [] })));
}

/// P15, P19: a webhook that cannot be asked, or talks nonsense, harms the one transaction, which is given up after as many
/// failures as the action allows.
pub(crate) fn a_webhook_that_fails_harms_nobody_else<B: Backend>() {
    let drops = json!({ "drop": [{ "table": "orders", "key": ["x"] }] });
    for (answer, words) in [
        (json!([]), "makes no sense"),
        (json!({ "operations": "hunter2" }), "makes no sense"),
        (drops, "makes no sense"),
        (json!({ "fail": "the till is jammed" }), "the till is jammed"),
        (also("orders", "a"), "that it was shown"),
        (json!({ "operations": [{ "op": "insert", "table": "receipts", "set": {} }] }), "order"),
    ] {
        let backend = B::fresh();
        let mut store = open(&backend);
        let push = order(&mut Device::new(1, "ann"), "a", None);
        let (_, question, _) = asked(&commit(&mut *store, std::slice::from_ref(&push)));
        let group = commit(&mut *store, &[told(&push, &question, &answer)]);
        let problem = match &group.outcomes[0] {
            Outcome::Failed { problem } | Outcome::Refused { problem, .. } => problem,
            other => panic!("{answer}: {other:?}"),
        };
        assert!(problem.to_string().contains(words), "{answer}: {problem}");
        // What is wrong with the answer is for the operator: its words reach no device.
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        if words == "makes no sense" {
            assert_eq!(problem.code, store_codes::HANDLER);
            let (.., cause) = &group.faults[0];
            assert!(cause.contains("its answer") && !problem.message.contains("its answer"), "{cause}");
        }
    }
    let backend = B::fresh();
    let mut store = open(&backend);
    let push = order(&mut Device::new(1, "ann"), "a", None);
    let down = Verdict::Failed("it cannot be reached, 3 times".into());
    let down = PushEntry { heard: Heard::Verdict(Name::of(&push).unwrap(), Arc::new(down)), ..push };
    let Outcome::Failed { problem } = &commit(&mut *store, std::slice::from_ref(&down)).outcomes[0] else { panic!() };
    assert_eq!(problem.code, store_codes::HANDLER);
    assert!(problem.message.contains("cannot be reached") && problem.message.contains("1 of 2"), "{problem}");
    assert_eq!(refuse(&mut *store, down), codes::ATTEMPTS_USED_UP);
}
