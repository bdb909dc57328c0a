//! Rows in an order that people make: where a row is put, there it is, in its own list, and nothing else moves.

use landfall_core::error::codes as core;
use proptest::prelude::*;

use super::*;
use crate::db::Spot;

fn open() -> Database {
    let text = r#"
        [app]
        name = "lists"
        version = 1
        [tables.cards.columns]
        id = "integer"
        board = "text"
        place = { type = "text", merge = "list" }
        "#;
    let schema = Schema::parse("landfall.toml", text).expect("a schema");
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let cards = "INSERT INTO cards (id, board) VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'b'), (5, 'b')";
    write(&mut db, &[cards]).expect("writes");
    db
}

fn key(id: i64) -> RowKey {
    RowKey::single(Value::Int(id))
}

fn place(db: &mut Database, id: i64, spot: Spot) -> Result<bool, DbError> {
    db.write(NOW, &mut |b| b.fill(2), |tx| tx.place("cards", &key(id), "place", &["board"], &spot)).map(|w| w.value)
}

fn order(db: &Database, board: &str) -> Vec<i64> {
    let sql = format!("SELECT id FROM cards WHERE board = '{board}' AND place IS NOT NULL ORDER BY place, id");
    rows(db, &sql).into_iter().flatten().filter_map(|id| id.as_int()).collect()
}

#[test]
fn a_list_is_its_own_and_its_neighbours_are_there() {
    let mut db = open();
    for id in [1, 4, 2, 5] {
        assert!(place(&mut db, id, Spot::Last).expect("places"));
    }
    assert!(place(&mut db, 3, Spot::Before(key(1))).expect("places"));
    assert_eq!((order(&db, "a"), order(&db, "b")), (vec![3, 1, 2], vec![4, 5]));
    assert!(place(&mut db, 1, Spot::After(key(2))).expect("places"));
    assert!(place(&mut db, 5, Spot::First).expect("places"));
    assert_eq!((order(&db, "a"), order(&db, "b")), (vec![3, 2, 1], vec![5, 4]));
    assert!(!place(&mut db, 99, Spot::First).expect("no such row"));
    assert_eq!(place(&mut db, 1, Spot::After(key(99))).expect_err("no such neighbour").code(), core::ROW_GONE);
    assert_eq!(place(&mut db, 1, Spot::After(key(1))).expect_err("itself").code(), core::ROW_GONE);
    let typed = write(&mut db, &["UPDATE cards SET place = 'second' WHERE id = 1"]);
    assert_eq!(typed.expect_err("no position").code(), core::WRONG_TYPE);
    // A move is one small update.
    let entry = db.outbox().expect("readable").into_iter().next_back().expect("an entry").transaction;
    assert_eq!((entry.operations.len(), entry.operations[0].cells().len()), (1, 1));
}

#[test]
fn a_list_whose_positions_are_too_long_gets_new_ones() {
    let mut db = open();
    for id in [1, 2] {
        place(&mut db, id, Spot::Last).expect("places");
    }
    // Somebody else has inserted between one another's rows for a long time.
    let deep = format!("{}zzzzzz001", "0000000V1".repeat(39));
    write(&mut db, &[&format!("UPDATE cards SET place = '{deep}' WHERE id = 1")]).expect("writes");
    write(&mut db, &[&format!("UPDATE cards SET place = '{}003' WHERE id = 2", &deep[..deep.len() - 3])])
        .expect("writes");
    place(&mut db, 3, Spot::After(key(1))).expect("places");
    assert_eq!(order(&db, "a"), [1, 3, 2]);
    let longest = rows(&db, "SELECT max(length(place)) FROM cards WHERE board = 'a'").remove(0).remove(0);
    assert_eq!(longest, Value::Int(9));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_a_row_is_put_there_it_is(moves in prop::collection::vec((1i64..4, 0u8..4, 1i64..4), 1..30)) {
        let mut db = open();
        let mut expected: Vec<i64> = Vec::new();
        for (id, how, other) in moves {
            let at = expected.iter().filter(|one| **one != id).position(|one| *one == other);
            let spot = match (how, at) {
                (0, _) => Spot::First,
                (1, Some(_)) => Spot::Before(key(other)),
                (2, Some(_)) => Spot::After(key(other)),
                _ => Spot::Last,
            };
            let len = expected.iter().filter(|one| **one != id).count();
            let to = match &spot {
                Spot::First => 0,
                Spot::Last => len,
                Spot::Before(_) => at.unwrap_or(0),
                Spot::After(_) => at.map_or(0, |at| at + 1),
            };
            expected.retain(|one| *one != id);
            expected.insert(to, id);
            place(&mut db, id, spot).expect("places");
            prop_assert_eq!(&order(&db, "a"), &expected);
        }
    }
}
