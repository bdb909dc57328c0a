//! The catalogue of scenarios, run by the native core. `packages/client/tests/scenarios` runs the same files through the
//! module that ships.
//!
//! A scenario is a list of steps; a step is one thing that happens and, under `then`, all that the device does about it,
//! in order. `see` looks at what the app is shown. `docs/protocol.md`, section 11, tells which rules each one shows.
//!
//! | step | what happens |
//! |---|---|
//! | `app` | a call: `online`, `pause`, `token`, `nudge`, `write` (as `ops`), `watch`, `open`, `close`, or of the outbox by its name |
//! | `net` | `"up"`, or `{"down": why}`: the connection that was asked for |
//! | `server` | a message, in the JSON rendering; what it leaves out stands in `messages.json` |
//! | `cut`, `turned`, `packed` | with `server`: bytes are taken off its frame; a bit is turned over; whether it is compressed |
//! | `late` | a message over the connection before |
//! | `frame` | bytes that come instead of a message |
//! | `chunk` | the answer to the fetch of an address: a chunk, or `gone`, `later` (perhaps with `wait`), `frame` |
//! | `after` | milliseconds pass |
//! | `clock` | the device's clock jumps by so many milliseconds |
//!
//! `LANDFALL_BLESS=1 cargo test -p landfall-client-web --test scenarios` writes into `then` and `see` what the native
//! core does: a way to write scenarios, and to review a change of behaviour. The module is never asked.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod device;
mod document;
mod print;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};

use device::Device;

/// Files of the catalogue that hold no scenarios.
const OTHERS: [&str; 3] = ["elsewhere.json", "messages.json", "schema.json"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/catalogue")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn blesses() -> bool {
    std::env::var_os("LANDFALL_BLESS").is_some()
}

/// The files of scenarios, by name.
pub fn catalogue() -> BTreeMap<String, Vec<Json>> {
    let names = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.ends_with(".json") && !OTHERS.contains(&name.as_str()));
    names.map(|name| (name.clone(), serde_json::from_str(&read(&name)).unwrap())).collect()
}

/// What comes before a scenario's own steps: those of the one that it begins with.
fn beginning(all: &BTreeMap<String, Json>, scenario: &Json) -> Vec<Json> {
    let Some(name) = scenario.get("begin") else { return Vec::new() };
    let first = all.get(name.as_str().unwrap()).unwrap_or_else(|| panic!("no scenario is called {name}"));
    let mut steps = beginning(all, first);
    steps.extend(first["steps"].as_array().unwrap().iter().cloned());
    steps
}

/// What the device does and shows in a step, written into it.
fn run(device: &mut Device, step: &Json, messages: &Json) -> Json {
    let mut found = step.as_object().unwrap().clone();
    let did = device.take(&found, messages);
    found.remove("then");
    if !did.is_empty() {
        found.insert("then".to_owned(), Json::Array(did));
    }
    if let Some(asked) = step.get("see") {
        found.insert("see".to_owned(), device.see(asked));
    }
    Json::Object(found)
}

fn by_name(catalogue: &BTreeMap<String, Vec<Json>>) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::new();
    for scenario in catalogue.values().flatten() {
        let name = scenario["name"].as_str().unwrap().to_owned();
        assert!(all.insert(name.clone(), scenario.clone()).is_none(), "two scenarios are called '{name}'");
    }
    all
}

#[test]
fn every_scenario_goes_as_it_is_told() {
    let (schema, messages) = (read("schema.json"), serde_json::from_str::<Json>(&read("messages.json")).unwrap());
    let mut catalogue = catalogue();
    let all = by_name(&catalogue);
    for (file, scenarios) in &mut catalogue {
        for scenario in scenarios.iter_mut() {
            let name = scenario["name"].as_str().unwrap().to_owned();
            let mut device = Device::new(&schema);
            for step in beginning(&all, scenario) {
                run(&mut device, &step, &messages);
            }
            for (at, step) in scenario["steps"].as_array_mut().unwrap().iter_mut().enumerate() {
                // Seen when the test fails.
                println!("'{name}' of {file}, step {at}: {step}");
                let found = run(&mut device, step, &messages);
                if !blesses() {
                    assert_eq!(print::file(step), print::file(&found), "'{name}' of {file}, step {at}");
                }
                *step = found;
            }
        }
        let printed = print::file(&Json::Array(scenarios.clone()));
        if blesses() {
            std::fs::write(folder().join(file), printed).unwrap();
        } else {
            assert_eq!(read(file), printed, "{file} is not written as the head of this file says");
        }
    }
}

#[test]
fn the_compiled_schema_is_that_of_the_text() {
    let schema = landfall_core::Schema::parse("schema.toml", &read("schema.toml")).unwrap();
    let compiled: Map<String, Json> = serde_json::from_str(&schema.to_json()).unwrap();
    let printed = print::file(&json!(compiled));
    if blesses() {
        std::fs::write(folder().join("schema.json"), printed).unwrap();
    } else {
        assert_eq!(read("schema.json"), printed);
    }
}
