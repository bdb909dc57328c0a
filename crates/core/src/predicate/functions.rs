//! The functions that lowered predicates call on SQLite. Pure; the shells register them with their driver as
//! deterministic functions.

use std::cmp::Ordering;

use super::expr::ArithOp;
use super::number::{self, Number};
use super::{Truth, like};
use crate::value::{Decimal, SqliteValue};

/// A function for SQLite's `create_scalar_function`.
#[derive(Clone, Copy, Debug)]
pub struct SqlFunction {
    /// Its name in SQL.
    pub name: &'static str,
    /// How many arguments it takes; -1: any number.
    pub arity: i32,
    /// What it does. An error is to fail the statement.
    pub call: fn(&[SqliteValue]) -> Result<SqliteValue, String>,
}

/// The functions that lowered predicates use on SQLite. A name may occur with several arities.
pub fn functions() -> &'static [SqlFunction] {
    const fn f(name: &'static str, arity: i32, call: fn(&[SqliteValue]) -> Result<SqliteValue, String>) -> SqlFunction {
        SqlFunction { name, arity, call }
    }
    const {
        &[
            f("landfall_add", 2, |a| arith(ArithOp::Add, a)),
            f("landfall_sub", 2, |a| arith(ArithOp::Sub, a)),
            f("landfall_mul", 2, |a| arith(ArithOp::Mul, a)),
            f("landfall_div", 2, |a| arith(ArithOp::Div, a)),
            f("landfall_rem", 2, |a| arith(ArithOp::Rem, a)),
            f("landfall_add", 4, |a| arith_decimal(ArithOp::Add, a)),
            f("landfall_sub", 4, |a| arith_decimal(ArithOp::Sub, a)),
            f("landfall_rem", 4, |a| arith_decimal(ArithOp::Rem, a)),
            f("landfall_neg", 1, negate),
            f("landfall_compare", 4, compare),
            f("landfall_between", 6, between),
            f("landfall_like", 2, |a| matches(a, false)),
            f("landfall_ilike", 2, |a| matches(a, true)),
            f("landfall_and", -1, |a| logic(a, Truth::True, Truth::and)),
            f("landfall_or", -1, |a| logic(a, Truth::False, Truth::or)),
        ]
    }
}

const UNDEFINED: &str = "a predicate function was called with values that it is not defined for";

fn arith(op: ArithOp, args: &[SqliteValue]) -> Result<SqliteValue, String> {
    match args {
        [SqliteValue::Null, _] | [_, SqliteValue::Null] => Ok(SqliteValue::Null),
        [SqliteValue::Integer(a), SqliteValue::Integer(b)] => {
            number::arith_int(op, *a, *b).map(SqliteValue::Integer).map_err(|e| e.to_string())
        }
        [SqliteValue::Real(a), SqliteValue::Real(b)] => {
            number::arith_float(op, *a, *b).map(SqliteValue::Real).map_err(|e| e.to_string())
        }
        _ => Err(UNDEFINED.into()),
    }
}

/// Decimals of different scales: units and scale, twice.
fn arith_decimal(op: ArithOp, args: &[SqliteValue]) -> Result<SqliteValue, String> {
    let [a, SqliteValue::Integer(a_scale), b, SqliteValue::Integer(b_scale)] = args else {
        return Err(UNDEFINED.into());
    };
    match (a, b, u8::try_from(*a_scale), u8::try_from(*b_scale)) {
        (SqliteValue::Null, ..) | (_, SqliteValue::Null, ..) => Ok(SqliteValue::Null),
        (SqliteValue::Integer(a), SqliteValue::Integer(b), Ok(a_scale), Ok(b_scale)) => {
            let result = number::arith_decimal(op, Decimal::new(*a, a_scale), Decimal::new(*b, b_scale));
            result.map(|d| SqliteValue::Integer(d.units)).map_err(|e| e.to_string())
        }
        _ => Err(UNDEFINED.into()),
    }
}

fn negate(args: &[SqliteValue]) -> Result<SqliteValue, String> {
    match args {
        [SqliteValue::Null] => Ok(SqliteValue::Null),
        [SqliteValue::Integer(_)] => arith(ArithOp::Sub, &[SqliteValue::Integer(0), args[0].clone()]),
        [SqliteValue::Real(_)] => arith(ArithOp::Sub, &[SqliteValue::Real(0.0), args[0].clone()]),
        _ => Err(UNDEFINED.into()),
    }
}

/// The order of two stored values, each with its scale: NULL when one is NULL.
fn order(
    a: &SqliteValue,
    a_scale: &SqliteValue,
    b: &SqliteValue,
    b_scale: &SqliteValue,
) -> Result<Option<Ordering>, String> {
    let number = |value: &SqliteValue, scale: &SqliteValue| match (value, scale) {
        (SqliteValue::Integer(units), SqliteValue::Integer(scale)) => {
            u8::try_from(*scale).ok().map(|scale| Number::Exact { units: *units, scale })
        }
        (SqliteValue::Real(f), _) => Some(Number::Float(*f)),
        _ => None,
    };
    Ok(Some(match (a, b) {
        (SqliteValue::Null, _) | (_, SqliteValue::Null) => return Ok(None),
        (SqliteValue::Text(a), SqliteValue::Text(b)) => a.cmp(b),
        (SqliteValue::Blob(a), SqliteValue::Blob(b)) => a.cmp(b),
        _ => match (number(a, a_scale), number(b, b_scale)) {
            (Some(a), Some(b)) => number::compare(a, b),
            _ => return Err(UNDEFINED.into()),
        },
    }))
}

fn compare(args: &[SqliteValue]) -> Result<SqliteValue, String> {
    let [a, a_scale, b, b_scale] = args else {
        return Err(UNDEFINED.into());
    };
    Ok(order(a, a_scale, b, b_scale)?.map_or(SqliteValue::Null, |o| SqliteValue::Integer(o as i64)))
}

fn between(args: &[SqliteValue]) -> Result<SqliteValue, String> {
    let [x, x_scale, low, low_scale, high, high_scale] = args else {
        return Err(UNDEFINED.into());
    };
    let above = order(x, x_scale, low, low_scale)?.map_or(Truth::Null, |o| o.is_ge().into());
    let below = order(x, x_scale, high, high_scale)?.map_or(Truth::Null, |o| o.is_le().into());
    Ok(stored(above.and(below)))
}

fn matches(args: &[SqliteValue], fold: bool) -> Result<SqliteValue, String> {
    match args {
        [SqliteValue::Null, _] | [_, SqliteValue::Null] => Ok(SqliteValue::Null),
        [SqliteValue::Text(text), SqliteValue::Text(pattern)] => {
            let found = if fold { like::matches(&like::fold(text), pattern) } else { like::matches(text, pattern) };
            Ok(stored(found.into()))
        }
        _ => Err(UNDEFINED.into()),
    }
}

fn logic(args: &[SqliteValue], start: Truth, f: fn(Truth, Truth) -> Truth) -> Result<SqliteValue, String> {
    let mut all = start;
    for arg in args {
        all = f(
            all,
            match arg {
                SqliteValue::Null => Truth::Null,
                SqliteValue::Integer(v) => (*v != 0).into(),
                _ => return Err(UNDEFINED.into()),
            },
        );
    }
    Ok(stored(all))
}

fn stored(truth: Truth) -> SqliteValue {
    match truth {
        Truth::True => SqliteValue::Integer(1),
        Truth::False => SqliteValue::Integer(0),
        Truth::Null | Truth::Unknown => SqliteValue::Null,
    }
}
