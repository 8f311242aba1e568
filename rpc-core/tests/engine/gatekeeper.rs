//! Which peers may call which functions.

use std::sync::Arc;

use rpc_core::{
    Decision, Failure, FunctionHandler, FunctionId, FunctionTable, Gatekeeper, HandlerRan, Kind, Outcome,
    POSTCARD, RemoteFunction, Request, WorkerId, WorkerInfo,
};
use rpc_testing::Cluster;

use crate::functions::*;
use crate::raw::request;

/// Three workers; the last asks `hook`.
async fn guarded<D: Into<Decision>>(
    hook: impl Fn(&WorkerInfo, &str) -> D + Send + Sync + 'static,
) -> (Cluster, Arc<Gatekeeper>) {
    let cluster = Cluster::new(3).await;
    let gatekeeper = Arc::new(Gatekeeper::new(WorkerId(2), cluster.group().clone(), hook));
    let table = Arc::new(FunctionTable::linked().expect("names that differ"));
    let handler = FunctionHandler::without_host(table, Arc::default()).guarded(Arc::clone(&gatekeeper));
    cluster.agent(2).serve(Kind::CALL, Arc::new(handler));
    (cluster, gatekeeper)
}

#[tokio::test]
async fn a_denied_call_names_worker_function_caller_and_reason() {
    let hook = |peer: &WorkerInfo, function: &str| match peer.name.as_str() {
        "worker1" if function.ends_with("::add") => Err("it may only parse"),
        _ => Ok(()),
    };
    let (cluster, gatekeeper) = guarded(hook).await;
    let error = cluster.client(1).rpc_async("worker2", add, (1, 1)).await.unwrap_err();
    let reason = "it may only parse".to_owned();
    assert_eq!(error.failure(), Some(&Failure::Denied { caller: "worker1 (rank 1)".into(), reason }));
    assert_eq!(error.handler_ran(), HandlerRan::No);
    assert_eq!(
        error.to_string(),
        "engine::functions::add on worker worker2: its authorize hook does not let worker1 (rank 1) call it \
         (it may only parse); the handler did not run"
    );
    assert_eq!(cluster.client(1).rpc_async("worker2", parse, ("7".into(),)).await.unwrap(), 7);
    assert_eq!(cluster.client(0).rpc_async("worker2", add, (1, 1)).await.unwrap(), 2, "another worker");
    assert_eq!(gatekeeper.denied(), 1);
    cluster.assert_idle().await;
}

#[tokio::test]
async fn the_decision_comes_before_anything_is_decoded() {
    let (cluster, gatekeeper) = guarded(|peer: &WorkerInfo, _: &str| peer.id.0 == 0).await;
    let garbage = |from: i64| {
        let method = FunctionId::new(add::NAME, add::SIGNATURE).to_wire();
        let request = Request { method, codec: POSTCARD, ..request(Kind::CALL, &[0xff; 3]) };
        cluster.agent(from).send(WorkerId(2), request)
    };
    let outcome = async |from| garbage(from).await.map(|response| response.outcome);
    assert_eq!(outcome(0).await, Ok(Outcome::BadArguments));
    assert_eq!(outcome(1).await, Ok(Outcome::Denied));
    assert_eq!(gatekeeper.denied(), 1);
}

#[tokio::test]
async fn a_hook_that_panics_denies_and_the_worker_is_not_asked_about_itself() {
    let (cluster, gatekeeper) = guarded(|_: &WorkerInfo, _: &str| -> bool { panic!("confused") }).await;
    let error = cluster.client(0).rpc_async("worker2", add, (1, 1)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Denied { .. })), "{error}");
    assert!(!error.to_string().contains("confused"), "the text of a panic is not for others: {error}");
    assert_eq!(cluster.client(2).rpc_async("worker2", add, (1, 1)).await.unwrap(), 2);
    assert_eq!(gatekeeper.denied(), 1);
}
