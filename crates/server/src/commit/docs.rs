//! Documents: an update is checked and signed before it is a row, the copies beside it follow the row whose document it is, and
//! many updates become one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use landfall_core::error::codes;
use landfall_core::hash::{Cells, hash128, row_hash};
use landfall_core::merge::{Merged, RowMeta, Sibling, StoredRow, Version};
use landfall_core::schema::DeleteRule;
use landfall_core::schema::docs::{DOC_AT, DOC_BY, DOC_COLUMN, DOC_ID, DOC_SEQ, DOC_UPDATE, merged_id};
use landfall_core::{CellWrite, Operation, Problem, RowKey, Stamp, Value};

use super::entry::{Access, EntryRun, Stop};
use super::follow;
use super::history::{instant, integer};
use super::outside::is_outside;
use super::plan::referred;
use super::record::{OUTSIDE, RowChange};
use super::tx::{Exists, StoreTx};
use super::{Group, Signature, versions};
use crate::buckets::{Before, Fan};
use crate::store::{DocNews, StoreError};

/// Of so many that become one at least, one looks whether there are as many: nothing has to be counted, or remembered.
const LOOKS: usize = 3;
/// What has more bytes is not put together any further: a row must fit a value.
const LARGE: usize = 2 << 20;
/// The documents of a row together, bytes, roughly: when who may see the row changes, all of them are one message.
const MOST_OF_A_ROW: usize = 16 << 20;
/// An update of so many bytes is looked at for that, whatever its id.
const LOOKED_AT: usize = 64 << 10;

/// A document: the table of documents, the row's key, the column.
pub(super) type DocName = (usize, Value, Value);

/// What an insert into a table of documents is to write.
pub(super) enum Prepared<'o> {
    /// Nothing: it is there already, byte for byte.
    Known,
    /// This. Where the row whose document it is was gone, and is back, more than the one row is written.
    Write { operation: Cow<'o, Operation>, has_revived: bool },
}

/// Looks at an operation before it is carried out.
pub(super) fn prepare<'o, T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    at: usize,
    operation: &'o Operation,
    access: &Access<'_>,
) -> Result<Prepared<'o>, Stop> {
    let plan = run.group.plan;
    let table = plan.table(at);
    if let Some(of) = &table.versions_of {
        return versions::prepare(run, (at, of), operation, access);
    }
    let (Some(parent), Some(of), Operation::Insert { key, base, cells, .. }) =
        (plan.parent_of_docs(at), &table.docs_of, operation)
    else {
        return Ok(Prepared::Write { operation: Cow::Borrowed(operation), has_revived: false });
    };
    let written = |name: &str| cells.iter().find(|write| write.column == name).map(|write| &write.value);
    let about = |problem: Problem| problem.row(&table.name, key);
    let (Some(Value::Bytes(update)), Some(name), Some(_)) =
        (written(DOC_UPDATE), written(&of.key), written(DOC_COLUMN))
    else {
        let message =
            format!("an update of a document names its row (`{}`), `{DOC_COLUMN}` and `{DOC_UPDATE}`", of.key);
        return Err(about(Problem::new(codes::REQUIRED, message)).into());
    };
    if let Err(error) = landfall_doc::check(update) {
        let message = format!("{error}; send what the document's library gives as an update");
        return Err(about(Problem::new(codes::WRONG_TYPE, message)).column(DOC_UPDATE).into());
    }
    let row = referred(name);
    let missing = || about(follow::no_such_row(&of.table)).column(&of.key);
    let seen = run.load(parent, &row)?.now.as_ref().is_some_and(|row| access.sees(plan.table(parent), &row.cells));
    if !seen {
        return Err(missing().into());
    }
    let has_revived = revive(run, parent, &row, *base)?;
    let Some(image) = run.load(parent, &row)?.live().cloned() else { return Err(missing().into()) };
    // Its id is nobody's but its author's: whoever knows it must not put something else in its place.
    if let Some(there) = &run.load(at, key)?.now {
        let is_same = |name: &str| there.cells.get(name) == written(name);
        if [DOC_UPDATE, DOC_COLUMN, of.key.as_str()].into_iter().all(is_same) {
            return Ok(Prepared::Known);
        }
        let message = "another update has this id already; give each update an id of its own";
        return Err(about(Problem::new(codes::BAD_KEY, message)).into());
    }
    if update.len() >= LOOKED_AT || run.group.looks_at(key) {
        let sizes = run.group.tx.doc_sizes(at, name, None)?;
        if sizes.iter().map(|one| one.bytes).sum::<usize>() + update.len() > MOST_OF_A_ROW {
            let message =
                format!("the documents of this row have more than {} MiB; begin another row", MOST_OF_A_ROW >> 20);
            return Err(about(Problem::new(codes::TOO_LONG, message)).column(DOC_UPDATE).into());
        }
    }
    let mut operation = operation.clone();
    if let Operation::Insert { cells, .. } = &mut operation {
        let copy = |column: &str| image.get(column).cloned().unwrap_or_default();
        cells.extend(table.doc_copies().map(|column| CellWrite::new(&column.name, copy(&column.name))));
        cells.push(CellWrite::new(DOC_SEQ, integer(run.author.seq)));
        cells.push(CellWrite::new(DOC_AT, instant(run.group.now_ms)));
        if !access.free {
            cells.push(CellWrite::new(DOC_BY, Value::Text(run.subject.id.clone())));
        }
    }
    Ok(Prepared::Write { operation: Cow::Owned(operation), has_revived })
}

/// What a delete comes to that had not seen all that others have typed into the documents of its row: typing is a change of
/// the row. `None`: it is a delete like any other.
pub(super) fn stand_against<T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    at: usize,
    operation: &Operation,
) -> Result<Option<Merged>, Stop> {
    let (plan, author) = (run.group.plan, run.author);
    let rule = plan.table(at).on_delete_conflict;
    let (Operation::Delete { key, base, .. }, Some(docs)) = (operation, plan.docs_of(at)) else { return Ok(None) };
    let (Some(of), [name]) = (&plan.table(docs).docs_of, &key.0[..]) else { return Ok(None) };
    if rule == DeleteRule::DeleteWins || author.is_fact || landfall_core::mutant::active("typing-unseen") {
        return Ok(None);
    }
    for update in run.group.tx.referrers(docs, &of.key, name, usize::MAX >> 1)? {
        let Some(row) = &run.load(docs, &update)?.now else { continue };
        if typed(&row.meta).any(|version| version.is_concurrent(&author, *base)) {
            let siblings = Sibling::of_delete(plan.table(at), None).into_iter().collect();
            return Ok(Some(Merged::Nothing { lost: Vec::new(), siblings }));
        }
    }
    Ok(None)
}

/// Who typed what an update holds, and when: the newest, and where many became one also the newest of anybody else. More
/// nobody needs to tell whether all that others than a given author typed is seen.
fn typed(meta: &RowMeta) -> impl Iterator<Item = Version> + '_ {
    let of_many = [DOC_UPDATE, DOC_COLUMN].into_iter().filter_map(|column| meta.cells.get(column).copied());
    let of_one = Some(meta.row).filter(|_| !meta.cells.contains_key(DOC_UPDATE));
    of_many.chain(of_one)
}

/// The same for what is made of many.
fn typed_by_many<'m>(many: impl Iterator<Item = &'m RowMeta> + Clone) -> BTreeMap<String, Version> {
    let by_others = |than: Option<Version>| {
        let is_other = move |version: &Version| than.is_none_or(|than| version.stamp.replica != than.stamp.replica);
        many.clone().flat_map(typed).filter(is_other).max_by_key(|version| version.seq)
    };
    let newest = by_others(None);
    let other = newest.and_then(|newest| by_others(Some(newest)));
    [(DOC_UPDATE, newest), (DOC_COLUMN, other)]
        .into_iter()
        .filter_map(|(column, version)| Some((column.to_owned(), version?)))
        .collect()
}

/// Whoever wrote to a document without having seen that its row was deleted brings the row back, as any update of it does.
fn revive<T: StoreTx>(run: &mut EntryRun<'_, '_, T>, at: usize, key: &RowKey, base: u64) -> Result<bool, Stop> {
    let (author, rule) = (run.author, run.group.plan.table(at).on_delete_conflict);
    let touched = run.load(at, key)?;
    let (Some(row), Some(tombstone)) = (touched.now.clone(), touched.tombstone.clone()) else { return Ok(false) };
    let deleted = row.meta.deleted.filter(|deleted| deleted.is_concurrent(&author, base));
    if deleted.is_none() || rule == DeleteRule::DeleteWins {
        return Ok(false);
    }
    let siblings: Vec<Sibling> = Sibling::of_delete(run.group.plan.table(at), deleted).into_iter().collect();
    run.gave_way.conflict(at, key, &row.cells, &siblings);
    let meta = follow::revived(RowMeta { deleted: None, ..row.meta }, run);
    run.put(at, key, StoredRow { cells: row.cells, meta })?;
    follow::revival(run, &tombstone)?;
    Ok(true)
}

/// What the access rules tell by is beside each update as it is in the row, also in one that has come back.
pub(super) fn follow_rows<T: StoreTx>(run: &mut EntryRun<'_, '_, T>) -> Result<(), Stop> {
    let plan = run.group.plan;
    if !plan.has_docs() {
        return Ok(());
    }
    let mut moved = Vec::new();
    for ((at, key), touched) in &run.touched {
        let Some(docs) = plan.docs_of(*at) else { continue };
        let Some(now) = touched.live() else { continue };
        let differs = |before: &Cells| plan.table(docs).doc_copies().any(|c| before.get(&c.name) != now.get(&c.name));
        if touched.before.as_ref().is_none_or(differs) {
            moved.push((docs, key.0[0].clone(), now.clone()));
        }
    }
    for (docs, row, now) in moved {
        let table = plan.table(docs);
        let Some(of) = &table.docs_of else { continue };
        for key in run.group.tx.referrers(docs, &of.key, &row, usize::MAX >> 1)? {
            let Some(has) = run.load(docs, &key)?.live() else { continue };
            let is_other = |c: &&landfall_core::schema::Column| has.get(&c.name) != now.get(&c.name);
            let copy = |c: &landfall_core::schema::Column| {
                CellWrite::new(&c.name, now.get(&c.name).cloned().unwrap_or_default())
            };
            let cells: Vec<CellWrite> = table.doc_copies().filter(is_other).map(copy).collect();
            if !cells.is_empty() {
                follow::write(run, docs, &key, cells)?;
            }
        }
    }
    Ok(())
}

impl<T: StoreTx> Group<'_, T> {
    /// The same where another program changed the row, as a part of what it did.
    pub(super) fn follow_outside(
        &mut self,
        (at, key, version): (usize, &RowKey, Version),
        row: &Cells,
        fan: &mut Fan,
        changes: &mut Vec<RowChange>,
    ) -> Result<(), StoreError> {
        let Some(docs) = self.plan.docs_of(at) else { return Ok(()) };
        let table = self.plan.table(docs);
        let (Some(of), [name]) = (&table.docs_of, &key.0[..]) else { return Ok(()) };
        for key in self.tx.referrers(docs, &of.key, name, usize::MAX >> 1)? {
            let found = self.tx.row(docs, &key)?;
            let (Some(before), Some(book)) = (found.cells, found.book) else { continue };
            let copies = table.doc_copies().map(|c| (c.name.clone(), row.get(&c.name).cloned().unwrap_or_default()));
            let mut cells = before.clone();
            cells.extend(copies);
            if cells == before {
                continue;
            }
            let meta = RowMeta { row: version, ..book.meta };
            let hash = row_hash(&table.name, &key, &cells);
            let stored = StoredRow { cells, meta };
            self.tx.put_row(docs, &key, &stored, hash, Exists { row: true, book: true })?;
            fan.add(self.buckets, &table.name, &key, Before::Row(&before), Some(&stored.cells));
            changes.push(RowChange { table: table.name.clone(), key, before: Some(before), after: Some(stored.cells) });
        }
        Ok(())
    }

    /// Whether it is looked how many updates there are when this one comes. Which those are nobody can choose.
    fn looks_at(&self, key: &RowKey) -> bool {
        let every = (self.plan.docs_together() / LOOKS).clamp(1, 255) as u8;
        hash128(&[&self.plan.chain_key()[..], &key.to_bytes()].concat())[0].is_multiple_of(every)
    }

    /// Takes note of updates for who has the document open at this server, and names the documents of which there may be many.
    pub(super) fn hear_of_docs(&mut self, changes: &[RowChange]) -> BTreeSet<DocName> {
        let mut full = BTreeSet::new();
        if !self.plan.has_docs() {
            return full;
        }
        // Who may not hear of it any more does not hear of what comes with that.
        for change in changes.iter().filter(|change| change.before.is_some()) {
            let Some(parent) = self.plan.table_at(&change.table) else { continue };
            let Some(docs) = self.plan.docs_of(parent) else { continue };
            let is_other = |after: &Cells| {
                let was = change.before.as_ref();
                self.plan.table(docs).doc_copies().any(|c| was.and_then(|row| row.get(&c.name)) != after.get(&c.name))
            };
            // The rules tell by these alone, and by whether it is there.
            if !change.after.as_ref().is_none_or(is_other) {
                continue;
            }
            for column in self.plan.table(parent).docs.clone() {
                let (table, key) = (change.table.clone(), change.key.clone());
                self.docs.push(DocNews { table, key, column, update: None });
            }
        }
        for change in changes.iter().filter(|change| change.before.is_none()) {
            let Some((docs, parent)) = self.plan.docs_named(&change.table) else { continue };
            let (Some(of), Some(row)) = (&self.plan.table(docs).docs_of, &change.after) else { continue };
            let (Some(name), Some(Value::Text(column)), Some(Value::Bytes(update))) =
                (row.get(&of.key), row.get(DOC_COLUMN), row.get(DOC_UPDATE))
            else {
                continue;
            };
            let table = self.plan.table(parent).name.clone();
            let update = Some(update.as_slice().into());
            self.docs.push(DocNews { table, key: referred(name), column: column.clone(), update });
            if self.looks_at(&change.key) {
                full.insert((docs, name.clone(), column.as_str().into()));
            }
        }
        full
    }

    /// Puts one update in the place of many, under sequences of their own.
    pub(super) fn compact_docs(&mut self, docs: BTreeSet<DocName>) -> Result<(), StoreError> {
        for (at, row, column) in docs {
            self.compact_doc(at, &row, &column)?;
        }
        Ok(())
    }

    fn compact_doc(&mut self, at: usize, row: &Value, column: &Value) -> Result<(), StoreError> {
        let table = self.plan.table(at);
        let Some(of) = &table.docs_of else { return Ok(()) };
        let together = self.plan.docs_together();
        let mut sizes = self.tx.doc_sizes(at, row, Some(column))?;
        let newest = newest(sizes.iter().map(|one| one.bytes), together);
        if newest < together.max(2) {
            return Ok(());
        }
        let mut many = Vec::with_capacity(newest);
        for one in sizes.split_off(sizes.len() - newest) {
            let found = self.tx.row(at, &one.key)?;
            // What another program wrote has to have its sequence first.
            if is_outside(table, &one.key, &found) {
                return Ok(());
            }
            let meta = found.book.map(|book| book.meta).unwrap_or_default();
            many.extend(
                found.cells.filter(|cells| cells.get(&of.key) == Some(row)).map(|cells| (one.key, cells, meta)),
            );
        }
        let cut = usize::from(landfall_core::mutant::active("doc-cut"));
        let updates: Vec<&[u8]> = many.iter().skip(cut).map(|(_, cells, _)| update_of(cells)).collect();
        // No document is made of them: that may take long, whatever their length, and everybody waits here.
        let one = landfall_doc::condense(&updates);
        // What cannot be put together stays as it is: nothing is lost, and no other document waits for it.
        let Ok(one) = one else { return Ok(()) };
        self.replace(at, row, column, many, one)
    }

    fn replace(
        &mut self,
        at: usize,
        row: &Value,
        column: &Value,
        many: Vec<(RowKey, Cells, RowMeta)>,
        one: Vec<u8>,
    ) -> Result<(), StoreError> {
        let (table, seq) = (self.plan.table(at), self.next_seq());
        let stamp = Stamp { wall_ms: self.now_ms, counter: 0, replica: OUTSIDE };
        let (mut changes, mut fan) = (Vec::with_capacity(many.len() + 1), Fan::new(seq));
        let Some((_, last, _)) = many.last() else { return Ok(()) };
        let mut cells = last.clone();
        let by = last.get(DOC_BY).filter(|by| many.iter().all(|(_, cells, _)| cells.get(DOC_BY) == Some(by))).cloned();
        let id = merged_id(row, column, seq, &one);
        cells.extend(
            [
                (DOC_ID, id.clone()),
                (DOC_UPDATE, Value::Bytes(one)),
                (DOC_SEQ, integer(seq)),
                (DOC_AT, instant(self.now_ms)),
                (DOC_BY, by.unwrap_or_default()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        for (key, before, _) in &many {
            self.tx.forget_row(at, key)?;
            fan.add(self.buckets, &table.name, key, Before::Row(before), None);
            changes.push(RowChange { table: table.name.clone(), key: key.clone(), before: None, after: None });
        }
        let key = RowKey::single(id);
        // Its sequence is the server's; a delete is told by those of what it is made of.
        let typed = typed_by_many(many.iter().map(|(_, _, meta)| meta));
        let meta = RowMeta { row: Version { seq, stamp }, cells: typed, ..RowMeta::default() };
        let stored = StoredRow { cells, meta };
        let hash = row_hash(&table.name, &key, &stored.cells);
        self.tx.put_row(at, &key, &stored, hash, Exists::default())?;
        fan.add(self.buckets, &table.name, &key, Before::Nothing, Some(&stored.cells));
        changes.push(RowChange { table: table.name.clone(), key, before: None, after: Some(stored.cells) });
        self.log_as_is(Signature::of_nobody(seq, &changes, stamp), changes, fan)?;
        Ok(())
    }
}

fn update_of(cells: &Cells) -> &[u8] {
    match cells.get(DOC_UPDATE) {
        Some(Value::Bytes(update)) => update,
        _ => landfall_doc::NOTHING,
    }
}

/// How many of the newest become one: as many as are not much larger than all that are newer together, so that each byte is
/// written again only as often as what it is part of has doubled.
fn newest(sizes: impl DoubleEndedIterator<Item = usize>, together: usize) -> usize {
    let mut sum = 0_usize;
    let fits = |(at, size): &(usize, usize)| {
        let goes = *at < together || *size <= sum;
        sum = sum.saturating_add(*size);
        goes && sum <= LARGE
    };
    sizes.rev().enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many updates there are, few rows hold them, and each is written again some times only.
    #[test]
    fn a_long_history_is_few_rows_and_seldom_rewritten() {
        let (mut rows, mut written, mut most) = (Vec::new(), 0_usize, 0);
        for step in 0..100_000_usize {
            rows.push(20);
            if step % 16 == 0 {
                let count = newest(rows.iter().copied(), 48);
                if count >= 48 {
                    let one = rows.split_off(rows.len() - count).into_iter().sum();
                    written += one;
                    rows.push(one);
                }
            }
            most = most.max(rows.len());
        }
        assert!(most < 200, "{most} rows");
        assert!(written < 20 * 100_000 * 16, "each byte is written {} times", written / (20 * 100_000));
    }
}
