//! Reading conditions from SQL text. The one place that knows the SQL parser's tree: everything that is not listed
//! here is refused.

use std::fmt;
use std::ops::Range;

use sqlparser::ast::{
    BinaryOperator, Expr as Sql, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Spanned,
    UnaryOperator, Value as SqlValue, ValueWithSpan,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::expr::{ArithOp, CompareOp, Expr};
use super::{MAX_DEPTH, check};
use crate::schema::{Param, Table};
use crate::value::{Decimal, Value};

/// Longest text of a condition, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 << 10;
/// Most operators and keywords: the parser's tree is as deep as a chain of them is long, and is dropped recursively.
const MAX_OPERATORS: usize = 1_000;
/// Levels of parentheses and prefix operators that the parser follows before it gives up.
const PARSER_RECURSION: usize = 40;

/// Something wrong with the text of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredicateError {
    /// Where, in bytes of the text; never beyond its end.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, when that can be said.
    pub help: Option<String>,
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PredicateError {}

pub(super) fn parse(text: &str, table: &Table, params: &[Param]) -> Result<Expr, Vec<PredicateError>> {
    let sql = read(text).map_err(|e| vec![e])?;
    let mut reader = Reader { text, table, errors: Vec::new() };
    let converted = reader.expr(&sql, 1);
    // Names and types are checked even when some part was refused, as far as there is a tree.
    match converted {
        Some((expr, spans)) if reader.errors.is_empty() => check::check(expr, table, params).map_err(|problems| {
            let at = |problem: check::TypeProblem| PredicateError {
                range: spans.find(&problem.path),
                message: problem.message,
                help: problem.help,
            };
            problems.into_iter().map(at).collect()
        }),
        _ => Err(reader.errors),
    }
}

/// Ranges of the nodes, in the shape of the tree.
struct Spans {
    range: Range<usize>,
    children: Vec<Spans>,
}

impl Spans {
    fn find(&self, path: &[usize]) -> Range<usize> {
        match path.split_first().and_then(|(first, rest)| Some((self.children.get(*first)?, rest))) {
            Some((child, rest)) => child.find(rest),
            None => self.range.clone(),
        }
    }
}

/// Text to the parser's tree, within limits.
fn read(text: &str) -> Result<Sql, PredicateError> {
    let whole =
        |message: String, help: &str| PredicateError { range: 0..text.len(), message, help: Some(help.to_owned()) };
    if text.len() > MAX_TEXT_BYTES {
        return Err(whole(format!("the condition is longer than {MAX_TEXT_BYTES} bytes"), "make it shorter"));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().map_err(|error| PredicateError {
        range: point(text, error.location),
        message: format!("this is not SQL: {}", error.message),
        help: None,
    })?;
    if tokens.iter().filter(|t| is_operator(&t.token)).count() > MAX_OPERATORS {
        return Err(whole(format!("the condition has more than {MAX_OPERATORS} operators"), "use IN lists"));
    }
    let failed = |parser: &Parser<'_>, error: ParserError| match error {
        ParserError::RecursionLimitExceeded => whole("the condition nests too deeply".into(), "write it flatter"),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let message = message.split(" at Line:").next().unwrap_or_default();
            let range = location_in(text, &error_location(parser));
            PredicateError { range, message: format!("this is not an SQL condition: {message}"), help: None }
        }
    };
    let mut parser =
        Parser::new(&GenericDialect {}).with_recursion_limit(PARSER_RECURSION).with_tokens_with_locations(tokens);
    let sql = match parser.parse_expr() {
        Ok(sql) => sql,
        Err(error) => return Err(failed(&parser, error)),
    };
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(PredicateError {
            range: location_in(text, &next),
            message: format!("unexpected '{}' after the condition", next.token),
            help: Some("join conditions with AND or OR".into()),
        });
    }
    Ok(sql)
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Whitespace(_) | Token::Comma | Token::Colon | Token::Period => false,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::LParen | Token::RParen => false,
        _ => true,
    }
}

/// The token at which the parser gave up: the last one it took, or the end.
fn error_location(parser: &Parser<'_>) -> TokenWithSpan {
    let next = parser.peek_token();
    if next.token == Token::EOF { next } else { parser.get_current_token().clone() }
}

fn location_in(text: &str, token: &TokenWithSpan) -> Range<usize> {
    range(text, token.span).unwrap_or(text.len()..text.len())
}

/// The byte at a location (line and column count from 1, columns in characters).
fn offset(text: &str, location: Location) -> Option<usize> {
    let line_start = match location.line.checked_sub(1)? {
        0 => 0,
        n => text.match_indices('\n').nth(n as usize - 1)?.0 + 1,
    };
    let rest = &text[line_start..];
    let column = location.column.checked_sub(1)? as usize;
    Some(line_start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
}

fn range(text: &str, span: Span) -> Option<Range<usize>> {
    let (start, end) = (offset(text, span.start)?, offset(text, span.end)?);
    Some(start..end.max(start))
}

fn point(text: &str, location: Location) -> Range<usize> {
    let at = offset(text, location).unwrap_or(text.len());
    at..text[at..].chars().next().map_or(at, |c| at + c.len_utf8())
}

type Read = Option<(Expr, Spans)>;

struct Reader<'a> {
    text: &'a str,
    table: &'a Table,
    errors: Vec<PredicateError>,
}

impl Reader<'_> {
    fn range(&self, sql: &impl Spanned) -> Range<usize> {
        let range = range(self.text, sql.span()).unwrap_or(0..self.text.len());
        // The parser leaves the closing parenthesis of a call out.
        let count = |c| self.text[range.clone()].matches(c).count();
        let rest = &self.text[range.end..];
        match rest.trim_start().strip_prefix(')') {
            Some(after) if count('(') > count(')') => range.start..self.text.len() - after.len(),
            _ => range,
        }
    }

    fn refuse(&mut self, sql: &impl Spanned, message: impl Into<String>, help: &str) -> Read {
        let help = (!help.is_empty()).then(|| help.to_owned());
        let range = self.range(sql);
        self.errors.push(PredicateError { range, message: message.into(), help });
        None
    }

    fn leaf(&self, sql: &impl Spanned, expr: Expr) -> Read {
        Some((expr, Spans { range: self.range(sql), children: Vec::new() }))
    }

    /// Converts a node; `None` when an error was recorded. All children are visited, so that all errors are reported.
    fn expr(&mut self, sql: &Sql, depth: usize) -> Read {
        // Parentheses and chains are flattened, so this is looser than the limit that the checked tree has.
        if depth > 2 * MAX_DEPTH {
            return self.refuse(sql, "the condition nests too deeply", "write it flatter");
        }
        let next = depth + 1;
        match sql {
            Sql::Nested(inner) => self.expr(inner, next),
            Sql::Identifier(ident) => self.leaf(sql, Expr::col(&ident.value)),
            Sql::CompoundIdentifier(parts) => self.qualified(sql, parts),
            Sql::Value(value) => self.literal(value),
            Sql::Function(function) => self.function(function),
            Sql::BinaryOp { left, op, right } => self.binary(sql, left, op, right, next),
            Sql::UnaryOp { op: UnaryOperator::Not, expr } => self.node(sql, &[expr], next, |list| Some(!one(list)?)),
            Sql::UnaryOp { op: UnaryOperator::Plus, expr } => self.expr(expr, next),
            Sql::UnaryOp { op: UnaryOperator::Minus, expr } => self.negative(sql, expr, next),
            Sql::IsNull(expr) => self.node(sql, &[expr], next, |list| Some(one(list)?.is_null())),
            Sql::IsNotNull(expr) => self.negated(sql, true, &[expr], next, |list| Some(one(list)?.is_null())),
            Sql::InList { expr, list, negated } => {
                let operands: Vec<&Sql> = std::iter::once(&**expr).chain(list).collect();
                self.negated(sql, *negated, &operands, next, |list| {
                    let mut list = list.into_iter();
                    Some(list.next()?.is_in(list))
                })
            }
            Sql::Between { expr, negated, low, high } => {
                self.negated(sql, *negated, &[expr, low, high], next, |list| {
                    let [expr, low, high] = <[Expr; 3]>::try_from(list).ok()?;
                    Some(expr.between(low, high))
                })
            }
            Sql::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(sql, *negated, [expr, pattern], escape_char.as_deref(), false, next)
            }
            Sql::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(sql, *negated, [expr, pattern], escape_char.as_deref(), true, next)
            }
            other => {
                let (message, help) = why_not(other);
                self.refuse(other, message, help)
            }
        }
    }

    fn operands(&mut self, operands: &[&Sql], depth: usize) -> Option<(Vec<Expr>, Vec<Spans>)> {
        let read: Vec<Read> = operands.iter().map(|sql| self.expr(sql, depth)).collect();
        read.into_iter().collect::<Option<Vec<_>>>().map(|list| list.into_iter().unzip())
    }

    fn node(
        &mut self,
        sql: &Sql,
        operands: &[&Sql],
        depth: usize,
        build: impl FnOnce(Vec<Expr>) -> Option<Expr>,
    ) -> Read {
        let (list, children) = self.operands(operands, depth)?;
        Some((build(list)?, Spans { range: self.range(sql), children }))
    }

    fn negated(
        &mut self,
        sql: &Sql,
        negated: bool,
        operands: &[&Sql],
        depth: usize,
        build: impl FnOnce(Vec<Expr>) -> Option<Expr>,
    ) -> Read {
        let (expr, spans) = self.node(sql, operands, depth, build)?;
        if !negated {
            return Some((expr, spans));
        }
        Some((!expr, Spans { range: spans.range.clone(), children: vec![spans] }))
    }

    fn qualified(&mut self, sql: &Sql, parts: &[Ident]) -> Read {
        match parts {
            [table, column] if table.value == self.table.name => self.leaf(sql, Expr::col(&column.value)),
            _ => {
                let message = format!("a condition is about one row of '{}'", self.table.name);
                self.refuse(sql, message, "name its columns only")
            }
        }
    }

    fn binary(&mut self, sql: &Sql, left: &Sql, op: &BinaryOperator, right: &Sql, depth: usize) -> Read {
        let compare = |op: CompareOp| move |left, right| Expr::Compare { op, left, right };
        let arith = |op: ArithOp| move |left, right| Expr::Arith { op, left, right };
        let build: Box<dyn FnOnce(Box<Expr>, Box<Expr>) -> Expr> = match op {
            BinaryOperator::And | BinaryOperator::Or => return self.chain(sql, op, depth),
            BinaryOperator::Eq => Box::new(compare(CompareOp::Eq)),
            BinaryOperator::NotEq => Box::new(compare(CompareOp::Ne)),
            BinaryOperator::Lt => Box::new(compare(CompareOp::Lt)),
            BinaryOperator::LtEq => Box::new(compare(CompareOp::Le)),
            BinaryOperator::Gt => Box::new(compare(CompareOp::Gt)),
            BinaryOperator::GtEq => Box::new(compare(CompareOp::Ge)),
            BinaryOperator::Plus => Box::new(arith(ArithOp::Add)),
            BinaryOperator::Minus => Box::new(arith(ArithOp::Sub)),
            BinaryOperator::Multiply => Box::new(arith(ArithOp::Mul)),
            BinaryOperator::Divide => Box::new(arith(ArithOp::Div)),
            BinaryOperator::Modulo => Box::new(arith(ArithOp::Rem)),
            other => {
                let message = format!("the operator '{other}' is not allowed in a condition");
                return self.refuse(sql, message, "there are = <> < <= > >= + - * / % and AND, OR, NOT");
            }
        };
        self.node(sql, &[left, right], depth, |list| {
            let [left, right] = <[Expr; 2]>::try_from(list).ok()?;
            Some(build(Box::new(left), Box::new(right)))
        })
    }

    /// `a AND b AND c`, which the parser nests to the left: a loop, since a chain may be longer than any nesting.
    fn chain(&mut self, sql: &Sql, op: &BinaryOperator, depth: usize) -> Read {
        let (mut operands, mut rest) = (Vec::new(), sql);
        loop {
            match rest {
                Sql::BinaryOp { left, op: this, right } if this == op => {
                    operands.push(&**right);
                    rest = left;
                }
                Sql::Nested(inner) if matches!(&**inner, Sql::BinaryOp { op: this, .. } if this == op) => rest = inner,
                _ => break,
            }
        }
        operands.push(rest);
        operands.reverse();
        let (list, spans) = self.operands(&operands, depth)?;
        let (mut flat, mut children) = (Vec::new(), Vec::new());
        for (expr, spans) in list.into_iter().zip(spans) {
            match (expr, op) {
                (Expr::And(inner), BinaryOperator::And) | (Expr::Or(inner), BinaryOperator::Or) => {
                    flat.extend(inner);
                    children.extend(spans.children);
                }
                (expr, _) => {
                    flat.push(expr);
                    children.push(spans);
                }
            }
        }
        let expr = if *op == BinaryOperator::And { Expr::And(flat) } else { Expr::Or(flat) };
        Some((expr, Spans { range: self.range(sql), children }))
    }

    fn like(
        &mut self,
        sql: &Sql,
        negated: bool,
        operands: [&Sql; 2],
        escape: Option<&Sql>,
        fold: bool,
        depth: usize,
    ) -> Read {
        let escape = match escape {
            None => None,
            Some(Sql::Value(ValueWithSpan { value: SqlValue::SingleQuotedString(text), .. }))
                if text.chars().count() == 1 =>
            {
                text.chars().next()
            }
            Some(other) => {
                return self.refuse(other, "ESCAPE needs a string of one character", "write ESCAPE '\\'");
            }
        };
        self.negated(sql, negated, &operands, depth, |list| {
            let [expr, pattern] = <[Expr; 2]>::try_from(list).ok()?;
            Some(Expr::Like { expr: Box::new(expr), pattern: Box::new(pattern), escape, fold })
        })
    }

    fn function(&mut self, function: &Function) -> Read {
        let name = function.name.to_string();
        if !name.eq_ignore_ascii_case("claim") {
            let help = if name.eq_ignore_ascii_case("lower") || name.eq_ignore_ascii_case("upper") {
                "ILIKE compares without regard to case"
            } else {
                "only claim('name') can be called"
            };
            return self.refuse(function, format!("the function '{name}' is not allowed in a condition"), help);
        }
        let plain = function.filter.is_none() && function.over.is_none() && function.within_group.is_empty();
        if let (true, FunctionArguments::List(list)) = (plain, &function.args)
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Sql::Value(value)))] = list.args.as_slice()
            && let SqlValue::SingleQuotedString(claim) = &value.value
        {
            return self.leaf(function, Expr::claim(claim));
        }
        self.refuse(function, "claim takes the name of a claim as a string", "write claim('sub')")
    }

    fn literal(&mut self, value: &ValueWithSpan) -> Read {
        let literal = match &value.value {
            SqlValue::Number(digits, _) => match number(digits) {
                Some(number) => number,
                None => {
                    return self.refuse(value, format!("the number {digits} has too many digits"), "");
                }
            },
            SqlValue::SingleQuotedString(text) => Value::Text(text.clone()),
            SqlValue::HexStringLiteral(digits) => match bytes(digits) {
                Some(bytes) => Value::Bytes(bytes),
                None => return self.refuse(value, "X'…' needs pairs of hexadecimal digits", ""),
            },
            SqlValue::Boolean(truth) => Value::Bool(*truth),
            SqlValue::Null => {
                return self.refuse(value, "nothing is equal to NULL, not even NULL", "write IS NULL or IS NOT NULL");
            }
            SqlValue::Placeholder(name) => match name.strip_prefix(':') {
                Some(name) => return self.leaf(value, Expr::param(name)),
                None => {
                    return self.refuse(value, format!("'{name}' is not a parameter"), "write :name");
                }
            },
            other => {
                return self.refuse(value, format!("literals of the form {other} are not allowed"), "write '…'");
            }
        };
        self.leaf(value, Expr::Literal(literal))
    }

    /// The smallest integer has no positive counterpart, so the sign belongs to the literal.
    fn negative(&mut self, sql: &Sql, operand: &Sql, depth: usize) -> Read {
        if let Sql::Value(ValueWithSpan { value: SqlValue::Number(digits, _), .. }) = operand {
            return match number(&format!("-{digits}")) {
                Some(number) => self.leaf(operand, Expr::Literal(number)),
                None => self.refuse(operand, format!("the number -{digits} has too many digits"), ""),
            };
        }
        self.node(sql, &[operand], depth, |list| Some(-one(list)?))
    }
}

fn one(list: Vec<Expr>) -> Option<Expr> {
    list.into_iter().next()
}

/// An integer; with a point, a decimal; with an exponent, a float.
fn number(digits: &str) -> Option<Value> {
    if digits.contains(['e', 'E']) {
        return digits.parse().ok().and_then(Value::float);
    }
    if !digits.contains('.') {
        return digits.parse().ok().map(Value::Int);
    }
    let (sign, magnitude) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = magnitude.split_once('.')?;
    let part = |s: &str| {
        if s.is_empty() { "0".to_owned() } else { s.to_owned() }
    };
    Decimal::parse(&format!("{sign}{}.{}", part(whole), part(fraction))).map(Value::Decimal)
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = digits.chars().collect();
    let pair = |pair: &[char]| match pair {
        [a, b] => Some((a.to_digit(16)? * 16 + b.to_digit(16)?) as u8),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// What to write instead of a form that is not allowed.
fn why_not(sql: &Sql) -> (&'static str, &'static str) {
    match sql {
        Sql::Subquery(_) | Sql::Exists { .. } | Sql::InSubquery { .. } => {
            ("a condition is about one row, so it has no subqueries", "copy what it needs into a column")
        }
        Sql::Cast { .. } | Sql::Convert { .. } => {
            ("there are no conversions in a condition", "a literal takes the type of what it is compared with")
        }
        Sql::TypedString(_) => {
            ("a literal needs no type", "write only the string: it takes the type of what it is compared with")
        }
        Sql::IsTrue(_) | Sql::IsNotFalse(_) | Sql::IsFalse(_) | Sql::IsNotTrue(_) => {
            ("IS TRUE and IS FALSE are not allowed", "write the condition itself, or NOT")
        }
        Sql::IsDistinctFrom(..) | Sql::IsNotDistinctFrom(..) => {
            ("IS DISTINCT FROM is not allowed", "write a = b OR (a IS NULL AND b IS NULL)")
        }
        Sql::RLike { .. } | Sql::SimilarTo { .. } => ("regular expressions are not allowed", "use LIKE or ILIKE"),
        Sql::Case { .. } => ("CASE is not allowed in a condition", "write it with AND and OR"),
        Sql::Tuple(_) => ("row values are not allowed in a condition", "compare each column by itself"),
        Sql::Collate { .. } => ("COLLATE is not allowed: text has one order", "use ILIKE to disregard case"),
        _ => ("this form is not allowed in a condition", "see the documentation of predicates for what is"),
    }
}
