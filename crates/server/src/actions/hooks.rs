//! Asking the app's webhooks about transactions: who is asked next, again after how long, and what becomes of what they
//! say. A state machine without I/O: a driver makes the requests that [`Hooks::next`] gives, and reports what came of each.
//!
//! A transaction is known by its [`Name`]. While it is being asked about it is held here, and whoever offers it is told so;
//! when there is a verdict [`Hooks::said`] hands it back, to be decided. A verdict that nobody takes is forgotten after a
//! while, and the hook is asked again under the same id: it has to answer the same id alike.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use landfall_core::RowKey;
use landfall_core::hash::hash128;
use landfall_core::txn::Origin;

use crate::core::SessionId;
use crate::store::PushEntry;

/// Most requests under way at once, per server.
pub const MOST_RUNNING: usize = 64;
/// Most requests under way at once to one hook.
pub const MOST_PER_HOOK: usize = 16;
/// Most transactions that are asked about, or have a verdict that nobody took.
pub const MOST_KNOWN: usize = 10_000;
/// The same for one hook, so that one that is stuck leaves room for the others.
pub const MOST_KNOWN_PER_HOOK: usize = 4_000;
/// The same for one subject: whoever has more is asked to come again.
pub const MOST_KNOWN_PER_SUBJECT: usize = 64;
/// Most bytes of questions that are held.
pub const MOST_BYTES: usize = 64 << 20;
/// How often a hook is tried for one question, the first time included.
pub const TRIES: u8 = 3;
/// How often a question is put in all, because rows moved under its answer or the hook wants to see more of them.
pub const ROUNDS: u8 = 5;
/// How long a verdict is kept for whoever comes back.
pub const KEPT_MS: u64 = 60_000;
/// After how long a device comes back at the latest. It hears of the decision sooner while its session lasts.
const AGAIN_MS: u64 = 5_000;
/// The longest wait between two tries, unless the hook says otherwise.
const LONGEST_MS: u64 = 10_000;
/// The longest wait that a hook may ask for.
const LONGEST_ASKED_MS: u64 = 60_000;

/// The idempotency key of a transaction: the same for every request about it, whoever brings it, under which identity, and
/// when. Made of its author, the identity under which it was queued first, and what is asked; never of its bases, which a
/// restored server lowers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name([u8; 16]);

impl Name {
    /// Of a transaction that asks for an action.
    pub fn of(push: &PushEntry) -> Option<Self> {
        let txn = &push.entry.transaction;
        let action = txn.action.as_ref()?;
        let own = Origin { replica: txn.replica, rseq: txn.rseq, hash: push.entry.hash };
        let first = txn.origin.unwrap_or(own);
        let mut operations = txn.operations.clone();
        operations.iter_mut().for_each(|operation| operation.limit_base(0));
        // Writing to a Vec cannot fail.
        let bytes = minicbor::to_vec(("webhook", &push.subject.id, first.replica, first.rseq, action, operations));
        Some(Self(hash128(&bytes.unwrap_or_default())))
    }

    /// As it travels.
    pub fn id(&self) -> String {
        self.to_string()
    }

    /// After how long a device offers it again. Not all at once.
    pub fn again_ms(&self) -> u64 {
        AGAIN_MS + u64::from(self.0[0]) * 10
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lf_")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
    /// The action whose hook is asked.
    pub action: String,
    /// The question as it travels.
    pub body: Vec<u8>,
    /// The rows that it shows.
    pub rows: Vec<Seen>,
    /// From 1; larger when the rows moved under an answer, or the hook wanted to see more.
    pub round: u8,
}

/// A transaction that is asked about, and who wants to know.
#[derive(Clone, Debug)]
pub struct Held {
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
    /// Names the request to [`Hooks::said`].
    pub ticket: u64,
    /// The action whose hook is asked.
    pub action: String,
    /// The idempotency key.
    pub id: String,
    /// What is asked.
    pub body: Vec<u8>,
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
    /// No answer, and why: no connection, or too slow.
    Nothing(String),
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
    /// Nobody was asked, or it was forgotten.
    #[default]
    Nothing,
    /// It is being asked.
    Waiting,
    /// There is a verdict.
    Verdict(Arc<Verdict>),
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Waiting,
    Running(u64),
    Pausing,
    Done { verdict: Arc<Verdict> },
}

#[derive(Debug)]
struct Asking {
    question: Question,
    held: Held,
    tries: u8,
    state: State,
}

/// What is asked of one hook.
#[derive(Debug, Default)]
struct Lane {
    /// In the order in which they are to be asked.
    waiting: VecDeque<Name>,
    running: usize,
    known: usize,
}

/// See the module's documentation. All times are of one clock that never goes back, in milliseconds.
#[derive(Debug, Default)]
pub struct Hooks {
    known: BTreeMap<Name, Asking>,
    lanes: BTreeMap<String, Lane>,
    /// The hook that was asked last: the others come first.
    last: String,
    pausing: BTreeSet<(u64, Name)>,
    /// Verdicts, oldest first, and since when.
    done: VecDeque<(u64, Name)>,
    running: BTreeMap<u64, Name>,
    subjects: BTreeMap<String, usize>,
    bytes: usize,
    next_ticket: u64,
}

impl Hooks {
    /// What is known of a transaction that somebody offers. Who that is will be told.
    pub fn hear(&mut self, name: &Name, session: SessionId, push: u32) -> Heard {
        let Some(asking) = self.known.get_mut(name) else { return Heard::Nothing };
        (asking.held.session, asking.held.push) = (session, push);
        match &asking.state {
            State::Done { verdict } => Heard::Verdict(Arc::clone(verdict)),
            _ => Heard::Waiting,
        }
    }

    /// Asks about a transaction, unless that is under way. False when there is no room: its device has to come again.
    pub fn ask(&mut self, name: Name, question: Question, held: Held) -> bool {
        if self.known.contains_key(&name) {
            return true;
        }
        let of_hook = self.lanes.get(&question.action).map_or(0, |lane| lane.known);
        let of_subject = self.subjects.get(&held.entry.subject.id).copied().unwrap_or(0);
        let size = question.body.len();
        if self.known.len() >= MOST_KNOWN
            || of_hook >= MOST_KNOWN_PER_HOOK
            || of_subject >= MOST_KNOWN_PER_SUBJECT
            || self.bytes + size > MOST_BYTES
        {
            return false;
        }
        self.bytes += size;
        *self.subjects.entry(held.entry.subject.id.clone()).or_default() += 1;
        let lane = self.lanes.entry(question.action.clone()).or_default();
        lane.known += 1;
        lane.waiting.push_back(name);
        self.known.insert(name, Asking { question, held, tries: 0, state: State::Waiting });
        true
    }

    /// A verdict was made use of, or was none.
    pub fn used(&mut self, name: &Name) {
        if self.known.get(name).is_some_and(|asking| matches!(asking.state, State::Done { .. })) {
            self.remove(name);
        }
    }

    /// Forgets everything: what is asked is of a history that is no more. Answers that are under way say nothing then.
    pub fn clear(&mut self) {
        *self = Self { next_ticket: self.next_ticket, ..Self::default() };
    }

    fn remove(&mut self, name: &Name) {
        let Some(asking) = self.known.remove(name) else { return };
        self.bytes -= asking.question.body.len();
        if let Some(lane) = self.lanes.get_mut(&asking.question.action) {
            lane.known -= 1;
        }
        let subject = &asking.held.entry.subject.id;
        if let Some(count) = self.subjects.get_mut(subject) {
            *count -= 1;
            if *count == 0 {
                self.subjects.remove(subject);
            }
        }
    }

    /// The next request to make, if one may be made now.
    pub fn next(&mut self, now_ms: u64) -> Option<Ask> {
        self.forget(now_ms);
        while let Some((_, name)) = self.pausing.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.pausing.pop_first();
            if let Some(asking) = self.known.get_mut(&name).filter(|asking| asking.state == State::Pausing) {
                asking.state = State::Waiting;
                self.lanes.entry(asking.question.action.clone()).or_default().waiting.push_back(name);
            }
        }
        if self.running.len() >= MOST_RUNNING {
            return None;
        }
        let (before, after): (Vec<_>, Vec<_>) = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.running < MOST_PER_HOOK && !lane.waiting.is_empty())
            .partition(|(action, _)| **action <= self.last);
        let action = after.first().or(before.first()).map(|(action, _)| (*action).clone())?;
        let lane = self.lanes.get_mut(&action)?;
        let name = lane.waiting.pop_front()?;
        let asking = self.known.get_mut(&name)?;
        lane.running += 1;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        asking.tries += 1;
        asking.state = State::Running(ticket);
        self.running.insert(ticket, name);
        self.last.clone_from(&action);
        Some(Ask { ticket, action, id: name.id(), body: asking.question.body.clone() })
    }

    /// What came of a request. When that is a verdict, the transaction is handed back: it can be decided. What is said a
    /// second time, or about a question that is no more, says nothing.
    pub fn said(&mut self, ticket: u64, said: Said, now_ms: u64, random: u64) -> Option<Held> {
        let name = self.running.remove(&ticket)?;
        let asking = self.known.get_mut(&name).filter(|asking| asking.state == State::Running(ticket))?;
        if let Some(lane) = self.lanes.get_mut(&asking.question.action) {
            lane.running -= 1;
        }
        let (trouble, wait_ms) = match said {
            Said::Answer { status: 200..=299, body: Some(body), .. } => {
                let Question { rows, round, .. } = &asking.question;
                let verdict = Verdict::Answered { body, rows: rows.clone(), round: *round };
                return self.finish(name, verdict, now_ms);
            }
            Said::Answer { status: 200..=299, body: None, .. } => {
                return self.finish(name, Verdict::Failed("its answer is too long".to_owned()), now_ms);
            }
            Said::Answer { status: status @ (408 | 429 | 500..=599), retry_after_ms, .. } => {
                (format!("it answered with {status}"), retry_after_ms)
            }
            Said::Answer { status, .. } => {
                // The app's fault: the same request would be answered alike.
                return self.finish(name, Verdict::Failed(format!("it answered with {status}")), now_ms);
            }
            Said::Nothing(why) => (why, None),
        };
        if asking.tries >= TRIES {
            return self.finish(name, Verdict::Failed(format!("{trouble}, {TRIES} times")), now_ms);
        }
        // Full jitter.
        let ceiling = (500u64 << asking.tries).min(LONGEST_MS);
        let wait_ms = wait_ms.map_or(random % (ceiling + 1), |asked| asked.min(LONGEST_ASKED_MS));
        asking.state = State::Pausing;
        self.pausing.insert((now_ms + wait_ms, name));
        None
    }

    fn finish(&mut self, name: Name, verdict: Verdict, now_ms: u64) -> Option<Held> {
        let asking = self.known.get_mut(&name)?;
        asking.state = State::Done { verdict: Arc::new(verdict) };
        self.done.push_back((now_ms, name));
        Some(asking.held.clone())
    }

    /// When to call [`Hooks::next`] again at the latest.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.pausing.first().map(|(until_ms, _)| *until_ms)
    }

    /// How many transactions are asked about, or wait with a verdict.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is asked, and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((_, name)) = self.done.front().copied().filter(|(at, _)| at.saturating_add(KEPT_MS) <= now_ms) {
            self.done.pop_front();
            // The same transaction may be asked about anew by now.
            self.used(&name);
        }
    }
}

#[cfg(test)]
mod tests;
