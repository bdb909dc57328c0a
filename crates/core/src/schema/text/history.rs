//! `history`: how long a table keeps who changed what.

use super::Report;
use super::reader::{DAY_MS, Entry, LONGEST_MS};
use crate::schema::History;

/// Reads `history = true` or `history = "90d"`.
pub(super) fn read(entry: &Entry<'_>, report: &mut Report) -> Option<History> {
    match entry.value.as_bool() {
        Some(kept) => kept.then_some(History { keep_ms: None }),
        None => {
            let keep_ms = entry.duration(DAY_MS..=LONGEST_MS, "90d", report)?;
            Some(History { keep_ms: Some(keep_ms) })
        }
    }
}
