//! The binary as an operator meets it: what it prints, how it fails, how it stops.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SCHEMA: &str = "[app]\nname = \"test\"\nversion = 1\n[tables.notes.columns]\nid = { type = \"uuid\" }\n";

fn landfall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_")) {
        command.env_remove(name);
    }
    command
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("landfall.toml"), SCHEMA).unwrap();
    dir
}

fn serve(dir: &Path, extra: &[&str]) -> Command {
    let mut command = landfall();
    command.arg("serve").arg("--schema").arg(dir.join("landfall.toml")).arg("--data").arg(dir.join("data")).args(extra);
    command
}

/// One sentence with a code, the exit code, and nothing that only a programmer could read.
fn refused(mut command: Command, exit: i32, code: &str) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(exit), "{text}");
    assert!(text.contains(code), "{code} is missing in: {text}");
    for noise in ["panicked", "Err(", "Os {", "RUST_BACKTRACE"] {
        assert!(!text.contains(noise), "{text}");
    }
    text
}

struct Server(Child);

impl Server {
    /// Starts, and waits for the line that names the address.
    fn start(mut command: Command) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").expect("the ready line names the address").1.to_owned();
        (Self(child), address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_says_where_it_is_and_stops_cleanly_when_told() {
    let dir = folder();
    let (mut server, address) = Server::start(serve(dir.path(), &["--dev", "--listen", "127.0.0.1:0"]));
    let mut socket = TcpStream::connect(&address).unwrap();
    write!(socket, "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"status\":\"ok\""), "{answer}");

    let text = refused(serve(dir.path(), &["--dev", "--listen", "127.0.0.1:0"]), 2, "LF-6004");
    assert!(text.contains("another server"), "{text}");
    let other = folder();
    let text = refused(serve(other.path(), &["--dev", "--listen", &address]), 1, "LF-7004");
    assert!(text.contains(&address), "{text}");

    let told = Command::new("kill").arg(server.0.id().to_string()).status().unwrap();
    assert!(told.success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_wrong_with_the_settings_is_one_sentence_with_a_code() {
    let dir = folder();
    let path = dir.path();
    refused(serve(path, &["--listen", "127.0.0.1:0"]), 2, "LF-6102");
    refused(serve(path, &["--dev", "--listen", "0.0.0.0:0"]), 2, "LF-6103");
    refused(serve(path, &["--dev", "--listen", "nonsense"]), 2, "LF-7003");
    refused(serve(path, &["--jwt-key", "/nowhere/key.pem"]), 2, "LF-6101");
    std::fs::write(path.join("secret"), "short").unwrap();
    let text = refused(serve(path, &["--jwt-secret-file", path.join("secret").to_str().unwrap()]), 2, "LF-6101");
    assert!(text.contains("32"), "{text}");
    std::fs::write(path.join("settings.toml"), "lissten = \"127.0.0.1:0\"\n").unwrap();
    let text = refused(serve(path, &["--config", path.join("settings.toml").to_str().unwrap()]), 2, "LF-7002");
    assert!(text.contains("lissten"), "{text}");
    let mut bare = landfall();
    bare.args(["serve", "--dev"]);
    assert!(refused(bare, 2, "LF-7002").contains("--schema"));
    std::fs::write(path.join("data"), "a file where the directory should be").unwrap();
    refused(serve(path, &["--dev", "--listen", "127.0.0.1:0"]), 2, "LF-7007");
}

#[test]
fn flags_lie_over_the_environment_and_that_over_the_file() {
    let dir = folder();
    let settings = dir.path().join("settings.toml");
    std::fs::write(&settings, "dev = true\nlisten = \"nonsense\"\n").unwrap();
    let mut command = serve(dir.path(), &["--config", settings.to_str().unwrap()]);
    command.env("LANDFALL_LISTEN", "127.0.0.1:0");
    let (_server, address) = Server::start(command);
    assert!(address.starts_with("127.0.0.1:"));
    let mut command = serve(dir.path(), &["--config", settings.to_str().unwrap(), "--listen", "worse"]);
    command.env("LANDFALL_LISTEN", "127.0.0.1:0");
    assert!(refused(command, 2, "LF-7003").contains("worse"));
}

#[test]
fn schemas_are_checked_and_compiled() {
    let dir = folder();
    let file = dir.path().join("landfall.toml");
    let run = |command: &str| landfall().arg(command).arg(&file).output().unwrap();
    assert!(String::from_utf8(run("check").stdout).unwrap().contains("tables: 1"));
    let compiled = String::from_utf8(run("compile").stdout).unwrap();
    assert_eq!(landfall_core::Schema::from_json(&compiled).unwrap().name, "test");
    std::fs::write(&file, format!("{SCHEMA}wrong = {{ type = \"texst\" }}\n")).unwrap();
    let mut check = landfall();
    check.arg("check").arg(&file);
    assert!(refused(check, 2, "LF-1009").contains(":6:"), "the place is shown");
    let mut missing = landfall();
    missing.args(["check", "/nowhere/landfall.toml"]);
    refused(missing, 2, "LF-7001");
}

#[test]
fn typescript_is_generated_and_a_stale_file_is_told() {
    let dir = folder();
    let (file, out) = (dir.path().join("landfall.toml"), dir.path().join("src/landfall.gen.ts"));
    let generate = |extra: &[&str]| {
        let mut command = landfall();
        command.arg("generate").args(extra).arg("--out").arg(&out).arg(&file);
        command
    };
    assert!(refused(generate(&["--check"]), 1, "LF-7008").contains("landfall generate"), "a way out is shown");
    assert!(generate(&[]).status().unwrap().success());
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.contains("export interface Notes {") && text.contains("export const schema"), "{text}");
    let printed = landfall().arg("generate").arg(&file).output().unwrap().stdout;
    assert_eq!(String::from_utf8(printed).unwrap(), text, "without --out it is printed");
    assert!(generate(&["--check"]).status().unwrap().success());
    std::fs::write(&file, format!("{SCHEMA}title = \"text\"\n")).unwrap();
    refused(generate(&["--check"]), 1, "LF-7008");
    std::fs::remove_file(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    refused(generate(&[]), 2, "LF-7009");
}

#[test]
fn a_development_token_is_the_bare_name() {
    let output = landfall().args(["token", "--sub", "ada"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "dev:ada\n");
    let mut claims = landfall();
    claims.args(["token", "--sub", "ada", "--claim", "team=7"]);
    refused(claims, 2, "LF-7005");
}

#[test]
fn a_command_that_cannot_be_read_says_so_with_a_code() {
    for arguments in [&["serv"][..], &["serve", "--fast"], &["shell", "a.db"], &["token", "--sub"], &[]] {
        let mut command = landfall();
        command.args(arguments);
        refused(command, 2, "[LF-7018]");
    }
    for arguments in [&["--help"][..], &["--version"], &["help", "serve"]] {
        let Output { status, stdout, stderr } = landfall().args(arguments).output().unwrap();
        assert!(status.success() && !stdout.is_empty() && stderr.is_empty(), "{arguments:?}");
    }
}
