//! Hostile input (T3, E2): a decoder never panics and never allocates more than the input justifies.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;
#[path = "../../../fuzz/bodies/protocol.rs"]
mod fuzz;

use std::sync::{Mutex, MutexGuard, PoisonError};

use landfall_protocol::codec::{MAX_FRAME_BYTES, decode_binary, encode_binary};
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
    let _ = decode_client(&Frame::Binary(bytes.to_vec()));
    let _ = decode_server(&Frame::Binary(bytes.to_vec()));
    let _ = decode_binary::<Chunk>(bytes);
    let _ = ChangeList::from_run(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = decode_client(&Frame::Text(text.to_owned()));
        let _ = decode_server(&Frame::Text(text.to_owned()));
    }
}

/// What the fuzz targets do.
fn as_fuzzed(bytes: &[u8]) {
    for body in [fuzz::chunk, fuzz::client_message, fuzz::server_message] {
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
    let mut out = vec![encode_binary(&common::chunk())];
    for form in [Form::Binary, Form::Json] {
        out.extend(common::client_messages().iter().map(|(_, m)| bytes(encode_client(m, form))));
        out.extend(common::server_messages().iter().map(|(_, m)| bytes(encode_server(m, form))));
    }
    out
}

fn replay(path: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(path).unwrap();
    let inputs = entries.map(|e| std::fs::read(e.unwrap().path()).unwrap());
    inputs
        .inspect(|bytes| {
            decode_everything(bytes);
            as_fuzzed(bytes);
        })
        .count()
}

#[test]
fn the_fuzz_corpus_is_survived() {
    let _turn = turn();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(replay(&root.join("tests/corpus")) >= 10, "the corpus is missing");
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
    let frame = vec![0; MAX_FRAME_BYTES + 2];
    assert!(decode_client(&Frame::Binary(frame)).is_err());
}

/// T4: a newer peer adds fields; this build reads what it knows.
/// T4.
#[test]
fn unknown_fields_are_ignored() {
    let _turn = turn();
    let ping = landfall_protocol::ClientMessage::Ping { clock_ms: 1_790_000_000_002 };
    let mut bytes = encode_binary(&ping);
    // Ping is [5, [clock]]: give it a second field.
    assert_eq!(bytes[..4], [0, 0x82, 5, 0x81]);
    bytes[3] = 0x82;
    bytes.push(0x63);
    bytes.extend(b"new");
    assert_eq!(decode_client(&Frame::Binary(bytes)).unwrap(), ping);
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
        let peak = peak_of(&bytes);
        prop_assert!(peak <= SLACK + 300 * FACTOR * bytes.len().max(64), "{peak} bytes for {}", bytes.len());
        as_fuzzed(&bytes);
    }

    #[test]
    fn a_truncated_message_is_refused(which in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let _turn = turn();
        let frames: Vec<_> = frames().into_iter().filter(|f| f[0] == 0).collect();
        let whole = which.get(&frames);
        let part = &whole[..cut.index(whole.len())];
        prop_assert!(decode_client(&Frame::Binary(part.to_vec())).is_err());
        prop_assert!(decode_server(&Frame::Binary(part.to_vec())).is_err());
        prop_assert!(decode_binary::<Chunk>(part).is_err());
    }
}
