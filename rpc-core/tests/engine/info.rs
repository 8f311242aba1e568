//! What an engine tells of itself.

use std::time::Duration;

use rpc_core::{FunctionEntry, Kind, LinkState, Tensor};
use rpc_testing::Cluster;

use crate::functions::*;

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_told_by_peer_and_by_function_with_the_oldest() {
    let cluster = Cluster::new(2).await;
    let first = cluster.client(0).rpc_async("worker1", hang, (9, None));
    until_hanging(9, 1).await;
    tokio::time::sleep(Duration::from_millis(70)).await;
    let second = cluster.client(0).rpc_async("worker1", hang, (9, None));
    until_hanging(9, 2).await;

    let mut info = cluster.agent(0).info();
    let method = FunctionEntry::of::<hang>().id().to_wire();
    info.name_functions(|kind, wanted| (kind == Kind::CALL && wanted == method).then(|| "hang".into()));
    assert_eq!(info.requests.active, 2);
    let (peer, oldest) = info.oldest().expect("a call");
    assert_eq!((peer.name.as_str(), oldest.function.name.as_str()), ("worker1", "hang"));
    assert!(oldest.age_ms >= 70, "{oldest:?}");
    let listed = &info.calls.listed;
    assert!(matches!(&listed[..], [one] if one.count == 2 && one.oldest_ms >= 70), "{listed:?}");
    assert_eq!(info.peers[1].in_flight, 2);

    let there = cluster.agent(1).info();
    assert_eq!((there.peers[0].serving, there.serving.listed[0].count), (2, 2));
    assert_eq!(there.serving.listed[0].function.method, method);
    first.cancel();
    second.cancel();
    cluster.assert_idle().await;
    let info = cluster.agent(0).info();
    assert_eq!((info.oldest(), info.calls.listed.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_counts_until_it_is_answered() {
    let cluster = Cluster::new(2).await;
    cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap();
    cluster.network().set_delay(cluster.address(1), cluster.address(0), Duration::from_secs(5));
    let call = cluster.client(0).rpc_async("worker1", add, (1, 2)).timeout(Duration::from_millis(10));
    call.await.unwrap_err();
    let info = cluster.agent(0).info();
    assert_eq!((info.peers[1].in_flight, info.peers[1].given_up, info.oldest()), (1, 1, None));
}

#[tokio::test]
async fn messages_and_their_bytes_are_counted_by_peer_in_both_directions() {
    let cluster = Cluster::new(3).await;
    let layer = Tensor::from_vec(vec![0.0_f32; 1000], [1000]).unwrap();
    let sample = Sample { label: None, layers: vec![layer] };
    cluster.client(0).rpc_async("worker1", double, (sample,)).await.unwrap();
    cluster.client(0).rpc_async("worker0", add, (1, 2)).await.unwrap();
    cluster.assert_idle().await;
    let (here, there) = (cluster.agent(0).info(), cluster.agent(1).info());
    let (out, back) = (here.peers[1].traffic, there.peers[0].traffic);
    assert_eq!((out.messages_sent, out.messages_received), (1, 1));
    assert!(out.bytes_sent > 4000 && out.bytes_received > 4000, "{out:?}");
    assert_eq!((out.bytes_sent, out.bytes_received), (back.bytes_received, back.bytes_sent));
    assert_eq!((here.peers[0].traffic, here.peers[2].traffic), Default::default(), "its own, and none");
    assert_eq!(here.peers[1].link, LinkState::Up { number: 1, carrier: "memory".into() });
    assert_eq!(here.peers[2].link, LinkState::None);
}
