//! Whom a call reaches, and how many there are at a time.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[rpc::function]
async fn add_async(a: i64, b: i64) -> i64 {
    tokio::task::yield_now().await;
    a + b
}

#[rpc::function]
fn add_blocking(a: i64, b: i64) -> i64 {
    a + b
}

#[rpc::function(inline)]
fn who() -> WorkerInfo {
    Worker::current().info().clone()
}

/// What [`note`] was called with, added up.
static NOTED: AtomicU64 = AtomicU64::new(0);

#[rpc::function]
fn note(n: u64) {
    NOTED.fetch_add(n, Ordering::SeqCst);
}

#[rpc::function]
fn noted() -> u64 {
    NOTED.load(Ordering::SeqCst)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_first("basic::add", 2, add_there),
        Scenario::on_all("basic::self_add", 2, self_add),
        Scenario::on_all("basic::send_to_rank", 3, send_to_rank),
        Scenario::on_all("basic::add_with_id", 3, add_with_id),
        Scenario::on_first("basic::async_add", 2, async_add),
        Scenario::on_all("basic::multi_rpc", 4, multi_rpc),
        Scenario::on_first("basic::no_return_result", 2, no_return_result),
        Scenario::on_first("basic::arguments_are_encoded_at_once", 2, arguments_are_encoded_at_once),
    ]
}

async fn add_there(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker1", add, (1, 2)).await? == 3);
    ensure!(worker.rpc_async("worker1", add_async, (1, 2)).await? == 3);
    ensure!(worker.rpc_async("worker1", add_blocking, (1, 2)).await? == 3);
    ensure!(add(1, 2) == 3, "it is still an ordinary function");
    Ok(())
}

async fn self_add(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async(worker.info(), add, (1, 2)).await? == 3);
    ensure!(worker.rpc_async(worker.name(), add_async, (1, 2)).await? == 3);
    ensure!(worker.rpc_async(worker.id(), add_blocking, (1, 2)).await? == 3);
    ensure!(worker.rpc_async(worker.name(), who, ()).await? == *worker.info());
    Ok(())
}

async fn send_to_rank(worker: &Worker) -> Result<()> {
    for rank in 0..3_i64 {
        ensure!(i64::from(worker.rpc_async(rank, who, ()).await?.id.0) == rank);
    }
    for rank in [-1, 3, i64::MAX] {
        let error = worker.rpc_async(rank, who, ()).await.err();
        let failure = error.as_ref().and_then(CallError::failure);
        ensure!(matches!(failure, Some(Failure::UnknownWorker { .. })), "rank {rank}: {failure:?}");
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        ensure!(text.contains(&rank.to_string()) && text.contains("worker0, worker1, worker2"), "{text}");
    }
    Ok(())
}

async fn add_with_id(worker: &Worker) -> Result<()> {
    for info in worker.workers() {
        ensure!(worker.rpc_async(info, who, ()).await? == *info);
        ensure!(worker.rpc_async(info, add, (info.id.0.into(), 1)).await? == i64::from(info.id.0) + 1);
    }
    let stranger = WorkerInfo { id: WorkerId(0), ..worker.get_worker_info("worker1")?.clone() };
    ensure!(worker.rpc_async(&stranger, who, ()).await.is_err(), "name and rank both have to fit");
    Ok(())
}

async fn async_add(worker: &Worker) -> Result<()> {
    let first = worker.rpc_async("worker1", add_async, (1, 2));
    let second = worker.rpc_async("worker1", add, (10, 20));
    ensure!(second.await? == 30);
    ensure!(first.await? == 3);
    Ok(())
}

/// Every worker has many calls under way to every other, and each gets its own answer.
async fn multi_rpc(worker: &Worker) -> Result<()> {
    let mut calls = Vec::new();
    for i in 0..250 {
        for info in worker.workers() {
            calls.push((i, info.id, worker.rpc_async(info, add_async, (i, info.id.0.into()))));
        }
    }
    for (i, id, call) in calls {
        ensure!(call.await? == i + i64::from(id.0));
    }
    Ok(())
}

async fn no_return_result(worker: &Worker) -> Result<()> {
    let () = worker.rpc_async("worker1", note, (7,)).await?;
    // Fire and forget: a dropped future does not take its call back.
    drop(worker.rpc_async("worker1", note, (35,)));
    while worker.rpc_async("worker1", noted, ()).await? != 42 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn arguments_are_encoded_at_once(worker: &Worker) -> Result<()> {
    let mut numbers = vec![1_u64; 10_000];
    let call = worker.rpc_async("worker1", sum, (numbers.clone(),));
    numbers.fill(2);
    let later = worker.rpc_async("worker1", sum, (numbers,));
    ensure!((call.await?, later.await?) == (10_000, 20_000));
    Ok(())
}

#[rpc::function]
fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}
