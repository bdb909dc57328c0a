//! Types: what goes with what, and how literals and claims take the type of what they stand beside.

use std::fmt;

use super::expr::{ArithOp, Expr};
use super::{MAX_DEPTH, MAX_LIST, MAX_NODES};
use crate::gather::sort_by;
use crate::schema::{Param, Table};
use crate::value::{
    ColumnType, Decimal, MAX_DECIMAL_SCALE, MAX_SAFE_INTEGER, Value, parse_date, parse_timestamp, parse_uuid,
};

/// Something wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeProblem {
    /// The node, as the positions of operands from the top of the tree.
    pub path: Vec<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, when that can be said.
    pub help: Option<String>,
}

impl fmt::Display for TypeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TypeProblem {}

/// The type of a node; `None`: NULL, or something that was reported already. Goes with everything.
type Ty = Option<ColumnType>;

/// Where the types of names come from.
enum Names<'a> {
    /// The schema; types in the tree are overwritten.
    Schema { table: &'a Table, params: &'a [Param] },
    /// The tree itself, which was checked before; nothing is filled in.
    Tree,
}

struct Checker<'a> {
    names: Names<'a>,
    path: Vec<usize>,
    problems: Vec<TypeProblem>,
}

pub(super) fn check(mut expr: Expr, table: &Table, params: &[Param]) -> Result<Expr, Vec<TypeProblem>> {
    limits(&expr, MAX_DEPTH).map_err(|problem| vec![problem])?;
    let mut checker = Checker { names: Names::Schema { table, params }, path: Vec::new(), problems: Vec::new() };
    checker.boolean(&mut expr);
    if checker.problems.is_empty() { Ok(expr) } else { Err(checker.problems) }
}

/// Checks a tree whose types are filled in.
pub(super) fn verify(expr: &Expr) -> Result<(), TypeProblem> {
    // A conjunction of two checked predicates is one level deeper than they are; conjunctions are flat.
    limits(expr, MAX_DEPTH + 1)?;
    let mut checker = Checker { names: Names::Tree, path: Vec::new(), problems: Vec::new() };
    let mut copy = expr.clone();
    checker.boolean(&mut copy);
    match checker.problems.into_iter().next() {
        Some(problem) => Err(problem),
        None if copy != *expr => Err(TypeProblem {
            path: Vec::new(),
            message: "a predicate whose types are not filled in".into(),
            help: Some("compile the schema again".into()),
        }),
        None => Ok(()),
    }
}

/// Refuses trees that are too deep or too large, before anything recurses over them with more than a few words.
fn limits(expr: &Expr, max_depth: usize) -> Result<(), TypeProblem> {
    let (mut stack, mut nodes, mut listed) = (vec![(expr, 1)], 0, 0);
    let problem =
        |message: String, help: &str| Err(TypeProblem { path: Vec::new(), message, help: Some(help.to_owned()) });
    while let Some((node, depth)) = stack.pop() {
        nodes += 1;
        if depth > max_depth {
            return problem(format!("the condition nests deeper than {max_depth} levels"), "write it flatter");
        }
        if let Expr::In { expr, list } = node {
            listed += list.len();
            stack.push((expr, depth + 1));
            stack.extend(list.iter().filter(|e| !e.is_constant()).map(|e| (e, depth + 1)));
        } else {
            stack.extend(node.children().into_iter().map(|e| (e, depth + 1)));
        }
    }
    if nodes > MAX_NODES {
        return problem(format!("the condition has {nodes} parts, at most {MAX_NODES} are allowed"), "use IN lists");
    }
    if listed > MAX_LIST {
        let message = format!("IN lists have {listed} elements, at most {MAX_LIST} are allowed");
        return problem(message, "put the values into a table");
    }
    Ok(())
}

impl Expr {
    fn is_constant(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Param { .. } | Self::Claim { .. })
    }

    /// Whether the node takes its type from what it stands beside.
    fn is_soft(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Claim { ty: None, .. })
    }
}

impl Checker<'_> {
    fn problem(&mut self, message: impl Into<String>, help: Option<String>) {
        self.problems.push(TypeProblem { path: self.path.clone(), message: message.into(), help });
    }

    fn at<T>(&mut self, child: usize, f: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(child);
        let out = f(self);
        self.path.pop();
        out
    }

    /// Checks a node that must be true or false.
    fn boolean(&mut self, expr: &mut Expr) {
        if let Expr::Claim { ty: ty @ None, .. } = expr {
            *ty = Some(ColumnType::Boolean);
        }
        match self.node(expr) {
            None | Some(ColumnType::Boolean) => {}
            Some(other) => {
                self.problem(
                    format!("a condition is needed here, this is of type {other}"),
                    Some("compare it with something".into()),
                );
            }
        }
    }

    fn node(&mut self, expr: &mut Expr) -> Ty {
        match expr {
            Expr::Literal(value) => value.type_of(),
            Expr::Column { name, ty } => self.column(name, ty),
            Expr::Param { name, ty } => self.param(name, ty),
            Expr::Claim { ty, .. } => *ty,
            Expr::And(list) | Expr::Or(list) => {
                if list.is_empty() {
                    self.problem("AND and OR need operands", None);
                }
                for (i, child) in list.iter_mut().enumerate() {
                    self.at(i, |c| c.boolean(child));
                }
                Some(ColumnType::Boolean)
            }
            Expr::Not(inner) => {
                self.at(0, |c| c.boolean(inner));
                Some(ColumnType::Boolean)
            }
            Expr::IsNull(inner) => {
                self.at(0, |c| c.node(inner));
                Some(ColumnType::Boolean)
            }
            Expr::Compare { left, right, .. } => {
                self.comparable(&mut [left, right]);
                Some(ColumnType::Boolean)
            }
            Expr::Between { expr, low, high } => {
                self.comparable(&mut [expr, low, high]);
                Some(ColumnType::Boolean)
            }
            Expr::In { expr, list } => self.in_list(expr, list),
            Expr::Like { expr, pattern, .. } => self.like(expr, pattern),
            Expr::Arith { op, left, right } => self.arith(*op, left, right),
            Expr::Neg(inner) => self.at(0, |c| match c.node(inner) {
                None => None,
                Some(ty) if is_number(ty) => Some(ty),
                Some(other) => {
                    c.problem(format!("'-' needs a number, this is of type {other}"), None);
                    None
                }
            }),
        }
    }

    fn column(&mut self, name: &str, ty: &mut Ty) -> Ty {
        let Names::Schema { table, .. } = self.names else {
            return self.filled_in(*ty);
        };
        *ty = table.column(name).map(|c| c.ty);
        if ty.is_none() {
            let help = nearest(name, table.columns.iter().map(|c| c.name.as_str()));
            self.problem(format!("the table '{}' has no column '{name}'", table.name), help);
        }
        *ty
    }

    fn param(&mut self, name: &str, ty: &mut Ty) -> Ty {
        let Names::Schema { params, .. } = self.names else {
            return self.filled_in(*ty);
        };
        *ty = params.iter().find(|p| p.name == name).map(|p| p.ty);
        if ty.is_none() {
            let help = match nearest(name, params.iter().map(|p| p.name.as_str())) {
                None => Some("no parameters are declared here".to_owned()),
                some => some,
            };
            self.problem(format!("there is no parameter ':{name}'"), help);
        }
        *ty
    }

    fn filled_in(&mut self, ty: Ty) -> Ty {
        if ty.is_none() {
            self.problem("a name without a type", Some("compile the schema again".into()));
        }
        ty
    }

    fn in_list(&mut self, expr: &mut Expr, list: &mut [Expr]) -> Ty {
        if list.is_empty() {
            self.problem("an IN list needs at least one element", None);
        }
        for (i, element) in list.iter().enumerate() {
            if !element.is_constant() {
                let help = Some("use OR for comparisons with columns and calculations".to_owned());
                self.at(i + 1, |c| c.problem("an IN list holds literals, parameters and claims only", help));
            }
        }
        let mut all: Vec<&mut Expr> = std::iter::once(expr).chain(list).collect();
        self.comparable(&mut all);
        Some(ColumnType::Boolean)
    }

    fn like(&mut self, expr: &mut Expr, pattern: &mut Expr) -> Ty {
        if !pattern.is_constant() {
            self.at(1, |c| c.problem("a pattern is a literal, a parameter or a claim", None));
        }
        for (i, side) in [expr, pattern].into_iter().enumerate() {
            if let Expr::Claim { ty: ty @ None, .. } = side {
                *ty = Some(ColumnType::Text);
            }
            self.at(i, |c| match c.node(side) {
                None | Some(ColumnType::Text) => {}
                Some(other) => c.problem(format!("LIKE needs text, this is of type {other}"), None),
            });
        }
        Some(ColumnType::Boolean)
    }

    /// Gives soft operands the type of the first that has one by itself, then types them all.
    fn typed(
        &mut self,
        operands: &mut [&mut Expr],
        adapt: fn(&Expr, ColumnType) -> Result<Option<Expr>, String>,
    ) -> Vec<Ty> {
        let mut types: Vec<Ty> = operands.iter_mut().enumerate().map(|(i, e)| self.at(i, |c| c.node(e))).collect();
        let hard = operands.iter().zip(&types).find_map(|(e, ty)| if e.is_soft() { None } else { *ty });
        // Among literals and claims alone, the first literal says what a claim is.
        let target = hard.or_else(|| types.iter().find_map(|ty| *ty)).unwrap_or(ColumnType::Text);
        for (i, operand) in operands.iter_mut().enumerate() {
            if !operand.is_soft() || (hard.is_none() && !matches!(operand, Expr::Claim { .. })) {
                continue;
            }
            match adapt(operand, target) {
                Ok(None) => {}
                Ok(Some(adapted)) => {
                    if matches!(self.names, Names::Schema { .. }) {
                        **operand = adapted;
                        types[i] = self.at(i, |c| c.node(operand));
                    }
                }
                Err(message) => {
                    self.at(i, |c| c.problem(message, None));
                    types[i] = None;
                }
            }
        }
        types
    }

    fn comparable(&mut self, operands: &mut [&mut Expr]) {
        let types = self.typed(operands, adapt);
        for (i, ty) in types.iter().enumerate() {
            if *ty == Some(ColumnType::Json) {
                let help = Some("a json value can only be tested with IS NULL".to_owned());
                return self.at(i, |c| c.problem("json values cannot be compared", help));
            }
        }
        let Some(Some(first)) = types.first().copied() else {
            return;
        };
        for (i, ty) in types.iter().enumerate().skip(1) {
            if let Some(ty) = ty.filter(|ty| *ty != first && !(is_number(*ty) && is_number(first))) {
                let message = format!("a value of type {first} cannot be compared with one of type {ty}");
                self.at(i, |c| c.problem(message, Some("there are no implicit conversions".into())));
            }
        }
    }

    fn arith(&mut self, op: ArithOp, left: &mut Expr, right: &mut Expr) -> Ty {
        let adapt = if op == ArithOp::Mul { adapt_factor } else { adapt };
        let types = self.typed(&mut [left, right], adapt);
        let symbol = op.symbol();
        let (Some(a), Some(b)) = (types[0], types[1]) else {
            return types[0].or(types[1]);
        };
        match (a, b) {
            (ColumnType::Integer, ColumnType::Integer) => return Some(a),
            (ColumnType::Float, ColumnType::Float) if op != ArithOp::Rem => return Some(a),
            (ColumnType::Decimal(s), ColumnType::Decimal(t)) => match op {
                ArithOp::Add | ArithOp::Sub | ArithOp::Rem => return Some(ColumnType::Decimal(s.max(t))),
                ArithOp::Mul if s + t <= MAX_DECIMAL_SCALE => return Some(ColumnType::Decimal(s + t)),
                ArithOp::Mul => self.problem(
                    format!("a product of {a} and {b} has more than {MAX_DECIMAL_SCALE} digits after the point"),
                    Some("declare smaller scales".into()),
                ),
                ArithOp::Div => self.problem(
                    "decimals cannot be divided, since the quotient would not be exact",
                    Some("multiply the other side of the comparison instead".into()),
                ),
            },
            _ if is_number(a) && is_number(b) && a == b => {
                self.problem(format!("'{symbol}' is not defined for the type {a}"), None);
            }
            _ if is_number(a) && is_number(b) => self.problem(
                format!("'{symbol}' needs two numbers of one type, these are of type {a} and {b}"),
                Some("there are no implicit conversions in calculations".into()),
            ),
            _ => self.problem(format!("'{symbol}' needs two numbers, these are of type {a} and {b}"), None),
        }
        None
    }
}

pub(super) fn is_number(ty: ColumnType) -> bool {
    matches!(ty, ColumnType::Integer | ColumnType::Float | ColumnType::Decimal(_))
}

/// A literal or claim as one of type `target`; `Ok(None)` when it stays as it is.
fn adapt(expr: &Expr, target: ColumnType) -> Result<Option<Expr>, String> {
    let value = match expr {
        Expr::Claim { name, .. } => {
            return Ok(Some(Expr::Claim { name: name.clone(), ty: Some(target) }));
        }
        Expr::Literal(value) => value,
        _ => return Ok(None),
    };
    let adapted = match value {
        Value::Text(text) => match literal_from_text(text, target) {
            Some(Ok(value)) => value,
            Some(Err(form)) => return Err(format!("'{text}' is not a {target}; write {form}")),
            None => return Ok(None),
        },
        number => match number_as(number, target) {
            Some(value) => value,
            None => return Ok(None),
        },
    };
    Ok(if same(&adapted, value) { None } else { Some(Expr::Literal(adapted)) })
}

/// For a factor the scale is part of the meaning: an integer becomes a decimal without digits after the point.
fn adapt_factor(expr: &Expr, target: ColumnType) -> Result<Option<Expr>, String> {
    match (expr, target) {
        (Expr::Literal(Value::Int(units)), ColumnType::Decimal(_)) => {
            Ok(Some(Expr::Literal(Value::Decimal(Decimal::new(*units, 0)))))
        }
        (Expr::Literal(Value::Decimal(_)), ColumnType::Decimal(_)) => Ok(None),
        _ => adapt(expr, target),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    a.type_of() == b.type_of() && a == b
}

/// A literal written as a string, where the type is one that is written so.
fn literal_from_text(text: &str, target: ColumnType) -> Option<Result<Value, &'static str>> {
    Some(match target {
        ColumnType::Uuid => parse_uuid(text).map(Value::Uuid).ok_or("36 characters such as 0190b3c2-…"),
        ColumnType::Timestamp => {
            parse_timestamp(text).map(Value::Timestamp).ok_or("RFC 3339 such as 2026-11-21T08:30:00Z")
        }
        ColumnType::Date => parse_date(text).map(Value::Date).ok_or("YYYY-MM-DD"),
        ColumnType::Decimal(scale) => {
            Decimal::parse(text).map(|d| Value::Decimal(d.rescale(scale).unwrap_or(d))).ok_or("digits, such as 12.50")
        }
        _ => return None,
    })
}

/// A numeric literal as another numeric type: exactly, but for a decimal that becomes the nearest float.
pub(super) fn number_as(value: &Value, target: ColumnType) -> Option<Value> {
    match (value, target) {
        (Value::Int(v), ColumnType::Float) if v.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() => {
            Value::float(*v as f64)
        }
        (Value::Int(v), ColumnType::Decimal(scale)) => Decimal::new(*v, 0).rescale(scale).map(Value::Decimal),
        (Value::Decimal(d), ColumnType::Decimal(scale)) => d.rescale(scale).map(Value::Decimal),
        (Value::Decimal(d), ColumnType::Float) => {
            // Not by `parse`: the tables of the standard library's reader of floats are 10 kB of what a browser
            // downloads, and JSON's is there anyway. Both give the nearest float.
            serde_json::from_str::<serde_json::Value>(&d.to_string()).ok()?.as_f64().and_then(Value::float)
        }
        (Value::Decimal(d), ColumnType::Integer) => d.rescale(0).map(|d| Value::Int(d.units)),
        _ => None,
    }
}

/// The nearest of some names, as a suggestion; all of them when none is near.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut names: Vec<&str> = names.collect();
    let near =
        names.iter().map(|n| (distance(name, n), *n)).min().filter(|(d, n)| *d < n.len() && *d <= (n.len() / 3).max(2));
    if let Some((_, best)) = near {
        return Some(format!("did you mean '{best}'?"));
    }
    sort_by(&mut names, Ord::cmp);
    if names.is_empty() { None } else { Some(format!("there are {}", names.join(", "))) }
}

/// Edit distance (Levenshtein), in characters, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let fold = |s: &str| s.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = previous[j] + usize::from(x != y);
            current.push(change.min(previous[j + 1] + 1).min(current[j] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}
