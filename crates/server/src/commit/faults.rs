//! Transactions on which the server itself fails, or the app's code on it.
//!
//! A row that another program's constraint or trigger stands against, or a record that cannot be read, fails the whole
//! group's database transaction. The group is then run again with a savepoint around every entry, so that the one at
//! fault is found, and its neighbours are decided as if it were not there.

use std::collections::BTreeMap;

use landfall_core::error::codes;
use landfall_core::{Code, Problem, ReplicaId};
use landfall_protocol::Outcome;

/// More than this at once is not a fault of single transactions: counting begins anew, with what the devices have counted.
const MOST: usize = 10_000;

/// How often the server has failed on each of the transactions at fault, since it started. Each device counts, too, and says
/// so when it offers one again, so that a restart gives nothing more attempts than its tables allow.
#[derive(Clone, Debug, Default)]
pub struct Faults(BTreeMap<(ReplicaId, u64), u8>);

impl Faults {
    /// Counts one more failure, after those that its device has `told` of. What the author hears: to try again, or after
    /// `attempts` failures that it is refused.
    pub(super) fn note(
        &mut self,
        name: (ReplicaId, u64),
        told: u32,
        code: &Code,
        words: &str,
        attempts: u8,
    ) -> Outcome {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let failures = self.0.entry(name).or_default();
        *failures = (*failures).max(u8::try_from(told).unwrap_or(u8::MAX)).saturating_add(1);
        let count = *failures;
        if count < attempts {
            let text = format!("{words}; {count} of {attempts} times, and it is tried again");
            return Outcome::Failed { problem: Problem::new(code.clone(), text) };
        }
        self.0.remove(&name);
        let text = format!("{words}; {count} times, and it was given up; ask whoever runs the server, then retry it");
        Outcome::Refused { problem: Problem::new(codes::ATTEMPTS_USED_UP, text), because_of: None }
    }
}
