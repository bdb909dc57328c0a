//! Asking the app's webhooks about transactions: who is asked next, again after how long, and what becomes of what they
//! say. A state machine without I/O: a driver makes the requests that [`Hooks::next`] gives, reports what came of each, and
//! hands the transactions that [`Hooks::back`] gives to the committer.
//!
//! A transaction is known by its [`Name`]. While it is being asked about it is held here, and whoever offers it is told so.
//! It is handed back when there is a verdict, or when it is its turn to be asked: only a commit can put a question, since
//! only that sees the rows. A verdict that nobody takes is forgotten after a while, and the hook is asked again.
//!
//! What an app may remember: the answer to a question, under the question's own id ([`Name::message`]), which is of the
//! transaction, the round and the rows with their versions. What it must not: one answer for each transaction, which would
//! be given for rows that have moved meanwhile, again and again.
//!
//! Four kinds of trouble: a hook that cannot be reached uses up nothing, and is tried by one question at a time ([`Lane`]);
//! one that is overloaded is asked less; one that is asked and gives no answer is asked again, [`TRIES`] times, which is an
//! attempt of the transaction's; and one that answers what cannot be is not asked again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::SessionId;
use crate::store::PushEntry;

mod asking;
mod lane;
mod name;
mod queue;
mod rows;
mod terms;

pub use name::Name;
pub use rows::RowId;
pub use terms::{Again, Ask, Heard, Held, Moved, Next, Question, Said, Seen, Verdict};

use asking::{Asking, State};
use lane::{LONGEST_ASKED_MS, Lane};
use rows::{Place, Rows};

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
/// Most bytes of questions that are held, but for the last one.
pub const MOST_BYTES: usize = 64 << 20;
/// How often a hook is tried for one question, the first time included.
pub const TRIES: u8 = 3;
/// How often a question is put in all, because rows moved under its answer or the hook wants to see more of them.
pub const ROUNDS: u8 = 5;
/// How long a verdict is kept for whoever comes back.
pub const KEPT_MS: u64 = 60_000;
/// The longest wait between two tries, unless the hook says otherwise.
const LONGEST_MS: u64 = 10_000;

/// What those are told for whom there is no room: each something else.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    random: u64,
    turned_away: u64,
}

impl Waits {
    /// Of one push. `random` is for jitter.
    pub fn new(random: u64) -> Self {
        Self { random, turned_away: 0 }
    }

    fn jitter(&self, name: &Name, wait_ms: u64) -> Heard {
        Heard::Later { again_ms: wait_ms + name.share_of(self.random) % (wait_ms / 2 + 1) }
    }
}

/// See the module's documentation. All times are of one clock that never goes back, in milliseconds.
#[derive(Debug, Default)]
pub struct Hooks {
    known: BTreeMap<Name, Asking>,
    lanes: BTreeMap<String, Lane>,
    rows: Rows,
    /// The hook that was asked last: the others come first.
    last: String,
    pausing: BTreeSet<(u64, Name)>,
    /// Those with a verdict, to be handed back.
    decided: VecDeque<Name>,
    /// Verdicts, oldest first, and since when.
    done: VecDeque<(u64, Name)>,
    /// What is asked, and since when.
    running: BTreeMap<u64, (Name, u64)>,
    subjects: BTreeMap<String, usize>,
    bytes: usize,
    next_ticket: u64,
    next_order: u64,
    now_ms: u64,
}

impl Hooks {
    /// What is known of a transaction that somebody offers, before its commit. What it gives, but for [`Heard::Later`], is
    /// the commit's until it says what came of it: [`Hooks::put`], [`Hooks::used`] or [`Hooks::let_go`].
    pub fn hear(
        &mut self,
        name: Name,
        entry: &PushEntry,
        (session, push): (SessionId, u32),
        now_ms: u64,
        waits: &mut Waits,
    ) -> Heard {
        if let Some(asking) = self.known.get_mut(&name) {
            // Under another identity it is another entry's answer that its device waits for: that one asks again.
            if asking.held.entry.entry.hash == entry.entry.hash {
                (asking.held.session, asking.held.push) = (session, push);
            }
            let heard = match &asking.state {
                _ if asking.taken => None,
                State::Done(_, verdict) => Some(Heard::Verdict(name, Arc::clone(verdict))),
                State::Turn => Some(Heard::Turn(name, asking.again.clone())),
                _ => None,
            };
            asking.taken |= heard.is_some();
            return heard.unwrap_or(Heard::Later { again_ms: name.again_ms() });
        }
        let Some(action) = entry.entry.transaction.action.as_ref().map(|action| &action.name) else {
            return Heard::Nothing;
        };
        let subject = &entry.subject.id;
        let of_subject = self.subjects.get(subject).copied().unwrap_or(0);
        let (all, bytes) = (self.known.len(), self.bytes);
        let lane = self.lanes.entry(action.clone()).or_default();
        if let Some(wait_ms) = lane.closed_for(now_ms) {
            return waits.jitter(&name, wait_ms);
        }
        let is_own = of_subject >= MOST_KNOWN_PER_SUBJECT;
        if is_own || all >= MOST_KNOWN || lane.known >= MOST_KNOWN_PER_HOOK || bytes >= MOST_BYTES {
            let places = if is_own { of_subject } else { MOST_PER_HOOK };
            let wait_ms = lane.room_in(waits.turned_away, places);
            waits.turned_away += 1;
            return waits.jitter(&name, wait_ms);
        }
        lane.known += 1;
        *self.subjects.entry(subject.clone()).or_default() += 1;
        let asking = Asking {
            held: Held { name, session, push, entry: entry.clone() },
            action: action.clone(),
            order: self.next_order,
            state: State::Turn,
            rows: Vec::new(),
            holds: false,
            again: None,
            taken: true,
            tries: 0,
            trouble: String::new(),
        };
        self.next_order += 1;
        self.known.insert(name, asking);
        Heard::Turn(name, None)
    }

    /// Bytes of questions for which there is room.
    pub fn room(&self) -> usize {
        MOST_BYTES.saturating_sub(self.bytes)
    }

    /// A commit found what is to be asked about a transaction that it was told of.
    pub fn put(&mut self, name: &Name, next: Next) {
        let Some(asking) = self.known.get_mut(name).filter(|asking| asking.taken) else { return };
        let place = asking.place();
        asking.taken = false;
        if matches!(asking.state, State::Done(..)) {
            (asking.tries, asking.again) = (0, None);
        }
        match next {
            Next::Ask(question) => {
                let ids: Vec<RowId> = question.rows.iter().map(|row| RowId::of(&row.table, &row.key)).collect();
                if asking.again.take().is_some() && asking.holds {
                    ids.iter().zip(&question.rows).for_each(|(id, row)| self.rows.shown(*id, row.version.as_deref()));
                }
                self.rows.show(place, &ids);
                let before = std::mem::replace(&mut asking.rows, ids);
                let gone: Vec<RowId> = before.iter().filter(|id| !asking.rows.contains(id)).copied().collect();
                if std::mem::take(&mut asking.holds) {
                    self.rows.release(&before);
                }
                self.rows.hide(place, &gone, false);
                self.bytes += question.body.len();
                asking.state = State::Waiting(question);
                self.enter(name);
            }
            Next::Contend(again, moved) => {
                asking.again = Some(Arc::new(again));
                asking.state = State::Parked;
                if std::mem::take(&mut asking.holds) {
                    self.rows.release(&asking.rows);
                }
                moved.iter().for_each(|moved| self.heat(moved));
                if let Some(asking) = self.known.get(name) {
                    self.rows.wait(place, &asking.rows);
                }
            }
        }
    }

    /// Whoever has a question waits for a place to ask it, or where that is not possible for its turn.
    fn enter(&mut self, name: &Name) {
        let Some(asking) = self.known.get_mut(name) else { return };
        asking.holds = self.rows.hold(asking.place(), &asking.rows);
        if asking.holds {
            let subject = &asking.held.entry.subject.id;
            self.lanes.entry(asking.action.clone()).or_default().waiting.push(subject, *name);
        } else {
            self.bytes -= asking.park();
        }
    }

    /// A row has moved: what was asked about it as it was will have to be asked again, and what was not yet waits.
    fn heat(&mut self, moved: &Moved) {
        for place in self.rows.heat(moved.row, moved.version.as_deref()) {
            let Some(asking) = self.known.get_mut(&place.1) else { continue };
            let at = asking.rows.iter().position(|id| *id == moved.row);
            let seen = at.and_then(|at| asking.seen().get(at)).map(|seen| seen.version.as_deref());
            let is_stale = seen.is_some_and(|version| version != moved.version.as_deref());
            let is_waiting = matches!(asking.state, State::Waiting(_));
            if asking.holds && (is_stale || is_waiting) {
                asking.holds = false;
                self.rows.release(&asking.rows);
            }
            if is_waiting {
                self.bytes -= asking.park();
                self.rows.wait(place, &asking.rows);
            }
        }
    }

    /// A transaction was decided, or will not be: what is known of it is forgotten.
    pub fn used(&mut self, name: &Name) {
        if self.known.get(name).is_some_and(|asking| matches!(asking.state, State::Turn | State::Done(..))) {
            self.remove(name);
        }
    }

    /// A transaction that was handed back, or heard of, is not decided now. A verdict stays; whoever had a turn has it no
    /// more.
    pub fn let_go(&mut self, name: &Name) {
        let Some(asking) = self.known.get_mut(name) else { return };
        match asking.state {
            State::Done(..) => {
                asking.taken = false;
                if std::mem::take(&mut asking.holds) {
                    self.rows.release(&asking.rows);
                }
            }
            State::Turn => self.remove(name),
            _ => {}
        }
    }

    /// Forgets everything: what is asked is of a history that is no more. Answers that are under way say nothing then.
    pub fn clear(&mut self) {
        *self = Self { next_ticket: self.next_ticket, now_ms: self.now_ms, ..Self::default() };
    }

    fn remove(&mut self, name: &Name) {
        let Some(asking) = self.known.remove(name) else { return };
        self.rows.hide(asking.place(), &asking.rows, asking.holds);
        if let State::Waiting(question) | State::Running(_, question) | State::Pausing(question) = &asking.state {
            self.bytes -= question.body.len();
        }
        if let Some(lane) = self.lanes.get_mut(&asking.action) {
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
        self.now_ms = now_ms;
        self.forget(now_ms);
        while let Some((_, name)) = self.pausing.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.pausing.pop_first();
            let Some(asking) = self.known.get_mut(&name) else { continue };
            asking.state = match std::mem::replace(&mut asking.state, State::Parked) {
                State::Pausing(question) => State::Waiting(question),
                other => {
                    asking.state = other;
                    continue;
                }
            };
            self.enter(&name);
        }
        while self.running.len() < MOST_RUNNING {
            let open = || self.lanes.iter().filter(|(_, lane)| lane.is_open(now_ms)).map(|(action, _)| action);
            let action = open().find(|action| **action > self.last).or_else(|| open().next())?.clone();
            let lane = self.lanes.get_mut(&action)?;
            let name = lane.waiting.pop()?;
            // Some do not wait any more.
            let Some(asking) = self.known.get_mut(&name) else { continue };
            let ticket = self.next_ticket;
            asking.state = match std::mem::replace(&mut asking.state, State::Parked) {
                State::Waiting(question) => State::Running(ticket, question),
                other => {
                    asking.state = other;
                    continue;
                }
            };
            let State::Running(_, question) = &asking.state else { continue };
            lane.running += 1;
            self.next_ticket += 1;
            self.running.insert(ticket, (name, now_ms));
            self.last.clone_from(&action);
            return Some(Ask { ticket, action, id: name.message(&question.body), body: question.body.clone() });
        }
        None
    }

    /// What came of a request. What is said a second time, or about a question that is no more, says nothing.
    pub fn said(&mut self, ticket: u64, said: Said, now_ms: u64, random: u64) {
        let Some((name, since_ms)) = self.running.remove(&ticket) else { return };
        let Some(asking) = self.known.get_mut(&name) else { return };
        let question = match std::mem::replace(&mut asking.state, State::Parked) {
            State::Running(of, question) if of == ticket => question,
            other => {
                asking.state = other;
                return;
            }
        };
        let action = asking.action.clone();
        let lane = self.lanes.entry(action.clone()).or_default();
        lane.running -= 1;
        if !matches!(said, Said::Answer { status: 429 | 503, .. } | Said::Unreachable(_) | Said::Nothing(_)) {
            lane.answered(now_ms.saturating_sub(since_ms));
        }
        let (trouble, wait_ms) = match said {
            Said::Answer { status: 429 | 503, retry_after_ms, .. } => {
                lane.overloaded(retry_after_ms, now_ms, random);
                return self.put_off(&name, question, now_ms);
            }
            Said::Unreachable(_) => {
                lane.unreachable(now_ms, random);
                return self.put_off(&name, question, now_ms);
            }
            Said::Answer { status: 200..=299, body: Some(body), .. } => {
                self.bytes -= question.body.len();
                let Question { rows, round, .. } = question;
                return self.finish(&name, Verdict::Answered { body, rows, round }, now_ms);
            }
            Said::Answer { status: status @ (408 | 500..=599), retry_after_ms, .. } => {
                (format!("it answered with {status}"), retry_after_ms)
            }
            Said::Answer { status, .. } => {
                // The app's fault: the same request would be answered alike.
                self.bytes -= question.body.len();
                let is_long = (200..=299).contains(&status);
                let why =
                    if is_long { "its answer is too long".to_owned() } else { format!("it answered with {status}") };
                return self.finish(&name, Verdict::Failed(why), now_ms);
            }
            Said::Nothing(why) => (why, None),
        };
        asking.tries += 1;
        if asking.tries >= TRIES {
            self.bytes -= question.body.len();
            return self.finish(&name, Verdict::Failed(format!("{trouble}, {TRIES} times")), now_ms);
        }
        asking.trouble = trouble;
        // Others that show these rows need not wait for it.
        asking.state = State::Pausing(question);
        if std::mem::take(&mut asking.holds) {
            self.rows.release(&asking.rows);
        }
        // Full jitter.
        let ceiling = (500u64 << asking.tries).min(LONGEST_MS);
        let wait_ms = wait_ms.map_or(random % (ceiling + 1), |asked| asked.min(LONGEST_ASKED_MS));
        self.pausing.insert((now_ms + wait_ms, name));
    }

    /// Its hook takes no questions now: it is the first to be asked when it does. Where that takes too long, nobody waits
    /// here: devices come again, which is no attempt. What was asked before and had no answer is one.
    fn put_off(&mut self, name: &Name, question: Question, now_ms: u64) {
        let Some(asking) = self.known.get_mut(name) else { return };
        asking.state = State::Waiting(question);
        let action = asking.action.clone();
        let lane = self.lanes.entry(action.clone()).or_default();
        lane.waiting.push_first(&asking.held.entry.subject.id, *name);
        if !lane.is_lost(now_ms) {
            return;
        }
        lane.waiting.clear();
        let waits = |asking: &Asking| matches!(asking.state, State::Waiting(_) | State::Pausing(_) | State::Parked);
        let lost = self.known.iter().filter(|(_, asking)| asking.action == action && waits(asking));
        let lost: Vec<(Name, u8)> = lost.map(|(name, asking)| (*name, asking.tries)).collect();
        for (name, tries) in lost {
            let Some(asking) = self.known.get_mut(&name).filter(|_| tries > 0) else {
                self.remove(&name);
                continue;
            };
            let why = format!("{}, and then it took no question", asking.trouble);
            self.bytes -= asking.park();
            // It waits for no turn any more.
            self.rows.hide(asking.place(), &asking.rows, std::mem::take(&mut asking.holds));
            asking.rows.clear();
            self.finish(&name, Verdict::Failed(why), now_ms);
        }
    }

    fn finish(&mut self, name: &Name, verdict: Verdict, now_ms: u64) {
        let Some(asking) = self.known.get_mut(name) else { return };
        asking.state = State::Done(now_ms, Arc::new(verdict));
        self.decided.push_back(*name);
        self.done.push_back((now_ms, *name));
    }

    /// The next transaction that can go on: there is a verdict, or it is its turn to be asked. It is to be decided by the
    /// committer; where that is not possible, tell [`Hooks::let_go`].
    pub fn back(&mut self) -> Option<Held> {
        while let Some(name) = self.decided.pop_front() {
            let asking = self.known.get(&name);
            if let Some(asking) = asking.filter(|asking| !asking.taken && matches!(asking.state, State::Done(..))) {
                return Some(asking.held.clone());
            }
        }
        while let Some(place) = self.rows.candidate() {
            let Some(asking) = self.known.get_mut(&place.1) else { continue };
            if matches!(asking.state, State::Parked) && self.rows.hold(place, &asking.rows) {
                (asking.state, asking.holds) = (State::Turn, true);
                return Some(asking.held.clone());
            }
        }
        None
    }

    /// When to call [`Hooks::next`] again at the latest.
    pub fn deadline_ms(&self) -> Option<u64> {
        let lanes = self.lanes.values().filter_map(|lane| lane.due_ms(self.now_ms));
        lanes.chain(self.pausing.first().map(|(until_ms, _)| *until_ms)).min()
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
        let is_old = |at: u64| at.saturating_add(KEPT_MS) <= now_ms;
        while let Some((_, name)) = self.done.front().copied().filter(|(at, _)| is_old(*at)) {
            self.done.pop_front();
            // The same transaction may have another verdict by now.
            let asking = self.known.get(&name);
            if asking.is_some_and(|a| !a.taken && matches!(a.state, State::Done(at, _) if is_old(at))) {
                self.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
