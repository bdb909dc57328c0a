//! What no rule takes: refused with the reason, and the row goes on as if it had never come.

use landfall_core::error::{Code, codes};
use landfall_core::schema::Schema;
use landfall_core::txn::Change;
use landfall_core::{CellWrite, Operation, Value};

use super::*;
use crate::store::Store;

fn of_all_rules() -> Schema {
    let text = r#"
        [app]
        name    = "suite"
        version = 1

        [tables.cards.columns]
        id     = "text"
        place  = { type = "text", merge = "list" }
        choice = { type = "text", merge = "manual", max_length = 5 }
        likes  = { type = "integer", merge = "counter", min = 0 }
        sum    = { type = "integer", merge = "counter" }
        words  = { type = "json", merge = "set" }
        traits = { type = "json", merge = "map" }
        essay  = { type = "text", merge = "text", max_length = 20 }
        score  = { type = "integer", merge = "max", max = 100 }

        [shapes.cards]
        table = "cards"
        [shapes.conflicts]
        table = "cards_conflicts"
    "#;
    Schema::parse("suite.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

fn changed(column: &str, value: Value, change: Change) -> Operation {
    let write = CellWrite { change: Some(change), ..CellWrite::new(column, value) };
    Operation::Update { table: "cards".into(), key: key("c"), base: SEEN, cells: vec![write] }
}

fn set(column: &str, value: Value) -> Operation {
    update("cards", "c", SEEN, &[(column, value)])
}

fn rows(store: &mut dyn Store, shape: &str) -> Rows {
    let bucket = bucket(store, shape, &[]);
    query(&*store.reader().unwrap(), &bucket)
}

/// P9: hostile operations, each beside a change that is good.
pub(crate) fn what_no_rule_takes_is_refused_and_leaves_nothing<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&of_all_rules());
    let (mut ann, mut eve) = (Device::new(1, "ann"), Device::new(2, "eve"));
    accept(&mut *store, ann.write(vec![insert("cards", "c", &[])]));
    accept(&mut *store, ann.write(vec![changed("sum", Value::Int(i64::MAX), Change::Add)]));
    let before = rows(&mut *store, "cards");
    let json = |text: &str| Value::Json(text.into());
    let many: Vec<String> = (0..20_000).map(|n| format!("\"w{n}\"")).collect();
    let deep = format!("{{\"set\":{{\"{}\":1}}}}", "/a".repeat(20_000));
    let bad: Vec<(Operation, Vec<Code>)> = vec![
        (set("place", text(&"000000001".repeat(10_000))), vec![codes::WRONG_TYPE]),
        (set("place", text("second")), vec![codes::WRONG_TYPE]),
        (set("place", text("00000000\u{0}")), vec![codes::WRONG_TYPE]),
        (set("choice", text("far too long")), vec![codes::TOO_LONG]),
        (set("score", Value::Int(101)), vec![codes::OUT_OF_RANGE]),
        (set("score", text("7")), vec![codes::WRONG_TYPE]),
        (changed("likes", Value::Int(-1), Change::Add), vec![codes::OUT_OF_RANGE]),
        (changed("likes", Value::Float(0.5), Change::Add), vec![codes::WRONG_TYPE]),
        (changed("sum", Value::Int(1), Change::Add), vec![codes::OUT_OF_RANGE]),
        (changed("score", Value::Int(1), Change::Add), vec![codes::BAD_TRANSACTION]),
        (changed("words", json(&format!("{{\"add\":[{}]}}", many.join(","))), Change::Edit), vec![codes::WRONG_TYPE]),
        (changed("words", json("{\"add\":[{}]}"), Change::Edit), vec![codes::WRONG_TYPE]),
        (changed("traits", json(&deep), Change::Edit), vec![codes::WRONG_TYPE, codes::OUT_OF_RANGE, codes::TOO_LONG]),
        (changed("traits", json("[1]"), Change::Edit), vec![codes::WRONG_TYPE]),
        (
            changed("essay", json("{\"was\":\"\",\"is\":\"far too long a text for this\"}"), Change::Edit),
            vec![codes::TOO_LONG],
        ),
        (changed("essay", json("{\"was\":7}"), Change::Edit), vec![codes::WRONG_TYPE]),
    ];
    let mut wrong = Vec::new();
    for (operation, expected) in bad {
        let shown: String = format!("{operation:?}").chars().take(160).collect();
        let mut operation = operation;
        if let Operation::Update { cells, .. } = &mut operation
            && cells[0].column != "choice"
        {
            cells.push(CellWrite::new("choice", text("eve's")));
        }
        let code = refuse(&mut *store, eve.write(vec![operation]));
        if !expected.contains(&code) {
            wrong.push(format!("{shown}: {code:?}"));
        }
        assert_eq!(rows(&mut *store, "cards"), before, "{shown}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    accept(&mut *store, eve.write(vec![set("choice", text("good"))]));
}

/// What a person decides is held to what the column takes; refused, it has decided nothing.
pub(crate) fn a_resolution_that_does_not_fit_leaves_the_conflict<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&of_all_rules());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    accept(&mut *store, ann.write(vec![insert("cards", "c", &[("choice", text("a"))])]));
    accept(&mut *store, ann.write(vec![update("cards", "c", 1, &[("choice", text("ann's"))])]));
    accept(&mut *store, bob.write(vec![update("cards", "c", 1, &[("choice", text("bob's"))])]));
    let conflicts = rows(&mut *store, "conflicts");
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    let conflict = conflicts.keys().next().unwrap().clone();
    let decided = |value: &str| {
        let ends = Operation::Delete { table: "cards_conflicts".into(), key: conflict.clone(), base: SEEN };
        vec![set("choice", text(value)), ends]
    };
    let before = rows(&mut *store, "cards");
    assert_eq!(refuse(&mut *store, bob.write(decided("both of them"))), codes::TOO_LONG);
    assert_eq!((rows(&mut *store, "cards"), rows(&mut *store, "conflicts").len()), (before, 1));
    accept(&mut *store, bob.write(decided("both")));
    assert_eq!(rows(&mut *store, "conflicts").len(), 0);
    assert!(rows(&mut *store, "cards")[&key("c")].contains(&text("both")));
}
