//! Messages between the public `y-websocket` provider and a server: the protocol of the JavaScript package `y-protocols`.

use std::sync::Arc;

use yrs::sync::awareness::AwarenessUpdateEntry;
use yrs::sync::{AwarenessUpdate, Message};
use yrs::updates::encoder::Encode as _;

use super::DocError;
use super::shape::{LARGEST, Reader};

/// Frames of one message, at most: providers send one, and some few when they begin.
const MOST_FRAMES: usize = 256;

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// What it has of the document, as a state vector: the other answers with [`Frame::Rest`].
    Have(Vec<u8>),
    /// What the other one lacks, as an update.
    Rest(Vec<u8>),
    /// What was written, as an update.
    Update(Vec<u8>),
    /// Who is there: see [`Present`].
    Awareness(Vec<(u64, Present)>),
    /// Asks for all that are there.
    WhoIsThere,
    /// The person may not do that, for this reason.
    Denied(String),
    /// Something that this version does not know.
    Other(u8),
}

/// What somebody says of themselves: where the cursor is, what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Grows with each thing said: what is not newer than what is known is old.
    pub clock: u32,
    /// It, as JSON; `null`: gone.
    pub state: Arc<str>,
}

impl Present {
    /// Whether whoever said it is gone.
    pub fn is_gone(&self) -> bool {
        &*self.state == "null"
    }
}

/// The frames of a message, of which there are seldom several.
///
/// # Errors
/// [`DocError::Garbled`] when these are none.
///
/// ```
/// use landfall_doc::sync::{Frame, decode};
///
/// let frames = decode(&Frame::Have(vec![0]).encode()).unwrap();
/// assert_eq!(frames, [Frame::Have(vec![0])]);
/// assert!(decode(&[0, 0, 200]).is_err());
/// ```
pub fn decode(message: &[u8]) -> Result<Vec<Frame>, DocError> {
    let garbled = |cause: &str| DocError::Garbled { what: "message", cause: cause.to_owned() };
    let (mut reader, mut frames) = (Reader { bytes: message }, Vec::new());
    while !reader.bytes.is_empty() || frames.is_empty() {
        if frames.len() == MOST_FRAMES {
            return Err(garbled("it is very many at once"));
        }
        frames.push(frame(&mut reader).ok_or_else(|| garbled("it ends in its middle, or is something else"))?);
    }
    Ok(frames)
}

fn frame(reader: &mut Reader<'_>) -> Option<Frame> {
    Some(match reader.number()? {
        0 => match reader.number()? {
            0 => Frame::Have(reader.taken()?.to_vec()),
            1 => Frame::Rest(reader.taken()?.to_vec()),
            2 => Frame::Update(reader.taken()?.to_vec()),
            _ => return None,
        },
        1 => Frame::Awareness(awareness(reader.taken()?)?),
        2 => match reader.number()? {
            0 => Frame::Denied(text(reader)?),
            _ => Frame::Other(2),
        },
        3 => Frame::WhoIsThere,
        // What follows is not known: nothing behind it can be read.
        other => {
            reader.bytes = &[];
            Frame::Other(u8::try_from(other).unwrap_or(u8::MAX))
        }
    })
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    std::str::from_utf8(reader.taken()?).ok().map(str::to_owned)
}

fn awareness(bytes: &[u8]) -> Option<Vec<(u64, Present)>> {
    let mut reader = Reader { bytes };
    let mut entries = Vec::new();
    for _ in 0..reader.number()? {
        let id = reader.number().filter(|id| *id <= LARGEST)?;
        let clock = u32::try_from(reader.number()?).ok()?;
        let state = text(&mut reader)?;
        entries.push((id, Present { clock, state: state.into() }));
    }
    Some(entries)
}

impl Frame {
    /// The message that is this frame alone; nothing for one that is not known.
    pub fn encode(&self) -> Vec<u8> {
        // The two that carry bytes which are known to be right already: nothing is decoded to be sent.
        match self {
            Self::Have(bytes) => sync(0, bytes),
            Self::Rest(bytes) => sync(1, bytes),
            Self::Update(bytes) => sync(2, bytes),
            Self::Awareness(entries) => {
                let entry = |(id, present): &(u64, Present)| {
                    let entry = AwarenessUpdateEntry { clock: present.clock, json: Arc::clone(&present.state) };
                    (yrs::block::ClientID::new(*id), entry)
                };
                Message::Awareness(AwarenessUpdate { clients: entries.iter().map(entry).collect() }).encode_v1()
            }
            Self::WhoIsThere => Message::AwarenessQuery.encode_v1(),
            Self::Denied(reason) => Message::Auth(Some(reason.clone())).encode_v1(),
            Self::Other(_) => Vec::new(),
        }
    }
}

fn sync(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 7);
    out.extend([0, kind]);
    let mut length = bytes.len();
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}
