//! Running other programs.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Programs that were fetched for this project alone, found before the machine's own.
static OWN_PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// Has commands find the programs in `folder` before the machine's, from now on. Only the first call counts.
pub fn prefer_programs_in(folder: PathBuf) {
    let _ = OWN_PROGRAMS.set(folder);
}

/// The root of the project's tree.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    let manifest = PathBuf::from(manifest);
    // The manifest is `<root>/xtask`; a path without a parent cannot be one.
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// The cargo that runs us, so that one toolchain builds everything.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

/// A command in `folder`; `cargo` means [`cargo`].
pub fn command(folder: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = if program == "cargo" { Command::new(cargo()) } else { Command::new(program) };
    command.args(arguments).current_dir(folder);
    if let Some(own) = OWN_PROGRAMS.get() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(own.clone()).chain(std::env::split_paths(&path));
        // A folder whose name holds the separator cannot be on a path: the machine's programs are all there is then.
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
    }
    command
}

/// What a program prints, once it has ended well.
///
/// # Errors
/// A sentence with the program's own last words, when it cannot be started or fails.
pub fn output(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let shown = format!("{program} {}", arguments.join(" "));
    let output = command(folder, program, arguments)
        .output()
        .map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{shown}` failed ({}): {}", output.status, said.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` printed something that is not text"))
}

/// Runs a command with our own input and output, and waits for it.
///
/// # Errors
/// A sentence, when it cannot be started or fails.
pub fn run(mut command: Command) -> Result<(), String> {
    let shown = describe(&command);
    let status = command.status().map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// As [`run`], and returns what it printed, which is passed on line by line as it comes.
///
/// # Errors
/// A sentence, when it cannot be started or fails.
pub fn run_and_read(mut command: Command) -> Result<String, String> {
    let shown = describe(&command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = writeln!(std::io::stdout(), "{line}");
            text.push_str(&line);
            text.push('\n');
        }
    }
    let status = child.wait().map_err(|error| format!("`{shown}` was lost: {error}"))?;
    if status.success() { Ok(text) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Where cargo puts what it builds.
///
/// # Errors
/// A sentence, when cargo cannot tell.
pub fn target_folder(root: &Path) -> Result<PathBuf, String> {
    let text = output(root, "cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["target_directory"].as_str().map(PathBuf::from).ok_or_else(|| "cargo names no target folder".to_owned())
}

/// The first folder on `PATH` that holds a program of this name, with the name.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A command as a person would type it, for messages.
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program()).to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_reported_with_its_own_words() {
        let error = output(Path::new("."), "sh", &["-c", "echo so it goes >&2; exit 3"]).unwrap_err();
        assert!(error.contains("so it goes") && error.contains('3'), "{error}");
        let error = output(Path::new("."), "no-such-program-here", &[]).unwrap_err();
        assert!(error.contains("cannot be started"), "{error}");
    }

    #[test]
    fn what_is_passed_on_is_returned_as_well() {
        let read = run_and_read(command(Path::new("."), "sh", &["-c", "echo one; echo two"])).unwrap();
        assert_eq!(read, "one\ntwo\n");
        assert!(run_and_read(command(Path::new("."), "sh", &["-c", "exit 1"])).is_err());
    }
}
