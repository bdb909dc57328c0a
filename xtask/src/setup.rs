//! Set-up of a fresh machine: a Debian with a Rust toolchain and root, nothing else assumed.
//!
//! What is there is found by looking at the real things, programs, libraries and the toolchain's own folders, each time;
//! that takes well under a second, and no stamp file can lie.

mod apt;
mod tools;

use std::path::Path;
use std::process::Command;

use crate::process;
use crate::progress::Progress;
pub use tools::{WasmBuild, wasm_target_installed};

/// How far the machine must be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To build and run the server and the command line.
    Build,
    /// Also to run every test: formatter, linter, WebAssembly.
    Test,
}

/// What the set-up found or installed.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How WebAssembly is built here; always there after a set-up for [`Need::Test`].
    pub wasm: Option<WasmBuild>,
}

/// Prepares the machine and says what it does. The second time there is nothing to do, and it says nothing.
///
/// # Errors
/// One sentence that names the cause and the way out, when something cannot be installed.
pub fn prepare(root: &Path, need: Need) -> Result<Machine, String> {
    let missing = tools::missing(need);
    if !missing.is_empty() {
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
    rustup_components(root)?;
    Ok(Machine {
        wasm: Some(wasm_build(root)?),
    })
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
    eprintln!(
        "rustup cannot add wasm32-unknown-unknown ({cause}); trying Debian's own toolchain for it"
    );
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
    let output = Command::new("rustup")
        .args(arguments)
        .current_dir(root)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            progress.done();
            Ok(())
        }
        Ok(output) => {
            progress.failed();
            let said = String::from_utf8_lossy(&output.stderr);
            let error = said
                .lines()
                .find(|line| line.starts_with("error"))
                .or_else(|| said.lines().last());
            Err(error
                .unwrap_or("rustup failed without a word")
                .trim()
                .to_owned())
        }
        Err(error) => {
            progress.failed();
            Err(format!("rustup cannot be started: {error}"))
        }
    }
}
