//! Exact comparison of numbers of any types, and checked arithmetic within one type.

use std::cmp::Ordering;

use super::eval::EvalError;
use super::expr::ArithOp;
use crate::value::{Decimal, MAX_DECIMAL_SCALE, Value};

/// A number, whatever its type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// An integer (scale 0) or a decimal.
    Exact { units: i64, scale: u8 },
    /// A finite float.
    Float(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(units) => Some(Self::Exact { units: *units, scale: 0 }),
            Value::Decimal(d) => Some(Self::Exact { units: d.units, scale: d.scale }),
            Value::Float(f) => Some(Self::Float(*f)),
            _ => None,
        }
    }
}

/// The order of two numbers by their exact value.
pub(super) fn compare(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Exact { units: x, scale: s }, Number::Exact { units: y, scale: t }) => {
            Decimal::new(x, s).cmp(&Decimal::new(y, t))
        }
        (Number::Float(x), Number::Float(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
        (Number::Exact { units, scale }, Number::Float(f)) => compare_with_float(units, scale, f),
        (Number::Float(f), Number::Exact { units, scale }) => compare_with_float(units, scale, f).reverse(),
    }
}

/// Compares `units` × 10^−`scale` with `f`, as integers: `f` is m × 2^e with |m| < 2⁵³, so m × 10^scale < 2¹¹³.
fn compare_with_float(units: i64, scale: u8, f: f64) -> Ordering {
    let bits = f.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i128;
    let (mantissa, exponent) = match biased {
        0 => (fraction, -1_074),
        _ => (fraction | 1 << 52, biased - 1_075),
    };
    let scaled = mantissa * 10i128.pow(u32::from(scale)) * if f < 0.0 { -1 } else { 1 };
    let units = i128::from(units);
    if scaled == 0 {
        return units.cmp(&0);
    }
    if exponent >= 0 {
        // 2⁵² × 2¹³ is beyond every i64 already, and 2¹¹³ × 2¹² still fits.
        return units.cmp(&(scaled << exponent.min(13)));
    }
    let shift = exponent.unsigned_abs().min(126);
    let floor = scaled >> shift;
    let exact = floor << shift == scaled;
    units.cmp(&floor).then(if exact { Ordering::Equal } else { Ordering::Less })
}

/// Decimals other than a quotient: exact, then checked against the range at the result's scale, which is the larger of
/// the two, for a product their sum.
pub(super) fn arith_decimal(op: ArithOp, a: Decimal, b: Decimal) -> Result<Decimal, EvalError> {
    let scale = if op == ArithOp::Mul { a.scale.saturating_add(b.scale) } else { a.scale.max(b.scale) };
    if scale > MAX_DECIMAL_SCALE {
        return Err(EvalError::Undefined);
    }
    // Below 2¹²³ each: 2⁶³ × 10¹⁸.
    let at_scale = |d: Decimal| i128::from(d.units) * 10i128.pow(u32::from(scale - d.scale));
    let units = match op {
        ArithOp::Add => at_scale(a) + at_scale(b),
        ArithOp::Sub => at_scale(a) - at_scale(b),
        ArithOp::Mul => i128::from(a.units) * i128::from(b.units),
        ArithOp::Rem if b.units == 0 => return Err(EvalError::DivisionByZero),
        ArithOp::Rem => at_scale(a) % at_scale(b),
        ArithOp::Div => return Err(EvalError::Undefined),
    };
    Ok(Decimal::new(i64::try_from(units).map_err(|_| EvalError::Overflow)?, scale))
}

pub(super) fn arith_int(op: ArithOp, a: i64, b: i64) -> Result<i64, EvalError> {
    match op {
        ArithOp::Add => a.checked_add(b).ok_or(EvalError::Overflow),
        ArithOp::Sub => a.checked_sub(b).ok_or(EvalError::Overflow),
        ArithOp::Mul => a.checked_mul(b).ok_or(EvalError::Overflow),
        ArithOp::Div | ArithOp::Rem if b == 0 => Err(EvalError::DivisionByZero),
        ArithOp::Div => a.checked_div(b).ok_or(EvalError::Overflow),
        // The smallest integer % -1 is 0; only the processor thinks otherwise.
        ArithOp::Rem => Ok(a.wrapping_rem(b)),
    }
}

pub(super) fn arith_float(op: ArithOp, a: f64, b: f64) -> Result<f64, EvalError> {
    if b == 0.0 && matches!(op, ArithOp::Div | ArithOp::Rem) {
        return Err(EvalError::DivisionByZero);
    }
    let result = match op {
        ArithOp::Add => a + b,
        ArithOp::Sub => a - b,
        ArithOp::Mul => a * b,
        ArithOp::Div => a / b,
        ArithOp::Rem => a % b,
    };
    match Value::float(result) {
        Some(Value::Float(f)) => Ok(f),
        _ => Err(EvalError::Overflow),
    }
}
