//! What a person or an operator gets wrong: one clear sentence with a code, and nothing stored is lost.

use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::world::{Device, Ran, Server, World, journal, landfall, run, run_landfall, texts};

const WRITE: &str = "INSERT INTO notes (owner, title) VALUES ('ada', 'kept')";

fn kept(device: &Device) {
    assert_eq!(texts(&device.rows("SELECT title FROM notes"), "title"), ["kept"], "nothing stored is lost");
}

#[test]
fn mistakes_at_the_shell_are_one_sentence_and_lose_nothing() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    device.offline(&[WRITE]).ok();
    let cases = [
        (".open nothing", 2, "LF-7011", "my_notes"),
        (".open posts_by_author", 2, "LF-7012", "author=TEXT"),
        (".open posts_by_author name=ada", 2, "LF-7012", "'name' is no parameter"),
        (".open posts_by_topic topic=a likes=many", 2, "LF-7012", "'many' is no integer"),
        (".open posts_by_topic likes", 2, "LF-7012", "NAME=VALUE"),
        (".close 7", 2, "LF-7015", ".shapes"),
        (".close first", 2, "LF-7014", "first"),
        (".retry 7", 1, "LF-5025", "list the outbox"),
        (".discard 7", 1, "LF-5025", "list the outbox"),
        (".frobnicate", 2, "LF-7010", ".help"),
        ("SELEC 1", 1, "LF-5020", "syntax"),
        ("SELECT nothing FROM notes", 1, "LF-5020", "nothing"),
        ("DROP TABLE notes", 1, "LF-5021", "kept by the engine"),
        ("DELETE FROM _landfall_outbox", 1, "LF-5021", "_landfall_outbox"),
        ("UPDATE notes SET title = NULL", 1, "LF-2002", "notes.title"),
        ("UPDATE notes SET rating = 9", 1, "LF-2005", "maximum"),
        ("UPDATE notes SET mood = 'furious'", 1, "LF-2006", "calm"),
        ("UPDATE notes SET budget = 1.5", 1, "LF-5023", "budget"),
        ("UPDATE notes SET id = '01a1fc03-4a9f-7522-888f-27f45f27270e'", 1, "LF-5022", "primary key"),
        ("UPDATE notes SET body = zeroblob(1073741824)", 1, "LF-2003", "store it as a file"),
        ("UPDATE notes SET body = hex(zeroblob(4500000))", 1, "LF-2003", "store it as a file"),
        ("UPDATE notes SET id = 'nonsense'", 1, "LF-5023", "error: notes.id: a column of type uuid"),
        ("UPDATE notes SET title = hex(zeroblob(4500))", 1, "LF-2003", "200"),
        (".watch DELETE FROM notes", 1, "LF-5201", "SELECT"),
    ];
    for (line, exit, code, says) in cases {
        let ran = device.offline(&[line]);
        assert!(ran.refused(exit, code).contains(says), "{line}: {ran:?}");
    }
    kept(&device);
    assert_eq!(device.rows(".outbox").len(), 1);
}

#[test]
fn input_that_is_not_text_is_not_dropped_in_silence() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    let write = |title: &[u8]| [b"INSERT INTO notes (owner, title) VALUES ('ada', '", title, b"')\n"].concat();
    let script = world.path("script");
    std::fs::write(&script, [write(b"kept"), write(b"b\xffd"), write(b"after")].concat()).unwrap();
    let ran = device.offline_from(&script);
    assert!(ran.refused(1, "LF-7017").contains("line 2"), "{ran:?}");
    kept(&device);
}

#[test]
fn an_address_without_a_server_says_so_and_writes_wait() {
    let world = World::new();
    let server = world.server();
    let mut device = world.device("laptop", &server);
    device.offline(&[WRITE]).ok();
    let sync = |address: Option<&str>, lines: &[&str]| {
        let device = Device { server: address.map(str::to_owned), ..device.clone() };
        device.online(lines)
    };
    for nonsense in ["ht!tp:/", "ftp://127.0.0.1", "http://", "http://127.0.0.1:port", ""] {
        sync(Some(nonsense), &[".sync 1"]).refused(2, "LF-5902");
    }
    sync(None, &[".sync"]).refused(2, "LF-7016");
    sync(None, &[".online"]).refused(2, "LF-7016");
    let ran = device.offline(&[".sync"]);
    assert!(ran.refused(1, "LF-7013").contains(".online"), "{ran:?}");

    let nobody = sync(Some("http://127.0.0.1:1"), &[".sync 1"]);
    assert!(nobody.refused(1, "LF-7013").contains("http://127.0.0.1:1 cannot be reached"), "{nobody:?}");
    let unknown = sync(Some("http://nowhere.invalid:1"), &[".sync 1"]);
    assert!(unknown.refused(1, "LF-7013").contains("nowhere.invalid"), "{unknown:?}");
    let other = other_server();
    let ran = sync(Some(&other), &[".sync 1"]);
    assert!(ran.refused(1, "LF-7013").contains("is it a Landfall server?"), "{ran:?}");

    kept(&device);
    device.server = Some(format!("http://{}", server.address));
    device.online(&[".sync"]).ok();
}

/// Something else that speaks HTTP.
fn other_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    format!("http://{address}")
}

#[test]
fn another_apps_server_takes_nothing_and_breaks_nothing() {
    let world = World::new();
    let server = world.server();
    let text = std::fs::read_to_string(journal()).unwrap().replace("name = \"journal\"", "name = \"diary\"");
    let schema = world.file("diary.toml", &text);
    let diary = Device { schema, ..world.device("diary", &server) };
    diary.offline(&[WRITE]).ok();
    let ran = diary.online(&[".sync 5"]);
    assert!(ran.refused(1, "LF-7013").contains("LF-4008"), "{ran:?}");
    kept(&diary);
    assert_eq!(diary.rows(".outbox").len(), 1);
}

#[test]
fn a_wrong_schema_is_shown_with_every_mistake_at_its_place() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    device.offline(&[WRITE]).ok();
    let wrong = world.file(
        "wrong.toml",
        "[app]\nname = \"x\"\nversion = 1\n[tables.a.columns]\nid = { type = \"uuid\" }\nn = { type = \"intger\" }\n\
         m = { type = \"integer\" }\n[shapes.s]\ntable = \"b\"\n[shapes.t]\ntable = \"a\"\nwhere = \"m = 'x'\"\n",
    );
    let shown = |ran: &Ran| {
        assert_eq!(ran.exit, Some(2), "{ran:?}");
        for place in ["LF-1009", "wrong.toml:6:", "LF-1016", "wrong.toml:9:", "LF-1026", "wrong.toml:12:", "3 mistakes"]
        {
            assert!(ran.err.contains(place), "{place} is missing: {}", ran.err);
        }
        assert!(!ran.err.contains("panicked"));
    };
    shown(&run_landfall(&["check".as_ref(), wrong.as_os_str()]));
    shown(&Device { schema: wrong.clone(), ..device.clone() }.offline(&["SELECT 1"]));
    let mut serve = landfall();
    serve.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]).arg(&server.data).arg("--schema").arg(&wrong);
    shown(&run(&mut serve));
    kept(&device);

    let gone =
        std::fs::read_to_string(journal()).unwrap().replace("rating  = { type = \"float\", min = 0, max = 5 }", "");
    let gone = Device { schema: world.file("gone.toml", &gone), ..device.clone() };
    let ran = gone.offline(&["SELECT 1"]);
    assert!(ran.refused(1, "LF-5006").contains("rating"), "{ran:?}");
    kept(&device);
}

/// A file that is not this app's database, and what device and server say to it.
struct Foreign {
    name: &'static str,
    make: fn(&Path, own: &Path),
    device: &'static str,
    server: &'static str,
}

const FOREIGN: &[Foreign] = &[
    Foreign {
        name: "not a database",
        make: |path, _| std::fs::write(path, "Dear diary,\n".repeat(500)).unwrap(),
        device: "LF-5001",
        server: "LF-6003",
    },
    Foreign {
        name: "another program's",
        make: |path, _| {
            let other = rusqlite::Connection::open(path).unwrap();
            other.execute_batch("CREATE TABLE notes (id, title); INSERT INTO notes VALUES (1, 'theirs')").unwrap();
        },
        device: "LF-5007",
        server: "LF-6001",
    },
    Foreign {
        name: "of a newer format",
        make: |path, own| {
            std::fs::copy(own, path).unwrap();
            rusqlite::Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        },
        device: "LF-5003",
        server: "LF-6002",
    },
];

#[test]
fn a_file_that_is_not_ours_is_left_as_it_is() {
    let world = World::new();
    let mut server = world.server();
    let device = world.device("laptop", &server);
    device.online(&[".open my_notes", WRITE, ".sync"]).ok();
    assert_eq!(server.stop(), Some(0));
    for foreign in FOREIGN {
        let path = world.path(foreign.name);
        (foreign.make)(&path, &device.database);
        let before = std::fs::read(&path).unwrap();
        let ran = Device { database: path.clone(), ..device.clone() }.offline(&["SELECT 1"]);
        ran.refused(1, foreign.device);
        assert!(std::fs::read(&path).unwrap() == before, "{}", foreign.name);

        let data = world.path(&format!("{} on the server", foreign.name));
        std::fs::create_dir(&data).unwrap();
        (foreign.make)(&data.join("landfall.db"), &server.data.join("landfall.db"));
        let before = std::fs::read(data.join("landfall.db")).unwrap();
        serve(&data, &journal()).refused(2, foreign.server);
        assert!(std::fs::read(data.join("landfall.db")).unwrap() == before, "{}", foreign.name);
    }

    let text = std::fs::read_to_string(journal()).unwrap().replace("name = \"journal\"", "name = \"diary\"");
    let diary = world.file("diary.toml", &text);
    Device { schema: diary.clone(), ..device.clone() }.offline(&["SELECT 1"]).refused(1, "LF-5002");
    serve(&server.data, &diary).refused(2, "LF-6001");
    kept(&device);
    assert_eq!(server.rows::<String>("SELECT title FROM notes"), ["kept"]);
}

fn serve(data: &Path, schema: &Path) -> Ran {
    let mut command = landfall();
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]).arg(data).arg("--schema").arg(schema);
    command.env("RUST_LOG", "off");
    run(&mut command)
}

#[test]
fn a_port_in_use_is_named() {
    let world = World::new();
    let server = world.server();
    let mut command = landfall();
    command.args(["serve", "--dev", "--listen", &server.address]).arg("--data").arg(world.path("second"));
    command.arg("--schema").arg(journal());
    let ran = run(&mut command);
    assert!(ran.refused(1, "LF-7004").contains(&server.address), "{ran:?}");
    let _still_there: Server = server;
}
