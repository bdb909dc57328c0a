//! Resolving conflicts: values that could not be merged wait in the table of conflicts for a person
//! ([`landfall_core::schema::conflicts`]).

use landfall_core::error::codes;
use landfall_core::schema::conflicts::CONFLICT_COLUMN;
use landfall_core::{Problem, RowKey, Value};

use super::error::DbError;
use super::write::WriteTx;

/// What becomes of a conflict.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// The row stays as it is.
    Keep,
    /// The value that gave way takes its place; of a delete that did: the row goes.
    Take,
    /// Something else does: what a person made of both, for this column, which is the conflict's.
    Write(String, Value),
}

impl WriteTx<'_> {
    /// Resolves a conflict of a row of `table`: writes the cell, unless it is kept as it is, and deletes the conflict, which
    /// ends it on every device. A write like any other: queued, merged, undone. Where somebody else resolves it at the same
    /// time to another value, that is merged as any two writes are; what both wrote is not lost. Whether there was such a
    /// conflict: one that is not there any more was resolved already.
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when the table has no conflicts; [`DbError::Invalid`] when the row is gone, or does not take
    /// the value; otherwise as [`WriteTx::execute`].
    pub fn resolve(&mut self, table: &str, conflict: &Value, with: &Resolution) -> Result<bool, DbError> {
        let of = &self.database().tables.get(table)?.table;
        let conflicts = of.conflicts_table();
        if !of.may_conflict() {
            return Err(DbError::UnknownName(format!("conflicts of '{table}': none of its merge rules leaves any")));
        }
        let names = of.primary_key.clone();
        let id = RowKey::single(conflict.clone());
        let Some(found) = self.row(&conflicts, &id)? else { return Ok(false) };
        let key = RowKey(names.iter().map(|name| found.get(name).cloned().unwrap_or_default()).collect());
        let Some(column) = found.get(CONFLICT_COLUMN).and_then(Value::as_text).map(str::to_owned) else {
            self.resolve_delete(table, &key, with)?;
            return self.delete(&conflicts, &id);
        };
        let value = match with {
            Resolution::Keep => None,
            Resolution::Take => found.get(&column).cloned(),
            Resolution::Write(named, value) if *named == column => Some(value.clone()),
            Resolution::Write(named, _) => {
                let text = format!("the conflict is about '{column}', and a value for '{named}' was given");
                return Err(DbError::Invalid(Problem::new(codes::WRONG_TYPE, text).row(table, &key).column(named)));
            }
        };
        if let Some(value) = value {
            if self.row(table, &key)?.is_none() {
                let text = "the row was deleted meanwhile; make it again from the conflict, which is the row as it was";
                return Err(DbError::Invalid(Problem::new(codes::ROW_GONE, text).row(table, &key)));
            }
            self.update(table, &key, &[(column.as_str(), value)])?;
        }
        self.delete(&conflicts, &id)
    }

    /// Of a row that one person has deleted while another one changed it: it stays, or goes.
    fn resolve_delete(&mut self, table: &str, key: &RowKey, with: &Resolution) -> Result<(), DbError> {
        match with {
            Resolution::Keep => Ok(()),
            Resolution::Take => self.delete(table, key).map(|_| ()),
            Resolution::Write(named, _) => {
                let text = format!(
                    "the conflict is about the whole row, and a value for '{named}' was given; keep the row, or take the delete"
                );
                Err(DbError::Invalid(Problem::new(codes::WRONG_TYPE, text).row(table, key).column(named)))
            }
        }
    }
}
