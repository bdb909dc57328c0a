//! Who is let in, for all threads: [`Admission`] with the server's own clock and randomness.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rand::Rng;
use rand::rngs::ChaCha20Rng;

use crate::auth::ANONYMOUS;
use crate::core::{Admission, Allowance, Limit, PendingPush, Refused};
use crate::metrics::Metrics;
use crate::session::Refusal;

/// Requests for chunks that may wait for a reader of the store: each holds a thread.
const CHUNK_REQUESTS: u64 = 256;
/// How long those beyond are told to wait, milliseconds, at least.
const CHUNK_WAIT_MS: u64 = 1_000;

pub(super) struct Door {
    inner: Mutex<Inner>,
    metrics: Arc<Metrics>,
    started: Instant,
    connections: u64,
}

struct Inner {
    admission: Admission,
    rng: ChaCha20Rng,
    /// Requests for chunks that are under way: all, and by network.
    chunks: u64,
    chunks_of: BTreeMap<Arc<str>, u64>,
}

/// Against whose allowance a session of this subject counts, from this address. Who has no token may be anybody: there a
/// network counts as a person, which is one address, or with IPv6 the 64 bits that a provider gives to one household.
pub(super) fn payer(subject: &str, from: IpAddr) -> Arc<str> {
    if subject != ANONYMOUS {
        return Arc::from(subject);
    }
    Arc::from(match from.to_canonical() {
        IpAddr::V4(address) => format!("{ANONYMOUS} {address}"),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{ANONYMOUS} {a:x}:{b:x}:{c:x}:{d:x}")
        }
    })
}

/// A request for a chunk that was let in; it is over when this is dropped.
pub(super) struct ChunkPass {
    door: Arc<Door>,
    payer: Arc<str>,
}

impl ChunkPass {
    /// The network that asks.
    pub(super) fn payer(&self) -> &Arc<str> {
        &self.payer
    }
}

impl Drop for ChunkPass {
    fn drop(&mut self) {
        let mut inner = self.door.inner();
        inner.chunks -= 1;
        if let Some(own) = inner.chunks_of.get_mut(&self.payer) {
            *own -= 1;
            if *own == 0 {
                inner.chunks_of.remove(&self.payer);
            }
        }
    }
}

impl Door {
    pub(super) fn new(allowance: Allowance, most_waiting: usize, rng: ChaCha20Rng, metrics: Arc<Metrics>) -> Self {
        let admission = Admission::new(allowance, most_waiting as u64);
        let inner = Inner { admission, rng, chunks: 0, chunks_of: BTreeMap::new() };
        let connections = allowance.connections;
        Self { inner: Mutex::new(inner), metrics, started: Instant::now(), connections }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// What [`Admission`] says now; a refusal is counted.
    fn ask(&self, f: impl FnOnce(&mut Admission, u64, u64) -> Result<(), Refused>) -> Result<(), Refusal> {
        let now_ms = self.now_ms();
        let result = {
            let mut inner = self.inner();
            let draw = inner.rng.next_u64();
            f(&mut inner.admission, now_ms, draw)
        };
        result.map_err(|refused| {
            self.metrics.refused(refused.limit);
            refused.refusal()
        })
    }

    /// A session of a subject begins.
    pub(super) fn enters(&self, subject: &Arc<str>) -> Result<(), Refusal> {
        self.ask(|admission, now_ms, draw| admission.enters(subject, now_ms, draw))
    }

    /// It ends.
    pub(super) fn left(&self, subject: &Arc<str>) {
        self.inner().admission.left(subject);
    }

    /// A push is to wait for a commit.
    pub(super) fn push(&self, push: &PendingPush) -> Result<(), Refusal> {
        let (size, bytes) = (push.size(), push.bytes());
        self.ask(|admission, now_ms, draw| admission.push(&push.subject, size, bytes, now_ms, draw))
    }

    /// What was taken once waits again.
    pub(super) fn back(&self, push: &PendingPush) {
        let now_ms = self.now_ms();
        self.inner().admission.back(&push.subject, push.size(), now_ms);
    }

    /// Pushes were decided.
    pub(super) fn decided(&self, pushes: &[(Arc<str>, u64)]) {
        let mut inner = self.inner();
        pushes.iter().for_each(|(subject, entries)| inner.admission.decided(subject, *entries));
    }

    pub(super) fn waiting(&self) -> usize {
        self.inner().admission.waiting() as usize
    }

    /// The writer's queue is full.
    pub(super) fn overloaded(&self) -> Refusal {
        self.refused(Limit::Waiting, 250).refusal()
    }

    fn refused(&self, limit: Limit, wait_ms: u64) -> Refused {
        self.metrics.refused(limit);
        Refused::after(limit, wait_ms, self.inner().rng.next_u64())
    }

    /// Whether another connection is taken at all, before anybody knows whose it is.
    pub(super) fn connects(&self, open: u64) -> Result<(), Refused> {
        // Some room for those that are about to be let in, or refused with a word of why.
        let most = self.connections.saturating_add(self.connections / 8);
        if self.connections == 0 || open < most { Ok(()) } else { Err(self.refused(Limit::Connections, 5_000)) }
    }

    /// A chunk is asked for from a network. Who has requests under way may have no more of the room than they leave free,
    /// as with pushes ([`Admission`]): n who flood leave an n+1st of it to all others.
    pub(super) fn chunk(self: &Arc<Self>, payer: &Arc<str>) -> Result<ChunkPass, Refused> {
        {
            let mut inner = self.inner();
            let own = inner.chunks_of.get(payer).copied().unwrap_or(0);
            if inner.chunks < CHUNK_REQUESTS && own <= CHUNK_REQUESTS - inner.chunks {
                inner.chunks += 1;
                *inner.chunks_of.entry(Arc::clone(payer)).or_default() += 1;
                return Ok(ChunkPass { door: Arc::clone(self), payer: Arc::clone(payer) });
            }
        }
        Err(self.refused(Limit::Chunks, CHUNK_WAIT_MS))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_network_that_loads_much_leaves_room_for_others() {
        let door = Arc::new(Door::new(Allowance::default(), 10, ChaCha20Rng::seed_from_u64(1), Arc::default()));
        let take = |payer: &str| {
            let payer = Arc::<str>::from(payer);
            std::iter::from_fn(|| door.chunk(&payer).ok()).take(1_000).collect::<Vec<_>>()
        };
        let first = take("first");
        assert_eq!(first.len() as u64, CHUNK_REQUESTS / 2 + 1);
        let second = take("second");
        let third = take("third");
        assert!(second.len() > 50 && third.len() > 25, "{} and {}", second.len(), third.len());
        drop((first, second, third));
        assert_eq!(take("fourth").len() as u64, CHUNK_REQUESTS / 2 + 1, "nothing is left of those that are over");
    }

    #[test]
    fn people_without_a_token_are_told_apart_by_their_network() {
        let of = |address: &str| payer(ANONYMOUS, address.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(*payer("ada", IpAddr::from([192, 0, 2, 1])), *"ada", "wherever she is");
    }
}
