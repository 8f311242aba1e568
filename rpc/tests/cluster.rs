//! A program's own functions in a test cluster: no sockets, and a clock that can be paused.

use std::time::Duration;

#[cfg(feature = "collectives")]
use rpc::CollectiveError;
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

/// Meets the others, in a function, and says what it has seen of who is missing.
#[cfg(feature = "collectives")]
#[rpc::function]
async fn meet(n: u64) -> Result<u64, CollectiveError> {
    Ok(Worker::current().all_gather(n).await?.into_values().sum())
}

#[cfg(feature = "collectives")]
#[tokio::test(start_paused = true)]
async fn workers_over_the_clients_of_a_cluster_meet_in_collectives() {
    let cluster = Cluster::new(3).await;
    let names = ["worker0", "worker1", "worker2"];
    let workers = names.map(|name| Worker::over(cluster.client(name)));
    let (early, own) = (workers[1].barrier(), workers[1].with_timeout(Duration::from_secs(5)));
    tokio::time::sleep(Duration::from_secs(1)).await; // it is at the leader
    let map = workers[0].debug_info().to_map();
    let told = |name: &str| map.get(name).map(String::as_str);
    assert_eq!(told("collectives.0.operation"), Some("barrier"));
    assert_eq!(told("collectives.0.missing"), Some("worker0, worker2"));
    assert_eq!(tokio::join!(workers[0].barrier(), early, workers[2].barrier()), (Ok(()), Ok(()), Ok(())));
    assert!(workers[0].debug_info().collectives.is_empty());

    // Within functions, whose worker is another handle to the same.
    let sums = workers[0].broadcast_call(meet, (2,)).await;
    assert!(sums.values().all(|sum| *sum == Ok(6)), "{sums:?}");
    let alone = own.all_gather(1).await.unwrap_err();
    assert_eq!(alone.missing().len(), 2, "{alone}");
    // For as long as somebody holds them.
    let [first, second, _] = workers;
    drop((first, own));
    let nobody = second.barrier().await.unwrap_err();
    assert!(matches!(nobody, CollectiveError::NotServed { .. }), "{nobody}");
    cluster.shutdown().await.unwrap();
}
