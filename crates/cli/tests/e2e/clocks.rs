//! A device whose clock is ten years off: its writes neither win every merge nor lose it, and nothing is refused.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use landfall_client::db::{Location, Options};
use landfall_client::engine::{Effect, Engine, Input, Moment};
use landfall_core::{Epoch, Schema};
use landfall_protocol::{
    Form, Frame, Limits, Resumption, ServerMessage, Welcome, decode_server, encode_client, encode_server,
};
use rand::TryRng as _;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::world::{Device, Server, World, journal, texts};

const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;
const NOTE: &str = "01a1fc03-4a9f-7522-888f-27f45f27270e";

/// The engine itself, under a clock of our choosing, over a real socket.
struct Skewed {
    engine: Engine,
    skew_ms: i64,
    started: Instant,
    socket: Option<(u64, WebSocket<TcpStream>)>,
}

fn entropy(bytes: &mut [u8]) {
    rand::rngs::SysRng.try_fill_bytes(bytes).unwrap();
}

fn insert(title: &str) -> String {
    format!("INSERT INTO notes (id, owner, title) VALUES ('{NOTE}', 'ada', '{title}')")
}

impl Skewed {
    fn open(world: &World, skew_ms: i64) -> Self {
        let text = std::fs::read_to_string(journal()).unwrap();
        let schema = Schema::parse("landfall.toml", &text).unwrap_or_else(|e| panic!("{}", e.render(&text, false)));
        let started = Instant::now();
        let place = Location::Path(world.path(&format!("skewed {skew_ms}")));
        let now = moment(started, skew_ms);
        let engine = Engine::open(&place, schema, Options::default(), now, &mut entropy).unwrap();
        Self { engine, skew_ms, started, socket: None }
    }

    fn now(&self) -> Moment {
        moment(self.started, self.skew_ms)
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        self.engine.handle(input, now, &mut entropy);
    }

    /// Writes, this long ago.
    fn write(&mut self, title: &str, ago_ms: u64) {
        let mut now = self.now();
        now.wall_ms -= ago_ms;
        self.engine.write(now, &mut entropy, |tx| tx.execute(&insert(title), &[])).unwrap();
    }

    /// Connects, and carries messages until nothing is pending.
    fn push(&mut self, server: &Server) {
        self.input(Input::SetToken { token: Some("dev:ada".to_owned()) });
        self.input(Input::SetOnline { online: true });
        loop {
            while let Some(effect) = self.engine.poll_effect() {
                self.carry_out(effect, server);
            }
            let status = self.engine.status();
            if self.socket.is_some() && status.pending == 0 {
                assert_eq!(status.dead, 0, "nothing is refused for a clock");
                return;
            }
            let (connection, socket) = self.socket.as_mut().expect("connected");
            let connection = *connection;
            if let Message::Binary(bytes) = socket.read().unwrap() {
                let message = decode_server(&Frame::Binary(bytes.to_vec())).unwrap();
                self.input(Input::Frame { connection, message });
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, server: &Server) {
        match effect {
            Effect::Connect { connection } => {
                let stream = TcpStream::connect(&server.address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                let (socket, _) = tungstenite::client(format!("ws://{}/v1/sync", server.address), stream).unwrap();
                self.socket = Some((connection, socket));
                self.input(Input::Connected { connection });
            }
            Effect::Send { message, .. } => {
                let Frame::Binary(bytes) = encode_client(&message, Form::Binary) else { panic!("asked for bytes") };
                self.socket.as_mut().unwrap().1.send(Message::Binary(bytes.into())).unwrap();
            }
            _ => {}
        }
    }
}

fn moment(started: Instant, skew_ms: i64) -> Moment {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Moment { wall_ms: wall.checked_add_signed(skew_ms).unwrap(), mono_ms: started.elapsed().as_millis() as u64 }
}

#[test]
fn a_clock_ten_years_off_neither_wins_every_merge_nor_loses_it() {
    for skew_ms in [TEN_YEARS_MS, -TEN_YEARS_MS] {
        for skewed_is_later in [false, true] {
            let world = World::new();
            let server = world.server();
            let (mut skewed, mut right) = (Skewed::open(&world, skew_ms), Skewed::open(&world, 0));
            // Far enough apart for any machine that runs this.
            let (early, late) = (3_600_000, 0);
            let (of_skewed, of_right) = if skewed_is_later { (late, early) } else { (early, late) };
            skewed.write("of the skewed", of_skewed);
            right.write("of the right", of_right);
            skewed.push(&server);
            right.push(&server);
            let off_by = skewed.engine.status().clock_off_by_ms.unwrap();
            assert!((off_by - skew_ms).abs() < 3_600_000, "it is told: {off_by}");
            assert_eq!(right.engine.status().clock_off_by_ms, None);

            let device = world.device("laptop", &server);
            device.online(&[".open my_notes", ".sync"]).ok();
            let wanted = if skewed_is_later { "of the skewed" } else { "of the right" };
            let titles = texts(&device.rows("SELECT title FROM notes"), "title");
            assert_eq!(titles, [wanted], "the later of the two, with the clock off by {skew_ms} ms");
        }
    }
}

/// A server that only greets, under a clock of our choosing.
fn greeter(clock_ms: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut socket = tungstenite::accept(stream.unwrap()).unwrap();
            let hello = socket.read().unwrap();
            assert!(hello.is_binary());
            let welcome = ServerMessage::Welcome(Welcome {
                version: landfall_protocol::VERSION,
                epoch: Epoch([1; 16]),
                head: 0,
                start: 0,
                chain: 0,
                resumption: Resumption::Fresh,
                last_rseq: 0,
                clock_ms,
                token_expires_in_ms: None,
                subject: "ada".into(),
                schema_version: 1,
                limits: Limits { frame_bytes: 1 << 20, push_entries: 10, window_bytes: 1 << 20, subscriptions: 10 },
                accepted: Vec::new(),
            });
            let Frame::Binary(bytes) = encode_server(&welcome, Form::Binary) else { panic!("asked for bytes") };
            socket.send(Message::Binary(bytes.into())).unwrap();
            // Until the device leaves.
            while socket.read().is_ok() {}
        }
    });
    format!("http://{address}")
}

#[test]
fn a_person_is_told_once_that_the_clock_is_years_off() {
    let world = World::new();
    let server = world.server();
    let now = moment(Instant::now(), 0).wall_ms;
    let wrong = greeter(now - TEN_YEARS_MS as u64);
    let device = Device { server: Some(wrong), ..world.device("laptop", &server) };
    let ran = device.run(&[], &[".sync", ".offline", ".online", ".sync", ".status"]);
    assert_eq!(ran.err.matches("[LF-5922]").count(), 1, "{ran:?}");
    assert!(ran.ok().contains("clock         this device's clock is 10 years ahead of the server's"));

    let right = Device { server: Some(greeter(now)), ..world.device("phone", &server) };
    let ran = right.run(&[], &[".sync", ".status"]);
    assert!(!ran.err.contains("LF-5922") && !ran.ok().contains("clock"), "a clock that is right is not worth a word");
}
