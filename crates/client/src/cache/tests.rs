use proptest::prelude::*;

use super::{CacheError, MAX_KEY_BYTES, falls_back, outcome, outcome_after_failure, plan};
use super::{Counts, FetchOptions, Freshness, Plan, Policy, Strategy as When, codes};

fn strategies() -> impl proptest::strategy::Strategy<Value = When> {
    (0..When::ALL.len()).prop_map(|at| When::ALL[at].1)
}

fn ages() -> impl proptest::strategy::Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), Just(Some(0)), Just(Some(u64::MAX)), (0..1_000u64).prop_map(Some)]
}

fn times() -> impl proptest::strategy::Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0..2_000u64]
}

proptest! {
    #[test]
    fn an_age_is_never_negative_and_an_entry_of_the_future_is_stale(asked in times(), max_age in ages(), now in times()) {
        let found = Freshness::of(asked, max_age, now);
        if let Some(age) = found.age_ms {
            prop_assert_eq!(u128::from(asked) + u128::from(age), u128::from(now));
            prop_assert_eq!(found.stale, max_age.is_some_and(|max| age >= max));
        } else {
            prop_assert!(asked > now);
            prop_assert_eq!(found.stale, max_age.is_some());
        }
    }

    #[test]
    fn an_entry_only_gets_staler_while_the_clock_goes_on(
        asked in 0..2_000u64, max_age in ages(), now in 0..2_000u64, later in 0..2_000u64,
    ) {
        let (first, second) = (Freshness::of(asked, max_age, now), Freshness::of(asked, max_age, now + later));
        if now >= asked && first.stale {
            prop_assert!(second.stale);
        }
    }

    #[test]
    fn each_strategy_does_what_its_name_says(
        strategy in strategies(), stored in any::<bool>(), asked in times(), max_age in ages(), now in times(),
    ) {
        let found = stored.then(|| Freshness::of(asked, max_age, now));
        let plan = plan(strategy, found);
        // Nothing is served that is not there.
        prop_assert!(found.is_some() || matches!(plan, Plan::Fetch | Plan::Missing));
        let is_fresh = found.is_some_and(|found| !found.stale);
        match strategy {
            When::NetworkFirst | When::NetworkOnly => prop_assert_eq!(plan, Plan::Fetch),
            When::CacheOnly => prop_assert_eq!(plan, if stored { Plan::Serve } else { Plan::Missing }),
            When::CacheFirst => prop_assert_eq!(plan, if is_fresh { Plan::Serve } else { Plan::Fetch }),
            When::StaleWhileRevalidate => prop_assert_eq!(
                plan,
                if is_fresh { Plan::Serve } else if stored { Plan::ServeAndFetch } else { Plan::Fetch }
            ),
        }
        // The network is never asked where it must not be, and the cache never answers where it must not.
        prop_assert!(strategy != When::CacheOnly || !matches!(plan, Plan::Fetch | Plan::ServeAndFetch));
        prop_assert!(strategy != When::NetworkOnly || !falls_back(strategy));
    }

    /// A whole call, the network failing or not: it counts once, and as what the caller saw.
    #[test]
    fn a_call_counts_as_what_the_caller_saw(
        strategy in strategies(), stored in any::<bool>(), asked in times(), max_age in ages(), now in times(), fails in any::<bool>(),
    ) {
        let found = stored.then(|| Freshness::of(asked, max_age, now));
        let plan = plan(strategy, found);
        let mut counts = Counts::default();
        let first = outcome(strategy, plan, found);
        *counts.of(first) += 1;
        let by_cache = match plan {
            Plan::Serve | Plan::ServeAndFetch => true,
            Plan::Missing => false,
            Plan::Fetch if fails && falls_back(strategy) => {
                *counts.of(first) -= 1;
                *counts.of(outcome_after_failure(found)) += 1;
                found.is_some()
            }
            Plan::Fetch => false,
        };
        prop_assert_eq!(counts.numbers().iter().sum::<u64>(), 1);
        let is_stale = found.is_some_and(|found| found.stale);
        prop_assert_eq!(counts.hits == 1, by_cache && !is_stale);
        prop_assert_eq!(counts.stale == 1, by_cache && is_stale);
    }

    #[test]
    fn counts_are_stored_as_they_are(numbers in any::<[u64; 7]>()) {
        prop_assert_eq!(Counts::from_numbers(numbers).numbers(), numbers);
    }
}

#[test]
fn what_a_call_says_goes_before_the_policy() {
    let policy = Policy { max_age_ms: Some(5), timeout_ms: Some(7), ..Policy::default() };
    assert_eq!(FetchOptions::default().over(policy), policy);
    let options = FetchOptions { max_age_ms: Some(None), priority: Some(9), ..When::CacheOnly.into() };
    let wanted = Policy { strategy: When::CacheOnly, max_age_ms: None, timeout_ms: Some(7), priority: 9 };
    assert_eq!(options.over(policy), wanted);
}

#[test]
fn a_key_or_priority_that_cannot_be_is_refused() {
    let options = FetchOptions::default();
    let codes = |result: Result<(), CacheError>| result.err().map(|error| error.code());
    assert_eq!(codes(options.check("balance:42")), None);
    for key in [String::new(), "x".repeat(MAX_KEY_BYTES + 1)] {
        assert_eq!(codes(options.check(&key)), Some(codes::BAD_CALL));
    }
    assert_eq!(codes(FetchOptions { priority: Some(101), ..options }.check("a")), Some(codes::BAD_CALL));
}
