//! A transaction that is asked about, and how far that is.

use std::sync::Arc;

use super::{Again, Held, Place, Question, RowId, Seen, Verdict};

#[derive(Debug)]
pub(super) enum State {
    /// A commit is to put its question.
    Turn,
    /// It waits for a place among the requests.
    Waiting(Question),
    /// It is being asked.
    Running(u64, Question),
    /// It will be asked again.
    Pausing(Question),
    /// It waits for its turn.
    Parked,
    /// There is a verdict, since then.
    Done(u64, Arc<Verdict>),
}

#[derive(Debug)]
pub(super) struct Asking {
    pub(super) held: Held,
    pub(super) action: String,
    pub(super) order: u64,
    pub(super) state: State,
    /// The rows that its question shows, or will.
    pub(super) rows: Vec<RowId>,
    /// Whether it is under way, as far as these rows are concerned.
    pub(super) holds: bool,
    /// What is to be asked when it is its turn; the first question when that is not known.
    pub(super) again: Option<Arc<Again>>,
    /// Whether a commit has it.
    pub(super) taken: bool,
    pub(super) tries: u8,
    /// The last trouble that counted as a try.
    pub(super) trouble: String,
}

impl Asking {
    pub(super) fn place(&self) -> Place {
        (self.order, self.held.name)
    }

    /// What its question showed, or what its verdict is about.
    pub(super) fn seen(&self) -> &[Seen] {
        match &self.state {
            State::Waiting(question) | State::Running(_, question) | State::Pausing(question) => &question.rows,
            State::Done(_, verdict) => match &**verdict {
                Verdict::Answered { rows, .. } => rows,
                Verdict::Failed(_) => &[],
            },
            State::Turn | State::Parked => &[],
        }
    }

    /// Lets go of its question, which will be put when it is its turn. How many bytes that had.
    pub(super) fn park(&mut self) -> usize {
        match std::mem::replace(&mut self.state, State::Parked) {
            State::Waiting(question) | State::Running(_, question) | State::Pausing(question) => {
                let rows = question.rows.into_iter().map(|row| (row.table, row.key)).collect();
                self.again = Some(Arc::new(Again { rows, round: question.round }));
                question.body.len()
            }
            _ => 0,
        }
    }
}
