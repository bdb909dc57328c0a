//! The scenarios, by the letters of the published comparisons where they have one.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use crate::Fallible;
use crate::figures::Figure;

mod browser;
mod device;
mod documents;
mod fanout;
mod flood;
mod load;
mod memory;
mod outbox;
mod push;
mod rate;
mod rules;
mod storage;
mod together;

/// What a scenario needs to know.
#[derive(Clone)]
pub struct Context {
    /// The server's binary.
    pub server: PathBuf,
    /// What the browser benchmarks were built into.
    pub built: Option<PathBuf>,
    /// The server of `y-websocket`, as a program for Node.js.
    pub peer: Option<PathBuf>,
    /// Divides the work.
    pub scale: u32,
}

type Running = Pin<Box<dyn Future<Output = Fallible<Vec<Figure>>>>>;
type Scenario = (&'static str, fn(Context) -> Running);

/// All scenarios, in the order in which they run.
pub const ALL: &[Scenario] = &[
    ("B-push-1", |c| Box::pin(push::run(c, 1))),
    ("B-push-16", |c| Box::pin(push::run(c, 16))),
    ("B-push-256", |c| Box::pin(push::run(c, 256))),
    ("A-fanout-1", |c| Box::pin(fanout::run(c, 1, 50))),
    ("A-fanout-100", |c| Box::pin(fanout::run(c, 100, 50))),
    ("A-fanout-1000", |c| Box::pin(fanout::run(c, 1_000, 5))),
    ("A-rate-100", |c| Box::pin(rate::run(c, 100, 2_500.0, 60_000.0))),
    ("A-rate-1000", |c| Box::pin(rate::run(c, 1_000, 500.0, 6_000.0))),
    ("C-first-load", |c| Box::pin(load::run(c))),
    ("D-return", |c| Box::pin(load::come_back(c))),
    ("E-memory", |c| Box::pin(memory::run(c))),
    ("local-write", |c| Box::pin(device::local_writes(c))),
    ("outbox-drain-500", |c| Box::pin(outbox::drain(c, 500))),
    ("outbox-drain-10000", |c| Box::pin(outbox::drain(c, 10_000))),
    ("outbox-scheduler", |c| Box::pin(outbox::scheduler(c))),
    ("outbox-start-20000", |c| Box::pin(outbox::start(c))),
    ("flood", |c| Box::pin(flood::run(c))),
    ("F-document-250000", |c| Box::pin(documents::history(c, 250_000))),
    ("F-editors-100", |c| Box::pin(together::editors(c, 100, 50))),
    ("F-room-1000", |c| Box::pin(together::room(c, 1_000, 20))),
    ("F-room-4000", |c| Box::pin(together::room(c, 4_000, 5))),
    ("rules-cost", |c| Box::pin(rules::cost(c))),
    ("rules-crowd-1000", |c| Box::pin(rules::crowds(c))),
    ("storage-cell", |c| Box::pin(storage::run(c))),
    ("live-queries-100", |c| Box::pin(device::live_queries(c))),
    ("browser-bytes", |c| Box::pin(browser::run(c, "bytes", 0))),
    ("browser-start", |c| Box::pin(browser::run(c, "start", 0))),
    ("browser-write", |c| Box::pin(browser::run(c, "write", 0))),
    ("browser-live", |c| Box::pin(browser::run(c, "live", 10_000))),
    ("browser-load-10000", |c| Box::pin(browser::run(c, "load", 10_000))),
    ("browser-load-100000", |c| Box::pin(browser::run(c, "load", 100_000))),
    ("browser-tabs", |c| Box::pin(browser::run(c, "tabs", 0))),
];
