//! Versions of rows that people keep.

use landfall_core::hash::Cells;
use landfall_core::schema::Schema;
use landfall_core::schema::versions::{MOST_VERSIONS, VERSION_AT, VERSION_BY, VERSION_NAME, VERSION_SEQ};
use landfall_core::{CellWrite, Operation, RowKey, Value};
use yrs::{Doc, ReadTxn as _, StateVector, Text as _, Transact as _};

use super::*;

fn with_versions() -> Schema {
    let text = r#"
        [app]
        name = "suite"
        version = 1

        [tables.notes]
        versions = true
        [tables.notes.columns]
        id     = "text"
        owner  = { type = "text", required = true }
        shared = { type = "boolean", required = true, default = false }
        title  = { type = "text", max_length = 10 }
        body   = "doc"
        [tables.notes.access]
        read   = "owner = claim('sub') OR shared"
        write  = "owner = claim('sub')"
    "#;
    Schema::parse("suite.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

fn keep(id: u64, row: &str, cells: &[(&str, Value)]) -> Operation {
    let own = [("id", text(row))];
    let cells = own.iter().chain(cells).map(|(name, value)| CellWrite::new(*name, value.clone())).collect();
    Operation::Insert { table: "notes_versions".into(), key: key(id), base: 0, cells }
}

fn key(id: u64) -> RowKey {
    let mut bytes = [8; 16];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    RowKey::single(Value::Uuid(bytes))
}

fn note(owner: &str) -> Operation {
    insert("notes", "n", &[("owner", text(owner)), ("title", text("a note"))])
}

/// What a sequence left of versions, by the log.
fn kept(store: &dyn Store, seq: u64) -> Vec<Cells> {
    let entry = store.reader().unwrap().log_entry(seq).unwrap().unwrap();
    entry.changes.into_iter().filter(|c| c.table == "notes_versions").filter_map(|c| c.after).collect()
}

pub(crate) fn a_version_is_what_its_author_saw_and_is_signed_by_the_server<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_versions());
    let mut ann = Device::new(1, "ann");
    accept(store.as_mut(), ann.write(vec![note("ann")]));
    accept(store.as_mut(), ann.write(vec![update("notes", "n", SEEN, &[("title", text("newer"))])]));
    let doc = Doc::with_client_id(7);
    doc.get_or_insert_text("body").insert(&mut doc.transact_mut(), 0, "what was written");
    let body = doc.transact().encode_state_as_update_v1(&StateVector::default());
    // It was kept while the device was offline, and has a title that would be too long today.
    let cells = [
        (VERSION_NAME, text("before the talk")),
        ("owner", text("somebody else")),
        ("shared", Value::Bool(true)),
        ("title", text("a title that is long")),
        ("body", Value::Bytes(body.clone())),
    ];
    let seq = accept(store.as_mut(), ann.write(vec![keep(1, "n", &cells)]));
    let row = &kept(store.as_ref(), seq)[0];
    assert_eq!([&row[VERSION_NAME], &row["title"]], [&text("before the talk"), &text("a title that is long")]);
    assert_eq!(row["body"], Value::Bytes(body));
    assert_eq!([&row["owner"], &row["shared"]], [&text("ann"), &Value::Bool(false)], "who sees it says the row");
    assert_eq!([&row[VERSION_BY], &row[VERSION_SEQ]], [&text("ann"), &Value::Int(seq as i64)]);
    assert_eq!(row[VERSION_AT], Value::Timestamp(NOW as i64 * 1_000));
}

pub(crate) fn who_may_not_change_a_row_keeps_no_versions_of_it<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_versions());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    accept(store.as_mut(), ann.write(vec![note("ann")]));
    let of_bob = || keep(1, "n", &[("owner", text("bob"))]);
    assert_eq!(refuse(store.as_mut(), bob.write(vec![of_bob()])), codes::REFERENCE, "he must not learn of it");
    accept(store.as_mut(), ann.write(vec![update("notes", "n", SEEN, &[("shared", Value::Bool(true))])]));
    assert_eq!(refuse(store.as_mut(), bob.write(vec![of_bob()])), codes::NOT_ALLOWED);
    accept(store.as_mut(), ann.write(vec![keep(2, "n", &[])]));
    let delete = |id| Operation::Delete { table: "notes_versions".into(), key: key(id), base: SEEN };
    assert_eq!(refuse(store.as_mut(), bob.write(vec![delete(2)])), codes::NOT_ALLOWED);
    accept(store.as_mut(), bob.write(vec![insert("notes", "m", &[("owner", text("bob"))])]));
    assert_eq!(refuse(store.as_mut(), bob.write(vec![keep(2, "m", &[])])), codes::BAD_KEY, "the id is taken");
    accept(store.as_mut(), ann.write(vec![delete(2)]));
}

pub(crate) fn a_version_stays_as_it_was_kept<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_versions());
    let mut ann = Device::new(1, "ann");
    accept(store.as_mut(), ann.write(vec![note("ann")]));
    let garbage = keep(1, "n", &[("body", Value::Bytes(b"no document".to_vec()))]);
    assert_eq!(refuse(store.as_mut(), ann.write(vec![garbage])), codes::WRONG_TYPE);
    let long = keep(1, "n", &[(VERSION_NAME, text(&"x".repeat(201)))]);
    assert_eq!(refuse(store.as_mut(), ann.write(vec![long])), codes::TOO_LONG);
    let first = keep(1, "n", &[("title", text("first"))]);
    let seq = accept(store.as_mut(), ann.write(vec![first.clone()]));
    accept(store.as_mut(), ann.write(vec![keep(1, "n", &[("title", text("second"))])]));
    assert_eq!(kept(store.as_ref(), seq)[0]["title"], text("first"));
    let cells = vec![CellWrite::new("title", text("other"))];
    let change = Operation::Update { table: "notes_versions".into(), key: key(1), base: SEEN, cells };
    assert_eq!(refuse(store.as_mut(), ann.write(vec![change])), codes::SERVER_ASSIGNED);
    // It goes when it is deleted, and does not come back by being sent again; and with its row.
    let remove = Operation::Delete { table: "notes_versions".into(), key: key(1), base: SEEN };
    accept(store.as_mut(), ann.write(vec![remove]));
    accept(store.as_mut(), ann.write(vec![first]));
    let second = accept(store.as_mut(), ann.write(vec![keep(2, "n", &[])]));
    assert_eq!(kept(store.as_ref(), second).len(), 1);
    let gone = accept(store.as_mut(), ann.write(vec![delete("notes", "n", SEEN)]));
    let entry = store.reader().unwrap().log_entry(gone).unwrap().unwrap();
    let versions = entry.changes.iter().filter(|c| c.table == "notes_versions").collect::<Vec<_>>();
    assert!(versions.len() == 1 && versions[0].after.is_none(), "{versions:?}");
}

pub(crate) fn there_is_an_end_to_versions_of_a_row<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_versions());
    let mut ann = Device::new(1, "ann");
    accept(store.as_mut(), ann.write(vec![note("ann")]));
    let all = (0..MOST_VERSIONS as u64).map(|id| keep(id, "n", &[])).collect();
    accept(store.as_mut(), ann.write(all));
    let beyond = |id: u64| keep(10_000 + id, "n", &[]);
    assert_eq!(refuse(store.as_mut(), ann.write(vec![beyond(1)])), codes::TOO_LONG);
    let remove = Operation::Delete { table: "notes_versions".into(), key: key(5), base: SEEN };
    accept(store.as_mut(), ann.write(vec![remove]));
    accept(store.as_mut(), ann.write(vec![beyond(2)]));
}
