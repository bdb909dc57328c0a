//! Lowering to SQL: every value bound, every name quoted.
//!
//! Plain operators stand wherever they are exact, so that indexes are used; functions stand where the database's own
//! operator means something else, or where all operands must be evaluated because one of them can fail. On SQLite the
//! functions are [`super::functions`], on PostgreSQL [`super::postgres_functions`].

mod arith;

use super::expr::{CompareOp, Expr};
use super::number::{self, Number};
use super::{check, like};
use crate::value::{ColumnType, Value};

/// Which SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, with columns in the stored forms of [`Value::to_sqlite`].
    Sqlite,
    /// PostgreSQL 15 or newer with the [`super::postgres_functions`], encoding UTF8, and columns of the types bigint,
    /// double precision, numeric, text, uuid, boolean, timestamptz, date, bytea, jsonb. A text with U+0000 is refused
    /// by that server, as a value and as a bind.
    Postgres,
}

/// A piece of SQL with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlFragment {
    /// The text, in parentheses.
    pub sql: String,
    /// The values, in the order of `?`, or of the numbers.
    pub binds: Vec<Value>,
}

/// Lowers a tree without parameters and claims.
pub(super) fn lower(expr: &Expr, alias: Option<&str>, dialect: Dialect, first_bind: usize) -> SqlFragment {
    let mut out = Lowering { dialect, alias, first_bind, sql: String::new(), binds: Vec::new() };
    out.conjunction(&expr.conjuncts());
    SqlFragment { sql: out.sql, binds: out.binds }
}

struct Lowering<'a> {
    dialect: Dialect,
    alias: Option<&'a str>,
    first_bind: usize,
    sql: String,
    binds: Vec<Value>,
}

/// The type that a checked node has; `None` for NULL.
fn type_of(expr: &Expr) -> Option<ColumnType> {
    match expr {
        Expr::Literal(value) => value.type_of(),
        Expr::Column { ty, .. } | Expr::Param { ty, .. } | Expr::Claim { ty, .. } => *ty,
        Expr::Arith { op, left, right } => arith::result_type(*op, type_of(left), type_of(right)),
        Expr::Neg(inner) => type_of(inner),
        _ => Some(ColumnType::Boolean),
    }
}

/// Whether evaluating the node can fail.
fn is_fallible(expr: &Expr) -> bool {
    matches!(expr, Expr::Arith { .. } | Expr::Neg(_)) || expr.children().into_iter().any(is_fallible)
}

/// The same number as another numeric type, when it is exactly that.
fn exactly(value: &Value, ty: ColumnType) -> Option<Value> {
    let number = Number::of(value)?;
    let candidate = match (value, ty) {
        (Value::Int(v), ColumnType::Float) => Value::float(*v as f64)?,
        (Value::Float(f), ColumnType::Float) => Value::Float(*f),
        (Value::Float(f), ColumnType::Integer) => Value::Int(*f as i64),
        (Value::Float(f), ColumnType::Decimal(scale)) => {
            Value::Decimal(crate::value::Decimal::new((f * 10f64.powi(i32::from(scale))).round() as i64, scale))
        }
        (Value::Int(v), ColumnType::Integer) => Value::Int(*v),
        _ => check::number_as(value, ty)?,
    };
    (number::compare(number, Number::of(&candidate)?).is_eq()).then_some(candidate)
}

/// A literal number as the type of what it stands beside, so that the plain operator can be used.
fn aligned(expr: &Expr, beside: Option<ColumnType>) -> Option<Expr> {
    match (expr, beside) {
        (Expr::Literal(value), Some(ty)) if value.type_of() != beside => exactly(value, ty).map(Expr::Literal),
        _ => None,
    }
}

impl Lowering<'_> {
    fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    fn boolean_constant(&mut self, value: bool) {
        self.push(match (self.dialect, value) {
            (Dialect::Sqlite, true) => "1",
            (Dialect::Sqlite, false) => "0",
            (Dialect::Postgres, true) => "TRUE",
            (Dialect::Postgres, false) => "FALSE",
        });
    }

    /// The conjuncts at the top: those before the first that can fail stand plainly, so that indexes are used; the rest
    /// is tested in order, and only for rows for which those before are true.
    fn conjunction(&mut self, conjuncts: &[&Expr]) {
        let plain = conjuncts.iter().position(|e| is_fallible(e)).unwrap_or(conjuncts.len());
        let (plain, fallible) = conjuncts.split_at(plain);
        self.push("(");
        self.plain_conjunction(plain);
        if !fallible.is_empty() {
            if !plain.is_empty() {
                self.push(" AND CASE WHEN ");
                self.plain_conjunction(plain);
                self.push(" THEN ");
            }
            self.in_order(fallible);
            if !plain.is_empty() {
                self.push(" ELSE ");
                self.boolean_constant(false);
                self.push(" END");
            }
        }
        self.push(")");
    }

    fn plain_conjunction(&mut self, conjuncts: &[&Expr]) {
        for (i, conjunct) in conjuncts.iter().enumerate() {
            if i > 0 {
                self.push(" AND ");
            }
            self.expr(conjunct, Some(ColumnType::Boolean));
        }
    }

    fn in_order(&mut self, conjuncts: &[&Expr]) {
        if let Some((last, before)) = conjuncts.split_last() {
            for conjunct in before {
                self.push("CASE WHEN ");
                self.expr(conjunct, Some(ColumnType::Boolean));
                self.push(" THEN ");
            }
            self.expr(last, Some(ColumnType::Boolean));
            for _ in before {
                self.push(" ELSE ");
                self.boolean_constant(false);
                self.push(" END");
            }
        }
    }

    /// Any node. `hint` is the type that a NULL stands for.
    fn expr(&mut self, expr: &Expr, hint: Option<ColumnType>) {
        match expr {
            Expr::Literal(value) => self.bind(value.clone(), hint),
            Expr::Column { name, .. } => self.column(name),
            // Bound before lowering; a name that is left is NULL.
            Expr::Param { ty, .. } | Expr::Claim { ty, .. } => self.bind(Value::Null, *ty),
            Expr::And(list) => self.logic("AND", "landfall_and", list),
            Expr::Or(list) => self.logic("OR", "landfall_or", list),
            Expr::Not(inner) => match &**inner {
                Expr::IsNull(inner) => self.null_test(inner, " IS NOT NULL)"),
                inner => {
                    self.push("(NOT ");
                    self.expr(inner, Some(ColumnType::Boolean));
                    self.push(")");
                }
            },
            Expr::IsNull(inner) => self.null_test(inner, " IS NULL)"),
            Expr::Compare { op, left, right } => self.compare(*op, left, right),
            Expr::Between { expr, low, high } => self.between(expr, low, high),
            Expr::In { expr, list } => self.in_list(expr, list),
            Expr::Like { expr, pattern, escape, fold } => self.like(expr, pattern, *escape, *fold),
            Expr::Arith { op, left, right } => self.arith(*op, left, right),
            Expr::Neg(inner) => self.negate(inner),
        }
    }

    fn null_test(&mut self, operand: &Expr, test: &str) {
        self.push("(");
        self.expr(operand, type_of(operand));
        self.push(test);
    }

    fn column(&mut self, name: &str) {
        if let Some(alias) = self.alias {
            self.sql.push_str(&quote(alias));
            self.sql.push('.');
        }
        self.sql.push_str(&quote(name));
    }

    fn bind(&mut self, value: Value, hint: Option<ColumnType>) {
        match self.dialect {
            Dialect::Sqlite => self.push("?"),
            Dialect::Postgres => {
                let number = self.first_bind + self.binds.len();
                let ty = postgres_type(value.type_of().or(hint).unwrap_or(ColumnType::Text));
                self.push(&format!("${number}::{ty}"));
            }
        }
        self.binds.push(value);
    }

    fn logic(&mut self, operator: &str, function: &str, list: &[Expr]) {
        let eager = list.len() > 1 && list.iter().any(is_fallible);
        if !eager {
            self.push("(");
            for (i, operand) in list.iter().enumerate() {
                if i > 0 {
                    self.push(&format!(" {operator} "));
                }
                self.expr(operand, Some(ColumnType::Boolean));
            }
            return self.push(")");
        }
        // SQLite takes at most 100 arguments in older builds: longer lists nest.
        const ARGUMENTS_MAX: usize = 90;
        let (head, tail) = list.split_at(list.len().min(ARGUMENTS_MAX));
        self.push(function);
        self.push(if self.dialect == Dialect::Postgres { "(ARRAY[" } else { "(" });
        for (i, operand) in head.iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.expr(operand, Some(ColumnType::Boolean));
        }
        if !tail.is_empty() {
            self.push(", ");
            self.logic(operator, function, tail);
        }
        self.push(if self.dialect == Dialect::Postgres { "])" } else { ")" });
    }

    fn compare(&mut self, op: CompareOp, left: &Expr, right: &Expr) {
        let (aligned_left, aligned_right) = (aligned(left, type_of(right)), aligned(right, type_of(left)));
        let (left, right) = match (&aligned_left, &aligned_right) {
            (_, Some(right)) => (left, right),
            (Some(left), None) => (left, right),
            (None, None) => (left, right),
        };
        let (a, b) = (type_of(left), type_of(right));
        let fallible = is_fallible(left) || is_fallible(right);
        self.push("(");
        if !fallible && self.has_plain_comparison(a, b) {
            self.collated(left, a.or(b));
            self.push(&format!(" {} ", op.symbol()));
            self.expr(right, b.or(a));
        } else {
            self.push("landfall_compare(");
            self.scaled(a.or(b), |out| out.expr(left, a.or(b)));
            self.push(", ");
            self.scaled(b.or(a), |out| out.expr(right, b.or(a)));
            self.push(&format!(") {} 0", op.symbol()));
        }
        self.push(")");
    }

    /// Whether the database's own operators compare the two types as we do.
    fn has_plain_comparison(&self, a: Option<ColumnType>, b: Option<ColumnType>) -> bool {
        let (Some(a), Some(b)) = (a, b) else {
            return true;
        };
        // PostgreSQL compares numeric and bigint exactly, but makes everything beside a float a float.
        let exact = |ty| matches!(ty, ColumnType::Integer | ColumnType::Decimal(_));
        a == b || (self.dialect == Dialect::Postgres && exact(a) && exact(b))
    }

    /// An operand whose text compares by its bytes.
    fn collated(&mut self, expr: &Expr, hint: Option<ColumnType>) {
        self.expr(expr, hint);
        if self.dialect == Dialect::Postgres && hint == Some(ColumnType::Text) {
            self.push(" COLLATE \"C\"");
        }
    }

    /// An operand of a comparing function: on SQLite with its scale, on PostgreSQL as a numeric.
    fn scaled(&mut self, ty: Option<ColumnType>, operand: impl FnOnce(&mut Self)) {
        match (self.dialect, ty) {
            (Dialect::Sqlite, Some(ColumnType::Decimal(scale))) => {
                operand(self);
                self.push(&format!(", {scale}"));
            }
            (Dialect::Sqlite, _) => {
                operand(self);
                self.push(", 0");
            }
            (Dialect::Postgres, Some(ColumnType::Float)) => {
                self.push("landfall_exact(");
                operand(self);
                self.push(")");
            }
            (Dialect::Postgres, ty) => {
                operand(self);
                self.push(match ty {
                    Some(ColumnType::Integer) => "::numeric",
                    Some(ColumnType::Boolean) => "::int4::numeric",
                    _ => "",
                });
            }
        }
    }

    fn between(&mut self, expr: &Expr, low: &Expr, high: &Expr) {
        let ty = type_of(expr).or(type_of(low)).or(type_of(high));
        let align = |e: &Expr| aligned(e, ty).unwrap_or_else(|| e.clone());
        let (low, high) = (align(low), align(high));
        let operands = [expr, &low, &high];
        let fallible = operands.into_iter().any(is_fallible);
        let plain = |e: &Expr| self.has_plain_comparison(ty, type_of(e));
        if !fallible && operands.into_iter().all(plain) {
            self.push("(");
            self.collated(expr, ty);
            self.push(" BETWEEN ");
            self.expr(&low, ty);
            self.push(" AND ");
            self.expr(&high, ty);
            return self.push(")");
        }
        self.push("landfall_between(");
        for (i, operand) in operands.into_iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            let own = type_of(operand).or(ty);
            self.scaled(own, |out| out.expr(operand, own));
        }
        self.push(")");
    }

    fn in_list(&mut self, expr: &Expr, list: &[Expr]) {
        let ty = type_of(expr);
        // A number that the sought one's type cannot hold is never equal to it.
        let values = list.iter().filter_map(|element| match (element, ty) {
            (Expr::Literal(value), Some(ty)) if value.type_of() != Some(ty) && !value.is_null() => exactly(value, ty),
            (Expr::Literal(value), _) => Some(value.clone()),
            _ => Some(Value::Null),
        });
        let values: Vec<Value> = values.collect();
        if values.is_empty() {
            self.push("(CASE WHEN ");
            self.expr(expr, ty);
            self.push(" IS NULL THEN NULL ELSE ");
            self.boolean_constant(false);
            return self.push(" END)");
        }
        let hint = ty.or_else(|| values.iter().find_map(Value::type_of));
        if self.dialect == Dialect::Postgres && is_fallible(expr) {
            self.push("landfall_in(");
            self.scaled(hint, |out| out.expr(expr, hint));
            self.push(", ARRAY[");
            for (i, value) in values.into_iter().enumerate() {
                self.push(if i > 0 { ", " } else { "" });
                self.scaled(hint, |out| out.bind(value, hint));
            }
            return self.push("])");
        }
        self.push("(");
        self.collated(expr, hint);
        self.push(" IN (");
        for (i, value) in values.into_iter().enumerate() {
            self.push(if i > 0 { ", " } else { "" });
            self.bind(value, hint);
        }
        self.push("))");
    }

    fn like(&mut self, expr: &Expr, pattern: &Expr, escape: Option<char>, fold: bool) {
        let pattern = match pattern {
            Expr::Literal(Value::Text(text)) => match like::normalise(text, escape, fold) {
                Some(pattern) => Value::Text(pattern),
                None => {
                    self.push("(CASE WHEN ");
                    self.expr(expr, Some(ColumnType::Text));
                    self.push(" IS NULL THEN NULL ELSE ");
                    self.boolean_constant(false);
                    return self.push(" END)");
                }
            },
            _ => Value::Null,
        };
        let text = Some(ColumnType::Text);
        match self.dialect {
            Dialect::Sqlite => {
                self.push(if fold { "landfall_ilike(" } else { "landfall_like(" });
                self.expr(expr, text);
                self.push(", ");
                self.bind(pattern, text);
                self.push(")");
            }
            Dialect::Postgres => {
                self.push(if fold { "(landfall_fold(" } else { "(" });
                self.expr(expr, text);
                self.push(if fold { ")" } else { "" });
                self.push(" COLLATE \"C\" LIKE ");
                self.bind(pattern, text);
                self.push(" ESCAPE '\\')");
            }
        }
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn postgres_type(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Uuid => "uuid",
        ColumnType::Text => "text",
        ColumnType::Integer => "int8",
        ColumnType::Float => "float8",
        ColumnType::Decimal(_) => "numeric",
        ColumnType::Boolean => "bool",
        ColumnType::Timestamp => "timestamptz",
        ColumnType::Date => "date",
        ColumnType::Json => "jsonb",
        ColumnType::Bytes => "bytea",
    }
}
