//! `docs/session.md` and the two devices of the README are recordings: these tests make the sessions again and compare.
//! `LANDFALL_RECORD=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{Server, Talk, World, landfall, run};

const LISTENS: &str = "http://127.0.0.1:8787";
const MARK: &str = "the answer ends here";

const HEAD: &str = "# Two devices, one server

A recording; the tests make this session again and compare. The server runs the example, in a terminal of its own:

```
$ landfall serve --schema examples/journal/landfall.toml --data ./data --dev
Landfall serves journal on http://127.0.0.1:8787
```

The laptop begins without the network, the phone comes later. Each is one command:

```
$ landfall shell laptop.db --schema examples/journal/landfall.toml --server http://127.0.0.1:8787 --token dev:ada --offline
$ landfall shell phone.db --schema examples/journal/landfall.toml --server http://127.0.0.1:8787 --token dev:ada
```
";

/// What happens: text for the reader, a line typed on a device, or a line that a device prints by itself.
enum Step {
    Text(&'static str),
    Types(usize, &'static str),
    Prints(usize),
    /// Two seconds pass: concurrent edits are ordered by time as exactly as the network is quick.
    Later,
}

use Step::{Later, Prints, Text, Types};

const LAPTOP: usize = 0;
const PHONE: usize = 1;

const STEPS: &[Step] = &[
    Text("A note is written at once. That it is not on the server yet is no reason to wait."),
    Types(LAPTOP, ".open my_notes"),
    Types(
        LAPTOP,
        "INSERT INTO notes (id, owner, title, mood) VALUES ('01a1fc03-4a9f-7522-888f-27f45f27270e', 'ada', 'On the ferry', 'glad')",
    ),
    Types(LAPTOP, "SELECT title, body, mood FROM notes"),
    Types(LAPTOP, ".outbox"),
    Text("The network is back. The phone is watching."),
    Types(PHONE, ".open my_notes"),
    Types(PHONE, ".sync"),
    Types(PHONE, ".watch SELECT title, body, mood FROM notes"),
    Types(LAPTOP, ".online"),
    Types(LAPTOP, ".sync"),
    Prints(PHONE),
    Types(LAPTOP, ".outbox"),
    Text("Both go offline, and both edit the note."),
    Types(PHONE, ".unwatch"),
    Types(PHONE, ".offline"),
    Types(LAPTOP, ".offline"),
    Types(LAPTOP, "UPDATE notes SET title = 'On the ferry to Hven', mood = 'calm'"),
    Later,
    Types(PHONE, "UPDATE notes SET body = 'Gulls.', mood = 'tired'"),
    Text("Different columns merge. For the mood, the later edit wins, on both."),
    Types(LAPTOP, ".online"),
    Types(LAPTOP, ".sync"),
    Types(PHONE, ".online"),
    Types(PHONE, ".sync"),
    Types(PHONE, "SELECT title, body, mood FROM notes"),
    Types(LAPTOP, ".sync"),
    Types(LAPTOP, "SELECT title, body, mood FROM notes"),
    Text("What the server refuses is undone, kept, and explained."),
    Types(
        LAPTOP,
        "INSERT INTO notes (id, owner, title) VALUES ('01a1fc03-4e10-7c4f-8b51-e9c67797e863', 'bob', 'Not mine')",
    ),
    Types(LAPTOP, ".sync"),
    Types(LAPTOP, ".outbox"),
    Types(LAPTOP, ".discard 3"),
    Types(LAPTOP, ".status"),
];

/// Everything that a line prints. A second line with a known answer says where it ends.
fn ask(talk: &mut Talk, line: &str) -> String {
    talk.say(line);
    talk.say(&format!("SELECT '{MARK}' AS {}", "mark"));
    let mut said = Vec::new();
    loop {
        match talk.hear() {
            line if line.trim() == MARK => break,
            line => said.push(line),
        }
    }
    assert_eq!(talk.hear(), "1 row");
    said.truncate(said.len() - 2);
    said.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_recorded_session_is_what_happens() {
    let world = World::new();
    let server = world.server();
    let (laptop, phone) = (world.device("laptop", &server), world.device("phone", &server));
    let mut talks = [laptop.talk(&["--offline"]), phone.talk(&[])];
    let names = ["laptop", "phone"];
    let mut page = HEAD.to_owned();
    let mut open = false;
    for step in STEPS {
        if let Text(text) = step {
            page.push_str(if open { "```\n" } else { "" });
            let _ = write!(page, "\n{text}\n\n```\n");
            open = true;
            continue;
        }
        let shown = match step {
            Types(who, line) => format!("{}> {line}\n{}", names[*who], ask(&mut talks[*who], line)),
            Prints(who) => format!("{}: {}\n", names[*who], talks[*who].hear()),
            Later => {
                let began = Instant::now();
                while began.elapsed() < Duration::from_secs(2) {
                    ask(&mut talks[LAPTOP], "SELECT 1");
                }
                continue;
            }
            Text(_) => continue,
        };
        page.push_str(&shown.replace(&format!("http://{}", server.address), LISTENS));
    }
    page.push_str("```\n");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/session.md");
    if std::env::var_os("LANDFALL_RECORD").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap();
    assert_eq!(recorded, page, "record anew with LANDFALL_RECORD=1");
}

/// A text of the project, and where the block of it that begins with this stands.
fn block(document: &str, begin: &str) -> (String, std::ops::Range<usize>) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document)).unwrap();
    let start = text.find(begin).unwrap_or_else(|| panic!("{document} has no {begin}")) + begin.len();
    let end = start + text[start..].find("```").unwrap();
    (text, start..end)
}

/// Ids of rows are drawn anew each time.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let words = text.split_inclusive(|c: char| c.is_whitespace());
    words
        .map(|word| if is_id(word.trim_end()) { word.replace(word.trim_end(), "ID") } else { word.to_owned() })
        .collect()
}

#[test]
fn the_two_devices_of_the_readme_do_what_is_shown() {
    let world = World::new();
    let (guide, schema) = block("docs/guide.md", "```toml\n");
    let schema = world.file("landfall.toml", &guide[schema]);
    let server = Server::of(&schema, world.path("server"));
    let (mut readme, place) = block("README.md", "are set.\n\n```console\n");
    let shown = readme[place.clone()].to_owned();

    let mut happened = String::new();
    for line in shown.lines().filter_map(|line| line.strip_prefix("$ ")) {
        assert!(line.starts_with("landfall "), "{line}");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("landfall() {{ \"$BINARY\" \"$@\"; }}; {line} 2>&1"));
        command.env("BINARY", landfall().get_program()).env("LANDFALL_SCHEMA", &schema);
        command.env("LANDFALL_SERVER", format!("http://{}", server.address)).env("LANDFALL_TOKEN", "dev:ada");
        let ran = run(command.current_dir(world.path("")));
        let _ = write!(happened, "$ {line}\n{}", ran.out);
    }
    if std::env::var_os("LANDFALL_RECORD").is_some() && without_ids(&shown) != without_ids(&happened) {
        readme.replace_range(place, &happened);
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"), &readme).unwrap();
    }
    assert_eq!(without_ids(&shown), without_ids(&happened), "record anew with LANDFALL_RECORD=1");
}
