//! Typed values, and their exact mappings to JSON, SQLite and CBOR.
//!
//! | type | SQLite (STRICT) | JSON |
//! |---|---|---|
//! | uuid | TEXT, 36 characters, lower case | string |
//! | text | TEXT | string |
//! | integer | INTEGER | number up to ±(2⁵³−1), beyond that a string of digits |
//! | float | REAL, finite | number |
//! | decimal(s) | INTEGER, in units of 10⁻ˢ (so `<`, ORDER BY and SUM are exact) | string, always `s` digits after the point |
//! | boolean | INTEGER 0 or 1 | true, false |
//! | timestamp | INTEGER, microseconds since 1970-01-01T00:00:00Z | RFC 3339 string in UTC |
//! | date | TEXT `YYYY-MM-DD` | the same string |
//! | json | TEXT, canonical: no white space, object keys sorted | the value itself |
//! | bytes | BLOB | base64 string (standard alphabet, padded) |
//!
//! Dates and timestamps lie in the years 0001 to 9999, so that every one has a written form and dates sort as text. A
//! json column whose value is JSON's `null` is NULL: the two would look the same in JSON. Reading accepts a uuid in
//! either case and JSON with any spacing; the value is the canonical one.

use std::cmp::Ordering;
use std::fmt;

use minicbor::data::{Tag, Type};
use minicbor::{Decode, Decoder, Encode, Encoder};

mod calendar;
pub mod json;
mod sqlite;

pub use calendar::{
    MAX_DATE, MAX_TIMESTAMP, MIN_DATE, MIN_TIMESTAMP, format_date, format_timestamp, parse_date, parse_timestamp,
};
pub use json::JsonError;
pub use sqlite::{SqliteError, SqliteValue};

/// The largest integer that JSON numbers carry exactly in every language (2⁵³ − 1).
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
/// The largest scale of a decimal: 10¹⁸ still fits an `i64`.
pub const MAX_DECIMAL_SCALE: u8 = 18;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnType {
    /// A 128-bit identifier.
    Uuid,
    /// Unicode text.
    Text,
    /// A 64-bit signed integer.
    Integer,
    /// A finite IEEE 754 double.
    Float,
    /// A decimal with this many digits after the point (0 to [`MAX_DECIMAL_SCALE`]).
    Decimal(u8),
    /// True or false.
    Boolean,
    /// An instant with microsecond resolution.
    Timestamp,
    /// A calendar day.
    Date,
    /// Any JSON value.
    Json,
    /// Raw bytes.
    Bytes,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid => f.write_str("uuid"),
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Float => f.write_str("float"),
            Self::Decimal(scale) => write!(f, "decimal({scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Json => f.write_str("json"),
            Self::Bytes => f.write_str("bytes"),
        }
    }
}

/// A decimal number: `units` × 10^−`scale`.
///
/// Equality and order are by number, so `1.50` (scale 2) equals `1.5` (scale 1).
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// The number in units of 10^−`scale`.
    pub units: i64,
    /// Digits after the point, at most [`MAX_DECIMAL_SCALE`].
    pub scale: u8,
}

impl Decimal {
    /// The number `units` × 10^−`scale`; a scale above [`MAX_DECIMAL_SCALE`] is clamped to it.
    pub fn new(units: i64, scale: u8) -> Self {
        Self { units, scale: scale.min(MAX_DECIMAL_SCALE) }
    }

    /// Units at the largest scale, as the common ground for comparison (fits: 2⁶³ × 10¹⁸ < 2¹²⁷).
    pub fn normalised(self) -> i128 {
        i128::from(self.units) * 10i128.pow(u32::from(MAX_DECIMAL_SCALE - self.scale.min(MAX_DECIMAL_SCALE)))
    }

    /// Parses `-12.50`. `None` when the text is not a plain decimal number or does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || (digits.contains('.') && fraction.is_empty()) {
            return None;
        }
        let scale = u8::try_from(fraction.len()).ok().filter(|s| *s <= MAX_DECIMAL_SCALE)?;
        let magnitude: i128 = format!("{whole}{fraction}").parse().ok()?;
        let units = i64::try_from(if negative { -magnitude } else { magnitude }).ok()?;
        Some(Self { units, scale })
    }

    /// The same number at another scale; `None` when digits would be lost or it does not fit.
    pub fn rescale(self, scale: u8) -> Option<Self> {
        let wide = self.normalised();
        let unit = 10i128.pow(u32::from(MAX_DECIMAL_SCALE.checked_sub(scale)?));
        if wide % unit != 0 {
            return None;
        }
        Some(Self { units: i64::try_from(wide / unit).ok()?, scale })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let magnitude = self.units.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let unit = 10u64.pow(u32::from(self.scale.min(MAX_DECIMAL_SCALE)));
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = usize::from(self.scale))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.normalised() == other.normalised()
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normalised().cmp(&other.normalised())
    }
}

/// A value of a cell.
///
/// Two values are equal when they are the same value of the same type; floats compare by bits after `-0.0` has been
/// made `0.0` ([`Value::float`]), so equality is total.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite double; build it with [`Value::float`].
    Float(f64),
    /// A decimal.
    Decimal(Decimal),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A uuid.
    Uuid([u8; 16]),
    /// Microseconds since the Unix epoch.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// Canonical JSON text; build it with [`Value::json`].
    Json(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl Value {
    /// A float, unless it is not finite. `-0.0` becomes `0.0`.
    pub fn float(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Float(if value == 0.0 { 0.0 } else { value }))
    }

    /// The number, of an integer.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The text, of a text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A JSON value in canonical text; NULL for JSON's `null`.
    pub fn json(value: &serde_json::Value) -> Self {
        if value.is_null() { Self::Null } else { Self::Json(value.to_string()) }
    }

    /// A timestamp from microseconds since 1970, unless it lies outside the years 0001 to 9999.
    pub fn timestamp(micros: i64) -> Option<Self> {
        (MIN_TIMESTAMP..=MAX_TIMESTAMP).contains(&micros).then_some(Self::Timestamp(micros))
    }

    /// A date from days since 1970-01-01, unless it lies outside the years 0001 to 9999.
    pub fn date(days: i32) -> Option<Self> {
        (MIN_DATE..=MAX_DATE).contains(&days).then_some(Self::Date(days))
    }

    /// What is wrong with a value that was not built by the functions made for it, in words that follow "the value is".
    pub fn flaw(&self) -> Option<&'static str> {
        match self {
            Self::Float(v) if !v.is_finite() => Some("not a finite number"),
            Self::Decimal(v) if v.scale > MAX_DECIMAL_SCALE => Some("a decimal of more than 18 digits after the point"),
            Self::Timestamp(v) if Self::timestamp(*v).is_none() => Some("outside the years 0001 to 9999"),
            Self::Date(v) if Self::date(*v).is_none() => Some("outside the years 0001 to 9999"),
            Self::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
                Ok(_) => None,
                Err(_) => Some("not JSON, or nested deeper than 128 levels"),
            },
            _ => None,
        }
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What this value is, in the schema's words; `None` for NULL.
    pub fn type_of(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => ColumnType::Boolean,
            Self::Int(_) => ColumnType::Integer,
            Self::Float(_) => ColumnType::Float,
            Self::Decimal(d) => ColumnType::Decimal(d.scale),
            Self::Text(_) => ColumnType::Text,
            Self::Bytes(_) => ColumnType::Bytes,
            Self::Uuid(_) => ColumnType::Uuid,
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Date(_) => ColumnType::Date,
            Self::Json(_) => ColumnType::Json,
        })
    }

    /// Whether a column of this type can hold the value (NULL always can, as far as the type goes).
    pub fn fits(&self, ty: ColumnType) -> bool {
        self.type_of().is_none_or(|own| own == ty)
    }

    /// Bytes this value occupies, roughly; for limits and memory accounting.
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Int(_) | Self::Float(_) | Self::Timestamp(_) => 8,
            Self::Decimal(_) => 9,
            Self::Date(_) => 4,
            Self::Uuid(_) => 16,
            Self::Text(s) | Self::Json(s) => s.len(),
            Self::Bytes(b) => b.len(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Decimal(_) => 4,
            Self::Text(_) => 5,
            Self::Bytes(_) => 6,
            Self::Uuid(_) => 7,
            Self::Timestamp(_) => 8,
            Self::Date(_) => 9,
            Self::Json(_) => 10,
        }
    }

    /// Writes the value without its type, for batches whose header names the types.
    pub fn encode_bare<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            Self::Null => e.null()?,
            Self::Bool(v) => e.bool(*v)?,
            Self::Int(v) | Self::Timestamp(v) => e.i64(*v)?,
            Self::Float(v) => e.f64(*v)?,
            Self::Decimal(v) => e.i64(v.units)?,
            Self::Text(v) | Self::Json(v) => e.str(v)?,
            Self::Bytes(v) => e.bytes(v)?,
            Self::Uuid(v) => e.bytes(v)?,
            Self::Date(v) => e.i32(*v)?,
        };
        Ok(())
    }

    /// Reads what [`Value::encode_bare`] wrote for a column of type `ty`.
    pub fn decode_bare(d: &mut Decoder<'_>, ty: ColumnType) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(Self::Null);
        }
        Ok(match ty {
            ColumnType::Boolean => Self::Bool(d.bool()?),
            ColumnType::Integer => Self::Int(d.i64()?),
            ColumnType::Timestamp => decode_timestamp(d)?,
            ColumnType::Float => decode_float(d)?,
            ColumnType::Decimal(scale) if scale <= MAX_DECIMAL_SCALE => Self::Decimal(Decimal::new(d.i64()?, scale)),
            ColumnType::Decimal(_) => {
                return Err(minicbor::decode::Error::message("decimal scale above 18"));
            }
            ColumnType::Text => Self::Text(d.str()?.to_owned()),
            ColumnType::Json => Self::Json(d.str()?.to_owned()),
            ColumnType::Bytes => Self::Bytes(d.bytes()?.to_vec()),
            ColumnType::Uuid => Self::Uuid(decode_uuid(d)?),
            ColumnType::Date => decode_date(d)?,
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Value {}
impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
/// A total order for maps and diffs: by type first, then by value. It is *not* the predicate order, see
/// [`crate::predicate`].
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) | (Self::Json(a), Self::Json(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

const TAG_DECIMAL: u64 = 4;
const TAG_UUID: u64 = 37;
const TAG_DATE: u64 = 100;
const TAG_JSON: u64 = 262;
/// Private use: microseconds since the Unix epoch (tag 1 counts seconds).
const TAG_TIMESTAMP: u64 = 61_441;

fn decode_uuid(d: &mut Decoder<'_>) -> Result<[u8; 16], minicbor::decode::Error> {
    <[u8; 16]>::try_from(d.bytes()?).map_err(|_| minicbor::decode::Error::message("a uuid has 16 bytes"))
}

fn decode_timestamp(d: &mut Decoder<'_>) -> Result<Value, minicbor::decode::Error> {
    Value::timestamp(d.i64()?).ok_or_else(|| minicbor::decode::Error::message("timestamps lie in the years 1 to 9999"))
}

fn decode_date(d: &mut Decoder<'_>) -> Result<Value, minicbor::decode::Error> {
    Value::date(d.i32()?).ok_or_else(|| minicbor::decode::Error::message("dates lie in the years 1 to 9999"))
}

fn decode_float(d: &mut Decoder<'_>) -> Result<Value, minicbor::decode::Error> {
    Value::float(d.f64()?).ok_or_else(|| minicbor::decode::Error::message("floats are finite"))
}

impl<C> Encode<C> for Value {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            Self::Uuid(_) => e.tag(Tag::new(TAG_UUID))?,
            Self::Timestamp(_) => e.tag(Tag::new(TAG_TIMESTAMP))?,
            Self::Date(_) => e.tag(Tag::new(TAG_DATE))?,
            Self::Json(_) => e.tag(Tag::new(TAG_JSON))?,
            Self::Decimal(d) => e.tag(Tag::new(TAG_DECIMAL))?.array(2)?.i8(-(d.scale as i8))?,
            _ => e,
        };
        self.encode_bare(e)
    }
}

impl<'b, C> Decode<'b, C> for Value {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(match d.datatype()? {
            Type::Null => {
                d.null()?;
                Self::Null
            }
            Type::Bool => Self::Bool(d.bool()?),
            Type::F64 => decode_float(d)?,
            Type::String => Self::Text(d.str()?.to_owned()),
            Type::Bytes => Self::Bytes(d.bytes()?.to_vec()),
            Type::Tag => match d.tag()?.as_u64() {
                TAG_UUID => Self::Uuid(decode_uuid(d)?),
                TAG_TIMESTAMP => decode_timestamp(d)?,
                TAG_DATE => decode_date(d)?,
                TAG_JSON => Self::Json(d.str()?.to_owned()),
                TAG_DECIMAL => {
                    if d.array()? != Some(2) {
                        return Err(minicbor::decode::Error::message("a decimal is [-scale, units]"));
                    }
                    let scale = u8::try_from(-i16::from(d.i8()?)).unwrap_or(u8::MAX);
                    if scale > MAX_DECIMAL_SCALE {
                        return Err(minicbor::decode::Error::message("decimal scale outside 0 to 18"));
                    }
                    Self::Decimal(Decimal::new(d.i64()?, scale))
                }
                _ => return Err(minicbor::decode::Error::message("unknown value tag")),
            },
            _ => Self::Int(d.i64()?),
        })
    }
}

/// Formats a uuid in the canonical 36 characters, lower case.
pub fn format_uuid(bytes: &[u8; 16]) -> String {
    // ASCII is UTF-8.
    String::from_utf8(uuid_text(bytes).to_vec()).unwrap_or_default()
}

/// The same characters, which are ASCII, without a place of their own.
pub fn uuid_text(bytes: &[u8; 16]) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bytes.iter().enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        out[at] = HEX[usize::from(byte >> 4)];
        out[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    out
}

/// Parses the 36-character form, either case. `None` for anything else.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut out = [0u8; 16];
    let mut at = 0;
    for (i, slot) in out.iter_mut().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            if bytes[at] != b'-' {
                return None;
            }
            at += 1;
        }
        let (high, low) = (HEX_DIGITS[usize::from(bytes[at])], HEX_DIGITS[usize::from(bytes[at + 1])]);
        if high | low > 15 {
            return None;
        }
        *slot = high << 4 | low;
        at += 2;
    }
    Some(out)
}

/// The value of each hexadecimal digit; 255 for what is none.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0u8;
    while digit < 16 {
        let letter = b"0123456789abcdef"[digit as usize];
        table[letter as usize] = digit;
        table[letter.to_ascii_uppercase() as usize] = digit;
        digit += 1;
    }
    table
};

/// A uuid of version 7 (RFC 9562) from given time and randomness: sorts by time of creation.
pub fn uuid_v7(now_ms: u64, random: [u8; 10]) -> [u8; 16] {
    let mut out = [0u8; 16];
    out[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    out[6..].copy_from_slice(&random);
    out[6] = 0x70 | (out[6] & 0x0f);
    out[8] = 0x80 | (out[8] & 0x3f);
    out
}
