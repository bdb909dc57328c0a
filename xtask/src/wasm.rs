//! WebAssembly: the engine for browsers, and the JavaScript that loads it, into `packages/client/wasm`; and for tests
//! both forms of every message.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

use crate::process;
use crate::progress::Progress;
use crate::setup::{Machine, WasmBuild};

const PROFILE: &str = "web";

/// A crate that becomes a module.
struct Module {
    package: &'static str,
    /// The name of its files.
    name: &'static str,
    /// Where the built module goes. Not in git.
    output: &'static str,
}

/// What is shipped.
const ENGINE: Module =
    Module { package: "landfall-client-web", name: "landfall_client_web", output: "packages/client/wasm" };
/// What the scenarios need beside it. Built by itself, so that nothing of it gets into what is shipped.
const CODEC: Module = Module {
    package: "landfall-protocol-web",
    name: "landfall_protocol_web",
    output: "packages/client/tests/scenarios/codec",
};
/// SQLite alone: the floor of the browser benchmarks.
const BARE: Module =
    Module { package: "landfall-bench-web", name: "landfall_bench_web", output: "packages/client/bench/bare" };

/// Builds the engine and writes it out; says nothing new when nothing changed.
///
/// # Errors
/// A sentence, when the build or the bindings fail.
pub fn build(root: &Path, target: &Path, machine: &Machine) -> Result<(), String> {
    build_module(&ENGINE, root, target, machine)
}

/// The same of what the scenarios need beside the engine.
///
/// # Errors
/// As [`build`].
pub fn build_codec(root: &Path, target: &Path, machine: &Machine) -> Result<(), String> {
    build_module(&CODEC, root, target, machine)
}

/// The same of SQLite alone, beside which the benchmarks hold the engine.
///
/// # Errors
/// As [`build`].
pub fn build_bare(root: &Path, target: &Path, machine: &Machine) -> Result<(), String> {
    build_module(&BARE, root, target, machine)
}

fn build_module(made: &Module, root: &Path, target: &Path, machine: &Machine) -> Result<(), String> {
    let triple = "wasm32-unknown-unknown";
    let arguments = ["build", "--locked", "--profile", PROFILE, "--target", triple, "-p", made.package];
    let folder = match machine.wasm {
        Some(WasmBuild::Rustup) => {
            process::run(process::command(root, "cargo", &arguments))?;
            target.to_owned()
        }
        Some(WasmBuild::DebianWeb) => {
            process::run(debian_web(root, target, &arguments))?;
            target.join("wasm")
        }
        None => return Err("no toolchain for wasm32 was set up".to_owned()),
    };
    let module = folder.join(triple).join(PROFILE).join(format!("{}.wasm", made.name));
    let output = root.join(made.output);
    if is_newer(&output.join(format!("{}_bg.wasm", made.name)), &module) {
        return Ok(());
    }
    let progress = Progress::start("writing the module's JavaScript");
    match bind(&module, made.name, &output) {
        Ok(()) => {
            progress.done();
            Ok(())
        }
        Err(cause) => {
            progress.failed();
            Err(format!("the bindings of {} cannot be made: {cause}", module.display()))
        }
    }
}

fn bind(module: &PathBuf, name: &str, output: &Path) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name(name).typescript(true).omit_default_module_path(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    // Every browser with WebAssembly as the module needs it has `encodeInto`.
    bindgen.encode_into(EncodeInto::Always);
    let bindgen = bindgen.web(true).map_err(|e| format!("{e:#}"))?;
    let mut made = bindgen.generate_output().map_err(|e| format!("{e:#}"))?;
    let mut names = Vec::new();
    for import in made.wasm_mut().imports.iter_mut().filter(|import| import.name.starts_with("__wb")) {
        let short = format!("i{}", names.len());
        names.push((std::mem::replace(&mut import.name, short.clone()), short));
    }
    made.emit(output).map_err(|e| format!("{e:#}"))?;
    shorten(&output.join(format!("{name}.js")), &names)
}

/// Gives what the module imports its short name in the JavaScript too: the names of the bindings are hashes for half
/// of their length, and browsers download each of them twice.
fn shorten(script: &Path, names: &[(String, String)]) -> Result<(), String> {
    let io = |e: std::io::Error| format!("{}: {e}", script.display());
    let mut text = std::fs::read_to_string(script).map_err(io)?;
    for (long, short) in names {
        let (long, short) = (format!(" {long}: "), format!(" {short}: "));
        if text.matches(&long).count() != 1 {
            return Err(format!("{} does not define{long}once", script.display()));
        }
        text = text.replace(&long, &short);
    }
    std::fs::write(script, text).map_err(io)
}

/// Whether the first file is there, and not older than the second.
fn is_newer(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    matches!((time(made), time(from)), (Some(made), Some(from)) if made >= from)
}

/// Debian's toolchain builds the standard library from source. It keeps a target folder of its own: sharing one would
/// rebuild everything at each change of toolchain.
pub fn debian_web(root: &Path, target: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    command.args(arguments).args(["-Z", "build-std=std,panic_abort"]).current_dir(root).env_clear();
    for name in ["HOME", "CARGO_HOME", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("PATH", "/usr/bin:/bin").env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target.join("wasm"));
    command
}
