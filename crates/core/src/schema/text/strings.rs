//! From a place in a TOML string's value back to the place in the file.

use super::Span;

/// Where `within` (bytes of the decoded `value`) stands in the file. The whole string when that cannot be told.
pub(super) fn locate(source: &str, string: &Span, value: &str, within: &Span) -> Span {
    let Some(raw) = source.get(string.clone()) else {
        return string.clone();
    };
    let Some(map) = offsets(raw, value) else {
        return string.clone();
    };
    let at = |offset: usize| map.get(offset).map(|o| string.start + o);
    match (at(within.start), at(within.end.max(within.start))) {
        (Some(start), Some(end)) => start..end.max(start),
        _ => string.clone(),
    }
}

/// For each byte of `value`, and its end, the offset within `raw`; `None` when `raw` does not read as `value`.
fn offsets(raw: &str, value: &str) -> Option<Vec<usize>> {
    let (quotes, escapes) = match raw.as_bytes() {
        [b'"', b'"', b'"', ..] => (3, true),
        [b'\'', b'\'', b'\'', ..] => (3, false),
        [b'"', ..] => (1, true),
        [b'\'', ..] => (1, false),
        _ => return None,
    };
    let end = raw.len().checked_sub(quotes)?;
    let mut at = quotes;
    if quotes == 3 {
        at += leading_newline(raw.get(at..)?);
    }
    let mut map = Vec::with_capacity(value.len() + 1);
    for want in value.chars() {
        let mut next = raw.get(at..end)?.chars().next()?;
        while escapes && next == '\\' && is_line_end(raw.get(at + 1..end)?) {
            at += 1 + raw
                .get(at + 1..end)?
                .chars()
                .take_while(|c| c.is_ascii_whitespace())
                .map(char::len_utf8)
                .sum::<usize>();
            next = raw.get(at..end)?.chars().next()?;
        }
        let start = at;
        if escapes && next == '\\' {
            at += escape_length(raw.get(at + 1..end)?)?;
        } else if next == want {
            at += next.len_utf8();
        } else if next == '\r' && want == '\n' {
            at += 2;
        } else {
            return None;
        }
        map.extend(std::iter::repeat_n(start, want.len_utf8()));
    }
    map.push(at.min(end));
    Some(map)
}

fn leading_newline(text: &str) -> usize {
    if text.starts_with("\r\n") { 2 } else { usize::from(text.starts_with('\n')) }
}

/// Whether a backslash before `rest` swallows the line's end.
fn is_line_end(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
}

fn escape_length(after_backslash: &str) -> Option<usize> {
    Some(match after_backslash.bytes().next()? {
        b'u' => 6,
        b'U' => 10,
        b'x' => 4,
        _ => 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_value_is_found_in_the_file() {
        let cases = [
            ("\"ab bad cd\"", "ab bad cd"),
            ("'ab bad cd'", "ab bad cd"),
            ("\"\"\"\nab\nbad cd\"\"\"", "ab\nbad cd"),
            ("'''\r\nab bad'''", "ab bad"),
            (r#""\"a\" \u00e4 bad""#, "\"a\" ä bad"),
            ("\"\"\"a \\\n   bad\"\"\"", "a bad"),
        ];
        for (raw, value) in cases {
            let source = format!("x = {raw} # end");
            let from = value.find("bad").unwrap_or_default();
            let place = locate(&source, &(4..4 + raw.len()), value, &(from..from + 3));
            assert!(source[place.clone()].eq("bad"), "{raw}: {:?}", &source[place]);
        }
    }
}
