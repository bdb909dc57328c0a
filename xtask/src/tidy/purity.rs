//! What `core` and `protocol` may not do, and where `unsafe` may stand.

use super::Finding;
use super::files::SourceFile;
use super::rust_source::{code_only, code_without_tests, has_word};
use super::settings::Settings;

/// The crates without I/O.
const PURE: [&str; 2] = ["crates/core/src/", "crates/protocol/src/"];

/// A call that a pure crate may not make, and what to do instead.
const FORBIDDEN: [(&str, &str); 16] = [
    ("SystemTime", "take the time as an argument"),
    ("Instant", "take the time as an argument"),
    ("rand::rng", "take random bytes as an argument"),
    ("thread_rng", "take random bytes as an argument"),
    ("getrandom", "take random bytes as an argument"),
    ("OsRng", "take random bytes as an argument"),
    ("SysRng", "take random bytes as an argument"),
    ("now_v7", "make the id from the time and the bytes passed in"),
    ("new_v4", "make the id from bytes passed in"),
    ("RandomState", "its order differs from run to run; use a BTreeMap"),
    ("HashMap", "its order differs from run to run; use a BTreeMap"),
    ("HashSet", "its order differs from run to run; use a BTreeSet"),
    ("std::fs", "let the caller read and write"),
    ("std::net", "let the caller talk to the network"),
    ("std::env", "let the caller pass the setting"),
    ("std::thread", "let the driver own the threads"),
];

/// Clocks, randomness, I/O and unordered maps in the crates without I/O; their tests may use them.
pub fn forbidden_calls(file: &SourceFile) -> Vec<Finding> {
    if !PURE.iter().any(|folder| file.path.starts_with(folder)) || is_test_file(&file.path) {
        return Vec::new();
    }
    let code = code_without_tests(&file.text);
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        for (name, instead) in FORBIDDEN.iter().filter(|(name, _)| has_word(line, name)) {
            let what =
                format!("`{name}` in a crate that does no I/O, reads no clock and draws no randomness; {instead}");
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
    findings
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

/// `unsafe`, and leave to use it, outside the modules that were reviewed for it.
pub fn unsafe_code(file: &SourceFile, settings: &Settings) -> Vec<Finding> {
    if settings.unsafe_modules.keys().any(|module| file.path.starts_with(module.as_str())) {
        return Vec::new();
    }
    let code = code_only(&file.text);
    let allowed = |line: &str| has_word(line, "unsafe_code") && (line.contains("allow(") || line.contains("expect("));
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        if has_word(line, "unsafe") || allowed(line) {
            let what = "`unsafe` outside a reviewed module; do without it, or list the module in xtask/tidy.toml with its reason";
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_forbidden_name_is_found_in_core_and_only_there() {
        for (name, _) in FORBIDDEN {
            let text = format!("// a comment\nfn f() {{ let x = {name}; }}\n");
            let found = forbidden_calls(&SourceFile::new("crates/core/src/a.rs", &text));
            assert_eq!((found.len(), found.first().map(|f| f.line)), (1, Some(2)), "{name}");
            assert!(forbidden_calls(&SourceFile::new("crates/server/src/a.rs", &text)).is_empty());
        }
    }

    #[test]
    fn comments_and_tests_of_core_may_name_them() {
        let text = "/// Not a HashMap.\nfn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert!(forbidden_calls(&SourceFile::new("crates/core/src/a.rs", text)).is_empty());
    }

    #[test]
    fn unsafe_is_found_outside_the_listed_modules() {
        let mut settings = Settings::default();
        settings.unsafe_modules.insert("crates/sim/src/disk/".into(), "reviewed by hand".into());
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(unsafe_code(&SourceFile::new("crates/core/src/a.rs", text), &settings)[0].line, 2);
        assert!(unsafe_code(&SourceFile::new("crates/sim/src/disk/vfs.rs", text), &settings).is_empty());
        let leave = "#![allow(unsafe_code)]";
        assert_eq!(unsafe_code(&SourceFile::new("crates/core/src/a.rs", leave), &settings).len(), 1);
        assert!(
            unsafe_code(&SourceFile::new("crates/core/src/a.rs", "#![forbid(unsafe_code)] // unsafe"), &settings)
                .is_empty()
        );
    }
}
