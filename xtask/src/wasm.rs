//! WebAssembly: the engine for browsers, and the JavaScript that loads it, into `packages/client/wasm`; and for tests
//! both forms of every message.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

use crate::process;
use crate::progress::Progress;
use crate::setup::{Machine, WASM_LINKER, WasmBuild};

mod lean;

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
/// Documents, which are loaded when the first one is read.
const DOC: Module =
    Module { package: "landfall-doc-web", name: "landfall_doc_web", output: "packages/client/wasm/doc" };
/// What the scenarios need beside it. Built by itself, so that nothing of it gets into what is shipped.
const CODEC: Module = Module {
    package: "landfall-protocol-web",
    name: "landfall_protocol_web",
    output: "packages/client/tests/scenarios/codec",
};
/// SQLite alone: the floor of the browser benchmarks.
const BARE: Module =
    Module { package: "landfall-bench-web", name: "landfall_bench_web", output: "packages/client/bench/bare" };

/// Builds the engine and the module of documents, and writes them out; says nothing new when nothing changed.
///
/// # Errors
/// A sentence, when the build or the bindings fail.
pub fn build(root: &Path, target: &Path, machine: &Machine) -> Result<(), String> {
    build_module(&ENGINE, root, target, machine)?;
    build_module(&DOC, root, target, machine)
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
    let imported: Vec<&str> = made.wasm().imports.iter().map(|import| import.name.as_str()).collect();
    let names = short_names(made.js(), &imported);
    for import in made.wasm_mut().imports.iter_mut() {
        if let Some((_, short)) = names.iter().find(|(long, _)| *long == import.name) {
            import.name.clone_from(short);
            import.module = lean::IMPORTED.to_owned();
        }
    }
    let exports: Vec<_> =
        made.wasm_mut().exports.iter_mut().filter(|export| !lean::KEPT.contains(&export.name.as_str())).collect();
    let exports: Vec<_> = exports
        .into_iter()
        .enumerate()
        .map(|(n, export)| (std::mem::replace(&mut export.name, lean::letters(n)), lean::letters(n)))
        .collect();
    made.emit(output).map_err(|e| format!("{e:#}"))?;
    let script = output.join(format!("{name}.js"));
    let io = |e: std::io::Error| format!("{}: {e}", script.display());
    let text = std::fs::read_to_string(&script).map_err(io)?;
    let text = text.replace(&format!("./{name}_bg.js"), lean::IMPORTED);
    let text = lean::lean(&text, &names, &exports).map_err(|e| format!("{}: {e}", script.display()))?;
    std::fs::write(&script, text).map_err(io)
}

/// Letters for what the module imports from its script, in the order of the script: neighbours compress well.
fn short_names(script: &str, imported: &[&str]) -> Vec<(String, String)> {
    let names = imported.iter().filter(|name| name.starts_with("__wb"));
    let mut names: Vec<_> = names.map(|name| (script.find(&format!(" {name}: ")), *name)).collect();
    names.sort_unstable();
    names.iter().enumerate().map(|(n, (_, name))| ((*name).to_owned(), lean::letters(n))).collect()
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
    let kept = ["HOME", "CARGO_HOME", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE"];
    for name in kept.into_iter().chain(["CC_wasm32_unknown_unknown", "AR_wasm32_unknown_unknown"]) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", WASM_LINKER);
    command.env("PATH", "/usr/bin:/bin").env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target.join("wasm"));
    command
}
