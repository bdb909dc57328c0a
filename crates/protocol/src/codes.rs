//! Stable codes of protocol and session errors. Documented in `docs/errors.md`.

use landfall_core::Code;

/// No common protocol version, or the first message is not a Hello of any version: upgrade needed.
pub const UPGRADE_NEEDED: Code = Code::of("LF-4001");
/// A message cannot be decoded.
pub const BAD_MESSAGE: Code = Code::of("LF-4002");
/// A message is larger than the limit.
pub const TOO_LARGE: Code = Code::of("LF-4003");
/// The token is missing, expired or not valid: sign in again.
pub const NEEDS_SIGN_IN: Code = Code::of("LF-4004");
/// The message is not allowed in this state of the session.
pub const OUT_OF_ORDER: Code = Code::of("LF-4005");
/// There is no shape of this name.
pub const UNKNOWN_SHAPE: Code = Code::of("LF-4006");
/// A shape's parameters are missing or of the wrong type.
pub const BAD_PARAMETERS: Code = Code::of("LF-4007");
/// The server has another application's schema, or one that this device cannot work with.
pub const SCHEMA_MISMATCH: Code = Code::of("LF-4008");
/// The server is overloaded: wait as long as it says.
pub const OVERLOADED: Code = Code::of("LF-4009");
/// The server is shutting down: connect again.
pub const GOING_AWAY: Code = Code::of("LF-4010");
/// The server failed; nothing was decided.
pub const SERVER_FAULT: Code = Code::of("LF-4011");
/// A chunk's address is not valid or has expired: open the shape again.
pub const BAD_ADDRESS: Code = Code::of("LF-4012");
/// The replica belongs to another subject.
pub const OTHER_SUBJECT: Code = Code::of("LF-4013");
