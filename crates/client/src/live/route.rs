//! Which live queries a changed row can matter to: found by value, so that a change costs the few queries that it
//! concerns and not all that there are.

use landfall_core::Value;
use landfall_core::flat::{FlatMap, FlatSet};

use super::QueryId;
use super::cells::cell;
use crate::changes::RowChange;

/// How a query listens to one table.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// Every changed row is shown to it.
    Any,
    /// Only rows that hold this value in this column, before or after.
    Equal(String, Value),
}

/// All routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    tables: FlatMap<String, TableRoutes>,
    /// Queries that listen to everything.
    opaque: FlatSet<QueryId>,
}

#[derive(Debug, Default)]
struct TableRoutes {
    any: FlatSet<QueryId>,
    equal: FlatMap<String, FlatMap<Value, FlatSet<QueryId>>>,
}

impl Routes {
    pub fn add(&mut self, id: QueryId, table: &str, route: &Route) {
        let routes = self.tables.get_or_insert_with(table.to_owned(), Default::default);
        match route {
            Route::Any => routes.any.insert(id),
            Route::Equal(column, value) => {
                let values = routes.equal.get_or_insert_with(column.clone(), Default::default);
                values.get_or_insert_with(operand(value).clone(), Default::default).insert(id)
            }
        };
    }

    pub fn add_opaque(&mut self, id: QueryId) {
        self.opaque.insert(id);
    }

    pub fn remove(&mut self, id: QueryId) {
        self.opaque.remove(&id);
        self.tables.retain(|_, routes| {
            routes.any.remove(&id);
            routes.equal.retain(|_, values| {
                values.retain(|_, ids| {
                    ids.remove(&id);
                    !ids.is_empty()
                });
                !values.is_empty()
            });
            !(routes.any.is_empty() && routes.equal.is_empty())
        });
    }

    /// The queries that listen to everything.
    pub fn opaque(&self) -> impl Iterator<Item = QueryId> + '_ {
        self.opaque.iter().copied()
    }

    /// The queries that listen to a table at all. Some may come twice.
    pub fn of_table(&self, table: &str) -> impl Iterator<Item = QueryId> + '_ {
        let routes = self.tables.get(table).into_iter();
        routes.flat_map(|r| r.any.iter().chain(r.equal.values().flat_map(|v| v.values().flatten()))).copied()
    }

    /// Calls `found` for each query that the changed row can matter to, once for each.
    pub fn of_row(&self, table: &str, change: &RowChange, mut found: impl FnMut(QueryId)) {
        let Some(routes) = self.tables.get(table) else {
            return;
        };
        routes.any.iter().for_each(|id| found(*id));
        for (column, values) in &routes.equal {
            let before = change.before.as_ref().map(|cells| operand(cell(cells, column)));
            let after = change.after.as_ref().map(|cells| operand(cell(cells, column)));
            let sides = [before, after.filter(|v| Some(*v) != before)];
            sides.into_iter().flatten().filter_map(|v| values.get(v)).flatten().for_each(|id| found(*id));
        }
    }
}

/// Negative zero equals zero.
fn operand(value: &Value) -> &Value {
    static ZERO: Value = Value::Float(0.0);
    match value {
        Value::Float(v) if *v == 0.0 => &ZERO,
        other => other,
    }
}
