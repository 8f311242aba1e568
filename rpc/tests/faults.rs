//! Workers under the faults of `rpc-testing`: over TCP, and over the in-memory network on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use rpc::prelude::*;
use rpc::{BackendRegistry, HandlerRan, MemoryStore, default_backends};
use rpc_testing::{Fault, Faults, MemoryNetwork, Message};

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// The backends of a test, and which of them.
fn backends(name: &str) -> BackendRegistry {
    let mut backends = default_backends();
    backends.register(MemoryNetwork::new().backend()).unwrap();
    assert!(backends.get(name).is_ok());
    backends
}

async fn start<const N: usize>(backend: &str, faults: &Faults) -> [Worker; N] {
    let store = Arc::new(MemoryStore::default());
    let backends = faults.around(&backends(backend)).unwrap();
    let starting: Vec<_> = (0..N as u32)
        .map(|rank| {
            let builder = Worker::builder_named_by_rank().rank(rank).world_size(N as u32);
            let builder = builder.store(store.clone()).backends(backends.clone()).backend(backend);
            tokio::spawn(builder.local_links(false).variables(|_| None).init())
        })
        .collect();
    let mut workers = Vec::new();
    for worker in starting {
        workers.push(worker.await.unwrap().unwrap());
    }
    workers.try_into().unwrap()
}

async fn leave(workers: &[Worker]) {
    let leaving: Vec<_> =
        workers.iter().cloned().map(|worker| tokio::spawn(async move { worker.shutdown().await })).collect();
    for left in leaving {
        let report = left.await.unwrap().unwrap();
        assert_eq!((report.lost.len(), report.leaked()), (0, 0));
    }
}

async fn the_second_request_fails(backend: &str) {
    let faults = Faults::seeded(7);
    let [worker0, worker1] = start::<2>(backend, &faults).await;
    let second = faults.add(Fault::fail().on(Message::Call).from("worker0").to("worker1").nth(2));
    assert_eq!(worker0.rpc_async("worker1", add, (1, 2)).await, Ok(3));
    let error = worker0.rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    assert_eq!(error.handler_ran(), HandlerRan::No);
    assert_eq!(worker1.rpc_async("worker0", add, (1, 2)).await, Ok(3), "the other way is another pair");
    assert_eq!(worker0.rpc_async("worker1", add, (1, 2)).await, Ok(3));
    assert_eq!(second.fired(), 1);
    leave(&[worker0, worker1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_request_fails_over_tcp() {
    the_second_request_fails("tcp").await;
}

#[tokio::test(start_paused = true)]
async fn the_second_request_fails_over_the_in_memory_network() {
    the_second_request_fails("memory").await;
}
