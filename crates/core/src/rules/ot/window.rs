//! Which operations of a cell the author of another one had not seen: the server keeps the last ones.
//!
//! An author's operations are made one on top of the other, on a text without what others did meanwhile; in the cell they
//! stand after that. So of each author the server also keeps what is *behind* the author's last operation: what others had done
//! before it and the author had not seen, as it is on top of that operation. From there to the text that is there now lead the
//! operations that came after it. (D. Nichols et al., "High-latency, low-bandwidth windowing in the Jupiter collaboration
//! system", 1995.)

use minicbor::{Decode, Encode};
use operational_transform::{Operation, OperationSeq};
use serde::{Deserialize, Serialize};

use crate::hash::hash128;
use crate::id::ReplicaId;
use crate::merge::Version;
use crate::rules::ot::MOST_COPIED;
use crate::rules::state::{Dot, Hand};

/// Most operations that are kept of a cell.
const MOST_KEPT: usize = 128;
/// Most bytes that they take with what is behind them.
const MOST_BYTES: usize = 16 << 10;
/// What an entry takes beside its steps.
const ENTRY_BYTES: usize = 40;

/// What the hash of deleted letters takes.
const HASH_BYTES: usize = 9;

/// The last operations of a text.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Window {
    /// The sequence of the text on which the kept operations begin.
    #[n(0)]
    since: u64,
    /// Who made that text, where it was one.
    #[n(1)]
    by: Option<ReplicaId>,
    /// In their order.
    #[n(2)]
    done: Vec<Done>,
    #[n(3)]
    behind: Vec<Behind>,
}

/// An operation, as it is in the cell.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
struct Done {
    #[n(0)]
    at: Dot,
    #[n(1)]
    steps: Steps,
}

/// What is behind the last operation of an author, in the order of sequences.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
struct Behind {
    #[n(0)]
    at: Dot,
    #[n(1)]
    unseen: Vec<Unseen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
struct Unseen {
    #[n(0)]
    seq: u64,
    #[n(1)]
    steps: Steps,
}

/// Operations as they are stored. They tell which letters they delete: what leads to a text by its length alone may be of another
/// text, in which other letters stood.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
pub(super) struct Steps(#[n(0)] Vec<Step>);

/// Lengths are Unicode code points.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
enum Step {
    #[n(0)]
    Keep(#[n(0)] u32),
    /// Letters that nobody looked at: of a very long text, or by an older version.
    #[n(1)]
    Delete(#[n(0)] u32),
    #[n(2)]
    Insert(#[n(0)] String),
    /// Letters, and the hash of them.
    #[n(3)]
    Strike(#[n(0)] u32, #[n(1)] u64),
}

impl Steps {
    /// `on`: the text that they are done to.
    fn of(steps: &OperationSeq, on: Option<&str>) -> Self {
        // A text has far fewer letters than this; what is stored wrongly leads to another text, and is noticed.
        let length = |count: &u64| u32::try_from(*count).unwrap_or(u32::MAX);
        let mut left = on;
        let mut next = |count: &u64| {
            let (taken, rest) = split(left?, *count);
            left = Some(rest);
            Some(taken)
        };
        let step = |step: &Operation| match step {
            Operation::Retain(count) => {
                next(count);
                Step::Keep(length(count))
            }
            Operation::Delete(count) => match next(count) {
                Some(letters) => Step::Strike(length(count), hash(letters)),
                None => Step::Delete(length(count)),
            },
            Operation::Insert(text) => Step::Insert(text.clone()),
        };
        Self(steps.ops().iter().map(step).collect())
    }

    fn read(&self) -> OperationSeq {
        let step = |step: &Step| match step {
            Step::Keep(count) => Operation::Retain(u64::from(*count)),
            Step::Delete(count) | Step::Strike(count, _) => Operation::Delete(u64::from(*count)),
            Step::Insert(text) => Operation::Insert(text.clone()),
        };
        self.0.iter().map(step).collect()
    }

    /// What they make of a text; `None` where it is not one that they can have been done to.
    fn done_to(&self, text: &str) -> Option<String> {
        let (mut left, mut after) = (text, String::with_capacity(text.len()));
        for step in &self.0 {
            match step {
                Step::Keep(count) => {
                    let (kept, rest) = split(left, u64::from(*count));
                    after.push_str(kept);
                    left = rest;
                }
                Step::Delete(count) => left = split(left, u64::from(*count)).1,
                Step::Strike(count, of) => {
                    let (struck, rest) = split(left, u64::from(*count));
                    if hash(struck) != *of {
                        return None;
                    }
                    left = rest;
                }
                Step::Insert(text) => after.push_str(text),
            }
        }
        left.is_empty().then_some(after)
    }

    fn bytes(&self) -> usize {
        let inserted = self.0.iter().map(|step| match step {
            Step::Insert(text) => text.len(),
            Step::Strike(..) => HASH_BYTES,
            Step::Keep(_) | Step::Delete(_) => 0,
        });
        ENTRY_BYTES + 8 * self.0.len() + inserted.sum::<usize>()
    }
}

impl Behind {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.unseen.iter().map(|unseen| unseen.steps.bytes()).sum::<usize>()
    }
}

fn hash(letters: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash128(letters.as_bytes());
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Whether so many operations on texts of so many bytes are done one after the other in a moment.
fn is_quick(bytes: usize, count: usize) -> bool {
    bytes.saturating_mul(count) <= MOST_COPIED
}

/// The first so many letters of a text, and the others.
fn split(text: &str, letters: u64) -> (&str, &str) {
    let letters = usize::try_from(letters).unwrap_or(usize::MAX);
    // Most texts are, for the most part; whole words of memory are looked at here, and each letter below.
    if text.as_bytes().get(..letters).is_some_and(<[u8]>::is_ascii) {
        return text.split_at(letters);
    }
    let at = text.char_indices().nth(letters);
    text.split_at(at.map_or(text.len(), |(at, _)| at))
}

/// These operations, where one on top of the other they make `now` of `was`, letter by letter. They do not where a program wrote past
/// the rule in between, where the author's text is another than the server thinks, and where what is stored is damaged.
pub(super) fn lead(unseen: Vec<(u64, Steps)>, was: &str, now: &str) -> Option<Vec<(u64, OperationSeq)>> {
    let each: Vec<(u64, OperationSeq)> = unseen.iter().map(|(seq, steps)| (*seq, steps.read())).collect();
    let Some(((_, first), more)) = each.split_first() else { return (was == now).then_some(each) };
    let all = more.iter().try_fold(first.clone(), |all, (_, steps)| all.compose(steps)).ok()?;
    if !all.apply(was).is_ok_and(|is| is == now) {
        return None;
    }
    // Letter by letter each operation costs the whole text; of a very long one the length has to do.
    if is_quick(was.len().max(now.len()), unseen.len()) {
        unseen.iter().try_fold(was.to_owned(), |text, (_, steps)| steps.done_to(&text))?;
    }
    Some(each)
}

impl Window {
    /// Of a text that was written as a whole.
    pub(super) fn from(whole: Version) -> Self {
        Self { since: whole.seq, by: Some(whole.stamp.replica), done: Vec::new(), behind: Vec::new() }
    }

    /// What was done that somebody has not seen, each with its sequence, from the text that that one has. `None`: more than is
    /// kept.
    pub(super) fn unseen(&self, hand: &Hand<'_>) -> Option<Vec<(u64, Steps)>> {
        let own = hand.author.stamp.replica;
        let last = self.behind.iter().find(|behind| behind.at.replica == own && behind.at.seq > hand.base);
        if last.is_none() && self.since > hand.base && self.by != Some(own) {
            return None;
        }
        let before = last.into_iter().flat_map(|behind| &behind.unseen).filter(|unseen| unseen.seq > hand.base);
        let after = last.map_or(0, |behind| behind.at.seq);
        let is_unseen = |done: &&Done| done.at.seq > after && !hand.has_seen(done.at.seq, done.at.replica);
        let later = self.done.iter().filter(is_unseen).map(|done| (done.at.seq, done.steps.clone()));
        Some(before.map(|unseen| (unseen.seq, unseen.steps.clone())).chain(later).collect())
    }

    /// Adds what somebody did to the text that is there, and behind it what was done before and not seen, to the text that the author
    /// has now. What is more than a cell may keep is forgotten, the oldest first.
    pub(super) fn add(
        &mut self,
        hand: &Hand<'_>,
        (steps, stored): (&OperationSeq, &str),
        (behind, own): (&[(u64, OperationSeq)], &str),
    ) {
        let at = Dot { seq: hand.author.seq, replica: hand.author.stamp.replica };
        if !steps.is_noop() {
            self.done.push(Done { at, steps: Steps::of(steps, Some(stored)) });
        }
        let mut text = is_quick(own.len(), behind.len()).then(|| own.to_owned());
        let mut unseen = Vec::new();
        for (seq, steps) in behind.iter().filter(|(_, steps)| !steps.is_noop()) {
            unseen.push(Unseen { seq: *seq, steps: Steps::of(steps, text.as_deref()) });
            text = text.and_then(|text| steps.apply(&text).ok());
        }
        self.behind.retain(|behind| behind.at.replica != at.replica);
        self.behind.push(Behind { at, unseen });
        self.forget();
    }

    fn forget(&mut self) {
        let mut done: usize = self.done.iter().map(|done| done.steps.bytes()).sum();
        let behind = |list: &[Behind]| list.iter().map(Behind::bytes).sum::<usize>();
        let mut gone = 0;
        while self.done.len() - gone > MOST_KEPT || done + behind(&self.behind) > MOST_BYTES {
            let Some(oldest) = self.done.get(gone) else {
                self.behind.clear();
                break;
            };
            (gone, done) = (gone + 1, done - oldest.steps.bytes());
            (self.since, self.by) = (oldest.at.seq, self.by.filter(|by| *by == oldest.at.replica));
            self.behind.retain(|behind| behind.at.seq >= oldest.at.seq);
        }
        self.done.drain(..gone);
    }
}
