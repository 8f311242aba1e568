//! The spans and events of calls. Alone in its program, because who takes them is for all of it.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]
#![cfg(any(feature = "quic", feature = "tcp"))]

use std::sync::Arc;

use rpc::prelude::*;
use rpc::{CALLS_TARGET, MemoryStore};
use rpc_testing::LogLines;
use tracing_subscriber::EnvFilter;

#[rpc::function]
async fn later(n: u64) -> u64 {
    tokio::task::yield_now().await;
    tracing::info!(n, "inside");
    n
}

#[rpc::function]
fn on_a_thread() {
    tracing::info!("on a thread");
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[derive(Serialize, Deserialize)]
struct Counter(u64);

#[rpc::methods(inline)]
impl Counter {
    fn read(&self) -> u64 {
        tracing::info!("in a method");
        self.0
    }
}

#[rpc::function(inline)]
fn new_counter() -> Counter {
    Counter(3)
}

/// What stands in `line` behind `call=`.
fn number(line: &str) -> String {
    let (_, rest) = line.split_once(" call=").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[tokio::test]
async fn a_call_is_a_span_on_both_sides_with_worker_peer_function_and_number() {
    let lines = LogLines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("info,{CALLS_TARGET}=debug")))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let store = Arc::new(MemoryStore::default());
    let start = |rank: u32| {
        let builder = Worker::builder_named_by_rank().rank(rank).world_size(2);
        tokio::spawn(builder.store(store.clone()).variables(|_| None).init())
    };
    let (first, second) = (start(0), start(1));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());

    assert_eq!(first.rpc_async(1, later, (5,)).await.unwrap(), 5);
    let made = lines.with(&["call{worker=worker0 peer=worker1 function=\"spans::later\"", " call=", "begun"]);
    let inside =
        lines.with(&["serve{worker=worker1 peer=worker0 function=\"spans::later\"", " call=", "inside n=5"]);
    assert_eq!(number(&made), number(&inside), "both sides know the call by one number");
    lines.with(&["call{worker=worker0", "spans::later", "ended outcome=\"ok\" took_us="]);

    first.rpc_async(1, on_a_thread, ()).await.unwrap();
    lines.with(&["serve{worker=worker1", "spans::on_a_thread", "on a thread"]);
    let counter: RRef<Counter> = first.remote(1, new_counter, ()).unwrap();
    assert_eq!(counter.rpc_async().read().await.unwrap(), 3);
    lines.with(&["serve{worker=worker1", "Counter::read", "in a method"]);

    let hanging = first.rpc_async(1, hang, ());
    hanging.cancel();
    lines.with(&["call{worker=worker0", "spans::hang", "ended outcome=\"cancelled\""]);
    drop((hanging, counter));
    let (first, second) = tokio::join!(first.shutdown(), second.shutdown());
    first.unwrap();
    second.unwrap();
    lines.with(&["serve{worker=worker1", "spans::hang", "ended outcome=\"given_up\""]);
}
