//! Tables that keep their history.

use landfall_core::hash::Cells;
use landfall_core::rules::{MergeFunctions, Three};
use landfall_core::schema::Schema;
use landfall_core::{CellWrite, Change, Operation, RowKey, Value};

use super::*;
use crate::commit::OUTSIDE;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn with_history(history: &str) -> Schema {
    let text = format!(
        r#"
        [app]
        name = "suite"
        version = 1

        [tables.notes]
        history = {history}
        [tables.notes.columns]
        id    = "text"
        owner = {{ type = "text", required = true }}
        body  = "text"
        [tables.notes.access]
        read  = "owner = claim('sub')"

        [tables.marks]
        primary_key = ["note", "word"]
        history = {history}
        [tables.marks.columns]
        note = {{ type = "text", references = "notes", on_delete = "cascade" }}
        word = "text"

        [shapes.past]
        table = "notes_history"
        where = "id = :note"
        params = {{ note = "text" }}
        [shapes.past_marks]
        table = "marks_history"
        "#
    );
    Schema::parse("suite.toml", &text).unwrap_or_else(|e| panic!("{e}"))
}

fn without_history() -> Schema {
    let mut schema = with_history("true");
    schema.tables.retain(|table| table.history_of.is_none());
    schema.tables.iter_mut().for_each(|table| table.history = None);
    schema.shapes.clear();
    schema
}

/// The rows of a history in the log, from a sequence on: its number, and the row.
fn past(store: &dyn Store, history: &str, from: u64) -> Vec<(u64, Cells)> {
    let reader = store.reader().unwrap();
    let entries = (from..=store.head().seq).filter_map(|seq| reader.log_entry(seq).unwrap());
    let rows = entries.flat_map(|entry| {
        let of = entry.changes.into_iter().filter(|change| change.table == history);
        of.filter_map(move |change| Some((entry.seq, change.after?)))
    });
    rows.collect()
}

fn said(row: &Cells, columns: &[&str]) -> Vec<Value> {
    columns.iter().map(|name| row[*name].clone()).collect()
}

fn note(owner: &str, body: &str) -> Operation {
    insert("notes", "n", &[("owner", text(owner)), ("body", text(body))])
}

pub(crate) fn changes_leave_their_history<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_history("true"));
    let mut ann = Device::new(1, "ann");
    let note_and_mark = vec![
        note("ann", "one"),
        Operation::Insert { table: "marks".into(), key: RowKey(vec![text("n"), text("red")]), base: 0, cells: vec![] },
    ];
    accept(&mut *store, ann.write(note_and_mark));
    let mut bob = Device::new(2, "bob");
    // Who may not read a row does not change it; the history says nothing of what was refused.
    refuse(&mut *store, bob.write(vec![update("notes", "n", 1, &[("body", text("two"))])]));
    accept(&mut *store, ann.write(vec![update("notes", "n", 1, &[("body", text("two"))])]));
    accept(&mut *store, ann.write(vec![update("notes", "n", 2, &[("body", text("two"))])]));
    backend.outside("UPDATE notes SET body = 'three'");
    while !store.check_outside_writes(NOW).unwrap().done {}
    let seen = store.head().seq;
    accept(&mut *store, ann.write(vec![delete("notes", "n", seen)]));

    let rows = past(&*store, "notes_history", 1);
    let found: Vec<_> = rows.iter().map(|(_, row)| said(row, &["change_kind", "body", "change_columns"])).collect();
    let changed = || Value::json(&serde_json::json!(["body"]));
    assert_eq!(
        found,
        [
            [text("insert"), text("one"), Value::Null],
            [text("update"), text("two"), changed()],
            [text("update"), text("three"), changed()],
            [text("delete"), text("three"), Value::Null],
        ]
    );
    let by: Vec<_> = rows.iter().map(|(_, row)| said(row, &["change_by", "change_device"])).collect();
    let ann_by = [text("ann"), Value::Uuid(ann.replica.0)];
    assert_eq!(by, [ann_by.clone(), ann_by.clone(), [Value::Null, Value::Null], ann_by]);
    for (seq, row) in &rows {
        let (id, owner) = (&row["id"], &row["owner"]);
        assert_eq!((id, owner, &row["change_seq"]), (&text("n"), &text("ann"), &Value::Int(*seq as i64)));
        assert_eq!(row["change_at"], Value::Timestamp(NOW as i64 * 1_000));
        assert_eq!(row["change_row"], rows[0].1["change_row"], "all are about one row");
    }
    // What a delete takes along is there too, under the same sequence.
    let marks = past(&*store, "marks_history", 1);
    let kinds: Vec<_> = marks.iter().map(|(_, row)| said(row, &["change_kind", "word"])).collect();
    assert_eq!(kinds, [[text("insert"), text("red")], [text("delete"), text("red")]]);
    assert_eq!(marks[1].0, rows[3].0);

    // It is read as the row was: by who could read that.
    let mine = bucket(&mut *store, "past", &[("note", text("n"))]);
    assert_eq!(query(&*store.reader().unwrap(), &mine).len(), 4);
}

/// What a concurrent write won over is in no row: the history has it, for as long as it keeps what happened.
pub(crate) fn what_is_lost_to_others_is_in_the_history<B: Backend>() {
    let backend = B::fresh();
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "ann"));
    accept(&mut *backend.open(&without_history()), ann.write(vec![note("ann", "one")]));
    let mut schema = with_history("\"2d\"");
    let notes = schema.tables.iter_mut().find(|table| table.name == "notes").unwrap();
    notes.on_delete_conflict = landfall_core::schema::DeleteRule::DeleteWins;
    let mut store = backend.open(&schema);
    let late = stamped(ann.write(vec![update("notes", "n", 1, &[("body", text("ann's"))])]), 500);
    accept(&mut *store, late);
    let seq = store.head().seq;
    // Who may read the row is decided by its owner: what was lost of that is nobody's to read.
    let lost =
        stamped(bob.write(vec![update("notes", "n", 1, &[("body", text("bob's")), ("owner", text("ann"))])]), 400);
    assert_eq!(commit(&mut *store, &[lost]).counters.lost_cells, 1);
    let same = stamped(bob.write(vec![update("notes", "n", 1, &[("body", text("ann's"))])]), 400);
    accept(&mut *store, same);
    let seen = store.head().seq;
    accept(&mut *store, ann.write(vec![delete("notes", "n", seen)]));
    let gone = stamped(bob.write(vec![update("notes", "n", 1, &[("body", text("too late"))])]), 600);
    accept(&mut *store, gone);

    let rows = past(&*store, "notes_history", seq);
    let said_of = |row: &Cells| said(row, &["change_kind", "body", "change_columns", "change_device"]);
    let found: Vec<_> = rows.iter().map(|(_, row)| said_of(row)).collect();
    let (body, device) = (|| Value::json(&serde_json::json!(["body"])), |d: &Device| Value::Uuid(d.replica.0));
    assert_eq!(
        found,
        [
            [text("before"), text("one"), Value::Null, Value::Null],
            [text("update"), text("ann's"), body(), device(&ann)],
            [text("lost"), text("bob's"), body(), device(&bob)],
            [text("delete"), text("ann's"), Value::Null, device(&ann)],
            [text("lost"), text("too late"), body(), device(&bob)],
        ]
    );
    while !store.forget_history(NOW + 3 * DAY_MS).unwrap().done {}
    let all = bucket(&mut *store, "past", &[("note", text("n"))]);
    assert_eq!(query(&*store.reader().unwrap(), &all).len(), 0);
}

pub(crate) fn a_history_begins_with_what_a_row_was<B: Backend>() {
    let backend = B::fresh();
    let mut ann = Device::new(1, "ann");
    accept(&mut *backend.open(&without_history()), ann.write(vec![note("ann", "one")]));
    let mut store = backend.open(&with_history("true"));
    accept(&mut *store, ann.write(vec![update("notes", "n", 1, &[("body", text("two"))])]));
    accept(&mut *store, ann.write(vec![update("notes", "n", 2, &[("body", text("three"))])]));
    let rows = past(&*store, "notes_history", 1);
    let found: Vec<_> =
        rows.iter().map(|(_, row)| said(row, &["change_kind", "body", "change_at", "change_by"])).collect();
    let at = || Value::Timestamp(NOW as i64 * 1_000);
    assert_eq!(
        found,
        [
            [text("before"), text("one"), Value::Null, Value::Null],
            [text("update"), text("two"), at(), text("ann")],
            [text("update"), text("three"), at(), text("ann")],
        ]
    );
}

pub(crate) fn a_history_that_is_long_gets_sequences_of_its_own<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_history("true"));
    let mut ann = Device::new(1, "ann");
    let long = "x".repeat(700_000);
    for n in 0..9 {
        let values = [("owner", text("ann")), ("body", text(&long))];
        accept(&mut *store, ann.write(vec![insert("notes", &n.to_string(), &values)]));
    }
    let head = store.head().seq;
    // Nine small changes of rows with large images: 6.3 MB of history, of which one row goes with the transaction.
    let changes = (0..9).map(|n| update("notes", &n.to_string(), head, &[("owner", text("bob"))])).collect();
    let group = commit(&mut *store, &[ann.write(changes)]);
    assert_eq!((accepted(&group.outcomes[0]), group.head.seq), (head + 1, head + 3));
    let rows = past(&*store, "notes_history", head + 1);
    let seqs: Vec<u64> = rows.iter().map(|(seq, _)| seq - head).collect();
    assert_eq!(seqs, [1, 2, 2, 2, 2, 2, 3, 3, 3]);
    assert!(
        rows.iter().all(|(_, row)| row["change_by"] == text("ann") && row["change_seq"] == Value::Int(head as i64 + 1))
    );
    let last = store.reader().unwrap().log_entry(head + 3).unwrap().unwrap();
    assert_eq!(last.replica, OUTSIDE, "nobody's transaction");
    // A start finds nothing that it would take for another program's write.
    drop(store);
    assert_eq!(backend.open(&with_history("true")).head().seq, head + 3);
}

pub(crate) fn of_a_history_what_no_state_needs_is_forgotten<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_history("\"2d\""));
    let mut ann = Device::new(1, "ann");
    let mut write = |store: &mut dyn Store, day: u64, operation: Operation| {
        let group = store.commit_group(&[ann.write(vec![operation])], usize::MAX, NOW + day * DAY_MS).unwrap();
        accepted(&group.outcomes[0])
    };
    let seq = write(&mut *store, 0, note("ann", "0"));
    write(&mut *store, 0, insert("notes", "gone", &[("owner", text("ann"))]));
    let seq = write(&mut *store, 1, update("notes", "n", seq, &[("body", text("1"))]));
    write(&mut *store, 1, delete("notes", "gone", seq));
    let seq = write(&mut *store, 4, update("notes", "n", seq, &[("body", text("4"))]));
    let forget = |store: &mut dyn Store, day: u64| {
        let before = store.head().seq;
        while !store.forget_history(NOW + day * DAY_MS).unwrap().done {}
        let all = bucket(store, "past", &[("note", text("n"))]);
        let mut bodies: Vec<_> =
            query(&*store.reader().unwrap(), &all).into_values().map(|row| row.last().cloned()).collect();
        bodies.sort();
        (store.head().seq - before, bodies)
    };
    // Two days back from the second day there was the row "0"; from the fourth "1".
    let some = |bodies: &[&str]| bodies.iter().map(|body| Some(text(body))).collect::<Vec<_>>();
    assert_eq!(forget(&mut *store, 2), (0, some(&["0", "1", "4"])));
    assert_eq!(forget(&mut *store, 4), (1, some(&["1", "4"])));
    assert_eq!(forget(&mut *store, 5), (0, some(&["1", "4"])), "what was there two days ago is needed");
    assert_eq!(forget(&mut *store, 400), (1, some(&["4"])), "the last one of a row stays");
    // What was forgotten does not begin anew.
    write(&mut *store, 400, update("notes", "n", seq, &[("body", text("400"))]));
    assert_eq!(forget(&mut *store, 400), (0, some(&["4", "400"])));
    drop(store);
    let head = backend.open(&with_history("\"2d\"")).head().seq;
    assert_eq!(head, 8, "nothing is taken for another program's write");
}

pub(crate) fn a_history_that_was_erased_begins_anew<B: Backend>() {
    let backend = B::fresh();
    let mut ann = Device::new(1, "ann");
    accept(&mut *backend.open(&without_history()), ann.write(vec![note("ann", "one")]));
    let mut store = backend.open(&with_history("true"));
    accept(&mut *store, ann.write(vec![update("notes", "n", 1, &[("body", text("two"))])]));
    for _ in 0..2 {
        backend.outside("DELETE FROM notes_history");
        while !store.check_outside_writes(NOW).unwrap().done {}
        let seen = store.head().seq;
        let entry = ann.write(vec![update("notes", "n", seen, &[("body", text(&seen.to_string()))])]);
        let seq = accept(&mut *store, entry);
        let kinds: Vec<_> =
            past(&*store, "notes_history", seq).into_iter().map(|(_, row)| row["change_kind"].clone()).collect();
        assert_eq!(kinds, [text("before"), text("update")]);
    }
}

pub(crate) fn a_delete_from_outside_is_in_the_history_however_late<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_history("true"));
    let mut ann = Device::new(1, "ann");
    accept(&mut *store, ann.write(vec![note("ann", "one")]));
    accept(&mut *store, ann.write(vec![update("notes", "n", 1, &[("body", text("two"))])]));
    accept(&mut *store, ann.write(vec![insert("notes", "other", &[("owner", text("ann"))])]));
    // The log has forgotten what the row was.
    while !store.truncate_log(3, 0).unwrap().done {}
    backend.outside("DELETE FROM notes WHERE id = 'n'");
    while !store.check_outside_writes(NOW).unwrap().done {}
    let rows = past(&*store, "notes_history", 4);
    let found: Vec<_> = rows.iter().map(|(_, row)| said(row, &["change_kind", "id", "body", "owner"])).collect();
    assert_eq!(found, [[text("delete"), text("n"), text("two"), text("ann")]]);
}

pub(crate) fn nobody_but_the_server_writes_a_history<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_history("true"));
    let mut ann = Device::new(1, "ann");
    accept(&mut *store, ann.write(vec![note("ann", "one")]));
    let (_, row) = past(&*store, "notes_history", 1).remove(0);
    let (table, key) = ("notes_history".to_owned(), RowKey::single(row["change_id"].clone()));
    for operation in [
        Operation::Delete { table: table.clone(), key: key.clone(), base: 1 },
        Operation::Insert { table, key, base: 1, cells: vec![] },
    ] {
        assert_eq!(refuse(&mut *store, ann.write(vec![operation])), codes::SERVER_ASSIGNED);
    }
}

/// A merge function makes one value of two, and a name is cut for the number behind it: what was typed is kept.
pub(crate) fn what_was_typed_is_in_the_history_whatever_was_made_of_it<B: Backend>() {
    let sum = |three: &Three<'_>| match (three.base, three.ours, three.theirs) {
        (Value::Int(base), Value::Int(ours), Value::Int(theirs)) => Ok(Value::Int(ours + theirs - base)),
        _ => Err("no numbers".to_owned()),
    };
    let text_of = r#"
        [app]
        name = "suite"
        [tables.notes]
        history = true
        [tables.notes.columns]
        id    = "text"
        score = { type = "integer", merge = "custom", function = "sum" }
        name  = { type = "text", unique = "rename", max_length = 6 }
        [shapes.past]
        table = "notes_history"
        where = "id = :note"
        params = { note = "text" }
    "#;
    let schema = Schema::parse("suite.toml", text_of).unwrap_or_else(|e| panic!("{e}"));
    let backend = B::fresh();
    let mut store = backend.open(&schema.with_functions(&MergeFunctions::new().on("sum", sum)));
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let scores = |base: u64, was: i64, is: i64| Operation::Update {
        table: "notes".into(),
        key: key("n"),
        base,
        cells: vec![CellWrite {
            change: Some(Change::Edit),
            ..CellWrite::new("score", Value::json(&serde_json::json!({ "was": was, "is": is })))
        }],
    };
    let seq =
        accept(&mut *store, ann.write(vec![insert("notes", "n", &[("score", Value::Int(1)), ("name", text("x"))])]));
    accept(&mut *store, ann.write(vec![scores(seq, 1, 3)]));
    accept(&mut *store, bob.write(vec![scores(seq, 1, 10)]));
    accept(&mut *store, ann.write(vec![insert("notes", "m", &[("name", text("abcdef"))])]));
    accept(&mut *store, bob.write(vec![update("notes", "n", SEEN, &[("name", text("abcdef"))])]));
    let all = past(&*store, "notes_history", seq).into_iter().filter(|(_, row)| row["id"] == text("n"));
    let found: Vec<_> = all.map(|(_, row)| said(&row, &["change_kind", "score", "name"])).collect();
    let row = |kind: &str, score: i64, name: &str| [text(kind), Value::Int(score), text(name)];
    assert_eq!(
        found,
        [
            row("insert", 1, "x"),
            row("update", 3, "x"),
            row("update", 12, "x"),
            row("lost", 10, "x"),
            row("update", 12, "ab (2)"),
            row("lost", 12, "abcdef"),
        ]
    );
}
