//! The tree as JSON, in the compiled schema: `{"compare": {"op": "=", "left": …, "right": …}}`.

use serde_json::Value as Json;

use super::Predicate;
use super::check;
use super::expr::{ArithOp, CompareOp, Expr};
use crate::json::{Fields, Misread, Object, list, list_of, one_of, string, variant};
use crate::value::{ColumnType, Value};

const COMPARE_OPS: &[(&str, CompareOp)] = &[
    ("=", CompareOp::Eq),
    ("<>", CompareOp::Ne),
    ("<", CompareOp::Lt),
    ("<=", CompareOp::Le),
    (">", CompareOp::Gt),
    (">=", CompareOp::Ge),
];
const ARITH_OPS: &[(&str, ArithOp)] =
    &[("+", ArithOp::Add), ("-", ArithOp::Sub), ("*", ArithOp::Mul), ("/", ArithOp::Div), ("%", ArithOp::Rem)];

impl Predicate {
    /// Appends the form that [`Predicate::read_json`] reads.
    pub fn write_json(&self, out: &mut String) {
        write(&self.0, out);
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// When it is not what [`Predicate::write_json`] writes: it is checked again.
    pub fn read_json(json: &Json) -> Result<Self, Misread> {
        let expr = read(json)?;
        check::verify(&expr).map_err(|problem| problem.to_string())?;
        Ok(Self(expr))
    }
}

fn write_named(name: &str, ty: Option<ColumnType>, out: &mut String) {
    let mut object = Object::new(out);
    object.text("name", name);
    if let Some(ty) = ty {
        ty.write_json(object.field("type"));
    }
}

/// An object of expressions, after an operator where there is one.
fn write_parts(op: Option<&str>, parts: &[(&str, &Expr)], out: &mut String) {
    let mut object = Object::new(out);
    if let Some(op) = op {
        object.text("op", op);
    }
    for (name, part) in parts {
        write(part, object.field(name));
    }
}

fn write_list(all: &[Expr], out: &mut String) {
    list(all, out, write);
}

fn write(expr: &Expr, out: &mut String) {
    let mut object = Object::new(out);
    match expr {
        Expr::Literal(value) => value.write_tagged(object.field("literal")),
        Expr::Column { name, ty } => write_named(name, *ty, object.field("column")),
        Expr::Param { name, ty } => write_named(name, *ty, object.field("param")),
        Expr::Claim { name, ty } => write_named(name, *ty, object.field("claim")),
        Expr::And(all) => write_list(all, object.field("and")),
        Expr::Or(all) => write_list(all, object.field("or")),
        Expr::Not(one) => write(one, object.field("not")),
        Expr::IsNull(one) => write(one, object.field("is_null")),
        Expr::Neg(one) => write(one, object.field("neg")),
        Expr::Compare { op, left, right } => {
            write_parts(Some(op.symbol()), &[("left", left), ("right", right)], object.field("compare"));
        }
        Expr::Arith { op, left, right } => {
            write_parts(Some(op.symbol()), &[("left", left), ("right", right)], object.field("arith"));
        }
        Expr::Between { expr, low, high } => {
            write_parts(None, &[("expr", expr), ("low", low), ("high", high)], object.field("between"));
        }
        Expr::In { expr, list } => {
            let mut parts = Object::new(object.field("in"));
            write(expr, parts.field("expr"));
            write_list(list, parts.field("list"));
        }
        Expr::Like { expr, pattern, escape, fold } => {
            let mut parts = Object::new(object.field("like"));
            write(expr, parts.field("expr"));
            write(pattern, parts.field("pattern"));
            if let Some(escape) = escape {
                string(escape.encode_utf8(&mut [0; 4]), parts.field("escape"));
            }
            if *fold {
                parts.flag("fold", true);
            }
        }
    }
}

fn read_named(json: &Json) -> Result<(String, Option<ColumnType>), Misread> {
    let fields = Fields::of(json, "a name in a predicate")?;
    Ok((fields.text("name")?, fields.maybe("type").map(ColumnType::read_json).transpose()?))
}

fn read_list(json: &Json) -> Result<Vec<Expr>, Misread> {
    list_of(json, read).unwrap_or_else(|| Err("a predicate has no list where one has to be".to_owned()))
}

fn read_boxed(json: &Json) -> Result<Box<Expr>, Misread> {
    read(json).map(Box::new)
}

fn read(json: &Json) -> Result<Expr, Misread> {
    let (name, inner) = variant(json)?;
    Ok(match name {
        "literal" => return Value::read_tagged(inner).map(Expr::Literal),
        "column" => read_named(inner).map(|(name, ty)| Expr::Column { name, ty })?,
        "param" => read_named(inner).map(|(name, ty)| Expr::Param { name, ty })?,
        "claim" => read_named(inner).map(|(name, ty)| Expr::Claim { name, ty })?,
        "and" => Expr::And(read_list(inner)?),
        "or" => Expr::Or(read_list(inner)?),
        "not" => Expr::Not(read_boxed(inner)?),
        "is_null" => Expr::IsNull(read_boxed(inner)?),
        "neg" => Expr::Neg(read_boxed(inner)?),
        _ => return read_parts(name, inner),
    })
}

fn read_parts(name: &str, json: &Json) -> Result<Expr, Misread> {
    let fields = Fields::of(json, name)?;
    let part = |name| read_boxed(fields.get(name)?);
    Ok(match name {
        "compare" => {
            Expr::Compare { op: one_of(fields.get("op")?, COMPARE_OPS)?, left: part("left")?, right: part("right")? }
        }
        "arith" => {
            Expr::Arith { op: one_of(fields.get("op")?, ARITH_OPS)?, left: part("left")?, right: part("right")? }
        }
        "between" => Expr::Between { expr: part("expr")?, low: part("low")?, high: part("high")? },
        "in" => Expr::In { expr: part("expr")?, list: read_list(fields.get("list")?)? },
        "like" => Expr::Like {
            expr: part("expr")?,
            pattern: part("pattern")?,
            escape: fields.maybe("escape").map(read_escape).transpose()?,
            fold: fields.is("fold")?,
        },
        _ => return Err(format!("`{name}` is no part of a predicate that is known here")),
    })
}

fn read_escape(json: &Json) -> Result<char, Misread> {
    let mut chars = json.as_str().unwrap_or_default().chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(format!("{json} is not one character")),
    }
}
