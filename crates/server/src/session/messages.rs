//! What each message of a device does.

use landfall_protocol::client::MOST_SENT_RUNS;
use landfall_protocol::{ClientMessage, Entry, negotiate};

use super::*;
use crate::actions::hooks::Heard;

/// What a push says of earlier transactions of its replica.
struct Known {
    floor: u64,
    prior: u64,
    settled: BTreeSet<u64>,
    following: BTreeMap<u64, Vec<u64>>,
    refused: BTreeSet<u64>,
    attempted: BTreeMap<u64, u32>,
}

impl Session {
    pub(super) fn message(&mut self, message: ClientMessage, now: Moment) {
        match (self.state, message) {
            (State::Greeting, ClientMessage::Hello(hello)) => self.hello(hello, now),
            (
                State::Open,
                ClientMessage::Push { id, entries, clock_ms, floor, prior, settled, following, refused, attempted },
            ) => {
                let following = following.into_iter().map(|of| (of.rseq, of.after)).collect();
                let (settled, refused) = (settled.into_iter().collect(), refused.into_iter().collect());
                let attempted = attempted.into_iter().map(|of| (of.rseq, of.times)).collect();
                let known = Known { floor, prior, settled, following, refused, attempted };
                self.push(id, entries, clock_ms, known, now);
            }
            (State::Open, ClientMessage::Open { id, shape, params, held }) => self.open(id, shape, params, held),
            (State::Open, ClientMessage::Resume { bucket, at }) => self.resume(bucket, at),
            (State::Open, ClientMessage::Close { id }) => self.close(id),
            (State::Open, ClientMessage::Ping { .. }) => self.pong(now),
            (State::Open, ClientMessage::Authenticate { token }) => self.authenticate(&token, now),
            (State::Open, ClientMessage::Applied { seq }) => self.applied(seq),
            (State::Closed, _) => {}
            (State::Greeting, _) => {
                self.fail(codes::OUT_OF_ORDER, "the first message of a session is Hello; connect again");
            }
            (State::Open, ClientMessage::Hello(_)) => {
                self.fail(codes::OUT_OF_ORDER, "the session is open already; one Hello is enough");
            }
            (State::Opening, _) => {
                self.fail(codes::OUT_OF_ORDER, "wait for Welcome before sending more; connect again");
            }
        }
    }

    fn hello(&mut self, hello: Hello, now: Moment) {
        if negotiate(hello.min_version, hello.max_version).is_none() {
            let (min, max) = (hello.min_version, hello.max_version);
            let (oldest, newest) = (landfall_protocol::OLDEST_VERSION, landfall_protocol::VERSION);
            let which = if max < oldest { "the app" } else { "the server" };
            let text =
                format!("the device speaks protocol {min} to {max}, the server {oldest} to {newest}; upgrade {which}");
            return self.fail(codes::UPGRADE_NEEDED, text);
        }
        if hello.app != self.rules.app {
            let text = format!(
                "this server belongs to '{}', not to '{}'; check the address",
                self.rules.app,
                shown(&hello.app)
            );
            return self.fail(codes::SCHEMA_MISMATCH, text);
        }
        if hello.schema_version > self.rules.schema_version {
            let (theirs, ours) = (hello.schema_version, self.rules.schema_version);
            let text =
                format!("the app has version {theirs} of the schema, the server {ours}; upgrade the server first");
            return self.fail(codes::SCHEMA_MISMATCH, text);
        }
        let who = match self.rules.auth.check(hello.token.as_deref(), now.wall_ms) {
            Ok(who) => who,
            Err(problem) => return self.fail(codes::NEEDS_SIGN_IN, problem.to_string()),
        };
        self.adopt(who, now);
        self.replica = hello.replica;
        self.state = State::Opening;
        let (subject, cursor) = (Arc::clone(&self.subject), hello.cursor);
        let mut sent = hello.sent;
        sent.truncate(MOST_SENT_RUNS);
        self.requests.push_back(Request::Hello { replica: hello.replica, subject, cursor, sent });
    }

    /// Takes over what a valid token says.
    fn adopt(&mut self, who: Identity, now: Moment) {
        self.expires_mono_ms = who.expires_in_ms(now.wall_ms).map(|left| now.mono_ms.saturating_add(left));
        self.expires_ms = who.expires_ms;
        self.subject = Arc::new(Subject { id: who.subject, claims: who.claims });
    }

    fn authenticate(&mut self, token: &str, now: Moment) {
        let who = match self.rules.auth.check(Some(token), now.wall_ms) {
            Ok(who) => who,
            // The old token goes on until it expires.
            Err(problem) => {
                let refusal = Refusal::new(codes::NEEDS_SIGN_IN, problem.to_string());
                return self.queue.push_back(refusal.message(false, None));
            }
        };
        if who.subject != self.subject.id {
            let text = format!("the new token is of another subject than '{}'; connect again", self.subject.id);
            return self.fail(codes::OTHER_SUBJECT, text);
        }
        let rights = |claims: &BTreeMap<String, landfall_core::Value>| {
            let mut claims = claims.clone();
            // These change with every token of one subject and say nothing about rights.
            claims.retain(|name, _| !matches!(name.as_str(), "exp" | "iat" | "nbf" | "jti"));
            claims
        };
        if rights(&self.subject.claims) != rights(&who.claims) {
            return self.fail(codes::GOING_AWAY, "the new token gives other rights; connect again with it");
        }
        self.adopt(who, now);
        self.pong(now);
    }

    pub(super) fn token_expires_in_ms(&self, now: Moment) -> Option<u64> {
        self.expires_ms.map(|at| at.saturating_sub(now.wall_ms))
    }

    fn pong(&mut self, now: Moment) {
        let token_expires_in_ms = self.token_expires_in_ms(now);
        self.queue.push_back(ServerMessage::Pong { clock_ms: now.wall_ms, token_expires_in_ms });
    }

    fn push(&mut self, id: u32, entries: Vec<Entry>, clock_ms: u64, mut known: Known, now: Moment) {
        let refuse = |code, text: &str| Refusal::new(code, text).message(false, Some(id));
        if self.draining {
            let text = "the server is shutting down; connect again, nothing is lost";
            return self.queue.push_back(refuse(codes::GOING_AWAY, text));
        }
        if self.outstanding.contains_key(&id) {
            return self.fail(codes::OUT_OF_ORDER, format!("push {id} is still being decided; number pushes in order"));
        }
        if entries.iter().any(|entry| entry.transaction.replica != self.replica) {
            return self
                .fail(codes::BAD_MESSAGE, "a transaction is of another replica than the session; connect again");
        }
        if entries.len() > self.rules.limits.push_entries as usize {
            let text =
                format!("a push has at most {} transactions; send fewer at a time", self.rules.limits.push_entries);
            return self.queue.push_back(refuse(codes::TOO_LARGE, &text));
        }
        if self.outstanding.len() >= MAX_OUTSTANDING_PUSHES {
            let text = "too many pushes wait for a decision; wait for some";
            let refusal = Refusal::new(codes::OVERLOADED, text).retry_after(200);
            return self.queue.push_back(refusal.message(false, Some(id)));
        }
        let shift_ms = (now.wall_ms as i64).saturating_sub(clock_ms.min(i64::MAX as u64) as i64);
        self.outstanding.insert(id, entries.iter().map(|entry| entry.transaction.rseq).collect());
        self.shifts.insert(id, shift_ms);
        let with = |entry: Entry| {
            let txn = &entry.transaction;
            let mut settled: Vec<u64> = txn.after.iter().chain(&txn.requires).copied().collect();
            settled.retain(|rseq| known.settled.contains(rseq));
            let refused = txn.requires.iter().filter(|rseq| known.refused.contains(rseq)).copied().collect();
            let (floor, prior) = (known.floor, txn.rseq <= known.prior);
            let follows = known.following.remove(&txn.rseq).unwrap_or_default();
            let (subject, copied) = (Arc::clone(&self.subject), self.copied.clone());
            let attempted = known.attempted.get(&txn.rseq).copied().unwrap_or(0);
            let heard = Heard::Nothing;
            PushEntry { entry, subject, shift_ms, floor, prior, settled, refused, follows, attempted, copied, heard }
        };
        let entries = entries.into_iter().map(with).collect();
        self.requests.push_back(Request::Push { id, entries });
    }

    fn applied(&mut self, seq: u64) {
        self.follows = true;
        while let Some((to, bytes)) = self.in_flight.front().copied() {
            if to > seq {
                break;
            }
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
        }
    }
}

/// Somebody else's text, short enough for a sentence.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
