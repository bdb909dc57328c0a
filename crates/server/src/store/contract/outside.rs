//! Writes behind the store's back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use landfall_core::{ReplicaId, Value};
use landfall_protocol::Change;

use super::*;
use crate::commit::OUTSIDE;
use crate::store::Store;

fn scan(store: &mut dyn Store) -> u64 {
    let mut found = 0;
    loop {
        let step = store.check_outside_writes(NOW).expect("the scan goes on");
        found += step.commit.counters.outside;
        if step.done {
            return found;
        }
    }
}

pub(crate) fn a_write_from_outside_gets_a_sequence_first<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let items = bucket(&mut *store, "items", &[]);
    let mut ann = Device::new(1, "ann");
    let entry =
        ann.write(vec![insert("lists", "l", &[]), insert("items", "i", &[("title", text("0")), ("list", text("l"))])]);
    let seq = accept(&mut *store, entry);
    backend.outside("UPDATE items SET title = 'outside', done = 1 WHERE id = 'i'");
    // A device that has not seen it, with an old stamp: it is merged against what was written outside.
    let entry = ann.write(vec![update("items", "i", seq, &[("title", text("device")), ("rank", Value::Int(3))])]);
    let group = commit(&mut *store, &[entry]);
    assert_eq!((accepted(&group.outcomes[0]), group.from, group.head.seq), (3, 1, 3));
    assert_eq!((group.counters.outside, group.counters.lost_cells), (1, 1));
    let reader = store.reader().unwrap();
    let log = reader.log_entry(2).unwrap().unwrap();
    assert_eq!((log.replica, log.changes.len()), (OUTSIDE, 1));
    assert_eq!(log.changes[0].before.as_ref().unwrap()["title"], text("0"));
    let row = query(&*reader, &items).remove(&key("i")).unwrap();
    assert_eq!(row, [text("l"), text("outside"), Value::Bool(true), Value::Int(3)]);
    let seen = changes(&*reader, &items, 1);
    assert!(matches!(&seen[0], Change::Put { seq: 2, whole: true, cells, .. } if cells.len() == 4));
    // It counts even when the entry that met it is refused; rows met by a cascade too.
    backend.outside("UPDATE items SET title = 'again' WHERE id = 'i'");
    let entry = ann.write(vec![update("items", "i", 0, &[("list", text("none"))])]);
    let group = commit(&mut *store, &[entry]);
    assert_eq!((refusal(&group.outcomes[0]), group.head.seq), (codes::REFERENCE, 4));
    backend.outside("UPDATE items SET title = 'cascade' WHERE id = 'i'");
    let entry = ann.write(vec![delete("lists", "l", 4)]);
    let group = commit(&mut *store, &[entry]);
    assert_eq!((accepted(&group.outcomes[0]), group.counters.outside), (6, 1));
    assert!(query(&*reader, &items).is_empty());
    // And over a tombstone.
    backend.outside("INSERT INTO items (id, title) VALUES ('i', 'back')");
    let entry = ann.write(vec![update("items", "i", 7, &[("rank", Value::Int(9))])]);
    let group = commit(&mut *store, &[entry]);
    assert_eq!((accepted(&group.outcomes[0]), group.counters.outside), (8, 1));
    assert_eq!(query(&*reader, &items).remove(&key("i")).unwrap()[1], text("back"));
    assert_ne!(ann.replica, ReplicaId::default());
}

pub(crate) fn a_scan_finds_what_other_programs_did<B: Backend>() {
    let backend = B::fresh();
    {
        let mut store = backend.open(&schema());
        let items = bucket(&mut *store, "items", &[]);
        assert_eq!(scan(&mut *store), 0);
        let mut ann = Device::new(1, "ann");
        let rows: Vec<_> = (0..5).map(|n| insert("items", &n.to_string(), &[("rank", Value::Int(n))])).collect();
        let entry = ann.write(rows);
        accept(&mut *store, entry);
        assert_eq!(scan(&mut *store), 0, "own writes are not outside");
        backend.outside(
            "INSERT INTO items (id, title) VALUES ('new', 'x'); UPDATE items SET rank = 70 WHERE id = '1'; \
             DELETE FROM items WHERE id = '2'; INSERT INTO lists (id, name) VALUES ('l', 'x')",
        );
        assert_eq!(scan(&mut *store), 4);
        assert_eq!((store.head().seq, scan(&mut *store)), (5, 0));
        let seen = changes(&*store.reader().unwrap(), &items, 1);
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().any(|c| matches!(c, Change::Remove { deleted: true, .. })));
    }
    backend.outside("DELETE FROM items WHERE id = '1'");
    let mut store = backend.open(&schema());
    let items = bucket(&mut *store, "items", &[]);
    assert_eq!(store.head().seq, 6, "opening looks too");
    assert_eq!(changes(&*store.reader().unwrap(), &items, 5).len(), 1);
}

pub(crate) fn an_outside_write_on_a_forgotten_row_still_reaches_buckets<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let here = bucket(&mut *store, "by_list", &[("list", text("here"))]);
    let there = bucket(&mut *store, "by_list", &[("list", text("there"))]);
    let entry = ann.write(vec![
        insert("lists", "here", &[]),
        insert("lists", "there", &[]),
        insert("items", "i", &[("list", text("here"))]),
    ]);
    accept(&mut *store, entry);
    let mut before = query(&*store.reader().unwrap(), &here);
    assert_eq!(before.len(), 1);
    ann.floor = 1;
    let entry = ann.write(vec![insert("lists", "x", &[])]);
    accept(&mut *store, entry);
    store.truncate_log(2, 0).unwrap();
    backend.outside("UPDATE items SET list = 'there' WHERE id = 'i'");
    assert_eq!(scan(&mut *store), 1);
    let reader = store.reader().unwrap();
    changes(&*reader, &here, 2).iter().for_each(|c| fold(&here, &mut before, c));
    assert!(before.is_empty());
    let mut after = Rows::new();
    changes(&*reader, &there, 2).iter().for_each(|c| fold(&there, &mut after, c));
    assert_eq!(after, query(&*reader, &there));
}

pub(crate) fn a_page_between_two_outside_writes_is_made_good<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let items = bucket(&mut *store, "items", &[]);
    let mut ann = Device::new(1, "ann");
    let entry = ann.write(vec![insert("items", "i", &[("title", text("0")), ("rank", Value::Int(1))])]);
    accept(&mut *store, entry);
    let reader = store.reader().unwrap();
    backend.outside("DELETE FROM items WHERE id = 'i'");
    let mut rows = query(&*reader, &items);
    assert!(rows.is_empty());
    backend.outside("INSERT INTO items (id, title, rank) VALUES ('i', '2', 1)");
    assert_eq!(scan(&mut *store), 1);
    changes(&*reader, &items, 1).iter().for_each(|c| fold(&items, &mut rows, c));
    assert_eq!(rows, query(&*reader, &items));
}

/// Says so when it goes, also when a test fails half-way: somebody waits for it.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Another program counts in a row while devices write other columns of it, group after group; and somebody reads the log
/// the while. A store without a write lock has to notice what was written between what a group read and its commit.
pub(crate) fn outside_writes_race_with_groups_and_none_is_lost<B: Backend>() {
    const COUNTED: i64 = 25;
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let items = bucket(&mut *store, "items", &[]);
    let mut ann = Device::new(1, "ann");
    let mut base = accept(&mut *store, ann.write(vec![insert("items", "i", &[("rank", Value::Int(0))])]));
    let (reader, ended) = (store.reader().unwrap(), AtomicBool::new(false));
    let mut written = 0;
    thread::scope(|scope| {
        let ended_here = Ended(&ended);
        // One group to each of its writes, begun at the same moment: neither starves the other.
        let (begin, begun) = sync_channel(0);
        let outside = &backend;
        scope.spawn(move || {
            for _ in 0..COUNTED {
                begin.send(()).unwrap();
                outside.outside("UPDATE items SET rank = rank + 1 WHERE id = 'i'");
            }
        });
        let ended = &ended;
        scope.spawn(move || {
            // Sequences come in order: whoever sees one sees all before it.
            let mut seen = 0;
            while !ended.load(Ordering::Acquire) {
                let head = reader.head().unwrap().seq;
                assert!(head >= seen, "the log does not go back");
                (seen + 1..=head).for_each(|seq| assert!(reader.log_entry(seq).unwrap().is_some(), "{seq} of {head}"));
                seen = head;
            }
        });
        for () in begun {
            written += 1;
            base = accept(
                &mut *store,
                ann.write(vec![update("items", "i", base, &[("title", text(&written.to_string()))])]),
            );
        }
        drop(ended_here);
    });
    scan(&mut *store);
    let reader = store.reader().unwrap();
    let row = query(&*reader, &items).remove(&key("i")).unwrap();
    assert_eq!(row, [Value::Null, text(&written.to_string()), Value::Null, Value::Int(COUNTED)]);
    let mut rows = Rows::new();
    changes(&*reader, &items, 0).iter().for_each(|change| fold(&items, &mut rows, change));
    assert_eq!(rows, query(&*reader, &items), "subscribers saw all of it");
}
