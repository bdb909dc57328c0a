//! `on_delete_conflict = "manual"`.

use landfall_client::db::{DbError, Resolution};
use landfall_client::driver::Client;
use landfall_core::{ColumnType, Schema, Value};

use super::{World, run, sees};

const SCHEMA: &str = r#"
[app]
name = "tasks"
version = 1
[tables.tasks]
on_delete_conflict = "manual"
[tables.tasks.columns]
id    = "integer"
title = { type = "text", required = true }
[shapes.tasks]
table = "tasks"
[shapes.conflicts]
table = "tasks_conflicts"
"#;

const TASKS: &str = "SELECT id, title FROM tasks ORDER BY id";
const CONFLICTS: &str = "SELECT id, title, conflict_column FROM tasks_conflicts ORDER BY id";

fn task(id: i64, title: &str) -> Vec<Value> {
    vec![Value::Int(id), Value::Text(title.into())]
}

fn conflict(id: i64, title: &str) -> Vec<Value> {
    [task(id, title), vec![Value::Null]].concat()
}

async fn resolve(client: &Client, id: i64, with: Resolution) -> Result<bool, DbError> {
    let resolved = client.write(move |tx| {
        let sql = "SELECT conflict_id FROM tasks_conflicts WHERE id = ?";
        let id = tx.query(sql, &[Value::Int(id)])?.rows.remove(0).remove(0);
        let id = Value::from_json(&id.to_json(), ColumnType::Uuid).unwrap();
        tx.resolve("tasks", &id, &with)
    });
    resolved.await.map(|written| written.value).map_err(|error| match error {
        landfall_client::driver::ClientError::Db(error) => error,
        other => panic!("{other}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_one_deletes_and_another_changes_stays_until_a_person_says() {
    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    let world = World::new(&schema, [&schema, &schema], &["tasks", "conflicts"]).await;
    run(&world.phone, "INSERT INTO tasks (id, title) VALUES (1, 'sow'), (2, 'reap'), (3, 'rest')").await;
    sees(&world.laptop, TASKS, vec![task(1, "sow"), task(2, "reap"), task(3, "rest")]).await;
    world.apart().await;
    // Of the first the change comes to the server first, of the second the delete; the third nobody else touches.
    run(&world.phone, "UPDATE tasks SET title = 'sow again' WHERE id = 1").await;
    run(&world.phone, "DELETE FROM tasks WHERE id > 1").await;
    run(&world.laptop, "DELETE FROM tasks WHERE id = 1").await;
    run(&world.laptop, "UPDATE tasks SET title = 'reap later' WHERE id = 2").await;
    sees(&world.laptop, TASKS, vec![task(2, "reap later"), task(3, "rest")]).await;
    world.together().await;
    for client in [&world.phone, &world.laptop] {
        sees(client, TASKS, vec![task(1, "sow again"), task(2, "reap later")]).await;
        sees(client, CONFLICTS, vec![conflict(1, "sow again"), conflict(2, "reap later")]).await;
    }
    let other = resolve(&world.phone, 1, Resolution::Write("title".into(), "x".into())).await;
    assert!(matches!(other, Err(DbError::Invalid(_))), "{other:?}");
    assert!(resolve(&world.phone, 1, Resolution::Keep).await.unwrap());
    assert!(resolve(&world.laptop, 2, Resolution::Take).await.unwrap());
    for client in [&world.phone, &world.laptop] {
        sees(client, TASKS, vec![task(1, "sow again")]).await;
        sees(client, CONFLICTS, vec![]).await;
    }
    world.end().await;
}
