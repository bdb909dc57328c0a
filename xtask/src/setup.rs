//! Set-up of a fresh machine: a Debian with a Rust toolchain and root, nothing else assumed.
//!
//! What is there is found by looking at the real things, programs, libraries and the toolchain's own folders, each time;
//! that takes well under a second, and no stamp file can lie.

mod apt;
mod node;
mod tools;

use std::path::Path;
use std::process::Command;

use crate::process;
use crate::progress::Progress;
pub use tools::{WASM_LINKER, WasmBuild, wasm_target_installed};

/// How far the machine must be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To build and run the server and the command line.
    Build,
    /// Also to build the engine for browsers, the TypeScript packages and the app.
    App,
    /// Also to run every test: formatter, linter, a browser.
    Test,
}

/// What the set-up found or installed.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How WebAssembly is built here; always there after a set-up for [`Need::App`].
    pub wasm: Option<WasmBuild>,
}

/// Prepares the machine and says what it does. The second time there is nothing to do, and it says nothing.
///
/// # Errors
/// One sentence that names the cause and the way out, when something cannot be installed.
pub fn prepare(root: &Path, need: Need) -> Result<Machine, String> {
    let missing = tools::missing(need);
    if !missing.is_empty() {
        if missing.contains(&tools::POSTGRES) {
            apt::without_cluster()?;
        }
        apt::install(&missing)?;
        if let Some(still) = tools::missing(need).first() {
            return Err(format!(
                "{} is still not found after installing the package {}; check with `apt-get install {}` what stands in its way",
                still.what, still.package, still.package
            ));
        }
    }
    if need == Need::Build {
        return Ok(Machine { wasm: None });
    }
    node::prepare(root)?;
    if need == Need::Test {
        rustup_components(root)?;
    }
    Ok(Machine { wasm: Some(wasm_build(root)?) })
}

/// The formatter and the linter, which a minimal toolchain leaves out.
fn rustup_components(root: &Path) -> Result<(), String> {
    let absent = [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")]
        .into_iter()
        .filter(|(_, program)| {
            let version = process::command(root, program, &["--version"]).output();
            !version.is_ok_and(|output| output.status.success())
        })
        .map(|(component, _)| component);
    for component in absent {
        rustup(root, &["component", "add", component], &format!("installing {component} (`cargo xtask test` runs it)"))
            .map_err(|cause| {
                format!("{component} cannot be installed: {cause}; `rustup component add {component}` is the way, once that is mended")
            })?;
    }
    Ok(())
}

/// The wasm32 standard library: rustup's, else Debian's browser toolchain, which builds it from source.
fn wasm_build(root: &Path) -> Result<WasmBuild, String> {
    if wasm_target_installed(root) {
        return Ok(WasmBuild::Rustup);
    }
    if tools::debian_web_toolchain() {
        return Ok(WasmBuild::DebianWeb);
    }
    let arguments = ["target", "add", "wasm32-unknown-unknown"];
    let what = "installing the target wasm32-unknown-unknown (core, protocol and client must compile for the browser)";
    let cause = match rustup(root, &arguments, what) {
        Ok(()) if wasm_target_installed(root) => return Ok(WasmBuild::Rustup),
        Ok(()) => "rustup says it did, but the toolchain that runs has no such target".to_owned(),
        Err(cause) => cause,
    };
    eprintln!("rustup cannot add wasm32-unknown-unknown ({cause}); trying Debian's own toolchain for it");
    let result = apt::install(&tools::DEBIAN_WEB);
    if result.is_ok() && tools::debian_web_toolchain() {
        return Ok(WasmBuild::DebianWeb);
    }
    Err(format!(
        "the target wasm32-unknown-unknown cannot be installed: {cause}, and neither can Debian's rustc-web; \
         give rustup or apt a network or a mirror, then run this again"
    ))
}

fn rustup(root: &Path, arguments: &[&str], what: &str) -> Result<(), String> {
    if process::find_program("rustup").is_none() {
        return Err("rustup is not on the PATH".to_owned());
    }
    let progress = Progress::start(what);
    let output = Command::new("rustup").args(arguments).current_dir(root).output();
    match output {
        Ok(output) if output.status.success() => {
            progress.done();
            Ok(())
        }
        Ok(output) => {
            progress.failed();
            let said = String::from_utf8_lossy(&output.stderr);
            Err(rustup_cause(&said))
        }
        Err(error) => {
            progress.failed();
            Err(format!("rustup cannot be started: {error}"))
        }
    }
}

/// What rustup says went wrong, with the innermost of the causes that it lists below: `no such component: refused`.
fn rustup_cause(said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("error"));
    let Some(error) = lines.next() else {
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        return last.unwrap_or("rustup failed without a word").trim().to_owned();
    };
    let error = error.trim_start_matches("error:").trim();
    let causes =
        lines.skip_while(|line| !line.starts_with("Caused by")).skip(1).take_while(|line| !line.trim().is_empty());
    match causes.last().map(|cause| cause.trim().trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').trim()) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustups_error_is_told_with_its_innermost_cause() {
        let said = "info: downloading\nerror: download failed for rust-std\n\nCaused by:\n    0: try again\n    \
                    1: tcp connect error\n    2: Connection refused (os error 111)\n\nStack backtrace:\n   0: main\n";
        assert_eq!(rustup_cause(said), "download failed for rust-std: Connection refused (os error 111)");
        assert_eq!(rustup_cause("error: no such target\n"), "no such target");
        assert_eq!(rustup_cause("odd words\n\n"), "odd words");
        assert_eq!(rustup_cause(""), "rustup failed without a word");
    }
}
