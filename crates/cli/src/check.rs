//! `landfall check` and `landfall compile`: reading the schema file.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use landfall_core::Schema;

use crate::failure::Failure;
use crate::out::out;

/// Arguments of `landfall check` and `landfall compile`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The schema, landfall.toml.
    pub file: PathBuf,
}

/// Reads the schema in `path`.
///
/// # Errors
/// LF-7001 when the file cannot be read; all mistakes of the schema, rendered over its text.
pub fn load_schema(path: &Path) -> Result<Schema, Failure> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        let path = path.display();
        Failure::usage(match cause.kind() {
            std::io::ErrorKind::InvalidData => format!("error: {path} is not UTF-8 text; save it as UTF-8 [LF-7001]"),
            _ => format!("error: {path} cannot be read ({cause}); check the path and its permissions [LF-7001]"),
        })
    })?;
    let colours = std::io::stderr().is_terminal();
    Schema::parse(&path.display().to_string(), &text)
        .map_err(|mistakes| Failure::usage(mistakes.render(&text, colours).trim_end().to_owned()))
}

/// Says whether the schema is right.
///
/// # Errors
/// See [`load_schema`].
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    let schema = load_schema(&args.file)?;
    let (tables, shapes) = (schema.tables.len(), schema.shapes.len());
    out!("{}: '{}' version {}; tables: {tables}, shapes: {shapes}", args.file.display(), schema.name, schema.version);
    Ok(())
}

/// Prints the compiled schema, for devices without a parser.
///
/// # Errors
/// See [`load_schema`].
pub fn compile(args: &CheckArgs) -> Result<(), Failure> {
    out!("{}", load_schema(&args.file)?.to_json());
    Ok(())
}
