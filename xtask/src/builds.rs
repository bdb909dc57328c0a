//! What cargo builds natively, and how, so that nothing is built twice.
//!
//! Features of a dependency are joined over the packages that a command names. Every build names the whole workspace,
//! whichever program it is after: the dependencies are then the same for all of them, and compiled once.

use std::path::{Path, PathBuf};

use crate::process;

/// The profile of tests, the simulator and the served binary. Not `release`: without link-time optimisation it builds
/// in about half the time, runs nearly as fast, and keeps assertions on.
pub const PROFILE: &str = "sim";

/// `cargo test`, of what `selection` names.
///
/// # Errors
/// A sentence, when something does not build or a test fails.
pub fn test(root: &Path, selection: &[&str]) -> Result<(), String> {
    cargo(root, &[&["test", "--locked", "--profile", PROFILE, "--workspace"], selection].concat())
}

/// Builds the `landfall` binary and returns its path.
///
/// # Errors
/// A sentence, when the build fails.
pub fn landfall(root: &Path) -> Result<PathBuf, String> {
    program(root, "landfall", &[])
}

/// Builds the server that embeds Landfall with a merge function, which the tests in a browser run beside the binary.
///
/// # Errors
/// A sentence, when the build fails.
pub fn example(root: &Path) -> Result<(), String> {
    cargo(root, &["build", "--locked", "--profile", PROFILE, "--workspace", "--example", "functions"])
}

/// Builds the simulator, which alone has the switches of the broken variants compiled in, and returns its path.
///
/// # Errors
/// A sentence, when the build fails.
pub fn simulator(root: &Path) -> Result<PathBuf, String> {
    program(root, "landfall-sim", &["--features", "landfall-sim/mutants"])
}

fn program(root: &Path, name: &str, features: &[&str]) -> Result<PathBuf, String> {
    let build = ["build", "--locked", "--profile", PROFILE, "--workspace", "--bin", name];
    cargo(root, &[&build, features].concat())?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(process::target_folder(root)?.join(PROFILE).join(file))
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    process::run(process::command(root, "cargo", arguments))
}
