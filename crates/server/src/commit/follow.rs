//! What follows from an entry's operations: cascades of deletes, restoring what a revived row had taken along, and the
//! checks that need the whole entry: references and uniqueness.

use landfall_core::error::codes;
use landfall_core::hash::Cells;
use landfall_core::merge::{Author, Merged, StoredRow, merge};
use landfall_core::schema::OnDelete;
use landfall_core::{CellWrite, Operation, Problem, RowKey, Value};

use super::Group;
use super::entry::{EntryRun, Stop};
use super::plan::referred;
use super::record::Tombstone;
use super::tx::StoreTx;

/// Most rows that one transaction may delete or empty beyond its own operations.
pub const MAX_CASCADE: usize = 10_000;

/// Nothing is concurrent to this base: the server itself writes, and has seen everything.
const SEEN_ALL: u64 = u64::MAX;

/// Carries out what the schema says follows from the deletes so far, in full.
pub(super) fn deletes<T: StoreTx>(run: &mut EntryRun<'_, '_, T>) -> Result<(), Stop> {
    let mut at = 0;
    let mut followed = 0;
    while let Some((table, key)) = run.deleted.get(at).cloned() {
        at += 1;
        // An operation after the delete may have brought it back.
        if run.load(table, &key)?.live().is_some() {
            continue;
        }
        let mut taken = Tombstone::default();
        for referrer in run.group.plan.referrers(table).to_vec() {
            let name = run.group.plan.table(referrer.table).name.clone();
            if referrer.on_delete == OnDelete::Restrict {
                continue;
            }
            // Nobody can delete updates of documents by themselves: however many there are, they go with their row.
            let is_doc = run.group.plan.parent_of_docs(referrer.table).is_some();
            let limit = if is_doc { usize::MAX >> 1 } else { MAX_CASCADE + 1 - followed };
            for child in run.group.tx.referrers(referrer.table, &referrer.column, &key.0[0], limit)? {
                followed += usize::from(!is_doc);
                if referrer.on_delete == OnDelete::Cascade {
                    delete_row(run, referrer.table, &child)?;
                    taken.cascaded.push((name.clone(), child));
                } else {
                    let emptied = (name.clone(), child, referrer.column.clone());
                    set(run, referrer.table, &emptied.1, &emptied.2, Value::Null)?;
                    taken.emptied.push(emptied);
                }
            }
            if followed > MAX_CASCADE {
                let message = format!(
                    "the delete would change more than {MAX_CASCADE} rows that refer to it; delete those first, in several transactions"
                );
                return Err(Problem::new(codes::BAD_TRANSACTION, message)
                    .row(&run.group.plan.table(table).name, &key)
                    .into());
            }
        }
        if !taken.cascaded.is_empty() || !taken.emptied.is_empty() {
            remember(run, table, &key, taken)?;
        }
    }
    Ok(())
}

fn remember<T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    table: usize,
    key: &RowKey,
    taken: Tombstone,
) -> Result<(), Stop> {
    let touched = run.load(table, key)?;
    let (Some(row), Some(own)) = (touched.now.clone(), touched.tombstone.clone()) else {
        return Ok(());
    };
    run.bury(table, key, row, Tombstone { cells: own.cells, ..taken })
}

fn delete_row<T: StoreTx>(run: &mut EntryRun<'_, '_, T>, at: usize, key: &RowKey) -> Result<(), Stop> {
    let operation =
        Operation::Delete { table: run.group.plan.table(at).name.clone(), key: key.clone(), base: SEEN_ALL };
    match merged(run, at, &operation)? {
        Merged::Delete { row } => run.delete(at, key, row),
        _ => Ok(()),
    }
}

fn set<T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    at: usize,
    key: &RowKey,
    column: &str,
    value: Value,
) -> Result<(), Stop> {
    write(run, at, key, vec![CellWrite::new(column, value)])
}

/// Writes cells of a row as the server's own doing.
pub(super) fn write<T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    at: usize,
    key: &RowKey,
    cells: Vec<CellWrite>,
) -> Result<(), Stop> {
    let table = run.group.plan.table(at);
    let operation = Operation::Update { table: table.name.clone(), key: key.clone(), base: SEEN_ALL, cells };
    let Merged::Put { row, .. } = merged(run, at, &operation)? else {
        return Ok(());
    };
    match table.check_row(&row.cells).into_iter().next() {
        Some(problem) => Err(problem.into()),
        None => run.put(at, key, row),
    }
}

fn merged<T: StoreTx>(run: &mut EntryRun<'_, '_, T>, at: usize, operation: &Operation) -> Result<Merged, Stop> {
    // What follows from a delete is the schema's own doing: no column's rule stands against it.
    let (plan, author) = (run.group.plan, Author { is_fact: true, ..run.author });
    let held = run.load(at, operation.key())?;
    Ok(merge(plan.table(at), held.now.as_ref(), operation, &author))
}

/// Restores what the delete of a revived row had taken along, as far as nobody has touched it since.
pub(super) fn revival<T: StoreTx>(run: &mut EntryRun<'_, '_, T>, tombstone: &Tombstone) -> Result<(), Stop> {
    let mut open = vec![tombstone.clone()];
    while let Some(next) = open.pop() {
        for (table, key) in &next.cascaded {
            let Some(at) = run.group.plan.table_at(table) else {
                continue;
            };
            let touched = run.load(at, key)?;
            let (Some(row), Some(taken)) = (touched.now.clone(), touched.tombstone.clone()) else {
                continue;
            };
            let meta = landfall_core::merge::RowMeta { deleted: None, ..row.meta };
            run.put(at, key, StoredRow { cells: row.cells, meta: revived(meta, run) })?;
            open.push(taken);
        }
        for (table, key, column) in &next.emptied {
            restore_cell(run, table, key, column, &next)?;
        }
    }
    Ok(())
}

/// A row that comes back is new to whoever looks at its versions.
pub(super) fn revived<T: StoreTx>(
    mut meta: landfall_core::merge::RowMeta,
    run: &EntryRun<'_, '_, T>,
) -> landfall_core::merge::RowMeta {
    meta.row.seq = run.author.seq;
    meta
}

fn restore_cell<T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    table: &str,
    key: &RowKey,
    column: &str,
    from: &Tombstone,
) -> Result<(), Stop> {
    let plan = run.group.plan;
    let Some(at) = plan.table_at(table) else {
        return Ok(());
    };
    let target = plan.references(at).iter().find(|(name, _)| name == column).map(|(_, target)| *target);
    let value =
        target.and_then(|target| plan.table(target).key_of(&from.cells)).and_then(|key| key.0.into_iter().next());
    let is_empty = run.load(at, key)?.live().is_some_and(|cells| cells.get(column).is_some_and(Value::is_null));
    match value {
        Some(value) if is_empty => set(run, at, key, column, value),
        _ => Ok(()),
    }
}

/// The checks that need all changes of the entry: what refers to deleted rows, references, uniqueness.
pub(super) fn checks<T: StoreTx>(run: &mut EntryRun<'_, '_, T>) -> Result<(), Stop> {
    let plan = run.group.plan;
    for (table, key) in &run.deleted {
        if run.touched.get(&(*table, key.clone())).is_some_and(|t| t.live().is_some()) {
            continue;
        }
        for referrer in plan.referrers(*table) {
            if !run.group.tx.referrers(referrer.table, &referrer.column, &key.0[0], 1)?.is_empty() {
                let message =
                    format!("rows of '{}' still refer to it; delete them first", plan.table(referrer.table).name);
                return Err(Problem::new(codes::STILL_REFERENCED, message).row(&plan.table(*table).name, key).into());
            }
        }
    }
    for ((at, key), touched) in &run.touched {
        if let Some(row) = touched.live() {
            check_row(run.group, (*at, key), touched.before.as_ref(), row)?;
        }
    }
    Ok(())
}

/// What is said where a row is referred to that is not there.
pub(super) fn no_such_row(table: &str) -> Problem {
    let message = format!("it refers to a row of '{table}' that does not exist; create that one first");
    Problem::new(codes::REFERENCE, message)
}

/// The references and the uniqueness of one row, as far as its cells are new.
pub(super) fn check_row<T: StoreTx>(
    group: &mut Group<'_, T>,
    (at, key): (usize, &RowKey),
    before: Option<&Cells>,
    row: &Cells,
) -> Result<(), Stop> {
    let plan = group.plan;
    let new = |column: &str| {
        let value = row.get(column).filter(|v| !v.is_null())?;
        (before.and_then(|b| b.get(column)) != Some(value)).then_some(value)
    };
    let name = &plan.table(at).name;
    for (column, target) in plan.references(at) {
        if let Some(value) = new(column)
            && !(*target == at && referred(value) == *key)
            && !group.tx.exists(*target, &referred(value))?
        {
            return Err(no_such_row(&plan.table(*target).name).row(name, key).column(column).into());
        }
    }
    for column in plan.uniques(at) {
        if let Some(value) = new(column)
            && group.tx.is_taken(at, column, value, key)?
        {
            let message = "another row has this value already; choose another";
            return Err(Problem::new(codes::UNIQUE, message).row(name, key).column(column).into());
        }
    }
    Ok(())
}
