//! The laws of `custom`: a function of the app's own decides between two that did not see each other, nothing that somebody wrote
//! is gone where it cannot, and no fault of it reaches further than its cell.

use std::sync::atomic::{AtomicI64, Ordering};

use landfall_core::merge::{Author, Merged, Sibling, StoredRow, merge};
use landfall_core::rules::{MergeFunctions, MergeRule, Three};
use landfall_core::schema::{Column, Table};
use landfall_core::{CellWrite, Change, ColumnType, Decimal, Operation, ReplicaId, RowKey, Schema, Stamp, Value};
use proptest::prelude::*;

/// Both changes count, as of a counter; a sum beyond 100 is nothing that it decides.
fn add_up(three: &Three<'_>) -> Result<Value, String> {
    let number = |value: &Value| match value {
        Value::Int(number) => Ok(*number),
        Value::Null => Ok(0),
        _ => Err("it is no number"),
    };
    let sum = number(three.theirs)? + number(three.ours)? - number(three.base)?;
    if sum > 100 { Err("more than a hundred".to_owned()) } else { Ok(Value::Int(sum)) }
}

fn panics(_: &Three<'_>) -> Result<Value, String> {
    panic!("the app's own fault")
}

fn text_for_a_number(_: &Three<'_>) -> Result<Value, String> {
    Ok("five".into())
}

fn out_of_bounds(_: &Three<'_>) -> Result<Value, String> {
    Ok(Value::Int(1_000))
}

fn functions() -> MergeFunctions {
    let calls = AtomicI64::new(0);
    MergeFunctions::new()
        .on("add_up", add_up)
        .on("panics", panics)
        .on("text", text_for_a_number)
        .on("bounds", out_of_bounds)
        .on("counts_calls", move |_: &Three<'_>| Ok(Value::Int(calls.fetch_add(1, Ordering::Relaxed))))
}

fn rule(function: &str) -> MergeRule {
    MergeRule::custom(function, ColumnType::Integer).with_functions(&functions())
}

fn table(function: &str) -> Table {
    let own = Column { merge: rule(function), max: Some(Value::Int(500)), ..Column::plain("own", ColumnType::Integer) };
    Table::plain("t", vec![Column::plain("id", ColumnType::Integer), own, Column::plain("other", ColumnType::Text)])
}

fn author(seq: u64, replica: u8) -> Author {
    let stamp = Stamp { wall_ms: seq, counter: 0, replica: ReplicaId([replica; 16]) };
    Author { stamp, seq, now_ms: 1_000, is_fact: false }
}

fn edit(rule: &MergeRule, was: Value, is: Value) -> CellWrite {
    let change = rule.between(&was, &is).expect("a change");
    CellWrite { change: Some(Change::Edit), ..CellWrite::new("own", change) }
}

fn key() -> RowKey {
    RowKey::single(Value::Int(1))
}

fn fresh(table: &Table, own: Value) -> StoredRow {
    let cells = vec![CellWrite::begins(&table.columns[1], own), CellWrite::new("other", "a".into())];
    let insert = Operation::Insert { table: "t".into(), key: key(), base: 0, cells };
    write(table, None, &insert, &author(1, 0)).0
}

fn write(table: &Table, stored: Option<&StoredRow>, what: &Operation, by: &Author) -> (StoredRow, Vec<Sibling>) {
    match merge(table, stored, what, by) {
        Merged::Put { row, siblings, .. } => (row, siblings),
        Merged::Nothing { siblings, .. } => (stored.expect("a row").clone(), siblings),
        other => panic!("{other:?}"),
    }
}

/// Two write on the same base; the second one another cell, too.
fn both(function: &str, [base, first, second]: [Value; 3]) -> (StoredRow, Vec<Sibling>) {
    let (table, rule) = (table(function), rule(function));
    let update = |cells| Operation::Update { table: "t".into(), key: key(), base: 1, cells };
    let row = fresh(&table, base.clone());
    let (row, _) = write(&table, Some(&row), &update(vec![edit(&rule, base.clone(), first)]), &author(2, 1));
    let cells = vec![edit(&rule, base, second), CellWrite::new("other", "b".into())];
    write(&table, Some(&row), &update(cells), &author(3, 2))
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), (-30i64..30).prop_map(Value::Int)]
}

/// Values of every type, NULL among them.
fn typed() -> impl Strategy<Value = (ColumnType, Value)> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|id| (ColumnType::Uuid, Value::Uuid(id))),
        ".{0,8}".prop_map(|text| (ColumnType::Text, Value::Text(text))),
        any::<i64>().prop_map(|n| (ColumnType::Integer, Value::Int(n))),
        (-1e300..1e300).prop_map(|n| (ColumnType::Float, Value::Float(n))),
        any::<i64>().prop_map(|n| (ColumnType::Decimal(2), Value::Decimal(Decimal::new(n, 2)))),
        any::<bool>().prop_map(|yes| (ColumnType::Boolean, Value::Bool(yes))),
        (0i64..253_000_000_000_000_000).prop_map(|at| (ColumnType::Timestamp, Value::Timestamp(at))),
        (0i32..2_000_000).prop_map(|day| (ColumnType::Date, Value::Date(day))),
        prop::sample::select(vec!["0", "[1,null]", "{\"a\":\"\"}"])
            .prop_map(|j| (ColumnType::Json, Value::Json(j.into()))),
        any::<Vec<u8>>().prop_map(|bytes| (ColumnType::Bytes, Value::Bytes(bytes))),
        Just((ColumnType::Json, Value::Null)),
        Just((ColumnType::Text, Value::Null)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_function_decides_between_two_that_did_not_see_each_other(base in number(), first in number(), second in number()) {
        let three = Three { ty: ColumnType::Integer, base: &base, ours: &second, theirs: &first };
        // Who wrote what is there already has written nothing that is to be merged.
        let expected = if first == base { second.clone() } else { add_up(&three).unwrap() };
        let (row, siblings) = both("add_up", [base, first, second]);
        prop_assert_eq!((&row.cells["own"], siblings), (&expected, Vec::new()));
    }

    #[test]
    fn who_writes_alone_has_what_was_written_and_may_take_it_back((ty, is) in typed(), null_before in any::<bool>()) {
        let rule = MergeRule::custom("nowhere", ty);
        let was = if null_before { Value::Null } else { is.clone() };
        let change = rule.between(&was, &is).unwrap();
        prop_assert_eq!(rule.flaw_of_change(&change), None);
        prop_assert_eq!(rule.applied(&was, &change), Some(is.clone()));
        prop_assert_eq!(rule.taken_back(&is, &was, &change).map(|taken| (taken.value, taken.is_whole)), Some((was, true)));
    }

    /// Whatever goes wrong with a function: what the server has stays, what was written is a conflict with its base, whoever runs
    /// the server is told, and the rest of the transaction is carried out.
    #[test]
    fn what_a_function_does_not_decide_is_a_conflict(
        base in -40i64..40, first in 41i64..99, second in 41i64..99,
        function in prop::sample::select(vec!["add_up", "panics", "text", "bounds", "counts_calls", "nowhere"]),
    ) {
        std::panic::set_hook(Box::new(|_| {}));
        // Beyond what `add_up` decides.
        let base = base - 80;
        let [base, first, second] = [base, first, second].map(Value::Int);
        let (row, siblings) = both(function, [base.clone(), first.clone(), second.clone()]);
        let _ = std::panic::take_hook();
        prop_assert_eq!((&row.cells["own"], &row.cells["other"]), (&first, &"b".into()));
        let [Sibling { value, base: of, fault, column, was_stored: None }] = &siblings[..] else { panic!("{siblings:?}") };
        prop_assert_eq!((value, of.as_ref(), column.as_deref()), (&second, Some(&base), Some("own")));
        let named = fault.as_ref().is_some_and(|fault| fault.contains(function));
        prop_assert!(named, "{:?}", fault);
    }

    /// A device that has the function shows what the server will make of it; one that has not, and one whose function fails, shows what
    /// was written.
    #[test]
    fn what_waits_is_shown_over_what_others_wrote(base in number(), first in number(), second in number()) {
        let (row, _) = both("add_up", [base.clone(), first.clone(), second.clone()]);
        let change = rule("add_up").between(&base, &second).unwrap();
        let shown = |function: &str| rule(function).applied(&first, &change).unwrap();
        // Two who write the same are told apart by the server only.
        if first != second {
            prop_assert_eq!(&shown("add_up"), &row.cells["own"]);
        }
        // Also where it gives what the column refuses: whoever shows it is no worse off than without it.
        let table = table("text");
        let own = table.column("own").expect("it is there");
        for function in ["nowhere", "text", "bounds", "counts_calls"] {
            let column = Column { merge: rule(function), ..own.clone() };
            let shown = edit(&column.merge, base.clone(), second.clone()).over(&column, &first);
            prop_assert_eq!(shown.as_ref(), Ok(&second), "{}", function);
        }
    }

    #[test]
    fn two_edits_are_one_where_nobody_came_in_between(values in prop::collection::vec(number(), 4)) {
        let rule = rule("add_up");
        let change = |was: &Value, is: &Value| rule.between(was, is).unwrap();
        let [a, b, c, d] = &values[..] else { unreachable!() };
        prop_assert_eq!(rule.joined(&change(a, b), &change(b, c)), Some(change(a, c)));
        prop_assert_eq!(rule.joined(&change(a, b), &change(c, d)).is_some(), b == c);
        if b != d {
            prop_assert!(rule.taken_back(d, a, &change(a, b)).is_none(), "others have written since");
        }
    }

    #[test]
    fn no_change_makes_it_fail(
        text in "\\PC{0,40}", ty in prop::sample::select(vec![ColumnType::Text, ColumnType::Json, ColumnType::Date]),
    ) {
        let (rule, change) = (MergeRule::custom("nowhere", ty), Value::Json(text));
        let _ = (rule.applied(&Value::Null, &change), rule.joined(&change, &change), rule.flaw_of_change(&change));
    }
}

const TOML: &str = r#"
[app]
name = "shelf"
version = 1
[tables.books.columns]
id     = "uuid"
rating = { type = "integer", merge = "custom", function = "mean" }
"#;

#[test]
fn a_schema_names_the_functions_that_it_needs() {
    let schema = Schema::parse("landfall.toml", TOML).expect("a schema");
    let missing =
        |schema: &Schema| schema.missing_functions().map(|(t, c, f)| format!("{t}.{c} {f}")).collect::<Vec<_>>();
    assert_eq!(missing(&schema), ["books.rating mean"]);
    let read = Schema::from_json(&schema.to_json()).expect("compiled");
    assert_eq!((read == schema, missing(&read)), (true, vec!["books.rating mean".to_owned()]));
    let bound = schema.clone().with_functions(&MergeFunctions::new().on("mean", add_up));
    assert_eq!(
        (missing(&bound), bound == schema),
        (Vec::new(), true),
        "a function is no part of a schema, its name is"
    );
    assert!(schema.table("books_conflicts").is_some());
    assert!(!schema.table("books").and_then(|t| t.column("rating")).expect("it is there").required);
}

#[test]
fn another_function_may_be_named_and_the_rule_may_be_taken_up_but_not_left() {
    let schema = |rule: &str| {
        Schema::parse("landfall.toml", &TOML.replace("merge = \"custom\", function = \"mean\"", rule))
            .expect("a schema")
    };
    let custom = |name: &str| schema(&format!("merge = \"custom\", function = \"{name}\""));
    let follows = |old: &Schema, new: &Schema| Schema::check_upgrade(old, new).is_ok();
    assert!(follows(&custom("mean"), &custom("median")));
    assert!(follows(&schema("merge = \"max\""), &custom("mean")));
    // Devices may have edits to send that another rule knows nothing of.
    assert!(!follows(&custom("mean"), &schema("merge = \"max\"")));
}
