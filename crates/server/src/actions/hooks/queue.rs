//! Who is to be asked about at one hook: from all subjects in turn, so that whoever asks for much waits for themselves.

use std::collections::{BTreeMap, VecDeque};

use super::Name;

/// Transactions by subject, each subject's in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    subjects: BTreeMap<String, VecDeque<Name>>,
    /// Subjects that wait, the one whose turn it is first.
    turns: VecDeque<String>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Behind those of its subject.
    pub(super) fn push(&mut self, subject: &str, name: Name) {
        match self.subjects.get_mut(subject) {
            Some(waiting) => waiting.push_back(name),
            None => {
                self.subjects.insert(subject.to_owned(), VecDeque::from([name]));
                self.turns.push_back(subject.to_owned());
            }
        }
    }

    /// Before all others: it had its turn, and could not be asked about.
    pub(super) fn push_first(&mut self, subject: &str, name: Name) {
        self.subjects.entry(subject.to_owned()).or_default().push_front(name);
        self.turns.retain(|other| other != subject);
        self.turns.push_front(subject.to_owned());
    }

    /// The next one; its subject's turn is over.
    pub(super) fn pop(&mut self) -> Option<Name> {
        let subject = self.turns.pop_front()?;
        let waiting = self.subjects.get_mut(&subject)?;
        let name = waiting.pop_front();
        if waiting.is_empty() {
            self.subjects.remove(&subject);
        } else {
            self.turns.push_back(subject);
        }
        name
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
