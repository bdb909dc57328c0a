//! What a local commit changed in the visible rows: the input of live queries.

use landfall_core::RowKey;
use landfall_core::flat::{FlatMap, FlatSet};
use landfall_core::hash::Cells;
use landfall_core::wide::WideMap;

/// A visible row before and after a commit; `None` where there was or is none.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The row before.
    pub before: Option<Cells>,
    /// The row after.
    pub after: Option<Cells>,
}

/// All visible changes of one local commit, or of several that are announced together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeSet {
    /// Changed rows by table. A table that is also in `bulk` may be missing rows here.
    pub rows: FlatMap<String, WideMap<RowKey, RowChange>>,
    /// Tables of which so much changed that rows were not recorded one by one (first load).
    pub bulk: FlatSet<String>,
}

impl ChangeSet {
    /// Whether nothing visible changed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.bulk.is_empty()
    }

    /// Records one row; several changes of one row become one, from the first before to the last after.
    pub fn record(&mut self, table: &str, key: RowKey, before: Option<Cells>, after: Option<Cells>) {
        if !self.rows.contains_key(table) {
            self.rows.insert(table.to_owned(), WideMap::new());
        }
        let Some(rows) = self.rows.get_mut(table) else {
            return;
        };
        match rows.get_mut(&key) {
            Some(change) => change.after = after,
            None => {
                rows.insert(key, RowChange { before, after });
            }
        }
    }

    /// Joins what happened later.
    pub fn extend(&mut self, later: Self) {
        for (table, rows) in later.rows {
            for (key, change) in rows {
                self.record(&table, key, change.before, change.after);
            }
        }
        self.bulk.extend(later.bulk);
    }

    /// The tables of which anything changed.
    pub fn tables(&self) -> FlatSet<&str> {
        self.rows.keys().chain(&self.bulk).map(String::as_str).collect()
    }
}
