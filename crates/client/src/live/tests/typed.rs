//! Typed queries are kept up to date from the changed rows, and run again only when those do not tell enough.

use std::collections::BTreeSet;

use landfall_core::Value;
use landfall_core::predicate::{Expr, Predicate};

use super::world::World;
use crate::changes::ChangeSet;
use crate::live::{LiveError, LiveQuery, Order, QueryId, Select};

fn select(world: &World, filter: impl Into<Expr>) -> Select {
    let table = world.schema.table("notes").expect("it is there");
    let filter = Predicate::check(filter, table, &[]).expect("the filter is valid");
    Select { table: "notes".into(), filter: Some(filter), ..Select::default() }
}

fn watch(world: &mut World, select: Select) -> QueryId {
    world.watch(LiveQuery::Typed(select)).id
}

fn write(world: &mut World, id: i64, stars: i64) -> BTreeSet<QueryId> {
    world.write("notes", &[Value::Int(id)], Some(&[("stars", Value::Int(stars))]))
}

fn ids(world: &World, query: QueryId) -> Vec<i64> {
    let id = |row: &Vec<Value>| if let Value::Int(id) = row[0] { id } else { -1 };
    world.answers[&query].iter().map(id).collect()
}

#[test]
fn without_a_limit_no_change_runs_sql() {
    let mut world = World::new();
    let select = Select {
        order_by: vec![Order { column: "stars".into(), descending: true }],
        ..select(&world, Expr::col("stars").gt(2))
    };
    let query = watch(&mut world, select);
    for (id, stars) in [(1, 3), (2, 5), (3, 1), (4, 4), (3, 9), (2, 0), (4, 10)] {
        write(&mut world, id, stars);
    }
    assert_eq!(ids(&world, query), [4, 3, 1]);
    world.write("notes", &[Value::Int(3)], None);
    assert_eq!((ids(&world, query), world.live.runs(query)), (vec![4, 1], Some(1)));
}

#[test]
fn with_a_limit_only_a_gap_runs_sql() {
    let mut world = World::new();
    (1..=20).for_each(|id| drop(write(&mut world, id, id)));
    let first = Select {
        order_by: vec![Order { column: "stars".into(), descending: false }],
        limit: Some(3),
        ..select(&world, Expr::col("stars").ge(0))
    };
    let query = watch(&mut world, first);
    assert!(write(&mut world, 15, 16).is_empty(), "a row behind the limit was announced");
    write(&mut world, 12, 2);
    assert_eq!((ids(&world, query), world.live.runs(query)), (vec![1, 2, 12], Some(1)));
    write(&mut world, 1, 100);
    assert_eq!((ids(&world, query), world.live.runs(query)), (vec![2, 12, 3], Some(2)));
}

#[test]
fn one_hundred_queries_by_value_cost_a_write_one_query() {
    let mut world = World::new();
    let queries: Vec<_> = (0..100)
        .map(|stars| {
            let select = select(&world, Expr::col("stars").eq(stars));
            watch(&mut world, select)
        })
        .collect();
    assert_eq!(write(&mut world, 1, 7), BTreeSet::from([queries[7]]));
    assert_eq!(write(&mut world, 1, 8), BTreeSet::from([queries[7], queries[8]]));
    assert!(queries.iter().all(|id| world.live.runs(*id) == Some(1)));
}

#[test]
fn an_answer_that_shows_the_same_is_not_announced() {
    let mut world = World::new();
    let select = Select {
        columns: Some(vec!["title".into()]),
        order_by: vec![Order { column: "stars".into(), descending: false }],
        ..select(&world, Expr::col("stars").ge(0))
    };
    let query = watch(&mut world, select);
    write(&mut world, 1, 1);
    write(&mut world, 2, 5);
    assert!(write(&mut world, 2, 4).is_empty(), "a new order value, the same order");
    let mut changes = ChangeSet::default();
    let row = world.row(&world.schema.tables[0], &landfall_core::RowKey(vec![Value::Int(2)])).expect("written above");
    world.put("notes", &landfall_core::RowKey(vec![Value::Int(2)]), None, &mut changes);
    let cells = row.into_iter().filter(|(name, _)| name != "id").collect();
    world.put("notes", &landfall_core::RowKey(vec![Value::Int(3)]), Some(&cells), &mut changes);
    assert!(world.notify(&changes).is_empty(), "one row went, one that shows the same came");
    assert_eq!(world.live.runs(query), Some(1));
}

#[test]
fn names_that_the_schema_does_not_have_are_refused() {
    let mut world = World::new();
    let order = |column: &str| vec![Order { column: column.into(), descending: false }];
    for select in [
        Select { table: "nothing".into(), ..Select::default() },
        Select { columns: Some(vec!["nothing".into()]), table: "notes".into(), ..Select::default() },
        Select { order_by: order("nothing"), table: "notes".into(), ..Select::default() },
        Select { table: "tags".into(), ..select(&world, Expr::col("done")) },
    ] {
        let refused = world.live.watch(&world.conn, &world.schema, LiveQuery::Typed(select), &|_| true);
        assert!(matches!(refused, Err(LiveError::Unknown { .. })), "{refused:?}");
    }
}
