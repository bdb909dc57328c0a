//! `lww`: what is concurrent is settled by stamp, and the larger one wins.

use super::{Contest, Rule, Winner};

#[derive(Debug)]
pub(super) struct Lww;

impl Rule for Lww {
    fn name(&self) -> &'static str {
        "lww"
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        match contest.concurrent && contest.stored_at > contest.written_at {
            true => Winner::Stored,
            false => Winner::Written,
        }
    }

    fn is_order_free(&self) -> bool {
        true
    }
}
