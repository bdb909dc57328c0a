//! What the person is told: connection, what is pending, how safe it is.

use serde::Serialize;

use crate::cache::CacheStats;
use crate::db::Durability;
use crate::session::State;

/// Whether the server can be reached, judged by real traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// Not connected; trying again in this many milliseconds, or only when asked (`None`).
    Offline {
        /// Milliseconds until the next attempt.
        retry_in_ms: Option<u64>,
    },
    /// Connecting, or waiting for the server's welcome.
    #[default]
    Connecting,
    /// The session is open.
    Online,
    /// The token is missing or expired: nothing is lost, sending waits.
    NeedsSignIn,
    /// The server cannot work with this device; the last error says why and what to do.
    Stopped,
}

impl Connectivity {
    pub(crate) fn of(state: &State, now_ms: u64) -> Self {
        match state {
            State::Idle => Self::Offline { retry_in_ms: None },
            State::Waiting { until_ms } => Self::Offline { retry_in_ms: Some(until_ms.saturating_sub(now_ms)) },
            State::Connecting { .. } | State::Greeting { .. } => Self::Connecting,
            State::Online => Self::Online,
            State::SignIn => Self::NeedsSignIn,
            State::Stopped { .. } => Self::Stopped,
        }
    }
}

/// Progress of the first load of the open shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Rows loaded.
    pub rows: u64,
    /// Rows expected, roughly.
    pub expected: u64,
}

/// How sending goes, while something waits to be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sending {
    /// Transactions that the server accepted since nothing waited, or since the client was opened.
    pub done: u64,
    /// Those that were refused, or could not be sent in time, since then.
    pub failed: u64,
    /// Those that are not decided.
    pub left: u64,
    /// Their bytes, as they travel.
    pub bytes_left: u64,
    /// How long they may take at the rate of late, milliseconds. `None` where nothing is known of that: before the first
    /// answer, without a connection, paused, or when the rest waits for its next attempt.
    pub time_to_go_ms: Option<u64>,
}

/// What is held back since the device came back from a long absence, until [`crate::Engine::replay`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// Transactions that wait for it: all that are not decided, those that were written since included.
    pub entries: u64,
    /// Those of them that write what others have changed since ([`crate::Engine::review`]).
    pub conflicts: u64,
    /// How long the device had no session with the server, milliseconds.
    pub away_ms: u64,
    /// Since when, by the device's clock.
    pub since_ms: u64,
    /// Whether all that others did meanwhile is here. Until then there may be more conflicts.
    pub complete: bool,
    /// Whether a copy of what waits was kept. There may have been no room for one, and of more than 32 MiB none is made.
    pub copied: bool,
}

/// The status of the client.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Whether the server can be reached.
    pub connectivity: Connectivity,
    /// Transactions that the server has not decided.
    pub pending: u64,
    /// How they are sent; `None` when there are none.
    pub sending: Option<Sending>,
    /// Whether sending is paused ([`crate::Engine::set_paused`]).
    pub paused: bool,
    /// Set while sending is held back after a long absence.
    pub review: Option<Review>,
    /// Transactions that the server accepted and that have not come back in the shapes yet.
    pub acknowledged: u64,
    /// Dead letters: refused for good, waiting for a person.
    pub dead: u64,
    /// Whether there is a transaction of this device that [`crate::Engine::undo_last`] would take back.
    pub can_undo: bool,
    /// Whether there is one that [`crate::Engine::redo_last`] would do again.
    pub can_redo: bool,
    /// When the device last knew that it shows all that the server has of the open shapes, by the device's clock. Kept
    /// across restarts.
    pub last_synced_ms: Option<u64>,
    /// Set while a shape loads.
    pub loading: Option<Progress>,
    /// What a returned write promises.
    #[serde(serialize_with = "durability_name")]
    pub durability: Durability,
    /// Why the outbox's mirror cannot be written at present. Writes are as safe as `durability` says; what is missing is
    /// the second copy, for a database that is damaged or lost.
    pub mirror_problem: Option<String>,
    /// What may be missing since the database was lost: the mirror of its outbox was damaged too. Stays while the client
    /// is open.
    pub recovery_problem: Option<String>,
    /// Rows that turned out, when their bucket was loaded anew, to be other than the server has them although nothing had
    /// changed them: a fault, or a write from outside the server. They were replaced. Since the client was opened.
    pub healed: u64,
    /// How far the device's clock is ahead of the server's (below zero: behind), when that is more than an hour. As
    /// measured over this connection or the last one. See [`Status::clock_problem`].
    pub clock_off_by_ms: Option<i64>,
    /// What went wrong last, while it still matters.
    pub last_error: Option<String>,
    /// Who the server says we are.
    pub subject: Option<String>,
    /// How long the token was valid when the server last said so.
    pub token_expires_in_ms: Option<u64>,
    /// How the cache of fetched answers stands. The native driver's clients tell it; it is empty until the cache is used.
    pub cache: CacheStats,
}

/// Clocks that differ by less than this are not worth a word.
const CLOCK_TOLERANCE_MS: u64 = 3_600_000;

/// How far a device is ahead, when it is worth a word: of the server's clock less the device's.
pub(crate) fn worth_a_word(server_less_device_ms: i64) -> Option<i64> {
    (server_less_device_ms.unsigned_abs() > CLOCK_TOLERANCE_MS).then(|| server_less_device_ms.saturating_neg())
}

impl Status {
    /// What to tell the person of the device's clock, when it is far off.
    pub fn clock_problem(&self) -> Option<String> {
        let off_by = self.clock_off_by_ms?;
        let (hours, direction) = (off_by.unsigned_abs() / 3_600_000, if off_by > 0 { "ahead of" } else { "behind" });
        let much = match hours {
            0..48 => format!("{hours} h"),
            48..17_520 => format!("{} days", (hours + 12) / 24),
            _ => format!("{} years", (hours + 4_383) / 8_766),
        };
        Some(format!(
            "this device's clock is {much} {direction} the server's; set it. Nothing is lost or refused meanwhile, but \
             times that this device writes are wrong [LF-5922]"
        ))
    }
}

fn durability_name<S: serde::Serializer>(durability: &Durability, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match durability {
        Durability::Full => "full",
        Durability::Normal => "normal",
        Durability::Memory => "memory",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_told_in_words() {
        let said = |server_less_device_ms| {
            let clock_off_by_ms = worth_a_word(server_less_device_ms);
            Status { clock_off_by_ms, ..Status::default() }.clock_problem()
        };
        let hour = 3_600_000;
        assert_eq!([said(0), said(hour), said(-hour)], [None, None, None]);
        for (off_by, words) in [
            (-hour - 1, "is 1 h ahead of the server's"),
            (47 * hour, "is 47 h behind the"),
            (-72 * hour, "is 3 days ahead of"),
            (-10 * 365 * 24 * hour, "is 10 years ahead of"),
            (i64::MIN, "ahead of"),
            (i64::MAX, "behind"),
        ] {
            let sentence = said(off_by).unwrap_or_default();
            assert!(sentence.contains(words) && sentence.ends_with("[LF-5922]"), "{off_by}: {sentence}");
        }
    }
}
