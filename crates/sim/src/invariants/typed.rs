//! `typed`: what anybody types into a text is in it once, in its author's order, until somebody strikes it out; what is struck out
//! is gone; and who types alone finds the very text that was typed.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::{Operation, Transaction, Value};
use landfall_server::commit::LogEntry;
use serde_json::Value as Json;

use super::Violation;
use crate::history::cell;
use crate::world::World;

/// The table and its column that everybody types into.
pub const NOTES: (&str, &str) = ("notes", "body");

/// What somebody did: the text before and after it.
struct Edit {
    was: Vec<char>,
    is: Vec<char>,
}

fn letters(value: &Value) -> Vec<char> {
    value.as_text().unwrap_or_default().chars().collect()
}

/// Reads an edit, apart from the rule's own reading.
fn read(change: &Value) -> Option<Edit> {
    let Value::Json(text) = change else { return None };
    let edit: Json = serde_json::from_str(text).ok()?;
    let was: Vec<char> = edit["was"].as_str()?.chars().collect();
    let (mut is, mut at) = (Vec::new(), 0);
    for step in edit["steps"].as_array()? {
        match (step.as_i64(), step.as_str()) {
            (Some(count), _) => {
                let end = at + usize::try_from(count.unsigned_abs()).ok()?;
                if count > 0 {
                    is.extend(was.get(at..end)?);
                }
                at = end;
            }
            (None, Some(text)) => is.extend(text.chars()),
            (None, None) => return None,
        }
    }
    (at == was.len()).then_some(Edit { was, is })
}

fn count(text: &[char], letter: char) -> usize {
    text.iter().filter(|c| **c == letter).count()
}

/// Looks at a transaction that is about to be added to the history; how many edits met others.
///
/// # Errors
/// When a letter is missing, is there twice, came back, or is out of its order.
pub fn merged(world: &mut World, entry: &LogEntry, transaction: &Transaction) -> Result<u64, Violation> {
    let mut met = 0;
    let of_table = transaction.operations.iter().filter(|o| o.table() == NOTES.0);
    for operation in of_table.clone() {
        let key = operation.key();
        let Some(Edit { was, is }) = operation.value(NOTES.1).and_then(read) else { continue };
        for letter in is.iter().filter(|letter| !was.contains(letter)) {
            *world.typed.entry(*letter).or_default() += 1;
        }
        // Of several on one row only the last is seen; who makes a row that is there says what it begins with.
        let is_single = of_table.clone().filter(|o| o.key() == key).count() == 1;
        if !is_single || !matches!(operation, Operation::Update { .. }) {
            continue;
        }
        let change = entry.changes.iter().find(|c| c.table == NOTES.0 && c.key == *key);
        let states = world.history.states(NOTES.0, key);
        let now = states.last().and_then(|(_, row)| row.as_ref());
        // A row that comes back has its cells as they were.
        let last = states.iter().rev().find_map(|(_, row)| row.as_ref());
        let before = change.map_or(now, |change| change.before.as_ref().or(last));
        let after = change.map_or(now, |change| change.after.as_ref());
        let Some((before, after)) = before.zip(after) else { continue };
        let (before, after) = (letters(cell(before, NOTES.1)), letters(cell(after, NOTES.1)));
        met += u64::from(before != was);
        if let Some(what) = wrong(&was, &is, &before, &after, |letter| world.is_typed_again(letter)) {
            let text = format!(
                "{key:?}: {was:?} became {is:?} for {} of {}, and {before:?} became {after:?} at {}: {what}",
                entry.rseq, entry.replica, entry.seq
            );
            return Err(Violation::new("typed", text));
        }
    }
    Ok(met)
}

/// What is wrong with a text `after` an edit of `was`, which is `is` for its author, where the text was `before`.
fn wrong(
    was: &[char],
    is: &[char],
    before: &[char],
    after: &[char],
    is_again: impl Fn(char) -> bool,
) -> Option<String> {
    if was == before && is != after {
        return Some("nobody else had typed, and it is another text than was typed".to_owned());
    }
    // Who offers again what a server has lost sees it twice for a moment, and may type into that.
    let is_again = |letter: char| is_again(letter) || [was, is, before].iter().any(|text| count(text, letter) > 1);
    let all: BTreeSet<char> = [was, is, before, after].into_iter().flatten().copied().collect();
    for letter in all.iter().copied().filter(|letter| !is_again(*letter)) {
        let [was, is, before, after] = [was, is, before, after].map(|text| count(text, letter));
        let (expected, what) = match was.cmp(&is) {
            std::cmp::Ordering::Less => (1, "was typed"),
            std::cmp::Ordering::Greater => (0, "was struck out"),
            std::cmp::Ordering::Equal => (before, "was not touched"),
        };
        if after != expected {
            return Some(format!("{letter:?} {what}, and is there {after} times"));
        }
    }
    let agree = |one: &[char], other: &[char]| {
        let kept = |text: &[char], other: &[char]| {
            text.iter().filter(|c| other.contains(c) && !is_again(**c)).copied().collect::<Vec<_>>()
        };
        kept(one, other) == kept(other, one)
    };
    // A device shows its own waiting letters beside others' as it thinks they will come; where the server put them otherwise
    // meanwhile, the order is the server's.
    let is_in_order = agree(before, after) && (agree(is, after) || !agree(was, before));
    (!is_in_order).then(|| "the letters are in another order".to_owned())
}

/// What a device shows of a note: the letters that the server has there, with what waits done to them. What an edit of its own struck
/// out that is decided already may be of one that is not: then the server never had it, and the device has it no more.
///
/// # Errors
/// When it shows others.
pub fn shown(
    world: &World,
    at: &str,
    server: &Value,
    [own, decided]: [&[Value]; 2],
    shown: &Value,
) -> Result<(), Violation> {
    let mut expected: BTreeMap<char, i64> = letters(server).into_iter().map(|letter| (letter, 1)).collect();
    for edit in own.iter().filter_map(read) {
        for letter in edit.was.iter().filter(|letter| !edit.is.contains(letter)) {
            expected.remove(letter);
        }
        expected.extend(edit.is.iter().filter(|letter| !edit.was.contains(letter)).map(|letter| (*letter, 1)));
    }
    let is_struck = |edit: &Edit, letter: char| edit.was.contains(&letter) && !edit.is.contains(&letter);
    let decided: Vec<Edit> = decided.iter().filter_map(read).collect();
    let shown = letters(shown);
    let all: BTreeSet<char> = shown.iter().chain(expected.keys()).copied().collect();
    let is_wrong = |letter: &&char| {
        let expected = expected.get(letter).copied().unwrap_or(0);
        let is_open = world.is_typed_again(**letter) || decided.iter().any(|edit| is_struck(edit, **letter));
        !is_open && count(&shown, **letter) as i64 != expected
    };
    match all.iter().find(is_wrong) {
        None => Ok(()),
        Some(letter) => {
            let text =
                format!("{at} shows {shown:?}: {letter:?} is wrong, the server has {server:?}, over which lie {own:?}");
            Err(Violation::new("typed", text))
        }
    }
}
