//! The laws of the merge rules, each held by every rule, for every column type that it fits, alone and beside every other.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::merge::{Author, Merged, RowMeta, StoredRow, Version, merge};
use landfall_core::rules::{Contest, MergeFunctions, MergeRule, Three, Winner};
use landfall_core::schema::{Column, Table};
use landfall_core::{CellWrite, Change, ColumnType, Decimal, Operation, ReplicaId, RowKey, Stamp, Value};
use proptest::prelude::*;

const TYPES: [ColumnType; 10] = [
    ColumnType::Uuid,
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Float,
    ColumnType::Decimal(2),
    ColumnType::Boolean,
    ColumnType::Timestamp,
    ColumnType::Date,
    ColumnType::Json,
    ColumnType::Bytes,
];

fn column(name: &str, (ty, merge): (ColumnType, MergeRule)) -> Column {
    Column { merge, ..Column::plain(name, ty) }
}

/// A table of two columns beside the key.
fn table(a: (ColumnType, MergeRule), b: (ColumnType, MergeRule)) -> Table {
    let columns = vec![column("id", (ColumnType::Integer, MergeRule::LWW)), column("a", a), column("b", b)];
    Table::plain("t", columns)
}

/// One of a handful of values, so that they meet; the last one is NULL.
fn value(ty: ColumnType, n: u8) -> Value {
    let number = i64::from(n);
    match ty {
        _ if n == 5 => Value::Null,
        ColumnType::Uuid => Value::Uuid([n; 16]),
        ColumnType::Text => Value::Text(["", "a", "b", "ä", "aa"][usize::from(n)].to_owned()),
        ColumnType::Integer => Value::Int(number - 2),
        ColumnType::Float => Value::Float(number as f64 / 2.0 - 1.0),
        ColumnType::Decimal(scale) => Value::Decimal(Decimal { units: number * 10 - 20, scale }),
        ColumnType::Boolean => Value::Bool(n.is_multiple_of(2)),
        ColumnType::Timestamp => Value::Timestamp(number),
        ColumnType::Date => Value::Date(i32::from(n)),
        ColumnType::Json => Value::Json(format!("[{n}]")),
        ColumnType::Bytes => Value::Bytes(vec![n]),
    }
}

/// The same for a column, whose rule may know only some values.
fn held(column: &Column, n: u8) -> Value {
    let texts = match column.merge.name() {
        "set" => ["[]", "[1]", "[1,2]", "[\"a\"]", "[2,\"a\"]"],
        "list" => return if n == 5 { Value::Null } else { Value::Text(format!("0000000{}1", n)) },
        "map" => ["{}", "{\"a\":1}", "{\"a\":2,\"b\":1}", "{\"b\":2}", "{\"c\":[]}"],
        _ => return value(column.ty, n),
    };
    texts.get(usize::from(n)).map_or(Value::Null, |text| Value::Json((*text).to_owned()))
}

/// What an app may make of three values.
fn largest(three: &Three<'_>) -> Result<Value, String> {
    Ok(three.ours.clone().max(three.theirs.clone()))
}

fn custom(ty: ColumnType) -> MergeRule {
    MergeRule::custom("largest", ty).with_functions(&MergeFunctions::new().on("largest", largest))
}

/// What is done to a column: its new value, or a change.
fn done(column: &Column, n: u8) -> Value {
    if column.merge.name() == "custom" {
        return column.merge.between(&value(column.ty, n % 3), &value(column.ty, n)).expect("a change");
    }
    let texts = match (column.merge.name(), column.merge.change()) {
        (_, None) => return held(column, n),
        // A change has a value.
        (_, Some(Change::Add)) => return value(column.ty, n % 5),
        ("text", _) => [
            "{\"was\":\"\",\"is\":\"\"}",
            "{\"was\":\"\",\"is\":\"b\"}",
            "{\"was\":\"\",\"is\":\"b c\"}",
            "{\"was\":\"a\",\"is\":\"\"}",
            "{\"was\":\"a\",\"is\":\"aa\"}",
        ],
        ("ot", _) => [
            "{\"was\":\"\",\"steps\":[]}",
            "{\"was\":\"\",\"steps\":[\"b\"]}",
            "{\"was\":\"ab\",\"steps\":[1,\"c\",-1]}",
            "{\"was\":\"a\",\"steps\":[-1]}",
            "{\"was\":\"a\",\"steps\":[1,\"a\"]}",
        ],
        ("set", _) => ["{}", "{\"add\":[1]}", "{\"remove\":[1]}", "{\"add\":[\"a\"],\"remove\":[2]}", "{\"add\":[3]}"],
        _ => ["{}", "{\"set\":{\"/a\":7}}", "{\"set\":{\"/a\":9}}", "{\"set\":{\"/b\":[]}}", "{\"set\":{\"/c\":8}}"],
    };
    Value::Json(texts[usize::from(n % 5)].to_owned())
}

fn rules() -> impl Strategy<Value = (ColumnType, MergeRule)> {
    let fitting = |ty: ColumnType| {
        let named = MergeRule::all().filter(move |rule| rule.fits(ty));
        named.chain([custom(ty)]).map(move |rule| (ty, rule))
    };
    prop::sample::select(TYPES.into_iter().flat_map(fitting).collect::<Vec<_>>())
}

fn ordered() -> impl Strategy<Value = ColumnType> {
    let fits = |ty: &ColumnType| ["max", "min"].iter().all(|name| MergeRule::named(name).is_some_and(|r| r.fits(*ty)));
    prop::sample::select(TYPES.into_iter().filter(fits).collect::<Vec<_>>())
}

fn stamp(wall_ms: u64, replica: u8) -> Stamp {
    Stamp { wall_ms, counter: 0, replica: ReplicaId([replica; 16]) }
}

/// What one device writes into the two columns, and when by its clock.
#[derive(Clone, Debug)]
struct Write {
    wall_ms: u64,
    values: BTreeMap<&'static str, u8>,
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let values = prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), 0u8..6, 1..=2);
    let one = (10u64..14, values).prop_map(|(wall_ms, values)| Write { wall_ms, values });
    prop::collection::vec(one, 1..5)
}

fn start(table: &Table, values: [u8; 2]) -> StoredRow {
    let cells = table.data_columns().zip(values).map(|(column, n)| (column.name.clone(), held(column, n)));
    StoredRow {
        cells: cells.chain([("id".to_owned(), Value::Int(1))]).collect(),
        meta: RowMeta { row: Version { seq: 1, stamp: stamp(10, 0) }, ..RowMeta::default() },
    }
}

fn operation(table: &Table, base: u64, values: &BTreeMap<&'static str, u8>) -> Operation {
    let write = |(name, n): (&&'static str, &u8)| {
        let column = table.column(name).expect("a column");
        CellWrite { change: column.merge.change(), ..CellWrite::new(*name, done(column, *n)) }
    };
    Operation::Update {
        table: "t".into(),
        key: RowKey::single(Value::Int(1)),
        base,
        cells: values.iter().map(write).collect(),
    }
}

fn applied(table: &Table, row: StoredRow, operation: &Operation, (stamp, seq): (Stamp, u64)) -> StoredRow {
    match merge(table, Some(&row), operation, &Author { stamp, seq, now_ms: 100, is_fact: false }) {
        Merged::Put { row, .. } => row,
        Merged::Nothing { .. } => row,
        other => panic!("{other:?}"),
    }
}

/// Writes of different devices, none of which has seen another's, in the order in which they arrive.
fn arrived(table: &Table, first: [u8; 2], writes: &[Write], order: &[usize]) -> Cells {
    let mut row = start(table, first);
    for (at, i) in order.iter().enumerate() {
        let (write, seq) = (&writes[*i], 2 + at as u64);
        row = applied(table, row, &operation(table, 1, &write.values), (stamp(write.wall_ms, 1 + *i as u8), seq));
    }
    row.cells
}

fn two_orders() -> impl Strategy<Value = (Vec<Write>, Vec<usize>, Vec<usize>)> {
    writes().prop_flat_map(|list| {
        let order = || Just((0..list.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(list.clone()), order(), order())
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_order_free_rule_gives_the_same_value_in_every_order(
        a in rules(), b in rules(), first in [0u8..6, 0u8..6], (writes, one, other) in two_orders(),
    ) {
        let table = table(a, b);
        let (one, other) = (arrived(&table, first, &writes, &one), arrived(&table, first, &writes, &other));
        for column in table.data_columns().filter(|column| column.merge.is_order_free()) {
            prop_assert_eq!(&one[&column.name], &other[&column.name], "{:?}", column.merge);
        }
    }

    #[test]
    fn a_column_does_not_notice_the_rule_of_another(
        a in rules(), b in rules(), first in [0u8..6, 0u8..6], (writes, order, _) in two_orders(),
    ) {
        let together = table(a.clone(), b.clone());
        let alone = |name: &str| -> Vec<Write> {
            let only = |w: &Write| Write { values: w.values.clone().into_iter().filter(|(n, _)| *n == name).collect(), ..*w };
            writes.iter().map(only).collect()
        };
        let both = arrived(&together, first, &writes, &order);
        for name in ["a", "b"] {
            let other = |of: &(ColumnType, MergeRule), is: bool| if is { of.clone() } else { (of.0, MergeRule::LWW) };
            let beside = table(other(&a, name == "a"), other(&b, name == "b"));
            prop_assert_eq!(&both[name], &arrived(&beside, first, &alone(name), &order)[name]);
        }
    }

    #[test]
    fn what_is_shown_while_it_waits_is_what_the_server_makes_of_it_when_nobody_else_writes(
        a in rules(), b in rules(), first in [0u8..6, 0u8..6], own in writes(),
    ) {
        let table = table(a, b);
        let (mut row, mut shown) = (start(&table, first), start(&table, first).cells);
        for (at, write) in own.iter().enumerate() {
            // A device settles what it writes by the rules before it queues it.
            let settle = |(name, n): (&&'static str, &u8)| {
                let column = table.column(name).unwrap();
                (column.merge.after(&shown[*name], &done(column, *n)) == Winner::Written).then_some((*name, *n))
            };
            let settled: BTreeMap<_, _> = write.values.iter().filter_map(settle).collect();
            let mut operation = operation(&table, 1, &settled);
            // A text travels with what it was, and so does what an app merges.
            if let Operation::Update { cells, .. } = &mut operation {
                for cell in cells.iter_mut().filter(|cell| ["text", "ot", "custom"].contains(&table.rule(&cell.column).name())) {
                    let column = table.column(&cell.column).unwrap();
                    let most = if column.merge.name() == "custom" { 6 } else { 5 };
                    let is = value(column.ty, settled[cell.column.as_str()] % most);
                    cell.value = table.rule(&cell.column).between(&shown[&cell.column], &is).unwrap();
                }
            }
            shown = operation.preview(Some(shown.clone()), &table).unwrap();
            row = applied(&table, row, &operation, (stamp(write.wall_ms, 1), 2 + at as u64));
        }
        prop_assert_eq!(row.cells, shown);
    }

    #[test]
    fn the_extremes_are_the_extremes_of_all_that_was_written(
        ty in ordered(), first in [0u8..6, 0u8..6], (writes, order, _) in two_orders(),
    ) {
        let (max, min) = (MergeRule::named("max").unwrap(), MergeRule::named("min").unwrap());
        let table = table((ty, max), (ty, min));
        let row = arrived(&table, first, &writes, &order);
        let all = |name: &'static str, first: u8| {
            let written = writes.iter().filter_map(move |w| w.values.get(name).copied());
            written.chain([first]).map(|n| value(ty, n)).filter(|value| !value.is_null())
        };
        prop_assert_eq!(&row["a"], &all("a", first[0]).max().unwrap_or_default());
        prop_assert_eq!(&row["b"], &all("b", first[1]).min().unwrap_or_default());
    }

    #[test]
    fn a_first_value_stays(
        ty in prop::sample::select(TYPES.to_vec()), stored in 0u8..5, written in 0u8..6, at in [1u64..9, 1u64..9],
    ) {
        let first = MergeRule::named("first").unwrap();
        let (stored, written) = (value(ty, stored), value(ty, written));
        let contest = |concurrent| Contest {
            stored: &stored, stored_at: stamp(at[0], 1), written: &written, written_at: stamp(at[1], 2), concurrent,
        };
        prop_assert_eq!(first.winner(&contest(false)), Winner::Stored);
        let earlier = at[1] < at[0] && !written.is_null();
        prop_assert_eq!(first.winner(&contest(true)) == Winner::Written, earlier);
    }

    #[test]
    fn the_server_takes_the_first_that_arrives_or_the_last(
        ty in prop::sample::select(TYPES.to_vec()), first in [0u8..6, 0u8..6], (writes, order, _) in two_orders(),
    ) {
        let named = |name| (ty, MergeRule::named(name).unwrap());
        let table = table(named("server"), named("client"));
        let row = arrived(&table, first, &writes, &order);
        let came = |name: &'static str| order.iter().filter_map(|i| writes[*i].values.get(name)).collect::<Vec<_>>();
        prop_assert_eq!(&row["a"], &value(ty, came("a").first().map_or(first[0], |n| **n)));
        prop_assert_eq!(&row["b"], &value(ty, came("b").last().map_or(first[1], |n| **n)));
    }
}

#[test]
fn every_rule_is_found_by_its_name() {
    for rule in MergeRule::all() {
        assert_eq!(MergeRule::named(rule.name()).as_ref(), Some(&rule));
        assert!(TYPES.iter().any(|ty| rule.fits(*ty)), "{rule:?} fits nothing");
    }
    assert_eq!(MergeRule::named("newest"), None);
}

/// Whoever changes a cell in parts, and deletes the row after that, has not seen what somebody else changed in it meanwhile:
/// that is in the cell as well, and the row stays, in whatever order they arrive.
#[test]
fn a_delete_after_a_change_of_ones_own_has_not_seen_more_than_that() {
    let rules = ["counter", "set", "map", "text", "ot"].map(|name| (name, MergeRule::named(name).expect("a rule")));
    for (name, rule) in rules {
        let ty = TYPES.into_iter().find(|ty| rule.fits(*ty)).expect("a type");
        let table = table((ty, rule), (ColumnType::Integer, MergeRule::LWW));
        let column = table.column("a").expect("the column").clone();
        let key = RowKey::single(Value::Int(1));
        let change = |n: u8| Operation::Update {
            table: "t".into(),
            key: key.clone(),
            base: 1,
            cells: vec![CellWrite { change: column.merge.change(), ..CellWrite::new("a", done(&column, n)) }],
        };
        let gone = Operation::Delete { table: "t".into(), key: key.clone(), base: 1 };
        let written = [(change(1), stamp(20, 1)), (gone, stamp(21, 1)), (change(4), stamp(10, 2))];
        let begun = {
            let mut cells = table.key_cells(&key);
            cells.extend([("a".to_owned(), Value::Null), ("b".to_owned(), Value::Null)]);
            let row = Version { seq: 1, stamp: stamp(1, 9) };
            StoredRow { cells, meta: RowMeta { row, ..RowMeta::default() } }
        };
        let ends = [[2, 0, 1], [0, 2, 1], [0, 1, 2]].map(|order| {
            order.iter().zip(2..).fold(begun.clone(), |row, (at, seq)| {
                let (operation, stamp) = &written[*at];
                let author = Author { stamp: *stamp, seq, now_ms: 1_000, is_fact: false };
                match merge(&table, Some(&row), operation, &author) {
                    Merged::Put { row, .. } | Merged::Delete { row } => row,
                    Merged::Nothing { .. } => row,
                    Merged::Refused(problem) => panic!("{name}: {problem:?}"),
                }
            })
        });
        assert!(ends.iter().all(|row| row.meta.deleted.is_none()), "{name}: {ends:?}");
        if ["counter", "set", "map"].contains(&name) {
            assert!(ends.iter().all(|row| row.cells == ends[0].cells), "{name}: {ends:?}");
        }
        // Who has seen both may delete it.
        let seen = Operation::Delete { table: "t".into(), key, base: 4 };
        let author = Author { stamp: stamp(30, 1), seq: 5, now_ms: 1_000, is_fact: false };
        assert!(matches!(merge(&table, Some(&ends[0]), &seen, &author), Merged::Delete { .. }), "{name}");
    }
}
