//! The TypeScript side: packages from the lock file, the SDK's build, its tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::progress::Progress;
use crate::setup::Machine;
use crate::wasm;

/// Node packages as the lock file names them; nothing when they are there already.
///
/// # Errors
/// A sentence, when npm fails.
pub fn install(root: &Path) -> Result<(), String> {
    let time = |path: &str| root.join(path).metadata().and_then(|m| m.modified()).ok();
    // npm writes the second one when it is done, so that an installation that was cut short is made again.
    let (wanted, there) = (time("package-lock.json"), time("node_modules/.package-lock.json"));
    if matches!((wanted, there), (Some(wanted), Some(there)) if there >= wanted) {
        return Ok(());
    }
    let progress = Progress::start("installing Node packages (npm ci)");
    let result = process::output(root, "npm", &["ci", "--no-audit", "--no-fund"]);
    match result {
        Ok(_) => {
            progress.done();
            Ok(())
        }
        Err(cause) => {
            progress.failed();
            Err(format!("{cause}; npm needs its registry, or a mirror named by `npm config set registry`"))
        }
    }
}

fn npm(root: &Path, arguments: &[&str]) -> Result<(), String> {
    process::run(process::command(root, "npm", arguments))
}

/// Compiles the SDK; the module must have been built before it ([`crate::wasm::build`]).
///
/// # Errors
/// A sentence, when the compiler finds something.
pub fn build_client(root: &Path) -> Result<(), String> {
    npm(root, &["run", "--silent", "build", "-w", "@landfall/client"])
}

/// Where the app's types are kept, made from [`crate::serve::SCHEMA`].
const GENERATED: &str = "apps/journal/src/landfall.gen.ts";
/// What the app's bundler writes, for `landfall serve --app`.
pub const APP: &str = "apps/journal/dist";
/// Where [`pack`] puts what it makes.
const PACK: &str = "target/pack";

/// Builds the engine for browsers, the SDK and the app; `landfall` is the built binary. Returns the app's folder.
///
/// # Errors
/// A sentence, when one of the builds fails.
pub fn build_app(root: &Path, target: &Path, machine: &Machine, landfall: &Path) -> Result<PathBuf, String> {
    install(root)?;
    wasm::build(root, target, machine)?;
    build_client(root)?;
    let mut generate = Command::new(landfall);
    generate.args(["generate", "--out", GENERATED, crate::serve::SCHEMA]).current_dir(root);
    process::run(generate)?;
    let progress = Progress::start("building the app");
    // As any other output: what it says is only worth reading when it fails.
    match process::output(root, "npm", &["run", "--silent", "build", "-w", "journal"]) {
        Ok(_) => {
            progress.done();
            Ok(root.join(APP))
        }
        Err(cause) => {
            progress.failed();
            Err(cause)
        }
    }
}

/// What an app of one's own needs: the binary, and the package as npm packs it. Returns the folder.
///
/// # Errors
/// A sentence, when one of the builds fails.
pub fn pack(root: &Path, target: &Path, machine: &Machine, landfall: &Path) -> Result<PathBuf, String> {
    install(root)?;
    wasm::build(root, target, machine)?;
    build_client(root)?;
    let folder = root.join(PACK);
    let failed =
        |what: &str, error: std::io::Error| format!("{what} in {} cannot be written: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(|error| failed("the folder", error))?;
    let to = folder.display().to_string();
    let printed =
        process::output(root, "npm", &["pack", "--silent", "-w", "@landfall/client", "--pack-destination", &to])?;
    // npm names the file by the package's version, which nobody wants to type.
    let name = printed.lines().last().map(str::trim).unwrap_or_default();
    std::fs::rename(folder.join(name), folder.join("landfall-client.tgz")).map_err(|e| failed("the package", e))?;
    let name = format!("landfall{}", std::env::consts::EXE_SUFFIX);
    // Beside it first: a server that runs from there keeps the file that it was started from.
    let fresh = folder.join(format!("{name}.new"));
    std::fs::copy(landfall, &fresh).map_err(|error| failed("the binary", error))?;
    std::fs::rename(&fresh, folder.join(&name)).map_err(|error| failed("the binary", error))?;
    Ok(folder)
}

/// The schema of the benchmarks, native ones and those in the browser.
const BENCH_SCHEMA: &str = "crates/bench/landfall.toml";

/// Builds the engine, the bare module, the SDK and the page that the browser benchmarks open; `landfall` is the built
/// binary. Returns the folder of all that.
///
/// # Errors
/// A sentence, when one of the builds fails.
pub fn build_bench(root: &Path, target: &Path, machine: &Machine, landfall: &Path) -> Result<PathBuf, String> {
    let built = target.join("bench");
    let schema = built.join("landfall.gen.ts");
    install(root)?;
    wasm::build(root, target, machine)?;
    wasm::build_bare(root, target, machine)?;
    build_client(root)?;
    let mut generate = Command::new(landfall);
    generate.arg("generate").arg("--out").arg(&schema).arg(BENCH_SCHEMA).current_dir(root);
    process::run(generate)?;
    let mut page = process::command(root, "node", &["packages/client/bench/build.mjs"]);
    page.args([&built, &schema]);
    process::run(page)?;
    Ok(built)
}

/// The types of the app are those of the schema.
///
/// # Errors
/// A sentence with the command that makes them anew.
pub fn check_generated(root: &Path, landfall: &Path) -> Result<(), String> {
    let mut check = Command::new(landfall);
    check.args(["generate", "--check", "--out", GENERATED, crate::serve::SCHEMA]).current_dir(root);
    process::run(check)
}

/// Lint, types and unit tests of every package.
///
/// # Errors
/// A sentence, when one of them fails.
pub fn check(root: &Path) -> Result<(), String> {
    npm(root, &["run", "--silent", "check"])?;
    npm(root, &["test", "--silent", "--workspaces", "--if-present"])
}

/// The scenarios of the protocol and the golden vectors, by the built modules.
///
/// # Errors
/// A sentence, when one goes another way.
pub fn scenarios(root: &Path) -> Result<(), String> {
    npm(root, &["run", "--silent", "test:scenarios", "-w", "@landfall/client"])
}

/// The tests in a real browser, against real servers.
///
/// # Errors
/// A sentence, when one fails.
pub fn browser(root: &Path) -> Result<(), String> {
    npm(root, &["run", "--silent", "test:browser", "--workspaces", "--if-present"])
}
