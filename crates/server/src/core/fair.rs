//! Pushes that wait for a commit, by subject: each group takes from all subjects in turn, so that whoever pushes much
//! waits for themselves and nobody else does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Most entries of one subject in a group while it is alone: a group of so many entries is not held up by its fsync.
pub const SUBJECT_GROUP_ENTRIES: usize = 512;

/// Most that one subject has of a group while others take part, until it is known how fast this machine is ([`Share`]): a
/// larger push is divided. Counted as [`Waiting::cost`], at least one entry. Whoever pushes little waits for what so many
/// take, not for whatever somebody else chose to push at once.
pub const SHARED_GROUP_ENTRIES: usize = 16;

/// The least and the most that a share may come to.
const SHARES: (usize, usize) = (4, 64);
/// One group in so many decides what is thought of all.
const WEIGHT: u32 = 8;
/// Groups of fewer operations say little of single ones: what a group takes by itself is most of it.
const TELLING: usize = 16;
/// A disk that has become slower is believed to be, by such a part with each group.
const SLOWER: u32 = 64;
/// Nobody sits out more than so many groups.
const MOST_OWED_SHARES: usize = 1_000;

/// How much of a subject goes into a group that others take part in: so many operations as take as long as the group's fsync.
/// Fewer would waste the disk, which a group waits for anyway; more would make others wait longer than it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What an operation takes, and what an fsync takes, as far as is known.
    learnt: Option<(Duration, Duration)>,
}

impl Share {
    /// A group of such a cost took so long, and its commit so much of that. A commit writes what the group changed, too: what an
    /// fsync takes by itself is the least that commits took lately.
    pub fn learn(&mut self, cost: usize, took: Duration, commit: Duration) {
        if landfall_core::mutant::active("share-not-learnt") {
            return;
        }
        let fsync =
            self.learnt.map_or(commit, |(_, least)| commit.min(least + least / SLOWER + Duration::from_micros(1)));
        let one = took.saturating_sub(fsync).checked_div(u32::try_from(cost).unwrap_or(u32::MAX));
        let one = one.filter(|_| cost >= TELLING);
        self.learnt = match (self.learnt, one) {
            (Some((each, _)), Some(one)) => Some(((each * (WEIGHT - 1) + one) / WEIGHT, fsync)),
            (Some((each, _)), None) => Some((each, fsync)),
            (None, one) => one.map(|one| (one, fsync)),
        };
    }

    /// Most of one subject, as [`Waiting::cost`] counts.
    pub fn most(&self) -> usize {
        let Some((each, fsync)) = self.learnt else { return SHARED_GROUP_ENTRIES };
        let fit = fsync.as_nanos() / each.as_nanos().max(1);
        usize::try_from(fit).unwrap_or(usize::MAX).clamp(SHARES.0, SHARES.1)
    }
}

/// Whoever else was there is expected back for so many groups, and finds no large one under way.
pub const EXPECTED_GROUPS: u32 = 64;

/// What a queue looks at.
pub trait Waiting: Sized {
    /// Whose it is.
    fn subject(&self) -> &Arc<str>;
    /// How many entries it has.
    fn entries(&self) -> usize;
    /// How much work the entry at this place is: its operations, at least one.
    fn cost(&self, at: usize) -> usize;
    /// Takes its first so many entries off: fewer than it has.
    #[must_use]
    fn split(&mut self, entries: usize) -> Self;
}

/// Items by subject, each subject's in the order in which they came.
#[derive(Debug)]
pub struct FairQueue<T> {
    subjects: BTreeMap<Arc<str>, VecDeque<T>>,
    /// Subjects that wait, the one whose turn it is first.
    turns: VecDeque<Arc<str>>,
    len: usize,
    entries: usize,
    /// Who waited first for the last group, and for how many more others are expected back.
    last: Option<Arc<str>>,
    expected: u32,
    /// What is known of this machine.
    share: Share,
    /// Who had more than their share of a group, since an entry is not divided, and how much more. They sit out until it is
    /// paid back, as long as others wait (after M. Shreedhar and G. Varghese, "Efficient Fair Queuing Using Deficit Round
    /// Robin", 1995).
    owed: BTreeMap<Arc<str>, usize>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            subjects: BTreeMap::new(),
            turns: VecDeque::new(),
            len: 0,
            entries: 0,
            last: None,
            expected: 0,
            share: Share::default(),
            owed: BTreeMap::new(),
        }
    }
}

impl<T: Waiting> FairQueue<T> {
    /// Items that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What waits, by subject.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.subjects.values().flatten()
    }

    /// Their entries.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// As [`Share::learn`].
    pub fn learn(&mut self, cost: usize, took: Duration, commit: Duration) {
        self.share.learn(cost, took, commit);
    }

    /// As [`Share::most`].
    pub fn share(&self) -> usize {
        self.share.most()
    }

    /// An item waits, behind those of its subject.
    pub fn push(&mut self, item: T) {
        (self.len, self.entries) = (self.len + 1, self.entries + item.entries());
        // Without turns all are one: first come, first served.
        let subject: Arc<str> = match landfall_core::mutant::active("fairness-ignored") {
            true => Arc::from(""),
            false => Arc::clone(item.subject()),
        };
        match self.subjects.get_mut(&subject) {
            Some(waiting) => waiting.push_back(item),
            None => {
                self.subjects.insert(Arc::clone(&subject), VecDeque::from([item]));
                self.turns.push_back(subject);
            }
        }
    }

    /// The next group: one item of each subject in turn, and again, until it has `most` entries, at least one item. Who
    /// had no turn is first in the next group, so that with n subjects a subject's first item is in one of the next n. Of an
    /// item that is more than a subject's share the first part is taken, and the rest stays.
    pub fn take(&mut self, most: usize) -> Vec<T> {
        let (mut group, mut entries) = (Vec::new(), 0);
        // Those that may still have a turn in this group, and how much of it they have.
        let mut round: VecDeque<(Arc<str>, usize)> = self.turns.drain(..).map(|subject| (subject, 0)).collect();
        let mut done = VecDeque::new();
        let share = if self.is_alone(&round) { SUBJECT_GROUP_ENTRIES } else { self.share.most() };
        // Who is expected back does not wait yet: nobody sits out for them.
        let others_wait = round.len() > 1;
        if !others_wait {
            self.owed.clear();
        }
        while let Some((subject, taken)) = round.pop_front() {
            let Some(waiting) = self.subjects.get_mut(&subject) else { continue };
            let Some(first) = waiting.front() else { continue };
            let whole = first.entries();
            let (size, cost) = fitting(first, if taken == 0 { share } else { usize::MAX });
            if taken > 0 && taken + cost > share {
                done.push_back(subject);
                continue;
            }
            let is_last = group.is_empty() && round.is_empty();
            if taken == 0 && others_wait && !is_last && pays_back(&mut self.owed, &subject, share) {
                done.push_back(subject);
                continue;
            }
            if !group.is_empty() && entries + size > most {
                // The group is full. Whoever has had nothing of it comes first in the next one.
                round.push_front((subject, taken));
                break;
            }
            (entries, self.entries) = (entries + size, self.entries - size);
            if size < whole {
                group.extend(waiting.front_mut().map(|first| first.split(size)));
            } else {
                group.extend(waiting.pop_front());
                self.len -= 1;
            }
            if waiting.is_empty() {
                self.subjects.remove(&subject);
            } else {
                // An item without entries counts, too.
                round.push_back((Arc::clone(&subject), taken + cost.max(1)));
            }
            if others_wait && cost > share {
                self.owed.insert(subject, (cost - share).min(MOST_OWED_SHARES * share));
            }
        }
        let (served, waiting): (Vec<_>, Vec<_>) = round.into_iter().partition(|(_, taken)| *taken > 0);
        self.turns.extend(waiting.into_iter().map(|(subject, _)| subject));
        self.turns.extend(done);
        self.turns.extend(served.into_iter().map(|(subject, _)| subject));
        group
    }

    /// Whether whoever waits is alone, and nobody else is expected back.
    fn is_alone(&mut self, waiting: &VecDeque<(Arc<str>, usize)>) -> bool {
        let Some((first, _)) = waiting.front() else { return true };
        let is_same = self.last.as_ref().is_none_or(|last| last == first);
        self.expected = if is_same && waiting.len() == 1 { self.expected.saturating_sub(1) } else { EXPECTED_GROUPS };
        self.last = Some(Arc::clone(first));
        self.expected == 0
    }
}

/// Whether a subject sits this group out, for what it had too much of before.
fn pays_back(owed: &mut BTreeMap<Arc<str>, usize>, subject: &Arc<str>, share: usize) -> bool {
    let Some(debt) = owed.get_mut(subject) else { return false };
    *debt = debt.saturating_sub(share);
    if *debt == 0 {
        owed.remove(subject);
    }
    true
}

/// How many of an item's first entries cost so much at most, one at least; and what they cost.
fn fitting<T: Waiting>(item: &T, most: usize) -> (usize, usize) {
    let (mut size, mut cost) = (0, 0);
    while size < item.entries() {
        let more = cost + item.cost(size);
        if size > 0 && more > most {
            break;
        }
        (size, cost) = (size + 1, more);
    }
    (size, cost)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number of an item whose entries are a thousand operations each.
    const GIANT: u64 = u64::MAX;

    #[derive(Debug, PartialEq, Eq)]
    struct Item(Arc<str>, usize, u64);

    impl Waiting for Item {
        fn subject(&self) -> &Arc<str> {
            &self.0
        }

        fn entries(&self) -> usize {
            self.1
        }

        fn cost(&self, _: usize) -> usize {
            if self.2 == GIANT { 1_000 } else { 1 }
        }

        fn split(&mut self, entries: usize) -> Self {
            self.1 -= entries;
            Self(Arc::clone(&self.0), entries, self.2)
        }
    }

    fn item(subject: &str, entries: usize, number: u64) -> Item {
        Item(subject.into(), entries, number)
    }

    #[test]
    fn whoever_pushes_little_is_in_the_next_group() {
        let mut queue = FairQueue::default();
        for n in 0..40 {
            queue.push(item("noisy", 500, n));
        }
        queue.push(item("ada", 1, 100));
        queue.push(item("ada", 1, 101));
        let group = queue.take(2_000);
        let of: Vec<(&str, u64)> = group.iter().map(|i| (&*i.0, i.2)).collect();
        assert_eq!(of, [("noisy", 0), ("ada", 100), ("ada", 101)], "and the noisy one has a part of a push in it");
        assert_eq!((queue.len(), queue.entries()), (40, 40 * 500 - SHARED_GROUP_ENTRIES));
        let size = |group: Vec<Item>| group.iter().map(|i| i.1).sum::<usize>();
        for _ in 1..EXPECTED_GROUPS {
            assert!(size(queue.take(2_000)) <= SHARED_GROUP_ENTRIES, "whoever was there is expected back");
        }
        assert!(size(queue.take(2_000)) > SHARED_GROUP_ENTRIES, "alone for long it has more room");
    }

    #[test]
    fn whoever_writes_giants_has_no_more_of_it_than_whoever_writes_little() {
        let mut queue = FairQueue::default();
        queue.push(item("noisy", 40, GIANT));
        let (mut giants, mut groups) = (0, 0);
        for n in 0..200 {
            queue.push(item("ada", 1, n));
            let group = queue.take(2_000);
            assert!(group.iter().any(|i| *i.0 == *"ada"), "each group has hers");
            giants += group.iter().filter(|i| i.2 == GIANT).map(|i| i.1).sum::<usize>();
            groups += 1;
        }
        // A giant is what 1000 / 16 groups have room for.
        assert!((3..=5).contains(&giants), "{giants} giants in {groups} groups");
        while !queue.is_empty() {
            assert!(!queue.take(2_000).is_empty(), "alone it has its way");
        }
    }

    #[test]
    fn two_who_write_giants_take_turns() {
        let mut queue = FairQueue::default();
        queue.push(item("one", 3, GIANT));
        queue.push(item("other", 3, GIANT));
        let taken: Vec<usize> = std::iter::from_fn(|| Some(queue.take(2_000).len()).filter(|n| *n > 0)).collect();
        assert_eq!(taken.iter().sum::<usize>(), 6, "{taken:?}");
    }

    #[test]
    fn a_share_takes_as_long_as_the_fsync_that_it_goes_with() {
        let micros = Duration::from_micros;
        let learnt = |each: u64, fsync: u64| {
            let mut share = Share::default();
            (0..40).for_each(|_| share.learn(100, micros(100 * each + fsync), micros(fsync)));
            share.most()
        };
        assert_eq!(Share::default().most(), SHARED_GROUP_ENTRIES);
        assert_eq!((learnt(50, 1_000), learnt(50, 100), learnt(50, 20_000), learnt(0, 0)), (20, 4, 64, 4));
        let mut share = Share::default();
        share.learn(1, micros(500), micros(400));
        assert_eq!(share.most(), SHARED_GROUP_ENTRIES, "a single entry says little");
        (0..80).for_each(|_| share.learn(16, micros(2_000), micros(400)));
        assert_eq!(share.most(), 4);
        share.learn(16, micros(900_000), micros(800_000));
        assert_eq!(share.most(), 4, "once in a while the disk does more");
        (0..100).for_each(|_| share.learn(512, micros(30_000), micros(5_000)));
        (0..3).for_each(|_| share.learn(16, micros(1_200), micros(400)));
        assert!(share.most() <= 8, "a commit of much says little of the disk: {}", share.most());
    }

    #[test]
    fn a_large_push_is_taken_in_parts() {
        let mut queue = FairQueue::default();
        queue.push(item("ada", 1_100, 1));
        queue.push(item("bob", 1, 2));
        const SHARE: usize = SHARED_GROUP_ENTRIES;
        assert_eq!(queue.take(SHARE), [item("ada", SHARE, 1)]);
        assert_eq!(queue.take(SHARE), [item("bob", 1, 2)]);
        assert_eq!(queue.take(2), [item("ada", SHARE, 1)], "at least one item, whatever the group may have");
        while !queue.is_empty() {
            queue.take(2_000);
        }
        for _ in 0..EXPECTED_GROUPS {
            queue.push(item("ada", 1, 3));
            queue.take(64);
        }
        queue.push(item("ada", 1_100, 4));
        let parts: Vec<usize> = std::iter::from_fn(|| queue.take(2_000).pop()).map(|i| i.1).collect();
        assert_eq!(parts, [512, 512, 76], "alone it has more room");
    }

    proptest! {
        #[test]
        fn nobody_starves_nothing_is_lost_and_order_is_kept(
            steps in prop::collection::vec((0usize..5, 0usize..700, any::<bool>()), 1..200),
            most in 1usize..2_000,
        ) {
            let mut queue = FairQueue::default();
            // For each item that waits: its subject, and the group in which it must be at the latest.
            let mut waiting: BTreeMap<u64, (usize, u64, usize)> = BTreeMap::new();
            let parts = |entries: usize| entries.div_ceil(SHARED_GROUP_ENTRIES).max(1) as u64;
            let (mut groups, mut last) = (0u64, [0; 5]);
            let mut check = |group: Vec<Item>, groups: u64, waiting: &mut BTreeMap<u64, (usize, u64, usize)>| {
                for Item(subject, entries, number) in group {
                    let (of, by, left) = waiting.get_mut(&number).unwrap();
                    *left -= entries;
                    assert_eq!(*subject, *of.to_string());
                    assert!(groups <= *by, "group {groups} for what was due by {by}");
                    assert!(last[*of] <= number, "a subject's own come in order");
                    last[*of] = number;
                    if *left == 0 {
                        waiting.remove(&number);
                    }
                }
            };
            for (number, (subject, entries, takes)) in steps.into_iter().enumerate() {
                let own = waiting.values().filter(|(of, ..)| *of == subject);
                let ahead: u64 = own.map(|(_, _, left)| parts(*left)).sum();
                queue.push(item(&subject.to_string(), entries, number as u64));
                waiting.insert(number as u64, (subject, groups + (ahead + parts(entries)) * 5, entries));
                if takes {
                    groups += 1;
                    let group = queue.take(most);
                    let size: usize = group.iter().map(|i| i.1).sum();
                    prop_assert!(group.len() == 1 || size <= most);
                    check(group, groups, &mut waiting);
                }
                prop_assert_eq!(queue.len(), waiting.len());
            }
            while !queue.is_empty() {
                groups += 1;
                check(queue.take(most), groups, &mut waiting);
            }
            prop_assert!(waiting.is_empty() && queue.entries() == 0);
        }
    }
}
