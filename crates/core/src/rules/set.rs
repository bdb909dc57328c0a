//! `set`: a set of scalars, as a JSON array without order. A remove takes away what its author had seen; what somebody else
//! added meanwhile survives. What travels is which elements were added and removed.
//!
//! An observed-remove set (Shapiro, Preguiça, Baquero, Zawirski: "A comprehensive study of Convergent and Commutative
//! Replicated Data Types", 2011, specification 15). Its unique tags are (sequence, author), of which an element has one for
//! each add that had not seen another one: mostly one.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::state::{CellState, Changed, Dot, Hand, Held};
use super::{Contest, Rule, TakenBack, Winner, lww::Lww};
use crate::txn::Change;
use crate::value::{ColumnType, Value};

#[derive(Debug)]
pub(super) struct Set;

/// Most elements of a set: each takes a look at each change. More than this are rows of a table of their own.
const MOST_ELEMENTS: usize = 10_000;

/// Elements, each as JSON text.
type Elements = BTreeSet<String>;

/// Who added which element when. An element of the set that is not listed was added with the value as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Adds {
    /// When the value was last written as a whole.
    #[n(0)]
    whole: Dot,
    /// The adds of an element of which nobody who removed it since has known.
    #[n(1)]
    of: BTreeMap<String, Vec<Dot>>,
}

/// What is done to a set.
#[derive(Default)]
struct Edit {
    add: Elements,
    remove: Elements,
}

fn list(json: Json) -> Option<Elements> {
    let Json::Array(list) = json else { return None };
    if list.len() > MOST_ELEMENTS {
        return None;
    }
    let text = |element: Json| match element {
        Json::String(_) | Json::Number(_) | Json::Bool(_) => Some(element.to_string()),
        _ => None,
    };
    list.into_iter().map(text).collect()
}

/// NULL has no elements. `None`: it is no set.
fn elements(value: &Value) -> Option<Elements> {
    match value {
        Value::Null => Some(Elements::new()),
        Value::Json(text) => list(serde_json::from_str(text).ok()?),
        _ => None,
    }
}

fn text(elements: &Elements) -> String {
    let list: Vec<&str> = elements.iter().map(String::as_str).collect();
    format!("[{}]", list.join(","))
}

fn value(elements: &Elements) -> Value {
    Value::Json(text(elements))
}

impl Edit {
    fn read(change: &Value) -> Option<Self> {
        let Value::Json(text) = change else { return None };
        let Json::Object(mut parts) = serde_json::from_str(text).ok()? else { return None };
        let mut part = |name: &str| parts.remove(name).map_or(Some(Elements::new()), list);
        let edit = Self { add: part("add")?, remove: part("remove")? };
        (parts.is_empty() && edit.add.is_disjoint(&edit.remove)).then_some(edit)
    }

    fn write(&self) -> Value {
        let parts = [("add", &self.add), ("remove", &self.remove)].into_iter().filter(|(_, list)| !list.is_empty());
        let json = |(name, list): (&str, &Elements)| Some((name.to_owned(), serde_json::from_str(&text(list)).ok()?));
        Value::Json(Json::Object(parts.filter_map(json).collect::<Map<_, _>>()).to_string())
    }

    fn apply(&self, mut to: Elements) -> Elements {
        to.retain(|element| !self.remove.contains(element));
        to.extend(self.add.iter().cloned());
        to
    }
}

impl Rule for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn fits(&self, ty: ColumnType) -> bool {
        ty == ColumnType::Json
    }

    /// Of a value as a whole: by a device with an older schema, or by a program that writes past Landfall.
    fn winner(&self, contest: &Contest<'_>) -> Winner {
        Lww.winner(contest)
    }

    fn is_order_free(&self) -> bool {
        true
    }

    fn empty(&self) -> Option<Value> {
        Some(value(&Elements::new()))
    }

    fn flaw(&self, value: &Value) -> Option<&'static str> {
        let what = "no set: an array of at most 10,000 texts, numbers and booleans";
        if elements(value).is_some() { None } else { Some(what) }
    }

    fn canonical(&self, value: Value) -> Value {
        elements(&value).filter(|_| !value.is_null()).map_or(value, |elements| self::value(&elements))
    }

    fn change(&self) -> Option<Change> {
        Some(Change::Edit)
    }

    fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        let what = "no change of a set: {\"add\": [element…], \"remove\": [element…]}, none of them in both";
        if Edit::read(change).is_some() { None } else { Some(what) }
    }

    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        let (before, after) = (elements(before).unwrap_or_default(), elements(after).filter(|_| !after.is_null())?);
        let add = after.difference(&before).cloned().collect();
        let remove = before.difference(&after).cloned().collect();
        Some(Edit { add, remove }.write())
    }

    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        Some(value(&Edit::read(change)?.apply(elements(to).unwrap_or_default())))
    }

    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        let (mut first, second) = (Edit::read(first)?, Edit::read(second)?);
        first.add.retain(|element| !second.remove.contains(element));
        first.remove.retain(|element| !second.add.contains(element));
        first.add.extend(second.add);
        first.remove.extend(second.remove);
        Some(first.write())
    }

    /// What was added goes, and what was removed comes back, whatever others did to other elements. Several changes as one may
    /// name what was as it is before.
    fn taken_back(&self, now: &Value, was: &Value, change: &Value) -> Option<TakenBack> {
        let (Edit { mut add, mut remove }, was) = (Edit::read(change)?, elements(was)?);
        add.retain(|element| !was.contains(element));
        remove.retain(|element| was.contains(element));
        let value = value(&Edit { add: remove, remove: add }.apply(elements(now)?));
        Some(TakenBack { value, is_whole: true })
    }

    fn changed(&self, held: &Held<'_>, change: &Value, hand: &Hand<'_>) -> Option<Changed> {
        let (mut now, edit) = (elements(held.value).unwrap_or_default(), Edit::read(change)?);
        let mut adds = match held.state {
            Some(CellState::Set(adds)) => adds.clone(),
            _ => Adds { whole: held.at.into(), of: BTreeMap::new() },
        };
        let mut lost = false;
        for element in edit.remove {
            let unseen = adds.unseen(&element, &now, hand);
            if unseen.is_empty() {
                adds.of.remove(&element);
                now.remove(&element);
            } else {
                lost = true;
                adds.keep(element, unseen);
            }
        }
        for element in edit.add {
            let mut dots = adds.unseen(&element, &now, hand);
            dots.push(Dot { seq: hand.author.seq, replica: hand.author.stamp.replica });
            now.insert(element.clone());
            adds.keep(element, dots);
        }
        Some(Changed { value: value(&now), state: Some(CellState::Set(adds)), lost, yielded: None })
    }
}

impl Adds {
    /// The adds of an element that somebody has not seen.
    fn unseen(&self, element: &str, now: &Elements, hand: &Hand<'_>) -> Vec<Dot> {
        if !now.contains(element) {
            return Vec::new();
        }
        let dots = self.of.get(element).map_or(std::slice::from_ref(&self.whole), Vec::as_slice);
        dots.iter().filter(|dot| !hand.has_seen(dot.seq, dot.replica)).copied().collect()
    }

    fn keep(&mut self, element: String, dots: Vec<Dot>) {
        if dots == [self.whole] {
            self.of.remove(&element);
        } else {
            self.of.insert(element, dots);
        }
    }
}
