use landfall_core::{Schema, Stamp, Transaction};
use landfall_protocol::{ClientMessage, Entry, Start};
use proptest::prelude::*;

use super::*;
use crate::hub::{Hub, RING_BYTES};
use crate::store::GroupCommit;

const EPOCH: Epoch = Epoch([1; 16]);
const NOW: Moment = Moment { wall_ms: 1_000_000, mono_ms: 5_000 };

fn later(ms: u64) -> Moment {
    Moment { wall_ms: NOW.wall_ms + ms, mono_ms: NOW.mono_ms + ms }
}

struct World {
    hub: Hub,
    session: Session,
}

fn rules() -> Rules {
    let schema = Schema {
        name: "test".into(),
        version: 2,
        tables: vec![],
        shapes: vec![],
        actions: vec![],
        outbox: Default::default(),
        tombstones_ms: None,
        cache: landfall_core::schema::Caching::default(),
    };
    Rules::new(&schema, Authenticator::new().with_development(true))
}

fn head(seq: u64) -> Head {
    Head { epoch: EPOCH, seq, chain: seq * 10 }
}

impl World {
    fn at(state: State) -> Self {
        let hub = Hub::new(head(5), RING_BYTES);
        let mut world = Self { session: Session::new(Arc::new(rules()), hub.audience(vec![]), NOW), hub };
        if state == State::Greeting {
            return world;
        }
        world.message(ClientMessage::Hello(hello()));
        assert!(matches!(world.session.take_request(), Some(Request::Hello { .. })));
        if state == State::Opening {
            return world;
        }
        world.session.handle(Event::Reply(welcome()), NOW);
        assert!(matches!(world.sent().as_slice(), [ServerMessage::Welcome(_)]));
        if state == State::Closed {
            world.session.handle(Event::Drain, NOW);
            world.sent();
        }
        world
    }

    fn message(&mut self, message: ClientMessage) {
        self.session.handle(Event::Message(message), NOW);
    }

    /// Everything that the session says now.
    fn sent(&mut self) -> Vec<ServerMessage> {
        self.sent_at(NOW)
    }

    fn sent_at(&mut self, now: Moment) -> Vec<ServerMessage> {
        let mut out = Vec::new();
        while let Next::Send(outgoing) = self.session.next(&self.hub, now) {
            out.push(outgoing.into_message());
        }
        out
    }

    fn commit(&mut self, buckets: &[u64]) -> u64 {
        let from = self.hub.head().seq;
        let bucket_runs = buckets.iter().map(|b| {
            let key = landfall_core::RowKey(vec![landfall_core::Value::Int(1)]);
            let change = landfall_protocol::Change::Remove { seq: from + 1, key, deleted: true };
            (BucketId(*b), vec![(from + 1, landfall_protocol::ChangeList(vec![change]).to_run().into())])
        });
        let bucket_runs = bucket_runs.collect();
        self.hub.publish(&GroupCommit { from, head: head(from + 1), bucket_runs, ..GroupCommit::default() });
        from + 1
    }

    fn open(&mut self, id: u32, offer: Offer) -> Start {
        self.message(ClientMessage::Open { id, shape: "s".into(), params: BTreeMap::new(), held: vec![] });
        assert!(matches!(self.session.take_request(), Some(Request::Open { .. })));
        self.session.handle(Event::Reply(Reply::Open { id, result: Ok(vec![offer]) }), NOW);
        match self.sent().as_slice() {
            [ServerMessage::Opened { buckets, .. }] => buckets[0].start.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn offer(bucket: u64, held: Option<u64>, at: u64) -> Offer {
    Offer { bucket: BucketId(bucket), table: "t".into(), columns: vec![], held, at, first: "/c".into(), rows: 1 }
}

fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        token: Some("dev:ada".into()),
        replica: ReplicaId([9; 16]),
        app: "test".into(),
        schema_version: 1,
        last_rseq: 0,
        floor: 0,
        cursor: None,
        clock_ms: 0,
        agent: "test".into(),
        sent: Vec::new(),
    }
}

fn welcome() -> Reply {
    let replica = ReplicaState::default();
    let answer = HelloAnswer {
        head: head(5),
        start: 5,
        chain: 50,
        resumption: Resumption::Fresh,
        replica,
        accepted: Vec::new(),
    };
    Reply::Hello(Ok(Box::new(answer)))
}

fn transaction(replica: ReplicaId, rseq: u64) -> Entry {
    Transaction {
        replica,
        rseq,
        stamp: Stamp::default(),
        operations: vec![],
        after: vec![],
        requires: vec![],
        origin: None,
        action: None,
        expires_ms: None,
    }
    .into()
}

fn push(id: u32) -> ClientMessage {
    ClientMessage::push(id, vec![transaction(ReplicaId([9; 16]), 1)], 400_000, 0)
}

fn code_of(sent: &[ServerMessage]) -> Option<(&str, bool)> {
    match sent {
        [ServerMessage::Error { code, fatal, .. }] => Some((code.as_str(), *fatal)),
        _ => None,
    }
}

/// What a cell of the table in `docs/protocol.md`, section 10, says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell<'a> {
    /// The session ends with this code.
    Fatal(&'a str),
    /// It goes on, and has now this state.
    Goes(State),
}

fn cell(state: State, name: &str) -> Cell<'static> {
    use Cell::{Fatal, Goes};
    use State::{Closed, Greeting, Open, Opening};
    match (state, name) {
        (Closed, _) => Goes(Closed),
        (Greeting, "hello") => Goes(Opening),
        (_, "too large") => Fatal("LF-4003"),
        (Greeting, "unreadable") => Fatal("LF-4001"),
        (_, "unreadable" | "damaged") => Fatal("LF-4002"),
        (_, "drain") => Fatal("LF-4010"),
        (Opening, "reply hello") => Goes(Open),
        (state, "reply hello" | "reply push" | "reply part" | "reply decided" | "reply open" | "read done") => {
            Goes(state)
        }
        (Greeting, "deadline") => Fatal("LF-4005"),
        (Opening, "deadline") => Goes(Opening),
        (Open, "deadline") => Fatal("LF-4010"),
        (Open, "hello") => Fatal("LF-4005"),
        (Greeting | Opening, _) => Fatal("LF-4005"),
        (Open, _) => Goes(Open),
    }
}

fn decided(id: u32, seq: u64) -> Event {
    let decisions = vec![Decision { rseq: 1, outcome: Outcome::Accepted { seq } }];
    Event::Reply(Reply::Decided { id, decisions, shift_ms: 600_000 })
}

fn events() -> Vec<(&'static str, Event, Moment)> {
    let bucket = BucketId(1);
    let messages = [
        ClientMessage::Hello(hello()),
        push(1),
        ClientMessage::Open { id: 1, shape: "s".into(), params: BTreeMap::new(), held: vec![] },
        ClientMessage::Resume { bucket, at: 0 },
        ClientMessage::Close { id: 1 },
        ClientMessage::Ping { clock_ms: 0 },
        ClientMessage::Authenticate { token: "dev:ada".into() },
        ClientMessage::Applied { seq: 5 },
    ];
    let others = [
        Event::Unreadable { reason: "x".into() },
        Event::Damaged,
        Event::TooLarge,
        Event::Reply(welcome()),
        Event::Reply(Reply::Push { id: 77, result: Ok(vec![]) }),
        Event::Reply(Reply::Open { id: 77, result: Ok(vec![]) }),
        decided(77, 9),
        Event::ReadDone(Ok(ReadDone::CatchUp { bucket, to: 9, run: vec![] })),
        Event::Drain,
    ];
    let now = messages.into_iter().map(Event::Message).chain(others).map(|event| (event.name(), event, NOW));
    now.chain([(Event::Tick.name(), Event::Tick, later(600_000))]).collect()
}

/// Section 10, and S1, S8, E2.
#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    for state in [State::Greeting, State::Opening, State::Open, State::Closed] {
        for (name, event, now) in events() {
            let mut world = World::at(state);
            world.session.handle(event, now);
            let after = world.session.state;
            let sent = world.sent_at(now);
            let found = match code_of(&sent) {
                Some((code, true)) => {
                    assert_eq!(after, State::Closed, "{name} in {state:?}");
                    assert!(matches!(world.session.next(&world.hub, now), Next::Close), "{name} in {state:?}");
                    assert!(world.session.take_request().is_none(), "{name} in {state:?}");
                    Cell::Fatal(code)
                }
                _ => Cell::Goes(after),
            };
            assert_eq!(found, cell(state, name), "{name} in {state:?}");
        }
    }
}

#[test]
fn a_tick_before_the_deadline_does_nothing() {
    for state in [State::Greeting, State::Open] {
        let mut world = World::at(state);
        let deadline = world.session.deadline_ms().unwrap();
        world.session.handle(Event::Tick, later(deadline - NOW.mono_ms - 1));
        assert_eq!(world.session.state, state);
        world.session.handle(Event::Tick, later(deadline - NOW.mono_ms));
        assert_eq!(world.session.state, State::Closed);
    }
}

/// P2, P12.
#[test]
fn a_push_is_answered_after_its_commit_with_the_difference_of_the_clocks() {
    let mut world = World::at(State::Open);
    world.message(push(4));
    let Some(Request::Push { id: 4, entries }) = world.session.take_request() else { panic!("handed to the store") };
    assert_eq!((entries[0].shift_ms, entries[0].subject.id.as_str()), (600_000, "ada"));
    assert!(world.sent().is_empty(), "rule P2: nothing before the commit");
    let result = Ok(vec![Outcome::Accepted { seq: 6 }]);
    world.session.handle(Event::Reply(Reply::Push { id: 4, result }), NOW);
    let sent = world.sent();
    let [ServerMessage::Acknowledge { id: 4, decisions, shift_ms: 600_000 }] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert_eq!(decisions, &[Decision { rseq: 1, outcome: Outcome::Accepted { seq: 6 } }]);
}

/// P15.
#[test]
fn the_store_hears_how_often_an_entry_has_failed() {
    let mut world = World::at(State::Open);
    let ClientMessage::Push { id, entries, clock_ms, floor, prior, settled, following, refused, .. } = push(4) else {
        panic!("a push")
    };
    let attempted = vec![landfall_protocol::Attempted { rseq: entries[0].transaction.rseq, times: 3 }];
    world.message(ClientMessage::Push { id, entries, clock_ms, floor, prior, settled, following, refused, attempted });
    let Some(Request::Push { entries, .. }) = world.session.take_request() else { panic!("handed to the store") };
    assert_eq!(entries[0].attempted, 3);
}

/// P19.
#[test]
fn what_was_asked_about_is_acknowledged_when_it_is_decided() {
    let mut world = World::at(State::Open);
    world.message(push(4));
    world.session.take_request();
    let result = Ok(vec![Outcome::Asked { again_ms: 5_000 }]);
    world.session.handle(Event::Reply(Reply::Push { id: 4, result }), NOW);
    let asked = ServerMessage::Acknowledge {
        id: 4,
        decisions: vec![Decision { rseq: 1, outcome: Outcome::Asked { again_ms: 5_000 } }],
        shift_ms: 600_000,
    };
    assert_eq!(world.sent(), [asked]);
    world.session.handle(decided(4, 6), NOW);
    let sent = world.sent();
    let [ServerMessage::Acknowledge { id: 4, decisions, shift_ms: 600_000 }] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert_eq!(decisions[0].outcome, Outcome::Accepted { seq: 6 });
    assert!(world.session.owes == 6, "the device waits for a mark");
}

/// P14.
#[test]
fn a_transaction_of_another_replica_ends_the_session() {
    let mut world = World::at(State::Open);
    let entries = vec![transaction(ReplicaId([8; 16]), 1)];
    world.message(ClientMessage::push(1, entries, 0, 0));
    assert_eq!(code_of(&world.sent()), Some(("LF-4002", true)));
    assert!(world.session.take_request().is_none());
}

#[test]
fn nothing_live_is_sent_before_the_device_says_applied() {
    let mut world = World::at(State::Open);
    assert_eq!(world.open(1, offer(1, Some(5), 0)), Start::Live);
    world.commit(&[1]);
    assert!(world.sent().is_empty(), "rule L1");
    world.message(ClientMessage::Applied { seq: 5 });
    assert!(matches!(world.sent().as_slice(), [ServerMessage::Live { to: 6, .. }]));
}

/// H3, H5.
#[test]
fn buckets_begin_where_the_session_stands_and_never_beyond_it() {
    let mut world = World::at(State::Open);
    world.commit(&[]);
    assert_eq!(world.open(1, offer(1, Some(5), 0)), Start::Live);
    assert_eq!(world.open(2, offer(2, Some(3), 0)), Start::CatchUp);
    // The rows are newer than the session: changes are replayed from where the session stands.
    assert_eq!(world.open(3, offer(3, None, 6)), Start::Load { at: 5, first: "/c".into(), rows: 1 });
    assert_eq!(world.open(4, offer(4, None, 2)), Start::Load { at: 2, first: "/c".into(), rows: 1 });
    // A bucket that another subscription of the session has already.
    assert_eq!(world.open(5, offer(1, None, 6)), Start::Live);
    world.message(ClientMessage::Resume { bucket: BucketId(9), at: 0 });
    assert_eq!(code_of(&world.sent()), Some(("LF-4005", false)));
}

#[test]
fn a_bucket_catches_up_and_joins_exactly_at_the_sessions_position() {
    let mut world = World::at(State::Open);
    world.open(1, offer(1, None, 2));
    world.message(ClientMessage::Resume { bucket: BucketId(1), at: 2 });
    let Next::Read(read) = world.session.next(&world.hub, NOW) else { panic!("reads the log") };
    assert_eq!(read, Read::CatchUp { bucket: BucketId(1), after: 2, up_to: 5 });
    let part = |to| Event::ReadDone(Ok(ReadDone::CatchUp { bucket: BucketId(1), to, run: vec![] }));
    world.session.handle(part(4), NOW);
    let Next::Send(Outgoing::Message(message)) = world.session.next(&world.hub, NOW) else { panic!("sends it") };
    assert!(matches!(message, ServerMessage::CatchUp { to: 4, done: false, .. }), "rule L4");
    let Next::Read(_) = world.session.next(&world.hub, NOW) else { panic!("reads on") };
    world.session.handle(part(5), NOW);
    assert!(matches!(world.sent().as_slice(), [ServerMessage::CatchUp { to: 5, done: true, .. }]), "rule L4");
    world.message(ClientMessage::Applied { seq: 5 });
    world.commit(&[1]);
    let sent = world.sent();
    let [ServerMessage::Live { buckets, .. }] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(buckets.len(), 1);
}

/// L3.
#[test]
fn marks_wait_for_their_time_unless_the_device_waits_for_them() {
    let mut world = World::at(State::Open);
    world.message(ClientMessage::Applied { seq: 5 });
    world.commit(&[7]);
    assert!(world.sent().is_empty());
    let due = world.session.mark_due_ms(&world.hub, NOW).unwrap() - NOW.mono_ms;
    assert!(matches!(world.sent_at(later(due)).as_slice(), [ServerMessage::Live { to: 6, .. }]));
    let own = world.commit(&[7]);
    world.message(push(1));
    let result = Ok(vec![Outcome::Accepted { seq: own }]);
    world.session.handle(Event::Reply(Reply::Push { id: 1, result }), later(due));
    let sent = world.sent_at(later(due));
    assert!(
        matches!(sent.as_slice(), [ServerMessage::Acknowledge { .. }, ServerMessage::Live { to: 7, .. }]),
        "rule L3"
    );
}

/// L8.
/// Whoever looks at the head before taking the answers never sends a Live before the Acknowledge that it passes.
#[test]
fn nothing_beyond_the_head_that_was_seen_is_sent() {
    let mut world = World::at(State::Open);
    world.open(1, offer(7, Some(5), 5));
    world.message(ClientMessage::Applied { seq: 5 });
    world.sent();
    world.commit(&[7]);
    assert!(matches!(world.session.next_up_to(5, &world.hub, NOW), Next::Wait { .. }));
    world.commit(&[7]);
    match world.session.next_up_to(6, &world.hub, NOW) {
        Next::Send(Outgoing::Live(span)) => assert_eq!((span.from(), span.to()), (5, 6)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(world.sent().as_slice(), [ServerMessage::Live { to: 7, .. }]));
}

#[test]
fn what_is_in_flight_is_bounded_by_the_window() {
    let hub = Hub::new(head(5), RING_BYTES);
    let mut tight = rules();
    tight.limits.window_bytes = 1;
    let session = Session::new(Arc::new(tight), hub.audience(vec![]), NOW);
    let mut world = World { hub, session };
    world.message(ClientMessage::Hello(hello()));
    world.session.take_request();
    world.session.handle(Event::Reply(welcome()), NOW);
    world.sent();
    world.open(1, offer(1, Some(5), 0));
    world.message(ClientMessage::Applied { seq: 5 });
    world.commit(&[1]);
    assert_eq!(world.sent().len(), 1);
    world.commit(&[1]);
    world.commit(&[1]);
    assert!(world.sent().is_empty(), "rule L8");
    world.message(ClientMessage::Applied { seq: 6 });
    assert!(
        matches!(world.sent().as_slice(), [ServerMessage::Live { to: 8, .. }]),
        "together, since they waited together"
    );
}

/// S10.
#[test]
fn a_draining_session_first_answers_what_it_took() {
    let mut world = World::at(State::Open);
    world.message(push(1));
    world.session.take_request();
    world.session.handle(Event::Drain, NOW);
    assert!(world.sent().is_empty());
    world.message(push(2));
    assert_eq!(code_of(&world.sent()), Some(("LF-4010", false)));
    world.session.handle(Event::Reply(Reply::Push { id: 1, result: Ok(vec![Outcome::Copied]) }), NOW);
    let sent = world.sent();
    assert!(matches!(sent.as_slice(), [ServerMessage::Acknowledge { .. }, ServerMessage::Error { fatal: true, .. }]));
}

/// S5.
#[test]
fn a_restored_server_ends_sessions_of_the_old_history() {
    let mut world = World::at(State::Open);
    world.hub.start_over(Head { epoch: Epoch([2; 16]), ..head(5) });
    assert_eq!(code_of(&world.sent()), Some(("LF-4010", true)), "rule S5");
}

/// S9.
#[test]
fn a_new_token_prolongs_the_session_but_never_changes_whose_it_is() {
    let mut world = World::at(State::Open);
    world.message(ClientMessage::Authenticate { token: "dev:ada".into() });
    assert!(matches!(world.sent().as_slice(), [ServerMessage::Pong { .. }]));
    world.message(ClientMessage::Authenticate { token: "nonsense".into() });
    assert_eq!(code_of(&world.sent()), Some(("LF-4004", false)));
    world.message(ClientMessage::Authenticate { token: "dev:eve".into() });
    assert_eq!(code_of(&world.sent()), Some(("LF-4013", true)), "rule S9");
}

proptest! {
    /// Any sequence of events: no panic, positions never go back, requests and queues stay bounded.
    #[test]
    fn no_sequence_of_events_breaks_a_session(steps in prop::collection::vec((0usize..21, 0u64..3), 0..60)) {
        let mut world = World::at(State::Greeting);
        let mut at = 0;
        for (step, n) in steps {
            let mut all = events();
            match step {
                16 => { world.commit(&[n]); }
                20 => world.session.handle(decided(n as u32, 0), NOW),
                17 => world.session.handle(Event::Reply(Reply::Open { id: 1, result: Ok(vec![offer(n, Some(n + 4), 3)]) }), NOW),
                18 => world.session.handle(Event::Reply(Reply::Open { id: 1, result: Ok(vec![offer(n, None, 3)]) }), NOW),
                19 => world.message(ClientMessage::Resume { bucket: BucketId(n), at: 3 }),
                _ => { let (_, event, now) = all.swap_remove(step); world.session.handle(event, now); }
            }
            while world.session.take_request().is_some() {}
            for _ in 0..50 {
                match world.session.next(&world.hub, NOW) {
                    Next::Send(_) => {}
                    Next::Read(Read::CatchUp { bucket, up_to, .. }) => {
                        let done = ReadDone::CatchUp { bucket, to: up_to, run: vec![] };
                        world.session.handle(Event::ReadDone(Ok(done)), NOW);
                    }
                    Next::Read(Read::Live { up_to, .. }) => {
                        let done = ReadDone::Live { to: up_to, chain: Some(0), stamp: Stamp::default(), runs: vec![] };
                        world.session.handle(Event::ReadDone(Ok(done)), NOW);
                    }
                    Next::Wait { .. } | Next::Close => break,
                }
            }
            prop_assert!(!matches!(world.session.next(&world.hub, NOW), Next::Send(_)), "comes to rest");
            if let Some(position) = world.session.position() {
                prop_assert!(position >= at && position <= world.hub.head().seq);
                at = position;
            }
        }
    }
}
