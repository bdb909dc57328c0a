//! Splitting a line of SQL into its statements, minding quotes and comments.

/// The statements of `text`, without the semicolons; empty ones are left out.
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
            _ => current.push(c),
        }
    }
    out.push(current);
    out.iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

/// Whether a statement only reads, by its first word. The engine checks; this only chooses the call.
pub(super) fn is_read(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    matches!(first.as_str(), "select" | "values" | "explain" | "pragma")
        || (first == "with"
            && !["insert ", "update ", "delete "].iter().any(|w| statement.to_ascii_lowercase().contains(w)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_split() {
        let text = "insert into t values('a;b', \"c;d\"); -- e;f\n delete from t;";
        assert_eq!(split(text), ["insert into t values('a;b', \"c;d\")", "delete from t"]);
        assert_eq!(split("select 'it''s; fine'"), ["select 'it''s; fine'"]);
        assert!(split(" ; ;").is_empty());
    }

    #[test]
    fn reads_are_told_from_writes() {
        assert!(is_read("SELECT 1"));
        assert!(is_read("with x as (select 1) select * from x"));
        assert!(!is_read("with x as (select 1) insert into t select * from x"));
        assert!(!is_read("update t set a = 1"));
    }
}
