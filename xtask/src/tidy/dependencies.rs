//! The crates without I/O cannot do I/O because nothing that can is in their dependency tree.

use std::path::Path;

use serde_json::Value;

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
        let allowed = settings.trees.get(package).map(Vec::as_slice).unwrap_or_default();
        findings.extend(judge(package, &tree, allowed));
    }
    let text = process::output(root, "cargo", &["metadata", "--format-version", "1", "--locked", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    findings.extend(against_the_arrows(&metadata));
    Ok(findings)
}

/// Which crates of ours a crate may know, as `docs/architecture.md` draws it. Tests may know more: they put things together.
const ARROWS: [(&str, &[&str]); 13] = [
    ("landfall-core", &[]),
    ("landfall-protocol", &["landfall-core"]),
    ("landfall-client", &["landfall-core", "landfall-protocol"]),
    ("landfall-client-web", &["landfall-core", "landfall-protocol", "landfall-client"]),
    ("landfall-protocol-web", &["landfall-protocol"]),
    ("landfall-doc", &[]),
    ("landfall-doc-web", &["landfall-doc"]),
    ("landfall-server", &["landfall-core", "landfall-doc", "landfall-protocol"]),
    ("landfall-cli", &["landfall-core", "landfall-protocol", "landfall-client", "landfall-server"]),
    ("landfall-sim", &["landfall-core", "landfall-protocol", "landfall-client", "landfall-server"]),
    ("landfall-bench", &["landfall-core", "landfall-doc", "landfall-protocol", "landfall-client", "landfall-server"]),
    ("landfall-bench-web", &[]),
    ("xtask", &[]),
];

/// Dependencies among our own crates that point the wrong way, and crates that the drawing does not know.
fn against_the_arrows(metadata: &Value) -> Vec<Finding> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut findings = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, known)) = ARROWS.iter().find(|(ours, _)| *ours == name) else {
            let what =
                format!("the crate `{name}` is not in the drawing; add it to docs/architecture.md and to ARROWS");
            findings.push(Finding::new("xtask/src/tidy/dependencies.rs", 0, what));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let other = dependency["name"].as_str().unwrap_or_default();
            let ours = ARROWS.iter().any(|(ours, _)| *ours == other);
            if ours && dependency["kind"].is_null() && !known.contains(&other) {
                let what =
                    format!("`{name}` may not know `{other}`; move what both need to a crate that both may know");
                findings.push(Finding::new("Cargo.toml", 0, what));
            }
        }
    }
    findings
}

fn judge(package: &str, tree: &str, allowed: &[String]) -> Vec<Finding> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    let mut findings = Vec::new();
    for name in names.iter().filter(|name| **name != package) {
        let what = if NEVER.contains(name) {
            format!("`{package}` reaches `{name}`, and it may do no I/O; take what it needs as an argument instead")
        } else if !allowed.iter().any(|known| known == name) {
            format!(
                "`{package}` reaches the new crate `{name}`; check that it does no I/O, then add it to [trees] in xtask/tidy.toml"
            )
        } else {
            continue;
        };
        findings.push(Finding::new("Cargo.lock", 0, what));
    }
    for name in allowed.iter().filter(|name| !names.contains(&name.as_str())) {
        let what = format!("`{package}` does not reach `{name}` any more; drop it from [trees]");
        findings.push(Finding::new("xtask/tidy.toml", 0, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_points_the_wrong_way_is_found() {
        let dependency = |name: &str, kind: Value| serde_json::json!({ "name": name, "kind": kind });
        let client = |dependencies: Vec<Value>| {
            let package = serde_json::json!({ "name": "landfall-client", "dependencies": dependencies });
            serde_json::json!({ "packages": [package] })
        };
        let fine = [dependency("landfall-core", Value::Null), dependency("serde", Value::Null)];
        assert!(against_the_arrows(&client(fine.to_vec())).is_empty());
        assert!(against_the_arrows(&client(vec![dependency("landfall-server", "dev".into())])).is_empty());
        let found = against_the_arrows(&client(vec![dependency("landfall-server", Value::Null)]));
        assert!(found.len() == 1 && found[0].what.contains("may not know `landfall-server`"), "{found:?}");
        let newcomer = serde_json::json!({ "packages": [{ "name": "landfall-new", "dependencies": [] }] });
        assert_eq!(against_the_arrows(&newcomer).len(), 1);
    }

    #[test]
    fn a_new_crate_a_banned_crate_and_a_stale_entry_are_found() {
        let tree = "landfall-core v0.1.0 (somewhere)\nserde v1.0.0\nnewcomer v0.1.0\ntokio v1.0.0\nserde v1.0.0 (*)\n";
        let allowed = ["serde", "tokio", "gone"].map(str::to_owned);
        let found: Vec<String> =
            judge("landfall-core", tree, &allowed).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("new crate `newcomer`"), "{found:?}");
        assert!(found[1].contains("reaches `tokio`"), "{found:?}");
        assert!(found[2].contains("does not reach `gone`"), "{found:?}");
        assert!(judge("landfall-core", "landfall-core v0.1.0\nserde v1.0.0", &["serde".to_owned()]).is_empty());
    }
}
