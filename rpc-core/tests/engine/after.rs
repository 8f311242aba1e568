//! Requests that have to wait before it is known how they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_core::{Failure, Outcome, Response, Served};
use rpc_testing::Cluster;

use crate::raw::{RAW, ok, send, serve, until};

/// How a request of these tests runs at last.
fn at_last(way: u8) -> Served {
    let here = std::thread::current().id();
    match way {
        0 => Served::Now(ok(b"now")),
        1 => Served::Later(Box::pin(async { ok(b"at once") })),
        2 => Served::Later(Box::pin(async {
            tokio::task::yield_now().await;
            ok(b"later")
        })),
        3 => Served::Blocking(Box::new(move || match std::thread::current().id() != here {
            true => ok(b"on a thread"),
            false => ok(b"in the way"),
        })),
        _ => Served::After(Box::pin(async {
            tokio::task::yield_now().await;
            at_last(3)
        })),
    }
}

/// EN-1
#[tokio::test]
async fn what_a_request_waits_for_decides_how_it_runs() {
    let cluster = Cluster::new(2).await;
    for rank in [0, 1] {
        serve(&cluster, rank, RAW, |incoming| {
            let payload = incoming.request.body.payload;
            Served::After(Box::pin(async move {
                for _ in 0..payload[1] {
                    tokio::task::yield_now().await;
                }
                at_last(payload[0])
            }))
        });
    }
    let expected = ["now", "at once", "later", "on a thread", "on a thread"];
    for to in [0, 1] {
        for (way, expected) in (0..).zip(expected) {
            for waits in [0, 1, 2] {
                let response = send(&cluster, to, RAW, &[way, waits]).await.unwrap();
                let found = String::from_utf8_lossy(&response.body.payload).into_owned();
                assert_eq!(found, expected, "to {to}, after {waits} waits");
            }
        }
    }
    cluster.assert_idle().await;
}

/// Counts how often something was dropped.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_ends_with_its_call_and_never_runs() {
    let cluster = Cluster::new(2).await;
    let (begun, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for rank in [0, 1] {
        let (begun, dropped) = (Arc::clone(&begun), Arc::clone(&dropped));
        serve(&cluster, rank, RAW, move |_| {
            begun.fetch_add(1, Ordering::SeqCst);
            let guard = Drops(Arc::clone(&dropped));
            Served::After(Box::pin(async move {
                let _guard = guard;
                tokio::time::sleep(Duration::from_secs(1_000)).await;
                Served::Now(ok(b"ran"))
            }))
        });
    }
    for (calls, to) in (0..).zip([0_u32, 1]) {
        let cancelled = send(&cluster, to, RAW, b"");
        until(|| begun.load(Ordering::SeqCst) == 2 * calls + 1).await;
        cancelled.cancel();
        assert!(matches!(cancelled.await, Err(Failure::Cancelled { .. })));
        until(|| dropped.load(Ordering::SeqCst) == 2 * calls + 1).await;

        let timed_out = send(&cluster, to, RAW, b"");
        assert!(matches!(timed_out.await, Err(Failure::TimedOut { .. })));
        until(|| dropped.load(Ordering::SeqCst) == 2 * calls + 2).await;
        cluster.assert_idle().await;
    }
}

/// EN-1
#[tokio::test(start_paused = true)]
async fn a_panic_while_a_request_waits_is_its_answer() {
    let cluster = Cluster::new(2).await;
    serve(&cluster, 1, RAW, |incoming| {
        Served::After(Box::pin(async move {
            if incoming.request.body.payload[0] > 0 {
                tokio::task::yield_now().await;
            }
            panic!("while it waited")
        }))
    });
    for waits in [0, 1] {
        let response = send(&cluster, 1, RAW, &[waits]).await.unwrap();
        assert_eq!(response.outcome, Outcome::Panicked);
    }
    cluster.assert_idle().await;
}

#[tokio::test]
async fn an_agent_of_ones_own_waits_for_all_of_it() {
    let block =
        async |job: Box<dyn FnOnce() -> Response + Send>| tokio::task::spawn_blocking(job).await.unwrap();
    for way in 0..5 {
        let served = Served::After(Box::pin(std::future::ready(at_last(way))));
        assert_eq!(served.response(block).await.outcome, Outcome::Ok, "{way}");
    }
}
