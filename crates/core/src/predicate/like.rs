//! LIKE and ILIKE.

/// A pattern in its normal form: characters stand for themselves, `%` and `_` for others, and `\` makes the next
/// character literal.
///
/// Databases differ in how they say which character escapes; this form is the same for all. `None`: the pattern ends
/// in its escape character and matches nothing.
pub(super) fn normalise(pattern: &str, escape: Option<char>, fold: bool) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let (literal, c) = if Some(c) == escape { (true, chars.next()?) } else { (false, c) };
        if c == '\\' || (literal && matches!(c, '%' | '_')) {
            out.push('\\');
        }
        out.push(if fold { lower(c) } else { c });
    }
    Some(out)
}

/// Unicode's simple lower-case mapping.
pub(super) fn lower(c: char) -> char {
    let mut full = c.to_lowercase();
    match (full.next(), full.next()) {
        (Some(one), None) => one,
        // İ is the one character whose full mapping is longer; its simple mapping is i.
        _ => 'i',
    }
}

/// Folds a text for ILIKE.
pub(super) fn fold(text: &str) -> String {
    text.chars().map(lower).collect()
}

enum Part {
    Any,
    One,
    Char(char),
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut chars = pattern.chars();
    let mut out = Vec::new();
    while let Some(c) = chars.next() {
        out.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Char(chars.next().unwrap_or('\\')),
            c => Part::Char(c),
        });
    }
    out
}

/// Whether `text` matches a pattern in normal form. Takes at most (length of text × length of pattern) steps.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<Part>) = (text.chars().collect(), parts(pattern));
    let (mut t, mut p) = (0, 0);
    // Where to go on when the part after the last `%` does not match here: only the last one has to give way.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let here = match pattern.get(p) {
            Some(Part::Any) => {
                retry = Some((t, p + 1));
                p += 1;
                continue;
            }
            Some(Part::One) => true,
            Some(Part::Char(c)) => *c == text[t],
            None => false,
        };
        if here {
            (t, p) = (t + 1, p + 1);
        } else if let Some((from, after)) = retry {
            retry = Some((from + 1, after));
            (t, p) = (from + 1, after);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|part| matches!(part, Part::Any))
}
