//! Functions that return a future: what torch calls `async_execution`. The reply goes out when the future completes, and
//! nothing is held meanwhile. The same through references is in `rref_async`.

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::{BoxFuture, EngineConfig};

use super::by_call;

/// How many of them wait at a time on a worker that has one thread for functions.
const WAITING: usize = 300;

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[rpc::function]
fn simple(to: i64, a: i64, b: i64) -> RpcFuture<i64> {
    Worker::current().rpc_async(to, add, (a, b))
}

#[rpc::function]
fn raise() -> BoxFuture<'static, Result<i64, String>> {
    Box::pin(async {
        tokio::task::yield_now().await;
        Err("expected".to_owned())
    })
}

/// It fails before there is a future.
#[rpc::function]
fn raise_at_once() -> BoxFuture<'static, i64> {
    panic!("expected")
}

/// The future of a promise that somebody else keeps.
#[rpc::function]
fn future_ctor(a: i64, b: i64) -> SharedFuture<i64> {
    let (promise, future) = Worker::current().promise();
    tokio::spawn(async move {
        tokio::task::yield_now().await;
        promise.set(a + b);
    });
    future
}

/// What a callback makes of another worker's call.
#[rpc::function]
fn by_callback(to: i64, a: i64, b: i64, c: i64) -> SharedFuture<i64> {
    Worker::current().rpc_async(to, add, (a, b)).then(move |sum| Ok(sum? + c))
}

#[rpc::function]
fn chained(to: i64, a: i64, b: i64, c: i64) -> impl Future<Output = Result<i64, CallError>> {
    let worker = Worker::current();
    let first = worker.rpc_async(to, add, (a, b));
    async move { worker.rpc_async(to, add, (first.await?, c)).await }
}

/// The call of a function that itself returns a call.
#[rpc::function]
fn nested(via: i64, to: i64, a: i64, b: i64) -> RpcFuture<i64, CallError> {
    Worker::current().rpc_async(via, simple, (to, a, b))
}

#[rpc::function]
fn multi_chained(to: i64, start: i64, times: i64, step: i64) -> BoxFuture<'static, Result<i64, CallError>> {
    let worker = Worker::current();
    Box::pin(async move {
        let next = async |sum| worker.rpc_async(to, add, (sum, step)).await;
        let mut sum = start;
        for _ in 0..times {
            sum = next(sum).await?;
        }
        Ok(sum)
    })
}

#[rpc::function]
fn multi_fanout(to: i64, times: i64, n: i64) -> impl Future<Output = Result<i64, CallError>> {
    let worker = Worker::current();
    let calls: Vec<_> = (0..times).map(|_| worker.rpc_async(to, add, (n, 0))).collect();
    async move {
        let mut sum = 0;
        for call in calls {
            sum += call.await?;
        }
        Ok(sum)
    }
}

/// A type with functions that wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Adder {
    to: i64,
}

#[rpc::methods]
impl Adder {
    #[rpc(function = static_add)]
    async fn add_on(to: i64, a: i64, b: i64) -> Result<i64, CallError> {
        Worker::current().rpc_async(to, add, (a, b)).await
    }

    #[rpc(function = class_add)]
    async fn add(&self, a: i64, b: i64) -> Result<i64, CallError> {
        Self::add_on(self.to, a, b).await
    }
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        by_call("async_execution::async_function_simple", 3, function_simple),
        by_call("async_execution::async_function_raise", 2, function_raise),
        by_call("async_execution::async_function_with_future_ctor", 2, with_future_ctor),
        by_call("async_execution::async_function_chained", 3, function_chained),
        by_call("async_execution::async_function_nested", 3, function_nested),
        by_call("async_execution::async_function_multi_chained", 3, function_multi_chained),
        by_call("async_execution::async_function_multi_fanout", 3, function_multi_fanout),
        by_call("async_execution::async_class_method", 3, class_method),
        Scenario::new("async_execution::waiting_ones_hold_no_thread", 2, hold_no_thread),
    ]
}

async fn function_simple(worker: &Worker) -> Result<()> {
    for via in ["worker1", "worker0"] {
        for to in 0..3 {
            ensure!(worker.rpc_async(via, simple, (to, 1, 2)).await? == 3);
        }
        ensure!(worker.rpc_sync(via, simple, (2, 1, 2))? == 3);
        // What befalls the inner call is an error of the function.
        let error = worker.rpc_async(via, simple, (7, 1, 2)).await.err().context("there is no worker7")?;
        let inner = error.handler_error().and_then(CallError::failure);
        ensure!(matches!(inner, Some(Failure::UnknownWorker { .. })), "{error}");
        ensure!(error.to_string().contains(via), "{error}");
    }
    Ok(())
}

async fn function_raise(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let errors = [worker.rpc_async(to, raise, ()).await.err(), worker.rpc_sync(to, raise, ()).err()];
        for error in errors {
            let error = error.context("it raises")?;
            ensure!(error.handler_error().map(String::as_str) == Some("expected"), "{error}");
        }
        let error = worker.rpc_async(to, raise_at_once, ()).await.err().context("it panics")?;
        ensure!(matches!(error.failure(), Some(Failure::Panicked { .. })), "{error}");
        ensure!(worker.rpc_async(to, add, (1, 2)).await? == 3, "the worker lives on");
    }
    Ok(())
}

async fn with_future_ctor(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        ensure!(worker.rpc_async(to, future_ctor, (1, 2)).await? == 3);
        ensure!(worker.remote(to, future_ctor, (1, 2))?.to_here().await? == 3);
    }
    Ok(())
}

async fn function_chained(worker: &Worker) -> Result<()> {
    for (via, to) in [("worker1", 2), ("worker1", 1), ("worker1", 0), ("worker0", 1)] {
        ensure!(worker.rpc_async(via, chained, (to, 1, 2, 3)).await? == 6, "{via}, {to}");
        ensure!(worker.rpc_async(via, by_callback, (to, 1, 2, 3)).await? == 6, "{via}, {to}");
    }
    Ok(())
}

async fn function_nested(worker: &Worker) -> Result<()> {
    for (via, to) in [(2, 1), (1, 2), (0, 0)] {
        ensure!(worker.rpc_async("worker1", nested, (via, to, 1, 2)).await? == 3, "{via}, {to}");
    }
    // Each worker on the way has its place in the error.
    let error = worker.rpc_async("worker1", nested, (2, 7, 1, 2)).await.err().context("no worker7")?;
    let text = error.to_string();
    ensure!(["worker1", "worker2", "7"].iter().all(|part| text.contains(part)), "{text}");
    Ok(())
}

async fn function_multi_chained(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker1", multi_chained, (2, 1, 20, 2)).await? == 41);
    Ok(())
}

async fn function_multi_fanout(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker1", multi_fanout, (2, 20, 3)).await? == 60);
    Ok(())
}

async fn class_method(worker: &Worker) -> Result<()> {
    for via in ["worker1", "worker0"] {
        ensure!(worker.rpc_async(via, static_add, (2, 1, 2)).await? == 3);
        ensure!(worker.rpc_async(via, class_add, (Adder { to: 2 }, 1, 2)).await? == 3);
        // Through a reference the value stays where it is.
        let adder = RRef::new(worker, Adder { to: 2 });
        ensure!(adder.rpc_async().add(1, 2).await? == 3);
    }
    Ok(())
}

/// Calls that wait for each other in a circle of two workers, each of which has one thread for what blocks.
async fn hold_no_thread(part: Part) -> Result<()> {
    let config = EngineConfig { blocking_threads_max: 1, ..EngineConfig::default() };
    let worker = part.builder().config(config).init().await?;
    let calls: Vec<_> = (0..WAITING).map(|_| worker.rpc_async(1, nested, (0, 1, 1, 2))).collect();
    for call in calls {
        ensure!(call.await? == 3);
    }
    leave(&worker).await
}
