//! `first`: the first value stays. Of concurrent ones that is the one with the smaller stamp; who has seen a value does not
//! replace it. NULL is no value yet.

use super::{Contest, Rule, Winner};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct First;

impl Rule for First {
    fn name(&self) -> &'static str {
        "first"
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        let earlier = contest.concurrent && contest.written_at < contest.stored_at;
        match (contest.stored, contest.written) {
            (Value::Null, _) => Winner::Written,
            (_, Value::Null) => Winner::Stored,
            _ if earlier => Winner::Written,
            _ => Winner::Stored,
        }
    }

    fn is_order_free(&self) -> bool {
        true
    }

    fn is_written_once(&self) -> bool {
        true
    }

    /// A stamp above what was seen would make a first value a late one.
    fn lifts_stamps(&self) -> bool {
        false
    }
}
