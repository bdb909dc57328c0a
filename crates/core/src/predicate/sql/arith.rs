//! Arithmetic: always by functions, since a database's own operators overflow into floats, divide by zero into NULL, or
//! are evaluated before a guard.

use super::{Dialect, Lowering, type_of};
use crate::predicate::expr::{ArithOp, Expr};
use crate::value::ColumnType;

pub(super) fn result_type(op: ArithOp, a: Option<ColumnType>, b: Option<ColumnType>) -> Option<ColumnType> {
    match (a, b) {
        (Some(ColumnType::Decimal(s)), Some(ColumnType::Decimal(t))) if op == ArithOp::Mul => {
            Some(ColumnType::Decimal(s.saturating_add(t)))
        }
        (Some(ColumnType::Decimal(s)), Some(ColumnType::Decimal(t))) => Some(ColumnType::Decimal(s.max(t))),
        (a, b) => a.or(b),
    }
}

fn function(op: ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "landfall_add(",
        ArithOp::Sub => "landfall_sub(",
        ArithOp::Mul => "landfall_mul(",
        ArithOp::Div => "landfall_div(",
        ArithOp::Rem => "landfall_rem(",
    }
}

impl Lowering<'_> {
    pub(super) fn arith(&mut self, op: ArithOp, left: &Expr, right: &Expr) {
        let (a, b) = (type_of(left), type_of(right));
        let ty = result_type(op, a, b);
        // SQLite holds units, so scales that differ must be said; those of a product just add up.
        let scales = match (a, b) {
            (Some(ColumnType::Decimal(s)), Some(ColumnType::Decimal(t))) if s != t && op != ArithOp::Mul => {
                Some([s, t])
            }
            _ => None,
        };
        self.push(function(op));
        for (i, operand) in [left, right].into_iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.expr(operand, type_of(operand).or(ty));
            if let (Dialect::Sqlite, Some(scale)) = (self.dialect, scales.map(|scales| scales[i])) {
                self.push(&format!(", {scale}"));
            }
        }
        self.result_scale(ty);
    }

    pub(super) fn negate(&mut self, inner: &Expr) {
        self.push("landfall_neg(");
        self.expr(inner, type_of(inner));
        self.result_scale(type_of(inner));
    }

    /// PostgreSQL checks the result of decimals against the range at its scale.
    fn result_scale(&mut self, ty: Option<ColumnType>) {
        match (self.dialect, ty) {
            (Dialect::Postgres, Some(ColumnType::Decimal(scale))) => self.push(&format!(", {scale})")),
            _ => self.push(")"),
        }
    }
}
