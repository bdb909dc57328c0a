//! What the tests of the suite share: a schema, devices that write, and a fold of a bucket's log.

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use landfall_core::error::codes;
use landfall_core::predicate::Env;
use landfall_core::schema::Schema;
use landfall_core::{CellWrite, Code, Epoch, Operation, ReplicaId, RowKey, Stamp, Transaction, Value};
use landfall_protocol::{Change, ChangeList, Entry, Outcome};

use crate::buckets::Bucket;
use crate::store::{Fresh, GroupCommit, KeySpan, Page, PushEntry, Store, StoreReader, Subject};

/// The server's clock in tests, unless a test says otherwise.
pub(crate) const NOW: u64 = 1_000_000;

/// A base: all that is there when the entry is committed.
pub(crate) const SEEN: u64 = u64::MAX;

/// The randomness of tests.
pub(crate) fn fresh() -> Fresh {
    Fresh { epoch: Epoch([1; 16]), seed: [7; 32] }
}

pub(crate) fn schema() -> Schema {
    let text = r#"
        [app]
        name = "suite"
        version = 1

        [tables.lists.columns]
        id   = "text"
        name = { type = "text", required = true, default = "list" }

        [tables.items.columns]
        id     = "text"
        list   = { type = "text", references = "lists", on_delete = "cascade" }
        title  = "text"
        done   = "boolean"
        rank   = { type = "integer", max = 100 }
        price  = { type = "decimal", scale = 2 }
        place  = "json"
        slug   = { type = "text", unique = true }
        hidden = "text"
        [tables.items.access]
        read   = "hidden IS NULL OR hidden = claim('sub')"
        update = "rank IS NULL OR rank < 50"
        delete = "rank IS NULL OR rank < 50"
        insert = "rank IS NULL OR rank <> 13"

        [tables.marks]
        primary_key = ["item", "word"]
        [tables.marks.columns]
        item = { type = "text", references = "items", on_delete = "cascade" }
        word = "text"

        [tables.notes.columns]
        id   = "text"
        item = { type = "text", references = "items", on_delete = "set_null" }

        [tables.locks.columns]
        id   = "text"
        list = { type = "text", references = "lists", on_delete = "restrict" }

        [shapes.items]
        table = "items"
        columns = ["list", "title", "done", "rank"]
        [shapes.by_list]
        table = "items"
        where = "list = :list"
        params = { list = "text" }
        [shapes.open_above]
        table = "items"
        where = "done = false AND 100 / rank >= :least"
        params = { least = "integer" }
        [shapes.marks]
        table = "marks"
        [shapes.lists]
        table = "lists"
        [shapes.notes]
        table = "notes"
    "#;
    Schema::parse("suite.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

/// A device of one subject. Numbers its transactions and stamps them.
pub(crate) struct Device {
    pub(crate) replica: ReplicaId,
    pub(crate) subject: Arc<Subject>,
    pub(crate) rseq: u64,
    pub(crate) floor: u64,
}

impl Device {
    pub(crate) fn new(number: u8, subject: &str) -> Self {
        Self { replica: ReplicaId([number; 16]), subject: Arc::new(Subject::named(subject)), rseq: 0, floor: 0 }
    }

    /// The next transaction, stamped with its number.
    pub(crate) fn write(&mut self, operations: Vec<Operation>) -> PushEntry {
        self.follow(operations, &[], &[])
    }

    /// The next transaction, with predecessors.
    pub(crate) fn follow(&mut self, operations: Vec<Operation>, after: &[u64], requires: &[u64]) -> PushEntry {
        self.rseq += 1;
        let stamp = Stamp { wall_ms: self.rseq, counter: 0, replica: self.replica };
        let (after, requires) = (after.to_vec(), requires.to_vec());
        self.push(Transaction {
            replica: self.replica,
            rseq: self.rseq,
            stamp,
            operations,
            after,
            requires,
            origin: None,
            action: None,
            expires_ms: None,
        })
    }

    pub(crate) fn push(&self, transaction: Transaction) -> PushEntry {
        let entry = PushEntry::new(Entry::from(transaction), Arc::clone(&self.subject));
        PushEntry { floor: self.floor, ..entry }
    }
}

/// The same entry with another stamp.
pub(crate) fn stamped(push: PushEntry, wall_ms: u64) -> PushEntry {
    let mut transaction = push.entry.transaction.clone();
    transaction.stamp.wall_ms = wall_ms;
    PushEntry { entry: Entry::from(transaction), ..push }
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(crate) fn key(value: &str) -> RowKey {
    RowKey::single(text(value))
}

fn cells(cells: &[(&str, Value)]) -> Vec<CellWrite> {
    let write = |(column, value): &(&str, Value)| CellWrite::new(*column, value.clone());
    cells.iter().map(write).collect()
}

pub(crate) fn insert(table: &str, id: &str, values: &[(&str, Value)]) -> Operation {
    Operation::Insert { table: table.to_owned(), key: key(id), base: 0, cells: cells(values) }
}

pub(crate) fn update(table: &str, id: &str, base: u64, values: &[(&str, Value)]) -> Operation {
    Operation::Update { table: table.to_owned(), key: key(id), base, cells: cells(values) }
}

pub(crate) fn delete(table: &str, id: &str, base: u64) -> Operation {
    Operation::Delete { table: table.to_owned(), key: key(id), base }
}

pub(crate) fn mark(item: &str, word: &str) -> Operation {
    Operation::Insert { table: "marks".into(), key: RowKey(vec![text(item), text(word)]), base: 0, cells: Vec::new() }
}

pub(crate) fn commit(store: &mut dyn Store, pushes: &[PushEntry]) -> GroupCommit {
    commit_at(store, pushes, NOW)
}

/// The same by another clock.
pub(crate) fn commit_at(store: &mut dyn Store, pushes: &[PushEntry], now_ms: u64) -> GroupCommit {
    let head = store.head().seq;
    let mut pushes = pushes.to_vec();
    for operation in pushes.iter_mut().flat_map(|push| &mut push.entry.transaction.operations) {
        if operation.newest_base() == SEEN {
            operation.limit_base(head);
        }
    }
    store.commit_group(&pushes, usize::MAX, now_ms).expect("the group commits")
}

/// Commits one entry that must be accepted; gives its sequence.
pub(crate) fn accept(store: &mut dyn Store, push: PushEntry) -> u64 {
    match &commit(store, &[push]).outcomes[..] {
        [Outcome::Accepted { seq }] => *seq,
        other => panic!("not accepted: {other:?}"),
    }
}

/// Commits one entry that must be refused; gives the code.
pub(crate) fn refuse(store: &mut dyn Store, push: PushEntry) -> Code {
    refusal(&commit(store, &[push]).outcomes[0])
}

pub(crate) fn refusal(outcome: &Outcome) -> Code {
    match outcome {
        Outcome::Refused { problem, .. } => problem.code.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn accepted(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Accepted { seq } => *seq,
        other => panic!("not accepted: {other:?}"),
    }
}

/// Opens a bucket of a shape for the subject `ann`.
pub(crate) fn bucket(store: &mut dyn Store, shape: &str, params: &[(&str, Value)]) -> Bucket {
    let template = Arc::clone(&store.templates()[shape]);
    let params: BTreeMap<_, _> = params.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    let env: Env = template.env(&params, &Subject::named("ann")).expect("the parameters are right");
    store.open_bucket(&template, &env, NOW).expect("the bucket opens")
}

/// A bucket's rows: the visible values without the key, by key.
pub(crate) type Rows = BTreeMap<RowKey, Vec<Value>>;

/// The rows of a page.
pub(crate) fn page_rows(bucket: &Bucket, page: &Page) -> Rows {
    let keys = bucket.template.key_columns;
    let row = |at: usize| page.rows.columns.iter().map(move |(_, values)| values[at].clone());
    (0..page.rows.len()).map(|at| (RowKey(row(at).take(keys).collect()), row(at).skip(keys).collect())).collect()
}

/// All rows of a bucket, by direct query.
pub(crate) fn query(reader: &dyn StoreReader, bucket: &Bucket) -> Rows {
    let (mut rows, mut after) = (Rows::new(), None);
    loop {
        let page = reader.page(bucket, KeySpan::after(after.as_ref()), 1_000, 1 << 20).expect("the page is read");
        rows.extend(page_rows(bucket, &page));
        if !page.more {
            return rows;
        }
        after = page.last_key;
    }
}

/// The changes of a bucket after a sequence, read in small slices.
pub(crate) fn changes(reader: &dyn StoreReader, bucket: &Bucket, after: u64) -> Vec<Change> {
    let head = reader.head().expect("the head is read").seq;
    let (mut all, mut at) = (Vec::new(), after);
    while at < head {
        let slice = reader.bucket_log(bucket.id, at, head, 100).expect("the log is read");
        assert!(slice.to > at, "a slice makes progress");
        for (seq, run) in &slice.runs {
            let run = ChangeList::from_run(run).expect("runs are whole changes").0;
            assert!(run.iter().all(|c| c.seq() == *seq) && *seq > at && *seq <= slice.to);
            all.extend(run);
        }
        at = slice.to;
    }
    all
}

/// Applies one change as a device does.
pub(crate) fn fold(bucket: &Bucket, rows: &mut Rows, change: &Change) {
    let keys = bucket.template.key_columns;
    match change {
        Change::Put { key, whole, cells, .. } => {
            let width = bucket.template.columns.len() - keys;
            if *whole {
                assert_eq!(cells.len(), width, "a whole row names every visible column");
                rows.insert(key.clone(), vec![Value::Null; width]);
            }
            let row = rows.get_mut(key).expect("a partial change is of a row that is in the bucket");
            assert!(*whole || !cells.is_empty(), "a change changes something");
            for (at, value) in cells {
                row[usize::from(*at) - keys] = value.clone();
            }
        }
        Change::Remove { key, .. } => {
            rows.remove(key);
        }
    }
}
