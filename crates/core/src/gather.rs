//! Collecting into B-trees by inserting one after the other, and one sort for all types.
//!
//! The standard sort is some four kilobytes of code for every type, and `collect` sorts first. Browsers download each of
//! them. What is collected here is short, or in order already; what is sorted here is not much.

use std::cmp::Ordering;

/// Gathers what an iterator gives.
pub trait Gather: Iterator + Sized {
    /// As `collect`; the later of two equal keys wins there as well.
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }

    /// As `collect` of results.
    ///
    /// # Errors
    /// The first error that the iterator gives.
    fn try_gather<T, E, C: Default + Extend<T>>(self) -> Result<C, E>
    where
        Self: Iterator<Item = Result<T, E>>,
    {
        let mut all = C::default();
        for one in self {
            all.extend(Some(one?));
        }
        Ok(all)
    }
}

impl<I: Iterator> Gather for I {}

/// As `sort_by` of a list.
pub fn sort_by<T>(list: &mut Vec<T>, order: impl Fn(&T, &T) -> Ordering) {
    let sorted = sorted_indexes(list.len(), &|a, b| order(&list[a], &list[b]));
    let mut all: Vec<Option<T>> = std::mem::take(list).into_iter().map(Some).collect();
    list.extend(sorted.into_iter().filter_map(|at| all[at].take()));
}

/// The numbers below `len`, in this order; equal ones as they were.
pub fn sorted_indexes(len: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut out: Vec<usize> = (0..len).collect();
    out.sort_by(|a, b| order(*a, *b));
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_sorts_and_keeps_equal_ones_in_place() {
        let mut list: Vec<(u8, usize)> = (0u8..200).map(|n| n.wrapping_mul(77) % 16).zip(0..).collect();
        let mut expected = list.clone();
        expected.sort_by_key(|(n, _)| *n);
        sort_by(&mut list, |a, b| a.0.cmp(&b.0));
        assert_eq!(list, expected);
    }

    #[test]
    fn it_gathers_what_collect_collects() {
        let pairs = [(2, 'b'), (1, 'a'), (2, 'c')];
        let gathered: BTreeMap<i32, char> = pairs.into_iter().gather();
        assert_eq!(gathered, pairs.into_iter().collect());
        let good: Result<BTreeMap<i32, char>, ()> = pairs.into_iter().map(Ok).try_gather();
        assert_eq!(good, Ok(gathered));
        let bad: Result<BTreeMap<i32, char>, i32> = [Ok((1, 'a')), Err(7), Err(8)].into_iter().try_gather();
        assert_eq!(bad, Err(7));
    }
}
