//! What is asked, what comes of it, and what a commit is told.

use std::sync::Arc;

use bytes::Bytes;
use landfall_core::RowKey;

use super::{Name, RowId};
use crate::core::SessionId;
use crate::store::PushEntry;

/// A row as it was when somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its table.
    pub table: String,
    /// The row.
    pub key: RowKey,
    /// Changes whenever the row does; absent when it was not there.
    pub version: Option<String>,
}

/// What is asked about a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The question as it travels.
    pub body: Bytes,
    /// The rows that it shows.
    pub rows: Vec<Seen>,
    /// From 1; larger when the rows moved under an answer, or the hook wanted to see more.
    pub round: u8,
}

/// A question that is to be put when it is its transaction's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// The rows that it will show.
    pub rows: Vec<(String, RowKey)>,
    /// Its round.
    pub round: u8,
}

/// A row that moved under an answer, and what its version is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The row.
    pub row: RowId,
    /// Absent when it is gone.
    pub version: Option<String>,
}

/// What a commit found that has to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This.
    Ask(Question),
    /// The answer is stale: again, when nobody else is being asked about these rows.
    Contend(Again, Vec<Moved>),
}

/// A transaction that is asked about, and who wants to know.
#[derive(Clone, Debug)]
pub struct Held {
    /// What it is called.
    pub name: Name,
    /// Whose answer it is; the session may be over.
    pub session: SessionId,
    /// The push that brought it last.
    pub push: u32,
    /// The transaction.
    pub entry: PushEntry,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Names the request to [`super::Hooks::said`].
    pub ticket: u64,
    /// The action whose hook is asked.
    pub action: String,
    /// Names the question ([`Name::message`]).
    pub id: String,
    /// What is asked.
    pub body: Bytes,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An answer, whatever it says.
    Answer {
        /// The status.
        status: u16,
        /// `Retry-After`, when there is one.
        retry_after_ms: Option<u64>,
        /// The body, as far as it is not too long; then none.
        body: Option<Vec<u8>>,
    },
    /// It was asked, and there is no answer, and why: too slow, or the connection broke.
    Nothing(String),
    /// There was no connection: it was not asked.
    Unreachable(String),
}

/// What is known of a question in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The hook answered.
    Answered {
        /// What it said.
        body: Vec<u8>,
        /// What it was shown.
        rows: Vec<Seen>,
        /// In which round.
        round: u8,
    },
    /// It did not, and why.
    Failed(String),
}

/// What the hooks know of a transaction that is about to be decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Heard {
    /// Nothing, and nobody has looked.
    #[default]
    Nothing,
    /// There is nothing to be done about it now: it is being asked, or there is no room to. To be offered again after so
    /// long.
    Later {
        /// Milliseconds, jitter included.
        again_ms: u64,
    },
    /// Its question is to be put: the first one, or this.
    Turn(Name, Option<Arc<Again>>),
    /// There is a verdict.
    Verdict(Name, Arc<Verdict>),
}
