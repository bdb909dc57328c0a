//! On the device: local writes, draining the outbox, live queries while others write.

use std::time::Instant;

use landfall_client::db::{DbError, WriteTx};
use landfall_client::live::LiveQuery;
use landfall_core::Value;

use super::Context;
use super::load::{client, fill, settled};
use crate::figures::{Figure, Latency};
use crate::process::{Server, scratch};
use crate::{Fallible, floors};

/// Inserts one row by a typed call.
pub fn insert(tx: &mut WriteTx<'_>, n: u64) -> Result<(), DbError> {
    tx.insert(
        "items",
        &[
            ("id", Value::Uuid(crate::wire::random16())),
            ("list_id", Value::Uuid([0; 16])),
            ("title", Value::Text(crate::wire::title(n))),
            ("done", Value::Bool(false)),
            ("position", Value::Int(n as i64)),
            ("updated_at", Value::Timestamp(1_790_000_000_000_000)),
        ],
    )?;
    Ok(())
}

pub async fn local_writes(context: Context) -> Fallible<Vec<Figure>> {
    let writes = 2_000 / u64::from(context.scale);
    let (_folder, path) = scratch()?;
    let client = client(None, &path).await?;
    let mut latency = Latency::new();
    for i in 0..writes {
        let start = Instant::now();
        client.write(move |tx| insert(tx, i)).await?;
        latency.record(start.elapsed());
    }
    client.close().await;
    let (_floor_folder, floor_path) = scratch()?;
    let mut bare = floors::bare(&floor_path)?;
    let mut floor = Latency::new();
    for _ in 0..writes {
        let start = Instant::now();
        floors::insert(&mut bare, &[crate::wire::random_uuid()], &crate::wire::uuid_text(0))?;
        floor.record(start.elapsed());
    }
    Ok(vec![
        Figure::new("local write transaction with outbox, p50", latency.ms(0.5), "ms")
            .floor(floor.ms(0.5))
            .aim("≤ 1 ms over the floor"),
        Figure::new("local write transaction, p99", latency.ms(0.99), "ms").floor(floor.ms(0.99)),
    ])
}

/// The same rows in bare transactions, in batches as they are pushed, once for the server and once for the device,
/// milliseconds.
pub fn bare_writes(rows: usize) -> Fallible<f64> {
    const BATCH: usize = 64;
    let (_folder, path) = scratch()?;
    let mut databases = [floors::bare(&path)?, floors::bare(&path.with_extension("device"))?];
    let keys: Vec<String> = (0..rows).map(|_| crate::wire::random_uuid()).collect();
    let start = Instant::now();
    for batch in keys.chunks(BATCH) {
        for conn in &mut databases {
            floors::insert(conn, batch, &crate::wire::uuid_text(0))?;
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Rows of others in one bare transaction of the device, seconds.
pub fn bare_writes_of_others(rows: usize) -> Fallible<f64> {
    let (_folder, path) = scratch()?;
    let mut conn = floors::bare(&path)?;
    let keys: Vec<String> = (0..rows).map(|_| crate::wire::random_uuid()).collect();
    let start = Instant::now();
    floors::insert(&mut conn, &keys, &crate::wire::uuid_text(0))?;
    Ok(start.elapsed().as_secs_f64())
}

/// Bare SQLite: a row is written, and the one query that may read it is run again; processor milliseconds for each.
fn bare_query(rows: usize, writes: usize) -> Fallible<f64> {
    let (_folder, path) = scratch()?;
    let mut conn = floors::bare(&path)?;
    let keys = |count| (0..count).map(|_| crate::wire::random_uuid()).collect::<Vec<_>>();
    floors::insert(&mut conn, &keys(rows), &crate::wire::uuid_text(0))?;
    let written = keys(writes);
    let own = std::process::id();
    let cpu = crate::process::cpu_of(own)?;
    for key in &written {
        floors::insert(&mut conn, std::slice::from_ref(key), &crate::wire::uuid_text(0))?;
        let sql = "SELECT id, title FROM items WHERE position BETWEEN 0 AND 19 ORDER BY position";
        let found = conn.prepare_cached(sql)?.query_map([], |row| row.get::<_, String>(0))?.count();
        std::hint::black_box(found);
    }
    Ok((crate::process::cpu_of(own)? - cpu) * 1e3 / writes.max(1) as f64)
}

pub async fn live_queries(context: Context) -> Fallible<Vec<Figure>> {
    let rows = 100_000 / context.scale as usize;
    let server = Server::start(&context.server)?;
    fill(&server, rows).await?;
    let (_folder, path) = scratch()?;
    let client = client(Some(&server), &path).await?;
    client.open_shape("list", [("list".to_owned(), Value::Uuid([0; 16]))].into()).await?;
    settled(&client).await?;
    let mut watches = Vec::new();
    for i in 0..100 {
        let sql = format!(
            "SELECT id, title FROM items WHERE position BETWEEN {} AND {} ORDER BY position",
            i * 20,
            i * 20 + 19
        );
        watches.push(client.watch(LiveQuery::Sql { sql, params: Vec::new(), key: None }).await?);
    }
    let cpu = crate::process::cpu_of(std::process::id())?;
    let writes = 500 / context.scale as usize;
    let start = Instant::now();
    fill(&server, writes).await?;
    settled(&client).await?;
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = crate::process::cpu_of(std::process::id())? - cpu;
    drop(watches);
    client.close().await;
    let floor = bare_query(rows, writes.min(100))?;
    Ok(vec![
        Figure::new(format!("100 live queries over {rows} rows, {writes} rows written by others"), elapsed * 1e3, "ms"),
        Figure::new("device processor time per written row", cpu * 1e3 / writes as f64, "ms").floor(floor),
    ])
}
