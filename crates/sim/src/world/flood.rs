//! Somebody who hands in as much as a session takes, of which nothing is ever accepted, and goes.

use landfall_core::{Operation, ReplicaId, RowKey, Stamp, Transaction, Value};
use landfall_protocol::{ClientMessage, Entry, Hello, VERSION};
use landfall_server::session::{Event as SessionEvent, MAX_OUTSTANDING_PUSHES};

use super::World;

/// Their name.
const NOISY: &str = "noisy";

impl World {
    /// Whether there was a server to flood.
    pub(super) fn flood(&mut self) -> bool {
        if self.server.process.is_none() || self.server.draining {
            return false;
        }
        let mut replica = [0; 16];
        self.fault_dice.fill(&mut replica);
        // Of no connection in the network.
        let conn = u64::MAX - self.fault_dice.below(1 << 40);
        let now = self.server_moment();
        let hello = Hello {
            min_version: VERSION,
            max_version: VERSION,
            token: Some(self.token_for(NOISY, None)),
            replica: ReplicaId(replica),
            app: self.schema.name.clone(),
            schema_version: self.schemas[self.server.version].version,
            last_rseq: 0,
            floor: 0,
            cursor: None,
            clock_ms: now.wall_ms,
            agent: NOISY.to_owned(),
            sent: Vec::new(),
        };
        if let Some(process) = self.server.process.as_mut() {
            process.core.connect(conn, now);
        }
        self.server_event(conn, SessionEvent::Message(ClientMessage::Hello(hello)));
        let each = self.fault_dice.between(1, 12);
        for id in 0..MAX_OUTSTANDING_PUSHES as u64 {
            let entries = (1..=each).map(|n| nothing(ReplicaId(replica), id * each + n, now.wall_ms)).collect();
            let push = ClientMessage::push(id as u32 + 1, entries, now.wall_ms, 0);
            self.server_event(conn, SessionEvent::Message(push));
        }
        // What was taken is decided all the same.
        if let Some(process) = self.server.process.as_mut() {
            while process.core.poll(conn, now).is_some() {}
            process.core.disconnect(conn);
        }
        true
    }
}

/// A transaction that is refused.
fn nothing(replica: ReplicaId, rseq: u64, wall_ms: u64) -> Entry {
    let key = RowKey::single(Value::Int(rseq as i64));
    Entry::from(Transaction {
        replica,
        rseq,
        stamp: Stamp { wall_ms, counter: 0, replica },
        operations: vec![Operation::Delete { table: "no such table".to_owned(), key, base: 0 }],
        after: Vec::new(),
        requires: Vec::new(),
        origin: None,
        action: None,
        expires_ms: None,
    })
}
