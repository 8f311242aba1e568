//! A program's own functions in a test cluster: no sockets, and a clock that can be paused.

use std::time::Duration;

use rpc::prelude::*;
use rpc_testing::Cluster;

#[rpc::function]
async fn slow_square(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_secs(10)).await;
    n * n
}

/// Calls on, as functions of programs do.
#[rpc::function]
async fn square_on(to: String, n: u64) -> Result<(u64, String), CallError> {
    let worker = Worker::current();
    Ok((worker.rpc_async(&to, slow_square, (n,)).await?, worker.name().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn functions_that_use_their_worker_run_in_a_cluster_too() {
    let cluster = Cluster::new(3).await;
    let client = cluster.client("worker0");
    let answer = client.rpc_async("worker1", square_on, ("worker2".into(), 5)).await.unwrap();
    assert_eq!(answer, (25, "worker1".into()));

    cluster.kill("worker2");
    let error = client.rpc_async("worker1", square_on, ("worker2".into(), 5)).await.unwrap_err();
    let inner = error.handler_error().expect("the handler passes on what it got");
    assert_eq!((inner.to().as_str(), inner.handler_ran()), ("worker2", HandlerRan::No));
    cluster.shutdown().await.unwrap();
}
