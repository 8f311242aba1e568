//! EN-3: what happens when a bound is reached.

use rpc_core::{EngineConfig, Failure, HandlerRan, Tensor};
use rpc_testing::Cluster;

use crate::functions::*;

async fn cluster(config: EngineConfig) -> Cluster {
    Cluster::builder().workers(["a", "b"]).config(config).build().await.expect("a cluster")
}

fn overloaded(bound: &str, limit: u64) -> Failure {
    Failure::Overloaded { bound: bound.into(), limit }
}

/// EN-3
#[tokio::test]
async fn one_more_call_than_in_flight_max_fails_and_the_others_do_not() {
    let cluster = cluster(EngineConfig { in_flight_max: 2, ..Default::default() }).await;
    let client = cluster.client("a");
    let (first, second) = (client.rpc_async("b", hang, (4, None)), client.rpc_async("b", hang, (4, None)));
    let error = client.rpc_async("b", add, (1, 1)).await.unwrap_err();
    assert_eq!(error.failure(), Some(&overloaded("in_flight_max", 2)));
    assert_eq!(error.handler_ran(), HandlerRan::No);
    until_hanging(4, 2).await;
    first.cancel();
    until_hanging(4, 1).await;
    assert!(!second.is_done());
    second.cancel();
    until_hanging(4, 0).await;
    cluster.assert_idle().await;
    assert_eq!(client.rpc_async("b", add, (1, 1)).await.unwrap(), 2);
}

/// EN-3
#[tokio::test]
async fn one_more_blocking_handler_than_threads_is_refused_and_does_not_run() {
    let config = EngineConfig { blocking_threads_max: 2, ..Default::default() };
    let cluster = cluster(config).await;
    // Each of the four levels needs a thread; a's run out first.
    let error = cluster.client("a").rpc_async("b", nest, (5,)).await.unwrap_err();
    assert!(error.to_string().contains("blocking_threads_max = 2"), "{error}");
    // A thread has answered a moment before it is idle.
    let busy = |worker: &str| {
        let info = cluster.agent(worker).debug_info();
        let value = |key: &str| info.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        value("threads") != value("threads.idle")
    };
    while busy("a") || busy("b") {
        tokio::task::yield_now().await;
    }
    assert_eq!(cluster.client("a").rpc_async("b", nest, (1,)).await.unwrap(), 1);
}

/// EN-3
#[tokio::test]
async fn a_message_over_the_limit_is_refused_on_either_way() {
    let config = EngineConfig { message_bytes_max: 1 << 20, ..Default::default() };
    let cluster = cluster(config).await;
    let client = cluster.client("a");
    let big = Tensor::zeros(rpc_core::Dtype::F32, [1 << 19]).unwrap();
    let sample = Sample { label: None, layers: vec![big] };
    let error = client.rpc_async("b", double, (sample,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::TooLarge { limit, .. }) if *limit == 1 << 20), "{error}");

    #[rpc_macros::function(crate = "rpc_core", inline)]
    fn make(len: usize) -> Vec<u8> {
        vec![0; len]
    }
    let error = client.rpc_async("b", make, (2 << 20,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::BadResult { .. })), "{error}");
    assert_eq!(client.rpc_async("b", make, (1 << 10,)).await.unwrap().len(), 1 << 10, "the link lives on");
}

/// EN-3
#[tokio::test(start_paused = true)]
async fn calls_that_were_given_up_before_there_was_a_link_do_not_pile_up() {
    let cluster = cluster(EngineConfig { in_flight_max: 8, ..Default::default() }).await;
    cluster.partition("a", "b");
    let client = cluster.client("a");
    for _ in 0..8 {
        client.rpc_async("b", add, (1, 1)).cancel();
    }
    let error = client.rpc_async("b", add, (1, 1)).await.unwrap_err();
    assert_eq!(error.failure(), Some(&overloaded("in_flight_max", 8)));
    cluster.heal("a", "b");
}

/// EN-3
#[tokio::test(start_paused = true)]
async fn bytes_that_wait_are_bounded_with_and_without_a_link() {
    // In place, because the paused clock would run ahead of a thread.
    #[rpc_macros::function(crate = "rpc_core", inline)]
    fn weigh(sample: Sample) -> usize {
        sample.layers[0].len()
    }
    let big =
        || Sample { label: None, layers: vec![Tensor::zeros(rpc_core::Dtype::F32, [1 << 19]).unwrap()] };
    for link in [false, true] {
        let cluster = cluster(EngineConfig { outbox_bytes_max: 1 << 20, ..Default::default() }).await;
        let client = cluster.client("a");
        if link {
            client.rpc_async("b", add, (1, 1)).await.unwrap();
        }
        cluster.partition("a", "b");
        // With a link one message is under way in it and the next one is queued; without, the first waits.
        let taken: Vec<_> =
            (0..if link { 2 } else { 1 }).map(|_| client.rpc_async("b", weigh, (big(),))).collect();
        let refused = client.rpc_async("b", weigh, (big(),)).await.unwrap_err();
        assert_eq!(refused.failure(), Some(&overloaded("outbox_bytes_max", 1 << 20)), "link: {link}");
        cluster.heal("a", "b");
        for call in taken {
            assert_eq!(call.await.unwrap(), 1 << 19, "link: {link}");
        }
    }
}
