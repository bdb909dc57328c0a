//! A typed live query: rows of one table by a predicate. Kept up to date from the changed rows alone wherever they tell
//! enough; SQL is run again only when a row may have come into view from behind the limit.

use std::cmp::Ordering;
use std::sync::Arc;

use landfall_core::gather::{Gather as _, sort_by};
use landfall_core::hash::Cells;
use landfall_core::predicate::{Dialect, Env, Operand, Predicate};
use landfall_core::schema::ddl::quote;
use landfall_core::schema::{Schema, Table};
use landfall_core::{ColumnType, Value};
use rusqlite::{Connection, params_from_iter};

use super::cells::{cell, to_bind, typed};
use super::diff::{Row, RowsDiff, splice};
use super::reads::{Columns, ReadSet};
use super::route::Route;
use super::{Change, LiveError};
use crate::changes::RowChange;

/// One column to order by. NULL comes first, text is compared by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The column; not of type json.
    pub column: String,
    /// Largest first, NULL last.
    pub descending: bool,
}

/// Rows of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Select {
    /// The table.
    pub table: String,
    /// Which rows; absent: all. A column that the device does not hold is NULL here, as it is in SQL.
    pub filter: Option<Predicate>,
    /// What the filter's parameters and claims stand for.
    pub env: Env,
    /// In which order; rows that are equal in it, by primary key.
    pub order_by: Vec<Order>,
    /// At most so many rows.
    pub limit: Option<u64>,
    /// Which columns, in this order; absent: all.
    pub columns: Option<Vec<String>>,
}

#[derive(Debug)]
struct Entry {
    /// The values that it is ordered by, the primary key at the end.
    place: Vec<Value>,
    row: Row,
}

#[derive(Debug)]
pub(super) struct SelectQuery {
    filter: Option<(Predicate, Vec<String>)>,
    /// Columns of `place`, each with whether it descends.
    order: Vec<(String, ColumnType, bool)>,
    shown: Vec<(String, ColumnType)>,
    limit: Option<usize>,
    key: Vec<usize>,
    sql: String,
    binds: Vec<Value>,
    route: Route,
    pub reads: ReadSet,
    entries: Vec<Arc<Entry>>,
}

/// The changed rows alone do not tell the new answer.
struct MustRun;

impl SelectQuery {
    pub fn new(schema: &Schema, select: Select) -> Result<Self, LiveError> {
        let unknown =
            |name: &str, within: &str| LiveError::Unknown { name: name.to_owned(), within: within.to_owned() };
        let table = schema.table(&select.table).ok_or_else(|| unknown(&select.table, "the schema"))?;
        let ty = |name: &String| table.column(name).map(|c| c.ty).ok_or_else(|| unknown(name, &table.name));
        let mut order = Vec::new();
        for Order { column, descending } in select.order_by {
            match ty(&column)? {
                ColumnType::Json => return Err(LiveError::Unordered { column }),
                ty => order.push((column, ty, descending)),
            }
        }
        order.extend(table.key_columns().map(|c| (c.name.clone(), c.ty, false)));
        let shown = select.columns.unwrap_or_else(|| table.columns.iter().map(|c| c.name.clone()).collect());
        let shown = shown.into_iter().map(|c| Ok((ty(&c)?, c))).map(|r| r.map(|(ty, c)| (c, ty)));
        let shown = shown.collect::<Result<Vec<_>, LiveError>>()?;
        let filter = select.filter.map(|f| f.bind(&select.env));
        if let Some(column) = filter.iter().flat_map(Predicate::columns).find(|c| table.column(c).is_none()) {
            return Err(unknown(&column, &table.name));
        }
        let filter = filter.map(|f| (f.columns().into_iter().collect(), f)).map(|(columns, f)| (f, columns));
        let mut out = Self {
            route: filter.as_ref().map_or(Route::Any, |(f, _)| route(table, f)),
            key: key_indexes(table, &shown),
            limit: select.limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            filter,
            order,
            shown,
            sql: String::new(),
            binds: Vec::new(),
            reads: ReadSet::default(),
            entries: Vec::new(),
        };
        out.lower(table);
        Ok(out)
    }

    fn lower(&mut self, table: &Table) {
        let names = self.order.iter().map(|(c, ..)| c).chain(self.shown.iter().map(|(c, _)| c));
        let columns: Vec<String> = names.clone().map(|c| quote(c)).collect();
        let read = names.chain(self.filter.iter().flat_map(|(_, columns)| columns)).cloned().gather();
        self.sql = format!("SELECT {} FROM {}", columns.join(", "), quote(&table.name));
        if let Some((filter, _)) = &self.filter {
            let lowered = filter.to_sql(None, Dialect::Sqlite, &Env::default());
            self.sql += &format!(" WHERE {}", lowered.sql);
            self.binds = lowered.binds;
        }
        let direction = |descending: &bool| if *descending { " DESC" } else { "" };
        let order: Vec<_> = self.order.iter().map(|(c, _, down)| quote(c) + direction(down)).collect();
        self.sql += &format!(" ORDER BY {}", order.join(", "));
        if let Some(limit) = self.limit {
            self.sql += &format!(" LIMIT {}", i64::try_from(limit).unwrap_or(i64::MAX));
        }
        self.reads.tables.insert(table.name.clone(), Columns::Only(read));
    }

    pub fn columns(&self) -> Vec<String> {
        self.shown.iter().map(|(name, _)| name.clone()).collect()
    }

    pub fn route(&self) -> Route {
        self.route.clone()
    }

    pub fn rows(&self) -> Vec<Row> {
        self.entries.iter().map(|e| e.row.clone()).collect()
    }

    pub fn run(&mut self, conn: &Connection) -> Result<(), LiveError> {
        self.entries = self.fetch(conn)?;
        Ok(())
    }

    pub fn rerun(&mut self, conn: &Connection) -> Result<Change, LiveError> {
        let new = self.fetch(conn)?;
        let diff = RowsDiff::between_by(&self.entries, &new, |e| &e.row, &self.key, false);
        self.entries = new;
        Ok(Change { diff, ran: true })
    }

    /// Takes over what changed, without SQL where that is possible.
    pub fn update(&mut self, conn: &Connection, changes: &[&RowChange]) -> Result<Change, LiveError> {
        match self.follow(changes) {
            Ok(diff) => Ok(Change { diff, ran: false }),
            Err(MustRun) => self.rerun(conn),
        }
    }

    fn fetch(&self, conn: &Connection) -> Result<Vec<Arc<Entry>>, LiveError> {
        let mut statement = conn.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(self.binds.iter().map(to_bind)))?;
        let mut out = Vec::with_capacity(self.entries.len());
        let types: Vec<ColumnType> =
            self.order.iter().map(|(_, ty, _)| *ty).chain(self.shown.iter().map(|(_, ty)| *ty)).collect();
        while let Some(row) = rows.next()? {
            let mut place = Vec::with_capacity(types.len());
            for (i, ty) in types.iter().enumerate() {
                place.push(typed(row.get_ref(i)?, *ty)?);
            }
            let row = place.split_off(self.order.len());
            out.push(Arc::new(Entry { place, row }));
        }
        Ok(out)
    }

    fn matches(&self, cells: &Cells) -> Result<bool, MustRun> {
        let Some((filter, columns)) = &self.filter else { return Ok(true) };
        // The evaluator knows a column that is not held as unknown; in SQL, which this has to equal, it is NULL.
        let result = if columns.iter().all(|c| cells.contains_key(c)) {
            filter.matches(cells, &Env::default())
        } else {
            let seen = columns.iter().map(|c| (c.clone(), cell(cells, c).clone())).gather();
            filter.matches(&seen, &Env::default())
        };
        // SQL decides what an error is; it may not even meet this row.
        result.map_err(|_| MustRun)
    }

    fn place(&self, cells: &Cells) -> Vec<Value> {
        let value = |(name, ..): &(String, ColumnType, bool)| match cell(cells, name) {
            Value::Float(v) if *v == 0.0 => Value::Float(0.0),
            other => other.clone(),
        };
        self.order.iter().map(value).collect()
    }

    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let one = |((x, y), (.., down)): ((&Value, &Value), &(String, ColumnType, bool))| {
            if *down { y.cmp(x) } else { x.cmp(y) }
        };
        a.iter().zip(b).zip(&self.order).map(one).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn find(&self, place: &[Value]) -> Result<usize, usize> {
        self.entries.binary_search_by(|e| self.compare(&e.place, place))
    }

    /// Whether rows behind the limit may exist that are not known here.
    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.entries.len() >= limit)
    }

    /// Whether a row at this place would be among the known ones, or come after them.
    fn is_behind(&self, place: &[Value]) -> bool {
        let last = self.entries.last();
        self.is_full() && last.is_none_or(|last| self.compare(place, &last.place).is_gt())
    }

    fn follow(&mut self, changes: &[&RowChange]) -> Result<RowsDiff, MustRun> {
        let mut moves = Moves::default();
        for change in changes {
            self.follow_row(change, &mut moves)?;
        }
        sort_by(&mut moves.removed, Ord::cmp);
        sort_by(&mut moves.inserted, |a, b| self.compare(&a.place, &b.place));
        let total = self.entries.len() - moves.removed.len() + moves.inserted.len();
        if self.is_full() && self.limit.is_some_and(|limit| total < limit) {
            return Err(MustRun);
        }
        Ok(self.carry_out(moves))
    }

    fn follow_row(&self, change: &RowChange, moves: &mut Moves) -> Result<(), MustRun> {
        let mut old = None;
        if let Some(before) = &change.before
            && self.matches(before)?
        {
            let place = self.place(before);
            match self.find(&place) {
                Ok(index) => old = Some((index, place)),
                Err(_) if self.is_behind(&place) => {}
                Err(_) => return Err(MustRun),
            }
        }
        let mut new = None;
        if let Some(after) = &change.after
            && self.matches(after)?
        {
            let row = self.shown.iter().map(|(c, _)| cell(after, c).clone()).collect();
            new = Some(Entry { place: self.place(after), row });
        }
        match (old, new) {
            (Some((index, place)), Some(new)) if place == new.place => {
                if self.entries[index].row != new.row {
                    moves.updated.push((index, Arc::new(new)));
                }
            }
            (old, new) => {
                moves.removed.extend(old.map(|(index, _)| index));
                moves.inserted.extend(new.filter(|new| !self.is_behind(&new.place)).map(Arc::new));
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, moves: Moves) -> RowsDiff {
        let Moves { removed, inserted, updated } = moves;
        let rearranged = !removed.is_empty() && !inserted.is_empty();
        let limit = self.limit.unwrap_or(usize::MAX);
        let before = (rearranged || self.entries.len() + inserted.len() > limit).then(|| self.entries.clone());
        for (index, entry) in &updated {
            self.entries[*index] = Arc::clone(entry);
        }
        let at = |(j, new): (usize, &Arc<Entry>)| {
            let point = self.entries.partition_point(|e| self.compare(&e.place, &new.place).is_lt());
            point - removed.partition_point(|r| *r < point) + j
        };
        let indexes: Vec<usize> = inserted.iter().enumerate().map(at).collect();
        splice(&mut self.entries, &removed, indexes.iter().copied().zip(inserted.iter().cloned()));
        self.entries.truncate(limit);
        if let Some(before) = before {
            // Rows that went and rows that came may show the same.
            return RowsDiff::between_by(&before, &self.entries, |e| &e.row, &self.key, false);
        }
        let mut updated: Vec<(usize, Row)> = updated
            .iter()
            .filter_map(|(_, entry)| self.find(&entry.place).ok().map(|index| (index, entry.row.clone())))
            .collect();
        sort_by(&mut updated, |a, b| a.0.cmp(&b.0));
        let inserted = indexes.into_iter().zip(inserted.iter().map(|e| e.row.clone())).collect();
        RowsDiff { removed, inserted, updated, complete: false }
    }
}

/// What changed rows do to the entries, by their old indexes.
#[derive(Default)]
struct Moves {
    removed: Vec<usize>,
    inserted: Vec<Arc<Entry>>,
    updated: Vec<(usize, Arc<Entry>)>,
}

fn key_indexes(table: &Table, shown: &[(String, ColumnType)]) -> Vec<usize> {
    let index = |name: &String| shown.iter().position(|(c, _)| c == name);
    table.primary_key.iter().map(index).collect::<Option<_>>().unwrap_or_default()
}

/// By the most telling column that the filter holds at one value: of the key, else not a boolean.
fn route(table: &Table, filter: &Predicate) -> Route {
    let rank = |(column, operand): &(String, Operand)| match operand {
        _ if table.is_key(column) => 0,
        Operand::Literal(Value::Bool(_)) => 2,
        _ => 1,
    };
    let best = filter.equality_operands().into_iter().min_by_key(rank);
    best.map_or(Route::Any, |(column, operand)| Route::Equal(column, operand.value(&Env::default())))
}
