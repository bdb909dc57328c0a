//! `cargo xtask test`: every test there is, quick ones first, stopping at the first that fails.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::process;
use crate::progress::seconds;
use crate::setup::{self, Machine, Need};
use crate::steps;

/// No step takes as long as this, on the slowest of machines. One that hangs must not take the whole run's time with it
/// and leave nobody a word.
const STEP_LIMIT: Duration = Duration::from_secs(40 * 60);

/// What the steps share.
#[derive(Clone, Debug)]
pub struct Context {
    /// The root of the tree.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// What the set-up found.
    pub machine: Machine,
    /// Whether the long simulation is cut short.
    pub quick: bool,
}

/// One step of the suite.
pub struct Step {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// Whether `--quick` leaves it out.
    pub long: bool,
    /// Runs it.
    pub run: fn(&Context) -> Result<(), String>,
}

/// The steps to run: all, those without the long ones, or those named.
///
/// # Errors
/// A sentence naming the steps there are, when one asked for is not among them.
pub fn choose<'a>(steps: &'a [Step], quick: bool, only: &[String]) -> Result<Vec<&'a Step>, String> {
    for name in only {
        if !steps.iter().any(|step| step.name == name) {
            let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
            return Err(format!("there is no step `{name}`; the steps are {}", names.join(", ")));
        }
    }
    let chosen = |step: &&Step| {
        if only.is_empty() { !(quick && step.long) } else { only.iter().any(|name| name == step.name) }
    };
    Ok(steps.iter().filter(chosen).collect())
}

/// Sets up and runs the chosen steps. The last line printed is `xtask: N passed, M failed`.
///
/// # Errors
/// A sentence, when the set-up fails or a step does.
pub fn run(root: &Path, quick: bool, only: &[String]) -> Result<(), String> {
    let steps = choose(&steps::ALL, quick, only)?;
    let started = Instant::now();
    let machine = setup::prepare(root, Need::Test)?;
    let context = Context { root: root.to_owned(), target: process::target_folder(root)?, machine, quick };
    let (passed, failure) = run_steps(&steps, &context);
    println!("\nxtask: ended after {}", seconds(started.elapsed()));
    if let Some((name, cause)) = &failure {
        println!("xtask: step `{name}` failed: {cause}");
        println!("xtask: rerun just it with `cargo xtask test --only {name}`");
    }
    println!("xtask: {passed} passed, {} failed", usize::from(failure.is_some()));
    match failure {
        None => Ok(()),
        Some((name, _)) => Err(format!("step `{name}` failed")),
    }
}

/// How many steps passed, and the one that did not, with its cause.
fn run_steps(steps: &[&Step], context: &Context) -> (usize, Option<(&'static str, String)>) {
    for (index, step) in steps.iter().enumerate() {
        println!("\nxtask: [{}/{}] {}: {}", index + 1, steps.len(), step.name, step.about);
        let started = Instant::now();
        let watched = watch(STEP_LIMIT, index, step.name);
        let result = (step.run)(context);
        drop(watched);
        let took = seconds(started.elapsed());
        match result {
            Ok(()) => println!("xtask: [{}/{}] {}: passed in {took}", index + 1, steps.len(), step.name),
            Err(cause) => {
                println!("xtask: [{}/{}] {}: failed after {took}", index + 1, steps.len(), step.name);
                return (index, Some((step.name, cause)));
            }
        }
    }
    (steps.len(), None)
}

/// Ends the run with a word about it when the returned value is not dropped in time.
fn watch(limit: Duration, passed: usize, name: &'static str) -> mpsc::Sender<()> {
    let (dropped, wait) = mpsc::channel();
    std::thread::spawn(move || {
        if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            println!(
                "\nxtask: step `{name}` did not end within {}: what it printed last says where it stands",
                seconds(limit)
            );
            println!("xtask: {passed} passed, 1 failed");
            std::process::exit(1);
        }
    });
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, long: bool, run: fn(&Context) -> Result<(), String>) -> Step {
        Step { name, about: "", long, run }
    }

    fn steps() -> [Step; 3] {
        [
            step("one", false, |_| Ok(())),
            step("two", true, |_| Err("it broke".into())),
            step("three", false, |_| Ok(())),
        ]
    }

    fn names(chosen: &[&Step]) -> Vec<&'static str> {
        chosen.iter().map(|step| step.name).collect()
    }

    #[test]
    fn quick_leaves_the_long_steps_out_and_only_picks_by_name() {
        let steps = steps();
        assert_eq!(names(&choose(&steps, false, &[]).unwrap()), ["one", "two", "three"]);
        assert_eq!(names(&choose(&steps, true, &[]).unwrap()), ["one", "three"]);
        assert_eq!(names(&choose(&steps, true, &["two".into()]).unwrap()), ["two"]);
        let error = choose(&steps, false, &["four".into()]).map(|_| ()).unwrap_err();
        assert!(error.contains("`four`") && error.contains("one, two, three"), "{error}");
    }

    #[test]
    fn the_first_failure_stops_the_run_and_is_named() {
        let steps = steps();
        let context =
            Context { root: PathBuf::new(), target: PathBuf::new(), machine: Machine { wasm: None }, quick: false };
        let (passed, failure) = run_steps(&choose(&steps, false, &[]).unwrap(), &context);
        assert_eq!((passed, failure), (1, Some(("two", "it broke".to_owned()))));
        let (passed, failure) = run_steps(&choose(&steps, true, &[]).unwrap(), &context);
        assert_eq!((passed, failure), (2, None));
    }
}
