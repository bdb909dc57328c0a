//! Versions of rows that a person keeps, with a name or without: a table of its own, `<table>_versions`.
//!
//! It is declared by `versions = true` and made by whoever reads `landfall.toml`, as a history is ([`super::history`]). A row of
//! it holds what a row was when the version was kept, as its author saw it, under the row's own column names, and each of its
//! documents as one update. It is written like any other row, offline too, and never changed; who may update the row keeps
//! versions of it and deletes them. What happened to a row without anybody's doing is its history, if the table has one.

use super::docs::copied;
use super::history::constant;
use super::{Column, Default, OnDelete, Reference, Table};
use crate::error::{Problem, codes};
use crate::txn::Operation;
use crate::value::ColumnType;

/// A table holds the versions of the rows of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsOf {
    /// The table whose versions they are.
    pub table: String,
    /// The column that names the row there; it is called as the key there is.
    pub key: String,
}

/// The key.
pub const VERSION_ID: &str = "version_id";
/// What the person called it, at most [`MOST_NAME`] characters; NULL for one that was kept unasked.
pub const VERSION_NAME: &str = "version_name";
/// The sequence under which the server took it.
pub const VERSION_SEQ: &str = "version_seq";
/// When that was, by the server's clock.
pub const VERSION_AT: &str = "version_at";
/// The subject.
pub const VERSION_BY: &str = "version_by";
/// How columns of versions begin: a table that keeps some has none like it.
pub const VERSION_PREFIX: &str = "version_";
/// How many columns such a table has beside the row's own.
#[cfg(feature = "text")]
pub(super) const VERSION_COLUMNS: usize = 6;
/// Most characters of a name.
pub const MOST_NAME: u32 = 200;
/// Most versions of a row.
pub const MOST_VERSIONS: usize = 1_000;

impl Table {
    /// The name of the table of its versions.
    pub fn versions_table(&self) -> String {
        format!("{}_versions", self.name)
    }

    /// The table of its versions, without the access rules; `None` where it keeps none, or its key is not one column.
    #[must_use]
    pub fn to_versions(&self) -> Option<Self> {
        let [key] = &self.primary_key[..] else { return None };
        let key = self.column(key).filter(|_| self.versions)?;
        let reference = Reference { table: self.name.clone(), on_delete: OnDelete::Cascade };
        let about = [
            Column { default: Some(Default::Uuid), ..Column::plain(VERSION_ID, ColumnType::Uuid) },
            Column { required: true, references: Some(reference), ..Column::plain(&key.name, key.ty) },
            Column { max_length: Some(MOST_NAME), ..Column::plain(VERSION_NAME, ColumnType::Text) },
            Column { assigned: true, ..Column::plain(VERSION_SEQ, ColumnType::Integer) },
            Column { assigned: true, ..Column::plain(VERSION_AT, ColumnType::Timestamp) },
            Column { assigned: true, ..Column::plain(VERSION_BY, ColumnType::Text) },
        ];
        // Its value is any that the row's own column ever had: its rules do not bind it.
        let own = self.data_columns().map(|c| Column { default: constant(c), ..Column::plain(&c.name, c.ty) });
        let docs = self.docs.iter().map(|name| Column::plain(name, ColumnType::Bytes));
        let columns = about.into_iter().chain(own).chain(docs).collect();
        let versions_of = Some(VersionsOf { table: self.name.clone(), key: key.name.clone() });
        Some(Self { versions_of, sending: self.sending, ..Self::plain(self.versions_table(), columns) })
    }

    /// The columns of a table of versions by which the access rules of `of` tell: they are as they are in the row, whatever
    /// the version says.
    pub fn version_copies<'a>(&'a self, of: &'a Self) -> impl Iterator<Item = &'a Column> {
        let named = copied(of);
        self.columns.iter().filter(move |c| named.contains(&c.name))
    }

    /// Refuses to change a version.
    ///
    /// # Errors
    /// LF-2010 when the table holds versions.
    pub(super) fn check_is_version(&self, operation: &Operation) -> Result<(), Problem> {
        match (&self.versions_of, operation) {
            (Some(_), Operation::Update { key, .. }) => {
                let message = "a version stays as it was kept; delete it, or keep another one";
                Err(Problem::new(codes::SERVER_ASSIGNED, message).row(&self.name, key))
            }
            _ => Ok(()),
        }
    }
}
