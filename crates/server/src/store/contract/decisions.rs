//! Decisions on entries: once each, in any order of arrival, alone in their failures.

use landfall_core::error::codes;
use landfall_core::{Epoch, Origin, Stamp, Transaction};
use landfall_protocol::Outcome;

use super::*;
use crate::store::{CopiedFrom, PushEntry, ReplicaState, StoreError};

/// P3.
pub(crate) fn an_entry_is_applied_once_however_often_it_comes<B: Backend>() {
    let backend = B::fresh();
    let mut ann = Device::new(1, "ann");
    let entry = ann.write(vec![insert("lists", "a", &[("name", text("x"))])]);
    let bad = ann.write(vec![update("lists", "none", 0, &[("name", text("x"))])]);
    let (first, refusal) = {
        let mut store = backend.open(&schema());
        let group = commit(&mut *store, &[entry.clone(), entry.clone(), bad.clone(), entry.clone()]);
        assert_eq!(group.outcomes[0], group.outcomes[1]);
        assert_eq!(group.outcomes[0], group.outcomes[3]);
        let again = commit(&mut *store, &[bad.clone(), entry.clone()]);
        assert_eq!(again.outcomes, [group.outcomes[2].clone(), group.outcomes[0].clone()]);
        assert_eq!((again.from, again.head), (group.head.seq, group.head));
        assert!(again.bucket_runs.is_empty());
        (group.outcomes[0].clone(), group.outcomes[2].clone())
    };
    let mut store = backend.open(&schema());
    assert_eq!(commit(&mut *store, &[entry, bad]).outcomes, [first, refusal]);
    assert_eq!(store.head().seq, 1);
}

/// P18: what is decided stays decided; what comes too late is refused, and what requires it with it.
pub(crate) fn what_comes_too_late_is_refused<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let until = |device: &mut Device, list: &str, expires_ms: u64| {
        let push = device.write(vec![insert("lists", list, &[("name", text("x"))])]);
        device.push(Transaction { expires_ms: Some(expires_ms), ..push.entry.transaction })
    };
    let in_time = until(&mut ann, "a", NOW);
    let first = commit(&mut *store, std::slice::from_ref(&in_time)).outcomes[0].clone();
    assert_eq!(first, Outcome::Accepted { seq: 1 });
    let late = until(&mut ann, "b", NOW - 1);
    let follower = ann.follow(vec![insert("lists", "c", &[("name", text("x"))])], &[2], &[2]);
    let outcomes = commit(&mut *store, &[late, follower, in_time]).outcomes;
    assert!(matches!(&outcomes[0], Outcome::Refused { problem, .. } if problem.code == codes::EXPIRED));
    assert!(matches!(&outcomes[1], Outcome::Refused { because_of: Some(2), .. }));
    assert_eq!(outcomes[2], first);
}

/// P8.
pub(crate) fn the_number_of_another_transaction_is_a_copied_database<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut ann, mut copy) = (Device::new(1, "ann"), Device::new(1, "ann"));
    let first = ann.write(vec![insert("lists", "a", &[("name", text("x"))])]);
    let other = copy.write(vec![insert("lists", "b", &[("name", text("y"))])]);
    let group = commit(&mut *store, &[first, other]);
    assert_eq!(group.outcomes[1], Outcome::Copied);
    assert_eq!(group.head.seq, 1);
    let bad = ann.write(vec![update("lists", "none", 0, &[])]);
    refuse(&mut *store, bad);
    let other = copy.write(vec![insert("lists", "b", &[("name", text("y"))])]);
    assert_eq!(commit(&mut *store, &[other]).outcomes, [Outcome::Copied]);
    // What follows in the copy follows its own transaction 2, not the one that was refused under this number.
    let follower = copy.follow(vec![insert("lists", "c", &[("name", text("y"))])], &[2], &[2]);
    let found = CopiedFrom::default();
    found.found(2);
    let follower = PushEntry { copied: found, ..follower };
    assert_eq!(commit(&mut *store, &[follower]).outcomes, [Outcome::Copied]);
    let seen = store.hello(ann.replica, "ann").expect("hello");
    assert_eq!((seen.last_rseq, seen.subject.as_str()), (2, "ann"));
}

/// P8: both copies of a database hold a transaction, and queue it anew; one of them had sent it before, or will.
pub(crate) fn what_copies_queue_anew_is_decided_once<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut old = Device::new(1, "ann");
    let origin = |push: &PushEntry| {
        let transaction = &push.entry.transaction;
        Some(Origin { replica: transaction.replica, rseq: transaction.rseq, hash: push.entry.hash })
    };
    let anew = |device: &mut Device, first: &PushEntry| {
        let push = device.write(first.entry.transaction.operations.clone());
        device.push(Transaction { origin: origin(first), ..push.entry.transaction })
    };
    let (mut a, mut b) = (Device::new(2, "ann"), Device::new(3, "ann"));
    let sent = old.write(vec![insert("lists", "sent", &[("name", text("x"))])]);
    let unsent = old.write(vec![insert("lists", "unsent", &[("name", text("x"))])]);
    let wrong = old.write(vec![update("lists", "none", 0, &[])]);
    // First under the old identity, first under a new one; accepted and refused.
    assert_eq!(accept(&mut *store, sent.clone()), 1);
    let entries = [anew(&mut a, &sent), anew(&mut a, &unsent), anew(&mut a, &wrong)];
    let group = commit(&mut *store, &entries);
    assert_eq!((accepted(&group.outcomes[0]), accepted(&group.outcomes[1]), group.head.seq), (1, 2, 2));
    let why = refusal(&group.outcomes[2]);
    let entries = [anew(&mut b, &sent), anew(&mut b, &unsent), anew(&mut b, &wrong), unsent.clone(), wrong];
    for _ in 0..2 {
        let group = commit(&mut *store, &entries);
        let outcomes = &group.outcomes;
        assert_eq!((accepted(&outcomes[0]), accepted(&outcomes[1]), accepted(&outcomes[3])), (1, 2, 2));
        assert_eq!((refusal(&outcomes[2]), refusal(&outcomes[4]), group.head.seq), (why.clone(), why.clone(), 2));
    }
    // What follows goes on, and nobody decides the transactions of another person.
    let last = b.follow(vec![insert("lists", "last", &[("name", text("x"))])], &[1, 2], &[2]);
    assert_eq!(accept(&mut *store, last), 3);
    let secret = old.write(vec![insert("lists", "secret", &[("name", text("x"))])]);
    let mut eve = Device::new(4, "eve");
    let stolen = anew(&mut eve, &secret);
    assert_eq!((accept(&mut *store, stolen), accept(&mut *store, secret)), (4, 5));
    // Neither do they where the server has not heard of the replica yet: whose it is shows only later.
    let late = Device::new(5, "ann").write(vec![insert("lists", "late", &[("name", text("x"))])]);
    let (stolen, again) = (anew(&mut eve, &late), anew(&mut a, &late));
    assert_eq!((accept(&mut *store, stolen), accept(&mut *store, again), accept(&mut *store, late)), (6, 7, 7));
}

/// P8: what only followed a refused transaction is rewritten on the device before it is sent; its copy may have sent it as
/// it was, before or after.
pub(crate) fn an_entry_that_was_rewritten_is_the_one_that_a_copy_has<B: Backend>() {
    for as_it_was_comes_first in [true, false] {
        let backend = B::fresh();
        let mut store = backend.open(&schema());
        let (mut old, mut anew) = (Device::new(1, "ann"), Device::new(2, "ann"));
        let wrong = old.write(vec![update("lists", "none", 0, &[])]);
        let was = old.follow(vec![insert("lists", "a", &[("name", text("x"))])], &[1], &[]);
        let first = was.entry.transaction.clone();
        let origin = Some(Origin { replica: first.replica, rseq: first.rseq, hash: was.entry.hash });
        let rewritten = old.push(Transaction { after: Vec::new(), origin, ..first });
        refuse(&mut *store, wrong);
        let [came, comes] = if as_it_was_comes_first { [was, rewritten] } else { [rewritten, was] };
        let seq = accept(&mut *store, came);
        assert_eq!(commit(&mut *store, std::slice::from_ref(&comes)).outcomes, [Outcome::Copied]);
        let again = anew.write(comes.entry.transaction.operations);
        assert_eq!(accept(&mut *store, anew.push(Transaction { origin, ..again.entry.transaction })), seq);
    }
}

/// P5, P8: a copy that shares the fate of a refused transaction is told of it by the number that it has there.
pub(crate) fn a_copy_is_told_its_own_number_of_what_was_refused<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut old, mut anew) = (Device::new(1, "ann"), Device::new(2, "ann"));
    let bad = old.write(vec![update("lists", "none", 0, &[])]);
    let fate = old.follow(vec![insert("lists", "a", &[("name", text("x"))])], &[1], &[1]);
    commit(&mut *store, &[bad.clone(), fate.clone()]).outcomes.iter().for_each(|outcome| drop(refusal(outcome)));
    anew.rseq = 6;
    let copy = |device: &mut Device, first: &PushEntry, requires: &[u64]| {
        let was = &first.entry.transaction;
        let origin = Some(Origin { replica: was.replica, rseq: was.rseq, hash: first.entry.hash });
        let push = device.follow(was.operations.clone(), requires, requires);
        device.push(Transaction { origin, ..push.entry.transaction })
    };
    let (earlier, later) = (copy(&mut anew, &bad, &[]), copy(&mut anew, &fate, &[7]));
    assert_eq!(commit(&mut *store, std::slice::from_ref(&later)).outcomes, [Outcome::Deferred { missing: 7 }]);
    let outcomes = commit(&mut *store, &[earlier, later.clone()]).outcomes;
    let Outcome::Refused { problem, because_of: Some(7) } = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(problem.code == codes::DEPENDS_ON_REFUSED && problem.message.contains("transaction 7"), "{problem:?}");
    assert_eq!(commit(&mut *store, &[later]).outcomes, outcomes[1..]);
}

/// P4.
pub(crate) fn entries_of_one_replica_may_come_in_any_order<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let a = ann.write(vec![insert("lists", "a", &[("name", text("1"))])]);
    let b = ann.follow(vec![update("lists", "a", 0, &[("name", text("2"))])], &[1], &[1]);
    let c = ann.follow(vec![update("lists", "a", 0, &[("name", text("3"))])], &[2], &[]);
    let group = commit(&mut *store, &[c, b, a]);
    assert_eq!(group.outcomes.iter().map(accepted).collect::<Vec<_>>(), [3, 2, 1]);
    let lists = bucket(&mut *store, "lists", &[]);
    assert_eq!(query(&*store.reader().unwrap(), &lists), Rows::from([(key("a"), vec![text("3")])]));
}

pub(crate) fn holes_in_the_numbers_are_no_obstacle<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let first = ann.write(vec![insert("lists", "a", &[("name", text("1"))])]);
    ann.rseq = 40;
    let later = ann.write(vec![insert("lists", "b", &[("name", text("1"))])]);
    accept(&mut *store, later);
    accept(&mut *store, first);
    ann.rseq = 20;
    let between = ann.write(vec![insert("lists", "c", &[("name", text("1"))])]);
    assert_eq!(accept(&mut *store, between), 3);
}

/// P4.
pub(crate) fn an_entry_waits_for_its_predecessor_across_groups<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let a = ann.write(vec![insert("lists", "a", &[("name", text("1"))])]);
    let b = ann.follow(vec![update("lists", "a", 0, &[("name", text("2"))])], &[1], &[1]);
    let group = commit(&mut *store, std::slice::from_ref(&b));
    assert_eq!(group.outcomes, [Outcome::Deferred { missing: 1 }]);
    assert_eq!((group.head.seq, group.counters.deferred), (0, 1));
    assert_eq!(store.hello(ann.replica, "ann").unwrap(), ReplicaState::default(), "nothing was decided");
    accept(&mut *store, a);
    accept(&mut *store, b);
    // The device knows what became of everything up to its floor, and a restored server need not.
    ann.floor = 9;
    ann.rseq = 9;
    let c = ann.follow(vec![update("lists", "a", 2, &[("name", text("3"))])], &[7], &[]);
    accept(&mut *store, c);
    // And of one beyond its floor, where it says so.
    ann.rseq = 12;
    let mut d = ann.follow(vec![update("lists", "a", 3, &[("name", text("4"))])], &[12], &[12]);
    assert_eq!(commit(&mut *store, std::slice::from_ref(&d)).outcomes, [Outcome::Deferred { missing: 12 }]);
    d.settled.push(12);
    accept(&mut *store, d);
    // Of what was refused, which this server may have forgotten, the device says so, too (P5); what was accepted is.
    ann.rseq = 14;
    let mut e = ann.follow(vec![update("lists", "a", 4, &[("name", text("5"))])], &[14], &[14]);
    e.refused.push(14);
    e.settled.push(14);
    let outcomes = commit(&mut *store, &[e]).outcomes;
    assert!(matches!(&outcomes[..], [Outcome::Refused { because_of: Some(14), .. }]), "{outcomes:?}");
    let mut f = ann.follow(vec![update("lists", "a", 4, &[("name", text("6"))])], &[13], &[13]);
    f.refused.push(13);
    accept(&mut *store, f);
}

/// P4: one that names itself, or one to come, is not right, and keeps nothing back.
pub(crate) fn nothing_follows_what_is_not_older<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let list = |id: &str| vec![insert("lists", id, &[("name", text("x"))])];
    let own = ann.follow(list("a"), &[1], &[]);
    let later = ann.follow(list("b"), &[], &[3]);
    let fine = ann.write(list("c"));
    let group = commit(&mut *store, &[own, later, fine]);
    for outcome in &group.outcomes[..2] {
        assert!(
            matches!(outcome, Outcome::Refused { problem, .. } if problem.code.as_str() == "LF-3007"),
            "{outcome:?}"
        );
    }
    assert_eq!(group.outcomes[2], Outcome::Accepted { seq: 1 });
}

/// P5.
pub(crate) fn fate_is_shared_and_order_is_not<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let bad = ann.write(vec![insert("items", "i", &[("list", text("none"))])]);
    let fate = ann.follow(vec![update("items", "i", 0, &[("title", text("x"))])], &[1], &[1]);
    let fate_of_fate = ann.follow(vec![insert("lists", "b", &[("name", text("x"))])], &[2], &[2]);
    let order = ann.follow(vec![insert("lists", "c", &[("name", text("x"))])], &[1, 2, 3], &[]);
    let group = commit(&mut *store, &[order, fate_of_fate, fate, bad]);
    assert_eq!(refusal(&group.outcomes[3]), codes::REFERENCE);
    assert_eq!(refusal(&group.outcomes[2]), codes::DEPENDS_ON_REFUSED);
    assert!(matches!(group.outcomes[1], Outcome::Refused { because_of: Some(2), .. }));
    accepted(&group.outcomes[0]);
}

/// P6.
pub(crate) fn a_refusal_never_undoes_its_neighbours<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let lists = bucket(&mut *store, "lists", &[]);
    let mut ann = Device::new(1, "ann");
    let good = |ann: &mut Device, id: &str| ann.write(vec![insert("lists", id, &[("name", text("x"))])]);
    let a = good(&mut ann, "a");
    // Its first operation is carried out before the second is refused.
    let half = vec![insert("lists", "half", &[("name", text("x"))]), insert("items", "i", &[("list", text("none"))])];
    let bad = ann.write(half);
    let b = good(&mut ann, "b");
    let group = commit(&mut *store, &[a, bad, b]);
    assert_eq!((accepted(&group.outcomes[0]), accepted(&group.outcomes[2])), (1, 2));
    assert_eq!(refusal(&group.outcomes[1]), codes::REFERENCE);
    let rows = query(&*store.reader().unwrap(), &lists);
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), [key("a"), key("b")]);
    assert_eq!(group.bucket_runs.len(), 1);
    assert_eq!(group.bucket_runs[0].1.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2]);
}

/// P14, S3.
pub(crate) fn a_replica_keeps_its_owner<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(1, "bob"));
    let entry = ann.write(vec![insert("lists", "a", &[("name", text("x"))])]);
    accept(&mut *store, entry);
    assert!(matches!(store.hello(ann.replica, "bob"), Err(StoreError::OtherSubject { owner }) if owner == "ann"));
    bob.rseq = 5;
    let entry = bob.write(vec![insert("lists", "b", &[("name", text("x"))])]);
    assert_eq!(refuse(&mut *store, entry), crate::store::codes::OTHER_SUBJECT);
    // It was not remembered: the number is still ann's to use.
    ann.rseq = 5;
    let entry = ann.write(vec![insert("lists", "c", &[("name", text("x"))])]);
    assert_eq!(accept(&mut *store, entry), 2);
    let mut nobody = Device::new(0, "ann");
    let entry = nobody.write(vec![insert("lists", "d", &[("name", text("x"))])]);
    assert_eq!(refuse(&mut *store, entry), codes::BAD_TRANSACTION);
}

pub(crate) fn sequences_have_no_holes_and_chain_on<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let reader = store.reader().unwrap();
    assert_eq!(reader.chain_at(0).unwrap(), Some(0));
    let mut ann = Device::new(1, "ann");
    for n in 0..6u64 {
        let table = if n % 2 == 0 { "lists" } else { "nowhere" };
        let a = ann.write(vec![insert(table, &n.to_string(), &[])]);
        let b = ann.write(vec![insert("lists", &format!("b{n}"), &[])]);
        let group = commit(&mut *store, &[a, b]);
        assert_eq!(reader.head().unwrap(), group.head);
        assert_eq!(store.head(), group.head);
    }
    for seq in 1..=9 {
        let entry = reader.log_entry(seq).unwrap().expect("no hole");
        let chain = entry.chain;
        assert!(store.has_signed(seq, chain));
        assert!(!store.has_signed(seq, chain ^ 1) && !store.has_signed(seq + 1, chain) && !store.has_signed(seq, 0));
        assert_eq!((entry.seq, entry.chain, reader.chain_at(seq).unwrap()), (seq, chain, Some(chain)));
        assert_eq!(entry.changes.len(), 1);
        assert_eq!(entry.changes[0].before, None);
    }
    assert_eq!(reader.chain_at(10).unwrap(), None);
    assert_eq!(reader.stamp_max(0, 9).unwrap(), Stamp { wall_ms: 12, counter: 0, replica: ann.replica });
    assert_eq!(reader.stamp_max(9, 9).unwrap(), Stamp::default());
}

/// S5.
pub(crate) fn a_restored_server_begins_a_new_history<B: Backend>() {
    let backend = B::fresh();
    let mut ann = Device::new(1, "ann");
    {
        let mut store = backend.open(&schema());
        let entry = ann.write(vec![insert("lists", "a", &[])]);
        accept(&mut *store, entry);
        let before = store.head();
        let after = store.start_epoch(Epoch([9; 16])).unwrap();
        assert_eq!((after.seq, after.chain, after.epoch), (before.seq, before.chain, Epoch([9; 16])));
        assert_ne!(before.epoch, after.epoch);
    }
    let mut store = backend.open(&schema());
    assert_eq!(store.head().epoch, Epoch([9; 16]));
    let entry = ann.write(vec![insert("lists", "b", &[])]);
    assert_eq!(accept(&mut *store, entry), 2);
}

/// P7.
pub(crate) fn truncation_keeps_the_decisions_that_are_still_asked_for<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let lists = bucket(&mut *store, "lists", &[]);
    let mut ann = Device::new(1, "ann");
    let entries: Vec<_> = (0..4).map(|n| ann.write(vec![insert("lists", &n.to_string(), &[])])).collect();
    let bad = ann.write(vec![insert("nowhere", "x", &[])]);
    commit(&mut *store, &entries);
    refuse(&mut *store, bad.clone());
    ann.floor = 2;
    let more = ann.write(vec![insert("lists", "more", &[])]);
    accept(&mut *store, more);
    let forgotten = store.truncate_log(4, 0).unwrap();
    assert_eq!((forgotten.sequences, forgotten.decisions, forgotten.done), (4, 0, true));
    let reader = store.reader().unwrap();
    assert_eq!(reader.oldest_seq().unwrap(), 4);
    assert!(reader.chain_at(3).unwrap().is_some(), "a cursor of another history is told for as long");
    assert!(reader.log_entry(3).unwrap().is_none() && reader.log_entry(4).unwrap().is_some());
    assert_eq!(changes(&*reader, &lists, 4).len(), 1);
    // Who asks again is told what was decided, also below the floor: a restored or copied device asks there.
    let again = commit(&mut *store, &[entries[0].clone(), entries[2].clone(), bad.clone()]);
    assert_eq!((accepted(&again.outcomes[0]), accepted(&again.outcomes[1])), (1, 3));
    refusal(&again.outcomes[2]);
    // Much later those below the floor are forgotten too: only another database would ask for them.
    let mut decisions = 0;
    loop {
        let step = store.truncate_log(4, NOW + 1).unwrap();
        decisions += step.decisions;
        if step.done {
            break;
        }
    }
    assert_eq!(decisions, 2);
    assert_eq!(reader.chain_at(2).unwrap(), None);
    let again = commit(&mut *store, &[entries[2].clone(), entries[3].clone(), bad, entries[0].clone()]);
    assert_eq!((accepted(&again.outcomes[0]), accepted(&again.outcomes[1])), (3, 4));
    refusal(&again.outcomes[2]);
    assert_eq!(again.outcomes[3], Outcome::Copied);
    // P8: nor can a copy that queues one anew be told more than that somebody once had the answer.
    let first = &entries[0].entry;
    let mut copy = Device::new(2, "ann");
    let push = copy.write(first.transaction.operations.clone());
    let origin = Some(Origin { replica: first.transaction.replica, rseq: first.transaction.rseq, hash: first.hash });
    let anew = copy.push(Transaction { origin, ..push.entry.transaction });
    assert_eq!(refusal(&commit(&mut *store, &[anew]).outcomes[0]).as_str(), "LF-3010");
    store.truncate_log(1_000, 0).unwrap();
    assert!(reader.chain_at(store.head().seq).unwrap().is_some());
}

pub(crate) fn a_secret_stays_the_same<B: Backend>() {
    let backend = B::fresh();
    assert_eq!(backend.open(&schema()).secret("addresses", [1; 32]).unwrap(), [1; 32]);
    assert_eq!(backend.open(&schema()).secret("addresses", [2; 32]).unwrap(), [1; 32]);
}
