//! What `Metrics` tells a recorder. Alone in its program, because a recorder is for all of it.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use rpc::prelude::*;
use rpc::{MemoryStore, Metrics};

#[rpc::function(inline)]
fn length(data: Vec<u8>) -> usize {
    data.len()
}

#[rpc::function]
async fn refuse() -> Result<(), String> {
    Err("no".into())
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[rpc::function(inline)]
fn keep() -> u64 {
    7
}

#[tokio::test]
async fn calls_links_and_references_are_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    Metrics::describe();

    let store = Arc::new(MemoryStore::default());
    let start = |rank: u32, builder: WorkerBuilder| {
        tokio::spawn(builder.rank(rank).world_size(2).store(store.clone()).variables(|_| None).init())
    };
    // Only the first is observed, so that what it makes and what it serves is told apart.
    let first = start(0, Worker::builder_named_by_rank().observer(Metrics));
    let second = start(1, Worker::builder_named_by_rank());
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());

    assert_eq!(first.rpc_async(1, length, (vec![0; 1000],)).await.unwrap(), 1000);
    first.rpc_async(1, refuse, ()).await.unwrap_err();
    let hanging = first.rpc_async(1, hang, ());
    assert_eq!(second.rpc_async(0, length, (vec![],)).await.unwrap(), 0);
    let value: RRef<u64> = first.remote(1, keep, ()).unwrap();
    assert_eq!(value.to_here().await.unwrap(), 7);
    Metrics::record(&first);

    let text = handle.render();
    let has = |line: &str| assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    has(r#"rpc_calls_total{function="metrics::length",outcome="ok"} 1"#);
    has(r#"rpc_calls_total{function="metrics::refuse",outcome="error"} 1"#);
    has(r#"rpc_calls_total{function="to_here",outcome="ok"} 1"#);
    has(r#"rpc_calls_in_flight{function="metrics::hang"} 1"#);
    has(r#"rpc_calls_in_flight{function="metrics::length"} 0"#);
    has(r#"rpc_call_duration_seconds_count{function="metrics::length"} 1"#);
    has(r#"rpc_served_total{function="metrics::length",outcome="ok"} 1"#);
    has(r#"rpc_link_up{peer="worker1"} 1"#);
    has("rpc_references_used 1");
    has("# TYPE rpc_calls_total counter");
    let bytes = text.lines().find_map(|line| line.strip_prefix(r#"rpc_bytes_sent_total{peer="worker1"} "#));
    assert!(bytes.unwrap().parse::<u64>().unwrap() > 1000, "{text}");

    hanging.cancel();
    assert!(handle.render().contains(r#"rpc_calls_total{function="metrics::hang",outcome="cancelled"} 1"#));
    drop((hanging, value));
    let (first, second) = tokio::join!(first.shutdown(), second.shutdown());
    first.unwrap();
    second.unwrap();
}
