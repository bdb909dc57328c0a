//! Values, rows and differences as JSON text, so that JavaScript reads back exactly what was stored.
//!
//! What JSON has no form for is wrapped in an object of one key: `{"i": "…"}` an integer beyond 2⁵³, `{"b": "…"}` bytes
//! in base64, `{"j": …}` a JSON value (wrapped always, so that no object is ambiguous). From JavaScript comes also
//! `{"t": "…"}`, an instant in RFC 3339.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_client::db::{
    Backup, EntryState, Imported, Left, OutboxEntry, Reviewed, Rows, Undone, Withdrawal, Written,
};
use landfall_client::live::{Row, RowsDiff};
use landfall_client::status::{Connectivity, Status};
use landfall_core::json::{list, string};
use landfall_core::value::{ColumnType, MAX_SAFE_INTEGER, SqliteValue};
use landfall_core::{Change, Operation, Problem, RowKey, Value};
use serde_json::{Value as Json, json};

/// Appends a value.
pub fn value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Int(v) if v.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() => {
            let _ = write!(out, "{v}");
        }
        Value::Int(v) => {
            let _ = write!(out, "{{\"i\":\"{v}\"}}");
        }
        Value::Bytes(v) => {
            out.push_str("{\"b\":\"");
            STANDARD.encode_string(v, out);
            out.push_str("\"}");
        }
        Value::Json(text) => {
            let _ = write!(out, "{{\"j\":{text}}}");
        }
        Value::Text(v) => string(v, out),
        other => out.push_str(&other.to_json().to_string()),
    }
}

fn row(values: &[Value], out: &mut String) {
    list(values, out, value);
}

/// The answer of a query: `{"columns": […], "rows": [[…]…]}`.
pub fn rows(answer: &Rows) -> String {
    let mut out = String::with_capacity(64 + answer.rows.len() * answer.columns.len() * 12);
    out.push_str("{\"columns\":");
    list(&answer.columns, &mut out, |name, out| string(name, out));
    out.push_str(",\"rows\":");
    list(&answer.rows, &mut out, |values, out| row(values, out));
    out.push('}');
    out
}

/// The types of a live answer's columns: what plain SQL leaves as SQLite's own types is given the schema's.
pub type Types = Vec<Option<ColumnType>>;

fn typed(values: &Row, types: &Types, out: &mut String) {
    let mut at = 0;
    list(values, out, |plain, out| {
        let ty = types.get(at).copied().flatten();
        at += 1;
        match ty.and_then(|ty| with_type(plain, ty)) {
            Some(typed) => value(&typed, out),
            None => value(plain, out),
        }
    });
}

/// A stored value under its column's type; `None` where it has that form already, or is not of the type.
fn with_type(plain: &Value, ty: ColumnType) -> Option<Value> {
    if matches!(ty, ColumnType::Text | ColumnType::Integer | ColumnType::Float | ColumnType::Bytes | ColumnType::Uuid) {
        return None;
    }
    let stored = match plain {
        Value::Int(v) => SqliteValue::Integer(*v),
        Value::Float(v) => SqliteValue::Real(*v),
        Value::Text(v) => SqliteValue::Text(v.clone()),
        Value::Bytes(v) => SqliteValue::Blob(v.clone()),
        _ => return None,
    };
    Value::from_sqlite(stored, ty).ok()
}

/// The first answer of a live query: `{"columns": […], "rows": [[…]…], "complete": …}`.
pub fn watched(columns: &[String], answer: &[Row], types: &Types, complete: bool) -> String {
    let mut out = String::from("{\"columns\":");
    list(columns, &mut out, |name, out| string(name, out));
    out.push_str(",\"rows\":");
    list(answer, &mut out, |values, out| typed(values, types, out));
    let _ = write!(out, ",\"complete\":{complete}}}");
    out
}

/// A difference: `{"removed": [old index…], "inserted": [[new index, row]…], "updated": …, "complete": …}`.
pub fn diff(diff: &RowsDiff, types: &Types) -> String {
    let mut out = String::from("{\"removed\":");
    list(&diff.removed, &mut out, |at, out| {
        let _ = write!(out, "{at}");
    });
    for (name, part) in [("inserted", &diff.inserted), ("updated", &diff.updated)] {
        let _ = write!(out, ",\"{name}\":");
        list(part, &mut out, |(at, values), out| {
            let _ = write!(out, "[{at},");
            typed(values, types, out);
            out.push(']');
        });
    }
    let _ = write!(out, ",\"complete\":{}}}", diff.complete);
    out
}

fn verb(operation: &Operation) -> &'static str {
    match operation {
        Operation::Insert { .. } => "insert",
        Operation::Update { .. } => "update",
        Operation::Delete { .. } => "delete",
    }
}

/// The outbox, as the app sees it. What the server accepted is no longer its concern.
pub fn outbox(entries: &[OutboxEntry]) -> String {
    let mut out = String::new();
    list(entries, &mut out, |one, out| {
        entry(one, out);
        out.push('}');
    });
    out
}

/// Whether the app is asked about it elsewhere, and has not answered (P19). It was put off, then, and nothing failed on it
/// when it was last offered; what is put off with one that it follows waits for that one.
fn is_asked(entry: &OutboxEntry) -> bool {
    entry.next_attempt_ms.is_some()
        && entry.problem.is_none()
        && entry.waits_for.is_empty()
        && entry.transaction.action.is_some()
}

/// Why it was refused. A problem names its row in print; of a row that the entry writes the key is known.
fn error(problem: &Problem, operations: &[Operation], out: &mut String) {
    out.push_str("{\"code\":");
    string(&problem.code.to_string(), out);
    out.push_str(",\"message\":");
    string(&problem.message, out);
    for (name, one) in [("table", &problem.table), ("column", &problem.column)] {
        if let Some(one) = one {
            let _ = write!(out, ",\"{name}\":");
            string(one, out);
        }
    }
    let names = |o: &&Operation| {
        problem.table.as_deref() == Some(o.table()) && problem.key.as_ref().is_some_and(|k| *k == o.key().to_string())
    };
    if let Some(operation) = operations.iter().find(names) {
        out.push_str(",\"key\":");
        row(&operation.key().0, out);
    }
    out.push('}');
}

/// What is held back after a long absence: entries of the outbox, with what others have changed since.
pub fn review(reviewed: &[Reviewed]) -> String {
    let mut out = String::new();
    list(reviewed, &mut out, |one, out| {
        entry(&one.entry, out);
        out.push_str(",\"changed\":");
        list(&one.changed, out, |changed, out| {
            row_name(&changed.table, &changed.key, changed.column.as_deref(), out);
            for (name, part) in [("was", &changed.was), ("now", &changed.now), ("own", &changed.own)] {
                if let Some(part) = part {
                    let _ = write!(out, ",\"{name}\":");
                    value(part, out);
                }
            }
            out.push('}');
        });
        out.push('}');
    });
    out
}

/// An entry, but for the end of its object.
fn entry(entry: &OutboxEntry, out: &mut String) {
    let state = match entry.state {
        EntryState::Queued => "pending",
        // The server failed on it, and it waits for its next attempt.
        EntryState::Sent if entry.next_attempt_ms.is_some() => "pending",
        EntryState::Sent => "sending",
        EntryState::Acknowledged(_) => "sent",
        EntryState::Dead => "failed",
    };
    let _ = write!(
        out,
        "{{\"rseq\":{},\"state\":\"{state}\",\"attempts\":{},\"created\":{},\"priority\":{},",
        entry.rseq, entry.attempts, entry.created_ms, entry.priority
    );
    if let Some(at_ms) = entry.next_attempt_ms {
        let _ = write!(out, "\"next\":{at_ms},");
    }
    if let Some(at_ms) = entry.transaction.expires_ms {
        let _ = write!(out, "\"expires\":{at_ms},");
    }
    if is_asked(entry) {
        out.push_str("\"asked\":true,");
    }
    if entry.is_open {
        out.push_str("\"open\":true,");
    }
    if !entry.waits_for.is_empty() {
        let _ = write!(out, "\"after\":{},", json!(entry.waits_for));
    }
    out.push_str("\"rows\":");
    list(&entry.transaction.operations, out, |operation, out| {
        out.push_str("{\"table\":");
        string(operation.table(), out);
        out.push_str(",\"key\":");
        row(&operation.key().0, out);
        let _ = write!(out, ",\"op\":\"{}\",\"cells\":", verb(operation));
        object(operation.cells().iter().map(|write| (&write.column, &write.value)), out);
        for (name, change) in [("added", Change::Add), ("edited", Change::Edit)] {
            let changed = || operation.cells().iter().filter(|write| write.change == Some(change));
            if changed().next().is_some() {
                let _ = write!(out, ",\"{name}\":");
                list(changed(), out, |write, out| string(&write.column, out));
            }
        }
        out.push('}');
    });
    if let Some(action) = &entry.transaction.action {
        out.push_str(",\"action\":{\"name\":");
        string(&action.name, out);
        out.push_str(",\"columns\":");
        list(action.args.keys(), out, |name, out| string(name, out));
        out.push_str(",\"args\":");
        list(action.args.values(), out, value);
        out.push('}');
    }
    if let Some(problem) = &entry.problem {
        out.push_str(",\"error\":");
        error(problem, &entry.transaction.operations, out);
    }
    if let Some(cause) = entry.because_of() {
        let _ = write!(out, ",\"becauseOf\":{cause}");
    }
    if !entry.failures.is_empty() {
        out.push_str(",\"failures\":");
        list(&entry.failures, out, |failure, out| {
            let _ = write!(out, "{{\"at\":{},\"code\":", failure.at_ms);
            string(&failure.problem.code.to_string(), out);
            out.push_str(",\"message\":");
            string(&failure.problem.message, out);
            out.push('}');
        });
    }
    if !entry.images.is_empty() {
        out.push_str(",\"seen\":");
        list(&entry.images, out, |((table, key), cells), out| {
            out.push_str("{\"table\":");
            string(table, out);
            out.push_str(",\"key\":");
            row(&key.0, out);
            out.push_str(",\"cells\":");
            object(cells, out);
            out.push('}');
        });
    }
}

fn object<'a>(cells: impl IntoIterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (at, (column, cell)) in cells.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(column, out);
        out.push(':');
        value(cell, out);
    }
    out.push('}');
}

fn left(list_of: &[Left], out: &mut String) {
    list(list_of, out, |one, out| {
        row_name(&one.table, &one.key, one.column.as_deref(), out);
        out.push('}');
    });
}

/// A column of a row, but for the end of its object.
fn row_name(table: &str, key: &RowKey, column: Option<&str>, out: &mut String) {
    out.push_str("{\"table\":");
    string(table, out);
    out.push_str(",\"key\":");
    row(&key.0, out);
    out.push_str(",\"column\":");
    match column {
        Some(column) => string(column, out),
        None => out.push_str("null"),
    }
}

fn taken_back(undone: &Undone, rseq: Option<u64>) -> String {
    let mut out = format!("{{\"of\":{},\"rseq\":{},\"left\":", undone.of, json!(rseq));
    left(&undone.left, &mut out);
    out.push('}');
    out
}

/// What an undo or redo did; null when there was nothing.
pub fn undone(written: Option<&Written<Undone>>) -> String {
    written.map_or_else(|| "null".to_owned(), |written| taken_back(&written.value, written.rseq))
}

/// What a page hears of a write: its entry; with entries that are gone for it, a list.
pub fn written(written: Option<&Written<()>>) -> String {
    let Some(Written { rseq, gone, .. }) = written else { return "null".to_owned() };
    if gone.is_empty() {
        return json!(rseq).to_string();
    }
    let all = std::iter::once(*rseq).chain(gone.iter().copied().map(Some));
    json!(all.collect::<Vec<_>>()).to_string()
}

/// What became of a withdrawal.
pub fn withdrawn(written: Option<&Written<Withdrawal>>) -> String {
    let Some(written) = written else { return "null".to_owned() };
    match &written.value {
        Withdrawal::Withdrawn { entry: was, with_it } => {
            let mut out = format!("{{\"withdrawn\":true,\"withIt\":{},\"entry\":", json!(with_it));
            entry(was, &mut out);
            out.push_str("}}");
            out
        }
        Withdrawal::TakenBack(undone) => {
            format!("{{\"withdrawn\":false,\"undone\":{}}}", taken_back(undone, written.rseq))
        }
    }
}

/// What an import did.
pub fn imported(imported: &Imported) -> String {
    json!({"added": imported.added, "known": imported.known, "refused": imported.refused}).to_string()
}

/// Copies of the outbox.
pub fn backups(backups: &[Backup]) -> String {
    let one = |b: &Backup| json!({"at": b.at_ms, "why": b.why, "file": b.file});
    Json::Array(backups.iter().map(one).collect()).to_string()
}

/// The engine's part of the status.
pub fn status(status: &Status) -> String {
    let (connectivity, retry_in_ms) = match status.connectivity {
        Connectivity::Offline { retry_in_ms } => ("offline", retry_in_ms),
        Connectivity::Connecting => ("connecting", None),
        Connectivity::Online => ("online", None),
        Connectivity::NeedsSignIn => ("needs-sign-in", None),
        Connectivity::Stopped => ("stopped", None),
    };
    let sending = status.sending.map(|s| {
        json!({"done": s.done, "failed": s.failed, "left": s.left, "bytesLeft": s.bytes_left,
            "timeToGoMs": s.time_to_go_ms})
    });
    let review = status.review.map(|r| {
        json!({"entries": r.entries, "conflicts": r.conflicts, "awayMs": r.away_ms, "since": r.since_ms,
            "complete": r.complete, "copied": r.copied})
    });
    let progress = status.loading.map(|p| json!({"loaded": p.rows, "total": p.expected}));
    json!({
        "connectivity": connectivity,
        "retryInMs": retry_in_ms,
        "pending": status.pending,
        "failed": status.dead,
        "sending": sending,
        "paused": status.paused,
        "review": review,
        "canUndo": status.can_undo,
        "canRedo": status.can_redo,
        "lastSyncedAt": status.last_synced_ms,
        "progress": progress,
        "healed": status.healed,
        "subject": status.subject,
        "clockProblem": status.clock_problem().as_deref().map(error_of),
        "recoveryProblem": status.recovery_problem.as_deref().map(error_of),
        "lastError": status.last_error.as_deref().map(error_of),
    })
    .to_string()
}

/// An error sentence with its code, which stands in brackets at its end or within it.
fn error_of(text: &str) -> Json {
    let at =
        text.find("LF-").filter(|at| text.get(at + 3..at + 7).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit())));
    let code = at.and_then(|at| text.get(at..at + 7)).unwrap_or("LF-5930");
    json!({"code": code, "message": text})
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
mod tests {
    use landfall_client::changes::ChangeSet;
    use landfall_client::db::Failure;
    use landfall_core::error::codes;
    use landfall_core::hash::Cells;
    use landfall_core::wide::WideMap;
    use landfall_core::{Action, ReplicaId, RowKey, Stamp, Transaction};

    use super::*;

    fn text(one: &Value) -> String {
        let mut out = String::new();
        value(one, &mut out);
        out
    }

    #[test]
    fn what_json_cannot_say_is_wrapped() {
        assert_eq!(text(&Value::Int(9_007_199_254_740_991)), "9007199254740991");
        assert_eq!(text(&Value::Int(i64::MIN)), r#"{"i":"-9223372036854775808"}"#);
        assert_eq!(text(&Value::Bytes(vec![0, 255])), r#"{"b":"AP8="}"#);
        assert_eq!(text(&Value::Json(r#"{"i":"1"}"#.into())), r#"{"j":{"i":"1"}}"#);
        assert_eq!(text(&Value::Text("a\"\u{2028}".into())), "\"a\\\"\u{2028}\"");
        assert_eq!(text(&Value::Timestamp(0)), "\"1970-01-01T00:00:00Z\"");
    }

    #[test]
    fn a_live_answer_has_the_schemas_types() {
        let types = vec![Some(ColumnType::Boolean), None, Some(ColumnType::Decimal(2))];
        let rows = vec![vec![Value::Int(1), Value::Int(1), Value::Int(150)]];
        let columns = ["a", "b", "c"].map(str::to_owned);
        let found = watched(&columns, &rows, &types, true);
        assert_eq!(found, r#"{"columns":["a","b","c"],"rows":[[true,1,"1.50"]],"complete":true}"#);
        let change = RowsDiff { removed: vec![2], inserted: vec![(0, rows[0].clone())], ..RowsDiff::default() };
        let found = diff(&change, &types);
        assert_eq!(found, r#"{"removed":[2],"inserted":[[0,[true,1,"1.50"]]],"updated":[],"complete":false}"#);
    }

    fn entry(change: impl FnOnce(&mut OutboxEntry)) -> Json {
        let replica = ReplicaId([7; 16]);
        let transaction = Transaction {
            replica,
            rseq: 3,
            stamp: Stamp { wall_ms: 0, counter: 0, replica },
            operations: vec![Operation::Delete {
                table: "tags".to_owned(),
                key: RowKey(vec![Value::Int(i64::MAX), Value::Text("sea".to_owned())]),
                base: 0,
            }],
            after: vec![],
            requires: vec![],
            origin: None,
            action: Some(Action { name: "close".to_owned(), args: Cells::new() }),
            expires_ms: None,
        };
        let mut entry = OutboxEntry {
            rseq: 3,
            state: EntryState::Sent,
            created_ms: 0,
            attempts: 0,
            priority: 50,
            next_attempt_ms: Some(9),
            is_open: false,
            waits_for: vec![],
            transaction,
            problem: None,
            failures: vec![Failure::new(7, Problem::new(codes::REQUIRED, "no"))],
            images: WideMap::new(),
        };
        change(&mut entry);
        serde_json::from_str::<Json>(&outbox(&[entry])).unwrap()[0].take()
    }

    #[test]
    fn failures_are_told_with_when_and_why() {
        assert_eq!(entry(|_| {})["failures"], json!([{ "at": 7, "code": "LF-2002", "message": "no" }]));
        assert_eq!(entry(|e| e.failures.clear())["failures"], Json::Null);
    }

    #[test]
    fn what_the_app_is_asked_about_is_told_from_what_waits_for_another_reason() {
        assert_eq!(entry(|_| {})["asked"], true);
        let failing = |e: &mut OutboxEntry| e.problem = Some(Problem::new(codes::REQUIRED, "no"));
        assert_eq!(entry(failing)["asked"], Json::Null, "the server failed on it");
        assert_eq!(entry(|e| e.attempts = 1)["asked"], true, "it failed before, and has come as far as asking");
        assert_eq!(entry(|e| e.waits_for = vec![2])["asked"], Json::Null, "it is put off with another");
        assert_eq!(entry(|e| e.next_attempt_ms = None)["asked"], Json::Null, "it is on its way");
        assert_eq!(entry(|e| e.transaction.action = None)["asked"], Json::Null, "there is nobody to ask");
    }

    #[test]
    fn a_refusal_names_row_and_column() {
        let problem = Problem::new(landfall_core::error::codes::UNIQUE, "taken");
        let told = |problem: Problem| entry(|e| e.problem = Some(problem))["error"].take();
        assert_eq!(told(problem.clone()), json!({"code": "LF-3004", "message": "taken"}));
        let mine = RowKey(vec![Value::Int(i64::MAX), Value::Text("sea".to_owned())]);
        let at = json!([{"i": "9223372036854775807"}, "sea"]);
        let here = json!({"code": "LF-3004", "message": "taken", "table": "tags", "key": at, "column": "tag"});
        assert_eq!(told(problem.clone().row("tags", &mine).column("tag")), here);
        // Of a row that the entry does not write, only the table is known for certain.
        let other = json!({"code": "LF-3004", "message": "taken", "table": "notes"});
        assert_eq!(told(problem.row("notes", &mine)), other);
    }

    #[test]
    fn a_write_is_answered_with_its_entry_and_what_is_gone_for_it() {
        let one = |rseq, gone: &[u64]| Written { value: (), rseq, gone: gone.to_vec(), changes: ChangeSet::default() };
        assert_eq!(written(Some(&one(Some(5), &[]))), "5");
        assert_eq!(written(Some(&one(None, &[]))), "null");
        assert_eq!(written(Some(&one(Some(5), &[4, 2]))), "[5,4,2]");
        assert_eq!(written(Some(&one(None, &[4]))), "[null,4]");
    }

    #[test]
    fn an_error_keeps_its_own_code() {
        assert_eq!(error_of("the token is not valid [LF-4004]")["code"], "LF-4004");
        assert_eq!(error_of("no route")["code"], "LF-5930");
    }
}
