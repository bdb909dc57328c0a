//! What sessions share: the end of the log, a ring of recent commits in encoded form, and the frames made from them.
//!
//! A session pulls: it says where it stands and asks what follows. So a slow reader costs its position and nothing
//! else, and sessions that stand at the same place and hold the same buckets (an *audience*) share the very bytes of
//! the frame: it is encoded and compressed once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use bytes::Bytes;
use landfall_core::{BucketId, Stamp};
use landfall_protocol::{Form, ServerMessage};
use tokio::sync::Notify;

use crate::core::SessionId;
use crate::store::{GroupCommit, Head, Run};

mod frames;

pub use frames::EncodedFrame;
use frames::Frames;

/// Bytes of recent commits that the ring keeps. A session further behind reads the store.
pub const RING_BYTES: usize = 32 << 20;
/// Most commit groups in the ring: bounds what small groups cost beside their bytes.
const RING_GROUPS: usize = 8192;

/// A set of buckets that one or many sessions hold, usually the live ones; equal sets share one id.
#[derive(Clone, Debug)]
pub struct Audience(Arc<AudienceInner>);

#[derive(Debug)]
struct AudienceInner {
    id: u64,
    buckets: Vec<BucketId>,
    /// Who is told when one of the buckets changes.
    listeners: Mutex<BTreeMap<SessionId, Arc<Notify>>>,
}

impl PartialEq for Audience {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Audience {
    /// The buckets, in order.
    pub fn buckets(&self) -> &[BucketId] {
        &self.0.buckets
    }

    fn id(&self) -> u64 {
        self.0.id
    }

    fn listeners(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Notify>>> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `wake` is told when a commit changes one of the buckets.
    pub fn join(&self, session: SessionId, wake: Arc<Notify>) {
        self.listeners().insert(session, wake);
    }

    /// Ends [`Audience::join`].
    pub fn leave(&self, session: SessionId) {
        self.listeners().remove(&session);
    }
}

/// A commit group as the ring keeps it.
#[derive(Debug)]
struct Group {
    from: u64,
    to: u64,
    chain: u64,
    stamp: Stamp,
    runs: BTreeMap<BucketId, Vec<Run>>,
    bytes: usize,
}

/// What lies between two positions for one audience: the content of a Live message.
#[derive(Clone, Debug)]
pub struct Span {
    audience: Audience,
    from: u64,
    to: u64,
    chain: u64,
    stamp: Stamp,
    bytes: usize,
    groups: Vec<Arc<Group>>,
}

impl Span {
    /// The position before, exclusive.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The position after.
    pub fn to(&self) -> u64 {
        self.to
    }

    /// Bytes of the changes; 0 for a mere progress mark.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The runs of `bucket` within the span, in order of sequence.
    fn runs(&self, bucket: BucketId) -> impl Iterator<Item = &Run> {
        let within = |seq: u64| seq > self.from && seq <= self.to;
        self.groups
            .iter()
            .flat_map(move |group| group.runs.get(&bucket).into_iter().flatten())
            .filter(move |(seq, _)| within(*seq))
    }

    /// The message.
    pub fn message(&self) -> ServerMessage {
        frames::message(self)
    }
}

/// What follows a position.
#[derive(Clone, Debug)]
pub enum Follows {
    /// Nothing: the position is the head.
    Nothing,
    /// Sequences, but nothing for this audience: a progress mark.
    Mark(Span),
    /// Changes.
    Changes(Span),
    /// The ring no longer reaches back this far: read the store, up to this sequence.
    Behind(u64),
}

#[derive(Debug, Default)]
struct Ring {
    head: Head,
    stamp: Stamp,
    groups: VecDeque<Arc<Group>>,
    bytes: usize,
    /// The newest sequence in the ring that changed the bucket. A bucket that is not here has no change in the ring.
    newest: BTreeMap<BucketId, u64>,
}

impl Ring {
    /// Sequences after this one are in the ring.
    fn reaches_back_to(&self) -> u64 {
        self.groups.front().map_or(self.head.seq, |group| group.from)
    }

    /// The last sequence up to `seen`, which was the head once, and the chain value there; `None` when the ring has moved
    /// past it.
    fn end(&self, seen: u64) -> Option<(u64, u64)> {
        if seen >= self.head.seq {
            return Some((self.head.seq, self.head.chain));
        }
        let after = self.groups.partition_point(|group| group.to <= seen);
        self.groups.get(after.checked_sub(1)?).map(|group| (group.to, group.chain))
    }

    fn evict(&mut self, max_bytes: usize) {
        while (self.bytes > max_bytes && !landfall_core::mutant::active("ring-unbounded"))
            || self.groups.len() > RING_GROUPS
        {
            let Some(gone) = self.groups.pop_front() else { break };
            self.bytes -= gone.bytes;
            for bucket in gone.runs.keys() {
                if self.newest.get(bucket).is_some_and(|newest| *newest <= gone.to) {
                    self.newest.remove(bucket);
                }
            }
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Hub {
    ring: RwLock<Ring>,
    ring_bytes: usize,
    audiences: Mutex<Audiences>,
    impatient: Mutex<Vec<Arc<Notify>>>,
    frames: Frames,
}

#[derive(Debug, Default)]
struct Audiences {
    next: u64,
    known: BTreeMap<Vec<BucketId>, Weak<AudienceInner>>,
    by_bucket: BTreeMap<BucketId, Vec<Weak<AudienceInner>>>,
}

impl Audiences {
    /// Those that hold the bucket.
    fn of(&mut self, bucket: BucketId) -> Vec<Audience> {
        let Some(holders) = self.by_bucket.get_mut(&bucket) else { return Vec::new() };
        let alive = holders.iter().filter_map(Weak::upgrade).map(Audience).collect::<Vec<_>>();
        if alive.is_empty() {
            self.by_bucket.remove(&bucket);
        } else if alive.len() < holders.len() {
            holders.retain(|audience| audience.strong_count() > 0);
        }
        alive
    }

    fn is_held(&self, bucket: BucketId) -> bool {
        let holders = self.by_bucket.get(&bucket);
        holders.is_some_and(|holders| holders.iter().any(|audience| audience.strong_count() > 0))
    }

    fn forget_the_dead(&mut self) {
        self.known.retain(|_, audience| audience.strong_count() > 0);
        self.by_bucket.retain(|_, holders| {
            holders.retain(|audience| audience.strong_count() > 0);
            !holders.is_empty()
        });
    }
}

impl Hub {
    /// A hub at the end of the log, with a ring of at most `ring_bytes`.
    pub fn new(head: Head, ring_bytes: usize) -> Self {
        let ring = Ring { head, ..Ring::default() };
        let (audiences, impatient, frames) = Default::default();
        Self { ring: RwLock::new(ring), ring_bytes, audiences, impatient, frames }
    }

    // A poisoned lock only says that another thread panicked: every change of the ring is complete when the lock goes.
    fn read(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the log, as far as it may leave the server.
    pub fn head(&self) -> Head {
        self.read().head
    }

    /// Bytes in the ring.
    pub fn ring_bytes(&self) -> usize {
        self.read().bytes
    }

    /// Makes a committed, durable group visible to all sessions, and wakes those that it concerns.
    pub fn publish(&self, commit: &GroupCommit) {
        if commit.head.seq == commit.from {
            return;
        }
        let runs: BTreeMap<_, _> = commit.bucket_runs.iter().cloned().collect();
        let bytes = runs.values().flatten().map(|(_, run)| run.len() + 64).sum::<usize>() + 128;
        let (from, to, chain, stamp) = (commit.from, commit.head.seq, commit.head.chain, commit.stamp);
        let mut ring = self.write();
        debug_assert_eq!(ring.head.seq, from, "groups are published in order, none left out");
        for bucket in runs.keys() {
            ring.newest.insert(*bucket, to);
        }
        ring.head = commit.head;
        ring.stamp = ring.stamp.max(stamp);
        ring.bytes += bytes;
        let group = Arc::new(Group { from, to, chain, stamp, runs, bytes });
        ring.groups.push_back(Arc::clone(&group));
        ring.evict(self.ring_bytes);
        drop(ring);
        self.wake(group.runs.keys());
    }

    fn wake<'a>(&self, buckets: impl Iterator<Item = &'a BucketId>) {
        for bucket in buckets {
            let concerned = self.audiences().of(*bucket);
            for audience in concerned {
                audience.listeners().values().for_each(|wake| wake.notify_one());
            }
        }
        let impatient = std::mem::take(&mut *self.impatient.lock().unwrap_or_else(PoisonError::into_inner));
        impatient.iter().for_each(|wake| wake.notify_one());
    }

    /// `wake` is told of the next commit, whatever it changes, once.
    pub fn tell_next(&self, wake: Arc<Notify>) {
        self.impatient.lock().unwrap_or_else(PoisonError::into_inner).push(wake);
    }

    /// Whether a session holds the bucket, or loads it.
    pub fn is_held(&self, bucket: BucketId) -> bool {
        self.audiences().is_held(bucket)
    }

    fn audiences(&self) -> MutexGuard<'_, Audiences> {
        self.audiences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new history: nothing of the old one is handed out any more.
    pub fn start_over(&self, head: Head) {
        *self.write() = Ring { head, ..Ring::default() };
    }

    /// The audience of a set of buckets, given in order.
    pub fn audience(&self, buckets: Vec<BucketId>) -> Audience {
        let mut audiences = self.audiences();
        if let Some(known) = audiences.known.get(&buckets).and_then(Weak::upgrade) {
            return Audience(known);
        }
        if audiences.known.len() >= 64 && audiences.known.len().is_power_of_two() {
            audiences.forget_the_dead();
        }
        audiences.next += 1;
        let (id, listeners) = (audiences.next, Mutex::default());
        let made = Arc::new(AudienceInner { id, buckets: buckets.clone(), listeners });
        for bucket in &buckets {
            audiences.by_bucket.entry(*bucket).or_default().push(Arc::downgrade(&made));
        }
        audiences.known.insert(buckets, Arc::downgrade(&made));
        Audience(made)
    }

    /// What follows `after` for `audience`, not beyond `up_to`, which is a head that was seen: whole groups, as many as
    /// fit in about `max_bytes`, at least one.
    pub fn follows(&self, audience: &Audience, after: u64, up_to: u64, max_bytes: usize) -> Follows {
        let ring = self.read();
        let Some((to, chain)) = ring.end(up_to).filter(|(to, _)| *to > after) else {
            return Follows::Nothing;
        };
        let mut span = Span {
            audience: audience.clone(),
            from: after,
            to,
            chain,
            stamp: ring.stamp,
            bytes: 0,
            groups: Vec::new(),
        };
        let in_ring = after >= ring.reaches_back_to();
        if audience.buckets().is_empty() {
            return Follows::Mark(span);
        }
        if !in_ring {
            return Follows::Behind(to);
        }
        if audience.buckets().iter().all(|bucket| ring.newest.get(bucket).is_none_or(|newest| *newest <= after)) {
            return Follows::Mark(span);
        }
        let [first, end] = [after, to].map(|seq| ring.groups.partition_point(|group| group.to <= seq));
        span.gather(ring.groups.range(first..end), max_bytes);
        if span.bytes == 0 { Follows::Mark(span) } else { Follows::Changes(span) }
    }

    /// The frame of a span, made once for all sessions of the audience at that position.
    pub fn frame(&self, span: &Span, form: Form) -> EncodedFrame {
        self.frames.get(span, form)
    }
}

impl Span {
    fn gather<'a>(&mut self, groups: impl Iterator<Item = &'a Arc<Group>>, max_bytes: usize) {
        let mut stamp = Stamp::default();
        for group in groups {
            let of_audience = self.audience.buckets().iter().filter_map(|bucket| group.runs.get(bucket)).flatten();
            let bytes: usize = of_audience.filter(|(seq, _)| *seq > self.from).map(|(_, run)| run.len()).sum();
            if self.bytes > 0 && self.bytes + bytes > max_bytes {
                break;
            }
            self.bytes += bytes;
            (self.to, self.chain, stamp) = (group.to, group.chain, stamp.max(group.stamp));
            if bytes > 0 {
                self.groups.push(Arc::clone(group));
            }
        }
        self.stamp = stamp;
    }
}

#[cfg(test)]
mod tests;
