//! Makes small calls for `cargo xtask instructions`, which runs this under callgrind and counts what happens inside of
//! [`measured`]: both sides of each call, without what the system does for them.
//!
//! `instructions KIND COUNT`, where KIND is one of [`KINDS`].

use std::future::Future;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rpc::MemoryStore;
use rpc::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// What can be counted: calls one after the other, or 64 at a time, of functions with each kind of body; of an inline one
/// also while its caller profiles.
const KINDS: [&str; 6] = [
    "alone-async",
    "together-async",
    "alone-inline",
    "together-inline",
    "alone-profiled",
    "together-profiled",
];
const TOGETHER: usize = 64;

#[rpc::function(inline)]
fn double(n: u64) -> u64 {
    2 * n
}

#[rpc::function]
async fn double_async(n: u64) -> u64 {
    2 * n
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(kind), Some(count)) = (args.next(), args.next()) else {
        bail!("usage: instructions KIND COUNT, where KIND is one of {}", KINDS.join(", "));
    };
    let count = count.parse().context("COUNT")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (first, second) = runtime.block_on(start())?;
    let at_a_time = if kind.starts_with("alone") { 1 } else { TOGETHER };
    match kind.as_str() {
        "alone-async" | "together-async" => count_calls(&runtime, &first, double_async, at_a_time, count)?,
        "alone-inline" | "together-inline" => count_calls(&runtime, &first, double, at_a_time, count)?,
        "alone-profiled" | "together-profiled" => {
            let profiling = first.profile();
            count_calls(&runtime, &first, double, at_a_time, count)?;
            ensure!(profiling.finish().calls.len() == 2 * count, "not all calls are in the profile");
        }
        other => bail!("{other} is none of {}", KINDS.join(", ")),
    }
    runtime.block_on(async {
        let (first, second) = tokio::join!(first.shutdown(), second.shutdown());
        first.and(second)
    })?;
    Ok(())
}

/// Two workers of this process.
async fn start() -> anyhow::Result<(Worker, Worker)> {
    let store = Arc::new(MemoryStore::default());
    let worker = |rank| {
        let worker = Worker::builder_named_by_rank().rank(rank).world_size(2);
        worker.store(store.clone()).variables(|_| None).init()
    };
    Ok(tokio::try_join!(worker(0), worker(1))?)
}

fn count_calls<F>(
    runtime: &Runtime,
    worker: &Worker,
    function: F,
    at_a_time: usize,
    count: usize,
) -> anyhow::Result<()>
where
    F: rpc::macro_support::RemoteFunction<Args = (u64,), Output = u64> + Copy,
{
    // Buffers have grown and tables are there when it counts.
    runtime.block_on(calls(worker, function, at_a_time, count))?;
    measured(runtime, calls(worker, function, at_a_time, count))
}

/// What counts. Found by its name, so it has to stay a function of its own.
#[inline(never)]
fn measured(runtime: &Runtime, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    runtime.block_on(work)
}

async fn calls<F>(worker: &Worker, function: F, at_a_time: usize, count: usize) -> anyhow::Result<()>
where
    F: rpc::macro_support::RemoteFunction<Args = (u64,), Output = u64> + Copy,
{
    let mut replies = Vec::with_capacity(at_a_time);
    for first in (0..count).step_by(at_a_time) {
        let numbers = first as u64..(first + at_a_time).min(count) as u64;
        replies.extend(numbers.clone().map(|n| worker.rpc_async(1, function, (n,))));
        for (n, reply) in numbers.zip(replies.drain(..)) {
            ensure!(reply.await.ok() == Some(2 * n), "a call failed, or its answer is wrong");
        }
    }
    Ok(())
}
