//! Versions of rows, and documents, by the calls of a native app.

use landfall_client::driver::Client;
use landfall_core::{RowKey, Schema, Value};

use super::{World, run, sees};

const SCHEMA: &str = r#"
[app]
name = "wiki"
version = 1
[tables.pages]
versions = true
[tables.pages.columns]
id    = "integer"
title = "text"
likes = { type = "integer", merge = "counter" }
body  = { type = "doc" }
[shapes.pages]
table = "pages"
[shapes.bodies]
table = "pages_docs"
[shapes.versions]
table = "pages_versions"
"#;

const PAGES: &str = "SELECT title, likes FROM pages";

fn key() -> RowKey {
    RowKey::single(Value::Int(1))
}

fn page(title: &str, likes: i64) -> Vec<Vec<Value>> {
    vec![vec![title.into(), Value::Int(likes)]]
}

/// What somebody of this number types at the beginning of the body, as `yjs` has it.
fn typed(author: u8, letter: u8) -> Vec<u8> {
    [&[1, 1, author, 0, 4, 1, 4][..], b"body", &[1, letter, 0]].concat()
}

/// The names of the versions, and what the page was in each.
async fn versions(client: &Client) -> Vec<(Value, Value, Value, Value)> {
    let found = client.versions("pages", key()).await.unwrap();
    let at = |name: &str| found.columns.iter().position(|column| column == name).unwrap();
    let of = ["version_id", "version_name", "title", "body"].map(at);
    found
        .rows
        .iter()
        .map(|row| (row[of[0]].clone(), row[of[1]].clone(), row[of[2]].clone(), row[of[3]].clone()))
        .collect()
}

/// Kept without a network, seen on the other device, restored there while the first goes on counting.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_again_what_it_was() {
    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    let world = World::new(&schema, [&schema, &schema], &["pages", "bodies", "versions"]).await;
    run(&world.phone, "INSERT INTO pages (id, title) VALUES (1, 'The sea')").await;
    sees(&world.laptop, PAGES, page("The sea", 0)).await;
    world.apart().await;
    run(&world.phone, "UPDATE pages SET title = 'The wide sea'").await;
    world.phone.write_doc("pages", key(), "body", typed(3, b'a')).await.unwrap();
    assert_eq!(world.phone.doc_updates("pages", key(), "body").await.unwrap(), [typed(3, b'a')]);
    let docs = vec![("body".to_owned(), typed(3, b'a'))];
    let kept = world.phone.keep_version("pages", key(), Some("First".into()), docs).await.unwrap();
    let first = (kept.clone(), "First".into(), "The wide sea".into(), Value::Bytes(typed(3, b'a')));
    assert_eq!(versions(&world.phone).await, std::slice::from_ref(&first));
    // A version is nothing to undo, and what is typed neither.
    world.phone.undo().await.unwrap();
    sees(&world.phone, PAGES, page("The sea", 0)).await;
    assert_eq!(versions(&world.phone).await.len(), 1);
    world.laptop.write_doc("pages", key(), "body", typed(4, b'b')).await.unwrap();
    world.together().await;
    sees(&world.laptop, "SELECT version_name FROM pages_versions", vec![vec!["First".into()]]).await;
    sees(&world.phone, "SELECT count(*) FROM pages_docs", vec![vec![Value::Int(2)]]).await;
    let mut both = world.phone.doc_updates("pages", key(), "body").await.unwrap();
    both.sort();
    assert_eq!(both, [typed(3, b'a'), typed(4, b'b')]);

    run(&world.phone, "UPDATE pages SET title = 'Another sea'").await;
    sees(&world.laptop, PAGES, page("Another sea", 0)).await;
    let second = world.laptop.keep_version("pages", key(), None, vec![]).await.unwrap();
    world.apart().await;
    run(&world.phone, "UPDATE pages SET likes = likes + 1").await;
    assert!(world.laptop.restore_version("pages", kept.clone()).await.unwrap());
    assert!(!world.laptop.restore_version("pages", kept.clone()).await.unwrap(), "it is so already");
    world.together().await;
    for client in [&world.phone, &world.laptop] {
        sees(client, PAGES, page("The wide sea", 1)).await;
    }
    let names: Vec<Value> = versions(&world.phone).await.into_iter().map(|one| one.0).collect();
    assert_eq!(names, [second, kept]);
    world.end().await;
}

/// What is not here is told as such.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_is_told() {
    let plain = SCHEMA.replace("versions = true\n", "").replace("[shapes.versions]\ntable = \"pages_versions\"\n", "");
    let schema = Schema::parse("landfall.toml", &plain).unwrap();
    let world = World::new(&schema, [&schema, &schema], &["pages", "bodies"]).await;
    let told = world.phone.versions("pages", key()).await.unwrap_err().to_string();
    assert!(told.contains("versions = true"), "{told}");
    let told = world.phone.doc_updates("pages", key(), "title").await.unwrap_err().to_string();
    assert!(told.contains("no document 'title'"), "{told}");
    world.end().await;

    let schema = Schema::parse("landfall.toml", SCHEMA).unwrap();
    let world = World::new(&schema, [&schema, &schema], &["pages", "bodies", "versions"]).await;
    let told = world.phone.keep_version("pages", key(), None, vec![]).await.unwrap_err().to_string();
    assert!(told.contains("LF-3002"), "{told}");
    let told = world.phone.restore_version("pages", Value::Uuid([1; 16])).await.unwrap_err().to_string();
    assert!(told.contains("LF-3002"), "{told}");
    world.end().await;
}
