use landfall_client::driver::{Client, ClientOptions};
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = landfall_core::Schema::parse("landfall.toml", &std::fs::read_to_string("landfall.toml")?)?;
    let client = Client::open(ClientOptions::new("phone.db", schema).with_server("http://127.0.0.1:4600", "dev:ada")).await?;
    client.open_shape("all_places", Default::default()).await?; // what this device holds; no network needed, here or below
    let mut places = client.watch("select name, visited from places").await?; // whoever writes: this device or another
    client.write(|tx| tx.execute("insert into places (name) values ('Old lighthouse')", &[])).await?; // on disk, queued
    Ok(println!("{:?}", places.next().await))
}
