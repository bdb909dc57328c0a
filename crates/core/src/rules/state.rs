//! What a rule keeps beside a cell, and what it is asked with.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{map, ot, set};
use crate::id::ReplicaId;
use crate::merge::{Author, Version};
use crate::value::Value;

/// What a rule has to remember of a cell to tell what is concurrent in it: kept by the server beside the row, and never sent.
/// A cell that was only ever written whole has none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum CellState {
    /// Of `set`: who added which element when.
    #[n(0)]
    Set(#[n(0)] set::Adds),
    /// Of `map`: when each path was written.
    #[n(1)]
    Map(#[n(0)] map::Paths),
    /// Of `ot`: the last operations.
    #[n(2)]
    Ot(#[n(0)] ot::Window),
}

/// A write as others see it: the sequence that it got, and who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Dot {
    /// The server's sequence.
    #[n(0)]
    pub seq: u64,
    /// The author.
    #[n(1)]
    pub replica: ReplicaId,
}

impl From<Version> for Dot {
    fn from(version: Version) -> Self {
        Self { seq: version.seq, replica: version.stamp.replica }
    }
}

/// A cell before it is changed.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Its value.
    pub value: &'a Value,
    /// When it was last written.
    pub at: Version,
    /// What its rule keeps of it.
    pub state: Option<&'a CellState>,
}

/// Who changes a cell.
#[derive(Clone, Copy, Debug)]
pub struct Hand<'a> {
    /// The author, and the sequence of the change.
    pub author: &'a Author,
    /// The base of the change.
    pub base: u64,
}

impl Hand<'_> {
    /// Whether what was written then had been seen by who changes it now.
    pub fn has_seen(&self, seq: u64, replica: ReplicaId) -> bool {
        if crate::mutant::active("part-base-ignored") {
            return true;
        }
        seq <= self.base || replica == self.author.stamp.replica
    }
}

/// A cell after it was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Its value.
    pub value: Value,
    /// What its rule keeps of it.
    pub state: Option<CellState>,
    /// A part of what was written gave way to a concurrent write.
    pub lost: bool,
    /// What was written, where a person has to say what becomes of it.
    pub yielded: Option<Yielded>,
}

/// A value that could not be merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Yielded {
    /// The value.
    pub value: Value,
    /// The value on which it was written.
    pub base: Option<Value>,
    /// Which fault of the app's function has led to this, where one has: for whoever runs the server.
    pub fault: Option<String>,
}

impl Changed {
    /// It has this value, of which the rule keeps nothing and nothing gave way.
    pub fn to(value: Value) -> Self {
        Self { value, state: None, lost: false, yielded: None }
    }
}
