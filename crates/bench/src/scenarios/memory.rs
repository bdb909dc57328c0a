//! E: what an idle server, an idle connection and a bucket cost.

use super::Context;
use crate::Fallible;
use crate::figures::Figure;
use crate::process::Server;
use crate::wire::Device;

pub async fn run(context: Context) -> Fallible<Vec<Figure>> {
    let server = Server::start(&context.server)?;
    let connections = 1_000 / context.scale as usize;
    let idle = server.memory()?;
    let mut devices = Vec::new();
    for _ in 0..connections {
        devices.push(Device::connect(&server.address, 0).await?);
    }
    let connected = server.memory()?;
    let mut opener = Device::connect(&server.address, 0).await?;
    let buckets = 2_000 / context.scale as usize;
    let before = server.memory()?;
    opener.open_and_close(buckets).await?;
    let opened = server.memory()?;
    Ok(vec![
        Figure::new("idle server", idle / (1 << 20) as f64, "MiB").aim("≤ 15"),
        Figure::new("per idle connection", (connected - idle) / 1024.0 / connections as f64, "KiB").aim("≤ 8"),
        Figure::new("per bucket", (opened - before) / buckets as f64, "B").aim("≤ 2,000"),
    ])
}
