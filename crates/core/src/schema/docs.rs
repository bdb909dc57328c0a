//! Documents (merge rule `doc`): what many write at once, kept as Yjs updates. A column of type `doc` is no cell of the row: its
//! document is the rows of a table of its own, `<table>_docs`, each of which holds an update.
//!
//! That table is made by whoever reads `landfall.toml`, as a history is ([`super::history`]); from there on it is a table
//! like any other: shapes name it, it travels, and SQL reads it. An update is an insert: it waits in the outbox, is sent
//! exactly once, and is never changed. Together the updates of a document are the document, in whatever order they are
//! taken; the server replaces many by one that says the same, so that a long history is not a long table. Who may read the
//! row may read its documents, who may update it may write to them: the columns by which the access rules tell are copied
//! beside each update, and follow.

use super::history::named;
use super::{Column, Default, OnDelete, Reference, Table};
use crate::error::{Problem, codes};
use crate::predicate::Predicate;
use crate::txn::Operation;
use crate::value::{ColumnType, Value};

/// A table holds the documents of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocsOf {
    /// The table whose documents they are.
    pub table: String,
    /// The column that names the row there; it is called as the key there is.
    pub key: String,
}

/// The key.
pub const DOC_ID: &str = "doc_id";
/// Which of the row's documents.
pub const DOC_COLUMN: &str = "doc_column";
/// A Yjs update, in the first version of its encoding.
pub const DOC_UPDATE: &str = "doc_update";
/// The sequence under which the server took it, or put it in the place of others.
pub const DOC_SEQ: &str = "doc_seq";
/// When that was, by the server's clock.
pub const DOC_AT: &str = "doc_at";
/// The subject; NULL where the update is of several.
pub const DOC_BY: &str = "doc_by";
/// How columns of documents begin: a table that has some has none like it.
pub const DOC_PREFIX: &str = "doc_";
/// How many columns such a table has beside the copies.
#[cfg(feature = "text")]
pub(super) const DOC_COLUMNS: usize = 7;

impl Table {
    /// The name of the table of its documents.
    pub fn docs_table(&self) -> String {
        format!("{}_docs", self.name)
    }

    /// The table of its documents, without the access rules and the copies that they need; `None` where it has no documents, or
    /// its key is not one column.
    #[must_use]
    pub fn to_docs(&self) -> Option<Self> {
        let [key] = &self.primary_key[..] else { return None };
        let key = self.column(key).filter(|_| !self.docs.is_empty())?;
        let reference = Reference { table: self.name.clone(), on_delete: OnDelete::Cascade };
        let names = self.docs.iter().map(|name| Value::Text(name.clone())).collect();
        let columns = vec![
            Column { default: Some(Default::Uuid), ..Column::plain(DOC_ID, ColumnType::Uuid) },
            Column { required: true, references: Some(reference), ..Column::plain(&key.name, key.ty) },
            Column { required: true, one_of: names, ..Column::plain(DOC_COLUMN, ColumnType::Text) },
            Column { required: true, ..Column::plain(DOC_UPDATE, ColumnType::Bytes) },
            Column { assigned: true, ..Column::plain(DOC_SEQ, ColumnType::Integer) },
            Column { assigned: true, ..Column::plain(DOC_AT, ColumnType::Timestamp) },
            Column { assigned: true, ..Column::plain(DOC_BY, ColumnType::Text) },
        ];
        let docs_of = Some(DocsOf { table: self.name.clone(), key: key.name.clone() });
        Some(Self { docs_of, sending: self.sending, ..Self::plain(self.docs_table(), columns) })
    }

    /// The columns that are copied from the row whose document it is.
    pub fn doc_copies(&self) -> impl Iterator<Item = &Column> {
        let is_own =
            |c: &Column| c.name.starts_with(DOC_PREFIX) || self.docs_of.as_ref().is_some_and(|of| of.key == c.name);
        self.columns.iter().filter(move |c| self.docs_of.is_some() && !is_own(c))
    }

    /// Refuses what is no new update of a document.
    ///
    /// # Errors
    /// LF-2010 when the table holds documents.
    pub(super) fn check_is_update(&self, operation: &Operation) -> Result<(), Problem> {
        match (&self.docs_of, operation) {
            (None, _) | (Some(_), Operation::Insert { .. }) => Ok(()),
            (Some(of), _) => {
                let message = format!(
                    "updates of the documents of '{}' are added, and nothing else; take a change back by another one",
                    of.table
                );
                Err(Problem::new(codes::SERVER_ASSIGNED, message).row(&self.name, operation.key()))
            }
        }
    }
}

/// The names of the columns by which the access rules of a table tell who may see and who may change a row.
pub(super) fn copied(of: &Table) -> Vec<String> {
    let rules = [&of.access.read, &of.access.update];
    rules.into_iter().flatten().flat_map(Predicate::columns).collect()
}

/// The value of `doc_id` of the update that takes the place of others under a sequence. After a server has lost its history the
/// same sequence may be that of another update: it has another name.
pub fn merged_id(row: &Value, column: &Value, seq: u64, update: &[u8]) -> Value {
    let row = crate::key::RowKey(vec![row.clone(), column.clone()]);
    named(&[&row.to_bytes(), &seq.to_le_bytes(), update, b"merged"])
}
