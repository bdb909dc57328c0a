use std::sync::Arc;

use bytes::Bytes;
use landfall_core::txn::{Origin, Transaction};
use landfall_core::{Action, ReplicaId, RowKey, Stamp, Value};
use landfall_protocol::Entry;
use proptest::prelude::*;

use super::*;
use crate::store::Subject;

fn entry(subject: &str, action: &str, rseq: u64) -> PushEntry {
    let transaction = Transaction {
        replica: ReplicaId([7; 16]),
        rseq,
        stamp: Stamp::default(),
        after: Vec::new(),
        requires: Vec::new(),
        operations: Vec::new(),
        origin: None,
        action: Some(Action { name: action.to_owned(), args: Default::default() }),
        expires_ms: None,
    };
    PushEntry::new(Entry::from(transaction), Arc::new(Subject::named(subject)))
}

/// A question that shows rows, each with its version.
fn question(rows: &[(&str, u64)], round: u8) -> Question {
    let seen = |(name, version): &(&str, u64)| Seen {
        table: "rows".to_owned(),
        key: key(name),
        version: Some(version.to_string()),
    };
    Question { body: Bytes::from(format!("{rows:?} {round}")), rows: rows.iter().map(seen).collect(), round }
}

fn key(name: &str) -> RowKey {
    RowKey::single(Value::Text(name.to_owned()))
}

fn name(n: u8) -> Name {
    Name([n; 16])
}

fn hear_as(hooks: &mut Hooks, n: u8, subject: &str, action: &str, now_ms: u64, waits: &mut Waits) -> Heard {
    hooks.hear(name(n), &entry(subject, action, 1), (1, 1), now_ms, waits)
}

fn hear(hooks: &mut Hooks, n: u8) -> Heard {
    hear_as(hooks, n, "ada", "pay", 0, &mut Waits::new(0))
}

/// Asks, when there is room.
fn ask(hooks: &mut Hooks, n: u8, subject: &str, action: &str) -> bool {
    let heard = hear_as(hooks, n, subject, action, 0, &mut Waits::new(0));
    if matches!(heard, Heard::Turn(..)) {
        hooks.put(&name(n), Next::Ask(question(&[], 1)));
    }
    !matches!(heard, Heard::Later { again_ms } if again_ms != name(n).again_ms())
}

fn answer(status: u16) -> Said {
    Said::Answer { status, retry_after_ms: None, body: Some(b"{}".to_vec()) }
}

fn broke() -> Said {
    Said::Nothing("the connection broke".into())
}

fn away() -> Said {
    Said::Unreachable("no way".into())
}

/// Takes a verdict as a commit does that does nothing with it.
fn verdict(hooks: &mut Hooks, n: u8) -> Option<Verdict> {
    match hear(hooks, n) {
        Heard::Verdict(_, verdict) => {
            hooks.let_go(&name(n));
            Some((*verdict).clone())
        }
        Heard::Turn(..) => {
            hooks.let_go(&name(n));
            None
        }
        _ => None,
    }
}

#[test]
fn the_key_is_of_the_transaction_whoever_brings_it() {
    let first = entry("ada", "pay", 1);
    let mut renamed = first.entry.transaction.clone();
    renamed.origin = Some(Origin { replica: renamed.replica, rseq: 1, hash: first.entry.hash });
    (renamed.replica, renamed.rseq) = (ReplicaId([8; 16]), 5);
    let again = PushEntry { entry: Entry::from(renamed), ..first.clone() };
    assert_eq!(Name::of(&first), Name::of(&again), "a copy of the database brings the same transaction");
    assert_ne!(Name::of(&first), Name::of(&entry("bob", "pay", 1)));
    assert_ne!(Name::of(&first), Name::of(&entry("ada", "pay", 2)));
    assert_ne!(Name::of(&first), Name::of(&entry("ada", "steal", 1)), "another question under the same identity");
}

#[test]
fn a_copy_does_not_get_the_answer_that_another_one_waits_for() {
    let mut hooks = Hooks::default();
    ask(&mut hooks, 1, "ada", "pay");
    let request = hooks.next(0).expect("a request");
    let other = entry("ada", "pay", 9);
    hooks.hear(name(1), &other, (7, 7), 0, &mut Waits::new(0));
    hooks.said(request.ticket, answer(200), 0, 0);
    let back = hooks.back().expect("a verdict");
    assert_eq!((back.session, back.push, back.entry.entry.transaction.rseq), (1, 1, 1));
}

#[test]
fn an_answer_is_taken_once_and_the_id_is_the_questions() {
    let mut hooks = Hooks::default();
    assert!(ask(&mut hooks, 1, "ada", "pay") && ask(&mut hooks, 1, "ada", "pay"));
    let first = hooks.next(0).expect("a request");
    assert_eq!(hooks.next(0), None, "asked once");
    hooks.said(first.ticket, broke(), 0, 0);
    assert!(hooks.back().is_none());
    let second = hooks.next(0).expect("a request");
    assert_eq!((&first.id, &first.body), (&second.id, &second.body), "the same question");
    assert!(first.id.starts_with(&name(1).id()) && first.id != name(1).id(), "{}", first.id);
    hooks.hear(name(1), &entry("ada", "pay", 1), (4, 9), 0, &mut Waits::new(0));
    hooks.said(second.ticket, answer(200), 5, 0);
    let back = hooks.back().expect("a verdict");
    assert_eq!((back.session, back.push), (4, 9), "who offered it last is told");
    hooks.said(second.ticket, answer(500), 5, 0);
    hooks.said(first.ticket, answer(400), 5, 0);
    assert!(hooks.back().is_none());
    let answered = Verdict::Answered { body: b"{}".to_vec(), rows: Vec::new(), round: 1 };
    assert!(matches!(hear(&mut hooks, 1), Heard::Verdict(_, verdict) if *verdict == answered));
    assert!(matches!(hear(&mut hooks, 1), Heard::Later { .. }), "one commit has it");
    hooks.put(&name(1), Next::Ask(question(&[], 2)));
    assert_ne!(hooks.next(5).expect("a request").id, first.id, "another question");
    hooks.used(&name(1));
    assert_eq!(hooks.len(), 1, "it is being asked");
}

#[test]
fn what_would_be_answered_alike_is_not_asked_again() {
    for (status, tries) in [(302, 1), (400, 1), (404, 1), (408, 3), (500, 3), (502, 3)] {
        let mut hooks = Hooks::default();
        ask(&mut hooks, 1, "ada", "pay");
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

/// An app that is started again uses up nothing, and is asked when it is there.
#[test]
fn a_hook_that_cannot_be_reached_uses_up_no_tries() {
    let mut hooks = Hooks::default();
    for n in 0..40 {
        ask(&mut hooks, n, &n.to_string(), "pay");
    }
    let (mut now, mut asked) = (0, 0);
    while now < 10_000 {
        let under_way: Vec<Ask> = std::iter::from_fn(|| hooks.next(now)).collect();
        asked += under_way.len();
        assert!(now == 0 || under_way.len() <= 1, "one tries for all");
        under_way.into_iter().for_each(|ask| hooks.said(ask.ticket, away(), now, 77));
        now = hooks.deadline_ms().expect("it is tried again").max(now + 1);
    }
    assert!(asked <= MOST_PER_HOOK + 10, "{asked} requests to one that is not there");
    assert!(matches!(
        hear_as(&mut hooks, 99, "eve", "pay", now, &mut Waits::new(5)),
        Heard::Later { again_ms: 1_000..=8_000 }
    ));
    assert!(hooks.back().is_none());
    for _ in 0..40 {
        let Some(ask) = hooks.next(now) else { break };
        hooks.said(ask.ticket, answer(200), now, 0);
    }
    assert_eq!(std::iter::from_fn(|| hooks.back()).count(), 40, "all are answered");
}

#[test]
fn nobody_waits_here_for_a_hook_that_stays_away() {
    let mut hooks = Hooks::default();
    ask(&mut hooks, 1, "ada", "pay");
    ask(&mut hooks, 2, "ada", "pay");
    let first = hooks.next(0).expect("a request");
    hooks.said(first.ticket, broke(), 0, 0);
    let mut now = 0;
    while hooks.len() > 1 {
        for ask in std::iter::from_fn(|| hooks.next(now)).collect::<Vec<_>>() {
            hooks.said(ask.ticket, away(), now, 1);
        }
        assert!(now < 60_000);
        now += 500;
    }
    // What it had before it went away may be why.
    let back = hooks.back().expect("a verdict");
    assert_eq!(back.name, name(1));
    assert!(matches!(verdict(&mut hooks, 1), Some(Verdict::Failed(why)) if why.contains("the connection broke")));
    hooks.used(&name(1));
    assert!(hooks.is_empty() && hooks.bytes == 0 && hooks.rows.is_empty());
}

#[test]
fn a_hook_that_is_overloaded_is_given_time_and_asked_less() {
    let mut hooks = Hooks::default();
    for n in 0..100 {
        ask(&mut hooks, n, &n.to_string(), "pay");
    }
    let requests: Vec<Ask> = std::iter::from_fn(|| hooks.next(0)).collect();
    assert_eq!(requests.len(), MOST_PER_HOOK);
    let busy = |retry_after_ms| Said::Answer { status: 429, retry_after_ms, body: None };
    hooks.said(requests[0].ticket, busy(Some(7_000)), 100, 1);
    requests[1..].iter().for_each(|ask| hooks.said(ask.ticket, busy(None), 100, 1));
    assert_eq!((hooks.next(7_099), hooks.deadline_ms()), (None, Some(7_100)));
    let requests: Vec<Ask> = std::iter::from_fn(|| hooks.next(7_100)).collect();
    assert_eq!(requests.len(), MOST_PER_HOOK / 2);
    requests.iter().for_each(|ask| hooks.said(ask.ticket, answer(200), 7_200, 0));
    assert_eq!(std::iter::from_fn(|| hooks.next(7_200)).count(), MOST_PER_HOOK / 2 + 1);
}

#[test]
fn a_verdict_that_nobody_takes_is_forgotten() {
    let mut hooks = Hooks::default();
    ask(&mut hooks, 1, "ada", "pay");
    let request = hooks.next(0).expect("a request");
    hooks.said(request.ticket, answer(200), 10, 0);
    assert!(hooks.back().is_some());
    assert_eq!((hooks.next(KEPT_MS + 9), hooks.len()), (None, 1));
    assert_eq!((hooks.next(KEPT_MS + 10), hooks.len(), hooks.bytes), (None, 0, 0));
    assert!(hooks.subjects.is_empty() && hooks.lanes.values().all(|lane| lane.known == 0));
}

#[test]
fn whoever_asks_for_little_is_asked_about_soon() {
    let mut hooks = Hooks::default();
    for n in 0..60 {
        assert!(ask(&mut hooks, n, "noisy", "pay"));
    }
    assert!(ask(&mut hooks, 100, "ada", "pay") && ask(&mut hooks, 101, "ada", "pay"));
    let mut under_way = Vec::new();
    while let Some(asked) = hooks.next(0) {
        under_way.push(asked);
    }
    // As many as a hook takes at once; the next answer makes room for the one, and the one after next for the other.
    let ids: Vec<String> = [100, 101].iter().map(|n| name(*n).message(&question(&[], 1).body)).collect();
    let mut at = under_way.iter().position(|asked| asked.id == ids[0]);
    for asked in under_way.split_off(0).into_iter().take(4) {
        hooks.said(asked.ticket, answer(200), 1, 0);
        let more: Vec<Ask> = std::iter::from_fn(|| hooks.next(1)).collect();
        at = at.or(more.iter().position(|asked| asked.id == ids[1]));
        under_way.extend(more);
    }
    assert!(under_way.iter().any(|asked| asked.id == ids[1]) || at.is_some(), "two turns at most for each of ada's");
}

#[test]
fn a_hook_that_hangs_keeps_no_other_waiting() {
    let mut hooks = Hooks::default();
    for n in 0..200u8 {
        assert!(ask(&mut hooks, n, &format!("subject {n}"), "hangs"));
    }
    while hooks.next(0).is_some() {}
    assert_eq!(hooks.running.len(), MOST_PER_HOOK);
    assert!(ask(&mut hooks, 201, "ada", "works"));
    assert_eq!(hooks.next(0).map(|ask| ask.action).as_deref(), Some("works"));
}

/// Nobody is asked to wait longer than it is likely to take; not all together, and the more the more are waiting.
#[test]
fn whoever_finds_no_room_comes_again_when_there_may_be() {
    let mut hooks = Hooks::default();
    for n in 0..MOST_KNOWN_PER_SUBJECT as u8 {
        assert!(ask(&mut hooks, n, "ada", "pay"));
    }
    let first = hooks.next(0).expect("a request");
    hooks.said(first.ticket, answer(200), 800, 0);
    let mut waits = Waits::new(1_234);
    let again: Vec<u64> = (64..=254)
        .map(|n| match hear_as(&mut hooks, n, "ada", "pay", 800, &mut waits) {
            Heard::Later { again_ms } => again_ms,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!((200..=300).contains(&again[0]), "{again:?}");
    assert!((3_200..=4_800).contains(&again[63]) && again.iter().all(|ms| *ms <= 7_500), "{again:?}");
    let mut others = Waits::new(99);
    assert_ne!(
        hear_as(&mut hooks, 64, "ada", "pay", 800, &mut others),
        Heard::Later { again_ms: again[0] },
        "with jitter"
    );
    assert!(ask(&mut hooks, 255, "bob", "pay"));
    hooks.clear();
    assert!(hooks.is_empty() && hooks.next(0).is_none());
}

/// What a commit finds when it is told of a transaction: the row is at a version, and the answer was about another one.
fn contend(hooks: &mut Hooks, n: u8, version: u64) {
    let rows = vec![("rows".to_owned(), key("lamp"))];
    let moved = Moved { row: RowId::of("rows", &key("lamp")), version: Some(version.to_string()) };
    hooks.put(&name(n), Next::Contend(Again { rows, round: 2 }, vec![moved]));
}

/// Whoever is handed back: as a commit decides it, when every decision moves the row.
fn commit_one(hooks: &mut Hooks, held: &Held, version: &mut u64) -> bool {
    match hooks.hear(held.name, &held.entry, (1, 1), 0, &mut Waits::new(0)) {
        Heard::Turn(name, again) => {
            let round = again.map_or(1, |again| again.round);
            hooks.put(&name, Next::Ask(question(&[("lamp", *version)], round)));
            false
        }
        Heard::Verdict(name, verdict) => {
            let Verdict::Answered { rows, .. } = &*verdict else { panic!("{verdict:?}") };
            if rows[0].version.as_deref() != Some(version.to_string().as_str()) {
                contend(hooks, name.0[0], *version);
                return false;
            }
            *version += 1;
            hooks.used(&name);
            true
        }
        _ => false,
    }
}

#[test]
fn contenders_for_one_row_are_asked_one_after_the_other() {
    const N: u8 = 200;
    let (mut hooks, mut version, mut decided, mut questions) = (Hooks::default(), 1, 0, 0);
    for n in 0..N {
        let heard = hear_as(&mut hooks, n, &n.to_string(), "pay", 0, &mut Waits::new(0));
        assert!(matches!(heard, Heard::Turn(_, None)));
        hooks.put(&name(n), Next::Ask(question(&[("lamp", version)], 1)));
    }
    while decided < N {
        let requests: Vec<Ask> = std::iter::from_fn(|| hooks.next(0)).collect();
        questions += requests.len();
        requests.iter().for_each(|ask| hooks.said(ask.ticket, answer(200), 0, 0));
        let mut back = 0;
        while let Some(held) = hooks.back() {
            decided += u8::from(commit_one(&mut hooks, &held, &mut version));
            back += 1;
        }
        assert!(back + requests.len() > 0, "{decided} are decided, and nobody is asked: {hooks:?}");
    }
    assert!(questions <= usize::from(N) + MOST_PER_HOOK, "{questions} questions");
    assert!(hooks.is_empty() && hooks.rows.is_empty() && hooks.bytes == 0);
}

/// One of many hangs: the others have their turns meanwhile.
#[test]
fn a_contender_without_an_answer_lets_others_go_first() {
    let (mut hooks, mut version) = (Hooks::default(), 1);
    for n in 1..=3 {
        hear(&mut hooks, n);
        hooks.put(&name(n), Next::Ask(question(&[("lamp", 0)], 1)));
    }
    let requests: Vec<Ask> = std::iter::from_fn(|| hooks.next(0)).collect();
    requests.iter().for_each(|ask| hooks.said(ask.ticket, answer(200), 0, 0));
    while let Some(held) = hooks.back() {
        commit_one(&mut hooks, &held, &mut version);
    }
    // The first one has its turn, and the hook hangs.
    let turn = hooks.next(0).expect("a request");
    assert_eq!(hooks.next(0), None);
    hooks.said(turn.ticket, broke(), 0, 1_000);
    let next = hooks.back().expect("another one has its turn");
    assert_ne!(next.name.id(), turn.id[..35]);
    commit_one(&mut hooks, &next, &mut version);
    let other = hooks.next(0).expect("a request");
    assert!(hooks.next(LONGEST_MS).is_none(), "the first one waits for its turn again");
    hooks.said(other.ticket, answer(200), LONGEST_MS, 0);
    let decided = hooks.back().expect("a verdict");
    assert!(commit_one(&mut hooks, &decided, &mut version));
    assert_eq!(hooks.back().expect("its turn").name.id(), turn.id[..35]);
}

/// A row that many questions show and nobody changes is soon asked about side by side again.
#[test]
fn a_row_that_stays_as_it_is_holds_nobody_up() {
    let (mut hooks, mut most) = (Hooks::default(), 0);
    for n in 0..60 {
        hear_as(&mut hooks, n, &n.to_string(), "pay", 0, &mut Waits::new(0));
        hooks.put(&name(n), Next::Ask(question(&[("lamp", 1)], 1)));
    }
    let first = hooks.next(0).expect("a request");
    hooks.said(first.ticket, answer(200), 0, 0);
    let held = hooks.back().expect("a verdict");
    assert!(!commit_one(&mut hooks, &held, &mut 2));
    let mut decided = 0;
    while !hooks.is_empty() {
        let requests: Vec<Ask> = std::iter::from_fn(|| hooks.next(0)).collect();
        most = most.max(requests.len());
        requests.iter().for_each(|ask| hooks.said(ask.ticket, answer(200), 0, 0));
        while let Some(held) = hooks.back() {
            decided += u8::from(commit_one(&mut hooks, &held, &mut 2));
        }
    }
    assert_eq!((decided, most), (60, MOST_PER_HOOK));
}

proptest! {
    /// Whatever hooks say, however late, and whatever rows move: requests are bounded, and every question ends.
    #[test]
    fn every_question_ends(steps in prop::collection::vec((0u8..40, 0u8..9, 0u64..20_000), 1..300)) {
        let (mut hooks, mut now, mut open) = (Hooks::default(), 0, Vec::new());
        let mut versions = [1u64; 4];
        let rows = |n: u8, versions: &[u64; 4]| {
            let both = [("a", versions[0]), ("b", versions[1]), ("c", versions[2]), ("d", versions[3])];
            vec![both[usize::from(n % 4)], both[usize::from((n / 4) % 4)]].into_iter().collect::<BTreeSet<_>>()
        };
        let rows = |n: u8, versions: &[u64; 4]| rows(n, versions).into_iter().collect::<Vec<_>>();
        let mut commit = |hooks: &mut Hooks, n: u8, luck: bool, now: u64| {
            let action = if n.is_multiple_of(2) { "pay" } else { "book" };
            let shown = rows(n, &versions);
            match hear_as(hooks, n, &n.to_string(), action, now, &mut Waits::new(now)) {
                Heard::Turn(name, again) => {
                    let round = again.map_or(1, |again| again.round);
                    hooks.put(&name, Next::Ask(question(&shown, round)));
                }
                Heard::Verdict(name, verdict) => match &*verdict {
                    _ if !luck => hooks.let_go(&name),
                    Verdict::Answered { rows: seen, round, .. } => {
                        let now_seen = question(&shown, 1).rows;
                        let moved = |(now, _): (&Seen, &Seen)| Moved {
                            row: RowId::of(&now.table, &now.key), version: now.version.clone(),
                        };
                        let moved: Vec<Moved> =
                            now_seen.iter().zip(seen).filter(|(now, then)| now != then).map(moved).collect();
                        if moved.is_empty() {
                            versions[usize::from(n % 4)] += 1;
                            hooks.used(&name);
                        } else {
                            let rows = seen.iter().map(|row| (row.table.clone(), row.key.clone())).collect();
                            hooks.put(&name, Next::Contend(Again { rows, round: round + 1 }, moved));
                        }
                    }
                    Verdict::Failed(_) => hooks.used(&name),
                },
                _ => {}
            }
        };
        for (n, kind, time) in steps {
            now += time;
            commit(&mut hooks, n, true, now);
            open.extend(std::iter::from_fn(|| hooks.next(now)).map(|ask| ask.ticket));
            prop_assert!(hooks.running.len() <= MOST_RUNNING);
            prop_assert!(hooks.lanes.values().all(|lane| lane.running <= MOST_PER_HOOK));
            prop_assert_eq!(hooks.lanes.values().map(|lane| lane.running).sum::<usize>(), hooks.running.len());
            prop_assert_eq!(hooks.lanes.values().map(|lane| lane.known).sum::<usize>(), hooks.known.len());
            if !open.is_empty() && kind != 3 {
                let ticket = open.swap_remove(usize::from(n) % open.len());
                let said = match kind {
                    0 | 4 | 5 => answer(200),
                    1 => answer(503),
                    2 => answer(404),
                    6 => away(),
                    _ => broke(),
                };
                hooks.said(ticket, said, now, time);
            }
            while let Some(held) = hooks.back() {
                commit(&mut hooks, held.name.0[0], time % 5 > 0, now);
            }
        }
        for round in 0..200 {
            now += LONGEST_ASKED_MS / 2;
            open.extend(std::iter::from_fn(|| hooks.next(now)).map(|ask| ask.ticket));
            for ticket in open.drain(..) {
                hooks.said(ticket, if round % 2 == 0 { broke() } else { answer(200) }, now, 0);
            }
            while let Some(held) = hooks.back() {
                commit(&mut hooks, held.name.0[0], true, now);
            }
        }
        prop_assert!(hooks.running.is_empty() && hooks.known.is_empty() && hooks.bytes == 0, "{hooks:?}");
        prop_assert!(hooks.rows.is_empty() && hooks.subjects.is_empty(), "{hooks:?}");
    }
}
