//! The thread that owns the store's writer. It takes whatever waits, commits it as one group, answers, publishes: while
//! one fsync runs, the next group gathers by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use landfall_core::{Code, ReplicaId, Value};
use landfall_protocol::Cursor;
use rand::Rng as _;
use tokio::sync::{Notify, oneshot};

use super::door::Door;
use super::rooms::Rooms;
use super::sessions::{Handle, Sessions};
use crate::buckets::Bucket;
use crate::core::fair::Waiting;
use crate::core::{Committer, FairQueue, PendingPush, Retention, SessionId, fresh_epoch};
use crate::metrics::Metrics;
use crate::session::{Moment, Refusal};
use crate::store::{Head, Subject, codes};

/// Most pieces of work that wait. Beyond that the answer is LF-4009.
pub(super) const QUEUE: usize = 4_096;
/// Most entries of a group: bounds how long the first one waits for the last one.
const GROUP_ENTRIES: usize = 2_000;
/// How often to look for writes behind the store's back.
const OUTSIDE: Duration = Duration::from_secs(1);
/// How often to begin forgetting what is too old.
const FORGET: Duration = Duration::from_secs(600);

/// Something for the writer to do.
pub(super) enum Work {
    Push {
        push: PendingPush,
        /// None: nobody waits for the answer any more.
        session: Option<Arc<Handle>>,
    },
    Hello {
        replica: ReplicaId,
        subject: Arc<Subject>,
        cursor: Option<Cursor>,
        sent: Vec<(u64, u64)>,
        session: Arc<Handle>,
    },
    Bucket {
        subject: Arc<Subject>,
        shape: String,
        params: BTreeMap<String, Value>,
        bucket: oneshot::Sender<Result<Bucket, Refusal>>,
    },
    Stop,
}

/// Why the last commit failed.
pub(super) struct Trouble {
    pub(super) code: Code,
    pub(super) message: String,
}

pub(super) struct Writer {
    pub(super) committer: Committer,
    pub(super) queue: Receiver<Work>,
    pub(super) marks: Marks,
    pub(super) metrics: Arc<Metrics>,
    pub(super) door: Arc<Door>,
    pub(super) trouble: Arc<Mutex<Option<Trouble>>>,
    pub(super) rng: rand::rngs::ChaCha20Rng,
    pub(super) retention: Retention,
    /// Told when webhooks are to be asked something.
    pub(super) to_ask: Arc<Notify>,
    /// Since when the monotonic clock runs.
    pub(super) started: Instant,
    /// Who has documents open.
    pub(super) rooms: Arc<Rooms>,
}

/// A push, and who waits for its answer, if anybody still does.
struct Queued {
    push: PendingPush,
    session: Option<Arc<Handle>>,
}

impl Waiting for Queued {
    fn subject(&self) -> &Arc<str> {
        self.push.subject()
    }

    fn entries(&self) -> usize {
        self.push.entries.len()
    }

    fn cost(&self, at: usize) -> usize {
        self.push.cost(at)
    }

    fn split(&mut self, entries: usize) -> Self {
        Self { push: self.push.split(entries), session: self.session.clone() }
    }
}

impl Writer {
    /// Works until [`Work::Stop`] comes, behind everything that was queued before it.
    pub(super) fn run(mut self) {
        let mut waiting = FairQueue::default();
        let mut looked = Instant::now();
        // Not at once: a server that has just started has better things to do.
        let mut forget_at = looked + OUTSIDE;
        self.metrics.buckets.set(self.committer.bucket_count() as i64);
        loop {
            let patience = OUTSIDE.saturating_sub(looked.elapsed()).min(self.marks.due_in().unwrap_or(OUTSIDE));
            let mut go_on = true;
            if waiting.is_empty() {
                go_on = match self.queue.recv_timeout(patience) {
                    Ok(work) => self.take(work, &mut waiting),
                    Err(RecvTimeoutError::Timeout) => true,
                    Err(RecvTimeoutError::Disconnected) => false,
                };
            }
            // What has come by now takes part in the choice; what goes on coming waits for the next one.
            for _ in 0..self.queue.len() {
                let Ok(work) = self.queue.try_recv() else { break };
                go_on = self.take(work, &mut waiting) && go_on;
            }
            if !waiting.is_empty()
                && let Some((cost, took, committing)) = self.commit(waiting.take(GROUP_ENTRIES))
            {
                waiting.learn(cost, took, committing);
            }
            if !go_on {
                while !waiting.is_empty() {
                    self.commit(waiting.take(GROUP_ENTRIES));
                }
                return;
            }
            self.marks.give_due();
            if looked.elapsed() >= OUTSIDE {
                self.look_outside();
                looked = Instant::now();
                if looked >= forget_at {
                    let done = self.forget();
                    forget_at = looked + if done { FORGET } else { OUTSIDE };
                }
            }
        }
    }

    /// Forgets what is too old, step by step while nothing waits. Whether it is through.
    fn forget(&mut self) -> bool {
        let began = Instant::now();
        let (mut sequences, mut decisions) = (0, 0);
        let done = loop {
            match self.committer.forget(&self.retention, now_ms()) {
                Ok(step) => {
                    (sequences, decisions) = (sequences + step.sequences, decisions + step.decisions);
                    if step.done || !self.queue.is_empty() || began.elapsed() >= OUTSIDE {
                        break step.done;
                    }
                }
                Err(problem) => {
                    tracing::error!(code = %problem.code(), "forgetting the old part of the log failed: {problem}");
                    break true;
                }
            }
        };
        if sequences + decisions > 0 {
            tracing::info!(sequences, decisions, "forgot the old part of the log");
        }
        done
    }

    /// Does or gathers a piece of work; false when it is the last one.
    fn take(&mut self, work: Work, waiting: &mut FairQueue<Queued>) -> bool {
        match work {
            Work::Push { push, session } => waiting.push(Queued { push, session }),
            Work::Hello { replica, subject, cursor, sent, session } => {
                let reply = self.committer.hello(replica, &subject, cursor, &sent, fresh_epoch(&mut self.rng));
                session.answer(reply);
                self.announce();
            }
            Work::Bucket { subject, shape, params, bucket } => {
                let _ = bucket.send(self.committer.open_bucket(&subject, &shape, &params, now_ms()));
                self.metrics.buckets.set(self.committer.bucket_count() as i64);
            }
            Work::Stop => return false,
        }
        true
    }

    /// Decides a group. How much work it was, how long it took, and how much of that its commit; nothing where it
    /// failed.
    fn commit(&mut self, group: Vec<Queued>) -> Option<(usize, Duration, Duration)> {
        let began = Instant::now();
        let shares: Vec<_> = group.iter().map(|one| (Arc::clone(&one.push.subject), one.push.size())).collect();
        let (pushes, sessions): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.push, one.session)).unzip();
        let mut committed = self.committer.commit(pushes, self.now(), self.rng.next_u64());
        self.door.decided(&shares);
        let (took, committing) = (began.elapsed(), committed.commit.flushed_in);
        self.metrics.committed(&committed, took);
        if let Some(problem) = &committed.failure {
            tracing::error!(code = %problem.code(), entries = committed.entries, "a commit failed: {problem}");
        }
        let trouble = committed.failure.as_ref().map(|p| Trouble { code: p.code(), message: p.to_string() });
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        for (replica, rseq, cause) in &committed.commit.faults {
            tracing::error!(%replica, rseq, "a transaction of a device failed here, its neighbours went on: {cause}");
        }
        for (replica, rseq, fault) in &committed.commit.unmerged {
            let code = codes::MERGE_FUNCTION;
            tracing::error!(%code, %replica, rseq, "what a device wrote is a conflict now, since nothing merged it: {fault}");
        }
        // A push may have no answer yet, or be part of one that was answered: sessions are found by their number.
        let sessions: BTreeMap<SessionId, _> = sessions.into_iter().flatten().map(|one| (one.id, one)).collect();
        for (id, reply) in committed.replies.drain(..) {
            if let Some(session) = sessions.get(&id) {
                session.answer(reply);
            }
        }
        if committed.heard {
            self.to_ask.notify_one();
        }
        self.committer.publish(&committed);
        self.rooms.publish(&committed.commit.docs);
        self.announce();
        committed.failure.is_none().then_some((committed.cost, took, committing))
    }

    fn look_outside(&mut self) {
        loop {
            match self.committer.check_outside_writes(now_ms()) {
                Ok(true) => break,
                // Work that waits comes first; the scan goes on the next time.
                Ok(false) if !self.queue.is_empty() => break,
                Ok(false) => {}
                Err(problem) => {
                    tracing::error!(code = %problem.code(), "looking for outside writes failed: {problem}");
                    break;
                }
            }
        }
        self.announce();
    }

    fn now(&self) -> Moment {
        Moment { wall_ms: now_ms(), mono_ms: self.started.elapsed().as_millis() as u64 }
    }

    fn announce(&mut self) {
        self.marks.moved(self.committer.head());
    }
}

/// Reminds sessions of progress marks. Those that a commit concerns hear of it from the hub, at once; the others only
/// have to learn now and then how far the log is.
pub(super) struct Marks {
    sessions: Arc<Sessions>,
    apart: Duration,
    head: Head,
    given: Instant,
    owed: bool,
}

impl Marks {
    pub(super) fn new(sessions: Arc<Sessions>, apart: Duration, head: Head) -> Self {
        Self { sessions, apart, head, given: Instant::now(), owed: false }
    }

    fn moved(&mut self, head: Head) {
        let before = std::mem::replace(&mut self.head, head);
        if before.epoch != head.epoch {
            // A restored store has begun a new history: all sessions must hear of it.
            self.sessions.wake_all();
        }
        self.owed |= before.seq != head.seq;
    }

    fn due_in(&self) -> Option<Duration> {
        self.owed.then(|| self.apart.saturating_sub(self.given.elapsed()))
    }

    fn give_due(&mut self) {
        if self.due_in() == Some(Duration::ZERO) {
            (self.given, self.owed) = (Instant::now(), false);
            self.sessions.wake_all();
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
