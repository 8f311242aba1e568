//! The reference protocol while the worker is busy.

use rpc_core::{EngineConfig, Failure};
use rpc_rref::RRef;
use rpc_testing::{Cluster, Rule};

use crate::common::{CONTROL, Refs, ms, secs, within};
use crate::functions::{alive, fresh, gone, keep, open, pass_gate, taken, tracked};

#[rpc_macros::function(crate = "rpc_core")]
async fn wait_at_gate(ticket: u64) {
    pass_gate(ticket).await;
}

async fn small(in_flight_max: usize, workers: usize) -> Refs {
    let config = EngineConfig { in_flight_max, ..EngineConfig::default() };
    let names = (0..workers).map(|worker| format!("worker{worker}"));
    Refs::over(Cluster::builder().workers(names).config(config).build().await.unwrap())
}

/// What is to be sent again waits for its time in a request of the worker to itself.
#[tokio::test(start_paused = true)]
async fn messages_are_sent_again_although_the_worker_has_as_many_calls_to_itself_as_it_may() {
    let refs = small(2, 2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let gate = fresh();
    let busy = [(); 2].map(|()| refs.client(1).rpc_async("worker1", wait_at_gate, (gate,)));
    refs.settle().await;
    let lost = refs.rule(1, 0, Rule::fail().kind(CONTROL).times(3));
    drop(at_1);
    tokio::time::sleep(secs(3)).await;
    assert_eq!(lost.hits(), 3);
    within(secs(3), refs.assert_empty()).await;
    gone(value).await;
    for call in busy {
        open(gate);
        call.await.unwrap();
    }
}

/// More peers than control requests that a worker may have to itself: 64.
#[tokio::test(start_paused = true)]
async fn messages_to_many_peers_whose_links_fail_at_once_are_all_sent_again() {
    const PEERS: usize = 80;
    let refs = Refs::new(PEERS + 1).await;
    let mut at_0 = Vec::new();
    for peer in 1..=PEERS {
        let (mine, _) = refs.own(peer);
        at_0.push(refs.pass(peer, 0, &mine).await);
    }
    refs.settle().await;
    let rules: Vec<_> =
        (1..=PEERS).map(|peer| refs.rule(0, peer, Rule::fail().kind(CONTROL).times(2))).collect();
    drop(at_0);
    within(secs(5), refs.assert_empty()).await;
    assert!(rules.iter().all(|rule| rule.hits() == 2));
}

/// A batch is no larger than a message may be.
#[tokio::test(start_paused = true)]
async fn messages_leave_although_messages_must_be_small() {
    let config = EngineConfig { message_bytes_max: 4_000, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let refs = Refs::over(cluster);
    let mut at_1 = Vec::new();
    for _ in 0..50 {
        let values: Vec<RRef<u64>> = (0..100).map(|n| RRef::new(refs.registry(0), n)).collect();
        let ticket = fresh();
        refs.client(0).rpc_async("worker1", keep_many, (ticket, values)).await.unwrap();
        at_1.push(taken::<Vec<RRef<u64>>>(ticket));
    }
    drop(at_1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn messages_are_sent_although_the_worker_has_as_many_calls_to_the_peer_as_it_may() {
    let refs = small(2, 2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let gate = fresh();
    let busy = [(); 2].map(|()| refs.client(1).rpc_async("worker0", wait_at_gate, (gate,)));
    refs.settle().await;
    drop(at_1);
    within(ms(100), refs.assert_empty()).await;
    gone(value).await;
    for call in busy {
        open(gate);
        call.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn values_are_dropped_although_the_worker_has_as_many_calls_to_itself_as_it_may() {
    let refs = small(2, 2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let gate = fresh();
    let busy = [(); 2].map(|()| refs.client(0).rpc_async("worker0", wait_at_gate, (gate,)));
    refs.settle().await;
    drop(at_1);
    within(ms(100), refs.assert_empty()).await;
    gone(value).await;
    for call in busy {
        open(gate);
        call.await.unwrap();
    }
}

/// A call that is refused for want of room takes its references back.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_one_too_many_takes_its_references_back() {
    let refs = small(2, 2).await;
    let (mine, value) = refs.own(0);
    let gate = fresh();
    let busy = [(); 2].map(|()| refs.client(0).rpc_async("worker1", wait_at_gate, (gate,)));
    let error = refs.client(0).rpc_async("worker1", keep, (fresh(), mine)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    within(ms(100), refs.assert_empty()).await;
    gone(value).await;
    let error = refs.registry(0).remote("worker1", tracked, (fresh(),)).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    for call in busy {
        open(gate);
        call.await.unwrap();
    }
    refs.assert_empty().await;
}

/// A million dropped handles are no million requests.
#[tokio::test(start_paused = true)]
async fn many_releases_leave_together() {
    const MANY: u64 = 10_000;
    let refs = Refs::new(2).await;
    let values: Vec<RRef<u64>> = (0..MANY).map(|n| RRef::new(refs.registry(0), n)).collect();
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_many, (ticket, values)).await.unwrap();
    let at_1: Vec<RRef<u64>> = taken(ticket);
    refs.settle().await;
    let said = refs.count_all(CONTROL);
    drop(at_1);
    refs.assert_empty().await;
    assert!(said.hits() <= 10, "{} requests", said.hits());
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_many(ticket: u64, values: Vec<RRef<u64>>) {
    crate::functions::leave(ticket, values);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_asked_for_by_a_busy_worker_is_alive_as_long_as_its_handle() {
    let refs = small(1, 2).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    at_1.created().await.ok();
    refs.settle().await;
    assert_eq!(alive(value), 1);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}
