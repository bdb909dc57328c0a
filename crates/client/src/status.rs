//! What the person is told: connection, what is pending, how safe it is.

use serde::Serialize;

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

/// The status of the client.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Whether the server can be reached.
    pub connectivity: Connectivity,
    /// Transactions that the server has not decided.
    pub pending: u64,
    /// Transactions that the server accepted and that have not come back in the shapes yet.
    pub acknowledged: u64,
    /// Dead letters: refused for good, waiting for a person.
    pub dead: u64,
    /// When server changes were last applied, by the device's clock.
    pub last_synced_ms: Option<u64>,
    /// Set while a shape loads.
    pub loading: Option<Progress>,
    /// What a returned write promises.
    #[serde(serialize_with = "durability_name")]
    pub durability: Durability,
    /// Why the outbox's mirror cannot be written at present. Writes are as safe as `durability` says; what is missing is
    /// the second copy, for a database that is damaged or lost.
    pub mirror_problem: Option<String>,
    /// What went wrong last, while it still matters.
    pub last_error: Option<String>,
    /// Who the server says we are.
    pub subject: Option<String>,
    /// How long the token was valid when the server last said so.
    pub token_expires_in_ms: Option<u64>,
}

fn durability_name<S: serde::Serializer>(durability: &Durability, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match durability {
        Durability::Full => "full",
        Durability::Normal => "normal",
        Durability::Memory => "memory",
    })
}
