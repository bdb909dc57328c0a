//! Processes that die, files that vanish: nothing acknowledged is lost, nothing counts twice.

use crate::world::{Device, World, texts};

fn insert(number: usize) -> String {
    format!("INSERT INTO notes (owner, title) VALUES ('ada', 'note {number:04}')")
}

fn titles(device: &Device) -> Vec<String> {
    texts(&device.rows("SELECT title FROM notes ORDER BY title"), "title")
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("note {n:04}")).collect()
}

/// A device with `count` writes that no server has seen.
fn fill(device: &Device, count: usize) {
    let mut talk = device.talk(&["--offline", "--open", "my_notes"]);
    for number in 0..count {
        talk.say(&insert(number));
    }
    let said = talk.bye();
    assert_eq!(said.iter().filter(|line| line.contains("written")).count(), count);
}

#[test]
fn a_server_that_dies_amid_pushes_loses_nothing_and_doubles_nothing() {
    let world = World::new();
    let mut server = world.server();
    let device = world.device("laptop", &server);
    let count = 150;
    fill(&device, count);
    // A second stream of writes, so that the server is always in the middle of something when it dies.
    let mut talk = device.talk(&[]);
    let mut written = count;
    for _ in 0..3 {
        for _ in 0..20 {
            talk.say(&insert(written));
            written += 1;
        }
        talk.until(|line| line.contains("written"));
        server.kill();
        server = server.again();
    }
    talk.say(".sync");
    talk.until(|line| line == "synced");
    talk.bye();

    assert_eq!(titles(&device), expected(written));
    assert!(device.rows(".outbox").is_empty());
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.rows::<String>("SELECT title FROM notes ORDER BY title"), expected(written));
    let twice = "SELECT count(*) - count(DISTINCT hex(replica) || rseq) FROM _landfall_log";
    assert_eq!(server.rows::<i64>(twice), [0]);
}

#[test]
fn a_device_that_dies_while_writing_keeps_every_write_that_it_acknowledged() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    device.offline(&[".open my_notes"]).ok();
    let mut there = 0;
    for options in [&["--offline"][..], &[], &[]] {
        let mut talk = device.talk(options);
        for number in there..there + 200 {
            talk.say(&insert(number));
        }
        for _ in 0..25 {
            talk.until(|line| line.contains("written"));
        }
        talk.kill();
        let heard = 25 + talk.rest().iter().filter(|line| line.contains("written")).count();
        let before = there;
        there = titles(&device).len();
        assert!(there >= before + heard, "{heard} were acknowledged after {before}, {there} are there");
        assert_eq!(titles(&device), expected(there), "in order, without holes");
    }
    device.online(&[".sync"]).ok();
    let other = world.device("phone", &server);
    other.online(&[".open my_notes", ".sync"]).ok();
    assert_eq!(titles(&other), expected(there), "each once");
}

#[test]
fn a_shutdown_answers_what_it_took_and_devices_come_back() {
    let world = World::new();
    let mut server = world.server();
    let device = world.device("laptop", &server);
    let mut talk = device.talk(&["--open", "my_notes"]);
    for number in 0..50 {
        talk.say(&insert(number));
    }
    for _ in 0..50 {
        talk.until(|line| line.contains("written"));
    }
    assert_eq!(server.stop(), Some(0), "a session that is open does not keep it");
    let _server = server.again();
    talk.say(".sync");
    talk.until(|line| line == "synced");
    talk.bye();
    assert_eq!(titles(&device), expected(50));
}

#[test]
fn a_lost_or_damaged_database_is_made_anew_without_losing_what_was_not_sent() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 4] = [
        ("deleted", |path| std::fs::remove_file(path).unwrap()),
        ("emptied", |path| std::fs::write(path, "").unwrap()),
        ("overwritten at its head", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[..4096].fill(0xAA);
            std::fs::write(path, bytes).unwrap();
        }),
        ("overwritten in the middle", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let length = bytes.len();
            bytes[4096..length].fill(0x55);
            std::fs::write(path, bytes).unwrap();
        }),
    ];
    let world = World::new();
    let server = world.server();
    for (name, damage) in damages {
        let device = world.device(name, &server);
        let other = |n: usize| format!("INSERT INTO notes (owner, title) VALUES ('ada', '{name} {n}')");
        device.online(&[".open my_notes", &other(1), ".sync"]).ok();
        device.offline(&[&other(2), &other(3)]).ok();
        damage(&device.database);

        let pending = device.rows(".outbox");
        assert_eq!(texts(&pending, "state").len(), 2, "{name}: {pending:?}");
        device.online(&[".open my_notes", ".sync"]).ok();
        let query = format!("SELECT title FROM notes WHERE title LIKE '{name}%' ORDER BY title");
        let all: Vec<String> = (1..=3).map(|n| format!("{name} {n}")).collect();
        assert_eq!(texts(&device.rows(&query), "title"), all);
        assert!(device.rows(".outbox").is_empty());
    }
}

#[test]
fn a_damaged_mirror_of_a_lost_database_is_kept_and_what_is_missing_is_told() {
    let world = World::new();
    let server = world.server();
    for hit in ["a record", "all of it"] {
        let device = world.device(hit, &server);
        for title in ["first", "second", "third"] {
            device.offline(&[&format!("INSERT INTO notes (owner, title) VALUES ('ada', '{title}')")]).ok();
        }
        let mirror = device.database.with_file_name(format!("{hit}.outbox"));
        let mut bytes = std::fs::read(&mirror).unwrap();
        match hit {
            "a record" => {
                let at = bytes.windows(6).position(|w| w == b"second").unwrap();
                bytes[at] ^= 1;
            }
            _ => bytes.fill(0x55),
        }
        std::fs::write(&mirror, &bytes).unwrap();
        std::fs::remove_file(&device.database).unwrap();

        let ran = device.offline(&[".outbox", ".status"]);
        let told =
            ran.err.lines().find(|line| line.contains("[LF-5304]")).unwrap_or_else(|| panic!("{ran:?}")).to_owned();
        let lines = ran.objects();
        let (status, pending) = lines.split_last().unwrap();
        let left = if hit == "a record" { 2 } else { 0 };
        assert_eq!((pending.len(), status["pending"].as_u64()), (left, Some(left as u64)));
        let problem = status["recovery_problem"].as_str().unwrap();
        assert!(told.contains(problem), "{told}");
        // The file that the sentence names is the damaged one, as it was.
        let kept = std::fs::read_dir(device.database.parent().unwrap()).unwrap().map(|e| e.unwrap().path());
        let kept: Vec<_> = kept.filter(|path| problem.contains(&path.display().to_string())).collect();
        assert!(
            kept.iter().any(|path| *path != mirror && std::fs::read(path).unwrap() == bytes),
            "{problem}: {kept:?}"
        );
        // Told once; and what is left is synced.
        let ran = device.online(&[".sync"]);
        assert!(!ran.err.contains("LF-5304"), "{ran:?}");
        ran.ok();
    }
}

#[test]
fn one_database_has_one_owner_at_a_time() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    let mut talk = device.talk(&[]);
    talk.say("SELECT 1");
    talk.hear();
    let sentence = device.online(&["SELECT 1"]);
    assert!(sentence.refused(1, "LF-5008").contains("close it there"), "{sentence:?}");
    talk.bye();
    device.online(&["SELECT 1"]).ok();
}
