//! What every side of Landfall agrees on: schema, values, stamps, merge rules, predicates, validation.
//!
//! This crate performs no I/O, reads no clock and draws no randomness: time and random bytes are arguments. The same
//! code runs on the server, in the native client and in the browser, so that a rule that holds offline is the rule
//! that holds on the server.
//!
//! - [`value`]: typed values with exact JSON and SQLite mappings; [`key`]: row keys that sort as bytes
//! - [`schema`]: tables, columns, rules, shapes (reading `landfall.toml` needs the feature `text`)
//! - [`stamp`]: hybrid logical clock; [`txn`]: operations and transactions
//! - [`merge`]: what concurrent edits mean; concurrency is decided by base, never by clocks
//! - [`gather`]: ordered maps and sets from iterators, in few bytes
//! - [`flat`]: ordered maps and sets of few entries, in few bytes of code
//! - [`wide`]: the same of many entries
//! - [`json`]: JSON objects read field by field and written in order, in few bytes of code
//! - [`predicate`]: the typed tree for `where` and access rules, its evaluator and its lowering to SQL

pub mod error;
pub mod flat;
pub mod gather;
pub mod hash;
pub mod id;
pub mod json;
pub mod key;
pub mod merge;
pub mod mutant;
pub mod predicate;
pub mod rules;
pub mod schema;
pub mod stamp;
pub mod txn;
pub mod value;
pub mod wide;

pub use error::{Code, Problem};
pub use id::{BucketId, Epoch, ReplicaId};
pub use key::RowKey;
pub use schema::Schema;
pub use stamp::{Clock, Stamp};
pub use txn::{Action, CellWrite, Change, Operation, Origin, Transaction};
pub use value::{ColumnType, Decimal, Value};
