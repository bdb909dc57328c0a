//! From a changed row to its buckets, at a cost that does not grow with the number of buckets.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::hash::{Cells, ContentHash};
use landfall_core::predicate::{Env, Operand};
use landfall_core::{BucketId, Value};

use super::{Bucket, Template};

/// All buckets, found by id, by values, and by the rows that they may hold.
#[derive(Debug, Default)]
pub struct BucketIndex {
    by_id: BTreeMap<BucketId, Bucket>,
    by_key: BTreeMap<ContentHash, BucketId>,
    tables: BTreeMap<String, Vec<TemplateBuckets>>,
}

/// The buckets of one template.
#[derive(Debug)]
pub(super) struct TemplateBuckets {
    pub(super) template: Arc<Template>,
    /// Positions among the template's equalities of those whose value differs from bucket to bucket.
    telling: Vec<usize>,
    /// A bucket stands under the values that its rows have in the telling columns.
    by_values: BTreeMap<Vec<Value>, Vec<Bucket>>,
}

impl BucketIndex {
    /// Adds a bucket.
    pub fn insert(&mut self, bucket: Bucket) {
        self.by_key.insert(bucket.template.bucket_key(&bucket.env), bucket.id);
        self.by_id.insert(bucket.id, bucket.clone());
        let templates = self.tables.entry(bucket.template.table.clone()).or_default();
        let at = templates.iter().position(|t| t.template.id == bucket.template.id).unwrap_or_else(|| {
            templates.push(TemplateBuckets::new(Arc::clone(&bucket.template)));
            templates.len() - 1
        });
        templates[at].insert(bucket);
    }

    /// Takes a bucket away.
    pub fn remove(&mut self, id: BucketId) {
        let Some(bucket) = self.by_id.remove(&id) else { return };
        self.by_key.remove(&bucket.template.bucket_key(&bucket.env));
        let templates = self.tables.get_mut(&bucket.template.table).into_iter().flatten();
        for template in templates.filter(|t| t.template.id == bucket.template.id) {
            template.by_values.retain(|_, buckets| {
                buckets.retain(|b| b.id != id);
                !buckets.is_empty()
            });
        }
    }

    /// The numbers of all buckets.
    pub fn ids(&self) -> impl Iterator<Item = BucketId> + '_ {
        self.by_id.keys().copied()
    }

    /// The bucket of these values, if it was ever opened.
    pub fn find(&self, template: &Template, env: &Env) -> Option<&Bucket> {
        self.by_id.get(self.by_key.get(&template.bucket_key(env))?)
    }

    /// The bucket of this id.
    pub fn get(&self, id: BucketId) -> Option<&Bucket> {
        self.by_id.get(&id)
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many buckets a change makes the index look at.
    #[cfg(test)]
    pub(crate) fn looked_at(&self, table: &str, before: Option<&Cells>, after: Option<&Cells>) -> usize {
        let of = |t: &TemplateBuckets, row: Option<&Cells>| row.map_or(0, |row| t.candidates(row).len());
        self.of_table(table).iter().map(|t| of(t, before) + of(t, after)).sum()
    }

    pub(super) fn of_table(&self, table: &str) -> &[TemplateBuckets] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }
}

impl TemplateBuckets {
    fn new(template: Arc<Template>) -> Self {
        let telling =
            |(at, (_, operand)): (usize, &(String, Operand))| (!matches!(operand, Operand::Literal(_))).then_some(at);
        let telling = template.equalities.iter().enumerate().filter_map(telling).collect();
        Self { template, telling, by_values: BTreeMap::new() }
    }

    fn insert(&mut self, bucket: Bucket) {
        let operands = self.telling.iter().map(|at| &self.template.equalities[*at].1);
        let values: Vec<Value> = operands.map(|o| o.value(&bucket.env)).collect();
        // NULL equals nothing: no row is ever in such a bucket.
        if !values.iter().any(Value::is_null) {
            self.by_values.entry(values).or_default().push(bucket);
        }
    }

    /// The buckets that may hold the row.
    fn candidates(&self, row: &Cells) -> &[Bucket] {
        let values = self.telling.iter().map(|at| row.get(&self.template.equalities[*at].0).cloned());
        let Some(values) = values.collect::<Option<Vec<_>>>() else {
            return &[];
        };
        self.by_values.get(&values).map_or(&[], Vec::as_slice)
    }

    /// Calls `found` for each bucket that holds the row before or after, with which of the two it is.
    pub(super) fn each(
        &self,
        before: Option<&Cells>,
        after: Option<&Cells>,
        mut found: impl FnMut(&Bucket, bool, bool),
    ) {
        let of = |row: Option<&Cells>| row.map_or(&[][..], |row| self.candidates(row));
        let (old, new) = (of(before), of(after));
        let same = old.first().map(|b| b.id) == new.first().map(|b| b.id);
        for bucket in old {
            let was = before.is_some_and(|row| bucket.holds(row));
            let is = same && after.is_some_and(|row| bucket.holds(row));
            if was || is {
                found(bucket, was, is);
            }
        }
        for bucket in if same { &[] } else { new } {
            if after.is_some_and(|row| bucket.holds(row)) {
                found(bucket, false, true);
            }
        }
    }

    /// All buckets of the template.
    pub(super) fn all(&self) -> impl Iterator<Item = &Bucket> {
        self.by_values.values().flatten()
    }
}
