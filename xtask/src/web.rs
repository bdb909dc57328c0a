//! The TypeScript side: packages from the lock file, the SDK's build, its tests.

use std::path::Path;

use crate::process;
use crate::progress::Progress;

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

/// Lint, types and unit tests of every package.
///
/// # Errors
/// A sentence, when one of them fails.
pub fn check(root: &Path) -> Result<(), String> {
    npm(root, &["run", "--silent", "check"])?;
    npm(root, &["test", "--silent", "--workspaces", "--if-present"])
}

/// The tests in a real browser, against real servers.
///
/// # Errors
/// A sentence, when one fails.
pub fn browser(root: &Path) -> Result<(), String> {
    npm(root, &["run", "--silent", "test:browser", "--workspaces", "--if-present"])
}
