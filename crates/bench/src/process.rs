//! The real server as a child process, and what the operating system says of it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Fallible;

/// The schema of all benchmarks: the rows of the published comparisons.
pub const SCHEMA: &str = include_str!("../landfall.toml");

/// A server on a fresh directory; ended when dropped.
pub struct Server {
    child: Child,
    /// Its address, such as `127.0.0.1:40123`.
    pub address: String,
    /// Its data; removed with it.
    folder: tempfile::TempDir,
}

/// No limits on one subject.
const OPEN: [&str; 8] =
    ["--subject-connections", "0", "--subject-entries", "0", "--subject-bytes", "0", "--subject-waiting", "0"];

impl Server {
    /// Starts the binary and waits until it says its address. One subject may do all: it stands for many.
    pub fn start(binary: &Path) -> Fallible<Self> {
        Self::start_with(binary, None, &OPEN)
    }

    /// The same, with the limits that it has by itself.
    pub fn start_as_shipped(binary: &Path) -> Fallible<Self> {
        Self::start_with(binary, None, &[])
    }

    /// The same as [`Server::start`], with a built page on the same address.
    pub fn start_for_page(binary: &Path, page: &Path) -> Fallible<Self> {
        Self::start_with(binary, Some(page), &OPEN)
    }

    fn start_with(binary: &Path, page: Option<&Path>, more: &[&str]) -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let schema = folder.path().join("landfall.toml");
        std::fs::write(&schema, SCHEMA)?;
        let mut command = Command::new(binary);
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--schema"]).arg(&schema);
        command.arg("--data").arg(folder.path().join("data")).args(more);
        if let Some(page) = page {
            command.arg("--app").arg(page);
        }
        let mut child = command
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("{} cannot be started: {e}; build it with cargo xtask bench", binary.display()))?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let line = lines.next().ok_or("the server ended before it was ready")??;
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split_whitespace().next().unwrap_or_default().trim_end_matches('/').to_owned();
            }
        };
        // Keep reading, so that the server never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, folder })
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/landfall.db")
    }

    /// Resident memory, bytes.
    pub fn memory(&self) -> Fallible<f64> {
        self.status("VmRSS:")
    }

    /// Peak of resident memory, bytes.
    pub fn peak(&self) -> Fallible<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Fallible<f64> {
        status_of(&self.child.id().to_string(), field)
    }

    /// Processor time so far, seconds.
    pub fn cpu_s(&self) -> Fallible<f64> {
        cpu_of(self.pid())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// The server of `y-websocket`, which is a program for Node.js; ended when dropped.
pub struct Peer {
    child: Child,
    /// Its address, such as `127.0.0.1:40123`.
    pub address: String,
    /// Its data; removed with it.
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts it and waits until it listens.
    pub async fn start(program: &Path) -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        // It cannot be told to choose one, and say which.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("node")
            .arg(program)
            .envs([("HOST", "127.0.0.1"), ("PORT", &port.to_string()), ("NODE_ENV", "production")])
            .env("YPERSISTENCE", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("node cannot be started: {e}"))?;
        let stdout = child.stdout.take().ok_or("the peer has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        while !lines.next().ok_or("the peer ended before it was ready")??.starts_with("running at") {}
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address: format!("127.0.0.1:{port}"), _folder: folder })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status_of(pid: &str, field: &str) -> Fallible<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix(field)).ok_or("no such field")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}

/// Resident memory of this process, bytes. The peak is counted from here on.
pub fn own_memory() -> Fallible<f64> {
    // Where the kernel does not let the peak be set back, it is that of the whole run.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    status_of("self", "VmRSS:")
}

/// Peak of this process's resident memory, bytes.
pub fn own_peak() -> Fallible<f64> {
    status_of("self", "VmHWM:")
}

/// Processor time of a process, user and system, in seconds.
pub fn cpu_of(pid: u32) -> Fallible<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = text.rsplit_once(')').ok_or("unreadable process state")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

/// Who used the processors: seconds so far, or cores on average.
#[derive(Clone, Copy)]
pub struct Usage {
    /// The server.
    pub server: f64,
    /// This process: devices and measurement.
    pub own: f64,
    /// Everything else on this machine.
    pub others: f64,
}

impl Usage {
    /// Seconds so far, where `server` is a process.
    pub fn so_far(server: u32) -> Fallible<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or("unreadable machine state")?;
        let ticks = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        // The fourth and fifth are time in which nothing ran; guests, from the ninth on, are counted in the first.
        let busy: f64 = ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, t)| t).sum();
        let (server, own) = (cpu_of(server)?, cpu_of(std::process::id())?);
        Ok(Self { server, own, others: busy / 100.0 - server - own })
    }

    /// Cores on average, since an earlier reading.
    pub fn since(&self, before: &Self, elapsed: std::time::Duration) -> Self {
        let cores = |now: f64, then: f64| (now - then).max(0.0) / elapsed.as_secs_f64();
        Self {
            server: cores(self.server, before.server),
            own: cores(self.own, before.own),
            others: cores(self.others, before.others),
        }
    }
}

/// Processors of this machine.
pub fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data goes with it: there is nothing to drain for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A scratch file in a fresh directory on the disk that servers use.
pub fn scratch() -> Fallible<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bench.db");
    Ok((folder, path))
}
