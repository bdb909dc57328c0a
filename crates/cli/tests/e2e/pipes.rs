//! Standard output and standard error that nobody reads, or that take no more.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::world::{Server, World, journal, landfall, signal};

/// A pipe whose reader has gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk that has no room.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// How a command ends with this standard output, and what it says on the other.
fn ended(command: &mut Command, out: Stdio) -> (Option<i32>, String) {
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// `… | head -1`, and `… > file` on a full disk: once a panic with its back trace.
#[test]
fn an_answer_that_nobody_takes_ends_the_command_in_order() {
    let world = World::new();
    let database = world.path("laptop.db");
    let shell = |line: &str| {
        let mut command = landfall();
        command.args(["shell", "--offline", "--schema"]).arg(journal()).arg(&database).args(["-c", line]);
        command
    };
    let about = |name: &str| {
        let mut command = landfall();
        command.arg(name).arg(journal());
        command
    };
    let mut version = landfall();
    version.arg("version");
    let mut token = landfall();
    token.args(["token", "--sub", "ada"]);
    let commands = [
        version,
        about("check"),
        about("compile"),
        about("generate"),
        shell("SELECT 1"),
        shell(".tables"),
        shell("INSERT INTO notes (owner, title) VALUES ('ada', 'kept')"),
    ];
    for mut command in commands {
        let (exit, said) = ended(&mut command, unread());
        assert_eq!((exit, said.as_str()), (Some(141), ""), "{command:?}");
        let (exit, said) = ended(&mut command, full());
        assert!(exit == Some(1) && said.ends_with("[LF-7019]\n") && said.lines().count() == 1, "{command:?}: {said}");
    }
    let mut count = shell("SELECT count(*) AS n FROM notes WHERE title = 'kept'");
    assert!(String::from_utf8_lossy(&count.output().unwrap().stdout).contains('2'), "what was written is there");
}

/// A log that nobody reads once ended every session that had something to say.
#[test]
fn a_server_whose_log_nobody_reads_serves_on() {
    let world = World::new();
    for (name, log) in [("unread", unread()), ("full", full())] {
        let mut server = Server::start_with(&[], world.path(name), "127.0.0.1:0", &["--dev"], log);
        let device = world.device(&format!("{name}.db"), &server);
        let insert = "INSERT INTO notes (owner, title) VALUES ('ada', 'sea')";
        device.online(&[".open my_notes", insert, ".sync"]).ok();
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn a_server_that_cannot_say_where_it_is_serves_all_the_same() {
    let world = World::new();
    let mut command = landfall();
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--schema"]).arg(journal());
    command.arg("--data").arg(world.path("data"));
    let mut child = command.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = log.by_ref().map_while(Result::ok).any(|line| line.contains("ready"));
    signal("TERM", child.id());
    log.for_each(drop);
    assert_eq!((ready, child.wait().unwrap().code()), (true, Some(0)));
}
