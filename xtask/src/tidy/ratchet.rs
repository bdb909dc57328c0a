//! Lengths that may only shrink: `xtask/ratchet.toml` lists what is over a cap today, with its exact length.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::Finding;
use super::files::SourceFile;
use super::rust_source;

/// A file of Rust source longer than this needs an entry.
pub const FILE_LINES_MAX: usize = 800;
/// A function longer than this needs an entry.
pub const FN_LINES_MAX: usize = 90;

const FILE: &str = "xtask/ratchet.toml";
const HEADER: &str = "# What is longer than its cap, with its exact length. An entry may only shrink: `cargo xtask tidy --shrink` lowers\n\
                      # what has become shorter. Split by noun rather than add one.\n";

/// Lengths by name: files by path, functions by `path::function`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ratchet {
    /// Lines of each file over [`FILE_LINES_MAX`].
    pub files: BTreeMap<String, usize>,
    /// Lines of each function over [`FN_LINES_MAX`].
    pub functions: BTreeMap<String, usize>,
}

/// What the tree holds over the caps now.
pub fn measure(files: &[SourceFile]) -> Ratchet {
    let mut now = Ratchet::default();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            now.files.insert(file.path.clone(), lines);
        }
        for function in rust_source::functions(&file.text).into_iter().filter(|function| function.lines > FN_LINES_MAX)
        {
            let longest = now.functions.entry(format!("{}::{}", file.path, function.name)).or_default();
            *longest = function.lines.max(*longest);
        }
    }
    now
}

impl Ratchet {
    /// Reads the ratchet of the tree at `root`.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn read(root: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(root.join(FILE)).map_err(|error| format!("cannot read {FILE}: {error}"))?;
        let table: toml::Table = text.parse().map_err(|error| format!("{FILE}: {error}"))?;
        Ok(Self { files: lengths(&table, "file_lines")?, functions: lengths(&table, "fn_lines")? })
    }

    /// Writes it back.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn write(&self, root: &Path) -> Result<(), String> {
        let mut text = HEADER.to_owned();
        for (name, lengths) in [("file_lines", &self.files), ("fn_lines", &self.functions)] {
            let _ = write!(text, "\n[{name}]\n");
            for (path, length) in lengths {
                let _ = writeln!(text, "\"{path}\" = {length}");
            }
        }
        std::fs::write(root.join(FILE), text).map_err(|error| format!("cannot write {FILE}: {error}"))
    }

    /// What `now` breaks: a new entry, a longer one, or one that could be lower.
    pub fn compare(&self, now: &Ratchet) -> Vec<Finding> {
        let mut findings = compare_one(&self.files, &now.files, "file", FILE_LINES_MAX);
        findings.extend(compare_one(&self.functions, &now.functions, "function", FN_LINES_MAX));
        findings
    }

    /// This ratchet lowered to `now`, and how many entries that changed.
    pub fn shrunk(&self, now: &Ratchet) -> (Ratchet, usize) {
        let mut changed = 0;
        let mut lower = |old: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>| {
            let lowered: BTreeMap<String, usize> = old
                .iter()
                .filter_map(|(name, &allowed)| now.get(name).map(|&length| (name.clone(), length.min(allowed))))
                .collect();
            changed += old.iter().filter(|(name, allowed)| lowered.get(*name) != Some(allowed)).count();
            lowered
        };
        let shrunk =
            Ratchet { files: lower(&self.files, &now.files), functions: lower(&self.functions, &now.functions) };
        (shrunk, changed)
    }
}

fn lengths(table: &toml::Table, name: &str) -> Result<BTreeMap<String, usize>, String> {
    let Some(entries) = table.get(name).and_then(toml::Value::as_table) else {
        return Ok(BTreeMap::new());
    };
    entries
        .iter()
        .map(|(path, length)| match length.as_integer().and_then(|length| usize::try_from(length).ok()) {
            Some(length) => Ok((path.clone(), length)),
            None => Err(format!("{FILE}: `{path}` needs its length in lines")),
        })
        .collect()
}

fn compare_one(
    allowed: &BTreeMap<String, usize>,
    now: &BTreeMap<String, usize>,
    kind: &str,
    cap: usize,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, &length) in now {
        match allowed.get(name) {
            None => {
                findings.push(Finding::new(
                    name,
                    0,
                    format!("this {kind} has {length} lines, the cap is {cap}; split it by noun"),
                ));
            }
            Some(&most) if length > most => {
                let what = format!(
                    "this {kind} has grown from {most} to {length} lines; the ratchet only goes down: split it"
                );
                findings.push(Finding::new(name, 0, what));
            }
            Some(&most) if length < most => {
                let what = format!(
                    "this {kind} has shrunk from {most} to {length} lines; keep that: `cargo xtask tidy --shrink`"
                );
                findings.push(Finding::new(name, 0, what));
            }
            Some(_) => {}
        }
    }
    for name in allowed.keys().filter(|name| !now.contains_key(*name)) {
        let what = format!("this {kind} is within its cap now; drop its entry: `cargo xtask tidy --shrink`");
        findings.push(Finding::new(name, 0, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(file_lines: usize, fn_lines: usize) -> Ratchet {
        let mut text = format!("fn f() {{\n{}}}\n", "\n".repeat(fn_lines - 2));
        text.push_str(&"\n".repeat(file_lines - fn_lines));
        measure(&[SourceFile::new("a.rs", &text)])
    }

    #[test]
    fn what_is_within_the_caps_needs_no_entry() {
        assert_eq!(tree(FILE_LINES_MAX, FN_LINES_MAX), Ratchet::default());
    }

    #[test]
    fn new_grown_shrunk_and_gone_are_all_findings() {
        let now = tree(FILE_LINES_MAX + 5, FN_LINES_MAX + 5);
        let says = |ratchet: &Ratchet, word: &str| {
            let findings = ratchet.compare(&now);
            assert_eq!(findings.len(), 2, "{findings:?}");
            assert!(findings.iter().all(|finding| finding.what.contains(word)), "{findings:?}");
        };
        says(&Ratchet::default(), "the cap is");
        says(&tree(FILE_LINES_MAX + 4, FN_LINES_MAX + 4), "has grown");
        says(&tree(FILE_LINES_MAX + 6, FN_LINES_MAX + 6), "has shrunk");
        assert!(now.compare(&now).is_empty());
        let gone = now.compare(&Ratchet::default());
        assert!(gone.len() == 2 && gone[0].what.contains("within its cap"), "{gone:?}");
    }

    #[test]
    fn shrinking_never_raises_and_never_adds() {
        let (low, high) = (tree(810, 95), tree(820, 99));
        assert_eq!(high.shrunk(&low), (low.clone(), 2));
        assert_eq!(low.shrunk(&high), (low.clone(), 0));
        assert_eq!(Ratchet::default().shrunk(&high), (Ratchet::default(), 0));
        assert_eq!(high.shrunk(&Ratchet::default()), (Ratchet::default(), 2));
    }
}
