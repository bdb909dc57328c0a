//! `ot`: a text whose edits are operations (keep, insert, delete), each transformed on the server against what came before it and
//! its author had not seen. Of two who insert at one place the one that was accepted first stands first; what several delete is
//! deleted once, and what somebody inserts within it stays. It never makes a conflict.
//!
//! What travels is the text before and the operations on it, so that the server never has to ask for the base. Which operations
//! the author had not seen is known from those that the server keeps of the cell ([`Window`]). Where they do not lead from the
//! author's text to the one that is there, since they are too long ago or the text was written past the rule, the
//! difference of both texts takes their place: what was typed is all there then, too, as far as it can be told from the letters.
//!
//! Transformation is that of the crate `operational-transform`, which counts Unicode code points. Lengths are checked here,
//! where a change is read, before it sees them: it adds them up unchecked.

mod difference;
#[cfg(test)]
mod tests;
mod window;

use operational_transform::{Operation, OperationSeq};
use serde_json::{Map, Value as Json};

use super::state::{CellState, Changed, Hand, Held};
use super::{Contest, Rule, TakenBack, Winner, lww::Lww};
use crate::txn::Change;
use crate::value::{ColumnType, Value};
use difference::difference;
pub use window::Window;

/// Most operations of one change. A difference that would need more replaces what lies between its ends.
const MOST_STEPS: usize = 10_000;
/// Most bytes that are copied for joining two changes, or transforming one: each step of the way copies all that is inserted.
const MOST_COPIED: usize = 50_000_000;

#[derive(Debug)]
pub(super) struct Ot;

/// What somebody did to a text.
struct Edit {
    was: String,
    /// They fit `was`.
    steps: OperationSeq,
}

impl Edit {
    fn read(change: &Value) -> Option<Self> {
        let Value::Json(text) = change else { return None };
        let Json::Object(mut parts) = serde_json::from_str(text).ok()? else { return None };
        let (Json::String(was), Json::Array(list)) = (parts.remove("was")?, parts.remove("steps")?) else {
            return None;
        };
        if !parts.is_empty() || list.len() > MOST_STEPS {
            return None;
        }
        let mut left = was.chars().count() as u64;
        let mut steps = OperationSeq::with_capacity(list.len());
        for step in list {
            match step {
                Json::String(text) if !text.is_empty() => steps.insert(&text),
                Json::Number(count) => {
                    let count = count.as_i64().filter(|count| *count != 0)?;
                    left = left.checked_sub(count.unsigned_abs())?;
                    if count > 0 { steps.retain(count.unsigned_abs()) } else { steps.delete(count.unsigned_abs()) }
                }
                _ => return None,
            }
        }
        (left == 0).then_some(Self { was, steps })
    }

    fn write(was: &str, steps: &OperationSeq) -> Value {
        let step = |step: &Operation| match step {
            Operation::Retain(count) => Json::from(*count),
            Operation::Delete(count) => Json::from(-i64::try_from(*count).unwrap_or(i64::MAX)),
            Operation::Insert(text) => Json::from(text.as_str()),
        };
        let steps = Json::Array(steps.ops().iter().map(step).collect());
        let parts = [("was", Json::from(was)), ("steps", steps)].map(|(name, part)| (name.to_owned(), part));
        Value::Json(Json::Object(Map::from_iter(parts)).to_string())
    }

    fn is(&self) -> Option<String> {
        self.steps.apply(&self.was).ok()
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

/// Bytes.
fn inserted(steps: &OperationSeq) -> usize {
    steps.ops().iter().map(|step| if let Operation::Insert(text) = step { text.len() } else { 0 }).sum()
}

/// The same on a text on which `earlier` was done meanwhile; and `earlier` on a text on which it was done. What `earlier` inserts
/// stands first. `None` where they are not of one text.
fn transformed(steps: &OperationSeq, earlier: &OperationSeq) -> Option<(OperationSeq, OperationSeq)> {
    let (earlier, steps) = earlier.transform(steps).ok()?;
    Some((steps, earlier))
}

/// What comes of operations on `was` where the text is `now`.
fn over(was: &str, steps: &OperationSeq, now: &str) -> Option<String> {
    if was == now {
        return steps.apply(now).ok();
    }
    let (steps, _) = transformed(steps, &difference(was, now))?;
    steps.apply(now).ok()
}

impl Rule for Ot {
    fn name(&self) -> &'static str {
        "ot"
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

    /// What is inserted into a text that has it already is there twice.
    fn is_repeatable(&self) -> bool {
        false
    }

    fn empty(&self) -> Option<Value> {
        Some(Value::Text(String::new()))
    }

    fn change(&self) -> Option<Change> {
        Some(Change::Edit)
    }

    fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        let what = "no change of such a text: {\"was\": text before, \"steps\": [count to keep, -count to delete, \"text to \
                    insert\"…]}, at most 10,000 steps, which keep or delete each character of the text before (Unicode code \
                    points)";
        if Edit::read(change).is_some() { None } else { Some(what) }
    }

    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        let (was, is) = (text(before)?, text(after).filter(|_| !after.is_null())?);
        Some(Edit::write(was, &difference(was, is)))
    }

    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        let Edit { was, steps } = Edit::read(change)?;
        let now = if crate::mutant::active("ot-shown-whole") { &was } else { text(to)? };
        Some(Value::Text(over(&was, &steps, now)?))
    }

    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        let (first, second) = (Edit::read(first)?, Edit::read(second)?);
        // What others wrote may have come in between.
        if first.is()? != second.was {
            return None;
        }
        if inserted(&first.steps).saturating_mul(second.steps.ops().len()) > MOST_COPIED {
            return None;
        }
        let both = first.steps.compose(&second.steps).ok().filter(|both| both.ops().len() <= MOST_STEPS)?;
        Some(Edit::write(&first.was, &both))
    }

    /// What was inserted goes, as far as it is still there, and what was deleted comes back, whatever others did meanwhile.
    fn taken_back(&self, now: &Value, _was: &Value, change: &Value) -> Option<TakenBack> {
        let edit = Edit::read(change)?;
        let value = over(&edit.is()?, &edit.steps.invert(&edit.was), text(now)?)?;
        Some(TakenBack { value: Value::Text(value), is_whole: true })
    }

    fn changed(&self, held: &Held<'_>, change: &Value, hand: &Hand<'_>) -> Option<Changed> {
        let Edit { was, mut steps } = Edit::read(change)?;
        let stored = text(held.value)?;
        let mut window = match held.state {
            Some(CellState::Ot(window)) => window.clone(),
            _ => Window::from(held.at),
        };
        let is_quick = |count: usize| inserted(&steps).saturating_mul(count) <= MOST_COPIED;
        let unseen = window.unseen(hand).filter(|unseen| is_quick(unseen.len()));
        // Where they do not lead there, the author's text is another than the server thinks: as where what the author did before
        // this was refused.
        let led = unseen.and_then(|unseen| window::lead(unseen, &was, stored));
        let unseen = led.unwrap_or_else(|| vec![(held.at.seq, difference(&was, stored))]);
        // As if the author had seen the text that is there.
        let stored = if crate::mutant::active("ot-base-ignored") { &was } else { stored };
        let unseen = if crate::mutant::active("ot-base-ignored") { Vec::new() } else { unseen };
        let own = steps.apply(&was).ok()?;
        let mut behind = Vec::with_capacity(unseen.len());
        for (seq, earlier) in unseen {
            let (later, earlier) = transformed(&steps, &earlier)?;
            steps = later;
            behind.push((seq, earlier));
        }
        let after = steps.apply(stored).ok()?;
        window.add(hand, (&steps, stored), (&behind, &own));
        Some(Changed { state: Some(CellState::Ot(window)), ..Changed::to(Value::Text(after)) })
    }
}
