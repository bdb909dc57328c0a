//! The steps of `cargo xtask test`, quick ones first.
//!
//! Two native builds are made, once each: checked sources (clippy), and tests with the binary; of the simulator, only our
//! own crates are built again, with the switches of the broken variants ([`builds`]). `release` is left to the benchmarks.

use std::process::Command;

use crate::builds::{self, PROFILE};
use crate::doc_commands;
use crate::process;
use crate::suite::{Context, Step};
use crate::tidy;
use crate::wasm;
use crate::web;

/// Seeds go on for at least this long in a full run; with the broken variants they stay within eight minutes.
const SIM_SECONDS: u32 = 440;
/// The seeds that a full run must hold, however long they take.
const SIM_SEEDS: u32 = 2000;
/// The same for `--quick`.
const QUICK_SIM_SECONDS: u32 = 15;
const QUICK_SIM_SEEDS: u32 = 20;

/// Every step, in the order in which they run.
pub const ALL: [Step; 12] = [
    Step { name: "fmt", about: "the formatter has nothing to change", long: false, run: fmt },
    Step { name: "tidy", about: "the rules of the house hold", long: false, run: tidy },
    Step { name: "clippy", about: "the linter has nothing to say", long: false, run: clippy },
    Step { name: "wasm", about: "core, protocol and client compile for the browser", long: false, run: check_wasm },
    Step { name: "test", about: "unit and integration tests of every crate", long: false, run: test },
    Step { name: "doctest", about: "the examples in the documentation", long: false, run: doctest },
    Step { name: "build", about: "the binary and the simulator, optimised, with assertions", long: false, run: build },
    Step { name: "commands", about: "what the documents tell people to type exists", long: false, run: commands },
    Step {
        name: "packages",
        about: "lint, types, unit tests of the TypeScript packages; the scenarios in WebAssembly",
        long: false,
        run: packages,
    },
    Step {
        name: "browser",
        about: "the SDK and the app in a real browser, against a real server",
        long: false,
        run: browser,
    },
    Step { name: "mutants", about: "the simulator catches every broken variant", long: true, run: mutants },
    Step { name: "sim", about: "the simulator, seed after seed", long: false, run: sim },
];

fn cargo(context: &Context, arguments: &[&str]) -> Result<(), String> {
    process::run(process::command(&context.root, "cargo", arguments))
}

fn fmt(context: &Context) -> Result<(), String> {
    cargo(context, &["fmt", "--all", "--check"]).map_err(|cause| format!("{cause}; `cargo fmt --all` mends it"))
}

fn tidy(context: &Context) -> Result<(), String> {
    let findings = tidy::check(&context.root)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(()) } else { Err(format!("{} findings, listed above", findings.len())) }
}

fn clippy(context: &Context) -> Result<(), String> {
    cargo(
        context,
        &["clippy", "--locked", "--profile", PROFILE, "--workspace", "--all-targets", "--", "-D", "warnings"],
    )
}

fn check_wasm(context: &Context) -> Result<(), String> {
    wasm::build(&context.root, &context.target, &context.machine)
}

fn test(context: &Context) -> Result<(), String> {
    builds::test(&context.root, &["--lib", "--bins", "--tests"])
}

fn doctest(context: &Context) -> Result<(), String> {
    builds::test(&context.root, &["--doc"])
}

fn build(context: &Context) -> Result<(), String> {
    builds::landfall(&context.root)?;
    builds::simulator(&context.root).map(|_| ())
}

fn commands(context: &Context) -> Result<(), String> {
    let landfall = builds::landfall(&context.root)?;
    let findings = doc_commands::check(&context.root, &context.target, &landfall)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(format!("{} commands that do not exist, listed above", findings.len()))
    }
}

fn packages(context: &Context) -> Result<(), String> {
    web::install(&context.root)?;
    // The types of the module are part of what is checked.
    wasm::build(&context.root, &context.target, &context.machine)?;
    wasm::build_codec(&context.root, &context.target, &context.machine)?;
    web::build_client(&context.root)?;
    web::check(&context.root)?;
    web::scenarios(&context.root)
}

fn browser(context: &Context) -> Result<(), String> {
    let landfall = builds::landfall(&context.root)?;
    builds::example(&context.root)?;
    web::install(&context.root)?;
    wasm::build(&context.root, &context.target, &context.machine)?;
    web::build_client(&context.root)?;
    web::check_generated(&context.root, &landfall)?;
    web::browser(&context.root)
}

fn mutants(context: &Context) -> Result<(), String> {
    process::run(simulator(context, &["mutants"])?)
}

/// The simulator goes on until both the least number of seeds and the time are reached.
fn sim(context: &Context) -> Result<(), String> {
    let (seeds, budget) = if context.quick { (QUICK_SIM_SEEDS, QUICK_SIM_SECONDS) } else { (SIM_SEEDS, SIM_SECONDS) };
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let (seeds, budget, jobs) = (seeds.to_string(), budget.to_string(), jobs.to_string());
    let arguments = ["run", "--from", "1", "--seeds", &seeds, "--seconds", &budget, "--jobs", &jobs];
    let printed = process::run_and_read(simulator(context, &arguments)?)?;
    let (passed, failed) = sim_result(&printed)?;
    let least: u64 = seeds.parse().unwrap_or(u64::MAX);
    match (passed, failed) {
        (passed, 0) if passed >= least => Ok(()),
        (passed, 0) => Err(format!("only {passed} seeds ran, {least} at least are due")),
        (_, failed) => Err(format!("{failed} seeds failed; each is named above and replays exactly")),
    }
}

fn simulator(context: &Context, arguments: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(builds::simulator(&context.root)?);
    command.args(arguments).current_dir(&context.root);
    Ok(command)
}

/// Seeds passed and failed, from the simulator's last word: `sim: N passed, M failed`.
fn sim_result(printed: &str) -> Result<(u64, u64), String> {
    let line = printed.lines().rev().find_map(|line| line.strip_prefix("sim: ")?.strip_suffix(" failed"));
    let counts = line.and_then(|line| line.split_once(" passed, "));
    let counts = counts.and_then(|(passed, failed)| Some((passed.parse().ok()?, failed.parse().ok()?)));
    counts.ok_or_else(|| "the simulator ended without its line `sim: N passed, M failed`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulators_last_word_is_read_and_its_silence_is_a_failure() {
        assert_eq!(sim_result("seed 7 ok\nsim: 2100 passed, 0 failed\n"), Ok((2100, 0)));
        assert_eq!(sim_result("sim: 1 passed, 3 failed"), Ok((1, 3)));
        assert!(sim_result("seed 7 ok\n").is_err());
        assert!(sim_result("sim: many passed, 0 failed").is_err());
    }

    #[test]
    fn step_names_are_unique() {
        let mut names: Vec<&str> = ALL.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
