//! Functions that wait, run for values that stay where they are, and the futures of those values.

use anyhow::{Context, Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;

use super::common::{LATE, after, is_confirmed, never, new_tally, not_made, on_all, on_first, sum_of};

const SHORT: Duration = Duration::from_millis(200);

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[rpc::function]
async fn async_raise() -> Result<i64, String> {
    tokio::task::yield_now().await;
    Err("expected".into())
}

#[rpc::function]
async fn async_panic() -> i64 {
    tokio::task::yield_now().await;
    panic!("expected")
}

/// One call of another worker, and one after the other.
#[rpc::function]
async fn async_add_chained(to: i64, a: i64, b: i64, c: i64) -> Result<i64, CallError> {
    let worker = Worker::current();
    let sum = worker.rpc_async(to, add, (a, b)).await?;
    worker.rpc_async(to, add, (sum, c)).await
}

/// The same on `to`, which asks the next.
#[rpc::function]
async fn async_add_nested(to: i64, a: i64, b: i64, c: i64) -> Result<i64, CallError> {
    let worker = Worker::current();
    let made = worker.remote(to, async_add_chained, (after(&worker, 1), a, b, c))?;
    made.to_here().await
}

#[rpc::function]
async fn async_add_multi_chained(to: i64, start: i64, times: i64, step: i64) -> Result<i64, CallError> {
    let worker = Worker::current();
    let mut sum = start;
    for _ in 0..times {
        sum = worker.rpc_async(to, add, (sum, step)).await?;
    }
    Ok(sum)
}

#[rpc::function]
async fn async_add_multi_fanout(to: i64, times: i64, n: i64) -> Result<i64, CallError> {
    let worker = Worker::current();
    let made: Result<Vec<_>, _> = (0..times).map(|_| worker.remote(to, add, (n, 0))).collect();
    let mut sum = 0;
    for rref in made? {
        sum += rref.to_here().await?;
    }
    Ok(sum)
}

/// A value of a value of a value: each is waited for by who needs it.
#[rpc::function]
async fn add_to(rref: RRef<i64>, n: i64) -> Result<i64, CallError> {
    Ok(rref.to_here().await? + n)
}

/// Its caller awaits what it returns, so it returns what it awaits.
#[rpc::function]
async fn created_there(to: i64) -> Result<RRef<i64>, CallError> {
    let rref = Worker::current().remote(to, sum_of, (1, 2, 3))?;
    rref.created().await?;
    Ok(rref)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_first("rref_async::rref_get_future", 2, get_future),
        on_first("rref_async::async_function_raise_remote", 2, raise),
        on_all("rref_async::async_function_chained_remote", 3, chained),
        on_all("rref_async::async_function_nested_remote", 3, nested),
        on_all("rref_async::async_function_multi_chained_remote", 3, multi_chained),
        on_all("rref_async::async_function_multi_fanout_remote", 3, multi_fanout),
        on_all("rref_async::async_class_method_remote", 2, class_method),
        on_all("rref_async::return_future_remote", 3, return_future),
        on_first("rref_async::values_of_values", 3, values_of_values),
        on_first("rref_async::given_up_and_asked_again", 2, asked_again),
    ]
}

async fn get_future(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, sum_of, (1, 2, 3))?;
        let futures = [rref.created(), rref.created(), rref.created()];
        for future in futures {
            future.await?;
        }
        is_confirmed(&rref).await?;
        // One that nobody waits for keeps nothing.
        drop(rref.created());
    }
    Ok(())
}

async fn raise(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, async_raise, ())?;
        let error = not_made(rref.to_here().await)?;
        ensure!(error.creation_error::<String>().as_deref() == Some("expected"), "{error}");
        let error = not_made(worker.remote(to, async_panic, ())?.created().await)?;
        ensure!(error.to_string().contains("panicked") && error.to_string().contains("expected"), "{error}");
    }
    Ok(())
}

async fn chained(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), async_add_chained, (after(worker, 2), 1, 2, 3))?;
    ensure!(rref.to_here().await? == 6);
    Ok(())
}

async fn nested(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), async_add_nested, (after(worker, 2), 1, 2, 3))?;
    ensure!(rref.to_here().await? == 6);
    Ok(())
}

async fn multi_chained(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), async_add_multi_chained, (after(worker, 2), 1, 20, 2))?;
    ensure!(rref.to_here().await? == 41);
    Ok(())
}

async fn multi_fanout(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), async_add_multi_fanout, (after(worker, 2), 20, 3))?;
    ensure!(rref.to_here().await? == 60);
    Ok(())
}

async fn class_method(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), new_tally, (1,))?;
    let made: Result<Vec<_>, _> = (0..20).map(|_| rref.remote().get_later()).collect();
    drop(rref);
    for made in made? {
        ensure!(made.to_here().await? == 1, "the value lived until its methods had ended");
    }
    Ok(())
}

async fn return_future(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), created_there, (after(worker, 2),))?;
    ensure!(rref.to_here().await?.to_here().await? == 6);
    Ok(())
}

/// Each value is asked for before the one that it is made of is there.
async fn values_of_values(worker: &Worker) -> Result<()> {
    let mut rref = worker.remote(0, sum_of, (0, 0, 0))?;
    for n in 1..=30 {
        rref = worker.remote(n % 3, add_to, (rref, n))?;
    }
    ensure!(rref.to_here().await? == 465);
    Ok(())
}

/// A future is given up; the reference is not.
async fn asked_again(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, new_tally, (1,))?;
        let waiting = rref.to_here();
        waiting.cancel();
        if let Err(error) = waiting.await {
            ensure!(matches!(error.failure(), Some(Failure::Cancelled { .. })), "{error}");
        }
        ensure!(rref.to_here().timeout(LATE).await?.n == 1);
        // Values are made even if nobody wants them any more, as long as the request's own time lasts.
        let endless = worker.with_timeout(SHORT).remote(to, never, ())?;
        let waiting = endless.created();
        waiting.cancel();
        let error = waiting.await.err().context("a cancelled call")?;
        ensure!(matches!(error.failure(), Some(Failure::Cancelled { .. })), "{error}");
    }
    Ok(())
}
