//! Validation: the same checks with the same messages on the device and on the server.

use super::{Column, Schema, Table};
use crate::error::{Problem, codes};
use crate::flat::FlatSet;
use crate::hash::Cells;
use crate::key::RowKey;
use crate::txn::{Action, CellWrite, Change, Operation, Transaction};
use crate::value::{ColumnType, Value};
use crate::wide::WideSet;

/// Most operations of one transaction.
pub const MAX_OPERATIONS: usize = 10_000;
/// Most bytes of one value. Larger things are files.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// Most bytes of all values of one transaction. A Live message carries whole transactions, once for each bucket of the
/// device that they reach: four times this, with keys and names, must fit a frame.
pub const MAX_TRANSACTION_BYTES: usize = 5 << 20;

/// Most bytes of all parts of a key together: keys are stored with every row's bookkeeping and in every index.
pub const MAX_KEY_BYTES: usize = 1_024;

/// Limits on one transaction.
#[derive(Clone, Copy, Debug)]
pub struct TransactionLimits {
    /// Most operations.
    pub operations: usize,
    /// Most bytes of one value.
    pub value_bytes: usize,
    /// Most bytes of all values together.
    pub total_bytes: usize,
}

impl std::default::Default for TransactionLimits {
    fn default() -> Self {
        Self { operations: MAX_OPERATIONS, value_bytes: MAX_VALUE_BYTES, total_bytes: MAX_TRANSACTION_BYTES }
    }
}

impl Column {
    /// What is wrong with `value` in this column; `None` when nothing is.
    pub fn check(&self, value: &Value) -> Option<Problem> {
        let problem = |code, message: String| Some(Problem::new(code, message).column(&self.name));
        if value.is_null() {
            if !self.required {
                return None;
            }
            return problem(codes::REQUIRED, "a value is required; give one, or declare a default".into());
        }
        if let Some(problem) = self.check_type(value) {
            return Some(problem);
        }
        if let Some(flaw) = self.merge.flaw(value) {
            return problem(codes::WRONG_TYPE, format!("the value is {flaw}; correct it"));
        }
        if let Some(max) = self.max_length {
            let length = length(value);
            if length > max as usize {
                let unit = if self.ty == ColumnType::Bytes { "bytes" } else { "characters" };
                return problem(codes::TOO_LONG, format!("{length} {unit}, at most {max} are allowed; shorten it"));
            }
        }
        if let (Some(pattern), Value::Text(text)) = (&self.pattern, value)
            && !pattern.matches(text)
        {
            return problem(codes::PATTERN, format!("the text does not match the pattern {pattern}"));
        }
        if let Some(min) = self.min.as_ref().filter(|min| value < *min) {
            return problem(codes::OUT_OF_RANGE, format!("{} is below the minimum {}", show(value), show(min)));
        }
        if let Some(max) = self.max.as_ref().filter(|max| value > *max) {
            return problem(codes::OUT_OF_RANGE, format!("{} is above the maximum {}", show(value), show(max)));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(value) {
            let allowed = self.one_of.iter().map(show).collect::<Vec<_>>().join(", ");
            return problem(codes::NOT_ONE_OF, format!("{} is not one of {allowed}", show(value)));
        }
        None
    }

    /// What is wrong with `value` as one of the column's type, whatever else the column asks of it.
    fn check_type(&self, value: &Value) -> Option<Problem> {
        let problem = |code, message: String| Some(Problem::new(code, message).column(&self.name));
        if !value.fits(self.ty) {
            let found = value.type_of().map_or_else(|| "null".to_owned(), |t| t.to_string());
            return problem(codes::WRONG_TYPE, format!("the column is of type {}, the value is {found}", self.ty));
        }
        let flaw = value.flaw()?;
        let is_time = matches!(value, Value::Date(_) | Value::Timestamp(_));
        let code = if is_time { codes::OUT_OF_RANGE } else { codes::WRONG_TYPE };
        problem(code, format!("the value is {flaw}; correct it"))
    }
}

fn show(value: &Value) -> String {
    let text = value.to_json().to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.chars().count(),
        other => other.size(),
    }
}

impl Table {
    /// What is wrong with a row as a whole: each held column by itself. Columns that are not held are not judged.
    pub fn check_row(&self, cells: &Cells) -> Vec<Problem> {
        let about = |problem: Problem| match self.key_of(cells) {
            Some(key) => problem.row(&self.name, &key),
            None => Problem { table: Some(self.name.clone()), ..problem },
        };
        let held = self.columns.iter().filter_map(|c| cells.get(&c.name).and_then(|v| c.check(v)));
        held.map(about).collect()
    }

    /// What is wrong with a key.
    pub fn check_key(&self, key: &RowKey) -> Option<Problem> {
        if key.0.len() != self.primary_key.len() {
            let expected = self.primary_key.join(", ");
            return Some(
                Problem::new(codes::BAD_KEY, format!("the key has the columns {expected}")).row(&self.name, key),
            );
        }
        if key.0.iter().map(Value::size).sum::<usize>() > MAX_KEY_BYTES {
            // The key itself is not named: it may be of any length.
            let message = format!("the key is longer than {MAX_KEY_BYTES} bytes; make the text in it shorter");
            return Some(Problem { table: Some(self.name.clone()), ..Problem::new(codes::BAD_KEY, message) });
        }
        let wrong = self.key_columns().zip(&key.0).find_map(|(column, value)| {
            if value.is_null() {
                Some(Problem::new(codes::BAD_KEY, "a key column has no value"))
            } else {
                column.check(value)
            }
        });
        wrong.map(|p| p.row(&self.name, key))
    }
}

impl Schema {
    /// What is wrong with a transaction by itself, before any row is looked at: sizes, names, keys, types, and that
    /// each row occurs once.
    ///
    /// # Errors
    /// The first problem.
    pub fn check_transaction(&self, txn: &Transaction, limits: &TransactionLimits) -> Result<(), Problem> {
        let bad = |message: String| Problem::new(codes::BAD_TRANSACTION, message);
        if txn.operations.len() > limits.operations {
            return Err(bad(format!(
                "{} operations in one transaction, at most {} are allowed; write in several transactions",
                txn.operations.len(),
                limits.operations
            )));
        }
        if let Some(later) = txn.after.iter().chain(&txn.requires).find(|rseq| **rseq >= txn.rseq) {
            return Err(bad(format!("it is to follow transaction {later}, which is not older; name older ones only")));
        }
        if let Some(action) = &txn.action {
            self.check_action(action)?;
        }
        let mut seen = WideSet::default();
        for operation in &txn.operations {
            self.check_operation(operation, limits)?;
            self.check_assigned(operation)?;
            if !seen.insert((operation.table(), operation.key())) {
                return Err(bad("a row occurs twice in one transaction".into()).row(operation.table(), operation.key()));
            }
        }
        // Last: whoever has a single value that is too large cannot write it in several.
        if txn.size() > limits.total_bytes {
            return Err(bad(format!("the transaction is larger than {} bytes; write in several", limits.total_bytes)));
        }
        Ok(())
    }

    /// What is wrong with an action: its name, its arguments.
    ///
    /// # Errors
    /// The first problem.
    pub fn check_action(&self, action: &Action) -> Result<(), Problem> {
        let Some(known) = self.action(&action.name) else {
            let name: String = action.name.chars().take(63).collect();
            return Err(Problem::new(codes::UNKNOWN_NAME, format!("the schema has no action '{name}'")));
        };
        if let Some(name) = action.args.keys().find(|name| known.arg(name).is_none()) {
            let name: String = name.chars().take(63).collect();
            let message = format!("the action '{}' has no argument '{name}'", known.name);
            return Err(Problem::new(codes::UNKNOWN_NAME, message));
        }
        known.args.iter().try_for_each(|arg| {
            let problem = arg.check(action.args.get(&arg.name).unwrap_or(&Value::Null));
            problem.map_or(Ok(()), |problem| {
                let message = format!("argument '{}' of '{}': {}", arg.name, known.name, problem.message);
                Err(Problem { message, ..problem })
            })
        })
    }

    /// Refuses a device's write to a column that only the server fills.
    fn check_assigned(&self, operation: &Operation) -> Result<(), Problem> {
        let Some(table) = self.table(operation.table()) else { return Ok(()) };
        let wrong = operation.cells().iter().find(|write| table.column(&write.column).is_some_and(|c| c.assigned));
        wrong.map_or(Ok(()), |write| {
            let message = "only the server fills this column; leave it out, it is NULL until then";
            let problem = Problem::new(codes::SERVER_ASSIGNED, message);
            Err(problem.row(operation.table(), operation.key()).column(&write.column))
        })
    }

    /// What is wrong with one operation by itself. Who may write what is not looked at.
    ///
    /// # Errors
    /// The first problem.
    pub fn check_operation(&self, operation: &Operation, limits: &TransactionLimits) -> Result<(), Problem> {
        let (name, key) = (operation.table(), operation.key());
        let Some(table) = self.table(name).filter(|t| t.sync) else {
            return Err(Problem::new(codes::UNKNOWN_NAME, format!("the schema has no synced table '{name}'")));
        };
        table.check_no_history(key)?;
        table.check_is_update(operation)?;
        table.check_is_version(operation)?;
        if !matches!(operation, Operation::Delete { .. }) {
            table.check_no_conflicts(key)?;
        }
        if let Some(problem) = table.check_key(key) {
            return Err(problem);
        }
        let mut columns = FlatSet::new();
        for write in operation.cells() {
            if !columns.insert(write.column.as_str()) {
                let message = "a column occurs twice in one operation; write its last value only";
                return Err(Problem::new(codes::BAD_TRANSACTION, message).row(name, key).column(&write.column));
            }
            let column = table.column(&write.column).filter(|_| !table.is_key(&write.column)).ok_or_else(|| {
                Problem::new(codes::UNKNOWN_NAME, format!("'{}' is not a column that can be written", write.column))
                    .row(name, key)
            })?;
            if write.value.size() > limits.value_bytes {
                let message = format!("a value of more than {} bytes; store it as a file", limits.value_bytes);
                return Err(Problem::new(codes::TOO_LONG, message).row(name, key).column(&column.name));
            }
            check_change(column, write).map_err(|problem| problem.row(name, key))?;
        }
        Ok(())
    }
}

/// A change has an operand of the column's type, whatever the column allows its value to be.
fn check_change(column: &Column, write: &CellWrite) -> Result<(), Problem> {
    let problem = match write.change {
        None => column.check(&write.value),
        Some(_) if write.value.is_null() => {
            Some(Problem::new(codes::REQUIRED, "a change has a value; leave the column out").column(&column.name))
        }
        Some(Change::Edit) if column.merge.change() == Some(Change::Edit) => {
            let flaw = column.merge.flaw_of_change(&write.value);
            flaw.map(|flaw| Problem::new(codes::WRONG_TYPE, format!("the value is {flaw}")).column(&column.name))
        }
        Some(change) if column.merge.change() == Some(change) => column.check_type(&write.value),
        Some(_) => {
            let text = format!("a column whose merge rule is `{}` is not changed like that", column.merge.name());
            Some(Problem::new(codes::BAD_TRANSACTION, text).column(&column.name))
        }
    };
    problem.map_or(Ok(()), Err)
}
