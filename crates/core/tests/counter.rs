//! The laws of `counter`: every increment counts once, whatever else happens to the row, and in every grouping.

use landfall_core::error::codes;
use landfall_core::merge::{Author, Merged, RowMeta, StoredRow, Version, merge};
use landfall_core::rules::MergeRule;
use landfall_core::schema::{Column, Table, TransactionLimits};
use landfall_core::{CellWrite, Change, ColumnType, Decimal, Operation, ReplicaId, RowKey, Schema, Stamp, Value};
use proptest::prelude::*;

fn table(ty: ColumnType) -> Table {
    let counter = Column { merge: MergeRule::named("counter").expect("a rule"), ..Column::plain("n", ty) };
    Table::plain("t", vec![Column::plain("id", ColumnType::Integer), counter, Column::plain("s", ColumnType::Text)])
}

fn number(ty: ColumnType, units: i64) -> Value {
    match ty {
        ColumnType::Decimal(scale) => Value::Decimal(Decimal::new(units, scale)),
        _ => Value::Int(units),
    }
}

fn units(value: &Value) -> i64 {
    match value {
        Value::Int(n) => *n,
        Value::Decimal(n) => n.units,
        other => panic!("{other:?}"),
    }
}

fn author(seq: u64, wall_ms: u64, replica: u8) -> Author {
    let stamp = Stamp { wall_ms, counter: 0, replica: ReplicaId([replica; 16]) };
    Author { stamp, seq, now_ms: 1_000, is_fact: false }
}

fn add(ty: ColumnType, by: i64) -> CellWrite {
    CellWrite { change: Some(Change::Add), ..CellWrite::new("n", number(ty, by)) }
}

fn key() -> RowKey {
    RowKey::single(Value::Int(1))
}

fn row(table: &Table, n: i64) -> StoredRow {
    let cells = [("id", Value::Int(1)), ("n", number(table.columns[1].ty, n)), ("s", Value::Null)];
    let row = Version { seq: 1, stamp: author(1, 1, 0).stamp };
    let cells = cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    StoredRow { cells, meta: RowMeta { row, ..RowMeta::default() } }
}

fn update(base: u64, cells: Vec<CellWrite>) -> Operation {
    Operation::Update { table: "t".into(), key: key(), base, cells }
}

fn types() -> impl Strategy<Value = ColumnType> {
    prop::sample::select(vec![ColumnType::Integer, ColumnType::Decimal(2)])
}

/// Increments, each with the stamp of its author, and whether it writes the other column, too.
fn increments() -> impl Strategy<Value = Vec<(i64, u64, bool)>> {
    prop::collection::vec((-50i64..50, 1u64..6, any::<bool>()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn increments_add_up_in_every_order_beside_other_columns(
        ty in types(), start in -100i64..100,
        (list, order) in increments().prop_flat_map(|list| {
            (Just(list.clone()), Just((0..list.len()).collect::<Vec<_>>()).prop_shuffle())
        }),
    ) {
        let table = table(ty);
        let mut stored = row(&table, start);
        for (seq, at) in (2..).zip(order) {
            let (by, wall_ms, beside) = list[at];
            let mut cells = vec![add(ty, by)];
            if beside {
                cells.push(CellWrite::new("s", Value::Text(format!("{at}"))));
            }
            // None has seen another one.
            match merge(&table, Some(&stored), &update(1, cells), &author(seq, wall_ms, at as u8 + 1)) {
                Merged::Put { row, lost, .. } => {
                    prop_assert!(!lost.contains(&"n".to_owned()));
                    stored = row;
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(units(&stored.cells["n"]), start + list.iter().map(|(by, ..)| by).sum::<i64>());
    }

    #[test]
    fn several_as_one_are_the_same_as_one_after_the_other(ty in types(), start in -100i64..100, list in increments()) {
        let rule = MergeRule::named("counter").expect("a rule");
        let all = list.iter().map(|(by, ..)| number(ty, *by)).reduce(|one, next| rule.applied(&one, &next).unwrap());
        let at_once = rule.applied(&number(ty, start), &all.unwrap()).unwrap();
        let stepwise = list.iter().fold(number(ty, start), |n, (by, ..)| rule.applied(&n, &number(ty, *by)).unwrap());
        prop_assert_eq!(&at_once, &stepwise);
        prop_assert_eq!(rule.between(&number(ty, start), &at_once), Some(all_of(&list, ty)));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_wraps(ty in types(), one in any::<i64>(), other in any::<i64>()) {
        let rule = MergeRule::named("counter").expect("a rule");
        let sum = rule.applied(&number(ty, one), &number(ty, other));
        prop_assert_eq!(sum.as_ref().map(units), one.checked_add(other));
        let difference = rule.between(&number(ty, one), &number(ty, other));
        prop_assert_eq!(difference.as_ref().map(units), other.checked_sub(one));
    }
}

fn all_of(list: &[(i64, u64, bool)], ty: ColumnType) -> Value {
    number(ty, list.iter().map(|(by, ..)| by).sum())
}

#[test]
fn the_outcome_must_be_one_that_the_column_allows() {
    let mut table = table(ColumnType::Integer);
    (table.columns[1].min, table.columns[1].max) = (Some(Value::Int(0)), Some(Value::Int(10)));
    let stored = row(&table, 1);
    for (by, fits) in [(-1, true), (9, true), (-2, false), (10, false), (i64::MAX, false), (i64::MIN, false)] {
        let merged = merge(&table, Some(&stored), &update(1, vec![add(ColumnType::Integer, by)]), &author(2, 9, 1));
        match merged {
            Merged::Put { row, .. } => assert!(fits && row.cells["n"] == Value::Int(1 + by), "{by}"),
            Merged::Refused(problem) => {
                assert!(!fits, "{by}: {problem}");
                assert_eq!((problem.code, problem.table.as_deref()), (codes::OUT_OF_RANGE, Some("t")));
                assert_eq!((problem.key, problem.column.as_deref()), (Some(key().to_string()), Some("n")));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_that_make_the_same_row_begin_with_what_both_counted() {
    let table = table(ColumnType::Integer);
    let insert =
        |by| Operation::Insert { table: "t".into(), key: key(), base: 0, cells: vec![add(ColumnType::Integer, by)] };
    let Merged::Put { row, .. } = merge(&table, None, &insert(3), &author(1, 1, 1)) else { panic!("made") };
    let Merged::Put { row, .. } = merge(&table, Some(&row), &insert(4), &author(2, 1, 2)) else { panic!("joined") };
    assert_eq!(row.cells["n"], Value::Int(7));
}

#[test]
fn a_row_that_comes_back_goes_on_counting_from_where_it_was() {
    let table = table(ColumnType::Integer);
    let delete = Operation::Delete { table: "t".into(), key: key(), base: 1 };
    let Merged::Delete { row } = merge(&table, Some(&row(&table, 5)), &delete, &author(2, 9, 1)) else {
        panic!("gone")
    };
    let back = merge(&table, Some(&row), &update(1, vec![add(ColumnType::Integer, 2)]), &author(3, 8, 2));
    let Merged::Put { row, .. } = back else { panic!("back") };
    assert_eq!(row.cells["n"], Value::Int(7));
}

fn check(schema: &Schema, cell: CellWrite) -> Result<(), landfall_core::Code> {
    schema.check_operation(&update(1, vec![cell]), &TransactionLimits::default()).map_err(|problem| problem.code)
}

#[test]
fn a_change_that_its_column_does_not_know_is_refused() {
    let text = "[app]\nname = \"t\"\nversion = 1\n[tables.t.columns]\nid = \"integer\"\ns = \"text\"\n\
                n = { type = \"integer\", merge = \"counter\", min = 0 }\n";
    let schema = Schema::parse("landfall.toml", text).unwrap();
    let column = schema.table("t").and_then(|t| t.column("n")).unwrap();
    assert!(column.required && column.default.is_some(), "it counts from something");
    assert_eq!(check(&schema, add(ColumnType::Integer, -5)), Ok(()), "what it leads to is looked at later");
    let check = |cell| check(&schema, cell);
    assert_eq!(check(add(ColumnType::Integer, 1)), Ok(()));
    assert_eq!(
        check(CellWrite { column: "s".into(), value: Value::Text("a".into()), ..add(ColumnType::Integer, 1) }),
        Err(codes::BAD_TRANSACTION)
    );
    assert_eq!(
        check(CellWrite { value: Value::Text("a".into()), ..add(ColumnType::Integer, 1) }),
        Err(codes::WRONG_TYPE)
    );
    assert_eq!(check(CellWrite { value: Value::Null, ..add(ColumnType::Integer, 1) }), Err(codes::REQUIRED));
}
