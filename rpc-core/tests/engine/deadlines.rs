//! Deadlines and cancellation, on a paused clock.

use std::time::Duration;

use rpc_core::{Failure, HandlerRan};
use rpc_testing::Cluster;
use tokio::time::Instant;

use crate::functions::*;

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_own_timeout_or_the_default_which_can_change() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);
    let begin = Instant::now();
    let error =
        client.rpc_async("worker1", sleep_ms, (5_000,)).timeout(Duration::from_secs(1)).await.unwrap_err();
    let expected = Failure::TimedOut { after: Duration::from_secs(1), ran: HandlerRan::Unknown };
    assert_eq!(error.failure(), Some(&expected));
    assert!(begin.elapsed() < Duration::from_millis(1_010), "{:?}", begin.elapsed());

    client.set_rpc_timeout(Duration::from_secs(2));
    let begin = Instant::now();
    assert!(client.rpc_async("worker1", sleep_ms, (5_000,)).await.unwrap_err().is_timeout());
    assert_eq!(begin.elapsed().as_secs(), 2);

    client.set_rpc_timeout(Duration::ZERO);
    assert_eq!(client.rpc_async("worker1", sleep_ms, (3_600_000,)).await.unwrap(), 3_600_000);
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_longer_timeout_given_after_the_call_left_reaches_the_handler() {
    let cluster = Cluster::new(2).await;
    for to in ["worker1", "worker0"] {
        let call = cluster.client(0).rpc_async(to, sleep_ms, (100_000,)); // the default is 60 s
        assert_eq!(call.timeout(Duration::from_secs(120)).await.unwrap(), 100_000, "{to}");
        let call = cluster.client(0).rpc_async(to, sleep_ms, (100_000,));
        assert_eq!(call.timeout(Duration::ZERO).await.unwrap(), 100_000, "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_gets_no_more_time_than_its_caller_has() {
    let cluster = Cluster::new(3).await;
    let call = cluster.client(0).with_timeout(Duration::from_secs(5)).rpc_async(
        "worker1",
        nested_remaining_ms,
        (2,),
    );
    let given = call.await.unwrap().expect("a deadline");
    assert!(given <= 5_000, "{given}");
    let forever = cluster.client(0).with_timeout(Duration::ZERO);
    assert_eq!(forever.rpc_async("worker1", remaining_ms, ()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_handler_and_its_nested_calls() {
    let cluster = Cluster::new(3).await;
    let call = cluster.client(0).rpc_async("worker1", hang, (0, Some(2)));
    until_hanging(0, 2).await;
    call.cancel();
    let error = call.await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Cancelled { .. })), "{error}");
    until_hanging(0, 0).await;
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_deadline_ends_the_handler_and_its_nested_calls() {
    let cluster = Cluster::new(3).await;
    let client = cluster.client(0).with_timeout(Duration::from_secs(1));
    let call = client.rpc_async("worker1", hang, (1, Some(2)));
    until_hanging(1, 2).await;
    assert!(call.await.unwrap_err().is_timeout());
    until_hanging(1, 0).await;
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_detaches_unless_told_to_cancel() {
    let cluster = Cluster::new(2).await;
    drop(cluster.client(0).rpc_async("worker1", hang, (2, None)));
    until_hanging(2, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    until_hanging(2, 1).await;
    drop(cluster.client(0).rpc_async("worker1", hang, (3, None)).cancel_on_drop());
    until_hanging(3, 0).await;
    until_hanging(2, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_dropped_and_gives_its_place_back() {
    let config = rpc_core::EngineConfig { in_flight_max: 1, ..Default::default() };
    let cluster = Cluster::builder().workers(["a", "b"]).config(config).build().await.unwrap();
    cluster.network().set_delay(cluster.address("b"), cluster.address("a"), Duration::from_secs(3));
    let call = cluster.client("a").rpc_async("b", add, (1, 1)).timeout(Duration::from_secs(4));
    assert!(call.await.unwrap_err().is_timeout(), "a dial and a reply take 6 s");
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.network().set_delay(cluster.address("b"), cluster.address("a"), Duration::ZERO);
    assert_eq!(cluster.client("a").rpc_async("b", add, (2, 2)).await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn timeouts_beyond_any_clock_and_below_its_grain_mean_what_they_say() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);
    let call = client.rpc_async("worker1", sleep_ms, (100_000,)).timeout(Duration::from_secs(1 << 60));
    assert_eq!(call.await.unwrap(), 100_000);
    client.set_rpc_timeout(Duration::from_nanos(500));
    assert!(
        client.rpc_async("worker1", sleep_ms, (100_000,)).await.unwrap_err().is_timeout(),
        "not for ever"
    );
}
