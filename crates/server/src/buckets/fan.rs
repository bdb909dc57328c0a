//! A sequence's changes as each bucket sees them, encoded once for each template.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::{BucketId, RowKey};
use landfall_protocol::{Change, ChangeList};

use super::{Bucket, BucketIndex, Template};

/// The row before a change.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// There was none.
    Nothing,
    /// It was this.
    Row(&'a Cells),
    /// Nobody knows: it was changed behind the store's back, and the log no longer has it.
    Unknown,
}

impl<'a> From<Option<&'a Cells>> for Before<'a> {
    fn from(row: Option<&'a Cells>) -> Self {
        row.map_or(Self::Nothing, Self::Row)
    }
}

/// Collects the runs of one sequence.
#[derive(Debug)]
pub struct Fan {
    seq: u64,
    always_whole: bool,
    runs: BTreeMap<BucketId, Vec<u8>>,
}

impl Fan {
    /// For the changes of `seq`.
    pub fn new(seq: u64) -> Self {
        Self { seq, always_whole: false, runs: BTreeMap::new() }
    }

    /// For a write from outside: rows are always sent whole. A page may have been read between several such writes, of
    /// which only the sum gets a sequence, so that the cells that differ from the row before do not say it all.
    pub fn of_outside(seq: u64) -> Self {
        Self { seq, always_whole: true, runs: BTreeMap::new() }
    }

    /// Adds the change of one row: whole where the row comes into a bucket, the changed visible columns where it stays,
    /// a removal where it leaves.
    pub fn add(&mut self, index: &BucketIndex, table: &str, key: &RowKey, before: Before<'_>, after: Option<&Cells>) {
        for buckets in index.of_table(table) {
            let mut encoder =
                Encoder { seq: self.seq, key, before, after, template: &buckets.template, done: [const { None }; 3] };
            let (runs, always_whole) = (&mut self.runs, self.always_whole);
            let mut found = |bucket: &Bucket, was: bool, is: bool| {
                let run = encoder.change(was && !(is && always_whole), is);
                if !run.is_empty() {
                    runs.entry(bucket.id).or_default().extend_from_slice(run);
                }
            };
            match before {
                Before::Nothing => buckets.each(None, after, found),
                Before::Row(row) => buckets.each(Some(row), after, found),
                // It may have been anywhere. Removing what is not there does nothing.
                Before::Unknown => {
                    buckets.all().for_each(|b| {
                        found(b, !after.is_some_and(|row| b.holds(row)), after.is_some_and(|row| b.holds(row)))
                    });
                }
            }
        }
    }

    /// The runs by bucket.
    pub fn into_runs(self) -> BTreeMap<BucketId, Vec<u8>> {
        self.runs
    }
}

struct Encoder<'a> {
    seq: u64,
    key: &'a RowKey,
    before: Before<'a>,
    after: Option<&'a Cells>,
    template: &'a Template,
    /// The encoded forms once made: a whole row, its changed columns, its removal.
    done: [Option<Vec<u8>>; 3],
}

impl Encoder<'_> {
    fn change(&mut self, was: bool, is: bool) -> &[u8] {
        let at = match (was, is) {
            (true, false) if self.after.is_some() && landfall_core::mutant::active("read-rule-skipped") => 0,
            (_, false) => 2,
            (false, true) => 0,
            (true, true) => 1,
        };
        if self.done[at].is_none() {
            self.done[at] = Some(self.encode(at));
        }
        self.done[at].as_deref().unwrap_or_default()
    }

    fn encode(&self, at: usize) -> Vec<u8> {
        let (seq, key) = (self.seq, self.key.clone());
        let change = match (at, self.after) {
            (0, Some(after)) => Change::Put { seq, key, whole: true, cells: self.cells(after, |_| true) },
            (1, Some(after)) => {
                let Before::Row(before) = self.before else {
                    return Vec::new();
                };
                let cells = self.cells(after, |name| before.get(name) != after.get(name));
                if cells.is_empty() {
                    return Vec::new();
                }
                Change::Put { seq, key, whole: false, cells }
            }
            (_, after) => Change::Remove { seq, key, deleted: after.is_none() },
        };
        ChangeList(vec![change]).to_run()
    }

    fn cells(&self, row: &Cells, wanted: impl Fn(&str) -> bool) -> Vec<(u16, landfall_core::Value)> {
        let data = self.template.columns.iter().enumerate().skip(self.template.key_columns);
        let held = data.filter(|(_, (name, _))| wanted(name)).map(|(at, (name, _))| {
            // A schema has far fewer columns than u16::MAX: SQLite takes 2,000.
            (at as u16, row.get(name).cloned().unwrap_or_default())
        });
        held.collect()
    }
}
