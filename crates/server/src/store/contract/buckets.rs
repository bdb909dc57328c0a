//! Buckets: membership, identity, pages and logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::Value;
use landfall_protocol::Change;

use super::*;
use crate::store::{KeySpan, Subject};

/// L5.
pub(crate) fn buckets_see_rows_come_change_and_go<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let mut ann = Device::new(1, "ann");
    let lists = ann.write(vec![insert("lists", "a", &[]), insert("lists", "b", &[])]);
    accept(&mut *store, lists);
    let a = bucket(&mut *store, "by_list", &[("list", text("a"))]);
    let b = bucket(&mut *store, "by_list", &[("list", text("b"))]);
    let all = bucket(&mut *store, "items", &[]);
    let entry = ann.write(vec![insert("items", "i", &[("list", text("a")), ("title", text("x"))])]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![update("items", "i", 2, &[("slug", text("s"))])]);
    accept(&mut *store, entry);
    let entry = ann.write(vec![update("items", "i", 3, &[("list", text("b"))])]);
    let moved = commit(&mut *store, &[entry]);
    assert_eq!(moved.bucket_runs.len(), 3);
    let entry = ann.write(vec![delete("items", "i", 4)]);
    accept(&mut *store, entry);
    let reader = store.reader().unwrap();
    let seen = |bucket| {
        let kind = |c: &Change| match c {
            Change::Put { seq, whole: true, .. } => format!("{seq} whole"),
            Change::Put { seq, cells, .. } => format!("{seq} part {}", cells.len()),
            Change::Remove { seq, deleted, .. } => format!("{seq} {}", if *deleted { "deleted" } else { "left" }),
        };
        changes(&*reader, bucket, 1).iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(seen(&a), ["2 whole", "3 part 1", "4 left"]);
    assert_eq!(seen(&b), ["4 whole", "5 deleted"]);
    // The slug is not among this shape's columns.
    assert_eq!(seen(&all), ["2 whole", "4 part 1", "5 deleted"]);
    let columns: Vec<_> = all.template.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(columns, ["id", "list", "title", "done", "rank"]);
}

pub(crate) fn a_bucket_is_opened_once<B: Backend>() {
    let backend = B::fresh();
    let (first, other) = {
        let mut store = backend.open(&schema());
        let first = bucket(&mut *store, "by_list", &[("list", text("a"))]);
        assert_eq!(bucket(&mut *store, "by_list", &[("list", text("a"))]).id, first.id);
        (first.id, bucket(&mut *store, "by_list", &[("list", text("b"))]).id)
    };
    assert_ne!(first, other);
    let mut store = backend.open(&schema());
    let reader = store.reader().unwrap();
    assert_eq!(reader.bucket(first).unwrap().unwrap().env.params["list"], text("a"));
    assert_eq!(bucket(&mut *store, "by_list", &[("list", text("a"))]).id, first);
    let template = Arc::clone(&store.templates()["by_list"]);
    let none = BTreeMap::new();
    assert!(template.env(&none, &Subject::named("ann")).is_err());
    let wrong = BTreeMap::from([("list".to_owned(), Value::Int(1))]);
    assert!(template.env(&wrong, &Subject::named("ann")).is_err());
    // Another subject's bucket is another one where the read rule names the subject.
    let params = BTreeMap::from([("list".to_owned(), text("a"))]);
    let env = template.env(&params, &Subject::named("bob")).unwrap();
    assert_ne!(store.open_bucket(&template, &env, NOW).unwrap().id, first);
    // A read rule that changed makes another template; the old bucket's log would have a hole, so its id is gone.
    drop(reader);
    drop(store);
    let mut changed = schema();
    changed.version += 1;
    let items = changed.tables.iter_mut().find(|t| t.name == "items").unwrap();
    items.access.read = None;
    {
        let mut store = backend.open(&changed);
        assert!(store.reader().unwrap().bucket(first).unwrap().is_none());
        assert!(bucket(&mut *store, "by_list", &[("list", text("a"))]).id > other);
    }
    changed.version += 1;
    changed.tables = schema().tables;
    let mut store = backend.open(&changed);
    assert!(bucket(&mut *store, "by_list", &[("list", text("a"))]).id > other);
}

pub(crate) fn a_bucket_that_nobody_uses_is_forgotten<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let [old, held, used] = ["a", "b", "c"].map(|list| bucket(&mut *store, "by_list", &[("list", text(list))]));
    let mut ann = Device::new(1, "ann");
    accept(&mut *store, ann.write(vec![insert("lists", "a", &[])]));
    accept(&mut *store, ann.write(vec![insert("items", "1", &[("list", text("a"))])]));
    // What is remembered of uses survives a restart.
    drop(store);
    let mut store = backend.open(&schema());
    let later = NOW + 90_000_000;
    store.open_bucket(&used.template, &used.env, later).unwrap();
    assert_eq!(store.retire_buckets(NOW, &|_| false).unwrap(), 0);
    assert_eq!(store.retire_buckets(later, &|id| id == held.id).unwrap(), 1);
    assert_eq!(store.bucket_count(), 2);
    let reader = store.reader().unwrap();
    assert!(reader.bucket(old.id).unwrap().is_none());
    // Rows that would have been in it are written as ever, and whoever wants it again gets another one.
    accept(&mut *store, ann.write(vec![update("items", "1", 2, &[("title", text("moved"))])]));
    let again = bucket(&mut *store, "by_list", &[("list", text("a"))]);
    assert!(again.id != old.id && query(reader.as_ref(), &again).len() == 1);
}

pub(crate) fn ten_thousand_buckets_cost_one_lookup<B: Backend>() {
    let mut index = crate::buckets::BucketIndex::default();
    let template = Arc::clone(&crate::buckets::templates(&schema())["by_list"]);
    for n in 0..10_000u64 {
        let params = BTreeMap::from([("list".to_owned(), text(&n.to_string()))]);
        let env = Arc::new(template.env(&params, &Subject::named("ann")).unwrap());
        let template = Arc::clone(&template);
        index.insert(crate::buckets::Bucket { id: landfall_core::BucketId(n + 1), template, env, since: 0 });
    }
    let row = |list: &str| {
        let names = schema().table("items").unwrap().columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        let mut row: landfall_core::hash::Cells = names.into_iter().map(|name| (name, Value::Null)).collect();
        row.insert("list".into(), text(list));
        row
    };
    let (before, after) = (row("17"), row("4711"));
    assert_eq!(index.looked_at("items", Some(&before), Some(&after)), 2);
    let mut fan = crate::buckets::Fan::new(1);
    fan.add(&index, "items", &key("i"), Some(&before).into(), Some(&after));
    assert_eq!(fan.into_runs().into_keys().map(|id| id.0).collect::<Vec<_>>(), [18, 4712]);
}

pub(crate) fn a_log_slice_is_complete_up_to_where_it_says<B: Backend>() {
    let backend = B::fresh();
    let mut store = backend.open(&schema());
    let lists = bucket(&mut *store, "lists", &[]);
    let quiet = bucket(&mut *store, "notes", &[]);
    let mut ann = Device::new(1, "ann");
    for n in 0..5 {
        let entry = ann.write(vec![insert("lists", &n.to_string(), &[])]);
        accept(&mut *store, entry);
    }
    let reader = store.reader().unwrap();
    let slice = reader.bucket_log(lists.id, 1, 5, 0).unwrap();
    assert_eq!((slice.runs.len(), slice.to), (1, 2), "at least one run, however small the limit");
    let slice = reader.bucket_log(lists.id, 1, 4, 1 << 20).unwrap();
    assert_eq!((slice.runs.len(), slice.to), (3, 4));
    let slice = reader.bucket_log(quiet.id, 0, 5, 10).unwrap();
    assert_eq!((slice.runs.len(), slice.to), (0, 5), "quiet buckets make progress too");
    let all = KeySpan::default();
    let page = reader.page(&lists, all, 2, 1 << 20).unwrap();
    assert_eq!((page.rows.len(), page.more, page.read_at, page.rows.seqs.clone()), (2, true, 5, vec![1, 2]));
    assert_eq!(reader.page(&lists, all, 10, 1).unwrap().rows.len(), 1, "at least one row");
    assert_eq!(reader.page(&quiet, all, 10, 100).unwrap().last_key, None);
    let (first, middle) = (key("0"), key("2"));
    let part = KeySpan { after: Some(&first), until: Some(&middle) };
    let page = reader.page(&lists, part, 10, 1 << 20).unwrap();
    assert_eq!((page.rows.seqs.clone(), page.more, page.last_key), (vec![2, 3], false, Some(middle.clone())));
    let page = reader.page(&lists, part, 1, 1 << 20).unwrap();
    assert_eq!((page.rows.seqs.clone(), page.more), (vec![2], true));
    let page = reader.page(&lists, KeySpan { after: Some(&middle), until: Some(&middle) }, 10, 1 << 20).unwrap();
    assert_eq!((page.rows.len(), page.more), (0, false), "nothing is between a key and itself");
    assert_eq!(reader.count_rows(&lists).unwrap(), 5);
}
