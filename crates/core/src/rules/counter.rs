//! `counter`: every increment counts, exactly once, in whatever order they arrive. What travels is what was added.

use super::{Contest, Rule, TakenBack, Winner, lww::Lww};
use crate::txn::Change;
use crate::value::{ColumnType, Decimal, Value};

#[derive(Debug)]
pub(super) struct Counter;

/// NULL counts as nothing. `None`: out of range, or no number.
fn combine(one: &Value, other: &Value, numbers: fn(i64, i64) -> Option<i64>) -> Option<Value> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => numbers(*one, *other).map(Value::Int),
        (Value::Decimal(one), Value::Decimal(other)) => {
            let scale = one.scale.max(other.scale);
            let units = numbers(one.rescale(scale)?.units, other.rescale(scale)?.units)?;
            Some(Value::Decimal(Decimal { units, scale }))
        }
        (Value::Null, Value::Int(other)) => numbers(0, *other).map(Value::Int),
        (Value::Null, Value::Decimal(other)) => {
            let units = numbers(0, other.units)?;
            Some(Value::Decimal(Decimal { units, ..*other }))
        }
        (Value::Int(_) | Value::Decimal(_), Value::Null) => Some(one.clone()),
        _ => None,
    }
}

impl Rule for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn fits(&self, ty: ColumnType) -> bool {
        matches!(ty, ColumnType::Integer | ColumnType::Decimal(_))
    }

    /// Of what is no increment: the server's own writes, which have seen what is there, and those of programs that write
    /// past Landfall or know an older schema.
    fn winner(&self, contest: &Contest<'_>) -> Winner {
        Lww.winner(contest)
    }

    fn is_order_free(&self) -> bool {
        true
    }

    fn change(&self) -> Option<Change> {
        Some(Change::Add)
    }

    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        // Of what is not there any more nobody knows what was done to it.
        let is_known = !after.is_null();
        if is_known { combine(before, after, |before, after| after.checked_sub(before)) } else { None }
    }

    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        combine(to, change, i64::checked_add)
    }

    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        combine(first, second, i64::checked_add)
    }

    fn is_repeatable(&self) -> bool {
        false
    }

    /// What was added is taken off again, whatever others added since.
    fn taken_back(&self, now: &Value, _was: &Value, change: &Value) -> Option<TakenBack> {
        Some(TakenBack { value: self.between(change, now)?, is_whole: true })
    }
}
