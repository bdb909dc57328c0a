//! SQLite passes the contract; and what is SQLite's own: opening, refusing, upgrading.

use landfall_core::schema::Schema;

use super::{SqliteOptions, SqliteStore};
use crate::actions::Actions;
use crate::store::contract::{self, Backend, store_contract};
use crate::store::{Store, StoreError};

struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    fn options(&self) -> SqliteOptions {
        SqliteOptions::path(self.0.path().join("server.db"))
    }

    fn try_open(&self, schema: &Schema) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(self.options(), schema.clone(), contract::fresh(), contract::NOW)
    }

    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.0.path().join("server.db")).unwrap()
    }
}

impl Backend for SqliteFile {
    fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, schema: &Schema) -> Box<dyn Store> {
        Box::new(self.try_open(schema).unwrap())
    }

    fn open_with(&self, schema: &Schema, actions: Actions) -> Box<dyn Store> {
        Box::new(self.try_open(schema).unwrap().with_actions(actions))
    }

    fn outside(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap();
    }

    fn forbid(&self, table: &str, column: &str, text: &str) {
        for (name, event) in [("house_insert", "INSERT"), ("house_update", "UPDATE")] {
            self.outside(&format!(
                "CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN new.{column} = '{text}'
                 BEGIN SELECT raise(ABORT, 'a rule of the house'); END"
            ));
        }
    }

    fn allow(&self, _: &str) {
        self.outside("DROP TRIGGER house_insert; DROP TRIGGER house_update");
    }
}

store_contract!(SqliteFile);

#[test]
fn a_second_server_is_turned_away_until_the_first_ends() {
    let file = SqliteFile::fresh();
    let first = file.try_open(&contract::schema()).unwrap();
    assert!(matches!(file.try_open(&contract::schema()), Err(StoreError::InUse { .. })));
    drop(first);
    file.try_open(&contract::schema()).unwrap();
}

/// Opens, expects a refusal, and finds the file as it was.
fn refused(file: &SqliteFile, schema: &Schema) -> StoreError {
    let path = file.0.path().join("server.db");
    let before = std::fs::read(&path).unwrap();
    let Err(error) = file.try_open(schema) else {
        panic!("it opened");
    };
    assert_eq!(std::fs::read(&path).unwrap(), before, "the database was left untouched");
    error
}

#[test]
fn other_databases_are_refused_and_left_untouched() {
    let file = SqliteFile::fresh();
    file.outside("CREATE TABLE accounts (id INTEGER PRIMARY KEY); INSERT INTO accounts VALUES (1)");
    assert!(matches!(refused(&file, &contract::schema()), StoreError::OtherApp { .. }));

    let file = SqliteFile::fresh();
    drop(file.try_open(&contract::schema()).unwrap());
    let other = Schema { name: "other".into(), ..contract::schema() };
    assert!(matches!(refused(&file, &other), StoreError::OtherApp { found, .. } if found.contains("suite")));
    let older = Schema { version: 0, ..contract::schema() };
    assert!(matches!(refused(&file, &older), StoreError::NewerSchema { found: 1, given: 0, .. }));
    let mut incompatible = Schema { version: 2, ..contract::schema() };
    incompatible.tables[0].columns.retain(|c| c.name != "name");
    assert!(matches!(refused(&file, &incompatible), StoreError::Upgrade { from: 1, .. }));
    file.outside("PRAGMA user_version = 2");
    assert!(matches!(refused(&file, &contract::schema()), StoreError::NewerFormat { found: 2, .. }));

    let file = SqliteFile::fresh();
    std::fs::write(file.0.path().join("server.db"), "this is a letter to my aunt, not a database".repeat(200)).unwrap();
    assert!(matches!(refused(&file, &contract::schema()), StoreError::NotADatabase { .. }));
}

#[test]
fn a_missing_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere").join("server.db");
    let opened = SqliteStore::open(SqliteOptions::path(&path), contract::schema(), contract::fresh(), 0);
    let Err(error) = opened else { panic!("it opened") };
    assert!(matches!(&error, StoreError::CannotOpen { path: named, .. } if named.contains("nowhere")));
    assert_eq!(error.code(), crate::store::codes::CANNOT_OPEN);
}

#[test]
fn a_column_that_is_added_is_no_write_from_outside() {
    let file = SqliteFile::fresh();
    let mut ann = contract::Device::new(1, "ann");
    {
        let mut store = file.open(&contract::schema());
        let entry = ann.write(vec![contract::insert("lists", "a", &[])]);
        contract::accept(&mut *store, entry);
        let entry = ann.write(vec![contract::insert("lists", "b", &[])]);
        contract::accept(&mut *store, entry);
    }
    file.outside("UPDATE lists SET name = 'outside' WHERE id = 'b'");
    let mut wider = Schema { version: 2, ..contract::schema() };
    let mut column = wider.tables[0].columns[1].clone();
    column.name = "colour".into();
    column.required = false;
    column.default = Some(landfall_core::schema::Default::Value(contract::text("red")));
    wider.tables[0].columns.push(column);
    let mut store = file.open(&wider);
    assert_eq!(store.head().seq, 3, "only what another program wrote");
    let lists = contract::bucket(&mut *store, "lists", &[]);
    let rows = contract::query(&*store.reader().unwrap(), &lists);
    assert_eq!(rows[&contract::key("a")], [contract::text("list"), contract::text("red")]);
    assert_eq!(rows[&contract::key("b")], [contract::text("outside"), contract::text("red")]);
}

/// P9: what comes back was not there when the column was added.
#[test]
fn a_row_that_comes_back_has_the_column_that_was_added_since() {
    let file = SqliteFile::fresh();
    let (mut ann, mut bob) = (contract::Device::new(1, "ann"), contract::Device::new(2, "bob"));
    {
        let mut store = file.open(&contract::schema());
        contract::accept(&mut *store, ann.write(vec![contract::insert("lists", "a", &[])]));
        contract::accept(&mut *store, ann.write(vec![contract::delete("lists", "a", 1)]));
    }
    let mut wider = Schema { version: 2, ..contract::schema() };
    let mut column = wider.tables[0].columns[1].clone();
    column.name = "colour".into();
    column.required = false;
    column.default = Some(landfall_core::schema::Default::Value(contract::text("red")));
    wider.tables[0].columns.push(column);
    let mut store = file.open(&wider);
    let renamed = bob.write(vec![contract::update("lists", "a", 1, &[("name", contract::text("again"))])]);
    contract::accept(&mut *store, renamed);
    let lists = contract::bucket(&mut *store, "lists", &[]);
    let rows = contract::query(&*store.reader().unwrap(), &lists);
    assert_eq!(rows[&contract::key("a")], [contract::text("again"), contract::text("red")]);
    drop(store);
    assert_eq!(file.open(&wider).head().seq, 3, "nobody wrote behind the store's back");
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on() {
    let file = SqliteFile::fresh();
    let mut store = file.try_open(&contract::schema()).unwrap();
    let mut ann = contract::Device::new(1, "ann");
    let entry = ann.write(vec![contract::insert("lists", "a", &[])]);
    contract::accept(&mut store, entry);
    store.limit_pages(Some(1));
    let big = contract::text(&"x".repeat(1 << 20));
    let small = ann.write(vec![contract::insert("lists", "b", &[])]);
    let large = ann.write(vec![contract::insert("lists", "c", &[("name", big)])]);
    let group = [small, large];
    let error = store.commit_group(&group, usize::MAX, contract::NOW).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    assert_eq!(store.head().seq, 1);
    store.limit_pages(None);
    let done = contract::commit(&mut store, &group);
    assert_eq!(done.outcomes.iter().map(contract::accepted).collect::<Vec<_>>(), [2, 3]);
}

/// A server that went back to an old copy gives other numbers to the buckets that it makes from then on: else a device,
/// whose cursor is older than the copy, would take one bucket for the other (simulator seed 955).
#[test]
fn two_copies_of_a_store_never_give_one_number_to_two_buckets() {
    let (file, copy) = (SqliteFile::fresh(), SqliteFile::fresh());
    drop(file.try_open(&contract::schema()).unwrap());
    std::fs::copy(file.0.path().join("server.db"), copy.0.path().join("server.db")).unwrap();
    let mut first = file.try_open(&contract::schema()).unwrap();
    let seed = crate::store::Fresh { seed: [8; 32], ..contract::fresh() };
    let mut second = SqliteStore::open(copy.options(), contract::schema(), seed, contract::NOW).unwrap();
    let a = contract::bucket(&mut first, "lists", &[]);
    let b = contract::bucket(&mut second, "items", &[]);
    assert_ne!(a.id, b.id);
    assert!(a.id.0.max(b.id.0) < 1 << 53, "exact in JSON readers too");
}

#[test]
fn one_connection_is_enough_in_exclusive_mode() {
    let file = SqliteFile::fresh();
    let options = SqliteOptions { exclusive: true, ..file.options() };
    let open = || SqliteStore::open(options.clone(), contract::schema(), contract::fresh(), contract::NOW).unwrap();
    let mut store = open();
    let lists = contract::bucket(&mut store, "lists", &[]);
    let reader = store.reader().unwrap();
    let mut ann = contract::Device::new(1, "ann");
    let entry = ann.write(vec![contract::insert("lists", "a", &[])]);
    contract::accept(&mut store, entry);
    assert_eq!(contract::query(&*reader, &lists).len(), 1);
    assert!(!file.0.path().join("server.db-shm").exists());
    drop((store, reader));
    // The file is in WAL mode now. Opening it again needs no shared memory either.
    assert_eq!(open().head().seq, 1);
    assert!(!file.0.path().join("server.db-shm").exists());
}

/// A database does not grow with what was ever deleted in it; each step is bounded, but for what one delete took along.
#[test]
fn deleted_rows_are_forgotten_in_steps() {
    use landfall_core::{Operation, RowKey, Value};
    let file = SqliteFile::fresh();
    let schema = Schema { tombstones_ms: Some(1_000), ..contract::schema() };
    let mut store = file.try_open(&schema).unwrap();
    let mut ann = contract::Device::new(1, "ann");
    let of = |n: i64| ("lists".to_owned(), RowKey::single(Value::Text(n.to_string())));
    let add = |(table, key): (String, RowKey)| Operation::Insert { table, key, base: 0, cells: Vec::new() };
    let remove = |(table, key): (String, RowKey)| Operation::Delete { table, key, base: contract::SEEN };
    contract::accept(&mut store, ann.write((0..1_300).map(|n| add(of(n))).collect()));
    for n in 0..3 {
        let deletes = (n * 400..(n + 1) * 400).map(|n| remove(of(n))).collect();
        contract::accept(&mut store, ann.write(deletes));
    }
    let remembered = || {
        let count = "SELECT count(*) FROM _landfall_rows WHERE hash IS NULL";
        file.sql().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut left = Vec::new();
    let mut forget = |store: &mut SqliteStore, now_ms: u64| {
        left.clear();
        while !store.forget_history(now_ms).unwrap().done {
            left.push(remembered());
        }
        left.push(remembered());
        left.clone()
    };
    assert_eq!(forget(&mut store, contract::NOW + 1_000), [1_200, 1_200], "not yet");
    assert_eq!(forget(&mut store, contract::NOW + 1_001), [1_200, 400, 0]);
    assert_eq!(forget(&mut store, contract::NOW + 1_001), [0, 0], "and nothing is left to do");
    drop(store);
    assert_eq!(file.try_open(&schema).unwrap().head().seq, 4, "what is forgotten is nobody's write");
}
