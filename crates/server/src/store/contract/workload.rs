//! A fixed workload gives the same decisions, sequences and runs for ever: devices and golden files depend on it.

use landfall_core::hash::hash128;
use landfall_core::{Operation, Value};
use landfall_protocol::Outcome;

use super::*;

/// What the workload gave when it was first run. A change of a stored or sent form changes it, and says so.
const EXPECTED: u128 = 330_947_536_159_414_649_111_678_298_474_880_208_204;

/// A small generator, so that the workload is the same in every build.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn name(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.roll(6))
    }
}

/// One operation; many of them are refused, before or after something was written.
fn operation(dice: &mut Dice, base: u64) -> Operation {
    let (list, item) = (dice.name("l"), dice.name("i"));
    let rank = Value::Int(dice.roll(120) as i64);
    match dice.roll(12) {
        0 | 1 => insert("lists", &list, &[("name", text("a list"))]),
        2..=4 => {
            let (slug, place) = (dice.name("s"), format!("{{\"b\": {}, \"a\": 1}}", dice.roll(9)));
            let done = Value::Bool(dice.roll(2) == 0);
            let values = [
                ("list", text(&list)),
                ("rank", rank),
                ("slug", text(&slug)),
                ("place", Value::Json(place)),
                ("done", done),
            ];
            insert("items", &item, &values)
        }
        5 | 6 => update("items", &item, base, &[("rank", rank), ("title", text(&list))]),
        7 => mark(&item, &list),
        8 => insert("notes", &dice.name("n"), &[("item", text(&item))]),
        9 => insert("locks", &dice.name("k"), &[("list", text(&list))]),
        10 => delete("items", &item, base),
        _ => delete("lists", &list, base),
    }
}

/// A decision without its wording.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused { problem, because_of } => {
            format!("{} {:?} {:?} {because_of:?}", problem.code, problem.table, problem.column)
        }
        other => format!("{other:?}"),
    }
}

pub(crate) fn a_fixed_workload_always_gives_the_same<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    for (shape, params) in [
        ("items", &[][..]),
        ("by_list", &[("list", text("l1"))]),
        ("by_list", &[("list", text("l2"))]),
        ("open_above", &[("least", Value::Int(3))]),
        ("marks", &[]),
        ("lists", &[]),
        ("notes", &[]),
    ] {
        bucket(&mut *store, shape, params);
    }
    let mut dice = Dice(7);
    let mut devices: Vec<Device> = (1..=5).map(|n| Device::new(n, "ann")).collect();
    let (mut all, mut refused, mut accepted) = (String::new(), 0, 0);
    for _ in 0..60 {
        let pushes: Vec<_> = (0..=dice.roll(16))
            .map(|_| {
                let device = &mut devices[dice.roll(5) as usize];
                let base = store.head().seq.saturating_sub(dice.roll(8));
                let mut operations: Vec<Operation> = Vec::new();
                for _ in 0..=dice.roll(4) / 2 {
                    let next = operation(&mut dice, base);
                    if !operations.iter().any(|o| (o.table(), o.key()) == (next.table(), next.key())) {
                        operations.push(next);
                    }
                }
                let requires = if device.rseq > 0 && dice.roll(9) == 0 { vec![device.rseq] } else { vec![] };
                device.follow(operations, &[], &requires)
            })
            .collect();
        let group = commit(&mut *store, &pushes);
        (accepted, refused) = (accepted + group.counters.accepted, refused + group.counters.refused);
        let told: Vec<_> = group.outcomes.iter().map(told).collect();
        all += &format!("{told:?}\n{:?}\n{:?} {:?}\n", group.bucket_runs, group.head, group.counters);
        let reader = store.reader().expect("a reader");
        let logged = (group.from + 1..=group.head.seq).map(|seq| reader.log_entry(seq).expect("the log is read"));
        all += &format!("{:?}\n", logged.collect::<Vec<_>>());
    }
    assert!(accepted > 150 && refused > 150, "the workload does both: {accepted} accepted, {refused} refused");
    assert_eq!(u128::from_be_bytes(hash128(all.as_bytes())), EXPECTED);
}
