//! `max_concurrency`: who runs, who waits, who is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_core::{EngineConfig, Failure, HandlerRan};
use rpc_macros::function;
use rpc_testing::Cluster;
use tokio::sync::{RwLock, Semaphore};

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static BLOCKING: AtomicUsize = AtomicUsize::new(0);
static GO: Semaphore = Semaphore::const_new(0);
/// Written by who holds blocking functions up.
static HOLD: RwLock<()> = RwLock::const_new(());

#[function(crate = "rpc_core", max_concurrency = 3)]
async fn crowded(ms: u64) -> u64 {
    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    ms
}

#[function(crate = "rpc_core", max_concurrency = 1, max_waiting = 2)]
async fn narrow(n: u64) -> u64 {
    GO.acquire().await.expect("nobody closes it").forget();
    n
}

#[function(crate = "rpc_core", max_concurrency = 1)]
fn one_thread() -> usize {
    let beside = BLOCKING.fetch_add(1, Ordering::SeqCst);
    drop(HOLD.blocking_read());
    BLOCKING.fetch_sub(1, Ordering::SeqCst);
    beside
}

#[function(crate = "rpc_core", max_concurrency = 1)]
fn panics(really: bool) -> u64 {
    assert!(!really, "as told");
    1
}

#[function(crate = "rpc_core", max_concurrency = 1)]
fn in_turn(n: u64) -> u64 {
    n
}

static APART: Semaphore = Semaphore::const_new(0);

#[function(crate = "rpc_core", max_concurrency = 1)]
async fn apart() {
    APART.acquire().await.expect("nobody closes it").forget();
}

#[function(crate = "rpc_core")]
fn whenever(n: u64) -> u64 {
    n
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_a_time_than_the_limit_whoever_calls_and_all_get_their_turn() {
    let cluster = Cluster::new(3).await;
    let callers = ["worker0", "worker1", "worker2"].map(|name| cluster.client(name));
    let calls: Vec<_> = (0..30).map(|n| callers[n % 3].rpc_async("worker2", crowded, (10,))).collect();
    let begun = tokio::time::Instant::now();
    for call in calls {
        assert_eq!(call.await, Ok(10));
    }
    assert_eq!(MOST.load(Ordering::Relaxed), 3);
    assert!(begun.elapsed() >= Duration::from_millis(100), "thirty of 10 ms, three at a time");
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn beyond_those_that_may_wait_calls_are_refused_and_who_gives_up_makes_room() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0");
    let running = client.rpc_async("worker1", narrow, (0,));
    let second = client.rpc_async("worker1", narrow, (1,));
    let third = client.rpc_async("worker1", narrow, (2,));
    let refused = client.rpc_async("worker1", narrow, (3,)).await.unwrap_err();
    assert_eq!(refused.handler_ran(), HandlerRan::No);
    let Some(Failure::Overloaded { bound, limit }) = refused.failure() else { panic!("{refused}") };
    assert_eq!((bound.as_str(), *limit), ("max_waiting of engine::limits::narrow", 2));

    second.cancel();
    assert!(second.await.is_err());
    tokio::time::sleep(Duration::from_millis(1)).await; // the cancel has arrived
    let late = client.rpc_async("worker1", narrow, (4,)).timeout(Duration::from_secs(5));
    GO.add_permits(2);
    assert_eq!((running.await, third.await), (Ok(0), Ok(2)));
    assert!(late.await.unwrap_err().is_timeout(), "it had its turn and nothing to go on with");
    GO.add_permits(1);
    assert_eq!(client.rpc_async("worker1", narrow, (5,)).await, Ok(5));
    cluster.assert_idle().await;
}

#[tokio::test]
async fn calls_that_wait_hold_no_thread() {
    const CALLS: u64 = 100;
    let cluster = Cluster::new(2).await;
    let (client, callee) = (cluster.client("worker0"), cluster.client("worker1"));
    let held = HOLD.write().await;
    let calls: Vec<_> = (0..CALLS).map(|_| client.rpc_async("worker1", one_thread, ())).collect();
    while callee.agent().info().peers.iter().map(|peer| peer.serving).sum::<u64>() < CALLS {
        tokio::task::yield_now().await;
    }
    assert_eq!(callee.agent().info().threads.all, 1, "of the one that runs");
    drop(held);
    for call in calls {
        assert_eq!(call.await, Ok(0), "none beside it");
    }
}

#[tokio::test]
async fn a_panic_gives_the_turn_back() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0");
    assert!(client.rpc_async("worker1", panics, (true,)).await.is_err());
    assert_eq!(client.rpc_async("worker1", panics, (false,)).await, Ok(1));
}

#[tokio::test]
async fn each_function_has_turns_of_its_own() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client("worker0");
    let running = client.rpc_async("worker1", apart, ());
    assert_eq!(client.rpc_async("worker1", in_turn, (1,)).await, Ok(1));
    assert!(!running.is_done(), "it has the only turn of its own");
    APART.add_permits(1);
    assert_eq!(running.await, Ok(()));
}

/// Whose turn begins finds the thread of the one before, and who has an answer finds the thread that gave it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_more_threads_than_turns_nobody_is_refused() {
    let config = EngineConfig { blocking_threads_max: 1, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let client = cluster.client("worker0");
    let calls: Vec<_> = (0..500).map(|n| client.rpc_async("worker1", in_turn, (n,))).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await, Ok(n as u64));
    }
    for n in 0..500 {
        assert_eq!(client.rpc_async("worker1", whenever, (n,)).await, Ok(n));
    }
}
