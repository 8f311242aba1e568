//! How many calls of a function run at a time, and which calls are made again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc::{Retry, RetryBudget};
use tokio::sync::Semaphore;

use super::by_call;

const LIMIT: usize = 2;
const SHORT: Duration = Duration::from_millis(100);

/// Handlers of [`crowded`] in this process: now, and at most.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// What [`narrow`] waits for in this process.
static GATE: Semaphore = Semaphore::const_new(0);
/// How often [`look`] and [`withdraw`] have begun in this process.
static LOOKED: AtomicU64 = AtomicU64::new(0);
static WITHDRAWN: AtomicU64 = AtomicU64::new(0);

#[rpc::function(max_concurrency = 2)]
async fn crowded() {
    crowd().await;
}

async fn crowd() {
    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

#[rpc::function(inline)]
fn most() -> usize {
    MOST.load(Ordering::SeqCst)
}

/// Many of them have one limit between them.
struct Stall {
    visits: u64,
}

#[rpc::methods]
impl Stall {
    #[rpc(max_concurrency = 2)]
    async fn visit(&mut self) -> u64 {
        crowd().await;
        self.visits += 1;
        self.visits
    }
}

#[rpc::function]
fn set_up_stall() -> RRef<Stall> {
    RRef::new_opaque(&Worker::current(), Stall { visits: 0 })
}

#[rpc::function(max_concurrency = 1, max_waiting = 1)]
async fn narrow() -> Result<(), String> {
    GATE.acquire().await.map_err(|error| error.to_string())?.forget();
    Ok(())
}

#[rpc::function(inline)]
fn open(times: usize) {
    GATE.add_permits(times);
}

/// Answers from the second time on.
#[rpc::function(idempotent)]
async fn look() -> u64 {
    answer_from_second(&LOOKED).await
}

/// The same, and not to be made twice.
#[rpc::function]
async fn withdraw() -> u64 {
    answer_from_second(&WITHDRAWN).await
}

async fn answer_from_second(count: &AtomicU64) -> u64 {
    match count.fetch_add(1, Ordering::SeqCst) + 1 {
        1 => std::future::pending().await,
        times => times,
    }
}

/// Never answers.
#[rpc::function(idempotent)]
async fn hang() {
    LOOKED.fetch_add(1, Ordering::SeqCst);
    std::future::pending().await
}

/// How often [`look`] or [`hang`], and [`withdraw`], have begun there.
#[rpc::function(inline)]
fn begun() -> (u64, u64) {
    (LOOKED.load(Ordering::SeqCst), WITHDRAWN.load(Ordering::SeqCst))
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("functions::max_concurrency", 3, max_concurrency).plain(),
        by_call("functions::max_concurrency_of_methods", 2, max_concurrency_of_methods),
        by_call("functions::max_waiting", 2, max_waiting),
        by_call("functions::retried_when_it_did_not_run", 2, did_not_run),
        by_call("functions::retried_when_idempotent", 2, idempotent),
        by_call("functions::retries_have_a_budget", 2, budget),
    ]
}

/// All have many calls of it under way at worker1, itself included, and all get their turn.
async fn max_concurrency(worker: &Worker) -> Result<()> {
    let calls: Vec<_> = (0..40).map(|_| worker.rpc_async("worker1", crowded, ())).collect();
    for call in calls {
        call.await?;
    }
    let at_a_time = worker.rpc_async("worker1", most, ()).await?;
    ensure!((1..=LIMIT).contains(&at_a_time), "{at_a_time} ran at a time");
    Ok(())
}

/// Through references to several values.
async fn max_concurrency_of_methods(worker: &Worker) -> Result<()> {
    let mut stalls = Vec::new();
    for _ in 0..4 {
        stalls.push(worker.rpc_async("worker1", set_up_stall, ()).await?);
    }
    let visits: Vec<_> = (0..10).flat_map(|_| stalls.iter().map(|stall| stall.rpc_async().visit())).collect();
    for visit in visits {
        visit.await?;
    }
    for stall in &stalls {
        ensure!(stall.rpc_async().visit().await? == 11);
    }
    let at_a_time = worker.rpc_async("worker1", most, ()).await?;
    ensure!((1..=LIMIT).contains(&at_a_time), "{at_a_time} ran at a time");
    Ok(())
}

async fn max_waiting(worker: &Worker) -> Result<()> {
    let calls = [worker.rpc_async("worker1", narrow, ()), worker.rpc_async("worker1", narrow, ())];
    let error = worker.rpc_async("worker1", narrow, ()).await.err().context("one too many")?;
    let Some(Failure::Overloaded { bound, limit: 1 }) = error.failure() else {
        anyhow::bail!("{error}");
    };
    ensure!(bound.contains("max_waiting") && bound.contains("narrow"), "{bound}");
    ensure!(error.handler_ran() == HandlerRan::No);
    worker.rpc_async("worker1", open, (3,)).await?;
    for call in calls {
        call.await?;
    }
    worker.rpc_async("worker1", narrow, ()).await?;
    Ok(())
}

/// A call that was refused is made again, whatever it does, until there is a place for it.
async fn did_not_run(worker: &Worker) -> Result<()> {
    let calls = [worker.rpc_async("worker1", narrow, ()), worker.rpc_async("worker1", narrow, ())];
    // Both are there: this one comes after them.
    let error = worker.rpc_async("worker1", narrow, ()).await.err().context("one too many")?;
    ensure!(error.handler_ran() == HandlerRan::No, "{error}");
    let patient = worker.retrying(Retry::default().attempts(100).delays(SHORT / 10, SHORT).budget(plenty()));
    let refused_at_first = patient.rpc_async("worker1", narrow, ());
    // It leaves after the first attempt.
    worker.rpc_async("worker1", open, (3,)).await?;
    refused_at_first.await?;
    for call in calls {
        call.await?;
    }
    Ok(())
}

fn plenty() -> RetryBudget {
    RetryBudget::new(0.0, 1000)
}

/// Nobody knows whether a call ran that was not answered: only one that may run twice is made again.
async fn idempotent(worker: &Worker) -> Result<()> {
    let hasty = || Retry::default().attempt_timeout(SHORT).delays(SHORT / 10, SHORT).budget(plenty());
    let times = worker.retrying(hasty().attempts(100)).rpc_async("worker1", look, ()).await?;
    ensure!(times >= 2, "it answers from the second time on");
    let error = worker.retrying(hasty()).rpc_async("worker1", withdraw, ()).await.err();
    let error = error.context("it does not answer the first time")?;
    ensure!(error.is_timeout() && error.handler_ran() == HandlerRan::Unknown, "{error}");
    let (_, withdrawn) = worker.rpc_async("worker1", begun, ()).await?;
    ensure!(withdrawn == 1, "made {withdrawn} times");
    Ok(())
}

/// When nothing works, there is an end of it before the number of attempts or the time is used up.
async fn budget(worker: &Worker) -> Result<()> {
    let retry = Retry::default().attempts(1000).attempt_timeout(SHORT / 4).delays(SHORT / 100, SHORT / 100);
    let client = worker.retrying(retry.budget(RetryBudget::new(0.0, 3)));
    for times_max in [4, 5] {
        let error = client.rpc_async("worker1", hang, ()).await.err().context("it never answers")?;
        ensure!(error.is_timeout(), "{error}");
        let (times, _) = worker.rpc_async("worker1", begun, ()).await?;
        // An attempt may end before it has left.
        ensure!(times <= times_max, "made {times} times");
    }
    Ok(())
}
