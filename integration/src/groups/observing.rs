//! What a worker tells of itself.

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::{FunctionBody, FunctionDifference, FunctionEntry, LinkState, RemoteFunction};
use rpc::{CallScope, Failure, FunctionTable, TraceParent};

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

#[rpc::function]
async fn new_value(n: u64) -> u64 {
    n
}

/// How many values the callee has, and how many of them worker0 refers to.
#[rpc::function(inline)]
fn values_there() -> (u64, u64) {
    let references = Worker::current().debug_info().references;
    let lent = references.peers.iter().find(|peer| peer.worker.id.0 == 0).map_or(0, |peer| peer.lent);
    (references.owned, lent)
}

/// [`length`] as another version of the program has it.
#[derive(Clone, Copy)]
struct OtherLength;

impl RemoteFunction for OtherLength {
    type Args = (String,);
    type Output = u32;
    type Error = rpc::Never;
    const NAME: &'static str = length::NAME;
    const SIGNATURE: &'static str = "fn(String) -> u32";
    const BODY: FunctionBody<(String,), u32, rpc::Never> =
        FunctionBody::Inline(|(text,)| Ok(text.len() as u32));
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_first("observing::debug_info", 2, debug_info),
        Scenario::on_first("observing::traffic_and_links", 2, traffic_and_links),
        Scenario::on_first("observing::references", 2, references),
        Scenario::new("observing::other_functions", 2, other_functions),
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

async fn references(worker: &Worker) -> Result<()> {
    let theirs: RRef<u64> = worker.remote("worker1", new_value, (7,))?;
    let again = theirs.clone();
    ensure!(theirs.to_here().await? == 7);
    let own: RRef<u64> = worker.remote("worker0", new_value, (8,))?;
    ensure!(own.to_here().await? == 8);
    let info = worker.debug_info();
    let references = &info.references;
    ensure!((references.used, references.used_handles) == (1, 1), "{references:?}");
    ensure!((references.owned, references.owned_handles) == (1, 1), "{references:?}");
    ensure!(info.to_map().get("references.worker1.used").is_some_and(|used| used == "1"), "{info:?}");
    ensure!(worker.rpc_async("worker1", values_there, ()).await? == (1, 1));
    drop((theirs, again, own));
    while worker.rpc_async("worker1", values_there, ()).await? != (0, 0) {}
    let references = worker.debug_info().references;
    ensure!((references.used, references.owned) == (0, 0), "{references:?}");
    Ok(())
}

/// Rank 1 is another version of the program: `length` has another signature, and `traceparent` is not there.
async fn other_functions(part: Part) -> Result<()> {
    let mut builder = part.builder();
    if part.rank == 1 {
        let changed = [length::NAME, traceparent::NAME];
        let mut functions = FunctionTable::new();
        for entry in FunctionTable::linked()?.iter().filter(|entry| !changed.contains(&entry.name())) {
            functions.insert(entry.clone())?;
        }
        functions.insert(FunctionEntry::of::<OtherLength>())?;
        builder = builder.functions(functions);
    }
    let worker = builder.init().await?;
    if part.rank == 0 {
        let error = worker.rpc_async("worker1", length, (vec![],)).await.err();
        let failure = error.as_ref().and_then(CallError::failure);
        ensure!(matches!(failure, Some(Failure::SignatureMismatch { .. })), "{error:?}");
    }
    // The answer to what they differ in comes by itself, once there is a link.
    let difference = loop {
        match worker.debug_info().other_functions.pop() {
            Some(difference) => break difference,
            None => tokio::task::yield_now().await,
        }
    };
    let FunctionDifference { signatures, only_here, only_there, more, .. } = &difference;
    ensure!(*more == 0 && matches!(&signatures[..], [one] if one.name == length::NAME), "{difference:?}");
    let lacking = if part.rank == 0 { (only_here, only_there) } else { (only_there, only_here) };
    ensure!(*lacking.0 == [traceparent::NAME] && lacking.1.is_empty(), "{difference:?}");
    ensure!(difference.to_string().contains("fn(String) -> u32"), "{difference}");
    leave(&worker).await
}
