//! How writes are sent, and what may wait for the network.

use super::reader::{DAY_MS, Entry, Section, Word};
use super::{Report, names};
use crate::error::codes;
use crate::schema::text::tables::DraftTable;
use crate::schema::{Column, Offline, OutboxLimits, Schedule, Sending};
use crate::value::ColumnType;

const SECOND_MS: u64 = 1_000;
const YEAR_MS: u64 = 366 * DAY_MS;

/// What is written ahead, before the columns are known.
#[derive(Debug)]
pub(super) struct DraftSchedule<'t> {
    by: Word<'t>,
    lead_ms: u64,
}

/// Reads what a table says of it.
pub(super) fn read<'t>(section: &mut Section<'t>, report: &mut Report) -> (Sending, Option<DraftSchedule<'t>>) {
    let mut number = |key, range, report: &mut Report| {
        let number = section.take(key).and_then(|entry| entry.whole_number(range, report));
        number.and_then(|number| u8::try_from(number).ok())
    };
    let default = Sending::default();
    let priority = number("priority", 0..=i64::from(Sending::MAX_PRIORITY), report).unwrap_or(default.priority);
    let attempts = number("attempts", 1..=i64::from(Sending::MAX_ATTEMPTS), report).unwrap_or(default.attempts);
    let expires_ms = section.take("expires").and_then(|entry| entry.duration(SECOND_MS..=YEAR_MS, "15m", report));
    let (mut offline, mut schedule) = (Offline::Queue, None);
    if let Some(entry) = section.take("offline") {
        if entry.value.as_table().is_some() {
            schedule = read_schedule(&entry, report);
        } else {
            let choices = [("queue", Offline::Queue), ("deny", Offline::Deny)];
            offline = entry.choice(&choices, &[], report).unwrap_or_default();
        }
    }
    (Sending { priority, attempts, offline, expires_ms }, schedule)
}

fn read_schedule<'t>(entry: &Entry<'t>, report: &mut Report) -> Option<DraftSchedule<'t>> {
    let mut section = Section::of(entry, "`offline`".into(), report)?;
    let by = section.take("schedule");
    if by.is_none() {
        report
            .add(codes::MISSING_KEY, entry.span.clone(), "`offline` does not say by which column")
            .help("such as: offline = { schedule = \"due\", lead = \"24h\" }");
    }
    let by = by.and_then(|by| Some((by.text(report)?, by.span)));
    let lead_ms = section.take("lead").and_then(|entry| entry.duration(0..=YEAR_MS, "24h", report));
    section.finish(report);
    Some(DraftSchedule { by: by?, lead_ms: lead_ms.unwrap_or(0) })
}

/// The schedule of a table, once its columns are known.
pub(super) fn link(table: &mut DraftTable<'_>, report: &mut Report) {
    let Some(draft) = table.schedule.take() else { return };
    let (name, span) = draft.by.clone();
    match table.column(name) {
        Some(column) => table.table.schedule = draft.of(&column.column, report),
        None => table.unknown_column(name, &span, report),
    }
}

impl DraftSchedule<'_> {
    /// What it goes by, and where that is written.
    pub(super) fn by(&self) -> &Word<'_> {
        &self.by
    }

    /// The schedule by this column or argument.
    pub(super) fn of(self, column: &Column, report: &mut Report) -> Option<Schedule> {
        if matches!(column.ty, ColumnType::Timestamp | ColumnType::Date) {
            return Some(Schedule { by: column.name.clone(), lead_ms: self.lead_ms });
        }
        report
            .add(codes::WRONG_FORM, self.by.1.clone(), format!("{} cannot say when", names::show(&column.name)))
            .label(format!("it is of type {}", column.ty))
            .help("name one of type timestamp or date");
        None
    }
}

/// Reads `[outbox]`.
pub(super) fn read_outbox(top: &mut Section<'_>, report: &mut Report) -> OutboxLimits {
    let mut limits = OutboxLimits::default();
    let Some(entry) = top.take("outbox") else { return limits };
    let Some(mut section) = Section::of(&entry, "[outbox]".into(), report) else { return limits };
    if let Some(most) = section.take("max_entries").and_then(|e| e.whole_number(1..=10_000_000, report)) {
        limits.max_entries = most.unsigned_abs();
    }
    if let Some(most) = section.take("max_bytes").and_then(|e| e.size(1_000..=64_000_000_000, "100MB", report)) {
        limits.max_bytes = most;
    }
    if let Some(within) = section.take("collapse").and_then(|e| e.duration(0..=60 * SECOND_MS, "1s", report)) {
        limits.collapse_ms = within;
    }
    if let Some(entry) = section.take("review_after") {
        if entry.value.as_bool() == Some(false) {
            limits.review_after_ms = 0;
        } else if let Some(away) = entry.duration(SECOND_MS..=YEAR_MS, "30d", report) {
            limits.review_after_ms = away;
        }
    }
    if let Some(least) = section.take("review_entries").and_then(|e| e.whole_number(1..=10_000_000, report)) {
        limits.review_entries = least.unsigned_abs();
    }
    section.finish(report);
    limits
}
