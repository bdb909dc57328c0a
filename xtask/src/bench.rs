//! `cargo xtask bench`: builds what the chosen benchmarks need, in release, and runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::setup::{self, Need};
use crate::web;

const PROFILE: &str = "release";
/// Names of scenarios that run in a browser begin so.
const IN_BROWSER: &str = "browser-";
/// Names of those that have another server beside them begin so.
const BESIDE_PEER: [&str; 2] = ["F-editors-", "F-room-"];
/// The other server, and where it is when it has been fetched.
const PEER: &str = "crates/bench/peer";
const PEER_PROGRAM: &str = "node_modules/@y/websocket-server/src/server.js";

/// What a person asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Where the figures are also written.
    pub json: Option<PathBuf>,
    /// A tenth of the work.
    pub quick: bool,
    /// Parts of scenarios' names; none: all of them.
    pub filters: Vec<String>,
}

/// Builds and runs.
///
/// # Errors
/// A sentence, when something cannot be built, or a benchmark cannot be run.
pub fn run(root: &Path, options: &Options) -> Result<(), String> {
    setup::prepare(root, Need::Build)?;
    let target = process::target_folder(root)?;
    let build = ["build", "--locked", "--profile", PROFILE, "-p", "landfall-cli", "-p", "landfall-bench"];
    process::run(process::command(root, "cargo", &build))?;
    let program =
        |name: &str| target.join(PROFILE).join(format!("{name}{}", std::env::consts::EXE_SUFFIX)).display().to_string();
    let bench = program("landfall-bench");
    let filters: Vec<&str> = options.filters.iter().map(String::as_str).collect();
    let names = process::output(root, &bench, &[&["--list"], &filters[..]].concat())?;
    if names.is_empty() {
        let all = process::output(root, &bench, &["--list"])?;
        let all = all.lines().collect::<Vec<_>>().join(", ");
        return Err(format!("no benchmark has `{}` in its name; there are {all}", filters.join("` or `")));
    }
    let mut command = Command::new(&bench);
    if names.lines().any(|name| name.starts_with(IN_BROWSER)) {
        let machine = setup::prepare(root, Need::Test)?;
        command.arg("--built").arg(web::build_bench(root, &target, &machine, Path::new(&program("landfall")))?);
    }
    if names.lines().any(|name| BESIDE_PEER.iter().any(|begins| name.starts_with(begins))) {
        let peer = root.join(PEER);
        if !peer.join(PEER_PROGRAM).is_file() {
            process::output(&peer, "npm", &["ci", "--no-audit", "--no-fund"])?;
        }
        command.arg("--peer").arg(peer.join(PEER_PROGRAM));
    }
    if options.quick {
        command.arg("--quick");
    }
    if let Some(file) = &options.json {
        command.arg("--json").arg(file);
    }
    command.args(filters).current_dir(root);
    process::run(command)
}
