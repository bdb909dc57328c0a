//! Relative links in Markdown: the file must be there, and the heading too.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::files::SourceFile;

/// Links to files that are not in the tree, and to headings that the file does not have.
pub fn dead_links(files: &[SourceFile]) -> Vec<Finding> {
    let mut paths: BTreeSet<String> = BTreeSet::new();
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            paths.insert(file.path[..at].to_owned());
        }
        paths.insert(file.path.clone());
    }
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        files.iter().filter(|file| file.is_markdown()).map(|file| (file.path.as_str(), headings(&file.text))).collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_markdown()) {
        for (line, target) in links(&file.text) {
            if let Some(what) = dead(&file.path, &target, &paths, &anchors) {
                findings.push(Finding::new(&file.path, line, what));
            }
        }
    }
    findings
}

fn dead(
    from: &str,
    target: &str,
    paths: &BTreeSet<String>,
    anchors: &BTreeMap<&str, BTreeSet<String>>,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.to_owned() } else { resolve(from, path) };
    if !path.is_empty() && !paths.contains(&path) {
        return Some(format!("dead link `{target}`: there is no `{path}`"));
    }
    let headings = anchors.get(path.as_str())?;
    (!anchor.is_empty() && !headings.contains(anchor))
        .then(|| format!("dead link `{target}`: `{path}` has no heading `#{anchor}`"))
}

/// `target` seen from the folder of `from`, as a path from the root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The lines of a Markdown text that are prose, with fenced code left out.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// Every `[text](target)` outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line: String =
            line.split('`').enumerate().map(|(part, text)| if part % 2 == 0 { text } else { "code" }).collect();
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some(end) = rest.find(')') {
                let target = rest[..end].split_whitespace().next().unwrap_or_default();
                found.push((number, target.trim_matches(['<', '>']).to_owned()));
            }
        }
    }
    found
}

/// The anchors of a file's headings, as GitHub makes them; repeated headings get `-1`, `-2`, …. And those that are set by
/// hand: `<a id="…">`.
fn headings(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let repeated = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone()).chain(repeated).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    let set = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    anchors.extend(set.map(|(anchor, _)| anchor.to_owned()));
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let files = [
            SourceFile::new("docs/a.md", text),
            SourceFile::new("docs/b.md", "# One thing: `x`\n## Two\n## Two\n<a id=\"set\"></a>\n"),
            SourceFile::new("README.md", ""),
        ];
        dead_links(&files).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn links_to_what_is_there_are_fine() {
        let text = "# Here\n[b](b.md) [up](../README.md) [h](b.md#two-1) [x](b.md#one-thing-x) [s](b.md#set)\n\
                    [me](#here) [w](https://example.org/x) [d](../docs)";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn a_missing_file_and_a_missing_heading_are_found() {
        let found = found("ok\n[gone](c.md) and [no heading](b.md#three) and [none](#there)");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("docs/a.md:2: dead link `c.md`"), "{found:?}");
    }

    #[test]
    fn code_is_not_a_link() {
        assert!(found("```\n[x](gone.md)\n```\nand `[x](gone.md)` too").is_empty());
    }
}
