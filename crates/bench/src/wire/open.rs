//! Devices for the highest rate: they push openly, as a real device does, and follow with as little work as shows that
//! everything came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use landfall_protocol::codec::decode_binary;
use landfall_protocol::{ClientMessage, Decision, Outcome, ServerMessage, codes};
use tokio_tungstenite::tungstenite::Bytes;

use super::{Device, now_ms};
use crate::Fallible;
use crate::rate::{HOPELESS, Offered, Watcher};

// As `landfall_client` has them: pushes under way, the size of the first and by how much they grow, and when what was
// applied is reported.
const PUSHES: usize = 2;
const FIRST_BATCH: usize = 64;
const LARGEST_BATCH: usize = 1_000;
const REPORT_BYTES: u64 = 1 << 20;
const REPORT_AFTER: Duration = Duration::from_secs(2);

/// When the writes of a device are due.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The first.
    pub first: Instant,
    /// From one to the next.
    pub apart: Duration,
    /// How many.
    pub writes: u32,
}

impl Plan {
    fn due(&self, write: u32) -> Option<Instant> {
        (write < self.writes).then(|| self.first + self.apart * write)
    }
}

/// A device that writes.
pub struct Pusher {
    device: Device,
    batch: usize,
    next_id: u32,
    /// Pushes that are not answered: their writes, and when those were due.
    flying: BTreeMap<u32, Vec<(u64, Instant)>>,
    paused_until: Instant,
    waiting: VecDeque<Instant>,
    offered: Offered,
}

impl Pusher {
    /// The `n`-th, which has written nothing.
    pub fn new(n: u64, mut device: Device) -> Self {
        device.titles = n * 1_000_000;
        Self {
            device,
            batch: FIRST_BATCH,
            next_id: 1,
            flying: BTreeMap::new(),
            paused_until: Instant::now(),
            waiting: VecDeque::new(),
            offered: Offered::default(),
        }
    }

    /// Writes when due. Whatever waits goes with the next push, and a push goes when fewer than two are under way.
    pub async fn offer(mut self, plan: Plan) -> Fallible<(Self, Offered)> {
        let mut made = 0;
        loop {
            let now = Instant::now();
            while let Some(due) = plan.due(made).filter(|due| *due <= now) {
                self.waiting.push_back(due);
                made += 1;
            }
            if self.waiting.front().is_some_and(|due| now.duration_since(*due) > HOPELESS) {
                self.offered.given_up += self.waiting.len() + (plan.writes - made) as usize;
                self.waiting.clear();
                made = plan.writes;
            }
            while self.may_push(now) {
                self.push().await?;
            }
            let next = plan.due(made);
            if next.is_none() && self.waiting.is_empty() && self.flying.is_empty() {
                let offered = std::mem::take(&mut self.offered);
                return Ok((self, offered));
            }
            let paused = (self.paused_until > now).then_some(self.paused_until);
            let until = paused.or(next.filter(|_| self.flying.len() < PUSHES));
            let message = match until {
                None => Some(self.device.next().await?),
                Some(until) => {
                    let message = tokio::time::timeout_at(until.into(), self.device.next()).await;
                    message.ok().transpose()?
                }
            };
            if let Some(message) = message {
                self.take(message)?;
            }
        }
    }

    fn may_push(&self, now: Instant) -> bool {
        !self.waiting.is_empty() && self.flying.len() < PUSHES && now >= self.paused_until
    }

    async fn push(&mut self) -> Fallible<()> {
        let writes = self.batch.min(self.waiting.len());
        let (mut entries, mut pushed) = (Vec::with_capacity(writes), Vec::with_capacity(writes));
        for due in self.waiting.drain(..writes) {
            let transaction = self.device.insert();
            pushed.push((transaction.rseq, due));
            entries.push(transaction.into());
        }
        let id = self.next_id;
        self.next_id += 1;
        self.flying.insert(id, pushed);
        let undecided = self.flying.values().flatten().map(|(rseq, _)| *rseq).min();
        let floor = undecided.unwrap_or(1) - 1;
        let push = ClientMessage::push(id, entries, now_ms(), floor);
        self.device.send(&push).await
    }

    fn take(&mut self, message: ServerMessage) -> Fallible<()> {
        match message {
            ServerMessage::Acknowledge { id, decisions, .. } => {
                let pushed = self.flying.remove(&id).ok_or("an answer to no push")?;
                for ((rseq, due), decision) in pushed.into_iter().zip(decisions) {
                    match decision {
                        Decision { rseq: of, outcome: Outcome::Accepted { seq } } if of == rseq => {
                            self.offered.accepted.push((seq, due));
                        }
                        other => return Err(format!("not accepted: {other:?}").into()),
                    }
                }
                self.batch = (self.batch + FIRST_BATCH / 4).min(LARGEST_BATCH);
                Ok(())
            }
            ServerMessage::Error { code, about: Some(id), retry_after_ms, .. } if code == codes::OVERLOADED => {
                // Nothing of it was decided: it is offered again, and still due when it was.
                let back = self.flying.remove(&id).unwrap_or_default();
                back.into_iter().rev().for_each(|(_, due)| self.waiting.push_front(due));
                self.batch = (self.batch / 2).max(1);
                self.paused_until = Instant::now() + Duration::from_millis(retry_after_ms.unwrap_or(100));
                Ok(())
            }
            ServerMessage::Error { message, .. } => Err(message.into()),
            _ => Ok(()),
        }
    }
}

/// What a frame of the live stream says.
#[derive(Clone, Copy)]
struct Told {
    to: u64,
    changes: u64,
}

/// Frames that were decoded lately. All subscribers get the same bytes: each takes them off its socket and compares them,
/// the first one decodes them.
#[derive(Default)]
pub struct Twins(Mutex<VecDeque<(Bytes, Option<Told>)>>);

impl Twins {
    const KEPT: usize = 64;

    /// What the frame says; `None` when it is not of the live stream.
    fn read(&self, frame: Bytes) -> Fallible<Option<Told>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told)) = kept.iter().rev().find(|(known, _)| *known == frame) {
            return Ok(*told);
        }
        let told = match decode_binary(&frame)? {
            ServerMessage::Live { to, buckets, .. } => {
                let changes = buckets.iter().map(|bucket| bucket.changes.0.len() as u64).sum();
                Some(Told { to, changes })
            }
            ServerMessage::Error { message, .. } => return Err(message.into()),
            _ => None,
        };
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back((frame, told));
        Ok(told)
    }
}

impl Device {
    /// Follows the live stream until it ends, and reports what it has as a real device does.
    pub async fn follow(mut self, watcher: Arc<Watcher>, twins: Arc<Twins>) -> Fallible<()> {
        let (mut unreported, mut reported) = (0, Instant::now());
        loop {
            let frame = self.next_bytes().await?;
            let bytes = frame.len();
            let Some(Told { to, changes }) = twins.read(frame)? else { continue };
            watcher.sees(to, changes, bytes);
            unreported += 64 + 128 * changes;
            if unreported >= REPORT_BYTES || reported.elapsed() >= REPORT_AFTER {
                self.send(&ClientMessage::Applied { seq: to }).await?;
                (unreported, reported) = (0, Instant::now());
            }
        }
    }
}
