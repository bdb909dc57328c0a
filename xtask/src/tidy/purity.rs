//! What `core` and `protocol` may not do, and where `unsafe` may stand.

use std::collections::BTreeSet;

use super::Finding;
use super::files::SourceFile;
use super::rust_source::{code_only, code_without_tests, has_word, imports};
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
    let mut found: BTreeSet<(usize, &(&str, &str))> = BTreeSet::new();
    for (index, line) in code.lines().enumerate() {
        found.extend(FORBIDDEN.iter().filter(|(name, _)| has_word(line, name)).map(|name| (index + 1, name)));
    }
    // `use std::{env, fs}` names them as well, and so does `use std::*`.
    for (line, path) in imports(&code) {
        let all_of = path.strip_suffix('*').filter(|module| module.ends_with("::"));
        let named = |name: &str| has_word(&path, name) || all_of.is_some_and(|module| name.starts_with(module));
        found.extend(FORBIDDEN.iter().filter(|(name, _)| named(name)).map(|name| (line, name)));
    }
    let finding = |(line, (name, instead)): (usize, &(&str, &str))| {
        let what = format!("`{name}` in a crate that does no I/O, reads no clock and draws no randomness; {instead}");
        Finding::new(&file.path, line, what)
    };
    found.into_iter().map(finding).collect()
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
    fn names_in_grouped_uses_are_found_where_they_stand() {
        let found = |text: &str| -> Vec<(usize, String)> {
            let found = forbidden_calls(&SourceFile::new("crates/core/src/a.rs", text));
            let name = |what: &str| what.split('`').nth(1).unwrap_or_default().to_owned();
            found.iter().map(|f| (f.line, name(&f.what))).collect()
        };
        let named = |line: usize, names: &[&str]| names.iter().map(|n| (line, (*n).to_owned())).collect::<Vec<_>>();
        assert_eq!(found("use std::{fs, env, thread};"), named(1, &["std::env", "std::fs", "std::thread"]));
        assert_eq!(found("pub use std::{fmt, net as web};"), named(1, &["std::net"]));
        assert_eq!(found("use std::{\n    fmt,\n    fs::{self, File},\n};"), named(3, &["std::fs"]));
        assert_eq!(
            found("use {std::{collections::{BTreeMap, HashMap}, fs}, x::y};"),
            named(1, &["HashMap", "std::fs"])
        );
        assert_eq!(found("fn f() {\n    use ::std::{\n env::var};\n}"), named(3, &["std::env"]));
        assert_eq!(found("use std::fs;"), named(1, &["std::fs"]), "once");
        assert_eq!(found("use std::*;").len(), 4, "all of its modules");
        assert_eq!(found("use rand::{rng, Rng};"), named(1, &["rand::rng"]));
        assert!(found("use crate::{fs, env};\nuse std::{fmt, mem};\nlet reuse = {fs};").is_empty());
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
