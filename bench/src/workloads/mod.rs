//! The workloads, one file each, generic over the system. W4 is W2 with eight in flight, and W8 is in
//! [`driver`](crate::driver), since it is about the processes themselves.

mod w1_latency;
mod w2_overlap;
mod w3_bulk;
mod w5_clients;
mod w6_cycle;
mod w7_mixed;

use std::time::Duration;

use crate::case::{Case, Work};
use crate::child::{self, Measured, Metric};
use crate::machine;
use crate::system::{Job, System};

/// Has a client of `S` do the work of `case` for about `seconds`.
pub(crate) async fn run<S: System>(
    case: &Case,
    job: &Job<'_>,
    address: &str,
    seconds: f64,
) -> anyhow::Result<Measured> {
    let connect = async || S::connect(job, address, 0).await;
    match case.work {
        Work::Latency => w1_latency::run(connect().await?, seconds).await,
        Work::Overlap { in_flight } => w2_overlap::run(connect().await?, in_flight, seconds).await,
        Work::Upload { mib, keep } => w3_bulk::upload(connect().await?, mib, keep, seconds).await,
        Work::EchoBulk { mib } => w3_bulk::echo(connect().await?, mib, seconds).await,
        Work::Clients { .. } => w5_clients::run::<S>(job, address, seconds).await,
        Work::Cycle { at_a_time } => w6_cycle::run(connect().await?, at_a_time, seconds).await,
        Work::Mixed { mib } => w7_mixed::run::<S>(job, address, mib, seconds).await,
        Work::Start { .. } => anyhow::bail!("members of groups are not clients"),
    }
}

/// What came of [`measure`].
struct Done {
    operations: usize,
    time: Duration,
    cpu_seconds: f64,
}

/// Runs `work`, which does so many operations and says how long they took, until it is warm and its speed is known, and
/// then once for about `seconds`.
async fn measure(
    seconds: f64,
    at_least: usize,
    mut work: impl AsyncFnMut(usize) -> anyhow::Result<Duration>,
) -> anyhow::Result<Done> {
    let mut operations = at_least;
    let speed = loop {
        let time = work(operations).await?.as_secs_f64();
        if time > seconds / 5.0 {
            break operations as f64 / time;
        }
        operations *= 2;
    };
    let operations = ((speed * seconds) as usize).max(at_least);
    child::begin()?;
    let before = machine::cpu_seconds()?;
    let time = work(operations).await?;
    Ok(Done { operations, time, cpu_seconds: machine::cpu_seconds()? - before })
}

impl Done {
    fn per_second(&self) -> f64 {
        self.operations as f64 / self.time.as_secs_f64()
    }

    fn measured(self, metrics: impl IntoIterator<Item = Metric>) -> Measured {
        Measured {
            metrics: metrics.into_iter().collect(),
            operations: self.operations as u64,
            cpu_seconds: self.cpu_seconds,
        }
    }
}

impl Metric {
    /// The main figure of a case.
    fn main(value: f64, unit: &str) -> Self {
        Self::other("", value, unit)
    }

    /// A figure beside it.
    fn other(suffix: &str, value: f64, unit: &str) -> Self {
        Self { suffix: suffix.to_owned(), value, unit: unit.to_owned() }
    }
}
