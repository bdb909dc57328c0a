//! Typed writes to columns that are changed in parts, or counted: what travels is what was done.

use landfall_core::error::codes;
use landfall_core::{Change, Problem, RowKey, Value};
use serde_json::{Value as Json, json};

use super::error::DbError;
use super::write::WriteTx;

impl WriteTx<'_> {
    /// Adds to a counter (`merge = "counter"`), or takes from it with a negative number; whether there was such a row. What
    /// travels is what was added: increments of different devices all count, each exactly once. `SET likes = likes + 1` in
    /// SQL is the same.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when the column is no counter, `by` is no number of its type, or the sum is beyond what can be
    /// stored or what the column allows; otherwise as [`WriteTx::execute`].
    pub fn add(&mut self, table: &str, key: &RowKey, column: &str, by: &Value) -> Result<bool, DbError> {
        // What is added need not be a value that the column allows.
        let app = self.check(table, &[(column, Value::Null)])?;
        let invalid = |code, text: String| Problem::new(code, text).row(table, key).column(column);
        let rule = app.table.rule(column);
        if rule.change() != Some(Change::Add) {
            let text = format!("it is no counter but merged by `{}`; declare it with merge = \"counter\"", rule.name());
            return Err(DbError::Invalid(invalid(codes::WRONG_TYPE, text)));
        }
        let Some(row) = self.row(table, key)? else { return Ok(false) };
        let sum = rule.applied(row.get(column).unwrap_or(&Value::Null), by).ok_or_else(|| {
            let text = "what is added must be a number of the column's type, and the sum one that can be stored";
            DbError::Invalid(invalid(codes::OUT_OF_RANGE, text.to_owned()))
        })?;
        // Of a counter that is not held here only a part is known, and whether the sum is allowed only to the server.
        self.replaying(|tx| tx.update(table, key, &[(column, sum)]))
    }

    /// Changes parts of a set (`merge = "set"`) or a map (`merge = "map"`); whether there was such a row. `change` is JSON, in the
    /// rule's own form: `{"add": [element…], "remove": [element…]}` of a set, `{"set": {path: value…}, "cut": [path…]}` of a
    /// map, whose paths are JSON pointers, with all that is below them. What travels is what that does to the value that is
    /// seen; parts that somebody else changes meanwhile stay as they are. Any other write of the column, in SQL too, counts as
    /// the difference to what was seen.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when the column has no such rule, `change` is none of it, or the outcome is too large; otherwise
    /// as [`WriteTx::execute`].
    pub fn change(&mut self, table: &str, key: &RowKey, column: &str, change: &Value) -> Result<bool, DbError> {
        let app = self.check(table, &[(column, Value::Null)])?;
        let invalid =
            |text: String| DbError::Invalid(Problem::new(codes::WRONG_TYPE, text).row(table, key).column(column));
        let rule = app.table.rule(column);
        if rule.change() != Some(Change::Edit) {
            let text =
                format!("it is merged by `{}`, which has no parts; declare merge = \"set\" or \"map\"", rule.name());
            return Err(invalid(text));
        }
        let Some(row) = self.row(table, key)? else { return Ok(false) };
        let after = rule.applied(row.get(column).unwrap_or(&Value::Null), change).ok_or_else(|| {
            invalid(format!("what is to be done to it is {}", rule.flaw_of_change(change).unwrap_or("no change")))
        })?;
        self.replaying(|tx| tx.update(table, key, &[(column, after)]))
    }

    /// Adds elements to a set: texts, numbers and booleans. Those that are there already stay as they are.
    ///
    /// # Errors
    /// As [`WriteTx::change`].
    pub fn add_to(&mut self, table: &str, key: &RowKey, column: &str, elements: &[Value]) -> Result<bool, DbError> {
        self.change(table, key, column, &Value::json(&json!({ "add": list(elements) })))
    }

    /// Removes elements from a set. One that somebody else adds meanwhile, and that was not seen here, survives.
    ///
    /// # Errors
    /// As [`WriteTx::change`].
    pub fn remove_from(
        &mut self,
        table: &str,
        key: &RowKey,
        column: &str,
        elements: &[Value],
    ) -> Result<bool, DbError> {
        self.change(table, key, column, &Value::json(&json!({ "remove": list(elements) })))
    }

    /// Sets what is at a path of a map, whatever was there and below it; objects on the way are made.
    ///
    /// # Errors
    /// As [`WriteTx::change`].
    pub fn put_at(
        &mut self,
        table: &str,
        key: &RowKey,
        column: &str,
        path: &[&str],
        value: &Json,
    ) -> Result<bool, DbError> {
        self.change(table, key, column, &Value::json(&json!({ "set": { pointer(path): value } })))
    }

    /// Removes what is at a path of a map, and all below it.
    ///
    /// # Errors
    /// As [`WriteTx::change`].
    pub fn cut_at(&mut self, table: &str, key: &RowKey, column: &str, path: &[&str]) -> Result<bool, DbError> {
        self.change(table, key, column, &Value::json(&json!({ "cut": [pointer(path)] })))
    }
}

fn list(elements: &[Value]) -> Vec<Json> {
    elements.iter().map(Value::to_json).collect()
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &[&str]) -> String {
    path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}
