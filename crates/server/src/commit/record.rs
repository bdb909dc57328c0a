//! What is kept of each sequence, and of each deleted row, and how it is encoded.

use landfall_core::hash::{Cells, ContentHash};
use landfall_core::merge::RowMeta;
use landfall_core::schema::{Default, Table};
use landfall_core::{ReplicaId, RowKey, Stamp, Value};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::store::StoreError;

/// A sequence: an accepted transaction, or a write behind the store's back (then `replica` is [`OUTSIDE`]).
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// The sequence.
    pub seq: u64,
    /// Who wrote.
    pub replica: ReplicaId,
    /// The replica's number for it; the sequence for a write from outside.
    pub rseq: u64,
    /// The content hash.
    pub hash: ContentHash,
    /// The chain value.
    pub chain: u64,
    /// The server's clock at the decision, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// On whose behalf; empty for a write from outside.
    pub subject: String,
    /// The stamp, by the server's clock.
    pub stamp: Stamp,
    /// The rows before and after.
    pub changes: Vec<RowChange>,
}

/// The replica id that stands for other programs. No device has it.
pub const OUTSIDE: ReplicaId = ReplicaId([0; 16]);

/// A row before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The table.
    pub table: String,
    /// The row.
    pub key: RowKey,
    /// The row before; absent when there was none, or when nobody knows.
    pub before: Option<Cells>,
    /// The row after; absent when it was deleted.
    pub after: Option<Cells>,
}

/// [table, key, before or null, after or null]; beside a row before, `after` names only what differs.
impl<C> Encode<C> for RowChange {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(4)?.str(&self.table)?.encode_with(&self.key, ctx)?.encode_with(&self.before, ctx)?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let differs = |(name, value): &(&String, &landfall_core::Value)| before.get(*name) != Some(*value);
                e.map(after.iter().filter(differs).count() as u64)?;
                for (name, value) in after.iter().filter(differs) {
                    e.str(name)?.encode_with(value, ctx)?;
                }
            }
            (_, after) => {
                e.encode_with(after, ctx)?;
            }
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for RowChange {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(4) {
            return Err(minicbor::decode::Error::message("a row change is [table, key, before, after]"));
        }
        let table = d.str()?.to_owned();
        let key = d.decode_with(ctx)?;
        let before: Option<Cells> = d.decode_with(ctx)?;
        let mut after: Option<Cells> = d.decode_with(ctx)?;
        if let (Some(before), Some(after)) = (&before, &mut after) {
            for (name, value) in before {
                after.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(Self { table, key, before, after })
    }
}

impl LogEntry {
    /// The stored form of the changes.
    pub fn body(&self) -> Vec<u8> {
        body(&self.changes)
    }
}

/// The stored form of changes.
pub(crate) fn body(changes: &[RowChange]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    // Writing to a Vec cannot fail.
    let _ = minicbor::encode(changes, &mut out);
    out
}

/// What a deleted row leaves behind, so that a revival restores it whole.
#[derive(Clone, Debug, std::default::Default, PartialEq, Encode, Decode)]
pub struct Tombstone {
    /// The last image.
    #[n(0)]
    pub cells: Cells,
    /// Rows that its delete took along.
    #[n(1)]
    pub cascaded: Vec<(String, RowKey)>,
    /// Cells that its delete emptied: table, row, column.
    #[n(2)]
    pub emptied: Vec<(String, RowKey, String)>,
    /// The server's clock at the delete, milliseconds since the Unix epoch. Older builds did not say.
    #[n(3)]
    pub at_ms: Option<u64>,
}

impl Tombstone {
    /// Reads one as the table is now.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn read(table: &Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let tombstone: Self = minicbor::decode(bytes)?;
        Ok(Self { cells: widened(table, tombstone.cells), ..tombstone })
    }

    /// When the row was deleted, as far as anybody knows: by the server's clock, or as its author's says.
    pub fn deleted_ms(&self, meta: &RowMeta) -> u64 {
        self.at_ms.unwrap_or_else(|| meta.deleted.map_or(0, |deleted| deleted.stamp.wall_ms))
    }
}

/// A row as it was once, as the table is now: a column that was added since holds what it holds in the rows that were there.
pub fn widened(table: &Table, mut row: Cells) -> Cells {
    for column in &table.columns {
        let begins = || match &column.default {
            Some(Default::Value(value)) => value.clone(),
            _ => Value::Null,
        };
        row.entry(column.name.clone()).or_insert_with(begins);
    }
    row
}

/// A stamp as bytes whose order is the stamps' order.
pub fn stamp_bytes(stamp: &Stamp) -> [u8; 28] {
    let mut out = [0; 28];
    out[..8].copy_from_slice(&stamp.wall_ms.to_be_bytes());
    out[8..12].copy_from_slice(&stamp.counter.to_be_bytes());
    out[12..].copy_from_slice(&stamp.replica.0);
    out
}

/// Reads what [`stamp_bytes`] wrote; `None` for anything else.
pub fn stamp_from(bytes: &[u8]) -> Option<Stamp> {
    let (wall, rest) = bytes.split_first_chunk::<8>()?;
    let (counter, replica) = rest.split_first_chunk::<4>()?;
    Some(Stamp {
        wall_ms: u64::from_be_bytes(*wall),
        counter: u32::from_be_bytes(*counter),
        replica: ReplicaId(replica.try_into().ok()?),
    })
}
