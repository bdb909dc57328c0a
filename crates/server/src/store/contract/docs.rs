//! Documents: tables with columns of type `doc`.

use landfall_core::hash::Cells;
use landfall_core::schema::Schema;
use landfall_core::schema::docs::{DOC_AT, DOC_BY, DOC_COLUMN, DOC_SEQ, DOC_UPDATE};
use landfall_core::{CellWrite, Operation, RowKey, Value};
use yrs::{Doc, GetString as _, Text as _, Transact as _};

use super::*;
use crate::buckets::Bucket;

fn with_documents() -> Schema {
    let text = r#"
        [app]
        name = "suite"
        version = 1

        [tables.notes.columns]
        id     = "text"
        owner  = { type = "text", required = true }
        shared = { type = "boolean", required = true, default = false }
        given  = { type = "boolean", required = true, default = false }
        title  = "text"
        body   = { type = "doc" }
        aside  = "doc"
        [tables.notes.access]
        read   = "owner = claim('sub') OR shared"
        insert = "owner = claim('sub')"
        update = "owner = claim('sub') OR given"
        delete = "owner = claim('sub')"

        [tables.pages]
        on_delete_conflict = "delete_wins"
        [tables.pages.columns]
        id   = "text"
        body = "doc"

        [tables.drafts]
        on_delete_conflict = "manual"
        [tables.drafts.columns]
        id   = "text"
        body = "doc"

        [shapes.bodies]
        table = "notes_docs"
        where = "id = :note"
        params = { note = "text" }
    "#;
    Schema::parse("suite.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

/// The same with a rule of another column, as a later version.
fn ruled_by(version: u32, rule: &str) -> Schema {
    let mut schema = with_documents();
    let text = format!(
        "[app]\nname = 'suite'\n[tables.notes.columns]\nid = 'text'\nowner = {{ type = 'text', required = true }}\n\
         shared = {{ type = 'boolean', required = true, default = false }}\n\
         given = {{ type = 'boolean', required = true, default = false }}\ntitle = 'text'\nbody = 'doc'\naside = 'doc'\n\
         [tables.notes.access]\nread = \"{rule}\"\n[tables.pages]\non_delete_conflict = 'delete_wins'\n\
         [tables.pages.columns]\nid = 'text'\nbody = 'doc'\n\
         [tables.drafts]\non_delete_conflict = 'manual'\n[tables.drafts.columns]\nid = 'text'\nbody = 'doc'\n\
         [shapes.bodies]\ntable = 'notes_docs'\nwhere = 'id = :note'\nparams = {{ note = 'text' }}\n"
    );
    let other = Schema::parse("suite.toml", &text).unwrap_or_else(|e| panic!("{e}"));
    (schema.tables, schema.shapes, schema.version) = (other.tables, other.shapes, version);
    schema
}

/// Somebody who types at the end of a document.
struct Typist {
    doc: Doc,
    typed: u8,
    number: u8,
}

impl Typist {
    fn new(number: u8) -> Self {
        Self { doc: Doc::with_client_id(u64::from(number) + 100), typed: 0, number }
    }

    /// The update that typing a text makes.
    fn types(&mut self, what: &str) -> Vec<u8> {
        let text = self.doc.get_or_insert_text("body");
        let mut transaction = self.doc.transact_mut();
        let end = text.len(&transaction);
        text.insert(&mut transaction, end, what);
        transaction.encode_update_v1()
    }

    /// The insert that brings it.
    fn writes(&mut self, what: &str) -> Operation {
        let update = self.types(what);
        self.typed = self.typed.wrapping_add(1);
        let mut id = [self.number; 16];
        id[..8].copy_from_slice(&(update.len() as u64 + 1_000 * u64::from(self.typed)).to_be_bytes());
        id[8] = self.typed;
        bring(id, "notes", "n", "body", &update)
    }
}

fn bring(id: [u8; 16], table: &str, row: &str, column: &str, update: &[u8]) -> Operation {
    let cells = [("id", text(row)), (DOC_COLUMN, text(column)), (DOC_UPDATE, Value::Bytes(update.to_vec()))];
    let cells = cells.map(|(name, value)| CellWrite::new(name, value)).to_vec();
    Operation::Insert { table: format!("{table}_docs"), key: RowKey::single(Value::Uuid(id)), base: 0, cells }
}

fn note(owner: &str) -> Operation {
    insert("notes", "n", &[("owner", text(owner)), ("shared", Value::Bool(false)), ("title", text("a note"))])
}

/// What a bucket of updates says.
fn body(store: &dyn Store, bucket: &Bucket) -> (usize, String) {
    let at =
        bucket.template.columns.iter().position(|(name, _)| name == DOC_UPDATE).unwrap() - bucket.template.key_columns;
    let rows = query(store.reader().unwrap().as_ref(), bucket);
    let updates: Vec<Vec<u8>> = rows
        .values()
        .map(|row| match &row[at] {
            Value::Bytes(update) => update.clone(),
            other => panic!("no update: {other:?}"),
        })
        .collect();
    (rows.len(), landfall_doc::text(&updates, "body").unwrap())
}

/// The live rows that a sequence left, by the log.
fn left(store: &dyn Store, seq: u64, table: &str) -> Vec<Cells> {
    let entry = store.reader().unwrap().log_entry(seq).unwrap().unwrap();
    entry.changes.into_iter().filter(|c| c.table == table).filter_map(|c| c.after).collect()
}

pub(crate) fn an_update_of_a_document_is_signed_by_the_server<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut typist) = (Device::new(1, "ann"), Typist::new(1));
    let seq = accept(store.as_mut(), ann.write(vec![note("ann"), typist.writes("one ")]));
    let bucket = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
    accept(store.as_mut(), ann.write(vec![typist.writes("two")]));
    assert_eq!(body(store.as_ref(), &bucket), (2, "one two".into()));
    let row = &left(store.as_ref(), seq, "notes_docs")[0];
    assert_eq!([&row[DOC_BY], &row["owner"], &row["shared"]], [&text("ann"), &text("ann"), &Value::Bool(false)]);
    assert_eq!(row[DOC_SEQ], Value::Int(seq as i64));
    assert_eq!(row[DOC_AT], Value::Timestamp(NOW as i64 * 1_000));
    assert!(!row.contains_key("title"), "only what the access rules ask for is copied");
    let news = commit(store.as_mut(), &[ann.write(vec![typist.writes("!")])]).docs;
    assert_eq!(news.iter().map(|n| (n.table.as_str(), n.column.as_str())).collect::<Vec<_>>(), [("notes", "body")]);
}

pub(crate) fn what_is_no_update_of_a_document_is_refused<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut bob, mut typist) = (Device::new(1, "ann"), Device::new(2, "bob"), Typist::new(1));
    accept(store.as_mut(), ann.write(vec![note("ann")]));
    let garbage = bring([9; 16], "notes", "n", "body", b"not an update");
    assert_eq!(refuse(store.as_mut(), ann.write(vec![garbage])), codes::WRONG_TYPE);
    let update = typist.types("hello");
    let other = |column| bring([9; 16], "notes", "n", column, &update);
    assert_eq!(refuse(store.as_mut(), ann.write(vec![other("title")])), codes::NOT_ONE_OF);
    assert_eq!(refuse(store.as_mut(), bob.write(vec![other("body")])), codes::REFERENCE, "bob must not learn of it");
    accept(store.as_mut(), ann.write(vec![other("body")]));
    accept(store.as_mut(), ann.write(vec![other("body")]));
    let another = bring([9; 16], "notes", "n", "body", &typist.types("more"));
    assert_eq!(refuse(store.as_mut(), ann.write(vec![another])), codes::BAD_KEY);
    let key = RowKey::single(Value::Uuid([9; 16]));
    let table = || "notes_docs".to_owned();
    let cells = vec![CellWrite::new(DOC_UPDATE, Value::Bytes(update))];
    let overwrite = Operation::Update { table: table(), key: key.clone(), base: 9, cells };
    assert_eq!(refuse(store.as_mut(), ann.write(vec![overwrite])), codes::SERVER_ASSIGNED);
    let remove = Operation::Delete { table: table(), key, base: 9 };
    assert_eq!(refuse(store.as_mut(), ann.write(vec![remove])), codes::SERVER_ASSIGNED);
    // Whoever may read it may not therefore write it.
    accept(store.as_mut(), ann.write(vec![update_shared(true)]));
    let of_bob = bring([7; 16], "notes", "n", "body", &Typist::new(2).types("mine"));
    assert_eq!(refuse(store.as_mut(), bob.write(vec![of_bob])), codes::NOT_ALLOWED);
}

/// Whoever may read a document knows the ids of its updates: that gives them no hold on these.
pub(crate) fn nobody_takes_an_update_out_of_a_document<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut bob, mut typist) = (Device::new(1, "ann"), Device::new(2, "bob"), Typist::new(1));
    accept(store.as_mut(), ann.write(vec![note("ann")]));
    accept(store.as_mut(), ann.write(vec![update_shared(true)]));
    let all = typist.types("all of it");
    accept(store.as_mut(), ann.write(vec![bring([9; 16], "notes", "n", "body", &all)]));
    let bucket = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
    accept(store.as_mut(), bob.write(vec![insert("notes", "m", &[("owner", text("bob"))])]));
    let bare = |cells: &[(&str, Value)]| {
        let cells = cells.iter().map(|(name, value)| CellWrite::new(*name, value.clone())).collect();
        let (table, key) = ("notes_docs".to_owned(), RowKey::single(Value::Uuid([9; 16])));
        Operation::Insert { table, key, base: SEEN, cells }
    };
    assert_eq!(refuse(store.as_mut(), bob.write(vec![bare(&[("id", text("m"))])])), codes::REQUIRED);
    let moved = bring([9; 16], "notes", "m", "body", &all);
    assert_eq!(refuse(store.as_mut(), bob.write(vec![moved.clone()])), codes::BAD_KEY);
    assert_eq!(body(store.as_ref(), &bucket), (1, "all of it".into()));
    // Nor while its row is deleted.
    accept(store.as_mut(), ann.write(vec![delete("notes", "n", SEEN)]));
    assert_eq!(refuse(store.as_mut(), bob.write(vec![moved])), codes::BAD_KEY);
    let mut phone = Device::new(3, "ann");
    accept(store.as_mut(), phone.write(vec![update("notes", "n", 1, &[("title", text("back"))])]));
    assert_eq!(body(store.as_ref(), &bucket), (1, "all of it".into()));
}

/// A row that comes back with other rights brings its documents back under those.
pub(crate) fn documents_come_back_under_the_rights_of_their_row<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut laptop, mut typist) = (Device::new(1, "ann"), Device::new(2, "ann"), Typist::new(1));
    accept(store.as_mut(), ann.write(vec![note("ann"), typist.writes("hers")]));
    let shared = accept(store.as_mut(), ann.write(vec![update_shared(true)]));
    let bob = {
        let template = std::sync::Arc::clone(&store.templates()["bodies"]);
        let params = [("note".to_owned(), text("n"))].into();
        let env = template.env(&params, &crate::store::Subject::named("bob")).unwrap();
        store.open_bucket(&template, &env, NOW).unwrap()
    };
    assert_eq!(body(store.as_ref(), &bob).0, 1);
    accept(store.as_mut(), ann.write(vec![delete("notes", "n", SEEN)]));
    let hidden = update("notes", "n", shared, &[("shared", Value::Bool(false))]);
    accept(store.as_mut(), laptop.write(vec![hidden]));
    assert_eq!(body(store.as_ref(), &bob), (0, String::new()), "it came back, and not for bob");
}

fn update_shared(shared: bool) -> Operation {
    update("notes", "n", SEEN, &[("shared", Value::Bool(shared))])
}

pub(crate) fn a_long_document_is_few_updates<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let mut devices = [(Device::new(1, "ann"), Typist::new(1)), (Device::new(2, "ann"), Typist::new(2))];
    accept(store.as_mut(), devices[0].0.write(vec![note("ann")]));
    let bucket = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
    let expected = Doc::with_client_id(1);
    let (mut seen, mut most) = (Rows::new(), 0);
    for step in 0..1_500 {
        let (device, typist) = &mut devices[step % 2];
        let operation = typist.writes(&format!("{step} "));
        if let Some(Value::Bytes(update)) = operation.cells().iter().find(|c| c.column == DOC_UPDATE).map(|c| &c.value)
        {
            use yrs::updates::decoder::Decode as _;
            expected.transact_mut().apply_update(yrs::Update::decode_v1(update).unwrap()).unwrap();
        }
        let from = store.head().seq;
        accept(store.as_mut(), device.write(vec![operation]));
        let reader = store.reader().unwrap();
        changes(reader.as_ref(), &bucket, from).iter().for_each(|change| fold(&bucket, &mut seen, change));
        most = most.max(seen.len());
        if step % 100 == 0 {
            assert_eq!(seen, query(reader.as_ref(), &bucket), "what devices hear is what there is");
        }
    }
    let expected = {
        let text = expected.get_or_insert_text("body");
        text.get_string(&expected.transact())
    };
    let (rows, text) = body(store.as_ref(), &bucket);
    assert_eq!(text, expected);
    assert!(rows < 200 && most < 250, "{rows} rows, at most {most}");
    // The next one who reads it is a new process, which finds nothing amiss.
    drop(store);
    let mut store = backend.open(&with_documents());
    assert!(store.check_outside_writes(NOW).unwrap().commit.outcomes.is_empty());
    assert_eq!(body(store.as_ref(), &bucket).1, expected);
}

pub(crate) fn who_has_a_document_follows_its_row<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let (mut typist, mut other) = (Typist::new(1), Typist::new(2));
    accept(store.as_mut(), ann.write(vec![note("ann"), typist.writes("of ann, ")]));
    let of_ann = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
    let to_bob = [("owner", text("bob")), ("given", Value::Bool(true))];
    let seq = accept(store.as_mut(), ann.write(vec![update("notes", "n", SEEN, &to_bob)]));
    assert_eq!(left(store.as_ref(), seq, "notes_docs")[0]["owner"], text("bob"));
    assert_eq!(body(store.as_ref(), &of_ann), (0, String::new()), "it is not hers any more");
    assert_eq!(refuse(store.as_mut(), ann.write(vec![typist.writes("late")])), codes::REFERENCE);
    accept(store.as_mut(), bob.write(vec![other.writes("of bob")]));
    accept(store.as_mut(), bob.write(vec![update_shared(true)]));
    let (rows, text) = body(store.as_ref(), &of_ann);
    assert_eq!((rows, text.len()), (2, "of ann, of bob".len()));
    // Another program may change who has it, too.
    backend.outside("UPDATE notes SET shared = 0");
    while !store.check_outside_writes(NOW).unwrap().done {}
    assert_eq!(body(store.as_ref(), &of_ann), (0, String::new()));
}

pub(crate) fn a_document_goes_with_its_row_and_comes_back<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut phone) = (Device::new(1, "ann"), Device::new(2, "ann"));
    let mut typist = Typist::new(1);
    accept(store.as_mut(), ann.write(vec![note("ann"), typist.writes("one ")]));
    let bucket = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
    let gone = accept(store.as_mut(), ann.write(vec![delete("notes", "n", SEEN)]));
    assert_eq!(body(store.as_ref(), &bucket), (0, String::new()));
    // Who has seen that it is gone cannot write to it.
    let seen = match typist.writes("never ") {
        Operation::Insert { table, key, cells, .. } => Operation::Insert { table, key, base: gone, cells },
        other => other,
    };
    assert_eq!(refuse(store.as_mut(), phone.write(vec![seen])), codes::REFERENCE);
    // Who has not brings it back, with all that was in it.
    let mut typist = Typist::new(3);
    accept(store.as_mut(), phone.write(vec![typist.writes("two")]));
    let (rows, text) = body(store.as_ref(), &bucket);
    assert_eq!(rows, 2);
    assert!(text.contains("one ") && text.contains("two"), "{text}");
    // Where deletes win it stays gone.
    accept(store.as_mut(), ann.write(vec![insert("pages", "p", &[])]));
    accept(store.as_mut(), ann.write(vec![delete("pages", "p", SEEN)]));
    let late = bring([5; 16], "pages", "p", "body", &Typist::new(4).types("late"));
    assert_eq!(refuse(store.as_mut(), phone.write(vec![late])), codes::REFERENCE);
}

/// What is typed into a document is a change of its row: a delete that had not seen it is concurrent, in either order, and
/// whether or not the updates have become one since.
pub(crate) fn typing_and_a_delete_that_saw_less_are_concurrent<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut phone) = (Device::new(1, "ann"), Device::new(2, "ann"));
    let mut tablet = Device::new(3, "ann");
    let mut number = 0_u32;
    let mut typing = |typist: &mut Typist, table: &str, row: &str, base: u64| {
        number += 1;
        let mut id = [7; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        match bring(id, table, row, "body", &typist.types("x")) {
            Operation::Insert { table, key, cells, .. } => Operation::Insert { table, key, base, cells },
            other => other,
        }
    };
    for (table, stays, asks) in [("notes", true, false), ("pages", false, false), ("drafts", true, true)] {
        let make = |row: &str| match table {
            "notes" => insert(table, row, &[("owner", text("ann"))]),
            _ => insert(table, row, &[]),
        };
        let asked = |store: &dyn Store, seq: u64| {
            if asks {
                assert_eq!(left(store, seq, "drafts_conflicts").len(), 1, "{table}");
            }
        };
        // The typing comes first, then the delete.
        let made = accept(store.as_mut(), ann.write(vec![make("a")]));
        let mut typist = Typist::new(2);
        accept(store.as_mut(), phone.write(vec![typing(&mut typist, table, "a", made)]));
        let seq = accept(store.as_mut(), ann.write(vec![delete(table, "a", made)]));
        asked(store.as_ref(), seq);
        let next = phone.write(vec![typing(&mut typist, table, "a", SEEN)]);
        match stays {
            true => _ = accept(store.as_mut(), next),
            false => assert_eq!(refuse(store.as_mut(), next), codes::REFERENCE, "{table}"),
        }
        // The delete comes first.
        let made = accept(store.as_mut(), ann.write(vec![make("b")]));
        accept(store.as_mut(), ann.write(vec![delete(table, "b", made)]));
        let next = phone.write(vec![typing(&mut Typist::new(2), table, "b", made)]);
        match stays {
            true => {
                let seq = accept(store.as_mut(), next);
                asked(store.as_ref(), seq);
            }
            false => assert_eq!(refuse(store.as_mut(), next), codes::REFERENCE, "{table}"),
        }
        // What saw all of it deletes, and so does who typed it.
        for (row, by_phone) in [("c", false), ("d", true)] {
            let made = accept(store.as_mut(), ann.write(vec![make(row)]));
            let seen = accept(store.as_mut(), phone.write(vec![typing(&mut Typist::new(2), table, row, made)]));
            let (device, base) = if by_phone { (&mut phone, made) } else { (&mut ann, seen) };
            accept(store.as_mut(), device.write(vec![delete(table, row, base)]));
            let next = phone.write(vec![typing(&mut Typist::new(4), table, row, SEEN)]);
            assert_eq!(refuse(store.as_mut(), next), codes::REFERENCE, "{table} {row}");
        }
        // The same once many have become one.
        for (row, saw_all) in [("e", true), ("f", false)] {
            let made = accept(store.as_mut(), ann.write(vec![make(row)]));
            accept(store.as_mut(), phone.write(vec![typing(&mut Typist::new(2), table, row, made)]));
            let mut typist = Typist::new(1);
            let compacted = (0..2_000).find_map(|_| {
                let seq = accept(store.as_mut(), ann.write(vec![typing(&mut typist, table, row, made)]));
                (store.head().seq > seq).then_some(seq)
            });
            let (device, base) = if saw_all { (&mut tablet, compacted.unwrap()) } else { (&mut ann, made) };
            accept(store.as_mut(), device.write(vec![delete(table, row, base)]));
            let next = phone.write(vec![typing(&mut Typist::new(4), table, row, SEEN)]);
            match stays && !saw_all {
                true => _ = accept(store.as_mut(), next),
                false => assert_eq!(refuse(store.as_mut(), next), codes::REFERENCE, "{table} {row}"),
            }
        }
    }
}

pub(crate) fn documents_follow_other_access_rules<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&with_documents());
    let (mut ann, mut typist) = (Device::new(1, "ann"), Typist::new(1));
    accept(store.as_mut(), ann.write(vec![note("ann"), typist.writes("hello")]));
    // Each version asks for other columns than the one before; the third again for those of the first.
    let versions =
        [("title = 'a note'", 1), ("title = 'another'", 0), ("owner = claim('sub')", 1), ("title = 'a note'", 1)];
    for (at, (rule, rows)) in versions.into_iter().enumerate() {
        drop(store);
        store = backend.open(&ruled_by(at as u32 + 2, rule));
        let bucket = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
        assert_eq!(body(store.as_ref(), &bucket).0, rows, "{rule}");
    }
    accept(store.as_mut(), ann.write(vec![typist.writes(" again")]));
    let bucket = bucket(store.as_mut(), "bodies", &[("note", text("n"))]);
    assert_eq!(body(store.as_ref(), &bucket), (2, "hello again".into()));
}
