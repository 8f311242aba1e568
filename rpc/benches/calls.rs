//! What a call costs: `cargo bench -p rpc --bench calls -- --pin together`.
//!
//! Two processes; one calls functions of the other that do next to nothing, one call after the other and 64 at
//! a time.

mod harness;

use std::process::ExitCode;

use rpc::Worker;

use crate::harness::rows::{self, Row};
use crate::harness::{Options, job};

#[rpc::function(inline)]
fn plain(n: u64) -> u64 {
    n
}

#[rpc::function(inline)]
fn echo(text: String) -> String {
    text
}

#[rpc::function]
async fn asynchronous(n: u64) -> u64 {
    n
}

#[rpc::function]
async fn waiting(n: u64) -> u64 {
    tokio::task::yield_now().await;
    n
}

#[rpc::function]
fn blocking(n: u64) -> u64 {
    n
}

fn main() -> anyhow::Result<ExitCode> {
    job::run(2, measure)
}

async fn measure(options: &Options, worker: &Worker) -> anyhow::Result<()> {
    /// Both rows of one function.
    macro_rules! rows {
        ($name:literal, $function:ident, $argument:expr, $alone:literal, $together:literal) => {{
            let worker = worker.clone();
            let operation = move || {
                let worker = worker.clone();
                async move {
                    worker.rpc_async(1, $function, ($argument,)).await?;
                    Ok(())
                }
            };
            [Row::alone($name, $alone, operation.clone()), Row::together($name, $together, operation)]
        }};
    }
    let rows = [
        rows!("plain call (inline)", plain, 7, 5_000, 40_000),
        rows!("echo of 64 bytes (inline)", echo, "x".repeat(64), 5_000, 40_000),
        rows!("async function", asynchronous, 7, 5_000, 40_000),
        rows!("async function that waits", waiting, 7, 5_000, 40_000),
        rows!("blocking function", blocking, 7, 3_000, 10_000),
    ];
    let mut rows: Vec<Row> = rows.into_iter().flatten().collect();
    rows.sort_by_key(Row::in_flight);
    rows::measure("calls", options, rows).await
}
