//! What a statement reads: asked of SQLite when the statement is prepared, never guessed from its text.
//!
//! Two sources, because each has a gap. The authorizer names tables and columns, but is silent about a table that is
//! only joined through `USING` or `NATURAL`. The compiled program (`EXPLAIN`) opens every table that is read, but shows
//! columns only through index layouts. So: tables from both; columns from the authorizer, unless it may have been silent.

use std::sync::{Arc, Mutex, PoisonError};

use landfall_core::Schema;
use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::hash::Cells;
use landfall_core::schema::Table;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::LiveError;
use super::cells::cell;
use crate::changes::RowChange;

/// Which columns of a table are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// All of them, as far as is known.
    All,
    /// Only these. None: only which rows there are (`SELECT count(*)`).
    Only(FlatSet<String>),
}

/// What a statement reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// The schema's tables that are read, with their columns. A search table counts as the table it searches.
    pub tables: FlatMap<String, Columns>,
    /// It reads something whose content is not that of the schema's tables: it has to be run again after each change.
    pub opaque: bool,
}

impl ReadSet {
    /// Whether the answer can change when this row of `table` changes in this way.
    pub fn touches(&self, table: &str, change: &RowChange) -> bool {
        match self.tables.get(table) {
            None => self.opaque,
            Some(columns) => columns.touched_by(change),
        }
    }
}

impl Columns {
    fn touched_by(&self, change: &RowChange) -> bool {
        let (Some(before), Some(after)) = (&change.before, &change.after) else {
            return change.before.is_some() || change.after.is_some();
        };
        let differs = |name: &String| cell(before, name) != cell(after, name);
        match self {
            Self::Only(names) => names.iter().any(differs),
            Self::All => names_of(before, after).any(differs),
        }
    }

    fn add(&mut self, name: &str) {
        if let Self::Only(names) = self {
            names.insert(name.to_owned());
        }
    }
}

fn names_of<'a>(before: &'a Cells, after: &'a Cells) -> impl Iterator<Item = &'a String> {
    before.keys().chain(after.keys().filter(|k| !before.contains_key(*k)))
}

/// What the authorizer said while one statement was prepared.
#[derive(Debug, Default)]
struct Heard {
    /// Table and column; an empty column: the table without any.
    reads: FlatSet<(String, String)>,
    /// Something outside the main database is read.
    elsewhere: bool,
    selects: bool,
}

/// Listens to a connection's authorizer while [`Recorder::read_set`] prepares a statement.
///
/// A connection has one authorizer, and setting it anew expires all prepared statements. So whoever owns the
/// connection installs its own once, and calls [`Recorder::note`] first thing in it; an owner that needs none uses
/// [`Recorder::install`].
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Option<Heard>>>);

impl Recorder {
    /// To be called from the connection's authorizer with everything that it hears. Cheap when nobody listens.
    pub fn note(&self, context: &AuthContext<'_>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(heard) = slot.as_mut() else { return };
        match context.action {
            AuthAction::Read { table_name, column_name } => {
                heard.reads.insert((table_name.to_owned(), column_name.to_owned()));
                heard.elsewhere |= context.database_name.is_some_and(|name| name != "main");
            }
            AuthAction::Select => heard.selects = true,
            _ => {}
        }
    }

    /// Makes the recorder the connection's only authorizer, one that allows everything.
    ///
    /// # Errors
    /// SQLite's, when the hook cannot be set.
    pub fn install(&self, conn: &mut Connection) -> Result<(), rusqlite::Error> {
        let recorder = self.clone();
        conn.authorizer(Some(move |context: AuthContext<'_>| {
            recorder.note(&context);
            Authorization::Allow
        }))
    }

    /// What `sql` reads. The statement is compiled, not run. The connection's authorizer has to allow reading
    /// `sqlite_schema` meanwhile.
    ///
    /// # Errors
    /// When SQLite does not accept the statement, or when it is not a query.
    pub fn read_set(&self, conn: &Connection, schema: &Schema, sql: &str) -> Result<ReadSet, LiveError> {
        let heard = self.listen(conn, sql)?;
        let catalogue = Catalogue::read(conn)?;
        let opened = opened_tables(conn, sql, &catalogue)?;
        let mut out = ReadSet { opaque: heard.elsewhere || opened.unnamed, ..ReadSet::default() };
        let mut columns_known = !joins_by_name(sql);
        for (table, column) in &heard.reads {
            columns_known &= !catalogue.views.contains(table);
            out.add(schema, &catalogue, table, Some(column));
        }
        let tables = heard.reads.iter().map(|(table, _)| table).collect::<FlatSet<_>>();
        for table in opened.tables.iter().filter(|t| !tables.contains(t)) {
            out.add(schema, &catalogue, table, None);
        }
        if !columns_known {
            out.tables.values_mut().for_each(|columns| *columns = Columns::All);
            // A virtual table joined by name would be neither heard nor opened under its name.
            out.opaque |= opened.virtual_tables;
        }
        Ok(out)
    }

    fn listen(&self, conn: &Connection, sql: &str) -> Result<Heard, LiveError> {
        let slot = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *slot() = Some(Heard::default());
        let prepared = conn.prepare(sql);
        let heard = slot().take().unwrap_or_default();
        let statement = prepared?;
        let query = heard.selects && statement.readonly() && statement.column_count() > 0;
        if query && statement.is_explain() == 0 { Ok(heard) } else { Err(LiveError::NotAQuery) }
    }
}

impl ReadSet {
    fn add(&mut self, schema: &Schema, catalogue: &Catalogue, name: &str, column: Option<&str>) {
        if schema.table(name).is_some() {
            let columns = self.entry(name);
            match column {
                Some("") => {}
                // Not a column that a change set knows: a rowid is given anew whenever the row is written anew.
                Some("ROWID") | None => *columns = Columns::All,
                Some(column) => columns.add(column),
            }
        } else if let Some(table) = schema.tables.iter().find(|t| is_search_of(t, name)) {
            let columns = self.entry(&table.name);
            table.search.iter().for_each(|c| columns.add(c));
        } else if catalogue.tables.contains(name) {
            self.opaque = true;
        }
        // Anything else has no content of its own: views are read through their tables, functions compute.
    }

    fn entry(&mut self, table: &str) -> &mut Columns {
        self.tables.get_or_insert_with(table.to_owned(), || Columns::Only(FlatSet::new()))
    }
}

/// Whether `name` is the table's search table or one of the tables in which FTS5 keeps it.
fn is_search_of(table: &Table, name: &str) -> bool {
    const SHADOWS: [&str; 6] = ["", "_data", "_idx", "_content", "_docsize", "_config"];
    !table.search.is_empty()
        && name.strip_prefix(table.search_table().as_str()).is_some_and(|rest| SHADOWS.contains(&rest))
}

/// Whether the text may join through `USING` or `NATURAL`. Looks at words only, so it may say yes too often.
fn joins_by_name(sql: &str) -> bool {
    let mut words = sql.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.any(|w| w.eq_ignore_ascii_case("using") || w.eq_ignore_ascii_case("natural"))
}

/// The names in the main database.
#[derive(Default)]
struct Catalogue {
    tables: FlatSet<String>,
    views: FlatSet<String>,
    /// Tables by the root pages of their b-trees, indexes included.
    roots: FlatMap<i64, String>,
}

impl Catalogue {
    fn read(conn: &Connection) -> Result<Self, LiveError> {
        let mut out = Self::default();
        let mut statement = conn.prepare_cached("SELECT type, name, tbl_name, rootpage FROM main.sqlite_schema")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            match kind.as_str() {
                "table" => out.tables.insert(name),
                "view" => out.views.insert(name),
                _ => true,
            };
            if let Some(root) = row.get::<_, Option<i64>>(3)?.filter(|root| *root > 0) {
                out.roots.insert(root, row.get(2)?);
            }
        }
        Ok(out)
    }
}

/// The tables that a compiled statement opens.
#[derive(Default)]
struct Opened {
    tables: FlatSet<String>,
    virtual_tables: bool,
    /// It opens something that the catalogue does not name.
    unnamed: bool,
}

fn opened_tables(conn: &Connection, sql: &str, catalogue: &Catalogue) -> Result<Opened, LiveError> {
    const SCHEMA_ROOT: i64 = 1;
    let mut out = Opened::default();
    let mut statement = conn.prepare(&format!("EXPLAIN {sql}"))?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let opcode: String = row.get("opcode")?;
        match opcode.as_str() {
            "OpenRead" | "ReopenIdx" => {
                let (root, database): (i64, i64) = (row.get("p2")?, row.get("p3")?);
                match catalogue.roots.get(&root).filter(|_| database == 0) {
                    Some(table) => drop(out.tables.insert(table.clone())),
                    None if root == SCHEMA_ROOT => {}
                    None => out.unnamed = true,
                }
            }
            "VOpen" => out.virtual_tables = true,
            _ => {}
        }
    }
    Ok(out)
}
