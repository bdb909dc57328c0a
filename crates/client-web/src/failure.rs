//! Errors as the worker reads them: one JSON object with a stable code.

use landfall_client::cache::CacheError;
use landfall_client::db::{DbError, OpenError};
use landfall_client::live::LiveError;
use landfall_client::mirror::MirrorError;
use landfall_core::json::Object;

/// An error on its way to JavaScript.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The stable code, such as `LF-2001`.
    pub code: String,
    /// Cause and way out.
    pub message: String,
    /// The table it concerns, when it concerns one.
    pub table: Option<String>,
    /// The column it concerns, when it concerns one.
    pub column: Option<String>,
    /// The name of the browser's own exception, when there was one.
    pub exception: Option<String>,
}

impl Failure {
    /// An error of this code.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), ..Self::default() }
    }

    /// JSON of it.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let mut object = Object::new(&mut out);
        object.text("code", &self.code);
        object.text("message", &self.message);
        for (name, one) in [("table", &self.table), ("column", &self.column), ("exception", &self.exception)] {
            if let Some(one) = one {
                object.text(name, one);
            }
        }
        drop(object);
        out
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        let (table, column) = match &error {
            DbError::Invalid(problem) => (problem.table.clone(), problem.column.clone()),
            DbError::KeyChanged { table, .. } => (Some(table.clone()), None),
            DbError::StoredForm { table, column, .. } => (Some(table.clone()), Some(column.clone())),
            // What it is called may be an action's name, where a table's would stand.
            DbError::NeedsServer { what } => (Some(what.clone()), None),
            DbError::TooSoon { what, by, .. } => (Some(what.clone()), Some(by.clone())),
            _ => (None, None),
        };
        Self { code: error.code().to_string(), message: error.to_string(), table, column, exception: None }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new(&error.code().to_string(), error.to_string())
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Self::new(&error.code().to_string(), error.to_string())
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        Self::new(&error.code().to_string(), error.to_string())
    }
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        Self::new(&error.code().to_string(), error.to_string())
    }
}
