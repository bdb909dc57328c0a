//! The thread that owns the store's writer. It takes whatever waits, commits it as one group, answers, publishes: while
//! one fsync runs, the next group gathers by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use landfall_core::{ReplicaId, Value};
use landfall_protocol::Cursor;
use tokio::sync::{oneshot, watch};

use super::shared::Answers;
use crate::buckets::Bucket;
use crate::core::{Committer, PendingPush, Retention, fresh_epoch};
use crate::metrics::Metrics;
use crate::session::{Event, Refusal};
use crate::store::Subject;

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
        answers: Answers,
    },
    Hello {
        replica: ReplicaId,
        subject: Arc<Subject>,
        cursor: Option<Cursor>,
        answers: Answers,
    },
    Bucket {
        subject: Arc<Subject>,
        shape: String,
        params: BTreeMap<String, Value>,
        bucket: oneshot::Sender<Result<Bucket, Refusal>>,
    },
    Stop,
}

pub(super) struct Writer {
    pub(super) committer: Committer,
    pub(super) queue: Receiver<Work>,
    pub(super) head: watch::Sender<u64>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) rng: rand::rngs::ChaCha20Rng,
    pub(super) retention: Retention,
}

#[derive(Default)]
struct Group {
    pushes: Vec<PendingPush>,
    answers: Vec<Answers>,
    entries: usize,
}

impl Writer {
    /// Works until [`Work::Stop`] comes, behind everything that was queued before it.
    pub(super) fn run(mut self) {
        let mut looked = Instant::now();
        // Not at once: a server that has just started has better things to do.
        let mut forget_at = looked + OUTSIDE;
        loop {
            let mut group = Group::default();
            let mut go_on = match self.queue.recv_timeout(OUTSIDE.saturating_sub(looked.elapsed())) {
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
            Work::Push { push, answers } => {
                group.entries += push.entries.len();
                group.pushes.push(push);
                group.answers.push(answers);
            }
            Work::Hello { replica, subject, cursor, answers } => {
                let reply = self.committer.hello(replica, &subject, cursor, fresh_epoch(&mut self.rng));
                let _ = answers.send(Event::Reply(reply));
                // A restored store has begun a new history: all sessions must hear of it.
                self.announce();
            }
            Work::Bucket { subject, shape, params, bucket } => {
                let _ = bucket.send(self.committer.open_bucket(&subject, &shape, &params));
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
        for ((_, reply), answers) in committed.replies.drain(..).zip(group.answers) {
            let _ = answers.send(Event::Reply(reply));
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

    fn announce(&self) {
        let head = self.committer.head();
        let epoch = u64::from_le_bytes(head.epoch.0[..8].try_into().unwrap_or_default());
        let mark = head.seq ^ epoch;
        self.head.send_if_modified(|known| std::mem::replace(known, mark) != mark);
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
