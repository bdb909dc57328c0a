//! What travels between a device and the server: messages, their binary and JSON forms, version negotiation.
//!
//! This crate performs no I/O. `docs/protocol.md` is the normative description; the types here are its rendering.
//! Messages are CBOR arrays with numbered fields, so that fields can be added: a decoder ignores what it does not
//! know, and an absent optional field is `None`.

pub mod batch;
pub mod client;
pub mod codec;
pub mod codes;
pub mod digest;
pub mod server;

pub use batch::{Change, ChangeList, RowBlock};
pub use client::{Attempted, ClientMessage, Cursor, Entry, Following, Hello};
pub use codec::{CodecError, Form, Frame, decode_client, decode_server, encode_client, encode_server};
pub use server::{Address, Chunk, Decision, Limits, Opening, Outcome, Resumption, ServerMessage, Start, Welcome};

/// The protocol version that this build speaks.
pub const VERSION: u16 = 1;
/// The oldest protocol version that this build still speaks.
pub const OLDEST_VERSION: u16 = 1;

/// The version that both sides speak: the newest common one.
pub fn negotiate(min: u16, max: u16) -> Option<u16> {
    let version = max.min(VERSION);
    (version >= min && version >= OLDEST_VERSION).then_some(version)
}
