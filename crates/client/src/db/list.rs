//! Rows in an order that people make (`merge = "list"`): where a row goes is said by its neighbour, and its position is made
//! for it ([`landfall_core::rules::list`]).

use landfall_core::error::codes;
use landfall_core::rules::list::{Hand, between, spread};
use landfall_core::schema::ddl::quote;
use landfall_core::{Problem, RowKey, Value};

use super::error::DbError;
use super::functions::drawn;
use super::write::WriteTx;

/// Where a row goes in its list.
#[derive(Clone, Debug, PartialEq)]
pub enum Spot {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Right before this row.
    Before(RowKey),
    /// Right behind this row.
    After(RowKey),
}

/// Most rows of a list that get new positions at once, when some have become too long.
const MOST_SPREAD: usize = 5_000;

impl WriteTx<'_> {
    /// Puts a row at a place in its list, by writing its position, a column with `merge = "list"`; whether there was such a row.
    /// Rows are in order by `ORDER BY position, key`. `within` names the columns that tell lists of one table apart: only rows
    /// that have the same values in them as this row are looked at. Of two who move one row at once the later one wins, and
    /// what two people insert at one place does not interleave. Now and then, after some forty moves between the same two rows by
    /// ever different people, all rows of the list get new positions.
    ///
    /// # Errors
    /// [`DbError::Invalid`] when the column is no position, the neighbour is not there, or the list has too many rows to get
    /// new positions; otherwise as [`WriteTx::execute`].
    pub fn place(
        &mut self,
        table: &str,
        key: &RowKey,
        column: &str,
        within: &[&str],
        spot: &Spot,
    ) -> Result<bool, DbError> {
        let list: Vec<_> = within.iter().chain([&column]).map(|name| (*name, Value::Null)).collect();
        let app = self.check(table, &list)?;
        let invalid = |code, text: String| DbError::Invalid(Problem::new(code, text).row(table, key).column(column));
        let rule = app.table.rule(column).name();
        if rule != "list" {
            let text = format!("it is merged by `{rule}`, and no position; declare merge = \"list\"");
            return Err(invalid(codes::WRONG_TYPE, text));
        }
        let names = app.table.primary_key.clone();
        let Some(row) = self.row(table, key)? else { return Ok(false) };
        let same = within.iter().map(|name| (*name, row.get(*name).cloned().unwrap_or_default()));
        let scope = Scope { table, column, names: &names, key, same: same.collect() };
        let next_to = |tx: &Self, other: &RowKey| -> Result<Value, DbError> {
            let other = tx.row(table, other)?.filter(|_| other != key);
            let gone =
                || invalid(codes::ROW_GONE, "the row beside which it is to go is not here; place it elsewhere".into());
            Ok(other.ok_or_else(gone)?.get(column).cloned().unwrap_or_default())
        };
        let (left, right) = match spot {
            Spot::First => (None, scope.nearest(self, "min", None)?),
            Spot::Last => (scope.nearest(self, "max", None)?, None),
            Spot::Before(other) => match next_to(self, other)? {
                Value::Text(at) => (scope.nearest(self, "max", Some(("<", &at)))?, Some(at)),
                _ => (None, scope.nearest(self, "min", None)?),
            },
            Spot::After(other) => match next_to(self, other)? {
                Value::Text(at) => (Some(at.clone()), scope.nearest(self, "min", Some((">", &at)))?),
                _ => (None, scope.nearest(self, "min", None)?),
            },
        };
        let [low, high, ..] = drawn(&mut self.database().shared.lock());
        let random = u16::from_le_bytes([low, high]);
        let hand = Hand { replica: self.database().replica(), random };
        match between(left.as_deref(), right.as_deref(), hand) {
            Some(position) => self.update(table, key, &[(column, Value::Text(position))]),
            None => self.spread(&scope, left.as_deref(), hand),
        }
    }

    /// New positions for a whole list, in which the row comes right behind the position `left`.
    fn spread(&mut self, scope: &Scope<'_>, left: Option<&str>, hand: Hand) -> Result<bool, DbError> {
        let rows = scope.rows(self)?;
        if rows.len() > MOST_SPREAD {
            let text =
                format!("positions have become too long, and more than {MOST_SPREAD} rows are too many for new ones");
            let problem = Problem::new(codes::OUT_OF_RANGE, text).row(scope.table, scope.key).column(scope.column);
            return Err(DbError::Invalid(problem));
        }
        let at = rows.iter().take_while(|(position, _)| left.is_some_and(|left| position.as_str() <= left)).count();
        let mut keys: Vec<RowKey> = rows.into_iter().map(|(_, key)| key).collect();
        keys.insert(at, scope.key.clone());
        for (key, position) in keys.iter().zip(spread(keys.len(), hand).unwrap_or_default()) {
            self.update(scope.table, key, &[(scope.column, Value::Text(position))])?;
        }
        Ok(true)
    }
}

/// The rows of a list beside one of them.
struct Scope<'a> {
    table: &'a str,
    column: &'a str,
    names: &'a [String],
    key: &'a RowKey,
    same: Vec<(&'a str, Value)>,
}

impl Scope<'_> {
    fn conditions(&self) -> (String, Vec<Value>) {
        let own = self.names.iter().map(|name| format!("{} IS ?", quote(name))).collect::<Vec<_>>().join(" AND ");
        let same: String = self.same.iter().map(|(name, _)| format!(" AND {} IS ?", quote(name))).collect();
        let params = self.key.0.iter().cloned().chain(self.same.iter().map(|(_, value)| value.clone())).collect();
        (format!("NOT ({own}){same} AND {} IS NOT NULL", quote(self.column)), params)
    }

    fn nearest(
        &self,
        tx: &mut WriteTx<'_>,
        which: &str,
        than: Option<(&str, &str)>,
    ) -> Result<Option<String>, DbError> {
        let (conditions, mut params) = self.conditions();
        let (table, column) = (quote(self.table), quote(self.column));
        let mut sql = format!("SELECT {which}({column}) FROM {table} WHERE {conditions}");
        if let Some((compares, position)) = than {
            sql.push_str(&format!(" AND {column} {compares} ?"));
            params.push(position.into());
        }
        let found = tx.query(&sql, &params)?.rows.into_iter().flatten().next();
        Ok(found.and_then(|value| value.as_text().map(str::to_owned)))
    }

    fn rows(&self, tx: &mut WriteTx<'_>) -> Result<Vec<(String, RowKey)>, DbError> {
        let (conditions, params) = self.conditions();
        let keys = self.names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
        let (table, column) = (quote(self.table), quote(self.column));
        let sql = format!("SELECT {column}, {keys} FROM {table} WHERE {conditions} ORDER BY {column}, {keys}");
        let row = |mut row: Vec<Value>| {
            let position = row.remove(0);
            Some((position.as_text()?.to_owned(), RowKey(row)))
        };
        Ok(tx.query(&sql, &params)?.rows.into_iter().filter_map(row).collect())
    }
}
