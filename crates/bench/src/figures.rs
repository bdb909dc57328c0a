//! Figures and the table they are printed in.

use std::borrow::Cow;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One measured figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Cow<'static, str>,
    /// The floor in the same run, in the same unit.
    pub floor: Option<f64>,
    /// What we aim at, in words.
    pub aim: Option<Cow<'static, str>>,
}

impl Figure {
    /// A figure by itself.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit: unit.into(), floor: None, aim: None }
    }

    /// Beside its floor.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = Some(floor);
        self
    }

    /// Beside the aim.
    #[must_use]
    pub fn aim(mut self, aim: &'static str) -> Self {
        self.aim = Some(aim.into());
        self
    }
}

/// Latencies in microseconds.
pub struct Latency(Histogram<u64>);

impl Latency {
    /// None yet.
    pub fn new() -> Self {
        // Three digits, up to an hour: the bounds are constants that the library accepts.
        Self(Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds")))
    }

    /// Records one.
    pub fn record(&mut self, elapsed: std::time::Duration) {
        self.0.saturating_record(elapsed.as_micros().max(1) as u64);
    }

    /// Joins another.
    pub fn join(&mut self, other: &Self) {
        // Same bounds.
        let _ = self.0.add(&other.0);
    }

    /// A quantile in milliseconds.
    pub fn ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }
}

#[derive(Serialize)]
struct Row {
    scenario: String,
    #[serde(flatten)]
    figure: Figure,
    ratio: Option<f64>,
    /// Measured just before the scenario: the machine's changes from minute to minute.
    fsync_ms: f64,
}

/// Everything that was measured.
#[derive(Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
    failures: Vec<(String, String)>,
}

impl Report {
    /// Adds a scenario's figures, and what an fsync of this machine took just before it.
    pub fn extend(&mut self, scenario: &str, fsync_ms: f64, figures: Vec<Figure>) {
        self.rows.extend(figures.into_iter().map(|figure| {
            let ratio = figure.floor.filter(|f| *f > 0.0).map(|f| figure.value / f);
            Row { scenario: scenario.to_owned(), figure, ratio, fsync_ms }
        }));
    }

    /// Adds a scenario that could not be run.
    pub fn failed(&mut self, scenario: &str, why: &str) {
        self.failures.push((scenario.to_owned(), why.to_owned()));
    }

    /// Whether any could not be run.
    pub fn any_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out =
            "| scenario | figure | value | floor | ratio | aim | fsync |\n|---|---|--:|--:|--:|---|--:|\n".to_owned();
        for Row { scenario, figure, ratio, fsync_ms } in &self.rows {
            let number = |v: f64| if v >= 100.0 { format!("{v:.0}") } else { format!("{v:.2}") };
            let floor = figure.floor.map(number).unwrap_or_default();
            let ratio = ratio.map(|r| format!("{r:.2}×")).unwrap_or_default();
            let (value, unit) = (number(figure.value), &figure.unit);
            let aim = figure.aim.as_deref().unwrap_or_default();
            out += &format!(
                "| {scenario} | {} | {value} {unit} | {floor} | {ratio} | {aim} | {fsync_ms:.2} ms |\n",
                figure.name
            );
        }
        for (scenario, why) in &self.failures {
            out += &format!("| {scenario} | could not be run: {why} | | | | | |\n");
        }
        out
    }
}
