//! The Opens of a connection: which subscription each was for, which have no answer yet, which are to be sent again.

use landfall_core::flat::{FlatMap, FlatSet};

use super::{Backoff, Entropy, MAX_TOLD_MS};

/// Why a subscription could not be opened, and when it is tried again.
#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    retry_at_ms: Option<u64>,
    backoff: Backoff,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Opens {
    handles: FlatMap<u32, u64>,
    /// Those that were given up while their answer was under way.
    retired: FlatSet<u32>,
    unanswered: FlatSet<u32>,
    failures: FlatMap<u64, Failure>,
}

impl Opens {
    pub fn failure(&self, handle: u64) -> Option<&str> {
        self.failures.get(&handle).map(|f| f.reason.as_str())
    }

    pub fn handle_of(&self, id: u32) -> Option<u64> {
        self.handles.get(&id).copied()
    }

    pub fn id_of(&self, handle: u64) -> Option<u32> {
        self.handles.iter().find(|(_, h)| **h == handle).map(|(id, _)| *id)
    }

    pub fn sent(&mut self, id: u32, handle: u64) {
        self.handles.insert(id, handle);
        self.unanswered.insert(id);
        if let Some(failure) = self.failures.get_mut(&handle) {
            failure.retry_at_ms = None;
        }
    }

    pub fn answered(&mut self, id: u32) {
        self.unanswered.remove(&id);
        if let Some(handle) = self.handles.get(&id) {
            self.failures.remove(handle);
        }
    }

    pub fn closed(&mut self, id: u32) {
        self.unanswered.remove(&id);
        self.handles.remove(&id);
    }

    /// An Open is given up: whatever comes for it is of no interest.
    pub fn retire(&mut self, id: u32) {
        self.handles.remove(&id);
        self.retired.insert(id);
    }

    pub fn is_retired(&self, id: u32) -> bool {
        self.retired.contains(&id)
    }

    pub fn any_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// An Open was refused: for good, or to be sent again after a wait that the server names.
    pub fn refused(
        &mut self,
        id: u32,
        reason: String,
        retry_after_ms: Option<u64>,
        now_ms: u64,
        random: &mut Entropy<'_>,
    ) {
        self.unanswered.remove(&id);
        let Some(handle) = self.handles.remove(&id) else { return };
        let mut backoff = self.failures.remove(&handle).map(|f| f.backoff).unwrap_or_default();
        let retry_at_ms = retry_after_ms.map(|wait| now_ms + wait.min(MAX_TOLD_MS).max(backoff.next_ms(random)));
        self.failures.insert(handle, Failure { reason, retry_at_ms, backoff });
    }

    /// The app does not want it any more.
    pub fn unsubscribed(&mut self, handle: u64) {
        self.failures.remove(&handle);
    }

    /// When the next one is to be sent again.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.failures.values().filter_map(|f| f.retry_at_ms).min()
    }

    /// The subscriptions to be opened again now. Each is named once: the app may have closed it meanwhile.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<u64> {
        let due = |f: &mut Failure| f.retry_at_ms.take_if(|at| now_ms >= *at).is_some();
        let due = self.failures.iter_mut().filter_map(|(handle, failure)| due(failure).then_some(*handle));
        due.collect()
    }

    /// The connection is gone; reasons stay until there is another.
    pub fn disconnected(&mut self) {
        self.handles.clear();
        self.retired.clear();
        self.unanswered.clear();
        self.failures.values_mut().for_each(|f| f.retry_at_ms = None);
    }

    /// There is another connection, on which everything is opened again.
    pub fn welcomed(&mut self) {
        self.failures.clear();
    }
}
