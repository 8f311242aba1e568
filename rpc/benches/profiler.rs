//! What a profile costs: `cargo bench -p rpc --bench profiler -- --pin together`.
//!
//! Two processes; one calls a function of the other that does next to nothing, with a profile under way and without,
//! one call after the other and 64 at a time. Then what the calls that are kept take of memory.

mod harness;

use std::process::ExitCode;
use std::time::Instant;

use rpc::{Profiling, Worker};

use crate::harness::rows::{self, IN_FLIGHT, Round, Row};
use crate::harness::{Options, job, system};

/// Calls that are kept for the figure of memory.
const KEPT: usize = 500_000;

#[rpc::function(inline)]
fn plain(n: u64) -> u64 {
    n
}

fn main() -> anyhow::Result<ExitCode> {
    job::run(2, measure)
}

async fn measure(options: &Options, worker: &Worker) -> anyhow::Result<()> {
    let off = |_: &Worker| None;
    let on = |worker: &Worker| Some(worker.profile());
    let rows = vec![
        Row::rounds("call", 5_000, round(worker, 1, off)),
        Row::rounds("call, profiled", 5_000, round(worker, 1, on)).against("call"),
        Row::rounds("call, 64 at a time", 40_000, round(worker, IN_FLIGHT, off)),
        Row::rounds("call, 64 at a time, profiled", 40_000, round(worker, IN_FLIGHT, on))
            .against("call, 64 at a time"),
    ];
    rows::measure("profiler", options, rows).await?;

    let kept = options.count(KEPT);
    let before = system::resident_bytes() as f64;
    let profiling = worker.profile();
    calls(worker, IN_FLIGHT, kept).await?;
    let grown = system::resident_bytes() as f64 - before;
    rows::figure("profiler", options, "memory of a call that is kept", grown / kept as f64, "bytes");
    drop(profiling);
    Ok(())
}

/// Rounds of calls, while what `profile` returns is there.
fn round(
    worker: &Worker,
    at_a_time: usize,
    profile: fn(&Worker) -> Option<Profiling>,
) -> impl Fn(usize) -> Round + use<> {
    let worker = worker.clone();
    move |count| {
        let worker = worker.clone();
        Box::pin(async move {
            let profiling = profile(&worker);
            let start = Instant::now();
            calls(&worker, at_a_time, count).await?;
            let took = start.elapsed();
            drop(profiling);
            Ok(took)
        })
    }
}

async fn calls(worker: &Worker, at_a_time: usize, count: usize) -> anyhow::Result<()> {
    let mut replies = Vec::with_capacity(at_a_time);
    for first in (0..count).step_by(at_a_time) {
        let numbers = first as u64..(first + at_a_time).min(count) as u64;
        replies.extend(numbers.map(|n| worker.rpc_async(1, plain, (n,))));
        for reply in replies.drain(..) {
            reply.await?;
        }
    }
    Ok(())
}
