//! Landfall: the deterministic simulator: network, disk, clocks, workload, invariants.
//!
//! One seed is one world: clients and a server with the real state machines and real SQLite, in virtual time. See
//! `docs/simulator.md`.

pub mod cards;
pub mod clock;
pub mod coverage;
pub mod device;
pub mod dice;
pub mod disk;
pub mod history;
pub mod invariants;
pub mod mirror;
pub mod mutants;
pub mod network;
pub mod notes;
pub mod papers;
pub mod plan;
pub mod queue;
pub mod run;
pub mod server;
pub mod shop;
pub mod trace;
pub mod workload;
pub mod world;

use landfall_core::rules::{MergeFunctions, Three};
use landfall_core::{Schema, Value};

/// Both versions of the simulated app's schema, the older one first.
pub fn schemas() -> [Schema; 2] {
    let (mut older, mut is_newer) = (String::new(), false);
    for line in NEWEST.lines() {
        is_newer = (is_newer || line == "# since 2") && line != "# always";
        let line = if line == "version = 2" { "version = 1" } else { line };
        if !is_newer {
            older.extend([line, "\n"]);
        }
    }
    [parsed(&older), schema()]
}

const NEWEST: &str = include_str!("sim.toml");

/// The newest schema of the simulated app.
pub fn schema() -> Schema {
    parsed(NEWEST)
}

/// # Panics
/// When the text in this crate is wrong.
fn parsed(text: &str) -> Schema {
    let mut schema = Schema::parse("sim.toml", text).expect("the simulator's own schema");
    // A run lasts minutes: what is kept for a day there is kept for some seconds.
    let kept = schema.tables.iter_mut().filter_map(|table| table.history.as_mut()?.keep_ms.as_mut());
    kept.for_each(|keep_ms| *keep_ms = 5_000);
    schema.tombstones_ms = Some(TOMBSTONES_MS);
    schema.with_functions(&MergeFunctions::new().on("add_up", add_up))
}

/// How long a deleted row is remembered.
pub(crate) const TOMBSTONES_MS: u64 = 12_000;

/// The app's own merge: both changes count, down to a bound; the column has one upwards.
fn add_up(three: &Three<'_>) -> Result<Value, String> {
    let sum = number(three.theirs) + number(three.ours) - number(three.base);
    if sum < LEAST_SCORE { Err("it would be too little".to_owned()) } else { Ok(Value::Int(sum)) }
}

/// The bound of [`add_up`].
pub(crate) const LEAST_SCORE: i64 = -30;

/// NULL counts as nothing.
pub(crate) fn number(value: &Value) -> i64 {
    if let Value::Int(number) = value { *number } else { 0 }
}
