//! The evaluator: the semantics of the module documentation, literally.

use super::expr::{ArithOp, CompareOp, Expr};
use super::number::{self, Number};
use super::{Env, Truth, like};
use crate::error::{Problem, codes};
use crate::hash::Cells;
use crate::value::{ColumnType, Decimal, Value};

/// Why a condition has no truth for a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A divisor is zero.
    #[error("division by zero; test the divisor first, as in `x <> 0 AND 10 / x > 2`")]
    DivisionByZero,
    /// A result does not fit.
    #[error("the result of a calculation is too large for its type; use smaller numbers, or a float")]
    Overflow,
    /// A cell is not of its column's type; only a row that was not validated can have one.
    #[error("the column '{column}' is of type {expected}, the row holds {found}; write a value of the column's type")]
    WrongType {
        /// The column.
        column: String,
        /// Its type.
        expected: ColumnType,
        /// The type of the value in the row.
        found: ColumnType,
    },
    /// An operation met a value that it is not defined for; no checked predicate leads here with valid rows.
    #[error("an operation is not defined for these values; check the predicate against the current schema")]
    Undefined,
}

impl From<EvalError> for Problem {
    fn from(error: EvalError) -> Self {
        let problem = Self::new(codes::EVALUATION, error.to_string());
        match error {
            EvalError::WrongType { column, .. } => problem.column(&column),
            _ => problem,
        }
    }
}

/// What an operand is: a value (NULL among them), or unknown.
enum Out {
    Known(Value),
    Unknown,
}

impl From<Truth> for Out {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::Known(Value::Bool(true)),
            Truth::False => Self::Known(Value::Bool(false)),
            Truth::Null => Self::Known(Value::Null),
            Truth::Unknown => Self::Unknown,
        }
    }
}

pub(super) fn eval(expr: &Expr, row: &Cells, env: &Env) -> Result<Truth, EvalError> {
    let scope = Scope { row, env };
    let mut all = Truth::True;
    for conjunct in expr.conjuncts() {
        match (scope.truth(conjunct), all) {
            (Ok(truth), _) => all = all.and(truth),
            (Err(error), Truth::True) => return Err(error),
            // It cannot become true any more, and an error does not make it false.
            (Err(_), _) => {}
        }
        if all == Truth::False {
            break;
        }
    }
    Ok(all)
}

struct Scope<'a> {
    row: &'a Cells,
    env: &'a Env,
}

impl Scope<'_> {
    fn truth(&self, expr: &Expr) -> Result<Truth, EvalError> {
        Ok(match expr {
            // Every operand is evaluated: an error must not depend on the order.
            Expr::And(list) => list.iter().map(|e| self.truth(e)).try_fold_all(Truth::True, Truth::and)?,
            Expr::Or(list) => list.iter().map(|e| self.truth(e)).try_fold_all(Truth::False, Truth::or)?,
            Expr::Not(inner) => !self.truth(inner)?,
            Expr::Compare { op, left, right } => compare(*op, &self.value(left)?, &self.value(right)?)?,
            Expr::IsNull(inner) => match self.value(inner)? {
                Out::Known(value) => value.is_null().into(),
                Out::Unknown => Truth::Unknown,
            },
            Expr::Like { expr, pattern, escape, fold } => {
                matches(&self.value(expr)?, &self.value(pattern)?, *escape, *fold)?
            }
            Expr::In { expr, list } => {
                let sought = self.value(expr)?;
                let found = list.iter().map(|e| compare(CompareOp::Eq, &sought, &self.value(e)?));
                found.try_fold_all(Truth::False, Truth::or)?
            }
            Expr::Between { expr, low, high } => {
                let (value, low, high) = (self.value(expr)?, self.value(low)?, self.value(high)?);
                compare(CompareOp::Ge, &value, &low)?.and(compare(CompareOp::Le, &value, &high)?)
            }
            Expr::Literal(_) | Expr::Column { .. } | Expr::Param { .. } | Expr::Claim { .. } => {
                match self.value(expr)? {
                    Out::Known(Value::Bool(value)) => value.into(),
                    Out::Known(Value::Null) => Truth::Null,
                    Out::Known(_) => return Err(EvalError::Undefined),
                    Out::Unknown => Truth::Unknown,
                }
            }
            Expr::Arith { .. } | Expr::Neg(_) => return Err(EvalError::Undefined),
        })
    }

    fn value(&self, expr: &Expr) -> Result<Out, EvalError> {
        Ok(match expr {
            Expr::Literal(value) => Out::Known(value.clone()),
            Expr::Column { name, ty } => self.column(name, *ty)?,
            Expr::Param { name, ty } => Out::Known(self.env.param(name, ty.ok_or(EvalError::Undefined)?)),
            Expr::Claim { name, ty } => Out::Known(self.env.claim(name, *ty)),
            Expr::Arith { op, left, right } => match (self.value(left)?, self.value(right)?) {
                (Out::Unknown, _) | (_, Out::Unknown) => Out::Unknown,
                (Out::Known(a), Out::Known(b)) => Out::Known(arith(*op, &a, &b)?),
            },
            Expr::Neg(inner) => match self.value(inner)? {
                Out::Known(value) => Out::Known(negate(value)?),
                Out::Unknown => Out::Unknown,
            },
            _ => self.truth(expr)?.into(),
        })
    }

    fn column(&self, name: &str, ty: Option<ColumnType>) -> Result<Out, EvalError> {
        let Some(value) = self.row.get(name) else {
            return Ok(Out::Unknown);
        };
        match (ty, value.type_of()) {
            (Some(expected), Some(found)) if expected != found => {
                Err(EvalError::WrongType { column: name.to_owned(), expected, found })
            }
            _ => Ok(Out::Known(value.clone())),
        }
    }
}

/// Folds without stopping at a value that decides, but at an error.
trait TryFoldAll: Iterator<Item = Result<Truth, EvalError>> + Sized {
    fn try_fold_all(mut self, start: Truth, f: impl Fn(Truth, Truth) -> Truth) -> Result<Truth, EvalError> {
        self.try_fold(start, |all, one| Ok(f(all, one?)))
    }
}
impl<I: Iterator<Item = Result<Truth, EvalError>>> TryFoldAll for I {}

fn compare(op: CompareOp, left: &Out, right: &Out) -> Result<Truth, EvalError> {
    let (left, right) = match (left, right) {
        (Out::Unknown, _) | (_, Out::Unknown) => return Ok(Truth::Unknown),
        (Out::Known(Value::Null), _) | (_, Out::Known(Value::Null)) => return Ok(Truth::Null),
        (Out::Known(left), Out::Known(right)) => (left, right),
    };
    let order = match (Number::of(left), Number::of(right)) {
        (Some(a), Some(b)) => number::compare(a, b),
        // The order of values of one type is the predicate order for all types but numbers.
        _ if left.type_of() == right.type_of() => left.cmp(right),
        _ => return Err(EvalError::Undefined),
    };
    Ok(op.holds(order).into())
}

fn matches(text: &Out, pattern: &Out, escape: Option<char>, fold: bool) -> Result<Truth, EvalError> {
    Ok(match (text, pattern) {
        (Out::Unknown, _) | (_, Out::Unknown) => Truth::Unknown,
        (Out::Known(Value::Null), _) | (_, Out::Known(Value::Null)) => Truth::Null,
        (Out::Known(Value::Text(text)), Out::Known(Value::Text(pattern))) => {
            match like::normalise(pattern, escape, fold) {
                None => Truth::False,
                Some(pattern) if fold => like::matches(&like::fold(text), &pattern).into(),
                Some(pattern) => like::matches(text, &pattern).into(),
            }
        }
        _ => return Err(EvalError::Undefined),
    })
}

fn arith(op: ArithOp, a: &Value, b: &Value) -> Result<Value, EvalError> {
    Ok(match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        (Value::Int(a), Value::Int(b)) => Value::Int(number::arith_int(op, *a, *b)?),
        (Value::Float(a), Value::Float(b)) => Value::Float(number::arith_float(op, *a, *b)?),
        (Value::Decimal(a), Value::Decimal(b)) => Value::Decimal(number::arith_decimal(op, *a, *b)?),
        _ => return Err(EvalError::Undefined),
    })
}

fn negate(value: Value) -> Result<Value, EvalError> {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Int(v) => Value::Int(v.checked_neg().ok_or(EvalError::Overflow)?),
        Value::Float(v) => Value::float(-v).ok_or(EvalError::Overflow)?,
        Value::Decimal(d) => Value::Decimal(Decimal::new(d.units.checked_neg().ok_or(EvalError::Overflow)?, d.scale)),
        _ => return Err(EvalError::Undefined),
    })
}
