//! Splitting a line of SQL into its statements, minding quotes and comments.

/// The statements of `text`, without the semicolons and comments; empty ones are left out.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ';' => out.push(std::mem::take(&mut current)),
            '\'' | '"' | '`' => {
                current.push(c);
                for inner in rest.by_ref() {
                    current.push(inner);
                    if inner == c {
                        break;
                    }
                }
            }
            '-' if rest.peek() == Some(&'-') => {
                for inner in rest.by_ref() {
                    if inner == '\n' {
                        break;
                    }
                }
                current.push(' ');
            }
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut before = ' ';
                for inner in rest.by_ref() {
                    if (before, inner) == ('*', '/') {
                        break;
                    }
                    before = inner;
                }
                current.push(' ');
            }
            _ => current.push(c),
        }
    }
    out.push(current);
    out.iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_split() {
        let text = "insert into t values('a;b', \"c;d\"); -- e;f\n delete from t;";
        assert_eq!(split(text), ["insert into t values('a;b', \"c;d\")", "delete from t"]);
        assert_eq!(split("select 'it''s; fine'"), ["select 'it''s; fine'"]);
        assert_eq!(split("/* a;b /* */ select 1 /**/ + 2 /*/;*/"), ["select 1   + 2"]);
        assert_eq!(split("select '/*'; select 4/2"), ["select '/*'", "select 4/2"]);
        assert!(split(" ; ;").is_empty() && split("-- nothing").is_empty() && split("/* nothing").is_empty());
    }
}
