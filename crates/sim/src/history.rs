//! What the server's log says, kept beside it: the rows as they were at every sequence, and who wrote what.
//!
//! This is the simulator's own reading of the log, made of nothing but the row images in it. The invariants compare it
//! with the server's tables, with what is sent and with what devices hold.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::hash::{Cells, ContentHash};
use landfall_core::{Epoch, ReplicaId, RowKey, Stamp, Value};
use landfall_server::commit::LogEntry;

use crate::workload::OpId;

/// A row of a table.
pub type RowName = (String, RowKey);

/// One transaction of the log, in short.
#[derive(Debug, Clone)]
pub struct Logged {
    /// The author.
    pub replica: ReplicaId,
    /// The author's number for it.
    pub rseq: u64,
    /// The content.
    pub hash: ContentHash,
    /// The chain value.
    pub chain: u64,
    /// The stamp, by the server's clock.
    pub stamp: Stamp,
    /// The server's clock.
    pub at_ms: u64,
    /// The operation of the workload that it carries.
    pub op: Option<OpId>,
}

/// The log as read so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The epoch.
    pub epoch: Epoch,
    /// The transactions by sequence.
    pub log: BTreeMap<u64, Logged>,
    /// Each row's states, by sequence.
    rows: BTreeMap<RowName, Vec<(u64, Option<Cells>)>>,
    /// Which sequences carry an operation of the workload.
    pub ops: BTreeMap<OpId, BTreeSet<u64>>,
    /// The sequence that a (replica, number) has.
    pub numbers: BTreeMap<(ReplicaId, u64), u64>,
}

impl History {
    /// The newest sequence.
    pub fn head(&self) -> u64 {
        self.log.keys().next_back().copied().unwrap_or(0)
    }

    /// Adds the next transaction.
    pub fn append(&mut self, entry: LogEntry, op: Option<OpId>) {
        for change in &entry.changes {
            let states = self.rows.entry((change.table.clone(), change.key.clone())).or_default();
            states.push((entry.seq, change.after.clone()));
        }
        if let Some(op) = op {
            self.ops.entry(op).or_default().insert(entry.seq);
        }
        self.numbers.insert((entry.replica, entry.rseq), entry.seq);
        let LogEntry { seq, replica, rseq, hash, chain, stamp, at_ms, .. } = entry;
        self.log.insert(seq, Logged { replica, rseq, hash, chain, stamp, at_ms, op });
    }

    /// Forgets what came after `seq`: the server was restored from a copy that ends there.
    pub fn rewind(&mut self, seq: u64) {
        for (_, logged) in self.log.split_off(&(seq + 1)) {
            self.numbers.remove(&(logged.replica, logged.rseq));
        }
        for states in self.rows.values_mut() {
            states.retain(|(at, _)| *at <= seq);
        }
        self.rows.retain(|_, states| !states.is_empty());
        for seqs in self.ops.values_mut() {
            seqs.retain(|at| *at <= seq);
        }
        self.ops.retain(|_, seqs| !seqs.is_empty());
    }

    /// A row as it was when `seq` had been committed; `None` when it was not there.
    pub fn row_at(&self, table: &str, key: &RowKey, seq: u64) -> Option<&Cells> {
        let states = self.rows.get(&(table.to_owned(), key.clone()))?;
        let at = states.partition_point(|(at, _)| *at <= seq);
        states[..at].last().and_then(|(_, row)| row.as_ref())
    }

    /// All states of a row, by sequence.
    pub fn states(&self, table: &str, key: &RowKey) -> &[(u64, Option<Cells>)] {
        self.rows.get(&(table.to_owned(), key.clone())).map(Vec::as_slice).unwrap_or_default()
    }

    /// The sequences after `base` that changed a row.
    pub fn changes_after(&self, table: &str, key: &RowKey, base: u64) -> impl Iterator<Item = u64> {
        let states = self.rows.get(&(table.to_owned(), key.clone())).map(Vec::as_slice).unwrap_or_default();
        states.iter().map(|(seq, _)| *seq).filter(move |seq| *seq > base)
    }

    /// All states of all rows of a table, by sequence.
    pub fn states_of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (&'a RowKey, &'a [(u64, Option<Cells>)])> {
        let first = (table.to_owned(), RowKey(Vec::new()));
        let rows = self.rows.range(first..).take_while(move |((name, _), _)| name == table);
        rows.map(|((_, key), states)| (key, states.as_slice()))
    }

    /// All rows of a table as they are.
    pub fn rows_of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (&'a RowKey, &'a Cells)> {
        let first = (table.to_owned(), RowKey(Vec::new()));
        self.rows
            .range(first..)
            .take_while(move |((name, _), _)| name == table)
            .filter_map(|((_, key), states)| states.last().and_then(|(_, row)| Some((key, row.as_ref()?))))
    }
}

/// A cell of a row; NULL where the row does not name it.
pub fn cell<'a>(row: &'a Cells, column: &str) -> &'a Value {
    row.get(column).unwrap_or(&Value::Null)
}
