//! Row keys: the primary key's values, as values and as bytes whose order is the order of the values.

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

use crate::value::{Decimal, MAX_DECIMAL_SCALE, Value};

/// The values of a row's primary key, in the key's column order. Never empty, never NULL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowKey(pub Vec<Value>);

/// Bytes that are not an encoded row key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not a row key")]
pub struct KeyError;

const SIGN: u64 = 1 << 63;

impl RowKey {
    /// A key of one column.
    pub fn single(value: Value) -> Self {
        Self(vec![value])
    }

    /// The key as bytes that sort as the values do: the form under which bookkeeping tables store it.
    ///
    /// A type that no key column may have (float, json, NULL) is encoded as text of its JSON, so that encoding is
    /// total; the schema refuses such keys.
    pub fn to_bytes(&self) -> Vec<u8> {
        Self::bytes_of(self.0.iter())
    }

    /// [`RowKey::to_bytes`] of values that are not in one place.
    pub fn bytes_of<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<u8> {
        let mut out = Vec::with_capacity(18);
        values.for_each(|value| encode_part(value, &mut out));
        out
    }

    /// Reads what [`RowKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are not such a form.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, KeyError> {
        let mut values = Vec::new();
        while let [tag, rest @ ..] = bytes {
            let (value, rest) = decode_part(*tag, rest)?;
            values.push(value);
            bytes = rest;
        }
        if values.is_empty() { Err(KeyError) } else { Ok(Self(values)) }
    }
}

fn encode_part(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(v) => out.extend([1, u8::from(*v)]),
        Value::Int(v) => fixed(2, *v as u64 ^ SIGN, out),
        Value::Decimal(v) => {
            out.extend([3, v.scale]);
            out.extend((v.units as u64 ^ SIGN).to_be_bytes());
        }
        Value::Text(v) => variable(4, v.as_bytes(), out),
        Value::Bytes(v) => variable(5, v, out),
        Value::Uuid(v) => {
            out.push(6);
            out.extend(v);
        }
        Value::Timestamp(v) => fixed(7, *v as u64 ^ SIGN, out),
        Value::Date(v) => fixed(8, i64::from(*v) as u64 ^ SIGN, out),
        Value::Null | Value::Float(_) | Value::Json(_) => variable(4, value.to_json().to_string().as_bytes(), out),
    }
}

fn fixed(tag: u8, bits: u64, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(bits.to_be_bytes());
}

/// Zero bytes are escaped as `00 FF` and the end is `00 00`, so that a prefix sorts first.
fn variable(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 0]);
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), KeyError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(KeyError)?;
    Ok((*head, rest))
}

fn number(bytes: &[u8]) -> Result<(i64, &[u8]), KeyError> {
    let (head, rest) = take::<8>(bytes)?;
    Ok(((u64::from_be_bytes(head) ^ SIGN) as i64, rest))
}

fn decode_part(tag: u8, bytes: &[u8]) -> Result<(Value, &[u8]), KeyError> {
    Ok(match tag {
        1 => match take::<1>(bytes)? {
            ([v @ (0 | 1)], rest) => (Value::Bool(v == 1), rest),
            _ => return Err(KeyError),
        },
        2 => number(bytes).map(|(v, rest)| (Value::Int(v), rest))?,
        3 => {
            let ([scale], rest) = take::<1>(bytes)?;
            if scale > MAX_DECIMAL_SCALE {
                return Err(KeyError);
            }
            number(rest).map(|(v, rest)| (Value::Decimal(Decimal::new(v, scale)), rest))?
        }
        4 | 5 => {
            let (body, rest) = decode_variable(bytes)?;
            let value = match tag {
                4 => Value::Text(String::from_utf8(body).map_err(|_| KeyError)?),
                _ => Value::Bytes(body),
            };
            (value, rest)
        }
        6 => take::<16>(bytes).map(|(v, rest)| (Value::Uuid(v), rest))?,
        7 => {
            let (v, rest) = number(bytes)?;
            (Value::timestamp(v).ok_or(KeyError)?, rest)
        }
        8 => {
            let (v, rest) = number(bytes)?;
            (i32::try_from(v).ok().and_then(Value::date).ok_or(KeyError)?, rest)
        }
        _ => return Err(KeyError),
    })
}

fn decode_variable(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), KeyError> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(0), Some(0)) => return Ok((out, &bytes[at + 2..])),
            (Some(0), Some(0xff)) => {
                out.push(0);
                at += 2;
            }
            (Some(0), _) | (None, _) => return Err(KeyError),
            (Some(byte), _) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, value) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            match value.to_json() {
                serde_json::Value::String(text) => f.write_str(&text)?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

impl<C> Encode<C> for RowKey {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for RowKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::from_bytes(d.bytes()?).map_err(minicbor::decode::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{MAX_TIMESTAMP, MIN_TIMESTAMP};

    fn part() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            "[a\\x00b]{0,4}".prop_map(Value::Text),
            prop::collection::vec(0u8..3, 0..4).prop_map(Value::Bytes),
            any::<[u8; 16]>().prop_map(Value::Uuid),
            (MIN_TIMESTAMP..=MAX_TIMESTAMP).prop_map(Value::Timestamp),
            (-700_000..2_900_000i32).prop_map(Value::Date),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|units| Value::Decimal(Decimal::new(units, 2))),
        ]
    }

    proptest! {
        #[test]
        fn bytes_read_back(values in prop::collection::vec(part(), 1..4)) {
            let key = RowKey(values);
            prop_assert_eq!(RowKey::from_bytes(&key.to_bytes()), Ok(key));
        }

        #[test]
        fn bytes_sort_as_values_of_one_type(a: i64, b: i64, s in "[a\\x00b]{0,4}", t in "[a\\x00b]{0,4}") {
            let key = |n, s: &str| RowKey(vec![Value::Int(n), Value::Text(s.to_owned())]);
            let (x, y) = (key(a, &s), key(b, &t));
            prop_assert_eq!(x.to_bytes().cmp(&y.to_bytes()), x.cmp(&y));
            let (x, y) = (key(0, &s), key(0, &t));
            prop_assert_eq!(x.to_bytes().cmp(&y.to_bytes()), x.cmp(&y));
        }

        #[test]
        fn garbage_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = RowKey::from_bytes(&bytes);
        }
    }
}
