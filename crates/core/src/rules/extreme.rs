//! `max` and `min`: the cell holds the largest, or the smallest, value that was ever written into it. NULL is none.

use super::{Contest, Rule, Winner};
use crate::value::{ColumnType, Value};

#[derive(Debug)]
pub(super) struct Max;

#[derive(Debug)]
pub(super) struct Min;

fn is_ordered(ty: ColumnType) -> bool {
    use ColumnType::{Date, Decimal, Float, Integer, Text, Timestamp};
    matches!(ty, Integer | Float | Decimal(_) | Text | Timestamp | Date)
}

/// The one that is further out; what is stored when both are the same, or nothing is written.
fn further(stored: &Value, written: &Value, is_further: fn(&Value, &Value) -> bool) -> Winner {
    let wins = !written.is_null() && (stored.is_null() || is_further(written, stored));
    if wins { Winner::Written } else { Winner::Stored }
}

impl Rule for Max {
    fn name(&self) -> &'static str {
        "max"
    }

    fn fits(&self, ty: ColumnType) -> bool {
        is_ordered(ty)
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        self.shown(contest.stored, contest.written)
    }

    fn shown(&self, confirmed: &Value, pending: &Value) -> Winner {
        further(confirmed, pending, |written, stored| written > stored)
    }

    fn is_order_free(&self) -> bool {
        true
    }
}

impl Rule for Min {
    fn name(&self) -> &'static str {
        "min"
    }

    fn fits(&self, ty: ColumnType) -> bool {
        is_ordered(ty)
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        self.shown(contest.stored, contest.written)
    }

    fn shown(&self, confirmed: &Value, pending: &Value) -> Winner {
        further(confirmed, pending, |written, stored| written < stored)
    }

    fn is_order_free(&self) -> bool {
        true
    }
}
