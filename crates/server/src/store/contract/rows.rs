//! Rows: merging, references, cascades, uniqueness, forms.

use landfall_core::error::codes;
use landfall_core::{CellWrite, Change, Decimal, Operation, Schema, Stamp, Value};

use super::*;

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn read(store: &mut dyn crate::store::Store, shape: &str, id: &str, column: &str) -> Option<Value> {
    let bucket = bucket(store, shape, &[]);
    let template = &bucket.template;
    let at = template.columns.iter().position(|(n, _)| n == column).unwrap() - template.key_columns;
    query(&*store.reader().unwrap(), &bucket).get(&key(id)).map(|row| row[at].clone())
}

/// P12, D1.
pub(crate) fn stamps_never_pass_the_servers_clock<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let ten_years = 315_360_000_000;
    let entry = stamped(ann.write(vec![insert("lists", "a", &[])]), NOW + ten_years);
    let group = commit(&mut *store, &[entry]);
    assert_eq!(group.stamp, Stamp { wall_ms: NOW, counter: 0, replica: ann.replica });
    let mut late = stamped(ann.write(vec![insert("lists", "b", &[])]), 5);
    late.shift_ms = 700;
    assert_eq!(commit(&mut *store, &[late]).stamp.wall_ms, 705);
}

/// P9, D1.
pub(crate) fn a_concurrent_write_loses_by_stamp_and_a_seeing_one_wins<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let a = ann.write(vec![insert("items", "i", &[("title", text("0")), ("rank", int(0))])]);
    let first = accept(&mut *store, a);
    let a = stamped(ann.write(vec![update("items", "i", first, &[("title", text("ann"))])]), 500);
    let seq = accept(&mut *store, a);
    let b = bob.write(vec![update("items", "i", first, &[("title", text("bob")), ("rank", int(1))])]);
    let group = commit(&mut *store, &[b]);
    assert_eq!(group.counters.lost_cells, 1);
    assert_eq!(read(&mut *store, "items", "i", "title"), Some(text("ann")));
    assert_eq!(read(&mut *store, "items", "i", "rank"), Some(int(1)));
    let b = bob.write(vec![update("items", "i", seq, &[("title", text("bob"))])]);
    accept(&mut *store, b);
    assert_eq!(read(&mut *store, "items", "i", "title"), Some(text("bob")), "it had seen what it replaced");
}

/// Several type into one text at once: each letter is there once, what was struck out is gone, and the operations that the next
/// ones are transformed against are kept with the row, whoever opens the database next.
pub(crate) fn what_several_type_into_a_text_is_all_there<B: Backend>() {
    const SCHEMA: &str = r#"
        [app]
        name = "sheets"

        [tables.sheets.columns]
        id   = "text"
        body = { type = "text", merge = "ot" }

        [shapes.sheets]
        table = "sheets"
    "#;
    let schema = Schema::parse("sheets.toml", SCHEMA).unwrap();
    let typed = |base: u64, steps: &str| Operation::Update {
        table: "sheets".into(),
        key: key("s"),
        base,
        cells: vec![CellWrite { change: Some(Change::Edit), ..CellWrite::new("body", Value::Json(steps.into())) }],
    };
    let backend = B::fresh();
    let mut store = backend.open(&schema);
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let made = ann.write(vec![insert("sheets", "s", &[("body", text("one three"))])]);
    let base = accept(&mut *store, made);
    let between = ann.write(vec![typed(base, r#"{"was":"one three","steps":[4,"two ",5]}"#)]);
    accept(&mut *store, between);
    // Neither has seen the other's; the second of bob's stands on his own first one.
    let apart = bob.write(vec![typed(base, r#"{"was":"one three","steps":[4,-5,"four"]}"#)]);
    accept(&mut *store, apart);
    assert_eq!(read(&mut *store, "sheets", "s", "body"), Some(text("one two four")));
    drop(store);
    let mut store = backend.open(&schema);
    let more = bob.write(vec![typed(base, r#"{"was":"one four","steps":["0 ",3,-1,4,"!"]}"#)]);
    accept(&mut *store, more);
    assert_eq!(read(&mut *store, "sheets", "s", "body"), Some(text("0 onetwo four!")));
    // Written past the rule in between: what was typed is there all the same.
    backend.outside("UPDATE sheets SET body = 'one' WHERE id = 's'");
    let late = ann.write(vec![typed(base, r#"{"was":"one two three","steps":[13," five"]}"#)]);
    accept(&mut *store, late);
    assert_eq!(read(&mut *store, "sheets", "s", "body"), Some(text("one five")));
    let no_edit = bob.write(vec![typed(base, r#"{"was":"one","steps":[4]}"#)]);
    assert_eq!(refuse(&mut *store, no_edit), codes::WRONG_TYPE);
}

/// D3.
pub(crate) fn a_clock_that_was_years_ahead_does_not_decide_for_years<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let a = ann.write(vec![insert("items", "i", &[("title", text("0"))])]);
    let first = accept(&mut *store, a);
    let mut then = stamped(ann.write(vec![update("items", "i", first, &[("title", text("then"))])]), NOW);
    then.shift_ms = 315_360_000_000;
    let group = store.commit_group(&[then], usize::MAX, NOW + 315_360_000_000).unwrap();
    assert_eq!(group.stamp.wall_ms, NOW + 315_360_000_000);
    // The clock is right again; bob has not seen what ann wrote.
    let b = stamped(bob.write(vec![update("items", "i", first, &[("title", text("bob"))])]), NOW);
    assert_eq!(commit(&mut *store, &[b]).counters.lost_cells, 0);
    assert_eq!(read(&mut *store, "items", "i", "title"), Some(text("bob")));
    let a = stamped(ann.write(vec![update("items", "i", first, &[("title", text("ann"))])]), NOW - 1);
    assert_eq!(commit(&mut *store, &[a]).counters.lost_cells, 1, "and stamps decide again");
}

/// P10.
pub(crate) fn a_deleted_row_comes_back_with_all_it_took_along<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let rows = vec![
        insert("lists", "l", &[("name", text("mine"))]),
        insert("items", "i", &[("list", text("l")), ("title", text("t"))]),
        insert("items", "j", &[("list", text("l"))]),
        mark("i", "red"),
        insert("notes", "n", &[("item", text("i"))]),
    ];
    let made = ann.write(rows);
    let base = accept(&mut *store, made);
    let gone = ann.write(vec![delete("lists", "l", base)]);
    let group = commit(&mut *store, &[gone]);
    assert_eq!(group.counters.rows, 5);
    let left = |store: &mut dyn crate::store::Store| {
        ["lists", "items", "marks", "notes"].map(|shape| {
            let bucket = bucket(store, shape, &[]);
            query(&*store.reader().unwrap(), &bucket).len()
        })
    };
    assert_eq!(left(&mut *store), [0, 0, 0, 1]);
    assert_eq!(read(&mut *store, "notes", "n", "item"), Some(Value::Null));
    // Somebody had renamed the list without knowing of the delete: the update wins, and all comes back.
    let kept = bob.write(vec![update("lists", "l", base, &[("name", text("ours"))])]);
    accept(&mut *store, kept);
    assert_eq!(left(&mut *store), [1, 2, 1, 1]);
    assert_eq!(read(&mut *store, "lists", "l", "name"), Some(text("ours")));
    assert_eq!(read(&mut *store, "items", "i", "title"), Some(text("t")));
    assert_eq!(read(&mut *store, "notes", "n", "item"), Some(text("i")));
    // A new row under an old key brings nothing back.
    let seq = store.head().seq;
    let again = vec![delete("lists", "l", seq)];
    let again = ann.write(again);
    accept(&mut *store, again);
    let new = bob.write(vec![insert("lists", "l", &[("name", text("new"))])]);
    accept(&mut *store, new);
    assert_eq!(left(&mut *store), [1, 0, 0, 1]);
}

pub(crate) fn a_reference_needs_its_row<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let item = || insert("items", "i", &[("list", text("l"))]);
    let entry = ann.write(vec![item()]);
    assert_eq!(refuse(&mut *store, entry), codes::REFERENCE);
    // Within one transaction the order does not matter.
    let entry = ann.write(vec![item(), insert("lists", "l", &[])]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![update("items", "i", 9, &[("list", text("none"))])]);
    assert_eq!(refuse(&mut *store, entry), codes::REFERENCE);
    let entry = ann.write(vec![insert("items", "k", &[("list", Value::Null)])]);
    accept(&mut *store, entry);
}

pub(crate) fn what_is_referred_to_may_stay<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let entry = ann.write(vec![
        insert("lists", "l", &[]),
        insert("locks", "k", &[("list", text("l"))]),
        insert("items", "i", &[("list", text("l"))]),
    ]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![delete("lists", "l", 1)]);
    assert_eq!(refuse(&mut *store, entry), codes::STILL_REFERENCED);
    assert_eq!(read(&mut *store, "items", "i", "list"), Some(text("l")), "the cascade was undone with it");
    let entry = ann.write(vec![delete("lists", "l", 1), delete("locks", "k", 1)]);
    accept(&mut *store, entry);
}

pub(crate) fn a_unique_value_is_given_once_and_may_be_swapped<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let slug = |id: &str, slug: &str| insert("items", id, &[("slug", text(slug))]);
    let entry = ann.write(vec![slug("a", "one"), slug("b", "two")]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![slug("c", "one")]);
    assert_eq!(refuse(&mut *store, entry), codes::UNIQUE);
    let set = |id: &str, slug: &str| update("items", id, 1, &[("slug", text(slug))]);
    let entry = ann.write(vec![set("a", "two"), set("b", "one")]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![delete("items", "a", 9), slug("c", "two"), insert("items", "d", &[])]);
    accept(&mut *store, entry);
}

pub(crate) fn json_is_stored_in_one_form<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let place = |text: &str| [("place", Value::Json(text.to_owned())), ("price", Value::Decimal(Decimal::new(150, 2)))];
    let entry = ann.write(vec![insert("items", "i", &place("{ \"b\": 1, \"a\": [1.0, 1e3] }"))]);
    let seq = accept(&mut *store, entry);
    let written = store.reader().unwrap().log_entry(seq).unwrap().unwrap().changes[0].after.clone().unwrap();
    assert_eq!(written["place"], Value::Json("{\"a\":[1.0,1000.0],\"b\":1}".into()));
    let entry = ann.write(vec![update("items", "i", seq, &place("[]"))]);
    assert_eq!(commit(&mut *store, &[entry]).counters.outside, 0, "the store recognises what it wrote");
    let entry = ann.write(vec![update("items", "i", seq, &place("{"))]);
    assert_eq!(refuse(&mut *store, entry), codes::WRONG_TYPE);
    let entry = ann.write(vec![insert("items", "k", &[("rank", text("one"))])]);
    assert_eq!(refuse(&mut *store, entry), codes::WRONG_TYPE);
}

pub(crate) fn required_columns_are_filled_for_older_writers<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let entry = ann.write(vec![insert("lists", "l", &[])]);
    accept(&mut *store, entry);
    assert_eq!(read(&mut *store, "lists", "l", "name"), Some(text("list")));
    let entry = ann.write(vec![insert("lists", "m", &[("name", Value::Null)])]);
    assert_eq!(refuse(&mut *store, entry), codes::REQUIRED);
}

pub(crate) fn rows_that_merge_are_validated_whole<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let entry = ann.write(vec![insert("items", "i", &[("rank", int(101))])]);
    assert_eq!(refuse(&mut *store, entry), codes::OUT_OF_RANGE);
    let twice = vec![insert("items", "i", &[]), update("items", "i", 0, &[("rank", int(1))])];
    let entry = ann.write(twice);
    assert_eq!(refuse(&mut *store, entry), codes::BAD_TRANSACTION);
}
