//! What concurrent edits of a column mean: the merge rules.
//!
//! A rule is a small pure module of its own under `rules/`: it decides between what is stored and what is written, and
//! nothing else. Whether a write is concurrent is found before a rule is asked ([`crate::merge`]), and never by clocks. A new
//! rule is a module and a line in [`ALL`]; the laws in `tests/rules.rs` hold it to what it says of itself.

mod arrival;
mod counter;
mod custom;
mod extreme;
mod first;
pub mod list;
mod lww;
mod manual;
mod map;
mod ot;
mod set;
mod state;
mod text;

use std::fmt;
use std::sync::Arc;

use crate::stamp::Stamp;
use crate::txn::Change;
use crate::value::{ColumnType, Value};

pub use custom::{MergeFunction, MergeFunctions, Three};
pub use state::{CellState, Changed, Dot, Hand, Held, Yielded};

/// What is stored in a cell, and what somebody writes into it.
#[derive(Clone, Copy, Debug)]
pub struct Contest<'a> {
    /// The value that is there.
    pub stored: &'a Value,
    /// When it was written, as far as that can be believed.
    pub stored_at: Stamp,
    /// The value that is to be there.
    pub written: &'a Value,
    /// When it was written, by the server's clock.
    pub written_at: Stamp,
    /// Somebody else wrote what is stored after the author had last seen the cell.
    pub concurrent: bool,
}

/// Who has the cell afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    /// What was stored stays.
    Stored,
    /// What was written is stored.
    Written,
}

/// A value from which a change was taken off again.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenBack {
    /// The value without the change.
    pub value: Value,
    /// False: a part of the change stays, since others have changed that since.
    pub is_whole: bool,
}

/// A merge rule. Pure: the same contest has the same winner wherever and whenever it is held.
pub(crate) trait Rule: fmt::Debug + Sync {
    /// Its name in `landfall.toml`.
    fn name(&self) -> &'static str;

    /// Whether it can be declared for a column of this type.
    fn fits(&self, ty: ColumnType) -> bool {
        let _ = ty;
        true
    }

    /// Who has the cell afterwards.
    fn winner(&self, contest: &Contest<'_>) -> Winner;

    /// Who is shown while the write is pending over what is confirmed: the write, unless it cannot win.
    fn shown(&self, confirmed: &Value, pending: &Value) -> Winner {
        let _ = (confirmed, pending);
        Winner::Written
    }

    /// Whether the same writes leave the same value in whatever order they arrive.
    fn is_order_free(&self) -> bool;

    /// Whether a value that is there is never replaced by who has seen it: the device says so before it is written.
    fn is_written_once(&self) -> bool {
        false
    }

    /// Whether a write that saw the stored value is recorded with a stamp above the stored one, so that the order of stamps
    /// never contradicts the order of seeing.
    fn lifts_stamps(&self) -> bool {
        true
    }

    /// Whether of two concurrent values the one that does not win is kept for a person to look at.
    fn keeps_both(&self, contest: &Contest<'_>) -> bool {
        let _ = contest;
        false
    }

    /// Whether there may be conflicts for a person to resolve.
    fn may_conflict(&self) -> bool {
        false
    }

    /// What a change says by itself, where it can be kept as a conflict.
    fn alone(&self, change: &Value) -> Option<Yielded> {
        let _ = change;
        None
    }

    /// Whether a column whose writes travel as changes may be NULL.
    fn may_be_null(&self) -> bool {
        false
    }

    /// What a column has where nobody says what: of a rule under which there is always something.
    fn empty(&self) -> Option<Value> {
        None
    }

    /// What is wrong with a value, in words that follow "the value is".
    fn flaw(&self, value: &Value) -> Option<&'static str> {
        let _ = value;
        None
    }

    /// The one form of values that mean the same.
    fn canonical(&self, value: Value) -> Value {
        value
    }

    /// How writes travel where it is not the new value that does, but what was done to the old one.
    fn change(&self) -> Option<Change> {
        None
    }

    /// What was done to `before` that it is `after` now; `None` where no change does that.
    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        let _ = (before, after);
        None
    }

    /// What a change makes of a value; `None` where the outcome cannot be stored, or it is no change of this rule's.
    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        let _ = (to, change);
        None
    }

    /// Two changes, the second of which was made on top of the first, as one.
    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        let _ = (first, second);
        None
    }

    /// Whether all changes of a row, made again in their order on a value that has them, leave that value.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// What is left of `now` without a change that was made on top of `was`; `None` where nobody can tell.
    fn taken_back(&self, now: &Value, was: &Value, change: &Value) -> Option<TakenBack> {
        let _ = (now, was, change);
        None
    }

    /// What is wrong with a change as it travels, in words that follow "the value is".
    fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        let _ = change;
        None
    }

    /// What a change makes of a cell on the server; `None` where the outcome cannot be stored.
    fn changed(&self, held: &Held<'_>, change: &Value, hand: &Hand<'_>) -> Option<Changed> {
        let _ = hand;
        Some(Changed::to(self.applied(held.value, change)?))
    }
}

/// What concurrent edits of a column mean: one of the rules by name. The default is `lww`.
///
/// ```
/// use landfall_core::ColumnType;
/// use landfall_core::rules::MergeRule;
///
/// let rule = MergeRule::named("max").unwrap();
/// assert!(rule.fits(ColumnType::Integer) && !rule.fits(ColumnType::Json));
/// assert_eq!(MergeRule::default().name(), "lww");
/// ```
#[derive(Clone)]
pub struct MergeRule(Kind);

#[derive(Clone)]
enum Kind {
    Named(&'static dyn Rule),
    Manual(manual::Manual),
    Custom(Arc<custom::Custom>),
}

/// Every rule but `custom`, which is one for each function.
const ALL: [MergeRule; 13] = [
    MergeRule(Kind::Named(&lww::Lww)),
    MergeRule(Kind::Named(&first::First)),
    MergeRule(Kind::Named(&arrival::Server)),
    MergeRule(Kind::Named(&arrival::Client)),
    MergeRule(Kind::Named(&extreme::Max)),
    MergeRule(Kind::Named(&extreme::Min)),
    MergeRule(Kind::Named(&counter::Counter)),
    MergeRule(Kind::Named(&set::Set)),
    MergeRule(Kind::Named(&map::Map)),
    MergeRule(Kind::Named(&list::List)),
    MergeRule(Kind::Named(&text::Text)),
    MergeRule(Kind::Named(&ot::Ot)),
    MergeRule(Kind::Manual(manual::Manual { within_ms: None })),
];

impl MergeRule {
    /// The larger stamp wins.
    pub const LWW: Self = Self(Kind::Named(&lww::Lww));

    /// What a function of the app makes of concurrent edits of a column of this type ([`MergeFunctions`]). Without that function,
    /// as on a device that was given none, a pending write is shown as it is until the server has merged it.
    pub fn custom(function: impl Into<String>, ty: ColumnType) -> Self {
        Self(Kind::Custom(Arc::new(custom::Custom::new(function.into(), ty))))
    }

    /// `manual` for concurrent values that were written within so many milliseconds of each other; of others the later one
    /// wins. When a value was written is told by its author's clock, as far as the server believes it.
    ///
    /// ```
    /// use landfall_core::rules::MergeRule;
    ///
    /// let rule = MergeRule::manual_within(3_600_000);
    /// assert_eq!((rule.name(), rule.within_ms()), ("manual", Some(3_600_000)));
    /// assert_ne!(rule, MergeRule::named("manual").unwrap());
    /// ```
    pub fn manual_within(within_ms: u64) -> Self {
        Self(Kind::Manual(manual::Manual { within_ms: Some(within_ms) }))
    }

    /// How far apart two values were written of which a person is asked, at most, milliseconds; `None`: it is no rule that
    /// asks by that.
    pub fn within_ms(&self) -> Option<u64> {
        match &self.0 {
            Kind::Manual(manual) => manual.within_ms,
            Kind::Named(_) | Kind::Custom(_) => None,
        }
    }

    /// The name of the app's function, and whether it is here.
    pub fn function(&self) -> Option<(&str, bool)> {
        match &self.0 {
            Kind::Named(_) | Kind::Manual(_) => None,
            Kind::Custom(custom) => Some((&custom.name, custom.is_known())),
        }
    }

    /// The same rule with its function, where that is among these.
    #[must_use]
    pub fn with_functions(&self, functions: &MergeFunctions) -> Self {
        match &self.0 {
            Kind::Named(_) | Kind::Manual(_) => self.clone(),
            Kind::Custom(custom) => Self(Kind::Custom(Arc::new(custom.with(functions)))),
        }
    }

    fn rule(&self) -> &dyn Rule {
        match &self.0 {
            Kind::Named(rule) => *rule,
            Kind::Manual(manual) => manual,
            Kind::Custom(custom) => &**custom,
        }
    }

    /// Every rule that has no function of the app's.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter()
    }

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|rule| rule.name() == name)
    }

    /// Its name in `landfall.toml`.
    pub fn name(&self) -> &'static str {
        self.rule().name()
    }

    /// Whether it can be declared for a column of this type.
    pub fn fits(&self, ty: ColumnType) -> bool {
        self.rule().fits(ty)
    }

    /// Who has the cell afterwards.
    pub fn winner(&self, contest: &Contest<'_>) -> Winner {
        if crate::mutant::active("rule-ignored") {
            return lww::Lww.winner(contest);
        }
        self.rule().winner(contest)
    }

    /// What a device shows of a cell while `pending` waits over what is `confirmed`.
    pub fn over(&self, confirmed: Value, pending: &Value) -> Value {
        match self.rule().shown(&confirmed, pending) {
            Winner::Stored => confirmed,
            Winner::Written => pending.clone(),
        }
    }

    /// What a cell holds after a write by somebody who has seen it: on a device, before it travels.
    pub fn after(&self, stored: &Value, written: &Value) -> Winner {
        let (stored_at, written_at) = (Stamp::default(), Stamp::default());
        self.winner(&Contest { stored, stored_at, written, written_at, concurrent: false })
    }

    /// How writes travel where it is not the new value that does, but what was done to the old one ([`Change`]). Such a
    /// change is never lost to another one, and never counted twice.
    ///
    /// ```
    /// use landfall_core::Value;
    /// use landfall_core::rules::MergeRule;
    ///
    /// let counter = MergeRule::named("counter").unwrap();
    /// let change = counter.between(&Value::Int(5), &Value::Int(7)).unwrap();
    /// assert_eq!(counter.applied(&Value::Int(40), &change), Some(Value::Int(42)));
    /// assert_eq!(counter.applied(&Value::Int(i64::MAX), &change), None);
    /// ```
    pub fn change(&self) -> Option<Change> {
        self.rule().change()
    }

    /// What was done to `before` that it is `after` now; `None` where no change does that: the difference is out of range,
    /// or the rule knows no changes.
    pub fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        self.rule().between(before, after)
    }

    /// What a change makes of a value; `None` where the outcome is out of range, or it is no change of this rule's.
    pub fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        self.rule().applied(to, change)
    }

    /// Two changes, the second of which was made on top of the first, as one; `None` where that is out of range.
    ///
    /// ```
    /// use landfall_core::Value;
    /// use landfall_core::rules::MergeRule;
    ///
    /// let json = |text: &str| Value::Json(text.into());
    /// let set = MergeRule::named("set").unwrap();
    /// let both = set.joined(&json(r#"{"add":["a","b"]}"#), &json(r#"{"remove":["a"]}"#)).unwrap();
    /// assert_eq!(set.applied(&json(r#"["a","c"]"#), &both), Some(json(r#"["b","c"]"#)));
    /// ```
    pub fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        self.rule().joined(first, second)
    }

    /// Whether all changes of a row, made again in their order on a value that has them, leave that value.
    pub fn is_repeatable(&self) -> bool {
        self.rule().is_repeatable()
    }

    /// What is left of `now` without a change that was made on top of `was`; `None` where nobody can tell.
    pub fn taken_back(&self, now: &Value, was: &Value, change: &Value) -> Option<TakenBack> {
        self.rule().taken_back(now, was, change)
    }

    /// What a change makes of a cell on the server, and what is kept to tell what is concurrent to it; `None` where the
    /// outcome is out of range.
    pub fn changed(&self, held: &Held<'_>, change: &Value, hand: &Hand<'_>) -> Option<Changed> {
        self.rule().changed(held, change, hand)
    }

    /// Whether of two concurrent values the one that does not win is kept for a person to look at.
    pub(crate) fn keeps_both(&self, contest: &Contest<'_>) -> bool {
        self.rule().keeps_both(contest) && !crate::mutant::active("conflict-swallowed")
    }

    /// What a change says by itself, where it can be kept as a conflict.
    pub fn alone(&self, change: &Value) -> Option<Yielded> {
        self.rule().alone(change)
    }

    /// Whether there may be conflicts for a person to resolve: its table has a second one, of conflicts.
    pub fn may_conflict(&self) -> bool {
        self.rule().may_conflict()
    }

    /// Whether a column whose writes travel as changes may be NULL.
    pub fn may_be_null(&self) -> bool {
        self.rule().may_be_null()
    }

    /// What a column has where nobody says what: of a rule under which there is always something, the column is `required`.
    pub fn empty(&self) -> Option<Value> {
        self.rule().empty()
    }

    /// What is wrong with a value, in words that follow "the value is".
    pub fn flaw(&self, value: &Value) -> Option<&'static str> {
        self.rule().flaw(value)
    }

    /// What is wrong with a change as it travels, in words that follow "the value is".
    pub fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        self.rule().flaw_of_change(change)
    }

    /// The one form of values that mean the same.
    pub fn canonical(&self, value: Value) -> Value {
        self.rule().canonical(value)
    }

    /// Whether the same writes leave the same value in whatever order they arrive.
    pub fn is_order_free(&self) -> bool {
        self.rule().is_order_free()
    }

    /// Whether a value that is there is never replaced by who has seen it.
    pub fn is_written_once(&self) -> bool {
        self.rule().is_written_once()
    }

    /// Whether a write that saw the stored value is recorded with a stamp above the stored one.
    pub(crate) fn lifts_stamps(&self) -> bool {
        self.rule().lifts_stamps()
    }
}

impl Default for MergeRule {
    fn default() -> Self {
        Self::LWW
    }
}

impl PartialEq for MergeRule {
    fn eq(&self, other: &Self) -> bool {
        let function = |rule: &Self| rule.function().map(|(name, _)| name.to_owned());
        self.name() == other.name() && function(self) == function(other) && self.within_ms() == other.within_ms()
    }
}

impl Eq for MergeRule {}

impl fmt::Debug for MergeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.function() {
            Some((function, _)) => write!(f, "{} {function}", self.name()),
            None => f.write_str(self.name()),
        }?;
        self.within_ms().map_or(Ok(()), |within_ms| write!(f, " within {within_ms} ms"))
    }
}
