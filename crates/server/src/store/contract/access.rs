//! Access: what a subject may not see is not there for it.

use landfall_core::Value;
use landfall_protocol::Outcome;

use super::*;

/// P11.
pub(crate) fn a_hidden_row_is_gone_for_the_writer<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let entry = ann.write(vec![insert("items", "i", &[("hidden", text("ann")), ("rank", Value::Int(60))])]);
    let seq = accept(&mut *store, entry);
    // The answers for a hidden row and for no row are the same, word for word.
    let hidden = bob.write(vec![update("items", "i", seq, &[("title", text("x"))])]);
    let absent = bob.write(vec![update("items", "j", seq, &[("title", text("x"))])]);
    let group = commit(&mut *store, &[hidden, absent]);
    let [Outcome::Refused { problem: hidden, .. }, Outcome::Refused { problem: absent, .. }] = &group.outcomes[..]
    else {
        panic!("both are refused");
    };
    assert_eq!((&hidden.code, &hidden.message), (&codes::ROW_GONE, &absent.message));
    assert_eq!(hidden.code, absent.code);
    // Deleting a row that is not there succeeds and does nothing.
    let entry = bob.write(vec![delete("items", "i", seq)]);
    let group = commit(&mut *store, &[entry]);
    accepted(&group.outcomes[0]);
    assert_eq!(group.counters.rows, 0);
    let entry = bob.write(vec![insert("items", "i", &[("title", text("mine"))])]);
    assert_eq!(refuse(&mut *store, entry), codes::NOT_ALLOWED);
    let all = bucket(&mut *store, "items", &[]);
    assert_eq!(query(&*store.reader().unwrap(), &all).len(), 1, "ann still has it");
}

/// P11.
pub(crate) fn rules_hold_before_and_after<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let rank = |n: i64| [("rank", Value::Int(n))];
    let entry = ann.write(vec![insert("items", "i", &rank(13))]);
    assert_eq!(refuse(&mut *store, entry), codes::NOT_ALLOWED);
    let entry = ann.write(vec![insert("items", "high", &rank(60)), insert("items", "low", &rank(1))]);
    let seq = accept(&mut *store, entry);
    let refused_all = [
        update("items", "high", seq, &rank(1)),
        update("items", "low", seq, &rank(60)),
        insert("items", "low", &rank(60)),
        insert("items", "high", &rank(1)),
        delete("items", "high", seq),
    ];
    for operation in refused_all {
        let entry = ann.write(vec![operation]);
        assert_eq!(refuse(&mut *store, entry), codes::NOT_ALLOWED);
    }
    let entry = ann.write(vec![update("items", "low", seq, &rank(13))]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![delete("items", "low", seq + 1)]);
    accept(&mut *store, entry);
}
