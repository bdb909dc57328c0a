//! `cargo xtask serve`: from a fresh machine to a running server with the app on it, and what to do next.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::builds;
use crate::process;
use crate::setup::{self, Need};
use crate::web;

/// The address that `serve` listens on when none is named.
pub const LISTEN: &str = "127.0.0.1:4600";
/// The example that `serve` starts with when no other schema is named.
pub const SCHEMA: &str = "examples/journal/landfall.toml";
/// The folder that keeps the example server's database, inside the build folder.
pub const DATA: &str = "serve";

/// What a person may choose. The default is the example.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address and port to listen on.
    pub listen: String,
    /// The schema to serve.
    pub schema: PathBuf,
    /// Where the server keeps its data; `None`: in the build folder.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: LISTEN.to_owned(), schema: PathBuf::from(SCHEMA), data: None }
    }
}

/// Sets up, builds, and becomes the server: signals reach it directly, so that Ctrl-C drains it.
///
/// # Errors
/// One sentence, when the set-up or the build fails or the server cannot be started.
pub fn serve(root: &Path, options: &Options) -> Result<(), String> {
    let has_app = options.schema == Path::new(SCHEMA);
    let machine = setup::prepare(root, if has_app { Need::App } else { Need::Build })?;
    let binary = builds::landfall(root)?;
    let target = process::target_folder(root)?;
    let app = if has_app { Some(web::build_app(root, &target, &machine, &binary)?) } else { None };
    let data = options.data.clone().unwrap_or_else(|| target.join(DATA));
    // Where the port is taken nothing is promised: the server's own sentence about it is all that should be read.
    if TcpListener::bind(&options.listen).is_ok() {
        println!("\nLandfall serves {} on http://{}\n", options.schema.display(), options.listen);
        if app.is_some() {
            println!("Journal is on http://{}: open it in two windows, write, and stop this server.", options.listen);
        }
        println!("Devices without a browser: open two more terminals here, and type in each:");
        for (device, command) in shell_commands(root, &binary, &target, options)? {
            println!("  {device}  {command}");
        }
        println!("Ctrl-C stops the server once what is under way is stored.\n");
    }
    let mut command = Command::new(&binary);
    command.args(["serve", "--dev", "--listen", &options.listen, "--schema"]).arg(&options.schema);
    command.arg("--data").arg(&data).current_dir(root);
    if let Some(app) = &app {
        command.arg("--app").arg(app);
    }
    become_program(command)
}

/// The commands for a first and a second device of one person, with paths from the project's root.
///
/// # Errors
/// A sentence, when the schema cannot be read.
pub fn shell_commands(
    root: &Path,
    binary: &Path,
    target: &Path,
    options: &Options,
) -> Result<Vec<(&'static str, String)>, String> {
    let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let schema = std::fs::read_to_string(root.join(&options.schema))
        .map_err(|error| format!("cannot read the schema {}: {error}", options.schema.display()))?;
    let shapes: String = plain_shapes(&schema).iter().map(|shape| format!(" --open {shape}")).collect();
    let command = |name: &str| {
        let database = short(&target.join("devices").join(format!("{name}.db")));
        let (binary, schema, listen) = (short(binary), options.schema.display(), &options.listen);
        format!("{binary} shell {database} --schema {schema} --server http://{listen} --token dev:ann{shapes}")
    };
    Ok(vec![("first device: ", command("first")), ("second device:", command("second"))])
}

/// The shapes that can be opened without parameters. A schema with mistakes has none here: the server explains those.
fn plain_shapes(schema: &str) -> Vec<String> {
    let table: toml::Table = schema.parse().unwrap_or_default();
    let shapes = table.get("shapes").and_then(toml::Value::as_table);
    let plain = shapes.into_iter().flatten().filter(|(_, shape)| shape.get("params").is_none());
    plain.map(|(name, _)| name.clone()).collect()
}

#[cfg(unix)]
fn become_program(mut command: Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(format!("`{}` cannot be started: {error}", process::describe(&command)))
}

#[cfg(not(unix))]
fn become_program(command: Command) -> Result<(), String> {
    process::run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_commands_name_two_databases_and_the_real_binary() {
        let root = process::root();
        let binary = root.join("target/sim/landfall");
        let commands = shell_commands(&root, &binary, &root.join("target"), &Options::default()).unwrap();
        assert_eq!(commands.len(), 2);
        assert!(commands[0].1.starts_with("target/sim/landfall shell target/devices/first.db "), "{commands:?}");
        assert_ne!(commands[0].1, commands[1].1);
        assert!(commands.iter().all(|(_, command)| command.contains(LISTEN) && command.contains(" --open feed")));
    }

    #[test]
    fn shapes_with_parameters_are_left_to_the_person() {
        let schema = "[shapes.all]\ntable = \"notes\"\n[shapes.one]\nparams = { id = \"uuid\" }\n";
        assert_eq!(plain_shapes(schema), ["all"]);
        assert!(plain_shapes("not a schema [").is_empty());
    }
}
