//! Seed after seed: one at a time in a process, since SQLite's randomness is one for each process; several processes side
//! by side.

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::coverage::Coverage;
use crate::invariants::Violation;
use crate::trace::Trace;
use crate::world::{Report, World};

/// Runs this many seeds at least before a cell that was never reached counts as a failure.
pub const COVERAGE_SEEDS: u64 = 500;

/// Which seeds to run.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// The first.
    pub from: u64,
    /// How far apart.
    pub step: u64,
    /// How many at least.
    pub seeds: u64,
    /// Go on until so many seconds have passed.
    pub seconds: u64,
}

/// What a process tells the one that started it, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    /// A seed failed.
    Failed { seed: u64, invariant: String, message: String },
    /// All is done.
    Done { passed: u64, failed: u64, events: u64, coverage: Coverage },
}

/// What all seeds together came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Seeds that passed.
    pub passed: u64,
    /// Seeds that failed.
    pub failed: u64,
    /// Events of all seeds.
    pub events: u64,
    /// What was reached.
    pub coverage: Coverage,
}

/// Runs one seed. A panic is a violation like any other.
///
/// # Errors
/// The invariant that did not hold.
pub fn seed(seed: u64, printing: bool) -> Result<Report, Violation> {
    let schemas = crate::schemas();
    catch_unwind(AssertUnwindSafe(|| World::new(seed, schemas, Trace::new(printing)).run())).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        Err(Violation::new("panic", text))
    })
}

/// Runs seeds one after the other and prints what the parent process reads.
pub fn worker(batch: Batch) {
    let start = Instant::now();
    let (mut passed, mut failed, mut events) = (0, 0, 0);
    let mut coverage = Coverage::default();
    let mut next = batch.from;
    while passed + failed < batch.seeds || start.elapsed().as_secs() < batch.seconds {
        match seed(next, false) {
            Ok(report) => {
                passed += 1;
                events += report.events;
                coverage.join(&report.coverage);
            }
            Err(Violation { invariant, message }) => {
                failed += 1;
                say(&Line::Failed { seed: next, invariant, message });
                if failed >= 20 {
                    break;
                }
            }
        }
        next += batch.step;
    }
    say(&Line::Done { passed, failed, events, coverage });
}

fn say(line: &Line) {
    println!("{}", serde_json::to_string(line).unwrap_or_default());
}

/// Runs seeds in several processes and prints failures as they come.
///
/// # Errors
/// When a process cannot be started, or dies.
pub fn run(batch: Batch, jobs: u64) -> Result<Outcome, String> {
    let program = std::env::current_exe().map_err(|e| format!("this program cannot find itself: {e}"))?;
    let jobs = jobs.clamp(1, batch.seeds.max(1));
    let mut children: Vec<Child> = Vec::new();
    for job in 0..jobs {
        let share = (batch.seeds + jobs - 1 - job) / jobs;
        let numbers = [batch.from + job, jobs, share, batch.seconds].map(|n| n.to_string());
        let child = Command::new(&program)
            .arg("worker")
            .args(["--from", &numbers[0], "--step", &numbers[1], "--seeds", &numbers[2], "--seconds", &numbers[3]])
            .stdout(Stdio::piped())
            .spawn();
        children.push(child.map_err(|e| format!("a worker cannot be started: {e}"))?);
    }
    let mut outcome = Outcome::default();
    let readers: Vec<_> = children
        .iter_mut()
        .filter_map(|child| child.stdout.take())
        .map(|out| std::thread::spawn(move || listen(BufReader::new(out))))
        .collect();
    for reader in readers {
        let one = reader.join().map_err(|_| "a reader failed".to_owned())??;
        outcome.passed += one.passed;
        outcome.failed += one.failed;
        outcome.events += one.events;
        outcome.coverage.join(&one.coverage);
    }
    for mut child in children {
        child.wait().map_err(|e| e.to_string())?;
    }
    Ok(outcome)
}

fn listen(lines: impl BufRead) -> Result<Outcome, String> {
    for line in lines.lines() {
        let line = line.map_err(|e| e.to_string())?;
        match serde_json::from_str(&line) {
            Ok(Line::Failed { seed, invariant, message }) => {
                println!("seed {seed} failed: {invariant}: {message}");
                println!("  again, step by step: landfall-sim run --from {seed} --seeds 1 --trace");
            }
            Ok(Line::Done { passed, failed, events, coverage }) => {
                return Ok(Outcome { passed, failed, events, coverage });
            }
            Err(_) => println!("{line}"),
        }
    }
    Err("a worker died; the seed that it worked on is not among those above".to_owned())
}
