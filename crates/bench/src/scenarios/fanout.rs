//! A: one write until the last of N live subscribers has it.

use std::time::{Duration, Instant};

use super::Context;
use crate::figures::{Figure, Latency};
use crate::process::Server;
use crate::wire::Device;
use crate::{Fallible, floors};

pub async fn run(context: Context, subscribers: usize, per_second: u32) -> Fallible<Vec<Figure>> {
    let server = Server::start(&context.server)?;
    let http = reqwest::Client::new();
    // Enough of them for a p99 that is not the worst one.
    let writes = (4 * per_second / context.scale).max(100 / context.scale) as usize;
    let pause = Duration::from_secs(1) / per_second;
    let (seen, mut sightings) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for _ in 0..subscribers {
        let mut device = Device::connect(&server.address, 0).await?;
        device.subscribe(&http, &server.address).await?;
        let seen = seen.clone();
        tasks.push(tokio::spawn(async move {
            while let Ok(size) = device.next_change().await {
                if seen.send(size).is_err() {
                    return;
                }
            }
        }));
    }
    let mut writer = Device::connect(&server.address, 0).await?;
    let (mut latency, mut bytes) = (Latency::new(), 0usize);
    let (mut server_cpu, mut own_cpu) = (server.cpu_s()?, crate::process::cpu_of(std::process::id())?);
    let (began, mut late) = (Instant::now(), false);
    for write in 0..writes {
        // Due by the clock: one that comes late because the one before took too long waits as long as that.
        let due = began + pause * write as u32;
        tokio::time::sleep_until(due.into()).await;
        let transaction = writer.insert();
        let start = if late { due } else { Instant::now() };
        writer.push(vec![transaction]).await?;
        for _ in 0..subscribers {
            bytes = sightings.recv().await.ok_or("a subscriber ended")?;
        }
        latency.record(start.elapsed());
        late = due.elapsed() > pause;
    }
    server_cpu = server.cpu_s()? - server_cpu;
    own_cpu = crate::process::cpu_of(std::process::id())? - own_cpu;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    drop(server);
    let floor = floors::broadcast(subscribers, bytes, writes, pause).await?;
    let [of_server, of_all] = [server_cpu, server_cpu + own_cpu].map(|spent| spent * 1e3 / writes as f64);
    let aims = match subscribers {
        100 => ["≤ 2 ms", "≤ 5 ms"],
        1_000 => ["≤ 18 ms", "≤ 30 ms"],
        _ => [""; 2],
    };
    Ok(vec![
        Figure::new(format!("write → last of {subscribers}, p50 (durable)"), latency.ms(0.5), "ms")
            .floor(floor.latency.ms(0.5))
            .aim(aims[0]),
        Figure::new("write → last, p99", latency.ms(0.99), "ms").floor(floor.latency.ms(0.99)).aim(aims[1]),
        Figure::new("processor time per write, server and devices", of_all, "ms")
            .floor((floor.sender_s + floor.receivers_s) * 1e3)
            .aim("≤ 1.5× a bare broadcast"),
        Figure::new("of it the server", of_server, "ms").floor(floor.sender_s * 1e3),
        Figure::new("bytes per delivery", bytes as f64, "B"),
    ])
}
