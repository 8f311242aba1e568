//! Programs without `async`.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use integration::part::Part;
use integration::scenario::Scenario;
use rpc::Worker;
use tokio::sync::oneshot;

const THREADS: i64 = 8;
const CALLS: i64 = 50;

#[rpc::function]
fn multiply(a: i64, b: i64) -> i64 {
    a * b
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("basic::rpc_sync_from_threads", 2, rpc_sync_from_threads),
        Scenario::new("basic::blocking_init", 3, blocking_init),
    ]
}

/// Threads that know nothing of tokio share one worker.
async fn rpc_sync_from_threads(worker: &Worker) -> Result<()> {
    let worker = worker.clone();
    on_plain_thread(move || many_threads(&worker)).await
}

fn many_threads(worker: &Worker) -> Result<()> {
    let other = i64::from(1 - worker.id().0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                scope.spawn(move || {
                    for i in 0..CALLS {
                        ensure!(worker.rpc_sync(other, multiply, (n, i))? == n * i);
                        ensure!(worker.rpc_async(other, multiply, (i, i)).wait()? == i * i);
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(joined)
    })
}

/// A program that never sees a runtime.
async fn blocking_init(_: Part) -> Result<()> {
    on_plain_thread(|| {
        let name = format!("worker{}", std::env::var("RANK")?);
        let worker = rpc::blocking_init(name)?;
        for info in worker.workers() {
            ensure!(worker.rpc_sync(info, multiply, (6, 7))? == 42);
        }
        let report = worker.shutdown_blocking()?;
        ensure!(report.lost.is_empty());
        Ok(())
    })
    .await
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// Runs `body` where no runtime is to be found.
async fn on_plain_thread(body: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let (end, ended) = oneshot::channel();
    thread::spawn(move || end.send(body()));
    ended.await.context("the thread panicked")?
}
