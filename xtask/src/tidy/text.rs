//! Rules about text, whatever the language: line length, leftover markers, hosts and paths that belong to one machine.

use super::Finding;
use super::files::SourceFile;
use super::rust_source::has_word;

/// The longest line, in characters.
pub const LINE_CHARS_MAX: usize = 140;

/// Lines longer than [`LINE_CHARS_MAX`] in source, scripts and prose. Tables and lone addresses cannot be wrapped.
pub fn line_length(file: &SourceFile) -> Vec<Finding> {
    let checked = [".rs", ".md", ".sh", ".ts", ".tsx", ".svelte"].iter().any(|ending| file.path.ends_with(ending));
    if !checked {
        return Vec::new();
    }
    let cannot_wrap = |line: &str| {
        let line = line.trim_start();
        file.is_markdown() && (line.starts_with('|') || !line.trim_end().contains(' '))
    };
    file.lines()
        .filter(|(_, line)| line.chars().count() > LINE_CHARS_MAX && !cannot_wrap(line))
        .map(|(number, line)| {
            let length = line.chars().count();
            Finding::new(&file.path, number, format!("{length} characters; wrap the line at {LINE_CHARS_MAX}"))
        })
        .collect()
}

/// The words that mark unfinished work. Put together here, so that this file does not hold them.
fn marker_words() -> [String; 6] {
    [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("to", "do!"), ("unimple", "mented!"), ("db", "g!")]
        .map(|(first, second)| format!("{first}{second}"))
}

/// Leftover markers of unfinished work.
pub fn markers(file: &SourceFile) -> Vec<Finding> {
    if file.path.ends_with(".lock") || file.path.ends_with(".snap") {
        return Vec::new();
    }
    let words = marker_words();
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        for word in words.iter().filter(|word| has_word(line, word)) {
            let what = format!("leftover marker `{word}`; finish it, or say in the README what is not there yet");
            findings.push(Finding::new(&file.path, number, what));
        }
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            let what = "a conflict that was committed; take one side";
            findings.push(Finding::new(&file.path, number, what));
        }
    }
    findings
}

/// Hosts that packages are downloaded from. A mirror or a proxy must be able to stand in for each.
fn registry_hosts() -> [String; 9] {
    [
        ("registry.npm", "js"),
        ("registry.yarn", "pkg"),
        ("static.rust", "-lang"),
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("files.python", "hosted"),
        ("deb.debian", ".org"),
        ("security.debian", ".org"),
        ("pypi", ".org"),
    ]
    .map(|(first, second)| format!("{first}{second}"))
}

/// Folders that exist on one machine only.
fn machine_folders() -> [String; 5] {
    [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/"), ("/Us", "ers/"), ("C:\\Us", "ers")]
        .map(|(first, second)| format!("{first}{second}"))
}

/// Registry hosts and absolute paths of somebody's machine.
pub fn hosts_and_machine_paths(file: &SourceFile) -> Vec<Finding> {
    let (hosts, folders) = (registry_hosts(), machine_folders());
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        for host in hosts.iter().filter(|host| line.contains(host.as_str())) {
            let what = format!(
                "names the registry host `{host}…`; leave the choice of registry to the machine's own settings"
            );
            findings.push(Finding::new(&file.path, number, what));
        }
        for folder in folders.iter().filter(|folder| starts_a_path(line, folder)) {
            let what = format!("names `{folder}…`, a path of one machine; use a path relative to the project");
            findings.push(Finding::new(&file.path, number, what));
        }
    }
    findings
}

/// Whether `folder` occurs where a path can begin, and not in the middle of an address or of a longer path.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.:/}>*".contains(c))
    })
}

/// Lines of `Cargo.lock` that name another source than the line cargo itself writes for the public registry.
pub fn lock_addresses(file: &SourceFile) -> Vec<Finding> {
    let usual = format!("source = \"registry+https://github.com/rust-lang/{}\"", "crates.io-index");
    file.lines()
        .filter(|(_, line)| line.contains("://") && line.trim() != usual)
        .map(|(number, line)| {
            let what = format!(
                "unusual source: {}; depend on published crates, and lock them with plain `cargo`",
                line.trim()
            );
            Finding::new(&file.path, number, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_found_with_its_number() {
        let long = "x ".repeat(71);
        let found = line_length(&SourceFile::new("a.rs", &format!("ok\n{long}\n")));
        assert_eq!((found.len(), found[0].line), (1, 2));
        assert!(line_length(&SourceFile::new("a.rs", &"é".repeat(140))).is_empty());
        assert_eq!(line_length(&SourceFile::new("a.md", &long)).len(), 1);
        assert!(line_length(&SourceFile::new("a.md", &format!("| {long}"))).is_empty());
    }

    #[test]
    fn every_marker_is_found_and_ordinary_words_are_not() {
        for word in marker_words() {
            let found = markers(&SourceFile::new("a.rs", &format!("fine\n// {word} later")));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 2);
        }
        assert!(markers(&SourceFile::new("a.rs", "let todo = methods_to_do(XXXL);")).is_empty());
        let conflict = format!("ours\n{} main\ntheirs", "<".repeat(7));
        assert_eq!(markers(&SourceFile::new("a.md", &conflict)).len(), 1);
    }

    #[test]
    fn hosts_and_paths_of_a_machine_are_found() {
        for host in registry_hosts() {
            assert_eq!(
                hosts_and_machine_paths(&SourceFile::new("a.toml", &format!("https://{host}/x"))).len(),
                1,
                "{host}"
            );
        }
        for folder in machine_folders() {
            assert_eq!(
                hosts_and_machine_paths(&SourceFile::new("a.md", &format!("see `{folder}x`"))).len(),
                1,
                "{folder}"
            );
        }
        let inside_a_path =
            format!("crates{}notes and https://example.org{}x", machine_folders()[2], machine_folders()[1]);
        assert!(hosts_and_machine_paths(&SourceFile::new("a.md", &inside_a_path)).is_empty());
    }

    #[test]
    fn only_the_usual_source_may_stand_in_the_lock_file() {
        let usual = format!("source = \"registry+https://github.com/rust-lang/{}\"", "crates.io-index");
        assert!(lock_addresses(&SourceFile::new("Cargo.lock", &usual)).is_empty());
        let git = "source = \"git+https://example.org/fork.git#abc\"";
        assert_eq!(lock_addresses(&SourceFile::new("Cargo.lock", &format!("{usual}\n{git}"))).len(), 1);
    }
}
