//! A server small enough to be obviously right, and a device that talks to it. The expected state is computed from the
//! server's history and the outbox alone, by code that shares nothing with the engine.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::error::codes;
use landfall_core::{BucketId, Epoch, Operation, Problem, Stamp, Transaction};
use landfall_protocol::batch::{Change, ChangeList, RowBlock};
use landfall_protocol::digest::{Digests, Narrowed, Run, RunHash, bare};
use landfall_protocol::server::{
    BucketChanges, Chunk, Decision, Limits, Opening, Outcome, Resumption, Start, Welcome, WireType,
};

use super::*;

/// (a, b) of a counter.
pub(super) type Row = (Option<i64>, Option<i64>);
pub(super) type State = BTreeMap<i64, Row>;

/// A bucket of counters: which rows, and whether it shows column a.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    pub id: u64,
    pub rows: fn(Row) -> bool,
    pub shows_a: bool,
}

pub(super) const ALL: Template = Template { id: 1, rows: |_| true, shows_a: true };
pub(super) const BIG_A: Template = Template { id: 2, rows: |r| r.0.unwrap_or(0) >= 50, shows_a: true };
pub(super) const BIG_B: Template = Template { id: 3, rows: |r| r.1.unwrap_or(0) >= 50, shows_a: false };

/// The server: every state that it ever had, and what it decided.
#[derive(Debug)]
pub(super) struct Server {
    /// The state after each sequence; the first is empty.
    pub history: Vec<State>,
    pub decided: BTreeMap<u64, Outcome>,
}

impl Server {
    pub fn new() -> Self {
        Self { history: vec![State::new()], decided: BTreeMap::new() }
    }

    pub fn head(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    pub fn at(&self, seq: u64) -> &State {
        &self.history[seq as usize]
    }

    /// Somebody else writes.
    pub fn remote(&mut self, id: i64, row: Option<Row>) {
        let mut state = self.at(self.head()).clone();
        match row {
            Some(row) => state.insert(id, row),
            None => state.remove(&id),
        };
        self.history.push(state);
    }

    /// Decides an entry; the same answer for a resend. `refuse`: for a reason of its own.
    pub fn decide(&mut self, transaction: &Transaction, refuse: bool) -> Outcome {
        if let Some(outcome) = self.decided.get(&transaction.rseq) {
            return outcome.clone();
        }
        if let Some(missing) = transaction.after.iter().find(|p| !self.decided.contains_key(p)) {
            return Outcome::Deferred { missing: *missing };
        }
        let fate = transaction.requires.iter().find(|p| matches!(self.decided[p], Outcome::Refused { .. }));
        let refused = |because_of| Outcome::Refused { problem: Problem::new(codes::NOT_ALLOWED, "no"), because_of };
        let outcome = match (fate, refuse) {
            (Some(because), _) => refused(Some(*because)),
            (None, true) => refused(None),
            (None, false) => {
                let mut state = self.at(self.head()).clone();
                for operation in &transaction.operations {
                    carry_out(&mut state, operation);
                }
                self.history.push(state);
                Outcome::Accepted { seq: self.head() }
            }
        };
        self.decided.insert(transaction.rseq, outcome.clone());
        outcome
    }

    /// What happened in a bucket between two sequences.
    pub fn changes(&self, template: &Template, from: u64, to: u64) -> ChangeList {
        let mut changes = Vec::new();
        for seq in from + 1..=to {
            let (before, after) = (self.at(seq - 1), self.at(seq));
            let ids: BTreeSet<i64> = before.keys().chain(after.keys()).copied().collect();
            for id in ids {
                let shown = |state: &State| state.get(&id).copied().filter(|r| (template.rows)(*r));
                match (shown(before), shown(after)) {
                    (Some(old), Some(new)) if old != new => {
                        let cells = template.cells(new).into_iter().zip(template.cells(old));
                        let cells: Vec<_> = cells.filter(|(n, o)| n != o).map(|(n, _)| n).collect();
                        if !cells.is_empty() {
                            changes.push(Change::Put { seq, key: key(id), whole: false, cells });
                        }
                    }
                    (None, Some(new)) => {
                        changes.push(Change::Put { seq, key: key(id), whole: true, cells: template.cells(new) });
                    }
                    (Some(_), None) => {
                        let deleted = !after.contains_key(&id);
                        changes.push(Change::Remove { seq, key: key(id), deleted });
                    }
                    _ => {}
                }
            }
        }
        ChangeList(changes)
    }

    /// The sequence of a row's last change.
    fn last_change(&self, id: i64) -> u64 {
        (1..=self.head()).rev().find(|s| self.at(*s).get(&id) != self.at(s - 1).get(&id)).unwrap_or(0)
    }

    /// What an address gives now: `/first` or `/KEY`, narrowed down. At most so many rows; digests are of two rows each.
    pub fn chunk(&self, template: &Template, address: &str, rows: usize) -> Chunk {
        let part = Narrowed::parse(address).expect("an address of ours");
        let key = |key: &Option<RowKey>| match key.as_ref().map(|k| &k.0[..]) {
            Some([Value::Int(id)]) => Some(*id),
            None => None,
            other => panic!("an integer key, not {other:?}"),
        };
        let after = key(&part.after).or_else(|| bare(address)[1..].parse().ok());
        let until = key(&part.until);
        let within = |id: i64| after.is_none_or(|a| id > a) && until.is_none_or(|u| id <= u);
        let matching = self.at(self.head()).iter().filter(|(_, r)| (template.rows)(**r));
        let rows = if part.digests { 2 * rows } else { rows };
        let mut page: Vec<_> = matching.filter(|(id, _)| within(**id)).take(rows + 1).collect();
        let more = page.len() > rows;
        page.truncate(rows);
        let last = page.last().map(|(id, _)| **id).filter(|_| more);
        let next = last.map(|id| Narrowed { after: None, ..part.clone() }.of(&format!("/{id}")));
        let (bucket, read_at) = (BucketId(template.id), self.head());
        if part.digests {
            let to = last.map(self::key).or(part.until);
            let digests = Digests { after: after.map(self::key), runs: template.runs(&page, to) };
            return Chunk { bucket, read_at, rows: RowBlock::default(), next, digests: Some(digests) };
        }
        let int = |v: Option<i64>| v.map_or(Value::Null, Value::Int);
        let mut columns = vec![(ColumnType::Integer, page.iter().map(|(id, _)| Value::Int(**id)).collect())];
        if template.shows_a {
            columns.push((ColumnType::Integer, page.iter().map(|(_, r)| int(r.0)).collect()));
        }
        columns.push((ColumnType::Integer, page.iter().map(|(_, r)| int(r.1)).collect()));
        let seqs = page.iter().map(|(id, _)| self.last_change(**id)).collect();
        Chunk { bucket, read_at, rows: RowBlock { seqs, columns }, next, digests: None }
    }
}

impl Template {
    fn cells(&self, row: Row) -> Vec<(u16, Value)> {
        let int = |v: Option<i64>| v.map_or(Value::Null, Value::Int);
        if self.shows_a { vec![(1, int(row.0)), (2, int(row.1))] } else { vec![(1, int(row.1))] }
    }

    /// Digests of two rows each; the last one goes on to `to`.
    fn runs(&self, page: &[(&i64, &Row)], to: Option<RowKey>) -> Vec<Run> {
        let last = page.chunks(2).count().saturating_sub(1);
        let mut runs: Vec<Run> = Vec::new();
        for (at, pair) in page.chunks(2).enumerate() {
            let mut hash = RunHash::default();
            for (id, row) in pair {
                let cells = self.cells(**row).into_iter().map(|(_, value)| value);
                hash.push(&std::iter::once(Value::Int(**id)).chain(cells).collect::<Vec<_>>());
            }
            runs.push(hash.finish(if at == last { to.clone() } else { pair.last().map(|(id, _)| key(**id)) }));
        }
        if runs.is_empty() { vec![RunHash::default().finish(to)] } else { runs }
    }

    pub fn opening(&self, start: Start) -> Opening {
        let integer = WireType(ColumnType::Integer);
        let mut columns = vec![("id".to_owned(), integer), ("b".to_owned(), integer)];
        if self.shows_a {
            columns.insert(1, ("a".to_owned(), integer));
        }
        Opening { bucket: BucketId(self.id), table: "counters".into(), columns, start }
    }
}

fn id_of(operation: &Operation) -> i64 {
    match operation.key().0[..] {
        [Value::Int(id)] => id,
        _ => panic!("counters have integer keys"),
    }
}

/// An operation on a state; an update of a row that is not there does nothing.
pub(super) fn carry_out(state: &mut State, operation: &Operation) {
    let id = id_of(operation);
    let int = |value: &Value| match value {
        Value::Int(v) => Some(*v),
        _ => None,
    };
    match operation {
        Operation::Delete { .. } => {
            state.remove(&id);
        }
        Operation::Update { .. } if !state.contains_key(&id) => {}
        Operation::Insert { cells, .. } | Operation::Update { cells, .. } => {
            let row = state.entry(id).or_insert((None, None));
            for write in cells {
                match write.column.as_str() {
                    "a" => row.0 = int(&write.value),
                    "b" => row.1 = int(&write.value),
                    other => panic!("no column {other}"),
                }
            }
        }
    }
}

pub(super) fn welcome(server: &Server, cut: u64, resumption: Resumption, epoch: u8) -> Welcome {
    Welcome {
        version: 1,
        epoch: Epoch([epoch; 16]),
        head: server.head(),
        start: cut,
        chain: cut,
        resumption,
        last_rseq: 0,
        clock_ms: NOW,
        token_expires_in_ms: None,
        subject: "ada".into(),
        schema_version: 1,
        limits: Limits { frame_bytes: 1 << 20, push_entries: 100, window_bytes: 1 << 20, subscriptions: 10 },
        accepted: Vec::new(),
    }
}

/// The visible counters.
pub(super) fn visible(db: &Database) -> State {
    let int = |value: &Value| match value {
        Value::Int(v) => Some(*v),
        _ => None,
    };
    let rows = rows(db, "SELECT id, a, b FROM counters");
    rows.iter().map(|r| (int(&r[0]).expect("a key"), (int(&r[1]), int(&r[2])))).collect()
}

/// What buckets that stand at `cut` show of the server's rows.
pub(super) fn confirmed(server: &Server, cut: u64, templates: &[Template]) -> State {
    let mut state = State::new();
    for (id, row) in server.at(cut) {
        let held: Vec<_> = templates.iter().filter(|t| (t.rows)(*row)).collect();
        if !held.is_empty() {
            let a = if held.iter().any(|t| t.shows_a) { row.0 } else { None };
            state.insert(*id, (a, row.1));
        }
    }
    state
}

pub(super) fn live(server: &Server, from: u64, to: u64, templates: &[Template]) -> Vec<BucketChanges> {
    let one = |t: &Template| BucketChanges { bucket: BucketId(t.id), changes: server.changes(t, from, to) };
    templates.iter().map(one).filter(|b| !b.changes.0.is_empty()).collect()
}

pub(super) fn stamp(seq: u64) -> Stamp {
    Stamp { wall_ms: NOW + seq, counter: 0, replica: replica(9) }
}

pub(super) fn decision(rseq: u64, outcome: Outcome) -> Decision {
    Decision { rseq, outcome }
}
