//! `landfall generate`: TypeScript types and the `schema` constant for `@landfall/client`.
//!
//! The output depends on the schema alone, so that it can be kept in version control and compared (`--check`).

use std::path::{Path, PathBuf};

use clap::Args;
use landfall_core::Schema;

use crate::check::load_schema;
use crate::failure::Failure;
use crate::out::to_stdout;

mod names;
mod rules;
mod types;

/// Arguments of `landfall generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The schema, landfall.toml.
    pub file: PathBuf,
    /// The file to write; its directory is made. Without it, the text is printed.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// Write nothing; fail when the file is not what would be written.
    #[arg(long, requires = "out")]
    pub check: bool,
}

/// Writes, prints or compares the TypeScript file.
///
/// # Errors
/// The mistakes of the schema; LF-7008 when the file is stale; LF-7009 when it cannot be written.
pub fn run(args: &GenerateArgs) -> Result<(), Failure> {
    let text = typescript(&load_schema(&args.file)?);
    let Some(out) = &args.out else {
        to_stdout(format_args!("{text}"));
        return Ok(());
    };
    if args.check {
        return compare(&args.file, out, &text);
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = folder.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| write_if_changed(out, &text));
    written.map_err(|cause| {
        let out = out.display();
        Failure::usage(format!(
            "error: {out} cannot be written ({cause}); check the path and its permissions [LF-7009]"
        ))
    })
}

/// A file that is right already is left alone: a development server would take a new date for a change.
fn write_if_changed(out: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::read(out).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    std::fs::write(out, text)
}

fn compare(file: &Path, out: &Path, text: &str) -> Result<(), Failure> {
    let (shown, command) = (out.display(), format!("landfall generate --out {} {}", out.display(), file.display()));
    match std::fs::read_to_string(out) {
        // A checkout may have changed the line ends.
        Ok(there) if there.replace("\r\n", "\n") == text => Ok(()),
        Ok(_) => Err(Failure::runtime(format!(
            "error: {shown} was made from another schema; `{command}` makes it anew [LF-7008]"
        ))),
        Err(cause) => {
            Err(Failure::runtime(format!("error: {shown} cannot be read ({cause}); `{command}` makes it [LF-7008]")))
        }
    }
}

/// The whole file.
fn typescript(schema: &Schema) -> String {
    let mut out = types::Writer::default();
    out.file(schema);
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &str = include_str!("../tests/generate/everything.toml");

    fn generate(text: &str) -> String {
        typescript(&Schema::parse("landfall.toml", text).unwrap_or_else(|e| panic!("{}", e.render(text, false))))
    }

    /// Every type and rule, kept beside the schema. `tsc` compiles it with `uses.ts`, which says what must and must not
    /// type-check (`npm run check`).
    #[test]
    fn every_type_and_rule_is_written_as_kept() {
        let text = generate(EVERYTHING);
        is_kept("everything.gen.ts", &text);
        assert_eq!(text, generate(EVERYTHING), "the same schema gives the same text");
    }

    /// The types of the recipes' schemas: what the programs on their pages are checked against
    /// (`packages/client/tests/unit/documents.test.ts`).
    #[test]
    fn the_types_of_the_recipes_are_as_kept() {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes");
        for page in std::fs::read_dir(pages).unwrap().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read_to_string(&page).unwrap();
            let Some((_, rest)) = text.split_once("```toml\n") else { continue };
            let (toml, _) = rest.split_once("```").unwrap();
            let name = page.file_stem().unwrap().to_str().unwrap();
            is_kept(&format!("recipes/{name}/landfall.gen.ts"), &generate(toml));
        }
    }

    fn is_kept(name: &str, text: &str) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generate").join(name);
        if std::env::var_os("LANDFALL_BLESS").is_some() {
            std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
            std::fs::write(&kept, text).unwrap();
        }
        let there = std::fs::read_to_string(&kept).unwrap_or_default();
        assert!(there == text, "{} differs; LANDFALL_BLESS=1 accepts what is made now:\n{text}", kept.display());
    }

    #[test]
    fn the_compiled_schema_in_the_file_is_the_schema() {
        let text = generate(EVERYTHING);
        let (_, rest) = text.split_once("compiled: [\n").unwrap();
        let (lines, _) = rest.split_once("  ].join(\"\"),").unwrap();
        let mut json = String::new();
        for line in lines.lines() {
            let mut chars = line.trim().strip_prefix('\'').unwrap().strip_suffix("',").unwrap().chars();
            while let Some(c) = chars.next() {
                json.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
        }
        let schema = Schema::parse("landfall.toml", EVERYTHING).unwrap();
        assert_eq!(Schema::from_json(&json).unwrap(), schema);
    }

    #[test]
    fn no_line_is_longer_than_people_read() {
        let journal = generate(include_str!("../../../examples/journal/landfall.toml"));
        for line in generate(EVERYTHING).lines().chain(journal.lines()) {
            assert!(line.chars().count() <= 140, "{line}");
        }
    }
}
