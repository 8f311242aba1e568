//! EN-3: what happens when a bound is reached.

use rpc_core::{EngineConfig, Failure, HandlerRan, Kind, Outcome, Served, Tensor};
use rpc_testing::Cluster;

use crate::functions::*;
use crate::raw::{count, ok, send, serve, until};

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

/// EN-3
#[tokio::test]
async fn control_requests_get_through_when_calls_use_up_their_places_and_take_none() {
    let cluster = cluster(EngineConfig { in_flight_max: 2, ..Default::default() }).await;
    serve(&cluster, 1, Kind::REFERENCES, |_| Served::Now(ok(b"")));
    let client = cluster.client("a");
    // Once while there is no link, and again while there is one and both sides have two calls.
    let calls = [client.rpc_async("b", hang, (0, None)), client.rpc_async("b", hang, (0, None))];
    let first = send(&cluster, 1, Kind::REFERENCES, b"");
    let refused = client.rpc_async("b", add, (1, 1)).await.unwrap_err();
    assert_eq!(refused.failure(), Some(&overloaded("in_flight_max", 2)));
    assert_eq!(first.await.unwrap().outcome, Outcome::Ok);
    until_hanging(0, 2).await;
    assert_eq!(send(&cluster, 1, Kind::REFERENCES, b"").await.unwrap().outcome, Outcome::Ok);
    calls.iter().for_each(|call| call.cancel());
    until_hanging(0, 0).await;
    cluster.assert_idle().await;

    // As many control requests as calls may be do not keep those from being made, there neither.
    serve(&cluster, 1, Kind::REFERENCES, |_| Served::Later(Box::pin(std::future::pending())));
    let controls: Vec<_> = (0..4).map(|_| send(&cluster, 1, Kind::REFERENCES, b"")).collect();
    until(|| count(&**cluster.agent("b"), "peer.a.serving") == 4).await;
    let calls = [client.rpc_async("b", add, (1, 1)), client.rpc_async("b", add, (1, 1))];
    for call in calls {
        assert_eq!(call.await.unwrap(), 2);
    }
    controls.iter().for_each(rpc_core::Reply::cancel);
    cluster.assert_idle().await;
}

/// EN-3
#[tokio::test(start_paused = true)]
async fn control_requests_are_not_refused_for_the_bytes_that_wait() {
    #[rpc_macros::function(crate = "rpc_core", inline)]
    fn large() -> Vec<u8> {
        vec![0; 2 << 20]
    }
    #[rpc_macros::function(crate = "rpc_core", inline)]
    fn take(bytes: Vec<u8>) -> usize {
        bytes.len()
    }
    let cluster = cluster(EngineConfig { outbox_bytes_max: 1 << 20, ..Default::default() }).await;
    serve(&cluster, 1, Kind::REFERENCES, |_| Served::Now(ok(b"")));
    let client = cluster.client("a");
    // What waits at the caller, without a link and with one.
    for _ in 0..2 {
        cluster.partition("a", "b");
        let mut taken = Vec::new();
        let refused = loop {
            let mut call = Box::pin(client.rpc_async("b", take, (vec![0_u8; 2 << 20],)));
            match now(&mut call) {
                Some(refused) => break refused.unwrap_err(),
                None => taken.push(call),
            }
        };
        assert_eq!(refused.failure(), Some(&overloaded("outbox_bytes_max", 1 << 20)));
        let control = send(&cluster, 1, Kind::REFERENCES, b"");
        assert!(!control.is_done(), "it waits its turn");
        cluster.heal("a", "b");
        assert_eq!(control.await.unwrap().outcome, Outcome::Ok);
        for call in taken {
            assert_eq!(call.await.unwrap(), 2 << 20);
        }
    }
    // What waits at the callee: replies that the caller does not get.
    cluster.network().partition_one_way(cluster.address("b"), cluster.address("a"));
    let mut replies = vec![client.rpc_async("b", large, ())];
    cluster.network().until(|frames| !frames.is_empty()).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    replies.push(client.rpc_async("b", large, ()));
    until(|| count(&**cluster.agent("b"), "peer.a.queued_bytes") > 1 << 20).await;
    let (control, call) = (send(&cluster, 1, Kind::REFERENCES, b""), client.rpc_async("b", add, (1, 1)));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    cluster.heal("a", "b");
    assert_eq!(control.await.unwrap().outcome, Outcome::Ok);
    assert_eq!(call.await.unwrap_err().failure(), Some(&overloaded("outbox_bytes_max", 1 << 20)));
    for reply in replies {
        assert_eq!(reply.await.unwrap().len(), 2 << 20);
    }
}

/// What `future` has now, if it is done.
fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// EN-3
#[tokio::test(start_paused = true)]
async fn control_requests_that_nobody_answers_are_bounded_too() {
    let cluster = cluster(EngineConfig::default()).await;
    serve(&cluster, 1, Kind::REFERENCES, |_| Served::Later(Box::pin(std::future::pending())));
    let mut sent = Vec::new();
    let refused = loop {
        let mut reply = send(&cluster, 1, Kind::REFERENCES, b"");
        match now(&mut reply) {
            Some(refused) => break refused.unwrap_err(),
            None => sent.push(reply),
        }
    };
    assert_eq!(refused, overloaded("control requests", sent.len() as u64));
    assert!((16..=256).contains(&sent.len()), "{}", sent.len());
    until(|| count(&**cluster.agent("b"), "peer.a.serving") == sent.len() as u64).await;
    assert_eq!(cluster.client("a").rpc_async("b", add, (1, 1)).await.unwrap(), 2, "the link lives");
}

/// EN-3
#[tokio::test(start_paused = true)]
async fn links_that_say_nothing_do_not_keep_others_out_and_are_bounded() {
    let cluster = cluster(EngineConfig { handshakes_max: 4, ..Default::default() }).await;
    let stranger = cluster.network().transport();
    let (begin, mut silent) = (tokio::time::Instant::now(), Vec::new());
    for _ in 0..20 {
        let link = rpc_core::Transport::connect(&stranger, cluster.address("b")).await;
        silent.push(link.expect("a link"));
    }
    assert_eq!(cluster.client("a").rpc_async("b", add, (1, 1)).await.ok(), Some(2), "as the newest of many");
    // The oldest have been closed for it, and those that may stay are in the middle of their time.
    let mut open = silent.split_off(17);
    for link in &mut silent {
        assert!(matches!(rpc_core::recv(&mut *link.receiver).await, Ok(None)));
    }
    assert_eq!(begin.elapsed().as_secs(), 0);
    for link in &mut open {
        assert!(matches!(rpc_core::recv(&mut *link.receiver).await, Ok(None)));
    }
    assert_eq!(begin.elapsed().as_secs(), 5, "until their time is over");
}
