//! Broken variants, and the proof that the invariants catch them.
//!
//! Each names a switch in the engine or the server (`landfall_core::mutant::active`), which exists only when the feature
//! `mutants` is on. A variant is caught when a seed fails with one of the invariants that it is to break.

/// A broken variant.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// The name of the switch.
    pub name: &'static str,
    /// Invariants of which one has to catch it.
    pub caught_by: &'static [&'static str],
}

const fn mutant(name: &'static str, caught_by: &'static [&'static str]) -> Mutant {
    Mutant { name, caught_by }
}

/// All of them.
pub const ALL: &[Mutant] = &[
    mutant("apply-again", &["once"]),
    mutant("acknowledge-before-sync", &["acknowledged"]),
    mutant("settle-when-acknowledged", &["flicker"]),
    mutant("ignore-base", &["merge"]),
    mutant("rule-ignored", &["merge"]),
    mutant("increment-lost", &["merge"]),
    mutant("increment-doubled", &["counters"]),
    mutant("accepted-unheard", &["counters"]),
    mutant("part-base-ignored", &["merge"]),
    mutant("map-arrival-wins", &["merge"]),
    mutant("list-interleaved", &["list"]),
    mutant("doc-cut", &["docs"]),
    mutant("ot-base-ignored", &["typed"]),
    mutant("ot-shown-whole", &["typed"]),
    mutant("custom-base-forgotten", &["conflicts"]),
    mutant("lost-delete-forgotten", &["conflicts"]),
    mutant("row-resurrected", &["deletes"]),
    mutant("gone-row-made", &["deletes"]),
    mutant("typing-unseen", &["deletes"]),
    mutant("name-refused", &["settled"]),
    mutant("conflict-swallowed", &["conflicts"]),
    mutant("decide-early", &["order"]),
    mutant("wish-forgotten", &["order"]),
    mutant("fate-ignored", &["fate"]),
    mutant("fate-forgotten", &["fate"]),
    mutant("order-ignored", &["order", "monotone"]),
    mutant("later-first", &["monotone"]),
    mutant("live-message-split", &["atomic"]),
    mutant("read-rule-skipped", &["policy"]),
    mutant("dead-letter-dropped", &["pending"]),
    mutant("image-forgotten", &["pending"]),
    mutant("device-not-durable", &["pending", "reopen"]),
    mutant("journal-in-memory", &["reopen"]),
    mutant("entry-not-frozen", &["once"]),
    mutant("bucket-not-loaded", &["convergence", "flicker"]),
    mutant("digest-of-keys", &["convergence"]),
    mutant("kept-for-good", &["convergence"]),
    mutant("origin-ignored", &["once"]),
    mutant("parked-for-ever", &["convergence"]),
    mutant("expiry-ignored", &["expiry"]),
    mutant("end-ignored", &["expiry"]),
    mutant("end-slept-through", &["expiry"]),
    mutant("clock-believed", &["expiry", "offline"]),
    mutant("sent-taken-up", &["once", "counts"]),
    mutant("edit-forgets", &["pending"]),
    mutant("edit-prolongs", &["expiry"]),
    mutant("letter-kept", &["once"]),
    mutant("import-again", &["once"]),
    mutant("undo-overwrites", &["undo"]),
    mutant("count-forgotten", &["counts"]),
    mutant("failures-uncounted", &["counts"]),
    mutant("bytes-uncounted", &["counts"]),
    mutant("deny-ignored", &["offline"]),
    mutant("lead-ignored", &["offline"]),
    mutant("action-unchecked", &["offline"]),
    mutant("room-ignored", &["bounds"]),
    mutant("bytes-ignored", &["bounds"]),
    mutant("age-ignored", &["starvation"]),
    mutant("tried-in-vain", &["starvation"]),
    mutant("pause-ignored", &["paused"]),
    mutant("replay-without-review", &["review"]),
    mutant("absence-not-noticed", &["review"]),
    mutant("clone-not-recognised", &["convergence"]),
    mutant("epoch-not-noticed", &["acknowledged", "convergence", "flicker"]),
    mutant("history-unordered", &["order"]),
    mutant("restore-not-noticed", &["acknowledged", "convergence", "flicker"]),
    mutant("ring-unbounded", &["bounds"]),
    mutant("window-ignored", &["bounds"]),
    mutant("catch-up-unbounded", &["bounds"]),
    mutant("pushes-unbounded", &["bounds"]),
    mutant("fairness-ignored", &["starvation"]),
    mutant("share-not-learnt", &["starvation"]),
    mutant("stamp-not-shifted", &["stamps"]),
    mutant("handler-ignored", &["actions"]),
    mutant("history-skipped", &["history"]),
    mutant("lost-not-kept", &["history"]),
    mutant("history-forgotten-early", &["history"]),
    mutant("cache-age-ignored", &["cache"]),
    mutant("cache-void-kept", &["cache"]),
    mutant("cache-unbounded", &["cache"]),
    mutant("as-of-wrong", &["as_of"]),
    mutant("restored-by-halves", &["restore"]),
    mutant("versions-ignored", &["actions"]),
    mutant("change-not-announced", &["live"]),
    mutant("skip-sequence", &["log"]),
    mutant("silence-not-noticed", &["convergence", "progress"]),
    mutant("ping-without-end", &["progress"]),
    mutant("widened-not-loaded", &["convergence"]),
    mutant("upgrade-unhashed", &["log"]),
    mutant("mirror-not-told-of-letters", &["mirror"]),
    mutant("recovered-without-releases", &["mirror"]),
    mutant("recovered-but-the-last", &["mirror"]),
    mutant("recovery-not-taken-up", &["mirror"]),
    mutant("recovered-without-pause", &["mirror"]),
    mutant("damage-not-noticed", &["acknowledged", "convergence", "log", "pending"]),
];

/// The seeds after which a variant counts as not caught.
#[cfg(feature = "mutants")]
const MOST_SEEDS: u64 = 1_000;

/// Without the switches there is nothing to run.
#[cfg(not(feature = "mutants"))]
pub fn all(_only: &str, _jobs: usize) -> bool {
    println!("this build has no broken variants; build it with: cargo build -p landfall-sim --features mutants");
    println!("mutants: 0 passed, {} failed", ALL.len());
    false
}

/// Runs every variant whose name contains `only`, several side by side, each in a process of its own.
#[cfg(feature = "mutants")]
pub fn all(only: &str, jobs: usize) -> bool {
    use std::sync::Mutex;
    let chosen: Vec<&Mutant> = ALL.iter().filter(|m| m.name.contains(only)).collect();
    let next = Mutex::new(chosen.iter());
    let results = Mutex::new((0, 0));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(mutant) = next.lock().ok().and_then(|mut next| next.next().copied()) else { return };
                    let caught = run_apart(mutant);
                    if let Ok(mut results) = results.lock() {
                        let slot = if caught { &mut results.0 } else { &mut results.1 };
                        *slot += 1;
                    }
                }
            });
        }
    });
    let (passed, failed) = results.into_inner().unwrap_or_default();
    println!("mutants: {passed} passed, {failed} failed");
    failed == 0 && passed > 0
}

#[cfg(feature = "mutants")]
fn run_apart(mutant: &Mutant) -> bool {
    let Ok(program) = std::env::current_exe() else { return false };
    let output = std::process::Command::new(program).args(["mutant", mutant.name]).output();
    let Ok(output) = output else { return false };
    print!("{}", String::from_utf8_lossy(&output.stdout));
    output.status.success()
}

/// Runs one variant in this process until it is caught.
#[cfg(feature = "mutants")]
pub fn one(name: &str) -> bool {
    let Some(mutant) = ALL.iter().find(|m| m.name == name) else {
        println!("there is no broken variant '{name}'");
        return false;
    };
    landfall_core::mutant::activate(mutant.name);
    // What the variant does to others than it is to do is not of interest here.
    std::panic::set_hook(Box::new(|_| {}));
    let mut others = std::collections::BTreeMap::new();
    for seed in 1..=MOST_SEEDS {
        let Err(violation) = crate::run::seed(seed, false) else { continue };
        if mutant.caught_by.contains(&violation.invariant.as_str()) {
            let message: String = violation.message.chars().take(160).collect();
            println!("{name}: caught by {} at seed {seed}: {message}", violation.invariant);
            return true;
        }
        *others.entry(violation.invariant).or_insert(0) += 1;
    }
    println!("{name}: NOT CAUGHT in {MOST_SEEDS} seeds by any of {:?}; others: {others:?}", mutant.caught_by);
    false
}

/// Without the switches there is nothing to run.
#[cfg(not(feature = "mutants"))]
pub fn one(_name: &str) -> bool {
    all("", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_of_the_catalogue_has_a_broken_variant_that_it_alone_is_to_catch() {
        let all = [
            "convergence",
            "acknowledged",
            "once",
            "policy",
            "pending",
            "flicker",
            "atomic",
            "monotone",
            "live",
            "bounds",
            "log",
            "merge",
            "order",
            "stamps",
            "actions",
            "history",
            "as_of",
            "cache",
            "restore",
            "offline",
            "starvation",
            "counts",
            "expiry",
            "undo",
            "reopen",
            "progress",
            "paused",
            "review",
            "fate",
            "mirror",
            "list",
            "settled",
            "typed",
            "deletes",
        ];
        for name in all {
            assert!(ALL.iter().any(|m| m.caught_by == [name]), "no variant breaks {name} and nothing else");
        }
    }
}
