//! `xtask/tidy.toml`: what the rules allow by name, each with its reason.

use std::collections::BTreeMap;
use std::path::Path;

/// The allow-lists. A reason is required beside every exception.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Path prefixes in which `unsafe` may appear, with the reason.
    pub unsafe_modules: BTreeMap<String, String>,
    /// SPDX names that any dependency may have.
    pub licences: Vec<String>,
    /// Dependencies allowed in spite of their licence, with the reason.
    pub licence_exceptions: BTreeMap<String, String>,
    /// For each crate without I/O, the only crates that its wasm32 tree may hold.
    pub trees: BTreeMap<String, Vec<String>>,
    /// Rules of the protocol that no test names yet, with the reason.
    pub untested_rules: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the settings of the tree at `root`.
    ///
    /// # Errors
    /// A sentence naming the file, when it is missing or malformed.
    pub fn read(root: &Path) -> Result<Self, String> {
        let path = root.join("xtask/tidy.toml");
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("xtask/tidy.toml: {error}"))
    }

    /// Reads settings from their text.
    ///
    /// # Errors
    /// A sentence saying what is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
        let licences = table.get("licences").and_then(toml::Value::as_table);
        let allow = licences.and_then(|licences| licences.get("allow")).and_then(toml::Value::as_array);
        let trees = table.get("trees").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        Ok(Self {
            unsafe_modules: reasons(table.get("unsafe_modules"))?,
            licences: names(allow),
            licence_exceptions: reasons(licences.and_then(|licences| licences.get("exceptions")))?,
            trees: trees.iter().map(|(name, list)| (name.clone(), names(list.as_array()))).collect(),
            untested_rules: reasons(table.get("untested_rules"))?,
        })
    }
}

fn names(list: Option<&Vec<toml::Value>>) -> Vec<String> {
    list.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

fn reasons(value: Option<&toml::Value>) -> Result<BTreeMap<String, String>, String> {
    let Some(table) = value.and_then(toml::Value::as_table) else {
        return Ok(BTreeMap::new());
    };
    let mut reasons = BTreeMap::new();
    for (name, reason) in table {
        match reason.as_str() {
            Some(reason) if reason.trim().len() >= 10 => reasons.insert(name.clone(), reason.to_owned()),
            _ => {
                return Err(format!("`{name}` needs its reason, a sentence in quotes, beside it"));
            }
        };
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        let error = Settings::parse("[unsafe_modules]\n\"crates/a/src/b.rs\" = \"\"").unwrap_err();
        assert!(error.contains("needs its reason"), "{error}");
        let settings = Settings::parse("[unsafe_modules]\n\"a.rs\" = \"calls into SQLite\"").unwrap();
        assert_eq!(settings.unsafe_modules["a.rs"], "calls into SQLite");
    }

    #[test]
    fn lists_are_read_by_name() {
        let text = "[licences]\nallow = [\"MIT\"]\n[trees]\nlandfall-core = [\"serde\"]";
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.licences, ["MIT"]);
        assert_eq!(settings.trees["landfall-core"], ["serde"]);
    }
}
