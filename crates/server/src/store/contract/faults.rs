//! Transactions on which the database itself fails.

use landfall_core::Code;
use landfall_protocol::Outcome;

use super::*;
use crate::store::{PushEntry, codes as store_codes};

fn failure(outcome: &Outcome) -> Code {
    match outcome {
        Outcome::Failed { problem } => problem.code.clone(),
        other => panic!("not failed: {other:?}"),
    }
}

/// P15: an operator's own rule stands against one row: its neighbours are decided as if it were not there.
pub(crate) fn a_transaction_that_the_database_rejects_harms_nobody_else<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let lists = bucket(&mut *store, "lists", &[]);
    backend.forbid("lists", "name", "poison");
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let named = |id: &str, name: &str| vec![insert("lists", id, &[("name", text(name))])];
    let before = ann.write(named("a", "fine"));
    // Its first operation is carried out before the second is rejected.
    let poison = ann.write([named("half", "fine"), named("b", "poison")].concat());
    let follower = ann.follow(named("c", "fine"), &[2], &[2]);
    let free = ann.write(named("d", "fine"));
    let other = bob.write(named("e", "fine"));
    let group = commit(&mut *store, &[before, poison.clone(), follower.clone(), free, other]);
    assert_eq!(failure(&group.outcomes[1]), store_codes::REJECTED);
    assert_eq!(group.outcomes[2], Outcome::Deferred { missing: 2 });
    let accepted: Vec<u64> = [0, 3, 4].map(|at| accepted(&group.outcomes[at])).to_vec();
    assert_eq!(accepted, [1, 2, 3]);
    assert_eq!((group.counters.failed, group.faults.len()), (1, 1), "the operator is told");
    let rows = query(&*store.reader().unwrap(), &lists);
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), [key("a"), key("d"), key("e")]);
    // So often, and then it is given up, with what shares its fate; that is remembered.
    for _ in 2..5 {
        assert_eq!(failure(&commit(&mut *store, std::slice::from_ref(&poison)).outcomes[0]), store_codes::REJECTED);
    }
    for _ in 0..2 {
        let group = commit(&mut *store, &[poison.clone(), follower.clone()]);
        assert_eq!(refusal(&group.outcomes[0]), codes::ATTEMPTS_USED_UP);
        assert_eq!(refusal(&group.outcomes[1]), codes::DEPENDS_ON_REFUSED);
    }
}

/// P15: a table says how often its transactions are tried; one that writes two tables is tried as often as the more
/// patient one says.
pub(crate) fn a_table_says_how_often_it_is_tried<B: Backend>() {
    let backend = B::fresh();
    let mut schema = schema();
    let mut attempts = |name: &str, n: u8| {
        let table = schema.tables.iter_mut().find(|t| t.name == name).expect("there");
        table.sending.attempts = n;
    };
    attempts("lists", 2);
    attempts("notes", 3);
    let mut store = backend.open(&schema);
    backend.forbid("lists", "name", "poison");
    let mut ann = Device::new(1, "ann");
    let list = |id: &str| insert("lists", id, &[("name", text("poison"))]);
    let tries = |store: &mut dyn Store, push: PushEntry| {
        let mut tries = 1;
        while let Outcome::Failed { .. } = commit(store, std::slice::from_ref(&push)).outcomes[0] {
            tries += 1;
        }
        tries
    };
    let (hasty, patient) = (ann.write(vec![list("a")]), ann.write(vec![list("b"), insert("notes", "b", &[])]));
    assert_eq!((tries(&mut *store, hasty), tries(&mut *store, patient)), (2, 3));
}

/// P15: each attempt that fails counts, also over a restart of the server: the device tells of those that it knows.
pub(crate) fn a_server_that_was_started_anew_goes_on_counting<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    backend.forbid("lists", "name", "poison");
    let mut ann = Device::new(1, "ann");
    let mut poison = ann.write(vec![insert("lists", "a", &[("name", text("poison"))])]);
    let most = u32::from(schema().sending(&poison.entry.transaction).attempts);
    for times in 1..most {
        assert_eq!(failure(&commit(&mut *store, std::slice::from_ref(&poison)).outcomes[0]), store_codes::REJECTED);
        drop(store);
        store = backend.open(&schema());
        poison.attempted = times;
    }
    let group = commit(&mut *store, std::slice::from_ref(&poison));
    assert_eq!(refusal(&group.outcomes[0]), codes::ATTEMPTS_USED_UP);
    // What only its device says ends nothing: it has to fail once more.
    let boastful =
        PushEntry { attempted: u32::MAX, ..ann.write(vec![insert("lists", "b", &[("name", text("fine"))])]) };
    accept(&mut *store, boastful);
}

/// P15: once the rule is gone, what failed goes through.
pub(crate) fn a_transaction_that_failed_is_accepted_when_the_fault_is_mended<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    backend.forbid("lists", "name", "poison");
    let mut ann = Device::new(1, "ann");
    let poison = ann.write(vec![insert("lists", "a", &[("name", text("poison"))])]);
    assert_eq!(failure(&commit(&mut *store, std::slice::from_ref(&poison)).outcomes[0]), store_codes::REJECTED);
    assert_eq!(store.head().seq, 0, "nothing is remembered");
    backend.allow("lists");
    assert_eq!(accept(&mut *store, poison), 1);
}
