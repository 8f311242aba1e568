//! How workers leave.

use std::sync::Arc;

use rpc::prelude::*;
use rpc::{BlockingShutdownError, IoRuntime, Shutdown, ShutdownError};

use crate::support::{builder, cluster, cluster_with, dedicated_cluster, shut_down, shut_down_blocking};

#[rpc::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[rpc::function]
async fn never() {
    std::future::pending().await
}

#[rpc::function]
fn shuts_down() -> bool {
    Worker::current().shutdown_blocking() == Err(BlockingShutdownError::WouldBlock)
}

#[tokio::test]
async fn calls_after_shutdown_say_so_and_a_second_shutdown_ends_like_the_first() {
    let [worker, other] = cluster().await;
    shut_down([worker.clone(), other]).await;
    for to in ["worker0", "worker1"] {
        let error = worker.rpc_async(to, add, (1.0, 2.0)).await.unwrap_err();
        assert_eq!(error.failure(), Some(&Failure::ShutDown), "{to}");
    }
    assert_eq!(worker.shutdown().await.unwrap().lost, []);
    assert_eq!(worker.shutdown_with(Shutdown::Immediate).await.unwrap().lost, []);
}

#[tokio::test]
async fn a_job_can_start_again_in_the_same_process_and_store() {
    let store = Arc::default();
    for _ in 0..3 {
        let (first, second) = tokio::join!(builder(0, 2, &store).init(), builder(1, 2, &store).init());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.rpc_async(1, add, (1.0, 2.0)).await.unwrap(), 3.0);
        shut_down([first, second]).await;
    }
}

#[test]
fn a_job_with_runtimes_of_its_own_can_start_again() {
    for _ in 0..3 {
        let workers: [Worker; 2] = dedicated_cluster();
        assert_eq!(workers[0].rpc_sync(1, add, (1.0, 2.0)).unwrap(), 3.0);
        shut_down_blocking(workers);
    }
}

#[tokio::test]
async fn a_graceful_shutdown_names_the_worker_that_did_not_come() {
    let [worker, other] = cluster().await;
    let how = Shutdown::Graceful { timeout: Some(Duration::from_millis(50)) };
    match worker.shutdown_with(how).await.unwrap_err() {
        ShutdownError::TimedOut { missing, .. } => assert_eq!(missing, [other.info().clone()]),
        unexpected => panic!("{unexpected}"),
    }
}

#[tokio::test]
async fn dropping_the_last_handle_leaves_at_once_and_fails_the_calls_of_others() {
    for runtime in [IoRuntime::Current, IoRuntime::Dedicated] {
        let [worker, other] = cluster_with(|builder| builder.runtime(runtime)).await;
        assert_eq!(worker.rpc_async(1, add, (1.0, 2.0)).await.unwrap(), 3.0);
        let call = worker.rpc_async(1, never, ());
        let clone = other.clone();
        drop(other);
        assert_eq!(worker.rpc_async(1, add, (1.0, 2.0)).await.unwrap(), 3.0);
        drop(clone);
        let error = call.await.unwrap_err();
        assert!(
            matches!(error.failure(), Some(Failure::Departed | Failure::LinkLost { .. })),
            "{runtime:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_dropped_shutdown_goes_on_in_the_background() {
    let [worker, other] = cluster().await;
    drop(tokio::time::timeout(Duration::ZERO, worker.shutdown()).await);
    assert_eq!(other.shutdown().await.unwrap().lost, []);
}

#[tokio::test]
async fn a_handler_that_would_wait_for_itself_is_told() {
    let [worker, other] = cluster().await;
    assert!(worker.rpc_async(1, shuts_down, ()).await.unwrap());
    assert_eq!(worker.shutdown_blocking(), Err(BlockingShutdownError::WouldBlock));
    shut_down([worker, other]).await;
}

#[test]
fn a_worker_outlives_the_runtime_that_drove_it_without_a_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [worker] = runtime.block_on(cluster());
    drop(runtime);
    drop(worker);
}
