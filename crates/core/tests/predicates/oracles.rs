//! What evaluator and lowering share (the functions that SQLite calls) is held to something that is neither.

use std::cmp::Ordering;

use landfall_core::predicate::{Env, Expr, Predicate, Truth};
use landfall_core::value::{Decimal, Value};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::generate;

fn truth(expr: Expr, cells: Vec<(&str, Value)>) -> Result<Truth, TestCaseError> {
    let predicate = Predicate::check(expr, &generate::table(), &[])
        .map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
    let row = cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    predicate.eval(&row, &Env::default()).map_err(|e| TestCaseError::fail(e.to_string()))
}

/// The exact decimal expansion of a number, as sign and digits that compare as text: every double has at most 309
/// digits before the point and 1,074 after it, and the standard library prints them all.
fn expansion(text: &str) -> (bool, String) {
    let (negative, magnitude) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let digits = format!("{whole:0>310}{fraction:0<1080}");
    let is_zero = digits.bytes().all(|b| b == b'0');
    (negative && !is_zero, digits)
}

fn order(a: &str, b: &str) -> Ordering {
    match (expansion(a), expansion(b)) {
        ((true, _), (false, _)) => Ordering::Less,
        ((false, _), (true, _)) => Ordering::Greater,
        ((true, a), (true, b)) => b.cmp(&a),
        ((false, a), (false, b)) => a.cmp(&b),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decimals_and_floats_compare_by_their_digits(
        units in prop_oneof![any::<i64>(), -200i64..200, Just(i64::MAX), Just(i64::MIN)],
        scale in prop::sample::select(vec![2u8, 9]),
        float in prop_oneof![any::<f64>().prop_filter("finite", |f| f.is_finite()), (-800i32..800).prop_map(|n| f64::from(n) / 400.0)],
        near in any::<bool>(),
        step in -1i64..2,
    ) {
        // Half of the cases: the float nearest to the decimal, or a neighbour.
        let decimal = Decimal::new(units, scale);
        let closest: f64 = decimal.to_string().parse().unwrap_or(0.0);
        let float = if near { f64::from_bits(closest.to_bits().wrapping_add_signed(step)) } else { float };
        let Some(value) = Value::float(float) else { return Ok(()) };
        let (column, other) = if scale == 2 { ("dec1", "float1") } else { ("fine1", "float1") };
        let expected = order(&decimal.to_string(), &format!("{float:.1080}"));
        let cells = || vec![(column, Value::Decimal(decimal)), (other, value.clone())];
        prop_assert_eq!(truth(Expr::col(column).lt(Expr::col(other)), cells())?, expected.is_lt().into());
        prop_assert_eq!(truth(Expr::col(column).eq(Expr::col(other)), cells())?, expected.is_eq().into());
        prop_assert_eq!(truth(Expr::col(other).ge(Expr::col(column)), cells())?, expected.is_le().into());
    }

    #[test]
    fn integers_and_floats_compare_by_their_digits(
        integer in prop_oneof![any::<i64>(), -20i64..20, Just(i64::MAX), Just(i64::MIN)],
        float in any::<f64>(),
        near in any::<bool>(),
        step in -1i64..2,
    ) {
        let float = if near { f64::from_bits((integer as f64).to_bits().wrapping_add_signed(step)) } else { float };
        let Some(value) = Value::float(float) else { return Ok(()) };
        let expected = order(&integer.to_string(), &format!("{float:.1080}"));
        let cells = || vec![("int1", Value::Int(integer)), ("float1", value.clone())];
        prop_assert_eq!(truth(Expr::col("int1").lt(Expr::col("float1")), cells())?, expected.is_lt().into());
        prop_assert_eq!(truth(Expr::col("float1").le(Expr::col("int1")), cells())?, expected.is_ge().into());
    }
}

/// SQLite's own LIKE, made case-sensitive, means what ours means (but for a NUL, at which it stops).
#[test]
fn like_is_sqlites_own_when_that_is_case_sensitive() {
    let db = Connection::open_in_memory().unwrap_or_else(|e| panic!("{e}"));
    db.execute_batch("PRAGMA case_sensitive_like = ON").unwrap_or_else(|e| panic!("{e}"));
    let characters = |set: &str, most| {
        prop::collection::vec(prop::sample::select(set.chars().collect::<Vec<_>>()), 0..most)
            .prop_map(String::from_iter)
    };
    let config = ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() };
    let escapes = prop::option::of(prop::sample::select(vec!['!', '\\', 'a', '😀']));
    proptest!(config, |(text in characters("aaAb%_!\\ä😀", 6), pattern in characters("aAb%%_!\\ä😀", 6), escape in escapes)| {
        let found: bool = match escape {
            None => db.query_row("SELECT ?1 LIKE ?2", (&text, &pattern), |row| row.get(0)),
            Some(c) => db.query_row("SELECT ?1 LIKE ?2 ESCAPE ?3", (&text, &pattern, c.to_string()), |row| row.get(0)),
        }.map_err(|e| TestCaseError::fail(e.to_string()))?;
        let like = |fold| Expr::Like {
            expr: Box::new(Expr::col("text1")),
            pattern: Box::new(Expr::from(pattern.as_str())),
            escape,
            fold,
        };
        let cell = |text: String| vec![("text1", Value::Text(text))];
        prop_assert_eq!(truth(like(false), cell(text.clone()))?, found.into());
        // A text that matches as it stands matches in any case.
        prop_assert!(!found || truth(like(true), cell(text.to_uppercase()))? == Truth::True);
    });
}
