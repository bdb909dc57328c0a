//! What a page says: its schema, and its code, which must be the code that the stories run.

use std::path::{Path, PathBuf};

use landfall_core::Schema;

/// The longest page, in lines.
const MOST_LINES: usize = 120;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes")
}

fn text(page: &str) -> String {
    let path = folder().join(page).with_extension("md");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The blocks of code in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = text(page);
    let fences = text.split("\n```").skip(1).step_by(2);
    let block = |fence: &str| fence.strip_prefix(language)?.strip_prefix('\n').map(|code| format!("{code}\n"));
    fences.filter_map(block).collect()
}

/// The page's schema.
pub fn schema(page: &str) -> Schema {
    let found = blocks(page, "toml");
    let [one] = &found[..] else { panic!("{page} has {} schemas", found.len()) };
    Schema::parse("landfall.toml", one).unwrap_or_else(|e| panic!("{page}: {}", e.render(one, false)))
}

/// That the page shows this code, and nothing else.
#[track_caller]
pub fn shows(page: &str, code: &str) {
    let shown = blocks(page, "rust").join("\n");
    assert_eq!(shown, code, "docs/recipes/{page}.md (left) shows other code than is run (right)");
}

#[test]
fn every_page_is_short_listed_and_names_its_test() {
    let pages = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let pages: Vec<String> = pages.filter(|name| name != "README.md").collect();
    assert_eq!(pages.len(), 7, "{pages:?}");
    let index = text("README");
    for name in pages {
        let page = name.trim_end_matches(".md");
        assert!(index.contains(&format!("({name})")), "{name} is not in the index");
        let (text, test) = (text(page), format!("crates/sim/tests/recipes/{}.rs", page.replace('-', "_")));
        assert!(text.lines().count() < MOST_LINES, "{name} is too long");
        assert!(
            text.contains(&test) && Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&test).exists(),
            "{test}"
        );
    }
}
