//! What `Metrics` cost: `cargo bench -p rpc --bench metrics --features metrics -- --pin together`.
//!
//! Two pairs of workers in one process, on one thread: one pair counts its calls for a Prometheus recorder, on both
//! sides, and the other does not. A difference is what counting takes on both sides together.

mod harness;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use metrics_exporter_prometheus::PrometheusBuilder;
use rpc::{MemoryStore, Metrics, Worker};

use crate::harness::rows::{self, IN_FLIGHT, Round, Row};
use crate::harness::{Options, system};

#[rpc::function(inline)]
fn plain(n: u64) -> u64 {
    n
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    system::pin(options.pin, 0)?;
    PrometheusBuilder::new().install_recorder()?;
    Metrics::describe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (quiet, counted) = (pair(false).await?, pair(true).await?);
        let rows = vec![
            Row::rounds("call", 5_000, round(&quiet[0], 1)),
            Row::rounds("call, counted", 5_000, round(&counted[0], 1)).against("call"),
            Row::rounds("call, 64 at a time", 40_000, round(&quiet[0], IN_FLIGHT)),
            Row::rounds("call, 64 at a time, counted", 40_000, round(&counted[0], IN_FLIGHT))
                .against("call, 64 at a time"),
        ];
        rows::measure("metrics", &options, rows).await?;
        for [first, second] in [quiet, counted] {
            tokio::try_join!(first.shutdown(), second.shutdown())?;
        }
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Two workers of a job of their own.
async fn pair(counts: bool) -> anyhow::Result<[Worker; 2]> {
    let store = Arc::new(MemoryStore::default());
    let start = |rank| {
        let worker = Worker::builder_named_by_rank().rank(rank).world_size(2);
        let worker = worker.store(store.clone()).variables(|_| None);
        if counts { worker.observer(Metrics).init() } else { worker.init() }
    };
    let (first, second) = tokio::try_join!(start(0), start(1))?;
    Ok([first, second])
}

fn round(worker: &Worker, at_a_time: usize) -> impl Fn(usize) -> Round + use<> {
    let worker = worker.clone();
    move |count| {
        let worker = worker.clone();
        Box::pin(async move {
            let start = Instant::now();
            let mut replies = Vec::with_capacity(at_a_time);
            for first in (0..count).step_by(at_a_time) {
                let numbers = first as u64..(first + at_a_time).min(count) as u64;
                replies.extend(numbers.map(|n| worker.rpc_async(1, plain, (n,))));
                for reply in replies.drain(..) {
                    reply.await?;
                }
            }
            Ok(start.elapsed())
        })
    }
}
