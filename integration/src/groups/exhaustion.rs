//! A worker all of whose threads wait for nested calls, which kills for good one with a pool of fixed size that brings
//! replies and timeouts as well.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::EngineConfig;
use rpc::{Retry, RetryBudget};
use tokio::sync::Semaphore;

/// Threads for functions that block, on each worker.
const THREADS: usize = 4;
const SHORT: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(30);

/// Functions of this process that hold a thread while they wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// What [`pass`] waits for in this process.
static GATE: Semaphore = Semaphore::const_new(0);

#[rpc::function]
async fn pass() -> Result<(), String> {
    GATE.acquire().await.map_err(|error| error.to_string())?.forget();
    Ok(())
}

#[rpc::function(inline)]
fn open(times: usize) {
    GATE.add_permits(times);
}

/// Holds a thread until [`pass`] on worker2 is over or `wait` has passed, which is an error of its own.
#[rpc::function]
fn pass_on_thread(wait: Duration) -> Result<(), bool> {
    WAITING.fetch_add(1, Ordering::SeqCst);
    let outcome = Worker::current().with_timeout(wait).rpc_sync("worker2", pass, ());
    WAITING.fetch_sub(1, Ordering::SeqCst);
    outcome.map_err(|error| error.is_timeout())
}

#[rpc::function(inline)]
fn waiting() -> usize {
    WAITING.load(Ordering::SeqCst)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("torch_defects::pool_exhaustion", 3, pool_exhaustion).plain()]
}

async fn pool_exhaustion(part: Part) -> Result<()> {
    let config = EngineConfig { blocking_threads_max: THREADS, ..EngineConfig::default() };
    let worker = part.builder().config(config).init().await?;
    if part.rank == 0 {
        replies_need_no_thread(&worker).await?;
        timeouts_need_no_thread(&worker).await?;
        worker.rpc_async("worker2", open, (100,)).await?;
        for call in all_threads(&worker, LATE) {
            call.await??;
        }
    }
    leave(&worker).await
}

type Waiting = tokio::task::JoinHandle<Result<(), CallError<bool>>>;

/// Has all threads of worker1 wait.
fn all_threads(worker: &Worker, wait: Duration) -> Vec<Waiting> {
    // A thread that has answered is free a moment later.
    let retry = Retry::default().attempts(1000).delays(Duration::from_millis(1), Duration::from_millis(5));
    let soon = worker.retrying(retry.budget(RetryBudget::new(0.0, 1000)));
    (0..THREADS).map(|_| tokio::spawn(soon.rpc_async("worker1", pass_on_thread, (wait,)))).collect()
}

async fn replies_need_no_thread(worker: &Worker) -> Result<()> {
    let calls = all_threads(worker, LATE);
    while worker.rpc_async("worker1", waiting, ()).await? < THREADS {
        tokio::task::yield_now().await;
    }
    let error = worker.rpc_async("worker1", pass_on_thread, (LATE,)).await.err().context("one too many")?;
    let Some(Failure::Overloaded { bound, .. }) = error.failure() else { anyhow::bail!("{error}") };
    ensure!(bound == "blocking_threads_max" && error.handler_ran() == HandlerRan::No, "{error}");
    worker.rpc_async("worker2", open, (THREADS,)).await?;
    for call in calls {
        call.await??;
    }
    Ok(())
}

async fn timeouts_need_no_thread(worker: &Worker) -> Result<()> {
    for call in all_threads(worker, SHORT) {
        let error = call.await?.err().context("nobody opens the gate")?;
        ensure!(error.handler_error() == Some(&true), "{error}");
    }
    Ok(())
}
