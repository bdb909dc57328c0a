//! What a webhook is asked, as JSON: values in the form that `landfall_core::value` gives for their types. The form is in
//! `docs/actions.md`.

use bytes::Bytes;
use landfall_core::hash::Cells;
use landfall_core::{Action, Change, Operation, RowKey};
use serde_json::{Map, Value as Json, json};

use super::hooks::{Name, Question, Seen};
use crate::store::PushEntry;

/// Most rows that a question shows.
pub const MOST_ROWS: usize = 1_000;
/// Most bytes of a question.
pub const MOST_BYTES: usize = 8 << 20;

/// A row that a question shows.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) seen: Seen,
    pub(crate) cells: Option<Cells>,
}

/// Puts a question about a transaction. `None` when it would be too long.
pub(crate) fn question(
    name: &Name,
    push: &PushEntry,
    action: &Action,
    operations: &[Operation],
    rows: Vec<Shown>,
    round: u8,
) -> Option<Question> {
    let txn = &push.entry.transaction;
    let rows_json: Vec<Json> = rows.iter().map(row_json).collect();
    let body = json!({
        "id": name.id(),
        "round": round,
        "action": action.name,
        "args": cells_json(&action.args),
        "subject": { "id": push.subject.id, "claims": cells_json(&push.subject.claims) },
        "replica": txn.replica.to_string(),
        "transaction": txn.rseq,
        "operations": operations.iter().map(operation_json).collect::<Vec<_>>(),
        "rows": rows_json,
    });
    let body = Bytes::from(body.to_string());
    let rows = rows.into_iter().map(|row| row.seen).collect();
    (body.len() <= MOST_BYTES).then_some(Question { body, rows, round })
}

fn row_json(row: &Shown) -> Json {
    let Seen { table, key, version } = &row.seen;
    json!({ "table": table, "key": key_json(key), "version": version, "row": row.cells.as_ref().map(cells_json) })
}

fn operation_json(operation: &Operation) -> Json {
    let op = match operation {
        Operation::Insert { .. } => "insert",
        Operation::Update { .. } => "update",
        Operation::Delete { .. } => "delete",
    };
    // What is added to a counter, or done to a set or a map, is no value of it.
    let cells = |change: Option<Change>| -> Map<String, Json> {
        let cells = operation.cells().iter().filter(|cell| cell.change == change);
        cells.map(|cell| (cell.column.clone(), cell.value.to_json())).collect()
    };
    let mut json = json!({ "op": op, "table": operation.table(), "key": key_json(operation.key()) });
    if let (Some(object), false) = (json.as_object_mut(), op == "delete") {
        object.insert("set".to_owned(), Json::Object(cells(None)));
        for (name, change) in [("add", Change::Add), ("edit", Change::Edit)] {
            let cells = cells(Some(change));
            if !cells.is_empty() {
                object.insert(name.to_owned(), Json::Object(cells));
            }
        }
    }
    json
}

fn cells_json(cells: &Cells) -> Json {
    Json::Object(cells.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
}

fn key_json(key: &RowKey) -> Json {
    Json::Array(key.0.iter().map(landfall_core::Value::to_json).collect())
}
