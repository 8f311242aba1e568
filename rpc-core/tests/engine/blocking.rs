//! Waiting on threads.

use rpc_core::Failure;
use rpc_testing::Cluster;

use crate::functions::*;

/// EN-2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_blocking_calls_nested_three_deep_all_end() {
    let cluster = Cluster::new(2).await;
    let calls: Vec<_> = (0..200).map(|_| cluster.client(0).rpc_async("worker1", nest, (3,))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 3);
    }
    cluster.assert_idle().await;
}

/// EN-2
#[tokio::test]
async fn the_same_on_one_thread() {
    let cluster = Cluster::new(3).await;
    let calls: Vec<_> = (0..200).map(|_| cluster.client(0).rpc_async("worker1", nest, (3,))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 3);
    }
}

#[test]
fn plain_threads_wait_while_a_runtime_elsewhere_does_the_work() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = runtime.block_on(Cluster::new(2));
    let client = cluster.client(0).clone();
    let waiters: Vec<_> = (0..4)
        .map(|i| {
            let client = client.clone();
            std::thread::spawn(move || client.rpc_sync("worker1", add, (i, i)).unwrap())
        })
        .collect();
    let done =
        std::thread::spawn(move || waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum::<i64>());
    let sum =
        runtime.block_on(async { tokio::task::spawn_blocking(move || done.join().unwrap()).await.unwrap() });
    assert_eq!(sum, 12);
}

#[tokio::test]
async fn waiting_where_it_would_stop_the_runtime_is_an_error() {
    let cluster = Cluster::new(2).await;
    let error = cluster.client(0).rpc_sync("worker1", add, (1, 2)).unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::WouldBlock));
    let inside = cluster.client(0).rpc_async("worker1", sync_inside_async, ()).await.unwrap();
    assert!(inside.unwrap().contains("await rpc_async instead"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn waiting_within_a_runtime_of_many_threads_works() {
    let cluster = Cluster::new(2).await;
    assert_eq!(cluster.client(0).rpc_sync("worker1", add, (1, 2)).unwrap(), 3);
    let inside = cluster.client(0).rpc_async("worker1", sync_inside_async, ()).await.unwrap();
    assert!(inside.is_some(), "an async handler must not wait on any runtime");
}

/// EN-2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_wait_on_threads_of_the_runtime_do_not_use_them_up() {
    let cluster = Cluster::new(2).await;
    let waiters: Vec<_> = (0..700)
        .map(|_| {
            let client = cluster.client(0).clone();
            tokio::spawn(async move { client.rpc_sync("worker1", sleep_ms, (200,)) })
        })
        .collect();
    for waiter in waiters {
        if let Err(error) = waiter.await.unwrap() {
            assert_eq!(error.failure(), Some(&Failure::WouldBlock), "{error}");
        }
    }
    assert_eq!(cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap(), 3);
}
