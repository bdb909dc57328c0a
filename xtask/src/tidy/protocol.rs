//! Every numbered rule of the protocol is named by a test that checks it.
//!
//! A test names a rule in a comment (`/// P1, P3: …`) or in a message (`"rule P1"`). What no test names yet stands in
//! `xtask/tidy.toml` with the reason; an entry goes when a test names the rule.

use std::collections::BTreeMap;

use super::Finding;
use super::files::SourceFile;
use super::settings::Settings;

const DOCUMENT: &str = "docs/protocol.md";
const SETTINGS: &str = "xtask/tidy.toml";

/// Rules that no test names, names of rules that do not exist, and exceptions that are no longer needed.
pub fn rules_are_tested(files: &[SourceFile], settings: &Settings) -> Vec<Finding> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return Vec::new();
    };
    let rules = rules(document);
    let mut named = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (number, line) in test_lines(file) {
            for name in names(line) {
                named.entry(name).or_insert_with(|| (file.path.clone(), number));
            }
        }
    }
    let untested = &settings.untested_rules;
    let mut findings = Vec::new();
    for (rule, line) in &rules {
        match (named.contains_key(rule), untested.contains_key(rule)) {
            (false, false) => {
                let what = format!("no test names rule {rule}; name it in the comment of the test that checks it");
                findings.push(Finding::new(DOCUMENT, *line, what));
            }
            (true, true) => {
                let what = format!("rule {rule} is named by a test now; remove it from `untested_rules`");
                findings.push(Finding::new(SETTINGS, 0, what));
            }
            _ => {}
        }
    }
    for rule in untested.keys().filter(|rule| !rules.contains_key(*rule)) {
        findings.push(Finding::new(SETTINGS, 0, format!("{DOCUMENT} has no rule {rule}; remove it")));
    }
    for (name, (path, line)) in named.iter().filter(|(name, _)| !rules.contains_key(*name)) {
        findings.push(Finding::new(path, *line, format!("{DOCUMENT} has no rule {name}; name the one that is meant")));
    }
    findings
}

/// The rules with their lines: `- **P1** …`.
fn rules(document: &SourceFile) -> BTreeMap<String, usize> {
    let rule = |(number, line): (usize, &str)| {
        let (name, _) = line.strip_prefix("- **")?.split_once("**")?;
        is_name(name).then(|| (name.to_owned(), number))
    };
    document.lines().filter_map(rule).collect()
}

/// The lines of a file that belong to tests: all of a test's file, or what follows `#[cfg(test)]`.
fn test_lines(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let parts = ["/tests/", "/contract/", "crates/sim/"];
    let mut inside = file.path.ends_with("/tests.rs") || parts.iter().any(|part| file.path.contains(part));
    file.lines().filter(move |(_, line)| {
        inside |= line.trim() == "#[cfg(test)]";
        inside
    })
}

/// The rules that a line names: in a comment any, elsewhere what follows the word `rule`.
fn names(line: &str) -> Vec<String> {
    let (code, comment) = line.split_once("//").unwrap_or((line, ""));
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).filter(|word| !word.is_empty()).collect()
    };
    let in_code = words(code);
    let after_rule = in_code.windows(2).filter(|pair| pair[0] == "rule").map(|pair| pair[1].clone());
    after_rule.chain(words(comment)).filter(|word| is_name(word)).collect()
}

/// One of the letters of the protocol's sections and a number.
fn is_name(word: &str) -> bool {
    let mut chars = word.chars();
    let letter = chars.next().is_some_and(|c| "TSPHLCDE".contains(c));
    let digits = chars.as_str();
    letter && matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Put together here: a whole one would count as named by a test of the protocol.
    fn rule(letter: char, number: u8) -> String {
        format!("{letter}{number}")
    }

    fn document(rules: &[String]) -> SourceFile {
        let lines: Vec<String> = rules.iter().map(|rule| format!("- **{rule}** says something.")).collect();
        SourceFile::new(DOCUMENT, &lines.join("\n"))
    }

    fn untested(rule: &str) -> Settings {
        let untested_rules = BTreeMap::from([(rule.to_owned(), "nobody has come to it".to_owned())]);
        Settings { untested_rules, ..Settings::default() }
    }

    #[test]
    fn a_rule_is_named_by_a_test_or_excused_and_not_both() {
        let (one, two) = (rule('P', 1), rule('T', 2));
        let test = SourceFile::new("crates/a/src/b.rs", &format!("#[cfg(test)]\n/// {one}: so it is.\n"));
        let files = [document(&[one.clone(), two.clone()]), test];
        let found = rules_are_tested(&files, &Settings::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("docs/protocol.md:2") && found[0].what.contains(&two));
        assert!(rules_are_tested(&files, &untested(&two)).is_empty());
        let found = rules_are_tested(&files, &untested(&one));
        assert_eq!(found.len(), 2, "{one} needs no excuse, {two} has none: {found:?}");
    }

    #[test]
    fn a_rule_that_does_not_exist_is_no_help() {
        let (one, nine) = (rule('P', 1), rule('P', 9));
        let text = format!("assert!(fine, \"rule {one}\");\nassert!(fine, \"rule {nine}\");");
        let files = [document(&[one]), SourceFile::new("crates/a/tests/b.rs", &text)];
        let found = rules_are_tested(&files, &Settings::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("crates/a/tests/b.rs:2"), "{found:?}");
        assert_eq!(rules_are_tested(&files, &untested(&rule('P', 8))).len(), 2);
    }

    #[test]
    fn source_that_is_no_test_names_nothing() {
        let one = rule('P', 1);
        let files = [
            document(std::slice::from_ref(&one)),
            SourceFile::new("crates/a/src/b.rs", &format!("/// {one}\nfn f() {{}}")),
        ];
        assert_eq!(rules_are_tested(&files, &Settings::default()).len(), 1);
        assert_eq!(names("let s = \"A1 or T1000\"; // ES256, not a rule"), Vec::<String>::new());
    }
}
