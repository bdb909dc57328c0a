//! Devices that share data, with and without the network between them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::world::{Server, World, copy, run_landfall, texts};

const NOTE: &str = "01a1fc03-4a9f-7522-888f-27f45f27270e";

fn insert(title: &str) -> String {
    format!("INSERT INTO notes (owner, title) VALUES ('ada', '{title}')")
}

#[test]
fn what_is_written_offline_reaches_the_other_device() {
    let world = World::new();
    let server = world.server();
    let (laptop, phone) = (world.device("laptop", &server), world.device("phone", &server));
    laptop.offline(&[".open my_notes", &insert("on the ferry")]).ok();

    assert_eq!(texts(&laptop.rows("SELECT title FROM notes"), "title"), ["on the ferry"], "it is there at once");
    assert_eq!(texts(&laptop.rows(".outbox"), "state"), ["pending"], "and says that it is not sent");

    laptop.online(&[".sync"]).ok();
    assert!(laptop.rows(".outbox").is_empty());
    phone.online(&[".open my_notes", ".sync"]).ok();
    assert_eq!(texts(&phone.rows("SELECT title FROM notes"), "title"), ["on the ferry"]);
}

#[test]
fn a_device_without_the_network_says_when_it_was_in_step_with_the_server() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    let synced = || device.offline(&[".status"]).objects()[0]["last_synced_ms"].as_u64();
    device.offline(&[".open my_notes"]).ok();
    assert_eq!(synced(), None, "it never was");
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    device.online(&[".sync"]).ok();
    let first = synced().expect("kept by the database");
    assert!(first >= before, "{first} {before}");
    let shown = device.run(&["--offline"], &[".status"]).ok();
    assert!(shown.contains("last synced   just now\n"), "{shown}");
    device.online(&[".sync"]).ok();
    assert!(synced().is_some_and(|again| again > first), "nothing had happened, and that is news");
}

#[test]
fn the_shell_tells_queries_from_writes_by_what_they_do() {
    let world = World::new();
    let server = world.server();
    let laptop = world.device("laptop", &server);
    for query in ["/* x */ SELECT 1 AS a", "-- c\nSELECT 1 AS a", "WITH x AS (SELECT 'delete ') SELECT 1 AS a FROM x"] {
        assert_eq!(laptop.offline(&[query]).ok(), "{\"a\":1}\n", "{query}");
    }
    assert_eq!(laptop.offline(&["SELECT 1 AS a; /* ; */ SELECT 2 AS a"]).objects().len(), 2, "each is answered");
    let write = format!("/* select */ {}; SELECT 1", insert("first"));
    assert_eq!(laptop.offline(&["-- nothing", &write]).objects()[0]["transaction"], 1);
}

#[test]
fn edits_of_one_row_merge_by_column_and_one_wins_where_they_meet() {
    let world = World::new();
    let server = world.server();
    let (laptop, phone) = (world.device("laptop", &server), world.device("phone", &server));
    let first = format!("INSERT INTO notes (id, owner, title) VALUES ('{NOTE}', 'ada', 'both')");
    laptop.online(&[".open my_notes", &first, ".sync"]).ok();
    phone.online(&[".open my_notes", ".sync"]).ok();

    laptop.offline(&["UPDATE notes SET title = 'from the laptop', mood = 'glad'"]).ok();
    phone.offline(&["UPDATE notes SET body = 'from the phone', mood = 'calm'"]).ok();
    for device in [&laptop, &phone, &laptop] {
        device.online(&[".sync"]).ok();
    }

    let query = "SELECT title, body, mood FROM notes";
    let (on_laptop, on_phone) = (laptop.rows(query), phone.rows(query));
    assert_eq!(on_laptop, on_phone, "both show the same");
    assert_eq!(on_laptop[0]["title"], "from the laptop");
    assert_eq!(on_laptop[0]["body"], "from the phone");
    let mood = on_laptop[0]["mood"].as_str().unwrap();
    assert!(["glad", "calm"].contains(&mood), "one of the two wins: {mood}");
}

#[test]
fn a_refused_write_becomes_a_dead_letter_that_a_person_settles() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    let theirs = "INSERT INTO notes (owner, title) VALUES ('bob', 'not mine')";
    device.online(&[".open my_notes", &insert("mine"), theirs, ".sync"]).ok();

    assert_eq!(texts(&device.rows("SELECT title FROM notes"), "title"), ["mine"], "only the refused one is undone");
    let outbox = device.rows(".outbox");
    assert_eq!(texts(&outbox, "state"), ["failed"]);
    assert_eq!(outbox[0]["problem"]["code"], "LF-3001");
    assert!(outbox[0]["problem"]["message"].as_str().unwrap().contains("not allowed"));

    let number = outbox[0]["rseq"].to_string();
    let retried = device.online(&[&format!(".retry {number}"), ".sync", ".outbox"]).objects();
    let again = retried.last().unwrap();
    assert_eq!(again["state"], "failed", "it is offered again, and refused again: {retried:?}");
    let left = device.online(&[&format!(".discard {}", again["rseq"]), ".outbox"]).objects();
    assert_eq!(left.len(), 1, "nothing is left but the answer: {left:?}");
    device.online(&[&format!(".discard {}", again["rseq"])]).refused(1, "LF-5025");
    assert_eq!(texts(&device.rows("SELECT title FROM notes"), "title"), ["mine"]);
}

#[test]
fn private_notes_stay_with_their_owner() {
    let world = World::new();
    let server = world.server();
    let ada = world.device("ada", &server);
    let bob = world.device("bob", &server).with_token("dev:bob");
    ada.online(&[".open my_notes", &insert("private"), ".sync"]).ok();
    let public = "INSERT INTO notes (owner, title, public) VALUES ('ada', 'for all', 1)";
    ada.online(&[public, ".sync"]).ok();

    bob.online(&[".open my_notes", ".open public_notes owner=ada", ".open my_tags", ".sync"]).ok();
    assert_eq!(texts(&bob.rows("SELECT title FROM notes"), "title"), ["for all"]);
    let bytes = std::fs::read(&bob.database).unwrap();
    assert!(!bytes.windows(7).any(|w| w == b"private"), "not even in the file");

    ada.online(&["UPDATE notes SET public = 0", ".sync"]).ok();
    bob.online(&[".sync"]).ok();
    assert!(bob.rows("SELECT title FROM notes").is_empty(), "what is taken back goes");
}

#[test]
fn without_a_valid_token_writes_wait_for_a_sign_in() {
    let world = World::new();
    let secret = world.file("secret", "0123456789012345678901234567890123456789");
    let other = world.file("other", "another secret that is long enough to be one");
    let token = |file: &std::path::Path, seconds: i64| {
        let key = jsonwebtoken::EncodingKey::from_secret(&std::fs::read(file).unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let claims = serde_json::json!({ "sub": "ada", "exp": now + seconds });
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let server = Server::start(world.path("server"), "127.0.0.1:0", &["--jwt-secret-file", secret.to_str().unwrap()]);
    let device = world.device("laptop", &server);
    device.offline(&[".open my_notes", &insert("kept")]).ok();

    for wrong in ["dev:ada", "nonsense", &token(&secret, -3_600), &token(&other, 60)] {
        let device = device.with_token(wrong);
        let ran = device.online(&[".sync"]);
        let sentence = ran.refused(1, "LF-7013");
        assert!(sentence.contains("LF-4004") && sentence.contains("1 transaction safe on this device"), "{sentence}");
        assert_eq!(device.rows(".outbox").len(), 1, "nothing is lost");
    }
    let file = secret.to_str().unwrap();
    let minted = run_landfall(&["token", "--sub", "ada", "--jwt-secret-file", file]).ok();
    device.with_token(minted.trim()).online(&[".sync"]).ok();
    assert!(device.rows(".outbox").is_empty());
    assert_eq!(texts(&device.rows("SELECT title FROM notes"), "title"), ["kept"]);
}

#[test]
fn writes_never_leave_under_another_subject() {
    let world = World::new();
    let server = world.server();
    let device = world.device("laptop", &server);
    device.online(&[".open my_notes", &insert("from ada"), ".sync"]).ok();
    device.offline(&[&insert("still from ada")]).ok();
    let ran = device.with_token("dev:bob").online(&[".sync"]);
    assert!(ran.refused(1, "LF-7013").contains("LF-4013"), "{ran:?}");
    device.online(&[".sync"]).ok();
    assert_eq!(device.rows("SELECT title FROM notes").len(), 2);
}

#[test]
fn a_server_restored_from_an_older_copy_gets_everything_back() {
    let world = World::new();
    let mut server = world.server();
    let (laptop, phone) = (world.device("laptop", &server), world.device("phone", &server));
    laptop.online(&[".open my_notes", &insert("before the copy"), ".sync"]).ok();
    assert_eq!(server.stop(), Some(0));
    let kept = world.path("kept");
    copy(&server.data, &kept);

    let mut server = server.again();
    laptop.online(&[&insert("after the copy"), ".sync"]).ok();
    phone.online(&[".open my_notes", &insert("from the phone"), ".sync"]).ok();
    server.kill();
    std::fs::remove_dir_all(&server.data).unwrap();
    copy(&kept, &server.data);

    let mut server = server.again();
    for device in [&laptop, &phone, &laptop] {
        device.online(&[".sync"]).ok();
    }
    let query = "SELECT title FROM notes ORDER BY title";
    let all = ["after the copy", "before the copy", "from the phone"];
    assert_eq!(texts(&laptop.rows(query), "title"), all);
    assert_eq!(texts(&phone.rows(query), "title"), all);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.rows::<String>(query), all);
}
