//! What the documents tell people to type must exist: verbs and options of `cargo xtask` and of `landfall`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli;
use crate::serve;
use crate::tidy::Finding;
use crate::tidy::files::{self, SourceFile};

/// A command line in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Typed {
    path: String,
    line: usize,
    words: Vec<String>,
}

/// Checks every command in `sh` and `console` blocks of the Markdown files, and those that `serve` prints.
///
/// # Errors
/// A sentence, when the tree cannot be read, or holds no command at all to check.
pub fn check(root: &Path, target: &Path, landfall: &Path) -> Result<Vec<Finding>, String> {
    let files = files::read_tree(root)?;
    let mut typed: Vec<Typed> = files.iter().filter(|file| file.is_markdown()).flat_map(typed).collect();
    if !typed.iter().any(|typed| after_xtask(&typed.words).is_some()) {
        return Err("no document names a `cargo xtask` command: the check would check nothing".to_owned());
    }
    for (_, command) in serve::shell_commands(root, landfall, target, &serve::Options::default())? {
        let words = command.split_whitespace().map(str::to_owned).collect();
        typed.push(Typed { path: "xtask/src/serve.rs".to_owned(), line: 0, words });
    }
    let mut program = Program { path: landfall.to_owned(), help: BTreeMap::new() };
    let mut findings = Vec::new();
    for typed in &typed {
        let wrong = match (after_xtask(&typed.words), after_landfall(&typed.words)) {
            (Some(arguments), _) => cli::accepts(arguments).err(),
            (None, Some(arguments)) => program.refuses(arguments)?,
            (None, None) => None,
        };
        if let Some(wrong) = wrong {
            let what = format!("`{}` does not work: {wrong}", typed.words.join(" "));
            findings.push(Finding::new(&typed.path, typed.line, what));
        }
    }
    Ok(findings)
}

fn after_xtask(words: &[String]) -> Option<&[String]> {
    match words {
        [cargo, xtask, rest @ ..] if cargo == "cargo" && xtask == "xtask" => Some(rest),
        _ => None,
    }
}

fn after_landfall(words: &[String]) -> Option<&[String]> {
    let (program, rest) = words.split_first()?;
    (program == "landfall" || program.ends_with("/landfall")).then_some(rest)
}

/// The commands in a document's `sh` blocks (every line) and `console` blocks (lines after `$ `).
fn typed(file: &SourceFile) -> Vec<Typed> {
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    for (number, line) in file.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language.trim()) };
            continue;
        }
        let command = match block {
            Some("sh") => Some(line.trim()),
            Some("console") => line.trim_start().strip_prefix("$ "),
            _ => None,
        };
        let words = command.map(words).unwrap_or_default();
        if !words.is_empty() {
            found.push(Typed { path: file.path.clone(), line: number, words });
        }
    }
    found
}

/// A command line's words: quotes kept together, settings before the program and what follows `#`, `|`, `&` or `>` left out.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars().chain([' ']) {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                if matches!(word.as_str(), "&" | "&&" | "|" | ">" | ";") || word.starts_with('#') {
                    return words;
                }
                let setting = words.is_empty() && word.contains('=');
                if !word.is_empty() && !setting {
                    words.push(std::mem::take(&mut word));
                }
                word.clear();
            }
            None => word.push(c),
        }
    }
    words
}

/// The built binary, and what its verbs say of themselves.
struct Program {
    path: PathBuf,
    help: BTreeMap<String, Option<String>>,
}

impl Program {
    /// What is wrong with these arguments, seen from the verb's own help.
    fn refuses(&mut self, arguments: &[String]) -> Result<Option<String>, String> {
        let verb = arguments.first().filter(|verb| !verb.starts_with('-'));
        let Some(help) = self.help(verb)? else {
            return Ok(Some(format!("there is no verb `{}`", verb.map_or("", String::as_str))));
        };
        Ok(unknown_option(&help, arguments))
    }

    fn help(&mut self, verb: Option<&String>) -> Result<Option<String>, String> {
        let key = verb.cloned().unwrap_or_default();
        if let Some(known) = self.help.get(&key) {
            return Ok(known.clone());
        }
        let output = Command::new(&self.path)
            .args(verb)
            .arg("--help")
            .output()
            .map_err(|error| format!("{} cannot be started: {error}", self.path.display()))?;
        let help = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        self.help.insert(key, help.clone());
        Ok(help)
    }
}

/// The first option among the arguments that the help does not name.
fn unknown_option(help: &str, arguments: &[String]) -> Option<String> {
    let known: Vec<&str> = help.split(|c: char| c.is_whitespace() || ",=[]<>".contains(c)).collect();
    let options =
        arguments.iter().take_while(|argument| *argument != "--").filter(|argument| argument.starts_with('-'));
    let names = options.map(|option| option.split('=').next().unwrap_or(option));
    names.into_iter().find(|name| !known.contains(name)).map(|name| format!("there is no option `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_sh_and_console_blocks_only() {
        let text = "```sh\nRUST_LOG=debug landfall serve --dev # aloud\n\n```\n```console\n$ cargo xtask test\noutput\n```\n\
                    ```rust\nlet x = 1;\n```\nlandfall gone\n";
        let found = typed(&SourceFile::new("README.md", text));
        let lines: Vec<(usize, String)> = found.iter().map(|typed| (typed.line, typed.words.join(" "))).collect();
        assert_eq!(lines, [(2, "landfall serve --dev".to_owned()), (6, "cargo xtask test".to_owned())]);
    }

    #[test]
    fn quoted_words_stay_together() {
        assert_eq!(words("landfall shell -e 'select 1' | less"), ["landfall", "shell", "-e", "select 1"]);
    }

    #[test]
    fn an_option_that_the_help_does_not_name_is_found() {
        let help = "Usage: landfall serve [OPTIONS]\n  -l, --listen <ADDR>  where\n      --dev  loopback only\n";
        let words = |line: &str| words(line);
        assert_eq!(unknown_option(help, &words("serve --listen=1:2 --dev -l")), None);
        assert_eq!(
            unknown_option(help, &words("serve --listening x")),
            Some("there is no option `--listening`".to_owned())
        );
        assert_eq!(unknown_option(help, &words("serve -- --else")), None);
    }
}
