//! Section 11 of the protocol's document: which scenario shows which rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{blesses, catalogue, read};

const BEGIN: &str = "<!-- scenarios: begin -->\n";
const END: &str = "<!-- scenarios: end -->";

/// The rules of a document, in its order.
fn rules(document: &str) -> Vec<&str> {
    document.lines().filter_map(|line| Some(line.strip_prefix("- **")?.split_once("**")?.0)).collect()
}

fn table(document: &str) -> String {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for scenario in catalogue().values().flatten() {
        for rule in scenario["rules"].as_array().unwrap() {
            let rule = rule.as_str().unwrap().to_owned();
            shown.entry(rule).or_default().push(scenario["name"].as_str().unwrap().to_owned());
        }
    }
    let mut elsewhere: BTreeMap<String, String> = serde_json::from_str(&read("elsewhere.json")).unwrap();
    let mut out = String::from("| rule | scenarios |\n|---|---|\n");
    for rule in rules(document) {
        let cell = match (shown.remove(rule), elsewhere.remove(rule)) {
            (Some(names), None) => names.join(" · "),
            (None, Some(reason)) => format!("*{reason}*"),
            (None, None) => panic!("{rule}: no scenario shows it, and elsewhere.json gives no reason"),
            (Some(_), Some(_)) => panic!("{rule}: a scenario shows it, and elsewhere.json says that none can"),
        };
        let _ = writeln!(out, "| {rule} | {cell} |");
    }
    assert!(shown.is_empty(), "no such rules: {:?}", shown.keys());
    assert!(elsewhere.is_empty(), "no such rules: {:?}", elsewhere.keys());
    out
}

/// Section 11: every rule is shown by a scenario, or it is said why a client cannot show it.
#[test]
fn the_document_says_which_scenario_shows_which_rule() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let found = table(before);
    if blesses() {
        std::fs::write(&path, format!("{before}{BEGIN}{found}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, found, "docs/protocol.md, section 11, says otherwise");
    }
}
