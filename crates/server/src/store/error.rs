//! What can be wrong with the store: each with its cause, the way out and a stable code.

use std::path::PathBuf;

use landfall_core::Code;

/// Stable codes of the store. Documented in `docs/errors.md`.
pub mod codes {
    use landfall_core::Code;

    /// The database is another app's.
    pub const OTHER_APP: Code = Code::of("LF-6001");
    /// The database was written by a newer version.
    pub const NEWER: Code = Code::of("LF-6002");
    /// The file is not a database, or is damaged.
    pub const NOT_A_DATABASE: Code = Code::of("LF-6003");
    /// Another server process has the database open.
    pub const IN_USE: Code = Code::of("LF-6004");
    /// The disk is full.
    pub const DISK_FULL: Code = Code::of("LF-6005");
    /// The database or its directory cannot be written.
    pub const READ_ONLY: Code = Code::of("LF-6006");
    /// The schema cannot follow the one in the database.
    pub const UPGRADE: Code = Code::of("LF-6007");
    /// Reading or writing failed.
    pub const IO: Code = Code::of("LF-6008");
    /// The replica belongs to another subject.
    pub const OTHER_SUBJECT: Code = Code::of("LF-6009");
    /// The database cannot be opened at this path.
    pub const CANNOT_OPEN: Code = Code::of("LF-6010");
    /// Landfall's own tables hold what Landfall did not write.
    pub const DAMAGED: Code = Code::of("LF-6011");
    /// Another program holds the database's write lock.
    pub const BUSY: Code = Code::of("LF-6012");
    /// A constraint or trigger that is not Landfall's stands against a row.
    pub const REJECTED: Code = Code::of("LF-6013");
    /// The app's handler of an action failed.
    pub const HANDLER: Code = Code::of("LF-6014");
    /// The app's merge function decided nothing.
    pub const MERGE_FUNCTION: Code = Code::of("LF-6015");
    /// The schema names merge functions that this server was not given.
    pub const NO_FUNCTION: Code = Code::of("LF-6016");
}

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database is not of this app, or not Landfall's at all.
    #[error(
        "{path} holds the data of {found}, not of '{expected}'; name another path, or the schema that belongs to it"
    )]
    OtherApp {
        /// The database.
        path: String,
        /// Whose data it is.
        found: String,
        /// The schema's app.
        expected: String,
    },
    /// Written by a newer build.
    #[error(
        "{path} was written by a newer Landfall (format {found}, this one knows {known}); upgrade this server. \
         The database was left untouched"
    )]
    NewerFormat {
        /// The database.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format of this build.
        known: i64,
    },
    /// Its schema is newer than the one given.
    #[error(
        "{path} has version {found} of the schema, the file given is version {given}; start with the newer file. \
         The database was left untouched"
    )]
    NewerSchema {
        /// The database.
        path: String,
        /// The version in the database.
        found: u32,
        /// The version given.
        given: u32,
    },
    /// The schema's change is not one that can be carried out.
    #[error(
        "the schema cannot follow version {from} in the database: {problems}; change the file, or begin a new database. \
         The database was left untouched"
    )]
    Upgrade {
        /// The version in the database.
        from: u32,
        /// What is wrong, one sentence each.
        problems: String,
    },
    /// Nobody could merge some columns.
    #[error(
        "this server was not given the merge functions of {columns}; embed it in a program that gives them \
         (Schema::with_functions), or declare another merge rule. The database was left untouched"
    )]
    NoFunction {
        /// The columns, each with its function.
        columns: String,
    },
    /// Not SQLite, or damaged.
    #[error("{path} is not a database, or is damaged ({detail}); name another path, or restore it from a backup")]
    NotADatabase {
        /// The file.
        path: String,
        /// SQLite's words.
        detail: String,
    },
    /// Another server process.
    #[error("another server has {path} open; stop it, or name another path")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// Another program holds the write lock.
    #[error(
        "another program holds the write lock of the database for too long; let it commit. Nothing was written, try again"
    )]
    Busy,
    /// No space left.
    #[error("the disk is full; free some space. Nothing of this was written, and the server goes on by itself")]
    DiskFull,
    /// Not writable.
    #[error("{path} cannot be written ({detail}); give this process the right to write the database and its directory")]
    ReadOnly {
        /// The database.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// Cannot be opened.
    #[error("{path} cannot be opened ({detail}); create the directory, or name another path")]
    CannotOpen {
        /// The database.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// The replica is somebody else's.
    #[error("this local database belongs to '{owner}'; sign in as '{owner}', or open another local database")]
    OtherSubject {
        /// Whose it is.
        owner: String,
    },
    /// Own tables hold nonsense.
    #[error("the store's own records are damaged ({0}); restore the database from a backup")]
    Damaged(String),
    /// The database has rules of its own.
    #[error(
        "a constraint or trigger of the database stands against a row ({0}); drop it, or declare the rule in landfall.toml"
    )]
    Rejected(String),
    /// Anything else that SQLite says.
    #[error("the database cannot be read or written ({0}); see the system's log for faults of the disk")]
    Io(String),
}

impl StoreError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::OtherApp { .. } => codes::OTHER_APP,
            Self::NewerFormat { .. } | Self::NewerSchema { .. } => codes::NEWER,
            Self::Upgrade { .. } => codes::UPGRADE,
            Self::NoFunction { .. } => codes::NO_FUNCTION,
            Self::NotADatabase { .. } => codes::NOT_A_DATABASE,
            Self::InUse { .. } => codes::IN_USE,
            Self::Busy => codes::BUSY,
            Self::DiskFull => codes::DISK_FULL,
            Self::ReadOnly { .. } => codes::READ_ONLY,
            Self::CannotOpen { .. } => codes::CANNOT_OPEN,
            Self::OtherSubject { .. } => codes::OTHER_SUBJECT,
            Self::Damaged(_) => codes::DAMAGED,
            Self::Rejected(_) => codes::REJECTED,
            Self::Io(_) => codes::IO,
        }
    }

    /// Whether one transaction is at fault and not the store: its neighbours can be decided without it.
    pub fn is_of_one_transaction(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Damaged(_))
    }

    /// The same, not to be taken for a fault of one transaction.
    #[must_use]
    pub fn of_the_store(self) -> Self {
        if self.is_of_one_transaction() { Self::Io(self.to_string()) } else { self }
    }

    /// Whether the same call may succeed later without anybody changing anything but the machine.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::DiskFull | Self::Io(_))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as E;
        let here = || "the database".to_owned();
        match error.sqlite_error_code() {
            Some(E::DiskFull) => Self::DiskFull,
            Some(E::DatabaseBusy | E::DatabaseLocked) => Self::Busy,
            Some(E::ReadOnly | E::PermissionDenied) => Self::ReadOnly { path: here(), detail: error.to_string() },
            Some(E::NotADatabase | E::DatabaseCorrupt) => {
                Self::NotADatabase { path: here(), detail: error.to_string() }
            }
            Some(E::CannotOpen) => Self::CannotOpen { path: here(), detail: error.to_string() },
            Some(E::ConstraintViolation | E::TypeMismatch | E::TooBig) => Self::Rejected(error.to_string()),
            // Not SQLite's: what a row holds is not of the type that it should be.
            None => Self::Damaged(error.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}

impl From<minicbor::decode::Error> for StoreError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
