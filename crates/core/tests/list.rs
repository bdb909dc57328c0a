//! The laws of `list`: a position lies where it was asked for, what one person puts side by side stays side by side, and positions
//! do not grow where people write most, at the end and at the beginning.

use landfall_core::rules::MergeRule;
use landfall_core::rules::list::{Hand, LONGEST, between, spread};
use landfall_core::{ReplicaId, Value};
use proptest::prelude::*;

fn hand(author: u8, random: u16) -> Hand {
    Hand { replica: ReplicaId([author; 16]), random }
}

/// A list as somebody sees it: positions, and who put each there.
type Rows = Vec<(String, u8)>;

fn insert(rows: &mut Rows, at: usize, author: u8, random: u16) -> usize {
    let at = at.min(rows.len());
    let left = at.checked_sub(1).map(|at| rows[at].0.clone());
    let right = rows.get(at).map(|(position, _)| position.clone());
    let position = between(left.as_deref(), right.as_deref(), hand(author, random)).expect("short enough");
    assert!(left.is_none_or(|left| left < position), "{position} is not behind");
    assert!(right.is_none_or(|right| position < right), "{position} is not before");
    rows.insert(at, (position, author));
    at
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_position_lies_between_its_neighbours(steps in prop::collection::vec((0usize..40, 0u8..3, any::<u16>()), 1..40)) {
        let mut rows = Rows::new();
        for (at, author, random) in steps {
            insert(&mut rows, at, author, random);
        }
        for (position, _) in rows {
            let rule = MergeRule::named("list").expect("a rule");
            prop_assert_eq!(rule.flaw(&Value::Text(position)), None);
        }
    }

    /// Whether they write forwards, backwards, or now at one end of what they wrote and now at the other; and whether they go on
    /// where they have written before.
    #[test]
    fn what_two_insert_at_one_place_does_not_interleave(
        before in prop::collection::vec((0usize..40, 0u8..3, any::<u16>()), 0..12),
        at in 0usize..12,
        runs in prop::collection::vec(prop::collection::vec((any::<bool>(), any::<u16>()), 1..12), 2..4),
        first_author in prop::sample::select(vec![0u8, 1, 10]),
    ) {
        let mut base = Rows::new();
        for (at, author, random) in before {
            insert(&mut base, at, author, random);
        }
        let at = at.min(base.len());
        let mut all = base.clone();
        for (author, run) in (first_author..).zip(&runs) {
            let mut own = base.clone();
            let (mut first, mut end) = (at, at);
            for (forwards, random) in run {
                insert(&mut own, if *forwards { end } else { first }, author, *random);
                end += 1;
                first = first.min(end);
            }
            all.extend(own.into_iter().filter(|row| !base.contains(row)));
        }
        all.sort();
        let authors: Vec<u8> = all.iter().filter(|row| !base.contains(row)).map(|(_, by)| *by).collect();
        let mut seen = authors.clone();
        seen.dedup();
        prop_assert_eq!(seen.len(), runs.len(), "{:?}", authors);
    }

    #[test]
    fn whatever_is_no_position_counts_as_none(left in "\\PC{0,30}", right in "[0-9A-Za-z]{0,30}") {
        prop_assert!(between(Some(&left), Some(&right), hand(1, 1)).is_some());
    }
}

#[test]
fn neither_appending_nor_prepending_makes_positions_longer() {
    let mut rows = Rows::new();
    for n in 0..20_000u16 {
        let at = if n % 2 == 0 { rows.len() } else { 0 };
        insert(&mut rows, at, 1, n);
    }
    assert_eq!(rows.iter().map(|(position, _)| position.len()).max(), Some(9));
    // Another person goes on where this one was: once a node more.
    for n in 0..1_000 {
        let end = rows.len();
        insert(&mut rows, end, 2, n);
    }
    assert_eq!(rows.last().map(|(position, _)| position.len()), Some(18));
}

#[test]
fn a_list_that_is_too_deep_is_spread_anew() {
    let (mut left, mut right) = (between(None, None, hand(1, 1)), None);
    let mut author = 2;
    while let Some(next) = between(left.as_deref(), right.as_deref(), hand(author, 7)) {
        (left, right) = if author % 2 == 0 { (left, Some(next)) } else { (Some(next), right) };
        author += 1;
    }
    assert!(left.is_some_and(|left| left.len() > LONGEST / 2));
    let fresh = spread(1_000, hand(1, 3)).expect("positions");
    assert!(fresh.is_sorted() && fresh.iter().all(|position| position.len() == 9));
    assert!(spread(100_001, hand(1, 3)).is_none());
}

#[test]
fn positions_that_are_the_same_or_out_of_order_are_no_standstill() {
    let one = between(None, None, hand(1, 1)).expect("a position");
    let behind = between(Some(&one), Some(&one), hand(2, 1)).expect("a position");
    assert!(behind > one);
    assert!(between(Some(&behind), Some(&one), hand(1, 1)).is_some_and(|next| next > behind));
}

/// What one put before something that has left since is no beginning of what goes on behind it.
#[test]
fn what_is_put_behind_the_last_of_what_was_put_before_something_stays_side_by_side() {
    let place = |left: Option<&str>, right: Option<&str>, author, random| {
        between(left, right, hand(author, random)).expect("short enough")
    };
    let gone = place(None, None, 1, 1);
    let left = place(None, Some(&gone), 1, 2);
    // One goes on behind it, and puts the last of a run in front of the others.
    let second = place(Some(&left), None, 1, 3);
    let third = place(Some(&second), None, 1, 4);
    let first = place(Some(&left), Some(&second), 1, 5);
    let run = [&first, &second, &third];
    // Somebody else puts a row at the same place.
    for random in 0..500 {
        let other = place(Some(&left), None, 2, random);
        let before = run.iter().filter(|position| ***position < other).count();
        assert!(before == 0 || before == 3, "{other} is in the middle of {run:?}");
    }
}
