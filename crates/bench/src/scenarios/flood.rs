//! One noisy subject: what everybody else notices of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Context;
use crate::Fallible;
use crate::figures::{Figure, Latency};
use crate::process::{Server, Usage};
use crate::wire::{Device, Tally};

/// Connections of the noisy subject, and transactions of each of its pushes.
const NOISY: usize = 8;
const SIZE: usize = 500;
/// By then a subject that pushes as fast as it can has used up what it may push at once.
const SPENT_WITHIN: Duration = Duration::from_secs(60);

/// One device that writes, waits for its answer, and writes again.
async fn well_behaved(server: &Server, until: Instant) -> Fallible<(Latency, u64)> {
    let mut device = Device::connect_as(&server.address, 1, "ada").await?;
    device.open_list().await?;
    let (mut latency, mut pushed) = (Latency::new(), 0);
    while Instant::now() < until {
        let transaction = device.insert();
        let sent = Instant::now();
        device.push(vec![transaction]).await?;
        latency.record(sent.elapsed());
        pushed += 1;
    }
    Ok((latency, pushed))
}

/// What the well-behaved one notices, what the flood gets through a second, how often it is told to wait, and the cores that
/// others used. `spent`: the flood has had its burst, and is at the rate that it may keep up.
async fn beside_a_flood(context: &Context, budget: Duration, spent: bool) -> Fallible<(Latency, u64, [f64; 2], f64)> {
    let server = Server::start_as_shipped(&context.server)?;
    let last = Instant::now() + SPENT_WITHIN + budget;
    let (tally, mut floods) = (Arc::new(Tally::default()), Vec::new());
    let (stop, stopped) = watch::channel(last);
    for list in 0..NOISY as u8 {
        let mut device = Device::connect_as(&server.address, 10 + list, "noisy").await?;
        device.open_list().await?;
        let (tally, stopped) = (Arc::clone(&tally), stopped.clone());
        floods.push(tokio::spawn(async move { device.flood(SIZE, &stopped, &tally).await }));
    }
    if spent {
        let first = tally.refused.notified();
        tokio::time::timeout(SPENT_WITHIN, first).await.map_err(|_| "the flood was never told to wait")?;
    }
    let before = (Usage::so_far(server.pid())?, tally.so_far());
    let until = Instant::now() + budget;
    stop.send_replace(until);
    let (latency, pushed) = well_behaved(&server, until).await?;
    let used = Usage::so_far(server.pid())?.since(&before.0, budget);
    let after = tally.so_far();
    let per_second = |at: usize| (after[at] - before.1[at]) as f64 / budget.as_secs_f64();
    let through = [per_second(0), per_second(1)];
    for flood in floods {
        flood.await??;
    }
    Ok((latency, pushed, through, used.others))
}

pub async fn run(context: Context) -> Fallible<Vec<Figure>> {
    let budget = Duration::from_millis(6_000 / u64::from(context.scale));
    let alone = Server::start_as_shipped(&context.server)?;
    let (quiet, quiet_pushed) = well_behaved(&alone, Instant::now() + budget).await?;
    drop(alone);
    let mut figures = Vec::new();
    for (spent, when) in [(true, "at the rate that it may keep up"), (false, "within its burst")] {
        let (busy, pushed, [accepted, refusals], others) = beside_a_flood(&context, budget, spent).await?;
        let per_second = |n: u64| n as f64 / budget.as_secs_f64();
        let name = |what: &str| format!("{what} ({when})");
        let writes =
            Figure::new(name("its writes per second"), per_second(pushed), "/s").floor(per_second(quiet_pushed));
        figures.extend([
            Figure::new(name("a write while another subject floods, p50; floor: alone"), busy.ms(0.5), "ms")
                .floor(quiet.ms(0.5)),
            Figure::new(name("the same, p99"), busy.ms(0.99), "ms").floor(quiet.ms(0.99)),
            if spent { writes.aim("half of what it has alone") } else { writes },
            Figure::new(name("what the flood gets through"), accepted, "/s"),
            Figure::new(name("how often the flood is told to wait"), refusals, "/s"),
            Figure::new(name("cores used by others on this machine"), others, "cores"),
        ]);
    }
    Ok(figures)
}
