//! The table of states × events. What the machine does in every cell is written into `docs/protocol.md`, section 10,
//! and compared here; `LANDFALL_BLESS=1 cargo test -p landfall-client --lib session` writes it anew, for review.

use std::fmt::Write as _;

use super::super::*;

const BUCKET: BucketId = BucketId(1);
const HANDLE: u64 = 7;
const START_MS: u64 = 1_000_000;
const LIMITS: Limits = Limits { frame_bytes: 1 << 20, push_entries: 256, window_bytes: 1 << 20, subscriptions: 64 };

/// A session and its clock.
struct World {
    session: Session,
    now_ms: u64,
}

fn error(code: landfall_core::Code, fatal: bool, about: Option<u32>) -> Event {
    let (code, message) = (code.to_string(), "because".to_owned());
    Event::Error { code, message, fatal, retry_after_ms: None, about }
}

fn welcome(copied: bool) -> Event {
    Event::Welcome { limits: LIMITS, copied }
}

fn chunk_failed(gone: bool) -> Event {
    Event::ChunkFailed { bucket: BUCKET, gone, reason: "cut".into(), retry_after_ms: None }
}

fn chunk_loaded(next: Option<Address>) -> Event {
    Event::ChunkLoaded { bucket: BUCKET, next, at: 5 }
}

impl World {
    /// A device with a subscription, a push in flight where there is a connection, and a bucket that is loading.
    fn at(state: StateName) -> Self {
        let mut world = Self { session: Session::new(true, true), now_ms: START_MS };
        for event in [Event::Tick, Event::Connected, welcome(false)] {
            world.take(&event);
        }
        world.subscribe();
        let way = match state {
            StateName::Online => None,
            StateName::Idle => Some(Event::SetOnline { online: false }),
            StateName::Waiting | StateName::Connecting | StateName::Greeting => {
                Some(Event::Disconnected { reason: "cut".into(), retry_after_ms: None })
            }
            StateName::SignIn => Some(error(codes::NEEDS_SIGN_IN, true, None)),
            StateName::Stopped => Some(error(codes::UPGRADE_NEEDED, true, None)),
        };
        way.iter().for_each(|event| drop(world.take(event)));
        if matches!(state, StateName::Connecting | StateName::Greeting) {
            world.take(&Event::Nudge);
        }
        if state == StateName::Greeting {
            world.take(&Event::Connected);
        }
        assert_eq!(StateName::of(world.session.state()), state);
        world
    }

    fn subscribe(&mut self) {
        let id = self.session.opening(HANDLE);
        self.take(&Event::Opened { id, load: vec![(BUCKET, "/chunk".into())] });
        assert!(self.session.pushed(vec![1], START_MS).is_some());
        assert!(self.session.pushed(vec![], START_MS).is_none(), "the outbox has no more");
    }

    fn take(&mut self, event: &Event) -> Vec<Command> {
        self.session.handle(event, self.now_ms, &mut |bytes| bytes.fill(0x8f))
    }

    fn open_id(&self) -> u32 {
        self.session.opens.id_of(HANDLE).unwrap_or_default()
    }

    fn push_id(&self) -> u32 {
        self.session.pushes.keys().next().copied().unwrap_or_default()
    }

    /// Lets the state's own time come.
    fn wait(&mut self) {
        self.now_ms = match self.session.state {
            State::Waiting { until_ms }
            | State::Connecting { until_ms }
            | State::Greeting { until_ms }
            | State::Stopped { until_ms } => until_ms,
            State::Online => self.session.ping_at_ms,
            State::Idle | State::SignIn => self.now_ms,
        };
    }

    fn is_online(&self) -> bool {
        self.session.state == State::Online
    }
}

/// One row of the table: an event, what distinguishes it from other rows of that event, and how it is brought about.
struct Row(EventName, &'static str, fn(&mut World) -> Event);

fn rows() -> Vec<Row> {
    let mut rows = own_rows();
    rows.extend(message_rows());
    rows
}

/// What the device itself brings about.
fn own_rows() -> Vec<Row> {
    use EventName as E;
    vec![
        Row(E::SetOnline, "yes", |_| Event::SetOnline { online: true }),
        Row(E::SetOnline, "no", |_| Event::SetOnline { online: false }),
        Row(E::SetPaused, "yes", |_| Event::SetPaused { paused: true }),
        Row(E::SetPaused, "no", |w| {
            w.take(&Event::SetPaused { paused: true });
            Event::SetPaused { paused: false }
        }),
        Row(E::SetToken, "", |_| Event::SetToken),
        Row(E::Nudge, "", |_| Event::Nudge),
        Row(E::Written, "", |_| Event::Written),
        Row(E::Subscribed, "", |_| Event::Subscribed { handle: 8 }),
        Row(E::Unsubscribed, "", |_| Event::Unsubscribed { handle: HANDLE }),
        Row(E::Fault, "", |_| Event::Fault { reason: "the disk is full".into() }),
        Row(E::Tick, "nothing is due", |_| Event::Tick),
        Row(E::Tick, "the state's time is up; *online*: quiet for 20 s", |w| {
            w.wait();
            Event::Tick
        }),
        Row(E::Tick, "no answer to Ping for 10 s", |w| {
            if w.is_online() {
                w.wait();
                w.take(&Event::Tick);
                w.now_ms += PONG_TIMEOUT_MS;
            }
            Event::Tick
        }),
        Row(E::Tick, "changes were applied 2 s ago", |w| {
            if w.is_online() {
                w.take(&Event::Live { bytes: 1 });
                w.now_ms += REPORT_AFTER_MS;
            }
            Event::Tick
        }),
        Row(E::Tick, "a chunk is to be tried again", |w| {
            w.session.handle(&chunk_failed(false), w.now_ms, &mut |bytes| bytes.fill(0));
            w.now_ms += 1;
            Event::Tick
        }),
        Row(E::ChunkLoaded, "more follow", |_| chunk_loaded(Some("/next".into()))),
        Row(E::ChunkLoaded, "the last", |_| chunk_loaded(None)),
        Row(E::ChunkFailed, "", |_| chunk_failed(false)),
        Row(E::ChunkFailed, "its address is not valid", |_| chunk_failed(true)),
    ]
}

/// What comes over a connection.
fn message_rows() -> Vec<Row> {
    use EventName as E;
    vec![
        Row(E::Connected, "", |_| Event::Connected),
        Row(E::Disconnected, "", |_| Event::Disconnected { reason: "cut".into(), retry_after_ms: None }),
        Row(E::Violation, "", |_| Event::Violation { reason: "nonsense".into() }),
        Row(E::Welcome, "", |_| welcome(false)),
        Row(E::Welcome, "the database was copied (S7)", |_| welcome(true)),
        Row(E::Acknowledge, "", |w| acknowledged(w, false, vec![])),
        Row(E::Acknowledge, "an entry is deferred", |w| acknowledged(w, true, vec![])),
        Row(E::Acknowledge, "an entry is copied (P8)", |w| acknowledged(w, false, vec![1])),
        Row(E::Opened, "", |w| Event::Opened { id: w.open_id(), load: vec![] }),
        Row(E::Opened, "a bucket is to be loaded", |w| Event::Opened {
            id: w.open_id(),
            load: vec![(BucketId(2), "/other".into())],
        }),
        Row(E::Live, "", |_| Event::Live { bytes: 1 }),
        Row(E::Live, "a quarter of the window is applied", |_| Event::Live {
            bytes: u64::from(LIMITS.window_bytes) / 4,
        }),
        Row(E::CatchUp, "", |_| Event::CatchUp),
        Row(E::Pong, "", |_| Event::Pong),
        Row(E::Closed, "", |w| Event::Closed { id: w.open_id() }),
        Row(E::Error, "about a push", |w| error(codes::OVERLOADED, false, Some(w.push_id()))),
        Row(E::Error, "about an Open", |w| error(codes::UNKNOWN_SHAPE, false, Some(w.open_id()))),
        Row(E::Error, "about nothing in particular", |_| error(codes::OUT_OF_ORDER, false, None)),
        Row(E::Error, "fatal, `LF-4004`", |_| error(codes::NEEDS_SIGN_IN, true, None)),
        Row(E::Error, "fatal, `LF-4001`, `LF-4008` or `LF-4013`", |_| error(codes::SCHEMA_MISMATCH, true, None)),
        Row(E::Error, "fatal, any other", |_| error(codes::GOING_AWAY, true, None)),
    ]
}

fn acknowledged(world: &World, deferred: bool, copied: Vec<u64>) -> Event {
    Event::Acknowledge { id: world.push_id(), deferred, copied }
}

/// What a session knows, but for how often which cell was reached.
fn knowledge(session: &Session) -> String {
    let mut session = session.clone();
    session.coverage.clear();
    format!("{session:?}")
}

fn spelt(command: &Command) -> String {
    match command {
        Command::Push { last_under_id: true, .. } => "Push, the last under this id".to_owned(),
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
    }
}

fn shown(state: StateName) -> String {
    match state {
        StateName::SignIn => "*sign-in*".to_owned(),
        other => format!("*{}*", format!("{other:?}").to_lowercase()),
    }
}

/// The text of one cell.
fn cell(state: StateName, row: &Row) -> String {
    if !state.can_hear(row.0) {
        return "×".to_owned();
    }
    let mut world = World::at(state);
    let event = (row.2)(&mut world);
    let before = knowledge(&world.session);
    let mut parts: Vec<String> = Vec::new();
    let commands: Vec<String> = world.take(&event).iter().map(spelt).collect();
    if !commands.is_empty() {
        parts.push(commands.join(", "));
    }
    let after = StateName::of(world.session.state());
    if after != state {
        parts.push(format!("→ {}", shown(after)));
    }
    match parts.is_empty() {
        false => parts.join(" "),
        true if before == knowledge(&world.session) => "–".to_owned(),
        true => "noted".to_owned(),
    }
}

fn table() -> String {
    let mut out = String::from("| event |");
    for state in StateName::ALL {
        let _ = write!(out, " {} |", shown(state));
    }
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(StateName::ALL.len()));
    for row in rows() {
        let when = if row.1.is_empty() { String::new() } else { format!(": {}", row.1) };
        let _ = write!(out, "| {:?}{when} |", row.0);
        for state in StateName::ALL {
            let _ = write!(out, " {} |", cell(state, &row));
        }
        out.push('\n');
    }
    out
}

const BEGIN: &str = "<!-- client session: begin -->\n";
const END: &str = "<!-- client session: end -->";

/// Section 10 (S7, S8, P13, L8, E2): the document says what the machine does, cell by cell.
#[test]
fn the_documents_table_is_what_the_machine_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let found = table();
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{found}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, found, "docs/protocol.md, section 10, says otherwise; see the head of this file");
    }
}

/// None is forgotten when an event is added, and each row brings about the event that it names.
#[test]
fn every_event_has_its_row() {
    let named: std::collections::BTreeSet<EventName> = rows().iter().map(|row| row.0).collect();
    assert_eq!(named, EventName::ALL.iter().copied().collect());
    for row in rows() {
        assert_eq!(EventName::of(&(row.2)(&mut World::at(StateName::Online))), row.0);
    }
}
