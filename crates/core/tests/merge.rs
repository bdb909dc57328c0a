//! The laws of merging: what people can rely on when several of them edit one row.

use std::collections::BTreeMap;

use landfall_core::hash::Cells;
use landfall_core::merge::{Author, Merged, RowMeta, StoredRow, Version, merge};
use landfall_core::schema::{Column, DeleteRule, Table};
use landfall_core::stamp::MAX_AHEAD_MS;
use landfall_core::{CellWrite, ColumnType, Operation, ReplicaId, RowKey, Stamp, Value};
use proptest::prelude::*;

const COLUMNS: [&str; 3] = ["a", "b", "c"];

fn table(rule: DeleteRule) -> Table {
    let column = |name: &str| Column::plain(name, ColumnType::Integer);
    let columns = ["id"].iter().chain(&COLUMNS).map(|name| column(name)).collect();
    Table { on_delete_conflict: rule, ..Table::plain("t", columns) }
}

fn key() -> RowKey {
    RowKey::single(Value::Int(1))
}

fn stamp(wall_ms: u64, replica: u8) -> Stamp {
    Stamp { wall_ms, counter: 0, replica: ReplicaId([replica; 16]) }
}

/// An author by a server whose clock is at 100.
fn by(stamp: Stamp, seq: u64) -> Author {
    Author { stamp, seq, now_ms: 100, is_fact: false }
}

fn update(base: u64, writes: &BTreeMap<usize, i64>) -> Operation {
    Operation::Update { table: "t".into(), key: key(), base, cells: cells(writes) }
}

fn cells(writes: &BTreeMap<usize, i64>) -> Vec<CellWrite> {
    let write = |(column, value): (&usize, &i64)| CellWrite::new(COLUMNS[*column], Value::Int(*value));
    writes.iter().map(write).collect()
}

fn delete(base: u64) -> Operation {
    Operation::Delete { table: "t".into(), key: key(), base }
}

/// A row that everybody has seen: sequence 1, wall time 10.
fn seen_by_all() -> StoredRow {
    let cells = COLUMNS.iter().map(|name| ((*name).to_owned(), Value::Int(0)));
    StoredRow {
        cells: cells.chain([("id".to_owned(), Value::Int(1))]).collect(),
        meta: RowMeta { row: Version { seq: 1, stamp: stamp(10, 0) }, ..RowMeta::default() },
    }
}

/// The row after an operation, and what lost.
fn applied(table: &Table, row: StoredRow, operation: &Operation, author: Author) -> (StoredRow, Vec<String>) {
    match merge(table, Some(&row), operation, &author) {
        Merged::Put { row, lost, .. } => (row, lost),
        Merged::Delete { row } => (row, Vec::new()),
        Merged::Nothing { lost, .. } => (row, lost),
        Merged::Refused(problem) => panic!("{problem}"),
    }
}

/// One device's write: the wall time of its stamp, and values by column.
#[derive(Clone, Debug)]
struct Write {
    replica: u8,
    wall_ms: u64,
    columns: BTreeMap<usize, i64>,
}

fn columns() -> impl Strategy<Value = BTreeMap<usize, i64>> {
    prop::collection::btree_map(0..COLUMNS.len(), 1i64..100, 1..=COLUMNS.len())
}

/// Writes of different devices, none of which has seen another's; their clocks have seen the row.
fn concurrent() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec((10u64..16, columns()), 2..5).prop_map(|list| {
        let write = |(i, (wall_ms, columns))| Write { replica: i as u8 + 1, wall_ms, columns };
        list.into_iter().enumerate().map(write).collect()
    })
}

/// What can be seen of a row: whether it is there, its cells and their stamps. Sequences differ with the order.
fn visible(row: &StoredRow) -> Option<(Cells, Vec<Stamp>)> {
    let stamps = COLUMNS.iter().map(|c| row.meta.version_of(c).stamp).collect();
    row.meta.deleted.is_none().then(|| (row.cells.clone(), stamps))
}

fn in_order(table: &Table, operations: &[(Operation, Stamp)], order: &[usize]) -> StoredRow {
    let mut row = seen_by_all();
    for (at, i) in order.iter().enumerate() {
        let (operation, stamp) = &operations[*i];
        row = applied(table, row, operation, by(*stamp, 2 + at as u64)).0;
    }
    row
}

fn shuffled(n: usize) -> impl Strategy<Value = Vec<usize>> {
    Just((0..n).collect::<Vec<_>>()).prop_shuffle()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn concurrent_writes_give_the_same_row_in_every_order(
        (writes, order) in concurrent().prop_flat_map(|w| { let n = w.len(); (Just(w), shuffled(n)) })
    ) {
        let operations: Vec<_> = writes.iter().map(|w| (update(1, &w.columns), stamp(w.wall_ms, w.replica))).collect();
        let straight: Vec<usize> = (0..operations.len()).collect();
        let table = table(DeleteRule::UpdateWins);
        let (one, other) = (in_order(&table, &operations, &straight), in_order(&table, &operations, &order));
        prop_assert_eq!(visible(&one), visible(&other));
        // And it is what the rule says: in each column the largest stamp.
        for (i, name) in COLUMNS.iter().enumerate() {
            let winner = writes.iter().filter(|w| w.columns.contains_key(&i)).max_by_key(|w| stamp(w.wall_ms, w.replica));
            let expected = winner.map_or(0, |w| w.columns[&i]);
            prop_assert_eq!(&one.cells[*name], &Value::Int(expected));
        }
    }

    #[test]
    fn a_delete_among_concurrent_updates_means_the_same_in_every_order(
        (writes, order) in concurrent().prop_flat_map(|w| { let n = w.len() + 1; (Just(w), shuffled(n)) }),
        wall_ms in 10u64..16,
        wins in any::<bool>(),
    ) {
        let table = table(if wins { DeleteRule::DeleteWins } else { DeleteRule::UpdateWins });
        let mut operations: Vec<_> = writes.iter().map(|w| (update(1, &w.columns), stamp(w.wall_ms, w.replica))).collect();
        let straight: Vec<usize> = (0..operations.len()).collect();
        let without = in_order(&table, &operations, &straight);
        operations.push((delete(1), stamp(wall_ms, 99)));
        let row = in_order(&table, &operations, &order);
        prop_assert_eq!(visible(&row), if wins { None } else { visible(&without) });
    }

    /// Where a person is to say: the row is as it is where updates win, and one thing is asked, of who deleted it.
    #[test]
    fn a_delete_among_concurrent_updates_is_asked_about_once_in_every_order(
        (writes, order) in concurrent().prop_flat_map(|w| { let n = w.len() + 1; (Just(w), shuffled(n)) }),
        wall_ms in 10u64..16,
    ) {
        let (manual, plain) = (table(DeleteRule::Manual), table(DeleteRule::UpdateWins));
        let mut operations: Vec<_> = writes.iter().map(|w| (update(1, &w.columns), stamp(w.wall_ms, w.replica))).collect();
        operations.push((delete(1), stamp(wall_ms, 99)));
        let (mut row, mut asked) = (seen_by_all(), Vec::new());
        for (at, i) in order.iter().enumerate() {
            let (operation, stamp) = &operations[*i];
            let author = by(*stamp, 2 + at as u64);
            let merged = merge(&manual, Some(&row), operation, &author);
            let (Merged::Put { siblings, .. } | Merged::Nothing { siblings, .. }) = &merged else {
                row = applied(&manual, row, operation, author).0;
                continue;
            };
            asked.extend(siblings.iter().map(|s| (s.column.clone(), s.was_stored.map_or(author.stamp, |v| v.stamp).replica)));
            row = applied(&manual, row, operation, author).0;
        }
        prop_assert_eq!(visible(&row), visible(&in_order(&plain, &operations, &order)));
        prop_assert_eq!(asked, vec![(None, ReplicaId([99; 16]))]);
        // Who has seen all of it deletes it for good.
        let (gone, _) = applied(&manual, row, &delete(20), by(stamp(0, 98), 21));
        prop_assert!(gone.meta.deleted.is_some());
    }

    /// Whatever happened, whoever has seen it and writes then, wins, with any clock; and so does a delete.
    #[test]
    fn who_saw_the_current_row_wins(history in steps(), wall_ms in 0u64..40, columns in columns()) {
        let table = table(DeleteRule::UpdateWins);
        let (row, seq, _) = run(&table, &history)?;
        if row.meta.deleted.is_some() {
            return Ok(());
        }
        let author = by(stamp(wall_ms, 77), seq + 1);
        let (after, lost) = applied(&table, row.clone(), &update(seq, &columns), author);
        prop_assert!(lost.is_empty());
        for (i, value) in &columns {
            prop_assert_eq!(&after.cells[COLUMNS[*i]], &Value::Int(*value));
            prop_assert!(after.meta.version_of(COLUMNS[*i]).stamp > row.meta.version_of(COLUMNS[*i]).stamp);
        }
        let (gone, _) = applied(&table, row.clone(), &delete(seq), author);
        let tombstone = gone.meta.deleted.unwrap_or_default();
        prop_assert!(COLUMNS.iter().all(|c| tombstone.stamp > row.meta.version_of(c).stamp));
        prop_assert_eq!(tombstone.seq, seq + 1);
        // Who has seen the delete makes the row anew, and comes after it.
        let insert = Operation::Insert { table: "t".into(), key: key(), base: seq + 1, cells: cells(&columns) };
        let (anew, _) = applied(&table, gone, &insert, by(stamp(wall_ms, 78), seq + 2));
        prop_assert!(anew.meta.deleted.is_none());
        prop_assert!(COLUMNS.iter().all(|c| anew.meta.version_of(c).stamp > tombstone.stamp));
        let expected = |i| columns.get(&i).map_or(Value::Null, |v| Value::Int(*v));
        prop_assert!((0..COLUMNS.len()).all(|i| anew.cells[COLUMNS[i]] == expected(i)));
    }

    /// D3. What was written while the server's clock was years ahead neither wins every merge from then on, nor hands its
    /// stamp on to what follows it.
    #[test]
    fn stamps_of_a_clock_that_was_far_ahead_win_nothing(
        ahead in MAX_AHEAD_MS + 101..u64::MAX, wall_ms in 0u64..40, columns in columns(), saw: bool, wins: bool,
    ) {
        let table = table(if wins { DeleteRule::DeleteWins } else { DeleteRule::UpdateWins });
        let all = (0..COLUMNS.len()).map(|column| (column, -1)).collect();
        let then = Author { stamp: stamp(ahead, 7), seq: 2, now_ms: ahead, is_fact: false };
        let (row, _) = applied(&table, seen_by_all(), &update(1, &all), then);
        let own = stamp(wall_ms, 1);
        let base = if saw { 2 } else { 1 };
        let (after, lost) = applied(&table, row.clone(), &update(base, &columns), by(own, 3));
        prop_assert!(lost.is_empty());
        for column in columns.keys() {
            prop_assert_eq!(after.meta.version_of(COLUMNS[*column]).stamp, own);
        }
        let (gone, _) = applied(&table, row, &delete(base), by(own, 3));
        prop_assert_eq!(gone.meta.deleted.map(|v| v.stamp), (saw || wins).then_some(own));
        let deleted = Some(Version { seq: 2, stamp: stamp(ahead, 7) });
        let tombstone = StoredRow { meta: RowMeta { deleted, ..seen_by_all().meta }, ..seen_by_all() };
        let insert = Operation::Insert { table: "t".into(), key: key(), base, cells: cells(&columns) };
        let (anew, _) = applied(&table, tombstone, &insert, by(own, 3));
        prop_assert_eq!((anew.meta.deleted, anew.meta.row.stamp), (None, own));
    }

    /// Over any history: one version for a row and a few for its cells tell the same as one for every cell, a cell
    /// changes only by who saw it or has the larger stamp, and its stamps only grow.
    #[test]
    fn kept_versions_tell_what_a_version_for_every_cell_would(history in steps(), wins in any::<bool>()) {
        let table = table(if wins { DeleteRule::DeleteWins } else { DeleteRule::UpdateWins });
        let (row, _, model) = run(&table, &history)?;
        prop_assert_eq!(row.meta.deleted.is_some(), model.deleted.is_some());
        for name in COLUMNS {
            prop_assert_eq!(&row.cells[name], &model.cells[name].0);
            prop_assert_eq!(row.meta.version_of(name), model.cells[name].1);
        }
        let newest = model.cells.values().map(|(_, v)| v.seq).chain(model.deleted.map(|v| v.seq)).max();
        prop_assert_eq!(Some(row.meta.last_seq()), newest);
        prop_assert!(row.meta.cells.len() < COLUMNS.len(), "the row's version is one of the cells'");
    }
}

/// A step of a history: who, by which clock, having seen how much of it, does what (no columns: a delete).
#[derive(Clone, Debug)]
struct Step {
    write: Write,
    behind: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let columns = prop_oneof![8 => columns(), 1 => Just(BTreeMap::new())];
    let step = (1u8..4, 0u64..30, columns, 0u64..5)
        .prop_map(|(replica, wall_ms, columns, behind)| Step { write: Write { replica, wall_ms, columns }, behind });
    prop::collection::vec(step, 0..12)
}

/// The rules as simply as they can be said: a value and a version for each cell.
struct Model {
    cells: BTreeMap<&'static str, (Value, Version)>,
    deleted: Option<Version>,
}

impl Model {
    fn step(&mut self, rule: DeleteRule, write: &Write, base: u64, seq: u64) {
        let own = stamp(write.wall_ms, write.replica);
        let unseen = |v: &Version| v.seq > base && v.stamp.replica != own.replica;
        if write.columns.is_empty() {
            let contested = self.cells.values().any(|(_, v)| unseen(v));
            if self.deleted.is_none() && (!contested || rule == DeleteRule::DeleteWins) {
                let newest = self.cells.values().map(|(_, v)| v.stamp).max().unwrap_or_default();
                let stamp = if own > newest { own } else { newest.successor(own.replica) };
                self.deleted = Some(Version { seq, stamp });
            }
            return;
        }
        if self.deleted.is_some_and(|v| !unseen(&v) || rule == DeleteRule::DeleteWins) {
            return;
        }
        for (i, value) in &write.columns {
            let Some(cell) = self.cells.get_mut(COLUMNS[*i]) else { continue };
            let (saw, larger) = (!unseen(&cell.1), own > cell.1.stamp);
            if saw || larger {
                let stamp = if larger { own } else { cell.1.stamp.successor(own.replica) };
                assert!(stamp > cell.1.stamp);
                *cell = (Value::Int(*value), Version { seq, stamp });
                self.deleted = None;
            }
        }
    }
}

fn run(table: &Table, history: &[Step]) -> Result<(StoredRow, u64, Model), TestCaseError> {
    let (mut row, mut seq) = (seen_by_all(), 1u64);
    let cell = |name: &&'static str| (*name, (Value::Int(0), row.meta.row));
    let mut model = Model { cells: COLUMNS.iter().map(cell).collect(), deleted: None };
    for step in history {
        let (write, base) = (&step.write, seq.saturating_sub(step.behind).max(1));
        seq += 1;
        let operation = if write.columns.is_empty() { delete(base) } else { update(base, &write.columns) };
        let before: Vec<Stamp> = COLUMNS.iter().map(|c| row.meta.version_of(c).stamp).collect();
        let author = by(stamp(write.wall_ms, write.replica), seq);
        row = applied(table, row, &operation, author).0;
        for (name, before) in COLUMNS.iter().zip(before) {
            prop_assert!(row.meta.version_of(name).stamp >= before, "stamps only grow");
        }
        model.step(table.on_delete_conflict, write, base, seq);
    }
    Ok((row, seq, model))
}

proptest! {
    /// `ask_within`: a person is asked about two concurrent values exactly where they were written within that time of each
    /// other; of others the later one is there. Who has seen the value is never asked about.
    #[test]
    fn a_person_is_asked_about_what_was_written_at_nearly_the_same_time(
        (first, second) in (20_u64..100, 20_u64..100),
        within_ms in 0_u64..80,
        seen in any::<bool>(),
    ) {
        let mut table = table(DeleteRule::UpdateWins);
        table.columns[1].merge = landfall_core::rules::MergeRule::manual_within(within_ms);
        let write = |value| BTreeMap::from([(0, value)]);
        let (row, _) = applied(&table, seen_by_all(), &update(1, &write(1)), by(stamp(first, 1), 2));
        let base = if seen { 2 } else { 1 };
        let merged = merge(&table, Some(&row), &update(base, &write(2)), &by(stamp(second, 2), 3));
        let (value, siblings) = match merged {
            Merged::Put { row, siblings, .. } => (row.cells["a"].clone(), siblings),
            Merged::Nothing { siblings, .. } => (row.cells["a"].clone(), siblings),
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(siblings.len(), usize::from(!seen && first.abs_diff(second) <= within_ms));
        let later = if seen || second >= first { Value::Int(2) } else { Value::Int(1) };
        prop_assert_eq!(value, later);
    }
}
