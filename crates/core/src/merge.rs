//! What an operation does to a row, given the row as the server holds it.
//!
//! Concurrency is decided by base and never by clocks: a cell that somebody else changed after the operation's base is
//! concurrent, nothing else is; the replica's own earlier writes count as seen. A write that saw the current value wins
//! whatever its stamp; it is then recorded with a stamp above the one it saw, so that the order of stamps never
//! contradicts the order of seeing. What concurrent writes mean is a column's rule ([`crate::rules`]).
//!
//! Concurrent updates and a delete among them give the same row in whatever order they arrive, provided that each
//! author's stamp is above the stamps that the author had seen. The device's clock sees to that ([`crate::Clock`]); a
//! measured clock difference that is off can break it by as much as it is off, and then the server's order decides. An
//! insert of a key that somebody deleted is no update: its author need not have known the row, so stamps decide there.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::error::{Problem, codes};
use crate::gather::sort_by;
use crate::hash::Cells;
use crate::rules::{CellState, Changed, Contest, Hand, Held, Winner, Yielded};
use crate::schema::{DeleteRule, Table};
use crate::stamp::{MAX_AHEAD_MS, Stamp};
use crate::txn::{CellWrite, Operation};
use crate::value::Value;

/// When and by whom something was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Version {
    /// The server's sequence.
    #[n(0)]
    pub seq: u64,
    /// The stamp, by the server's clock.
    #[n(1)]
    pub stamp: Stamp,
}

impl Version {
    /// Whether a write of `author` with this base did not see what was written here.
    pub fn is_concurrent(&self, author: &Author, base: u64) -> bool {
        if crate::mutant::active("ignore-base") {
            return self.stamp.replica != author.stamp.replica;
        }
        self.seq > base && self.stamp.replica != author.stamp.replica
    }
}

/// The bookkeeping of a row: one version for the row, cells only where they differ.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct RowMeta {
    /// The version of every cell that is not listed.
    #[n(0)]
    pub row: Version,
    /// Cells with a version of their own.
    #[n(1)]
    pub cells: BTreeMap<String, Version>,
    /// When the row was deleted; the row is a tombstone then.
    #[n(2)]
    pub deleted: Option<Version>,
    /// What the rules of some cells keep to tell what is concurrent in them.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<BTreeMap<String, CellState>>,
    /// Of cells that several have changed in parts: the newest change by another author than of the cell's version. It is in
    /// the cell as well, and a delete by who has seen the one need not have seen the other.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneath: Option<BTreeMap<String, Version>>,
}

impl RowMeta {
    /// The version of a cell.
    pub fn version_of(&self, column: &str) -> Version {
        self.cells.get(column).copied().unwrap_or(self.row)
    }

    /// The sequence of the row's last change of any kind.
    pub fn last_seq(&self) -> u64 {
        let cells = self.cells.values().map(|v| v.seq).max().unwrap_or(0);
        self.row.seq.max(cells).max(self.deleted.map_or(0, |v| v.seq))
    }

    /// What the rule of a cell keeps of it.
    pub fn state_of(&self, column: &str) -> Option<&CellState> {
        self.states.as_ref()?.get(column)
    }

    fn keep(&mut self, column: &str, state: Option<CellState>) {
        let mut states = self.states.take().unwrap_or_default();
        match state {
            Some(state) => _ = states.insert(column.to_owned(), state),
            None => _ = states.remove(column),
        }
        self.states = (!states.is_empty()).then_some(states);
    }

    /// Takes note of what lies beneath a change of the author's: `None` where it replaces what was there.
    fn lay_beneath(&mut self, column: &str, before: Option<Version>, author: &Author) {
        let older = self.beneath.as_ref().and_then(|beneath| beneath.get(column)).copied();
        let is_others = |version: &Version| version.stamp.replica != author.stamp.replica;
        let newest = before
            .and_then(|before| [Some(before), older].into_iter().flatten().filter(is_others).max_by_key(|v| v.seq));
        let mut beneath = self.beneath.take().unwrap_or_default();
        match newest {
            Some(newest) => _ = beneath.insert(column.to_owned(), newest),
            None => _ = beneath.remove(column),
        }
        self.beneath = (!beneath.is_empty()).then_some(beneath);
    }

    /// Records that the columns in `written` now have `version`; keeps one version for the row where it can.
    fn record(&mut self, table: &Table, written: &[(String, Stamp)], seq: u64) {
        for (column, stamp) in written {
            self.cells.insert(column.clone(), Version { seq, stamp: *stamp });
        }
        // When every data column has a version of its own the row's is meaningless: make the newest one the row's.
        if table.data_columns().all(|c| self.cells.contains_key(&c.name))
            && let Some(newest) = self.cells.values().copied().max_by_key(|v| (v.seq, v.stamp))
        {
            self.row = newest;
        }
        let row = self.row;
        self.cells.retain(|_, version| *version != row);
    }
}

/// A row as the server holds it, live or as a tombstone (then `cells` is the last image).
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// All columns, key columns included.
    pub cells: Cells,
    /// Versions.
    pub meta: RowMeta,
}

/// Who writes, and the sequence that the write gets.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// The transaction's stamp in the server's time; its replica is the author.
    pub stamp: Stamp,
    /// The sequence of the transaction.
    pub seq: u64,
    /// The server's clock at the decision, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// It has happened already: somebody wrote past Landfall. No rule can undo it, it is only recorded.
    pub is_fact: bool,
}

impl Author {
    /// A stored stamp as far as it can be believed (rule D3). One that is further ahead than any clock may be was given
    /// while the server's own clock was wrong: it tells nothing, and would win every merge until that time has come. It
    /// counts as older than all others, so that the order of arrival decides.
    pub(crate) fn believed(&self, stored: Stamp) -> Stamp {
        if stored.wall_ms.saturating_sub(self.now_ms) > MAX_AHEAD_MS { Stamp::default() } else { stored }
    }

    /// The stamp under which a write that saw `seen` is recorded: its own, unless the clocks say that it came before
    /// what it saw.
    pub(crate) fn stamp_after(&self, seen: Stamp) -> Stamp {
        let seen = self.believed(seen);
        if self.stamp > seen { self.stamp } else { seen.successor(self.stamp.replica) }
    }
}

/// A value, or a delete, that gave way to a concurrent write, and is kept for a person to decide about.
#[derive(Clone, Debug, PartialEq)]
pub struct Sibling {
    /// The column; `None`: the row was deleted.
    pub column: Option<String>,
    /// The value; NULL for a delete.
    pub value: Value,
    /// The value on which it was written, where the rule knows that.
    pub base: Option<Value>,
    /// Which fault of the app's function has led to this, where one has.
    pub fault: Option<String>,
    /// When it was written, if it was in the row until now; `None`: the operation's author wrote it.
    pub was_stored: Option<Version>,
}

impl Sibling {
    /// A delete that gave way, where a person is to say what becomes of the row.
    pub fn of_delete(table: &Table, was_stored: Option<Version>) -> Option<Self> {
        let is_kept = table.on_delete_conflict == DeleteRule::Manual && !crate::mutant::active("lost-delete-forgotten");
        is_kept.then_some(Self { column: None, value: Value::Null, base: None, fault: None, was_stored })
    }
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Merged {
    /// The row now is this; `changed` names the columns whose value is another than before (all for a new row).
    Put {
        /// The row.
        row: StoredRow,
        /// Columns with another value than before, in order.
        changed: Vec<String>,
        /// Columns in which a concurrent write won over this one.
        lost: Vec<String>,
        /// Values that a person has to decide about.
        siblings: Vec<Sibling>,
    },
    /// The row is now a tombstone.
    Delete {
        /// The tombstone.
        row: StoredRow,
    },
    /// Nothing changes: everything lost to concurrent writes, or the row was gone already.
    Nothing {
        /// Columns in which a concurrent write won over this one; empty for a delete.
        lost: Vec<String>,
        /// Values that a person has to decide about.
        siblings: Vec<Sibling>,
    },
    /// The operation cannot be carried out.
    Refused(Problem),
}

/// Merges `operation` into `current` (`None`: no row and no tombstone).
pub fn merge(table: &Table, current: Option<&StoredRow>, operation: &Operation, author: &Author) -> Merged {
    let merged = match (operation, current) {
        (Operation::Insert { cells, .. }, None) => Merged::fresh(table, operation, cells, author),
        (Operation::Insert { cells, .. }, Some(row)) if row.meta.deleted.is_some() => {
            insert_over_tombstone(table, row, operation, cells, author)
        }
        (Operation::Insert { base, cells, .. }, Some(row)) => merge_cells(table, row, *base, cells, author, true),
        (Operation::Update { base, cells, .. }, Some(row)) => match row.meta.deleted {
            None => merge_cells(table, row, *base, cells, author, false),
            Some(deleted) => update_tombstone(table, row, deleted, *base, cells, author),
        },
        (Operation::Update { cells, .. }, None) if crate::mutant::active("gone-row-made") => {
            Merged::fresh(table, operation, cells, author)
        }
        (Operation::Update { .. }, None) => Merged::Refused(Problem::new(
            codes::ROW_GONE,
            "the row no longer exists on the server; create it again from your copy",
        )),
        (Operation::Delete { base, .. }, Some(row)) if row.meta.deleted.is_none() => delete(table, row, *base, author),
        (Operation::Delete { .. }, _) => Merged::nothing(Vec::new()),
    };
    match merged {
        Merged::Refused(problem) => Merged::Refused(problem.row(operation.table(), operation.key())),
        other => other,
    }
}

impl Merged {
    fn fresh(table: &Table, operation: &Operation, writes: &[CellWrite], author: &Author) -> Self {
        let mut cells = table.key_cells(operation.key());
        for column in table.data_columns() {
            cells.insert(column.name.clone(), Value::Null);
        }
        for write in writes {
            let value = match table.column(&write.column) {
                Some(column) => write.over(column, &Value::Null),
                None => Ok(write.value.clone()),
            };
            match value {
                Ok(value) => _ = cells.insert(write.column.clone(), value),
                Err(problem) => return Self::Refused(problem),
            }
        }
        let row = Version { seq: author.seq, stamp: author.stamp };
        let changed = cells.keys().cloned().collect();
        let row = StoredRow { cells, meta: RowMeta { row, ..RowMeta::default() } };
        Self::Put { row, changed, lost: Vec::new(), siblings: Vec::new() }
    }

    fn nothing(lost: Vec<String>) -> Self {
        Self::Nothing { lost, siblings: Vec::new() }
    }
}

/// An insert of a key that was deleted makes a new row, unless the delete is concurrent, later and the rule says that
/// deletes win.
fn insert_over_tombstone(
    table: &Table,
    row: &StoredRow,
    operation: &Operation,
    cells: &[CellWrite],
    author: &Author,
) -> Merged {
    let deleted = row.meta.deleted.unwrap_or_default();
    let Operation::Insert { base, .. } = operation else {
        return Merged::nothing(Vec::new());
    };
    let loses = deleted.is_concurrent(author, *base) && author.believed(deleted.stamp) > author.stamp;
    if table.on_delete_conflict == DeleteRule::DeleteWins && loses {
        return Merged::nothing(cells.iter().map(|c| c.column.clone()).collect());
    }
    // An author who saw the delete comes after it, whatever the clocks say.
    let stamp = match deleted.is_concurrent(author, *base) {
        true => author.stamp,
        false => author.stamp_after(deleted.stamp),
    };
    Merged::fresh(table, operation, cells, &Author { stamp, ..*author })
}

/// `inserts`: the author made the row.
fn merge_cells(
    table: &Table,
    row: &StoredRow,
    base: u64,
    writes: &[CellWrite],
    author: &Author,
    inserts: bool,
) -> Merged {
    let (mut after, mut written) = (row.clone(), Vec::new());
    let (mut changed, mut lost, mut siblings) = (Vec::new(), Vec::new(), Vec::new());
    for write in writes {
        let Some(column) = table.column(&write.column) else {
            continue;
        };
        let before = row.meta.version_of(&write.column);
        let stored = after.cells.get(&write.column).unwrap_or(&Value::Null);
        let contest = Contest {
            stored,
            stored_at: author.believed(before.stamp),
            written: &write.value,
            written_at: author.stamp,
            concurrent: before.is_concurrent(author, write.base.unwrap_or(base)),
        };
        // A change counts whatever happened beside it.
        let competes = write.change.is_none() || (contest.concurrent && crate::mutant::active("increment-lost"));
        let wins = !competes || author.is_fact || column.merge.winner(&contest) == Winner::Written;
        if contest.concurrent && !author.is_fact && column.merge.keeps_both(&contest) && *stored != write.value {
            let (value, was_stored) = if wins { (stored, Some(before)) } else { (&write.value, None) };
            siblings.push(Sibling {
                column: Some(write.column.clone()),
                value: value.clone(),
                base: None,
                fault: None,
                was_stored,
            });
        }
        if !wins {
            lost.push(write.column.clone());
            continue;
        }
        let held = Held { value: stored, at: before, state: row.meta.state_of(&write.column) };
        let hand = Hand { author, base: write.base.unwrap_or(base) };
        let Changed { value, state, lost: in_part, yielded } = match write.on_server(column, &held, &hand, inserts) {
            Ok(changed) => changed,
            Err(problem) => return Merged::Refused(problem),
        };
        if in_part {
            lost.push(write.column.clone());
        }
        siblings.extend(yielded.map(|Yielded { value, base, fault }| Sibling {
            column: Some(write.column.clone()),
            value,
            base,
            fault,
            was_stored: None,
        }));
        // A concurrent winner is larger by itself; only a write that saw the value is ever lifted above it.
        let stamp = if column.merge.lifts_stamps() { author.stamp_after(before.stamp) } else { author.stamp };
        written.push((write.column.clone(), stamp));
        if *stored != value {
            changed.push(write.column.clone());
        }
        after.cells.insert(write.column.clone(), value);
        after.meta.keep(&write.column, state);
        after.meta.lay_beneath(&write.column, write.change.map(|_| before), author);
    }
    if written.is_empty() {
        return Merged::Nothing { lost, siblings };
    }
    after.meta.record(table, &written, author.seq);
    sort_by(&mut changed, Ord::cmp);
    Merged::Put { row: after, changed, lost, siblings }
}

fn update_tombstone(
    table: &Table,
    row: &StoredRow,
    deleted: Version,
    base: u64,
    writes: &[CellWrite],
    author: &Author,
) -> Merged {
    let lost = || writes.iter().map(|w| w.column.clone()).collect();
    let stays_gone = !deleted.is_concurrent(author, base) || table.on_delete_conflict == DeleteRule::DeleteWins;
    if stays_gone && !crate::mutant::active("row-resurrected") {
        return Merged::nothing(lost());
    }
    let mut revived = row.clone();
    revived.meta.deleted = None;
    match merge_cells(table, &revived, base, writes, author, false) {
        Merged::Put { row, lost, mut siblings, .. } => {
            siblings.extend(Sibling::of_delete(table, Some(deleted)));
            let changed = row.cells.keys().cloned().collect();
            Merged::Put { row, changed, lost, siblings }
        }
        other => other,
    }
}

fn delete(table: &Table, row: &StoredRow, base: u64, author: &Author) -> Merged {
    let cells = table.data_columns().map(|c| row.meta.version_of(&c.name));
    let beneath = row.meta.beneath.iter().flat_map(BTreeMap::values).copied();
    let concurrent = cells.chain([row.meta.row]).chain(beneath).any(|version| version.is_concurrent(author, base));
    if concurrent && table.on_delete_conflict != DeleteRule::DeleteWins {
        return Merged::Nothing { lost: Vec::new(), siblings: Sibling::of_delete(table, None).into_iter().collect() };
    }
    let mut tombstone = row.clone();
    let stamps = row.meta.cells.values().chain([&row.meta.row]).map(|version| author.believed(version.stamp));
    let newest = stamps.max().unwrap_or_default();
    tombstone.meta.deleted = Some(Version { seq: author.seq, stamp: author.stamp_after(newest) });
    Merged::Delete { row: tombstone }
}
