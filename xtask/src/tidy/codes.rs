//! Every error code of the source is documented, and every documented code exists.

use std::collections::BTreeMap;

use super::Finding;
use super::files::SourceFile;

const DOCUMENT: &str = "docs/errors.md";

/// Codes that the source gives and `docs/errors.md` does not explain, and the reverse.
pub fn documented(files: &[SourceFile]) -> Vec<Finding> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return Vec::new();
    };
    let explained = codes([document].into_iter());
    let is_source = |file: &&SourceFile| {
        (file.is_rust() && file.path.starts_with("crates/"))
            || (file.path.starts_with("packages/") && file.path.ends_with(".ts"))
    };
    let given = codes(files.iter().filter(is_source));
    let mut findings = Vec::new();
    for (code, (path, line)) in given.iter().filter(|(code, _)| !explained.contains_key(*code)) {
        findings.push(Finding::new(
            path,
            *line,
            format!("`{code}` is not in {DOCUMENT}; write its cause and the way out there"),
        ));
    }
    for (code, (path, line)) in explained.iter().filter(|(code, _)| !given.contains_key(*code)) {
        let what = format!(
            "`{code}` is given nowhere in the source; remove it, or mark its number as retired without the prefix"
        );
        findings.push(Finding::new(path, *line, what));
    }
    findings
}

/// Each code with the first place that names it.
fn codes<'a>(files: impl Iterator<Item = &'a SourceFile>) -> BTreeMap<String, (String, usize)> {
    let mut found = BTreeMap::new();
    for file in files {
        for (number, line) in file.lines() {
            for (at, _) in line.match_indices("LF-") {
                let digits: String = line[at + 3..].chars().take_while(char::is_ascii_alphanumeric).collect();
                if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    found.entry(format!("LF-{digits}")).or_insert_with(|| (file.path.clone(), number));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    // Put together here: a whole code would count as one that the source gives.
    fn code(digits: &str) -> String {
        format!("LF-{digits}")
    }

    #[test]
    fn both_directions_are_checked() {
        let source =
            SourceFile::new("crates/core/src/a.rs", &format!("one\n\"{}\" \"{}\" LF-1xxx", code("2001"), code("2002")));
        let document = SourceFile::new(DOCUMENT, &format!("{}\n\n{}", code("2001"), code("2009")));
        let found = documented(&[source.clone(), document.clone()]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].to_string().starts_with("crates/core/src/a.rs:2") && found[0].what.contains(&code("2002")));
        assert!(found[1].to_string().starts_with("docs/errors.md:3") && found[1].what.contains(&code("2009")));
        assert!(documented(&[source]).is_empty(), "without the document there is nothing to hold it against");
    }
}
