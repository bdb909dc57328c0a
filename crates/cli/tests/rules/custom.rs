//! `merge = "custom"`.

use landfall_core::rules::{MergeFunctions, Three};
use landfall_core::{Schema, Value};
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore, codes};

use super::{World, run, sees};

const SCHEMA: &str = r#"
[app]
name = "shelf"
version = 1
[tables.books.columns]
id     = "integer"
rating = { type = "integer", merge = "custom", function = "mean", max = 10 }
[shapes.books]
table = "books"
[shapes.conflicts]
table = "books_conflicts"
"#;

/// Of two who rated a book at once: what is in between. Only whole stars are decided.
fn mean(three: &Three<'_>) -> Result<Value, String> {
    match (three.ours, three.theirs) {
        (Value::Int(ours), Value::Int(theirs)) if (ours + theirs) % 2 == 0 => Ok(Value::Int((ours + theirs) / 2)),
        _ => Err("there is nothing in between".to_owned()),
    }
}

fn schema() -> Schema {
    Schema::parse("landfall.toml", SCHEMA).unwrap()
}

fn with_function() -> Schema {
    schema().with_functions(&MergeFunctions::new().on("mean", mean))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_decides_between_two_and_what_it_does_not_decide_is_a_conflict() {
    // One device has the function, the other one has not: what is stored is the same.
    let (schema, plain) = (with_function(), schema());
    let world = World::new(&schema, [&schema, &plain], &["books", "conflicts"]).await;
    run(&world.phone, "INSERT INTO books (id, rating) VALUES (1, 5), (2, 5)").await;
    let all = "SELECT id, rating FROM books ORDER BY id";
    let rows = |one: i64, two: i64| vec![vec![Value::Int(1), Value::Int(one)], vec![Value::Int(2), Value::Int(two)]];
    sees(&world.laptop, all, rows(5, 5)).await;
    world.apart().await;
    run(&world.phone, "UPDATE books SET rating = CASE id WHEN 1 THEN 4 ELSE 3 END").await;
    run(&world.laptop, "UPDATE books SET rating = 8").await;
    sees(&world.laptop, all, rows(8, 8)).await;
    world.together().await;
    for client in [&world.phone, &world.laptop] {
        sees(client, all, rows(6, 3)).await;
        let conflict = vec![vec![Value::Int(2), Value::Text("rating".into()), Value::Int(8), Value::Json("5".into())]];
        sees(client, "SELECT id, conflict_column, rating, conflict_base FROM books_conflicts", conflict).await;
    }
    // A person decides, on either device.
    let resolve = world.laptop.write(|tx| {
        let id = tx.query("SELECT conflict_id FROM books_conflicts", &[])?.rows.remove(0).remove(0);
        let id = Value::from_json(&id.to_json(), landfall_core::ColumnType::Uuid).unwrap();
        tx.resolve("books", &id, &landfall_client::db::Resolution::Take)
    });
    assert!(resolve.await.unwrap().value);
    sees(&world.phone, all, rows(6, 8)).await;
    sees(&world.phone, "SELECT conflict_id FROM books_conflicts", vec![]).await;
    world.end().await;
}

#[test]
fn a_server_without_the_function_does_not_begin() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        |schema| SqliteStore::open(SqliteOptions::path(dir.path().join("s.db")), schema, Fresh::from_bytes([7; 48]), 1);
    let error = open(schema()).err().unwrap();
    assert_eq!(error.code(), codes::NO_FUNCTION);
    assert!(error.to_string().contains("books.rating ('mean')"), "{error}");
    assert!(!dir.path().join("s.db").exists(), "nothing was made");
    assert!(open(with_function()).is_ok());
}
