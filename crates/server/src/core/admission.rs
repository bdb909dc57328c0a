//! Who may hand in how much: limits for each subject and for all together. What is over a limit is told how long to wait,
//! each a little differently, so that those who were refused together do not come back together.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_protocol::codes;

use crate::session::Refusal;

/// Refusals for lack of room are told to wait so long, milliseconds, at least: a few commits.
const ROOM_MS: u64 = 250;
/// Connections that are refused are told to wait so long, milliseconds, at least.
const CONNECTION_MS: u64 = 5_000;
/// No wait that is told is longer, before jitter.
const LONGEST_MS: u64 = 30_000;
/// Subjects of which nothing needs to be known any more are let go of when there are so many.
const SWEEP_AT: usize = 1_024;

/// What a subject, and all of them, may use. A zero is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Transactions that a subject may push in a second, in the long run.
    pub subject_entries: u64,
    /// Bytes of them.
    pub subject_bytes: u64,
    /// So many seconds' worth may come at once.
    pub burst_seconds: u64,
    /// Transactions of a subject that may wait for a commit.
    pub subject_waiting: u64,
    /// Open sessions of a subject.
    pub subject_connections: u64,
    /// Open sessions of all.
    pub connections: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            subject_entries: 5_000,
            subject_bytes: 16 << 20,
            burst_seconds: 10,
            subject_waiting: 10_000,
            subject_connections: 256,
            connections: 50_000,
        }
    }
}

impl Allowance {
    /// No limits.
    pub const NONE: Self = Self {
        subject_entries: 0,
        subject_bytes: 0,
        burst_seconds: 0,
        subject_waiting: 0,
        subject_connections: 0,
        connections: 0,
    };
}

/// Which limit somebody met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Transactions or bytes of a subject in a second.
    Rate,
    /// Transactions of a subject that wait.
    SubjectWaiting,
    /// Transactions of all that wait.
    Waiting,
    /// Sessions of a subject.
    SubjectConnections,
    /// Sessions of all.
    Connections,
    /// Requests for chunks that wait for a reader.
    Chunks,
}

impl Limit {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::SubjectWaiting => "subject_waiting",
            Self::Waiting => "waiting",
            Self::SubjectConnections => "subject_connections",
            Self::Connections => "connections",
            Self::Chunks => "chunks",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Rate => "you are sending more than this server takes from one person; wait, nothing is lost",
            Self::SubjectWaiting => "much of what you sent is still waiting; wait, nothing is lost",
            Self::Waiting | Self::Chunks => "the server has more to do than it can; wait, nothing is lost",
            Self::SubjectConnections => "you are connected too often; close some of the connections, nothing is lost",
            Self::Connections => "the server has as many connections as it can; wait, nothing is lost",
        }
    }
}

/// Something is not taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub limit: Limit,
    /// How long to wait, milliseconds, jitter included.
    pub retry_after_ms: u64,
}

impl Refused {
    /// As the device is told.
    pub fn refusal(self) -> Refusal {
        Refusal::new(codes::OVERLOADED, self.limit.words()).retry_after(self.retry_after_ms)
    }

    /// The same in whole seconds, as HTTP has it.
    pub fn retry_after_s(self) -> u64 {
        self.retry_after_ms.div_ceil(1_000)
    }

    /// `wait_ms`, and up to half of it again: `draw` is random.
    pub fn after(limit: Limit, wait_ms: u64, draw: u64) -> Self {
        let wait_ms = wait_ms.clamp(1, LONGEST_MS);
        Self { limit, retry_after_ms: wait_ms + draw % (wait_ms / 2 + 1) }
    }
}

/// A rate with a burst, after the "generic cell rate algorithm" (ITU-T I.371): one number, when all that was taken so far
/// would have come at the very rate. Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Meter {
    due_us: u64,
}

impl Meter {
    /// How long `amount` has to wait, microseconds, and what the meter shows afterwards. An amount beyond the burst is
    /// taken when nothing else is owed.
    fn look(self, amount: u64, per_second: u64, burst_seconds: u64, now_us: u64) -> (u64, Self) {
        if per_second == 0 {
            return (0, self);
        }
        let base = self.due_us.max(now_us);
        let cost = u128::from(amount) * 1_000_000 / u128::from(per_second);
        let due = base.saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
        let burst = burst_seconds.saturating_mul(1_000_000);
        let late = (due - now_us).saturating_sub(burst);
        (late.min(base - now_us), Self { due_us: due })
    }
}

#[derive(Debug, Default)]
struct Uses {
    connections: u64,
    waiting: u64,
    entries: Meter,
    bytes: Meter,
}

impl Uses {
    /// Nothing of it matters any more.
    fn is_over(&self, now_us: u64) -> bool {
        self.connections == 0 && self.waiting == 0 && self.entries.due_us.max(self.bytes.due_us) <= now_us
    }
}

/// See the module's documentation. Times are monotonic milliseconds.
#[derive(Debug)]
pub struct Admission {
    allowance: Allowance,
    /// Transactions of all that may wait for a commit.
    most_waiting: u64,
    subjects: BTreeMap<Arc<str>, Uses>,
    connections: u64,
    waiting: u64,
    sweep_at: usize,
}

impl Admission {
    /// Nobody is here yet.
    pub fn new(allowance: Allowance, most_waiting: u64) -> Self {
        let subjects = BTreeMap::new();
        Self { allowance, most_waiting, subjects, connections: 0, waiting: 0, sweep_at: SWEEP_AT }
    }

    /// A session of a subject begins. Let it go with [`Admission::left`].
    ///
    /// # Errors
    /// When there are enough.
    pub fn enters(&mut self, subject: &Arc<str>, now_ms: u64, draw: u64) -> Result<(), Refused> {
        let over = |used: u64, most: u64| most > 0 && used >= most;
        let (allowance, all) = (self.allowance, self.connections);
        let uses = self.uses(subject, now_ms);
        let limit = match () {
            () if over(uses.connections, allowance.subject_connections) => Limit::SubjectConnections,
            () if over(all, allowance.connections) => Limit::Connections,
            () => {
                uses.connections += 1;
                self.connections += 1;
                return Ok(());
            }
        };
        Err(Refused::after(limit, CONNECTION_MS, draw))
    }

    /// A session that was let in ends.
    pub fn left(&mut self, subject: &Arc<str>) {
        if let Some(uses) = self.subjects.get_mut(subject) {
            uses.connections = uses.connections.saturating_sub(1);
            self.connections = self.connections.saturating_sub(1);
        }
    }

    /// A push of a subject is to wait for a commit. When it is decided, tell [`Admission::decided`].
    ///
    /// # Errors
    /// When it has to come later: nothing of it counts then. A single push is taken however large it is, when nothing
    /// else waits.
    pub fn push(
        &mut self,
        subject: &Arc<str>,
        entries: u64,
        bytes: u64,
        now_ms: u64,
        draw: u64,
    ) -> Result<(), Refused> {
        let allowance = self.allowance;
        if let Some(limit) = self.has_no_room(subject, entries, now_ms) {
            return Err(Refused::after(limit, ROOM_MS, draw));
        }
        let now_us = now_ms.saturating_mul(1_000);
        let uses = self.uses(subject, now_ms);
        let burst = allowance.burst_seconds;
        let (late, next_entries) = uses.entries.look(entries, allowance.subject_entries, burst, now_us);
        let (later, next_bytes) = uses.bytes.look(bytes, allowance.subject_bytes, burst, now_us);
        let late = late.max(later);
        if late > 0 {
            return Err(Refused::after(Limit::Rate, late.div_ceil(1_000), draw));
        }
        (uses.entries, uses.bytes) = (next_entries, next_bytes);
        uses.waiting += entries;
        self.waiting += entries;
        Ok(())
    }

    /// What was taken once waits again. Nothing is asked of it: how much of that there is is bounded elsewhere.
    pub fn back(&mut self, subject: &Arc<str>, entries: u64, now_ms: u64) {
        self.uses(subject, now_ms).waiting += entries;
        self.waiting += entries;
    }

    /// The limit for which so many more transactions of a subject cannot wait. A subject of which something waits may
    /// have no more of the room than it leaves free (A. K. Choudhury and E. L. Hahne, "Dynamic queue length thresholds
    /// for shared-memory packet switches", 1998): n who flood leave an n+1st of the room to all others.
    fn has_no_room(&mut self, subject: &Arc<str>, entries: u64, now_ms: u64) -> Option<Limit> {
        let (own, all, most) = (self.allowance.subject_waiting, self.waiting, self.most_waiting);
        let waiting = self.uses(subject, now_ms).waiting;
        let free = most.saturating_sub(all);
        match () {
            () if landfall_core::mutant::active("pushes-unbounded") => None,
            () if own > 0 && waiting > 0 && waiting + entries > own => Some(Limit::SubjectWaiting),
            () if waiting > 0 && waiting + entries > free => Some(Limit::SubjectWaiting),
            () if all > 0 && entries > free => Some(Limit::Waiting),
            () => None,
        }
    }

    /// A push was decided, or could not be.
    pub fn decided(&mut self, subject: &Arc<str>, entries: u64) {
        if let Some(uses) = self.subjects.get_mut(subject) {
            uses.waiting = uses.waiting.saturating_sub(entries);
            self.waiting = self.waiting.saturating_sub(entries);
        }
    }

    /// Transactions that wait.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    fn uses(&mut self, subject: &Arc<str>, now_ms: u64) -> &mut Uses {
        if self.subjects.len() >= self.sweep_at && !self.subjects.contains_key(subject) {
            let now_us = now_ms.saturating_mul(1_000);
            self.subjects.retain(|_, uses| !uses.is_over(now_us));
            // As often as there are others to look at: each costs a constant.
            self.sweep_at = SWEEP_AT.max(2 * self.subjects.len());
        }
        self.subjects.entry(Arc::clone(subject)).or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        subject_entries: 100,
        subject_bytes: 0,
        burst_seconds: 2,
        subject_waiting: 500,
        subject_connections: 2,
        connections: 3,
    };

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[test]
    fn a_rate_with_a_burst_says_how_long_to_wait() {
        let (ada, bob) = (name("ada"), name("bob"));
        let mut admission = Admission::new(ALLOWANCE, 1_000);
        let mut push = |who: &Arc<str>, entries, now_ms| {
            let result = admission.push(who, entries, 0, now_ms, 0);
            result
                .inspect(|()| admission.decided(who, entries))
                .map_err(|refused| (refused.limit, refused.retry_after_ms))
        };
        assert_eq!(push(&ada, 200, 0), Ok(()), "two seconds' worth at once");
        assert_eq!(push(&ada, 50, 0), Err((Limit::Rate, 500)));
        assert_eq!(push(&bob, 200, 0), Ok(()), "others do not notice");
        assert_eq!(push(&ada, 50, 499), Err((Limit::Rate, 1)));
        assert_eq!(push(&ada, 50, 500), Ok(()));
        assert_eq!(push(&ada, 900, 500), Err((Limit::Rate, 2_000)), "beyond the burst: when nothing is owed");
        assert_eq!(push(&ada, 900, 2_500), Ok(()));
    }

    #[test]
    fn what_waits_is_bounded_for_each_and_for_all() {
        let (ada, bob) = (name("ada"), name("bob"));
        let unmetered = Allowance { subject_entries: 0, ..ALLOWANCE };
        let mut admission = Admission::new(unmetered, 700);
        assert_eq!(admission.push(&ada, 400, 0, 0, 0), Ok(()));
        let limit = |result: Result<(), Refused>| result.unwrap_err().limit;
        assert_eq!(limit(admission.push(&ada, 101, 0, 0, 0)), Limit::SubjectWaiting);
        assert_eq!(limit(admission.push(&bob, 301, 0, 0, 0)), Limit::Waiting);
        assert_eq!(admission.push(&bob, 300, 0, 0, 0), Ok(()));
        admission.decided(&ada, 400);
        admission.back(&ada, 400, 0);
        assert_eq!(admission.waiting(), 700);
    }

    #[test]
    fn those_who_flood_leave_room_for_others() {
        let mut admission = Admission::new(Allowance::NONE, 1_000);
        let flooders = ["eve", "mallory", "trudy"].map(name);
        for _ in 0..1_000 {
            for flooder in &flooders {
                let _ = admission.push(flooder, 1, 0, 0, 0);
            }
        }
        assert_eq!(admission.waiting(), 750, "a quarter is free");
        for n in 0..250 {
            assert_eq!(admission.push(&name(&n.to_string()), 1, 0, 0, 0), Ok(()), "visitor {n}");
        }
        let limit = |result: Result<(), Refused>| result.unwrap_err().limit;
        assert_eq!(limit(admission.push(&name("late"), 1, 0, 0, 0)), Limit::Waiting);
        assert_eq!(limit(admission.push(&flooders[0], 1, 0, 0, 0)), Limit::SubjectWaiting);
    }

    #[test]
    fn what_was_asked_about_is_counted_in_the_rate_once() {
        let (ada, mut admission) = (name("ada"), Admission::new(ALLOWANCE, 1_000));
        assert_eq!(admission.push(&ada, 200, 0, 0, 0), Ok(()));
        admission.decided(&ada, 200);
        admission.back(&ada, 200, 0);
        admission.decided(&ada, 200);
        assert_eq!(admission.push(&ada, 100, 0, 1_000, 0), Ok(()));
    }

    #[test]
    fn connections_are_bounded_for_each_and_for_all() {
        let (ada, bob) = (name("ada"), name("bob"));
        let mut admission = Admission::new(ALLOWANCE, 700);
        assert_eq!([admission.enters(&ada, 0, 0), admission.enters(&ada, 0, 0)], [Ok(()), Ok(())]);
        assert_eq!(admission.enters(&ada, 0, 0).unwrap_err().limit, Limit::SubjectConnections);
        assert_eq!(admission.enters(&bob, 0, 0), Ok(()));
        assert_eq!(admission.enters(&bob, 0, 0).unwrap_err().limit, Limit::Connections);
        admission.left(&ada);
        assert_eq!(admission.enters(&bob, 0, 0), Ok(()));
    }

    #[test]
    fn subjects_that_are_gone_are_forgotten() {
        let mut admission = Admission::new(ALLOWANCE, 1_000);
        for n in 0..10_000u64 {
            let who = name(&n.to_string());
            admission.enters(&who, n, 0).unwrap();
            admission.push(&who, 1, 1, n, 0).unwrap();
            admission.decided(&who, 1);
            admission.left(&who);
        }
        assert!(admission.subjects.len() <= SWEEP_AT, "{}", admission.subjects.len());
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_their_rate_and_burst(
            pushes in prop::collection::vec((0u64..3, 1u64..300, 0u64..2_000, any::<u64>()), 1..200),
        ) {
            let mut admission = Admission::new(Allowance { subject_waiting: 0, ..ALLOWANCE }, u64::MAX);
            let (mut now_ms, mut taken) = (0, [0u64; 3]);
            for (who, entries, wait, draw) in pushes {
                now_ms += wait;
                let subject = name(&who.to_string());
                match admission.push(&subject, entries, 0, now_ms, draw) {
                    Ok(()) => {
                        taken[who as usize] += entries;
                        // Two seconds' worth, and one push that was larger than that.
                        prop_assert!(taken[who as usize] <= 100 * now_ms / 1_000 + 200 + 300);
                    }
                    Err(refused) => {
                        prop_assert!((1..=LONGEST_MS * 3 / 2).contains(&refused.retry_after_ms));
                        // Whoever waits that long is let in.
                        let mut later = Admission { subjects: BTreeMap::new(), ..Admission::new(admission.allowance, u64::MAX) };
                        std::mem::swap(&mut later.subjects, &mut admission.subjects);
                        let before = (later.subjects[&subject].entries, later.subjects[&subject].bytes);
                        prop_assert!(later.push(&subject, entries, 0, now_ms + refused.retry_after_ms, 0).is_ok());
                        later.decided(&subject, entries);
                        if let Some(uses) = later.subjects.get_mut(&subject) {
                            (uses.entries, uses.bytes) = before;
                        }
                        std::mem::swap(&mut later.subjects, &mut admission.subjects);
                    }
                }
            }
        }
    }
}
