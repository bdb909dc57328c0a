//! The rules of the house, as checks over the files of the tree. Each finding names file, line and the way out.
//!
//! What a rule allows by name, with its reason, is in `xtask/tidy.toml`; what is too long today, with the exact length
//! that it may not pass, is in `xtask/ratchet.toml`.

pub mod codes;
pub mod dependencies;
pub mod files;
pub mod licences;
pub mod links;
pub mod protocol;
pub mod purity;
pub mod ratchet;
pub mod rust_source;
pub mod settings;
pub mod text;

use std::fmt;
use std::path::Path;

use files::SourceFile;
use ratchet::Ratchet;
use settings::Settings;

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path from the root of the tree, with `/`.
    pub path: String,
    /// Line, from 1; 0 where the finding is about the whole file.
    pub line: usize,
    /// What is wrong, and the way out.
    pub what: String,
}

impl Finding {
    /// A finding at a line (from 1; 0: the whole file).
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Runs every rule over the tree at `root`, and returns the findings in path order.
///
/// # Errors
/// A sentence, when the tree, the settings or cargo's own view of the dependencies cannot be read.
pub fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let settings = Settings::read(root)?;
    let ratchet = Ratchet::read(root)?;
    let files = files::read_tree(root)?;
    let mut findings = check_files(&files, &settings, &ratchet);
    findings.extend(dependencies::check(root, &settings)?);
    findings.extend(licences::check(root, &settings)?);
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// The rules that look at files only.
pub fn check_files(files: &[SourceFile], settings: &Settings, ratchet: &Ratchet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(text::line_length(file));
        findings.extend(text::markers(file));
        findings.extend(text::hosts_and_machine_paths(file));
        if file.is_rust() {
            findings.extend(purity::forbidden_calls(file));
            findings.extend(purity::unsafe_code(file, settings));
        }
        if file.path == "Cargo.lock" {
            findings.extend(text::lock_addresses(file));
        }
    }
    findings.extend(links::dead_links(files));
    findings.extend(codes::documented(files));
    findings.extend(protocol::rules_are_tested(files, settings));
    findings.extend(ratchet.compare(&ratchet::measure(files)));
    findings
}

/// Rewrites the ratchet file so that every entry is as low as the tree allows. It never raises one and never adds one.
///
/// # Errors
/// A sentence, when the tree or the ratchet cannot be read or written.
pub fn shrink(root: &Path) -> Result<usize, String> {
    let ratchet = Ratchet::read(root)?;
    let files = files::read_tree(root)?;
    let (shrunk, changed) = ratchet.shrunk(&ratchet::measure(&files));
    shrunk.write(root)?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every rule is in the round: a tree that breaks each of them once is told so once for each.
    #[test]
    fn every_rule_over_files_is_run() {
        let long = "x ".repeat(80);
        let long_function = format!("fn f() {{\n{}}}\n", "\n".repeat(100));
        let marker = format!("// {}{}\n", "FIX", "ME");
        let code = format!("LF-{}", 2999);
        let machine = format!("see `/ho{}/somebody`\n", "me");
        let rule = format!("- **{}{}** is named nowhere.\n", "P", 77);
        let files = [
            SourceFile::new("crates/core/src/a.rs", "use std::fs;\n"),
            SourceFile::new("crates/core/src/b.rs", "unsafe fn f() {}\n"),
            SourceFile::new("crates/core/src/c.rs", &long),
            SourceFile::new("crates/core/src/d.rs", &marker),
            SourceFile::new("crates/core/src/e.rs", &code),
            SourceFile::new("crates/core/src/f.rs", &long_function),
            SourceFile::new("docs/errors.md", "# Errors\n"),
            SourceFile::new("docs/g.md", "[gone](gone.md)\n"),
            SourceFile::new("docs/h.md", &machine),
            SourceFile::new("docs/protocol.md", &rule),
            SourceFile::new("Cargo.lock", "source = \"git+https://example.org/fork\"\n"),
        ];
        let findings = check_files(&files, &Settings::default(), &Ratchet::default());
        let mut found: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        found.sort_unstable();
        let mut expected: Vec<&str> =
            files.iter().map(|file| file.path.as_str()).filter(|path| *path != "docs/errors.md").collect();
        expected.sort_unstable();
        let found: Vec<&str> = found.into_iter().map(|path| path.split("::").next().unwrap_or(path)).collect();
        assert_eq!(found, expected, "{findings:#?}");
    }
}
