//! Writes that stay open between calls, and writes that are asked for twice.

use super::*;

const COUNT: &str = "SELECT count(*) FROM counters";

fn hold(db: &mut Database) -> super::super::HeldWrite {
    let held = db.hold(NOW, &mut |bytes| bytes.fill(7)).expect("begins");
    let insert = "INSERT INTO counters VALUES (1, 10, 20)";
    db.step_held(held, |tx| tx.execute(insert, &[])).expect("inserts").0
}

#[test]
fn a_held_write_sees_itself_and_is_one_entry() {
    let mut db = memory();
    let held = hold(&mut db);
    let (held, seen) = db.step_held(held, |tx| tx.query(COUNT, &[])).expect("reads");
    assert_eq!(seen.rows, [[Value::Int(1)]]);
    let (held, failed) = db.step_held(held, |tx| Ok(tx.query("SELECT nonsense", &[]))).expect("goes on");
    assert!(failed.is_err(), "a failed read leaves it open");
    let written = db.finish_held(held, NOW).expect("commits");
    assert_eq!((written.rseq, written.changes.rows.len()), (Some(1), 1));
    assert_eq!(db.outbox().expect("readable").len(), 1);
}

#[test]
fn a_held_write_that_fails_or_is_let_go_leaves_nothing() {
    let mut db = memory();
    let held = hold(&mut db);
    db.let_go(held);
    assert_eq!(rows(&db, COUNT), [[Value::Int(0)]]);
    let held = hold(&mut db);
    let failed = db.step_held(held, |tx| tx.execute("INSERT INTO counters VALUES (1, 0, 0)", &[]));
    assert!(failed.is_err(), "the key is taken");
    assert_eq!(rows(&db, COUNT), [[Value::Int(0)]]);
    write(&mut db, &["INSERT INTO counters VALUES (1, 10, 20)"]).expect("the next write is not in its way");
    assert_eq!(db.last_rseq(), 1);
}

#[test]
fn a_request_is_known_once_it_is_carried_out_and_not_before() {
    let mut db = memory();
    assert_eq!(db.answered("a:1").expect("readable"), None);
    let request = |db: &mut Database, name: &str, sql: &str| {
        let write =
            |db: &mut Database| db.write(NOW, &mut |bytes| bytes.fill(7), |tx| tx.execute(sql, &[]).map(|_| ()));
        db.answering(Some(name), NOW, write, |written| format!("{:?}", written.rseq))
    };
    let answer = |text: &str| Some(text.to_owned());
    request(&mut db, "a:1", "INSERT INTO counters VALUES (1, 10, 20)").expect("writes");
    request(&mut db, "a:2", "INSERT INTO drafts VALUES (1, 'local')").expect("writes");
    request(&mut db, "a:3", "INSERT INTO counters VALUES (1, 0, 0)").expect_err("the key is taken");
    assert_eq!(db.answered("a:1").expect("readable"), answer("Some(1)"));
    assert_eq!(db.answered("a:2").expect("readable"), answer("None"), "a local write has no entry");
    assert_eq!(db.answered("a:3").expect("readable"), None);
    request(&mut db, "a:1", "INSERT INTO counters VALUES (2, 1, 1)").expect_err("it happened already");
    assert_eq!(rows(&db, COUNT), [[Value::Int(1)]]);
    db.forget_requests(NOW + 1).expect("forgets");
    assert_eq!(db.answered("a:1").expect("readable"), None);
}

#[test]
fn an_undo_that_is_asked_for_again_is_known_with_its_answer() {
    let mut db = memory();
    write(&mut db, &["INSERT INTO counters VALUES (1, 10, 20)"]).expect("writes");
    write(&mut db, &["INSERT INTO counters VALUES (2, 10, 20)"]).expect("writes");
    let undo = |db: &mut Database, name: &str| {
        let undo = |db: &mut Database| db.undo_last(NOW, &mut |bytes| bytes.fill(7));
        db.answering(Some(name), NOW, undo, |undone| format!("{:?}", undone.as_ref().map(|u| u.value.of)))
    };
    let (_, told) = undo(&mut db, "a:1").expect("undoes");
    assert_eq!(told, "Some(2)");
    assert_eq!(db.answered("a:1").expect("readable"), Some(told));
    // What the name stands for happened: the second transaction of it leaves nothing, in memory neither.
    undo(&mut db, "a:1").expect_err("it happened already");
    assert_eq!(rows(&db, COUNT), [[Value::Int(1)]]);
    assert_eq!((db.can_undo().expect("readable"), db.last_rseq()), (Some(1), 3));
    undo(&mut db, "a:2").expect("undoes");
    let (none, told) = undo(&mut db, "a:3").expect("looks");
    assert!(none.is_none());
    assert_eq!((told.as_str(), db.answered("a:3").expect("readable")), ("None", None), "nothing was done");
    write(&mut db, &["INSERT INTO counters VALUES (3, 1, 1)"]).expect("commits as ever");
    assert_eq!(rows(&db, COUNT), [[Value::Int(1)]]);
}

#[test]
fn what_an_older_build_remembered_of_requests_is_known() {
    let mut db = memory();
    let old =
        "CREATE TABLE _landfall_requests (name TEXT PRIMARY KEY, rseq INT, at_ms INT NOT NULL) STRICT, WITHOUT ROWID;
        INSERT INTO _landfall_requests VALUES ('a:1', 7, 0), ('a:2', NULL, 0)";
    db.connection().execute_batch(old).expect("an older form");
    for (name, known) in [("a:1", Some("7")), ("a:2", Some("null")), ("a:3", None)] {
        assert_eq!(db.answered(name).expect("readable").as_deref(), known, "{name}");
    }
    let write = |db: &mut Database| {
        db.write(NOW, &mut |bytes| bytes.fill(7), |tx| tx.execute("INSERT INTO counters VALUES (1, 1, 1)", &[]))
    };
    db.answering(Some("a:3"), NOW, write, |_| "[1,2]".to_owned()).expect("writes");
    for (name, known) in [("a:1", "7"), ("a:2", "null"), ("a:3", "[1,2]")] {
        assert_eq!(db.answered(name).expect("readable").as_deref(), Some(known), "{name}");
    }
}
