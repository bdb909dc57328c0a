//! A: the highest rate of writes that N live subscribers keep up with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Context;
use crate::figures::Figure;
use crate::floors::Relay;
use crate::process::{Server, Usage};
use crate::rate::{Highest, Offered, Step, System, Watcher, highest};
use crate::wire::Device;
use crate::wire::open::{Plan, Pusher, Twins};
use crate::{Fallible, floors, process};

/// Devices that write.
const PUSHERS: u64 = 16;

/// The server, its subscribers, and the devices that write.
struct Landfall {
    /// They end before the server does.
    _followers: JoinSet<()>,
    server: Server,
    watchers: Vec<Arc<Watcher>>,
    pushers: Vec<Pusher>,
}

impl Landfall {
    async fn start(context: &Context, subscribers: usize) -> Fallible<Self> {
        let server = Server::start(&context.server)?;
        let http = reqwest::Client::new();
        let (mut watchers, mut followers, mut pushers) = (Vec::new(), JoinSet::new(), Vec::new());
        let twins = Arc::new(Twins::default());
        for _ in 0..subscribers {
            let mut device = Device::connect(&server.address, 0).await?;
            device.subscribe(&http, &server.address).await?;
            let watcher = Arc::new(Watcher::default());
            let (seeing, twins) = (Arc::clone(&watcher), Arc::clone(&twins));
            watchers.push(watcher);
            followers.spawn(async move {
                if let Err(problem) = device.follow(seeing, twins).await {
                    eprintln!("  a subscriber has ended: {problem}");
                }
            });
        }
        for n in 0..PUSHERS {
            pushers.push(Pusher::new(n, Device::connect(&server.address, 0).await?));
        }
        Ok(Self { _followers: followers, server, watchers, pushers })
    }
}

impl System for Landfall {
    async fn offer(&mut self, per_second: f64, during: Duration) -> Fallible<Offered> {
        let pushers = std::mem::take(&mut self.pushers);
        let apart = Duration::from_secs_f64(pushers.len() as f64 / per_second);
        let writes = (during.as_secs_f64() / apart.as_secs_f64()).ceil() as u32;
        let (first, count) = (Instant::now(), pushers.len() as u32);
        let tasks: Vec<_> = (0..)
            .zip(pushers)
            .map(|(n, pusher)| tokio::spawn(pusher.offer(Plan { first: first + apart * n / count, apart, writes })))
            .collect();
        let mut all = Offered::default();
        for task in tasks {
            let (pusher, mut offered) = task.await??;
            self.pushers.push(pusher);
            all.accepted.append(&mut offered.accepted);
            all.given_up += offered.given_up;
        }
        Ok(all)
    }

    fn watchers(&self) -> &[Arc<Watcher>] {
        &self.watchers
    }

    fn usage(&self) -> Fallible<Usage> {
        Usage::so_far(self.server.pid())
    }
}

/// The rate is sought from `from` writes per second on, that of the floor from `floor_from` on.
pub async fn run(context: Context, subscribers: usize, from: f64, floor_from: f64) -> Fallible<Vec<Figure>> {
    let aim = if subscribers < 1_000 { "≥ 10,000 /s" } else { "≥ 1,500 /s" };
    let subscribers = subscribers / context.scale as usize;
    let part = |ms: u64| Duration::from_millis(ms / u64::from(context.scale));
    let start = async || Landfall::start(&context, subscribers).await;
    let Highest { held, missed } = highest(start, from, part(3_000), part(45_000)).await?;
    let size = (held.bytes / held.writes).round().max(1.0);
    let start = async || Relay::start(subscribers, size as usize).await;
    let floor = highest(start, floor_from, part(3_000), part(25_000)).await?.held;
    let together = held.writes / held.frames;
    let durable = floors::rows_per_second(together.round().max(1.0) as usize, part(2_000))?;
    let per_delivery = |step: &Step| step.server_ms * 1e3 / subscribers as f64;
    let busy = |who: &str, cores: f64, floor: f64| {
        Figure::new(format!("{who}, of {} cores", process::cores()), cores, "cores").floor(floor)
    };
    let mut figures = vec![
        Figure::new(format!("highest rate held to {subscribers} live, p99 < 1 s, durable"), held.per_second, "/s")
            .floor(floor.per_second)
            .aim(aim),
        Figure::new("the same beside bare transactions of as many rows", held.per_second, "/s").floor(durable),
        Figure::new("due → last has it, p50", held.latency.ms(0.5), "ms").floor(floor.latency.ms(0.5)),
        Figure::new("due → last has it, p99", held.latency.ms(0.99), "ms").floor(floor.latency.ms(0.99)),
        Figure::new("writes that travel together, mean", together, "per frame").floor(floor.writes / floor.frames),
        Figure::new("bytes per delivered write", size, "B").floor(size),
        Figure::new("server processor time per write", held.server_ms * 1e3, "µs").floor(floor.server_ms * 1e3),
        Figure::new("server processor time per delivery", per_delivery(&held), "µs").floor(per_delivery(&floor)),
        busy("server", held.usage.server, floor.usage.server),
        busy("devices and measurement", held.usage.own, floor.usage.own),
        busy("everything else on the machine", held.usage.others, floor.usage.others),
    ];
    if let Some(missed) = missed {
        figures.insert(1, Figure::new("least rate that was missed", missed, "/s"));
    }
    Ok(figures)
}
