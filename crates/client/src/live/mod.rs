//! Live queries: answers that stay true while the device writes and receives.
//!
//! [`LiveQueries::notify`] is called once for each committed transaction, after the commit and never inside one, with
//! the rows that changed. It finds the queries that the changes can concern ([`route`]), runs again only those whose
//! answer cannot be told from the changed rows alone, and gives row-level differences ([`RowsDiff`]). No difference is
//! given for an answer that is what it was.
//!
//! What plain SQL reads is learnt when it is prepared ([`reads`]). The functions that a query calls are not listened to:
//! an answer that depends on `landfall_now()` is as of the last change.

mod cells;
mod diff;
mod pinned;
mod reads;
mod route;
mod select;
mod sql;
#[cfg(test)]
mod tests;

use landfall_core::error::Code;
use landfall_core::flat::FlatMap;
use landfall_core::value::ColumnType;
use landfall_core::{Schema, Value};
use rusqlite::Connection;

pub use diff::{Row, RowsDiff};
pub use reads::{Columns, ReadSet, Recorder};
pub use select::{Order, Select};

use crate::changes::{ChangeSet, RowChange};
use route::{Route, Routes};
use select::SelectQuery;
use sql::SqlQuery;

/// A live query of one registry. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// What to watch.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveQuery {
    /// A statement in SQL that reads.
    Sql {
        /// The statement, with `?` for parameters.
        sql: String,
        /// The parameters' values.
        params: Vec<Value>,
        /// Columns of the answer that together identify a row. Absent: the primary key, where one table is read and the
        /// answer shows it, else the whole row.
        key: Option<Vec<String>>,
    },
    /// Rows of one table by a predicate: cheaper to keep, and values have the schema's types.
    Typed(Select),
}

impl From<&str> for LiveQuery {
    fn from(sql: &str) -> Self {
        Self::Sql { sql: sql.to_owned(), params: Vec::new(), key: None }
    }
}

/// The first answer of a live query.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The query's handle.
    pub id: QueryId,
    /// The names of the answer's columns.
    pub columns: Vec<String>,
    /// The schema's types of the answer's columns, where an answer to plain SQL shows a column as it is stored. A typed
    /// query's values have their types already.
    pub types: Vec<Option<ColumnType>>,
    /// The answer. Plain SQL gives the types that SQLite gives: integers, floats, texts, bytes.
    pub rows: Vec<Row>,
    /// Whether the device holds everything that the answer depends on.
    pub complete: bool,
}

/// What a commit meant to the live queries.
#[derive(Debug, Default)]
pub struct Notified {
    /// Answers that changed, in order of the queries' handles.
    pub diffs: Vec<(QueryId, RowsDiff)>,
    /// Queries that could not be run. They keep their old answer and are tried again at the next change.
    pub failed: Vec<(QueryId, LiveError)>,
}

/// Why a query cannot be watched, or not be run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The statement does not read, or is more than a query.
    #[error("only a query can be watched: one SELECT (or WITH … SELECT, VALUES) that changes nothing [LF-5201]")]
    NotAQuery,
    /// A column that is to identify rows is not in the answer.
    #[error(
        "the key column '{column}' is not in the answer, which has: {columns}; select it, or name another key [LF-5202]"
    )]
    NoSuchKey {
        /// The named column.
        column: String,
        /// The answer's columns.
        columns: String,
    },
    /// A table or column that the schema does not have.
    #[error("the live query names '{name}', which {within} does not have; see the schema [LF-5205]")]
    Unknown {
        /// The name.
        name: String,
        /// Where it was looked for.
        within: String,
    },
    /// Rows cannot be ordered by this column.
    #[error("rows cannot be ordered by the json column '{column}'; order by another column [LF-5206]")]
    Unordered {
        /// The column.
        column: String,
    },
    /// SQLite does not accept the statement, or cannot run it.
    #[error("the live query cannot be run: {0} [LF-5203]")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value is not of its column's type.
    #[error("the live query meets a damaged value: {0} [LF-5204]")]
    Stored(#[from] landfall_core::value::SqliteError),
}

impl LiveError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotAQuery => Code::of("LF-5201"),
            Self::NoSuchKey { .. } => Code::of("LF-5202"),
            Self::Sqlite(_) => Code::of("LF-5203"),
            Self::Stored(_) => Code::of("LF-5204"),
            Self::Unknown { .. } => Code::of("LF-5205"),
            Self::Unordered { .. } => Code::of("LF-5206"),
        }
    }
}

/// What changed rows did to one answer.
struct Change {
    diff: RowsDiff,
    /// Whether SQL was run to find out.
    ran: bool,
}

#[derive(Debug)]
enum Query {
    Sql(SqlQuery),
    Typed(SelectQuery),
}

/// What a commit has for one query.
#[derive(Default)]
struct Work<'a> {
    /// The rows do not tell it all.
    run: bool,
    rows: Vec<&'a RowChange>,
}

#[derive(Debug)]
struct Entry {
    query: Query,
    complete: bool,
    /// The last run failed.
    stale: bool,
    runs: u64,
}

/// The live queries of one database. See the [module documentation](self).
#[derive(Debug, Default)]
pub struct LiveQueries {
    recorder: Recorder,
    queries: FlatMap<QueryId, Entry>,
    routes: Routes,
    last_id: u64,
}

/// Says whether the device holds everything that an answer depends on.
pub type IsComplete<'a> = &'a dyn Fn(&ReadSet) -> bool;

impl LiveQueries {
    /// No queries yet. `recorder` is the one that the connection's authorizer calls.
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, ..Self::default() }
    }

    /// Starts watching and gives the first answer. To be called outside of transactions; the connection's authorizer
    /// has to allow what the query reads, here and in [`LiveQueries::notify`].
    ///
    /// # Errors
    /// When the query is not accepted or cannot be run; nothing is watched then.
    pub fn watch(
        &mut self,
        conn: &Connection,
        schema: &Schema,
        query: LiveQuery,
        is_complete: IsComplete<'_>,
    ) -> Result<Watched, LiveError> {
        let (query, columns, types, rows) = match query {
            LiveQuery::Sql { sql, params, key } => {
                let mut query = SqlQuery::new(conn, schema, &self.recorder, (sql, params, key))?;
                let (rows, columns) = (query.run(conn)?.to_vec(), query.columns.clone());
                let types = query.types.clone();
                (Query::Sql(query), columns, types, rows)
            }
            LiveQuery::Typed(select) => {
                let mut query = SelectQuery::new(schema, select)?;
                query.run(conn)?;
                let (columns, rows) = (query.columns(), query.rows());
                let types = vec![None; columns.len()];
                (Query::Typed(query), columns, types, rows)
            }
        };
        self.last_id += 1;
        let id = QueryId(self.last_id);
        for table in query.reads().tables.keys() {
            self.routes.add(id, table, &query.route(schema, table));
        }
        if query.reads().opaque {
            self.routes.add_opaque(id);
        }
        let complete = is_complete(query.reads());
        self.queries.insert(id, Entry { query, complete, stale: false, runs: 1 });
        Ok(Watched { id, columns, types, rows, complete })
    }

    /// Stops watching. Unknown handles are ignored.
    pub fn unwatch(&mut self, id: QueryId) {
        if self.queries.remove(&id).is_some() {
            self.routes.remove(id);
        }
    }

    /// How many queries are watched.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether nothing is watched: then nobody needs to collect changes.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// How often the query's SQL was run, its first run included.
    pub fn runs(&self, id: QueryId) -> Option<u64> {
        self.queries.get(&id).map(|e| e.runs)
    }

    /// Tells what a commit did to the answers. To be called after the commit, once, before the next one.
    pub fn notify(&mut self, conn: &Connection, changes: &ChangeSet, is_complete: IsComplete<'_>) -> Notified {
        let mut out = Notified::default();
        if changes.is_empty() {
            return out;
        }
        if landfall_core::mutant::active("change-not-announced") && changes.rows.contains_key("lefts") {
            return out;
        }
        for (id, work) in self.concerned(changes) {
            let Some(entry) = self.queries.get_mut(&id) else {
                continue;
            };
            match entry.refresh(conn, &work, is_complete) {
                Ok(Some(diff)) => out.diffs.push((id, diff)),
                Ok(None) => {}
                Err(error) => out.failed.push((id, error)),
            }
        }
        out
    }

    /// Asks anew which answers are complete, and gives a difference without rows for each where that changed. To be
    /// called when a part of the data has become complete, or is no longer.
    pub fn recheck(&mut self, is_complete: IsComplete<'_>) -> Vec<(QueryId, RowsDiff)> {
        let mut out = Vec::new();
        for (id, entry) in &mut self.queries {
            let complete = is_complete(entry.query.reads());
            if complete != entry.complete {
                entry.complete = complete;
                out.push((*id, RowsDiff { complete, ..RowsDiff::default() }));
            }
        }
        out
    }

    fn concerned<'a>(&self, changes: &'a ChangeSet) -> FlatMap<QueryId, Work<'a>> {
        let mut out: FlatMap<QueryId, Work<'a>> = FlatMap::new();
        let stale = self.queries.iter().filter(|(_, e)| e.stale).map(|(id, _)| *id);
        let bulk = changes.bulk.iter().flat_map(|table| self.routes.of_table(table));
        for id in self.routes.opaque().chain(stale).chain(bulk) {
            out.get_or_insert_with(id, Default::default).run = true;
        }
        for (table, rows) in &changes.rows {
            for change in rows.values() {
                self.routes.of_row(table, change, |id| {
                    if out.get(&id).is_some_and(|work| work.run) {
                        return;
                    }
                    match self.queries.get(&id).map(|e| &e.query) {
                        Some(query) if !query.reads().touches(table, change) => {}
                        Some(Query::Sql(_)) => out.get_or_insert_with(id, Default::default).run = true,
                        Some(Query::Typed(_)) => out.get_or_insert_with(id, Default::default).rows.push(change),
                        None => {}
                    }
                });
            }
        }
        out
    }
}

impl Query {
    fn reads(&self) -> &ReadSet {
        match self {
            Self::Sql(query) => &query.reads,
            Self::Typed(query) => &query.reads,
        }
    }

    fn route(&self, schema: &Schema, table: &str) -> Route {
        match self {
            Self::Sql(query) => query.route(schema, table),
            Self::Typed(query) => query.route(),
        }
    }
}

impl Entry {
    fn refresh(
        &mut self,
        conn: &Connection,
        work: &Work<'_>,
        is_complete: IsComplete<'_>,
    ) -> Result<Option<RowsDiff>, LiveError> {
        // Until it has succeeded.
        self.stale = true;
        let Change { mut diff, ran } = match &mut self.query {
            Query::Sql(query) => query.rerun(conn)?,
            Query::Typed(query) if work.run => query.rerun(conn)?,
            Query::Typed(query) => query.update(conn, &work.rows)?,
        };
        self.stale = false;
        self.runs += u64::from(ran);
        diff.complete = is_complete(self.query.reads());
        let changed = !diff.is_empty() || diff.complete != self.complete;
        self.complete = diff.complete;
        Ok(changed.then_some(diff))
    }
}
