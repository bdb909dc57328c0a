//! The thread that owns the store's writer. It takes whatever waits, commits it as one group, answers, publishes: while
//! one fsync runs, the next group gathers by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use landfall_core::{Code, ReplicaId, Value};
use landfall_protocol::Cursor;
use tokio::sync::oneshot;

use super::sessions::{Handle, Sessions};
use crate::buckets::Bucket;
use crate::core::{Committer, PendingPush, Retention, fresh_epoch};
use crate::metrics::Metrics;
use crate::session::Refusal;
use crate::store::{Head, Subject};

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
        session: Arc<Handle>,
    },
    Hello {
        replica: ReplicaId,
        subject: Arc<Subject>,
        cursor: Option<Cursor>,
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
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) trouble: Arc<Mutex<Option<Trouble>>>,
    pub(super) rng: rand::rngs::ChaCha20Rng,
    pub(super) retention: Retention,
}

#[derive(Default)]
struct Group {
    pushes: Vec<PendingPush>,
    sessions: Vec<Arc<Handle>>,
    entries: usize,
}

impl Writer {
    /// Works until [`Work::Stop`] comes, behind everything that was queued before it.
    pub(super) fn run(mut self) {
        let mut looked = Instant::now();
        // Not at once: a server that has just started has better things to do.
        let mut forget_at = looked + OUTSIDE;
        self.metrics.buckets.set(self.committer.bucket_count() as i64);
        loop {
            let mut group = Group::default();
            let patience = OUTSIDE.saturating_sub(looked.elapsed()).min(self.marks.due_in().unwrap_or(OUTSIDE));
            let mut go_on = match self.queue.recv_timeout(patience) {
                Ok(work) => self.take(work, &mut group),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            while go_on && group.entries < GROUP_ENTRIES {
                let Ok(work) = self.queue.try_recv() else { break };
                go_on = self.take(work, &mut group);
            }
            if !group.pushes.is_empty() {
                self.commit(group);
            }
            if !go_on {
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
    fn take(&mut self, work: Work, group: &mut Group) -> bool {
        match work {
            Work::Push { push, session } => {
                group.entries += push.entries.len();
                group.pushes.push(push);
                group.sessions.push(session);
            }
            Work::Hello { replica, subject, cursor, session } => {
                let reply = self.committer.hello(replica, &subject, cursor, fresh_epoch(&mut self.rng));
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

    fn commit(&mut self, group: Group) {
        let began = Instant::now();
        let mut committed = self.committer.commit(group.pushes, now_ms());
        self.waiting.fetch_sub(committed.entries, Ordering::Relaxed);
        self.metrics.committed(&committed, began.elapsed());
        if let Some(problem) = &committed.failure {
            tracing::error!(code = %problem.code(), entries = committed.entries, "a commit failed: {problem}");
        }
        let trouble = committed.failure.as_ref().map(|p| Trouble { code: p.code(), message: p.to_string() });
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        for (replica, rseq, cause) in &committed.commit.faults {
            tracing::error!(%replica, rseq, "a transaction of a device failed here, its neighbours went on: {cause}");
        }
        for ((_, reply), session) in committed.replies.drain(..).zip(group.sessions) {
            session.answer(reply);
        }
        self.committer.publish(&committed);
        self.announce();
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
