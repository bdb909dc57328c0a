//! The server on real sockets, as a device sees it. Rule numbers are those of docs/protocol.md.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::time::Duration;

use common::{Device, PATIENCE, Running};
use futures_util::SinkExt;
use landfall_core::Value;
use landfall_protocol::codec::sealed;
use landfall_protocol::digest::Narrowed;
use landfall_protocol::{ClientMessage, Form, Hello, Resumption, ServerMessage, Start};
use landfall_server::http::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// H1, H2, H3, C3, C4, L2: a first load, then the live stream.
#[tokio::test]
async fn a_write_of_one_device_reaches_another_that_loaded_before() {
    let server = Running::start().await;
    let mut writer = server.device(1).await;
    let welcome = writer.greet(None).await;
    assert_eq!((welcome.head, welcome.resumption), (0, Resumption::Fresh));
    let first: Vec<_> = (0..5).map(|n| writer.note("sea", &format!("note {n}"))).collect();
    writer.push(1, first).await;
    assert_eq!(writer.accepted(1).await.len(), 5);

    let mut reader = server.device(2).await;
    let welcome = reader.greet(None).await;
    let opening = reader.open(1, "all", &[]).await;
    assert_eq!(reader.load(server.address, &opening).await, 5);
    reader.applied(welcome.start).await;

    let later = writer.note("sea", "one more");
    writer.push(2, vec![later]).await;
    let seq = writer.accepted(2).await[0];
    let (changes, _) = reader.live_until(welcome.epoch, seq).await;
    assert_eq!(changes, 1);
}

#[tokio::test]
async fn a_writer_without_shapes_is_told_soon_that_its_write_is_passed() {
    // L3: a progress mark follows an acknowledged transaction at once; nobody waits for a timer here.
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start_with(dir, |rules| rules.patience.mark_ms = 3_600_000).await;
    let mut device = server.device(1).await;
    let welcome = device.greet(None).await;
    device.applied(welcome.start).await;
    let note = device.note("sea", "x");
    device.push(1, vec![note]).await;
    let seq = device.accepted(1).await[0];
    let (changes, cursor) = device.live_until(welcome.epoch, seq).await;
    assert_eq!((changes, cursor.seq), (0, seq));
}

/// S4, S5, H3, L2: nothing twice, nothing left out.
#[tokio::test]
async fn a_device_that_comes_back_continues_from_its_cursor() {
    let server = Running::start().await;
    let mut writer = server.device(1).await;
    let welcome = writer.greet(None).await;
    let mut reader = server.device(2).await;
    reader.greet(None).await;
    let opening = reader.open(1, "topic", &[("topic", "sea")]).await;
    reader.load(server.address, &opening).await;
    reader.applied(0).await;
    let note = writer.note("sea", "seen");
    writer.push(1, vec![note]).await;
    let seq = writer.accepted(1).await[0];
    let (_, cursor) = reader.live_until(welcome.epoch, seq).await;
    drop(reader);

    let missed: Vec<_> = (0..3).map(|n| writer.note(if n == 1 { "land" } else { "sea" }, "missed")).collect();
    writer.push(2, missed).await;
    let last = *writer.accepted(2).await.last().unwrap();

    let mut reader = server.device(2).await;
    let welcome = reader.greet(Some(cursor)).await;
    assert_eq!((welcome.resumption, welcome.start), (Resumption::Continue, cursor.seq));
    let held = vec![landfall_protocol::client::Held { bucket: opening.bucket, at: cursor.seq }];
    let params = [("topic".to_owned(), landfall_core::Value::Text("sea".into()))].into();
    reader.send(&ClientMessage::Open { id: 1, shape: "topic".into(), params, held }).await;
    let start = reader
        .until(|message| match message {
            ServerMessage::Opened { buckets, .. } => Some(buckets[0].start.clone()),
            _ => None,
        })
        .await;
    assert_eq!(start, Start::Live);
    reader.applied(cursor.seq).await;
    let (changes, _) = reader.live_until(welcome.epoch, last).await;
    assert_eq!(changes, 2, "only the notes of its topic");
}

/// S1, S2, E1, E2.
#[tokio::test]
async fn another_version_gets_upgrade_needed_and_garbage_gets_a_code() {
    let server = Running::start().await;
    let mut old = server.device(1).await;
    old.send(&ClientMessage::Hello(Hello { min_version: 90, max_version: 99, ..old.hello() })).await;
    assert_eq!(old.fatal().await, "LF-4001", "rule S2");

    let mut garbage = server.device(1).await;
    garbage.socket.send(Message::Binary(sealed(b"\x00not a message".to_vec()).into())).await.unwrap();
    assert_eq!(garbage.fatal().await, "LF-4001", "rule S1");

    let mut damaged = server.device(1).await;
    damaged.socket.send(Message::Binary(b"\x00not a message".as_slice().into())).await.unwrap();
    assert_eq!(damaged.fatal().await, "LF-4002", "rules S1, T2");

    let mut late = server.device(1).await;
    late.greet(None).await;
    late.socket.send(Message::Binary(sealed(b"\x07".to_vec()).into())).await.unwrap();
    assert_eq!(late.fatal().await, "LF-4002", "rule E2");

    let mut impatient = server.device(1).await;
    impatient.send(&ClientMessage::Ping { clock_ms: 0 }).await;
    assert_eq!(impatient.fatal().await, "LF-4005", "rule S1");
}

/// S3.
#[tokio::test]
async fn wrong_apps_tokens_and_owners_are_refused() {
    let server = Running::start().await;
    let mut device = server.device(1).await;
    device.send(&ClientMessage::Hello(Hello { app: "other".into(), ..device.hello() })).await;
    assert_eq!(device.fatal().await, "LF-4008");
    let mut device = server.device(1).await;
    device.send(&ClientMessage::Hello(Hello { token: None, ..device.hello() })).await;
    assert_eq!(device.fatal().await, "LF-4004");

    let mut owner = server.device(7).await;
    owner.greet(None).await;
    let note = owner.note("sea", "mine");
    owner.push(1, vec![note]).await;
    owner.accepted(1).await;
    let mut thief = server.device(7).await;
    thief.send(&ClientMessage::Hello(Hello { token: Some("dev:eve".into()), ..thief.hello() })).await;
    assert_eq!(thief.fatal().await, "LF-4013");
}

/// T3, E2.
#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_session_with_a_code() {
    let server = Running::start_with(tempfile::tempdir().unwrap(), |rules| rules.limits.frame_bytes = 4096).await;
    let mut device = server.device(1).await;
    device.greet(None).await;
    device.socket.send(Message::Binary(vec![0u8; 8192].into())).await.unwrap();
    assert_eq!(device.fatal().await, "LF-4003");
}

/// T1.
#[tokio::test]
async fn json_is_answered_with_json() {
    let server = Running::start().await;
    let mut device = Device::connect(server.address, 1, Form::Json).await;
    let welcome = device.greet(None).await;
    device.applied(welcome.start).await;
    let opening = device.open(1, "all", &[]).await;
    device.load(server.address, &opening).await;
    let note = device.note("sea", "as text");
    device.push(1, vec![note]).await;
    let seq = device.accepted(1).await[0];
    let (changes, _) = device.live_until(welcome.epoch, seq).await;
    assert_eq!(changes, 1);
}

/// L8, L2.
#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_nobody_up_and_resumes_from_its_cursor() {
    let server = Running::start_with(tempfile::tempdir().unwrap(), |rules| rules.limits.window_bytes = 64 << 10).await;
    let mut writer = server.device(1).await;
    let welcome = writer.greet(None).await;
    let mut slow = server.device(2).await;
    let mut quick = server.device(3).await;
    for device in [&mut slow, &mut quick] {
        device.greet(None).await;
        let opening = device.open(1, "all", &[]).await;
        device.load(server.address, &opening).await;
        device.applied(0).await;
    }
    let body = "x".repeat(8 << 10);
    let mut last = 0;
    let mut seen = 0;
    for id in 1..=40 {
        let notes: Vec<_> = (0..8).map(|_| writer.note("sea", &body)).collect();
        writer.push(id, notes).await;
        last = *writer.accepted(id).await.last().unwrap();
        // The quick one follows each write while the slow one says nothing at all.
        let (changes, cursor) = quick.live_until(welcome.epoch, last).await;
        seen += changes;
        quick.applied(cursor.seq).await;
    }
    assert_eq!(seen, 320);
    // What was sent to the slow one is bounded by the window, and what it has not taken is not lost.
    let (got, cursor) = slow.live_until(welcome.epoch, 1).await;
    assert!(got < 320, "at most about a window is under way");
    slow.applied(cursor.seq).await;
    let mut total = got;
    let mut at = cursor.seq;
    while at < last {
        let (changes, cursor) = slow.live_until(welcome.epoch, at + 1).await;
        total += changes;
        at = cursor.seq;
        slow.applied(at).await;
    }
    assert_eq!(total, 320);
}

/// S10, P2.
#[tokio::test]
async fn a_shutdown_answers_what_it_took_and_keeps_it() {
    let mut server = Running::start().await;
    let mut device = server.device(1).await;
    device.greet(None).await;
    let notes: Vec<_> = (0..50).map(|n| device.note("sea", &format!("{n}"))).collect();
    device.push(1, notes).await;
    let seqs = device.accepted(1).await;
    server.tell_to_stop();
    assert_eq!(device.fatal().await, "LF-4010", "rule S10");
    let dir = server.ended().await;

    let server = Running::start_with(dir, |_| {}).await;
    let mut device = server.device(2).await;
    let welcome = device.greet(None).await;
    assert_eq!(welcome.head, *seqs.last().unwrap());
}

/// A server that is put back to yesterday's copy meets a device that was there this morning.
#[tokio::test]
async fn a_cursor_that_a_restored_server_has_lost_starts_a_new_epoch() {
    let mut server = Running::start().await;
    let mut device = server.device(2).await;
    device.greet(None).await;
    server.tell_to_stop();
    let dir = server.ended().await;
    let (file, copy) = (dir.path().join("landfall.db"), dir.path().join("copy.db"));
    std::fs::copy(&file, &copy).unwrap();

    let mut server = Running::start_with(dir, |_| {}).await;
    let mut device = server.device(2).await;
    device.greet(None).await;
    let lost = device.note("sea", "written after the copy was made");
    device.push(1, vec![lost]).await;
    device.accepted(1).await;
    let mut device = server.device(2).await;
    let welcome = device.greet(None).await;
    let ahead = landfall_protocol::Cursor { epoch: welcome.epoch, seq: welcome.start, chain: welcome.chain };
    server.tell_to_stop();
    let dir = server.ended().await;
    std::fs::copy(&copy, &file).unwrap();

    let server = Running::start_with(dir, |_| {}).await;
    let mut other = server.device(1).await;
    assert_eq!(other.greet(None).await.epoch, welcome.epoch);
    let mut device = server.device(2).await;
    let renewed = device.greet(Some(ahead)).await;
    assert_eq!(renewed.resumption, Resumption::NewEpoch, "rule S5");
    assert_ne!(renewed.epoch, welcome.epoch);
    assert_eq!(other.fatal().await, "LF-4010", "rule S5");
    let mut again = server.device(2).await;
    assert_eq!(again.greet(Some(ahead)).await.resumption, Resumption::NewEpoch);
}

/// H5, E1.
#[tokio::test]
async fn mistakes_in_opening_a_shape_name_what_would_be_right() {
    let server = Running::start().await;
    let mut device = server.device(1).await;
    device.greet(None).await;
    let long = vec![("topic".to_owned(), Value::Text("x".repeat(2_000)))];
    for (shape, params, code) in
        [("nothing", vec![], "LF-4006"), ("topic", vec![], "LF-4007"), ("topic", long, "LF-4007")]
    {
        let params = params.into_iter().collect();
        device.send(&ClientMessage::Open { id: 9, shape: shape.into(), params, held: vec![] }).await;
        let told = device
            .until(|message| match message {
                ServerMessage::Error { code, fatal: false, about: Some(9), .. } => Some(code.to_string()),
                _ => None,
            })
            .await;
        assert_eq!(told, code, "rule H5");
    }
    // The session goes on.
    device.open(9, "all", &[]).await;
}

/// T6, C1, C2, C5.
#[tokio::test]
async fn chunks_are_capabilities_with_tags_and_ranges() {
    let server = Running::start().await;
    let mut device = server.device(1).await;
    device.greet(None).await;
    let notes: Vec<_> = (0..200).map(|n| device.note("sea", &format!("note number {n}"))).collect();
    device.push(1, notes).await;
    device.accepted(1).await;
    let opening = device.open(1, "all", &[]).await;
    let Start::Load { first, .. } = opening.start else { panic!("to be loaded") };
    let http = reqwest::Client::new();
    let whole = http.get(server.url(&first)).send().await.unwrap();
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert!(whole.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let body = whole.bytes().await.unwrap();

    let rest =
        http.get(server.url(&first)).header("range", "bytes=100-").header("if-range", &tag).send().await.unwrap();
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.bytes().await.unwrap(), body.slice(100..));
    let other =
        http.get(server.url(&first)).header("range", "bytes=100-").header("if-range", "\"x\"").send().await.unwrap();
    assert_eq!((other.status().as_u16(), other.bytes().await.unwrap()), (200, body.clone()));
    let same = http.get(server.url(&first)).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(same.status(), 304);
    let head = http.head(server.url(&first)).send().await.unwrap();
    assert_eq!(head.headers()["content-length"].to_str().unwrap(), body.len().to_string());
    let json = http.get(server.url(&first)).header("accept", "application/json").send().await.unwrap();
    assert_eq!(json.json::<landfall_protocol::Chunk>().await.unwrap().rows.len(), 200);

    // C6: what narrows an address down travels as its query.
    let digests = http.get(server.url(&format!("{first}?digests"))).header("accept", "application/json");
    let digests = digests.send().await.unwrap().json::<landfall_protocol::Chunk>().await.unwrap();
    let runs = digests.digests.unwrap().runs;
    assert_eq!((digests.rows.len(), runs.iter().map(|run| run.rows).sum::<u32>()), (0, 200));
    let part = Narrowed { after: None, until: runs[0].to.clone(), digests: false }.of(&first);
    let part = http.get(server.url(&part)).header("accept", "application/json").send().await.unwrap();
    assert_eq!(part.json::<landfall_protocol::Chunk>().await.unwrap().rows.len(), runs[0].rows as usize);
    assert_eq!(http.get(server.url(&format!("{first}?until=x"))).send().await.unwrap().status(), 404);

    let mut forged = first.clone();
    forged.replace_range(first.len() - 1.., if first.ends_with('A') { "B" } else { "A" });
    let refused = http.get(server.url(&forged)).send().await.unwrap();
    assert_eq!(refused.status(), 404, "rule C5");
    assert!(refused.text().await.unwrap().contains("LF-4012"));
}

#[tokio::test]
async fn addresses_that_are_none_say_so_with_a_code() {
    let server = Running::start().await;
    let http = reqwest::Client::new();
    let cases = [
        (http.get(server.url("/v2/else")), 404, "LF-6106"),
        (http.post(server.url("/health")), 405, "LF-6106"),
        (http.delete(server.url("/v1/chunks/abc")), 405, "LF-6106"),
        (http.get(server.url("/v1/chunks/%ff")), 404, "LF-4012"),
        (http.get(server.url("/v1/sync")), 400, "LF-6107"),
    ];
    for (request, status, code) in cases {
        let answer = request.send().await.unwrap();
        let (found, address) = (answer.status(), answer.url().clone());
        let text = answer.text().await.unwrap();
        assert!(found == status && text.contains(code), "{address}: {found} {text}");
    }
}

#[tokio::test]
async fn health_and_metrics_tell_the_operator() {
    let server = Running::start().await;
    let mut device = server.device(1).await;
    device.greet(None).await;
    device.open(1, "all", &[]).await;
    let note = device.note("sea", "secret text");
    device.push(1, vec![note]).await;
    device.accepted(1).await;
    // Answers are given before the head moves.
    let head = async || {
        let health: serde_json::Value = reqwest::get(server.url("/health")).await.unwrap().json().await.unwrap();
        assert_eq!(health["status"].as_str(), Some("ok"));
        health["head"].as_u64()
    };
    while head().await != Some(1) {}
    let head = reqwest::Client::new().head(server.url("/health")).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let metrics = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
    for line in [
        "landfall_sessions 1",
        "landfall_entries_total{outcome=\"accepted\"} 1",
        "landfall_head 1",
        "landfall_commit_seconds_count 1",
        "landfall_fsync_seconds_count 1",
        "landfall_buckets 1",
        "landfall_group_entries_count 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
    }
    assert!(!metrics.contains("secret text"));
}

/// A peer that never ends its request is let go. What takes long for other reasons is not.
#[tokio::test]
async fn only_the_head_of_a_request_is_timed() {
    let how = Options { request_head: Duration::from_millis(200), ..Options::default() };
    let server = Running::start_as(tempfile::tempdir().unwrap(), |_| {}, how).await;
    let connect = async |request: &str| {
        // Small buffers, so that a long answer does not fit in them.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let rest = async |stream: &mut TcpStream| {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        let _ = read.expect("the server ends the connection");
        bytes
    };
    let mut device = server.device(1).await;
    device.greet(None).await;
    // Text that does not become shorter when it is compressed.
    let noise = |n: u32| (0..40).map(|i| blake3::hash(&[n, i].map(u32::to_le_bytes).concat()).to_string()).collect();
    let notes: Vec<_> = (0..200).map(|n| device.note("sea", &String::from_iter::<Vec<_>>(noise(n)))).collect();
    device.push(1, notes).await;
    device.accepted(1).await;
    let opening = device.open(1, "all", &[]).await;
    let Start::Load { first, .. } = opening.start else { panic!("to be loaded") };

    let mut long = connect(&format!("GET {first} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    assert_eq!(long.read_u8().await.unwrap(), b'H', "the answer has begun");
    let mut idle = connect("HEAD /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (mut silent, mut half) = (connect("").await, connect("GET /health HTTP/1.1\r\nhost: a\r\nx: ").await);
    assert!(rest(&mut silent).await.is_empty() && rest(&mut half).await.is_empty());
    assert!(rest(&mut idle).await.starts_with(b"HTTP/1.1 200 OK"), "answered, then idle for too long");

    // All this took longer than a head may take.
    let note = device.note("sea", "still here");
    device.push(2, vec![note]).await;
    device.accepted(2).await;
    let answer = rest(&mut long).await;
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let lines = String::from_utf8(answer[..head].to_vec()).unwrap();
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!((answer.len() - head).to_string(), length, "the answer is whole");
    assert!(answer.len() > 300_000, "{length} bytes would fit in buffers");
}
