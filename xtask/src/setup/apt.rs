//! Installing Debian packages.

use std::fs;
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

/// Where Debian's PostgreSQL packages read what they are to set up.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";

/// Makes sure that installing PostgreSQL brings programs only: no database of the machine's own, nothing that runs.
///
/// # Errors
/// One sentence with the cause and the way out.
pub fn without_cluster() -> Result<(), String> {
    install(&[Wanted {
        what: "PostgreSQL's settings",
        package: "postgresql-common",
        why: "they say that no server is to be set up for the whole machine",
    }])?;
    let failed =
        |error: std::io::Error| format!("{CLUSTERS}: {error}; as root, say `create_main_cluster = false` there");
    let text = fs::read_to_string(CLUSTERS).map_err(failed)?;
    match without_main_cluster(&text) {
        Some(text) => fs::write(CLUSTERS, text).map_err(failed),
        None => Ok(()),
    }
}

/// The settings with the default turned off; `None` where somebody has decided already.
fn without_main_cluster(text: &str) -> Option<String> {
    let decided = text.lines().any(|line| line.trim_start().starts_with("create_main_cluster"));
    (!decided).then(|| format!("{}\ncreate_main_cluster = false\n", text.trim_end()))
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
    fn no_cluster_is_set_up_unless_somebody_wants_one() {
        let shipped = "# Default values\n#create_main_cluster = true\n";
        let ours = without_main_cluster(shipped).unwrap();
        assert_eq!(ours, format!("{shipped}create_main_cluster = false\n"));
        assert_eq!(without_main_cluster(&ours), None, "once is enough");
        assert_eq!(without_main_cluster("create_main_cluster = true\n"), None, "a person's decision stands");
    }

    #[test]
    fn the_cause_is_the_first_error_that_apt_names() {
        let said = "W: old lists\nE: Unable to locate package clang-22\nE: something after it\n";
        assert_eq!(cause(said), "Unable to locate package clang-22");
        assert_eq!(cause("odd words.\n\n"), "odd words");
        assert_eq!(cause(""), "apt-get failed without a word");
    }
}
