//! Links that are made, lost and made again.

use std::time::Duration;

use rpc_core::{Failure, HandlerRan};
use rpc_testing::Cluster;

use crate::functions::*;

fn link(cluster: &Cluster, at: i64, peer: &str) -> String {
    let key = format!("peer.{peer}.link");
    cluster.agent(at).debug_info().into_iter().find(|(name, _)| *name == key).expect("a peer").1
}

#[tokio::test(start_paused = true)]
async fn workers_that_dial_each_other_at_once_share_one_link() {
    let cluster = Cluster::new(2).await;
    cluster.network().set_delay(cluster.address(0), cluster.address(1), Duration::from_millis(10));
    cluster.network().set_delay(cluster.address(1), cluster.address(0), Duration::from_millis(10));
    let there = cluster.client(0).rpc_async("worker1", add, (1, 2));
    let back = cluster.client(1).rpc_async("worker0", add, (3, 4));
    assert_eq!((there.await.unwrap(), back.await.unwrap()), (3, 7));
    assert_eq!(
        (link(&cluster, 0, "worker1"), link(&cluster, 1, "worker0")),
        ("up, number 1, memory".into(), "up, number 1, memory".into())
    );
    let agent = format!("{:?}", cluster.agent(0));
    assert!(agent.contains(r#"links: {"worker1": "memory"}"#), "{agent}");
}

/// EN-4
#[tokio::test(start_paused = true)]
async fn a_lost_link_fails_the_calls_on_it_stops_their_handlers_and_the_next_call_dials() {
    let cluster = Cluster::new(2).await;
    let call = cluster.client(0).rpc_async("worker1", hang, (5, None));
    until_hanging(5, 1).await;
    cluster.cut("worker0", "worker1");
    let error = call.await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { ran: HandlerRan::Unknown, .. })), "{error}");
    until_hanging(5, 0).await;
    assert_eq!(cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap(), 3);
    assert_eq!(link(&cluster, 0, "worker1"), "up, number 2, memory");
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_gone_is_unreachable_and_its_handler_did_not_run() {
    let cluster = Cluster::new(2).await;
    cluster.kill("worker1");
    let begin = tokio::time::Instant::now();
    let error = cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
    assert_eq!(error.handler_ran(), HandlerRan::No);
    assert!(begin.elapsed() < Duration::from_secs(1), "promptly, not at the call's timeout");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_link_end_at_their_timeout_and_are_not_sent_later() {
    let cluster = Cluster::new(2).await;
    cluster.partition("worker0", "worker1");
    let call = cluster.client(0).rpc_async("worker1", hang, (6, None)).timeout(Duration::from_secs(1));
    let error = call.await.unwrap_err();
    assert_eq!(error.handler_ran(), HandlerRan::No, "{error}");
    cluster.heal("worker0", "worker1");
    assert_eq!(cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap(), 3);
    until_hanging(6, 0).await;
    cluster.assert_idle().await;
}
