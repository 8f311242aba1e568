//! What the network between two workers gives: latency, rate, throughput, and whether small calls wait for
//! large ones. For choosing a backend where you will run, and for finding out what a slow job waits for.
//!
//! ```text
//! cargo build --release --example probe --features quic
//! rpcrun --nproc 2 --backend tcp -- target/release/examples/probe
//! rpcrun --nproc 2 --backend quic -- target/release/examples/probe
//! ```
//!
//! Across machines start it as any job: `docs/security.md` says how. Rank 0 calls rank 1; more workers only look
//! on. `--json` prints one object for each figure.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rpc::prelude::*;

/// Measures what calls between worker 0 and worker 1 take.
#[derive(Clone, Debug, Parser)]
struct Flags {
    /// How long each figure is measured
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    seconds: f64,
    /// Size of a large call
    #[arg(long, default_value_t = 16, value_name = "MIB")]
    large: usize,
    /// One JSON object for each figure
    #[arg(long)]
    json: bool,
}

#[rpc::function(inline)]
fn echo(bytes: [u64; 8]) -> [u64; 8] {
    bytes
}

/// `tensor`: f32, of any shape. Returns how many bytes have come.
#[rpc::function(inline)]
fn upload(tensor: Tensor) -> u64 {
    tensor.part().len() as u64
}

const SMALL: [u64; 8] = [7; 8];
const PEER: i64 = 1;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let flags = Flags::parse();
    let worker = rpc::init_from_env().await.context("probe runs under a launcher: rpcrun --nproc 2 -- …")?;
    if worker.id().0 == 0 {
        ensure!(worker.world_size() >= 2, "there is nobody to call: start two workers or more");
        measure(&worker, &flags).await?;
    }
    worker.shutdown().await?;
    Ok(())
}

async fn measure(worker: &Worker, flags: &Flags) -> Result<()> {
    let time = Duration::from_secs_f64(flags.seconds);
    let print = |name: &str, value: f64, unit: &str| match flags.json {
        true => println!("{{\"figure\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\"}}"),
        false => println!("{name:<44} {value:>12.1} {unit}"),
    };
    for _ in 0..100 {
        worker.rpc_async(PEER, echo, (SMALL,)).await?;
    }

    let mut alone = latencies(worker, time).await?;
    print("64-byte call, median", quantile(&mut alone, 0.5), "us");
    print("64-byte call, 99 of 100 within", quantile(&mut alone, 0.99), "us");

    let (calls, took) = in_flight(worker, 64, time).await?;
    print("64 calls in flight", calls as f64 / took.as_secs_f64() / 1e3, "thousand calls/s");

    let tensor = Tensor::from_vec(vec![1_f32; flags.large << 18], [flags.large << 18])?;
    let (bytes, took) = uploads(worker, &tensor, time).await?;
    print("large calls, one after the other", bytes as f64 / took.as_secs_f64() / 1e6, "MB/s");

    let stop = tokio::sync::watch::Sender::new(false);
    let uploading = tokio::spawn({
        let (worker, tensor, mut stop) = (worker.clone(), tensor.clone(), stop.subscribe());
        async move {
            while !*stop.borrow_and_update() {
                worker.rpc_async(PEER, upload, (tensor.clone(),)).await?;
            }
            anyhow::Ok(())
        }
    });
    let mut beside = latencies(worker, time).await?;
    stop.send_replace(true);
    uploading.await??;
    print("64-byte call beside large ones, median", quantile(&mut beside, 0.5), "us");
    print("64-byte call beside large ones, 99 of 100", quantile(&mut beside, 0.99), "us");
    Ok(())
}

/// How long each of the calls took that were made one after the other, in microseconds.
async fn latencies(worker: &Worker, time: Duration) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let started = Instant::now();
        worker.rpc_async(PEER, echo, (SMALL,)).await?;
        took.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(took)
}

async fn in_flight(worker: &Worker, at_a_time: usize, time: Duration) -> Result<(usize, Duration)> {
    let started = Instant::now();
    let callers: Vec<_> = (0..at_a_time)
        .map(|_| {
            let worker = worker.clone();
            tokio::spawn(async move {
                let mut calls = 0;
                while started.elapsed() < time {
                    worker.rpc_async(PEER, echo, (SMALL,)).await?;
                    calls += 1;
                }
                anyhow::Ok(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok((calls, started.elapsed()))
}

async fn uploads(worker: &Worker, tensor: &Tensor, time: Duration) -> Result<(u64, Duration)> {
    let (mut bytes, started) = (0, Instant::now());
    while bytes == 0 || started.elapsed() < time {
        bytes += worker.rpc_async(PEER, upload, (tensor.clone(),)).timeout(Duration::ZERO).await?;
    }
    Ok((bytes, started.elapsed()))
}

/// The value below which the given share of `values` lies.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get((values.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}
