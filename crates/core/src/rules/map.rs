//! `map`: a JSON object, merged path by path. At each path the larger stamp wins among concurrent writes, as with `lww`; what
//! is at other paths stays. Arrays are values of their path as a whole. What travels is which paths were set and removed.
//!
//! Each path to something that is no object is a register of its own. Somebody may set `a` to a number while somebody else sets
//! `a.b`: both cannot be shown, so the larger stamp is, and the other one is kept until somebody writes it again. That makes
//! the outcome the same in every order, since each register is settled by itself and what is shown is told from all of them.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map as Object, Value as Json};

use super::state::{CellState, Changed, Hand, Held};
use super::{Contest, Rule, TakenBack, Winner, lww::Lww};
use crate::merge::Version;
use crate::stamp::Stamp;
use crate::txn::Change;
use crate::value::{ColumnType, Value};

/// How long it is remembered that a path was removed, in milliseconds: 90 days. A write that had not seen that and comes later
/// than this brings the path back, whatever its stamp.
const REMEMBERED_MS: u64 = 90 * 24 * 3_600_000;

/// Most paths of a map: each takes a look at each change. More than this are rows of a table of their own.
const MOST_PATHS: usize = 10_000;
/// Most names of a path, with those of what is nested in an array at its end.
const DEEPEST: usize = 100;
/// Most paths that are remembered as removed, and most that are kept without being shown; of more the oldest are forgotten.
const MOST_REMEMBERED: usize = 1_000;

#[derive(Debug)]
pub(super) struct Map;

/// What is at each path, which is a JSON pointer (RFC 6901).
type Leaves = BTreeMap<String, Json>;

/// When each path was written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Paths {
    /// When the value was last written as a whole: of paths that are not listed.
    #[n(0)]
    whole: Version,
    /// Paths with a version of their own.
    #[n(1)]
    of: BTreeMap<String, Path>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
struct Path {
    #[n(0)]
    at: Version,
    #[n(1)]
    is: Is,
}

/// Where a path stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
enum Is {
    /// It is in the value.
    #[n(0)]
    Shown,
    /// It was removed.
    #[n(1)]
    Removed,
    /// It has this value, as JSON text, which cannot be shown beside another path.
    #[n(2)]
    Hidden(#[n(0)] String),
}

/// What is done to a map.
#[derive(Default)]
struct Edit {
    set: Leaves,
    remove: BTreeSet<String>,
    /// Paths removed with all that is below them: before it is known what that is.
    cut: BTreeSet<String>,
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// The paths above a path, the root's not among them.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| &path[..at])
}

fn is_path(path: &str) -> bool {
    let mut escaped = path.split('~').skip(1);
    path.starts_with('/') && escaped.all(|rest| rest.starts_with('0') || rest.starts_with('1'))
}

fn gather(at: &str, json: Json, into: &mut Leaves) {
    match json {
        Json::Object(parts) if !parts.is_empty() || at.is_empty() => {
            for (name, part) in parts {
                gather(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), part, into);
            }
        }
        leaf => drop(into.insert(at.to_owned(), leaf)),
    }
}

/// NULL has no paths. `None`: it is no object.
fn leaves(value: &Value) -> Option<Leaves> {
    let mut leaves = Leaves::new();
    match value {
        Value::Null => {}
        Value::Json(text) => match serde_json::from_str(text).ok()? {
            json @ Json::Object(_) => gather("", json, &mut leaves),
            _ => return None,
        },
        _ => return None,
    }
    (leaves.len() <= MOST_PATHS && leaves.iter().all(|(path, leaf)| is_shallow(path, leaf))).then_some(leaves)
}

fn is_shallow(path: &str, leaf: &Json) -> bool {
    fn depth(json: &Json) -> usize {
        match json {
            Json::Array(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
            Json::Object(parts) => 1 + parts.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    path.matches('/').count() + depth(leaf) <= DEEPEST
}

/// The object that has these paths, none of which lies below another one.
fn value<'a>(leaves: impl IntoIterator<Item = (&'a String, &'a Json)>) -> Value {
    let mut root = Object::new();
    for (path, leaf) in leaves {
        let mut names = path.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).peekable();
        let mut object = &mut root;
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                object.insert(name, leaf.clone());
                break;
            }
            let part = object.entry(name).or_insert_with(|| Json::Object(Object::new()));
            match part {
                Json::Object(part) => object = part,
                _ => break,
            }
        }
    }
    Value::Json(Json::Object(root).to_string())
}

fn paths(json: Json) -> Option<BTreeSet<String>> {
    let Json::Array(list) = json else { return None };
    let path = |path: Json| if let Json::String(path) = path { is_path(&path).then_some(path) } else { None };
    list.into_iter().map(path).collect()
}

impl Edit {
    /// As somebody writes it: with paths that may have more below them.
    fn wished(change: &Value) -> Option<Self> {
        let Value::Json(text) = change else { return None };
        let Json::Object(mut parts) = serde_json::from_str(text).ok()? else { return None };
        let mut edit = Self::default();
        for (path, part) in match parts.remove("set") {
            Some(Json::Object(set)) => set,
            Some(_) => return None,
            None => Object::new(),
        } {
            if !is_path(&path) {
                return None;
            }
            if part.as_object().is_some_and(|object| !object.is_empty()) {
                edit.cut.insert(path.clone());
            }
            gather(&path, part, &mut edit.set);
        }
        edit.remove = parts.remove("remove").map_or(Some(BTreeSet::new()), paths)?;
        edit.cut.extend(parts.remove("cut").map_or(Some(BTreeSet::new()), paths)?);
        let is_apart =
            |path: &String| !edit.remove.contains(path) && !above(path).any(|above| edit.set.contains_key(above));
        let names = edit.set.len() + edit.remove.len() + edit.cut.len();
        let is_small = names <= MOST_PATHS && edit.set.iter().all(|(path, leaf)| is_shallow(path, leaf));
        (is_small && parts.is_empty() && edit.set.keys().all(is_apart)).then_some(edit)
    }

    /// As it travels: each path by itself.
    fn read(change: &Value) -> Option<Self> {
        Self::wished(change).filter(|edit| edit.cut.is_empty())
    }

    fn write(self) -> Value {
        let mut json = Object::new();
        if !self.set.is_empty() {
            json.insert("set".into(), Json::Object(self.set.into_iter().collect()));
        }
        if !self.remove.is_empty() {
            json.insert("remove".into(), Json::Array(self.remove.into_iter().map(Json::String).collect()));
        }
        Value::Json(Json::Object(json).to_string())
    }

    fn apply(&self, mut to: Leaves) -> Leaves {
        to.retain(|path, _| !self.remove.contains(path) && !self.cut.contains(path));
        for cut in &self.cut {
            to.retain(|path, _| !is_below(path, cut));
        }
        for (path, leaf) in &self.set {
            for above in above(path) {
                to.remove(above);
            }
            let below: Vec<String> = below(&to, path).cloned().collect();
            for path in below {
                to.remove(&path);
            }
            to.insert(path.clone(), leaf.clone());
        }
        to
    }
}

/// The paths below one.
fn below<'a>(leaves: &'a Leaves, path: &'a str) -> impl Iterator<Item = &'a String> {
    // '0' comes right after '/'.
    leaves.range(format!("{path}/")..format!("{path}0")).map(|(path, _)| path)
}

impl Rule for Map {
    fn name(&self) -> &'static str {
        "map"
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
        Some(value(&Leaves::new()))
    }

    fn flaw(&self, value: &Value) -> Option<&'static str> {
        if leaves(value).is_some() {
            None
        } else {
            Some("no map: a JSON object of at most 10,000 paths, none of them deeper than 100 names")
        }
    }

    fn change(&self) -> Option<Change> {
        Some(Change::Edit)
    }

    fn flaw_of_change(&self, change: &Value) -> Option<&'static str> {
        let what = "no change of a map: {\"set\": {path: value…}, \"remove\": [path…]}, each path a JSON pointer to \
                    something that is no object, none of them above another one, at most 10,000 of them, each of at most \
                    100 names";
        if Edit::read(change).is_some() { None } else { Some(what) }
    }

    fn between(&self, before: &Value, after: &Value) -> Option<Value> {
        let (before, mut after) = (leaves(before).unwrap_or_default(), leaves(after).filter(|_| !after.is_null())?);
        let remove = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
        after.retain(|path, leaf| before.get(path) != Some(leaf));
        Some(Edit { set: after, remove, cut: BTreeSet::new() }.write())
    }

    fn applied(&self, to: &Value, change: &Value) -> Option<Value> {
        Some(value(&Edit::wished(change)?.apply(leaves(to).unwrap_or_default())))
    }

    fn joined(&self, first: &Value, second: &Value) -> Option<Value> {
        let (mut first, second) = (Edit::read(first)?, Edit::read(second)?);
        first.set.retain(|path, _| !second.remove.contains(path));
        first.remove.retain(|path| !second.set.contains_key(path));
        first.set.extend(second.set);
        first.remove.extend(second.remove);
        Some(first.write())
    }

    /// Each path that still is what it was made becomes what it was.
    fn taken_back(&self, now: &Value, was: &Value, change: &Value) -> Option<TakenBack> {
        let (mut now, was, edit) = (leaves(now)?, leaves(was)?, Edit::read(change)?);
        let (mut back, mut is_whole) = (Leaves::new(), true);
        for (path, made) in edit.set {
            if now.get(&path) != Some(&made) {
                is_whole = false;
                continue;
            }
            now.remove(&path);
            back.extend(was.get(&path).map(|leaf| (path, leaf.clone())));
        }
        for path in edit.remove {
            let is_free = !now.contains_key(&path)
                && !above(&path).any(|above| now.contains_key(above))
                && below(&now, &path).next().is_none();
            match was.get(&path) {
                Some(leaf) if is_free => drop(back.insert(path, leaf.clone())),
                _ => is_whole = false,
            }
        }
        let value = value(&Edit { set: back, ..Edit::default() }.apply(now));
        Some(TakenBack { value, is_whole })
    }

    fn changed(&self, held: &Held<'_>, change: &Value, hand: &Hand<'_>) -> Option<Changed> {
        let edit = Edit::read(change)?;
        let shown = leaves(held.value).unwrap_or_default();
        let mut registers = Registers::of(held, shown);
        let mut lost = false;
        // What is not known here was removed so long ago that it is forgotten.
        for path in edit.remove.into_iter().filter(|path| registers.of.contains_key(path)).collect::<Vec<_>>() {
            lost |= !registers.write(path, None, hand);
        }
        for (path, leaf) in edit.set {
            lost |= !registers.write(path, Some(leaf), hand);
        }
        let (value, paths) = registers.show(hand.author.now_ms);
        Some(Changed { value, state: Some(CellState::Map(paths)), lost, yielded: None })
    }
}

/// All paths of a cell: a value, or none where it was removed.
struct Registers {
    whole: Version,
    of: BTreeMap<String, (Version, Option<Json>)>,
}

impl Registers {
    fn of(held: &Held<'_>, shown: Leaves) -> Self {
        let (whole, mut stored) = match held.state {
            Some(CellState::Map(paths)) => (paths.whole, paths.of.clone()),
            _ => (held.at, BTreeMap::new()),
        };
        let mut of = BTreeMap::new();
        for (path, leaf) in shown {
            let at = stored.remove(&path).map_or(whole, |path| path.at);
            of.insert(path, (at, Some(leaf)));
        }
        for (path, Path { at, is }) in stored {
            let leaf = match is {
                Is::Hidden(text) => serde_json::from_str(&text).ok(),
                // One that is said to be shown, and is not, was removed by who wrote past Landfall.
                Is::Shown | Is::Removed => None,
            };
            of.insert(path, (at, leaf));
        }
        Self { whole, of }
    }

    /// Whether it is written, and no concurrent write won.
    fn write(&mut self, path: String, leaf: Option<Json>, hand: &Hand<'_>) -> bool {
        let author = hand.author;
        let stamp = match self.of.get(&path) {
            Some((at, _))
                if !author.is_fact
                    && !crate::mutant::active("map-arrival-wins")
                    && !hand.has_seen(at.seq, at.stamp.replica)
                    && author.believed(at.stamp) > author.stamp =>
            {
                return false;
            }
            Some((at, _)) => author.stamp_after(at.stamp),
            None => author.stamp,
        };
        // What is seen above and below it, perhaps written by the author long ago, stands in its way no more.
        let stamp = match leaf {
            Some(_) => self.seen_around(&path, hand).map_or(stamp, |seen| stamp.max(author.stamp_after(seen))),
            None => stamp,
        };
        self.of.insert(path, (Version { seq: author.seq, stamp }, leaf));
        true
    }

    /// The largest stamp of what is there above and below a path, and was seen.
    fn seen_around(&self, path: &str, hand: &Hand<'_>) -> Option<Stamp> {
        let above = above(path).filter_map(|above| self.of.get(above));
        let below = self.of.range(format!("{path}/")..format!("{path}0")).map(|(_, register)| register);
        let seen = above.chain(below).filter(|(at, leaf)| leaf.is_some() && hand.has_seen(at.seq, at.stamp.replica));
        seen.map(|(at, _)| at.stamp).max()
    }

    /// What is shown of them, and what is kept. Where one path lies above another one the larger stamp is shown; an object
    /// without anything in it stands in nobody's way.
    fn show(self, now_ms: u64) -> (Value, Paths) {
        let empty = |leaf: &Json| leaf.as_object().is_some_and(Object::is_empty);
        let mut hidden: BTreeSet<&str> = BTreeSet::new();
        let mut filled: BTreeSet<&str> = BTreeSet::new();
        for (path, (at, leaf)) in &self.of {
            if leaf.is_none() {
                continue;
            }
            for above in above(path) {
                let Some((above_path, (above_at, Some(above_leaf)))) = self.of.get_key_value(above) else { continue };
                if empty(above_leaf) {
                    continue;
                }
                let loses = (above_at.stamp, above_path.as_str()) > (at.stamp, path.as_str());
                hidden.insert(if loses { path } else { above_path });
            }
        }
        for (path, (_, leaf)) in &self.of {
            if leaf.is_some() && !hidden.contains(path.as_str()) {
                filled.extend(above(path));
            }
        }
        let is_shown = |path: &str| !hidden.contains(path) && !filled.contains(path);
        let live = self.of.iter().filter_map(|(path, (_, leaf))| Some((path, leaf.as_ref()?)));
        let value = value(live.filter(|(path, _)| is_shown(path)));
        let keep = |(path, (at, leaf)): (&String, &(Version, Option<Json>))| {
            let is = match leaf {
                Some(_) if is_shown(path) => Is::Shown,
                Some(leaf) => Is::Hidden(leaf.to_string()),
                None => Is::Removed,
            };
            let says_nothing = match is {
                Is::Shown => *at == self.whole,
                Is::Removed => now_ms.saturating_sub(at.stamp.wall_ms) > REMEMBERED_MS,
                Is::Hidden(_) => false,
            };
            (!says_nothing).then(|| (path.clone(), Path { at: *at, is }))
        };
        let mut of: BTreeMap<String, Path> = self.of.iter().filter_map(keep).collect();
        for forgets in [|is: &Is| *is == Is::Removed, |is: &Is| matches!(is, Is::Hidden(_))] {
            let mut oldest: Vec<_> =
                of.iter().filter(|(_, path)| forgets(&path.is)).map(|(name, path)| (path.at.seq, name)).collect();
            let more = oldest.len().saturating_sub(MOST_REMEMBERED);
            oldest.sort_unstable();
            let more: Vec<String> = oldest.into_iter().take(more).map(|(_, name)| name.clone()).collect();
            for name in more {
                of.remove(&name);
            }
        }
        (value, Paths { whole: self.whole, of })
    }
}
