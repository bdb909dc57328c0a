use std::sync::Arc;

use landfall_core::txn::Transaction;
use landfall_core::{Action, ReplicaId, Stamp};
use landfall_protocol::Entry;
use proptest::prelude::*;

use super::*;
use crate::store::{CopiedFrom, Subject};

fn entry(subject: &str, rseq: u64) -> PushEntry {
    let transaction = Transaction {
        replica: ReplicaId([7; 16]),
        rseq,
        stamp: Stamp::default(),
        after: Vec::new(),
        requires: Vec::new(),
        operations: Vec::new(),
        origin: None,
        action: Some(Action { name: "pay".to_owned(), args: Default::default() }),
        expires_ms: None,
    };
    PushEntry {
        entry: Entry::from(transaction),
        subject: Arc::new(Subject::named(subject)),
        shift_ms: 0,
        floor: 0,
        prior: false,
        settled: Vec::new(),
        copied: CopiedFrom::default(),
        heard: Heard::Nothing,
    }
}

fn question(action: &str, round: u8) -> Question {
    Question { action: action.to_owned(), body: b"q".to_vec(), rows: Vec::new(), round }
}

fn name(n: u8) -> Name {
    Name([n; 16])
}

fn held(subject: &str) -> Held {
    Held { session: 1, push: 1, entry: entry(subject, 1) }
}

fn ask(hooks: &mut Hooks, n: u8) -> bool {
    hooks.ask(name(n), question("pay", 1), held("ada"))
}

fn answer(status: u16) -> Said {
    Said::Answer { status, retry_after_ms: None, body: Some(b"{}".to_vec()) }
}

fn verdict(hooks: &mut Hooks, n: u8) -> Option<Verdict> {
    match hooks.hear(&name(n), 1, 1) {
        Heard::Verdict(verdict) => Some((*verdict).clone()),
        _ => None,
    }
}

#[test]
fn the_key_is_of_the_transaction_whoever_brings_it() {
    let first = entry("ada", 1);
    let mut renamed = first.entry.transaction.clone();
    renamed.origin = Some(Origin { replica: renamed.replica, rseq: 1, hash: first.entry.hash });
    (renamed.replica, renamed.rseq) = (ReplicaId([8; 16]), 5);
    let again = PushEntry { entry: Entry::from(renamed), ..first.clone() };
    assert_eq!(Name::of(&first), Name::of(&again), "a copy of the database brings the same transaction");
    assert_ne!(Name::of(&first), Name::of(&entry("bob", 1)));
    assert_ne!(Name::of(&first), Name::of(&entry("ada", 2)));
    let mut other = first.entry.transaction.clone();
    other.action = Some(Action { name: "steal".to_owned(), args: Default::default() });
    let other = PushEntry { entry: Entry::from(other), ..first.clone() };
    assert_ne!(Name::of(&first), Name::of(&other), "another question under the same identity");
}

#[test]
fn an_answer_is_taken_once_and_the_id_stays() {
    let mut hooks = Hooks::default();
    assert!(ask(&mut hooks, 1) && ask(&mut hooks, 1));
    let first = hooks.next(0).expect("a request");
    assert_eq!(hooks.next(0), None, "asked once");
    assert!(hooks.said(first.ticket, Said::Nothing("no connection".into()), 0, 0).is_none());
    let second = hooks.next(0).expect("a request");
    assert_eq!((first.id, &first.body), (second.id.clone(), &second.body));
    assert_eq!(hooks.hear(&name(1), 4, 9), Heard::Waiting);
    let back = hooks.said(second.ticket, answer(200), 5, 0).expect("a verdict");
    assert_eq!((back.session, back.push), (4, 9), "who offered it last is told");
    assert!(hooks.said(second.ticket, answer(500), 5, 0).is_none());
    assert!(hooks.said(first.ticket, answer(400), 5, 0).is_none());
    let answered = Verdict::Answered { body: b"{}".to_vec(), rows: Vec::new(), round: 1 };
    assert_eq!(verdict(&mut hooks, 1), Some(answered));
    hooks.used(&name(1));
    assert_eq!((verdict(&mut hooks, 1), hooks.is_empty()), (None, true));
}

#[test]
fn what_would_be_answered_alike_is_not_asked_again() {
    for (status, tries) in [(302, 1), (400, 1), (404, 1), (408, 3), (429, 3), (500, 3), (503, 3)] {
        let mut hooks = Hooks::default();
        ask(&mut hooks, 1);
        let (mut asked, mut now) = (0, 0);
        while let Some(request) = hooks.next(now) {
            asked += 1;
            hooks.said(request.ticket, answer(status), now, 9);
            now += LONGEST_MS;
        }
        assert_eq!(asked, tries, "{status}");
        assert!(matches!(verdict(&mut hooks, 1), Some(Verdict::Failed(why)) if why.contains(&status.to_string())));
    }
}

#[test]
fn a_hook_that_says_how_long_is_given_that_time() {
    let mut hooks = Hooks::default();
    ask(&mut hooks, 1);
    let request = hooks.next(0).expect("a request");
    let busy = Said::Answer { status: 503, retry_after_ms: Some(7_000), body: None };
    hooks.said(request.ticket, busy, 100, 1);
    assert_eq!((hooks.deadline_ms(), hooks.next(7_099)), (Some(7_100), None));
    assert!(hooks.next(7_100).is_some());
}

#[test]
fn a_verdict_that_nobody_takes_is_forgotten() {
    let mut hooks = Hooks::default();
    ask(&mut hooks, 1);
    let request = hooks.next(0).expect("a request");
    assert!(hooks.said(request.ticket, answer(200), 10, 0).is_some());
    assert_eq!((hooks.next(KEPT_MS + 9), hooks.len()), (None, 1));
    assert_eq!((hooks.next(KEPT_MS + 10), hooks.len(), hooks.bytes), (None, 0, 0));
    assert!(hooks.subjects.is_empty() && hooks.lanes.values().all(|lane| lane.known == 0));
}

#[test]
fn a_hook_that_hangs_keeps_no_other_waiting() {
    let mut hooks = Hooks::default();
    for n in 0..200u8 {
        assert!(hooks.ask(name(n), question("hangs", 1), held(&format!("subject {n}"))));
    }
    while hooks.next(0).is_some() {}
    assert_eq!(hooks.running.len(), MOST_PER_HOOK);
    assert!(hooks.ask(name(201), question("works", 1), held("ada")));
    assert_eq!(hooks.next(0).map(|ask| ask.action).as_deref(), Some("works"));
}

#[test]
fn a_subject_that_asks_for_too_much_comes_again() {
    let mut hooks = Hooks::default();
    for n in 0..=MOST_KNOWN_PER_SUBJECT as u8 {
        assert_eq!(ask(&mut hooks, n), usize::from(n) < MOST_KNOWN_PER_SUBJECT, "{n}");
    }
    assert!(hooks.ask(name(255), question("pay", 1), held("bob")));
    hooks.clear();
    assert!(hooks.is_empty() && hooks.next(0).is_none());
}

proptest! {
    /// Whatever hooks say, and however late: requests are bounded, and every question ends.
    #[test]
    fn every_question_ends(steps in prop::collection::vec((0u8..40, 0u8..6, 0u64..20_000), 1..300)) {
        let (mut hooks, mut now, mut open) = (Hooks::default(), 0, Vec::new());
        for (n, kind, time) in steps {
            now += time;
            hooks.ask(name(n), question(if n % 2 == 0 { "pay" } else { "book" }, 1), held("ada"));
            open.extend(std::iter::from_fn(|| hooks.next(now)).map(|ask| ask.ticket));
            prop_assert!(hooks.running.len() <= MOST_RUNNING);
            prop_assert!(hooks.lanes.values().all(|lane| lane.running <= MOST_PER_HOOK));
            prop_assert_eq!(hooks.lanes.values().map(|lane| lane.running).sum::<usize>(), hooks.running.len());
            prop_assert_eq!(hooks.lanes.values().map(|lane| lane.known).sum::<usize>(), hooks.known.len());
            if open.is_empty() { continue }
            let ticket = open.swap_remove(usize::from(n) % open.len());
            let said = match kind {
                0 => answer(200),
                1 => answer(503),
                2 => answer(404),
                3 => { open.push(ticket); continue }
                _ => Said::Nothing("slow".into()),
            };
            if hooks.said(ticket, said, now, time).is_some() && time % 2 == 0 {
                hooks.used(&name(n));
            }
        }
        for _ in 0..10 * MOST_RUNNING {
            now += LONGEST_ASKED_MS;
            open.extend(std::iter::from_fn(|| hooks.next(now)).map(|ask| ask.ticket));
            for ticket in open.drain(..) {
                hooks.said(ticket, Said::Nothing("slow".into()), now, 0);
            }
        }
        hooks.forget(now + KEPT_MS);
        prop_assert!(hooks.running.is_empty() && hooks.known.is_empty() && hooks.bytes == 0, "{hooks:?}");
    }
}
