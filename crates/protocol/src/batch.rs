//! Rows and changes: the bulk of what travels. Columns are positions in the bucket's column list, announced once when
//! the shape is opened, key columns first.

use landfall_core::value::ColumnType;
use landfall_core::{RowKey, Value};
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

/// One change of one row, as one bucket sees it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The row is in the bucket, and these cells are new.
    #[n(0)]
    Put {
        /// The sequence.
        #[n(0)]
        seq: u64,
        /// The row.
        #[n(1)]
        key: RowKey,
        /// Whether the cells are all that the bucket shows: the row is new to the bucket.
        #[n(2)]
        whole: bool,
        /// (Position of the column, value), key columns left out.
        #[n(3)]
        cells: Vec<(u16, Value)>,
    },
    /// The row is no longer in the bucket.
    #[n(1)]
    Remove {
        /// The sequence.
        #[n(0)]
        seq: u64,
        /// The row.
        #[n(1)]
        key: RowKey,
        /// Whether it was deleted everywhere (true) or only left the bucket.
        #[n(2)]
        deleted: bool,
    },
}

impl Change {
    /// The sequence of the change.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Put { seq, .. } | Self::Remove { seq, .. } => *seq,
        }
    }

    /// The row.
    pub fn key(&self) -> &RowKey {
        match self {
            Self::Put { key, .. } | Self::Remove { key, .. } => key,
        }
    }
}

/// Changes in order of sequence.
///
/// On the wire a run of CBOR items within one byte string, so that the server encodes each commit once for each bucket
/// and joins the pieces for each device by copying bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeList(pub Vec<Change>);

impl ChangeList {
    /// The bytes of the changes, one after the other. Runs can be concatenated.
    pub fn to_run(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for change in &self.0 {
            // Writing to a Vec cannot fail.
            let _ = minicbor::encode(change, &mut out);
        }
        out
    }

    /// Reads a run.
    ///
    /// # Errors
    /// When the bytes are not whole changes.
    pub fn from_run(run: &[u8]) -> Result<Self, minicbor::decode::Error> {
        let mut d = Decoder::new(run);
        let mut changes = Vec::new();
        while d.position() < run.len() {
            changes.push(d.decode()?);
        }
        Ok(Self(changes))
    }
}

impl<C> Encode<C> for ChangeList {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_run())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for ChangeList {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::from_run(d.bytes()?)
    }
}

/// Rows of one bucket in key order, column by column: like values stand together, which compresses well, and types are
/// not repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowBlock {
    /// The sequence of each row's last change.
    pub seqs: Vec<u64>,
    /// The values of each column, in the order of the bucket's columns; each as long as `seqs`.
    pub columns: Vec<(ColumnType, Vec<Value>)>,
}

impl RowBlock {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.seqs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// Takes off all rows from `at` on.
    pub fn split_off(&mut self, at: usize) -> Self {
        let at = at.min(self.seqs.len());
        let seqs = self.seqs.split_off(at);
        let rest = |(ty, values): &mut (ColumnType, Vec<Value>)| (*ty, values.split_off(at.min(values.len())));
        Self { seqs, columns: self.columns.iter_mut().map(rest).collect() }
    }
}

/// On the wire: [count, [sequences as differences], [type, values…] per column].
impl<C> Encode<C> for RowBlock {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2 + self.columns.len() as u64)?.u32(self.seqs.len() as u32)?;
        e.array(self.seqs.len() as u64)?;
        let mut previous = 0i64;
        for seq in &self.seqs {
            // Neighbours in key order often were written together: differences are small numbers.
            e.i64((*seq as i64).wrapping_sub(previous))?;
            previous = *seq as i64;
        }
        for (ty, values) in &self.columns {
            e.array(1 + values.len() as u64)?;
            crate::server::WireType(*ty).encode(e, ctx)?;
            for value in values {
                value.encode_bare(e)?;
            }
        }
        Ok(())
    }
}

/// The smallest encoded value takes one byte, so a count beyond the remaining input is a lie.
fn checked_len(d: &Decoder<'_>, claimed: u64) -> Result<usize, minicbor::decode::Error> {
    let left = d.input().len().saturating_sub(d.position()) as u64;
    if claimed > left {
        return Err(minicbor::decode::Error::message("a length beyond the end of the input"));
    }
    Ok(claimed as usize)
}

fn definite(d: &mut Decoder<'_>) -> Result<usize, minicbor::decode::Error> {
    let claimed = d.array()?.ok_or_else(|| minicbor::decode::Error::message("arrays have a definite length"))?;
    checked_len(d, claimed)
}

impl<'b, C> Decode<'b, C> for RowBlock {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let wrong = minicbor::decode::Error::message;
        let parts = definite(d)?;
        let rows = d.u32()? as usize;
        if parts < 2 || definite(d)? != rows {
            return Err(wrong("a block is [rows, [sequence…], [type, value…]…]"));
        }
        let mut seqs = Vec::with_capacity(rows);
        let mut previous = 0i64;
        for _ in 0..rows {
            previous = previous.wrapping_add(d.i64()?);
            seqs.push(previous as u64);
        }
        let mut columns = Vec::with_capacity(parts - 2);
        for _ in 2..parts {
            if definite(d)? != rows + 1 {
                return Err(wrong("a column has another number of values than the block has rows"));
            }
            let ty = crate::server::WireType::decode(d, ctx)?.0;
            let values = (0..rows).map(|_| Value::decode_bare(d, ty)).collect::<Result<_, _>>()?;
            columns.push((ty, values));
        }
        Ok(Self { seqs, columns })
    }
}
