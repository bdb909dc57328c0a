//! What an operator sees at `/metrics`, in the OpenMetrics text form.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::actions::hooks::Said;
use crate::core::{Committed, Limit};

/// An outcome of an entry.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// A stable code.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

/// What came of a request to a webhook.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WebhookLabel {
    action: String,
    result: &'static str,
}

/// A limit that somebody met.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

/// Values that are looked up when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readings {
    /// The newest sequence.
    pub head: u64,
    /// By how many sequences the slowest session is behind.
    pub lag: u64,
    /// Bytes in the ring of recent commits.
    pub ring_bytes: usize,
    /// Bytes of cached chunks, hits, misses.
    pub chunks: (usize, u64, u64),
    /// Entries that wait for a commit.
    pub waiting: usize,
    /// Entries that webhooks are asked about.
    pub asking: usize,
}

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    /// Open sessions.
    pub sessions: Gauge,
    /// Open subscriptions.
    pub subscriptions: Gauge,
    entries: Family<OutcomeLabel, Counter>,
    errors: Family<CodeLabel, Counter>,
    refusals: Family<LimitLabel, Counter>,
    group_entries: Histogram,
    commit_seconds: Histogram,
    fsync_seconds: Histogram,
    /// Buckets that were ever opened and are still kept.
    pub buckets: Gauge,
    rows: Counter,
    outside: Counter,
    lost_cells: Counter,
    store_failures: Counter,
    head: Gauge,
    lag: Gauge,
    ring_bytes: Gauge,
    waiting: Gauge,
    asking: Gauge,
    webhooks: Family<WebhookLabel, Counter>,
    webhook_seconds: Histogram,
    chunk_bytes: Gauge,
    chunk_hits: Gauge,
    chunk_misses: Gauge,
    memory: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut m = Self {
            registry: Registry::with_prefix("landfall"),
            sessions: Gauge::default(),
            subscriptions: Gauge::default(),
            entries: Family::default(),
            errors: Family::default(),
            refusals: Family::default(),
            group_entries: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            fsync_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            buckets: Gauge::default(),
            rows: Counter::default(),
            outside: Counter::default(),
            lost_cells: Counter::default(),
            store_failures: Counter::default(),
            head: Gauge::default(),
            lag: Gauge::default(),
            ring_bytes: Gauge::default(),
            waiting: Gauge::default(),
            asking: Gauge::default(),
            webhooks: Family::default(),
            webhook_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            chunk_bytes: Gauge::default(),
            chunk_hits: Gauge::default(),
            chunk_misses: Gauge::default(),
            memory: Gauge::default(),
        };
        m.register();
        m
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("sessions", "Open sessions", self.sessions.clone());
        r.register("subscriptions", "Open subscriptions of all sessions", self.subscriptions.clone());
        r.register("entries", "Pushed transactions by outcome", self.entries.clone());
        r.register("errors", "Errors sent to devices by code", self.errors.clone());
        r.register("refusals", "Pushes, sessions and chunks that were told to wait, by limit", self.refusals.clone());
        r.register("group_entries", "Transactions decided in one commit", self.group_entries.clone());
        let help = "Time of one commit, from the first row to the end of its fsync";
        r.register_with_unit("commit", help, Unit::Seconds, self.commit_seconds.clone());
        let help = "Time until a decided group was on the disk: the write of the log and its fsync";
        r.register_with_unit("fsync", help, Unit::Seconds, self.fsync_seconds.clone());
        r.register("buckets", "Buckets whose changes are logged", self.buckets.clone());
        r.register("rows", "Rows changed by transactions", self.rows.clone());
        r.register("outside_writes", "Writes behind the store's back that were noticed", self.outside.clone());
        r.register(
            "lost_cells",
            "Cells of accepted transactions that lost against a concurrent write",
            self.lost_cells.clone(),
        );
        r.register("store_failures", "Commits that failed as a whole", self.store_failures.clone());
        r.register("head", "The newest sequence", self.head.clone());
        r.register("lag", "Sequences by which the slowest session is behind", self.lag.clone());
        r.register_with_unit("ring", "Recent commits kept for the live stream", Unit::Bytes, self.ring_bytes.clone());
        r.register("waiting_entries", "Transactions that wait for a commit", self.waiting.clone());
        r.register("asking_entries", "Transactions that webhooks are asked about", self.asking.clone());
        r.register("webhook_requests", "Requests to webhooks by action and result", self.webhooks.clone());
        let help = "Time of one request to a webhook";
        r.register_with_unit("webhook", help, Unit::Seconds, self.webhook_seconds.clone());
        r.register_with_unit("chunk_cache", "Chunks kept for devices that load", Unit::Bytes, self.chunk_bytes.clone());
        r.register("chunk_hits", "Chunks served from the cache", self.chunk_hits.clone());
        r.register("chunk_misses", "Chunks read from the store", self.chunk_misses.clone());
        r.register_with_unit("memory", "Resident memory of the process", Unit::Bytes, self.memory.clone());
    }

    /// Counts what a group did.
    pub fn committed(&self, committed: &Committed, took: Duration) {
        if committed.failure.is_some() {
            self.store_failures.inc();
            return;
        }
        self.group_entries.observe(committed.entries as f64);
        self.commit_seconds.observe(took.as_secs_f64());
        self.fsync_seconds.observe(committed.commit.flushed_in.as_secs_f64());
        let counted = committed.commit.counters;
        let by_outcome = [
            ("accepted", counted.accepted),
            ("refused", counted.refused),
            ("repeated", counted.repeated),
            ("deferred", counted.deferred),
            ("copied", counted.copied),
            ("failed", counted.failed),
            ("asked", committed.asked),
        ];
        for (outcome, count) in by_outcome {
            self.entries.get_or_create(&OutcomeLabel { outcome }).inc_by(count);
        }
        self.rows.inc_by(counted.rows);
        self.outside.inc_by(counted.outside);
        self.lost_cells.inc_by(counted.lost_cells);
    }

    /// Counts a request to a webhook.
    pub fn webhook(&self, action: &str, said: &Said, took: Duration) {
        let result = match said {
            Said::Answer { status: 200..=299, body: Some(_), .. } => "answered",
            Said::Answer { status: 200..=299, .. } => "too_long",
            Said::Answer { status: 429 | 503, .. } => "overloaded",
            Said::Answer { .. } => "not_taken",
            Said::Unreachable(_) => "unreachable",
            Said::Nothing(_) => "nothing",
        };
        self.webhooks.get_or_create(&WebhookLabel { action: action.to_owned(), result }).inc();
        self.webhook_seconds.observe(took.as_secs_f64());
    }

    /// Counts what was told to wait.
    pub fn refused(&self, limit: Limit) {
        self.refusals.get_or_create(&LimitLabel { limit: limit.name() }).inc();
    }

    /// Counts an error that a device is told.
    pub fn error(&self, code: &landfall_core::Code) {
        self.errors.get_or_create(&CodeLabel { code: code.as_str().to_owned() }).inc();
    }

    /// The text of `/metrics`.
    pub fn render(&self, now: Readings) -> String {
        self.head.set(now.head as i64);
        self.lag.set(now.lag as i64);
        self.ring_bytes.set(now.ring_bytes as i64);
        self.waiting.set(now.waiting as i64);
        self.asking.set(now.asking as i64);
        self.chunk_bytes.set(now.chunks.0 as i64);
        self.chunk_hits.set(now.chunks.1 as i64);
        self.chunk_misses.set(now.chunks.2 as i64);
        self.memory.set(resident_bytes().unwrap_or(0) as i64);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Resident memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}
