//! One noisy subject: what everybody else notices of it.

use std::time::{Duration, Instant};

use super::Context;
use crate::Fallible;
use crate::figures::{Figure, Latency};
use crate::process::{Server, Usage};
use crate::wire::Device;

/// Connections of the noisy subject, and transactions of each of its pushes.
const NOISY: usize = 8;
const SIZE: usize = 500;

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

pub async fn run(context: Context) -> Fallible<Vec<Figure>> {
    let budget = Duration::from_millis(6_000 / u64::from(context.scale));
    let alone = Server::start_as_shipped(&context.server)?;
    let (quiet, quiet_pushed) = well_behaved(&alone, Instant::now() + budget).await?;
    drop(alone);
    let server = Server::start_as_shipped(&context.server)?;
    let until = Instant::now() + budget;
    let before = Usage::so_far(server.pid())?;
    let mut floods = Vec::new();
    for list in 0..NOISY as u8 {
        let mut device = Device::connect_as(&server.address, 10 + list, "noisy").await?;
        device.open_list().await?;
        floods.push(tokio::spawn(async move { device.flood(SIZE, until).await }));
    }
    let (busy, pushed) = well_behaved(&server, until).await?;
    let used = Usage::so_far(server.pid())?.since(&before, budget);
    let (mut accepted, mut refusals) = (0, 0);
    for flood in floods {
        let (more, refused) = flood.await??;
        (accepted, refusals) = (accepted + more, refusals + refused);
    }
    let per_second = |n: u64| n as f64 / budget.as_secs_f64();
    Ok(vec![
        Figure::new("a write while another subject floods, p50; floor: alone", busy.ms(0.5), "ms").floor(quiet.ms(0.5)),
        Figure::new("the same, p99", busy.ms(0.99), "ms").floor(quiet.ms(0.99)),
        Figure::new("its writes per second", per_second(pushed), "/s").floor(per_second(quiet_pushed)),
        Figure::new("what the flood gets through", per_second(accepted), "/s"),
        Figure::new("how often the flood is told to wait", per_second(refusals), "/s"),
        Figure::new("cores used by others on this machine", used.others, "cores"),
    ])
}
