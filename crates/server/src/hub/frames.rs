//! Live messages from runs that are already encoded: made once, shared by everybody who wants the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use landfall_core::{BucketId, Stamp};
use landfall_protocol::codec::frame_bytes;
use landfall_protocol::server::BucketChanges;
use landfall_protocol::{ChangeList, Form, Frame, ServerMessage, encode_server};
use minicbor::Encoder;

use super::{Bytes, Span};

/// Frames that are kept: sessions of one audience come for a frame within moments of each other.
const KEPT_FRAMES: usize = 64;
/// Most bytes of the frames that are kept.
const KEPT_BYTES: usize = 8 << 20;

/// A frame as a transport carries it, its bytes shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodedFrame {
    /// A binary message.
    Binary(Bytes),
    /// A text message; UTF-8.
    Text(Bytes),
}

impl EncodedFrame {
    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Binary(bytes) | Self::Text(bytes) => bytes,
        }
    }
}

impl From<Frame> for EncodedFrame {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Binary(bytes) => Self::Binary(bytes.into()),
            Frame::Text(text) => Self::Text(text.into()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    audience: u64,
    from: u64,
    to: u64,
    chain: u64,
    json: bool,
}

type Slot = Arc<OnceLock<EncodedFrame>>;

/// The frames made last.
#[derive(Debug, Default)]
pub(super) struct Frames(Mutex<VecDeque<(Key, Slot)>>);

impl Frames {
    /// The frame of `span`. Whoever comes first encodes it, outside the lock; others that want the same wait for it.
    pub(super) fn get(&self, span: &Span, form: Form) -> EncodedFrame {
        let (from, to, chain) = (span.from, span.to, span.chain);
        let key = Key { audience: span.audience.id(), from, to, chain, json: form == Form::Json };
        self.slot(key).get_or_init(|| encode(span, form)).clone()
    }

    fn slot(&self, key: Key) -> Slot {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = kept.iter().rev().find(|(known, _)| *known == key) {
            return Arc::clone(slot);
        }
        let size = |slot: &Slot| slot.get().map_or(0, |frame| frame.bytes().len());
        let mut bytes: usize = kept.iter().map(|(_, slot)| size(slot)).sum();
        while kept.len() >= KEPT_FRAMES || bytes > KEPT_BYTES {
            let Some((_, gone)) = kept.pop_front() else { break };
            bytes -= size(&gone).min(bytes);
        }
        let slot = Slot::default();
        kept.push_back((key, Arc::clone(&slot)));
        slot
    }
}

fn encode(span: &Span, form: Form) -> EncodedFrame {
    match form {
        Form::Binary => EncodedFrame::Binary(frame_bytes(&live_cbor(span)).into()),
        Form::Json => encode_server(&message(span), Form::Json).into(),
    }
}

/// The message, its runs read back into changes.
pub(super) fn message(span: &Span) -> ServerMessage {
    let bucket = |bucket: &BucketId| {
        let run: Vec<u8> = span.runs(*bucket).flat_map(|(_, run)| run.iter().copied()).collect();
        // The store wrote these runs with `to_run`.
        let changes = ChangeList::from_run(&run).unwrap_or_default();
        (!changes.0.is_empty()).then_some(BucketChanges { bucket: *bucket, changes })
    };
    let buckets = span.audience.buckets().iter().filter_map(bucket).collect();
    ServerMessage::Live { to: span.to, chain: span.chain, stamp: span.stamp, buckets }
}

/// The bytes of the message, the runs copied as they are: the same as encoding [`message`], which a test holds it to.
fn live_cbor(span: &Span) -> Vec<u8> {
    let buckets: Vec<(BucketId, usize)> = span
        .audience
        .buckets()
        .iter()
        .map(|bucket| (*bucket, span.runs(*bucket).map(|(_, run)| run.len()).sum()))
        .filter(|(_, bytes)| *bytes > 0)
        .collect();
    let mut e = Encoder::new(Vec::with_capacity(span.bytes + 64 + 16 * buckets.len()));
    // Writing to a Vec cannot fail.
    let _ = write_live(&mut e, span, &buckets);
    e.into_writer()
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write_live(e: &mut Encoder<Vec<u8>>, span: &Span, buckets: &[(BucketId, usize)]) -> Written {
    e.array(2)?.u32(3)?.array(4)?.u64(span.to)?.u64(span.chain)?;
    e.encode::<Stamp>(span.stamp)?.array(buckets.len() as u64)?;
    for (bucket, bytes) in buckets {
        e.array(2)?.u64(bucket.0)?.bytes_len(*bytes as u64)?;
        for (_, run) in span.runs(*bucket) {
            e.writer_mut().extend_from_slice(run);
        }
    }
    Ok(())
}
