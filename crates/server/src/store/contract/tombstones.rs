//! Deleted rows are remembered for the declared time, and then as if they had never been.

use landfall_core::schema::Schema;
use landfall_core::{Operation, RowKey, Value};
use landfall_protocol::Outcome;

use super::*;
use crate::store::{PushEntry, Store};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn that_forgets() -> Schema {
    let text = r#"
        [app]
        name       = "suite"
        version    = 1
        tombstones = "2d"

        [tables.notes.columns]
        id   = "text"
        body = "text"

        [tables.parts.columns]
        id   = "text"
        note = { type = "text", references = "notes", on_delete = "cascade" }

        [tables.words]
        on_delete_conflict = "delete_wins"
        [tables.words.columns]
        id = "text"
        n  = "integer"

        [tables.cards]
        on_delete_conflict = "delete_wins"
        [tables.cards.columns]
        id = "uuid"

        [shapes.notes]
        table = "notes"
        [shapes.parts]
        table = "parts"
        [shapes.words]
        table = "words"
    "#;
    Schema::parse("suite.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

fn one(store: &mut dyn Store, day: u64, push: PushEntry) -> Outcome {
    commit_at(store, &[push], NOW + day * DAY_MS).outcomes.remove(0)
}

fn held(store: &mut dyn Store, shape: &str) -> usize {
    let bucket = bucket(store, shape, &[]);
    query(&*store.reader().unwrap(), &bucket).len()
}

fn body(base: u64) -> Operation {
    update("notes", "n", base, &[("body", text("late"))])
}

/// P10.
pub(crate) fn a_deleted_row_is_remembered_for_its_time<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&that_forgets());
    let (mut ann, mut phone) = (Device::new(1, "ann"), Device::new(2, "ann"));
    let both = vec![insert("notes", "n", &[("body", text("one"))]), insert("parts", "p", &[("note", text("n"))])];
    let made = accepted(&one(&mut *store, 0, ann.write(both)));
    accepted(&one(&mut *store, 1, ann.write(vec![delete("notes", "n", SEEN)])));
    assert_eq!((held(&mut *store, "notes"), held(&mut *store, "parts")), (0, 0));
    while !store.forget_history(NOW + 3 * DAY_MS).unwrap().done {}
    accepted(&one(&mut *store, 3, phone.write(vec![body(made)])));
    assert_eq!((held(&mut *store, "notes"), held(&mut *store, "parts")), (1, 1), "it is back, with what it took along");

    // Whether the walk has come by makes no difference, nor who asks how often.
    accepted(&one(&mut *store, 4, ann.write(vec![delete("notes", "n", SEEN)])));
    for is_forgotten in [false, true, true] {
        assert_eq!(refusal(&one(&mut *store, 7, phone.write(vec![body(made)]))), codes::ROW_GONE, "{is_forgotten}");
        let head = store.head().seq;
        while !store.forget_history(NOW + 7 * DAY_MS).unwrap().done {}
        assert_eq!(store.head().seq, head, "nobody hears of it");
    }
    accepted(&one(&mut *store, 7, phone.write(vec![delete("notes", "n", made)])));
    assert_eq!((held(&mut *store, "notes"), held(&mut *store, "parts")), (0, 0));
    accepted(&one(&mut *store, 7, phone.write(vec![insert("notes", "n", &[("body", text("again"))])])));
    assert_eq!((held(&mut *store, "notes"), held(&mut *store, "parts")), (1, 0), "a new row brings nothing along");
    drop(store);
    assert_eq!(held(&mut *backend.open(&that_forgets()), "notes"), 1);
}

/// A row that is made again before the walk has come by is no deleted row.
pub(crate) fn a_row_that_was_made_again_is_not_forgotten<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&that_forgets());
    let mut ann = Device::new(1, "ann");
    accepted(&one(&mut *store, 0, ann.write(vec![insert("notes", "n", &[("body", text("one"))])])));
    accepted(&one(&mut *store, 0, ann.write(vec![delete("notes", "n", SEEN)])));
    accepted(&one(&mut *store, 5, ann.write(vec![insert("notes", "n", &[("body", text("two"))])])));
    while !store.forget_history(NOW + 9 * DAY_MS).unwrap().done {}
    accepted(&one(&mut *store, 9, ann.write(vec![body(SEEN)])));
    assert_eq!(held(&mut *store, "notes"), 1);
    drop(store);
    let mut store = backend.open(&that_forgets());
    assert_eq!((store.head().seq, held(&mut *store, "notes")), (4, 1), "nothing is taken for another program's write");
}

/// Where deletes win, a row must not be there because nobody remembers that it was deleted.
pub(crate) fn what_was_made_before_deletes_are_remembered_is_asked_for_again<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&that_forgets());
    let (mut ann, mut phone) = (Device::new(1, "ann"), Device::new(2, "ann"));
    let at = |day: u64| NOW + day * DAY_MS;
    accepted(&one(&mut *store, 1, stamped(ann.write(vec![insert("words", "w", &[])]), at(1))));
    accepted(&one(&mut *store, 2, stamped(ann.write(vec![delete("words", "w", SEEN)]), at(2))));
    let old = |phone: &mut Device| stamped(phone.write(vec![insert("words", "w", &[("n", Value::Int(1))])]), at(1));
    accepted(&one(&mut *store, 3, old(&mut phone)));
    assert_eq!(held(&mut *store, "words"), 0, "the delete is remembered, and wins");
    for _ in 0..2 {
        assert_eq!(refusal(&one(&mut *store, 6, old(&mut phone))), codes::ROW_GONE);
        while !store.forget_history(at(6)).unwrap().done {}
    }
    let card = Operation::Insert {
        table: "cards".into(),
        key: RowKey::single(Value::Uuid([7; 16])),
        base: 0,
        cells: Vec::new(),
    };
    accepted(&one(&mut *store, 6, stamped(phone.write(vec![card]), at(1))));
    let again = stamped(phone.write(vec![insert("words", "w", &[("n", Value::Int(1))])]), at(6));
    accepted(&one(&mut *store, 6, again));
    assert_eq!(held(&mut *store, "words"), 1);
}

/// P9.
pub(crate) fn who_says_to_have_seen_what_never_was_has_seen_nothing<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&that_forgets());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    accept(&mut *store, ann.write(vec![insert("notes", "n", &[])]));
    let title = |who: &mut Device, base: u64, word: &str, at_ms: u64| {
        stamped(who.write(vec![update("notes", "n", base, &[("body", text(word))])]), at_ms)
    };
    accept(&mut *store, title(&mut ann, SEEN, "ann's", 500));
    let body_now = |store: &mut dyn Store| {
        let bucket = bucket(store, "notes", &[]);
        query(&*store.reader().unwrap(), &bucket).remove(&key("n")).unwrap().remove(0)
    };
    accept(&mut *store, title(&mut bob, 10_000, "bob's", 400));
    assert_eq!(body_now(&mut *store), text("ann's"), "concurrent to all, and older");
    accept(&mut *store, bob.write(vec![delete("notes", "n", 10_000)]));
    assert_eq!(body_now(&mut *store), text("ann's"), "a delete gives way to what it has not seen");
    accept(&mut *store, title(&mut bob, SEEN, "bob's", 400));
    assert_eq!(body_now(&mut *store), text("bob's"));
}
