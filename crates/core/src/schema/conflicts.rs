//! The conflicts of a table: a table of its own, `<table>_conflicts`, to which the server adds a row for each value that could
//! not be merged. A person resolves a conflict by deleting its row, with or without writing the cell.
//!
//! It is made by whoever reads `landfall.toml` when a column's merge rule may lead to conflicts (`manual`, `text`, `custom`), or a
//! delete against a concurrent update does (`on_delete_conflict = "manual"`); from there on
//! it is a table like any other, as a history is ([`super::history`]): shapes name it, it travels, and SQL reads it. Who may
//! read a row may read its conflicts, and who may change the row may resolve them. A row of it holds the *image* of the row
//! with the value that gave way in its place, and about the conflict the columns below.

use super::history::named;
use super::{Column, DeleteRule, Table};
use crate::error::{Problem, codes};
use crate::key::RowKey;
use crate::value::{ColumnType, Value};

/// A table holds the conflicts of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictsOf {
    /// The table whose conflicts they are.
    pub table: String,
    /// The primary key there: which columns of an image say whose it is.
    pub key: Vec<String>,
}

/// The key.
pub const CONFLICT_ID: &str = "conflict_id";
/// Which row: the same for all its conflicts.
pub const CONFLICT_ROW: &str = "conflict_row";
/// The column. Its value in the image is the one that gave way. NULL: it is about the row, which somebody has deleted.
pub const CONFLICT_COLUMN: &str = "conflict_column";
/// The sequence under which it gave way.
pub const CONFLICT_SEQ: &str = "conflict_seq";
/// When that was, by the server's clock.
pub const CONFLICT_AT: &str = "conflict_at";
/// When the value was written, by its author's clock as the server corrected it.
pub const CONFLICT_WRITTEN: &str = "conflict_written";
/// Who wrote it; NULL when the server does not know any more.
pub const CONFLICT_BY: &str = "conflict_by";
/// The replica that wrote it; NULL when another program wrote to the server's database.
pub const CONFLICT_DEVICE: &str = "conflict_device";
/// The value on which it was written, as JSON, where the rule knows it; otherwise NULL.
pub const CONFLICT_BASE: &str = "conflict_base";
/// How columns of conflicts begin: a table that may have some has none like it.
pub const CONFLICT_PREFIX: &str = "conflict_";

/// The names of the columns about the conflict, in order, with their types.
pub const CONFLICT_COLUMNS: [(&str, ColumnType); 9] = [
    (CONFLICT_ID, ColumnType::Uuid),
    (CONFLICT_ROW, ColumnType::Uuid),
    (CONFLICT_COLUMN, ColumnType::Text),
    (CONFLICT_SEQ, ColumnType::Integer),
    (CONFLICT_AT, ColumnType::Timestamp),
    (CONFLICT_WRITTEN, ColumnType::Timestamp),
    (CONFLICT_BY, ColumnType::Text),
    (CONFLICT_DEVICE, ColumnType::Uuid),
    (CONFLICT_BASE, ColumnType::Json),
];

impl Table {
    /// The name of the table of its conflicts.
    pub fn conflicts_table(&self) -> String {
        format!("{}_conflicts", self.name)
    }

    /// Whether the rule of one of its columns, or the one for deletes, may lead to conflicts.
    pub fn may_conflict(&self) -> bool {
        let of_rows = self.on_delete_conflict == DeleteRule::Manual;
        self.sync && (of_rows || self.columns.iter().any(|column| column.merge.may_conflict()))
    }

    /// The table of its conflicts, without the access rules.
    #[must_use]
    pub fn to_conflicts(&self) -> Self {
        let of_rows = self.on_delete_conflict == DeleteRule::Manual;
        let own = CONFLICT_COLUMNS.iter().map(|(name, ty)| Column {
            required: [CONFLICT_ID, CONFLICT_ROW, CONFLICT_SEQ].contains(name)
                || (*name == CONFLICT_COLUMN && !of_rows),
            assigned: *name != CONFLICT_ID,
            ..Column::plain(*name, *ty)
        });
        Self {
            primary_key: vec![CONFLICT_ID.to_owned()],
            conflicts_of: Some(ConflictsOf { table: self.name.clone(), key: self.primary_key.clone() }),
            ..Self::plain(self.conflicts_table(), own.chain(self.image_columns()).collect())
        }
    }

    /// Refuses to write conflicts by hand: they are deleted when they are resolved, and nothing else.
    ///
    /// # Errors
    /// LF-2010 when the table holds conflicts.
    pub(super) fn check_no_conflicts(&self, key: &RowKey) -> Result<(), Problem> {
        self.conflicts_of.as_ref().map_or(Ok(()), |of| {
            let message = format!(
                "only the server writes the conflicts of '{}'; resolve one: write to that table itself, and delete the conflict",
                of.table
            );
            Err(Problem::new(codes::SERVER_ASSIGNED, message).row(&self.name, key))
        })
    }
}

/// The value of `conflict_id`: the same whenever the same transaction meets the same value. Without a column it is about the row.
pub fn conflict_id(row: &Value, column: Option<&str>, transaction: &[u8]) -> Value {
    let Value::Uuid(row) = row else { return Value::Null };
    // No column has an empty name.
    named(&[row, column.unwrap_or_default().as_bytes(), transaction, b"conflict"])
}
