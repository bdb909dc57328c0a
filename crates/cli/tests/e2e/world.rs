//! The stage: a directory, a server and devices, each its own process of the real binary.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value as Json;

/// How long any single step may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, without settings of whoever runs the tests.
pub fn landfall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command
}

/// The binary, run by another program: `program argument…  landfall`.
pub fn landfall_within(by: &[String]) -> Command {
    let Some((program, arguments)) = by.split_first() else { return landfall() };
    let mut command = landfall();
    let binary = command.get_program().to_owned();
    let removed: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    command = Command::new(program);
    command.args(arguments).arg(binary);
    for name in removed {
        command.env_remove(name);
    }
    command
}

/// The schema of the example.
pub fn journal() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/journal/landfall.toml")
}

/// A process that ended.
#[derive(Debug)]
pub struct Ran {
    pub exit: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What it printed; it must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self.out
    }

    /// The lines that it printed, each an object.
    #[track_caller]
    pub fn objects(self) -> Vec<Json> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }

    /// It must have failed, with one clear sentence that carries `code`.
    #[track_caller]
    pub fn refused(&self, exit: i32, code: &str) -> &str {
        let sentence = self.err.trim_end();
        assert_eq!(self.exit, Some(exit), "{self:?}");
        assert!(sentence.contains(&format!("[{code}]")), "{code} is missing: {sentence}");
        assert!(sentence.starts_with("error: ") && sentence.lines().count() == 1, "one sentence: {sentence}");
        for noise in ["panicked", "Err(", "Os {", "RUST_BACKTRACE", "Some(", "SqliteFailure"] {
            assert!(!sentence.contains(noise), "nothing that only a programmer could read: {sentence}");
        }
        sentence
    }
}

/// Runs to the end, or fails the test when it takes too long.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    run_fed(command.stdin(Stdio::null()))
}

/// The same, with the standard input that it was given.
#[track_caller]
fn run_fed(command: &mut Command) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (sender, ended) = channel();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    std::thread::spawn(move || {
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).map(|_| text)
        });
        let mut text = String::new();
        let _ = out.read_to_string(&mut text);
        let err = errors.join().unwrap().unwrap();
        let _ = sender.send(Ran { exit: child.wait().unwrap().code(), out: text, err });
    });
    ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        signal("KILL", pid);
        panic!("still running after {PATIENCE:?}: {command:?}; {:?}", ended.recv_timeout(PATIENCE));
    })
}

/// Sends a signal to a process that this test started.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().unwrap();
    assert!(sent.success(), "signal {name}");
}

/// A directory of its own for a test.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A development server with the example's schema, on a free port.
    pub fn server(&self) -> Server {
        Server::start(self.path("server"), "127.0.0.1:0", &["--dev"])
    }

    /// A device of `ada`.
    pub fn device(&self, name: &str, server: &Server) -> Device {
        Device {
            database: self.path(name),
            schema: journal(),
            server: Some(format!("http://{}", server.address)),
            token: Some("dev:ada".to_owned()),
            within: Vec::new(),
        }
    }
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: String,
    pub data: PathBuf,
    options: Vec<String>,
}

impl Server {
    pub fn start(data: PathBuf, listen: &str, options: &[&str]) -> Self {
        Self::start_within(&[], data, listen, options)
    }

    pub fn start_within(by: &[String], data: PathBuf, listen: &str, options: &[&str]) -> Self {
        Self::start_with(by, data, listen, options, Stdio::null())
    }

    /// One whose log goes to `log`.
    pub fn start_with(by: &[String], data: PathBuf, listen: &str, options: &[&str], log: Stdio) -> Self {
        let mut command = landfall_within(by);
        command.arg("serve").arg("--schema").arg(journal()).stderr(log);
        Self::start_by(command, data, listen, options)
    }

    /// One with another schema.
    pub fn of(schema: &Path, data: PathBuf) -> Self {
        let mut command = landfall();
        command.arg("serve").arg("--schema").arg(schema).stderr(Stdio::null());
        Self::start_by(command, data, "127.0.0.1:0", &["--dev"])
    }

    fn start_by(mut command: Command, data: PathBuf, listen: &str, options: &[&str]) -> Self {
        command.arg("--data").arg(&data).arg("--listen").arg(listen).args(options).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some((_, address)) = line.trim().rsplit_once("http://") else { panic!("no ready line: {command:?}") };
        let options = options.iter().map(|&o| o.to_owned()).collect();
        Self { address: address.to_owned(), child, data, options }
    }

    /// The same data on the same port again.
    pub fn again(&self) -> Self {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        Self::start(self.data.clone(), &self.address, &options)
    }

    /// A crash of the process.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// An orderly end; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal("TERM", self.child.id());
        self.child.wait().unwrap().code()
    }

    /// Its memory, KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What its database holds, read after it ended.
    pub fn rows<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
        let database = rusqlite::Connection::open(self.data.join("landfall.db")).unwrap();
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A device: a database file, and how to reach the server.
#[derive(Clone)]
pub struct Device {
    pub database: PathBuf,
    pub schema: PathBuf,
    pub server: Option<String>,
    pub token: Option<String>,
    /// What the binary is run by, such as a limit.
    pub within: Vec<String>,
}

impl Device {
    /// The same device under another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn command(&self) -> Command {
        let mut command = landfall_within(&self.within);
        command.arg("shell").arg(&self.database).arg("--schema").arg(&self.schema);
        if let Some(server) = &self.server {
            command.arg("--server").arg(server);
        }
        if let Some(token) = &self.token {
            command.arg("--token").arg(token);
        }
        command
    }

    /// Runs lines, connected.
    #[track_caller]
    pub fn online(&self, lines: &[&str]) -> Ran {
        self.run(&["--json"], lines)
    }

    /// Runs lines without the network.
    #[track_caller]
    pub fn offline(&self, lines: &[&str]) -> Ran {
        self.run(&["--json", "--offline"], lines)
    }

    /// Runs the lines of a file without the network.
    #[track_caller]
    pub fn offline_from(&self, script: &Path) -> Ran {
        let script = std::fs::File::open(script).unwrap();
        run_fed(self.command().args(["--json", "--offline"]).stdin(script))
    }

    #[track_caller]
    pub fn run(&self, options: &[&str], lines: &[&str]) -> Ran {
        run(self.command().args(options).args(lines.iter().flat_map(|line| ["-c", line])))
    }

    /// The answer to a query, without the network.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Json> {
        self.offline(&[sql]).objects()
    }

    /// A shell that stays, to talk with.
    pub fn talk(&self, options: &[&str]) -> Talk {
        Talk::start(self.command().args(options))
    }
}

/// A conversation with a running shell.
pub struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Talk {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// Types a line. A shell that has died meanwhile does not hear it.
    pub fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// The next line of output.
    #[track_caller]
    pub fn hear(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// Passes lines over until one is taken.
    #[track_caller]
    pub fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => seen.push(line),
                Err(problem) => panic!("{problem}; heard {seen:?}"),
            }
        }
    }

    /// What it said until it ended.
    pub fn rest(&self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => return said,
                Err(RecvTimeoutError::Timeout) => panic!("still talking; heard {said:?}"),
            }
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the input, and waits for the shell to leave.
    pub fn bye(mut self) -> Vec<String> {
        drop(self.input.take());
        let said = self.rest();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        said
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One text per row.
pub fn texts(rows: &[Json], column: &str) -> Vec<String> {
    rows.iter().map(|row| row[column].as_str().unwrap_or_default().to_owned()).collect()
}

/// Copies a directory of plain files.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// `landfall` with these arguments, to its end.
#[track_caller]
pub fn run_landfall<A: AsRef<OsStr>>(arguments: &[A]) -> Ran {
    run(landfall().args(arguments))
}
