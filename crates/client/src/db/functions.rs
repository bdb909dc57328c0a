//! The engine's SQL functions.
//!
//! | function | gives |
//! |---|---|
//! | `uuid()` | a new uuid of version 7 |
//! | `to_decimal(text, scale)` | the stored form of a decimal: units of 10^-scale |
//! | `from_decimal(units, scale)` | the decimal as text |
//! | `to_timestamp(text)` | the stored form of an RFC 3339 instant: microseconds since 1970 |
//! | `from_timestamp(microseconds)` | the instant as text |
//!
//! The defaults `now` and `uuid` call `landfall_now()`, `landfall_today()` and `landfall_uuid()`; the guard triggers name
//! [`GUARD`], which only the engine registers.

use landfall_core::hash::hash128;
use landfall_core::schema::ddl::{FUNCTION_NOW, FUNCTION_TODAY, FUNCTION_UUID};
use landfall_core::value::{Decimal, format_date, format_timestamp, format_uuid, parse_timestamp, uuid_v7};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use super::hooks::{Inner, Shared};

/// The function that the guard triggers on synced tables name. A connection that is not the engine's does not have it,
/// so that its writes fail with this name in the message.
pub(super) const GUARD: &str = "landfall_write_through_the_engine";

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Registers the functions on the engine's connection.
pub(super) fn register(conn: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    let volatile = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let pure = volatile | FunctionFlags::SQLITE_DETERMINISTIC;
    for name in [FUNCTION_UUID, "uuid"] {
        let state = shared.clone();
        conn.create_scalar_function(name, 0, volatile, move |_| Ok(new_uuid(&mut state.lock())))?;
    }
    let state = shared.clone();
    conn.create_scalar_function(FUNCTION_NOW, 0, volatile, move |_| Ok(micros(state.lock().now_ms)))?;
    let state = shared.clone();
    conn.create_scalar_function(FUNCTION_TODAY, 0, volatile, move |_| {
        let days = micros(state.lock().now_ms).div_euclid(MICROS_PER_DAY);
        Ok(format_date(i32::try_from(days).unwrap_or(i32::MAX)))
    })?;
    conn.create_scalar_function(GUARD, 0, pure, |_| Ok(0))?;
    conn.create_scalar_function("to_decimal", 2, pure, to_decimal)?;
    conn.create_scalar_function("from_decimal", 2, pure, from_decimal)?;
    conn.create_scalar_function("to_timestamp", 1, pure, |context| {
        let text: Option<String> = context.get(0)?;
        let Some(text) = text else { return Ok(None) };
        parse_timestamp(&text)
            .map(Some)
            .ok_or_else(|| failure(format!("to_timestamp: '{text}' is not an instant such as 2026-11-21T08:30:00Z")))
    })?;
    conn.create_scalar_function("from_timestamp", 1, pure, |context| {
        let micros: Option<i64> = context.get(0)?;
        Ok(micros.map(format_timestamp))
    })
}

fn micros(now_ms: u64) -> i64 {
    i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// Chance, anew at each call, from the transaction's seed.
pub(super) fn drawn(state: &mut Inner) -> [u8; 16] {
    state.drawn += 1;
    let mut bytes = state.seed.to_vec();
    bytes.extend(state.drawn.to_le_bytes());
    hash128(&bytes)
}

fn new_uuid(state: &mut Inner) -> String {
    let mut random = [0; 10];
    random.copy_from_slice(&drawn(state)[..10]);
    format_uuid(&uuid_v7(state.now_ms, random))
}

fn failure(text: String) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(text.into())
}

fn scale(context: &Context<'_>) -> rusqlite::Result<u8> {
    let scale: i64 = context.get(1)?;
    u8::try_from(scale)
        .ok()
        .filter(|s| *s <= landfall_core::value::MAX_DECIMAL_SCALE)
        .ok_or_else(|| failure(format!("a decimal's scale is 0 to 18, not {scale}")))
}

fn to_decimal(context: &Context<'_>) -> rusqlite::Result<Option<i64>> {
    let scale = scale(context)?;
    // A number in SQL text has been through a double already; its shortest form is what was meant.
    let text = match context.get_raw(0) {
        rusqlite::types::ValueRef::Null => return Ok(None),
        rusqlite::types::ValueRef::Integer(v) => v.to_string(),
        rusqlite::types::ValueRef::Real(v) => v.to_string(),
        _ => context.get(0)?,
    };
    let decimal = Decimal::parse(&text).and_then(|d| d.rescale(scale));
    decimal.map(|d| Some(d.units)).ok_or_else(|| {
        failure(format!("to_decimal: '{text}' is not a decimal number with at most {scale} digits after the point"))
    })
}

fn from_decimal(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let scale = scale(context)?;
    let units: Option<i64> = context.get(0)?;
    Ok(units.map(|units| Decimal::new(units, scale).to_string()))
}
