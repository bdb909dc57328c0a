//! The licence of every dependency must be in the allow-list of `xtask/tidy.toml`, or the crate listed by name.

use std::path::Path;

use serde_json::Value;

use super::Finding;
use super::settings::Settings;
use crate::process;

/// Holds `cargo metadata` of the tree at `root` against the allow-list.
///
/// # Errors
/// A sentence, when cargo cannot tell.
pub fn check(root: &Path, settings: &Settings) -> Result<Vec<Finding>, String> {
    let text = process::output(root, "cargo", &["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or("?");
        let licence = package["license"].as_str();
        findings.extend(judge(name, licence, settings));
    }
    let present = |name: &String| packages.iter().any(|package| package["name"].as_str() == Some(name));
    for name in settings.licence_exceptions.keys().filter(|name| !present(name)) {
        findings.push(Finding::new(
            "xtask/tidy.toml",
            0,
            format!("`{name}` is no dependency any more; drop its exception"),
        ));
    }
    Ok(findings)
}

/// Whether one package may be used; `licence` is its SPDX expression.
fn judge(name: &str, licence: Option<&str>, settings: &Settings) -> Option<Finding> {
    if settings.licence_exceptions.contains_key(name) {
        return None;
    }
    let what = match licence {
        None => {
            format!("dependency `{name}` declares no licence; replace it, or list it with a reason in xtask/tidy.toml")
        }
        Some(expression) if Expression::new(expression).allowed(&settings.licences) => return None,
        Some(expression) => {
            format!(
                "dependency `{name}` is under `{expression}`; replace it, or list it with a reason in xtask/tidy.toml"
            )
        }
    };
    Some(Finding::new("Cargo.lock", 0, what))
}

/// A reader of SPDX expressions: `OR` (also written `/`) needs one side, `AND` both, `WITH` adds leave.
struct Expression<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Expression<'a> {
    fn new(text: &'a str) -> Self {
        let mut words = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '(' | ')' | '/' => 1,
                c if c.is_whitespace() => {
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
                _ => rest.find(|c: char| c.is_whitespace() || "()/".contains(c)).unwrap_or(rest.len()),
            };
            words.push(&rest[..length]);
            rest = &rest[length..];
        }
        Self { words, at: 0 }
    }

    /// Whether what is allowed satisfies the whole expression; a malformed one is not satisfied.
    fn allowed(mut self, list: &[String]) -> bool {
        let ok = self.either(list);
        ok && self.at == self.words.len()
    }

    fn either(&mut self, list: &[String]) -> bool {
        let mut ok = self.both(list);
        while matches!(self.peek(), Some("OR" | "/")) {
            self.at += 1;
            // Read the other side in any case: both must be well-formed.
            ok |= self.both(list);
        }
        ok
    }

    fn both(&mut self, list: &[String]) -> bool {
        let mut ok = self.one(list);
        while self.peek() == Some("AND") {
            self.at += 1;
            ok &= self.one(list);
        }
        ok
    }

    fn one(&mut self, list: &[String]) -> bool {
        let Some(word) = self.peek() else {
            return false;
        };
        self.at += 1;
        if word == "(" {
            let ok = self.either(list);
            let closed = self.peek() == Some(")");
            self.at += 1;
            return ok && closed;
        }
        if self.peek() == Some("WITH") {
            self.at += 2;
        }
        list.iter().any(|licence| licence == word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(expression: &str) -> bool {
        let list = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
        Expression::new(expression).allowed(&list)
    }

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "Apache-2.0 / MIT",
            "MIT AND ISC",
            "(MIT OR GPL-3.0) AND ISC",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "GPL-3.0 WITH MIT", "", "(MIT", "MIT ISC"]
        {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_crate_listed_by_name_is_let_through_and_no_other() {
        let mut settings = Settings { licences: vec!["MIT".into()], ..Settings::default() };
        assert!(judge("a", Some("MIT"), &settings).is_none());
        assert!(judge("a", None, &settings).is_some());
        assert!(judge("a", Some("MPL-2.0"), &settings).is_some());
        settings.licence_exceptions.insert("a".into(), "file-level copyleft, unchanged".into());
        assert!(judge("a", Some("MPL-2.0"), &settings).is_none());
        assert!(judge("b", Some("MPL-2.0"), &settings).is_some());
    }
}
