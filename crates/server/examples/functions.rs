//! A server with a merge function of its own (docs/schema.md, "Functions of your own"): what `landfall serve` refuses to start
//! without, a program that embeds the server gives it.
//!
//! `functions SCHEMA DATA LISTEN` serves people with a token `dev:NAME`, on this machine only; a column of the schema may name
//! the function `mean`. The browser tests of the SDK run against it.

use std::error::Error;
use std::future::pending;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use landfall_core::rules::{MergeFunctions, Three};
use landfall_core::{Schema, Value};
use landfall_server::auth::Authenticator;
use landfall_server::http::{Options, serve};
use landfall_server::session::Rules;
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::net::TcpListener;

/// Of two ratings what is in between, where that is a whole one. Of anything else a person has to say.
fn mean(three: &Three<'_>) -> Result<Value, String> {
    match (three.ours, three.theirs) {
        (Value::Int(ours), Value::Int(theirs)) if (ours ^ theirs) & 1 == 0 => {
            Ok(Value::Int(i64::midpoint(*ours, *theirs)))
        }
        _ => Err("there is nothing in between".to_owned()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [schema, data, listen] = &arguments[..] else { return Err("usage: functions SCHEMA DATA LISTEN".into()) };
    let schema = Schema::parse(schema, &std::fs::read_to_string(schema)?)?;
    let schema = schema.with_functions(&MergeFunctions::new().on("mean", mean));
    let mut fresh = [0; 48];
    SysRng.try_fill_bytes(&mut fresh)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    std::fs::create_dir_all(data)?;
    let place = SqliteOptions::path(Path::new(data).join("landfall.db"));
    let store = SqliteStore::open(place, schema.clone(), Fresh::from_bytes(fresh), now_ms)?;
    let listener = TcpListener::bind(listen).await?;
    let rules = Rules::new(&schema, Authenticator::new().with_development(true));
    writeln!(std::io::stdout(), "{} is served on http://{}", schema.name, listener.local_addr()?)?;
    serve(listener, Box::new(store), rules, Options::default(), pending()).await?;
    Ok(())
}
