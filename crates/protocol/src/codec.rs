//! Frames: the binary form (one byte of form, then CBOR, compressed where it pays, then a check sum) and the JSON form
//! for curl and eyes.

use landfall_core::hash::check_sum;
use minicbor::{Decode, Encode};

use crate::{ClientMessage, ServerMessage};

/// Most bytes of a frame, uncompressed. Larger than any transaction may be, small enough for a phone.
pub const MAX_FRAME_BYTES: usize = 24 << 20;
/// Below this many bytes compression does not pay.
const COMPRESS_FROM: usize = 512;

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// Bytes of the check sum at the end of each frame.
const SUM_BYTES: usize = 4;

/// Which form a frame has; a session answers in the form that it was opened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CBOR.
    Binary,
    /// JSON text.
    Json,
}

/// A frame as a transport carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A binary WebSocket message or HTTP body.
    Binary(Vec<u8>),
    /// A text WebSocket message.
    Text(String),
}

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// More bytes than [`MAX_FRAME_BYTES`].
    #[error("the frame has more than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// The check sum is not that of what came.
    #[error("the check sum does not match")]
    Damaged,
    /// The first byte names no known form.
    #[error("the frame is of no known form; is the other side a Landfall of another version?")]
    UnknownForm,
    /// The compressed data is damaged.
    #[error("the compressed data is damaged")]
    Compression(#[from] lz4_flex::block::DecompressError),
    /// The CBOR is not the message.
    #[error("the message cannot be read: {0}")]
    Cbor(#[from] minicbor::decode::Error),
    /// The JSON is not the message.
    #[error("the message cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Bytes follow the message.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// Encodes any value as a binary frame.
pub fn encode_binary<T: Encode<()>>(message: &T) -> Vec<u8> {
    // Writing to a Vec cannot fail.
    frame_bytes(&minicbor::to_vec(message).unwrap_or_default())
}

/// Frames CBOR that is already encoded.
pub fn frame_bytes(cbor: &[u8]) -> Vec<u8> {
    if cbor.len() >= COMPRESS_FROM {
        let packed = lz4_flex::block::compress(cbor);
        if packed.len() + 4 < cbor.len() {
            let mut out = Vec::with_capacity(packed.len() + 5 + SUM_BYTES);
            out.push(LZ4);
            out.extend((cbor.len() as u32).to_le_bytes());
            out.extend(packed);
            return sealed(out);
        }
    }
    let mut out = Vec::with_capacity(cbor.len() + 1 + SUM_BYTES);
    out.push(PLAIN);
    out.extend(cbor);
    sealed(out)
}

/// A form and a body with their check sum, whatever they are.
pub fn sealed(mut form_and_body: Vec<u8>) -> Vec<u8> {
    form_and_body.extend(check_sum(&form_and_body));
    form_and_body
}

/// Decodes a binary frame. Nothing in it is looked at before its check sum is found right. Never allocates more than a
/// small multiple of what the input justifies: LZ4 grows data by at most 255 times, and the claimed size is checked
/// against that.
///
/// # Errors
/// [`CodecError`] when the frame is not exactly one message.
pub fn decode_binary<T: for<'b> Decode<'b, ()>>(frame: &[u8]) -> Result<T, CodecError> {
    // A transport stops at this size; who does not hear it from one does not hash without end either.
    if frame.len() > MAX_FRAME_BYTES + 1 + SUM_BYTES {
        return Err(CodecError::TooLarge);
    }
    let (frame, sum) = frame.split_last_chunk::<SUM_BYTES>().ok_or(CodecError::Damaged)?;
    if check_sum(frame) != *sum && !landfall_core::mutant::active("damage-not-noticed") {
        return Err(CodecError::Damaged);
    }
    let (form, body) = frame.split_first().ok_or(CodecError::UnknownForm)?;
    match *form {
        PLAIN => decode_whole(body),
        LZ4 => {
            let (size, packed) = body.split_first_chunk::<4>().ok_or(CodecError::UnknownForm)?;
            let size = u32::from_le_bytes(*size) as usize;
            if size > MAX_FRAME_BYTES || size > packed.len().saturating_mul(255).saturating_add(64) {
                return Err(CodecError::TooLarge);
            }
            decode_whole(&lz4_flex::block::decompress(packed, size)?)
        }
        _ => Err(CodecError::UnknownForm),
    }
}

fn decode_whole<T: for<'b> Decode<'b, ()>>(cbor: &[u8]) -> Result<T, CodecError> {
    let mut decoder = minicbor::Decoder::new(cbor);
    let message = decoder.decode()?;
    match cbor.len() - decoder.position() {
        0 => Ok(message),
        rest => Err(CodecError::Trailing(rest)),
    }
}

fn encode<T: Encode<()> + serde::Serialize>(message: &T, form: Form) -> Frame {
    match form {
        Form::Binary => Frame::Binary(encode_binary(message)),
        // Plain data with string keys: serialisation cannot fail.
        Form::Json => Frame::Text(serde_json::to_string(message).unwrap_or_default()),
    }
}

fn decode<T: for<'b> Decode<'b, ()> + serde::de::DeserializeOwned>(frame: &Frame) -> Result<T, CodecError> {
    match frame {
        Frame::Binary(bytes) => decode_binary(bytes),
        Frame::Text(text) if text.len() > MAX_FRAME_BYTES => Err(CodecError::TooLarge),
        Frame::Text(text) => Ok(serde_json::from_str(text)?),
    }
}

/// Encodes a message of a device.
pub fn encode_client(message: &ClientMessage, form: Form) -> Frame {
    encode(message, form)
}

/// Decodes a message of a device.
///
/// # Errors
/// [`CodecError`] when the frame is not exactly one message.
pub fn decode_client(frame: &Frame) -> Result<ClientMessage, CodecError> {
    decode(frame)
}

/// Encodes a message of the server.
pub fn encode_server(message: &ServerMessage, form: Form) -> Frame {
    encode(message, form)
}

/// Decodes a message of the server.
///
/// # Errors
/// [`CodecError`] when the frame is not exactly one message.
pub fn decode_server(frame: &Frame) -> Result<ServerMessage, CodecError> {
    decode(frame)
}
