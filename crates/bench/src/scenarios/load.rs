//! C: first load of 100,000 rows into a durable local database. D: coming back after 10,000 remote and 1,000 own changes.

use std::time::{Duration, Instant};

use landfall_client::driver::{Client, ClientOptions};
use landfall_client::status::Connectivity;
use landfall_core::{Schema, Value};

use super::Context;
use crate::figures::Figure;
use crate::process::{SCHEMA, Server, scratch};
use crate::wire::Device;
use crate::{Fallible, floors};

/// A benchmark that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn schema() -> Fallible<Schema> {
    Schema::parse("landfall.toml", SCHEMA).map_err(|d| d.to_string().into())
}

/// Opens a client, connected or not.
pub async fn client(server: Option<&Server>, path: &std::path::Path) -> Fallible<Client> {
    let mut options = ClientOptions::new(path, schema()?);
    options.server = server.map(|s| format!("http://{}", s.address));
    options.token = Some("dev:bench".into());
    Ok(Client::open(options).await?)
}

/// Waits until everything is on both sides.
pub async fn settled(client: &Client) -> Fallible<()> {
    let mut status = client.status();
    let wait = async {
        loop {
            let quiet = {
                let now = status.borrow_and_update();
                now.connectivity == Connectivity::Online && now.pending == 0 && now.acknowledged == 0
            };
            if quiet && client.with(|engine, _, _| engine.all_complete()).await? {
                return Fallible::Ok(());
            }
            status.changed().await?;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| "it did not settle in time")?
}

/// Fills a list through one device, which has the list open as a device that writes usually has: the server indexes a
/// table when a bucket of it is opened for the first time.
pub async fn fill(server: &Server, rows: usize) -> Fallible<()> {
    let mut device = Device::connect(&server.address, 0).await?;
    device.open_list().await?;
    for start in (0..rows).step_by(200) {
        let batch = (start..rows.min(start + 200)).map(|_| device.insert()).collect();
        device.push(batch).await?;
    }
    Ok(())
}

async fn count(client: &Client) -> Fallible<i64> {
    match client.query("SELECT count(*) FROM items", Vec::new()).await?.rows.first().and_then(|r| r.first()) {
        Some(Value::Int(count)) => Ok(*count),
        other => Err(format!("no count: {other:?}").into()),
    }
}

pub async fn run(context: Context) -> Fallible<Vec<Figure>> {
    let rows = 100_000 / context.scale as usize;
    let server = Server::start(&context.server)?;
    fill(&server, rows).await?;
    let before = server.memory()?;
    let (_folder, path) = scratch()?;
    let client = client(Some(&server), &path).await?;
    let own_memory = crate::process::own_memory()?;
    let own_cpu = || crate::process::cpu_of(std::process::id());
    let (start, server_cpu, device_cpu) = (Instant::now(), server.cpu_s()?, own_cpu()?);
    client.open_shape("list", [("list".to_owned(), Value::Uuid([0; 16]))].into()).await?;
    settled(&client).await?;
    let elapsed = start.elapsed().as_secs_f64();
    let (server_cpu, device_cpu) = (server.cpu_s()? - server_cpu, own_cpu()? - device_cpu);
    let own_peak = crate::process::own_peak()?;
    let loaded = count(&client).await?;
    if loaded as usize != rows {
        return Err(format!("{loaded} of {rows} rows arrived").into());
    }
    let bytes = wire_bytes(&server).await?;
    let peak = server.peak()?;
    let mut keys: Vec<String> = (0..rows).map(|_| crate::wire::random_uuid()).collect();
    keys.sort();
    let (_floor_folder, floor_path) = scratch()?;
    let mut bare = floors::bare(&floor_path)?;
    let (start, floor_cpu) = (Instant::now(), own_cpu()?);
    floors::insert(&mut bare, &keys, &crate::wire::uuid_text(0))?;
    let (floor, floor_cpu) = (start.elapsed().as_secs_f64(), own_cpu()? - floor_cpu);
    client.close().await;
    Ok(vec![
        Figure::new(format!("{rows} rows into a fresh device"), elapsed, "s").floor(floor).aim("≤ 0.5 s and ≤ 1.6×"),
        Figure::new("rows per second", rows as f64 / elapsed, "/s").floor(rows as f64 / floor),
        Figure::new("processor time, device", device_cpu, "s").floor(floor_cpu),
        Figure::new("processor time, server", server_cpu, "s"),
        Figure::new("bytes per row on the wire", bytes / rows as f64, "B").aim("≤ 60"),
        Figure::new("device memory, peak over what was there before", (own_peak - own_memory) / 1e6, "MB"),
        Figure::new("server memory before", before / 1e6, "MB"),
        Figure::new("server memory, peak", peak / 1e6, "MB").aim("≤ 100"),
    ])
}

/// The bytes of all chunks of the list, fetched once more.
async fn wire_bytes(server: &Server) -> Fallible<f64> {
    let mut device = Device::connect(&server.address, 0).await?;
    Ok(device.chunk_bytes(&reqwest::Client::new(), &server.address).await? as f64)
}

pub async fn come_back(context: Context) -> Fallible<Vec<Figure>> {
    let (remote, own) = (10_000 / context.scale as usize, 1_000 / context.scale as usize);
    let server = Server::start(&context.server)?;
    let (_folder, path) = scratch()?;
    let client = client(Some(&server), &path).await?;
    client.open_shape("list", [("list".to_owned(), Value::Uuid([0; 16]))].into()).await?;
    settled(&client).await?;
    client.set_online(false)?;
    fill(&server, remote).await?;
    for i in 0..own {
        client.write(move |tx| super::device::insert(tx, i as u64)).await?;
    }
    let start = Instant::now();
    client.set_online(true)?;
    settled(&client).await?;
    let elapsed = start.elapsed().as_secs_f64();
    let rows = count(&client).await?;
    client.close().await;
    if rows as usize != remote + own {
        return Err(format!("{rows} rows instead of {}", remote + own).into());
    }
    let floor = super::device::bare_writes(own)? / 1e3 + super::device::bare_writes_of_others(remote)?;
    Ok(vec![
        Figure::new(format!("back after {remote} remote and {own} own changes"), elapsed, "s")
            .floor(floor)
            .aim("≤ 0.25 s, durable on both sides"),
    ])
}
