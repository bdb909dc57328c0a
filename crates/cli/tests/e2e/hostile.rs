//! Messages that were cut, changed or invented on their way: the session ends with a code, the server goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use landfall_core::ReplicaId;
use landfall_protocol::codec::sealed;
use landfall_protocol::{
    ClientMessage, Form, Frame, Hello, ServerMessage, decode_client, decode_server, encode_client,
};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::turned::{Towards, Way};
use crate::world::{Device, Server, World, texts};

fn connect(server: &Server) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    tungstenite::client(format!("ws://{}/v1/sync", server.address), stream).unwrap().0
}

fn hello(replica: u8) -> Vec<u8> {
    let hello = Hello {
        min_version: 1,
        max_version: landfall_protocol::VERSION,
        token: Some("dev:ada".into()),
        replica: ReplicaId([replica; 16]),
        app: "journal".into(),
        schema_version: 1,
        last_rseq: 0,
        floor: 0,
        cursor: None,
        clock_ms: 1_795_000_000_000,
        agent: "test".into(),
        sent: Vec::new(),
    };
    binary(&ClientMessage::Hello(hello))
}

fn binary(message: &ClientMessage) -> Vec<u8> {
    match encode_client(message, Form::Binary) {
        Frame::Binary(bytes) => bytes,
        Frame::Text(text) => panic!("asked for bytes: {text}"),
    }
}

/// The next message, or `None` when the server has closed the connection.
fn answer(socket: &mut WebSocket<TcpStream>) -> Option<ServerMessage> {
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => return Some(decode_server(&Frame::Binary(bytes.to_vec())).unwrap()),
            Ok(Message::Text(text)) => return Some(decode_server(&Frame::Text(text.as_str().to_owned())).unwrap()),
            Ok(Message::Close(_)) => {}
            Ok(_) => {}
            Err(tungstenite::Error::Io(problem)) if problem.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither an answer nor an end")
            }
            Err(_) => return None,
        }
    }
}

/// The code of the error that ends the session.
fn end(socket: &mut WebSocket<TcpStream>) -> Option<String> {
    let mut last = None;
    while let Some(message) = answer(socket) {
        if let ServerMessage::Error { code, fatal: true, message, .. } = message {
            assert!(!message.is_empty() && !message.contains("panicked"), "{message}");
            last = Some(code.to_string());
        }
    }
    last
}

#[test]
fn cut_and_changed_messages_end_the_session_with_a_code_and_the_server_goes_on() {
    let world = World::new();
    let mut server = world.server();
    let device = world.device("laptop", &server);
    device.online(&[".open my_notes", "INSERT INTO notes (owner, title) VALUES ('ada', 'kept')", ".sync"]).ok();

    let whole = hello(9);
    for length in (0..whole.len()).step_by(5) {
        let mut socket = connect(&server);
        socket.send(Message::Binary(whole[..length].to_vec().into())).unwrap();
        assert_eq!(end(&mut socket).as_deref(), Some("LF-4002"), "cut to {length} of {}", whole.len());
    }
    for bit in (0..whole.len() * 8).step_by(3) {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut socket = connect(&server);
        socket.send(Message::Binary(changed.into())).unwrap();
        assert_eq!(end(&mut socket).as_deref(), Some("LF-4002"), "bit {bit}");
    }

    // In the middle of a session: anything may follow a greeting.
    let nonsense: [Message; 6] = [
        Message::Binary(vec![0xFF; 64].into()),
        Message::Binary(vec![0x9F; 5_000].into()),
        Message::Binary(sealed(vec![0x9F; 5_000]).into()),
        Message::Text("{\"type\":\"pu".into()),
        Message::Text("null".into()),
        Message::Binary(whole.clone().into()),
    ];
    for message in nonsense {
        let mut socket = connect(&server);
        socket.send(Message::Binary(hello(10).into())).unwrap();
        assert!(matches!(answer(&mut socket), Some(ServerMessage::Welcome(_))));
        socket.send(message).unwrap();
        let code = end(&mut socket).expect("a reason");
        assert!(["LF-4002", "LF-4005"].contains(&code.as_str()), "{code}");
    }

    device.online(&["INSERT INTO notes (owner, title) VALUES ('ada', 'later')", ".sync"]).ok();
    assert_eq!(texts(&device.rows("SELECT title FROM notes ORDER BY title"), "title"), ["kept", "later"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.rows::<String>("SELECT title FROM notes ORDER BY title"), ["kept", "later"]);
}

fn read_client(bytes: &[u8]) -> Option<ClientMessage> {
    decode_client(&Frame::Binary(bytes.to_vec())).ok()
}

fn read_server(bytes: &[u8]) -> Option<ServerMessage> {
    decode_server(&Frame::Binary(bytes.to_vec())).ok()
}

/// Mostly this text, so that the middle of any message about it is within.
fn insert_body(body: &str) -> String {
    format!("INSERT INTO notes (owner, title, body) VALUES ('ada', 'ferry', '{body}')")
}

fn bodies(device: &Device) -> Vec<String> {
    texts(&device.rows("SELECT body FROM notes"), "body")
}

/// T2, E2: what a push carries is stored as it was written, or not at all.
#[test]
fn a_push_of_which_a_bit_is_turned_over_is_refused_and_comes_again_unaltered() {
    let world = World::new();
    let mut server = world.server();
    let is_push = |towards, bytes: &[u8]| {
        towards == Towards::Server && matches!(read_client(bytes), Some(ClientMessage::Push { .. }))
    };
    let way = Way::to(&server.address, is_push);
    let laptop = Device { server: Some(format!("http://{}", way.address)), ..world.device("laptop", &server) };
    let body = "a".repeat(200);
    laptop.online(&[".open my_notes", &insert_body(&body), ".sync"]).ok();

    assert_eq!(way.turned(), 1);
    let ended = way.messages(Towards::Device).iter().any(|bytes| match read_server(bytes) {
        Some(ServerMessage::Error { code, fatal, message, .. }) => {
            assert_eq!(code.as_str(), "LF-4002");
            assert!(message.contains("changed on its way") && message.contains("TLS"), "{message}");
            fatal
        }
        _ => false,
    });
    assert!(ended, "the device was told why");
    assert!(laptop.rows(".outbox").is_empty());
    assert_eq!(bodies(&laptop), [body.as_str()]);
    let phone = world.device("phone", &server);
    phone.online(&[".open my_notes", ".sync"]).ok();
    assert_eq!(bodies(&phone), [body.as_str()]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.rows::<String>("SELECT body FROM notes"), [body]);
}

/// T2, E2: what others wrote is shown as they wrote it.
#[test]
fn a_live_message_of_which_a_bit_is_turned_over_is_not_believed_and_comes_again() {
    let world = World::new();
    let server = world.server();
    let has_changes = |towards, bytes: &[u8]| {
        let changes = |message| matches!(message, ServerMessage::Live { buckets, .. } if !buckets.is_empty());
        towards == Towards::Device && read_server(bytes).is_some_and(changes)
    };
    let way = Way::to(&server.address, has_changes);
    let phone = Device { server: Some(format!("http://{}", way.address)), ..world.device("phone", &server) };
    let mut talk = phone.talk(&["--open", "my_notes"]);
    talk.say(".sync");
    talk.until(|line| line == "synced");
    talk.say(".watch SELECT body FROM notes");

    let laptop = world.device("laptop", &server);
    let body = "a".repeat(200);
    laptop.online(&[".open my_notes", &insert_body(&body), ".sync"]).ok();
    talk.until(|line| {
        assert!(!line.contains("a`a"), "an altered text is shown: {line}");
        line.contains(&body)
    });
    talk.bye();

    assert_eq!(way.turned(), 1);
    let greetings =
        way.messages(Towards::Server).iter().filter_map(|bytes| read_client(bytes)).filter(is_hello).count();
    assert!(greetings >= 2, "the session ended, and the next one brought it again");
    assert_eq!(bodies(&phone), [body.as_str()]);
    assert_eq!(bodies(&laptop), [body]);
}

fn is_hello(message: &ClientMessage) -> bool {
    matches!(message, ClientMessage::Hello(_))
}

#[test]
fn a_message_that_claims_a_gibibyte_costs_nothing() {
    let world = World::new();
    let server = world.server();
    let before = server.memory();
    for claimed in [1_u64 << 30, 1 << 40, u64::MAX >> 1] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let host = &server.address;
        write!(
            stream,
            "GET /v1/sync HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP");
        let mut frame = vec![0x82, 0xFF];
        frame.extend(claimed.to_be_bytes());
        frame.extend([0, 0, 0, 0]);
        frame.extend([0xA1; 100]);
        stream.write_all(&frame).unwrap();
        let mut rest = Vec::new();
        // The server ends the connection; a reset is an end too.
        let _ = stream.read_to_end(&mut rest);
        let said = String::from_utf8_lossy(&rest).into_owned();
        assert!(said.contains("LF-4003") || claimed > 1 << 30, "{said}");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
    let device = world.device("laptop", &server);
    device.online(&[".open my_notes", ".sync"]).ok();
}
