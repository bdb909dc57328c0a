//! Ordered maps and sets of many entries: sorted lists of some hundred, one after the other.
//!
//! As [`crate::flat`], in about a fifth of the code that a B-tree is for every type; inserting anywhere moves what is in
//! one of the lists, not all that follows. For what one transaction or one event may fill with as many rows as it likes.

use std::borrow::Borrow;

use crate::flat::FlatMap;

/// A list that is longer is cut in two.
const MOST: usize = 256;

/// A map, ordered by its keys.
#[derive(Clone, Debug)]
pub struct WideMap<K, V>(Vec<FlatMap<K, V>>);

/// A set, in order.
#[derive(Clone, Debug)]
pub struct WideSet<T>(WideMap<T, ()>);

impl<K, V> Default for WideMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for WideSet<T> {
    fn default() -> Self {
        Self(WideMap::default())
    }
}

/// The same entries; where the lists are cut does not matter.
impl<K: PartialEq, V: PartialEq> PartialEq for WideMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for WideMap<K, V> {}

impl<T: PartialEq> PartialEq for WideSet<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Eq> Eq for WideSet<T> {}

impl<K, V> WideMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(FlatMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().flatten()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values, in order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> WideMap<K, V> {
    /// The list that has the key, if any has.
    fn list<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begins = |list: &FlatMap<K, V>| list.keys().next().is_some_and(|first| first.borrow() <= key);
        self.0.partition_point(begins).saturating_sub(1)
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(self.list(key))?.get(key)
    }

    /// The value of a key.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let list = self.list(key);
        self.0.get_mut(list)?.get_mut(key)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The list that a key is in, or belongs in, and its place there.
    fn place(&self, key: &K) -> (usize, Result<usize, usize>) {
        let list = self.list(key);
        (list, self.0.get(list).map_or(Err(0), |list| list.place(key)))
    }

    /// Puts in what is not there; where it stands then.
    fn put(&mut self, list: usize, at: usize, key: K, value: V) -> (usize, usize) {
        if self.0.is_empty() {
            self.0.push(FlatMap::new());
        }
        self.0[list].insert_at(at, key, value);
        if self.0[list].len() <= MOST {
            return (list, at);
        }
        let half = MOST / 2;
        let rest = self.0[list].split_off(half);
        self.0.insert(list + 1, rest);
        if at < half { (list, at) } else { (list + 1, at - half) }
    }

    /// Sets a key's value, and gives the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            (list, Ok(at)) => Some(std::mem::replace(self.0[list].at_mut(at), value)),
            (list, Err(at)) => {
                self.put(list, at, key, value);
                None
            }
        }
    }

    /// The value of a key, which is made if there is none.
    ///
    /// # Errors
    /// What making it failed of.
    pub fn get_or_make<E>(&mut self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<&mut V, E> {
        let (list, at) = match self.place(&key) {
            (list, Ok(at)) => (list, at),
            (list, Err(at)) => {
                let value = make(&key)?;
                self.put(list, at, key, value)
            }
        };
        Ok(self.0[list].at_mut(at))
    }

    /// Takes a key out, and gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.list(key);
        let list = self.0.get_mut(at)?;
        let value = list.remove(key)?;
        if list.is_empty() {
            self.0.remove(at);
        }
        Some(value)
    }
}

impl<K: Ord, V> Extend<(K, V)> for WideMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, more: I) {
        more.into_iter().for_each(|(key, value)| _ = self.insert(key, value));
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for WideMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        let mut out = Self::new();
        out.extend(all);
        out
    }
}

impl<K, V> IntoIterator for WideMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<FlatMap<K, V>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

impl<'a, K, V> IntoIterator for &'a WideMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::iter::Flatten<std::slice::Iter<'a, FlatMap<K, V>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().flatten()
    }
}

impl<T: Ord> WideSet<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is there.
    pub fn contains<Q: Ord + ?Sized>(&self, one: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(one)
    }

    /// Puts it in; whether it was not there.
    pub fn insert(&mut self, one: T) -> bool {
        self.0.insert(one, ()).is_none()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0 = WideMap::new();
    }
}

impl<T: Ord> Extend<T> for WideSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| _ = self.insert(one));
    }
}

impl<T: Ord> FromIterator<T> for WideSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut out = Self::default();
        out.extend(all);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is put in and taken out, in order or not, it holds what a B-tree holds.
        #[test]
        fn it_is_a_b_tree(steps in prop::collection::vec((any::<bool>(), 0u16..2_000), 0..3_000), sorted in any::<bool>()) {
            let mut steps = steps;
            if sorted {
                steps.sort_by_key(|(_, key)| *key);
            }
            let (mut wide, mut tree) = (WideMap::new(), BTreeMap::new());
            for (at, (puts, key)) in steps.into_iter().enumerate() {
                if puts || at % 3 > 0 {
                    prop_assert_eq!(wide.insert(key, at), tree.insert(key, at));
                } else {
                    prop_assert_eq!(wide.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(wide.get(&(key / 2)), tree.get(&(key / 2)));
            }
            prop_assert!(wide.iter().eq(&tree));
            prop_assert_eq!((wide.len(), wide.is_empty()), (tree.len(), tree.is_empty()));
            prop_assert_eq!(&wide, &tree.iter().map(|(key, at)| (*key, *at)).collect());
            prop_assert!(wide.into_iter().eq(tree));
        }
    }
}
