//! Predicates: placeholder while the module is written.
use serde::{Deserialize, Serialize};
/// A typed condition on one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Predicate(pub serde_json::Value);
