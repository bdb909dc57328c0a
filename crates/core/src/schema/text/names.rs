//! Names: their form, those that are kept, those that occur twice, and what a mistyped one may have meant.

use std::collections::BTreeMap;

use super::{Report, Span};
use crate::error::codes;

const MAX_NAME: usize = 63;

/// Whether `name` can name a table, column, shape or parameter (`what`); reports it when not.
pub(super) fn check(what: &str, name: &str, span: &Span, report: &mut Report) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || name.len() > MAX_NAME || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        report.add(codes::BAD_NAME, span.clone(), format!("{} cannot name {} {what}", show(name), article(what))).help(
            format!("a name is a letter or _, then letters, digits or _, at most {MAX_NAME} in all; {}", respell(name)),
        );
        return false;
    }
    let lower = name.to_ascii_lowercase();
    if let Some(prefix) = ["_landfall", "sqlite_"].into_iter().find(|p| lower.starts_with(p)) {
        report
            .add(
                codes::RESERVED_NAME,
                span.clone(),
                format!("names that begin with `{prefix}` are kept for the engine"),
            )
            .help(format!("choose another name for this {what}"));
        return false;
    }
    if what == "column" && matches!(lower.as_str(), "rowid" | "_rowid_") {
        report
            .add(codes::RESERVED_NAME, span.clone(), format!("SQLite itself gives every table a `{lower}`"))
            .help("choose another name for this column, such as `row_number`");
        return false;
    }
    true
}

fn article(what: &str) -> &'static str {
    if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Whether `name` can name the app: as other names, hyphens allowed.
pub(super) fn check_app(name: &str, span: &Span, report: &mut Report) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= MAX_NAME && name.bytes().all(good);
    if !fits {
        let help = format!("a letter, then letters, digits, - or _, at most {MAX_NAME} in all; such as \"my-app\"");
        report.add(codes::BAD_NAME, span.clone(), format!("{} cannot name an app", show(name))).help(help);
    }
    fits
}

/// Reports every name that occurred before, upper and lower case being the same to SQL.
pub(super) fn check_unique<'a>(what: &str, names: impl Iterator<Item = (&'a str, &'a Span)>, report: &mut Report) {
    let mut seen: BTreeMap<String, &Span> = BTreeMap::new();
    for (name, span) in names {
        match seen.get(&name.to_ascii_lowercase()) {
            Some(first) => {
                report
                    .add(codes::DUPLICATE_NAME, span.clone(), format!("there are two {what}s named `{name}`"))
                    .label("again here")
                    .related(first, "first here")
                    .help("remove or rename one; SQL does not tell upper from lower case");
            }
            None => {
                seen.insert(name.to_ascii_lowercase(), span);
            }
        }
    }
}

/// The candidate that `word` may have meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    // A name of this length has no typo that anyone would recognise; the distance costs its square.
    if word.len() > 2 * MAX_NAME {
        return None;
    }
    let best = candidates.map(|c| (distance(&word, &c.to_ascii_lowercase()), c)).min()?;
    (best.0 <= (word.chars().count() / 3).max(1)).then_some(best.1)
}

/// Help on a word that is not among `candidates`: the nearest, or all of them.
pub(super) fn suggest<'a>(word: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<_> = candidates.take(20).map(|c| format!("`{c}`")).collect();
    if all.is_empty() { "there is none".to_owned() } else { format!("possible here: {}", all.join(", ")) }
}

/// Edit distance in which exchanging two neighbours counts as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            let mut cost = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// A name for messages: never longer than a line.
pub(super) fn show(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((at, _)) => format!("`{}…`", name[..at].escape_debug()),
        None => format!("`{}`", name.escape_debug()),
    }
}

fn respell(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out.truncate(MAX_NAME);
    if out.bytes().any(|b| b != b'_') { format!("perhaps `{out}`") } else { "such as `my_name`".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word() {
        let words = ["required", "default", "max_length", "min", "max"];
        for (typo, word) in
            [("requird", "required"), ("defualt", "default"), ("MaxLength", "max_length"), ("mx", "max")]
        {
            assert_eq!(nearest(typo, words.into_iter()), Some(word), "{typo}");
        }
        assert_eq!(nearest("colour", words.into_iter()), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
