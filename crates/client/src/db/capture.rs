//! The pre-update hook: it only marks which rows a transaction touched and what they were before. What changed is
//! found out by reading those rows again before COMMIT, so that statements that failed or were rolled back to a
//! savepoint, `INSERT OR REPLACE` and triggers leave no phantoms.

use landfall_core::value::SqliteValue;
use rusqlite::Connection;
use rusqlite::hooks::{Action, PreUpdateCase};

use super::error::DbError;
use super::hooks::{Inner, Shared};
use super::tables::{AppTable, stored};

/// Puts the hook in place, or takes it away.
pub(super) fn install(conn: &mut Connection, shared: &Shared, on: bool) -> rusqlite::Result<()> {
    if !on {
        return conn.preupdate_hook(None::<fn(Action, &str, &str, &PreUpdateCase)>);
    }
    let state = shared.clone();
    conn.preupdate_hook(Some(move |_: Action, database: &str, table: &str, case: &PreUpdateCase| {
        if database == "main" {
            note(&mut state.lock(), table, case);
        }
    }))
}

type Row = Vec<SqliteValue>;

fn note(inner: &mut Inner, table: &str, case: &PreUpdateCase) {
    let Some(position) = inner.tables.position(table) else { return };
    let Some(app) = inner.tables.list.get(position) else { return };
    if inner.local_only && app.table.sync {
        return;
    }
    let Some(marks) = inner.marks.as_mut() else { return };
    let old = |at: usize| match case {
        PreUpdateCase::Delete(values) => values.get_old_column_value(at as i32).ok().map(stored),
        PreUpdateCase::Update { old_value_accessor: values, .. } => {
            values.get_old_column_value(at as i32).ok().map(stored)
        }
        _ => None,
    };
    let new = |at: usize| match case {
        PreUpdateCase::Insert(values) => values.get_new_column_value(at as i32).ok().map(stored),
        PreUpdateCase::Update { new_value_accessor: values, .. } => {
            values.get_new_column_value(at as i32).ok().map(stored)
        }
        _ => None,
    };
    let whole = || (0..app.table.columns.len()).map(old).collect::<Option<Row>>();
    let key = |read: &dyn Fn(usize) -> Option<SqliteValue>| app.key.iter().map(|at| read(*at)).collect::<Option<Row>>();
    let before = mark(marks, app, position, key(&old), whole);
    let after = mark(marks, app, position, key(&new), || None);
    if let (Some(before), Some(after)) = (before, after)
        && before != after
    {
        marks.rekeyed.push((position, before, after));
    }
}

fn mark(
    marks: &mut super::hooks::Marks,
    app: &AppTable,
    position: usize,
    key: Option<Row>,
    before: impl FnOnce() -> Option<Row>,
) -> Option<landfall_core::RowKey> {
    let stored_key = key?;
    match app.row_key(stored_key.clone()) {
        Ok(key) => {
            marks.add(position, &key, before);
            Some(key)
        }
        Err(error) => {
            let problem = match error {
                DbError::StoredForm { column, cause, .. } => (column, cause),
                other => (app.table.primary_key.join(", "), other.to_string()),
            };
            marks.bad_keys.push((position, stored_key, problem));
            None
        }
    }
}
