//! Digests of runs of rows: a device that holds an older copy of a bucket is told of each run how many rows it has and what
//! their values hash to, and fetches the runs that differ. Rule C6.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landfall_core::hash::{ContentHash, hash128};
use landfall_core::{RowKey, Value, mutant};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::server::Address;

/// Asks for the digests of what an address names, instead of its rows.
const DIGESTS: &str = "digests";

/// Digests of all rows of a bucket that follow a key, run by run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Digests {
    /// The key after which the first run begins; absent: with the bucket's first row.
    #[n(0)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RowKey>,
    /// The runs, in key order, each beginning where the one before ends. At least one.
    #[n(1)]
    pub runs: Vec<Run>,
}

/// One run of rows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Run {
    /// The last key that belongs to it, of which there need be no row; absent: the run has no end.
    #[n(0)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<RowKey>,
    /// How many rows.
    #[n(1)]
    pub rows: u32,
    /// See [`RunHash`].
    #[cbor(n(2), with = "minicbor::bytes")]
    #[serde(with = "text")]
    pub hash: ContentHash,
}

/// Hashes the rows of a run in key order: the first 16 bytes of BLAKE3 over the CBOR of each row's values (T5), one after
/// the other, in the order of the bucket's columns. Sequences are not part of it: rows that are the same again are the same.
#[derive(Debug, Default)]
pub struct RunHash {
    bytes: Vec<u8>,
    rows: u32,
}

impl RunHash {
    /// Adds the next row: the values of all columns of the bucket.
    pub fn push<'a>(&mut self, values: impl IntoIterator<Item = &'a Value>) {
        let counted = if mutant::active("digest-of-keys") { 1 } else { usize::MAX };
        for value in values.into_iter().take(counted) {
            // Writing to a Vec cannot fail.
            let _ = minicbor::encode(value, &mut self.bytes);
        }
        self.rows = self.rows.saturating_add(1);
    }

    /// How many bytes the rows have so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no rows so far.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The run that ends with `to`.
    pub fn finish(self, to: Option<RowKey>) -> Run {
        Run { to, rows: self.rows, hash: hash128(&self.bytes) }
    }
}

/// The part of a bucket that is asked for beside an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// Only rows after this key.
    pub after: Option<RowKey>,
    /// Only rows up to this key, it included.
    pub until: Option<RowKey>,
    /// Their digests instead of themselves.
    pub digests: bool,
}

impl Narrowed {
    /// The address of this part: of the same rows as `address`, narrowed down.
    pub fn of(&self, address: &str) -> Address {
        let mut out = bare(address).to_owned();
        let keys = [("after", &self.after), ("until", &self.until)];
        let keys = keys.iter().filter_map(|(name, key)| Some((*name, key.as_ref()?)));
        let mut parts: Vec<String> =
            keys.map(|(name, key)| format!("{name}={}", URL_SAFE_NO_PAD.encode(key.to_bytes()))).collect();
        parts.extend(self.digests.then(|| DIGESTS.to_owned()));
        for (at, part) in parts.iter().enumerate() {
            out.push(if at == 0 { '?' } else { '&' });
            out.push_str(part);
        }
        out
    }

    /// Reads what [`Narrowed::of`] wrote; `None` when that is something else.
    pub fn parse(address: &str) -> Option<Self> {
        let Some((_, query)) = address.split_once('?') else { return Some(Self::default()) };
        let mut out = Self::default();
        let key = |text: &str| RowKey::from_bytes(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        for part in query.split('&') {
            match part.split_once('=') {
                None if part == DIGESTS => out.digests = true,
                Some(("after", text)) => out.after = Some(key(text)?),
                Some(("until", text)) => out.until = Some(key(text)?),
                _ => return None,
            }
        }
        Some(out)
    }
}

/// An address without what narrows it down.
pub fn bare(address: &str) -> &str {
    address.split_once('?').map_or(address, |(address, _)| address)
}

/// A hash in JSON: base64 of 16 bytes.
mod text {
    use landfall_core::value::json::{base64, unbase64};
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::ContentHash;

    pub(super) fn serialize<S: Serializer>(hash: &ContentHash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&base64(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ContentHash, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = unbase64(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| serde::de::Error::custom("the hash of a run is base64 of 16 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_narrowed_down_and_read_again() {
        let key = |n: i64| Some(RowKey(vec![Value::Text(format!("k{n}"))]));
        for (after, until) in [(None, None), (key(1), None), (None, key(2)), (key(1), key(2))] {
            for digests in [false, true] {
                let part = Narrowed { after: after.clone(), until: until.clone(), digests };
                let address = part.of("/v1/chunks/abc");
                assert_eq!(Narrowed::parse(&address), Some(part), "{address}");
                assert_eq!(bare(&address), "/v1/chunks/abc");
            }
        }
        for nonsense in ["/a?", "/a?digest", "/a?after", "/a?until=!", "/a?after=AA&x=1", "/a?digests=1"] {
            assert_eq!(Narrowed::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_hash_tells_values_rows_and_types_apart() {
        let hash = |rows: &[Vec<Value>]| {
            let mut run = RunHash::default();
            rows.iter().for_each(|row| run.push(row));
            run.finish(None)
        };
        let (one, two) = (vec![Value::Int(1), Value::Null], vec![Value::Int(2), Value::Text("x".into())]);
        let whole = hash(&[one.clone(), two.clone()]);
        assert_eq!(whole.rows, 2);
        assert_eq!(whole, hash(&[one.clone(), two.clone()]));
        assert_ne!(whole.hash, hash(&[two, one.clone()]).hash);
        assert_ne!(hash(&[one]).hash, hash(&[vec![Value::Timestamp(1), Value::Null]]).hash);
    }
}
