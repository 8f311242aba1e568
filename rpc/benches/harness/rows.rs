//! Rows: what is measured, in turns, and the table of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::{Options, system};

/// Operations of a row with many in flight that are in flight at a time.
pub(crate) const IN_FLIGHT: usize = 64;

/// A round under way.
pub(crate) type Round = Pin<Box<dyn Future<Output = anyhow::Result<Duration>>>>;

/// One line of the table.
pub(crate) struct Row {
    name: &'static str,
    in_flight: usize,
    /// Operations in one round.
    count: usize,
    round: Box<dyn Fn(usize) -> Round>,
    /// The row that this one is compared with, beside the plain call.
    against: Option<&'static str>,
    /// The highest ratio to the plain call that is good enough.
    limit: Option<f64>,
    /// Seconds for one operation, by round.
    samples: Vec<f64>,
}

impl Row {
    /// One operation after the other.
    pub(crate) fn alone<F, R>(name: &'static str, count: usize, operation: F) -> Self
    where
        F: Fn() -> R + Clone + 'static,
        R: Future<Output = anyhow::Result<()>>,
    {
        let round = move |count| -> Round {
            let operation = operation.clone();
            Box::pin(async move {
                let start = Instant::now();
                for _ in 0..count {
                    operation().await?;
                }
                Ok(start.elapsed())
            })
        };
        Self::new(name, 1, count, Box::new(round))
    }

    /// [`IN_FLIGHT`] operations at a time.
    pub(crate) fn together<F, R>(name: &'static str, count: usize, operation: F) -> Self
    where
        F: Fn() -> R + Clone + Send + 'static,
        R: Future<Output = anyhow::Result<()>> + Send,
    {
        let round = move |count| -> Round {
            let operation = operation.clone();
            Box::pin(async move {
                let left = Arc::new(AtomicUsize::new(count));
                let mut tasks = tokio::task::JoinSet::new();
                let start = Instant::now();
                for _ in 0..IN_FLIGHT {
                    let (operation, left) = (operation.clone(), Arc::clone(&left));
                    tasks.spawn(async move {
                        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                            operation().await?;
                        }
                        anyhow::Ok(())
                    });
                }
                while let Some(ended) = tasks.join_next().await {
                    ended??;
                }
                Ok(start.elapsed())
            })
        };
        Self::new(name, IN_FLIGHT, count, Box::new(round))
    }

    /// Rounds of a shape of their own: `round` does so many operations and says how long that took.
    pub(crate) fn rounds(name: &'static str, count: usize, round: impl Fn(usize) -> Round + 'static) -> Self {
        Self::new(name, 1, count, Box::new(round))
    }

    fn new(name: &'static str, in_flight: usize, count: usize, round: Box<dyn Fn(usize) -> Round>) -> Self {
        Self { name, in_flight, count, round, against: None, limit: None, samples: Vec::new() }
    }

    fn title(&self) -> String {
        match self.in_flight {
            1 => self.name.to_owned(),
            many => format!("{}, {many} at a time", self.name),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Compares it with the row `other` that has as many in flight.
    pub(crate) fn against(self, other: &'static str) -> Self {
        Self { against: Some(other), ..self }
    }

    /// Says how many times the plain call it may cost.
    pub(crate) fn limit(self, ratio: f64) -> Self {
        Self { limit: Some(ratio), ..self }
    }
}

fn one_less(left: usize) -> Option<usize> {
    left.checked_sub(1)
}

/// Measures `rows` and prints them. The first with as many in flight is the plain call of each.
pub(crate) async fn measure(bench: &str, options: &Options, rows: Vec<Row>) -> anyhow::Result<()> {
    let mut rows = wanted(options, rows);
    for round in 0..=options.rounds() {
        for row in &mut rows {
            let count = options.count(row.count);
            let time = (row.round)(count).await.with_context(|| row.name)?;
            // The first round is for caches, links and allocators to warm up.
            if round > 0 {
                row.samples.push(time.as_secs_f64() / count as f64);
            }
        }
    }
    if !options.json {
        println!("{bench}: pinned {:?}, load {}, {} rounds", options.pin, system::load(), options.rounds());
        println!(
            "{:<48} {:>9} {:>9} {:>19} {:>11} {:>7} {:>7}",
            "", "median", "min", "quartiles", "per s", "x plain", "x like"
        );
    }
    for row in &rows {
        let find = |matches: &dyn Fn(&Row) -> bool| {
            rows.iter().find(|other| other.in_flight == row.in_flight && matches(other))
        };
        let plain = find(&|_| true).map(|plain| ratio(row, plain));
        let like =
            row.against.and_then(|name| find(&|other| other.name == name)).map(|like| ratio(row, like));
        print(bench, options, row, plain.unwrap_or(1.0), like);
    }
    Ok(())
}

/// The rows that are asked for, and the plain calls to compare them with.
fn wanted(options: &Options, rows: Vec<Row>) -> Vec<Row> {
    let wants = |row: &Row| options.wants(&row.title());
    let in_flight: Vec<usize> = rows.iter().filter(|row| wants(row)).map(|row| row.in_flight).collect();
    let mut seen = Vec::new();
    let is_needed = |row: &Row| {
        let is_plain = !seen.contains(&row.in_flight);
        seen.push(row.in_flight);
        wants(row) || (is_plain && in_flight.contains(&row.in_flight))
    };
    rows.into_iter().filter(is_needed).collect()
}

fn print(bench: &str, options: &Options, row: &Row, plain: f64, like: Option<f64>) {
    let us = |part: f64| quantile(row.samples.clone(), part) * 1e6;
    let (min, q1, median, q3) = (us(0.0), us(0.25), us(0.5), us(0.75));
    let kept = row.limit.map(|limit| plain <= limit);
    if options.json {
        let line = json!({
            "bench": bench, "row": row.name, "in_flight": row.in_flight, "pin": format!("{:?}", options.pin),
            "median_us": median, "min_us": min, "q1_us": q1, "q3_us": q3, "times_plain": plain,
            "against": row.against, "times_like": like, "limit": row.limit, "kept": kept,
        });
        println!("{line}");
        return;
    }
    let name = row.title();
    let like = like.map_or_else(String::new, |like| format!("{like:.2}"));
    let verdict = match (kept, row.limit) {
        (Some(true), Some(limit)) => format!("  within {limit}"),
        (Some(false), Some(limit)) => format!("  OVER {limit}"),
        _ => String::new(),
    };
    println!(
        "{name:<48} {median:>6.2} us {min:>6.2} us {:>16} us {:>11.0} {plain:>7.2} {like:>7}{verdict}",
        format!("{q1:.2}..{q3:.2}"),
        1e6 / median
    );
}

/// Prints a single figure.
pub(crate) fn figure(bench: &str, options: &Options, what: &str, value: f64, unit: &str) {
    if options.json {
        println!("{}", json!({ "bench": bench, "figure": what, "value": value, "unit": unit }));
    } else {
        println!("{what:<64} {value:>12.1} {unit}");
    }
}

/// How many times `other` a row costs.
fn ratio(row: &Row, other: &Row) -> f64 {
    let ratios = row.samples.iter().zip(&other.samples).map(|(row, other)| row / other);
    quantile(ratios.collect(), 0.5)
}

fn quantile(mut samples: Vec<f64>, part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = (part * samples.len().saturating_sub(1) as f64).round() as usize;
    samples.get(at).copied().unwrap_or(f64::NAN)
}
