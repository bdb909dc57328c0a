//! The client session by itself: every cell of the table of states × events, and what holds along any sequence.

use landfall_core::BucketId;
use landfall_core::flat::FlatSet;
use landfall_protocol::codes;
use landfall_protocol::server::Limits;
use proptest::prelude::*;

use super::*;

mod document;

const LIMITS: Limits = Limits { frame_bytes: 1 << 20, push_entries: 256, window_bytes: 4_096, subscriptions: 8 };

fn dice() -> impl FnMut(&mut [u8]) {
    let mut n = 0u8;
    move |bytes: &mut [u8]| {
        n = n.wrapping_add(41);
        bytes.fill(n);
    }
}

fn error(code: landfall_core::Code, fatal: bool, about: Option<u32>) -> Event {
    let retry_after_ms = (!fatal).then_some(700);
    Event::Error { code: code.to_string(), message: "m".into(), fatal, retry_after_ms, about }
}

fn examples() -> Vec<Event> {
    let reason = || "r".to_owned();
    let (bucket, id) = (BucketId(1), 1);
    vec![
        Event::Tick,
        Event::Connected,
        Event::Disconnected { reason: reason(), retry_after_ms: None },
        Event::Welcome { limits: LIMITS, copied: false },
        Event::Acknowledge { id, deferred: false, copied: Vec::new() },
        Event::Opened { id, load: vec![(bucket, "/v1/chunks/a".into())] },
        Event::Live { bytes: 500 },
        Event::CatchUp,
        Event::Pong,
        error(codes::OVERLOADED, false, Some(id)),
        Event::Closed { id },
        Event::ChunkLoaded { bucket, next: None, at: 7 },
        Event::ChunkFailed { bucket, gone: false, reason: reason(), retry_after_ms: None },
        Event::SetToken,
        Event::SetOnline { online: true },
        Event::SetPaused { paused: true },
        Event::Nudge,
        Event::Written,
        Event::Subscribed { handle: 1 },
        Event::Unsubscribed { handle: 1 },
        Event::Fault { reason: reason() },
        Event::Violation { reason: reason() },
    ]
}

/// A session in a state, at time 1,000.
fn session_in(state: StateName) -> Session {
    let mut session = Session::new(true, true);
    let mut random = dice();
    let path: &[Event] = match state {
        StateName::Idle => &[Event::SetOnline { online: false }],
        StateName::Waiting => &[Event::Tick, Event::Disconnected { reason: String::new(), retry_after_ms: None }],
        StateName::Connecting => &[Event::Tick],
        StateName::Greeting => &[Event::Tick, Event::Connected],
        StateName::Online => &[Event::Tick, Event::Connected, Event::Welcome { limits: LIMITS, copied: false }],
        StateName::SignIn => &[Event::Tick, Event::Connected, error(codes::NEEDS_SIGN_IN, true, None)],
        StateName::Stopped => &[Event::Tick, Event::Connected, error(codes::UPGRADE_NEEDED, true, None)],
    };
    for event in path {
        session.handle(event, 1_000, &mut random);
    }
    assert_eq!(StateName::of(session.state()), state);
    session
}

/// The table of `docs/protocol.md`, section 10: where each event leads. `None`: it stays.
fn leads_to(state: StateName, event: EventName) -> Option<StateName> {
    use {EventName as E, StateName as S};
    match (state, event) {
        (S::Waiting, E::Nudge) | (S::Idle, E::SetOnline) => Some(S::Connecting),
        (S::Idle, E::SetToken) => None,
        (_, E::SetToken) => Some(S::Connecting),
        (S::Connecting, E::Connected) => Some(S::Greeting),
        (S::Greeting, E::Welcome) => Some(S::Online),
        (S::Connecting | S::Greeting | S::Online, E::Disconnected | E::Fault | E::Violation) => Some(S::Waiting),
        _ => None,
    }
}

#[test]
fn every_cell_of_the_table_leads_where_it_says() {
    let names: Vec<EventName> = examples().iter().map(EventName::of).collect();
    assert_eq!(names, EventName::ALL, "an event has no example here");
    for state in StateName::ALL {
        for event in examples() {
            let name = EventName::of(&event);
            if !state.can_hear(name) {
                continue;
            }
            let mut session = session_in(state);
            session.handle(&event, 1_000, &mut dice());
            let after = StateName::of(session.state());
            assert_eq!(after, leads_to(state, name).unwrap_or(state), "{name:?} in {state:?}");
        }
    }
}

/// S2, S3: a server that cannot work with this device stops it, politely and not for ever.
#[test]
fn upgrade_needed_stops_the_session_and_it_looks_again_later() {
    for code in [codes::UPGRADE_NEEDED, codes::SCHEMA_MISMATCH, codes::OTHER_SUBJECT] {
        let mut session = session_in(StateName::Greeting);
        session.handle(&error(code, true, None), 1_000, &mut dice());
        assert_eq!(StateName::of(session.state()), StateName::Stopped);
        assert!(session.last_error().is_some_and(|e| e.contains("LF-")));
        let at = session.deadline_ms().unwrap();
        let commands = session.handle(&Event::Tick, at, &mut dice());
        assert!(matches!(commands[..], [Command::Connect { .. }]), "{commands:?}");
    }
}

/// S9: nothing is sent while the person must sign in; a token is all it takes to go on.
#[test]
fn an_expired_token_waits_for_a_new_one() {
    let mut session = session_in(StateName::SignIn);
    assert_eq!(session.deadline_ms(), None);
    assert!(session.handle(&Event::Written, 1_000, &mut dice()).is_empty());
    let commands = session.handle(&Event::SetToken, 2_000, &mut dice());
    assert!(matches!(commands[..], [Command::Connect { .. }]), "{commands:?}");
}

/// P13: overload slows down and grows again; nothing of the push counts as decided.
#[test]
fn overload_halves_the_batch_and_waits_as_long_as_it_says() {
    let mut session = session_in(StateName::Online);
    let size = |commands: &[Command]| {
        commands.iter().find_map(|c| match c {
            Command::Push { max_entries, .. } => Some(*max_entries),
            _ => None,
        })
    };
    let before = size(&session.handle(&Event::Written, 1_000, &mut dice())).unwrap();
    let id = session.pushed(vec![1, 2], 1_000).unwrap();
    assert_eq!(session.in_flight(), FlatSet::from([1, 2]));
    let commands = session.handle(&error(codes::OVERLOADED, false, Some(id)), 1_000, &mut dice());
    assert_eq!(size(&commands), None, "it pushes before the time is up");
    assert!(session.in_flight().is_empty());
    assert_eq!(session.deadline_ms(), Some(1_700));
    let after = size(&session.handle(&Event::Tick, 1_700, &mut dice())).unwrap();
    assert_eq!(after, before / 2);
}

/// P13: what follows a push that was not taken does not overtake it, until one that was sent after that is answered.
#[test]
fn after_a_push_that_was_not_taken_there_is_one_at_a_time() {
    let mut session = session_in(StateName::Online);
    let is_push = |c: &Command| matches!(c, Command::Push { .. });
    let first = session.pushed(vec![1, 2], 1_000).unwrap();
    let second = session.pushed(vec![3], 1_000).unwrap();
    session.handle(&error(codes::OVERLOADED, false, Some(first)), 1_100, &mut dice());
    let deferred = Event::Acknowledge { id: second, deferred: true, copied: Vec::new() };
    session.handle(&deferred, 1_200, &mut dice());
    assert!(session.handle(&Event::Tick, 9_000, &mut dice()).iter().any(is_push));
    let again = session.pushed(vec![1], 9_000).unwrap();
    assert!(!session.drained(9_000).iter().any(is_push), "one at a time");
    let accepted = Event::Acknowledge { id: again, deferred: false, copied: Vec::new() };
    assert!(session.handle(&accepted, 9_100, &mut dice()).iter().any(is_push));
    session.pushed(vec![2], 9_100).unwrap();
    assert!(session.drained(9_100).iter().any(is_push), "two again");
}

/// P13: what is answered to another push does not shorten the wait.
#[test]
fn a_server_that_says_how_long_to_wait_is_waited_for() {
    let mut session = session_in(StateName::Online);
    let first = session.pushed(vec![1], 1_000).unwrap();
    let second = session.pushed(vec![2], 1_000).unwrap();
    session.handle(&error(codes::OVERLOADED, false, Some(second)), 1_000, &mut dice());
    let answer = Event::Acknowledge { id: first, deferred: false, copied: Vec::new() };
    let is_push = |c: &Command| matches!(c, Command::Push { .. });
    assert!(!session.handle(&answer, 1_100, &mut dice()).iter().any(is_push), "a push before the time is up");
    assert_eq!(session.deadline_ms(), Some(1_700));
    assert!(session.handle(&Event::Tick, 1_700, &mut dice()).iter().any(is_push));
}

/// S11: instead of a connection there may be a word of when to come again, and it may be longer than the device's own waits.
#[test]
fn a_refused_connection_is_tried_again_when_it_was_said() {
    let mut session = session_in(StateName::Connecting);
    let refused = Event::Disconnected { reason: "busy".into(), retry_after_ms: Some(45_000) };
    session.handle(&refused, 1_000, &mut dice());
    assert_eq!(session.deadline_ms(), Some(46_000));
}

/// A connection that breaks under a push may have had too much of it; one that this side closes tells nothing.
#[test]
fn only_a_connection_that_breaks_makes_the_next_push_smaller() {
    let size_after = |event: Event| {
        let mut session = session_in(StateName::Online);
        session.pushed(vec![1], 1_000).unwrap();
        session.handle(&event, 1_000, &mut dice());
        if !matches!(session.state(), State::Connecting { .. }) {
            session.handle(&Event::Nudge, 1_000, &mut dice());
        }
        session.handle(&Event::Connected, 1_000, &mut dice());
        let welcome = Event::Welcome { limits: LIMITS, copied: false };
        let push = session.handle(&welcome, 1_000, &mut dice());
        push.into_iter().find_map(|c| if let Command::Push { max_entries, .. } = c { Some(max_entries) } else { None })
    };
    assert_eq!(size_after(Event::SetToken), Some(64));
    assert_eq!(size_after(Event::Disconnected { reason: String::new(), retry_after_ms: None }), Some(32));
}

/// Something on the way hangs up on one entry, whatever comes with it: that one is set aside, and no other is.
#[test]
fn what_breaks_every_connection_is_found_and_set_aside() {
    const POISON: u64 = 7;
    let (mut session, mut now) = (Session::new(true, true), 1_000);
    let mut waiting: Vec<u64> = (1..=300).collect();
    let (mut commands, mut aside) = (session.handle(&Event::Tick, now, &mut dice()), Vec::new());
    for _ in 0..400 {
        let mut next = Vec::new();
        let mut broken = false;
        let mut answers = Vec::new();
        for command in std::mem::take(&mut commands) {
            now += 1;
            match command {
                Command::Connect { .. } => {
                    next.extend(session.handle(&Event::Connected, now, &mut dice()));
                }
                Command::Hello => {
                    let welcome = Event::Welcome { limits: LIMITS, copied: false };
                    next.extend(session.handle(&welcome, now, &mut dice()));
                }
                Command::Push { max_entries, .. } => {
                    let under_way = session.in_flight();
                    let free = |rseq: &&u64| !under_way.contains(rseq) && !aside.contains(*rseq);
                    let entries: Vec<u64> = waiting.iter().filter(free).take(max_entries).copied().collect();
                    broken |= entries.contains(&POISON);
                    if let Some(id) = session.pushed(entries.clone(), now) {
                        answers.push((id, entries));
                    }
                    next.extend(session.drained(now));
                }
                Command::SetAside { rseq } => aside.push(rseq),
                _ => {}
            }
        }
        if broken {
            let gone = Event::Disconnected { reason: "hung up".into(), retry_after_ms: None };
            next = session.handle(&gone, now, &mut dice());
        } else {
            for (id, entries) in answers {
                waiting.retain(|rseq| !entries.contains(rseq));
                let answer = Event::Acknowledge { id, deferred: false, copied: Vec::new() };
                next.extend(session.handle(&answer, now, &mut dice()));
            }
        }
        if next.is_empty() {
            now = session.deadline_ms().unwrap_or(now).max(now);
            next = session.handle(&Event::Tick, now, &mut dice());
        }
        commands = next;
    }
    assert_eq!((waiting, aside), (vec![POISON], vec![POISON]));
}

/// Who is told how long to stay away does, also when the page comes to the foreground, or the person is impatient.
#[test]
fn a_server_that_says_how_long_is_given_that_time() {
    let gone = |retry_after_ms| Event::Disconnected { reason: String::new(), retry_after_ms };
    let connects = |commands: &[Command]| commands.iter().any(|c| matches!(c, Command::Connect { .. }));
    let mut session = session_in(StateName::Online);
    session.handle(&gone(Some(20_000)), 1_000, &mut dice());
    assert!(!connects(&session.handle(&Event::Nudge, 20_999, &mut dice())));
    assert!(session.deadline_ms() >= Some(21_000));
    assert!(connects(&session.handle(&Event::Nudge, 21_000, &mut dice())));
    let mut session = session_in(StateName::Online);
    session.handle(&gone(None), 1_000, &mut dice());
    assert!(connects(&session.handle(&Event::Nudge, 1_001, &mut dice())), "nobody asked for a pause");
}

/// Pausing stops what is sent, and nothing else.
#[test]
fn a_pause_keeps_back_pushes_alone() {
    let pause = |paused| Event::SetPaused { paused };
    let is_push = |c: &Command| matches!(c, Command::Push { .. });
    let mut session = session_in(StateName::Online);
    let id = session.pushed(vec![1], 1_000).unwrap();
    assert!(session.handle(&pause(true), 1_000, &mut dice()).is_empty());
    let answer = Event::Acknowledge { id, deferred: false, copied: Vec::new() };
    assert!(session.handle(&answer, 1_000, &mut dice()).is_empty(), "what was under way is answered, and that is all");
    assert!(session.handle(&Event::Written, 1_000, &mut dice()).is_empty());
    let opened = Event::Opened { id: 9, load: vec![(BucketId(1), "/v1/chunks/a".into())] };
    assert!(matches!(session.handle(&opened, 1_000, &mut dice())[..], [Command::Fetch { .. }]));
    assert!(session.handle(&Event::Live { bytes: 5_000 }, 1_000, &mut dice()).contains(&Command::Applied));
    assert_eq!(session.deadline_ms(), Some(1_000 + PING_INTERVAL_MS), "it does not wake up for what it may not send");
    // Another connection does not forget it.
    session.handle(&Event::Disconnected { reason: String::new(), retry_after_ms: None }, 1_000, &mut dice());
    session.handle(&Event::Nudge, 1_000, &mut dice());
    session.handle(&Event::Connected, 1_000, &mut dice());
    let welcome = Event::Welcome { limits: LIMITS, copied: false };
    assert!(!session.handle(&welcome, 1_000, &mut dice()).iter().any(is_push));
    assert!(session.handle(&pause(false), 1_000, &mut dice()).iter().any(is_push));
}

/// A device with many shapes asks for a few chunks at a time, and for every one in the end.
#[test]
fn chunks_under_way_are_bounded() {
    let load = (1..=20).map(|n| (BucketId(n), format!("/v1/chunks/{n}"))).collect();
    let mut session = session_in(StateName::Online);
    session.pushed(Vec::new(), 1_000);
    let mut open: Vec<BucketId> = Vec::new();
    let take = |commands: Vec<Command>, open: &mut Vec<BucketId>| {
        let asked =
            commands.iter().filter_map(|c| if let Command::Fetch { bucket, .. } = c { Some(*bucket) } else { None });
        open.extend(asked);
        assert!(open.len() <= MAX_FETCHES_IN_FLIGHT, "{open:?}");
    };
    take(session.handle(&Event::Opened { id: 1, load }, 1_000, &mut dice()), &mut open);
    let mut done = 0;
    while let Some(bucket) = open.pop() {
        session.prefetch(bucket, None);
        let loaded = Event::ChunkLoaded { bucket, next: None, at: 7 };
        take(session.handle(&loaded, 1_000, &mut dice()), &mut open);
        done += 1;
    }
    assert_eq!(done, 20);
}

/// C2: a server that is busy says how long; those that were told the same do not come back together.
#[test]
fn a_busy_server_is_asked_for_a_chunk_when_it_says() {
    let mut session = session_in(StateName::Online);
    session.pushed(Vec::new(), 1_000);
    session.handle(&Event::Opened { id: 1, load: vec![(BucketId(1), "/a".into())] }, 1_000, &mut dice());
    let busy = Event::ChunkFailed { bucket: BucketId(1), gone: false, reason: "r".into(), retry_after_ms: Some(3_000) };
    session.handle(&busy, 1_000, &mut dice());
    let at = session.deadline_ms().unwrap();
    assert!((4_001..=4_400).contains(&at), "{at}");
}

/// P8: before a copied database changes its id it learns the fate of all that it has not seen decided.
#[test]
fn a_copied_database_asks_about_everything_first() {
    let mut session = session_in(StateName::Greeting);
    let commands = session.handle(&Event::Welcome { limits: LIMITS, copied: true }, 1_000, &mut dice());
    assert!(commands.contains(&Command::Push { max_entries: 64, last_under_id: true }), "{commands:?}");
    let id = session.pushed(vec![4], 1_000).unwrap();
    assert_eq!(session.pushed(Vec::new(), 1_000), None);
    assert!(session.drained(1_000).is_empty(), "one answer is still owed");
    let answer = Event::Acknowledge { id, deferred: false, copied: vec![4] };
    session.handle(&answer, 1_000, &mut dice());
    assert!(session.in_flight().contains(&4), "an entry that cannot be decided is not offered again");
    assert_eq!(session.pushed(Vec::new(), 1_000), None);
    assert_eq!(session.drained(1_000), [Command::NewReplica]);
}

/// S8: a silent connection is probed, then given up.
#[test]
fn a_half_open_connection_is_found_out() {
    let mut session = session_in(StateName::Online);
    session.pushed(Vec::new(), 1_000);
    let probe = session.deadline_ms().unwrap();
    assert_eq!(probe, 1_000 + PING_INTERVAL_MS);
    assert!(session.handle(&Event::Tick, probe, &mut dice()).contains(&Command::Ping));
    let dead = session.deadline_ms().unwrap();
    assert_eq!(dead, probe + PONG_TIMEOUT_MS);
    let commands = session.handle(&Event::Tick, dead, &mut dice());
    assert!(commands.iter().any(|c| matches!(c, Command::Disconnect { .. })), "{commands:?}");
    assert_eq!(StateName::of(session.state()), StateName::Waiting);
}

/// L8: a quarter of the window is reported at once, less of it within a bound.
#[test]
fn applied_changes_are_reported() {
    let mut session = session_in(StateName::Online);
    session.pushed(Vec::new(), 1_000);
    assert!(!session.handle(&Event::Live { bytes: 100 }, 1_000, &mut dice()).contains(&Command::Applied));
    assert_eq!(session.deadline_ms(), Some(1_000 + REPORT_AFTER_MS));
    assert!(session.handle(&Event::Live { bytes: 1_000 }, 1_001, &mut dice()).contains(&Command::Applied));
}

/// C5: an address that is no longer valid leads to opening the shape again, a broken network to trying again.
#[test]
fn chunks_are_fetched_again_or_opened_again() {
    let opened = Event::Opened { id: 1, load: vec![(BucketId(1), "/v1/chunks/a".into())] };
    let failed = |gone| Event::ChunkFailed { bucket: BucketId(1), gone, reason: "r".into(), retry_after_ms: None };
    let mut session = session_in(StateName::Online);
    session.handle(&opened, 1_000, &mut dice());
    session.pushed(Vec::new(), 1_000);
    session.handle(&failed(false), 1_000, &mut dice());
    let retry = session.deadline_ms().unwrap();
    let commands = session.handle(&Event::Tick, retry, &mut dice());
    assert!(commands.iter().any(|c| matches!(c, Command::Fetch { .. })), "{commands:?}");
    let commands = session.handle(&failed(true), retry, &mut dice());
    assert!(commands.contains(&Command::Reopen { bucket: BucketId(1) }), "{commands:?}");
}

proptest! {
    #[test]
    fn any_sequence_keeps_one_connection_and_always_has_a_next_step(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0u64..3_000, any::<bool>()), 1..120),
    ) {
        let all = examples();
        let (mut session, mut random, mut now) = (Session::new(true, true), dice(), 0);
        let (mut last_connection, mut rseq, mut in_flight) = (0, 0u64, FlatSet::new());
        for (which, wait, fatal) in steps {
            now += wait;
            let mut event = which.get(&all).clone();
            if let Event::Error { fatal: f, .. } = &mut event {
                *f = fatal;
            }
            if !StateName::of(session.state()).can_hear(EventName::of(&event)) {
                continue;
            }
            for command in session.handle(&event, now, &mut random) {
                match command {
                    Command::Connect { connection } => {
                        prop_assert!(connection > last_connection, "a connection's number is used again");
                        last_connection = connection;
                    }
                    Command::Push { max_entries, .. } => {
                        prop_assert_eq!(session.state(), &State::Online);
                        prop_assert!((1..=LIMITS.push_entries as usize).contains(&max_entries));
                        rseq += 1;
                        session.pushed(vec![rseq], now);
                        if rseq.is_multiple_of(3) && session.pushes.len() < MAX_PUSHES_IN_FLIGHT {
                            session.drained(now);
                            rseq += 1;
                            session.pushed(vec![rseq], now);
                        }
                        in_flight = session.in_flight();
                    }
                    Command::Hello => {
                        let greeting = matches!(session.state(), State::Greeting { .. });
                        prop_assert!(greeting);
                    }
                    _ => {}
                }
            }
            prop_assert!(session.pushes.len() <= MAX_PUSHES_IN_FLIGHT, "{in_flight:?}");
            // A driver that ticks when it is told to must not spin.
            let due = session.deadline_ms().filter(|at| *at <= now);
            if due.is_some() {
                let idle = session.handle(&Event::Tick, now, &mut random).is_empty();
                let again = session.deadline_ms().filter(|at| *at <= now);
                prop_assert!(!idle || again.is_none(), "a tick at {now} leaves the deadline at {again:?}");
            }
            let waits = matches!(session.state(), State::Idle | State::SignIn);
            prop_assert!(waits || session.deadline_ms().is_some(), "nothing would ever happen again");
        }
        // Whatever happened: a person who signs in and goes online gets a connection.
        session.handle(&Event::SetOnline { online: true }, now, &mut random);
        session.handle(&Event::SetToken, now, &mut random);
        let connecting = matches!(session.state(), State::Connecting { .. });
        prop_assert!(connecting, "{:?}", session.state());
    }
}
