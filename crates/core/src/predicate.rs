//! Predicates: typed, checked conditions on one row, with Landfall's own semantics.
//!
//! This page is normative. The evaluator ([`Predicate::eval`]) implements it; every lowering to SQL
//! ([`Predicate::to_sql`]) gives what the evaluator gives, with false, NULL and unknown merged as `WHERE` merges them.
//!
//! # Truth
//! Four values: `true`, `false`, `NULL`, and `unknown` for what depends on a column that is not held.
//!
//! | `a` | `b` | `a AND b` | `a OR b` |
//! |---|---|---|---|
//! | true | true | true | true |
//! | true | false | false | true |
//! | true | NULL | NULL | true |
//! | true | unknown | unknown | true |
//! | false | false | false | false |
//! | false | NULL | false | NULL |
//! | false | unknown | false | unknown |
//! | NULL | NULL | NULL | NULL |
//! | NULL | unknown | unknown | unknown |
//! | unknown | unknown | unknown | unknown |
//!
//! Both are symmetrical. `NOT` exchanges true and false and keeps NULL and unknown. Every other operation is strict: with
//! an unknown operand it is unknown, else with a NULL operand it is NULL. `x IS NULL` is true or false, or unknown when
//! `x` is. `x IN (a, b)` means `x = a OR x = b`; `x BETWEEN a AND b` means `x >= a AND x <= b`.
//!
//! # Types
//! There are no implicit conversions. Comparison needs two operands of one type, or two numbers: integer, decimal and
//! float compare by their exact mathematical value, whatever their types. Text, uuid, bytes and json compare by bytes
//! (text by its UTF-8), false before true, dates and timestamps by time. A json column can only be tested with
//! `IS NULL`, since databases disagree on when two json values are equal.
//!
//! A *literal* takes the type of what it stands beside: `'2026-11-21'` beside a date column is a date, `9.99` beside a
//! decimal column a decimal, beside a float column the nearest float. A claim takes the type of what it stands beside
//! too (text if that says nothing). A claim that is absent, or is not of that type, and a parameter that is absent or
//! of another type, is NULL; [`Predicate::check_env`] tells which.
//!
//! # Arithmetic
//! `+ - *` and unary `-` on integers, floats and decimals; `/` on integers (rounds toward zero) and floats; `%` on integers
//! and decimals (has the sign of the dividend). Both operands have one type; decimals of different scales are brought to
//! the larger one, and a product has the sum of the scales, at most 18. Division by zero, a result outside the 64-bit
//! range (of the integer, or of the decimal's units) and a float that is not finite are errors. An underflow to zero is
//! not.
//!
//! # LIKE
//! `%` stands for any run of characters, `_` for one character (a Unicode scalar value), a character after the `ESCAPE`
//! character for itself; without `ESCAPE` there is no escape character. A pattern that ends in its escape character
//! matches nothing. `LIKE` is case-sensitive. `ILIKE` first folds text and pattern to lower case with Unicode's simple
//! mapping (one character to one character, no locale: `İ` becomes `i`, `ß` stays).
//!
//! # Errors and the order of evaluation
//! The conjuncts at the top (`a AND b AND c`) are tested from left to right, and an error counts only when every
//! conjunct before it is true: `x <> 0 AND 10 / x > 2` never fails. Everywhere below, all operands are evaluated and an
//! error in one is an error of the whole, so that the order in which a database evaluates does not matter.

mod check;
mod eval;
mod expr;
mod functions;
mod json;
mod like;
mod number;
#[cfg(feature = "text")]
mod parse;
mod postgres;
mod sql;
mod truth;

use std::collections::BTreeMap;

pub use check::TypeProblem;
pub use eval::EvalError;
pub use expr::{ArithOp, CompareOp, Expr};
pub use functions::{SqlFunction, functions};
#[cfg(feature = "text")]
pub use parse::{MAX_TEXT_BYTES, PredicateError};
pub use postgres::postgres_functions;
pub use sql::{Dialect, SqlFragment};
pub use truth::Truth;

use crate::flat::FlatSet;
use crate::hash::Cells;
use crate::schema::{Param, Table};
use crate::value::{ColumnType, Value};

/// Deepest nesting of a predicate: keeps every recursion over it, here and in SQL engines, far from the stack's end.
pub const MAX_DEPTH: usize = 24;
/// Most nodes of a predicate, elements of `IN` lists aside: SQLite refuses expressions deeper than 1,000.
pub const MAX_NODES: usize = 800;
/// Most elements of all `IN` lists together: SQLite takes 32,766 bound values in a statement.
pub const MAX_LIST: usize = 10_000;

/// A typed, checked condition on one row.
///
/// Every value of this type is well typed: it comes from [`Predicate::check`], from `Predicate::parse`, or from its
/// own serialised form, which is checked again when it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate(Expr);

/// What parameters and claims stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Env {
    /// Parameters by name, without the colon.
    pub params: BTreeMap<String, Value>,
    /// Claims by name: text, or JSON scalars as values. One that is not here is NULL.
    pub claims: BTreeMap<String, Value>,
}

/// What a column is compared with in an equality at the top of a predicate.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A parameter.
    Param {
        /// Its name.
        name: String,
        /// The column's type.
        ty: ColumnType,
    },
    /// A claim.
    Claim {
        /// Its name.
        name: String,
        /// The column's type.
        ty: ColumnType,
    },
    /// A fixed value.
    Literal(Value),
}

impl Operand {
    /// The value in this environment; NULL when it is absent or of another type.
    pub fn value(&self, env: &Env) -> Value {
        match self {
            Self::Param { name, ty } => env.param(name, *ty),
            Self::Claim { name, ty } => env.claim(name, Some(*ty)),
            Self::Literal(value) => value.clone(),
        }
    }
}

impl Env {
    /// The parameter as a value of type `ty`; NULL when it is absent or of another type.
    pub fn param(&self, name: &str, ty: ColumnType) -> Value {
        match (self.params.get(name), ty) {
            (Some(Value::Decimal(d)), ColumnType::Decimal(scale)) => {
                d.rescale(scale).map_or(Value::Null, Value::Decimal)
            }
            (Some(value), ty) if value.fits(ty) => value.clone(),
            _ => Value::Null,
        }
    }

    /// The claim as a value of type `ty` (as it is where `ty` is `None`); NULL when it is absent or of another type.
    pub fn claim(&self, name: &str, ty: Option<ColumnType>) -> Value {
        let Some(value) = self.claims.get(name) else {
            return Value::Null;
        };
        match ty {
            None => value.clone(),
            Some(ty) if value.fits(ty) => value.clone(),
            Some(ty) => Value::from_json(&value.to_json(), ty).unwrap_or_default(),
        }
    }
}

impl Predicate {
    /// A column, to build a condition from: `Predicate::col("done").eq(true)`.
    pub fn col(name: impl Into<String>) -> Expr {
        Expr::col(name)
    }

    /// Checks a condition on rows of `table`, and gives literals and claims the types of what they stand beside.
    ///
    /// # Errors
    /// All that is wrong with it: unknown names, types that do not go together, limits.
    pub fn check(expr: impl Into<Expr>, table: &Table, params: &[Param]) -> Result<Self, Vec<TypeProblem>> {
        check::check(expr.into(), table, params).map(Self)
    }

    /// Reads a condition from SQL text (only with the feature `text`).
    ///
    /// # Errors
    /// All that is wrong with it, each with its range of bytes in `text`.
    #[cfg(feature = "text")]
    pub fn parse(text: &str, table: &Table, params: &[Param]) -> Result<Self, Vec<PredicateError>> {
        parse::parse(text, table, params).map(Self)
    }

    /// The tree.
    pub fn expr(&self) -> &Expr {
        &self.0
    }

    /// The truth for a row. A column that is not in `row` is unknown.
    ///
    /// # Errors
    /// Division by zero, overflow, or a cell that is not of its column's type.
    pub fn eval(&self, row: &Cells, env: &Env) -> Result<Truth, EvalError> {
        eval::eval(&self.0, row, env)
    }

    /// Whether the condition is true for a row: what `WHERE` asks.
    ///
    /// # Errors
    /// As [`Predicate::eval`].
    pub fn matches(&self, row: &Cells, env: &Env) -> Result<bool, EvalError> {
        Ok(self.eval(row, env)? == Truth::True)
    }

    /// The condition as SQL for a `WHERE` clause, in parentheses; every value is bound. On SQLite the connection needs
    /// the [`functions`], on PostgreSQL the database the [`postgres_functions`]. Binds are numbered from `$1` on
    /// PostgreSQL, see [`Predicate::to_sql_from`].
    ///
    /// Without `table_alias` columns stand by their bare name.
    pub fn to_sql(&self, table_alias: Option<&str>, dialect: Dialect, env: &Env) -> SqlFragment {
        self.to_sql_from(table_alias, dialect, env, 1)
    }

    /// As [`Predicate::to_sql`], with the number of the first bind where the dialect numbers them.
    pub fn to_sql_from(
        &self,
        table_alias: Option<&str>,
        dialect: Dialect,
        env: &Env,
        first_bind: usize,
    ) -> SqlFragment {
        sql::lower(&self.bind(env).0, table_alias, dialect, first_bind)
    }

    /// The same condition with parameters and claims replaced by their values.
    #[must_use]
    pub fn bind(&self, env: &Env) -> Self {
        let mut expr = self.0.clone();
        expr.visit_mut(&mut |node| match node {
            Expr::Param { name, ty: Some(ty) } => *node = Expr::Literal(env.param(name, *ty)),
            Expr::Claim { name, ty } => *node = Expr::Literal(env.claim(name, *ty)),
            _ => {}
        });
        Self(expr)
    }

    /// Both conditions; the first one's conjuncts are tested first.
    #[must_use]
    pub fn and(a: Self, b: Self) -> Self {
        Self(a.0.and(b.0))
    }

    /// The conjuncts at the top of the form `column = parameter | claim | literal` of the column's own type, in order.
    /// A row that does not fulfil one of them does not match.
    pub fn equality_operands(&self) -> Vec<(String, Operand)> {
        let mut out = Vec::new();
        for conjunct in self.0.conjuncts() {
            out.extend(equality(conjunct));
        }
        out
    }

    /// The names of the columns used.
    pub fn columns(&self) -> FlatSet<String> {
        self.names(|node| if let Expr::Column { name, .. } = node { Some(name) } else { None })
    }

    /// The names of the parameters used.
    pub fn params(&self) -> FlatSet<String> {
        self.names(|node| if let Expr::Param { name, .. } = node { Some(name) } else { None })
    }

    /// The names of the claims used.
    pub fn claims(&self) -> FlatSet<String> {
        self.names(|node| if let Expr::Claim { name, .. } = node { Some(name) } else { None })
    }

    fn names(&self, pick: impl Fn(&Expr) -> Option<&String>) -> FlatSet<String> {
        let mut out = FlatSet::new();
        self.0.visit(&mut |node| out.extend(pick(node).cloned()));
        out
    }

    /// What parameters and claims that are given but not of the needed type, and parameters that are not given, there
    /// are: each would silently be NULL.
    pub fn check_env(&self, env: &Env) -> Vec<String> {
        let mut out = FlatSet::new();
        self.0.visit(&mut |node| match node {
            Expr::Param { name, ty: Some(ty) } => match env.params.get(name) {
                None => {
                    out.insert(format!("the parameter :{name} of type {ty} is not given"));
                }
                Some(value) if !value.is_null() && env.param(name, *ty).is_null() => {
                    out.insert(format!("the parameter :{name} is not of type {ty}"));
                }
                Some(_) => {}
            },
            Expr::Claim { name, ty } => {
                let given = env.claims.get(name).is_some_and(|v| !v.is_null());
                if let (true, true, Some(ty)) = (given, env.claim(name, *ty).is_null(), ty) {
                    out.insert(format!("the claim '{name}' is not of type {ty}"));
                }
            }
            _ => {}
        });
        out.into_iter().collect()
    }
}

fn equality(conjunct: &Expr) -> Option<(String, Operand)> {
    let (left, right) = match conjunct {
        Expr::Compare { op: CompareOp::Eq, left, right } => (left, right),
        Expr::Column { name, .. } => {
            return Some((name.clone(), Operand::Literal(Value::Bool(true))));
        }
        Expr::Not(inner) => match &**inner {
            Expr::Column { name, .. } => {
                return Some((name.clone(), Operand::Literal(Value::Bool(false))));
            }
            _ => return None,
        },
        _ => return None,
    };
    let of = |column: &Expr, other: &Expr| match (column, other) {
        (Expr::Column { name, ty: Some(ty) }, other) => Some((name.clone(), operand(other, *ty)?)),
        _ => None,
    };
    of(left, right).or_else(|| of(right, left))
}

fn operand(expr: &Expr, column: ColumnType) -> Option<Operand> {
    match expr {
        Expr::Param { name, ty } if *ty == Some(column) => Some(Operand::Param { name: name.clone(), ty: column }),
        Expr::Claim { name, ty } if *ty == Some(column) => Some(Operand::Claim { name: name.clone(), ty: column }),
        Expr::Literal(value) if value.fits(column) => Some(Operand::Literal(value.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
