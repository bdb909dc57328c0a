//! What a query reads decides when it runs.

use std::collections::BTreeSet;

use landfall_core::Value;

use super::world::World;
use crate::live::{Columns, LiveError, LiveQuery};

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

fn columns(names: &[&str]) -> Columns {
    Columns::Only(names.iter().map(ToString::to_string).collect())
}

fn reads(sql: &str) -> Vec<(String, Columns)> {
    let world = World::new();
    let set = world.live.recorder.read_set(&world.conn, &world.schema, sql).expect("the query is valid");
    assert!(!set.opaque, "{sql} reads something unknown");
    set.tables.into_iter().collect()
}

#[test]
fn tables_and_columns_are_learnt_from_the_statement() {
    let notes = |names: &[&str]| ("notes".to_owned(), columns(names));
    let tags = |names: &[&str]| ("tags".to_owned(), columns(names));
    let all = |name: &str| (name.to_owned(), Columns::All);
    assert_eq!(reads("SELECT title FROM notes WHERE stars > 3"), [notes(&["stars", "title"])]);
    assert_eq!(reads("SELECT count(*) FROM notes"), [notes(&[])]);
    assert_eq!(
        reads("SELECT title FROM notes WHERE id IN (SELECT note FROM tags WHERE name = 'x')"),
        [notes(&["id", "title"]), tags(&["name", "note"])]
    );
    assert_eq!(
        reads("WITH t AS (SELECT note FROM tags) SELECT body FROM notes JOIN t ON t.note = notes.id"),
        [notes(&["body", "id"]), tags(&["note"])]
    );
    assert_eq!(reads("SELECT rowid FROM notes_search WHERE notes_search MATCH 'x'"), [notes(&["body", "title"])]);
    assert_eq!(reads("SELECT count(*) FROM notes_search_docsize"), [notes(&["body", "title"])]);
    assert_eq!(reads("SELECT value FROM json_each('[1, 2]')"), []);
    // SQLite's authorizer does not mention `tags` in these.
    assert_eq!(reads("SELECT notes.title FROM notes JOIN tags USING (stars)"), [all("notes"), all("tags")]);
    assert_eq!(reads("SELECT title FROM notes NATURAL JOIN tags"), [all("notes"), all("tags")]);
}

#[test]
fn views_count_as_the_tables_that_they_read() {
    let mut world = World::new();
    world.conn.execute_batch("CREATE VIEW starred AS SELECT title FROM notes NATURAL JOIN tags").expect("a view");
    let id = world.sql("SELECT * FROM starred", &[]);
    world.write("notes", &[Value::Int(1)], Some(&[("title", text("a")), ("stars", Value::Int(1))]));
    assert_eq!(world.answers[&id].len(), 0);
    world.write("tags", &[Value::Int(9), text("x")], Some(&[("stars", Value::Int(1))]));
    assert_eq!(world.answers[&id], [vec![text("a")]]);
}

#[test]
fn statements_that_do_not_only_read_are_refused() {
    let mut world = World::new();
    for sql in [
        "DELETE FROM notes",
        "INSERT INTO tags (note, name) SELECT id, title FROM notes",
        "DELETE FROM notes RETURNING id",
        "BEGIN",
        "PRAGMA user_version",
        "EXPLAIN SELECT 1",
        "CREATE TABLE x AS SELECT 1 AS a",
        "ATTACH ':memory:' AS other",
    ] {
        let query = LiveQuery::Sql { sql: sql.into(), params: vec![], key: None };
        let refused = world.live.watch(&world.conn, &world.schema, query, &|_| true);
        assert!(matches!(refused, Err(LiveError::NotAQuery)), "{sql}: {refused:?}");
    }
    let query = LiveQuery::Sql { sql: "SELECT nothing FROM notes".into(), params: vec![], key: None };
    assert!(matches!(world.live.watch(&world.conn, &world.schema, query, &|_| true), Err(LiveError::Sqlite(_))));
    assert!(world.live.is_empty());
}

#[test]
fn a_query_runs_again_only_when_a_column_that_it_reads_changed() {
    let mut world = World::new();
    let titles = world.sql("SELECT title FROM notes ORDER BY title", &[]);
    let count = world.sql("SELECT count(*) FROM notes", &[]);
    let tags = world.sql("SELECT name FROM tags", &[]);
    let runs = |w: &World| [titles, count, tags].map(|id| w.live.runs(id).expect("watched"));
    let told = world.write("notes", &[Value::Int(1)], Some(&[("title", text("a"))]));
    assert_eq!((told, runs(&world)), (BTreeSet::from([titles, count]), [2, 2, 1]));
    let told = world.write("notes", &[Value::Int(1)], Some(&[("stars", Value::Int(5))]));
    assert_eq!((told, runs(&world)), (BTreeSet::new(), [2, 2, 1]));
    let told = world.write("notes", &[Value::Int(1)], Some(&[("title", text("b"))]));
    assert_eq!((told, runs(&world)), (BTreeSet::from([titles]), [3, 2, 1]));
    world.live.unwatch(titles);
    world.write("notes", &[Value::Int(1)], None);
    assert_eq!((world.live.runs(titles), world.live.runs(count)), (None, Some(3)));
}

#[test]
fn searches_follow_the_table_that_they_search() {
    let mut world = World::new();
    let found = world.sql(
        "SELECT notes.id FROM notes_search JOIN notes ON notes.rowid = notes_search.rowid WHERE notes_search MATCH ?",
        &[text("sea")],
    );
    world.write("notes", &[Value::Int(1)], Some(&[("title", text("the sea"))]));
    world.write("notes", &[Value::Int(2)], Some(&[("title", text("the land"))]));
    assert_eq!(world.answers[&found], [vec![Value::Int(1)]]);
    world.write("notes", &[Value::Int(2)], Some(&[("body", text("by the sea"))]));
    assert_eq!(world.answers[&found].len(), 2);
    world.write("notes", &[Value::Int(1)], None);
    assert_eq!(world.answers[&found], [vec![Value::Int(2)]]);
}

#[test]
fn an_answer_by_key_does_not_run_for_other_rows() {
    let mut world = World::new();
    let ids: Vec<_> =
        (0..100).map(|i| world.sql("SELECT * FROM notes WHERE id = ? LIMIT 5", &[Value::Int(i)])).collect();
    for i in 0..100 {
        let told = world.write("notes", &[Value::Int(i)], Some(&[("title", text("a"))]));
        assert_eq!(told, BTreeSet::from([ids[i as usize]]));
    }
    assert!(ids.iter().all(|id| world.live.runs(*id) == Some(2)));
}

#[test]
fn completeness_is_told_even_when_no_row_changed() {
    let mut world = World::new();
    let id = world.sql("SELECT * FROM notes", &[]);
    let told = world.live.recheck(&|reads| !reads.tables.contains_key("notes"));
    assert_eq!(
        told.iter().map(|(id, diff)| (*id, diff.complete, diff.is_empty())).collect::<Vec<_>>(),
        [(id, false, true)]
    );
    assert!(world.live.recheck(&|_| false).is_empty());
}
