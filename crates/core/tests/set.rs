//! The laws of `set`: what somebody adds is there, unless somebody who had seen that took it away, in whatever order both
//! arrive, and beside every other rule.

use std::collections::BTreeSet;

use landfall_core::error::codes;
use landfall_core::merge::{Author, Merged, StoredRow, merge};
use landfall_core::rules::MergeRule;
use landfall_core::schema::{Column, Default, Table, TransactionLimits};
use landfall_core::{CellWrite, Change, ColumnType, Operation, ReplicaId, RowKey, Schema, Stamp, Value};
use proptest::prelude::*;

fn rule() -> MergeRule {
    MergeRule::named("set").expect("a rule")
}

fn table() -> Table {
    let set = Column {
        merge: rule(),
        required: true,
        default: Some(Default::Value(json("[]"))),
        ..Column::plain("tags", ColumnType::Json)
    };
    Table::plain("t", vec![Column::plain("id", ColumnType::Integer), set, Column::plain("s", ColumnType::Text)])
}

fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

fn set_of(list: &BTreeSet<u8>) -> Value {
    Value::json(&serde_json::json!(list))
}

fn read(value: &Value) -> BTreeSet<u8> {
    let Value::Json(text) = value else { panic!("{value:?}") };
    serde_json::from_str(text).expect("a set of numbers")
}

fn author(seq: u64, wall_ms: u64, replica: u8) -> Author {
    let stamp = Stamp { wall_ms, counter: 0, replica: ReplicaId([replica; 16]) };
    Author { stamp, seq, now_ms: 1_000, is_fact: false }
}

fn edit(change: Value) -> CellWrite {
    CellWrite { change: Some(Change::Edit), ..CellWrite::new("tags", change) }
}

fn update(base: u64, cells: Vec<CellWrite>) -> Operation {
    Operation::Update { table: "t".into(), key: RowKey::single(Value::Int(1)), base, cells }
}

fn insert(base: u64, cells: Vec<CellWrite>) -> Operation {
    Operation::Insert { table: "t".into(), key: RowKey::single(Value::Int(1)), base, cells }
}

fn put(merged: Merged) -> StoredRow {
    match merged {
        Merged::Put { row, .. } => row,
        other => panic!("{other:?}"),
    }
}

fn fresh(list: &BTreeSet<u8>) -> StoredRow {
    let begins = CellWrite::begins(&table().columns[1], set_of(list));
    put(merge(&table(), None, &insert(0, vec![begins]), &author(1, 1, 0)))
}

/// What one of several authors does to the set as they see it, who see what is at the server now and then.
#[derive(Clone, Debug)]
enum Step {
    /// One of them writes the set: without some elements, with some others; perhaps another column, too.
    Write { by: usize, add: BTreeSet<u8>, remove: BTreeSet<u8>, beside: bool },
    /// What one of them wrote first, of what has not yet, arrives.
    Arrive(usize),
    /// One of them sees what is at the server.
    See(usize),
}

const AUTHORS: usize = 4;

fn elements() -> impl Strategy<Value = BTreeSet<u8>> {
    prop::collection::btree_set(0u8..6, 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..AUTHORS, elements(), elements(), any::<bool>());
    let step = prop_oneof![
        3 => write.prop_map(|(by, add, remove, beside)| Step::Write { by, add, remove, beside }),
        3 => (0..AUTHORS).prop_map(Step::Arrive),
        2 => (0..AUTHORS).prop_map(Step::See),
    ];
    prop::collection::vec(step, 1..40)
}

/// A write that waits: what was done, and what of all adds its author had seen.
struct Waiting {
    base: u64,
    change: Value,
    beside: bool,
    add: BTreeSet<u8>,
    /// Each removed element, with the adds of it that were seen.
    remove: Vec<(u8, BTreeSet<u64>)>,
    /// The name of this add.
    name: u64,
}

#[derive(Default)]
struct Writer {
    base: u64,
    /// The adds that it knows: (element, name).
    known: BTreeSet<(u8, u64)>,
    /// What it shows: of what it knows its own work may hide something.
    shown: BTreeSet<u8>,
    waiting: Vec<Waiting>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the definition: an element is there as long as one of its adds was not seen by a remove. Nothing of bases,
    /// sequences and replicas is in the definition.
    #[test]
    fn an_element_is_there_as_long_as_an_add_of_it_is_unseen_by_all_removes(start in elements(), steps in steps()) {
        let table = table();
        let mut stored = fresh(&start);
        let mut there: BTreeSet<(u8, u64)> = start.iter().map(|e| (*e, 0)).collect();
        let writers = || Writer { base: 1, known: there.clone(), shown: start.clone(), waiting: Vec::new() };
        let mut writers: Vec<Writer> = (0..AUTHORS).map(|_| writers()).collect();
        let (mut seq, mut names) = (1, 0);
        let arrive = |all: usize, seq: &mut u64, stored: &mut StoredRow, there: &mut BTreeSet<(u8, u64)>, writer: &mut Writer| {
            let Some(next) = (!writer.waiting.is_empty()).then(|| writer.waiting.remove(0)) else { return };
            *seq += 1;
            let mut cells = vec![edit(next.change)];
            if next.beside {
                cells.push(CellWrite::new("s", Value::Int(*seq as i64)));
            }
            *stored = put(merge(&table, Some(stored), &update(next.base, cells), &author(*seq, 500 - *seq, all as u8 + 1)));
            for (element, seen) in next.remove {
                there.retain(|(e, name)| *e != element || !seen.contains(name));
            }
            there.extend(next.add.iter().map(|element| (*element, next.name)));
        };
        for step in steps {
            match step {
                Step::Write { by, add, remove, beside } => {
                    let writer = &mut writers[by];
                    let before = writer.shown.clone();
                    let after: BTreeSet<u8> = before.difference(&remove).chain(&add).copied().collect();
                    let change = rule().between(&set_of(&before), &set_of(&after)).expect("a change");
                    let remove: Vec<_> = before.difference(&after).map(|gone| {
                        let seen = writer.known.iter().filter(|(e, _)| e == gone).map(|(_, name)| *name);
                        (*gone, seen.collect())
                    }).collect();
                    let add: BTreeSet<u8> = after.difference(&before).copied().collect();
                    names += 1;
                    writer.known.retain(|(e, _)| !before.contains(e) || after.contains(e));
                    writer.shown = after;
                    writer.known.extend(add.iter().map(|e| (*e, names)));
                    writer.waiting.push(Waiting { base: writer.base, change, beside, add, remove, name: names });
                }
                Step::Arrive(by) => arrive(by, &mut seq, &mut stored, &mut there, &mut writers[by]),
                Step::See(by) => {
                    // Its own work lies over what it sees.
                    let writer = &mut writers[by];
                    writer.base = seq;
                    writer.known = there.clone();
                    writer.shown = there.iter().map(|(e, _)| *e).collect();
                    for waiting in &writer.waiting {
                        for (element, seen) in &waiting.remove {
                            writer.known.retain(|(e, name)| e != element || !seen.contains(name));
                            writer.shown.remove(element);
                        }
                        writer.known.extend(waiting.add.iter().map(|e| (*e, waiting.name)));
                        writer.shown.extend(&waiting.add);
                    }
                }
            }
            let expected: BTreeSet<u8> = there.iter().map(|(e, _)| *e).collect();
            prop_assert_eq!(read(&stored.cells["tags"]), expected);
        }
        for (by, writer) in writers.iter_mut().enumerate() {
            while !writer.waiting.is_empty() {
                arrive(by, &mut seq, &mut stored, &mut there, writer);
            }
        }
        let expected: BTreeSet<u8> = there.iter().map(|(e, _)| *e).collect();
        prop_assert_eq!(read(&stored.cells["tags"]), expected);
    }

    #[test]
    fn concurrent_changes_leave_the_same_set_in_every_order(
        start in elements(),
        (list, order) in prop::collection::vec((elements(), elements(), 1u64..6), 1..7).prop_flat_map(|list| {
            (Just(list.clone()), Just((0..list.len()).collect::<Vec<_>>()).prop_shuffle())
        }),
    ) {
        let run = |order: &[usize]| {
            let mut stored = fresh(&start);
            for (seq, at) in (2..).zip(order) {
                let (add, remove, wall_ms) = &list[*at];
                let after: BTreeSet<u8> = start.difference(remove).chain(add).copied().collect();
                let change = rule().between(&set_of(&start), &set_of(&after)).expect("a change");
                stored = put(merge(&table(), Some(&stored), &update(1, vec![edit(change)]), &author(seq, *wall_ms, *at as u8 + 1)));
            }
            stored.cells["tags"].clone()
        };
        let straight: Vec<usize> = (0..list.len()).collect();
        prop_assert_eq!(run(&straight), run(&order));
    }

    #[test]
    fn two_changes_as_one_do_what_both_do(start in elements(), one in elements(), two in elements(), over in elements()) {
        let (start, one, two, over) = (set_of(&start), set_of(&one), set_of(&two), set_of(&over));
        let (first, second) = (rule().between(&start, &one).unwrap(), rule().between(&one, &two).unwrap());
        let both = rule().joined(&first, &second).unwrap();
        prop_assert_eq!(rule().flaw_of_change(&both), None);
        let step = rule().applied(&rule().applied(&over, &first).unwrap(), &second).unwrap();
        prop_assert_eq!(rule().applied(&over, &both).unwrap(), step.clone());
        // Made again on what has them, they change nothing.
        let again = rule().applied(&rule().applied(&step, &first).unwrap(), &second).unwrap();
        prop_assert_eq!(again, step);
    }

    #[test]
    fn what_is_taken_back_leaves_what_others_did(start in elements(), own in elements(), others in elements()) {
        let (was, made) = (set_of(&start), set_of(&own));
        let change = rule().between(&was, &made).unwrap();
        prop_assert_eq!(rule().taken_back(&made, &was, &change).unwrap().value, was.clone());
        let now: BTreeSet<u8> = own.union(&others).copied().collect();
        let back = read(&rule().taken_back(&set_of(&now), &was, &change).unwrap().value);
        let kept = others.difference(&own).all(|element| back.contains(element));
        prop_assert!(kept, "{:?} of {:?}", back, others);
    }

    #[test]
    fn whatever_comes_is_refused_or_a_change(text in "\\PC{0,40}") {
        let value = json(&text);
        if rule().flaw_of_change(&value).is_none() {
            prop_assert!(rule().applied(&json("[1]"), &value).is_some());
        }
        let _ = rule().canonical(value);
    }
}

#[test]
fn a_concurrent_add_survives_a_remove_and_ones_own_does_not() {
    let stored = fresh(&BTreeSet::from([1, 2]));
    let added = put(merge(&table(), Some(&stored), &update(1, vec![edit(json(r#"{"add":[3]}"#))]), &author(2, 5, 1)));
    // Somebody who has not seen that removes all that there is, and adds it by chance.
    let all = put(merge(
        &table(),
        Some(&added),
        &update(1, vec![edit(json(r#"{"add":[4],"remove":[1,2,3]}"#))]),
        &author(3, 9, 2),
    ));
    assert_eq!(all.cells["tags"], json("[3,4]"));
    // Who added it knows.
    let own = put(merge(&table(), Some(&all), &update(1, vec![edit(json(r#"{"remove":[3]}"#))]), &author(4, 6, 1)));
    assert_eq!(own.cells["tags"], json("[4]"));
    // Bookkeeping is only kept of what is there.
    let states = own.meta.states.expect("states");
    assert!(minicbor::to_vec(&states).expect("bytes").len() < 70);
}

#[test]
fn two_that_make_the_same_row_begin_with_what_both_put_in() {
    let column = &table().columns[1];
    let make = |text: &str| insert(0, vec![CellWrite::begins(column, json(text))]);
    let row = put(merge(&table(), None, &make(r#"["a","b"]"#), &author(1, 1, 1)));
    let row = put(merge(&table(), Some(&row), &make(r#"["b","c"]"#), &author(2, 1, 2)));
    assert_eq!(row.cells["tags"], json(r#"["a","b","c"]"#));
    // Who had seen the row, and made it again, puts in what it had.
    let again = insert(2, vec![CellWrite::begins(column, json(r#"["d"]"#))]);
    let row = put(merge(&table(), Some(&row), &again, &author(3, 1, 3)));
    assert_eq!(row.cells["tags"], json(r#"["a","b","c","d"]"#));
}

#[test]
fn a_value_as_a_whole_counts_as_what_it_changes() {
    let stored = fresh(&BTreeSet::from([1, 2]));
    // A program that writes past Landfall, and lists them as it likes.
    let fact = Author { is_fact: true, ..author(2, 9, 0) };
    let outside =
        put(merge(&table(), Some(&stored), &update(u64::MAX, vec![CellWrite::new("tags", json("[3,2,3]"))]), &fact));
    assert_eq!(outside.cells["tags"], json("[3,2,3]"), "it is as it is");
    let edited = update(1, vec![edit(json(r#"{"remove":[1,2,3]}"#))]);
    let edited = put(merge(&table(), Some(&outside), &edited, &author(3, 9, 1)));
    assert_eq!(edited.cells["tags"], json("[3]"), "2 was seen, 3 was not");
}

#[test]
fn what_is_no_set_is_refused_with_its_form() {
    let text = r#"
        [app]
        name = "sets"
        version = 1
        [tables.t.columns]
        id = "integer"
        tags = { type = "json", merge = "set" }
        "#;
    let schema = Schema::parse("landfall.toml", text).expect("a schema");
    let declared = schema.tables[0].column("tags").expect("the column");
    assert_eq!((declared.required, &declared.default), (true, &Some(Default::Value(json("[]")))));
    let refused = |write: CellWrite| {
        schema.check_operation(&update(1, vec![write]), &TransactionLimits::default()).expect_err("no set")
    };
    for bad in ["{}", "[[1]]", "[null]", "1", "\"a\""] {
        let problem = refused(CellWrite::new("tags", json(bad)));
        assert_eq!(problem.code, codes::WRONG_TYPE, "{bad}");
        assert!(problem.message.contains("texts, numbers and booleans"), "{problem}");
    }
    for bad in ["[]", "{\"add\":1}", "{\"add\":[[]]}", "{\"plus\":[1]}", "{\"add\":[1],\"remove\":[1]}"] {
        let problem = refused(edit(json(bad)));
        assert!(problem.message.contains("\"add\": [element…]"), "{bad}: {problem}");
    }
    let add = CellWrite { change: Some(Change::Add), ..edit(json("{}")) };
    assert_eq!(refused(add).code, codes::BAD_TRANSACTION);
}
