//! Predicates against a real SQLite, and in [`postgres`] a real PostgreSQL: over random typed conditions and random rows,
//! the lowering selects exactly the rows for which the evaluator says true, and fails exactly when the evaluator fails.

mod cluster;
mod generate;
mod oracles;
mod postgres;

use generate::{Case, case, fallible};
use landfall_core::hash::Cells;
use landfall_core::predicate::{Dialect, Env, EvalError, Expr, Predicate, Truth, functions};
use landfall_core::value::{SqliteValue, Value};
use proptest::prelude::*;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{Connection, params_from_iter};

struct Bound(Value);

impl rusqlite::ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(owned(self.0.to_sqlite())))
    }
}

fn owned(value: SqliteValue) -> Owned {
    match value {
        SqliteValue::Null => Owned::Null,
        SqliteValue::Integer(v) => Owned::Integer(v),
        SqliteValue::Real(v) => Owned::Real(v),
        SqliteValue::Text(v) => Owned::Text(v),
        SqliteValue::Blob(v) => Owned::Blob(v),
    }
}

fn stored(value: ValueRef<'_>) -> SqliteValue {
    match value {
        ValueRef::Null => SqliteValue::Null,
        ValueRef::Integer(v) => SqliteValue::Integer(v),
        ValueRef::Real(v) => SqliteValue::Real(v),
        ValueRef::Text(v) => SqliteValue::Text(String::from_utf8_lossy(v).into_owned()),
        ValueRef::Blob(v) => SqliteValue::Blob(v.to_vec()),
    }
}

/// A database with the table of the generator, an index on every column, and the functions.
fn database() -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    for f in functions() {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        db.create_scalar_function(f.name, f.arity, flags, move |context| {
            let args: Vec<SqliteValue> = (0..context.len()).map(|i| stored(context.get_raw(i))).collect();
            (f.call)(&args).map(owned).map_err(|e| rusqlite::Error::UserFunctionError(e.into()))
        })?;
    }
    let table = generate::table();
    let columns: Vec<String> = table.columns.iter().map(|c| format!("\"{}\" {}", c.name, c.ty.sqlite_type())).collect();
    db.execute_batch(&format!("CREATE TABLE t (n INTEGER PRIMARY KEY, {}) STRICT", columns.join(", ")))?;
    for column in &table.columns {
        db.execute_batch(&format!("CREATE INDEX \"i_{0}\" ON t (\"{0}\")", column.name))?;
    }
    Ok(db)
}

/// The numbers of the rows that SQLite selects; `Err` when the statement fails.
fn selected(db: &Connection, source: &str, predicate: &Predicate, env: &Env) -> rusqlite::Result<Vec<u32>> {
    let fragment = predicate.to_sql(Some("x"), Dialect::Sqlite, env);
    let mut statement = db.prepare(&format!("SELECT n FROM t AS x {source} WHERE {} ORDER BY n", fragment.sql))?;
    let rows = statement.query_map(params_from_iter(fragment.binds.into_iter().map(Bound)), |row| row.get(0))?;
    rows.collect()
}

fn fill(db: &Connection, rows: &[Cells]) -> rusqlite::Result<()> {
    db.execute_batch("DELETE FROM t")?;
    for (n, row) in (0u32..).zip(rows) {
        let names: Vec<String> = row.keys().map(|k| format!(", \"{k}\"")).collect();
        let marks = ", ?".repeat(row.len());
        let values = row.values().cloned().map(Bound);
        db.execute(&format!("INSERT INTO t (n{}) VALUES ({n}{marks})", names.concat()), params_from_iter(values))?;
    }
    Ok(())
}

fn evaluated(predicate: &Predicate, rows: &[Cells], env: &Env) -> Result<Vec<u32>, EvalError> {
    let mut out = Vec::new();
    for (n, row) in (0u32..).zip(rows) {
        if predicate.matches(row, env)? {
            out.push(n);
        }
    }
    Ok(out)
}

fn checked(expr: &Expr) -> Result<Predicate, TestCaseError> {
    Predicate::check(expr.clone(), &generate::table(), &generate::params())
        .map_err(|problems| TestCaseError::fail(format!("{problems:?}")))
}

fn agree(db: &Connection, case: &Case) -> Result<(), TestCaseError> {
    let predicate = checked(&case.expr)?;
    fill(db, &case.rows).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let expected = evaluated(&predicate, &case.rows, &case.env);
    for source in ["", "NOT INDEXED"] {
        let found = selected(db, source, &predicate, &case.env);
        let sql = predicate.to_sql(Some("x"), Dialect::Sqlite, &case.env).sql;
        match (&expected, found) {
            (Ok(expected), Ok(found)) => prop_assert_eq!(expected, &found, "{} {}", source, sql),
            (Err(_), Err(rusqlite::Error::SqliteFailure(_, Some(message)))) => {
                let told = ["division by zero", "too large"].iter().any(|m| message.contains(m));
                prop_assert!(told, "another failure than the evaluator's: {} in {}", message, sql);
            }
            (expected, found) => prop_assert!(false, "{:?} against {:?}: {} {}", expected, found, source, sql),
        }
    }
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn sqlite_selects_what_the_evaluator_says() {
    let db = database().unwrap_or_else(|e| panic!("{e}"));
    proptest!(config(), |(case in case())| agree(&db, &case)?);
}

/// The same, over single operations on numbers, where the values that matter are few: around 2⁵³ and the limits.
#[test]
fn sqlite_selects_what_the_evaluator_says_of_numbers() {
    let db = database().unwrap_or_else(|e| panic!("{e}"));
    let config = ProptestConfig { cases: 3_000, ..config() };
    proptest!(config, |(case in generate::number_case())| agree(&db, &case)?);
}

/// A comparison of a column with a value of its type is answered by the column's index, also beside a guarded division.
#[test]
fn plain_comparisons_use_indexes() {
    let db = database().unwrap_or_else(|e| panic!("{e}"));
    let guarded = Expr::col("int1").eq(5).and((Expr::from(10) / Expr::col("int2")).gt(1));
    let conditions = [
        ("text1", Expr::col("text1").eq("a")),
        ("uuid1", Expr::col("uuid1").eq(Expr::param("uuid"))),
        ("dec1", Expr::col("dec1").ge(Value::Decimal(landfall_core::value::Decimal::new(15, 1)))),
        ("float1", Expr::col("float1").lt(3)),
        ("date1", Expr::col("date1").between("2026-01-01", "2026-12-31")),
        ("text1", Expr::col("text1").is_in(["a", "b"])),
        ("int1", guarded),
    ];
    for (column, expr) in conditions {
        let predicate = checked(&expr).unwrap_or_else(|e| panic!("{e}"));
        let sql = predicate.to_sql(Some("x"), Dialect::Sqlite, &Env::default()).sql;
        let plan: String = db
            .prepare(&format!("EXPLAIN QUERY PLAN SELECT n FROM t AS x WHERE {sql}"))
            .and_then(|mut s| {
                let binds = vec![rusqlite::types::Null; s.parameter_count()];
                s.query_row(params_from_iter(binds), |row| row.get(3))
            })
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(plan.starts_with("SEARCH") && plan.contains(&format!("i_{column}")), "{plan}: {sql}");
    }
}

/// Written and read back.
fn reread(predicate: &Predicate) -> Result<Predicate, TestCaseError> {
    let mut text = String::new();
    predicate.write_json(&mut text);
    let json = serde_json::from_str(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
    Predicate::read_json(&json).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(config())]

    /// Learning a column never changes what was certain without it.
    #[test]
    fn what_is_certain_without_a_column_stays_so(case in case(), held in prop::collection::vec(any::<bool>(), 24)) {
        let predicate = checked(&case.expr)?;
        // An error may appear with what is learnt.
        if fallible(predicate.expr()) {
            return Ok(());
        }
        for row in &case.rows {
            let part: Cells = row.iter().zip(&held).filter(|(_, h)| **h).map(|((k, v), _)| (k.clone(), v.clone())).collect();
            let (less, more) = (predicate.eval(&part, &case.env), predicate.eval(row, &case.env));
            prop_assert!(less == Ok(Truth::Unknown) || less == more, "{:?} became {:?}", less, more);
            prop_assert_ne!(more, Ok(Truth::Unknown));
        }
    }

    /// A predicate that was written and read back is the same, and so is one with its values filled in.
    #[test]
    fn serialised_and_bound_forms_mean_the_same(case in case()) {
        let predicate = checked(&case.expr)?;
        let read = reread(&predicate)?;
        prop_assert_eq!(&read, &predicate);
        let bound = predicate.bind(&case.env);
        let read = reread(&bound)?;
        prop_assert!(read.params().is_empty() && read.claims().is_empty());
        for row in &case.rows {
            prop_assert_eq!(read.eval(row, &Env::default()), predicate.eval(row, &case.env));
        }
    }

    /// A row that matches fulfils every equality that the predicate is indexed by.
    #[test]
    fn rows_that_match_fulfil_the_equalities(case in case()) {
        let predicate = checked(&case.expr)?;
        for row in &case.rows {
            if predicate.matches(row, &case.env) == Ok(true) {
                for (column, operand) in predicate.equality_operands() {
                    prop_assert_eq!(row.get(&column), Some(&operand.value(&case.env)));
                }
            }
        }
    }
}
