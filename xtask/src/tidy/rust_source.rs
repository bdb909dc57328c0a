//! A small reader of Rust source: enough to tell code from comments and strings, to skip test modules, and to measure
//! functions. It keeps every line break, so that a position in what it returns is a line of the file.

/// Source with the inside of comments, strings and character literals blanked out.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match literal_end(&chars, at) {
            Some(end) => end,
            None => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment, string or character literal that starts at `at` ends; `None` where none starts.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => Some(line_end(chars, at)),
        '/' if next == Some('*') => Some(block_comment_end(chars, at)),
        '"' => Some(string_end(chars, at)),
        '\'' => char_literal_end(chars, at),
        'r' | 'b' | 'c' if !continues_a_word(chars, at) => raw_string_end(chars, at),
        _ => None,
    }
}

fn continues_a_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut here) = (0_usize, at);
    while here < chars.len() {
        match (chars[here], chars.get(here + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                here += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                here += 2;
                if depth == 0 {
                    return here;
                }
            }
            _ => here += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut here = at + 1;
    while here < chars.len() {
        match chars[here] {
            '\\' => here += 2,
            '"' => return here + 1,
            _ => here += 1,
        }
    }
    chars.len()
}

/// A character literal, not a lifetime: `'a'`, `'\n'`, `'\u{1F600}'`.
fn char_literal_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        let close = chars[at + 3..].iter().position(|&c| c == '\'')?;
        return Some(at + 3 + close + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

/// `r"…"`, `r#"…"#`, `br#"…"#`; plain `b"…"` and `c"…"` are found at their quote.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let mut here = at;
    if matches!(chars[here], 'b' | 'c') {
        here += 1;
    }
    if chars.get(here) != Some(&'r') {
        return None;
    }
    here += 1;
    let hashes = chars[here..].iter().take_while(|&&c| c == '#').count();
    here += hashes;
    if chars.get(here) != Some(&'"') {
        return None;
    }
    here += 1;
    while here < chars.len() {
        let closes =
            chars[here] == '"' && chars[here + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closes {
            return Some(here + 1 + hashes);
        }
        here += 1;
    }
    Some(chars.len())
}

/// The full path of every name that the `use` items of [`code_only`]'s code bring in, groups taken apart, each with its
/// line. What a name is renamed to does not matter.
pub fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use") {
        let before = rest[..at].chars().next_back();
        let line = 1 + code[..code.len() - rest.len() + at].matches('\n').count();
        rest = &rest[at + "use".len()..];
        // Not a part of another word, and not the `use<'a>` of a return type.
        let stands_alone = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if stands_alone && rest.starts_with(|c: char| c.is_whitespace() || c == '{' || c == ':') {
            let end = rest.find(';').unwrap_or(rest.len());
            take_apart(&rest[..end], line, &mut found);
        }
    }
    found
}

fn take_apart(tree: &str, mut line: usize, found: &mut Vec<(usize, String)>) {
    // What stands before each open brace; the path so far, and the line of its last name.
    let (mut groups, mut path, mut named_at): (Vec<String>, String, usize) = (Vec::new(), String::new(), line);
    let mut emit = |path: &mut String, group: Option<&String>, named_at: usize| {
        let group = group.map_or("", String::as_str);
        if path != group {
            found.push((named_at, path.trim_start_matches("::").to_owned()));
        }
        group.clone_into(path);
    };
    let mut renamed = false;
    let mut chars = tree.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '{' => groups.push(path.clone()),
            ',' => {
                emit(&mut path, groups.last(), named_at);
                renamed = false;
            }
            '}' => {
                emit(&mut path, groups.last(), named_at);
                groups.pop();
                path = groups.last().cloned().unwrap_or_default();
                renamed = false;
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                renamed |= word == "as";
                if !renamed {
                    path.push_str(&word);
                    named_at = line;
                }
            }
            ':' | '*' => path.push(c),
            _ => {}
        }
    }
    emit(&mut path, groups.last(), named_at);
}

/// [`code_only`], with every item under `#[cfg(test)]` blanked out as well.
pub fn code_without_tests(source: &str) -> String {
    let mut code = code_only(source);
    let mut from = 0;
    while let Some(start) = code[from..].find("#[cfg(test)]").map(|start| from + start) {
        let end = item_end(&code, start);
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
        from = start + blank.len();
    }
    code
}

/// Where the item that starts at `start` ends: at its `;`, or at the brace that closes its body. A `;` in brackets, as in
/// `[u8; 4]`, ends nothing.
fn item_end(code: &str, start: usize) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (offset, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return start + offset + 1,
            '}' => braces -= 1,
            ';' if braces == 0 && brackets == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// One function and how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, without its module.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Lines from its `fn` to its closing brace, both counted.
    pub lines: usize,
}

/// Every function with a body, in order.
pub fn functions(source: &str) -> Vec<Function> {
    let code = code_only(source);
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = code[start + 3..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = item_end(&code, start);
        if name.is_empty() || !code[start..end].ends_with('}') {
            continue;
        }
        let line = code[..start].matches('\n').count() + 1;
        found.push(Function { name, line, lines: code[start..end].matches('\n').count() + 1 });
    }
    found
}

/// Whether `word` stands in `line` by itself: no letter, digit or `_` touches it where it begins or ends with one.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word) && word.starts_with(is_word);
        let after = line[at + word.len()..].chars().next().is_some_and(is_word) && word.ends_with(is_word);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_not_code() {
        let source = "let a = \"unsafe \\\" x\"; // unsafe\n/* unsafe /* nested */ unsafe */ let c = '\"'; let d = r#\"unsafe \" \"#;\n";
        let code = code_only(source);
        assert!(!code.contains("unsafe"), "{code}");
        assert!(code.contains("let c =") && code.contains("let d ="), "{code}");
        assert_eq!(code.matches('\n').count(), source.matches('\n').count());
    }

    #[test]
    fn lifetimes_and_names_ending_in_r_stay_code() {
        let source = "fn f<'a>(x: &'a str) -> &'a str { unsafe_looking(x) } let var\"\"; let b = b'\\''; danger()";
        let code = code_only(source);
        assert!(code.contains("<'a>(x: &'a str)"), "{code}");
        assert!(code.contains("danger()"), "{code}");
    }

    #[test]
    fn test_items_are_skipped_and_what_follows_is_not() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { one(); }\n}\n#[cfg(test)]\nmod more;\nfn c() { two(); }\n";
        let code = code_without_tests(source);
        assert!(!code.contains("one()") && !code.contains("more"), "{code}");
        assert!(code.contains("two()"), "{code}");
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source =
            "trait T { fn none(&self); }\npub fn short() {}\nfn long(\n  a: [u8; 4],\n) {\n  if a[0] > 0 {\n  }\n}\n";
        let found = functions(source);
        let expected = [("short".to_owned(), 2, 1), ("long".to_owned(), 3, 6)];
        let got: Vec<_> = found.into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_word_stands_alone() {
        assert!(has_word("use HashMap;", "HashMap"));
        assert!(!has_word("use MyHashMap;", "HashMap"));
        assert!(!has_word("HashMapLike", "HashMap"));
        assert!(has_word("x.call!(", "call!("));
    }
}
