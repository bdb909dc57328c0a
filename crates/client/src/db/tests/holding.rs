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
        db.write(NOW, &mut |bytes| bytes.fill(7), |tx| {
            tx.answers(name);
            tx.execute(sql, &[]).map(|_| ())
        })
    };
    request(&mut db, "a:1", "INSERT INTO counters VALUES (1, 10, 20)").expect("writes");
    request(&mut db, "a:2", "INSERT INTO drafts VALUES (1, 'local')").expect("writes");
    request(&mut db, "a:3", "INSERT INTO counters VALUES (1, 0, 0)").expect_err("the key is taken");
    assert_eq!(db.answered("a:1").expect("readable"), Some(Some(1)));
    assert_eq!(db.answered("a:2").expect("readable"), Some(None), "a local write has no entry");
    assert_eq!(db.answered("a:3").expect("readable"), None);
    request(&mut db, "a:1", "INSERT INTO counters VALUES (2, 1, 1)").expect_err("it happened already");
    assert_eq!(rows(&db, COUNT), [[Value::Int(1)]]);
    db.forget_requests(NOW + 1).expect("forgets");
    assert_eq!(db.answered("a:1").expect("readable"), None);
}
