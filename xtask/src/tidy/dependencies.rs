//! The crates without I/O cannot do I/O because nothing that can is in their dependency tree.

use std::path::Path;

use super::Finding;
use super::settings::Settings;
use crate::process;

/// Crates that may never be let into a pure tree, whatever the list says.
const NEVER: [&str; 18] = [
    "async-std",
    "axum",
    "getrandom",
    "hyper",
    "libc",
    "libsqlite3-sys",
    "mio",
    "rand",
    "reqwest",
    "rusqlite",
    "rustls",
    "socket2",
    "sqlite-wasm-rs",
    "sqlparser",
    "tokio",
    "toml",
    "tower",
    "wasm-bindgen",
];

/// Holds the wasm32 trees of the pure crates, as their plain features make them, against the lists in `xtask/tidy.toml`.
///
/// # Errors
/// A sentence, when cargo cannot tell.
pub fn check(root: &Path, settings: &Settings) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for package in ["landfall-core", "landfall-protocol"] {
        let arguments = [
            "tree",
            "--locked",
            "-p",
            package,
            "--target",
            "wasm32-unknown-unknown",
            "-e",
            "normal",
            "--prefix",
            "none",
        ];
        let tree = process::output(root, "cargo", &arguments)?;
        let allowed = settings
            .trees
            .get(package)
            .map(Vec::as_slice)
            .unwrap_or_default();
        findings.extend(judge(package, &tree, allowed));
    }
    Ok(findings)
}

fn judge(package: &str, tree: &str, allowed: &[String]) -> Vec<Finding> {
    let mut names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut findings = Vec::new();
    for name in names.iter().filter(|name| **name != package) {
        let what = if NEVER.contains(name) {
            format!(
                "`{package}` reaches `{name}`, and it may do no I/O; take what it needs as an argument instead"
            )
        } else if !allowed.iter().any(|known| known == name) {
            format!(
                "`{package}` reaches the new crate `{name}`; check that it does no I/O, then add it to [trees] in xtask/tidy.toml"
            )
        } else {
            continue;
        };
        findings.push(Finding::new("Cargo.lock", 0, what));
    }
    for name in allowed
        .iter()
        .filter(|name| !names.contains(&name.as_str()))
    {
        let what = format!("`{package}` does not reach `{name}` any more; drop it from [trees]");
        findings.push(Finding::new("xtask/tidy.toml", 0, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_crate_a_banned_crate_and_a_stale_entry_are_found() {
        let tree = "landfall-core v0.1.0 (somewhere)\nserde v1.0.0\nnewcomer v0.1.0\ntokio v1.0.0\nserde v1.0.0 (*)\n";
        let allowed = ["serde", "tokio", "gone"].map(str::to_owned);
        let found: Vec<String> = judge("landfall-core", tree, &allowed)
            .into_iter()
            .map(|finding| finding.what)
            .collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("new crate `newcomer`"), "{found:?}");
        assert!(found[1].contains("reaches `tokio`"), "{found:?}");
        assert!(found[2].contains("does not reach `gone`"), "{found:?}");
        assert!(
            judge(
                "landfall-core",
                "landfall-core v0.1.0\nserde v1.0.0",
                &["serde".to_owned()]
            )
            .is_empty()
        );
    }
}
