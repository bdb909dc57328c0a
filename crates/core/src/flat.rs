//! Ordered maps and sets of few entries: sorted lists.
//!
//! A B-tree costs a browser some eight kilobytes of code for every type of key and value, a sorted list less than one.
//! Inserting in the middle moves what follows, so that these are for what stays short (shapes, buckets, live queries,
//! requests under way) or comes in order. What a single transaction may fill with as many rows as it likes is a
//! [`crate::wide::WideMap`].

use std::borrow::Borrow;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

/// A map, ordered by its keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlatMap<K, V>(Vec<(K, V)>);

/// A set, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlatSet<T>(FlatMap<T, ()>);

impl<K, V> Default for FlatMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for FlatSet<T> {
    fn default() -> Self {
        Self(FlatMap::default())
    }
}

impl<K, V> FlatMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The entries, in order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The entries, in order of their keys.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, in order of their keys.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// The values alone, in order of their keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> + ExactSizeIterator {
        self.0.into_iter().map(|(_, value)| value)
    }

    /// Takes out what stands from a place on.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        Self(self.0.split_off(at))
    }

    pub(crate) fn at_mut(&mut self, at: usize) -> &mut V {
        &mut self.0[at].1
    }

    /// At the place that it belongs in.
    pub(crate) fn insert_at(&mut self, at: usize, key: K, value: V) {
        self.0.insert(at, (key, value));
    }

    /// Keeps what is wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| wanted(key, value));
    }
}

impl<K: Ord, V> FlatMap<K, V> {
    pub(crate) fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // What comes in order is put at the end.
        match self.0.last() {
            Some((last, _)) if last.borrow() < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| known.borrow().cmp(key)),
        }
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of a key.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Sets a key's value, and gives the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, which is made if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.place(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, make()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Takes a key out, and gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| self.0.remove(at).1)
    }
}

impl<K: Ord, V> Extend<(K, V)> for FlatMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, more: I) {
        more.into_iter().for_each(|(key, value)| _ = self.insert(key, value));
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for FlatMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        let mut out = Self::new();
        out.extend(all);
        out
    }
}

impl<K, V> IntoIterator for FlatMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a FlatMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a mut FlatMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = std::iter::Map<std::slice::IterMut<'a, (K, V)>, fn(&'a mut (K, V)) -> (&'a K, &'a mut V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }
}

/// As that of a `BTreeMap`.
impl<C, K: Encode<C>, V: Encode<C>> Encode<C> for FlatMap<K, V> {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.map(self.len() as u64)?;
        for (key, value) in self {
            key.encode(e, ctx)?;
            value.encode(e, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C, K: Decode<'b, C> + Ord, V: Decode<'b, C>> Decode<'b, C> for FlatMap<K, V> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        d.map_iter_with(ctx)?.collect()
    }
}

impl<T> FlatSet<T> {
    /// An empty set.
    pub const fn new() -> Self {
        Self(FlatMap::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator + Clone {
        self.0.keys()
    }

    /// Keeps what is wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        self.0.retain(|one, ()| wanted(one));
    }
}

impl<T: Ord> FlatSet<T> {
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

    /// Takes it out; whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, one: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.remove(one).is_some()
    }
}

impl<T: Ord> Extend<T> for FlatSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| _ = self.insert(one));
    }
}

impl<'a, T: Ord + Copy> Extend<&'a T> for FlatSet<T> {
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, more: I) {
        self.extend(more.into_iter().copied());
    }
}

impl<T: Ord> FromIterator<T> for FlatSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut out = Self::new();
        out.extend(all);
        out
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for FlatSet<T> {
    fn from(all: [T; N]) -> Self {
        all.into_iter().collect()
    }
}

impl<T> IntoIterator for FlatSet<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(one, ())| one)
    }
}

impl<'a, T> IntoIterator for &'a FlatSet<T> {
    type Item = &'a T;
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (T, ())>, fn(&'a (T, ())) -> &'a T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.0.iter().map(|(one, ())| one)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is done to it, it holds what a B-tree holds, in the same order.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..6, 0u16..40, any::<u8>()), 0..200)) {
            let (mut flat, mut tree) = (FlatMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    0..=2 => prop_assert_eq!(flat.insert(key, value), tree.insert(key, value)),
                    3 => prop_assert_eq!(flat.remove(&key), tree.remove(&key)),
                    4 => prop_assert_eq!(flat.get_or_insert_with(key, || value), tree.entry(key).or_insert(value)),
                    _ => {
                        flat.retain(|known, _| known % 7 != key % 7);
                        tree.retain(|known, _| known % 7 != key % 7);
                    }
                }
                prop_assert_eq!(flat.get(&key), tree.get(&key));
                prop_assert_eq!(flat.get_mut(&key), tree.get_mut(&key));
                prop_assert_eq!(flat.contains_key(&key), tree.contains_key(&key));
                prop_assert_eq!(flat.len(), tree.len());
                prop_assert!(flat.iter().eq(tree.iter()));
            }
            prop_assert!(flat.keys().eq(tree.keys()) && flat.values().eq(tree.values()));
            prop_assert!(flat.values_mut().eq(tree.values_mut()));
            prop_assert!(flat.clone().into_values().eq(tree.clone().into_values()));
            let bytes = minicbor::to_vec(&flat).expect("writing to memory");
            prop_assert_eq!(&bytes, &minicbor::to_vec(&tree).expect("writing to memory"));
            prop_assert_eq!(&flat, &minicbor::decode(&bytes).expect("what was written"));
            prop_assert_eq!(flat, tree.into_iter().collect());
        }

        #[test]
        fn it_is_a_set(all in prop::collection::vec(0u8..30, 0..60), other in prop::collection::vec(0u8..30, 0..60)) {
            let (mut flat, mut tree): (FlatSet<u8>, BTreeSet<u8>) =
                (all.iter().copied().collect(), all.iter().copied().collect());
            for one in other {
                prop_assert_eq!(flat.contains(&one), tree.contains(&one));
                prop_assert_eq!(if one % 2 == 0 { flat.insert(one) } else { flat.remove(&one) },
                    if one % 2 == 0 { tree.insert(one) } else { tree.remove(&one) });
            }
            prop_assert!(flat.iter().eq(tree.iter()) && (&flat).into_iter().eq(&tree));
            prop_assert!(flat.into_iter().eq(tree));
        }
    }
}
