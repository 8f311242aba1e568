//! What a worker tells of itself.

use anyhow::{Context, Result, ensure};
use rpc::prelude::*;
use rpc::rpc_core::LinkState;
use rpc::{CallScope, TraceParent};

use crate::scenario::Scenario;

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[rpc::function(inline)]
fn length(data: Vec<u8>) -> usize {
    data.len()
}

#[rpc::function(inline)]
fn traceparent() -> Option<String> {
    CallContext::current()?.trace().map(|parent| parent.to_string())
}

#[rpc::function]
async fn nested_traceparent() -> Result<Option<String>, CallError> {
    Worker::current().rpc_async("worker2", traceparent, ()).await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_first("observing::debug_info", 2, debug_info),
        Scenario::on_first("observing::traffic_and_links", 2, traffic_and_links),
        Scenario::on_first("observing::traceparent", 3, traced),
    ]
}

async fn debug_info(worker: &Worker) -> Result<()> {
    let running = [0; 3].map(|_| worker.rpc_async("worker1", hang, ()));
    let info = worker.debug_info();
    ensure!(info.agent.peers[1].in_flight == 3, "{info:?}");
    let (peer, oldest) = info.agent.oldest().context("calls are in flight")?;
    ensure!(peer.name.as_str() == "worker1" && oldest.function.name.ends_with("::hang"), "{oldest:?}");
    let map = info.to_map();
    ensure!(map.get("peer.worker1.in_flight").is_some_and(|count| count == "3"), "{map:?}");
    ensure!(map.iter().any(|(name, count)| name.ends_with("::hang") && count == "3"), "{map:?}");
    running.iter().for_each(RpcFuture::cancel);
    Ok(())
}

async fn traffic_and_links(worker: &Worker) -> Result<()> {
    let before = worker.debug_info().agent.peers[1].traffic;
    ensure!(worker.rpc_async("worker1", length, (vec![7; 100_000],)).await? == 100_000);
    let peer = &worker.debug_info().agent.peers[1];
    ensure!(peer.traffic.bytes_sent >= before.bytes_sent + 100_000, "{peer:?}");
    ensure!(peer.traffic.messages_received > before.messages_received, "{peer:?}");
    let LinkState::Up { carrier, .. } = &peer.link else { anyhow::bail!("{peer:?}") };
    ensure!(!carrier.is_empty() && carrier != "unnamed", "{carrier}");
    Ok(())
}

async fn traced(worker: &Worker) -> Result<()> {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let scope = CallScope::new().trace(text.parse::<TraceParent>()?);
    let there = scope.run(|| worker.rpc_async("worker1", traceparent, ()));
    ensure!(there.await?.as_deref() == Some(text));
    let nested = scope.run(|| worker.rpc_async("worker1", nested_traceparent, ()));
    ensure!(nested.await?.as_deref() == Some(text), "nested calls carry it on");
    ensure!(worker.rpc_async("worker1", traceparent, ()).await?.is_none(), "outside of the scope");
    Ok(())
}
