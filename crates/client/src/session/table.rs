//! The names of states and events, for the table of states × events.

use super::{Event, State};

/// The states of the client session, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateName {
    /// Offline by choice.
    Idle,
    /// Backing off.
    Waiting,
    /// The transport is connecting.
    Connecting,
    /// Hello is sent.
    Greeting,
    /// The session is open.
    Online,
    /// Needs a token.
    SignIn,
    /// Cannot work with this server.
    Stopped,
}

impl StateName {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Idle, Self::Waiting, Self::Connecting, Self::Greeting, Self::Online, Self::SignIn, Self::Stopped];

    /// The name of a state.
    pub fn of(state: &State) -> Self {
        match state {
            State::Idle => Self::Idle,
            State::Waiting { .. } => Self::Waiting,
            State::Connecting { .. } => Self::Connecting,
            State::Greeting { .. } => Self::Greeting,
            State::Online => Self::Online,
            State::SignIn => Self::SignIn,
            State::Stopped { .. } => Self::Stopped,
        }
    }
}

macro_rules! events {
    ($($name:ident: $doc:literal),* $(,)?) => {
        /// The events of the client session, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventName { $(#[doc = $doc] $name),* }

        impl EventName {
            /// All events.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name of an event.
            pub fn of(event: &Event) -> Self {
                match event { $(Event::$name { .. } => Self::$name),* }
            }
        }
    };
}

events! {
    Tick: "Time passed.",
    Connected: "The transport is connected.",
    Disconnected: "The transport is gone.",
    Welcome: "The server welcomed us.",
    Acknowledge: "A push was answered.",
    Opened: "A subscription was opened.",
    Live: "Live changes were applied.",
    CatchUp: "Catch-up changes were applied.",
    Pong: "A probe was answered.",
    Error: "The server reports an error.",
    Closed: "A subscription is closed.",
    ChunkLoaded: "A chunk was applied.",
    ChunkFailed: "A chunk could not be fetched.",
    SetToken: "There is a new token.",
    SetOnline: "The app wants to be online or not.",
    SetPaused: "The person pauses sending, or goes on.",
    Nudge: "The network may have changed.",
    Written: "The outbox has something new.",
    Subscribed: "A subscription is new.",
    Unsubscribed: "A subscription is no longer wanted.",
    Fault: "The local database failed.",
    Violation: "The server broke the protocol.",
}

impl StateName {
    /// Whether an event can reach a session in this state at all. Messages of the server come only over the present
    /// connection, so states without one cannot hear them; see `docs/protocol.md`.
    pub fn can_hear(self, event: EventName) -> bool {
        use EventName as E;
        let connected = matches!(self, Self::Greeting | Self::Online);
        match event {
            E::Connected => self == Self::Connecting,
            E::Disconnected => connected || self == Self::Connecting,
            E::Welcome => self == Self::Greeting,
            E::Error => connected,
            E::Acknowledge | E::Opened | E::Live | E::CatchUp | E::Pong | E::Closed => self == Self::Online,
            E::Violation => connected,
            // Going offline by choice forgets the loads under way.
            E::ChunkLoaded | E::ChunkFailed | E::Fault => self != Self::Idle,
            _ => true,
        }
    }
}
