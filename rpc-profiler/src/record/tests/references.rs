//! Calls that wait for references on their callee.

use rpc_core::{FunctionTable, Host, WorkerId};
use rpc_rref::{RRef, Registry};

use super::*;

#[rpc_macros::function(crate = "rpc_core", inline)]
fn inspect(_value: RRef<u64>) -> u64 {
    7
}

#[rpc_macros::function(crate = "rpc_core")]
async fn inspect_slowly(_value: RRef<u64>) -> u64 {
    tokio::time::sleep(3 * MS).await;
    7
}

/// Those of `workers`, and what they hold on to.
fn registries(workers: &Workers) -> Vec<(Arc<Registry>, Arc<dyn Host>)> {
    let functions = Arc::new(FunctionTable::linked().unwrap());
    let start = |rank: u32| {
        let host: Arc<dyn Host> = Arc::new(workers.client(rank).clone());
        let registry = Registry::start(workers.client(rank), Arc::clone(&functions), Arc::downgrade(&host));
        (registry.unwrap(), host)
    };
    (0..workers.recorders.len() as u32).map(start).collect()
}

/// Wait and run of the only call of `operation` whose function ends in `function`, in milliseconds.
fn wait_and_run(profile: &Profile, operation: &str, function: &str) -> [Option<u64>; 2] {
    let is_it = |call: &&Call| {
        profile.name(call.operation) == operation && profile.name(call.function).ends_with(function)
    };
    let found: Vec<_> = profile.calls.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{:?}", keys(profile));
    let [_, _, _, wait, run, ..] = stages(found[0]);
    [wait, run]
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_value_is_not_running() {
    let workers = Workers::new(2).await;
    let registries = registries(&workers);
    let profiling = workers.recorders[0].profile();
    let value: RRef<u64> = registries[0].0.remote(WorkerId(1), work, (5,)).unwrap();
    assert_eq!(value.to_here().await.unwrap(), 5);
    let profile = profiling.finish();
    assert_eq!(wait_and_run(&profile, "rref_to_here", "to_here"), [Some(5), Some(0)]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_arguments_that_are_references_is_not_running() {
    let workers = Workers::new(3).await;
    let registries = registries(&workers);
    let value: RRef<u64> = registries[0].0.remote(WorkerId(1), work, (0,)).unwrap();
    assert_eq!(value.to_here().await.unwrap(), 0);
    let profiling = workers.recorders[0].profile();
    workers.client(0).rpc_async("worker2", inspect, (value.clone(),)).await.unwrap();
    workers.client(0).rpc_async("worker2", inspect_slowly, (value.clone(),)).await.unwrap();
    let profile = profiling.finish();
    // worker2 asks the owner, which is a millisecond away, before it lets the function have it.
    assert_eq!(wait_and_run(&profile, "rpc_async", "::inspect"), [Some(2), Some(0)]);
    let [wait, run] = wait_and_run(&profile, "rpc_async", "::inspect_slowly");
    assert!(wait.is_some_and(|wait| wait <= 2) && run == Some(3), "{wait:?} {run:?}");
}
