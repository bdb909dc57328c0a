//! The vocabulary of refusals: stable codes, and problems that name a row, a column, the cause and the way out.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A stable code of an error that a person can see. Documented in `docs/errors.md`; never reused, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Code(#[n(0)] pub std::borrow::Cow<'static, str>);

impl Code {
    /// A code of this build.
    pub const fn of(code: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(code))
    }

    /// The code's text, such as `LF-3001`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The codes that `core` itself gives. LF-1xxx schema, LF-2xxx values and validation, LF-3xxx decisions on
/// transactions, LF-4xxx protocol and session, LF-5xxx local database, LF-6xxx server and its store, LF-7xxx command
/// line.
pub mod codes {
    use super::Code;

    /// The schema file is not TOML.
    pub const SYNTAX: Code = Code::of("LF-1001");
    /// The schema file is larger than a limit: bytes, tables, or columns of one table.
    pub const SCHEMA_LIMIT: Code = Code::of("LF-1002");
    /// A key that `landfall.toml` does not have at this place.
    pub const UNKNOWN_KEY: Code = Code::of("LF-1003");
    /// A key that must be there is not.
    pub const MISSING_KEY: Code = Code::of("LF-1004");
    /// A key's value is of the wrong kind, such as a number where a string belongs.
    pub const WRONG_FORM: Code = Code::of("LF-1005");
    /// A name that is not an identifier.
    pub const BAD_NAME: Code = Code::of("LF-1006");
    /// A name that the engine or SQLite keeps for itself.
    pub const RESERVED_NAME: Code = Code::of("LF-1007");
    /// A name that occurs twice, upper and lower case being the same.
    pub const DUPLICATE_NAME: Code = Code::of("LF-1008");
    /// A column type that does not exist.
    pub const UNKNOWN_TYPE: Code = Code::of("LF-1009");
    /// A decimal's scale is missing or out of range, or something else has a scale.
    pub const BAD_SCALE: Code = Code::of("LF-1010");
    /// The primary key is missing, empty, or names a column that is not there.
    pub const BAD_PRIMARY_KEY: Code = Code::of("LF-1011");
    /// A column of this type cannot be part of a key.
    pub const KEY_TYPE: Code = Code::of("LF-1012");
    /// A key that the database would assign.
    pub const ASSIGNED_KEY: Code = Code::of("LF-1013");
    /// Something that the design names and this version does not have.
    pub const NOT_YET: Code = Code::of("LF-1014");
    /// A word that is not among those possible here.
    pub const UNKNOWN_CHOICE: Code = Code::of("LF-1015");
    /// A table that the schema does not declare.
    pub const UNKNOWN_TABLE: Code = Code::of("LF-1016");
    /// A column that the table does not declare.
    pub const UNKNOWN_COLUMN: Code = Code::of("LF-1017");
    /// A reference to a key that this column cannot hold.
    pub const BAD_REFERENCE: Code = Code::of("LF-1018");
    /// `on_delete = "set_null"` on a column that is never NULL.
    pub const SET_NULL_REQUIRED: Code = Code::of("LF-1019");
    /// A value in the schema that is not of its column's type.
    pub const BAD_LITERAL: Code = Code::of("LF-1020");
    /// Rules of one column contradict each other.
    pub const CONTRADICTION: Code = Code::of("LF-1021");
    /// A rule that means nothing for a column of this type.
    pub const NOT_APPLICABLE: Code = Code::of("LF-1022");
    /// A pattern that is not a regular expression.
    pub const BAD_PATTERN: Code = Code::of("LF-1023");
    /// A search table that cannot be.
    pub const BAD_SEARCH: Code = Code::of("LF-1024");
    /// A local table where only a synced one makes sense.
    pub const LOCAL_TABLE: Code = Code::of("LF-1025");
    /// A condition (`where`, access rule) that is not valid.
    pub const BAD_PREDICATE: Code = Code::of("LF-1026");
    /// A parameter of a shape that is not used.
    pub const UNUSED_PARAMETER: Code = Code::of("LF-1027");
    /// A new version of the schema that stored data cannot follow.
    pub const UPGRADE: Code = Code::of("LF-1028");

    /// A value is not of its column's type.
    pub const WRONG_TYPE: Code = Code::of("LF-2001");
    /// A required column has no value.
    pub const REQUIRED: Code = Code::of("LF-2002");
    /// A text or bytes value is longer than `max_length`.
    pub const TOO_LONG: Code = Code::of("LF-2003");
    /// A text does not match `pattern`.
    pub const PATTERN: Code = Code::of("LF-2004");
    /// A value is below `min` or above `max`.
    pub const OUT_OF_RANGE: Code = Code::of("LF-2005");
    /// A value is not among `one_of`.
    pub const NOT_ONE_OF: Code = Code::of("LF-2006");
    /// A table or column that the schema does not have.
    pub const UNKNOWN_NAME: Code = Code::of("LF-2007");
    /// A primary key is missing, of the wrong form, or was changed.
    pub const BAD_KEY: Code = Code::of("LF-2008");
    /// A predicate could not be evaluated (division by zero, overflow).
    pub const EVALUATION: Code = Code::of("LF-2009");

    /// A column that only the server fills was written.
    pub const SERVER_ASSIGNED: Code = Code::of("LF-2010");
    /// A column that is written once has its value already.
    pub const WRITTEN_ONCE: Code = Code::of("LF-2011");

    /// The access rules do not allow the write.
    pub const NOT_ALLOWED: Code = Code::of("LF-3001");
    /// The row to update is not there and no tombstone remembers it.
    pub const ROW_GONE: Code = Code::of("LF-3002");
    /// A referenced row is not there.
    pub const REFERENCE: Code = Code::of("LF-3003");
    /// Another row has the same value in a unique column.
    pub const UNIQUE: Code = Code::of("LF-3004");
    /// A transaction that this one requires was refused.
    pub const DEPENDS_ON_REFUSED: Code = Code::of("LF-3005");
    /// The same replica sequence came before with other content: the database was copied.
    pub const COPIED_DATABASE: Code = Code::of("LF-3006");
    /// The transaction is malformed or larger than the limit.
    pub const BAD_TRANSACTION: Code = Code::of("LF-3007");
    /// Rows still refer to the row that is to be deleted.
    pub const STILL_REFERENCED: Code = Code::of("LF-3008");
    /// The server failed on the transaction too often.
    pub const ATTEMPTS_USED_UP: Code = Code::of("LF-3009");
    /// Another copy of the database brought the transaction; the decision on it is forgotten.
    pub const DECIDED_LONG_AGO: Code = Code::of("LF-3010");
    /// Nobody on this server handles the action.
    pub const NOT_HANDLED: Code = Code::of("LF-3011");
    /// The transaction was not carried out in time.
    pub const EXPIRED: Code = Code::of("LF-3012");
}

/// One thing that is wrong with a value, a row or a transaction. Same text on the device and on the server.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Problem {
    /// The stable code.
    #[n(0)]
    pub code: Code,
    /// One sentence: what is wrong and what would be right.
    #[n(1)]
    pub message: String,
    /// The table it concerns, when it concerns one.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The row, as [`crate::RowKey`] prints it.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The column it concerns, when it concerns one.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl Problem {
    /// A problem that is not about one row.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), table: None, key: None, column: None }
    }

    /// Says which row it is about.
    #[must_use]
    pub fn row(mut self, table: &str, key: &crate::RowKey) -> Self {
        self.table = Some(table.to_owned());
        self.key = Some(key.to_string());
        self
    }

    /// Says which column it is about.
    #[must_use]
    pub fn column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.table, &self.column) {
            (Some(table), Some(column)) => write!(f, "{table}.{column}: ")?,
            (Some(table), None) => write!(f, "{table}: ")?,
            _ => {}
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl std::error::Error for Problem {}
