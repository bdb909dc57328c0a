//! The highest rate that is held. Writes are offered openly: each is due at its time, whether or not those before it have
//! arrived, and its latency counts from that time until the last subscriber has it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::figures::Latency;
use crate::process::Usage;

/// A rate is held while 99 of 100 writes take less than this.
const P99_MS: f64 = 1_000.0;
/// Most that the delay may grow from the middle of a step's first third to that of its last: a server that is 5 % short
/// falls behind by as much in a step of three seconds.
const GROWTH_MS: f64 = 100.0;
/// Who waits longer than this has lost the step: the rest of it is not offered.
pub const HOPELESS: Duration = Duration::from_secs(2);
/// What was accepted has to arrive within this.
const PATIENCE: Duration = Duration::from_secs(15);
/// The search ends when the least rate that was missed is within this of the highest one held.
const NEAR: f64 = 1.12;

/// What one subscriber has received, and when.
#[derive(Default)]
pub struct Watcher {
    position: AtomicU64,
    seen: Mutex<Seen>,
}

/// See [`Watcher`].
#[derive(Default)]
pub struct Seen {
    /// Positions up to which it has everything, in order, and since when.
    pub moments: Vec<(u64, Instant)>,
    /// Writes.
    pub writes: u64,
    /// Bytes of all frames.
    pub bytes: u64,
}

impl Watcher {
    /// A frame has come.
    pub fn sees(&self, position: u64, writes: u64, bytes: usize) {
        let mut seen = self.seen();
        seen.moments.push((position, Instant::now()));
        seen.writes += writes;
        seen.bytes += bytes as u64;
        self.position.store(position, Ordering::Release);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of the writes of a step.
#[derive(Default)]
pub struct Offered {
    /// Where each write stands in the stream, and when it was due.
    pub accepted: Vec<(u64, Instant)>,
    /// Those that were not taken in time.
    pub given_up: usize,
}

/// Something that takes writes and passes them on to subscribers.
pub trait System {
    /// Offers so many writes per second; returns when all are accepted or given up.
    async fn offer(&mut self, per_second: f64, during: Duration) -> Fallible<Offered>;
    /// Its subscribers.
    fn watchers(&self) -> &[Arc<Watcher>];
    /// Processor time so far.
    fn usage(&self) -> Fallible<Usage>;
}

/// A rate, and how it went.
pub struct Step {
    /// Writes offered per second.
    pub per_second: f64,
    /// From due to the last subscriber.
    pub latency: Latency,
    /// How much longer the last third of the writes took than the first.
    growth_ms: f64,
    given_up: usize,
    /// Processors busy meanwhile.
    pub usage: Usage,
    /// Processor time of the server for one write.
    pub server_ms: f64,
    /// Frames that one subscriber got.
    pub frames: f64,
    /// Bytes that one subscriber got.
    pub bytes: f64,
    /// Writes.
    pub writes: f64,
}

impl Step {
    fn is_held(&self) -> bool {
        self.given_up == 0 && self.latency.ms(0.99) < P99_MS && self.growth_ms < GROWTH_MS
    }

    fn tell(&self) {
        let Usage { server, own, others } = self.usage;
        eprintln!(
            "  {:.0}/s: p50 {:.1} ms, p99 {:.1} ms, growing by {:.0} ms, {} given up; server {server:.2}, generator \
             {own:.2}, others {others:.2} cores; {}",
            self.per_second,
            self.latency.ms(0.5),
            self.latency.ms(0.99),
            self.growth_ms,
            self.given_up,
            if self.is_held() { "held" } else { "missed" }
        );
    }
}

/// What was found.
pub struct Highest {
    /// The highest rate held.
    pub held: Step,
    /// The least one missed; `None` when time was over before any was.
    pub missed: Option<f64>,
}

/// Doubles the rate until it is missed, then halves the distance. A rate counts as missed when it is missed twice, or once
/// at the end of the time. Each step has a system of its own: what an earlier one left behind must not count against it.
pub async fn highest<S: System>(
    start: impl AsyncFn() -> Fallible<S>,
    from: f64,
    during: Duration,
    at_most: Duration,
) -> Fallible<Highest> {
    let deadline = Instant::now() + at_most;
    let (mut held, mut missed) = (None::<Step>, None::<f64>);
    let mut rate = from;
    loop {
        let mut tried = step(&mut start().await?, rate, during).await?;
        if !tried.is_held() && Instant::now() + during < deadline {
            tried = step(&mut start().await?, rate, during).await?;
        }
        if tried.is_held() {
            held = Some(tried)
        } else {
            missed = Some(rate)
        }
        rate = match (&held, missed) {
            (Some(held), Some(missed)) if missed <= held.per_second * NEAR => break,
            (Some(held), Some(missed)) => f64::midpoint(held.per_second, missed),
            (Some(held), None) => held.per_second * 2.0,
            (None, missed) => missed.unwrap_or(rate) / 2.0,
        };
        if Instant::now() + during >= deadline {
            break;
        }
    }
    Ok(Highest { held: held.ok_or("no rate was held")?, missed })
}

async fn step(system: &mut impl System, per_second: f64, during: Duration) -> Fallible<Step> {
    for watcher in system.watchers() {
        *watcher.seen() = Seen::default();
    }
    let began = (system.usage()?, Instant::now());
    let Offered { mut accepted, given_up } = system.offer(per_second, during).await?;
    accepted.sort_unstable();
    let last = accepted.last().ok_or("nothing was accepted")?.0;
    let patience = Instant::now() + PATIENCE;
    while system.watchers().iter().any(|watcher| watcher.position.load(Ordering::Acquire) < last) {
        if Instant::now() > patience {
            return Err("a subscriber did not get everything in time".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let elapsed = began.1.elapsed();
    let usage = system.usage()?.since(&began.0, elapsed);
    let writes = accepted.len() as f64;
    let seen: Vec<Seen> = system.watchers().iter().map(|watcher| std::mem::take(&mut *watcher.seen())).collect();
    if let Some(short) = seen.iter().find(|seen| seen.writes != accepted.len() as u64) {
        return Err(format!("a subscriber got {} of {} writes", short.writes, accepted.len()).into());
    }
    let delays = delays(&accepted, &seen);
    let mut latency = Latency::new();
    delays.iter().for_each(|delay| latency.record(*delay));
    let of_one = |sum: u64| sum as f64 / seen.len() as f64;
    let step = Step {
        per_second,
        latency,
        growth_ms: growth_ms(&delays),
        given_up,
        usage,
        server_ms: usage.server * elapsed.as_secs_f64() * 1e3 / writes,
        frames: of_one(seen.iter().map(|seen| seen.moments.len() as u64).sum()),
        bytes: of_one(seen.iter().map(|seen| seen.bytes).sum()),
        writes,
    };
    step.tell();
    Ok(step)
}

/// For each write, in the order in which they were due: how long until the last subscriber had it.
fn delays(accepted: &[(u64, Instant)], seen: &[Seen]) -> Vec<Duration> {
    let mut last: Vec<(Instant, Instant)> = accepted.iter().map(|(_, due)| (*due, *due)).collect();
    for one in seen {
        let mut moments = one.moments.iter().peekable();
        for ((position, _), (_, had)) in accepted.iter().zip(&mut last) {
            while moments.next_if(|(reached, _)| reached < position).is_some() {}
            if let Some((_, when)) = moments.peek() {
                *had = (*had).max(*when);
            }
        }
    }
    last.sort_unstable();
    last.into_iter().map(|(due, had)| had - due).collect()
}

fn growth_ms(delays: &[Duration]) -> f64 {
    let third = (delays.len() / 3).max(1);
    let median = |part: &[Duration]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).map_or(0.0, |delay| delay.as_secs_f64() * 1e3)
    };
    median(&delays[delays.len() - third..]) - median(&delays[..third])
}
