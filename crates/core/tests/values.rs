//! A value is the same after every way of writing it down, and only real values are read.

use landfall_core::value::{
    ColumnType, Decimal, MAX_DATE, MAX_TIMESTAMP, MIN_DATE, MIN_TIMESTAMP, SqliteValue, Value, parse_timestamp,
};
use minicbor::Decoder;
use proptest::prelude::*;

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn typed() -> impl Strategy<Value = (ColumnType, Value)> {
    let integer =
        || prop_oneof![any::<i64>(), -9i64..9, Just(1 << 53), Just(-(1 << 53)), Just(i64::MIN), Just(i64::MAX)];
    let time = prop_oneof![MIN_TIMESTAMP..=MAX_TIMESTAMP, Just(MIN_TIMESTAMP), Just(MAX_TIMESTAMP), -9_000_000i64..9];
    let value = prop_oneof![
        any::<[u8; 16]>().prop_map(|v| (ColumnType::Uuid, Value::Uuid(v))),
        any::<String>().prop_map(|v| (ColumnType::Text, Value::Text(v))),
        integer().prop_map(|v| (ColumnType::Integer, Value::Int(v))),
        any::<f64>().prop_map(|v| (ColumnType::Float, Value::float(v).unwrap_or_default())),
        (integer(), 0u8..=18).prop_map(|(v, s)| (ColumnType::Decimal(s), Value::Decimal(Decimal::new(v, s)))),
        any::<bool>().prop_map(|v| (ColumnType::Boolean, Value::Bool(v))),
        time.prop_map(|v| (ColumnType::Timestamp, Value::Timestamp(v))),
        (MIN_DATE..=MAX_DATE).prop_map(|v| (ColumnType::Date, Value::Date(v))),
        json().prop_map(|v| (ColumnType::Json, Value::json(&v))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|v| (ColumnType::Bytes, Value::Bytes(v))),
    ];
    (value, prop::bool::weighted(0.05)).prop_map(|((ty, value), null)| (ty, if null { Value::Null } else { value }))
}

/// Equal, of the same type, and with the same bytes: what equality alone would not tell (scales of decimals).
fn same(a: &Value, b: &Value) -> bool {
    a == b && a.type_of() == b.type_of() && minicbor::to_vec(a).ok() == minicbor::to_vec(b).ok()
}

const TYPES: [ColumnType; 10] = [
    ColumnType::Uuid,
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Float,
    ColumnType::Decimal(2),
    ColumnType::Boolean,
    ColumnType::Timestamp,
    ColumnType::Date,
    ColumnType::Json,
    ColumnType::Bytes,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_reads_back((ty, value) in typed()) {
        let text = value.to_json().to_string();
        let read: serde_json::Value = serde_json::from_str(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let back = Value::from_json(&read, ty).map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?;
        prop_assert!(same(&back, &value), "{:?} became {:?} by {}", value, back, text);
        prop_assert_eq!(value.flaw(), None);
    }

    #[test]
    fn tagged_json_reads_back((_, value) in typed()) {
        let text = serde_json::to_string(&value).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let back: Value = serde_json::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?;
        prop_assert!(same(&back, &value), "{:?} became {:?} by {}", value, back, text);
    }

    #[test]
    fn sqlite_reads_back((ty, value) in typed()) {
        let back = Value::from_sqlite(value.to_sqlite(), ty).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(same(&back, &value), "{:?} became {:?}", value, back);
    }

    #[test]
    fn stored_forms_sort_as_values((ty, a) in typed(), (other, b) in typed()) {
        if ty != other || ty == ColumnType::Json || a.is_null() || b.is_null() {
            return Ok(());
        }
        let order = match (a.to_sqlite(), b.to_sqlite()) {
            (SqliteValue::Integer(x), SqliteValue::Integer(y)) => x.cmp(&y),
            (SqliteValue::Real(x), SqliteValue::Real(y)) => x.total_cmp(&y),
            (SqliteValue::Text(x), SqliteValue::Text(y)) => x.cmp(&y),
            (SqliteValue::Blob(x), SqliteValue::Blob(y)) => x.cmp(&y),
            (x, y) => return Err(TestCaseError::fail(format!("{x:?} {y:?}"))),
        };
        prop_assert_eq!(order, a.cmp(&b));
    }

    #[test]
    fn cbor_reads_back((ty, value) in typed()) {
        let bytes = minicbor::to_vec(&value).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let back: Value = minicbor::decode(&bytes).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(same(&back, &value), "{:?} became {:?}", value, back);
        let mut bare = minicbor::Encoder::new(Vec::new());
        value.encode_bare(&mut bare).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let bare = bare.into_writer();
        let back = Value::decode_bare(&mut Decoder::new(&bare), ty).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(same(&back, &value), "{:?} became {:?}", value, back);
    }

    /// Whatever bytes come, they are refused, or are a value that can be written down again in every form.
    #[test]
    fn garbage_is_refused_or_a_whole_value(bytes in prop::collection::vec(any::<u8>(), 0..24), tag in 0usize..8) {
        // Half of the tags lead to a typed value, so that the interesting branches are reached.
        let heads: [&[u8]; 8] =
            [&[], &[0xd8, 37], &[0xd8, 100], &[0xd9, 0xf0, 0x01, 0x1b], &[0xc4, 0x82], &[0xfb], &[0xd8, 100, 0x1a], &[0xd9, 1, 6]];
        let bytes = [heads[tag], &bytes].concat();
        let bare = TYPES.iter().filter_map(|ty| Some((*ty, Value::decode_bare(&mut Decoder::new(&bytes), *ty).ok()?)));
        let tagged = minicbor::decode::<Value>(&bytes).ok().and_then(|v| Some((v.type_of()?, v)));
        for (ty, value) in bare.chain(tagged).filter(|(ty, _)| *ty != ColumnType::Json) {
            prop_assert_eq!(value.flaw(), None);
            let back = Value::from_json(&value.to_json(), ty).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert!(same(&back, &value), "{:?} became {:?}", value, back);
        }
    }

    /// Timestamps keep their instant through every offset, and none leads out of the years with a written form.
    #[test]
    fn offsets_name_the_same_instant(micros in MIN_TIMESTAMP..=MAX_TIMESTAMP, minutes in -1_439i64..1_440) {
        let Some(Value::Timestamp(local)) = Value::timestamp(micros + minutes * 60_000_000) else { return Ok(()) };
        let utc = landfall_core::value::format_timestamp(local);
        let sign = if minutes < 0 { '-' } else { '+' };
        let text = format!("{}{sign}{:02}:{:02}", utc.trim_end_matches('Z'), minutes.abs() / 60, minutes.abs() % 60);
        prop_assert_eq!(parse_timestamp(&text), Some(micros));
    }
}

#[test]
fn times_without_a_written_form_are_refused() {
    assert_eq!(parse_timestamp("0001-01-01T00:00:00+00:01"), None);
    assert_eq!(parse_timestamp("9999-12-31T23:59:59-00:01"), None);
    assert_eq!(Value::timestamp(MAX_TIMESTAMP + 1), None);
    assert_eq!(Value::date(MIN_DATE - 1), None);
    assert!(Value::from_sqlite(SqliteValue::Integer(MIN_TIMESTAMP - 1), ColumnType::Timestamp).is_err());
    assert_eq!(Value::Timestamp(i64::MAX).flaw(), Some("outside the years 0001 to 9999"));
    assert!(Value::Float(f64::NAN).flaw().is_some() && Value::Json("{".into()).flaw().is_some());
}

#[test]
fn a_json_null_is_null() {
    assert_eq!(Value::from_json(&serde_json::Value::Null, ColumnType::Json), Ok(Value::Null));
    assert_eq!(Value::from_sqlite(SqliteValue::Text(" null ".into()), ColumnType::Json), Ok(Value::Null));
}
