//! Versions of rows: one that is kept is checked and signed before it is a row.

use std::borrow::Cow;

use landfall_core::error::codes;
use landfall_core::schema::VersionsOf;
use landfall_core::schema::versions::{MOST_VERSIONS, VERSION_AT, VERSION_BY, VERSION_SEQ};
use landfall_core::{CellWrite, Operation, Problem, Value};

use super::docs::Prepared;
use super::entry::{Access, EntryRun, Stop};
use super::follow;
use super::history::{instant, integer};
use super::plan::referred;
use super::tx::StoreTx;

/// Looks at a version before it is kept: its row is one that the author sees, its documents are documents. By which columns
/// the access rules tell is said by the row, not by the author: a version is shown to nobody who is not shown the row.
pub(super) fn prepare<'o, T: StoreTx>(
    run: &mut EntryRun<'_, '_, T>,
    (at, of): (usize, &VersionsOf),
    operation: &'o Operation,
    access: &Access<'_>,
) -> Result<Prepared<'o>, Stop> {
    let plan = run.group.plan;
    let table = plan.table(at);
    let (Some(parent), Operation::Insert { key, cells, .. }) = (plan.table_at(&of.table), operation) else {
        return Ok(Prepared::Write { operation: Cow::Borrowed(operation), has_revived: false });
    };
    let written = |name: &str| cells.iter().find(|write| write.column == name).map(|write| &write.value);
    let about = |problem: Problem| problem.row(&table.name, key);
    let Some(name) = written(&of.key) else {
        let message = format!("a version names its row (`{}`)", of.key);
        return Err(about(Problem::new(codes::REQUIRED, message)).into());
    };
    for column in &plan.table(parent).docs {
        let Some(Value::Bytes(update)) = written(column) else { continue };
        if let Err(error) = landfall_doc::check(update) {
            let message = format!("{error}; send what the document's library gives as an update");
            return Err(about(Problem::new(codes::WRONG_TYPE, message)).column(column).into());
        }
    }
    let found = run.load(parent, &referred(name))?.live();
    let Some(row) = found.filter(|row| access.sees(plan.table(parent), row)).cloned() else {
        return Err(about(follow::no_such_row(&of.table)).column(&of.key).into());
    };
    // Its id is nobody's but its author's: whoever knows it must not put something else in its place. What was deleted
    // meanwhile stays deleted.
    if let Some(there) = &run.load(at, key)?.now {
        if there.cells.get(&of.key) == Some(name) {
            return Ok(Prepared::Known);
        }
        let message = "another version has this id already; give each version an id of its own";
        return Err(about(Problem::new(codes::BAD_KEY, message)).into());
    }
    if run.group.tx.referrers(at, &of.key, name, MOST_VERSIONS)?.len() >= MOST_VERSIONS {
        let message = format!("this row has {MOST_VERSIONS} versions; delete some that nobody needs");
        return Err(about(Problem::new(codes::TOO_LONG, message)).into());
    }
    let mut operation = operation.clone();
    if let Operation::Insert { cells, .. } = &mut operation {
        for column in table.version_copies(plan.table(parent)) {
            cells.retain(|write| write.column != column.name);
            cells.push(CellWrite::new(&column.name, row.get(&column.name).cloned().unwrap_or_default()));
        }
        cells.push(CellWrite::new(VERSION_SEQ, integer(run.author.seq)));
        cells.push(CellWrite::new(VERSION_AT, instant(run.group.now_ms)));
        if !access.free {
            cells.push(CellWrite::new(VERSION_BY, Value::Text(run.subject.id.clone())));
        }
    }
    Ok(Prepared::Write { operation: Cow::Owned(operation), has_revived: false })
}
