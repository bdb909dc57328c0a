//! Row-level differences between two answers of one query.

use std::cmp::Ordering;

use landfall_core::Value;
use landfall_core::gather::{sort_by, sorted_indexes};

/// One row of an answer: its values in the order of the answer's columns.
pub type Row = Vec<Value>;

/// What became of an answer. [`RowsDiff::apply`] turns the old rows into the new ones.
///
/// A row that keeps its identity (the key, see [`crate::live::LiveQuery`]) and its place among the rows that stay is
/// `updated`; one that changes its place is removed and inserted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowsDiff {
    /// Indexes in the *old* answer of rows that go, ascending.
    pub removed: Vec<usize>,
    /// Rows that come, with their indexes in the *new* answer, ascending.
    pub inserted: Vec<(usize, Row)>,
    /// Rows that stay with other content, with their indexes in the *new* answer, ascending.
    pub updated: Vec<(usize, Row)>,
    /// Whether the device holds everything that the answer depends on; if not, the server may know more.
    pub complete: bool,
}

impl RowsDiff {
    /// Whether no row changed. A difference without rows is delivered only when `complete` changed.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.inserted.is_empty() && self.updated.is_empty()
    }

    /// Turns the old answer into the new one. Indexes that `rows` does not have are ignored.
    pub fn apply(&self, rows: &mut Vec<Row>) {
        splice(rows, &self.removed, self.inserted.iter().cloned());
        for (index, row) in &self.updated {
            if let Some(slot) = rows.get_mut(*index) {
                slot.clone_from(row);
            }
        }
    }

    /// The difference from `old` to `new`. `key` names the columns (by index) that identify a row; without them a row
    /// is its own identity. Rows of one identity are told apart by their order. O(n) for the parts that are equal at
    /// both ends, O(m log m) for the `m` rows between.
    pub fn between(old: &[Row], new: &[Row], key: &[usize], complete: bool) -> Self {
        Self::between_by(old, new, |row| row, key, complete)
    }

    /// As [`RowsDiff::between`], for things that have a row.
    pub(super) fn between_by<T>(old: &[T], new: &[T], row: fn(&T) -> &Row, key: &[usize], complete: bool) -> Self {
        let same = |(a, b): &(&T, &T)| row(a) == row(b);
        let head = old.iter().zip(new).take_while(same).count();
        let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
        let a: Vec<&Row> = old[head..old.len() - tail].iter().map(row).collect();
        let b: Vec<&Row> = new[head..new.len() - tail].iter().map(row).collect();
        Self::of_middle(&a, &b, head, key, complete)
    }

    fn of_middle(a: &[&Row], b: &[&Row], head: usize, key: &[usize], complete: bool) -> Self {
        let stays = longest_increasing(&pair(a, b, key));
        let mut out = Self { complete, ..Self::default() };
        let mut stays = stays.into_iter().peekable();
        let (mut at, mut taken) = (0, 0);
        loop {
            let (to_old, to_new) = stays.peek().copied().unwrap_or((a.len(), b.len()));
            out.removed.extend((at..to_old).map(|i| head + i));
            out.inserted.extend((taken..to_new).map(|i| (head + i, b[i].clone())));
            if stays.next().is_none() {
                return out;
            }
            if a[to_old] != b[to_new] {
                out.updated.push((head + to_new, b[to_new].clone()));
            }
            (at, taken) = (to_old + 1, to_new + 1);
        }
    }
}

/// Takes out what stands at the ascending old indexes `removed`, then puts in what is to stand at the ascending new
/// indexes of `inserted`. One pass.
pub(super) fn splice<T>(rows: &mut Vec<T>, removed: &[usize], inserted: impl Iterator<Item = (usize, T)>) {
    let mut inserted = inserted.peekable();
    if removed.is_empty() && inserted.peek().is_none() {
        return;
    }
    let from = removed.first().copied().unwrap_or(usize::MAX).min(inserted.peek().map_or(usize::MAX, |(i, _)| *i));
    let rest = rows.split_off(from.min(rows.len()));
    let mut gone = removed.iter().copied().peekable();
    for (i, row) in rest.into_iter().enumerate() {
        if gone.next_if_eq(&(from + i)).is_some() {
            continue;
        }
        while let Some((_, row)) = inserted.next_if(|(index, _)| *index <= rows.len()) {
            rows.push(row);
        }
        rows.push(row);
    }
    rows.extend(inserted.map(|(_, row)| row));
}

/// Pairs rows of one identity: for each row of `new`, in order, the index of its partner in `old`.
fn pair(old: &[&Row], new: &[&Row], key: &[usize]) -> Vec<(usize, usize)> {
    let order = |a: &Row, b: &Row| {
        if key.is_empty() {
            return a.cmp(b);
        }
        key.iter().map(|k| a.get(*k).cmp(&b.get(*k))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    };
    let sorted = |rows: &[&Row]| sorted_indexes(rows.len(), &|a, b| order(rows[a], rows[b]));
    let (a, b) = (sorted(old), sorted(new));
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match order(old[*x], new[*y]) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                pairs.push((*x, *y));
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    sort_by(&mut pairs, |a, b| a.1.cmp(&b.1));
    pairs
}

/// A longest run of pairs, given in the order of the second part, whose first parts increase too: the rows that keep
/// their place relative to each other.
fn longest_increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (i, (x, _)) in pairs.iter().enumerate() {
        let at = ends.partition_point(|e| pairs[*e].0 < *x);
        before.push(at.checked_sub(1).map(|b| ends[b]));
        match ends.get_mut(at) {
            Some(end) => *end = i,
            None => ends.push(i),
        }
    }
    let mut out = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(i) = next {
        out.push(pairs[i]);
        next = before[i];
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (0i64..12, 0i64..3).prop_map(|(a, b)| vec![Value::Int(a), Value::Int(b)]);
        prop::collection::vec(row, 0..14)
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_new_rows(old in rows(), new in rows(), by_key: bool) {
            let key: &[usize] = if by_key { &[0] } else { &[] };
            let diff = RowsDiff::between(&old, &new, key, true);
            prop_assert_eq!(diff.is_empty(), old == new);
            prop_assert!(by_key || diff.updated.is_empty());
            let mut applied = old;
            diff.apply(&mut applied);
            prop_assert_eq!(applied, new);
        }

        #[test]
        fn a_difference_for_other_rows_is_harmless(old in rows(), new in rows(), mut other in rows()) {
            RowsDiff::between(&old, &new, &[0], true).apply(&mut other);
        }
    }

    #[test]
    fn one_changed_cell_in_ten_thousand_rows_is_one_update() {
        let old: Vec<Row> = (0..10_000).map(|i| vec![Value::Int(i), Value::Int(0)]).collect();
        let mut new = old.clone();
        new[5_000][1] = Value::Int(1);
        let diff = RowsDiff::between(&old, &new, &[0], true);
        assert_eq!(diff.updated, vec![(5_000, new[5_000].clone())]);
        assert!(diff.removed.is_empty() && diff.inserted.is_empty());
    }

    #[test]
    fn one_moved_row_is_one_removal_and_one_insertion() {
        let old: Vec<Row> = (0..1_000).map(|i| vec![Value::Int(i)]).collect();
        let mut new = old.clone();
        let moved = new.remove(900);
        new.insert(10, moved.clone());
        let diff = RowsDiff::between(&old, &new, &[0], true);
        assert_eq!((diff.removed, diff.inserted, diff.updated), (vec![900], vec![(10, moved)], vec![]));
    }
}
