//! `manual`: of concurrent values both are kept. The one with the larger stamp is shown, the other one is a conflict for a
//! person to resolve ([`crate::schema::conflicts`]). Or only of those that were written at nearly the same time: who writes
//! days after somebody else, and has not seen it, may be taken to know better.

use super::{Contest, Rule, Winner, lww::Lww};

#[derive(Clone, Copy, Debug)]
pub(super) struct Manual {
    /// How far apart two values were written of which a person is asked, at most, milliseconds; `None`: always.
    pub(super) within_ms: Option<u64>,
}

impl Rule for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        Lww.winner(contest)
    }

    /// What is shown is; which of both is the conflict depends on who came first.
    fn is_order_free(&self) -> bool {
        true
    }

    fn keeps_both(&self, contest: &Contest<'_>) -> bool {
        let apart_ms = contest.stored_at.wall_ms.abs_diff(contest.written_at.wall_ms);
        self.within_ms.is_none_or(|within_ms| apart_ms <= within_ms)
    }

    fn may_conflict(&self) -> bool {
        true
    }
}
