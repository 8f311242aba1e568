//! Calls that take too long, or that nobody wants any more.
//!
//! Times are real here, so only lower bounds are tight; the tests of the engine measure exactly, on a clock
//! that stands still.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;

const SHORT: Duration = Duration::from_millis(200);
/// Far above what anything here waits for, and far below the timeout of the scenario.
const LATE: Duration = Duration::from_secs(10);

/// Its time is what is looked at: who calls it says how long it takes.
#[rpc::function]
async fn sleep_ms(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

/// As [`sleep_ms`], on a thread.
#[rpc::function]
fn block_ms(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

#[rpc::function(inline)]
fn remaining_ms() -> Option<u64> {
    CallContext::current()?.remaining().map(|left| left.as_millis() as u64)
}

/// What a call from `worker1` to `to` is given, with an hour as the default there.
#[rpc::function]
async fn nested_remaining_ms(to: String) -> Result<Option<u64>, String> {
    let patient = Worker::current().with_timeout(Duration::from_secs(3600));
    patient.rpc_async(&to, remaining_ms, ()).await.map_err(|error| error.to_string())
}

/// Says when it ends without having been done.
struct Cut(&'static str);

impl Drop for Cut {
    fn drop(&mut self) {
        say(self.0);
    }
}

/// Waits for ever, for a handler on `then` if there is one.
#[rpc::function]
async fn hang(then: Option<String>) {
    let _cut = Cut("CUT");
    say("RUNNING");
    match then {
        Some(then) => drop(Worker::current().rpc_async(&then, hang, (None,)).timeout(Duration::ZERO).await),
        None => std::future::pending().await,
    }
}

/// Handlers of [`hang_quietly`] in this process.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Counts itself while it waits for ever.
#[rpc::function]
async fn hang_quietly() {
    struct Hanging;
    impl Drop for Hanging {
        fn drop(&mut self) {
            HANGING.fetch_sub(1, Ordering::SeqCst);
        }
    }
    HANGING.fetch_add(1, Ordering::SeqCst);
    let _hanging = Hanging;
    std::future::pending().await
}

#[rpc::function(inline)]
fn hanging() -> usize {
    HANGING.load(Ordering::SeqCst)
}

/// A blocking handler that asks whether it is still wanted.
#[rpc::function]
fn work_until_cancelled() {
    say("RUNNING");
    while !CallContext::current().is_some_and(|call| call.is_cancelled()) {
        // Stands for a piece of work; a thread that blocks can only ask.
        std::thread::sleep(Duration::from_millis(1));
    }
    say("CUT");
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_first("timeouts::rpc_timeouts", 2, rpc_timeouts),
        Scenario::on_first("timeouts::set_and_get_default_rpc_timeout", 1, set_and_get),
        Scenario::new("timeouts::default_timeout_used", 2, default_used),
        Scenario::on_first("timeouts::more_time_given_at_once", 2, more_time),
        Scenario::on_first("timeouts::cancelled_at_once", 2, cancelled_at_once),
        Scenario::on_first("timeouts::nested_deadline", 3, nested_deadline),
        Scenario::new("timeouts::cancel_reaches_handler", 3, cancels).script(handlers_end),
        Scenario::new("timeouts::deadline_reaches_handler", 3, lets_expire).script(handlers_end),
        Scenario::new("timeouts::cancel_reaches_blocking_handler", 2, cancels_blocking).script(handler_ends),
        Scenario::new("timeouts::stopped_peer", 2, calls_stopped).script(stop_and_resume),
    ]
}

/// Checks that the call that `begin` begins times out after about `timeout`.
async fn times_out<F, T, E>(begin: impl FnOnce() -> F, timeout: Duration) -> Result<()>
where
    F: Future<Output = Result<T, CallError<E>>>,
{
    let began = Instant::now();
    let Err(error) = begin().await else { bail!("a value in place of a timeout") };
    let Some(Failure::TimedOut { after, .. }) = error.failure() else { bail!("{:?}", error.failure()) };
    ensure!(*after == timeout, "it says after {after:?}, not {timeout:?}");
    let took = began.elapsed();
    ensure!(took >= timeout && took < timeout + LATE, "a timeout of {timeout:?} took {took:?}");
    Ok(())
}

async fn rpc_timeouts(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        times_out(|| worker.rpc_async(to, sleep_ms, (60_000,)).timeout(SHORT), SHORT).await?;
        times_out(|| worker.rpc_async(to, block_ms, (1_000,)).timeout(SHORT), SHORT).await?;
        times_out(|| worker.with_timeout(SHORT).rpc_async(to, sleep_ms, (60_000,)), SHORT).await?;
        // The default changes for calls that begin from now on.
        worker.set_rpc_timeout(SHORT);
        times_out(|| worker.rpc_async(to, sleep_ms, (60_000,)), SHORT).await?;
        // Zero is for ever, and a call's own timeout goes before the default.
        ensure!(worker.rpc_async(to, sleep_ms, (400,)).timeout(Duration::ZERO).await? == 400);
        ensure!(worker.rpc_async(to, sleep_ms, (400,)).timeout(LATE).await? == 400);
        worker.set_rpc_timeout(Duration::ZERO);
        ensure!(worker.rpc_async(to, sleep_ms, (400,)).await? == 400);
        ensure!(worker.rpc_async(to, remaining_ms, ()).await?.is_none());
        worker.set_rpc_timeout(Duration::from_secs(60));
    }
    Ok(())
}

async fn set_and_get(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_timeout() == Duration::from_secs(60), "torch's default");
    let clone = worker.clone();
    worker.set_rpc_timeout(Duration::from_millis(1500));
    ensure!(clone.rpc_timeout() == Duration::from_millis(1500), "all handles share it");
    worker.set_rpc_timeout(Duration::from_secs(60));
    Ok(())
}

async fn default_used(part: Part) -> Result<()> {
    let worker = part.builder().rpc_timeout(SHORT).init().await?;
    ensure!(worker.rpc_timeout() == SHORT);
    if part.rank == 0 {
        times_out(|| worker.rpc_async("worker1", sleep_ms, (60_000,)), SHORT).await?;
    }
    worker.set_rpc_timeout(Duration::from_secs(60));
    leave(&worker).await
}

/// Calls leave with the default timeout, and get more time while the other side may already have begun.
async fn more_time(worker: &Worker) -> Result<()> {
    const DEFAULT: Duration = Duration::from_millis(100);
    worker.set_rpc_timeout(DEFAULT);
    for to in ["worker0", "worker1"] {
        for _ in 0..8 {
            let call = || worker.rpc_async(to, sleep_ms, (150,)).timeout(LATE);
            let calls: Vec<_> = (0..20).map(|_| call()).collect();
            for call in calls {
                ensure!(call.await? == 150);
            }
        }
    }
    worker.set_rpc_timeout(Duration::from_secs(60));
    Ok(())
}

/// Calls are taken back while the other side may already have begun: none of their handlers stays.
async fn cancelled_at_once(worker: &Worker) -> Result<()> {
    for to in ["worker0", "worker1"] {
        for _ in 0..500 {
            let call = worker.rpc_async(to, hang_quietly, ()).timeout(Duration::ZERO);
            call.cancel();
            let error = call.await.err().context("a cancelled call")?;
            ensure!(matches!(error.failure(), Some(Failure::Cancelled { .. })), "{error}");
        }
        // Shutting down together would wait for those that stay, and name nobody but their worker.
        let began = Instant::now();
        while worker.rpc_async(to, hanging, ()).await? > 0 {
            ensure!(began.elapsed() < LATE, "handlers of cancelled calls go on at {to}");
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

async fn nested_deadline(worker: &Worker) -> Result<()> {
    const GIVEN: Duration = Duration::from_secs(7);
    // Given with the call: a `.timeout(..)` afterwards is a message of its own, which the handler may precede.
    let limited = worker.with_timeout(GIVEN);
    for to in ["worker2", "worker0"] {
        let given = limited.rpc_async("worker1", nested_remaining_ms, (to.into(),)).await?;
        let given = given.context("the nested call has no deadline")?;
        ensure!(given <= 7_000, "{given} ms of 7,000");
    }
    Ok(())
}

/// Rank 0 begins a chain of handlers over both other workers, and gives it up.
async fn cancels(part: Part) -> Result<()> {
    begin_and(part, async |call| {
        call.cancel();
        let error = call.await.err().context("a cancelled call")?;
        ensure!(matches!(error.failure(), Some(Failure::Cancelled { .. })), "{error}");
        Ok(())
    })
    .await
}

/// Rank 0 begins such a chain, and lets its time pass.
async fn lets_expire(part: Part) -> Result<()> {
    begin_and(part, async |call| {
        let error = call.timeout(SHORT).await.err().context("a call that is over")?;
        ensure!(error.is_timeout(), "{error}");
        Ok(())
    })
    .await
}

async fn begin_and(mut part: Part, end: impl AsyncFn(RpcFuture<()>) -> Result<()>) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let call = worker.rpc_async("worker1", hang, (Some("worker2".into()),)).timeout(Duration::ZERO);
        part.told("END").await?;
        end(call).await?;
    }
    leave(&worker).await
}

async fn handlers_end(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    for rank in [1, 2] {
        stage.process(rank)?.says("RUNNING").await?;
    }
    stage.process(0)?.tell("END").await?;
    for rank in [1, 2] {
        stage.process(rank)?.says("CUT").await?;
    }
    stage.all_succeed().await
}

async fn cancels_blocking(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let call = worker.rpc_async("worker1", work_until_cancelled, ()).timeout(Duration::ZERO);
        part.told("END").await?;
        // Dropping detaches, unless it was asked to cancel.
        drop(call.cancel_on_drop());
    }
    leave(&worker).await
}

async fn handler_ends(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(1)?.says("RUNNING").await?;
    stage.process(0)?.tell("END").await?;
    stage.process(1)?.says("CUT").await?;
    stage.all_succeed().await
}

/// Rank 0 calls worker1 while that is stopped: with a link, the worst case, for nothing tells it apart from a
/// worker that thinks.
async fn calls_stopped(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        worker.rpc_async("worker1", sleep_ms, (0,)).await?;
        say("LINKED");
        part.told("STOPPED").await?;
        times_out(|| worker.rpc_async("worker1", sleep_ms, (0,)).timeout(SHORT), SHORT).await?;
        times_out(|| worker.rpc_async("worker1", sleep_ms, (0,)).timeout(SHORT), SHORT).await?;
        say("TIMED-OUT");
        part.told("RESUMED").await?;
        ensure!(worker.rpc_async("worker1", sleep_ms, (7,)).await? == 7, "the link is of use again");
    }
    leave(&worker).await
}

async fn stop_and_resume(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let (caller, stopped) = (stage.process(0)?, stage.process(1)?);
    caller.says("LINKED").await?;
    stopped.stop().await?;
    caller.tell("STOPPED").await?;
    caller.says("TIMED-OUT").await?;
    stopped.resume()?;
    caller.tell("RESUMED").await?;
    stage.all_succeed().await
}
