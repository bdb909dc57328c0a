//! The `landfall` binary.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod failure;
mod generate;
mod out;
mod serve;
mod shell;
mod token;

use failure::Failure;
use out::{complain, out};

/// Offline-first sync: a local SQLite database on every device, one server that brings them together.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<serve::ServeArgs>),
    /// Open a local database: query, write, watch, with or without the network.
    Shell(Box<shell::ShellArgs>),
    /// Check a schema file; every mistake is shown with its place.
    Check(check::CheckArgs),
    /// Print the compiled schema as JSON, for devices without a parser.
    Compile(check::CheckArgs),
    /// Write TypeScript types, and the schema as a constant, for `@landfall/client`.
    Generate(generate::GenerateArgs),
    /// Make a token for trying things out.
    Token(token::TokenArgs),
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Nobody hears of a terminal that is gone.
            let _ = error.print();
            if error.use_stderr() {
                complain!("The command cannot be read; nothing was done [LF-7018]");
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain!("{failure}");
            ExitCode::from(failure.exit())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => block_on(serve::run(*args)),
        Command::Shell(args) => block_on(shell::run(*args)),
        Command::Check(args) => check::check(&args),
        Command::Compile(args) => check::compile(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Version => {
            let (build, protocol) = (env!("CARGO_PKG_VERSION"), landfall_protocol::VERSION);
            out!("landfall {build}, protocol {protocol}");
            Ok(())
        }
    }
}

fn block_on<F: Future<Output = Result<(), Failure>>>(future: F) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| {
        Failure::runtime(format!("error: threads cannot be started ({cause}); see the system's limits [LF-7006]"))
    })?;
    runtime.block_on(future)
}
