//! `manual`: of concurrent values both are kept. The one with the larger stamp is shown, the other one is a conflict for a
//! person to resolve ([`crate::schema::conflicts`]).

use super::{Contest, Rule, Winner, lww::Lww};

#[derive(Debug)]
pub(super) struct Manual;

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

    fn keeps_both(&self) -> bool {
        true
    }

    fn may_conflict(&self) -> bool {
        true
    }
}
