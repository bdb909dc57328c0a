//! All differences folded over the first answer are the answer of a fresh query, for random data, commits and queries.

use landfall_core::flat::FlatSet;

use landfall_core::hash::Cells;
use landfall_core::predicate::{Expr, Predicate};
use landfall_core::{Decimal, RowKey, Value};
use proptest::prelude::*;

use super::world::World;
use crate::changes::ChangeSet;
use crate::live::{LiveQueries, LiveQuery, Order, Row, Select};

const SQL: [&str; 16] = [
    "SELECT * FROM notes ORDER BY id",
    "SELECT id, title FROM notes WHERE stars = ? ORDER BY id",
    "SELECT count(*), sum(stars) FROM notes WHERE stars = ?1 AND (title > 'a' OR title IS NULL)",
    "SELECT title FROM notes AS n WHERE n.id = ?",
    "SELECT stars, count(*) FROM notes GROUP BY stars ORDER BY stars",
    "SELECT notes.id, tags.name FROM notes JOIN tags ON tags.note = notes.id ORDER BY 1, 2",
    "SELECT notes.id, tags.name FROM notes LEFT JOIN tags USING (stars) ORDER BY 1, 2",
    "SELECT id FROM notes NATURAL JOIN (SELECT stars, note AS id FROM tags) ORDER BY id",
    "SELECT id FROM notes WHERE EXISTS (SELECT 1 FROM tags WHERE note = notes.id AND name = 'b') ORDER BY id",
    "SELECT n.id FROM notes_search JOIN notes n ON n.rowid = notes_search.rowid WHERE notes_search MATCH 'a' ORDER BY 1",
    "WITH RECURSIVE up(n) AS (SELECT min(id) FROM notes UNION SELECT n + 1 FROM up WHERE n + 1 IN (SELECT id FROM notes))
     SELECT n FROM up ORDER BY n",
    "SELECT id FROM notes ORDER BY price DESC, id LIMIT 3",
    "SELECT id FROM notes WHERE stars = ?1 AND done OR id = 3 ORDER BY id",
    "SELECT id FROM notes WHERE (title IS NULL OR body LIKE '%a%') AND notes.stars = ?1; ",
    "SELECT name FROM tags WHERE note = ? AND name <> 'c' ORDER BY name",
    "SELECT id, CASE WHEN stars = ?1 THEN body END FROM notes WHERE id < 5 OR stars = ?1 ORDER BY id",
];

fn sql_query() -> impl Strategy<Value = LiveQuery> {
    (prop::sample::select(SQL.as_slice()), 0i64..4).prop_map(|(sql, n)| {
        let params = if sql.contains('?') { vec![Value::Int(n)] } else { Vec::new() };
        LiveQuery::Sql { sql: sql.to_owned(), params, key: None }
    })
}

fn filter() -> impl Strategy<Value = Option<Expr>> {
    let col = Expr::col;
    prop_oneof![
        Just(None),
        (0i64..8).prop_map(move |n| Some(col("id").eq(n))),
        (0i64..4).prop_map(move |n| Some(col("stars").eq(n).and(col("done")))),
        (0i64..4).prop_map(move |n| Some(col("stars").gt(n).or(col("title").is_null()))),
        "[ab]".prop_map(move |t| Some(col("title").ge(t.as_str()).and(!col("done")))),
        (0i64..4).prop_map(move |n| Some(col("stars").is_in([n, n + 2]).and(col("body").like("%a%")))),
    ]
}

const NAMES: [&str; 6] = ["id", "title", "stars", "price", "weight", "done"];

fn typed_query() -> impl Strategy<Value = LiveQuery> {
    let order = (prop::sample::select(NAMES.as_slice()), any::<bool>())
        .prop_map(|(column, descending)| Order { column: column.to_owned(), descending });
    let columns = prop::option::of(prop::sample::subsequence(NAMES.as_slice(), 1..4));
    (filter(), prop::collection::vec(order, 0..3), prop::option::of(0u64..6), columns).prop_map(
        |(filter, order_by, limit, columns)| {
            let schema = super::world::schema();
            let table = schema.table("notes").expect("it is there");
            LiveQuery::Typed(Select {
                table: "notes".into(),
                filter: filter.map(|f| Predicate::check(f, table, &[]).expect("a valid filter")),
                order_by,
                limit,
                columns: columns.map(|c| c.into_iter().map(str::to_owned).collect()),
                ..Select::default()
            })
        },
    )
}

/// One row to write (some columns), or to take away.
type Step = (&'static str, RowKey, Option<Cells>);

fn step() -> impl Strategy<Value = Step> {
    let int = |max: i64| prop_oneof![1 => Just(Value::Null), 6 => (0..max).prop_map(Value::Int)];
    let text = || prop_oneof![1 => Just(Value::Null), 6 => "[abc ]{0,3}".prop_map(Value::Text)];
    let cell = prop_oneof![
        text().prop_map(|v| ("title", v)),
        text().prop_map(|v| ("body", v)),
        int(4).prop_map(|v| ("stars", v)),
        (-3i64..3).prop_map(|n| ("price", Value::Decimal(Decimal::new(n, 2)))),
        (-3i64..3).prop_map(|n| ("weight", Value::Float(n as f64 / 2.0))),
        any::<bool>().prop_map(|v| ("done", Value::Bool(v))),
    ];
    let note = prop::option::weighted(0.8, prop::collection::vec(cell, 1..4));
    let named = |cells: Vec<(&str, Value)>| cells.into_iter().map(|(name, v)| (name.to_owned(), v)).collect();
    let notes = (0i64..8, note).prop_map(move |(id, cells)| ("notes", RowKey(vec![Value::Int(id)]), cells.map(named)));
    let tags = (0i64..8, "[abc]", prop::option::weighted(0.7, int(4))).prop_map(move |(note, name, stars)| {
        let key = RowKey(vec![Value::Int(note), Value::Text(name)]);
        ("tags", key, stars.map(|stars| Cells::from([("stars".to_owned(), stars)])))
    });
    prop_oneof![3 => notes, 1 => tags]
}

fn fresh(world: &World, query: &LiveQuery) -> Vec<Row> {
    let mut other = LiveQueries::new(world.recorder.clone());
    other.watch(&world.conn, &world.schema, query.clone(), &|_| true).expect("it was valid before").rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn differences_fold_into_the_fresh_answer(
        queries in prop::collection::vec(prop_oneof![sql_query(), typed_query()], 1..8),
        before in prop::collection::vec(step(), 0..12),
        commits in prop::collection::vec((prop::collection::vec(step(), 1..5), prop::bool::weighted(0.1)), 1..12),
    ) {
        let mut world = World::new();
        for (table, key, row) in before {
            world.put(table, &key, row.as_ref(), &mut ChangeSet::default());
        }
        let queries: Vec<_> = queries.into_iter().map(|q| (world.watch(q.clone()).id, q)).collect();
        for (steps, bulk) in commits {
            let mut changes = ChangeSet::default();
            for (table, key, row) in steps {
                world.put(table, &key, row.as_ref(), &mut changes);
            }
            let tables: FlatSet<String> = changes.tables().into_iter().map(str::to_owned).collect();
            if bulk {
                changes = ChangeSet { bulk: tables.clone(), ..ChangeSet::default() };
            }
            let runs: Vec<_> = queries.iter().map(|(id, _)| world.live.runs(*id)).collect();
            // Asserts that what is delivered changes something.
            world.notify(&changes);
            for ((id, query), runs) in queries.iter().zip(runs) {
                prop_assert_eq!(&world.answers[id], &fresh(&world, query), "{:?}", query);
                let reads_tags = match query {
                    LiveQuery::Sql { sql, .. } => sql.contains("tags"),
                    LiveQuery::Typed(_) => false,
                };
                if !tables.contains("notes") && !reads_tags {
                    prop_assert_eq!(world.live.runs(*id), runs, "ran though nothing that it reads changed: {:?}", query);
                }
            }
        }
    }
}
