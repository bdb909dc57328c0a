//! What an operator reads: the log of a real server, one JSON object a line.

use std::collections::BTreeSet;
use std::fs::File;

use serde_json::Value as Json;

use crate::world::{Device, Server, World};

/// The first part of a device's replica id, from its database.
fn replica(device: &Device) -> String {
    let database = rusqlite::Connection::open(&device.database).unwrap();
    let query = "SELECT lower(hex(value)) FROM _landfall_meta WHERE name = 'replica'";
    database.query_row(query, [], |row| row.get::<_, String>(0)).unwrap()[..8].to_owned()
}

#[test]
fn one_device_can_be_followed_through_the_log() {
    let world = World::new();
    let log = File::create(world.path("log")).unwrap();
    let options = ["--dev", "--log-json"];
    let mut server = Server::start_with(&[], world.path("server"), "127.0.0.1:0", &options, log.into());
    let (laptop, phone) = (world.device("laptop", &server), world.device("phone", &server).with_token("dev:bob"));
    for (device, owner) in [(&laptop, "ada"), (&phone, "bob"), (&laptop, "ada")] {
        let secret = format!("INSERT INTO notes (owner, title) VALUES ('{owner}', 'nobody reads this')");
        device.online(&[".open my_notes", &secret, ".sync"]).ok();
    }
    laptop.with_token("nonsense").online(&[".sync 5"]).refused(1, "LF-7013");
    assert_eq!(server.stop(), Some(0));

    let text = std::fs::read_to_string(world.path("log")).unwrap();
    assert!(!text.contains("nobody reads this") && !text.contains("nonsense"), "neither rows nor tokens");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()).collect::<Vec<_>>();
    let of = |device: &Device, subject: &str| {
        let mut peers = BTreeSet::new();
        let mine = lines.iter().filter(|line| line["span"]["replica"] == replica(device).as_str());
        let told = mine.map(|line| {
            let span = &line["span"];
            assert_eq!((&span["name"], &span["subject"]), (&"session".into(), &subject.into()));
            peers.insert(span["peer"].as_str().unwrap().parse::<std::net::SocketAddr>().unwrap());
            line["fields"]["message"].as_str().unwrap()
        });
        (told.collect::<Vec<_>>(), peers.len())
    };
    let session = ["the session has begun", "the session has ended"];
    assert_eq!(of(&phone, "bob"), (session.to_vec(), 1));
    assert_eq!(of(&laptop, "ada"), ([session, session].concat(), 2), "{text}");
    let refused = lines.iter().find(|line| line["fields"]["code"] == "LF-4004").expect("the refusal");
    assert!(refused["span"]["peer"].is_string() && refused["span"]["subject"].is_null(), "{refused}");
}
