//! What is done with results that are not there yet: callbacks, promises, many at once, scopes.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::scenario::Scenario;
use rpc::futures::{FutureError, collect_all, wait_all, wait_all_timeout};
use rpc::prelude::*;

/// Far above what anything here takes, and far below the timeout of the scenario.
const LATE: Duration = Duration::from_secs(10);
/// A call that is still under way when others have failed.
const SLOW_MS: u64 = 300;

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Stands for work that takes so long, so that others are done before it.
#[rpc::function]
async fn sleep_ms(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

#[rpc::function(inline)]
fn raise() -> Result<i64, String> {
    Err("expected".into())
}

#[rpc::function]
fn fall() -> i64 {
    panic!("expected")
}

/// A handler that adds on `to`, and goes on in a callback.
#[rpc::function]
async fn add_and_double(to: String, a: i64, b: i64) -> Result<i64, CallError> {
    let sum = Worker::current().rpc_async(&to, add, (a, b));
    sum.map(|sum| sum * 2).await
}

/// The same, with a scope and a promise in the handler.
#[rpc::function]
async fn add_in_scope(to: String, a: i64, b: i64) -> Result<i64, CallError> {
    let worker = Worker::current();
    let (promise, result) = worker.promise::<i64, CallError>();
    worker
        .scope(async |scope| {
            scope
                .rpc_async(&to, add, (a, b))
                .on_done(move |sum| promise.complete(sum.cloned().map_err(Clone::clone)));
            Ok::<_, CallError>(())
        })
        .await?;
    result.await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("futures::future_wait_twice", 2, wait_twice),
        Scenario::on_first("futures::future_done", 2, future_done),
        Scenario::on_all("futures::callback_chain", 2, callback_chain),
        Scenario::on_all("futures::callback_multi", 2, callback_multi),
        Scenario::on_first("futures::callback_with_error", 2, callback_with_error),
        Scenario::on_all("futures::callback_in_rpc", 3, callback_in_rpc),
        Scenario::on_first("futures::mark_future", 2, mark_future),
        Scenario::on_all("futures::wait_all", 3, wait_for_all),
        Scenario::on_first("futures::wait_all_exit_early", 3, exit_early),
        Scenario::on_all("futures::wait_all_in_scope", 3, in_scope),
        Scenario::on_first("futures::wait_all_raise_in_body", 2, raise_in_body),
    ]
}

/// The worker after this one.
fn next(worker: &Worker) -> i64 {
    i64::from(worker.id().0 + 1) % worker.world_size() as i64
}

async fn wait_twice(worker: &Worker) -> Result<()> {
    let sum = worker.rpc_async(next(worker), add, (1, 2)).shared();
    ensure!(sum.wait()? == 3 && sum.wait()? == 3 && sum.clone().await? == 3);
    let failed = worker.rpc_async(next(worker), raise, ()).shared();
    let (first, second) = (failed.wait().err(), failed.wait().err());
    ensure!(first.is_some() && first == second, "{first:?} and {second:?}");
    Ok(())
}

async fn future_done(worker: &Worker) -> Result<()> {
    for (millis, is_slow) in [(SLOW_MS, true), (0, false)] {
        let mut call = worker.rpc_async("worker1", sleep_ms, (millis,));
        if is_slow {
            ensure!(!call.is_done());
            let Err(same) = call.value() else { bail!("a value before its time") };
            let Err(same) = same.wait_timeout(Duration::from_millis(1)) else {
                bail!("a value before its time")
            };
            call = same;
        }
        let shared = call.shared();
        shared.ready().await;
        ensure!(shared.is_done() && shared.value() == Some(Ok(&millis)));
    }
    let failed = worker.rpc_async("worker1", fall, ()).shared();
    failed.ready().await;
    let Some(Err(error)) = failed.value() else { bail!("no error") };
    ensure!(matches!(error.failure(), Some(Failure::Panicked { .. })), "{error}");
    Ok(())
}

/// A callback's value is the next one's argument; each may block, also on calls.
async fn callback_chain(worker: &Worker) -> Result<()> {
    let to = next(worker);
    let mut sum = worker.rpc_async(to, add, (0, 1)).shared();
    for _ in 0..20 {
        let worker = worker.clone();
        sum = sum.then(move |sum| worker.rpc_sync(to, add, (*sum.map_err(Clone::clone)?, 1)));
    }
    ensure!(sum.await? == 21);
    Ok(())
}

/// Callbacks of one future run one after the other, in the order in which they were registered.
async fn callback_multi(worker: &Worker) -> Result<()> {
    const CALLBACKS: usize = 50;
    let (said, heard) = sync_channel(CALLBACKS);
    let call = worker.rpc_async(next(worker), add, (1, 2)).shared();
    for n in 0..CALLBACKS {
        let said = said.clone();
        call.on_done(move |_| said.send(n).unwrap_or_default());
        if n == CALLBACKS / 2 {
            call.ready().await; // the others are registered when it is done
        }
    }
    for n in 0..CALLBACKS {
        ensure!(heard.recv_timeout(LATE)? == n);
    }
    Ok(())
}

async fn callback_with_error(worker: &Worker) -> Result<()> {
    let failed = worker.rpc_async("worker1", raise, ());
    let text = failed.then(|result| match result {
        Err(CallError::Handler { error, .. }) => Ok::<_, CallError>(error),
        other => Ok(format!("{other:?}")),
    });
    ensure!(text.await? == "expected");

    let passed_on = worker.rpc_async("worker1", fall, ()).map(|n| n + 1).await;
    let error = passed_on.err().context("an error goes on to the next future")?;
    ensure!(matches!(error.failure(), Some(Failure::Panicked { .. })), "{error}");

    let panics = worker.rpc_async("worker1", add, (1, 2)).map(|_| -> i64 { panic!("in a callback") }).await;
    let error = panics.err().context("a panic is an error")?;
    let Some(Failure::Future(why)) = error.failure() else { bail!("{error}") };
    ensure!(matches!(&**why, FutureError::Panicked { message, .. } if message == "in a callback"), "{why}");
    Ok(())
}

async fn callback_in_rpc(worker: &Worker) -> Result<()> {
    let (to, third) = (next(worker), worker.name().to_owned());
    let doubled = worker.rpc_async(to, add_and_double, (third.clone(), 1, 2)).await;
    ensure!(doubled.map_err(|error| anyhow::anyhow!("{error}"))? == 6);
    let sum = worker.rpc_async(to, add_in_scope, (third, 1, 2)).await;
    ensure!(sum.map_err(|error| anyhow::anyhow!("{error}"))? == 3);
    Ok(())
}

/// A promise that is kept, one that is failed, and one that is forgotten. That none is kept twice is for the compiler.
async fn mark_future(worker: &Worker) -> Result<()> {
    let (promise, future) = worker.promise::<i64, CallError>();
    ensure!(future.value().is_none());
    worker.rpc_async("worker1", add, (1, 2)).on_done(move |sum| promise.complete(sum));
    ensure!(future.await? == 3);

    let (promise, future) = worker.promise::<i64, CallError>();
    drop(promise);
    let error = future.await.err().context("nobody kept it")?;
    ensure!(error.to_string().contains("futures.rs"), "{error}");
    Ok(())
}

async fn wait_for_all(worker: &Worker) -> Result<()> {
    let calls = || (0..100).map(|n| worker.rpc_async(n % 3, add, (n, 1)));
    let sums: Vec<i64> = (1..=100).collect();
    ensure!(wait_all(calls())? == sums);
    ensure!(collect_all(calls()).await? == sums);
    ensure!(collect_all(calls().map(RpcFuture::shared)).await? == sums);

    let slow = (0..3).map(|to| worker.rpc_async(to, sleep_ms, (SLOW_MS,)));
    let Err(rest) = wait_all_timeout(slow, Duration::from_millis(1)) else { bail!("they were not slow") };
    ensure!(rest.await? == [SLOW_MS; 3]);
    Ok(())
}

/// The first error ends it; who is slow is not waited for.
async fn exit_early(worker: &Worker) -> Result<()> {
    let began = Instant::now();
    let mixed = [1, 9, 2].map(|to| worker.rpc_async(to, sleep_ms, (60_000,)).cancel_on_drop());
    let error = collect_all(mixed).await.err().context("there is no worker 9")?;
    ensure!(matches!(error.failure(), Some(Failure::UnknownWorker { .. })), "{error}");
    let mixed = [worker.rpc_async(1, fall, ()), worker.rpc_async(2, add, (1, 2))];
    let error = wait_all(mixed).err().context("one panics")?;
    ensure!(matches!(error.failure(), Some(Failure::Panicked { .. })), "{error}");
    ensure!(began.elapsed() < LATE);
    Ok(())
}

/// Every call made in a scope is done when it ends, awaited or not.
async fn in_scope(worker: &Worker) -> Result<()> {
    let mut calls = Vec::new();
    for _ in 0..2 {
        let sum: Result<i64, CallError> = worker
            .scope(async |scope| {
                for other in worker.workers() {
                    calls.push(scope.rpc_async(other, sleep_ms, (20,)));
                }
                scope.rpc_async(next(worker), add, (1, 2)).await
            })
            .await;
        ensure!(sum? == 3);
        ensure!(calls.iter().all(SharedFuture::is_done));
    }
    let sum: Result<i64, CallError> = worker.scope_blocking(|scope| {
        scope.rpc_async(next(worker), sleep_ms, (20,));
        scope.rpc_async(next(worker), add, (1, 2)).wait()
    });
    ensure!(sum? == 3);
    Ok(())
}

/// The body's own error goes first, and the calls are waited for all the same.
async fn raise_in_body(worker: &Worker) -> Result<()> {
    let mut slow = None;
    let failed: Result<()> = worker
        .scope(async |scope| {
            slow = Some(scope.rpc_async("worker1", sleep_ms, (20,)));
            scope.rpc_async("worker1", fall, ());
            bail!("in the body")
        })
        .await;
    ensure!(failed.err().context("the body fails")?.to_string() == "in the body");
    ensure!(slow.is_some_and(|slow| slow.is_done()));

    let failed: Result<()> = worker
        .scope(async |scope| {
            scope.rpc_async("worker1", fall, ());
            Ok(())
        })
        .await;
    let error = failed.err().context("a call fails")?;
    ensure!(error.to_string().contains("expected"), "{error}");
    Ok(())
}
