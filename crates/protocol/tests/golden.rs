//! Golden vectors (T2, T4, T5): the bytes and the JSON of every message. A change here is a change of the protocol.
//!
//! `LANDFALL_BLESS=1 cargo test -p landfall-protocol --test golden` writes them anew; review the difference.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::fmt::Write as _;
use std::path::PathBuf;

use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_protocol::{Chunk, CodecError, Form, Frame, decode_client, decode_server, encode_client, encode_server};

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut out, line| {
        line.iter().for_each(|b| {
            let _ = write!(out, "{b:02x}");
        });
        out.push('\n');
        out
    })
}

fn pretty(json: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap() + "\n"
}

/// Compares with the files, and gives the frames of the files for decoding.
fn vector(name: &str, binary: &Frame, json: &Frame) -> (Frame, Frame) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (Frame::Binary(bytes), Frame::Text(text)) = (binary, json) else { panic!("forms are mixed up") };
    let files = [(folder.join(format!("{name}.hex")), hex(bytes)), (folder.join(format!("{name}.json")), pretty(text))];
    for (path, now) in &files {
        if std::env::var_os("LANDFALL_BLESS").is_some() {
            std::fs::write(path, now).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(now, &golden, "{name} changed on the wire; see the head of this file");
    }
    let read = |i: usize| std::fs::read_to_string(&files[i].0).unwrap();
    (Frame::Binary(common::unhex(&read(0))), Frame::Text(read(1)))
}

#[test]
fn every_client_message_keeps_its_bytes() {
    for (name, message) in common::client_messages() {
        let (binary, json) = (encode_client(&message, Form::Binary), encode_client(&message, Form::Json));
        let (golden_binary, golden_json) = vector(&format!("client-{name}"), &binary, &json);
        assert_eq!(decode_client(&golden_binary).unwrap(), message, "{name}");
        assert_eq!(decode_client(&golden_json).unwrap(), message, "{name}");
    }
}

#[test]
fn every_server_message_keeps_its_bytes() {
    for (name, message) in common::server_messages() {
        let (binary, json) = (encode_server(&message, Form::Binary), encode_server(&message, Form::Json));
        let (golden_binary, golden_json) = vector(&format!("server-{name}"), &binary, &json);
        assert_eq!(decode_server(&golden_binary).unwrap(), message, "{name}");
        assert_eq!(decode_server(&golden_json).unwrap(), message, "{name}");
    }
}

#[test]
fn a_chunk_keeps_its_bytes() {
    for (name, chunk) in [("chunk", common::chunk()), ("chunk-digests", common::digests())] {
        let json = Frame::Text(serde_json::to_string(&chunk).unwrap());
        let (binary, json) = vector(name, &Frame::Binary(encode_binary(&chunk)), &json);
        let (Frame::Binary(bytes), Frame::Text(text)) = (binary, json) else { panic!("forms are mixed up") };
        assert_eq!(decode_binary::<Chunk>(&bytes).unwrap(), chunk);
        assert_eq!(serde_json::from_str::<Chunk>(&text).unwrap(), chunk);
    }
}

/// T2: whichever bit of whichever message is turned over, nothing in it is believed.
#[test]
fn any_bit_of_any_message_turned_over_is_noticed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut messages = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|e| e == "hex")) {
        let whole = common::unhex(&std::fs::read_to_string(&path).unwrap());
        for bit in 0..whole.len() * 8 {
            let mut turned = whole.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            let chunk = decode_binary::<Chunk>(&turned).err();
            let frame = Frame::Binary(turned);
            let found = [decode_client(&frame).err(), decode_server(&frame).err(), chunk];
            let noticed = found.iter().all(|error| matches!(error, Some(CodecError::Damaged)));
            assert!(noticed, "bit {bit} of {}: {found:?}", path.display());
        }
        messages += 1;
    }
    assert!(messages >= 20, "{messages} golden vectors");
}

/// P1: the hash is over exactly the bytes that travelled.
#[test]
fn an_entry_is_identified_by_its_bytes() {
    let transaction = common::transaction();
    let (_, push) = common::client_messages().into_iter().find(|(name, _)| *name == "push").unwrap();
    let landfall_protocol::ClientMessage::Push { entries, .. } =
        decode_client(&encode_client(&push, Form::Binary)).unwrap()
    else {
        panic!("not a push")
    };
    assert_eq!(entries[0].hash, transaction.content_hash());
    assert_eq!(entries[0].transaction, transaction);
}
