//! `custom`: a function of the app's own, of the value that the author had before, the one that the author made of it, and the one
//! that is there. What travels is the first two, so that the server never has to ask for the base.
//!
//! The server's outcome is what counts, and it travels like any other value: a function that gives something else on a device
//! shows something else while a write waits, and nothing more. One that fails, panics or gives two answers to one question
//! decides nothing: what the server has stays, and what was written is a conflict for a person to resolve. A refusal would
//! take back the whole transaction, for a fault that is not its author's.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::state::{Changed, Hand, Held, Yielded};
use super::{Contest, Rule, TakenBack, Winner, lww::Lww};
use crate::txn::Change;
use crate::value::{ColumnType, Value};

/// Most characters of what a function says of itself.
const MOST_WORDS: usize = 300;

/// Three values of one cell.
#[derive(Clone, Copy, Debug)]
pub struct Three<'a> {
    /// What the column holds: each of the three is of this type, or NULL, and so is what is made of them.
    pub ty: ColumnType,
    /// What the author had before.
    pub base: &'a Value,
    /// What the author made of it.
    pub ours: &'a Value,
    /// What is there: somebody else made it of the base.
    pub theirs: &'a Value,
}

/// What the app makes of a cell that two have written. It goes by nothing but what it is given: the same three values have the
/// same outcome, always and everywhere. It must be quick: on the server nothing else is decided meanwhile.
pub trait MergeFunction: Send + Sync {
    /// The value that is to be.
    ///
    /// # Errors
    /// Why there is none: then a person has to say.
    fn merge(&self, three: &Three<'_>) -> Result<Value, String>;
}

impl<F: Fn(&Three<'_>) -> Result<Value, String> + Send + Sync> MergeFunction for F {
    fn merge(&self, three: &Three<'_>) -> Result<Value, String> {
        self(three)
    }
}

/// The app's functions, by the names that `landfall.toml` gives them ([`crate::Schema::with_functions`]).
///
/// ```
/// use landfall_core::Value;
/// use landfall_core::rules::{MergeFunctions, Three};
///
/// let longest = |three: &Three<'_>| match (three.ours, three.theirs) {
///     (Value::Text(ours), Value::Text(theirs)) if ours.len() > theirs.len() => Ok(three.ours.clone()),
///     (Value::Text(_), Value::Text(_)) => Ok(three.theirs.clone()),
///     _ => Err("one of them is no text".to_owned()),
/// };
/// let functions = MergeFunctions::new().on("longest", longest);
/// ```
#[derive(Clone, Default)]
pub struct MergeFunctions(BTreeMap<String, Arc<dyn MergeFunction>>);

impl MergeFunctions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has this function merge the columns that name it.
    #[must_use]
    pub fn on(mut self, name: impl Into<String>, function: impl MergeFunction + 'static) -> Self {
        self.0.insert(name.into(), Arc::new(function));
        self
    }
}

impl fmt::Debug for MergeFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The rule of one column.
#[derive(Clone)]
pub(super) struct Custom {
    pub(super) name: String,
    pub(super) ty: ColumnType,
    function: Option<Arc<dyn MergeFunction>>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.name).field(&self.ty).finish()
    }
}

/// What somebody did to a cell.
struct Edit {
    was: Value,
    is: Value,
}

impl Custom {
    pub(super) fn new(name: String, ty: ColumnType) -> Self {
        Self { name, ty, function: None }
    }

    /// The same with its function, where that is among these.
    pub(super) fn with(&self, functions: &MergeFunctions) -> Self {
        let function = functions.0.get(&self.name).or(self.function.as_ref()).cloned();
        Self { name: self.name.clone(), ty: self.ty, function }
    }

    pub(super) fn is_known(&self) -> bool {
        self.function.is_some()
    }

    /// Of a change that says nothing of one of both, that one is NULL.
    fn read(&self, change: &Value) -> Option<Edit> {
        let Value::Json(text) = change else { return None };
        let Json::Object(mut parts) = serde_json::from_str(text).ok()? else { return None };
        let mut part = |name: &str| match (parts.remove(name), self.ty) {
            (None, _) => Some(Value::Null),
            (Some(json), ColumnType::Json) => Some(Value::json(&json)),
            (Some(json), ty) => Value::from_json(&json, ty).ok().filter(|value| !value.is_null()),
        };
        let edit = Edit { was: part("was")?, is: part("is")? };
        parts.is_empty().then_some(edit)
    }

    fn write(&self, was: &Value, is: &Value) -> Option<Value> {
        if ![was, is].into_iter().all(|value| value.is_null() || value.fits(self.ty)) {
            return None;
        }
        let parts = [("was", was), ("is", is)].into_iter().filter(|(_, value)| !value.is_null());
        let parts = parts.map(|(name, value)| (name.to_owned(), value.to_json()));
        Some(Value::json(&Json::Object(Map::from_iter(parts))))
    }

    /// What the function makes of three values; or what is wrong with it.
    fn merged(&self, base: &Value, ours: &Value, theirs: &Value) -> Result<Value, String> {
        let Some(function) = &self.function else { return Err("it is not here".to_owned()) };
        let base = if crate::mutant::active("custom-base-forgotten") { theirs } else { base };
        let three = Three { ty: self.ty, base, ours, theirs };
        let ask = || {
            let said = catch_unwind(AssertUnwindSafe(|| function.merge(&three)));
            let said = said.unwrap_or_else(|_| Err("it panicked".to_owned())).map(canonical);
            said.map_err(|words| words.chars().take(MOST_WORDS).collect::<String>())
        };
        // Who asks twice finds out who counts, reads a clock or draws lots; not all of them, and always the same on all sides,
        // since only the server's outcome is ever stored.
        match (ask()?, ask()) {
            (one, Ok(other)) if one == other => Ok(one),
            _ => Err("it gave two answers to one question".to_owned()),
        }
    }
}

/// JSON in the one form in which it is stored.
fn canonical(value: Value) -> Value {
    match &value {
        Value::Json(text) => serde_json::from_str::<Json>(text).map_or(value, |json| Value::json(&json)),
        _ => value,
    }
}

impl Rule for Custom {
    fn name(&self) -> &'static str {
        "custom"
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

    fn may_be_null(&self) -> bool {
        true
    }

    /// What the function makes of a value that has the change already is anybody's guess.
    fn is_repeatable(&self) -> bool {
        false
    }

    fn alone(&self, change: &Value) -> Option<Yielded> {
        let Edit { was, is } = self.read(change)?;
        Some(Yielded { value: is, base: Some(was), fault: None })
    }

    fn change(&self) -> Option<Change> {
        Some(Change::Edit)
    }

    fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        let what = "no change of such a cell: {\"was\": value before, \"is\": value after}, each of the column's type";
        if self.read(change).is_some() { None } else { Some(what) }
    }

    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        self.write(before, after)
    }

    /// Without the function, or where it decides nothing, one's own is shown while it waits.
    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        let Edit { was, is } = self.read(change)?;
        if *to == was || *to == is {
            return Some(is);
        }
        Some(self.merged(&was, &is, to).unwrap_or(is))
    }

    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        let (first, second) = (self.read(first)?, self.read(second)?);
        // What others wrote may have come in between.
        if first.is == second.was { self.write(&first.was, &second.is) } else { None }
    }

    /// Only what nobody has merged with anything since: the function says what becomes of edits, not of their absence.
    fn taken_back(&self, now: &Value, _was: &Value, change: &Value) -> Option<TakenBack> {
        let Edit { was, is } = self.read(change)?;
        (*now == is).then_some(TakenBack { value: was, is_whole: true })
    }

    fn changed(&self, held: &Held<'_>, change: &Value, _hand: &Hand<'_>) -> Option<Changed> {
        let Edit { was, is } = self.read(change)?;
        if *held.value == was {
            return Some(Changed::to(is));
        }
        Some(match self.merged(&was, &is, held.value) {
            // What was written is nowhere then, but in what was made of it.
            Ok(value) => Changed { lost: value != is, ..Changed::to(value) },
            Err(fault) => {
                let fault = Some(format!("the merge function '{}': {fault}", self.name));
                let yielded = Some(Yielded { value: is, base: Some(was), fault });
                Changed { value: held.value.clone(), state: None, lost: true, yielded }
            }
        })
    }
}
