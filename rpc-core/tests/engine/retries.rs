//! Calls that are repeated: when, how often, and what stays as it is.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rpc_core::{CallContext, CallScope, Failure, HandlerRan, Retry, RetryBudget, TraceParent};
use rpc_macros::function;
use rpc_testing::{Cluster, Rule};
use tokio::time::Instant;

use crate::functions::{add, sleep_ms};

static READ: AtomicU32 = AtomicU32::new(0);
static WRITTEN: AtomicU32 = AtomicU32::new(0);
static BAD: AtomicU32 = AtomicU32::new(0);

#[function(crate = "rpc_core", idempotent)]
async fn read(n: u32) -> u32 {
    READ.fetch_add(1, Ordering::Relaxed);
    n
}

#[function(crate = "rpc_core")]
async fn write(n: u32) -> u32 {
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    n
}

#[function(crate = "rpc_core", idempotent)]
async fn bad(kind: u32) -> Result<u32, String> {
    BAD.fetch_add(1, Ordering::Relaxed);
    assert!(kind == 0, "as told");
    Err("no".into())
}

#[function(crate = "rpc_core", idempotent, inline)]
fn trace() -> Option<String> {
    CallContext::current()?.trace().map(|parent| parent.to_string())
}

fn retry() -> Retry {
    Retry::default().seed(1)
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_survives_a_lost_reply_and_another_does_not() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0");
    let lost = cluster.network().add(Rule::fail().replies().times(2));
    assert_eq!(client.retrying(retry()).rpc_async("worker1", read, (5,)).await, Ok(5));
    assert_eq!((lost.hits(), READ.load(Ordering::Relaxed)), (2, 3));

    cluster.network().add(Rule::fail().replies().times(1));
    let error = client.retrying(retry()).rpc_async("worker1", write, (5,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    assert_eq!((error.handler_ran(), WRITTEN.load(Ordering::Relaxed)), (HandlerRan::Unknown, 1));
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_surely_did_not_run_is_repeated_whatever_it_is() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0");
    cluster.network().refuse(cluster.address("worker1"));
    let network = cluster.network().clone();
    let address = cluster.address("worker1").to_owned();
    let call = client.retrying(retry().attempts(20)).rpc_async("worker1", add, (1, 2));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(12)).await; // longer than one attempt dials
        network.admit(&address);
    });
    assert_eq!(call.await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn all_attempts_take_no_longer_than_one_call_may() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0").with_timeout(Duration::from_secs(10));
    let _lost = cluster.network().add(Rule::drop().replies());
    let patient =
        retry().attempts(1000).attempt_timeout(Duration::from_secs(1)).budget(RetryBudget::new(0.0, 1000));
    let begun = Instant::now();
    let error = client.retrying(patient).rpc_async("worker1", read, (1,)).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(5) && took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_nothing_is_repeated() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0");
    let lost = cluster.network().add(Rule::fail().replies());
    let client = client.retrying(retry().budget(RetryBudget::new(0.5, 1)));
    for expected in [2, 4, 5, 7, 8] {
        assert!(client.rpc_async("worker1", read, (1,)).await.is_err());
        assert_eq!(lost.hits(), expected, "the one in reserve, and then one for two calls");
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_be_the_same_again_is_not_repeated() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0").retrying(retry());
    assert!(client.rpc_async("worker1", bad, (0,)).await.unwrap_err().handler_error().is_some());
    let panicked = client.rpc_async("worker1", bad, (1,)).await.unwrap_err();
    assert!(matches!(panicked.failure(), Some(Failure::Panicked { .. })));
    assert_eq!(BAD.load(Ordering::Relaxed), 2);
    let nobody = client.rpc_async("nobody", read, (1,)).await.unwrap_err();
    assert!(matches!(nobody.failure(), Some(Failure::UnknownWorker { .. })));
    let late = cluster.client("worker0").with_timeout(Duration::from_millis(5)).retrying(retry());
    assert!(late.rpc_async("worker1", sleep_ms, (50,)).await.unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_in_the_scope_of_the_call() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0").retrying(retry());
    let lost = cluster.network().add(Rule::fail().replies().times(1));
    let scope = CallScope::new().trace(TRACE.parse::<TraceParent>().unwrap());
    let call = scope.run(|| client.rpc_async("worker1", trace, ()));
    assert_eq!(call.await.unwrap().as_deref(), Some(TRACE));
    assert_eq!(lost.hits(), 1);
}

#[test]
fn a_plain_thread_waits_between_attempts() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = runtime.block_on(Cluster::new(2));
    let lost = cluster.network().add(Rule::fail().replies().times(2));
    let quick = retry().delays(Duration::from_millis(1), Duration::from_millis(1));
    assert_eq!(cluster.client("worker0").retrying(quick).rpc_sync("worker1", read, (8,)), Ok(8));
    assert_eq!(lost.hits(), 2);
}
