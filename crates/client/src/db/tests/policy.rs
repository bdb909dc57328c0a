//! What may wait for the network, how long, and how much of it.

use landfall_core::error::codes as core;
use landfall_core::schema::{Offline, OutboxLimits, Schedule, Sending};

use super::*;
use crate::db::{DbError, EntryState, WriteTx, codes};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Counters need the server now, tags are for a quarter of an hour, notes are made a day ahead.
fn strict() -> Database {
    let mut schema = schema();
    for table in &mut schema.tables {
        match table.name.as_str() {
            "counters" => table.sending.offline = Offline::Deny,
            "tags" => table.sending.expires_ms = Some(15 * MINUTE),
            "notes" => table.schedule = Some(Schedule { by: "made".into(), lead_ms: DAY }),
            _ => {}
        }
    }
    Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens")
}

fn insert(db: &mut Database, table: &str, cells: &[(&str, Value)]) -> Result<u64, DbError> {
    let written = db.write(NOW, &mut |bytes| bytes.fill(0), |tx| tx.insert(table, cells))?;
    Ok(written.rseq.expect("an entry"))
}

fn counter(db: &mut Database, id: i64) -> Result<u64, DbError> {
    insert(db, "counters", &[("id", Value::Int(id))])
}

fn note(db: &mut Database, n: u8, at_ms: u64) -> Result<u64, DbError> {
    let made = Value::Timestamp(at_ms as i64 * 1_000);
    insert(db, "notes", &[("id", uuid(n)), ("title", text("rent")), ("made", made)])
}

fn tag(db: &mut Database, id: i64) -> u64 {
    insert(db, "tags", &[("id", Value::Int(id)), ("name", text(&id.to_string()))]).expect("writes")
}

fn died_of(db: &Database, rseq: u64) -> Option<landfall_core::Code> {
    let entry = db.entry(rseq).expect("readable")?;
    (entry.state == EntryState::Dead).then_some(entry.problem?.code)
}

#[test]
fn what_needs_the_server_is_refused_without_it_and_nothing_is_written() {
    let mut db = strict();
    let refused = counter(&mut db, 1).expect_err("there is no connection");
    assert_eq!(refused.code(), codes::NEEDS_SERVER);
    assert!(rows(&db, "SELECT id FROM counters").is_empty() && db.last_rseq() == 0);
    db.set_online(true);
    let rseq = counter(&mut db, 1).expect("there is a connection");
    // It was never handed over, and the connection is gone: nobody carries it out an hour later.
    db.set_online(false);
    assert_eq!(db.next_expiry_in_ms(NOW).expect("readable"), Some(Sending::UNDER_WAY_MS));
    assert!(db.expire(NOW + Sending::UNDER_WAY_MS - 1).expect("expires").refused.is_empty());
    assert_eq!(db.expire(NOW + Sending::UNDER_WAY_MS).expect("expires").refused, [rseq]);
    assert_eq!(died_of(&db, rseq), Some(core::EXPIRED));
    assert!(rows(&db, "SELECT id FROM counters").is_empty());
}

#[test]
fn a_bill_is_scheduled_a_day_ahead_or_paid_with_a_connection() {
    let mut db = strict();
    let refused = note(&mut db, 1, NOW + DAY - 1).expect_err("too soon");
    assert_eq!(refused.code(), codes::TOO_SOON);
    assert!(refused.to_string().contains("one day"), "{refused}");
    let without = insert(&mut db, "notes", &[("id", uuid(2)), ("title", text("rent")), ("made", Value::Null)]);
    assert_eq!(without.expect_err("it does not say when").code(), codes::TOO_SOON);
    let rseq = note(&mut db, 3, NOW + DAY).expect("far enough ahead");
    // Nobody pays it after it was due.
    assert_eq!(db.entry(rseq).expect("readable").expect("there").transaction.expires_ms, Some(NOW + DAY));
    db.set_online(true);
    note(&mut db, 4, NOW).expect("there is a connection");
}

/// A bill that is stopped or put off is judged by the day on which it would have been paid: the bank has to hear of it in
/// time.
#[test]
fn a_scheduled_bill_is_stopped_or_moved_in_time_or_with_a_connection() {
    let mut db = strict();
    db.set_online(true);
    let (soon, later) = (note(&mut db, 1, NOW + DAY / 2), note(&mut db, 2, NOW + 3 * DAY));
    db.mark_sent(&[soon.expect("writes"), later.expect("writes")]).expect("writes");
    db.set_online(false);
    let mut write = |f: &mut dyn FnMut(&mut WriteTx<'_>) -> Result<bool, DbError>| {
        let written = db.write(NOW, &mut |bytes| bytes.fill(0), f);
        written.map(|written| written.rseq).map_err(|error| error.code())
    };
    let made = |at_ms: u64| [("made", Value::Timestamp(at_ms as i64 * 1_000))];
    let too_soon = Err(codes::TOO_SOON);
    assert_eq!(write(&mut |tx| tx.delete("notes", &RowKey(vec![uuid(1)]))), too_soon);
    assert_eq!(write(&mut |tx| tx.update("notes", &RowKey(vec![uuid(1)]), &made(NOW + 9 * DAY))), too_soon);
    assert_eq!(write(&mut |tx| tx.update("notes", &RowKey(vec![uuid(2)]), &made(NOW + DAY / 2))), too_soon);
    assert_eq!(write(&mut |tx| tx.update("notes", &RowKey(vec![uuid(2)]), &made(NOW + 2 * DAY))), Ok(Some(3)));
    assert_eq!(write(&mut |tx| tx.delete("notes", &RowKey(vec![uuid(2)]))), Ok(Some(4)));
    // As the bank knows it, before that day: it was never told of the earlier one.
    let expires = db.entry(3).expect("readable").map(|entry| entry.transaction.expires_ms);
    assert_eq!(expires, Some(Some(NOW + 2 * DAY)));
}

/// P18. By the server's clock: setting the device's clock back does not make it younger.
#[test]
fn what_expires_is_not_sent_later_and_takes_along_what_needs_it() {
    let mut db = strict();
    let (first, other) = (tag(&mut db, 1), tag(&mut db, 2));
    let f = |tx: &mut WriteTx<'_>| tx.update("tags", &key(1), &[("name", text("again"))]);
    let second = db.write(NOW, &mut |bytes| bytes.fill(0), f).expect("writes").rseq.expect("an entry");
    db.mark_sent(&[other]).expect("writes");
    let later = NOW + 15 * MINUTE;
    // The device's clock went back by ten minutes, which the next greeting tells.
    db.set_clock_offset(10 * MINUTE as i64).expect("writes");
    let mut refused = db.expire(later - 10 * MINUTE).expect("expires").refused;
    refused.sort_unstable();
    assert_eq!(refused, [first, second]);
    assert_eq!(died_of(&db, first), Some(core::EXPIRED));
    assert!(died_of(&db, second).is_some());
    assert_eq!(died_of(&db, other), None, "it was handed over: the server has the last word");
    assert_eq!(db.next_expiry_in_ms(later).expect("readable"), None);
}

#[test]
fn a_transaction_says_itself_how_long_it_is_worth_sending() {
    let mut db = memory();
    let f = |tx: &mut WriteTx<'_>| {
        tx.expire_at(NOW + 5_000);
        tx.insert("counters", &[("id", Value::Int(1))])
    };
    let rseq = db.write(NOW, &mut |bytes| bytes.fill(0), f).expect("writes").rseq.expect("an entry");
    assert_eq!(db.next_expiry_in_ms(NOW).expect("readable"), Some(5_000));
    db.expire(NOW + 5_000).expect("expires");
    assert_eq!(died_of(&db, rseq), Some(core::EXPIRED));
}

/// However it is changed, it does not become worth sending later than it was.
#[test]
fn an_edit_does_not_put_off_the_end() {
    let mut db = strict();
    db.set_online(true);
    let f = |tx: &mut WriteTx<'_>| {
        tx.expire_at(NOW + MINUTE);
        tx.insert("notes", &[("id", uuid(1)), ("title", text("rent"))])
    };
    let own = db.write(NOW, &mut |bytes| bytes.fill(0), f).expect("writes").rseq.expect("an entry");
    let ends = |db: &Database, rseq| db.entry(rseq).expect("readable").expect("there").transaction.expires_ms;
    let edit = |db: &mut Database, rseq, id: i64, end: Option<u64>| {
        let edited = db.edit(rseq, NOW + 5_000, &mut |bytes| bytes.fill(0), |tx| {
            end.into_iter().for_each(|end| tx.expire_at(end));
            tx.insert("tags", &[("id", Value::Int(id)), ("name", text(&id.to_string()))])
        });
        let edited = edited.expect("writes");
        assert!(edited.value.in_place);
        edited.rseq.expect("an entry")
    };
    let own = edit(&mut db, own, 1, None);
    assert_eq!(ends(&db, own), Some(NOW + MINUTE), "as its author said");
    let own = edit(&mut db, own, 2, Some(NOW + 2 * MINUTE));
    assert_eq!(ends(&db, own), Some(NOW + MINUTE), "it holds for both");
    let own = edit(&mut db, own, 5, Some(NOW + 30_000));
    assert_eq!(ends(&db, own), Some(NOW + 30_000), "sooner it may end");
    // It was made while there was a connection, and is not carried out much later than that.
    let needs_it = counter(&mut db, 1).expect("there is a connection");
    let needs_it = edit(&mut db, needs_it, 3, None);
    assert_eq!(ends(&db, needs_it), Some(NOW + Sending::UNDER_WAY_MS));
    let needs_it = edit(&mut db, needs_it, 4, Some(NOW + DAY));
    assert_eq!(ends(&db, needs_it), Some(NOW + Sending::UNDER_WAY_MS), "that is not its author's to say");
}

#[test]
fn a_full_outbox_refuses_the_next_write_and_keeps_all_it_has() {
    let mut schema = schema();
    schema.outbox = OutboxLimits { max_entries: 3, max_bytes: 1_000, collapse_ms: 0, ..OutboxLimits::default() };
    let mut db = Database::open(&Location::Memory, schema, Options::default(), NOW, replica(1)).expect("opens");
    let long = insert(&mut db, "notes", &[("id", uuid(1)), ("title", text("a")), ("body", text(&"x".repeat(1_000)))]);
    assert_eq!(long.expect_err("larger than all of it may be").code(), codes::OUTBOX_FULL);
    let first = counter(&mut db, 1).expect("room");
    counter(&mut db, 2).expect("room");
    counter(&mut db, 3).expect("room");
    assert_eq!(counter(&mut db, 4).expect_err("no room").code(), codes::OUTBOX_FULL);
    assert_eq!(rows(&db, "SELECT id FROM counters").len(), 3);
    db.withdraw(first, NOW, &mut |bytes| bytes.fill(0)).expect("withdraws");
    counter(&mut db, 4).expect("room again");
}
