//! Disks that are full or cannot be written. A file system of its own for each test, in a mount namespace; where the
//! machine gives none, a limit on the size of files, and a path below a file, stand in, and the run says so.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::world::{Device, Server, World, journal, landfall_within, run, texts};

/// A small disk that only its own processes see.
struct Disk {
    holder: Child,
    by: Vec<String>,
    path: PathBuf,
}

impl Disk {
    /// `None`, and said aloud, where the machine gives none: then `instead` is all that is tested.
    fn new(path: PathBuf, size: &str, instead: &str) -> Option<Self> {
        Self::mounted(path, size).inspect_err(|why| said_aloud(&skipped(why, instead))).ok()
    }

    fn mounted(path: PathBuf, size: &str) -> Result<Self, String> {
        std::fs::create_dir(&path).unwrap();
        let script = format!("mount -t tmpfs -o size={size} tmpfs '{}' && echo ready && read end", path.display());
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", &script]);
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = unshare.spawn().map_err(|error| format!("`unshare` cannot be started: {error}"))?;
        let mut line = String::new();
        if let Some(out) = holder.stdout.take() {
            std::io::BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        if line.trim() != "ready" {
            let said = holder.wait_with_output().map(|ended| String::from_utf8_lossy(&ended.stderr).trim().to_owned());
            return Err(said.unwrap_or_else(|error| error.to_string()));
        }
        let by = ["nsenter", "--mount", "--target", &holder.id().to_string(), "--"].map(str::to_owned).to_vec();
        Ok(Self { holder, by, path })
    }

    fn run(&self, script: &str) -> bool {
        let mut command = Command::new(&self.by[0]);
        command.args(&self.by[1..]).args(["sh", "-c", script]).stderr(Stdio::null());
        command.status().unwrap().success()
    }

    fn fill(&self) {
        let filler = self.path.join("filler");
        self.run(&format!("dd if=/dev/zero of='{}' bs=512", filler.display()));
    }

    fn free(&self) {
        assert!(self.run(&format!("rm '{}'", self.path.join("filler").display())));
    }

    fn writable(&self, yes: bool) {
        let how = if yes { "rw" } else { "ro" };
        assert!(self.run(&format!("mount -o remount,{how} '{}'", self.path.display())));
    }
}

fn skipped(why: &str, instead: &str) -> String {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    format!("SKIPPED in {test}: a disk of its own cannot be mounted here ({why}); {instead}. Run the tests as root.\n")
}

/// Past the test harness, which keeps what a test that passes prints to itself.
fn said_aloud(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn insert(title: &str) -> String {
    format!("INSERT INTO notes (owner, title, body) VALUES ('ada', '{title}', hex(zeroblob(20000)))")
}

fn titles(device: &Device) -> Vec<String> {
    texts(&device.rows("SELECT title FROM notes ORDER BY title"), "title")
}

/// As if the disk were full: no file may grow beyond this many KiB.
fn limited(kib: u64) -> Vec<String> {
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kib * 2);
    ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

#[test]
fn a_full_disk_of_a_device_refuses_the_write_and_keeps_what_is_there() {
    let world = World::new();
    let server = world.server();
    let instead = "a limit on the size of files stands in";
    let Some(disk) = Disk::new(world.path("disk"), "2m", instead) else { return a_limit_on_files(&world, &server) };
    let device = on(&disk, &world.device("laptop", &server));
    device.offline(&[".open my_notes", &insert("before")]).ok();
    disk.fill();
    let ran = device.offline(&[&insert("full")]);
    assert!(ran.refused(1, "LF-5005").contains("free some"), "{ran:?}");
    disk.free();
    assert_eq!(titles(&device), ["before"]);
    device.online(&[&insert("after"), ".sync"]).ok();
    assert_eq!(titles(&device), ["after", "before"]);
}

fn on(disk: &Disk, device: &Device) -> Device {
    Device { database: disk.path.join("laptop"), within: disk.by.clone(), ..device.clone() }
}

fn a_limit_on_files(world: &World, server: &Server) {
    let device = world.device("laptop", server);
    device.offline(&[".open my_notes", &insert("before")]).ok();
    let limited = Device { within: limited(64), ..device.clone() };
    let ran = limited.offline(&[&insert("full"), &insert("more"), &insert("still more")]);
    assert!(ran.err.contains("[LF-5005]") || ran.err.contains("[LF-5010]"), "{ran:?}");
    assert!(titles(&device).contains(&"before".to_owned()));
    device.online(&[&insert("after"), ".sync"]).ok();
}

/// What the server says of itself.
fn health(server: &Server) -> String {
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_full_disk_of_the_server_loses_nothing_and_it_goes_on_by_itself() {
    let world = World::new();
    let instead = "a limit on the size of files stands in, and the server is started anew";
    let disk = Disk::new(world.path("disk"), "24m", instead);
    let by = disk.as_ref().map_or_else(|| limited(400), |disk| disk.by.clone());
    let data = disk.as_ref().map_or_else(|| world.path("data"), |disk| disk.path.join("data"));
    let mut server = Server::start_within(&by, data.clone(), "127.0.0.1:0", &["--dev"]);
    let device = world.device("laptop", &server);
    device.online(&[".open my_notes", &insert("before"), ".sync"]).ok();
    if let Some(disk) = &disk {
        disk.fill();
    }
    let more: Vec<String> = (0..30).map(|n| insert(&format!("more {n:02}"))).collect();
    device.offline(&more.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let ran = device.online(&[".sync 3"]);
    assert!(ran.refused(1, "LF-7013").contains("LF-"), "{ran:?}");
    assert_eq!(titles(&device).len(), 31, "the device shows all of its work");
    assert!(health(&server).contains("\"degraded\""), "whoever watches the server is told");

    match &disk {
        // The same process, which heard nothing of the space that was made.
        Some(disk) => disk.free(),
        None => {
            server.kill();
            server = Server::start(data, &server.address, &["--dev"]);
        }
    }
    device.online(&[".sync"]).ok();
    let other = world.device("phone", &server);
    other.online(&[".open my_notes", ".sync"]).ok();
    assert_eq!(titles(&other).len(), 31, "each once");
    assert!(health(&server).contains("\"ok\""));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let world = World::new();
    let server = world.server();
    let serve = |by: &[String], data: &Path| {
        let mut command = landfall_within(by);
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]).arg(data).arg("--schema").arg(journal());
        run(&mut command)
    };
    let file = world.file("file", "not a directory");
    let below = Device { database: file.join("laptop"), ..world.device("laptop", &server) };
    assert!(below.offline(&["SELECT 1"]).refused(1, "LF-5904").contains("directory"));
    serve(&[], &file.join("data")).refused(2, "LF-7007");

    let instead = "a disk that becomes read-only is not tested, only a path below a file";
    let Some(disk) = Disk::new(world.path("disk"), "8m", instead) else { return };
    let device = on(&disk, &world.device("laptop", &server));
    device.offline(&[&insert("before")]).ok();
    let mut on_disk = Server::start_within(&disk.by, disk.path.join("data"), "127.0.0.1:0", &["--dev"]);
    assert_eq!(on_disk.stop(), Some(0));
    disk.writable(false);
    assert!(device.offline(&[&insert("refused")]).refused(1, "LF-5904").contains("can be written"));
    serve(&disk.by, &disk.path.join("data")).refused(2, "LF-6006");
    disk.writable(true);
    assert_eq!(titles(&device), ["before"]);
}

#[test]
fn a_machine_without_disks_of_ones_own_is_told_of() {
    let world = World::new();
    let why = Disk::mounted(world.path("disk"), "no such size").err().expect("no disk");
    assert!(!why.is_empty());
    let said = skipped(&why, "something stands in");
    assert!(said.starts_with("SKIPPED in ") && said.contains(&why) && said.contains("something stands in"), "{said}");
}
