//! What stored data can follow, and what it cannot.
#![cfg(feature = "text")]

use super::*;

const OLD: &str = r#"
[app]
name = "journal"
version = 2
[tables.notes.columns]
id = "uuid"
title = "text"
likes = "integer"
author = "uuid"
[tables.people.columns]
id = "uuid"
[shapes.all]
table = "notes"
"#;

fn schema(text: &str) -> Schema {
    Schema::parse("landfall.toml", text).unwrap_or_else(|e| panic!("{}", e.render(text, false)))
}

/// The old schema with parts exchanged.
fn check(exchanges: &[(&str, &str)]) -> Result<Vec<SchemaChange>, Vec<Problem>> {
    let new = exchanges.iter().fold(OLD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    Schema::check_upgrade(&schema(OLD), &schema(&new))
}

#[test]
fn the_same_schema_changes_nothing() {
    assert_eq!(check(&[]), Ok(Vec::new()));
}

#[test]
fn additions_are_listed() {
    let (table, shape) = (|| "notes".to_owned(), |name: &str| name.to_owned());
    let exchanges = [
        ("version = 2", "version = 3"),
        (
            "title = \"text\"",
            "title = { type = \"text\", max_length = 9 }\nnew = { type = \"text\", required = true, default = \"\" }",
        ),
        (
            "[tables.people",
            "[tables.notes]\nsearch = \"title\"\n\
             on_delete_conflict = \"delete_wins\"\n\
             [tables.notes.access]\ndelete = \"likes > 1\"\n[tables.more.columns]\nid = \"uuid\"\n[tables.people",
        ),
        ("[shapes.all]", "[shapes.some]"),
    ];
    let column = |name: &str| name.to_owned();
    assert_eq!(
        check(&exchanges).unwrap(),
        [
            SchemaChange::RulesChanged { table: table(), column: column("title") },
            SchemaChange::ColumnAdded { table: table(), column: column("new") },
            SchemaChange::DeleteRuleChanged { table: table() },
            SchemaChange::AccessChanged { table: table() },
            SchemaChange::SearchChanged { table: table() },
            SchemaChange::TableAdded { table: "more".into() },
            SchemaChange::ShapeAdded { shape: shape("some") },
            SchemaChange::ShapeRemoved { shape: shape("all") },
        ]
    );
}

#[test]
fn what_data_cannot_follow_is_refused_with_a_way_out() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("name = \"journal\"", "name = \"other\"")], "open another database"),
        (&[("version = 2", "version = 1")], "use the newer schema"),
        (&[("[tables.people.columns]\nid = \"uuid\"", "")], "keep it declared"),
        (&[("title = \"text\"\n", "")], "keep it declared"),
        (&[("likes = \"integer\"", "likes = \"text\"")], "add a column of the new type"),
        (
            &[("[tables.people", "[tables.notes]\nprimary_key = [\"id\", \"title\"]\n[tables.people")],
            "declare a new table",
        ),
        (&[("[tables.people", "[tables.people]\nsync = false\n[tables.people")], "declare a new table"),
        (&[("title =", "extra = { type = \"text\", required = true }\ntitle =")], "constant default"),
        (
            &[("title =", "at = { type = \"timestamp\", required = true, default = \"now\" }\ntitle =")],
            "constant default",
        ),
        (&[("author = \"uuid\"", "author = { type = \"uuid\", references = \"people\" }")], "add a new column"),
    ];
    for (exchanges, way_out) in cases {
        let problems = check(exchanges).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].code, codes::UPGRADE);
        assert!(problems[0].message.contains(way_out), "{}", problems[0]);
    }
}

#[test]
fn a_local_column_becomes_unique_only_when_it_is_new() {
    let local =
        "[app]\nname = \"x\"\n[tables.drafts]\nsync = false\n[tables.drafts.columns]\nid = \"uuid\"\nname = \"text\"\n";
    let unique = local.replace("\"text\"", "{ type = \"text\", unique = true }");
    let problems = Schema::check_upgrade(&schema(local), &schema(&unique)).unwrap_err();
    assert!(problems[0].message.contains("may hold a value twice"), "{}", problems[0]);
    assert!(Schema::check_upgrade(&schema(&unique), &schema(local)).is_ok());
}
