//! A PostgreSQL server of the test's own: its files in a folder that goes with it, one socket in there, no port.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use postgres::{Client, NoTls};

/// Runs until it is dropped.
pub struct Cluster {
    programs: PathBuf,
    folder: tempfile::TempDir,
    user: Option<(u32, u32)>,
    server: Child,
}

impl Cluster {
    /// Starts one, with what the machine has: the folder that `LANDFALL_POSTGRES` names, else Debian's newest.
    ///
    /// # Errors
    /// What is missing, or what the programs said.
    pub fn start() -> Result<Self, String> {
        let programs = programs().ok_or("there is no PostgreSQL server here: `cargo xtask test` installs it")?;
        let folder = tempfile::Builder::new().prefix("landfall-postgres-").tempdir().map_err(|e| e.to_string())?;
        let user = substitute(folder.path())?;
        let data = folder.path().join("data");
        let mut init = command(&programs, "initdb", user);
        init.args(["--username=landfall", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--pgdata"]);
        said(init.arg(&data))?;
        let mut server = command(&programs, "postgres", user);
        // What it holds need not outlive it.
        for setting in ["listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off"] {
            server.args(["-c", setting]);
        }
        let mut socket = OsString::from("unix_socket_directories=");
        socket.push(folder.path());
        server.arg("-c").arg(socket).arg("-D").arg(&data);
        let server =
            server.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|e| format!("postgres: {e}"))?;
        let mut cluster = Self { programs, folder, user, server };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let Some(errors) = self.server.stderr.take() else {
            return Err("postgres has no standard error".into());
        };
        let mut lines = BufReader::new(errors).lines();
        let mut log = String::new();
        while let Some(Ok(line)) = lines.next() {
            log.push_str(&line);
            log.push('\n');
            if line.contains("ready to accept connections") {
                // It goes on writing, and must not wait for a reader.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
        }
        Err(format!("postgres ended before it was ready:\n{log}"))
    }

    /// A new connection.
    ///
    /// # Errors
    /// The driver's.
    pub fn connect(&self) -> Result<Client, postgres::Error> {
        postgres::Config::new().host_path(self.folder.path()).user("landfall").dbname("postgres").connect(NoTls)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = command(&self.programs, "pg_ctl", self.user);
        stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"]).arg(self.folder.path().join("data"));
        if said(&mut stop).is_err() {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

fn programs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LANDFALL_POSTGRES") {
        return Some(PathBuf::from(named));
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    found.max_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        version.and_then(|version| version.parse::<u32>().ok())
    })
}

/// PostgreSQL does not run as root: whom it runs as instead, and owner of the folder from now on.
fn substitute(folder: &Path) -> Result<Option<(u32, u32)>, String> {
    let owner = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).map(|metadata| metadata.uid())
    };
    if owner(folder).map_err(|e| e.to_string())? != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (user, group) =
        ids("postgres").or_else(|| ids("nobody")).ok_or("there is neither a user postgres nor a user nobody")?;
    std::os::unix::fs::chown(folder, Some(user), Some(group)).map_err(|e| e.to_string())?;
    Ok(Some((user, group)))
}

fn command(programs: &Path, name: &str, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs.join(name));
    // Its messages are read, and where we stand may be closed to whom it runs as.
    command.env("LC_ALL", "C").current_dir("/");
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

/// Runs a program to its end; what it said, where that was a failure.
fn said(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e: io::Error| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{command:?} failed ({}):\n{out}{err}", output.status))
}
