//! `list`: rows in an order that people make. Each row has a *position*, a text that sorts as bytes; to move a row is to write its
//! position, and of concurrent moves the larger stamp wins, so that a move never doubles a row. Rows whose positions are the
//! same stand in the order of their keys.
//!
//! What one person inserts side by side stays side by side, whatever others insert at the same place meanwhile: positions
//! are paths of named nodes, and a run shares its node. After Matthew Weidner, "Fugue: a basic list CRDT" and its
//! position strings (2022), here with nodes that are named by author and chance, and with values that also run backwards, so
//! that neither appending nor prepending makes positions longer.

use super::{Contest, Rule, Winner, lww::Lww};
use crate::hash::hash128;
use crate::id::ReplicaId;
use crate::value::{ColumnType, Value};

/// What a position is made of, in order.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of a node's name that tell its author.
const AUTHOR: usize = 4;
/// Characters of a node's name.
const NAME: usize = AUTHOR + 2;
/// Characters of a value within a node.
const VALUE: usize = 3;
/// Characters of a node in a path.
const NODE: usize = NAME + VALUE;
/// Values within a node: odd ones are positions, below even ones hangs what stands before the next position.
const VALUES: usize = 62 * 62 * 62;
const MIDDLE: usize = VALUES / 2 + 1;
/// Most characters of a position: beyond, the list is to be spread anew ([`spread`]).
pub const LONGEST: usize = 40 * NODE;

#[derive(Debug)]
pub(super) struct List;

impl Rule for List {
    fn name(&self) -> &'static str {
        "list"
    }

    fn fits(&self, ty: ColumnType) -> bool {
        ty == ColumnType::Text
    }

    fn winner(&self, contest: &Contest<'_>) -> Winner {
        Lww.winner(contest)
    }

    fn is_order_free(&self) -> bool {
        true
    }

    fn flaw(&self, value: &Value) -> Option<&'static str> {
        match value {
            Value::Text(text) if read(text).is_none() => {
                Some("no position in a list; place the row instead of writing one")
            }
            _ => None,
        }
    }
}

/// A path, and the value of its last node; `None` where a text is no position.
fn read(position: &str) -> Option<(&str, usize)> {
    let is_whole = !position.is_empty() && position.len().is_multiple_of(NODE) && position.len() <= LONGEST;
    if !is_whole || !position.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (node, digits) = position.split_at(position.len() - VALUE);
    let digit = |value: usize, byte: u8| Some(value * 62 + DIGITS.binary_search(&byte).ok()?);
    let value = digits.bytes().try_fold(0, digit)?;
    (value % 2 == 1).then_some((node, value))
}

fn digits(mut value: usize, count: usize) -> String {
    let mut out = vec![b'0'; count];
    for place in out.iter_mut().rev() {
        *place = DIGITS[value % 62];
        value /= 62;
    }
    out.into_iter().map(char::from).collect()
}

/// Who makes positions.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    /// The author.
    pub replica: ReplicaId,
    /// Chance, anew for each position.
    pub random: u16,
}

impl Hand {
    fn author(&self) -> String {
        let hash = hash128(&self.replica.0);
        digits(usize::from(u16::from_le_bytes([hash[0], hash[1]])) * 211 + usize::from(hash[2]), AUTHOR)
    }

    fn is_own(&self, node: &str) -> bool {
        node.len() >= NAME && node[node.len() - NAME..].starts_with(&self.author())
    }

    fn node(&self) -> String {
        self.author() + &digits(usize::from(self.random), NAME - AUTHOR) + &digits(MIDDLE, VALUE)
    }
}

/// A position between two others, which are next to each other: before the first one where `left` is none, after the last one
/// where `right` is. Where both are the same, or out of order, it comes after `left`. What is no position counts as none.
/// `None` where it would be longer than [`LONGEST`].
///
/// ```
/// use landfall_core::ReplicaId;
/// use landfall_core::rules::list::{Hand, between};
///
/// let hand = Hand { replica: ReplicaId([7; 16]), random: 1 };
/// let first = between(None, None, hand).unwrap();
/// let last = between(Some(&first), None, hand).unwrap();
/// let middle = between(Some(&first), Some(&last), hand).unwrap();
/// assert!(first < middle && middle < last);
/// ```
pub fn between(left: Option<&str>, right: Option<&str>, hand: Hand) -> Option<String> {
    let left = left.filter(|left| read(left).is_some());
    let right = right.filter(|right| read(right).is_some() && left.is_none_or(|left| left < *right));
    if crate::mutant::active("list-interleaved") {
        return Some(anywhere(left, right, hand));
    }
    let is_under = |position: Option<&str>, node: &str| position.is_some_and(|position| position.starts_with(node));
    // Beside one's own, in the same node, where nothing of it lies in between. Behind what was put before something that has left
    // since a node of its own begins: what stands in this one from the middle on tells that it was put behind.
    let is_free = |(node, value): &(&str, usize)| (MIDDLE..VALUES - 2).contains(value) && !is_under(right, node);
    let behind = left.and_then(read).filter(|end| hand.is_own(end.0) && is_free(end));
    let ahead = right.and_then(read).filter(|(node, value)| hand.is_own(node) && !is_under(left, node) && *value > 2);
    let made = match (behind, ahead, left, right) {
        (Some((node, value)), ..) => format!("{node}{}", digits(value + 2, VALUE)),
        (None, Some((node, value)), ..) => format!("{node}{}", digits(value - 2, VALUE)),
        // What was put behind something, or below what was: in front of that, and with it when others are put there, too.
        (_, _, left, Some(right)) if left.is_none_or(|left| hangs_behind(left, right)) => {
            let (node, value) = read(right)?;
            format!("{node}{}{}", digits(value - 1, VALUE), hand.node())
        }
        (_, _, left, _) => format!("{}{}", left.unwrap_or_default(), hand.node()),
    };
    (made.len() <= LONGEST).then_some(made)
}

/// Somewhere in between, as by fractions alone: a run has nothing in common. For the simulator.
fn anywhere(left: Option<&str>, right: Option<&str>, hand: Hand) -> String {
    let node = "0".repeat(NAME);
    let value = |position: Option<&str>| position.and_then(read).filter(|(of, _)| *of == node).map(|(_, value)| value);
    let (low, high) = (value(left).unwrap_or(1), value(right).unwrap_or(VALUES - 1));
    let room = high.saturating_sub(low) / 2;
    match left {
        Some(left) if room < 2 || !left.starts_with(&node) => format!("{left}{}", hand.node()),
        _ => node + &digits(low + 2 * (1 + usize::from(hand.random) % room.saturating_sub(1).max(1)), VALUE),
    }
}

/// Whether `right`, which is the next position, was put behind `left`. Within a node those above the middle were put one behind the
/// other, and those below it one before the other.
fn hangs_behind(left: &str, right: &str) -> bool {
    let goes_on = |(node, value): (&str, usize)| value >= MIDDLE && right.starts_with(node);
    right.starts_with(left) || read(left).is_some_and(goes_on)
}

/// Positions for so many rows in order, all of the shortest length; `None` for more than 100,000.
pub fn spread(count: usize, hand: Hand) -> Option<Vec<String>> {
    if count > 100_000 {
        return None;
    }
    let node = hand.node();
    let node = &node[..NAME];
    let first = MIDDLE - 2 * (count / 2);
    Some((0..count).map(|n| format!("{node}{}", digits(first + 2 * n, VALUE))).collect())
}
