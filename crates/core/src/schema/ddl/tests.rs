//! The statements against real SQLite.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::*;
use crate::schema::{OnDelete, Reference};
use crate::value::Decimal;

fn column(name: &str, ty: ColumnType) -> Column {
    Column::plain(name, ty)
}

fn table(name: &str, columns: Vec<Column>) -> Table {
    Table::plain(name, columns)
}

fn notes() -> Table {
    let mut notes = table(
        "notes",
        vec![column("id", ColumnType::Uuid), column("title", ColumnType::Text), column("body", ColumnType::Text)],
    );
    notes.search = vec!["title".into(), "body".into()];
    notes
}

fn schema(tables: Vec<Table>) -> Schema {
    Schema {
        name: "test".into(),
        version: 1,
        tables,
        shapes: Vec::new(),
        actions: Vec::new(),
        cache: super::super::Caching::default(),
        outbox: crate::schema::OutboxLimits::default(),
        tombstones_ms: None,
    }
}

fn connection() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(RECURSIVE_TRIGGERS).unwrap();
    db.create_scalar_function(FUNCTION_NOW, 0, FunctionFlags::SQLITE_UTF8, |_| Ok(1_700_000_000_000_000i64)).unwrap();
    db.create_scalar_function(FUNCTION_TODAY, 0, FunctionFlags::SQLITE_UTF8, |_| Ok("2026-11-21")).unwrap();
    db.create_scalar_function(FUNCTION_UUID, 0, FunctionFlags::SQLITE_UTF8, |_| {
        Ok("018f7c1e-0000-7000-8000-000000000000")
    })
    .unwrap();
    db
}

fn run(db: &Connection, statements: &[String]) {
    for sql in statements {
        db.execute_batch(sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
    }
}

fn found(db: &Connection, term: &str) -> Vec<String> {
    let sql =
        "SELECT n.id FROM notes_search s JOIN notes n ON n.rowid = s.rowid WHERE notes_search MATCH ?1 ORDER BY 1";
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([term], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

/// FTS5's own comparison of index and content.
fn assert_search_is_sound(db: &Connection) {
    db.execute_batch("INSERT INTO notes_search (notes_search, rank) VALUES ('integrity-check', 1)").unwrap();
}

#[test]
fn an_integer_key_is_never_assigned() {
    for wide in [false, true] {
        let body = if wide { column("body", ColumnType::Json) } else { column("body", ColumnType::Integer) };
        let db = connection();
        run(&db, &table("t", vec![column("id", ColumnType::Integer), body]).create_sql(Place::Device));
        assert!(db.execute("INSERT INTO t (body) VALUES (NULL)", []).is_err());
        assert!(db.execute("INSERT INTO t (id) VALUES (NULL)", []).is_err());
        db.execute("INSERT INTO t (id) VALUES (7)", []).unwrap();
        assert!(db.execute("INSERT INTO t (id) VALUES (7)", []).is_err());
    }
}

#[test]
fn a_merge_trips_over_nothing() {
    let mut title = Column { required: true, unique: true, max_length: Some(3), ..column("title", ColumnType::Text) };
    title.pattern = Some(super::super::Pattern::new("[a-z]+"));
    let parent = Column {
        references: Some(Reference { table: "t".into(), on_delete: OnDelete::Restrict }),
        ..column("parent", ColumnType::Uuid)
    };
    let table = table("t", vec![column("id", ColumnType::Uuid), title, parent]);
    for place in [Place::Device, Place::Server] {
        let db = connection();
        run(&db, &table.create_sql(place));
        db.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        db.execute_batch("INSERT INTO t VALUES ('a', 'SAME', 'nowhere'), ('b', 'SAME', 'a'), ('c', NULL, NULL)")
            .unwrap();
        db.execute_batch("DELETE FROM t WHERE id = 'a'").unwrap();
        let plan: String =
            db.query_row("EXPLAIN QUERY PLAN SELECT 1 FROM t WHERE parent = 'a'", [], |r| r.get("detail")).unwrap();
        assert!(plan.contains("_landfall_index_t.parent"), "{plan}");
    }
}

#[test]
fn a_local_table_is_unique_by_itself() {
    let unique = Column { unique: true, ..column("name", ColumnType::Text) };
    let local = Table { sync: false, ..table("drafts", vec![column("id", ColumnType::Uuid), unique]) };
    let schema = schema(vec![local]);
    assert_eq!(schema.create_sql(Place::Server), Vec::<String>::new());
    let db = connection();
    run(&db, &schema.create_sql(Place::Device));
    db.execute_batch("INSERT INTO drafts VALUES ('a', 'x')").unwrap();
    assert!(db.execute("INSERT INTO drafts VALUES ('b', 'x')", []).is_err());
}

#[test]
fn every_default_is_given_to_a_plain_insert() {
    let with = |name: &str, ty, default| Column { default: Some(default), ..column(name, ty) };
    let value = |v| Default::Value(v);
    let columns = vec![
        with("id", ColumnType::Uuid, Default::Uuid),
        with("at", ColumnType::Timestamp, Default::Now),
        with("day", ColumnType::Date, Default::Now),
        with("text", ColumnType::Text, value(Value::Text("it's".into()))),
        with("nul", ColumnType::Text, value(Value::Text("a\0b".into()))),
        with("int", ColumnType::Integer, value(Value::Int(i64::MIN))),
        with("float", ColumnType::Float, value(Value::Float(1e300))),
        with("price", ColumnType::Decimal(2), value(Value::Decimal(Decimal::new(-150, 2)))),
        with("flag", ColumnType::Boolean, value(Value::Bool(true))),
        with("json", ColumnType::Json, value(Value::Json("{\"a\":[1]}".into()))),
        with("bytes", ColumnType::Bytes, value(Value::Bytes(vec![0, 255]))),
    ];
    let table = table("t", columns);
    let db = connection();
    run(&db, &table.create_sql(Place::Device));
    db.execute_batch("INSERT INTO t DEFAULT VALUES").unwrap();
    check_defaults(&db, &table, 0);

    let db = connection();
    run(&db, &Table { columns: vec![table.columns[0].clone()], ..table.clone() }.create_sql(Place::Server));
    db.execute_batch("INSERT INTO t VALUES ('a')").unwrap();
    run(&db, &table.columns[1..].iter().map(|c| table.add_column_sql(c)).collect::<Vec<_>>());
    check_defaults(&db, &table, 3);
}

fn check_defaults(db: &Connection, table: &Table, from: usize) {
    for column in &table.columns[from..] {
        let stored = db.query_row(&format!("SELECT {} FROM t", quote(&column.name)), [], |r| r.get(0)).unwrap();
        let stored = match stored {
            rusqlite::types::Value::Null => SqliteValue::Null,
            rusqlite::types::Value::Integer(v) => SqliteValue::Integer(v),
            rusqlite::types::Value::Real(v) => SqliteValue::Real(v),
            rusqlite::types::Value::Text(v) => SqliteValue::Text(v),
            rusqlite::types::Value::Blob(v) => SqliteValue::Blob(v),
        };
        let value = Value::from_sqlite(stored, column.ty).unwrap();
        match &column.default {
            Some(Default::Value(expected)) => assert_eq!(&value, expected, "{}", column.name),
            _ => assert!(!value.is_null(), "{}", column.name),
        }
    }
}

#[test]
fn search_follows_inserts_updates_deletes_and_replace() {
    let db = connection();
    run(&db, &notes().create_sql(Place::Device));
    db.execute_batch("INSERT INTO notes VALUES ('a', 'sea', 'salt'), ('b', 'sky', NULL)").unwrap();
    assert_eq!(found(&db, "sea"), ["a"]);
    db.execute_batch("UPDATE notes SET title = 'river' WHERE id = 'a'").unwrap();
    assert_eq!(found(&db, "sea"), Vec::<String>::new());
    assert_eq!(found(&db, "river salt"), ["a"]);
    db.execute_batch("INSERT OR REPLACE INTO notes VALUES ('a', 'lake', 'sweet')").unwrap();
    assert_eq!(found(&db, "river"), Vec::<String>::new());
    assert_eq!(found(&db, "lake"), ["a"]);
    db.execute_batch("DELETE FROM notes WHERE id = 'b'").unwrap();
    assert_eq!(found(&db, "sky"), Vec::<String>::new());
    assert_search_is_sound(&db);
}

#[test]
fn search_survives_a_vacuum() {
    let db = connection();
    run(&db, &notes().create_sql(Place::Device));
    db.execute_batch("INSERT INTO notes VALUES ('a', 'one', ''), ('b', 'two', ''), ('c', 'three', '')").unwrap();
    db.execute_batch("DELETE FROM notes WHERE id = 'a'; VACUUM").unwrap();
    assert_eq!(found(&db, "three"), ["c"]);
    assert_search_is_sound(&db);
}

#[test]
fn keywords_are_names() {
    let mut order = table("order", vec![column("select", ColumnType::Uuid), column("group", ColumnType::Text)]);
    order.search = vec!["group".into()];
    let db = connection();
    run(&db, &order.create_sql(Place::Device));
    db.execute_batch(r#"INSERT INTO "order" VALUES ('a', 'x'); UPDATE "order" SET "group" = 'y'; DELETE FROM "order""#)
        .unwrap();
}

#[test]
fn an_upgrade_ends_where_a_fresh_database_starts() {
    let narrow = table("notes", vec![column("id", ColumnType::Integer), column("likes", ColumnType::Integer)]);
    let mut wide = narrow.clone();
    wide.columns.push(column("body", ColumnType::Text));
    wide.columns[1].unique = true;
    let mut searchable = wide.clone();
    searchable.search = vec!["body".into()];
    let mut plain = searchable.clone();
    plain.search.clear();
    plain.columns[1].unique = false;

    let db = connection();
    run(&db, &schema(vec![narrow.clone()]).create_sql(Place::Device));
    db.execute_batch("INSERT INTO notes VALUES (1, 10), (2, 20)").unwrap();
    run(&db, &schema(vec![wide.clone()]).upgrade_sql(&schema(vec![narrow]), Place::Device));
    db.execute_batch("UPDATE notes SET body = 'deep sea' WHERE id = 2").unwrap();
    run(&db, &schema(vec![searchable.clone()]).upgrade_sql(&schema(vec![wide]), Place::Device));
    let hit: i64 =
        db.query_row("SELECT rowid FROM notes_search WHERE notes_search MATCH 'sea'", [], |r| r.get(0)).unwrap();
    let id: i64 = db.query_row("SELECT id FROM notes WHERE rowid = ?1", [hit], |r| r.get(0)).unwrap();
    assert_eq!(id, 2);
    assert_search_is_sound(&db);
    assert_eq!(objects(&db), objects(&fresh(&searchable)));
    run(&db, &schema(vec![plain.clone()]).upgrade_sql(&schema(vec![searchable]), Place::Device));
    assert_eq!(objects(&db), objects(&fresh(&plain)));
}

#[test]
fn an_upgraded_device_has_its_columns_in_the_order_of_the_schema() {
    let old = notes();
    let mut new = old.clone();
    new.columns.insert(0, Column { unique: true, ..column("slug", ColumnType::Text) });
    new.columns.swap(2, 3);
    let db = fresh(&old);
    db.execute_batch(
        "INSERT INTO notes VALUES ('a', 'gone', ''), ('b', 'sea', 'salt'); DELETE FROM notes WHERE id = 'a'",
    )
    .unwrap();
    run(&db, &schema(vec![new.clone()]).upgrade_sql(&schema(vec![old.clone()]), Place::Device));
    assert_eq!(columns(&db), ["slug", "id", "body", "title"]);
    assert_eq!(objects(&db), objects(&fresh(&new)));
    assert_eq!(found(&db, "sea"), ["b"]);
    db.execute_batch("UPDATE notes SET title = 'lake'").unwrap();
    assert_eq!(found(&db, "lake"), ["b"]);
    assert_search_is_sound(&db);

    // On the server other programs may have views and triggers on the table: it is never made anew there.
    let sql = schema(vec![new]).upgrade_sql(&schema(vec![old]), Place::Server);
    assert!(sql.iter().all(|s| !s.starts_with("DROP")), "{sql:?}");
}

fn columns(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info('notes') ORDER BY cid").unwrap();
    statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

fn fresh(table: &Table) -> Connection {
    let db = connection();
    run(&db, &table.create_sql(Place::Device));
    db
}

fn objects(db: &Connection) -> Vec<(String, String)> {
    let mut statement = db.prepare("SELECT type, name FROM sqlite_schema ORDER BY 1, 2").unwrap();
    statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn a_literal_reads_back(
        text in any::<String>(), float in any::<f64>(), bytes in any::<Vec<u8>>(), int in any::<i64>()
    ) {
        let db = Connection::open_in_memory().unwrap();
        let read = |value: &Value| {
            db.query_row(&format!("SELECT {}", literal(value)), [], |r| r.get::<_, rusqlite::types::Value>(0)).unwrap()
        };
        prop_assert_eq!(read(&Value::Text(text.clone())), rusqlite::types::Value::Text(text));
        prop_assert_eq!(read(&Value::Bytes(bytes.clone())), rusqlite::types::Value::Blob(bytes));
        prop_assert_eq!(read(&Value::Int(int)), rusqlite::types::Value::Integer(int));
        if let Some(value) = Value::float(float) {
            let Value::Float(expected) = value else { unreachable!() };
            prop_assert_eq!(read(&value), rusqlite::types::Value::Real(expected));
        }
    }
}
