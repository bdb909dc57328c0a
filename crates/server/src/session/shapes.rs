//! Subscriptions: which buckets a session has, and where each of them stands.

use landfall_protocol::client::Held;
use landfall_protocol::{Opening, Start};

use super::*;

/// Where a bucket of the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BucketState {
    /// The device loads chunks; it will send Resume.
    Loading,
    /// The device has everything up to this sequence, and is being sent the rest.
    Behind(u64),
    /// It stands at the session's position.
    Live,
}

impl Session {
    pub(super) fn open(
        &mut self,
        id: u32,
        shape: String,
        params: BTreeMap<String, landfall_core::Value>,
        held: Vec<Held>,
    ) {
        if self.subscriptions.contains_key(&id) {
            let text = format!("subscription {id} is open already; choose another number");
            return self.queue.push_back(Refusal::new(codes::OUT_OF_ORDER, text).message(false, Some(id)));
        }
        if self.subscriptions.len() >= self.rules.limits.subscriptions as usize {
            let text = format!("at most {} subscriptions; close some", self.rules.limits.subscriptions);
            return self.queue.push_back(Refusal::new(codes::TOO_LARGE, text).message(false, Some(id)));
        }
        self.subscriptions.insert(id, BTreeSet::new());
        let subject = Arc::clone(&self.subject);
        self.opening += 1;
        self.requests.push_back(Request::Open { id, subject, shape, params, held });
    }

    pub(super) fn opened(&mut self, id: u32, result: Result<Vec<Offer>, Refusal>) {
        // Closed again before the store answered.
        let Some(buckets) = self.subscriptions.get_mut(&id) else { return };
        match result {
            Ok(offers) => {
                *buckets = offers.iter().map(|offer| offer.bucket).collect();
                let buckets = offers.into_iter().map(|offer| self.begin(offer)).collect();
                self.queue.push_back(ServerMessage::Opened { id, buckets });
            }
            Err(refusal) => {
                self.subscriptions.remove(&id);
                self.queue.push_back(refusal.message(false, Some(id)));
            }
        }
    }

    /// Decides how a bucket begins. No bucket ever stands beyond the session: the device's cut would jump. Where its
    /// rows are newer than the session, changes that they already contain are sent again, and change nothing (rule L6).
    fn begin(&mut self, offer: Offer) -> Opening {
        let Offer { bucket, table, columns, held, at, first, rows } = offer;
        let (state, start) = match (self.buckets.get(&bucket), held) {
            (Some(BucketState::Live), _) => (BucketState::Live, Start::Live),
            (Some(behind @ BucketState::Behind(_)), _) => (*behind, Start::CatchUp),
            (_, Some(held)) if held >= self.at => (BucketState::Live, Start::Live),
            (_, Some(held)) => (BucketState::Behind(held), Start::CatchUp),
            (_, None) => (BucketState::Loading, Start::Load { at: at.min(self.at), first, rows }),
        };
        self.set_bucket(bucket, state);
        Opening { bucket, table, columns, start }
    }

    pub(super) fn set_bucket(&mut self, bucket: BucketId, state: BucketState) {
        let before = self.buckets.insert(bucket, state);
        let was_live = before.map(|before| before == BucketState::Live);
        self.audience_changed |= was_live != Some(state == BucketState::Live);
    }

    pub(super) fn resume(&mut self, bucket: BucketId, at: u64) {
        if self.buckets.get(&bucket) != Some(&BucketState::Loading) || at > self.at {
            let text = format!("bucket {bucket} is not being loaded up to {at}; open its shape again");
            return self.queue.push_back(Refusal::new(codes::OUT_OF_ORDER, text).message(false, None));
        }
        self.set_bucket(bucket, BucketState::Behind(at));
    }

    pub(super) fn close(&mut self, id: u32) {
        self.subscriptions.remove(&id);
        let wanted: BTreeSet<BucketId> = self.subscriptions.values().flatten().copied().collect();
        let before = self.buckets.len();
        self.buckets.retain(|bucket, _| wanted.contains(bucket));
        self.audience_changed |= before != self.buckets.len();
        self.queue.push_back(ServerMessage::Closed { id });
    }

    /// The first bucket that is behind, and where it stands.
    pub(super) fn first_behind(&self) -> Option<(BucketId, u64)> {
        self.buckets.iter().find_map(|(bucket, state)| match state {
            BucketState::Behind(at) => Some((*bucket, *at)),
            _ => None,
        })
    }

    /// The live buckets, and the others.
    pub(super) fn buckets_by_liveness(&self) -> (Vec<BucketId>, Vec<BucketId>) {
        self.buckets.keys().partition(|bucket| self.buckets.get(bucket) == Some(&BucketState::Live))
    }
}
