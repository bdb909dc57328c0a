//! The laws of `map`: each path is a register of its own, whatever happens to the others, in whatever order writes arrive.

use std::collections::BTreeMap;

use landfall_core::error::codes;
use landfall_core::merge::{Author, Merged, StoredRow, merge};
use landfall_core::rules::MergeRule;
use landfall_core::schema::{Column, Default, Table};
use landfall_core::{CellWrite, Change, ColumnType, Operation, ReplicaId, RowKey, Schema, Stamp, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn rule() -> MergeRule {
    MergeRule::named("map").expect("a rule")
}

fn table() -> Table {
    let map = Column {
        merge: rule(),
        required: true,
        default: Some(Default::Value(Value::json(&json!({})))),
        ..Column::plain("meta", ColumnType::Json)
    };
    Table::plain("t", vec![Column::plain("id", ColumnType::Integer), map])
}

fn author(seq: u64, wall_ms: u64, replica: u8) -> Author {
    let stamp = Stamp { wall_ms, counter: 0, replica: ReplicaId([replica; 16]) };
    Author { stamp, seq, now_ms: 1_000, is_fact: false }
}

fn update(base: u64, change: Value) -> Operation {
    let write = CellWrite { change: Some(Change::Edit), ..CellWrite::new("meta", change) };
    Operation::Update { table: "t".into(), key: RowKey::single(Value::Int(1)), base, cells: vec![write] }
}

fn put(merged: Merged) -> StoredRow {
    match merged {
        Merged::Put { row, .. } => row,
        other => panic!("{other:?}"),
    }
}

fn fresh(value: &Json) -> StoredRow {
    let begins = CellWrite::begins(&table().columns[1], Value::json(value));
    let insert =
        Operation::Insert { table: "t".into(), key: RowKey::single(Value::Int(1)), base: 0, cells: vec![begins] };
    put(merge(&table(), None, &insert, &author(1, 1, 0)))
}

fn read(row: &StoredRow) -> Json {
    let Value::Json(text) = &row.cells["meta"] else { panic!("{row:?}") };
    serde_json::from_str(text).expect("JSON")
}

/// What is left of each write: the row after it, or before it where all of it gave way.
fn write(stored: StoredRow, operation: &Operation, author: &Author) -> StoredRow {
    match merge(&table(), Some(&stored), operation, author) {
        Merged::Put { row, .. } => row,
        Merged::Nothing { .. } => stored,
        other => panic!("{other:?}"),
    }
}

fn nested(depth: usize) -> Json {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        (0u8..4).prop_map(|n| json!(n)),
        Just(json!("x")),
        Just(json!([1, {"a": 2}])),
        Just(json!(null)),
        Just(json!({}))
    ]
}

/// Objects of few names, some of which need to be escaped in a path.
fn object() -> impl Strategy<Value = Json> {
    let name = || prop::sample::select(vec!["a", "b", "c/d", "~1"]);
    let object = move |part: BoxedStrategy<Json>| {
        prop::collection::btree_map(name().prop_map(str::to_owned), part, 0..4)
            .prop_map(|parts| Json::Object(parts.into_iter().collect()))
    };
    let inner = object(leaf().boxed());
    object(prop_oneof![2 => leaf(), 1 => inner].boxed())
}

/// Objects whose paths are never above one another, whoever writes them.
fn flat() -> impl Strategy<Value = BTreeMap<String, Json>> {
    let path = prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    prop::collection::btree_map(path, (0u8..4).prop_map(|n| json!(n)), 0..5)
}

fn json_of(map: &BTreeMap<String, Json>) -> Json {
    Json::Object(map.clone().into_iter().collect())
}

fn change(before: &Json, after: &Json) -> Value {
    rule().between(&Value::json(before), &Value::json(after)).expect("a change")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_change_leads_from_one_to_the_other(before in object(), after in object()) {
        let change = change(&before, &after);
        prop_assert_eq!(rule().flaw_of_change(&change), None);
        prop_assert_eq!(rule().applied(&Value::json(&before), &change), Some(Value::json(&after)));
        // And so it does on the server, where nothing is concurrent.
        let row = put(merge(&table(), Some(&fresh(&before)), &update(1, change), &author(2, 0, 1)));
        prop_assert_eq!(read(&row), after);
    }

    #[test]
    fn who_has_seen_what_is_there_writes_what_they_say(start in object(), list in prop::collection::vec((object(), 0u64..9), 1..6)) {
        let mut row = fresh(&start);
        for (seq, (after, wall_ms)) in (2..).zip(list) {
            let change = change(&read(&row), &after);
            row = write(row, &update(seq - 1, change), &author(seq, wall_ms, seq as u8));
            // What was hidden under something may come to light when that goes; nothing is concurrent here, so nothing is hidden.
            prop_assert_eq!(read(&row), after);
        }
    }

    #[test]
    fn concurrent_changes_leave_the_same_object_in_every_order(
        start in object(),
        (list, order) in prop::collection::vec((object(), 1u64..6), 1..6).prop_flat_map(|list| {
            (Just(list.clone()), Just((0..list.len()).collect::<Vec<_>>()).prop_shuffle())
        }),
    ) {
        let run = |order: &[usize]| {
            let mut row = fresh(&start);
            for (seq, at) in (2..).zip(order) {
                let (after, wall_ms) = &list[*at];
                row = write(row, &update(1, change(&start, after)), &author(seq, *wall_ms, *at as u8 + 1));
            }
            read(&row)
        };
        let straight: Vec<usize> = (0..list.len()).collect();
        prop_assert_eq!(run(&straight), run(&order));
    }

    /// Against the definition: of each path the largest stamp among those who changed it.
    #[test]
    fn each_path_is_settled_by_itself(start in flat(), list in prop::collection::vec((flat(), 1u64..6), 1..6)) {
        let mut row = fresh(&json_of(&start));
        let mut latest: BTreeMap<&str, (u64, usize, Option<&Json>)> = BTreeMap::new();
        for (at, (after, wall_ms)) in list.iter().enumerate() {
            let seq = at as u64 + 2;
            row = write(row, &update(1, change(&json_of(&start), &json_of(after))), &author(seq, *wall_ms, at as u8 + 1));
            for path in ["a", "b", "c", "d"] {
                if start.get(path) != after.get(path) {
                    let own = (*wall_ms, at, after.get(path));
                    let held = latest.entry(path).or_insert(own);
                    *held = if (own.0, own.1) > (held.0, held.1) { own } else { *held };
                }
            }
        }
        for path in ["a", "b", "c", "d"] {
            let expected = latest.get(path).map_or(start.get(path), |(_, _, value)| *value);
            prop_assert_eq!(read(&row).get(path).cloned(), expected.cloned(), "{}", path);
        }
    }

    #[test]
    fn two_changes_as_one_do_what_both_do(start in object(), one in object(), two in object()) {
        let (first, second) = (change(&start, &one), change(&one, &two));
        let both = rule().joined(&first, &second).unwrap();
        prop_assert_eq!(rule().flaw_of_change(&both), None, "{:?}", both);
        prop_assert_eq!(rule().applied(&Value::json(&start), &both), Some(Value::json(&two)));
        // Made again on what has them, they change nothing.
        let again = rule().applied(&Value::json(&two), &first).and_then(|value| rule().applied(&value, &second));
        prop_assert_eq!(again, Some(Value::json(&two)));
    }

    #[test]
    fn what_is_taken_back_leaves_what_others_did(start in object(), own in object(), now in object()) {
        let made = change(&start, &own);
        let back = rule().taken_back(&Value::json(&own), &Value::json(&start), &made).unwrap();
        prop_assert_eq!(back.value, Value::json(&start));
        prop_assert!(back.is_whole);
        // Whatever it is by now, a path that nobody of both has touched stays.
        let back = rule().taken_back(&Value::json(&now), &Value::json(&start), &made).unwrap();
        let Value::Json(text) = back.value else { panic!("no object") };
        let back: Json = serde_json::from_str(&text).unwrap();
        for (name, part) in now.as_object().unwrap() {
            if start.get(name) == own.get(name) {
                prop_assert_eq!(back.get(name), Some(part));
            }
        }
    }

    #[test]
    fn whatever_comes_is_refused_or_a_change(text in "\\PC{0,40}", path in "[/~01a]{0,6}") {
        let _ = rule().flaw_of_change(&Value::Json(text));
        let change = Value::json(&json!({ "set": { path.clone(): 1 } }));
        if rule().flaw_of_change(&change).is_none() {
            let made = rule().applied(&Value::json(&json!({})), &change).expect("a change");
            prop_assert_eq!(rule().between(&Value::json(&json!({})), &made), Some(change));
        }
    }
}

#[test]
fn a_path_that_cannot_be_shown_comes_back_when_what_hides_it_goes() {
    let row = fresh(&json!({}));
    let row = write(row, &update(1, Value::json(&json!({ "set": { "/a/b": 1 } }))), &author(2, 5, 1));
    let row = write(row, &update(1, Value::json(&json!({ "set": { "/a": 7 } }))), &author(3, 6, 2));
    assert_eq!(read(&row), json!({ "a": 7 }), "the larger stamp is shown");
    let row = write(row, &update(1, Value::json(&json!({ "set": { "/c": 1 } }))), &author(4, 2, 3));
    assert_eq!(read(&row), json!({ "a": 7, "c": 1 }));
    let row = write(row, &update(4, Value::json(&json!({ "remove": ["/a"] }))), &author(5, 7, 3));
    assert_eq!(read(&row), json!({ "a": { "b": 1 }, "c": 1 }), "nothing that was typed is lost");
}

#[test]
fn a_write_whose_paths_all_gave_way_changes_nothing_and_says_so() {
    let row = fresh(&json!({ "a": 1 }));
    let row = write(row, &update(1, Value::json(&json!({ "set": { "/a": 2 } }))), &author(2, 9, 1));
    let late = update(1, Value::json(&json!({ "set": { "/a": 3 } })));
    match merge(&table(), Some(&row), &late, &author(3, 5, 2)) {
        Merged::Put { row, changed, lost, .. } => {
            assert_eq!((read(&row), changed, lost), (json!({ "a": 2 }), Vec::<String>::new(), vec!["meta".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_removed_path_is_forgotten_after_its_time_and_takes_no_room() {
    let mut row = fresh(&json!({}));
    for seq in 2..200u64 {
        let set = update(
            seq - 1,
            Value::json(&json!({ "set": { format!("/{seq}"): 1 }, "remove": [format!("/{}", seq - 1)] })),
        );
        let now_ms = seq * 24 * 3_600_000;
        let author = Author { now_ms, ..author(seq, now_ms, 1) };
        row = write(row, &set, &author);
    }
    let bytes = minicbor::to_vec(row.meta.states.expect("states")).expect("bytes").len();
    assert!((1_000..6_000).contains(&bytes), "{bytes} bytes for the 90 paths of 90 days");
}

#[test]
fn what_is_no_map_is_refused_with_its_form() {
    let text = r#"
        [app]
        name = "maps"
        version = 1
        [tables.t.columns]
        id = "integer"
        meta = { type = "json", merge = "map" }
        "#;
    let schema = Schema::parse("landfall.toml", text).expect("a schema");
    let declared = schema.tables[0].column("meta").expect("the column");
    assert_eq!((declared.required, &declared.default), (true, &Some(Default::Value(Value::json(&json!({}))))));
    assert_eq!(declared.check(&Value::json(&json!([1]))).expect("no map").code, codes::WRONG_TYPE);
    let bad = [
        json!([]),
        json!({ "set": 1 }),
        json!({ "set": { "a": 1 } }),
        json!({ "set": { "": {} } }),
        json!({ "set": { "/a": { "b": 1 } } }),
        json!({ "set": { "/a": 1, "/a/b": 1 } }),
        json!({ "set": { "/a": 1 }, "remove": ["/a"] }),
        json!({ "remove": ["/~2"] }),
        json!({ "cut": ["/a"] }),
        json!({ "more": [] }),
        json!({ "set": { "/a".repeat(20_000): 1 } }),
        json!({ "set": { "/a".repeat(60): nested(60) } }),
        json!({ "remove": (0..10_001).map(|n| format!("/{n}")).collect::<Vec<_>>() }),
    ];
    for change in bad {
        assert!(rule().flaw_of_change(&Value::json(&change)).is_some(), "{change}");
    }
}
