//! Merge rules between real devices and a server that embeds Landfall: what two do at once, both without a network.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use landfall_client::driver::{Client, ClientOptions};
use landfall_core::{Schema, Value};
use tempfile::TempDir;

mod custom;
mod deletes;
#[path = "../common/document.rs"]
#[allow(dead_code, reason = "what others do with documents")]
mod document;
mod ot;
mod settled;
mod versions;

use document::{PATIENCE, Running};

/// A server, and two devices of one person.
struct World {
    dir: TempDir,
    server: Running,
    phone: Client,
    laptop: Client,
}

impl World {
    /// With all of these shapes open on both.
    async fn new(schema: &Schema, devices: [&Schema; 2], shapes: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Running::start(document::store(dir.path(), schema), schema).await;
        let device = async |name: &str, schema: &Schema| {
            let options = ClientOptions::new(dir.path().join(name), schema.clone());
            let client = Client::open(options.with_server(&server.address, "dev:ada")).await.unwrap();
            for shape in shapes {
                client.open_shape(*shape, Default::default()).await.unwrap();
            }
            client
        };
        let (phone, laptop) = (device("phone.db", devices[0]).await, device("laptop.db", devices[1]).await);
        Self { dir, server, phone, laptop }
    }

    /// From now on neither hears of the other.
    async fn apart(&self) {
        for client in [&self.phone, &self.laptop] {
            settled(client).await;
            client.set_online(false).unwrap();
        }
    }

    /// The phone comes back first, and then the laptop.
    async fn together(&self) {
        for client in [&self.phone, &self.laptop] {
            client.set_online(true).unwrap();
            settled(client).await;
        }
    }

    async fn end(self) {
        self.phone.close().await;
        self.laptop.close().await;
        self.server.stop().await;
        drop(self.dir);
    }
}

/// Waits until nothing is on its way.
async fn settled(client: &Client) {
    let mut status = client.status();
    let wait = async {
        while !client.with(|engine, _, _| engine.is_caught_up() && engine.status().pending == 0).await.unwrap() {
            status.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in step in time");
}

async fn run(client: &Client, sql: &'static str) {
    client.write(move |tx| tx.execute(sql, &[])).await.unwrap();
}

/// Waits until a query gives this.
async fn sees(client: &Client, sql: &'static str, wanted: Vec<Vec<Value>>) {
    let mut changes = client.watch(sql).await.unwrap();
    let watched = async {
        while client.query(sql, vec![]).await.unwrap().rows != wanted {
            changes.next().await.unwrap();
        }
    };
    if tokio::time::timeout(PATIENCE, watched).await.is_err() {
        panic!("{wanted:?} never came: {:?}", client.query(sql, vec![]).await.unwrap().rows);
    }
}
