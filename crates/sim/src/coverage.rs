//! How often what was reached: cells of the tables of states × events, faults, crash points, checks.

use std::collections::BTreeMap;

use landfall_client::session::{EventName, StateName};
use landfall_core::flat::FlatMap;

use crate::disk::{DiskStats, FAULTS};
use crate::plan::Fault;

/// Counts by name. Names are `client Online×Live`, `fault net.cut`, `disk.torn`, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Coverage(pub BTreeMap<String, u64>);

impl Coverage {
    /// Counts one.
    pub fn hit(&mut self, name: &str) {
        self.add(name, 1);
    }

    /// Counts several.
    pub fn add(&mut self, name: &str, count: u64) {
        match self.0.get_mut(name) {
            Some(present) => *present += count,
            None => {
                self.0.insert(name.to_owned(), count);
            }
        }
    }

    /// Joins another run's counts.
    pub fn join(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }

    /// Takes over what a client session counted.
    pub fn client(&mut self, cells: &FlatMap<(StateName, EventName), u64>) {
        for ((state, event), count) in cells {
            self.add(&client_cell(*state, *event), *count);
        }
    }

    /// Takes over what the server's sessions counted.
    pub fn server(&mut self, cells: &landfall_server::core::Coverage) {
        for ((state, event), count) in cells {
            self.add(&format!("server {state}×{event}"), *count);
        }
    }

    /// Takes over what a disk counted.
    pub fn disk(&mut self, stats: &DiskStats) {
        for (name, count) in &stats.faults {
            self.add(name, *count);
        }
    }

    /// What should have been reached and was not.
    pub fn never_reached(&self) -> Vec<String> {
        universe().into_iter().filter(|name| self.0.get(name).copied().unwrap_or(0) == 0).collect()
    }
}

fn client_cell(state: StateName, event: EventName) -> String {
    format!("client {state:?}×{event:?}")
}

/// What a session that reads can hear at any time.
const HEARD: [&str; 13] = [
    "hello",
    "push",
    "open",
    "resume",
    "close",
    "ping",
    "authenticate",
    "applied",
    "unreadable",
    "damaged",
    "too large",
    "drain",
    "deadline",
];

/// The cells of the server's table that can be reached: a session that waits for the store's answer to its Hello reads
/// nothing meanwhile, and one that is closed is gone as soon as its last message is sent.
const SERVER_CELLS: [(&str, &[&str]); 4] = [
    ("Greeting", &HEARD),
    ("Opening", &["reply hello"]),
    ("Open", &HEARD),
    ("Open", &["reply push", "reply part", "reply decided", "reply open", "read done"]),
];

/// Everything that a long enough run has to reach.
fn universe() -> Vec<String> {
    let mut names = Vec::new();
    for state in StateName::ALL {
        names.extend(EventName::ALL.iter().filter(|e| state.can_hear(**e)).map(|e| client_cell(state, *e)));
    }
    names.extend(
        SERVER_CELLS.iter().flat_map(|(state, events)| events.iter().map(move |e| format!("server {state}×{e}"))),
    );
    names.extend(crate::world::FETCHES.iter().map(|name| (*name).to_owned()));
    names.extend(crate::world::WHIMS.iter().map(|name| (*name).to_owned()));
    names.extend(crate::world::MIRRORS.iter().map(|name| (*name).to_owned()));
    names.extend(crate::world::WEBHOOK.iter().map(|name| (*name).to_owned()));
    names.extend(Fault::ALL.iter().map(|f| f.coverage_name()));
    // These are not for whole worlds: read-only disks, damage to what was synced, files that are deleted
    // (which only a process that closes its database does). The disk's own tests have them.
    let elsewhere = ["disk.read-only", "disk.bit-flip", "disk.error.open", "disk.power-loss.delete"];
    names.extend(FAULTS.iter().filter(|f| !elsewhere.contains(f)).map(|f| (*f).to_owned()));
    names
}

/// Prints everything that was reached, in order of name.
pub fn print(coverage: &Coverage) {
    for (name, count) in &coverage.0 {
        println!("{count:>12}  {name}");
    }
}
