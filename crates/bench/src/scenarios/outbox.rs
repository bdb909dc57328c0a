//! The outbox: how long queued writes take to drain, what one choice of the scheduler costs, how a device starts with many
//! unsent entries.

use std::path::Path;
use std::time::{Duration, Instant};

use landfall_client::db::{Database, Durability, Location, Options};
use landfall_client::driver::Client;
use landfall_client::status::Connectivity;
use landfall_core::flat::FlatSet;
use landfall_core::{ReplicaId, Value};
use landfall_protocol::Outcome;
use landfall_protocol::server::Decision;

use super::Context;
use super::device::{bare_writes, insert};
use super::load::{client, schema, settled};
use crate::Fallible;
use crate::figures::{Figure, Latency};
use crate::process::{Server, Usage, scratch};

/// Entries of one push of the scheduler's benchmark, as a device sends at first.
const BATCH: usize = 64;

async fn open_list(client: &Client) -> Fallible<()> {
    client.open_shape("list", [("list".to_owned(), Value::Uuid([0; 16]))].into()).await?;
    Ok(())
}

/// Queued writes, from connecting until all of them are on both sides.
pub async fn drain(context: Context, queued: u64) -> Fallible<Vec<Figure>> {
    let queued = queued / u64::from(context.scale);
    let server = Server::start(&context.server)?;
    let (_folder, path) = scratch()?;
    let client = client(Some(&server), &path).await?;
    open_list(&client).await?;
    settled(&client).await?;
    client.set_online(false)?;
    for i in 0..queued {
        client.write(move |tx| insert(tx, i)).await?;
    }
    let (before, start) = (Usage::so_far(server.pid())?, Instant::now());
    client.set_online(true)?;
    let meanwhile = if queued > 1_000 { Some(meanwhile(&client, queued).await?) } else { None };
    settled(&client).await?;
    let elapsed = start.elapsed();
    let used = Usage::so_far(server.pid())?.since(&before, elapsed);
    client.close().await;
    let floor = bare_writes(queued as usize)?;
    let ms = elapsed.as_secs_f64() * 1e3;
    let name = format!("{queued} queued writes, connect to settled");
    let mut figures = vec![match queued {
        0..=1_000 => Figure::new(name, ms, "ms").floor(floor).aim("≤ 30 ms (500)"),
        _ => Figure::new(name, ms, "ms").floor(floor),
    }];
    if let Some((write, read)) = meanwhile {
        figures.push(Figure::new("a write meanwhile, p50", write.ms(0.5), "ms"));
        figures.push(Figure::new("a write meanwhile, p99", write.ms(0.99), "ms"));
        figures.push(Figure::new("a read meanwhile, p99", read.ms(0.99), "ms"));
    }
    figures.push(Figure::new("cores used by the server", used.server, "cores"));
    figures.push(Figure::new("cores used by others on this machine", used.others, "cores"));
    Ok(figures)
}

/// What a person waits for while it drains: a write of their own every 10 ms, and a look at what is there.
async fn meanwhile(client: &Client, queued: u64) -> Fallible<(Latency, Latency)> {
    let (mut write, mut read) = (Latency::new(), Latency::new());
    let status = client.status();
    for n in queued.. {
        // Its own are as many as it made in the time, not part of what drains.
        if status.borrow().pending < 100 {
            break;
        }
        let began = Instant::now();
        client.query("SELECT id, title FROM items ORDER BY id LIMIT 20", Vec::new()).await?;
        read.record(began.elapsed());
        let began = Instant::now();
        client.write(move |tx| insert(tx, n)).await?;
        write.record(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((write, read))
}

fn entropy(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(16) {
        part.copy_from_slice(&crate::wire::random16()[..part.len()]);
    }
}

/// A database with so many queued entries, of differing priorities.
fn filled(path: &Path, entries: u64) -> Fallible<Database> {
    let options = Options { durability: Durability::Normal, ..Options::default() };
    let location = Location::Path(path.to_owned());
    let mut db = Database::open(&location, schema()?, options, 1, ReplicaId(crate::wire::random16()))?;
    for n in 0..entries {
        db.write(1_790_000_000_000 + n, &mut entropy, |tx| {
            tx.set_priority((n % 5) as u8 * 20);
            insert(tx, n)
        })?;
    }
    Ok(db)
}

/// What one entry costs while so many are queued: to choose it; and to choose it, freeze it, and take its decision.
/// Microseconds, the medians of so many pushes.
fn per_entry(entries: u64, pushes: usize) -> Fallible<(f64, f64)> {
    let (_folder, path) = scratch()?;
    let mut db = filled(&path, entries)?;
    let (mut choosing, mut whole) = (Latency::new(), Latency::new());
    let mut in_flight = FlatSet::new();
    for n in 0..pushes as u64 {
        let began = Instant::now();
        let (batch, _) = db.sendable(BATCH, usize::MAX, &in_flight, 1_795_000_000_000)?;
        choosing.record(began.elapsed());
        let rseqs: Vec<u64> = batch.iter().map(|entry| entry.transaction.rseq).collect();
        db.mark_sent(&rseqs)?;
        let decided = in_flight.clone();
        // The push before this one is answered while this one travels.
        let outcome = Outcome::Accepted { seq: n + 1 };
        let decisions: Vec<Decision> =
            decided.iter().map(|rseq| Decision { rseq: *rseq, outcome: outcome.clone() }).collect();
        db.decide(&decisions, 1_795_000_000_000)?;
        whole.record(began.elapsed());
        in_flight = rseqs.into_iter().collect();
    }
    Ok((choosing.ms(0.5) * 1e3 / BATCH as f64, whole.ms(0.5) * 1e3 / BATCH as f64))
}

/// The cost of the scheduler's choice with many queued entries, beside the same with few.
pub async fn scheduler(context: Context) -> Fallible<Vec<Figure>> {
    let many = 100_000 / u64::from(context.scale);
    let (few_choose, few_whole) = per_entry(1_000, 12)?;
    let (many_choose, many_whole) = per_entry(many, 200)?;
    Ok(vec![
        Figure::new(format!("choosing an entry of {many} queued, floor: of 1,000"), many_choose, "µs")
            .floor(few_choose)
            .aim("flat: 1×"),
        Figure::new(format!("choosing, freezing and settling one of {many}, floor: of 1,000"), many_whole, "µs")
            .floor(few_whole)
            .aim("flat: 1×"),
    ])
}

/// A device that is started with many unsent entries.
pub async fn start(context: Context) -> Fallible<Vec<Figure>> {
    let unsent = 20_000 / u64::from(context.scale);
    let server = Server::start(&context.server)?;
    let (_folder, path) = scratch()?;
    let first = client(Some(&server), &path).await?;
    open_list(&first).await?;
    settled(&first).await?;
    first.set_online(false)?;
    for i in 0..unsent {
        first.write(move |tx| insert(tx, i)).await?;
    }
    first.close().await;
    let before = Usage::so_far(server.pid())?;
    let began = Instant::now();
    let again = client(Some(&server), &path).await?;
    let opened = began.elapsed().as_secs_f64();
    again.query("SELECT id, title FROM items ORDER BY id LIMIT 20", Vec::new()).await?;
    let queried = began.elapsed().as_secs_f64();
    let mut status = again.status();
    status.wait_for(|now| now.connectivity == Connectivity::Online && now.pending < unsent).await?;
    let pushed = began.elapsed().as_secs_f64();
    settled(&again).await?;
    let elapsed = began.elapsed();
    let used = Usage::so_far(server.pid())?.since(&before, elapsed);
    again.close().await;
    let floor = bare_writes(unsent as usize)? / 1e3;
    Ok(vec![
        Figure::new(format!("opened with {unsent} unsent entries"), opened, "s"),
        Figure::new("until the first query is answered", queried, "s").aim("≤ 1 s"),
        Figure::new("until the first push is answered", pushed, "s").aim("≤ 1 s"),
        Figure::new("until all are on both sides", elapsed.as_secs_f64(), "s").floor(floor),
        Figure::new("cores used by others on this machine", used.others, "cores"),
    ])
}
