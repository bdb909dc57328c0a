//! The past, as far as it is told by SQL. What it tells is shown against a real server (`crates/sim/tests/as_of.rs`).

use crate::db::history::as_of_sql;

/// The TypeScript SDK builds the same statement by itself, and its tests compare it with the same file: what is shown for one
/// holds for both.
#[test]
fn the_past_is_asked_for_in_the_same_words_as_in_typescript() {
    let toml = "[app]\nname = 'club'\n[tables.members]\nhistory = true\nprimary_key = ['club', 'person']\n\
                [tables.members.columns]\nclub = 'integer'\nperson = 'text'\nsince = 'date'\n";
    let schema = landfall_core::Schema::parse("landfall.toml", toml).expect("a schema");
    let table = |name: &str| schema.table(name).expect("there");
    let sql = as_of_sql(table("members"), table("members_history"));
    let told = include_str!("../../../../../packages/client/tests/unit/as_of.sql");
    let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&sql), words(told));
}
