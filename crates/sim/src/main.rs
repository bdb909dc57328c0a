//! `landfall-sim`: runs seeds, replays them, and shows that broken variants are caught.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use landfall_sim::run::{self, Batch, COVERAGE_SEEDS};
use landfall_sim::{coverage, mutants};

/// Landfall's simulator.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs seeds, several processes side by side
    Run(RunArgs),
    /// Runs one seed twice and tells whether both runs were the same
    Replay {
        /// The seed
        seed: u64,
    },
    /// Runs every broken variant until an invariant catches it
    Mutants {
        /// Only variants whose name contains this
        #[arg(long, default_value = "")]
        only: String,
        /// Processes side by side
        #[arg(long, default_value_t = 2)]
        jobs: usize,
    },
    /// Runs one broken variant in this process, for `mutants`
    #[command(hide = true)]
    Mutant {
        /// Its name
        name: String,
    },
    /// Runs seeds in this process, for `run`
    #[command(hide = true)]
    Worker {
        #[command(flatten)]
        batch: BatchArgs,
        /// How far apart
        #[arg(long, default_value_t = 1)]
        step: u64,
    },
}

#[derive(Debug, Args)]
struct BatchArgs {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds at least
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Go on until so many seconds have passed
    #[arg(long, default_value_t = 0)]
    seconds: u64,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    batch: BatchArgs,
    /// Processes side by side
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Print every event; one process
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let ok = match Cli::parse().verb {
        Verb::Run(args) if args.trace => trace(&args.batch),
        Verb::Run(args) => all(&args),
        Verb::Replay { seed } => replay(seed),
        Verb::Mutants { only, jobs } => mutants::all(&only, jobs),
        Verb::Mutant { name } => mutants::one(&name),
        Verb::Worker { batch, step } => {
            run::worker(Batch { from: batch.from, step, seeds: batch.seeds, seconds: batch.seconds });
            true
        }
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(args: &RunArgs) -> bool {
    let BatchArgs { from, seeds, seconds } = args.batch;
    let start = Instant::now();
    let outcome = match run::run(Batch { from, step: 1, seeds, seconds }, args.jobs) {
        Ok(outcome) => outcome,
        Err(problem) => {
            println!("{problem}");
            return false;
        }
    };
    let elapsed = start.elapsed().as_secs_f64().max(0.001);
    let total = outcome.passed + outcome.failed;
    coverage::print(&outcome.coverage);
    let missed = if total >= COVERAGE_SEEDS { outcome.coverage.never_reached() } else { Vec::new() };
    for name in &missed {
        println!("never reached: {name}");
    }
    println!("{total} seeds, {} events, {:.1} s, {:.2} seeds/s", outcome.events, elapsed, total as f64 / elapsed);
    println!("sim: {} passed, {} failed", outcome.passed, outcome.failed + missed.len() as u64);
    outcome.failed == 0 && missed.is_empty()
}

fn trace(batch: &BatchArgs) -> bool {
    let (mut passed, mut failed) = (0, 0);
    for seed in batch.from..batch.from + batch.seeds {
        match run::seed(seed, true) {
            Ok(report) => {
                println!("seed {seed}: {} events, fingerprint {:016x}", report.events, report.fingerprint);
                passed += 1;
            }
            Err(violation) => {
                println!("seed {seed} failed: {violation}");
                failed += 1;
            }
        }
    }
    println!("sim: {passed} passed, {failed} failed");
    failed == 0
}

fn replay(seed: u64) -> bool {
    let (first, second) = (run::seed(seed, false), run::seed(seed, false));
    let same = match (&first, &second) {
        (Ok(a), Ok(b)) => a.fingerprint == b.fingerprint && a.events == b.events,
        (Err(a), Err(b)) => a == b,
        _ => false,
    };
    println!("seed {seed}: {}", if same { "both runs were the same" } else { "the runs differ" });
    println!("sim: {} passed, {} failed", u8::from(same), u8::from(!same));
    same
}
