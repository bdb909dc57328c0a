//! The README's example in Rust: that it is the file beside this one, has ten lines, and runs.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;
use std::process::Command;

mod example {
    #![allow(clippy::unit_arg, reason = "ten lines")]
    include!("ten_lines.rs");

    pub fn run() -> Result<(), Box<dyn std::error::Error>> {
        main()
    }
}

/// The block of code that begins with this.
fn block(document: &str, begin: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{document} has no {begin}"));
    rest.split_once("```").unwrap().0.to_owned()
}

// The only test of its process: the example takes its files from where it is started.
#[test]
fn the_ten_lines_of_the_readme_run() {
    let shown = block("README.md", "## In Rust\n\n```rust,no_run\n");
    assert_eq!(shown, include_str!("ten_lines.rs"));
    assert_eq!(shown.lines().count(), 10);

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("landfall.toml"), block("docs/guide.md", "```toml\n")).unwrap();
    std::env::set_current_dir(dir.path()).unwrap();
    example::run().unwrap();
    // The client was dropped, not closed: its thread lets go of the database all the same.
    std::fs::File::open("phone.db.lock").unwrap().lock().unwrap();

    let mut shell = Command::new(env!("CARGO_BIN_EXE_landfall"));
    shell.args(["shell", "phone.db", "--schema", "landfall.toml", "--offline", "--json", "-c"]);
    let answer = shell.arg("select name, visited from places").output().unwrap();
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "{\"name\":\"Old lighthouse\",\"visited\":false}\n");
}
