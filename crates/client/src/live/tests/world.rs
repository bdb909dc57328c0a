//! A small database that reports its commits as change sets, for the tests of live queries.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::hash::Cells;
use landfall_core::predicate::SqlFunction;
use landfall_core::schema::ddl::{Place, RECURSIVE_TRIGGERS};
use landfall_core::schema::{Column, Schema, Table};
use landfall_core::value::SqliteValue;
use landfall_core::{ColumnType, RowKey, Value};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value as Bound;
use rusqlite::{Connection, params_from_iter};

use crate::changes::ChangeSet;
use crate::live::cells::{stored, to_bind, typed};
use crate::live::{LiveQueries, LiveQuery, Notified, QueryId, Recorder, Row, Watched};

fn column(name: &str, ty: ColumnType) -> Column {
    Column::plain(name, ty)
}

fn table(name: &str, columns: &[(&str, ColumnType)], key: &[&str], search: &[&str]) -> Table {
    let columns = columns.iter().map(|(name, ty)| column(name, *ty)).collect();
    Table {
        primary_key: key.iter().map(ToString::to_string).collect(),
        search: search.iter().map(ToString::to_string).collect(),
        ..Table::plain(name, columns)
    }
}

/// Notes with a search table, tags by a natural key of two columns.
pub fn schema() -> Schema {
    use ColumnType::{Boolean, Decimal, Float, Integer, Text};
    let notes = [
        ("id", Integer),
        ("title", Text),
        ("body", Text),
        ("stars", Integer),
        ("price", Decimal(2)),
        ("weight", Float),
        ("done", Boolean),
    ];
    let tags = [("note", Integer), ("name", Text), ("stars", Integer)];
    Schema {
        name: "test".into(),
        version: 1,
        tables: vec![table("notes", &notes, &["id"], &["title", "body"]), table("tags", &tags, &["note", "name"], &[])],
        shapes: Vec::new(),
        actions: Vec::new(),
        cache: landfall_core::schema::Caching::default(),
        outbox: Default::default(),
        tombstones_ms: None,
    }
}

fn register(conn: &Connection, function: &'static SqlFunction) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let call = |context: &Context<'_>| {
        let args: Vec<SqliteValue> = (0..context.len()).map(|i| stored(context.get_raw(i))).collect();
        match (function.call)(&args).map_err(|e| rusqlite::Error::UserFunctionError(e.into()))? {
            SqliteValue::Null => Ok(Bound::Null),
            SqliteValue::Integer(v) => Ok(Bound::Integer(v)),
            SqliteValue::Real(v) => Ok(Bound::Real(v)),
            SqliteValue::Text(v) => Ok(Bound::Text(v)),
            SqliteValue::Blob(v) => Ok(Bound::Blob(v)),
        }
    };
    conn.create_scalar_function(function.name, function.arity, flags, call).expect("a function can be registered");
}

/// One database with its live queries, and what their answers are when all differences are applied.
pub struct World {
    pub schema: Schema,
    pub conn: Connection,
    pub live: LiveQueries,
    pub recorder: Recorder,
    pub answers: BTreeMap<QueryId, Vec<Row>>,
}

impl World {
    pub fn new() -> Self {
        let mut conn = Connection::open_in_memory().expect("SQLite opens in memory");
        let schema = schema();
        conn.execute_batch(RECURSIVE_TRIGGERS).expect("the pragma is known");
        for sql in schema.create_sql(Place::Device) {
            conn.execute_batch(&sql).expect("the schema's own SQL is valid");
        }
        for function in landfall_core::predicate::functions() {
            register(&conn, function);
        }
        let recorder = Recorder::default();
        recorder.install(&mut conn).expect("the hook can be set");
        let live = LiveQueries::new(recorder.clone());
        Self { schema, conn, live, recorder, answers: BTreeMap::new() }
    }

    pub fn watch(&mut self, query: LiveQuery) -> Watched {
        let watched = self.live.watch(&self.conn, &self.schema, query, &|_| true).expect("the query is valid");
        self.answers.insert(watched.id, watched.rows.clone());
        watched
    }

    pub fn sql(&mut self, sql: &str, params: &[Value]) -> QueryId {
        self.watch(LiveQuery::Sql { sql: sql.into(), params: params.to_vec(), key: None }).id
    }

    /// Writes one row as a whole, or takes it away, in a transaction of its own kind.
    pub fn put(&self, table: &str, key: &RowKey, row: Option<&Cells>, changes: &mut ChangeSet) {
        let table = self.schema.table(table).expect("the tests name tables that exist");
        let before = self.row(table, key);
        let names: Vec<&str> = table.primary_key.iter().map(String::as_str).collect();
        let test = names.iter().map(|n| format!("\"{n}\" = ?")).collect::<Vec<_>>().join(" AND ");
        let run = |sql: String, binds: Vec<&Value>| {
            let binds = params_from_iter(binds.into_iter().map(to_bind));
            self.conn.execute(&sql, binds).expect("the row can be written");
        };
        match (&before, row) {
            (None, None) => {}
            (Some(_), None) => run(format!("DELETE FROM {} WHERE {test}", table.name), key.0.iter().collect()),
            (Some(_), Some(row)) => {
                let set = row.keys().map(|c| format!("\"{c}\" = ?")).collect::<Vec<_>>().join(", ");
                let binds = row.values().chain(&key.0).collect();
                run(format!("UPDATE {} SET {set} WHERE {test}", table.name), binds);
            }
            (None, Some(row)) => {
                let cells: Cells = table.key_cells(key).into_iter().chain(row.clone()).collect();
                let columns = cells.keys().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(", ");
                let marks = vec!["?"; cells.len()].join(", ");
                let sql = format!("INSERT INTO {} ({columns}) VALUES ({marks})", table.name);
                run(sql, cells.values().collect());
            }
        }
        let after = self.row(table, key);
        if before != after {
            changes.record(&table.name, key.clone(), before, after);
        }
    }

    pub fn row(&self, table: &Table, key: &RowKey) -> Option<Cells> {
        let test = table.primary_key.iter().map(|n| format!("\"{n}\" = ?")).collect::<Vec<_>>().join(" AND ");
        let sql = format!("SELECT * FROM {} WHERE {test}", table.name);
        let mut statement = self.conn.prepare(&sql).expect("the table exists");
        let mut rows = statement.query(params_from_iter(key.0.iter().map(to_bind))).expect("it can be read");
        let row = rows.next().expect("it can be read")?;
        let cell = |(i, c): (usize, &Column)| {
            let value = typed(row.get_ref(i).expect("a column"), c.ty).expect("a value of the column's type");
            (c.name.clone(), value)
        };
        Some(table.columns.iter().enumerate().map(cell).collect())
    }

    /// Announces a commit, applies the differences, and gives the queries that were told something.
    pub fn notify(&mut self, changes: &ChangeSet) -> BTreeSet<QueryId> {
        let Notified { diffs, failed } = self.live.notify(&self.conn, changes, &|_| true);
        assert!(failed.is_empty(), "queries failed: {failed:?}");
        let mut told = BTreeSet::new();
        for (id, diff) in diffs {
            let rows = self.answers.get_mut(&id).expect("a watched query");
            let old = rows.clone();
            diff.apply(rows);
            assert_ne!(&old, rows, "a difference that changes nothing was delivered");
            assert!(told.insert(id), "a query was told twice of one commit");
        }
        told
    }

    /// Runs `sql` as one commit that changes the row of `table` with this key.
    pub fn write(&mut self, table: &str, key: &[Value], row: Option<&[(&str, Value)]>) -> BTreeSet<QueryId> {
        let cells: Option<Cells> = row.map(|r| r.iter().map(|(n, v)| (n.to_string(), v.clone())).collect());
        let mut changes = ChangeSet::default();
        self.put(table, &RowKey(key.to_vec()), cells.as_ref(), &mut changes);
        self.notify(&changes)
    }
}
