//! Hostile input (T3, E2): a decoder never panics and never allocates more than the input justifies.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;
#[path = "../../../fuzz/bodies/protocol.rs"]
mod fuzz;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use landfall_protocol::codec::{CodecError, MAX_FRAME_BYTES, decode_binary, encode_binary, sealed};
use landfall_protocol::{
    ChangeList, Chunk, Form, Frame, OLDEST_VERSION, VERSION, decode_client, decode_server, encode_client,
    encode_server, negotiate,
};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Memory is counted for the whole process, so the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decoded values are larger than their bytes by a bounded factor: a one-byte null becomes a 32-byte value, an empty
/// transaction of 20 bytes a struct of 150.
const FACTOR: usize = 80;
const SLACK: usize = 256 << 10;

fn decode_everything(bytes: &[u8]) {
    // As they came, and as somebody means it who adds a check sum.
    for frame in [bytes.to_vec(), sealed(bytes.to_vec())] {
        let _ = decode_binary::<Chunk>(&frame);
        let frame = Frame::Binary(frame);
        let _ = decode_client(&frame);
        let _ = decode_server(&frame);
    }
    let _ = ChangeList::from_run(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = decode_client(&Frame::Text(text.to_owned()));
        let _ = decode_server(&Frame::Text(text.to_owned()));
    }
}

/// What the fuzz targets do.
fn as_fuzzed(bytes: &[u8]) {
    for body in [fuzz::chunk, fuzz::client_message, fuzz::server_message, fuzz::changes, fuzz::json] {
        body(bytes);
    }
}

/// Decodes and says by how many bytes memory peaked above where it stood.
fn peak_of(bytes: &[u8]) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    decode_everything(bytes);
    ALLOCATOR.peak_usage().saturating_sub(before)
}

fn frames() -> Vec<Vec<u8>> {
    let bytes = |frame| match frame {
        Frame::Binary(bytes) => bytes,
        Frame::Text(text) => text.into_bytes(),
    };
    let mut out = vec![encode_binary(&common::chunk()), encode_binary(&common::digests())];
    for form in [Form::Binary, Form::Json] {
        out.extend(common::client_messages().iter().map(|(_, m)| bytes(encode_client(m, form))));
        out.extend(common::server_messages().iter().map(|(_, m)| bytes(encode_server(m, form))));
    }
    out
}

/// A folder of the tests, by name.
fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// What the golden vectors put into the corpus: each as it is, cut short, and in JSON.
fn of_golden() -> BTreeMap<String, Vec<u8>> {
    let mut corpus = BTreeMap::new();
    for (file, content) in files("golden") {
        if let Some(name) = file.strip_suffix(".hex") {
            let bytes = common::unhex(std::str::from_utf8(&content).unwrap());
            corpus.insert(format!("{name}-cut.bin"), bytes[..bytes.len() * 2 / 3].to_vec());
            corpus.insert(format!("{name}.bin"), bytes);
        } else {
            corpus.insert(file, content);
        }
    }
    let run = common::changes().to_run();
    corpus.insert("changes-cut.bin".to_owned(), run[..run.len() * 2 / 3].to_vec());
    corpus.insert("changes.bin".to_owned(), run);
    corpus
}

/// `LANDFALL_BLESS=1 cargo test -p landfall-protocol --test hostile` writes the files anew. What is called `found-…` once
/// broke a decoder, and stays.
#[test]
fn the_fuzz_corpus_holds_every_golden_vector_and_is_survived() {
    let _turn = turn();
    let due = of_golden();
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        for (name, bytes) in &due {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let corpus = files("corpus");
    for bytes in corpus.values() {
        decode_everything(bytes);
        as_fuzzed(bytes);
    }
    let (found, derived): (BTreeMap<_, _>, BTreeMap<_, _>) =
        corpus.into_iter().partition(|(name, _)| name.starts_with("found-"));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&derived), names(&due), "see the head of this test; kept besides: {:?}", names(&found));
    assert_eq!(derived, due, "a vector has changed; see the head of this test");
}

/// So that what a body holds of a message that it can read is put to the test, and not only that it survives.
#[test]
fn the_fuzz_bodies_read_what_is_whole() {
    let json = |name: &str| files("golden").remove(name).unwrap();
    assert!(fuzz::reads_json(&json("client-push.json")) && fuzz::reads_json(&json("server-live.json")));
    assert!(!fuzz::reads_json(b"{\"type\":\"nonsense\"}"));
    let due = of_golden();
    assert!(ChangeList::from_run(&due["changes.bin"]).is_ok_and(|changes| changes == common::changes()));
    assert!(ChangeList::from_run(&due["changes-cut.bin"]).is_err());
}

#[test]
fn lies_about_lengths_cost_nothing() {
    let _turn = turn();
    let lies: &[&[u8]] = &[
        b"\x00\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x82\x01\x84\x01\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x00\x82\x03\x84\x01\x01\x80\x9a\xff\xff\xff\xff",
        b"\x00\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x01\xff\xff\xff\x7f\x00\x00\x00",
        b"\x01\x00\x00\x80\x01\x1f\x00\x01\x00\xff\xff\xff",
        b"\x00\x84\x03\x18\x2c\x83\x1a\xff\xff\xff\xff\x9a\xff\xff\xff\xff",
    ];
    for lie in lies {
        assert!(peak_of(lie) <= SLACK, "{lie:02x?} cost {} bytes", peak_of(lie));
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let _turn = turn();
    let mut deep = vec![0u8];
    deep.extend(std::iter::repeat_n(0x81, 1 << 20));
    decode_everything(&deep);
    decode_everything("[".repeat(1 << 20).as_bytes());
    decode_everything(format!("{{\"type\":\"push\",\"x\":{}", "[".repeat(1 << 18)).as_bytes());
}

#[test]
fn frames_beyond_the_limit_are_refused() {
    let _turn = turn();
    let frame = sealed(vec![0; MAX_FRAME_BYTES + 2]);
    assert!(matches!(decode_client(&Frame::Binary(frame)), Err(CodecError::TooLarge)));
}

/// T4: a newer peer adds fields; this build reads what it knows.
/// T4.
#[test]
fn unknown_fields_are_ignored() {
    let _turn = turn();
    let ping = landfall_protocol::ClientMessage::Ping { clock_ms: 1_790_000_000_002 };
    let mut bytes = encode_binary(&ping);
    bytes.truncate(bytes.len() - 4);
    // Ping is [5, [clock]]: give it a second field.
    assert_eq!(bytes[..4], [0, 0x82, 5, 0x81]);
    bytes[3] = 0x82;
    bytes.push(0x63);
    bytes.extend(b"new");
    assert_eq!(decode_client(&Frame::Binary(sealed(bytes))).unwrap(), ping);
}

/// S2: peers of other versions part with a clear word, in both directions.
/// S2.
#[test]
fn versions_are_negotiated_or_refused() {
    let _turn = turn();
    assert_eq!(negotiate(OLDEST_VERSION, VERSION), Some(VERSION));
    assert_eq!(negotiate(VERSION, VERSION + 7), Some(VERSION));
    assert_eq!(negotiate(VERSION + 1, VERSION + 7), None);
    assert_eq!(negotiate(0, OLDEST_VERSION - 1), None);
}

proptest! {
    #[test]
    fn random_bytes_never_panic_nor_bloat(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _turn = turn();
        let peak = peak_of(&bytes);
        prop_assert!(peak <= SLACK + FACTOR * bytes.len(), "{peak} bytes for {}", bytes.len());
        as_fuzzed(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic_nor_bloat(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let _turn = turn();
        let frames = frames();
        let mut bytes = which.get(&frames).clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        // `peak_of` adds a check sum of its own.
        let peak = peak_of(&bytes);
        prop_assert!(peak <= SLACK + 300 * FACTOR * bytes.len().max(64), "{peak} bytes for {}", bytes.len());
        as_fuzzed(&bytes);
    }

    #[test]
    fn a_truncated_message_is_refused(which in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let _turn = turn();
        let frames: Vec<_> = frames().into_iter().filter(|f| f[0] <= 1).collect();
        let whole = which.get(&frames);
        let part = &whole[..cut.index(whole.len())];
        // Also one that was cut before its check sum was made.
        let body = &whole[..whole.len() - 4];
        for part in [part.to_vec(), sealed(body[..cut.index(body.len())].to_vec())] {
            prop_assert!(decode_binary::<Chunk>(&part).is_err());
            let part = Frame::Binary(part);
            prop_assert!(decode_client(&part).is_err());
            prop_assert!(decode_server(&part).is_err());
        }
    }
}
