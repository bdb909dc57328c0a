//! What merging breaks and declared rules settle: `unique = "rename"`, `on_delete = "keep_orphan"`.

use landfall_client::db::EntryState;
use landfall_core::{Schema, Value};

use super::{World, run, sees};

const SCHEMA: &str = r#"
[app]
name = "drive"
version = 1
[tables.folders.columns]
id    = "integer"
title = "text"
[tables.files.columns]
id     = "integer"
name   = { type = "text", required = true, unique = "rename", max_length = 12 }
folder = { type = "integer", references = "folders", on_delete = "keep_orphan" }
[shapes.folders]
table = "folders"
[shapes.files]
table = "files"
"#;

fn file(id: i64, name: &str) -> Vec<Value> {
    vec![Value::Int(id), Value::Text(name.into())]
}

async fn nothing_failed(world: &World) {
    for client in [&world.phone, &world.laptop] {
        let outbox = client.outbox().await.unwrap();
        assert!(outbox.iter().all(|entry| entry.state != EntryState::Dead), "{outbox:?}");
    }
}

async fn world() -> World {
    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    World::new(&schema, [&schema, &schema], &["folders", "files"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_files_of_one_name_the_later_one_gets_a_number() {
    let world = world().await;
    world.apart().await;
    run(&world.phone, "INSERT INTO files (id, name) VALUES (1, 'notes'), (4, 'a long title')").await;
    run(&world.laptop, "INSERT INTO files (id, name) VALUES (2, 'notes'), (3, 'a long title')").await;
    run(&world.laptop, "INSERT INTO files (id, name) VALUES (5, 'draft')").await;
    run(&world.laptop, "UPDATE files SET name = 'notes (2)' WHERE id = 5").await;
    world.together().await;
    let names = "SELECT id, name FROM files ORDER BY id";
    let all = [
        file(1, "notes"),
        file(2, "notes (2)"),
        file(3, "a long t (2)"),
        file(4, "a long title"),
        file(5, "notes (2 (2)"),
    ];
    for client in [&world.phone, &world.laptop] {
        sees(client, names, all.to_vec()).await;
    }
    // What one transaction frees it may take.
    let swap = "UPDATE files SET name = CASE id WHEN 1 THEN 'notes (2)' ELSE 'notes' END WHERE id < 3";
    run(&world.phone, swap).await;
    sees(
        &world.laptop,
        "SELECT id, name FROM files WHERE id < 3 ORDER BY id",
        vec![file(1, "notes (2)"), file(2, "notes")],
    )
    .await;
    nothing_failed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_stays_whether_it_came_before_the_delete_or_after_it() {
    let world = world().await;
    run(&world.phone, "INSERT INTO folders (id, title) VALUES (1, 'in'), (2, 'out')").await;
    sees(&world.laptop, "SELECT id FROM folders ORDER BY id", vec![vec![Value::Int(1)], vec![Value::Int(2)]]).await;
    world.apart().await;
    run(&world.phone, "DELETE FROM folders WHERE id = 1").await;
    run(&world.phone, "INSERT INTO files (id, name, folder) VALUES (11, 'b', 2)").await;
    run(&world.laptop, "INSERT INTO files (id, name, folder) VALUES (10, 'a', 1)").await;
    run(&world.laptop, "DELETE FROM folders WHERE id = 2").await;
    world.together().await;
    let all = vec![vec![Value::Int(10), Value::Int(1)], vec![Value::Int(11), Value::Int(2)]];
    for client in [&world.phone, &world.laptop] {
        sees(client, "SELECT id, folder FROM files ORDER BY id", all.clone()).await;
        sees(client, "SELECT id FROM folders", vec![]).await;
    }
    // It goes on being written, and may be given a home again.
    run(&world.laptop, "INSERT INTO folders (id, title) VALUES (1, 'again')").await;
    run(&world.laptop, "UPDATE files SET folder = 1, name = 'c' WHERE id = 11").await;
    sees(&world.phone, "SELECT name FROM files WHERE folder = 1 ORDER BY id", vec![vec!["a".into()], vec!["c".into()]])
        .await;
    nothing_failed(&world).await;
    world.end().await;
}
