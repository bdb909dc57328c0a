//! What can go wrong with the local database. Each error names cause and way out; codes are in `docs/errors.md`.

use landfall_core::value::SqliteError;
use landfall_core::{Code, Problem};

/// Stable codes of the local database.
pub mod codes {
    use landfall_core::Code;

    /// The file is not an SQLite database.
    pub const NOT_A_DATABASE: Code = Code::of("LF-5001");
    /// The database belongs to another Landfall application.
    pub const OTHER_APP: Code = Code::of("LF-5002");
    /// The database was written by a newer version.
    pub const NEWER_FORMAT: Code = Code::of("LF-5003");
    /// The file cannot be opened or created.
    pub const CANNOT_OPEN: Code = Code::of("LF-5004");
    /// The disk is full.
    pub const DISK_FULL: Code = Code::of("LF-5005");
    /// The schema cannot replace the one that the database was made with.
    pub const SCHEMA_CONFLICT: Code = Code::of("LF-5006");
    /// The database was made by another program.
    pub const FOREIGN_DATABASE: Code = Code::of("LF-5007");
    /// Another process is using the database.
    pub const IN_USE: Code = Code::of("LF-5008");
    /// The file is damaged.
    pub const DAMAGED: Code = Code::of("LF-5009");
    /// The disk cannot be read or written.
    pub const IO: Code = Code::of("LF-5010");

    /// SQL that SQLite does not accept.
    pub const SQL: Code = Code::of("LF-5020");
    /// SQL that an app may not run.
    pub const NOT_PERMITTED: Code = Code::of("LF-5021");
    /// A statement changed a primary key.
    pub const KEY_CHANGED: Code = Code::of("LF-5022");
    /// A statement stored a value that the column's type cannot hold.
    pub const STORED_FORM: Code = Code::of("LF-5023");
    /// A statement ended the transaction.
    pub const ROLLED_BACK: Code = Code::of("LF-5024");
    /// The outbox has no such entry, or not in such a state.
    pub const NO_SUCH_ENTRY: Code = Code::of("LF-5025");
    /// The server sent something that this device cannot apply.
    pub const SERVER_DATA: Code = Code::of("LF-5026");
    /// A table, column or shape that the schema does not have.
    pub const UNKNOWN_NAME: Code = Code::of("LF-5027");
    /// The app itself gave up the transaction.
    pub const ABORTED: Code = Code::of("LF-5028");
    /// A transaction that was recovered from the mirror, of an earlier identity of this device.
    pub const RECOVERED: Code = Code::of("LF-5029");
    /// What is here is of a history that the server has lost.
    pub const LOADING_ANEW: Code = Code::of("LF-5030");
    /// What was written needs the server now.
    pub const NEEDS_SERVER: Code = Code::of("LF-5031");
    /// What was written without a connection is not far enough ahead.
    pub const TOO_SOON: Code = Code::of("LF-5032");
    /// The outbox has no room.
    pub const OUTBOX_FULL: Code = Code::of("LF-5033");
    /// An entry was withdrawn before it was sent.
    pub const WITHDRAWN: Code = Code::of("LF-5034");
    /// An entry was brought in from a file.
    pub const IMPORTED: Code = Code::of("LF-5035");
    /// A file is not an outbox that can be read here.
    pub const BAD_FILE: Code = Code::of("LF-5036");
    /// A transaction that cannot be taken back.
    pub const NOT_UNDOABLE: Code = Code::of("LF-5037");
    /// The connection breaks whenever an entry is sent.
    pub const BREAKS: Code = Code::of("LF-5038");
}

/// Why a database could not be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is something else.
    #[error("{place} is not an SQLite database; choose another path, the file was left as it is [LF-5001]")]
    NotADatabase {
        /// Which file.
        place: String,
    },
    /// A database of another application.
    #[error("{place} belongs to the app '{found}', not to '{expected}'; choose another path [LF-5002]")]
    OtherApp {
        /// Which file.
        place: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Written by a newer build.
    #[error(
        "{place} was written by a newer version (format {found}, this build knows {supported}); upgrade this program, \
         nothing was changed [LF-5003]"
    )]
    NewerFormat {
        /// Which file.
        place: String,
        /// The format found.
        found: i64,
        /// The newest format of this build.
        supported: i64,
    },
    /// The file cannot be opened, created or written.
    #[error("cannot open {place}: {cause}; check that the directory exists and can be written [LF-5004]")]
    CannotOpen {
        /// Which file.
        place: String,
        /// What the system says.
        cause: String,
    },
    /// No space.
    #[error("the disk is full, {place} cannot be opened; free some space and try again [LF-5005]")]
    DiskFull {
        /// Which file.
        place: String,
    },
    /// The schema does not follow from the one in the database.
    #[error("the schema does not fit {place}: {reason} [LF-5006]")]
    SchemaConflict {
        /// Which file.
        place: String,
        /// What does not fit, and what would.
        reason: String,
    },
    /// An SQLite database of some other program.
    #[error("{place} is a database of another program; choose another path, it was left as it is [LF-5007]")]
    ForeignDatabase {
        /// Which file.
        place: String,
    },
    /// Locked.
    #[error("{place} is in use by another process; close it there and try again [LF-5008]")]
    InUse {
        /// Which file.
        place: String,
    },
    /// Damaged.
    #[error(
        "{place} is damaged ({cause}); move it away and open anew: what was synced is loaded again from the server, \
         what was not is in the mirrored outbox [LF-5009]"
    )]
    Damaged {
        /// Which file.
        place: String,
        /// What was found.
        cause: String,
    },
    /// Anything else while opening.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl OpenError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotADatabase { .. } => codes::NOT_A_DATABASE,
            Self::OtherApp { .. } => codes::OTHER_APP,
            Self::NewerFormat { .. } => codes::NEWER_FORMAT,
            Self::CannotOpen { .. } => codes::CANNOT_OPEN,
            Self::DiskFull { .. } => codes::DISK_FULL,
            Self::SchemaConflict { .. } => codes::SCHEMA_CONFLICT,
            Self::ForeignDatabase { .. } => codes::FOREIGN_DATABASE,
            Self::InUse { .. } => codes::IN_USE,
            Self::Damaged { .. } => codes::DAMAGED,
            Self::Database(error) => error.code(),
        }
    }
}

/// Why a call on an open database failed. The local transaction was rolled back as a whole.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite does not accept the statement.
    #[error("{0} [LF-5020]")]
    Sql(String),
    /// The statement may not be run by an app.
    #[error("{0} [LF-5021]")]
    NotPermitted(String),
    /// A primary key was changed.
    #[error(
        "{table}: the primary key {from} was changed to {to}; keys are for ever: insert a new row and delete the old \
         one in the same transaction [LF-5022]"
    )]
    KeyChanged {
        /// The table.
        table: String,
        /// The key before.
        from: String,
        /// The key after.
        to: String,
    },
    /// A stored value is not of its column's type.
    #[error("{table}.{column}: {cause} [LF-5023]")]
    StoredForm {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is stored, and what would be right.
        cause: String,
    },
    /// The statement ended the whole transaction.
    #[error("a statement rolled the whole transaction back ({0}); nothing of it was written [LF-5024]")]
    RolledBack(String),
    /// A value, row or transaction is not valid, or a rule forbids it.
    #[error(transparent)]
    Invalid(#[from] Problem),
    /// There is no such outbox entry in the state that the call needs.
    #[error("the outbox has no {state} entry {rseq}; list the outbox again [LF-5025]")]
    NoSuchEntry {
        /// The entry.
        rseq: u64,
        /// The state that it should have.
        state: &'static str,
    },
    /// What the transaction replaced is not known, so that it cannot be taken back.
    #[error(
        "transaction {rseq} cannot be taken back: either it asked for an action and is on its way, or what it replaced is \
         not kept any more; write what is to be instead [LF-5037]"
    )]
    NotUndoable {
        /// The transaction.
        rseq: u64,
    },
    /// The server sent what cannot be applied.
    #[error("the server sent data that this device cannot apply ({0}); close and open the shape again [LF-5026]")]
    ServerData(String),
    /// Rows of a history that the server has lost are still here.
    #[error(
        "the server was restored and this device loads anew; try again when that is done, nothing is lost [LF-5030]"
    )]
    LoadingAnew,
    /// The table or action is declared `offline = "deny"`.
    #[error(
        "'{what}' can only be written while it can be sent at once; connect, or go on sending, and try again: nothing was written [LF-5031]"
    )]
    NeedsServer {
        /// The table or action.
        what: String,
    },
    /// The table or action is declared `offline = { schedule = … }`.
    #[error(
        "without a connection '{what}' takes only what is due in {} or later ({by}); choose a later time, or connect \
         [LF-5032]", duration(*lead_ms)
    )]
    TooSoon {
        /// The table or action.
        what: String,
        /// The column or argument that says when.
        by: String,
        /// How far ahead it must be. Milliseconds.
        lead_ms: u64,
    },
    /// The outbox may not grow further.
    #[error(
        "the outbox is full ({entries} entries, {bytes} bytes); nothing was written and nothing is lost: connect so that \
         it is sent, or discard what failed [LF-5033]"
    )]
    OutboxFull {
        /// Entries that are not settled.
        entries: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The file is not an outbox that can be read here.
    #[error("the file cannot be imported: {0}; nothing was taken in [LF-5036]")]
    BadFile(String),
    /// An unknown name.
    #[error("the schema has no {0}; check the spelling and landfall.toml [LF-5027]")]
    UnknownName(String),
    /// The app gave up.
    #[error("{0} [LF-5028]")]
    Aborted(String),
    /// No space.
    #[error("the disk is full; nothing was written and nothing is lost: free some space and try again [LF-5005]")]
    DiskFull,
    /// Locked by another process.
    #[error("the database is in use by another process; try again when it is done [LF-5008]")]
    Busy,
    /// Damaged.
    #[error("the local database is damaged ({0}); open it anew to rebuild it [LF-5009]")]
    Damaged(String),
    /// The disk fails.
    #[error("the local database cannot be read or written: {0}; check the disk [LF-5010]")]
    Io(String),
}

impl DbError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Sql(_) => codes::SQL,
            Self::NotPermitted(_) => codes::NOT_PERMITTED,
            Self::KeyChanged { .. } => codes::KEY_CHANGED,
            Self::StoredForm { .. } => codes::STORED_FORM,
            Self::RolledBack(_) => codes::ROLLED_BACK,
            Self::Invalid(problem) => problem.code.clone(),
            Self::NoSuchEntry { .. } => codes::NO_SUCH_ENTRY,
            Self::NotUndoable { .. } => codes::NOT_UNDOABLE,
            Self::ServerData(_) => codes::SERVER_DATA,
            Self::LoadingAnew => codes::LOADING_ANEW,
            Self::NeedsServer { .. } => codes::NEEDS_SERVER,
            Self::TooSoon { .. } => codes::TOO_SOON,
            Self::OutboxFull { .. } => codes::OUTBOX_FULL,
            Self::BadFile(_) => codes::BAD_FILE,
            Self::UnknownName(_) => codes::UNKNOWN_NAME,
            Self::Aborted(_) => codes::ABORTED,
            Self::DiskFull => codes::DISK_FULL,
            Self::Busy => codes::IN_USE,
            Self::Damaged(_) => codes::DAMAGED,
            Self::Io(_) => codes::IO,
        }
    }

    pub(super) fn stored(table: &str, column: &str, error: &SqliteError) -> Self {
        Self::StoredForm { table: table.to_owned(), column: column.to_owned(), cause: error.to_string() }
    }

    pub(super) fn bookkeeping(what: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("bookkeeping: {what}"))
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error as E, ErrorCode};
        let text = message(&error);
        if is_full(&error) {
            return Self::DiskFull;
        }
        // Apps get their values as they are: what has another type than it was written with is a record of our own.
        if let E::InvalidColumnType(..) | E::FromSqlConversionFailure(..) | E::Utf8Error(..) = &error {
            return Self::bookkeeping(text);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::TooBig) => Self::Invalid(Problem::new(
                landfall_core::error::codes::TOO_LONG,
                "a value or statement is larger than SQLite can take; store it as a file, or in parts",
            )),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(text),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => Self::Io(text),
            _ => Self::Sql(text),
        }
    }
}

/// Whether there is no space. SQLite reports shared memory that found none as an input or output error.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|e| e.extended_code);
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// A length of time in its largest whole unit.
fn duration(ms: u64) -> String {
    let units = [(24 * 3_600_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    match units.into_iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)) {
        Some((unit, name)) if ms == unit => format!("one {name}"),
        Some((unit, name)) => format!("{} {name}s", ms / unit),
        None => format!("{ms} milliseconds"),
    }
}

/// A sentence of a readable length: its beginning and its end.
fn shortened(text: &str) -> String {
    const BEGINNING: usize = 200;
    const END: usize = 60;
    let length = text.chars().count();
    if length <= BEGINNING + END {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(length - END).collect();
    format!("{beginning} … {end}")
}

/// SQLite's own sentence, without the statement and offset that rusqlite adds. It quotes the statement, which may be of
/// any length.
pub(super) fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => shortened(text),
        rusqlite::Error::SqlInputError { msg, .. } => shortened(msg),
        rusqlite::Error::MultipleStatement => "one statement at a time, please: run them one after the other".into(),
        rusqlite::Error::InvalidParameterCount(given, wanted) => {
            format!("{given} parameters are given, the statement has {wanted}")
        }
        other => other.to_string(),
    }
}
