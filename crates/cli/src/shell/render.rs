//! Output of the shell: tables for people, JSON lines for programs.

use std::time::{SystemTime, UNIX_EPOCH};

use landfall_client::db::{Changed, Durability, EntryState, OutboxEntry, Reviewed, Rows};
use landfall_client::live::RowsDiff;
use landfall_client::status::{Connectivity, Review, Sending, Status};
use landfall_core::{Schema, Value};

use crate::out::out;

/// A cell wider than this is shortened in tables.
const WIDEST: usize = 60;

fn cell(value: &Value) -> String {
    let text = match value.to_json() {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    };
    let text = text.replace('\n', "⏎");
    match text.char_indices().nth(WIDEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn object(columns: &[String], row: &[Value]) -> String {
    let pairs = columns.iter().cloned().zip(row.iter().map(Value::to_json));
    serde_json::Value::Object(pairs.collect()).to_string()
}

pub(super) fn rows(rows: &Rows, json: bool) {
    answer(&rows.columns, &rows.rows, json);
}

pub(super) fn answer(columns: &[String], rows: &[Vec<Value>], json: bool) {
    if json {
        rows.iter().for_each(|row| out!("{}", object(columns, row)));
        return;
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    grid(columns, &cells);
    out!("{}", count(cells.len() as u64, "row"));
}

/// `1 row`, `2 rows`.
pub(super) fn count(number: u64, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {what}s"),
    }
}

pub(super) fn grid(columns: &[String], cells: &[Vec<String>]) {
    let width = |i: usize| {
        let widest = cells.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max();
        widest.unwrap_or(0).max(columns[i].chars().count())
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &[String]| {
        let padded = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        out!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(columns);
    out!("{}", widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  "));
    cells.iter().for_each(|row| line(row));
}

/// `old` are the rows that the difference applies to: what goes is shown as it was.
pub(super) fn diff(columns: &[String], old: &[Vec<Value>], diff: &RowsDiff, json: bool) {
    let show = |sign: &str, name: &str, row: &[Value]| {
        let object = object(columns, row);
        if json { out!("{{\"{name}\":{object}}}") } else { out!("{sign} {object}") }
    };
    diff.removed.iter().filter_map(|at| old.get(*at)).for_each(|row| show("-", "removed", row));
    diff.updated.iter().for_each(|(_, row)| show("~", "updated", row));
    diff.inserted.iter().for_each(|(_, row)| show("+", "inserted", row));
}

pub(super) fn tables(schema: &Schema) {
    for table in &schema.tables {
        let columns = table.columns.iter().map(|c| format!("{} {}", c.name, c.ty)).collect::<Vec<_>>();
        let local = if table.sync { "" } else { "  (local)" };
        out!("{}({}){local}", table.name, columns.join(", "));
    }
}

pub(super) fn status(status: &Status, json: bool) {
    if json {
        out!("{}", serde_json::to_string(status).unwrap_or_default());
        return;
    }
    let connection = match status.connectivity {
        Connectivity::Online => "online".to_owned(),
        Connectivity::Connecting => "connecting".to_owned(),
        Connectivity::Offline { retry_in_ms: None } => "offline, by choice".to_owned(),
        Connectivity::Offline { retry_in_ms: Some(wait) } => {
            format!("offline, trying again in {:.1} s", wait as f64 / 1e3)
        }
        Connectivity::NeedsSignIn => "needs sign-in; nothing is lost".to_owned(),
        Connectivity::Stopped => "stopped; see the last error".to_owned(),
    };
    out!("connection    {connection}");
    if let Some(subject) = &status.subject {
        out!("signed in as  {subject}");
    }
    match status.acknowledged {
        0 => out!("pending       {}", status.pending),
        saved => out!("pending       {}, and {saved} saved on the server, on their way back", status.pending),
    }
    if let Some(review) = &status.review {
        out!("sending       {}", held_back(review));
    } else if status.paused {
        out!("sending       paused; .resume goes on");
    } else if let Some(sending) = status.sending.filter(|sending| sending.done + sending.failed > 0) {
        out!("sending       {}", progress(&sending));
    }
    match status.dead {
        0 => out!("refused       0"),
        dead => out!("refused       {dead}; see .outbox"),
    }
    out!(
        "durability    {}",
        match status.durability {
            Durability::Full => "full: what is written here survives a power cut",
            Durability::Normal => "normal: a power cut may take the last writes",
            Durability::Memory => "memory: what is written here is gone when this ends",
        }
    );
    if let Some(problem) = &status.mirror_problem {
        out!("second copy   none: {problem}");
    }
    if let Some(problem) = &status.recovery_problem {
        out!("recovery      {problem}");
    }
    if let Some(problem) = status.clock_problem() {
        out!("clock         {problem}");
    }
    if status.healed > 0 {
        out!("healed        {} rows that were not as the server has them", status.healed);
    }
    if let Some(at) = status.last_synced_ms {
        out!("last synced   {}", ago(at));
    }
    // Before the server has said how much there is, there is nothing to show.
    if let Some(progress) = status.loading.filter(|progress| progress.expected > 0) {
        out!("loading       {} of about {} rows", progress.rows, progress.expected);
    }
    if let Some(error) = &status.last_error {
        out!("last error    {error}");
    }
}

/// `held back since this device was away for 34 days; 2 of 812 transactions touch what others changed: .review, .replay`.
fn held_back(review: &Review) -> String {
    let more = if review.complete { "" } else { " so far" };
    let (entries, away) = (count(review.entries, "transaction"), lasting(review.away_ms));
    let conflicts = review.conflicts;
    format!(
        "held back since this device was away for {away}; {conflicts} of {entries} touch what others changed{more}: \
         .review, .replay"
    )
}

fn lasting(ms: u64) -> String {
    match ms / 60_000 {
        0..=119 => format!("{} min", ms / 60_000),
        minutes @ 120..=2_879 => format!("{} hours", minutes / 60),
        minutes => format!("{} days", minutes / 1_440),
    }
}

/// What is held back, one line an entry; and what others changed of it.
pub(super) fn review(reviewed: &[Reviewed], json: bool) {
    if json {
        for Reviewed { entry, changed } in reviewed {
            let changed: Vec<_> = changed.iter().map(changed_json).collect();
            let (no, transaction) = (entry.rseq, &entry.transaction);
            out!("{}", serde_json::json!({ "rseq": no, "transaction": transaction, "changed": changed }));
        }
        return;
    }
    if reviewed.is_empty() {
        out!("nothing is held back");
        return;
    }
    let columns = ["no", "rows", "changed by others since"].map(str::to_owned);
    let row = |Reviewed { entry, changed }: &Reviewed| {
        let rows = entry.transaction.operations.iter().map(|o| format!("{} {}", o.table(), o.key()));
        let changed: Vec<String> = changed.iter().map(in_words).collect();
        vec![entry.rseq.to_string(), rows.collect::<Vec<_>>().join(", "), changed.join("; ")]
    };
    grid(&columns, &reviewed.iter().map(row).collect::<Vec<_>>());
}

fn changed_json(changed: &Changed) -> serde_json::Value {
    let value = |value: &Option<Value>| value.as_ref().map(Value::to_json);
    serde_json::json!({
        "table": changed.table, "key": changed.key.0.iter().map(Value::to_json).collect::<Vec<_>>(),
        "column": changed.column, "was": value(&changed.was), "now": value(&changed.now), "own": value(&changed.own),
    })
}

/// `title was "a", is "b", to be "c"`; or that the row is gone.
fn in_words(changed: &Changed) -> String {
    let Changed { table, key, column, was, now, own } = changed;
    let Some(column) = column else { return format!("{table} {key} is gone") };
    let was = was.as_ref().map(|was| format!(" was {},", cell(was))).unwrap_or_default();
    let now = now.as_ref().map(cell).unwrap_or_default();
    let own = own.as_ref().map_or_else(|| "deleted".to_owned(), cell);
    format!("{column}{was} is {now}, to be {own}")
}

/// `120 done, 1 refused, 379 to go (12 KB, some 3 s)`.
fn progress(sending: &Sending) -> String {
    let refused = if sending.failed > 0 { format!(", {} refused", sending.failed) } else { String::new() };
    let bytes = sending.bytes_left.div_ceil(1_000);
    let time = match sending.time_to_go_ms.map(|ms| ms.div_ceil(1_000)) {
        None => String::new(),
        Some(seconds @ 0..=119) => format!(", some {seconds} s"),
        Some(seconds @ 120..=7_199) => format!(", some {} min", seconds / 60),
        Some(seconds) => format!(", some {} h", seconds / 3_600),
    };
    format!("{} done{refused}, {} to go ({bytes} KB{time})", sending.done, sending.left)
}

/// How long ago a time is, milliseconds since the Unix epoch.
fn ago(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let minutes = now.saturating_sub(at_ms) / 60_000;
    match minutes {
        0 => "just now".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2_879 => format!("{} hours ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    }
}

pub(super) fn outbox(entries: &[OutboxEntry], json: bool) {
    if json {
        for entry in entries {
            let (no, state) = (entry.rseq, state_name(entry));
            let object = serde_json::json!({
                "rseq": no, "state": state, "transaction": entry.transaction, "problem": entry.problem,
                "priority": entry.priority, "attempts": entry.attempts, "next_attempt_ms": entry.next_attempt_ms,
            });
            out!("{object}");
        }
        return;
    }
    if entries.is_empty() {
        out!("the outbox is empty");
        return;
    }
    let columns = ["no", "state", "rows", "why"].map(str::to_owned);
    let cells: Vec<Vec<String>> = entries
        .iter()
        .map(|e| {
            let tables = e.transaction.operations.iter().map(|o| format!("{} {}", o.table(), o.key()));
            let why = e.problem.as_ref().map(ToString::to_string).unwrap_or_default();
            let action = e.transaction.action.as_ref().map(|action| format!("asks for {}", action.name));
            let what: Vec<String> = action.into_iter().chain(tables).collect();
            vec![e.rseq.to_string(), state_name(e).to_owned(), what.join(", "), why]
        })
        .collect();
    grid(&columns, &cells);
}

fn state_name(entry: &OutboxEntry) -> &'static str {
    match entry.state {
        EntryState::Queued | EntryState::Sent if entry.next_attempt_ms.is_some() => "waits for its next attempt",
        EntryState::Queued => "pending",
        EntryState::Sent => "sending",
        EntryState::Acknowledged(_) => "saved, on its way back",
        EntryState::Dead => "failed",
    }
}
