//! Messages between the public `y-websocket` provider and a server: the protocol of the JavaScript package `y-protocols`.

use std::collections::BTreeMap;
use std::sync::Arc;

use yrs::encoding::read::Cursor;
use yrs::sync::awareness::AwarenessUpdateEntry;
use yrs::sync::{AwarenessUpdate, Message, MessageReader, SyncMessage};
use yrs::updates::decoder::DecoderV1;
use yrs::updates::encoder::Encode as _;

use super::{DocError, garbled};

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
    super::guarded(|| {
        let mut decoder = DecoderV1::new(Cursor::new(message));
        let frames = MessageReader::new(&mut decoder).map(|read| read.map(Frame::of)).collect::<Result<Vec<_>, _>>();
        let frames = frames.map_err(garbled("message"))?;
        // The reader takes an end in the middle of a frame for the end.
        if frames.is_empty() {
            let cause = "it ends in its middle".to_owned();
            return Err(DocError::Garbled { what: "message", cause });
        }
        Ok(frames)
    })
}

impl Frame {
    fn of(message: Message) -> Self {
        match message {
            Message::Sync(SyncMessage::SyncStep1(vector)) => Self::Have(vector.encode_v1()),
            Message::Sync(SyncMessage::SyncStep2(update)) => Self::Rest(update),
            Message::Sync(SyncMessage::Update(update)) => Self::Update(update),
            Message::Awareness(update) => {
                let entry = |(id, entry): (yrs::block::ClientID, AwarenessUpdateEntry)| {
                    (id.get(), Present { clock: entry.clock, state: entry.json })
                };
                // In a fixed order: the library keeps them in a hash map.
                let entries: BTreeMap<u64, Present> = update.clients.into_iter().map(entry).collect();
                Self::Awareness(entries.into_iter().collect())
            }
            Message::AwarenessQuery => Self::WhoIsThere,
            Message::Auth(reason) => Self::Denied(reason.unwrap_or_default()),
            Message::Custom(tag, _) => Self::Other(tag),
        }
    }

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
