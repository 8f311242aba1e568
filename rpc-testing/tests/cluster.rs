//! Calls between workers of one process while their network misbehaves, on a paused clock.

use std::sync::OnceLock;
use std::time::Duration;

use rpc_core::{
    BoxFuture, CallError, EngineConfig, Failure, FunctionBody, FunctionTable, HandlerRan, Never,
    RemoteFunction, Shutdown,
};
use rpc_testing::{Cluster, ClusterError, MemoryNetwork, Rule};
use tokio::time::Instant;

#[derive(Clone, Copy)]
struct Add;

impl RemoteFunction for Add {
    type Args = (u64, u64);
    type Output = u64;
    type Error = Never;
    const NAME: &'static str = "cluster::add";
    const SIGNATURE: &'static str = "fn(u64, u64) -> u64";
    const BODY: FunctionBody<(u64, u64), u64, Never> = FunctionBody::Inline(|(a, b)| Ok(a + b));
}

/// Answers after so many milliseconds.
#[derive(Clone, Copy)]
struct Wait;

impl RemoteFunction for Wait {
    type Args = (u64,);
    type Output = u64;
    type Error = Never;
    const NAME: &'static str = "cluster::wait";
    const SIGNATURE: &'static str = "async fn(u64) -> u64";
    const BODY: FunctionBody<(u64,), u64, Never> =
        FunctionBody::Async(|(ms,)| -> BoxFuture<'static, Result<u64, Never>> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(ms)
            })
        });
}

fn functions() -> FunctionTable {
    static TABLE: OnceLock<FunctionTable> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table = FunctionTable::new();
        table.add(Add).expect("names differ");
        table.add(Wait).expect("names differ");
        table
    });
    table.clone()
}

async fn cluster<const N: usize>(names: [&str; N]) -> Cluster {
    let cluster = Cluster::builder().workers(names).functions(functions()).build();
    cluster.await.expect("the cluster is sound")
}

#[tokio::test(start_paused = true)]
async fn every_worker_calls_every_other_and_itself_by_name_and_rank() {
    let cluster = cluster(["ps", "trainer0", "trainer1"]).await;
    for from in 0..3 {
        for to in 0..3 {
            assert_eq!(
                cluster.client(from).rpc_async(to, Add, (from as u64, 10)).await,
                Ok(from as u64 + 10)
            );
        }
    }
    assert_eq!(cluster.client("trainer1").rpc_async("ps", Add, (1, 2)).await, Ok(3));
    cluster.assert_idle().await;
    assert_eq!(cluster.shutdown().await.expect("all leave together").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_paid_once_for_the_dial_and_once_for_each_way() {
    let cluster = cluster(["a", "b"]).await;
    let ms = Duration::from_millis;
    cluster.network().set_delay(cluster.address(0), cluster.address(1), ms(10));
    cluster.network().set_delay(cluster.address(1), cluster.address(0), ms(3));
    cluster.client(0).rpc_async(1, Add, (1, 1)).await.unwrap();
    let start = Instant::now();
    cluster.client(0).rpc_async(1, Wait, (5,)).await.unwrap();
    assert_eq!(start.elapsed(), ms(18));
}

#[tokio::test(start_paused = true)]
async fn a_cut_fails_the_call_in_flight_and_the_next_one_succeeds() {
    let cluster = cluster(["a", "b"]).await;
    let replies = cluster.network().add(Rule::hold().replies());
    let call = cluster.client(0).rpc_async(1, Add, (1, 2));
    cluster.network().until_held(1).await;
    assert_eq!(cluster.cut(0, 1), 1);
    let error = call.await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    assert_ne!(error.handler_ran(), HandlerRan::No, "it ran; only its reply was lost");

    replies.remove();
    assert_eq!(cluster.client(0).rpc_async(1, Add, (1, 2)).await, Ok(3));
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_into_a_partition_ends_at_its_deadline() {
    let cluster = cluster(["a", "b"]).await;
    cluster.client(0).rpc_async(1, Add, (1, 2)).await.unwrap();
    cluster.partition(0, 1);
    let start = Instant::now();
    let timeout = Duration::from_millis(250);
    let error = cluster.client(0).rpc_async(1, Add, (1, 2)).timeout(timeout).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(start.elapsed(), timeout);
    cluster.heal(0, 1);
    assert_eq!(cluster.client(0).rpc_async(1, Add, (1, 2)).await, Ok(3));
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_fails_its_callers_at_once_and_the_rest_goes_on() {
    let cluster = cluster(["a", "b", "c"]).await;
    let call = cluster.client("a").rpc_async("b", Wait, (60_000,));
    cluster.client("a").rpc_async("b", Add, (1, 1)).await.unwrap();
    let start = Instant::now();
    cluster.kill("b");
    let error = call.await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    let error = cluster.client("a").rpc_async("b", Add, (1, 1)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
    assert_eq!(cluster.client("a").rpc_async("c", Add, (1, 1)).await, Ok(2));
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_without_a_killed_worker_names_it_as_lost() {
    let cluster = cluster(["a", "b", "c"]).await;
    cluster.kill("c");
    let reports = cluster.shutdown().await.expect("the others leave together");
    for report in reports {
        let lost: Vec<&str> = report.lost.iter().map(|worker| worker.name.as_str()).collect();
        assert_eq!(lost, ["c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_left_is_told_from_one_that_died() {
    let cluster = cluster(["a", "b"]).await;
    cluster.client(0).rpc_async(1, Add, (1, 1)).await.unwrap();
    cluster.agent(1).shutdown(Shutdown::Immediate).await.unwrap();
    let error = cluster.client(0).rpc_async(1, Add, (1, 1)).await.unwrap_err();
    assert!(matches!(error, CallError::Failed { failure: Failure::Departed, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "in_flight = 1")]
async fn a_call_under_way_is_not_idle() {
    let cluster = cluster(["a", "b"]).await;
    let _call = cluster.client(0).rpc_async(1, Wait, (60_000,));
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_bound_of_the_cluster_holds_and_its_network_may_be_shared() {
    let network = MemoryNetwork::new();
    let _other = network.transport();
    let config = EngineConfig { in_flight_max: 1, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["a", "b"]).functions(functions()).config(config);
    let cluster = cluster.network(network).build().await.unwrap();
    assert_eq!(cluster.address("a"), "memory:1");
    let slow = cluster.client(0).rpc_async(1, Wait, (10,));
    let error = cluster.client(0).rpc_async(1, Add, (1, 1)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    assert_eq!(slow.await, Ok(10));
}

#[tokio::test]
async fn names_that_clash_or_break_the_rule_are_errors() {
    let clash = Cluster::builder().workers(["a", "a"]).build().await.unwrap_err();
    assert!(matches!(clash, ClusterError::Group(_)), "{clash}");
    let bad = Cluster::builder().workers(["a b"]).build().await.unwrap_err();
    assert!(matches!(bad, ClusterError::Name(_)), "{bad}");
}

#[tokio::test]
#[should_panic(expected = "there is no worker rank 2")]
async fn a_worker_that_is_not_there_is_named() {
    Cluster::new(2).await.client(2);
}
