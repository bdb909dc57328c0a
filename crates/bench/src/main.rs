//! Landfall's benchmarks. Each figure stands beside its floor, measured in the same run: machines differ, ratios less.
//!
//! `cargo xtask bench [--json FILE] [FILTER…]` builds everything in release and runs this.

use std::path::PathBuf;

use clap::Parser;

mod figures;
mod floors;
mod process;
mod rate;
mod scenarios;
mod wire;

use figures::Report;

/// Any error of a benchmark ends it with a sentence.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Landfall's benchmarks, each figure beside its floor")]
struct Args {
    /// Only scenarios whose name contains one of these.
    filters: Vec<String>,
    /// Write the figures as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The `landfall` binary; by default the one beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// What the browser benchmarks were built into.
    #[arg(long)]
    built: Option<PathBuf>,
    /// The server of `y-websocket`, as a program for Node.js; without it our own figures stand alone.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Names the scenarios that would run, and ends.
    #[arg(long)]
    list: bool,
    /// A tenth of the work: to see that it runs.
    #[arg(long)]
    quick: bool,
    /// The other process of a floor: sockets x bytes of a message; without bytes it passes on what it reads.
    #[arg(long, hide = true)]
    broadcast: Option<String>,
}

fn main() -> Fallible<()> {
    let args = Args::parse();
    let beside = std::env::current_exe()?.with_file_name("landfall");
    let server = args.server.unwrap_or(beside);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some((receivers, size)) = args.broadcast.as_deref().and_then(|b| b.split_once('x')) {
        return runtime.block_on(floors::send_broadcasts(receivers.parse()?, size.parse()?));
    }
    let is_meant = |name: &str| args.filters.is_empty() || args.filters.iter().any(|f| name.contains(f.as_str()));
    let meant = scenarios::ALL.iter().filter(|(name, _)| is_meant(name));
    if args.list {
        meant.for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let mut report = Report::default();
    let context =
        scenarios::Context { server, built: args.built, peer: args.peer, scale: if args.quick { 10 } else { 1 } };
    for (name, run) in meant {
        eprintln!("running {name} …");
        let fsync_ms = floors::fsync_ms()?;
        match runtime.block_on(run(context.clone())) {
            Ok(figures) => report.extend(name, fsync_ms, figures),
            Err(error) => report.failed(name, &error.to_string()),
        }
    }
    print!("{}", report.table());
    if let Some(path) = args.json {
        std::fs::write(path, report.json()?)?;
    }
    if report.any_failed() { Err("a benchmark could not be run; see the table".into()) } else { Ok(()) }
}
