//! The verbs of `cargo xtask`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::builds;
use crate::serve;
use crate::setup::Need;
use crate::{bench, process, setup, steps, suite, tidy, wasm, web};

/// Landfall's scripts: set-up, server, tests, benchmarks, simulator.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version = None)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Installs what building and testing need; `serve` and `test` do this themselves
    Setup,
    /// Starts the server with the example schema and its app, and says what to do next
    Serve(ServeArgs),
    /// Runs every test there is, quick ones first
    Test(TestArgs),
    /// Builds the benchmarks in release and runs them
    Bench(BenchArgs),
    /// Builds the engine for browsers into packages/client/wasm; `test` does this itself
    Wasm,
    /// Builds the landfall binary, and the package for npm, into target/pack
    Pack,
    /// Runs the simulator for as many seeds as wished
    Sim(SimArgs),
    /// Checks the rules of the house
    Tidy(TidyArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Address and port to listen on
    #[arg(long, default_value = serve::LISTEN)]
    listen: String,
    /// The schema to serve
    #[arg(long, default_value = serve::SCHEMA)]
    schema: PathBuf,
    /// Folder of the server's data [default: serve, in the build folder]
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct TestArgs {
    /// Leaves out the long simulation
    #[arg(long)]
    quick: bool,
    /// Runs this step only; may be repeated
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Names the steps and ends
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// Also writes the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A tenth of the work: to see that it runs
    #[arg(long)]
    quick: bool,
    /// Runs only the benchmarks whose names contain one of these; `browser`: those in a browser
    filters: Vec<String>,
}

#[derive(Debug, Args)]
struct SimArgs {
    /// How many seeds to run
    #[arg(long)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Seeds run side by side [default: one for each core]
    #[arg(long)]
    jobs: Option<usize>,
    /// More for the simulator itself, as it is
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Debug, Args)]
struct TidyArgs {
    /// Lowers the ratchet to what the tree has reached
    #[arg(long)]
    shrink: bool,
}

/// Parses the command line, does what it says, and turns an error into one sentence and exit code 1.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&process::root(), cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("error: {cause}");
            ExitCode::FAILURE
        }
    }
}

/// Whether these arguments, without `cargo xtask`, are a command of ours.
///
/// # Errors
/// What is wrong with them, in one line.
pub fn accepts(arguments: &[String]) -> Result<(), String> {
    let words = std::iter::once("cargo xtask").chain(arguments.iter().map(String::as_str));
    match Cli::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), clap::error::ErrorKind::DisplayHelp) => Ok(()),
        Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

fn run(root: &Path, verb: Verb) -> Result<(), String> {
    match verb {
        Verb::Setup => {
            setup::prepare(root, Need::Test)?;
            println!("Everything is there. `cargo xtask serve` starts the server, `cargo xtask test` runs every test.");
            Ok(())
        }
        Verb::Serve(ServeArgs { listen, schema, data }) => serve::serve(root, &serve::Options { listen, schema, data }),
        Verb::Test(arguments) if arguments.list => {
            for step in &steps::ALL {
                println!("{:10} {}{}", step.name, step.about, if step.long { " (not with --quick)" } else { "" });
            }
            Ok(())
        }
        Verb::Test(arguments) => suite::run(root, arguments.quick, &arguments.only),
        Verb::Bench(BenchArgs { json, quick, filters }) => bench::run(root, &bench::Options { json, quick, filters }),
        Verb::Wasm => wasm::build(root, &process::target_folder(root)?, &setup::prepare(root, Need::Test)?),
        Verb::Pack => pack(root),
        Verb::Sim(arguments) => sim(root, &arguments),
        Verb::Tidy(arguments) => check_tidy(root, arguments.shrink),
    }
}

fn pack(root: &Path) -> Result<(), String> {
    let machine = setup::prepare(root, Need::App)?;
    let landfall = builds::landfall(root)?;
    let folder = web::pack(root, &process::target_folder(root)?, &machine, &landfall)?;
    println!("The binary and the package for npm are in {}.", folder.display());
    Ok(())
}

fn sim(root: &Path, arguments: &SimArgs) -> Result<(), String> {
    setup::prepare(root, Need::Build)?;
    let program = builds::simulator(root)?;
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut command = std::process::Command::new(program);
    command.arg("run").args(["--seeds", &arguments.seeds.to_string(), "--from", &arguments.from.to_string()]);
    command.args(["--jobs", &jobs.to_string()]).args(&arguments.rest).current_dir(root);
    process::run(command)
}

fn check_tidy(root: &Path, shrink: bool) -> Result<(), String> {
    if shrink {
        println!("{} entries of xtask/ratchet.toml lowered or dropped", tidy::shrink(root)?);
    }
    let findings = tidy::check(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(()) } else { Err(format!("{} findings", findings.len())) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn real_commands_are_accepted_and_others_are_not() {
        let accepts = |line: &str| accepts(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        for line in [
            "test",
            "test --only sim",
            "sim --seeds 10 --from 3",
            "bench --json out.json push",
            "bench --quick browser",
            "tidy --shrink",
            "--help",
        ] {
            assert_eq!(accepts(line), Ok(()), "{line}");
        }
        for line in ["tests", "sim", "test --fast", ""] {
            assert!(accepts(line).is_err(), "{line}");
        }
    }
}
