//! The history of a table: a table of its own, `<table>_history`, to which the server adds a row for each change of a row.
//!
//! It is declared by `history = …` and made by whoever reads `landfall.toml`; from there on it is a table like any other:
//! it has the read rule of the table whose history it is, is named by shapes, travels, and is queried by SQL. Only
//! writing is the server's alone.
//!
//! A row of it holds the *image* of the row after the change (before it, for a delete) under the row's own column names,
//! and about the change the columns below. The rows of one row have one `change_row`; their order is `change_seq`.

use super::conflicts::{CONFLICT_ROW, ConflictsOf};
use super::{Column, Default, Table};
use crate::error::{Problem, codes};
use crate::gather::Gather as _;
use crate::hash::{Cells, hash128};
use crate::key::RowKey;
use crate::value::{ColumnType, Value};

/// A table keeps its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// So long the state of any moment is kept: what was replaced longer ago than this is forgotten. Milliseconds, a day to
    /// a hundred years; `None`: for good.
    pub keep_ms: Option<u64>,
}

/// A table is the history of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOf {
    /// The table whose history it is.
    pub table: String,
    /// The primary key there: which columns of an image say whose it is.
    pub key: Vec<String>,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is as it was when its history began: it was there before history was declared.
    Before,
    /// It was made.
    Insert,
    /// Some of its columns were changed.
    Update,
    /// It was deleted; the image is the last one.
    Delete,
    /// Nothing happened to it by this: others had written the same columns, or deleted it, and the row's rules were for them. The
    /// image is the row as it is after the transaction, but for the columns that are named: they are as they were written.
    Lost,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Before, Self::Insert, Self::Update, Self::Delete, Self::Lost];

    /// The value of `change_kind`.
    pub fn value(self) -> Value {
        Value::Text(self.name().to_owned())
    }

    /// Its name in `change_kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Lost => "lost",
        }
    }
}

/// The names of the columns about the change, in order, with their types.
pub const CHANGE_COLUMNS: [(&str, ColumnType); 10] = [
    (CHANGE_ID, ColumnType::Uuid),
    (CHANGE_ROW, ColumnType::Uuid),
    (CHANGE_SEQ, ColumnType::Integer),
    (CHANGE_AT, ColumnType::Timestamp),
    (CHANGE_WRITTEN, ColumnType::Timestamp),
    (CHANGE_BY, ColumnType::Text),
    (CHANGE_DEVICE, ColumnType::Uuid),
    (CHANGE_ACTION, ColumnType::Text),
    (CHANGE_KIND, ColumnType::Text),
    (CHANGE_COLUMNS_CHANGED, ColumnType::Json),
];
/// The key.
pub const CHANGE_ID: &str = "change_id";
/// Which row: the same for all its changes.
pub const CHANGE_ROW: &str = "change_row";
/// The sequence: the order of changes. 0 for [`ChangeKind::Before`].
pub const CHANGE_SEQ: &str = "change_seq";
/// When the server accepted it, by its clock. NULL for [`ChangeKind::Before`].
pub const CHANGE_AT: &str = "change_at";
/// When it was written, by its author's clock as the server corrected it.
pub const CHANGE_WRITTEN: &str = "change_written";
/// The subject; NULL when another program wrote to the server's database.
pub const CHANGE_BY: &str = "change_by";
/// The replica; NULL when another program wrote to the server's database.
pub const CHANGE_DEVICE: &str = "change_device";
/// The action that its transaction asked for, if any.
pub const CHANGE_ACTION: &str = "change_action";
/// [`ChangeKind::name`].
pub const CHANGE_KIND: &str = "change_kind";
/// For an update the names of the columns that changed, for what was lost of those that did not, as a JSON list; otherwise NULL.
pub const CHANGE_COLUMNS_CHANGED: &str = "change_columns";
/// How columns of a history begin: a table that keeps one has none like it.
pub const CHANGE_PREFIX: &str = "change_";

impl Table {
    /// The name of its history.
    pub fn history_table(&self) -> String {
        format!("{}_history", self.name)
    }

    /// The table of its history, without the access rules.
    #[must_use]
    pub fn to_history(&self) -> Self {
        let own = CHANGE_COLUMNS.iter().map(|(name, ty)| Column {
            required: [CHANGE_ID, CHANGE_ROW, CHANGE_SEQ, CHANGE_KIND].contains(name),
            one_of: if *name == CHANGE_KIND { ChangeKind::ALL.map(ChangeKind::value).to_vec() } else { Vec::new() },
            assigned: *name != CHANGE_ID,
            ..Column::plain(*name, *ty)
        });
        Self {
            primary_key: vec![CHANGE_ID.to_owned()],
            history_of: Some(HistoryOf { table: self.name.clone(), key: self.primary_key.clone() }),
            ..Self::plain(self.history_table(), own.chain(self.image_columns()).collect())
        }
    }

    /// The columns of a row's image, in a history or in a conflict.
    pub(super) fn image_columns(&self) -> impl Iterator<Item = Column> {
        // Its value is any that the row's own column ever had: its rules do not bind it.
        self.columns.iter().map(move |c| Column {
            default: constant(c),
            assigned: true,
            ..Column::plain(c.name.clone(), c.ty)
        })
    }

    /// Whether the server looks this column of a history up, or an app is likely to.
    pub(super) fn is_looked_up(&self, column: &str) -> bool {
        let named =
            |of: &HistoryOf| [CHANGE_ROW, CHANGE_SEQ].contains(&column) || of.key.first().is_some_and(|k| k == column);
        let of_conflicts = |of: &ConflictsOf| column == CONFLICT_ROW || of.key.first().is_some_and(|k| k == column);
        self.history_of.as_ref().is_some_and(named) || self.conflicts_of.as_ref().is_some_and(of_conflicts)
    }

    /// The columns of a column's index: itself, and in a history what else is asked for with it.
    pub(super) fn indexed_with<'a>(&'a self, column: &'a String) -> Vec<&'a String> {
        let named = |name: &str| self.columns.iter().map(|c| &c.name).filter(move |c| *c == name).collect::<Vec<_>>();
        match &self.history_of {
            Some(_) if column == CHANGE_ROW => [vec![column], named(CHANGE_SEQ)].concat(),
            Some(of) if of.key.first() == Some(column) => of.key.iter().collect(),
            _ => vec![column],
        }
    }

    /// Refuses a write to a history by anybody but the server.
    ///
    /// # Errors
    /// LF-2010 when the table is one.
    pub fn check_no_history(&self, key: &RowKey) -> Result<(), Problem> {
        self.history_of.as_ref().map_or(Ok(()), |of| {
            let message = format!("only the server writes the history of '{}'; write to that table itself", of.table);
            Err(Problem::new(codes::SERVER_ASSIGNED, message).row(&self.name, key))
        })
    }
}

/// What a column that is added is in older images: what it is in older rows, its constant default.
pub(super) fn constant(column: &Column) -> Option<Default> {
    column.default.clone().filter(|d| matches!(d, Default::Value(_)))
}

/// The value of `change_row` for a row: a name for its key, of one column and the same length for keys of every form.
pub fn change_row(table: &str, key: &RowKey) -> Value {
    named(&[table.as_bytes(), &key.to_bytes()])
}

/// The value of `change_id` for a change of a row: the same whenever the same transaction is carried out.
pub fn change_id(row: &Value, transaction: &[u8], kind: ChangeKind) -> Value {
    let Value::Uuid(row) = row else { return Value::Null };
    named(&[row, transaction, kind.name().as_bytes()])
}

/// A uuid of version 8 (RFC 9562): of our own making, from a hash.
pub(super) fn named(parts: &[&[u8]]) -> Value {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    let mut id = hash128(&all);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    Value::Uuid(id)
}

/// The image in a row of a history of this table.
pub fn image(table: &Table, change: &Cells) -> Cells {
    table.columns.iter().filter_map(|c| Some((c.name.clone(), change.get(&c.name)?.clone()))).gather()
}
