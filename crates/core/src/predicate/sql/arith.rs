//! Arithmetic: always by functions, since a database's own operators overflow into floats, divide by zero into NULL, or
//! are evaluated before a guard.

use super::{Dialect, Lowering, type_of};
use crate::predicate::expr::{ArithOp, Expr};
use crate::value::{ColumnType, Value};

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
        self.push(function(op));
        for (i, operand) in [left, right].into_iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            match ty {
                Some(ColumnType::Decimal(scale)) if op != ArithOp::Mul => self.at_scale(operand, scale),
                _ => self.expr(operand, type_of(operand).or(ty)),
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

    /// A decimal operand at a larger scale. PostgreSQL's numbers know their scale; there the function checks the range.
    fn at_scale(&mut self, operand: &Expr, scale: u8) {
        let own = if let Some(ColumnType::Decimal(own)) = type_of(operand) { own } else { scale };
        match operand {
            _ if own == scale || self.dialect == Dialect::Postgres => {
                self.expr(operand, Some(ColumnType::Decimal(scale)));
            }
            Expr::Literal(Value::Decimal(d)) if d.rescale(scale).is_some() => {
                self.bind(d.rescale(scale).map_or(Value::Null, Value::Decimal), None);
            }
            _ => {
                self.push("landfall_mul(");
                self.expr(operand, None);
                self.push(&format!(", {})", 10i64.pow(u32::from(scale - own))));
            }
        }
    }
}
