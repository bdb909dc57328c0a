//! The invariant on which devices stand: a bucket's log folded over a page of it, taken at any time, is the bucket.

use landfall_core::{Operation, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::buckets::Bucket;
use crate::store::{KeySpan, Page, PushEntry, Store};

#[derive(Clone, Debug)]
enum Step {
    /// Entries of devices: which, its operations, how far back its base lies.
    Commit(Vec<(usize, Vec<Op>, u64)>),
    /// Another program.
    Outside(u8, u8, i64),
    /// The next page of a device that is loading.
    Load,
    /// The scan for outside writes, one step.
    Scan,
}

#[derive(Clone, Debug)]
struct Op {
    kind: u8,
    id: u8,
    list: u8,
    rank: i64,
}

fn op() -> impl Strategy<Value = Op> {
    (0u8..10, 0u8..5, 0u8..3, -1i64..4).prop_map(|(kind, id, list, rank)| Op { kind, id, list, rank })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entry = (0usize..3, prop::collection::vec(op(), 1..4), 0u64..6);
    let step = prop_oneof![
        5 => prop::collection::vec(entry, 1..5).prop_map(Step::Commit),
        1 => (0u8..5, 0u8..4, -1i64..4).prop_map(|(id, kind, rank)| Step::Outside(id, kind, rank)),
        3 => Just(Step::Load),
        1 => Just(Step::Scan),
    ];
    prop::collection::vec(step, 1..25)
}

fn operations(ops: &[Op], base: u64) -> Vec<Operation> {
    let mut out: Vec<Operation> = Vec::new();
    for op in ops {
        let (id, list) = (op.id.to_string(), op.list.to_string());
        let next = match op.kind {
            0 => insert("lists", &list, &[]),
            1 => delete("lists", &list, base),
            2 => mark(&id, &list),
            3 => delete("items", &id, base),
            4 => insert("notes", &list, &[("item", text(&id))]),
            5 => update("items", &id, base, &[("done", Value::Bool(op.rank > 1)), ("title", text(&list))]),
            6 => update("items", &id, base, &[("list", text(&list))]),
            7 => update("items", &id, base, &[("rank", Value::Int(op.rank)), ("slug", text(&list))]),
            _ => {
                let cells = [("done", Value::Bool(false)), ("rank", Value::Int(op.rank)), ("list", text(&list))];
                insert("items", &id, &cells[..2 + usize::from(op.rank == 0)])
            }
        };
        if !out.iter().any(|o| o.table() == next.table() && o.key() == next.key()) {
            out.push(next);
        }
    }
    out
}

fn outside_sql(id: u8, kind: u8, rank: i64) -> String {
    match kind {
        0 => format!("DELETE FROM items WHERE id = '{id}'"),
        1 => format!("INSERT INTO items (id, rank, done) VALUES ('{id}', {rank}, 0) ON CONFLICT DO NOTHING"),
        2 => format!("UPDATE items SET rank = {rank}, hidden = 'bob' WHERE id = '{id}'"),
        _ => format!("UPDATE items SET list = '{rank}', hidden = NULL WHERE id = '{id}'"),
    }
}

/// A device that loads a bucket page by page.
struct Loading {
    bucket: Bucket,
    pages: Vec<Page>,
}

impl Loading {
    fn load(&mut self, store: &dyn Store) {
        if self.pages.last().is_none_or(|page| page.more) {
            let after = self.pages.iter().rev().find_map(|page| page.last_key.clone());
            self.pages
                .push(store.reader().unwrap().page(&self.bucket, KeySpan::after(after.as_ref()), 2, 1 << 20).unwrap());
        }
    }

    /// What the device has in the end: each page, and over it what happened after it was read.
    fn result(mut self, store: &dyn Store) -> Rows {
        while self.pages.last().is_none_or(|page| page.more) {
            self.load(store);
        }
        let reader = store.reader().unwrap();
        let mut all = Rows::new();
        let mut from = None;
        for page in &self.pages {
            let mut rows = page_rows(&self.bucket, page);
            let covers = |key: &landfall_core::RowKey| {
                from.as_ref().is_none_or(|from| key > from)
                    && (!page.more || page.last_key.as_ref().is_some_and(|last| key <= last))
            };
            for change in changes(&*reader, &self.bucket, page.read_at).iter().filter(|c| covers(c.key())) {
                fold(&self.bucket, &mut rows, change);
            }
            all.extend(rows);
            from = page.last_key.clone().or(from);
        }
        all
    }
}

fn subscriptions(store: &mut dyn Store) -> Vec<Bucket> {
    let mut out: Vec<_> = ["items", "marks", "lists", "notes"].map(|shape| bucket(store, shape, &[])).into();
    out.extend(["0", "1", "2"].map(|list| bucket(store, "by_list", &[("list", text(list))])));
    out.extend([30, 60].map(|least| bucket(store, "open_above", &[("least", Value::Int(least))])));
    out
}

fn pushes(devices: &mut [Device], entries: &[(usize, Vec<Op>, u64)], head: u64) -> Vec<PushEntry> {
    let push = |(device, ops, back): &(usize, Vec<Op>, u64)| {
        devices[*device].write(operations(ops, head.saturating_sub(*back)))
    };
    entries.iter().map(push).collect()
}

fn devices() -> [Device; 3] {
    [Device::new(1, "ann"), Device::new(2, "bob"), Device::new(3, "ann")]
}

fn run_steps<B: Backend>(steps: &[Step]) {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let subscriptions = subscriptions(&mut *store);
    let mut devices = devices();
    let loading = |bucket: &Bucket| Loading { bucket: bucket.clone(), pages: Vec::new() };
    let mut generations: Vec<Vec<Loading>> = Vec::new();
    for step in steps {
        match step {
            Step::Commit(entries) => {
                let group = pushes(&mut devices, entries, store.head().seq);
                commit(&mut *store, &group);
            }
            Step::Outside(id, kind, rank) => backend.outside(&outside_sql(*id, *kind, *rank)),
            Step::Scan => drop(store.check_outside_writes(NOW).unwrap()),
            Step::Load => {
                // As the server does before it serves a page.
                while !store.check_outside_writes(NOW).unwrap().done {}
                generations.push(subscriptions.iter().map(loading).collect());
                generations.iter_mut().flatten().for_each(|l| l.load(&*store));
            }
        }
    }
    while !store.check_outside_writes(NOW).unwrap().done {}
    for device in generations.into_iter().flatten() {
        let (bucket, shown) = (device.bucket.clone(), device.pages.len());
        let rows = device.result(&*store);
        assert_eq!(rows, query(&*store.reader().unwrap(), &bucket), "{} after {shown} pages", bucket.template.table);
    }
}

/// C3, C4, L6: pages read at any time, and the log after them.
pub(crate) fn pages_and_log_together_are_the_bucket<B: Backend>() {
    let mut runner =
        TestRunner::new(Config { cases: Config::default().cases / 6, failure_persistence: None, ..Config::default() });
    let result = runner.run(&steps(), |steps| {
        run_steps::<B>(&steps);
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
}

/// All rows of all subscriptions, and the end of the log.
fn end_state<B: Backend>(entries: &[(usize, Vec<Op>, u64)], cuts: &[usize]) -> (Vec<Rows>, crate::store::Head) {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let subscriptions = subscriptions(&mut *store);
    let mut devices = devices();
    let all = pushes(&mut devices, entries, 5);
    let mut from = 0;
    for cut in cuts.iter().copied().chain([all.len()]) {
        let to = cut.clamp(from, all.len());
        commit(&mut *store, &all[from..to]);
        from = to;
    }
    let reader = store.reader().unwrap();
    (subscriptions.iter().map(|bucket| query(&*reader, bucket)).collect(), store.head())
}

pub(crate) fn grouping_makes_no_difference<B: Backend>() {
    let entries = prop::collection::vec((0usize..3, prop::collection::vec(op(), 1..4), 0u64..6), 1..30);
    let cuts = prop::collection::vec(0usize..30, 0..6).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    });
    let mut runner =
        TestRunner::new(Config { cases: Config::default().cases / 12, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(entries, cuts), |(entries, cuts)| {
        prop_assert_eq!(end_state::<B>(&entries, &cuts), end_state::<B>(&entries, &[]));
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
}
