//! The open connections: where each stands, how it is woken, and what was answered to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::door::payer;
use crate::auth::ANONYMOUS;
use crate::core::SessionId;
use crate::session::{Event, Reply};

/// What others know of a connection.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) id: SessionId,
    /// Told when it is worth asking the session again. A word that comes while it is busy is kept.
    pub(super) wake: Arc<Notify>,
    position: AtomicU64,
    /// From where it came.
    pub(super) from: IpAddr,
    /// Against whose allowance it counts.
    pub(super) subject: OnceLock<Arc<str>>,
    /// Answers that it has not taken yet. Each is to a request, and requests are bounded.
    answers: Mutex<Vec<Event>>,
}

impl Handle {
    /// Against whose allowance it counts.
    pub(super) fn payer(&self) -> Arc<str> {
        self.subject.get().cloned().unwrap_or_else(|| payer(ANONYMOUS, self.from))
    }

    /// Hands over an answer of the store.
    pub(super) fn answer(&self, reply: Reply) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(Event::Reply(reply));
        self.wake.notify_one();
    }

    /// Takes what was answered so far.
    pub(super) fn answers(&self) -> Vec<Event> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the device stands once it has applied all that was sent; `None` before the session is open.
    pub(super) fn stands_at(&self, position: Option<u64>) {
        self.position.store(position.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Sessions {
    open: Mutex<BTreeMap<SessionId, Arc<Handle>>>,
    next: AtomicU64,
    count: watch::Sender<usize>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { open: Mutex::default(), next: AtomicU64::new(1), count: watch::Sender::new(0) }
    }
}

impl Sessions {
    fn open(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Handle>>> {
        // Nothing panics while it holds the lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, from: IpAddr) -> Arc<Handle> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let position = AtomicU64::new(u64::MAX);
        let subject = OnceLock::new();
        let handle = Arc::new(Handle { id, wake: Arc::default(), position, from, subject, answers: Mutex::default() });
        self.open().insert(id, Arc::clone(&handle));
        self.count.send_modify(|count| *count += 1);
        handle
    }

    pub(super) fn leave(&self, id: SessionId) {
        self.open().remove(&id);
        self.count.send_modify(|count| *count -= 1);
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Arc<Handle>> {
        self.open().get(&id).cloned()
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.open().len() as u64
    }

    /// Wakes everybody: the server is ending, the history is another one, or a progress mark is due.
    pub(super) fn wake_all(&self) {
        self.open().values().for_each(|handle| handle.wake.notify_one());
    }

    /// The least position of all; `None` when no session is open.
    pub(super) fn slowest(&self) -> Option<u64> {
        let positions = self.open().values().map(|handle| handle.position.load(Ordering::Relaxed)).min();
        positions.filter(|at| *at != u64::MAX)
    }

    /// Waits until no session is left, `at_most` this long.
    pub(super) async fn ended(&self, at_most: Duration) {
        let mut count = self.count.subscribe();
        let _ = tokio::time::timeout(at_most, count.wait_for(|count| *count == 0)).await;
    }
}
