//! Installing Debian packages.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::tools::Wanted;
use crate::process;
use crate::progress::Progress;

/// Installs the packages. The lists are refreshed first: something is missing, so they may be absent or old.
///
/// # Errors
/// One sentence with the cause and the way out.
pub fn install(wanted: &[Wanted]) -> Result<(), String> {
    let packages: Vec<&str> = wanted.iter().map(|wanted| wanted.package).collect();
    let by_hand = format!("apt-get install -y {}", packages.join(" "));
    if process::find_program("apt-get").is_none() {
        let whats: Vec<&str> = wanted.iter().map(|wanted| wanted.what).collect();
        return Err(format!(
            "{} missing, and this machine has no apt-get to install from; install the like of {} by its own package manager",
            whats.join(", "),
            packages.join(", ")
        ));
    }
    if !is_root() {
        return Err(format!(
            "{} must be installed, and only root may: run `{by_hand}` as root, then this again",
            packages.join(", ")
        ));
    }
    for wanted in wanted {
        eprintln!("missing: {} - package {}: {}", wanted.what, wanted.package, wanted.why);
    }
    // A refresh that fails is not the end: the lists that are there may be enough.
    let refreshed = apt(&["update"], "refreshing the package lists");
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments, &format!("installing {}", packages.join(" "))).map_err(|cause| {
        let lists = refreshed
            .err()
            .map(|cause| format!("; the lists could not be refreshed either ({cause})"))
            .unwrap_or_default();
        format!(
            "{} cannot be installed: {cause}{lists}; mend that, run `{by_hand}`, then this again",
            packages.join(", ")
        )
    })
}

fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output();
    user.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

/// Runs apt-get without questions, waiting two minutes at most for another one that holds its lock.
fn apt(arguments: &[&str], what: &str) -> Result<(), String> {
    let progress = Progress::start(what);
    let child = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            progress.failed();
            return Err(format!("apt-get cannot be started: {error}"));
        }
    };
    let errors = child.stderr.take().map(|mut stderr| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    });
    for line in
        child.stdout.take().map(|stdout| BufReader::new(stdout).lines()).into_iter().flatten().map_while(Result::ok)
    {
        progress.note(&line);
    }
    let said = errors.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let ended_well = child.wait().is_ok_and(|status| status.success());
    if ended_well {
        progress.done();
        return Ok(());
    }
    progress.failed();
    Err(cause(&said))
}

/// The first error that apt-get names; the rest follows from it.
fn cause(said: &str) -> String {
    let error = said.lines().find_map(|line| line.strip_prefix("E: "));
    let error = error.or_else(|| said.lines().rfind(|line| !line.trim().is_empty()));
    error.unwrap_or("apt-get failed without a word").trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_first_error_that_apt_names() {
        let said = "W: old lists\nE: Unable to locate package clang-22\nE: something after it\n";
        assert_eq!(cause(said), "Unable to locate package clang-22");
        assert_eq!(cause("odd words.\n\n"), "odd words");
        assert_eq!(cause(""), "apt-get failed without a word");
    }
}
