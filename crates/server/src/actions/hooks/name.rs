//! What a transaction is called where webhooks are asked about it.

use std::fmt;

use landfall_core::hash::hash128;
use landfall_core::txn::Origin;

use crate::store::PushEntry;

/// After how long a device comes back at the latest. It hears of the decision sooner while its session lasts.
const AGAIN_MS: u64 = 5_000;

/// The idempotency key of a transaction: the same for every request about it, whoever brings it, under which identity, and
/// when. Made of its author, the identity under which it was queued first, and what is asked; never of its bases, which a
/// restored server lowers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub(super) [u8; 16]);

impl Name {
    /// Of a transaction that asks for an action.
    pub fn of(push: &PushEntry) -> Option<Self> {
        let txn = &push.entry.transaction;
        let action = txn.action.as_ref()?;
        let own = Origin { replica: txn.replica, rseq: txn.rseq, hash: push.entry.hash };
        let first = txn.origin.unwrap_or(own);
        let mut operations = txn.operations.clone();
        operations.iter_mut().for_each(|operation| operation.limit_base(0));
        // Writing to a Vec cannot fail.
        let bytes = minicbor::to_vec(("webhook", &push.subject.id, first.replica, first.rseq, action, operations));
        Some(Self(hash128(&bytes.unwrap_or_default())))
    }

    /// As it travels.
    pub fn id(&self) -> String {
        self.to_string()
    }

    /// What a question about it is called: the same for the same question, and for no other.
    pub fn message(&self, body: &[u8]) -> String {
        let [a, b, c, d, e, f, g, h, ..] = hash128(body);
        format!("{self}_{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// After how long a device offers it again. Not all at once.
    pub fn again_ms(&self) -> u64 {
        AGAIN_MS + u64::from(self.0[0]) * 10
    }

    /// A share of `random` that is this one's own.
    pub(super) fn share_of(&self, random: u64) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        random ^ u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lf_")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
