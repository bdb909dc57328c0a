//! What is kept of changes in tables that keep their history: a row for each, written with the change itself, in the same
//! transaction of the database and, unless there is much of it, under the same sequence, so that a device sees both or
//! neither.

use landfall_core::hash::{Cells, row_hash};
use landfall_core::merge::{RowMeta, StoredRow, Version};
use landfall_core::schema::Table;
use landfall_core::schema::history::{
    CHANGE_ACTION, CHANGE_AT, CHANGE_BY, CHANGE_COLUMNS_CHANGED, CHANGE_DEVICE, CHANGE_ID, CHANGE_KIND, CHANGE_ROW,
    CHANGE_SEQ, CHANGE_WRITTEN, ChangeKind, change_id, change_row, image,
};
use landfall_core::{RowKey, Stamp, Value};

use super::lost::{Conflict, Lost};
use super::record::{OUTSIDE, RowChange};
use super::tx::{Exists, Found, StoreTx};
use super::{Group, Signature};
use crate::buckets::{Before, Fan};
use crate::store::StoreError;

/// Most bytes of history that travel with the transaction itself. An image is the whole row, of which the transaction
/// may have written little: what is beyond gets sequences of its own, so that no message of the live stream outgrows a
/// frame.
const BYTES_WITH_IT: usize = 1 << 20;
/// Most bytes of history of one such sequence, unless a single row has more.
const BYTES_TOGETHER: usize = 4 << 20;

/// A row of a history, or a conflict, that is not written yet.
pub(super) struct Past {
    table: usize,
    cells: Cells,
    bytes: usize,
    /// It is of [`ChangeKind::Before`].
    is_first: bool,
}

impl<T: StoreTx> Group<'_, T> {
    /// Writes the history of these changes, and what they made of conflicts, as far as it goes with them; the rest is returned.
    pub(super) fn keep_history(
        &mut self,
        by: &Signature,
        changes: &mut Vec<RowChange>,
        fan: &mut Fan,
        (conflicts, lost): (Vec<Conflict>, Vec<Lost>),
    ) -> Result<Vec<Past>, StoreError> {
        let mut past = self.conflict_rows(by, conflicts)?;
        for change in &*changes {
            let Some((table, history)) = self.plan.history(&change.table) else { continue };
            if landfall_core::mutant::active("history-skipped") && change.after.is_none() {
                continue;
            }
            self.past_of(by, table, history, change, &mut past)?;
        }
        for lost in &lost {
            self.past_of_lost(by, lost, &mut past)?;
        }
        let rest = past.split_off(fits(&past, BYTES_WITH_IT, 0));
        self.put_past(past, by.stamp, changes, fan)?;
        Ok(rest)
    }

    /// Writes what is left under sequences of its own.
    pub(super) fn log_rest_of_history(&mut self, mut rest: Vec<Past>, stamp: Stamp) -> Result<(), StoreError> {
        while !rest.is_empty() {
            let later = rest.split_off(fits(&rest, BYTES_TOGETHER, 1));
            let (mut changes, mut fan) = (Vec::new(), Fan::new(self.next_seq()));
            self.put_past(rest, stamp, &mut changes, &mut fan)?;
            self.log_as_is(Signature::of_nobody(self.next_seq(), &changes, stamp), changes, fan)?;
            rest = later;
        }
        Ok(())
    }

    /// Forgets rows of a history, under a sequence of their own. The log names them without what they held: it would
    /// otherwise keep it for as long again.
    pub fn forget_history(&mut self, history: usize, keys: &[RowKey]) -> Result<(), StoreError> {
        let name = self.plan.table(history).name.clone();
        let (mut changes, mut fan) = (Vec::new(), Fan::new(self.next_seq()));
        for key in keys {
            // What another program wrote there meanwhile goes with it.
            let Some(before) = self.tx.row(history, key)?.cells else { continue };
            self.tx.forget_row(history, key)?;
            fan.add(self.buckets, &name, key, Before::Row(&before), None);
            changes.push(RowChange { table: name.clone(), key: key.clone(), before: None, after: None });
        }
        if changes.is_empty() {
            return Ok(());
        }
        let stamp = Stamp { wall_ms: self.now_ms, counter: 0, replica: OUTSIDE };
        self.log_as_is(Signature::of_nobody(self.next_seq(), &changes, stamp), changes, fan)?;
        Ok(())
    }

    fn past_of(
        &mut self,
        by: &Signature,
        table: usize,
        history: usize,
        change: &RowChange,
        out: &mut Vec<Past>,
    ) -> Result<(), StoreError> {
        let plan = self.plan;
        let of = plan.table(table);
        let row = change_row(&change.table, &change.key);
        let known = change.before.as_ref();
        let kind = match (known, &change.after) {
            (before, after) if before == after.as_ref() && !by.blind => return Ok(()),
            (None, Some(_)) if !by.blind => ChangeKind::Insert,
            (_, Some(_)) => ChangeKind::Update,
            (_, None) => ChangeKind::Delete,
        };
        self.begin(history, of, &row, known, out)?;
        let last;
        let shown = match change.after.as_ref().or(known) {
            Some(shown) => shown,
            None => {
                last = self.newest_past(history, &row)?.unwrap_or_else(|| of.key_cells(&change.key));
                &last
            }
        };
        let columns = match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                let differs = |name: &&String| before.get(*name) != after.get(*name);
                Value::json(&after.keys().filter(differs).cloned().collect::<Vec<_>>().into())
            }
            _ => Value::Null,
        };
        out.push(Past::new(history, of, shown, &row, kind, &by.transaction(), self.about(by, columns)));
        Ok(())
    }

    /// What somebody wrote and lost to others, in the row as it is otherwise.
    fn past_of_lost(&mut self, by: &Signature, lost: &Lost, out: &mut Vec<Past>) -> Result<(), StoreError> {
        let plan = self.plan;
        let of = plan.table(lost.table);
        let Some((_, history)) = plan.history(&of.name) else { return Ok(()) };
        let row = change_row(&of.name, &lost.key);
        if !out.iter().any(|past| past.cells.get(CHANGE_ROW) == Some(&row)) {
            self.begin(history, of, &row, lost.before.as_ref(), out)?;
        }
        let about = self.about(by, Value::json(&lost.columns.clone().into()));
        out.push(Past::new(history, of, &lost.row, &row, ChangeKind::Lost, &by.transaction(), about));
        Ok(())
    }

    /// What a row was before there is anything about it.
    fn begin(
        &mut self,
        history: usize,
        of: &Table,
        row: &Value,
        known: Option<&Cells>,
        out: &mut Vec<Past>,
    ) -> Result<(), StoreError> {
        // The key of no change is that of a row.
        let has_past = self.tx.is_taken(history, CHANGE_ROW, row, &RowKey::single(row.clone()))?;
        if let Some(before) = known.filter(|_| !has_past) {
            out.push(Past::new(history, of, before, row, ChangeKind::Before, b"", Cells::new()));
        }
        Ok(())
    }

    fn about(&self, by: &Signature, columns: Value) -> Cells {
        let by_somebody = by.replica != OUTSIDE;
        let about = [
            (CHANGE_SEQ, integer(self.next_seq())),
            (CHANGE_AT, instant(self.now_ms)),
            (CHANGE_WRITTEN, instant(by.stamp.wall_ms)),
            (CHANGE_BY, if by_somebody { Value::Text(by.subject.clone()) } else { Value::Null }),
            (CHANGE_DEVICE, if by_somebody { Value::Uuid(by.replica.0) } else { Value::Null }),
            (CHANGE_ACTION, by.action.clone().map_or(Value::Null, Value::Text)),
            (CHANGE_COLUMNS_CHANGED, columns),
        ];
        about.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The newest row of a history about a row. Read one by one: only what another program deleted long after the log has
    /// forgotten it is looked for.
    fn newest_past(&mut self, history: usize, row: &Value) -> Result<Option<Cells>, StoreError> {
        let mut newest: Option<Cells> = None;
        for key in self.tx.referrers(history, CHANGE_ROW, row, usize::MAX >> 1)? {
            let is_change = |cells: &Cells| cells.get(CHANGE_KIND) != Some(&ChangeKind::Lost.value());
            let found = self.tx.row(history, &key)?.cells.filter(is_change);
            let seq = |cells: &Cells| cells.get(CHANGE_SEQ).cloned();
            newest = newest.into_iter().chain(found).max_by_key(seq);
        }
        Ok(newest)
    }

    fn put_past(
        &mut self,
        past: Vec<Past>,
        stamp: Stamp,
        changes: &mut Vec<RowChange>,
        fan: &mut Fan,
    ) -> Result<(), StoreError> {
        let (plan, seq) = (self.plan, self.next_seq());
        let meta = RowMeta { row: Version { seq, stamp }, ..RowMeta::default() };
        for Past { table: at, cells, is_first, .. } in past {
            let table = plan.table(at);
            let Some(key) = table.key_of(&cells) else { continue };
            let row = StoredRow { cells, meta: meta.clone() };
            let hash = row_hash(&table.name, &key, &row.cells);
            // What a row was before its history began has the same name whenever it is written: somebody may have erased
            // the rest of the history meanwhile.
            let found = if is_first { self.tx.row(at, &key)? } else { Found::default() };
            let exists = Exists { row: found.cells.is_some(), book: found.book.is_some() };
            self.tx.put_row(at, &key, &row, hash, exists)?;
            fan.add(self.buckets, &table.name, &key, Before::Nothing, Some(&row.cells));
            changes.push(RowChange { table: table.name.clone(), key, before: None, after: Some(row.cells) });
        }
        Ok(())
    }
}

impl Past {
    fn new(
        history: usize,
        of: &Table,
        row_image: &Cells,
        row: &Value,
        kind: ChangeKind,
        transaction: &[u8],
        about: Cells,
    ) -> Self {
        let mut cells = image(of, row_image);
        cells.extend(about);
        cells.insert(CHANGE_ID.to_owned(), change_id(row, transaction, kind));
        cells.insert(CHANGE_ROW.to_owned(), row.clone());
        cells.insert(CHANGE_KIND.to_owned(), kind.value());
        cells.entry(CHANGE_SEQ.to_owned()).or_insert(Value::Int(0));
        // What is not said is NULL: a row reads back with all its columns.
        for column in landfall_core::schema::history::CHANGE_COLUMNS.iter().map(|(name, _)| *name) {
            cells.entry(column.to_owned()).or_default();
        }
        for column in &of.columns {
            cells.entry(column.name.clone()).or_default();
        }
        Self { is_first: kind == ChangeKind::Before, ..Self::of_cells(history, cells) }
    }

    /// A row of which there is none yet.
    pub(super) fn of_cells(table: usize, cells: Cells) -> Self {
        let bytes = cells.values().map(Value::size).sum();
        Self { table, cells, bytes, is_first: false }
    }
}

/// How many of `past` have no more than so many bytes together; at least `least`.
fn fits(past: &[Past], bytes: usize, least: usize) -> usize {
    let mut sum = 0;
    let fitting = past.iter().take_while(|one| {
        sum += one.bytes;
        sum <= bytes
    });
    fitting.count().max(least.min(past.len()))
}

pub(super) fn integer(value: u64) -> Value {
    Value::Int(value.min(i64::MAX as u64) as i64)
}

/// A clock's reading, milliseconds since the Unix epoch.
pub(super) fn instant(ms: u64) -> Value {
    Value::Timestamp((ms.min(i64::MAX as u64 / 1_000) * 1_000) as i64)
}
