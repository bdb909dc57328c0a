//! What bookkeeping costs in a file: rows of few and of many columns, written once, in the SQLite files of a server and of a device
//! that has all of them. The same files without the bookkeeping are the floor.

use std::path::Path;
use std::time::Duration;

use landfall_client::driver::{Client, ClientOptions};
use landfall_core::{Schema, Value};
use landfall_server::auth::Authenticator;
use landfall_server::http::{Options, serve};
use landfall_server::session::Rules;
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Context;
use super::load::settled;
use crate::Fallible;
use crate::figures::Figure;
use crate::process::scratch;

const NARROW: usize = 4;
const WIDE: usize = 20;
const BATCH: usize = 500;

/// Two tables of the same rows, but for how many cells each has.
fn schema() -> Fallible<Schema> {
    let columns = |many: usize| (0..many).map(|n| format!("c{n} = \"text\"\n")).collect::<String>();
    let table = |name: &str, many| {
        format!("[tables.{name}.columns]\nid = \"uuid\"\n{}\n[shapes.{name}]\ntable = \"{name}\"\n", columns(many))
    };
    let text = format!("[app]\nname = \"storage\"\n{}{}", table("narrow", NARROW), table("wide", WIDE));
    Schema::parse("landfall.toml", &text).map_err(|d| d.to_string().into())
}

async fn device(path: &Path, address: &str, schema: &Schema) -> Fallible<Client> {
    let mut options = ClientOptions::new(path, schema.clone());
    options.server = Some(format!("http://{address}"));
    options.token = Some("dev:bench".into());
    let client = Client::open(options).await?;
    for shape in ["narrow", "wide"] {
        client.open_shape(shape, Default::default()).await?;
    }
    Ok(client)
}

/// Writes rows to both tables, and what is to be settled is.
async fn fill(client: &Client, rows: usize) -> Fallible<()> {
    for begin in (0..rows).step_by(BATCH) {
        let end = rows.min(begin + BATCH);
        client
            .write(move |tx| {
                for (table, many) in [("narrow", NARROW), ("wide", WIDE)] {
                    let names: Vec<String> = (0..many).map(|n| format!("c{n}")).collect();
                    for row in begin..end {
                        let mut cells = vec![("id", Value::Uuid(crate::wire::random16()))];
                        cells.extend(
                            names.iter().map(|name| (name.as_str(), Value::from(format!("row {row:08}").as_str()))),
                        );
                        tx.insert(table, &cells)?;
                    }
                }
                Ok(())
            })
            .await?;
        settled(client).await?;
    }
    Ok(())
}

/// Writes one cell of each row of many.
async fn touch(client: &Client, rows: usize) -> Fallible<()> {
    const SOME: &str = "UPDATE wide SET c0 = 'another 0001' WHERE id IN \
                        (SELECT id FROM wide WHERE c0 <> 'another 0001' LIMIT 5000)";
    for _ in 0..rows.div_ceil(5_000) {
        client.write(|tx| tx.execute(SOME, &[])).await?;
        settled(client).await?;
    }
    Ok(())
}

/// Bytes of a database without empty pages, after these statements.
fn size_after(database: &Path, folder: &Path, statements: &str) -> Fallible<f64> {
    let copy = folder.join("copy.db");
    let _ = std::fs::remove_file(&copy);
    rusqlite::Connection::open(database)?.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    let conn = rusqlite::Connection::open(&copy)?;
    conn.execute_batch(&format!("{statements}; VACUUM"))?;
    let pages: f64 =
        conn.query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |r| r.get(0))?;
    Ok(pages)
}

/// Lets go of the bookkeeping of one of the two tables, in the order in which the schema declares them.
fn without(table: usize) -> String {
    format!(
        "DELETE FROM _landfall_rows WHERE tbl = (SELECT DISTINCT tbl FROM _landfall_rows ORDER BY tbl LIMIT 1 OFFSET {table})"
    )
}

/// What a row's bookkeeping takes in each of the two tables, bytes.
fn bookkeeping(database: &Path, folder: &Path, rows: usize) -> Fallible<[f64; 2]> {
    let whole = size_after(database, folder, "SELECT 1")?;
    let mut out = [0.0; 2];
    for (table, bytes) in out.iter_mut().enumerate() {
        *bytes = (whole - size_after(database, folder, &without(table))?) / rows as f64;
    }
    Ok(out)
}

pub async fn run(context: Context) -> Fallible<Vec<Figure>> {
    let rows = 20_000 / context.scale as usize;
    let (folder, path) = scratch()?;
    let (folder, schema) = (folder.path(), schema()?);
    let database = folder.join("server.db");
    let store = SqliteStore::open(SqliteOptions::path(&database), schema.clone(), Fresh::from_bytes([7; 48]), 1)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let rules = Rules::new(&schema, Authenticator::new().with_development(true));
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let options = Options { drain: Duration::from_secs(2), ..Options::default() };
    let server = tokio::spawn(serve(listener, Box::new(store), rules, options, stopped));
    let writer = device(&folder.join("writer.db"), &address, &schema).await?;
    fill(&writer, rows).await?;
    // One that wrote nothing: what it has came from the server.
    let reader = device(&path, &address, &schema).await?;
    settled(&reader).await?;
    let on_server = bookkeeping(&database, folder, rows)?;
    let on_device = bookkeeping(&path, folder, rows)?;
    let log = "DELETE FROM _landfall_log; DELETE FROM _landfall_bucket_log";
    let log = (size_after(&database, folder, "SELECT 1")? - size_after(&database, folder, log)?) / (2 * rows) as f64;
    touch(&writer, rows).await?;
    settled(&reader).await?;
    let touched = [bookkeeping(&database, folder, rows)?, bookkeeping(&path, folder, rows)?];
    for client in [writer, reader] {
        client.close().await;
    }
    let _ = stop.send(());
    server.await??;
    let mut figures = Vec::new();
    for (place, [narrow, wide], [_, after]) in [("server", on_server, touched[0]), ("device", on_device, touched[1])] {
        figures.push(Figure::new(format!("{place}: bookkeeping of a row of {NARROW} cells"), narrow, "B"));
        figures.push(Figure::new(format!("{place}: the same of {WIDE} cells"), wide, "B").floor(narrow).aim("as much"));
        for (many, bytes) in [(NARROW, narrow), (WIDE, wide)] {
            let each = bytes / many as f64;
            figures.push(Figure::new(format!("{place}: of an untouched cell of {many}"), each, "B").aim("≤ 12"));
        }
        let column = (wide - narrow) / (WIDE - NARROW) as f64;
        figures.push(Figure::new(format!("{place}: of one column more"), column, "B").aim("none"));
        figures.push(Figure::new(format!("{place}: of a cell that was written after its row"), after - wide, "B"));
    }
    figures.push(Figure::new("server: log of a row, until it is forgotten by age", log, "B"));
    Ok(figures)
}
