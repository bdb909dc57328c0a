//! Errors as the worker reads them: one JSON object with a stable code.

use landfall_client::db::{DbError, OpenError};
use landfall_client::live::LiveError;
use landfall_client::mirror::MirrorError;
use serde::Serialize;

/// An error on its way to JavaScript.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stable code, such as `LF-2001`.
    pub code: String,
    /// Cause and way out.
    pub message: String,
    /// The table it concerns, when it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The column it concerns, when it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The name of the browser's own exception, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

impl Failure {
    /// An error of this code.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), ..Self::default() }
    }

    /// JSON of it.
    pub fn to_json(&self) -> String {
        // Plain data with string keys: serialisation cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        let (table, column) = match &error {
            DbError::Invalid(problem) => (problem.table.clone(), problem.column.clone()),
            DbError::KeyChanged { table, .. } => (Some(table.clone()), None),
            DbError::StoredForm { table, column, .. } => (Some(table.clone()), Some(column.clone())),
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
