//! Predicates against a real PostgreSQL: the same conditions and rows as against SQLite, the same claim.

use std::error::Error;

use ::postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut};
use ::postgres::{Client, Transaction};
use landfall_core::hash::Cells;
use landfall_core::predicate::{Dialect, Env, Expr, Predicate, postgres_functions};
use landfall_core::value::{ColumnType, Value};
use proptest::prelude::*;

use crate::cluster::Cluster;
use crate::generate::{self, Case};
use crate::{checked, config, evaluated};

/// A value in its written form, which the server reads as the type that the statement gives it.
#[derive(Debug)]
struct Bound(Value);

impl ToSql for Bound {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let written = match &self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Text(text) => text.clone(),
            Value::Bytes(bytes) => {
                format!("\\x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            // Shortest digits that are this float again.
            Value::Float(float) => format!("{float:e}"),
            other => match other.to_json() {
                serde_json::Value::String(text) => text,
                json => json.to_string(),
            },
        };
        out.extend_from_slice(written.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    ::postgres::types::to_sql_checked!();
}

fn postgres_type(ty: ColumnType) -> String {
    match ty {
        ColumnType::Uuid => "uuid".into(),
        ColumnType::Text => "text".into(),
        ColumnType::Integer => "bigint".into(),
        ColumnType::Float => "double precision".into(),
        ColumnType::Decimal(scale) => format!("numeric(38, {scale})"),
        ColumnType::Boolean => "boolean".into(),
        ColumnType::Timestamp => "timestamptz".into(),
        ColumnType::Date => "date".into(),
        ColumnType::Json => "jsonb".into(),
        ColumnType::Bytes => "bytea".into(),
    }
}

fn prepare(db: &mut Client) -> Result<(), ::postgres::Error> {
    // Twice: whoever starts a newer version has the functions already.
    db.batch_execute(&postgres_functions())?;
    db.batch_execute(&postgres_functions())?;
    let table = generate::table();
    let columns: Vec<String> =
        table.columns.iter().map(|c| format!("\"{}\" {}", c.name, postgres_type(c.ty))).collect();
    db.batch_execute(&format!("CREATE TABLE t (n INTEGER PRIMARY KEY, {})", columns.join(", ")))?;
    for column in &table.columns {
        // Texts are looked for in the order of their bytes.
        let order = if column.ty == ColumnType::Text { " COLLATE \"C\"" } else { "" };
        db.batch_execute(&format!("CREATE INDEX \"i_{0}\" ON t (\"{0}\"{order})", column.name))?;
    }
    Ok(())
}

fn parameters(values: &[Bound]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn fill(db: &mut Transaction<'_>, rows: &[Cells]) -> Result<(), ::postgres::Error> {
    let columns = generate::table().columns;
    let names: Vec<String> = columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let mut values = Vec::new();
    let mut tuples = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        let mut tuple = n.to_string();
        for column in &columns {
            values.push(Bound(row.get(&column.name).cloned().unwrap_or_default()));
            tuple.push_str(&format!(", ${}::{}", values.len(), postgres_type(column.ty)));
        }
        tuples.push(format!("({tuple})"));
    }
    let sql = format!("INSERT INTO t (n, {}) VALUES {}", names.join(", "), tuples.join(", "));
    db.execute(&sql, &parameters(&values)).map(drop)
}

/// The numbers of the rows that PostgreSQL selects.
fn selected(db: &mut Transaction<'_>, predicate: &Predicate, case: &Case) -> Result<Vec<u32>, ::postgres::Error> {
    let fragment = predicate.to_sql(Some("x"), Dialect::Postgres, &case.env);
    let sql = format!("SELECT n FROM t AS x WHERE {} ORDER BY n", fragment.sql);
    let values: Vec<Bound> = fragment.binds.into_iter().map(Bound).collect();
    let rows = db.query(&sql, &parameters(&values))?;
    Ok(rows.iter().map(|row| u32::try_from(row.get::<_, i32>(0)).unwrap_or(u32::MAX)).collect())
}

/// The same case without U+0000, which no text of PostgreSQL holds.
fn storable(predicate: &Predicate, case: &Case) -> Result<(Predicate, Case), serde_json::Error> {
    let value = |value: &Value| match value {
        Value::Text(text) => Value::Text(text.replace('\0', "")),
        other => other.clone(),
    };
    let cells = |cells: &Cells| cells.iter().map(|(name, cell)| (name.clone(), value(cell))).collect();
    let mut text = String::new();
    predicate.write_json(&mut text);
    let json = serde_json::from_str(&text.replace("\\u0000", ""))?;
    let predicate = Predicate::read_json(&json).map_err(serde::de::Error::custom)?;
    let mut case = case.clone();
    case.rows = case.rows.iter().map(cells).collect();
    case.env.params.values_mut().chain(case.env.claims.values_mut()).for_each(|v| *v = value(v));
    Ok((predicate, case))
}

fn agree(db: &mut Client, case: &Case) -> Result<(), TestCaseError> {
    let told = |e: ::postgres::Error| TestCaseError::fail(format!("{e}: {:?}", e.as_db_error()));
    let predicate = checked(&case.expr)?;
    let (predicate, case) = &storable(&predicate, case).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let expected = evaluated(predicate, &case.rows, &case.env);
    for plan in ["enable_seqscan", "enable_indexscan"] {
        // Nothing of a case is left for the next.
        let mut transaction = db.transaction().map_err(told)?;
        fill(&mut transaction, &case.rows).map_err(told)?;
        transaction.batch_execute(&format!("SET LOCAL {plan} = off")).map_err(told)?;
        let found = selected(&mut transaction, predicate, case);
        let sql = predicate.to_sql(Some("x"), Dialect::Postgres, &case.env).sql;
        match (&expected, found) {
            (Ok(expected), Ok(found)) => prop_assert_eq!(expected, &found, "{} off: {}", plan, sql),
            (Err(_), Err(error)) => {
                let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                let known = matches!(code.as_str(), "22012" | "22003");
                prop_assert!(
                    known,
                    "another failure than the evaluator's: {} {:?} in {}",
                    error,
                    error.as_db_error(),
                    sql
                );
            }
            (expected, Err(error)) => {
                prop_assert!(false, "{:?} against {} {:?}: {}", expected, error, error.as_db_error(), sql);
            }
            (expected, found) => prop_assert!(false, "{:?} against {:?}: {} off: {}", expected, found, plan, sql),
        }
    }
    Ok(())
}

/// Every character that there is, folded by the database as by the device.
fn folds_alike(db: &mut Client) -> Result<(), TestCaseError> {
    let all: Vec<char> = ('\u{1}'..=char::MAX).collect();
    // Texts that an index takes, each of which has to be like itself in capitals.
    for part in all.chunks(600) {
        let text: String = part.iter().collect();
        let row = Cells::from_iter([("text1".to_owned(), Value::Text(text.clone()))]);
        let rows = vec![row];
        let pattern: String = text.chars().flat_map(pattern_of).collect();
        let expr = Expr::Like {
            expr: Box::new(Expr::col("text1")),
            pattern: Box::new(pattern.into()),
            escape: Some('\\'),
            fold: true,
        };
        let case = Case { expr, rows, env: Env::default() };
        prop_assert_eq!(evaluated(&checked(&case.expr)?, &case.rows, &case.env), Ok(vec![0]));
        agree(db, &case)?;
    }
    Ok(())
}

/// The pattern that only the character itself matches, in whatever case.
fn pattern_of(c: char) -> impl Iterator<Item = char> {
    matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([capital(c)])
}

/// The capital of a character that is folded back to it, where there is one.
fn capital(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) if one.to_lowercase().eq([c]) => one,
        _ => c,
    }
}

/// One test: the server is started once.
#[test]
fn postgresql_selects_what_the_evaluator_says() {
    let cluster = Cluster::start().unwrap_or_else(|e| panic!("{e}"));
    let mut db = cluster.connect().unwrap_or_else(|e| panic!("{e}"));
    prepare(&mut db).unwrap_or_else(|e| panic!("{e}: {:?}", e.as_db_error()));
    let db = std::cell::RefCell::new(db);
    proptest!(config(), |(case in generate::case())| agree(&mut db.borrow_mut(), &case)?);
    proptest!(config(), |(case in generate::number_case())| agree(&mut db.borrow_mut(), &case)?);
    folds_alike(&mut db.borrow_mut()).unwrap_or_else(|e| panic!("{e}"));
}
