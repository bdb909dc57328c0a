//! Finds, for plain SQL, a column that is held to one value: rows with another value there cannot matter.
//!
//! Recognised is only what is certain from the words alone: one SELECT from one table of the schema, whose WHERE is a
//! conjunction with `column = ?` (or a literal) standing alone between its ANDs, the value being of the storage class
//! that the column has. Anything unusual is not recognised, which costs a run and never an answer. That no other table
//! is read is what [`super::reads`] says, which the caller checks.

use landfall_core::Value;
use landfall_core::schema::{Schema, Table};

/// Columns of one table that every row that matters holds at these values.
#[derive(Debug, PartialEq)]
pub(super) struct Pinned {
    pub table: String,
    pub equal: Vec<(String, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// A bare word or a quoted name.
    Name(&'a str, bool),
    Text(&'a str),
    Number(&'a str),
    /// A parameter by its number, from 1.
    Param(usize),
    Sign(char),
}

impl Token<'_> {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Name(word, false) if word.eq_ignore_ascii_case(keyword))
    }
}

/// What `sql` with `params` holds constant; `None` when that is not certain.
pub(super) fn pinned(schema: &Schema, sql: &str, params: &[Value]) -> Option<Pinned> {
    let tokens = tokens(sql.trim_end().trim_end_matches(';'))?;
    let once = |word: &str| {
        let mut places = tokens.iter().enumerate().filter(|(_, t)| t.is(word)).map(|(i, _)| i);
        places.next().filter(|_| places.next().is_none())
    };
    let (select, from, filter) = (once("select")?, once("from")?, once("where")?);
    let never = ["union", "intersect", "except", "with", "window", "values", "case", "between", "indexed"];
    if select != 0 || from > filter || tokens.iter().any(|t| never.iter().any(|word| t.is(word))) {
        return None;
    }
    let (table, alias) = source(schema, &tokens[from + 1..filter])?;
    let rest = &tokens[filter + 1..];
    let ends = |t: &Token<'_>| ["group", "order", "limit", "having"].iter().any(|word| t.is(word));
    let condition = &rest[..top_level(rest, ends).next().unwrap_or(rest.len())];
    if top_level(condition, |t| t.is("or")).next().is_some() {
        return None;
    }
    let mut equal = Vec::new();
    let mut start = 0;
    for end in top_level(condition, |t| t.is("and")).chain([condition.len()]) {
        equal.extend(equality(table, alias, condition.get(start..end)?, params));
        start = end + 1;
    }
    (!equal.is_empty()).then(|| Pinned { table: table.name.clone(), equal })
}

/// `table`, `table alias` or `table AS alias`, and nothing else.
fn source<'s, 't>(schema: &'s Schema, tokens: &[Token<'t>]) -> Option<(&'s Table, &'t str)> {
    let (name, alias) = match tokens {
        [Token::Name(name, _)] => (*name, *name),
        [Token::Name(name, _), Token::Name(alias, _)] => (*name, *alias),
        [Token::Name(name, _), word, Token::Name(alias, _)] if word.is("as") => (*name, *alias),
        _ => return None,
    };
    let table = schema.tables.iter().find(|t| t.name.eq_ignore_ascii_case(name))?;
    Some((table, alias))
}

fn equality(table: &Table, alias: &str, tokens: &[Token<'_>], params: &[Value]) -> Option<(String, Value)> {
    let (name, value) = match tokens {
        [Token::Name(name, _), Token::Sign('='), value] => (*name, value),
        [Token::Name(of, _), Token::Sign('.'), Token::Name(name, _), Token::Sign('='), value]
            if of.eq_ignore_ascii_case(alias) =>
        {
            (*name, value)
        }
        _ => return None,
    };
    let column = table.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))?;
    let given = match value {
        Token::Param(number) => params.get(number.checked_sub(1)?)?.to_sqlite(),
        Token::Text(text) => Value::Text(text.replace("''", "'")).to_sqlite(),
        Token::Number(digits) => Value::Int(digits.parse().ok()?).to_sqlite(),
        _ => return None,
    };
    // A value of another storage class would be converted by SQLite before it is compared, one that is not a value of
    // the column's type (an upper-case uuid) equals none of its rows: both are left to SQLite.
    let value = Value::from_sqlite(given.clone(), column.ty).ok().filter(|v| !v.is_null())?;
    (value.to_sqlite() == given).then(|| (column.name.clone(), value))
}

/// Where tokens that fulfil the condition stand outside parentheses.
fn top_level<'a, 't>(
    tokens: &'a [Token<'t>],
    condition: impl Fn(&Token<'t>) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let mut depth = 0usize;
    tokens.iter().enumerate().filter_map(move |(i, token)| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0 && condition(token)).then_some(i)
    })
}

/// The statement's words; `None` for comments, named parameters, and whatever is not understood.
fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    let bytes = sql.as_bytes();
    let (mut out, mut at, mut last_param) = (Vec::new(), 0, 0);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let run = |from: usize, more: fn(u8) -> bool| {
            bytes[from..].iter().position(|b| !more(*b)).map_or(bytes.len(), |n| from + n)
        };
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
            b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
            b'\'' => {
                at = quoted(bytes, start)?;
                out.push(Token::Text(&sql[start + 1..at - 1]));
            }
            b'"' => {
                at = quoted(bytes, start)?;
                let name = &sql[start + 1..at - 1];
                if name.contains('"') {
                    return None;
                }
                out.push(Token::Name(name, true));
            }
            b'0'..=b'9' => {
                // A point, an exponent or a hexadecimal digit makes it something that is not read as an integer.
                at = run(at, |b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_');
                out.push(Token::Number(&sql[start..at]));
            }
            b'?' => {
                at = run(at + 1, |b| b.is_ascii_digit());
                let number = if at == start + 1 { last_param + 1 } else { sql[start + 1..at].parse().ok()? };
                last_param = last_param.max(number);
                out.push(Token::Param(number));
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                at = run(at, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80);
                out.push(Token::Name(&sql[start..at], false));
            }
            b'(' | b')' | b',' | b'.' | b'*' | b'=' | b'<' | b'>' | b'!' | b'+' | b'-' | b'/' | b'%' | b'|' | b'&' => {
                at += 1;
                out.push(Token::Sign(char::from(byte)));
            }
            _ => return None,
        }
    }
    Some(out)
}

/// The end of a quoted run that starts at `start`; a doubled quote stands for itself.
fn quoted(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    loop {
        match (*bytes.get(at)? == quote, bytes.get(at + 1) == Some(&quote)) {
            (true, true) => at += 2,
            (true, false) => return Some(at + 1),
            (false, _) => at += 1,
        }
    }
}
