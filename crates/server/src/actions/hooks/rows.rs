//! Whose turn it is where several questions show the same row.
//!
//! Questions are asked side by side, whatever rows they show: most rows that are shown nobody changes. A row that moves
//! under an answer is *hot* from then on: of the questions that show it one is under way at a time, and the others wait
//! without a question, which is put when it is their turn and so shows the row as it is. Thus of n transactions that change
//! one row at most n and as many as were under way at first are asked. A row under which several questions in turn found
//! nothing changed is not hot any more.
//!
//! Nobody holds a row and waits for another one: what waits holds nothing, and gets all its rows at once. Whoever came
//! first has the first turn.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::RowKey;
use landfall_core::hash::hash128;

use super::Name;

/// After so many turns in which it did not move a row is not hot any more.
const CALM: u8 = 8;

/// A row, in few bytes. Two rows that share a name would wait for each other, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowId([u8; 16]);

impl RowId {
    /// Of a row.
    pub fn of(table: &str, key: &RowKey) -> Self {
        Self(hash128(&[table.as_bytes(), &[0], &key.to_bytes()].concat()))
    }
}

/// When a transaction came, and what it is called.
pub(super) type Place = (u64, Name);

#[derive(Debug)]
struct Hot {
    waiting: BTreeSet<Place>,
    /// What it was when it was shown last.
    version: Option<String>,
    /// Turns since in which it stayed the same.
    calm: u8,
}

#[derive(Debug, Default)]
struct Row {
    shown_by: BTreeSet<Place>,
    /// How many of those are under way.
    held: usize,
    hot: Option<Hot>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: BTreeMap<RowId, Row>,
    /// Those that wait and may have their turn now.
    candidates: BTreeSet<Place>,
}

impl Rows {
    /// A transaction's question shows rows, or will.
    pub(super) fn show(&mut self, place: Place, rows: &[RowId]) {
        for id in rows {
            self.rows.entry(*id).or_default().shown_by.insert(place);
        }
    }

    /// It does not any more. `held` is whether it was under way.
    pub(super) fn hide(&mut self, place: Place, rows: &[RowId], held: bool) {
        self.candidates.remove(&place);
        for id in rows {
            let Some(row) = self.rows.get_mut(id) else { continue };
            row.shown_by.remove(&place);
            row.held -= usize::from(held);
            row.hot.iter_mut().for_each(|hot| _ = hot.waiting.remove(&place));
            if row.shown_by.is_empty() {
                self.rows.remove(id);
            } else {
                self.look_at(*id);
            }
        }
    }

    /// Whether a transaction may be under way now: it is from now on. If not, it waits for its turn.
    pub(super) fn hold(&mut self, place: Place, rows: &[RowId]) -> bool {
        let is_free = |row: &Row| match &row.hot {
            Some(hot) => row.held == 0 && hot.waiting.first().is_none_or(|first| *first >= place),
            None => true,
        };
        let is_turn = rows.iter().filter_map(|id| self.rows.get(id)).all(is_free);
        for id in rows {
            let Some(row) = self.rows.get_mut(id) else { continue };
            row.held += usize::from(is_turn);
            if let Some(hot) = &mut row.hot {
                _ = if is_turn { hot.waiting.remove(&place) } else { hot.waiting.insert(place) };
            }
        }
        is_turn
    }

    /// It is not under way any more.
    pub(super) fn release(&mut self, rows: &[RowId]) {
        for id in rows {
            if let Some(row) = self.rows.get_mut(id) {
                row.held -= 1;
            }
            self.look_at(*id);
        }
    }

    /// It waits for its turn, which may be now.
    pub(super) fn wait(&mut self, place: Place, rows: &[RowId]) {
        for id in rows {
            if let Some(hot) = self.rows.get_mut(id).and_then(|row| row.hot.as_mut()) {
                hot.waiting.insert(place);
            }
        }
        self.candidates.insert(place);
    }

    /// A row has moved under an answer. Which transactions show it.
    pub(super) fn heat(&mut self, id: RowId, version: Option<&str>) -> Vec<Place> {
        let Some(row) = self.rows.get_mut(&id) else { return Vec::new() };
        let hot = row.hot.get_or_insert_with(|| Hot { waiting: BTreeSet::new(), version: None, calm: 0 });
        (hot.version, hot.calm) = (version.map(str::to_owned), 0);
        row.shown_by.iter().copied().collect()
    }

    /// A question that had waited for its turn shows a row so.
    pub(super) fn shown(&mut self, id: RowId, version: Option<&str>) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let Some(hot) = &mut row.hot else { return };
        if hot.version.as_deref() != version {
            (hot.version, hot.calm) = (version.map(str::to_owned), 0);
            return;
        }
        hot.calm += 1;
        if hot.calm >= CALM {
            self.candidates.append(&mut hot.waiting);
            row.hot = None;
        }
    }

    /// One that may have its turn now. See with [`Rows::hold`] whether it has.
    pub(super) fn candidate(&mut self) -> Option<Place> {
        self.candidates.pop_first()
    }

    /// Whether nobody shows anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.candidates.is_empty()
    }

    fn look_at(&mut self, id: RowId) {
        if let Some(row) = self.rows.get(&id).filter(|row| row.held == 0) {
            self.candidates.extend(row.hot.as_ref().and_then(|hot| hot.waiting.first()));
        }
    }
}
