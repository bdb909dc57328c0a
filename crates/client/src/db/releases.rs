//! What undecided entries let go of: a reference to a row, or a value of a unique column. Whoever deletes that row, or takes
//! that value, comes behind them, whatever the priorities say. Otherwise a folder that is deleted right after a note was
//! moved out of it would take the note along, and a value that was free here would not be free there.

use landfall_core::flat::FlatSet;
use landfall_core::hash::Cells;
use landfall_core::schema::{Column, OnDelete, Table};
use landfall_core::wide::WideMap;
use landfall_core::{Operation, RowKey, Schema, Transaction, Value};
use minicbor::{Decode, Encode};
use rusqlite::{Connection, OptionalExtension, params};

use super::Database;
use super::bookkeeping::{QUEUED, SENT, decode};
use super::error::DbError;
use super::record::Net;
use super::undo::Before;

/// What an undecided entry lets go of, for whoever has to know it without the database that it was written in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Release {
    /// The table of the row, or of the unique column.
    #[n(0)]
    pub table: String,
    /// Which row or value, as it is looked up.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub what: Vec<u8>,
    /// Whether a row that would be deleted with that row is not any more.
    #[n(2)]
    pub saves: bool,
}

/// A row of this key is not referred to any more.
fn row(key: &RowKey) -> Vec<u8> {
    [&[0], &key.to_bytes()[..]].concat()
}

/// A value is not in this unique column any more.
fn value(column: &str, value: &Value) -> Vec<u8> {
    [&[1], column.as_bytes(), &[0], &RowKey::single(value.clone()).to_bytes()].concat()
}

/// Whether any are noted.
pub(super) fn has_releases(conn: &Connection) -> Result<bool, DbError> {
    Ok(conn.prepare("SELECT 1 FROM _landfall_released LIMIT 1")?.exists([])?)
}

/// Whether a column holds on to something: a row, or a value that nobody else may have. What is in the key goes with the
/// row alone.
fn holds_on(column: &&Column) -> bool {
    column.references.is_some() || column.unique
}

/// What an operation lets go of, of a row that was `cells`.
fn releases_of(table: &Table, operation: &Operation, cells: &Cells, out: &mut Vec<Release>) {
    let is_deleted = match operation {
        Operation::Insert { .. } => return,
        Operation::Update { .. } => false,
        Operation::Delete { .. } => true,
    };
    for column in table.columns.iter().filter(holds_on) {
        let Some(was) = cells.get(&column.name).filter(|was| !was.is_null()) else { continue };
        if !is_deleted && operation.value(&column.name).is_none_or(|is| is == was) {
            continue;
        }
        if let Some(reference) = &column.references {
            // A row that moved away is lost with the one that it left, unless the move is known first.
            let saves = !is_deleted && reference.on_delete == OnDelete::Cascade;
            let what = row(&RowKey::single(was.clone()));
            out.push(Release { table: reference.table.clone(), what, saves });
        }
        if column.unique {
            out.push(Release { table: table.name.clone(), what: value(&column.name, was), saves: false });
        }
    }
}

fn keep(conn: &Connection, table: i64, release: &Release, rseq: i64) -> Result<(), DbError> {
    let sql = "INSERT INTO _landfall_released (tbl, what, rseq, saves) VALUES (?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET saves = max(saves, excluded.saves)";
    conn.prepare_cached(sql)?.execute(params![table, release.what, rseq, release.saves])?;
    Ok(())
}

/// Works out what waiting entries let go of, in a database of an older build, which did not keep it: from what the server had
/// of each row, through what each entry says that it was and did.
pub(super) fn work_out_releases(conn: &Connection, schema: &Schema) -> Result<(), DbError> {
    let id_of = |name: &str| -> Result<Option<i64>, DbError> {
        let sql = "SELECT id FROM _landfall_tables WHERE name = ?";
        Ok(conn.prepare_cached(sql)?.query_row([name], |r| r.get(0)).optional()?)
    };
    let confirmed = |(name, key): &(String, RowKey)| -> Result<Option<Cells>, DbError> {
        let Some(id) = id_of(name)? else { return Ok(None) };
        let sql = "SELECT image FROM _landfall_images WHERE tbl = ? AND key = ?";
        let image = conn.prepare_cached(sql)?.query_row(params![id, key.to_bytes()], |r| r.get(0)).optional()?;
        image.flatten().map(|image: Vec<u8>| decode(&image)).transpose()
    };
    // What each row is, as far as it has been walked through: what the entry before left of it.
    let mut rows_are: WideMap<(String, RowKey), Option<Cells>> = WideMap::new();
    // What is accepted and has not come back shows in the rows, too.
    let sql = "SELECT rseq, body, preview, before, state < 2 FROM _landfall_outbox WHERE state < 3 ORDER BY rseq";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(entry) = rows.next()? {
        let mut operations = decode::<Transaction>(&entry.get::<_, Vec<u8>>(1)?)?.operations;
        let preview: Option<Vec<u8>> = entry.get(2)?;
        operations.extend(preview.as_deref().map(decode::<Vec<Operation>>).transpose()?.unwrap_or_default());
        let (before, waits): (Option<Vec<u8>>, bool) = (entry.get(3)?, entry.get(4)?);
        let before: Option<Before> = before.as_deref().map(decode).transpose()?;
        for (table, key, was) in before.into_iter().flatten() {
            // An entry keeps of a row what it changed; the rest is as it was.
            let cells = rows_are.get_or_make((table, key), confirmed)?;
            match was {
                Some(was) => cells.get_or_insert_default().extend(was),
                None => *cells = None,
            }
        }
        for operation in &operations {
            let Some(table) = schema.table(operation.table()) else { continue };
            let row = (operation.table().to_owned(), operation.key().clone());
            let cells = rows_are.get_or_make(row, confirmed)?;
            let mut released = Vec::new();
            if let Some(cells) = cells.as_ref().filter(|_| waits) {
                releases_of(table, operation, cells, &mut released);
            }
            match operation {
                Operation::Delete { .. } => *cells = None,
                Operation::Insert { .. } | Operation::Update { .. } => {
                    let written = operation.cells().iter().map(|write| (write.column.clone(), write.value.clone()));
                    cells.get_or_insert_default().extend(written);
                }
            }
            for release in &released {
                if let Some(table) = id_of(&release.table)? {
                    keep(conn, table, release, entry.get(0)?)?;
                }
            }
        }
    }
    Ok(())
}

impl Database {
    /// Takes note of what an entry lets go of.
    pub(super) fn note_releases(&mut self, net: &Net, rseq: u64) -> Result<(), DbError> {
        let mut before: Option<WideMap<(i64, &RowKey), &Cells>> = None;
        let mut released = Vec::new();
        for operation in net.operations.iter().chain(&net.preview) {
            let app = self.tables.get(operation.table())?;
            if !app.table.columns.iter().any(|column| holds_on(&column)) {
                continue;
            }
            let before = before.get_or_insert_with(|| {
                net.touched.iter().filter_map(|t| Some(((t.table, &t.key), t.before.as_ref()?))).collect()
            });
            if let Some(cells) = before.get(&(app.id, operation.key())) {
                releases_of(&app.table, operation, cells, &mut released);
            }
        }
        self.keep_releases(rseq, &released)
    }

    /// An entry lets go of this. What is of a table that the schema no longer has is nobody's to take.
    pub(super) fn keep_releases(&mut self, rseq: u64, released: &[Release]) -> Result<(), DbError> {
        for release in released {
            let Ok(app) = self.tables.get(&release.table) else { continue };
            keep(&self.conn, app.id, release, rseq as i64)?;
            self.memory.has_releases = true;
        }
        Ok(())
    }

    /// What an entry lets go of, and what those let go of that it took up.
    pub(super) fn released_by(&self, rseq: u64) -> Result<Vec<Release>, DbError> {
        let mut released = Vec::new();
        if !self.memory.has_releases {
            return Ok(released);
        }
        // What was taken up may have taken others up before.
        let sql = "WITH RECURSIVE names (first, last) AS (VALUES (?1, ?1)
                     UNION SELECT s.first, s.last FROM names, _landfall_taken AS s
                     WHERE s.successor BETWEEN names.first AND names.last)
                   SELECT t.name, r.what, max(r.saves) FROM names
                   JOIN _landfall_released AS r ON r.rseq BETWEEN names.first AND names.last
                   JOIN _landfall_tables AS t ON t.id = r.tbl
                   GROUP BY t.name, r.what";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([rseq as i64])?;
        while let Some(found) = rows.next()? {
            released.push(Release { table: found.get(0)?, what: found.get(1)?, saves: found.get(2)? });
        }
        Ok(released)
    }

    /// The undecided entries that let go of what a transaction takes or deletes: those that it follows, and those without
    /// which it must not be.
    pub(super) fn releases(&self, net: &Net) -> Result<(FlatSet<u64>, FlatSet<u64>), DbError> {
        let (mut after, mut requires) = (FlatSet::new(), FlatSet::new());
        if !self.memory.has_releases {
            return Ok((after, requires));
        }
        let mut find = |table: i64, what: Vec<u8>| -> Result<(), DbError> {
            let sql = "SELECT rseq, saves FROM _landfall_released WHERE tbl = ? AND what = ?";
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut rows = statement.query(params![table, what])?;
            while let Some(found) = rows.next()? {
                let rseq = self.current_rseq(found.get::<_, i64>(0)? as u64)?;
                if matches!(self.state_of(rseq)?, Some(QUEUED | SENT)) {
                    if found.get(1)? { &mut requires } else { &mut after }.insert(rseq);
                }
            }
            Ok(())
        };
        for operation in net.operations.iter().chain(&net.preview) {
            let app = self.tables.get(operation.table())?;
            if let Operation::Delete { key, .. } = operation {
                find(app.id, row(key))?;
            }
            let is_unique = |column: &str| app.table.column(column).is_some_and(|c| c.unique);
            for write in operation.cells().iter().filter(|w| !w.value.is_null() && is_unique(&w.column)) {
                find(app.id, value(&write.column, &write.value))?;
            }
        }
        Ok((after, requires))
    }

    /// Forgets what decided entries let go of.
    pub(super) fn forget_releases(&mut self) -> Result<(), DbError> {
        if self.memory.has_releases && self.memory.meta.counts.undecided() == 0 {
            self.conn.prepare_cached("DELETE FROM _landfall_released")?.execute([])?;
            self.memory.has_releases = false;
        }
        Ok(())
    }

    /// The same, while others wait.
    pub(super) fn forget_some_releases(&self) -> Result<(), DbError> {
        let sql = "DELETE FROM _landfall_released AS old
                   WHERE NOT EXISTS (SELECT 1 FROM _landfall_outbox WHERE rseq = old.rseq AND state < 2)
                     AND old.rseq > coalesce((SELECT last FROM _landfall_taken WHERE first <= old.rseq
                                              ORDER BY first DESC LIMIT 1), 0)";
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
