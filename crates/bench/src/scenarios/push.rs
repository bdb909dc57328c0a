//! B: durable pushes per second, each client with one transaction outstanding.

use std::time::{Duration, Instant};

use super::Context;
use crate::figures::{Figure, Latency};
use crate::process::Server;
use crate::wire::Device;
use crate::{Fallible, floors};

pub async fn run(context: Context, clients: usize) -> Fallible<Vec<Figure>> {
    let server = Server::start(&context.server)?;
    let budget = Duration::from_millis(4_000 / u64::from(context.scale));
    let mut devices = Vec::new();
    for _ in 0..clients {
        devices.push(Device::connect(&server.address, 0).await?);
    }
    let cpu = server.cpu_s()?;
    let start = Instant::now();
    let tasks: Vec<_> = devices
        .into_iter()
        .map(|mut device| {
            tokio::spawn(async move {
                let (mut latency, mut pushed) = (Latency::new(), 0u64);
                while start.elapsed() < budget {
                    let transaction = device.insert();
                    let sent = Instant::now();
                    device.push(vec![transaction]).await?;
                    latency.record(sent.elapsed());
                    pushed += 1;
                }
                Fallible::Ok((latency, pushed))
            })
        })
        .collect();
    let (mut latency, mut pushed) = (Latency::new(), 0u64);
    for task in tasks {
        let (one, count) = task.await??;
        latency.join(&one);
        pushed += count;
    }
    let rate = pushed as f64 / start.elapsed().as_secs_f64();
    let cpu_ms = (server.cpu_s()? - cpu) * 1e3 / pushed.max(1) as f64;
    drop(server);
    // Nobody is answered before the transaction that holds the write is durable, in groups of all that wait.
    let (floor, bare) = floors::transactions(clients, budget / 2)?;
    let aim = match clients {
        1 => "≥ 1,500/s and ≥ 60 % of the floor",
        16 => "≥ 8,000/s and ≥ 60 % of the floor",
        _ => "≥ 60 % of the floor",
    };
    Ok(vec![
        Figure::new(format!("durable pushes, {clients} clients"), rate, "/s").floor(floor).aim(aim),
        Figure::new("until acknowledged, p50", latency.ms(0.5), "ms").floor(bare.ms(0.5)),
        Figure::new("until acknowledged, p99", latency.ms(0.99), "ms").floor(bare.ms(0.99)),
        Figure::new("server processor time per push", cpu_ms, "ms"),
    ])
}
