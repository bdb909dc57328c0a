//! A column is taken as held at one value only where that is certain.

use landfall_core::Value;

use super::world::schema;
use crate::live::pinned::pinned;

fn held(sql: &str, params: &[Value]) -> Vec<(String, Value)> {
    pinned(&schema(), sql, params).map(|p| p.equal).unwrap_or_default()
}

#[test]
fn equalities_that_stand_alone_between_ands_are_recognised() {
    let two = [Value::Int(7), Value::Text("x".into())];
    let stars = ("stars".to_owned(), Value::Int(7));
    let title = ("title".to_owned(), Value::Text("x".into()));
    for sql in [
        "SELECT * FROM notes WHERE stars = ?",
        "select count(*) from Notes where STARS = ?1;",
        "SELECT n.id FROM notes AS n WHERE n.stars = ? AND (done OR id > 3) ORDER BY id LIMIT 3",
        "SELECT id FROM \"notes\" n WHERE done AND \"stars\" = 7 GROUP BY id HAVING count(*) > 1 OR id = 2",
    ] {
        assert_eq!(held(sql, &two), std::slice::from_ref(&stars), "{sql}");
    }
    assert_eq!(held("SELECT id FROM notes WHERE title = ?2 AND stars = ?1", &two), [title.clone(), stars.clone()]);
    assert_eq!(held("SELECT id FROM notes WHERE stars = ? AND title = 'x'", &two), [stars, title]);
}

#[test]
fn what_is_not_certain_is_not_recognised() {
    let seven = [Value::Int(7)];
    for sql in [
        "SELECT id FROM notes WHERE stars = ? OR done",
        "SELECT id FROM notes WHERE stars = ? AND done OR id = 3",
        "SELECT id FROM notes WHERE NOT stars = ?",
        "SELECT id FROM notes WHERE (stars = ?) IS NULL",
        "SELECT id FROM notes WHERE id BETWEEN 1 AND stars = ?",
        "SELECT id FROM notes WHERE CASE WHEN done AND stars = ? AND done THEN 1 END",
        "SELECT id FROM notes WHERE stars = ? COLLATE NOCASE",
        "SELECT id FROM notes WHERE stars = ? UNION SELECT id FROM notes",
        "SELECT id FROM notes WHERE stars = ? AND id IN (SELECT note FROM tags)",
        "SELECT id FROM notes, tags WHERE notes.stars = ?",
        "SELECT id FROM notes JOIN tags ON note = id WHERE notes.stars = ?",
        "SELECT (SELECT 1), id FROM notes WHERE stars = ?",
        "WITH x AS (VALUES (1)) SELECT id FROM notes WHERE stars = ?",
        "SELECT id FROM notes -- WHERE\nWHERE stars = ?",
        "SELECT id FROM notes WHERE stars = :stars",
        "SELECT id FROM notes WHERE stars = id",
        "SELECT id FROM notes WHERE stars = -7",
        "SELECT id FROM notes WHERE stars = ?2",
        // Of another storage class: SQLite would convert before it compares.
        "SELECT id FROM notes WHERE title = ?",
        "SELECT id FROM notes WHERE weight = ?",
        "SELECT id FROM notes WHERE 'stars = ? AND stars = ",
    ] {
        assert_eq!(held(sql, &seven), [], "{sql}");
    }
    assert_eq!(held("SELECT id FROM notes WHERE stars = ?", &[Value::Null]), []);
}
