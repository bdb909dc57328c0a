//! `text`: a three-way merge against the text that the author had before. By lines first; where two changed the same lines, by
//! words; and where they changed the same words, what the server has stays, the other changes of the same text are merged
//! beside it, and the author's text as a whole is a conflict for a person to resolve.
//!
//! What travels is the text before and the text after, so that the server never has to ask for the base.

use std::cell::Cell;

use serde_json::{Map, Value as Json};
use similar::{MergeResolution, TextMerge};

use super::state::{Changed, Hand, Held, Yielded};
use super::{Contest, Rule, TakenBack, Winner, lww::Lww};
use crate::txn::Change;
use crate::value::{ColumnType, Value};

/// Lines and words in which the texts of one merge may differ: beyond that it would hold up the server, and mean little.
const MOST_DIFFERENCES: usize = 4_000;

#[derive(Debug)]
pub(super) struct Text;

/// What somebody did to a text.
struct Edit {
    was: String,
    is: String,
}

impl Edit {
    fn read(change: &Value) -> Option<Self> {
        let Value::Json(text) = change else { return None };
        let Json::Object(mut parts) = serde_json::from_str(text).ok()? else { return None };
        let (Json::String(was), Json::String(is)) = (parts.remove("was")?, parts.remove("is")?) else { return None };
        parts.is_empty().then_some(Self { was, is })
    }

    fn write(was: &str, is: &str) -> Value {
        let parts = [("was", was), ("is", is)].map(|(name, text)| (name.to_owned(), Json::String(text.to_owned())));
        Value::Json(Json::Object(Map::from_iter(parts)).to_string())
    }
}

/// NULL is an empty text.
fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Null => Some(""),
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// A merged text.
struct Merged {
    text: String,
    /// A part of `ours` is not in it.
    is_conflict: bool,
}

/// The parts of `ours` and `theirs` that do not meet, and where they do, theirs.
fn merge(base: &str, ours: &str, theirs: &str) -> Merged {
    if ours == theirs || base == ours {
        return Merged { text: theirs.to_owned(), is_conflict: false };
    }
    if base == theirs {
        return Merged { text: ours.to_owned(), is_conflict: false };
    }
    let [base, ours, theirs] = [base, ours, theirs].map(escaped);
    let left = Cell::new(MOST_DIFFERENCES);
    let merged = by_lines([&base, &ours, &theirs], &left, |base, ours, theirs| {
        by_words([base, ours, theirs].map(<[&str]>::concat), &left)
    });
    Merged { text: unescaped(&merged.text), ..merged }
}

/// `\r` as text, so that lines end with `\n` alone; and `\`, so that it can be told from that.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('r') => out.push('\r'),
                other => out.extend(other),
            },
            c => out.push(c),
        }
    }
    out
}

/// Merges by lines, which end with `\n` alone; `settle` says what becomes of those that both changed. What it looks at is taken
/// from `left`.
fn by_lines(
    [base, ours, theirs]: [&str; 3],
    left: &Cell<usize>,
    settle: impl Fn(&[&str], &[&str], &[&str]) -> Merged,
) -> Merged {
    let Some(rest) = left.get().checked_sub(differs(base, ours) + differs(base, theirs)) else {
        return Merged { text: theirs.to_owned(), is_conflict: true };
    };
    left.set(rest);
    let merge = TextMerge::<str>::from_lines(base, ours, theirs);
    let mut out = Merged { text: String::with_capacity(theirs.len()), is_conflict: false };
    for region in merge.regions() {
        let ours = || region.ours_range().filter_map(|at| merge.ours_line(at));
        let theirs = || region.theirs_range().filter_map(|at| merge.theirs_line(at));
        match region.resolution() {
            MergeResolution::Conflict => {
                let base: Vec<&str> = region.base_range().filter_map(|at| merge.base_line(at)).collect();
                let settled = settle(&base, &ours().collect::<Vec<_>>(), &theirs().collect::<Vec<_>>());
                out.text.push_str(&settled.text);
                out.is_conflict |= settled.is_conflict;
            }
            MergeResolution::Ours => out.text.extend(ours()),
            _ => out.text.extend(theirs()),
        }
    }
    out
}

/// The same by words, spaces and marks, each as a line of its own.
fn by_words(texts: [String; 3], left: &Cell<usize>) -> Merged {
    let [base, ours, theirs] = texts.map(|text| words_as_lines(&text));
    let keep_theirs = |_: &[&str], _: &[&str], theirs: &[&str]| Merged { text: theirs.concat(), is_conflict: true };
    let merged = by_lines([&base, &ours, &theirs], left, keep_theirs);
    Merged { text: words_from_lines(&merged.text), ..merged }
}

/// In how many lines two texts may differ, between what they begin and what they end with.
fn differs(one: &str, other: &str) -> usize {
    let [one, other] = [one, other].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let shorter = one.len().min(other.len());
    let begins = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let ends =
        one.iter().rev().zip(other.iter().rev()).take(shorter - begins).take_while(|(one, other)| one == other).count();
    one.len().max(other.len()) - begins - ends
}

/// Each word on a line of its own. Ends of lines among them are `\l`: every `\` that was there is escaped already.
fn words_as_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut last: Option<char> = None;
    for c in text.chars() {
        let joins = last.is_some_and(|last| last == '\\' || (last.is_alphanumeric() && c.is_alphanumeric()));
        if last.is_some() && !joins {
            out.push('\n');
        }
        match c {
            '\n' => out.push_str("\\l"),
            c => out.push(c),
        }
        // What is escaped is one mark.
        last = Some(if last == Some('\\') { ' ' } else { c });
    }
    if last.is_some() {
        out.push('\n');
    }
    out
}

fn words_from_lines(lines: &str) -> String {
    let mut out = String::with_capacity(lines.len());
    let mut chars = lines.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => {}
            '\\' => match chars.next() {
                Some('l') => out.push('\n'),
                other => {
                    out.push(c);
                    out.extend(other);
                }
            },
            c => out.push(c),
        }
    }
    out
}

impl Rule for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn fits(&self, ty: ColumnType) -> bool {
        ty == ColumnType::Text
    }

    /// Of a value as a whole: by a device with an older schema, or by a program that writes past Landfall.
    fn winner(&self, contest: &Contest<'_>) -> Winner {
        Lww.winner(contest)
    }

    /// The server decides once, in the order in which writes arrive.
    fn is_order_free(&self) -> bool {
        false
    }

    fn may_conflict(&self) -> bool {
        true
    }

    fn alone(&self, change: &Value) -> Option<Yielded> {
        let Edit { was, is } = Edit::read(change)?;
        Some(Yielded { value: Value::Text(is), base: Some(Value::Text(was)), fault: None })
    }

    fn empty(&self) -> Option<Value> {
        Some(Value::Text(String::new()))
    }

    fn change(&self) -> Option<Change> {
        Some(Change::Edit)
    }

    fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        let what = "no change of a text: {\"was\": text before, \"is\": text after}";
        if Edit::read(change).is_some() { None } else { Some(what) }
    }

    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        Some(Edit::write(text(before)?, text(after).filter(|_| !after.is_null())?))
    }

    /// Where both changed the same words one's own are shown while they wait.
    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        let Edit { was, is } = Edit::read(change)?;
        Some(Value::Text(merge(&was, text(to)?, &is).text))
    }

    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        let (first, second) = (Edit::read(first)?, Edit::read(second)?);
        // What others wrote may have come in between.
        (first.is == second.was).then(|| Edit::write(&first.was, &second.is))
    }

    /// What others changed elsewhere in the text stays; where they changed what was written, nothing is taken back.
    fn taken_back(&self, now: &Value, _was: &Value, change: &Value) -> Option<TakenBack> {
        let (Edit { was, is }, now) = (Edit::read(change)?, text(now)?);
        let merged = merge(&is, &was, now);
        (!merged.is_conflict || merged.text != now)
            .then_some(TakenBack { value: Value::Text(merged.text), is_whole: !merged.is_conflict })
    }

    fn changed(&self, held: &Held<'_>, change: &Value, _hand: &Hand<'_>) -> Option<Changed> {
        let Edit { was, is } = Edit::read(change)?;
        let merged = merge(&was, &is, text(held.value)?);
        let is_kept = merged.is_conflict && !crate::mutant::active("conflict-swallowed");
        let yielded = is_kept.then_some(Yielded { value: Value::Text(is), base: Some(Value::Text(was)), fault: None });
        Some(Changed { value: Value::Text(merged.text), state: None, lost: merged.is_conflict, yielded })
    }
}
